"""The command of all commands, their options, and the form of their messages: one line each, in words of options."""

from __future__ import annotations

import ast
import json
import math
import os
import re
import signal
import sys
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager, suppress
from functools import reduce
from pathlib import Path
from typing import Any

import click

STATES = ("2", "4", "7", "nichols")
_INTERRUPTED, _TERMINATED = 130, 143


def names(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """Divide names with commas between them; which names exist is checked where they are used."""
    return None if value is None else tuple(name.strip() for name in value.split(",") if name.strip())


def counts(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """Divide whole numbers with commas between them."""
    try:
        return None if value is None else tuple(map(int, names(ctx, param, value) or ()))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not of the form 1,4") from None


def pairs(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """Divide each ``key=value`` at the first sign of equality."""
    read = {}
    for each in values:
        key, _, value = each.partition("=")
        if not key or not value:
            raise click.BadParameter(f"{each!r} is not of the form {param.make_metavar(ctx)}")
        read[key.strip()] = value
    return read


STATES_HELP = (
    "Which behavioural states to tell apart: 2, forward and reverse; 4, with dorsal and ventral turns; 7, those of "
    "Kato et al.; nichols, those of Nichols et al."
)
PATH_OR_NAME = click.Path()
POSITIVE = click.FloatRange(0, min_open=True)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for another program to read.")
DEVICE = click.option(
    "--device",
    type=click.Choice(["cpu", "cuda", "auto"]),
    default="cpu",
    show_default=True,
    help="Where networks run: cpu; cuda, a GPU, which trains many fits in one stack; auto, the GPU where there is one.",
)
SEED = click.option(
    "--seed", "random_state", type=click.IntRange(0), default=0, show_default=True, help="Seed of everything random."
)


def neurons_option(presets: str, text: str) -> Any:
    """Return the option that names neurons, as recordings write them, or one of some presets, the first by default."""
    known = presets.split("|")

    def neurons(ctx: click.Context, param: click.Parameter, value: str) -> str | tuple[str, ...]:
        from skworm.recording import neuron_name

        return value if value in known else tuple(map(neuron_name, names(ctx, param, value) or ()))

    about: dict[str, Any] = {"default": known[0], "metavar": f"{presets}|NAME,...", "help": text}
    return click.option("--neurons", callback=neurons, show_default=True, **about)


DATA_OPTIONS = (
    click.option(
        "--data",
        type=PATH_OR_NAME,
        default="simulated",
        show_default=True,
        metavar="PATH|kato2015|simulated",
        help="Worms to train on and to score: a file or folder of recordings, or a data set by name.",
    ),
    click.option(
        "--external",
        type=PATH_OR_NAME,
        metavar="PATH|nichols2017|simulated|none",
        help="Worms of another lab or day, that are scored and never trained on.  [default: a second simulated lab "
        "beside simulated data, else none]",
    ),
    neurons_option(
        "paper|shared",
        "Neurons that models read: paper, those of the paper's 15 that are identified in every worm; shared, all "
        "that are identified in every worm; or a list of names.",
    ),
)
RUN_OPTIONS = (
    click.option("--quick", is_flag=True, help="Few folds, epochs and combinations: minutes on two cores."),
    click.option(
        "--epochs",
        "max_epochs",
        type=click.IntRange(1),
        help="Training epochs of networks.  [default: their own]",
    ),
    click.option("--n-jobs", default=-1, metavar="N", help="Fits at a time on CPUs.  [default: one for each core]"),
    DEVICE,
    SEED,
    click.option("--quiet", is_flag=True, help="Print the table and nothing else; no progress either."),
)
# Named as the parameters of `load_recordings`.
READING = (
    click.option(
        "--column",
        "columns",
        metavar="ROLE=COLUMN",
        multiple=True,
        callback=pairs,
        help="What a column of a table holds, if its name does not say so: time=t, state=label, behavior:velocity=v, "
        "or a neuron, 'AVAL=cell 3'. May be given several times.",
    ),
    click.option(
        "--table-fps",
        "fps",
        type=POSITIVE,
        help="Frames a second of tables without a column of time.",
    ),
    click.option(
        "--rename-state",
        "rename_states",
        metavar="STATE=NAME",
        multiple=True,
        callback=pairs,
        help="Name of a state in the files, and what it is called here. May be given several times.",
    ),
    click.option(
        "--neuron-names",
        type=click.Path(path_type=Path),
        help="Names of the neurons of .h5 recordings, a .json file: {recording: {number of the trace: name}}.",
    ),
)


def options_of(options: Sequence[Any]) -> Any:
    """Return a decorator that adds several options."""
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


def out_option(default: str) -> Any:
    """Return the option that names a folder of results."""
    return click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("skworm_results") / default,
        show_default=True,
        help="Folder for results, finished fits included.",
    )


def show(about: dict[str, Any], as_json: bool, text: str | None = None) -> None:
    """Print facts as JSON, or as lines; or `text` in place of these lines."""
    say(json.dumps(_plain(about), indent=2, allow_nan=False) if as_json else text or lines_of(about))


def lines_of(about: dict[str, Any], indent: str = "") -> str:
    """Lay facts out, one a line."""
    lines = []
    for name, value in about.items():
        label = f"{indent}{str(name).replace('_', ' ')}:"
        if isinstance(value, dict):
            lines += [label, lines_of(value, indent + "  ")]
        else:
            lines.append(f"{label} {', '.join(map(str, value)) if isinstance(value, list) else value}")
    return "\n".join(filter(None, lines))


def check_out(path: Path, overwrite: bool) -> None:
    """Raise an OSError where a file of results cannot be written, before any work is done for it."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; pass the name of a file to --out")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; pass --overwrite to replace it, or another --out")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file, where --out needs a folder; pass another --out")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"the folder {folder} cannot be written to; pass another --out")


class UserError(click.ClickException):
    """An error in what the user asked for."""

    exit_code = 2


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Turn errors, warnings and an interrupt into a line each, without the place in the code that they are from."""

    def show_warning(message: Any, *_: Any, **__: Any) -> None:
        say(f"Warning: {in_a_line(message)}", err=True)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default", UserWarning)
            warnings.showwarning = show_warning
            yield
    except KeyboardInterrupt as interrupt:
        message = " ".join(str(interrupt).split()) or "interrupted"
        say(f"\n{message[0].upper()}{message[1:]}", err=True)
        raise SystemExit(_INTERRUPTED) from None
    except UnicodeError as error:
        raise UserError(f"a name or a text is not UTF-8: {in_a_line(error)}; rename or convert it") from error
    except (ValueError, TypeError, ImportError, OSError) as error:
        raise UserError(in_a_line(error)) from error
    except (RuntimeError, BrokenExecutor) as error:
        raise click.ClickException(in_a_line(error)) from error
    except MemoryError as error:
        raise click.ClickException(
            f"memory ran out: {in_a_line(error)}; pass a lower --n-jobs, or less data"
        ) from error


def _plain(value: Any) -> Any:
    """Replace what JSON cannot hold: a number that is NaN or infinite becomes null."""
    if isinstance(value, dict):
        return {str(key): _plain(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(own) for own in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


# Remedies that commands offer in another form, or not at all.
_SENTENCES = (
    (r"load_recordings\(\.\.\., (rename_states=\{.*?\})\)", r"\1"),
    (r"make_frames\(\.\.\., (resample_to=[\d.]+)\)", r"\1"),
    (r"pass states=None to make frames without them", "leave the worm out, or label its frames"),
    (r"; leave the worm out, or pass unknown='keep'", "; leave the worm out, or choose other --states"),
    (r"leave the worm out\b", "move the worm's file elsewhere"),
    (r"or pass a mapping of your state names", "or pass --states as_recorded"),
    (r"leave the neuron out with exclude=\(.*?\)", "leave the neuron out of --neurons"),
    (
        r"drop them with exclude=\(\.\.\.\) or neurons='shared', or pass missing='nan'",
        "leave them out of --neurons, or pass --neurons shared or --neurons union",
    ),
    (r", or keep NaN with missing='nan'", ", or pass --neurons union"),
    (r"name some with neurons=\[\.\.\.\] and missing='nan'", "pass --neurons union"),
    (r"rename them with dataclasses\.replace\(.*?\)", "rename them in the files"),
    (r", or load them apart with another dataset=\.\.\.", ""),
    (r"make the value NaN", "leave the cell empty"),
    (r"leave the column out and pass fps\b", "leave the column out and pass --table-fps"),
    (r"pass fps=\.\.\. in frames a second", "pass --table-fps with the frames a second"),
)
# Remedies that other commands offer, and `skworm reproduce` does not.
_NOT_IN_REPRODUCE = (
    (r", or pass --states as_recorded", ""),
    (r",? or pass --neurons union", ""),
    (r" or --neurons union", ""),
    (r"lower n_splits or window, or ", ""),
)
_VALUE = r"""'[^']*'|"[^"]*"|\{[^{}]*\}|\([^()]*\)|\[[^\[\]]*\]|\.\.\.|[\w+-]+(?:\.\w+)?"""
_STEERING = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def in_options(text: str) -> str:
    """Return a text with parameters of Python as the options that the running command has for them."""
    context = click.get_current_context(silent=True)
    reproduces = context is not None and context.parent is not None and context.parent.info_name == "reproduce"
    for pattern, remedy in (*_SENTENCES, *(_NOT_IN_REPRODUCE if reproduces else ())):
        text = re.sub(pattern, remedy, text)
    params = [] if context is None else context.command.params
    options = {str(each.name): each.opts[-1] for each in params if isinstance(each, click.Option)}
    names = "|".join(sorted(options, key=len, reverse=True)) or "(?!)"
    text = re.sub(
        rf"(?<![\w./\\-])({names})=({_VALUE})(?!\S*[/\\])", lambda found: _spelt(options[found[1]], found[2]), text
    )
    # A name with an underscore is always a parameter, except in the name of a file.
    several = "|".join(name for name in names.split("|") if "_" in name) or "(?!)"
    return re.sub(rf"(?<![\w.'/-])({several})(?![\w='./-])", lambda found: options[found[1]], text)


def _spelt(option: str, value: str) -> str:
    try:
        read: Any = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        read = value
    if read is True:
        return option
    if isinstance(read, dict):
        return " ".join(f"{option} '{key}={'...' if own is ... else own}'" for key, own in read.items())
    if isinstance(read, tuple | list):
        return f"{option} {','.join(map(str, read))}"
    return f"{option} {'...' if read is ... else read}"


def printable(text: Any) -> str:
    """Return a text with control characters of a terminal written out as escapes."""
    return "".join(
        each if each in "\n\t" or unicodedata.category(each) not in _STEERING else ascii(each)[1:-1]
        for each in str(text)
    )


def say(text: Any, *, err: bool = False) -> None:
    """Print a text that may hold names from files."""
    click.echo(printable(text), err=err)


def in_a_line(problem: Any) -> str:
    """Return what an error or a warning says in one line, in the words of the command."""
    return printable(in_options(" ".join(str(problem).split()) or type(problem).__name__))


class _Command(click.Command):
    """A command that says in a line of its own options what went wrong."""

    def invoke(self, ctx: click.Context) -> Any:
        with _one_line_errors():
            return super().invoke(ctx)


class _Group(click.Group):
    command_class = _Command
    group_class = type


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="skworm")
def main() -> None:
    """Read C. elegans behaviour from calcium traces.

    `skworm inspect RECORDINGS` shows what is in your files. `skworm train` and `skworm predict` label the states of new
    recordings. `skworm reproduce table1` scores models on worms that they have not seen; `skworm compare` reads its
    results.
    """
    # As an exit, SIGTERM takes workers and temporary files with it. Signals are handled in the main thread alone.
    with suppress(ValueError):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
