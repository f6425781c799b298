"""``skworm reproduce``: a command for each declared experiment, and one for all of them."""

from __future__ import annotations

import shlex
import time
import traceback
from pathlib import Path
from typing import Any

import click

from skworm.cli.options import (
    DATA_OPTIONS,
    RUN_OPTIONS,
    STATES,
    STATES_HELP,
    counts,
    in_a_line,
    main,
    names,
    options_of,
    out_option,
    say,
)
from skworm.paper.declaration import FOLD_KINDS, Target, as_options
from skworm.paper.targets import ALL_TARGETS, TARGETS

_QUICK = (
    "A quick run: few folds, few epochs and few combinations of training worms. It shows that everything runs and what "
    "it looks like; its numbers are not those of the paper's protocol."
)


@main.group(short_help="Repeat the comparisons of the paper.")
def reproduce() -> None:
    """Repeat the comparisons of the paper, on your recordings or on simulated worms.

    Wang et al. 2021, "Generalizable Machine Learning in Neuroscience using Graph Neural Networks". Each command fits
    models on some worms, scores them on others, prints a table and writes tables and figures to a folder. A run that
    was stopped continues where it ended: call it again with the same options.
    """


_SETTINGS = (
    click.option(
        "--states",
        callback=names,
        metavar=f"{'|'.join(STATES)},...",
        help=f"{STATES_HELP} One or several sets.",
    ),
    click.option(
        "--train-worms",
        "n_train_worms",
        callback=counts,
        metavar="N,...",
        help="Worms that each model is trained on, one or several numbers.",
    ),
    click.option("--folds", "n_folds", type=click.IntRange(1), help="Folds of windows that are held out in turn."),
    click.option(
        "--fold-by",
        callback=names,
        metavar=f"{'|'.join(FOLD_KINDS)},...",
        help="How windows become folds: drawn at random, as in the paper, or following each other, so that a model "
        "cannot recognise the moment.",
    ),
    click.option(
        "--few-combinations",
        is_flag=True,
        default=None,
        help="Train on as many combinations of worms as there are worms, each in equally many, in place of all.",
    ),
)


def command_of(target: Target) -> click.Command:
    """Make the command of a declared experiment."""

    def command(out: Path, n_jobs: int, quiet: bool, **given: Any) -> None:
        from skworm.paper.outcome import run_target
        from skworm.paper.report import report_outcomes

        outcome = run_target(target, target.settings(**given), out, n_jobs=n_jobs, verbose=int(not quiet))
        page = report_outcomes([outcome], out / "report.html")
        if not quiet:
            say(f"{outcome.settings}\n")
        say(outcome.text)
        if not quiet:
            say(f"\n{outcome.reading}\n")
            for path in (*outcome.files, page):
                say(path)

    usual = {"n_folds": 1, "fold_by": FOLD_KINDS[:1], **target.defaults}
    defaults = {"by default": usual, "on simulated worms": target.simulated, "with --quick": target.quick}
    words = [f"{when}, {shlex.join(as_options(own))}" for when, own in defaults.items() if own]
    command.__doc__ = f"{target.summary}\n\nThe paper: {target.paper}\n\nSettings: {'; '.join(words)}."
    chosen = click.option(
        "--models",
        callback=names,
        metavar="NAME,...",
        help=f"Models to compare: {', '.join(target.models)}. Baselines are always added.",
    )
    options = (*DATA_OPTIONS, *_SETTINGS, *([chosen] if target.models else []), *RUN_OPTIONS, out_option(target.name))
    return reproduce.command(target.name, short_help=target.title)(options_of(options)(command))


for _target in TARGETS.values():
    command_of(_target)


@reproduce.command("all", short_help="Run every experiment into one folder.")
@options_of((*DATA_OPTIONS, *RUN_OPTIONS, out_option("all")))
def everything(out: Path, quick: bool, n_jobs: int, quiet: bool, **given: Any) -> None:
    """Run every experiment into one folder, with a page that shows them all.

    One that fails does not stop the others: the page says what went wrong, and the exit code is 1.
    """
    from skworm.paper.outcome import run_target
    from skworm.paper.report import report_outcomes

    outcomes, failed = [], {}
    for name in ALL_TARGETS:
        if not quiet:
            say(f"{name} ...", err=True)
        start = time.monotonic()
        try:
            settings = TARGETS[name].settings(quick, **given)
            outcomes.append(run_target(TARGETS[name], settings, out / name, n_jobs=n_jobs, verbose=int(not quiet)))
        except Exception as problem:
            failed[name] = in_a_line("".join(traceback.format_exception_only(problem)))
        say(f"{name}: {failed.get(name, 'done')} ({time.monotonic() - start:.0f} s)")
    warnings = [_QUICK] if quick else []
    warnings += [f"{name} failed: {error}" for name, error in failed.items()]
    if outcomes:
        say(report_outcomes(outcomes, out / "index.html", warnings))
    if failed:
        raise click.ClickException(f"{len(failed)} of {len(ALL_TARGETS)} targets failed: {', '.join(failed)}")
