"""One page that shows every target: a single HTML file with its pictures inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from skworm.experiments.outcome import Outcome
from skworm.experiments.pages import render, section_of
from skworm.experiments.report import package_versions


@dataclass(frozen=True)
class Finished:
    """A target that has been run.

    Parameters
    ----------
    name : str
        The target.
    command : str
        The command that repeats it alone.
    seconds : float
        Wall time of this call; fits that were there already cost nothing.
    outcome : Outcome or None
        What it left behind; None where it failed.
    error : str
        What went wrong; empty where nothing did.
    """

    name: str
    command: str
    seconds: float
    outcome: Outcome | None
    error: str


def write_index(
    folder: Path, finished: Sequence[Finished], *, waiting: Sequence[str] = (), quick: bool = False
) -> Path:
    """Write ``index.html``.

    Parameters
    ----------
    folder : pathlib.Path
        Where; files of the targets are linked relative to it.
    finished : sequence of Finished
        Targets, in order.
    waiting : sequence of str
        Targets that have not been run yet.
    quick : bool, default=False
        Whether folds, epochs and combinations are few.

    Returns
    -------
    pathlib.Path
        The file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    targets = [_target(folder, target) for target in finished]
    path.write_text(render("index.html", targets=targets, waiting=waiting, quick=quick), encoding="utf-8")
    return path


def _target(folder: Path, target: Finished) -> dict[str, Any]:
    shown = {"name": target.name, "command": target.command, "seconds": f"{target.seconds:.0f}"}
    outcome = target.outcome
    if outcome is None:
        return {**shown, "failed": True, "error": target.error}
    section = section_of(target.name, outcome)
    versions = ", ".join(f"{name} {version}" for name, version in package_versions().items())
    return {
        **shown,
        "failed": False,
        "title": outcome.title,
        "section": replace(section, settings=f"{section.settings}\nversions: {versions}"),
        "files": [(path.relative_to(folder).as_posix(), path.name) for path in outcome.files],
    }
