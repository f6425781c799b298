"""The scores of a cross-validation as one object: table, summary over worms, comparison of models, picture, files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skworm.atomic import atomic_path, write_whole
from skworm.model_selection.comparison import (
    FIT,
    KEYS,
    METRICS,
    Metric,
    bootstrap_over_worms,
    check_resamples,
    compare_models,
    interval,
    metric_of,
)
from skworm.model_selection.samples import PERSISTENCE
from skworm.model_selection.store import FitStore

_PARTS = ("block", "states", "fold_by", "n_train_worms", "burn_in", "signal", "step")
_TASKS = {"accuracy": "states", "mse": "trajectories", "r2": "behavior"}
_TEXTS = ("model", "block", "train_worms", "evaluation", "worm", "states", "fold_by", "signal", "state", "predicted")
_COMPLETE = (*_TEXTS, "fold", "n_frames", "n_trajectories", "fit_seconds")
"""Columns of names, and those in which no row lacks a value."""


@dataclass(frozen=True, eq=False)
class WormScores:
    """Scores of models by worm, as :func:`cross_validate_worms` returns them.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per model, fit, evaluation and worm; for behaviour, per signal too; for trajectories, per step, from 1.
        Columns: ``model``; ``train_worms``, a tuple; ``fold``; ``evaluation``, which is ``"held_out_windows"``,
        ``"unseen_worms"`` or the name of an external set; ``worm``, the scored one; what was scored; the metrics; and
        ``fit_seconds``. States: ``n_frames``, ``accuracy``, ``balanced_accuracy`` and ``macro_f1``, NaN where
        `n_frames` is 0. Behaviour: ``signal``, ``n_frames``, ``r2``, ``correlation`` and ``rmse``. Trajectories:
        ``step``, ``n_trajectories``, ``mse`` over all columns, ``mse_trace``, ``mse_derivative`` and so on by node
        feature, ``mse_transition`` and ``mse_steady`` where transitions are given, and each of persistence, which
        repeats the last observed frame, as ``persistence_mse`` and so on. Further columns, such as ``block``, may
        divide the table into parts.
    confusion : pandas.DataFrame, optional
        For states: ``n_frames`` of each labelled ``state`` that are ``predicted`` as which, for each model, fit,
        evaluation and worm.
    record : mapping
        What the run was: models, splitter, data, versions; empty where it is not known.
    n_missing : int, default=0
        Fits of the run that have not finished.

    Raises
    ------
    TypeError
        If the table is not a DataFrame.
    ValueError
        If columns are missing, or hold something else.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.model_selection import WormScores
    >>> table = pd.DataFrame({
    ...     "model": "svm", "train_worms": [("a",)] * 4, "fold": [0, 0, 1, 1], "evaluation": "unseen_worms",
    ...     "worm": ["b", "c", "b", "c"], "accuracy": [0.8, 0.6, 1.0, 0.6],
    ... })
    >>> WormScores(table).summary()[["n_worms", "n_fits", "accuracy_mean", "accuracy_std"]].round(3)
       n_worms  n_fits  accuracy_mean  accuracy_std
    0        2       2           0.75         0.212
    """

    table: pd.DataFrame
    confusion: pd.DataFrame | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    n_missing: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.table, pd.DataFrame):
            raise TypeError(f"the table is a {type(self.table).__name__}; pass the table of cross_validate_worms")
        missing = [name for name in KEYS if name not in self.table]
        if missing:
            raise ValueError(
                f"the table is not one of scores: it lacks the columns {', '.join(missing)}; pass the table of "
                "cross_validate_worms"
            )
        if not any(name in self.table for name in _TASKS):
            raise ValueError(
                f"the table has none of the metrics {', '.join(_TASKS)}; pass that of cross_validate_worms"
            )
        joined = next((worms for worms in self.table["train_worms"] if not isinstance(worms, tuple)), None)
        if joined is not None:
            raise ValueError(
                f"the column train_worms of the table holds {joined!r}; give the training worms of a fit as a tuple of "
                "names, such as ('a',)"
            )
        for name in self.metrics:
            if len(self.table) and not pd.api.types.is_numeric_dtype(self.table[name]):
                raise ValueError(f"the column {name} of the table holds no numbers; pass that of cross_validate_worms")

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, Any]], record: Mapping[str, Any], n_missing: int = 0) -> WormScores:
        """Make the object of the rows of fits, as a store keeps them."""
        plain, counted = [], []
        for row in rows:
            row = {**row, "train_worms": tuple(row["train_worms"])}
            counts = row.pop("confusion", None) or {}
            plain.append(row)
            keys = {name: row[name] for name in KEYS}
            counted += [
                {**keys, "state": state, "predicted": predicted, "n_frames": n_frames}
                for state, of_state in counts.items()
                for predicted, n_frames in of_state.items()
            ]
        empty = [*KEYS, {task: name for name, task in _TASKS.items()}[record.get("task", "states")]]
        table = pd.DataFrame(plain) if plain else pd.DataFrame(columns=empty)
        return cls(table, pd.DataFrame(counted) if counted else None, record, n_missing)

    @property
    def task(self) -> str:
        """``"states"``, ``"behavior"`` or ``"trajectories"``."""
        return _TASKS[self.metric.name]

    @property
    def metric(self) -> Metric:
        """The metric that models are compared by unless another one is named: accuracy, R² or MSE."""
        return METRICS[next(name for name in _TASKS if name in self.table)]

    @property
    def metrics(self) -> list[str]:
        """The columns with metrics, those of persistence aside."""
        return [name for name in map(str, self.table) if name in METRICS or name.startswith("mse_")]

    @property
    def models(self) -> list[str]:
        """The models, in the order of the table."""
        return list(map(str, self.table["model"].unique()))

    @property
    def evaluations(self) -> list[str]:
        """The evaluations, in the order of the table."""
        return list(map(str, self.table["evaluation"].unique()))

    def __repr__(self) -> str:
        n_fits = len(self.table.drop_duplicates(["model", *self._part_columns(), *FIT]))
        return (
            f"WormScores({self.task}: {len(self.models)} models, {self.table['worm'].nunique()} worms, {n_fits} fits)"
        )

    def where(self, **conditions: Any) -> WormScores:
        """Return the scores of those rows in which columns have some values, such as ``step=8``.

        A value is compared as text. Of a list of values any is taken.

        Raises
        ------
        ValueError
            If a column, or a value in it, does not exist.
        """
        table, confusion = self.table, self.confusion
        for column, wanted in conditions.items():
            if column not in table:
                raise ValueError(f"the scores have no column {column!r}; choose among {', '.join(map(str, table))}")
            values = list(map(str, wanted if isinstance(wanted, list) else [wanted]))
            texts = table[column].map(str)
            absent = sorted(set(values) - set(texts))
            if absent:
                known = ", ".join(map(repr, texts.unique()[:20]))
                raise ValueError(f"the column {column!r} never is {absent[0]!r}; choose among {known}")
            table = table[texts.isin(values)]
            if confusion is not None and column in confusion:
                confusion = confusion[confusion[column].map(str).isin(values)]
        return replace(self, table=table, confusion=confusion)

    def parts(self, evaluation: str) -> Iterator[tuple[dict[str, Any], WormScores]]:
        """Yield the parts within which models can be compared on an evaluation, with what tells them apart.

        Parts are the values of the columns block, states, fold_by, n_train_worms, burn_in, signal and step that differ.

        Raises
        ------
        ValueError
            If there is no such evaluation.
        """
        chosen = self.table[self.table["evaluation"] == evaluation]
        if chosen.empty:
            raise ValueError(
                f"evaluation {evaluation!r} is not among those of the scores: {', '.join(self.evaluations)}; choose "
                "one of them"
            )
        columns = [name for name in self._part_columns() if chosen[name].nunique(dropna=False) > 1]
        if not columns:
            yield {}, self
            return
        for values in chosen[columns].drop_duplicates().itertuples(index=False):
            part = dict(zip(columns, values, strict=True))
            yield part, self.where(**part)

    def summary(self, *, n_resamples: int = 10_000, random_state: int = 0) -> pd.DataFrame:
        """Summarise scores over worms.

        The worm is the unit. Fits that score the same worm are not independent samples, so the scores of each worm are
        averaged over its fits first; mean and standard deviation are then taken over the worms.

        Parameters
        ----------
        n_resamples : int, default=10_000
            Bootstrap resamples.
        random_state : int, default=0
            Seed of the bootstrap.

        Returns
        -------
        pandas.DataFrame
            One row per model, evaluation and part, such as a step. Columns: these; ``n_worms``, ``n_fits``; and for
            each metric, such as ``accuracy``: ``accuracy_mean``; ``accuracy_std``, the standard deviation of a sample;
            ``accuracy_low`` and ``accuracy_high``, the 95 % interval of the mean from a bootstrap over worms and the
            fits within each, which from few worms is too narrow. Trajectories also have ``skill``, 1 - MSE / MSE of
            persistence of the mean errors, with ``skill_low`` and ``skill_high``; ``skill_trace`` and so on; and
            ``skill_worst``, the lowest skill of any worm. Worms of which no frame is scored are left out; a metric that
            is NaN for a worm, such as the correlation of a constant, leaves the mean NaN; deviation and interval are
            NaN with one worm.

        Raises
        ------
        ValueError
            If `n_resamples` is not an integer of at least 100.
        """
        check_resamples(n_resamples)
        keys = ["model", "evaluation", *self._part_columns()]
        metrics = self.metrics
        is_trajectories = self.task == "trajectories"
        both = metrics + [PERSISTENCE + name for name in metrics if is_trajectories]
        rows = []
        for values, part in self.scored.groupby(keys, sort=False, dropna=False):
            worms = [own[both].astype(float) for _, own in part.groupby("worm")]
            # Whether a worm has transitions is a matter of its data: such errors are of the worms that have them.
            means = pd.DataFrame([own.mean(skipna=is_trajectories) for own in worms])
            arrays = [own.to_numpy() for own in worms]
            rng = np.random.RandomState(random_state)
            resampled = pd.DataFrame(bootstrap_over_worms(arrays, n_resamples=n_resamples, rng=rng), columns=both)
            for name in metrics if is_trajectories else ():
                own = [name, PERSISTENCE + name]
                if part[own].isna().any(axis=None):
                    known = [fits[own].dropna().to_numpy() for fits in worms]
                    known, rng = [array for array in known if len(array)], np.random.RandomState(random_state)
                    resampled[own] = bootstrap_over_worms(known, n_resamples=n_resamples, rng=rng) if known else np.nan
            row = dict(zip(keys, values, strict=True))
            row |= {"n_worms": len(means), "n_fits": len(part.drop_duplicates(FIT))}
            if len(means) == 1:
                resampled *= np.nan
            for name in metrics:
                row[f"{name}_mean"] = float(means[name].mean(skipna=is_trajectories))
                row[f"{name}_std"] = float(means[name].std(skipna=is_trajectories))
                row[f"{name}_low"], row[f"{name}_high"] = interval(resampled[name])
            for name in metrics if is_trajectories else ():
                beside = PERSISTENCE + name
                row[name.replace("mse", "skill", 1)] = float(1 - means[name].mean() / means[beside].mean())
                if name == "mse":
                    row["skill_low"], row["skill_high"] = interval(1 - resampled[name] / resampled[beside])
                    row["skill_worst"] = float((1 - means[name] / means[beside]).min())
            rows.append(row)
        return pd.DataFrame(rows)

    @property
    def scored(self) -> pd.DataFrame:
        """The rows of the table in which something was scored."""
        return self.table[self.table["n_frames"] > 0] if "n_frames" in self.table else self.table

    def compare(
        self,
        reference: str | None = None,
        *,
        evaluation: str = "unseen_worms",
        metric: str | None = None,
        n_resamples: int = 10_000,
        random_state: int = 0,
    ) -> pd.DataFrame:
        """Compare all models with one of them, with the worm as the unit; :meth:`where` chooses among them.

        The score of a worm is the mean over the fits that score it. Fits are not independent samples, so a hundred of
        them on five worms are worth five numbers.

        Parameters
        ----------
        reference : str, optional
            The model that all others are compared with; by default the one with the best mean. The best of many owes
            part of its lead to luck, so name the reference before you look where the p matters.
        evaluation : str, default="unseen_worms"
            Which evaluation to compare on.
        metric : str, optional
            Column to compare; by default accuracy, R² or MSE.
        n_resamples : int, default=10_000
            Bootstrap resamples, and random sign flips where worms are too many for all flips.
        random_state : int, default=0
            Seed of both.

        Returns
        -------
        pandas.DataFrame
            One row a model, the best mean first, for each part of :meth:`parts`, such as a step. Columns:

            - what tells parts apart; ``model``, ``reference``, ``evaluation``, ``metric``; ``n_worms``, ``n_fits``;
            - ``mean`` over worms; ``mean_low`` and ``mean_high``, its 95 % interval;
            - ``difference``, the mean over worms of model minus reference; ``difference_low`` and ``difference_high``,
              its 95 % interval; ``wins``, the worms on which the model is better;
            - ``p_sign_flip``, two-sided; ``p_adjusted``, the same after Holm's correction for the models compared with
              the reference in a part; ``smallest_p``, below which no result on so many worms can bring ``p_sign_flip``.

            What compares with the reference is missing in the row of the reference itself.

        Raises
        ------
        ValueError
            If the evaluation, the metric or the reference are not in the table, there are fewer than two models or
            worms, a model lacks worms or fits that another one has, a fit scores a worm in several rows, or scores are
            missing.

        Notes
        -----
        Intervals are percentiles of a bootstrap that draws worms, then fits within each drawn worm. From few worms they
        are too narrow: with normal scores, a nominal 95 % from 5 worms holds the truth about 85 % of the time, from 8
        worms 89 %, from 20 worms 93 %. Unseen worms also train one another's models, so that the sign-flip test rejects
        too often (``tests/benchmarks/false_positives.py``): a small p is a hint that new worms have to confirm.

        References
        ----------
        Holm 1979; Saravanan, Berman & Sober 2020 for the hierarchical bootstrap.

        Examples
        --------
        >>> import pandas as pd
        >>> from skworm.model_selection import WormScores
        >>> worms = ["worm-a", "worm-b", "worm-c", "worm-d", "worm-e"]
        >>> gnn = pd.DataFrame({"model": "gnn", "worm": worms, "accuracy": [0.9, 0.8, 0.95, 0.85, 0.9]})
        >>> svm = pd.DataFrame({"model": "svm", "worm": worms, "accuracy": [0.8, 0.7, 0.9, 0.8, 0.7]})
        >>> table = pd.concat([gnn, svm]).assign(train_worms=[("worm-f",)] * 10, fold=0, evaluation="unseen_worms")
        >>> compared = WormScores(table).compare("svm")
        >>> compared[["model", "mean", "difference", "wins", "p_sign_flip", "smallest_p"]].round(4)
          model  mean  difference  wins  p_sign_flip  smallest_p
        0   gnn  0.88         0.1     5       0.0625      0.0625
        1   svm  0.78         NaN  <NA>          NaN      0.0625
        """
        wanted = self.metric if metric is None else metric_of(metric)
        if wanted.name not in self.metrics:
            raise ValueError(f"metric={metric!r} is not among those of the scores: {', '.join(self.metrics)}")
        tables = []
        for part, scores in self.parts(evaluation):
            compared = compare_models(
                scores.scored,
                reference=reference,
                evaluation=evaluation,
                metric=wanted,
                n_resamples=n_resamples,
                random_state=random_state,
            )
            tables.append(pd.concat([pd.DataFrame(part, index=compared.index), compared], axis=1))
        return pd.concat(tables, ignore_index=True)

    def plot(self) -> Any:
        """Draw the scores: a dot a worm for states and behaviour, errors against the step for trajectories.

        Returns
        -------
        skworm.plotting.WormScoresDisplay or skworm.plotting.TrajectoryErrorDisplay
            The display, drawn.
        """
        from skworm.plotting import TrajectoryErrorDisplay, WormScoresDisplay

        if self.task == "trajectories":
            return TrajectoryErrorDisplay.from_results(self.table)
        if self.task == "states":
            return WormScoresDisplay.from_results(self.scored)
        panels = {
            f"{evaluation.replace('_', ' ')}, {signal}": {"evaluation": evaluation, "signal": signal}
            for evaluation, signal in self.table[["evaluation", "signal"]].drop_duplicates().itertuples(index=False)
        }
        # The correlation of a constant is NaN.
        drawn = self.scored.groupby("model", sort=False).filter(lambda rows: rows["correlation"].notna().all())
        return WormScoresDisplay.from_results(drawn, score="correlation", panels=panels)

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write scores, summary, confusion and record; :func:`read_scores` reads the folder.

        Parameters
        ----------
        folder : str or path-like
            Where to write; made if absent. Files that are there are replaced, each whole.

        Returns
        -------
        list of pathlib.Path
            ``scores.csv``, ``summary.csv``, ``run.json`` and, for states, ``confusion.csv``.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tables = {"scores": self.table, "summary": self.summary(), "confusion": self.confusion}
        paths = [write_csv(folder / f"{name}.csv", table) for name, table in tables.items() if table is not None]
        if self.confusion is None:
            # One of earlier scores would be read as part of these.
            (folder / "confusion.csv").unlink(missing_ok=True)
        write_whole(folder / "run.json", json.dumps({"n_missing": self.n_missing, "record": self.record}, indent=1))
        return [*paths, folder / "run.json"]

    def _part_columns(self) -> list[str]:
        return [name for name in _PARTS if name in self.table]


def read_scores(path: str | os.PathLike[str]) -> WormScores:
    """Read the scores of a run.

    Parameters
    ----------
    path : str or path-like
        A folder of :meth:`WormScores.save` or ``skworm reproduce``, or the `memory` of a cross-validation, of which the
        latest run is taken.

    Returns
    -------
    WormScores
        The scores.

    Raises
    ------
    FileNotFoundError
        If there is no such path.
    ValueError
        If it holds no scores, or its files are damaged.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from sklearn.svm import SVC
    >>> from skworm.model_selection import WormGroupKFold, cross_validate_worms, read_scores
    >>> y = np.tile(["forward", "reverse"], 40)
    >>> cv = WormGroupKFold(2, window=4, random_state=0)
    >>> with TemporaryDirectory() as folder:
    ...     worms = np.repeat(["a", "b"], 40)
    ...     scores = cross_validate_worms({"svm": SVC()}, y[:, None] == y[0], y, groups=worms, cv=cv, memory=folder,
    ...                                   verbose=0)
    ...     read_scores(folder), read_scores(folder).table.equals(scores.table)
    (WormScores(states: 3 models, 2 worms, 12 fits), True)
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; check the path")
    file = path / "scores.csv"
    if file.is_file():
        table = read_csv(file)
        run = read_json(path / "run.json") if (path / "run.json").is_file() else {}
        try:
            record, n_missing = dict(run.get("record", {})), int(run.get("n_missing", 0))
        except (ValueError, TypeError) as error:
            raise _damaged(path / "run.json") from error
        confusion = _read_confusion(path / "confusion.csv")
        try:
            scores = WormScores(table, confusion, record, n_missing)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
        if table.empty:
            raise ValueError(f"{file} holds no scores: no fit has finished; repeat the command that made it")
        return scores
    runs = [run for run in read_runs(path) if len(run.table)]
    if not runs:
        raise ValueError(
            f"{path} holds no scores: neither scores.csv nor finished fits; pass a folder that `skworm reproduce ... "
            "--out`, WormScores.save or cross_validate_worms(..., memory=...) wrote"
        )
    return runs[-1]


def read_runs(memory: str | os.PathLike[str]) -> list[WormScores]:
    """Read the runs that the `memory` of a cross-validation keeps, the latest last.

    Runs whose fits are all part of a later one are left out.

    Raises
    ------
    ValueError
        If there are fits, and no complete record of a run.
    """
    store = FitStore(memory)
    runs = []
    for record in store.runs():
        kept = store.read(record["fits"])
        rows = [row for digest in record["fits"] for row in kept.get(digest, [])]
        runs.append(WormScores.from_rows(rows, record, len(record["fits"]) - len(kept)))
    if not runs and store:
        raise ValueError(
            f"{memory} keeps fits, but no complete record of a run; make the same call again, which keeps them"
        )
    return runs


def write_csv(path: Path, table: pd.DataFrame) -> Path:
    """Write a table; training worms as a JSON list, since the name of a worm may hold any character."""
    if "train_worms" in table:
        table = table.assign(train_worms=table["train_worms"].map(json.dumps))
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)
    return path


def read_csv(path: Path) -> pd.DataFrame:
    """Read a table of :func:`write_csv`."""
    try:
        # A worm may be called 007, or NA.
        table = pd.read_csv(path, dtype=dict.fromkeys(_TEXTS, str), keep_default_na=False, na_values=[""])
        empty = [name for name in _COMPLETE if name in table and table[name].isna().any()]
        if empty:
            raise ValueError(f"a row has nothing in the column {empty[0]!r}")
        if "train_worms" in table:
            table["train_worms"] = [tuple(json.loads(text)) for text in table["train_worms"]]
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path} cannot be read as a table of skworm: {error}; repeat the command that made it"
        ) from error
    return table


def read_json(path: Path) -> dict[str, Any]:
    """Read an object of a JSON file."""
    try:
        return dict(json.loads(path.read_bytes()))
    except (ValueError, TypeError, RecursionError) as error:
        raise _damaged(path) from error


def _read_confusion(path: Path) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    confusion = read_csv(path)
    if not {*KEYS, "state", "predicted", "n_frames"} <= set(confusion):
        raise _damaged(path)
    return confusion


def _damaged(path: Path) -> ValueError:
    return ValueError(f"{path} is damaged; repeat the command that made it, which keeps the fits")
