"""``skworm reproduce sensitivity`` and ``forecast-sensitivity``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from skworm.cli.choices import NameList
from skworm.cli.options import (
    DATA,
    RUN_OPTIONS,
    SETS_OF_STATES_HELP,
    names,
    one_line_errors,
    options_of,
    this_call,
)


@click.command(short_help="Score each reading of the paper's GNN.")
@DATA
@click.option(
    "--states",
    type=NameList("7", "4", "2", "nichols"),
    default="2,4",
    show_default=True,
    callback=names,
    metavar="7|4|2|nichols,...",
    help=SETS_OF_STATES_HELP,
)
@click.option(
    "--folds",
    type=click.IntRange(1, 10),
    default=1,
    show_default=True,
    help="How many of the ten folds of windows are held out in turn.",
)
@options_of(RUN_OPTIONS)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("skworm_results/sensitivity"),
    show_default=True,
    help="Folder for results, finished fits included.",
)
def sensitivity(
    data: str,
    states: tuple[str, ...],
    folds: int,
    epochs: int,
    n_jobs: int,
    device: str,
    seed: int,
    quiet: bool,
    out: Path,
) -> None:
    """Score each reading of the paper's GNN on unseen worms, with and without virtual worms."""
    from skworm.experiments.sensitivity import outcome_of_sensitivity, score_readings
    from skworm.experiments.worms import load_worms

    with one_line_errors(out):
        scores = score_readings(
            load_worms(data, seed),
            out,
            states=states,
            n_folds=folds,
            max_epochs=epochs,
            n_jobs=n_jobs,
            device=device,
            random_state=seed,
            verbose=int(not quiet),
        )
        used: dict[str, Any] = {
            "data": data,
            "states": ", ".join(states),
            "training": "1 worm",
            "folds": f"{folds} of 10",
        }
        used |= {"epochs": epochs, "device": device, "seed": seed}
        _tell(out, "sensitivity", outcome_of_sensitivity(scores, out, used), quiet)


@click.command(short_help="Score each setting of the trajectory MLP.")
@DATA
@click.option(
    "--train-worms", type=click.IntRange(1), default=1, show_default=True, help="Worms that each model is trained on."
)
@click.option(
    "--folds",
    type=click.IntRange(1, 10),
    default=1,
    show_default=True,
    help="How many of the ten blocks of frames are held out in turn.",
)
@click.option("--epochs", type=click.IntRange(1), default=200, show_default=True, help="Training epochs.")
@options_of(RUN_OPTIONS[1:])
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("skworm_results/forecast_sensitivity"),
    show_default=True,
    help="Folder for results, finished fits included.",
)
def forecast_sensitivity(
    data: str, train_worms: int, folds: int, epochs: int, n_jobs: int, device: str, seed: int, quiet: bool, out: Path
) -> None:
    """Score each setting of the trajectory MLP on unseen worms, and choose one without each scored worm."""
    from skworm.experiments import forecast_sensitivity as experiment
    from skworm.experiments.worms import load_worms

    with one_line_errors(out):
        scores = experiment.score_settings(
            load_worms(data, seed),
            out,
            n_train_worms=train_worms,
            n_folds=folds,
            max_epochs=epochs,
            n_jobs=n_jobs,
            device=device,
            random_state=seed,
            verbose=int(not quiet),
        )
        used: dict[str, Any] = {
            "data": data,
            "training": f"{train_worms} worms",
            "folds": f"{folds} of 10",
            "epochs": epochs,
        }
        used |= {"device": device, "seed": seed}
        _tell(out, "forecast-sensitivity", experiment.outcome_of_forecast_sensitivity(scores, out, used), quiet)


def _tell(out: Path, name: str, outcome: Any, quiet: bool) -> None:
    from skworm.experiments.outcome import keep_outcome

    outcome = keep_outcome(out, name, outcome, *this_call())
    click.echo(outcome.text)
    if not quiet:
        click.echo(f"\n{outcome.reading}\n")
        for path in outcome.files:
            click.echo(path)
