"""A command for each target of the catalogue, made from its description."""

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
    SETS_OF_STATES_HELP,
    counts,
    names,
    neurons_of,
    one_line_errors,
    options_of,
    silent,
    this_call,
)
from skworm.experiments.catalogue import Target


def command_of_target(target: Target) -> click.Command:
    """Make the command of a target."""

    def command(quiet: bool, out: Path, n_jobs: int, neurons: str, epochs: int, seed: int, **options: Any) -> None:
        from skworm.experiments.arms import StudySettings
        from skworm.experiments.outcome import keep_outcome
        from skworm.experiments.study import run_target

        say = silent if quiet else click.echo
        with one_line_errors(out):
            settings = StudySettings(neurons=neurons_of(neurons), max_epochs=epochs, random_state=seed, **options)
            outcome = run_target(target, settings, out, n_jobs=n_jobs, verbose=int(not quiet))
            outcome = keep_outcome(out, target.name, outcome, *this_call())
            say(outcome.settings + "\n")
            click.echo(outcome.text)
            say("\n" + outcome.reading + "\n")
            for path in outcome.files:
                say(path)

    command.__doc__ = f"{target.summary}\n\nThe paper: {target.paper}"
    return click.command(target.name, short_help=target.title)(options_of(_options(target))(command))


def _options(target: Target) -> tuple[Any, ...]:
    n_train = ",".join(map(str, target.n_train_worms or ()))
    return (
        DATA,
        EXTERNAL,
        click.option(
            "--states",
            type=NameList("7", "4", "2", "nichols"),
            default=",".join(target.states),
            show_default=True,
            callback=names,
            metavar="7|4|2|nichols,...",
            help=SETS_OF_STATES_HELP,
        ),
        NEURONS,
        click.option(
            "--train-worms",
            "n_train_worms",
            default=n_train or None,
            callback=counts,
            metavar="N,...",
            help="Worms that each model is trained on, one or several numbers.  [default: "
            f"{n_train or 'every number that leaves a worm unseen'}]",
        ),
        click.option(
            "--folds",
            "n_folds",
            type=click.IntRange(1, 10),
            default=target.n_folds,
            show_default=True,
            help="How many of the ten folds of windows are held out in turn.",
        ),
        click.option(
            "--few-combinations",
            is_flag=True,
            help="Train on as many combinations of worms as there are worms, each in equally many, in place of all.",
        ),
        *RUN_OPTIONS,
        click.option(
            "--out",
            type=click.Path(file_okay=False, path_type=Path),
            default=Path("skworm_results") / target.name,
            show_default=True,
            help="Folder for results, finished fits included.",
        ),
    )
