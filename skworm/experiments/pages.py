"""Pages that need no other file: templates, tables and pictures of single HTML documents."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

from skworm.experiments.outcome import Outcome


@dataclass(frozen=True)
class Table:
    """A table of texts as a page shows it; a text may have several lines.

    Parameters
    ----------
    caption : str
        What stands above it.
    corner : str
        Heading of the labels.
    columns : sequence of str
        Headings.
    rows : sequence of (str, sequence of str)
        Label and texts.
    """

    caption: str
    corner: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]


@dataclass(frozen=True)
class Picture:
    """A picture within a page.

    Parameters
    ----------
    caption : str
        What it shows, for those who do not see it.
    source : str
        A data URI.
    """

    caption: str
    source: str


@dataclass(frozen=True)
class Section:
    """What a page shows of one comparison.

    Parameters
    ----------
    anchor, title : str
        Name of the place within the page, and heading.
    settings : str, default=""
        What was compared on what, one setting a line.
    tables, pictures : sequence
        Results.
    reading, sentences : sequence of str
        How tables are to be read, and what they show in words.
    departure, command : str
        What is less than in the paper, and the command that made it; empty where there is none.
    leakage : sequence of str
        What remembering the moment is worth, in words.
    leakage_tables : sequence of Table
        The same in numbers.
    """

    anchor: str
    title: str
    settings: str = ""
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    reading: Sequence[str] = ()
    sentences: Sequence[str] = ()
    departure: str = ""
    command: str = ""
    leakage: Sequence[str] = ()
    leakage_tables: Sequence[Table] = ()


def section_of(anchor: str, outcome: Outcome) -> Section:
    """Show an outcome."""
    return Section(
        anchor,
        outcome.title,
        outcome.settings,
        [table_of(table, f"{outcome.title}: {heading}") for heading, table in outcome.tables.items()],
        [picture_of(path, f"{outcome.title} ({path.stem})") for path in outcome.figures],
        outcome.reading.splitlines(),
        outcome.sentences,
        outcome.departure,
        outcome.command,
    )


def table_of(texts: pd.DataFrame, caption: str) -> Table:
    """Make a table of texts, its index the labels."""
    rows = [(str(label), list(map(str, row))) for label, row in zip(texts.index, texts.to_numpy(), strict=True)]
    return Table(caption, str(texts.index.name or ""), list(map(str, texts.columns)), rows)


def picture_of(path: Path, caption: str) -> Picture:
    """Take the picture of a .png file into a page."""
    return Picture(caption, _uri(path.read_bytes()))


def picture_of_figure(figure: Any, caption: str) -> Picture:
    """Take a matplotlib figure into a page."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=200)
    return Picture(caption, _uri(buffer.getvalue()))


def render(template: str, **values: Any) -> str:
    """Fill a template in; every text is escaped.

    Parameters
    ----------
    template : str
        A file of the folder ``templates``.
    **values
        What it shows.

    Returns
    -------
    str
        The page.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("skworm.experiments"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values) + "\n"


def _uri(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode("ascii")
