"""``skworm reproduce``: a command for each declared experiment, and one for all of them."""

from __future__ import annotations

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
    NameList,
    in_a_line,
    one_line_errors,
    options_of,
    out_option,
    say,
    this_call,
)
from skworm.paper.declaration import QUICK_EPOCHS, QUICK_FORECAST_EPOCHS, Target
from skworm.paper.targets import ALL_TARGETS, TARGETS

_COUNTS = NameList(int, "1,4")
_FOLD_KINDS = ("shuffled_windows", "contiguous_blocks")
_QUICK = (
    "A quick run: few folds, few epochs and few combinations of training worms. It shows that everything runs and what "
    "it looks like; its numbers are not those of the paper's protocol."
)


@click.group(short_help="Repeat the comparisons of the paper.")
def reproduce() -> None:
    """Repeat the comparisons of the paper, on your recordings or on simulated worms.

    Wang et al. 2021, "Generalizable Machine Learning in Neuroscience using Graph Neural Networks". Each command fits
    models on some worms, scores them on others, prints a table and writes tables and figures to a folder. A run that
    was stopped continues where it ended: call it again with the same options.
    """


def command_of(target: Target) -> click.Command:
    """Make the command of a declared experiment."""

    def command(out: Path, n_jobs: int, quiet: bool, **given: Any) -> None:
        from skworm.paper.outcome import run_target

        with one_line_errors(out):
            settings, (typed, began) = target.settings(**given), this_call()
            verbose = int(not quiet)
            outcome = run_target(target, settings, out, command=typed, began=began, n_jobs=n_jobs, verbose=verbose)
            if not quiet:
                say(f"{outcome.settings}\n")
            say(outcome.text)
            if not quiet:
                say(f"\n{outcome.reading}\n")
                for path in outcome.files:
                    say(path)

    command.__doc__ = f"{target.summary}\n\nThe paper: {target.paper}"
    return click.command(target.name, short_help=target.title)(options_of(_options(target))(command))


def _options(target: Target) -> tuple[Any, ...]:
    chosen = target.models and click.option(
        "--models",
        type=NameList(),
        metavar="NAME,...",
        help=f"Models to compare: {', '.join(target.models)}. Baselines are always added.  "
        f"[default: {','.join(target.defaults['models'])}]",
    )
    options = (
        *DATA_OPTIONS,
        click.option(
            "--states",
            type=NameList(),
            metavar=f"{'|'.join(STATES)},...",
            help=f"{STATES_HELP} One or several sets.  [default: {','.join(target.defaults['states'])}]",
        ),
        click.option(
            "--train-worms",
            "n_train_worms",
            type=_COUNTS,
            metavar="N,...",
            help=f"Worms that each model is trained on, one or several numbers.  [default: {target.train_worms}]",
        ),
        click.option(
            "--folds",
            "n_folds",
            type=click.IntRange(1),
            help=f"Folds of windows that are held out in turn.  {_default(target, 'n_folds', 1)}",
        ),
        click.option(
            "--fold-by",
            type=NameList(),
            metavar=f"{'|'.join(_FOLD_KINDS)},...",
            help="How windows become folds: drawn at random, as in the paper, or following each other, so that a model "
            f"cannot recognise the moment.  [default: {','.join(target.defaults.get('fold_by', _FOLD_KINDS[:1]))}]",
        ),
        click.option(
            "--few-combinations",
            is_flag=True,
            default=None,
            help="Train on as many combinations of worms as there are worms, each in equally many, in place of all.",
        ),
        chosen,
        click.option(
            "--epochs",
            "max_epochs",
            type=click.IntRange(1),
            help=f"Training epochs of networks.  {_default(target, 'max_epochs', 'their own')}",
        ),
        *RUN_OPTIONS,
        out_option(target.name),
    )
    return tuple(filter(None, options))


def _default(target: Target, name: str, otherwise: Any) -> str:
    value = target.defaults.get(name, otherwise)
    simulated = f"; {target.simulated[name]} on simulated worms" if name in target.simulated else ""
    return f"[default: {value}{simulated}]"


for _target in TARGETS.values():
    reproduce.add_command(command_of(_target))


@reproduce.command("all", short_help="Run every experiment into one folder.")
@options_of(DATA_OPTIONS)
@click.option("--quick", is_flag=True, help="Few folds, epochs and combinations: minutes on two cores.")
@click.option(
    "--targets",
    type=NameList(),
    default=",".join(ALL_TARGETS),
    metavar="NAME,...",
    help=f"What to repeat.  [default: {', '.join(ALL_TARGETS)}]",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help=f"Training epochs of the state classifiers.  [default: their own; {QUICK_EPOCHS} if quick]",
)
@click.option(
    "--forecast-epochs",
    type=click.IntRange(1),
    help=f"Training epochs of the trajectory networks.  [default: their own; {QUICK_FORECAST_EPOCHS} if quick]",
)
@options_of(RUN_OPTIONS)
@out_option("all")
def everything(
    out: Path,
    targets: tuple[str, ...],
    n_jobs: int,
    quiet: bool,
    quick: bool,
    epochs: int | None,
    forecast_epochs: int | None,
    **given: Any,
) -> None:
    """Run every experiment into one folder, with a page that shows them all.

    One that fails does not stop the others: the page says what went wrong, and the exit code is 1.
    """
    with one_line_errors(out):
        unknown = [name for name in targets if name not in ALL_TARGETS]
        if unknown or not targets:
            found = f"has the unknown name {unknown[0]!r}" if unknown else "is empty"
            raise ValueError(f"--targets {found}; choose one or several of {', '.join(ALL_TARGETS)}")
        from skworm.paper.report import result_folders, write_report

        failed: dict[str, str] = {}
        for name in filter(targets.__contains__, ALL_TARGETS):
            if not quiet:
                say(f"{name} ...", err=True)
            start = time.monotonic()
            max_epochs = forecast_epochs if TARGETS[name].forecasts else epochs
            run = {"n_jobs": n_jobs, "verbose": int(not quiet)}
            error = _run_one(name, out / name, quick, {**given, "max_epochs": max_epochs}, run)
            if error:
                failed[name] = error
            say(f"{name}: {error or 'done'} ({time.monotonic() - start:.0f} s)")
        warnings = [_QUICK] if quick else []
        warnings += [f"{name} failed: {error}" for name, error in failed.items()]
        if result_folders(out):
            say(write_report(out, out / "index.html", command=this_call()[0], warnings=warnings))
    if failed:
        raise click.ClickException(f"{len(failed)} of {len(set(targets))} targets failed: {', '.join(failed)}")


def _run_one(name: str, out: Path, quick: bool, given: dict[str, Any], run: dict[str, Any]) -> str:
    """Run an experiment; return what went wrong, nothing where all went well."""
    from skworm.model_selection.store import now
    from skworm.paper.outcome import run_target

    target = TARGETS[name]
    try:
        settings = target.settings(quick=quick, **given)
        run_target(target, settings, out, command=target.command(settings, str(out)), began=now(), **run)
    except Exception as problem:
        return in_a_line("".join(traceback.format_exception_only(problem)))
    return ""
