"""From arms to an outcome: run them, tabulate, describe, draw, and write it all down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from skworm.experiments.arm_tables import compare_arms, sentences, table_of_arms, texts_of_arms
from skworm.experiments.arms import BASELINES, N_SPLITS, Arm, StudySettings, count_parameters, run_arms
from skworm.experiments.catalogue import Target
from skworm.experiments.outcome import Outcome, write_outcome
from skworm.experiments.protocol import Material, load_material
from skworm.experiments.report import settings_text, smallest_p_text
from skworm.experiments.worms import digest_recordings

_PAPER_LABEL = "Wang et al. 2021 (real worms)"


def run_target(
    target: Target, settings: StudySettings, out: Path, *, n_jobs: int | None = -1, verbose: int = 1
) -> Outcome:
    """Repeat a comparison of the paper.

    Parameters
    ----------
    target : Target
        Which one.
    settings : StudySettings
        How.
    out : pathlib.Path
        Folder for results, finished fits included; a second call goes on where the first ended.
    n_jobs : int, default=-1
        Fits at a time, as joblib understands it.
    verbose : int, default=1
        1 shows progress on the standard error stream, 0 nothing.

    Returns
    -------
    Outcome
        Tables, figures and files.
    """
    module, function = target.made_by.split(":")
    run = getattr(import_module(f"skworm.experiments.{module}"), function)
    return run(target, settings, load_material(settings), out, n_jobs=n_jobs, verbose=verbose)


def run_study(
    target: Target,
    settings: StudySettings,
    material: Material,
    arms: Sequence[Arm],
    out: Path,
    *,
    figures: Callable[[pd.DataFrame, pd.DataFrame], Mapping[str, Any]] | None = None,
    notes: Sequence[str] = (),
    data: Mapping[str, pd.DataFrame] | None = None,
    tables: Mapping[str, pd.DataFrame] | None = None,
    n_jobs: int | None = -1,
    verbose: int = 1,
) -> Outcome:
    """Run the arms of a target, and write its files.

    Parameters
    ----------
    target : Target
        What is repeated.
    settings : StudySettings
        How.
    material : Material
        Recordings.
    arms : sequence of Arm
        What is compared.
    out : pathlib.Path
        Folder.
    figures : callable, optional
        Makes figures by file name from scores and table; by default dots and means a panel.
    notes : sequence of str
        Sentences on how the table is to be read.
    data, tables : mapping, optional
        Further tables of numbers by file name, and of texts by heading.
    n_jobs, verbose
        See :func:`run_target`.

    Returns
    -------
    Outcome
        ``scores.csv``, ``table.csv``, ``table.md``, ``settings.json`` and the figures.
    """
    scores = run_arms(arms, settings, material, out, n_jobs=n_jobs, verbose=verbose)
    compared = compare_arms(scores, arms, settings.random_state)
    table = table_of_arms(scores, arms, count_parameters(arms, material), compared, settings.random_state)
    draw = figures or (lambda scores, table: {target.name: dots_figure(scores, table, arms)})
    return write_outcome(
        out,
        title=target.title,
        **settings_of_study(target, settings, material, scores),
        data={"scores": scores, "table": table, **(data or {})},
        tables={**texts_of_arms(table), **(tables or {})},
        reading="\n".join([*reading_of_study(target, settings, material), *notes]),
        departure=settings.departure,
        figures=draw(scores, table),
        sentences=sentences(compared),
    )


def settings_of_study(
    target: Target, settings: StudySettings, material: Material, scores: pd.DataFrame
) -> dict[str, Any]:
    """Give the settings in words and for a file; external recordings that no score is of count as none."""
    scored = material if material.external_name in set(scores["evaluation"]) else replace(material, external=[])
    # What is not scored still took part in choosing the derivative.
    record = record_of_study(target, settings, scored) | {"derivative": material.derivative}
    return {"settings": describe_study(settings, scored), "record": record}


def describe_study(settings: StudySettings, material: Material) -> str:
    """Write down what is compared on what, one setting a line."""
    n_frames = [recording.n_frames for recording in material.recordings]
    neurons = f"{len(material.neurons)}: {', '.join(material.neurons)}"
    if material.neurons_left_out:
        neurons += f" (left out, not in every worm: {', '.join(material.neurons_left_out)})"
    counts = " or ".join(map(str, settings.train_counts(len(n_frames))))
    combinations = "each in equally many combinations" if settings.few_combinations else "every combination"
    external = "none"
    if material.external:
        external = f"{material.external_name}, {len(material.external)} worms"
        if material.external_apart:
            external += f", by fits on the neurons that they have: {', '.join(material.external_neurons)}"
    lines = {
        "data": f"{settings.data}, {len(n_frames)} worms, {sum(n_frames)} frames ({min(n_frames)} to {max(n_frames)})",
        "neurons": neurons,
        "states": ", ".join(settings.states),
        "training": f"{counts} of {len(n_frames)} worms, {combinations}; {settings.n_folds} of {N_SPLITS} folds of "
        "shuffled windows of 8 frames held out",
        "epochs": f"{settings.max_epochs}",
        "external": external,
        "seed": f"{settings.random_state}",
    }
    return settings_text(lines)


def record_of_study(target: Target, settings: StudySettings, material: Material) -> dict[str, Any]:
    """Give the settings for a file."""
    return {
        "target": target.name,
        "settings": asdict(settings),
        "worms": {recording.worm: recording.n_frames for recording in material.recordings},
        "recordings_sha256": digest_recordings(material.recordings),
        "external_worms": {recording.worm: recording.n_frames for recording in material.external},
        "external_sha256": digest_recordings(material.external) if material.external else None,
        "neurons": material.neurons,
        "neurons_left_out": material.neurons_left_out,
        "derivative": material.derivative,
    }


def reading_of_study(target: Target, settings: StudySettings, material: Material) -> list[str]:
    """Say how the tables are to be read."""
    n_worms = len(material.recordings)
    said = [
        "Accuracy in per cent: mean ± standard deviation over worms, each averaged over the fits that score it first; "
        "in square brackets the paper; in round brackets the 95 % interval of a bootstrap over worms and fits, which "
        "from few worms is too narrow.",
        "Differences are paired worm by worm, to the model named in the column 'against' of table.csv: mean, 95 % "
        "interval, worms on which the model is better, and the p of a sign-flip test before and after Holm's "
        "correction over the comparisons of that column. With "
        f"{n_worms} worms no p on unseen worms is below {smallest_p_text(n_worms)}.",
        "Held-out windows come from the training worms; there a clock that sees no neuron is a good model too.",
        f"The paper: {target.paper}",
    ]
    if settings.departure:
        said.append(f"Not the paper's protocol: {settings.departure}.")
    if settings.data == "simulated":
        said.append("These worms are simulated; the paper's are real.")
    return said


def dots_figure(scores: pd.DataFrame, table: pd.DataFrame, arms: Sequence[Arm]) -> Any:
    """Draw a panel for each block and evaluation on worms that are not trained on, a dot a worm."""
    from skworm.plotting import WormScoresDisplay

    drawn = scores[scores["evaluation"] != "held_out_windows"].rename(columns={"label": "model"})
    pairs = drawn[["block", "evaluation"]].drop_duplicates().itertuples(index=False)
    panels = {
        panel_title(str(block), str(evaluation)): {"block": block, "evaluation": evaluation}
        for block, evaluation in pairs
    }
    published = table[table["evaluation"] != "held_out_windows"].dropna(subset=["paper_mean"])
    reference = {
        (panel_title(row["block"], row["evaluation"]), row["label"]): row["paper_mean"] / 100
        for row in published.to_dict("records")
    }
    return WormScoresDisplay.from_results(
        drawn,
        panels=panels,
        models={label: label for label in dict.fromkeys(arm.label for arm in arms)},
        baseline=BASELINES["majority"],
        reference=reference,
        reference_label=_PAPER_LABEL,
    ).figure_


def panel_title(block: str, evaluation: str) -> str:
    """Name the panel of a block and an evaluation."""
    return f"{block}, {evaluation.replace('_', ' ')}"


def curve_figure(
    scores: pd.DataFrame,
    arms: Sequence[Arm],
    *,
    x: str,
    line: str,
    panel: Callable[[Arm, str], str],
    evaluations: Sequence[str],
    **options: Any,
) -> Any:
    """Draw accuracy against a fact of the arms, a line for each value of another fact.

    Parameters
    ----------
    scores : pandas.DataFrame
        What :func:`~skworm.experiments.arms.run_arms` returned.
    arms : sequence of Arm
        Its arms.
    x, line : str
        Names of facts.
    panel : callable
        Names the panel of an arm and an evaluation.
    evaluations : sequence of str
        Evaluations that are drawn, where there are scores.
    **options
        Those of :class:`~skworm.plotting.ScoreCurveDisplay`.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.
    """
    from skworm.plotting import ScoreCurveDisplay

    parts = []
    for evaluation in evaluations:
        for arm in arms:
            chosen = (scores["block"] == arm.block) & (scores["label"] == arm.label)
            rows = scores[chosen & (scores["evaluation"] == evaluation)]
            place = {"panel": panel(arm, evaluation), "model": arm.facts[line], "x": float(arm.facts[x])}
            parts.append(rows[["worm", "accuracy"]].rename(columns={"accuracy": "score"}).assign(**place))
    return ScoreCurveDisplay(pd.concat(parts, ignore_index=True), **options).plot().figure_
