"""What commands print: lines for people, JSON for programs, one line for an error of the user."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for another program to read.")


def show(about: dict[str, Any], as_json: bool, text: str | None = None) -> None:
    """Print facts as JSON, or as lines; or `text` in place of these lines."""
    click.echo(json.dumps(_plain(about), indent=2, allow_nan=False) if as_json else text or lines_of(about))


def lines_of(about: dict[str, Any], indent: str = "") -> str:
    """Lay facts out, one a line."""
    lines = []
    for name, value in about.items():
        label = f"{indent}{str(name).replace('_', ' ')}:"
        if isinstance(value, dict):
            lines += [label, lines_of(value, indent + "  ")]
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else value
            lines.append(f"{label} {text}")
    return "\n".join(filter(None, lines))


class UserError(click.ClickException):
    """What was asked for is wrong."""

    exit_code = 2


@contextmanager
def user_errors() -> Iterator[None]:
    """Tell an error of the user in one line."""
    try:
        yield
    except (ValueError, ImportError, OSError) as error:
        raise UserError(" ".join(str(error).split())) from error


def _plain(value: Any) -> Any:
    """Replace what JSON cannot say: a number that is none becomes null."""
    if isinstance(value, dict):
        return {str(key): _plain(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(own) for own in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
