"""``skworm reproduce table1``."""

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
    STATES_HELP,
    names,
    neurons_of,
    one_line_errors,
    options_of,
    silent,
    this_call,
)
from skworm.experiments.catalogue import TABLE_1_MODELS


@click.command(short_help="Compare state classifiers as in Table 1.")
@DATA
@EXTERNAL
@click.option(
    "--states",
    type=click.Choice(["2", "4", "7", "nichols"]),
    default="2",
    show_default=True,
    help=STATES_HELP,
)
@NEURONS
@click.option(
    "--train-worms", type=click.IntRange(1), default=1, show_default=True, help="Worms that each model is trained on."
)
@click.option(
    "--folds",
    type=click.IntRange(2),
    help="Folds that the windows of 8 frames of each worm are divided into; each is held out in turn.  [default: 10; 3 "
    "on simulated worms]",
)
@click.option(
    "--models",
    default="diffusion-map,svm,mlp,gnn-connectome,gnn,mlp-virtual-worms,gnn-virtual-worms",
    show_default=True,
    type=NameList(*TABLE_1_MODELS),
    callback=names,
    metavar="NAME,...",
    help="Models to compare. Also known: mlp-published, gnn-published, gnn-dynamic, gnn-free. Two baselines, clock and "
    "majority, are always added.",
)
@click.option(
    "--fold-by",
    type=click.Choice(["shuffled_windows", "contiguous_blocks", "both"]),
    default="both",
    show_default=True,
    help="How windows become folds: drawn at random, as in the paper, or following each other, so that a model cannot "
    "recognise the moment.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("skworm_results/table1"),
    show_default=True,
    help="Folder for results, finished fits included.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Training epochs of neural models.  [default: 800; 200 on simulated worms]",
)
@options_of(RUN_OPTIONS[1:])
def table1(quiet: bool, out: Path, n_jobs: int, **options: Any) -> None:
    """Compare state classifiers as in Table 1: on the training worms, on unseen worms, on external recordings."""
    from skworm.experiments import outcome as outcomes
    from skworm.experiments import paper, protocol, report

    say = silent if quiet else click.echo
    with one_line_errors(out):
        settings = _protocol(**options)
        material = protocol.load_material(settings)
        say(report.describe_settings(settings, material))
        scores = protocol.run_protocol(settings, material, out, n_jobs=n_jobs, verbose=int(not quiet))
        outcome = outcomes.keep_outcome(
            out, "table1", paper.outcome_of_table_1(settings, material, scores, out), *this_call()
        )
        say("")
        for table in outcome.tables.values():
            click.echo(report.lay_out(table))
        say("\n" + outcome.reading + "\n")
        for path in outcome.files:
            say(path)


def _protocol(
    *, train_worms: int, folds: int | None, epochs: int | None, neurons: str, fold_by: str, seed: int, **others: Any
) -> Any:
    from skworm.experiments.protocol import FOLD_KINDS, Protocol

    return Protocol(
        neurons=neurons_of(neurons),
        n_train_worms=train_worms,
        n_folds=folds,
        max_epochs=epochs,
        fold_by=FOLD_KINDS if fold_by == "both" else (fold_by,),
        random_state=seed,
        **others,
    )
