"""Options that several commands share, and what a command does about errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

_INTERRUPTED = 130


def names(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    """Read a list of names."""
    return tuple(name.strip() for name in value.split(",") if name.strip())


def counts(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """Read a list of whole numbers."""
    if value is None:
        return None
    try:
        return tuple(int(number) for number in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is no list of whole numbers, such as 1,4") from None


RUN_OPTIONS = (
    click.option(
        "--epochs", type=click.IntRange(1), default=800, show_default=True, help="Training epochs of the neural models."
    ),
    click.option("--n-jobs", default=-1, metavar="N", help="Fits at a time.  [default: one a core]"),
    click.option(
        "--device",
        type=click.Choice(["cpu", "cuda", "auto"]),
        default="cpu",
        show_default=True,
        help="Where neural models train; on models this small a process a core usually wins.",
    ),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of everything random."),
    click.option("--quiet", is_flag=True, help="Print the table and nothing else."),
)


def options_of(options: Sequence[Any]) -> Any:
    """Make a decorator that adds several options."""

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


DATA = click.option(
    "--data",
    default="simulated",
    show_default=True,
    metavar="PATH|kato2015|simulated",
    help="Worms to train on and to score: a file or folder of recordings, or a data set by name.",
)
EXTERNAL = click.option(
    "--external",
    metavar="PATH|nichols2017|simulated|none",
    help="Worms that are only scored.  [default: a second simulated lab beside simulated data, else none]",
)
NEURONS = click.option(
    "--neurons",
    default="paper",
    show_default=True,
    metavar="paper|shared|NAME,...",
    help="The paper's neurons, or all neurons, that are identified in every worm; or a list of names.",
)


def neurons_of(neurons: str) -> str | tuple[str, ...]:
    """Read the name of a preset, or a list of neurons."""
    return neurons if neurons in ("shared", "paper") else tuple(filter(None, map(str.strip, neurons.split(","))))


def silent(message: Any) -> None:
    """Say nothing."""


class _UserError(click.ClickException):
    exit_code = 2


@contextmanager
def one_line_errors(out: Path) -> Iterator[None]:
    """Tell an error of the user, or an interrupt, in one line."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        message = str(interrupt) or f"interrupted; finished fits are kept in {out}; call again to go on"
        click.echo(f"\n{message[0].upper()}{message[1:]}", err=True)
        raise SystemExit(_INTERRUPTED) from None
    except BrokenExecutor as error:
        raise click.ClickException(str(error)) from error
    except (ValueError, ImportError, OSError) as error:
        raise _UserError(" ".join(str(error).split())) from error
