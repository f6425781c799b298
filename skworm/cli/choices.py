"""Types of options that a shell can complete: paths or names, and lists of names."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem


class PathOrName(click.ParamType):
    """A path, or one of some names.

    Parameters
    ----------
    *names : str
        The names.
    """

    name = "path"

    def __init__(self, *names: str) -> None:
        self.names = names

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete names and, where the shell finds any, paths."""
        # Shells begin anew at an item of type file, so it comes first.
        found = [CompletionItem(name) for name in self.names if name.startswith(incomplete)]
        return [CompletionItem(incomplete, type="file"), *found]


class NameList(click.ParamType):
    """Names with commas between them; which names exist is checked where they are used.

    Parameters
    ----------
    *names : str
        The names that a shell suggests.
    """

    name = "names"

    def __init__(self, *names: str) -> None:
        self.names = names

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Leave the text to the command."""
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete the name behind the last comma with one that is not in the list yet."""
        before, comma, last = incomplete.rpartition(",")
        taken = before.split(",")
        return [
            CompletionItem(f"{before}{comma}{name}")
            for name in self.names
            if name.startswith(last) and name not in taken
        ]
