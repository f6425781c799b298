"""Figures 4C and 4D of the paper: errors of predicted trajectories, drawn and tabulated."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pandas as pd

from skworm.experiments.forecasts import HORIZON, MARKOVIAN, ForecastProtocol, trajectories_of
from skworm.experiments.intervals import error_intervals
from skworm.experiments.outcome import Outcome
from skworm.experiments.protocol import Material
from skworm.experiments.report import (
    mark_departure,
    markdown,
    package_versions,
    save_figure,
    score_text,
    settings_text,
)
from skworm.experiments.worms import digest_recordings
from skworm.frames import contains_transition
from skworm.model_selection import summarize_trajectories

if TYPE_CHECKING:
    from skworm.plotting import TrajectoryDisplay, TrajectoryErrorDisplay

LABELS: Mapping[str, str] = MappingProxyType(
    {
        "persistence": "Persistence",
        "mean": "Training mean",
        "linear-uncentred": "Linear, worms not centred",
        "linear": "Linear",
        "linear-direct": "Linear, one map a step",
        "mlp": "MLP",
        "node-mlp": "Node MLP",
        "gnn": "GNN",
        "gnn-static": "GNN, static edges",
        "mlp-plain": "MLP, no virtual worms",
        "mlp-uncentred": "MLP, worms not centred",
        "mlp-published": "MLP, as published",
        "node-mlp-published": "Node MLP, as published",
        "gnn-published": "GNN, as published",
        "mlp-lags": "MLP, 4 frames side by side",
        "mlp-lstm": "MLP, LSTM",
        "node-mlp-lstm": "Node MLP, LSTM",
        "gnn-gated": "GNN, gated memory",
    }
)
"""What tables and figures call each model, in their order."""

STEPS = (1, 8, 16)
_EXAMPLE_MODELS = ("mlp", "gnn")
_EXAMPLE_NEURONS = ("AVAL", "RIML", "AVBL", "RID", "AIBR", "VB02")
_GROUP = ["evaluation", "n_train_worms", "burn_in"]


def figure_4d(scores: pd.DataFrame, steps: Sequence[int] = STEPS) -> pd.DataFrame:
    """Tabulate errors and skill over persistence at some steps.

    Parameters
    ----------
    scores : pandas.DataFrame
        What :func:`~skworm.experiments.forecasts.run_forecasts` returned.
    steps : sequence of int, default=(1, 8, 16)
        Steps.

    Returns
    -------
    pandas.DataFrame
        One row per evaluation, number of training worms, observed frames, model and step, with the columns of
        :func:`~skworm.model_selection.summarize_trajectories`, ``label``, and ``mse_low``, ``mse_high``, ``skill_low``
        and ``skill_high``, the 95 % intervals of a bootstrap over worms and fits.
    """
    parts = []
    for _, rows in scores.groupby(_GROUP, sort=False):
        summary = summarize_trajectories(rows)
        summary = summary[summary["step"].isin(steps)].drop(columns="evaluation")
        summary = summary.merge(error_intervals(rows[rows["step"].isin(steps)]), on=["model", "step"])
        parts.append(rows[_GROUP].iloc[:1].merge(summary, how="cross"))
    table = pd.concat(parts, ignore_index=True)
    table["label"] = table["model"].map(LABELS)
    order = table["model"].map({name: place for place, name in enumerate(LABELS)})
    table = table.assign(order=order).sort_values([*_GROUP, "order", "step"], kind="stable").drop(columns="order")
    first = [*_GROUP, "model", "label", "step"]
    return table[[*first, *table.columns.drop(first)]].reset_index(drop=True)


def blocks_of_figure_4d(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Lay the table out, a block of texts for each evaluation and number of training worms.

    Parameters
    ----------
    table : pandas.DataFrame
        The table of :func:`figure_4d`.

    Returns
    -------
    dict of str to pandas.DataFrame of str
        Blocks by title; rows are models. Columns at each step are the error times 1000 and the skill, each with its
        interval on a second line, and the lowest skill of any worm; and at the last step the skill in trajectories with
        and without a transition, where that is known.
    """
    blocks = {}
    for values, rows in table.groupby(_GROUP, sort=False):
        evaluation, n_train, burn_in = str(values[0]), int(str(values[1])), int(str(values[2]))
        cells = {}
        for step, part in rows.groupby("step"):
            cells[f"MSE {step}"] = list(
                map(score_text, *(1000 * part[name] for name in ("mse", "mse_std", "mse_low", "mse_high")))
            )
            cells[f"skill {step}"] = skill_texts(part)
            cells[f"worst {step}"] = _skill_texts(part["skill_worst"])
        last = rows[rows["step"] == rows["step"].max()]
        for name in ("transition", "steady"):
            if f"skill_{name}" in last:
                cells[f"{name} {last['step'].iloc[0]}"] = _skill_texts(last[f"skill_{name}"])
        worms = f"{n_train} training worm{'s' if n_train > 1 else ''}"
        observed = f"{burn_in} observed frame{'s' if burn_in > 1 else ''}"
        title = f"{evaluation.replace('_', ' ')}, {worms}, {observed}, {last['n_worms'].iloc[0]} scored"
        blocks[title] = pd.DataFrame(cells, index=pd.Index(last["label"], name="model"))
    return blocks


def skill_texts(table: pd.DataFrame) -> list[str]:
    """Write the columns ``skill``, ``skill_low`` and ``skill_high``, the interval on a second line."""
    ends = zip(table["skill_low"], table["skill_high"], strict=True)
    intervals = ["" if pd.isna(low) else f"\n({low:.3f} to {high:.3f})" for low, high in ends]
    return [text + interval for text, interval in zip(_skill_texts(table["skill"]), intervals, strict=True)]


def _skill_texts(skills: pd.Series) -> list[str]:
    # Rounding first keeps the sign from a zero.
    return [f"{skill + 0.0:.3f}" for skill in skills.round(3)]


def figure_4c(scores: pd.DataFrame) -> TrajectoryErrorDisplay:
    """Draw the errors against the prediction step, a panel for each evaluation and number of training worms.

    Networks stand beside the baselines of one observed frame. Held-out windows are left out of the picture.

    Parameters
    ----------
    scores : pandas.DataFrame
        What :func:`~skworm.experiments.forecasts.run_forecasts` returned.

    Returns
    -------
    TrajectoryErrorDisplay
        The figure, as ``figure_``.
    """
    from skworm.plotting import TrajectoryErrorDisplay

    drawn = scores[scores["evaluation"] != "held_out_windows"]
    is_baseline = drawn["model"].isin(["persistence", "linear", "linear-direct", "linear-uncentred", "mean"])
    drawn = drawn[(~is_baseline | (drawn["burn_in"] == drawn["burn_in"].min())) & (drawn["model"] != "mean")]
    panels = {
        f"{str(evaluation).replace('_', ' ')}, {n_train} training worm{'s' if n_train > 1 else ''}": {
            "evaluation": evaluation,
            "n_train_worms": n_train,
        }
        for evaluation, n_train in drawn[["evaluation", "n_train_worms"]].drop_duplicates().itertuples(index=False)
    }
    known = set(drawn["model"])
    models = {name: label for name, label in LABELS.items() if name in known}
    return TrajectoryErrorDisplay.from_results(drawn, panels=panels, models=models)


def example_figure(protocol: ForecastProtocol, material: Material) -> TrajectoryDisplay | None:
    """Draw predicted beside true traces of named neurons, on a worm that the models have not seen.

    Models are trained on all worms but the last. The trajectory is the one nearest to the middle of that worm's
    recording that holds a change of state, which is a choice without regard to what is predicted.

    Parameters
    ----------
    protocol : ForecastProtocol
        Settings.
    material : Material
        Recordings.

    Returns
    -------
    TrajectoryDisplay or None
        The figure, as ``figure_``; None where recordings have no states or no such change.
    """
    from skworm.plotting import TrajectoryDisplay

    names = ["linear", *(name for name in _EXAMPLE_MODELS if name in protocol.networks)]
    recordings, unseen = material.recordings, material.recordings[-1]
    frames, X, Y, labels = trajectories_of(recordings, material.neurons, protocol.states, MARKOVIAN)
    worm = X.index.get_level_values("worm")
    test = worm == unseen.worm
    changes = contains_transition(labels, Y)[test].to_numpy() if labels is not None else None
    if changes is None or not changes.any():
        return None
    models = protocol.models(MARKOVIAN)
    predicted = {name: models[name].fit(X[~test], Y[~test]).predict(X[test]) for name in names}
    places = changes.nonzero()[0]
    neurons = [neuron for neuron in _EXAMPLE_NEURONS if neuron in material.neurons] or list(material.neurons[:6])
    return TrajectoryDisplay.from_predictions(
        frames,
        Y[test],
        predicted,
        row=int(places[abs(places - len(changes) // 2).argmin()]),
        neurons=neurons,
        states=labels,
        fps=unseen.fps,
        models={name: label for name, label in LABELS.items() if name in predicted or name in protocol.networks},
    )


def outcome_of_figure_4(
    name: str,
    protocol: ForecastProtocol,
    material: Material,
    scores: pd.DataFrame,
    table: pd.DataFrame,
    folder: Path,
) -> Outcome:
    """Write all files of one of the two figures, and say what they show.

    Parameters
    ----------
    name : {"figure4c", "figure4d"}
        The curves and an example, for which models are trained; or the table.
    protocol, material, scores, table, folder
        See :func:`write_figure_4`.

    Returns
    -------
    Outcome
        Table or figures, the words beside them and the files.
    """
    files = write_figure_4(protocol, material, scores, table, folder)
    settings = settings_text(
        {
            "data": f"{protocol.data}, {len(material.recordings)} worms",
            "neurons": ", ".join(material.neurons),
            "epochs": protocol.max_epochs or "those of each network",
            "folds": f"{protocol.n_folds} of 10",
        }
    )
    reading, departure = describe_forecasts(protocol), protocol.departure
    if name == "figure4d":
        title = "Figure 4D: errors of predicted trajectories at 1, 8 and 16 steps"
        return Outcome(title, settings, blocks_of_figure_4d(table), reading, departure, files=files)
    figures = [folder / "figure4c.png"]
    example = example_figure(protocol, material)
    if example is not None:
        mark_departure(example.figure_, departure)
        saved = save_figure(example.figure_, folder / "example")
        figures.append(saved[0])
        files = [*files, *saved]
    title = "Figure 4C: errors of predicted trajectories against the prediction step"
    return Outcome(title, settings, {}, reading, departure, figures=figures, files=files)


def write_figure_4(
    protocol: ForecastProtocol, material: Material, scores: pd.DataFrame, table: pd.DataFrame, folder: Path
) -> list[Path]:
    """Write scores, table, settings and figures.

    Parameters
    ----------
    protocol : ForecastProtocol
        Settings.
    material : Material
        Recordings.
    scores : pandas.DataFrame
        What :func:`~skworm.experiments.forecasts.run_forecasts` returned for them.
    table : pandas.DataFrame
        What :func:`figure_4d` returned for the scores.
    folder : pathlib.Path
        Where to write; made if absent. Files that are there are replaced.

    Returns
    -------
    list of pathlib.Path
        ``scores.csv``, ``figure4d.csv``, ``figure4d.md``, ``settings.json``, ``figure4c.png`` and ``.pdf``.
    """
    paths = [folder / name for name in ("scores.csv", "figure4d.csv", "figure4d.md", "settings.json")]
    folder.mkdir(parents=True, exist_ok=True)
    scores.to_csv(paths[0], index=False)
    table.to_csv(paths[1], index=False)
    blocks = [f"## {title}\n\n{markdown(block)}\n" for title, block in blocks_of_figure_4d(table).items()]
    paths[2].write_text("\n".join([*blocks, describe_forecasts(protocol) + "\n"]), encoding="utf-8")
    settings = {
        "protocol": asdict(protocol),
        "recordings_sha256": digest_recordings(material.recordings),
        "external_sha256": digest_recordings(material.external) if material.external else None,
        "neurons": material.neurons,
        "neurons_left_out": material.neurons_left_out,
        "versions": package_versions(),
    }
    paths[3].write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    figure = figure_4c(scores).figure_
    mark_departure(figure, protocol.departure)
    return [*paths, *save_figure(figure, folder / "figure4c")]


def describe_forecasts(protocol: ForecastProtocol) -> str:
    """Say how the table is to be read.

    Parameters
    ----------
    protocol : ForecastProtocol
        Settings.

    Returns
    -------
    str
        A sentence or two a line.
    """
    return "\n".join(
        [
            "'MSE 8' is the mean squared error at step 8, times 1000, over traces and derivatives, each scaled to "
            "[0, 1] over the worm's recording; mean ± standard deviation over worms, each worm's error averaged over "
            "the fits that score it first.",
            "Skill is 1 - MSE / MSE of persistence, of the mean errors; 'worst' is the lowest of any worm. In round "
            "brackets the 95 % interval of a bootstrap over worms and fits, which from few worms is too narrow.",
            "Every model but the training mean and those 'not centred' or 'as published' measures each column from the "
            "worm's own mean, which for a worm that it has not seen is that of all its observed frames together.",
            f"Networks are trained on rollouts of 8 frames, and predict {HORIZON}. 'Transition' is the skill in "
            f"trajectories with a change of state ({protocol.states} states) between the last observed and the last "
            "predicted frame, 'steady' that in all others.",
            *([f"Not the paper's protocol: {protocol.departure}."] if protocol.departure else []),
        ]
    )
