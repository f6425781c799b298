"""Figure 4B of the paper: which states are taken for which, in per cent of each labelled state."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from skworm.experiments.arms import StudySettings, external_sets_of, frames_of, knows_states, splitter
from skworm.experiments.catalogue import Target
from skworm.experiments.classifier_studies import networks, tasks
from skworm.experiments.intervals import intervals_over_worms
from skworm.experiments.outcome import Outcome, write_outcome
from skworm.experiments.protocol import Material
from skworm.experiments.study import settings_of_study
from skworm.model_selection.evaluation_sets import EvaluationSet, external_sets, merge_turns, training_set
from skworm.model_selection.results import digest_of_inputs
from skworm.model_selection.runs import Data, named_models, run_fits
from skworm.states import STATES, UNKNOWN

_FIT = ["train_worms", "fold"]
_CELL = ["block", "evaluation", "model", "state", "predicted"]


class CountedSet(EvaluationSet):
    """Frames whose predictions are counted by labelled and predicted state, in place of being scored."""

    @classmethod
    def of(cls, frames: EvaluationSet) -> CountedSet:
        """Count what another set would score; where it merges turns, so does this one."""
        return cls(frames.X, merge_turns(frames.y) if frames.merge_turns else frames.y, frames.merge_turns)

    def scores_by_worm(self, rows: np.ndarray, y_pred: Any) -> list[tuple[str, dict[str, Any]]]:
        """Count the predictions for `rows`: for each worm one dictionary a pair of labelled and predicted state."""
        predicted = np.asarray(y_pred, dtype=str)
        if self.merge_turns:
            predicted = merge_turns(predicted)
        table = pd.DataFrame({"worm": self.worm[rows], "state": self.y[rows], "predicted": predicted})
        counts = table[table["state"] != UNKNOWN].value_counts(["worm", "state", "predicted"], sort=False)
        rows_of_counts: list[dict[Any, Any]] = counts.reset_index(name="n_frames").to_dict("records")
        return [(str(row.pop("worm")), row) for row in rows_of_counts]


def figure_4b(
    target: Target,
    settings: StudySettings,
    material: Material,
    out: Path,
    *,
    n_jobs: int | None = -1,
    verbose: int = 1,
) -> Outcome:
    """Count which states the networks take for which, on worms that they have not seen."""
    counts = pd.concat(
        [
            _count(settings, material, states, n_train, out, n_jobs=n_jobs, verbose=verbose).assign(block=title)
            for states, n_train, title in tasks(settings, material)
        ],
        ignore_index=True,
    )
    table = confusion_table(counts, settings.random_state)
    reading = [
        "Per cent of the frames of each labelled state that are predicted as each state, so that rows sum to 100: mean "
        "over worms, each averaged over the fits that score it first, and in round brackets the 95 % interval of a "
        "bootstrap over worms and fits, which from few worms is too narrow. Worms that never show a state are left out "
        "of its row.",
        f"The paper: {target.paper}",
    ]
    reading += [f"Not the paper's protocol: {settings.departure}."] if settings.departure else []
    return write_outcome(
        out,
        title=target.title,
        **settings_of_study(target, settings, material, counts),
        data={"counts": counts, "table": table},
        tables=texts_of_confusion(table),
        reading="\n".join(reading),
        departure=settings.departure,
        figures=_figures(target.name, table),
    )


def confusion_table(counts: pd.DataFrame, random_state: int = 0) -> pd.DataFrame:
    """Turn counts of frames into per cent of each labelled state, with intervals over worms.

    Parameters
    ----------
    counts : pandas.DataFrame
        One row per block, evaluation, model, fit, worm, labelled and predicted state; column ``n_frames``.
    random_state : int, default=0
        Seed of the intervals.

    Returns
    -------
    pandas.DataFrame
        One row per block, evaluation, model, labelled and predicted state: ``n_worms``, and in per cent ``mean``,
        ``std``, ``mean_low`` and ``mean_high`` over worms. For each labelled state the means sum to 100.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.experiments.confusion import confusion_table
    >>> counts = pd.DataFrame({
    ...     "block": "2 states", "evaluation": "unseen_worms", "model": "GNN", "train_worms": "a", "fold": 0,
    ...     "worm": ["b", "b", "c"], "state": "forward", "predicted": ["forward", "reverse", "forward"],
    ...     "n_frames": [3, 1, 4],
    ... })
    >>> confusion_table(counts)[["state", "predicted", "n_worms", "mean"]]
         state predicted  n_worms  mean
    0  forward   forward        2  87.5
    1  forward   reverse        2  12.5
    """
    rows = []
    for (block, evaluation, model, state), part in counts.groupby(_CELL[:-1], sort=False):
        fits = part.pivot_table(
            index=["worm", *_FIT], columns="predicted", values="n_frames", aggfunc="sum", fill_value=0
        )
        shares = 100 * fits.div(fits.sum(axis=1), axis=0)
        by_worm = shares.groupby(level="worm").mean()
        low, high = intervals_over_worms(shares.reset_index(), list(shares.columns), random_state)
        for place, predicted in enumerate(shares.columns):
            cell = {"block": block, "evaluation": evaluation, "model": model, "state": state, "predicted": predicted}
            cell |= {"n_worms": len(by_worm), "mean": by_worm[predicted].mean(), "std": by_worm[predicted].std()}
            cell |= {"mean_low": low[place], "mean_high": high[place]}
            rows.append(cell)
    return pd.DataFrame(rows)


def texts_of_confusion(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Lay confusion matrices out for reading, one a block, evaluation and model."""
    texts = {}
    for (block, evaluation, model), rows in table.groupby(["block", "evaluation", "model"], sort=False):
        interval = [
            f"{row['mean']:.1f}\n({row['mean_low']:.1f} to {row['mean_high']:.1f})"
            if row["n_worms"] > 1
            else f"{row['mean']:.1f}"
            for row in rows.to_dict("records")
        ]
        cells = rows.assign(text=interval).pivot(index="state", columns="predicted", values="text")
        columns = _ordered(cells.index.union(cells.columns))
        # A column that is never predicted would be one of numbers.
        square = cells.reindex(index=_ordered(cells.index), columns=columns).astype(object)
        cells = square.where(square.notna(), "0")
        readable = cells.rename(index=_readable, columns=_readable).rename_axis(index="labelled", columns=None)
        texts[f"{model}, {block}, {str(evaluation).replace('_', ' ')}"] = readable
    return texts


def _count(
    settings: StudySettings,
    material: Material,
    states: str,
    n_train: int,
    out: Path,
    *,
    n_jobs: int | None,
    verbose: int,
) -> pd.DataFrame:
    if verbose:
        print(f"{states} states, {len(material.neurons)} neurons:", file=sys.stderr)
    X, y = frames_of(material, material.recordings, states, material.neurons)
    train = training_set(X, y, None)
    wanted = material.external if knows_states(material, states) and not material.external_apart else []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "external set .* is scored with dorsal_turn", UserWarning)
        external = external_sets(external_sets_of(material, wanted, states, material.neurons), train)
    data = Data(CountedSet.of(train), {name: CountedSet.of(part) for name, part in external.items()})
    cv = splitter(settings, n_train)
    inputs = joblib.hash([digest_of_inputs(data.train, data.external, cv), "counts"])
    rows = run_fits(
        named_models(networks(settings), {}),
        data,
        list(cv.split_worms(train.X, train.y, train.worm)),
        inputs,
        cv=cv,
        n_jobs=n_jobs,
        engine="auto",
        out=out,
        verbose=verbose,
    )
    counts = pd.DataFrame(rows).drop(columns="fit_seconds")
    return counts[counts["evaluation"] != "held_out_windows"]


def _figures(name: str, table: pd.DataFrame) -> dict[str, Any]:
    from skworm.plotting import ConfusionDisplay

    figures = {}
    several = table[["block", "evaluation"]].drop_duplicates()
    for number, (block, evaluation) in enumerate(several.itertuples(index=False), start=1):
        rows = table[(table["block"] == block) & (table["evaluation"] == evaluation)]
        where = f"{block}, {str(evaluation).replace('_', ' ')}"
        drawn = rows.assign(panel=[f"{model}\n{where}" for model in rows["model"]], percent=rows["mean"])
        ending = f"_{number}" if len(several) > 1 else ""
        figures[name + ending] = ConfusionDisplay(drawn).plot().figure_
    return figures


def _ordered(names: pd.Index) -> list[str]:
    return [state for state in STATES if state in set(names)]


def _readable(state: str) -> str:
    return state.replace("_", " ")
