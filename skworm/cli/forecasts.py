"""``skworm reproduce figure4c`` and ``figure4d``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from skworm.cli.choices import NameList
from skworm.cli.options import (
    DATA,
    EXTERNAL,
    NEURONS,
    RUN_OPTIONS,
    counts,
    names,
    neurons_of,
    one_line_errors,
    options_of,
    silent,
    this_call,
)
from skworm.experiments.catalogue import FORECAST_NETWORKS

FORECAST_OPTIONS = (
    DATA,
    EXTERNAL,
    click.option(
        "--states",
        type=click.Choice(["2", "4", "7", "nichols"]),
        default="4",
        show_default=True,
        help="The states whose changes count as transitions; errors are told apart with and without one.",
    ),
    NEURONS,
    click.option(
        "--train-worms",
        "n_train_worms",
        callback=counts,
        metavar="N,...",
        help="Worms that each model is trained on, one or several numbers.  [default: one, all but one, and all beside "
        "external recordings]",
    ),
    click.option(
        "--folds",
        "n_folds",
        type=click.IntRange(1, 10),
        default=1,
        show_default=True,
        help="How many of the ten blocks of frames are held out in turn.",
    ),
    click.option(
        "--models",
        "networks",
        type=NameList(*FORECAST_NETWORKS),
        default="mlp,node-mlp,gnn,mlp-lstm",
        show_default=True,
        callback=names,
        metavar="NAME,...",
        help="Networks to compare. Also known: gnn-static, mlp-plain, mlp-uncentred, mlp-lags, node-mlp-lstm, "
        "gnn-gated, mlp-published, node-mlp-published, gnn-published. Persistence, the training mean "
        "and three linear maps are always added.",
    ),
    click.option("--epochs", type=click.IntRange(1), help="Training epochs.  [default: 200; 800 as published]"),
    *RUN_OPTIONS[1:],
    click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("skworm_results/figure4"),
        show_default=True,
        help="Folder for results, finished fits included; both commands share it.",
    ),
)


@click.command(short_help="Draw errors of forecasts against the step.")
@options_of(FORECAST_OPTIONS)
def figure4c(**options: Any) -> None:
    """Draw the errors of predicted trajectories against the prediction step, and an example beside the truth."""
    _figure4("figure4c", **options)


@click.command(short_help="Tabulate errors of forecasts.")
@options_of(FORECAST_OPTIONS)
def figure4d(**options: Any) -> None:
    """Tabulate the errors of predicted trajectories at 1, 8 and 16 steps, and the skill over persistence."""
    _figure4("figure4d", **options)


def _figure4(
    name: str,
    *,
    epochs: int | None,
    seed: int,
    n_jobs: int,
    quiet: bool,
    out: Path,
    neurons: str,
    **others: Any,
) -> None:
    from skworm.experiments import figure4, forecasts, protocol
    from skworm.experiments.outcome import keep_outcome
    from skworm.experiments.report import lay_out

    say = silent if quiet else click.echo
    with one_line_errors(out):
        settings = forecasts.ForecastProtocol(
            neurons=neurons_of(neurons), max_epochs=epochs, random_state=seed, **others
        )
        material = protocol.load_material(settings)
        scores = forecasts.run_forecasts(settings, material, out, n_jobs=n_jobs, verbose=int(not quiet))
        table = figure4.figure_4d(scores)
        for title, block in figure4.blocks_of_figure_4d(table).items():
            click.echo(f"\n{title}\n{lay_out(block)}")
        say("\n" + figure4.describe_forecasts(settings) + "\n")
        if name == "figure4c":
            say("Training the models of the example picture ...")
        outcome = figure4.outcome_of_figure_4(name, settings, material, scores, table, out)
        for path in keep_outcome(out, name, outcome, *this_call()).files:
            say(path)
