"""Options that several commands share, and what a command does about errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from skworm.cli.choices import NameList, PathOrName
from skworm.cli.output import user_errors

COMMAND = "skworm.command"
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


DEVICE_HELP = (
    "Where neural models are trained: cpu, with --n-jobs fits at a time; cuda, a GPU, with many fits in one stack; "
    "auto, the GPU where there is one."
)
STATES_HELP = (
    "Which behavioural states to tell apart: 2, forward and reverse; 4, with dorsal and ventral turns; 7, those of "
    "Kato et al.; nichols, those of Nichols et al."
)
SETS_OF_STATES_HELP = STATES_HELP.replace("Which", "One or several sets of", 1).replace(" to tell apart", "")
RUN_OPTIONS = (
    click.option(
        "--epochs", type=click.IntRange(1), default=800, show_default=True, help="Training epochs of neural models."
    ),
    click.option("--n-jobs", default=-1, metavar="N", help="Fits at a time on CPUs.  [default: one a core]"),
    click.option(
        "--device", type=click.Choice(["cpu", "cuda", "auto"]), default="cpu", show_default=True, help=DEVICE_HELP
    ),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of everything random."),
    click.option("--quiet", is_flag=True, help="Print the table and nothing else; no progress either."),
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
    type=PathOrName("kato2015", "simulated"),
    default="simulated",
    show_default=True,
    metavar="PATH|kato2015|simulated",
    help="Worms to train on and to score: a file or folder of recordings, or a data set by name.",
)
EXTERNAL = click.option(
    "--external",
    type=PathOrName("nichols2017", "simulated", "none"),
    metavar="PATH|nichols2017|simulated|none",
    help="Worms of another lab or day, that are scored and never trained on.  [default: a second simulated lab beside "
    "simulated data, else none]",
)
NEURONS = click.option(
    "--neurons",
    type=NameList("paper", "shared"),
    default="paper",
    show_default=True,
    metavar="paper|shared|NAME,...",
    help="Neurons that models read: paper, those of the paper's 15 that are identified in every worm; shared, all that "
    "are identified in every worm; or a list of names.",
)


def neurons_of(neurons: str) -> str | tuple[str, ...]:
    """Read the name of a preset, or a list of neurons."""
    return neurons if neurons in ("shared", "paper") else tuple(filter(None, map(str.strip, neurons.split(","))))


def silent(message: Any) -> None:
    """Say nothing."""


def this_call() -> tuple[str, str]:
    """Tell the command that is running, as it was typed, and when it began."""
    return click.get_current_context().meta.get(COMMAND, ("", ""))


@contextmanager
def one_line_errors(out: Path) -> Iterator[None]:
    """Tell an error of the user, or an interrupt, in one line."""
    try:
        with user_errors():
            yield
    except KeyboardInterrupt as interrupt:
        message = str(interrupt) or f"interrupted; finished fits are kept in {out}; call again to go on"
        click.echo(f"\n{message[0].upper()}{message[1:]}", err=True)
        raise SystemExit(_INTERRUPTED) from None
    except BrokenExecutor as error:
        raise click.ClickException(str(error)) from error
