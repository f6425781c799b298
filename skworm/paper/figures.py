"""Figures of experiments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from skworm.frames import contains_transition
from skworm.model_selection import WormScores
from skworm.paper.models import BASELINE_LABELS, MARKOVIAN, TRAJECTORY_MODELS
from skworm.paper.study import Arm, Study, counted
from skworm.paper.tables import evaluation_label
from skworm.plotting.base import readable, write_above

PAPER_LABEL = "Wang et al. 2021 (real worms)"
_EXAMPLE_MODELS = ("mlp", "gnn")
_EXAMPLE_NEURONS = ("AVAL", "RIML", "AVBL", "RID", "AIBR", "VB02")


def dots_figure(arms: Sequence[Arm], scores: WormScores, table: pd.DataFrame, *, held_out: bool = False) -> Any:
    """Draw a panel for each block and evaluation, a dot a worm, the paper's numbers as diamonds."""
    from skworm.plotting import WormScoresDisplay

    several = table["block"].nunique() > 1
    panels: dict[str, dict[str, Any]] = {}
    reference = {}
    for row in (table if held_out else table[table["evaluation"] != "held_out_windows"]).to_dict("records"):
        names = [row["block"]] if several else []
        names += [evaluation_label(row["evaluation"])]
        names += [readable(row["fold_by"])] if row["evaluation"] == "held_out_windows" else []
        title = ", ".join(names)
        panels[title] = {name: row[name] for name in ("block", "evaluation", "fold_by")}
        if pd.notna(row.get("paper_mean")):
            reference[title, row["model"]] = row["paper_mean"] / 100
    return WormScoresDisplay.from_results(
        scores.table,
        panels=panels,
        models={arm.name: arm.label for arm in arms},
        baseline="clock" if held_out else "majority",
        reference=reference,
        reference_label=PAPER_LABEL,
    ).figure_


def curve_figure(
    scores: WormScores,
    arms: Sequence[Arm],
    *,
    x: str,
    panel: Callable[[Arm, str], str],
    evaluations: Sequence[str],
    **options: Any,
) -> Any:
    """Draw accuracy against a fact of the arms, a line for each value of their fact ``"line"``."""
    from skworm.plotting import ScoreCurveDisplay

    parts = []
    table = scores.table.rename(columns={"accuracy": "score"})
    for evaluation in evaluations:
        for arm in arms:
            chosen = (table["block"] == arm.block) & (table["model"] == arm.name) & (table["evaluation"] == evaluation)
            place = {"panel": panel(arm, evaluation), "model": arm.facts["line"], "x": float(arm.facts[x])}
            parts.append(table.loc[chosen, ["worm", "score"]].assign(**place))
    return ScoreCurveDisplay(pd.concat(parts, ignore_index=True), **options).plot().figure_


def error_figure(arms: Sequence[Arm], scores: WormScores) -> Any:
    """Draw errors against the prediction step, a panel for each evaluation and number of training worms.

    Networks stand beside the baselines of one observed frame. Held-out windows and the training mean are left out.
    """
    from skworm.plotting import TrajectoryErrorDisplay

    drawn = scores.table[scores.table["evaluation"] != "held_out_windows"]
    networks = [arm.name for arm in arms if not arm.name.startswith("linear")]
    one_frame = drawn["burn_in"] == drawn["burn_in"].min()
    drawn = drawn[(drawn["model"].isin(networks) | one_frame) & (drawn["model"] != "mean")]
    panels = {
        f"{evaluation_label(part['evaluation'])}, {counted(part['n_train_worms'], 'training worm')}": part
        for part in drawn[["evaluation", "n_train_worms"]].drop_duplicates().to_dict("records")
    }
    least = drawn["burn_in"].min()
    labels = {**BASELINE_LABELS, **{arm.name: arm.label for arm in arms}}
    labels |= {
        arm.name: f"{arm.label}, {arm.burn_in} frames" for arm in arms if arm.burn_in > least and arm.name in networks
    }
    models = {name: label for name, label in labels.items() if name in set(drawn["model"])}
    return TrajectoryErrorDisplay.from_results(drawn, panels=panels, models=models).figure_


def example_figure(study: Study, networks: Sequence[str]) -> Any:
    """Draw predicted beside true traces of named neurons, on a worm that the models have not seen.

    Models are trained on all worms but the last. The trajectory is the one nearest to the middle of that worm's
    recording that holds a change of state, which is a choice without regard to what is predicted.
    """
    from skworm.estimators.baselines import LinearTrajectoryRegressor
    from skworm.plotting import TrajectoryDisplay

    unseen = study.recordings[-1]
    X, Y, labels, frames = study.trajectories(study.settings.states[0], study.neurons, MARKOVIAN)
    test = X.index.get_level_values("worm") == unseen.worm
    changes = contains_transition(labels, Y)[test].to_numpy() if labels is not None else None
    if changes is None or not changes.any():
        return None
    names = [name for name in _EXAMPLE_MODELS if name in networks]
    models = {"linear": LinearTrajectoryRegressor()} | {name: study.made(TRAJECTORY_MODELS[name]) for name in names}
    predicted = {name: model.fit(X[~test], Y[~test]).predict(X[test]) for name, model in models.items()}
    places = changes.nonzero()[0]
    display = TrajectoryDisplay(
        frames,
        Y[test],
        predicted,
        row=int(places[abs(places - len(changes) // 2).argmin()]),
        neurons=[name for name in _EXAMPLE_NEURONS if name in study.neurons] or list(study.neurons[:6]),
        states=labels,
        fps=unseen.fps,
        models={**BASELINE_LABELS, **{name: TRAJECTORY_MODELS[name].label for name in networks}},
    )
    return display.plot().figure_


def confusion_figures(name: str, table: pd.DataFrame, labels: Mapping[str, str]) -> dict[str, Any]:
    """Draw confusion matrices, a figure for each block and evaluation, by file name."""
    from skworm.plotting import ConfusionDisplay

    figures = {}
    several = table.groupby(["block", "evaluation"], sort=False)
    for number, ((block, evaluation), rows) in enumerate(several, start=1):
        where = f"{block}, {evaluation_label(evaluation)}"
        panels = [f"{labels.get(model, model)}\n{where}" for model in rows["model"]]
        drawn = rows.assign(panel=panels, percent=rows["mean"])
        figures[name + (f"_{number}" if len(several) > 1 else "")] = ConfusionDisplay(drawn).plot().figure_
    return figures


def mark_departure(figure: Any, departure: str) -> None:
    """Write above a figure what is less than in the paper; nothing where `departure` is empty."""
    if departure:
        write_above(figure, [f"Not the paper's protocol: {departure}"], color="#D55E00")
