"""From a declaration to its results: run it, tabulate, describe, draw, and write it all down."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from skworm.atomic import atomic_path, write_whole
from skworm.model_selection import WormScores
from skworm.model_selection.comparison import few_worms_notes
from skworm.model_selection.results import write_csv
from skworm.model_selection.store import now, package_versions
from skworm.paper.declaration import Plan, Results, Target
from skworm.paper.figures import dots_figure, mark_departure
from skworm.paper.study import N_SPLITS, Settings, Study, load_study, states_of
from skworm.paper.tables import (
    compare_arms,
    lay_out,
    markdown,
    sentences_of,
    table_of_arms,
    texts_of_scores,
    texts_of_trajectories,
)


@dataclass(frozen=True, eq=False)
class Outcome:
    """Results of an experiment."""

    title: str  # Caption
    settings: str  # What was compared on what, one setting a line
    tables: Mapping[str, pd.DataFrame]  # Tables of texts by heading
    reading: str  # How they are to be read, one sentence or two a line
    departure: str = ""  # What is less than in the paper; empty where nothing is
    sentences: Sequence[str] = ()  # How models differ, in words
    figures: Sequence[Path] = ()  # Figures as ``.png``
    files: Sequence[Path] = ()  # All files, figures included
    command: str = ""  # The command that repeats it
    runs: Sequence[Mapping[str, Any]] = ()  # Records of its cross-validations

    @property
    def text(self) -> str:
        """The tables for a terminal."""
        return "\n\n".join(f"{heading}\n{lay_out(table)}" for heading, table in self.tables.items())


def run_target(target: Target, settings: Settings, out: Path, *, n_jobs: int | None = -1, verbose: int = 1) -> Outcome:
    """Run an experiment, and write its files."""
    command, began = target.command(settings, out), now()
    study = load_study(settings)
    plan = target.plan(study)
    scores = study.run(plan.arms, out, n_jobs=n_jobs, verbose=verbose)
    # External recordings without a score are left out of the record, although they helped to choose the derivative.
    derivative = study.derivative
    if study.external_name not in scores.evaluations:
        study = replace(study, external=[])
    record = {"target": target.name, "command": command, "began": began, **study.record(), "derivative": derivative}
    compared = compare_arms(study, plan.arms, scores)
    table = table_of_arms(study, plan.arms, scores, compared)
    tables = texts_of_trajectories(table) if scores.task == "trajectories" else texts_of_scores(table)
    if plan.results is None:
        more = Results(figures={target.name: dots_figure(plan.arms, scores, table)})
    else:
        more = plan.results(scores, table)
    outcome = Outcome(
        target.title,
        describe_study(study, scores),
        {**tables, **more.tables},
        "\n".join(reading_of(target, study, plan, table)),
        settings.departure,
        sentences_of(compared, plan.arms),
        command=command,
        runs=scores.record["runs"],
    )
    data = {"scores": scores.table, "table": table, **more.data}
    return write_outcome(out, outcome, record=record, data=data, figures=more.figures)


def describe_study(study: Study, scores: WormScores) -> str:
    """Write down what is compared on what, one setting a line."""
    settings = study.settings
    n_frames = [recording.n_frames for recording in study.recordings]
    neurons = f"{len(study.neurons)}: {', '.join(study.neurons)}"
    if study.neurons_left_out:
        neurons += f" (left out, not in every worm: {', '.join(study.neurons_left_out)})"
    external = f"{study.external_name}, {len(study.external)} worms" if study.external else "none"
    if study.external_neurons != study.neurons:
        external += f", by fits on the neurons that they have: {', '.join(study.external_neurons)}"
    rates = {f"{worm.fps:.3g}" for worm in (*study.recordings, *study.external)}
    counts = " or ".join(map(str, sorted(set(scores.table["n_train_worms"]))))
    combinations = "each in equally many combinations" if settings.few_combinations else "every combination"
    lines = {
        "data": f"{settings.data}, {len(n_frames)} worms, {sum(n_frames)} frames ({min(n_frames)} to {max(n_frames)})",
        "neurons": neurons,
        "states": ", ".join(settings.states),
        "training": f"{counts} of {len(n_frames)} worms, {combinations}; {settings.n_folds} of {N_SPLITS} folds "
        f"of windows of 8 frames held out ({', '.join(settings.fold_by).replace('_', ' ')})",
        "epochs": settings.max_epochs or "those of each network",
        "external": external,
        "rate": f"{' to '.join(dict.fromkeys((min(rates, key=float), max(rates, key=float))))} frames a second",
        "seed": settings.random_state,
    }
    return "\n".join(f"{name + ':':<10}{value}" for name, value in lines.items())


def reading_of(target: Target, study: Study, plan: Plan, table: pd.DataFrame) -> list[str]:
    """Describe how the tables of an experiment are to be read."""
    settings = study.settings
    n_worms = len(study.recordings)
    if "step" in table:
        text = _reading_of_trajectories(settings)
    else:
        text = [
            "Accuracy in per cent: mean ± standard deviation over worms, each averaged over the fits that score it "
            "first; in square brackets the paper; in round brackets the 95 % interval of a bootstrap over worms and "
            "fits."
        ]
        text += _reading_of_clock(table)
    if "difference" in table:
        text.append(
            "Differences are paired worm by worm, to the model named in the column 'against' of table.csv: mean, 95 % "
            "interval, worms on which the model is better, and the p of a sign-flip test before and after Holm's "
            "correction over the comparisons of that column."
        )
    text += few_worms_notes(n_worms, "unseen worms")
    text += plan.notes
    states = states_of((*study.recordings, *study.external))
    merged = "turn" in states and not states.isdisjoint({"dorsal_turn", "ventral_turn"})
    if study.external and "4" in settings.states and merged:
        text.append("With 4 states, dorsal and ventral turns count as one state, turn, on the external recordings.")
    text.append(f"The paper: {target.paper}")
    if settings.departure:
        text.append(f"Not the paper's protocol: {settings.departure}.")
    if settings.data == "simulated":
        text.append("The paper's numbers are for real worms, and these worms are simulated.")
    return text


def _reading_of_clock(table: pd.DataFrame) -> list[str]:
    clock = table[(table["model"] == "clock") & (table["evaluation"] == "held_out_windows")]
    values = dict.fromkeys(
        f"{100 * accuracy:.1f} on {fold_by.replace('_', ' ')}"
        for accuracy, fold_by in clock[["accuracy_mean", "fold_by"]].itertuples(index=False)
    )
    text = (
        "Held-out windows come from the training worms. Clock gives a frame the state of the training frame with the "
        f"nearest number, of the same worm, without any neural data: {' and '.join(values)}. Where a model comes near "
        "its clock, remembering the moment explains it (leakage); other worms have no such shortcut."
    )
    return [text] if values else []


def _reading_of_trajectories(settings: Settings) -> list[str]:
    return [
        "'MSE 8' is the mean squared error at step 8, times 1000, over traces and derivatives, each scaled to [0, 1] "
        "over the worm's recording; mean ± standard deviation over worms, each worm's error averaged over the fits "
        "that score it first.",
        "Skill is 1 - MSE / MSE of persistence, of the mean errors; 'worst' is the lowest of any worm, 'trace' that of "
        "the traces alone: persistence repeats the derivative, too, which even the training mean predicts better. In "
        "round brackets the 95 % interval of a bootstrap over worms and fits.",
        "Networks are trained on rollouts of 8 frames, and predict 16. 'Transition' is the skill in trajectories with "
        f"a change of state ({settings.states[0]} states) between the last observed and the last predicted frame, "
        "'steady' that in all others.",
    ]


def write_outcome(
    folder: Path,
    outcome: Outcome,
    *,
    record: Mapping[str, Any],
    data: Mapping[str, pd.DataFrame],
    figures: Mapping[str, Any],
) -> Outcome:
    """Write all files of an experiment, each whole; return the outcome with its files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [write_csv(folder / f"{name}.csv", table) for name, table in data.items()]
    blocks = [f"## {heading}\n\n{markdown(table)}" for heading, table in outcome.tables.items()]
    page = [f"# {outcome.title}", outcome.settings.replace("\n", "  \n"), *blocks]
    page += [outcome.reading.replace("\n", "\n\n"), *outcome.sentences]
    texts = {
        "table.md": "\n\n".join(page),
        "settings.json": json.dumps({**record, "versions": package_versions()}, indent=2),
    }
    for name, text in texts.items():
        write_whole(folder / name, f"{text}\n")
        files.append(folder / name)
    pictures = []
    for name, figure in figures.items():
        mark_departure(figure, outcome.departure)
        saved = save_figure(figure, folder / name)
        pictures.append(saved[0])
        files += saved
    return replace(outcome, figures=pictures, files=files)


def save_figure(figure: Any, path: Path) -> list[Path]:
    """Save a figure as ``.png`` and ``.pdf``, with fonts that can be edited; return the files."""
    from matplotlib import rc_context

    paths = [path.with_name(path.name + ending) for ending in (".png", ".pdf")]
    with rc_context({"pdf.fonttype": 42}):
        for file in paths:
            with atomic_path(file) as temporary:
                figure.savefig(temporary, dpi=300)
    return paths
