"""What commands print: parameters of Python as options, warnings in a line, and no character that steers a terminal."""

from __future__ import annotations

import ast
import re
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

# What functions call a thing that the options of commands call otherwise.
_OTHER_NAMES = {"reference": "baseline", "max_epochs": "epochs"}
# Remedies that commands have in another form, or not at all.
_SENTENCES = (
    (r"load_recordings\(\.\.\., (rename_states=\{.*?\})\)", r"\1"),
    (r"make_frames\(\.\.\., (resample_to=[\d.]+)\)", r"\1"),
    (r"pass states=None to make frames without them", "leave the worm out, or label its frames"),
    (r"; leave the worm out, or pass unknown='keep'", "; leave the worm out, or choose other --states"),
    (r"or pass a mapping of your state names", "or pass --states as_recorded"),
    (r"leave the neuron out with exclude=\(.*?\)", "leave the neuron out of --neurons"),
    (
        r"drop them with exclude=\(\.\.\.\), neurons='shared' or missing='drop', or pass missing='nan'",
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
_VALUE = r"""'[^']*'|"[^"]*"|\{[^{}]*\}|\([^()]*\)|\[[^\[\]]*\]|\.\.\.|[\w+-]+(?:\.\w+)?"""
_STEERING = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def in_options(text: str) -> str:
    """Return a text with parameters of Python as the options that the running command has for them."""
    for pattern, remedy in _SENTENCES:
        text = re.sub(pattern, remedy, text)
    options = _options()
    names = "|".join(sorted(options, key=len, reverse=True)) or "(?!)"
    text = re.sub(rf"(?<![\w.-])({names})=({_VALUE})", lambda found: _spelt(options[found[1]], found[2]), text)
    # A name of several words has no other meaning, but in the name of a file.
    several = "|".join(name for name in names.split("|") if "_" in name) or "(?!)"
    return re.sub(rf"(?<![\w.'/-])({several})(?![\w='./-])", lambda found: options[found[1]], text)


def _options() -> dict[str, str]:
    """Return the option of the running command for each parameter of a function that it has one for."""
    context = click.get_current_context(silent=True)
    own = {} if context is None else {str(each.name): each.opts[-1] for each in context.command.params}
    own = {name: option for name, option in own.items() if option.startswith("--")}
    return {**own, **{name: own[other] for name, other in _OTHER_NAMES.items() if other in own}}


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
    """Return a text in which characters that would steer a terminal are spelt out."""
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


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Print each warning in one line, without the place in the code that it is from."""

    def show(message: Any, *_: Any, **__: Any) -> None:
        say(f"Warning: {in_a_line(message)}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show
        yield
