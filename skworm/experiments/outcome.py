"""What a target of ``skworm reproduce`` leaves behind: tables, figures and the words beside them, in a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from skworm.experiments.report import lay_out, mark_departure, markdown, package_versions, save_figure

_KEPT = ".outcome.json"


@dataclass(frozen=True, eq=False)
class Outcome:
    """Results of one target.

    Parameters
    ----------
    title : str
        Caption.
    settings : str
        What was compared on what, one setting a line.
    tables : mapping of str to pandas.DataFrame of str
        Tables of texts by heading.
    reading : str
        How they are to be read, one sentence or two a line.
    departure : str
        What is less than in the paper; empty where nothing is.
    sentences : sequence of str
        How models differ, in words.
    figures : sequence of pathlib.Path
        Figures as ``.png``.
    files : sequence of pathlib.Path
        All files, figures included.
    command : str
        The command that made it; empty where a script did.
    began : str
        When, in ISO 8601 with milliseconds, in UTC.
    """

    title: str
    settings: str
    tables: Mapping[str, pd.DataFrame]
    reading: str
    departure: str = ""
    sentences: Sequence[str] = ()
    figures: Sequence[Path] = field(default_factory=list)
    files: Sequence[Path] = field(default_factory=list)
    command: str = ""
    began: str = ""

    @property
    def text(self) -> str:
        """The tables for a terminal."""
        return "\n\n".join(f"{heading}\n{lay_out(table)}" for heading, table in self.tables.items())


def write_outcome(
    folder: Path,
    *,
    title: str,
    settings: str,
    record: Mapping[str, Any],
    data: Mapping[str, pd.DataFrame],
    tables: Mapping[str, pd.DataFrame],
    reading: str,
    departure: str,
    figures: Mapping[str, Any],
    sentences: Sequence[str] = (),
) -> Outcome:
    """Write all files of a target.

    Parameters
    ----------
    folder : pathlib.Path
        Where to write; made if absent. Files that are there are replaced.
    title, settings, tables, reading, departure, sentences
        See :class:`Outcome`.
    record : mapping
        Settings for ``settings.json``, to which the versions of packages are added.
    data : mapping of str to pandas.DataFrame
        Tables of numbers by file name without ending, each a ``.csv``.
    figures : mapping of str to matplotlib.figure.Figure
        Figures by file name without ending, each a ``.png`` and a ``.pdf``. Where there is a departure from the paper
        they say so.

    Returns
    -------
    Outcome
        With the paths of all files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, table in data.items():
        files.append(folder / f"{name}.csv")
        table.to_csv(files[-1], index=False)
    blocks = [f"## {heading}\n\n{markdown(table)}" for heading, table in tables.items()]
    page = [f"# {title}", settings.replace("\n", "  \n"), *blocks, reading.replace("\n", "\n\n"), *sentences]
    files.append(folder / "table.md")
    files[-1].write_text("\n\n".join(page) + "\n", encoding="utf-8")
    files.append(folder / "settings.json")
    files[-1].write_text(json.dumps({**record, "versions": package_versions()}, indent=2) + "\n", encoding="utf-8")
    pictures = []
    for name, figure in figures.items():
        mark_departure(figure, departure)
        saved = save_figure(figure, folder / name)
        pictures.append(saved[0])
        files += saved
    return Outcome(title, settings, tables, reading, departure, sentences, pictures, files)


def keep_outcome(folder: Path, name: str, outcome: Outcome, command: str, began: str) -> Outcome:
    """Write an outcome into its folder, so that a report can show it later.

    Parameters
    ----------
    folder : pathlib.Path
        The folder of the target.
    name : str
        The target. The file is called after it, since targets may share a folder.
    outcome : Outcome
        What it left behind.
    command, began : str
        The command that made it, and when it began. Runs of other commands in this folder were called before.

    Returns
    -------
    Outcome
        With command and time.
    """
    outcome = replace(outcome, command=command, began=began)
    kept = dict(vars(outcome))
    kept["tables"] = {heading: table.to_dict("split") for heading, table in outcome.tables.items()}
    kept["corners"] = {heading: table.index.name for heading, table in outcome.tables.items()}
    for key in ("figures", "files"):
        kept[key] = [path.relative_to(folder).as_posix() for path in kept[key]]
    path = folder / f"{name}{_KEPT}"
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return outcome


def kept_outcomes(folder: Path) -> dict[str, Outcome]:
    """Read the outcomes that a folder keeps.

    Parameters
    ----------
    folder : pathlib.Path
        The folder of a target.

    Returns
    -------
    dict of str to Outcome
        Outcomes by the name of the target; empty where there are none.

    Raises
    ------
    ValueError
        If a file is damaged.
    """
    outcomes = {}
    for path in sorted(folder.glob(f"*{_KEPT}")):
        try:
            kept = json.loads(path.read_bytes())
            corners = kept.pop("corners")
            kept["tables"] = {
                heading: pd.DataFrame(**table).rename_axis(corners[heading])
                for heading, table in kept["tables"].items()
            }
            for key in ("figures", "files"):
                kept[key] = [folder / name for name in kept[key]]
            outcomes[path.name.removesuffix(_KEPT)] = Outcome(**kept)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is damaged; repeat the command that made it, which keeps the fits") from error
    return outcomes
