"""Figures of experiments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from skworm.model_selection import WormScores
from skworm.paper.models import BASELINE_LABELS
from skworm.paper.study import Arm, counted
from skworm.paper.tables import evaluation_label
from skworm.plotting.base import readable, write_above


def dots_figure(arms: Sequence[Arm], scores: WormScores, table: pd.DataFrame) -> Any:
    """Draw a panel for each block and evaluation, a dot a worm, the paper's numbers as diamonds.

    Held-out windows are drawn where both kinds of folds were run, whose difference is what remembering is worth.
    """
    from skworm.plotting import WormScoresDisplay

    several, both_folds = table["block"].nunique() > 1, table["fold_by"].nunique() > 1
    panels: dict[str, dict[str, Any]] = {}
    reference = {}
    for row in (table if both_folds else table[table["evaluation"] != "held_out_windows"]).to_dict("records"):
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
        baseline="clock" if both_folds else "majority",
        reference=reference,
        reference_label="Wang et al. 2021 (real worms)",
    ).figure_


def curve_figure(arms: Sequence[Arm], scores: WormScores) -> Any:
    """Draw accuracy on other worms against the number of training worms, a panel for each evaluation and states."""
    from skworm.plotting import ScoreCurveDisplay

    panels = {
        f"{states} states, {evaluation_label(evaluation)}": {"states": states, "evaluation": evaluation}
        for evaluation in scores.evaluations
        for states in dict.fromkeys(arm.states for arm in arms)
        if evaluation != "held_out_windows"
    }
    reference = {
        (f"{arm.states} states, unseen worms", arm.name, arm.n_train_worms): arm.paper["unseen_worms"][0] / 100
        for arm in arms
        if "unseen_worms" in arm.paper
    }
    return ScoreCurveDisplay.from_results(
        scores.table,
        panels=panels,
        models={arm.name: arm.label for arm in arms},
        xlabel="Training worms (number)",
        reference=reference,
        reference_label="GNN, Wang et al. 2021",
    ).figure_


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
    labels = {**BASELINE_LABELS, **{arm.name: arm.label for arm in arms}}
    models = {name: label for name, label in labels.items() if name in set(drawn["model"])}
    return TrajectoryErrorDisplay.from_results(drawn, panels=panels, models=models).figure_


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
