"""One page that shows every target: a single HTML file with its pictures inside."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from skworm.experiments.outcome import Outcome
from skworm.experiments.report import package_versions

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h2 { border-top: 1px solid #ccc; padding-top: 1rem; margin-top: 2.5rem; }
table { border-collapse: collapse; margin: .6rem 0 1.2rem; font-size: 13px; display: block; overflow-x: auto; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .2rem .7rem .2rem 0; text-align: left; border-bottom: 1px solid #e5e5e5; white-space: nowrap; }
pre { background: #f6f6f6; padding: .6rem; overflow-x: auto; font-size: 13px; white-space: pre-wrap; }
img { max-width: 100%; }
.departure, .failed { color: #b34700; font-weight: 600; }
"""


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
    path.write_text("\n".join(_page(folder, finished, waiting, quick)) + "\n", encoding="utf-8")
    return path


def _page(folder: Path, finished: Sequence[Finished], waiting: Sequence[str], quick: bool) -> Iterator[str]:
    yield "<!DOCTYPE html>"
    yield '<html lang="en"><head><meta charset="utf-8"><title>skworm reproduce all</title>'
    yield f"<style>{_STYLE}</style></head>"
    yield "<body><h1>Wang et al. 2021, repeated by skworm</h1>"
    yield (
        "<p>P. Y. Wang, S. Sapra, V. K. George and G. A. Silva, “Generalizable Machine Learning in Neuroscience using "
        "Graph Neural Networks”. The paper's numbers stand in square brackets beside the repeated ones.</p>"
    )
    if quick:
        yield (
            '<p class="departure">A quick run: few folds, few epochs and few combinations of training worms. It shows '
            "that everything runs and what it looks like; its numbers are not those of the paper's protocol.</p>"
        )
    yield "<table><tr><th>target</th><th>result</th><th>wall time</th></tr>"
    for target in finished:
        result = '<span class="failed">failed</span>' if target.outcome is None else escape(target.outcome.title)
        link = f'<a href="#{escape(target.name)}">{escape(target.name)}</a>'
        yield f"<tr><td>{link}</td><td>{result}</td><td>{target.seconds:.0f} s</td></tr>"
    for name in waiting:
        yield f"<tr><td>{escape(name)}</td><td>not run yet</td><td></td></tr>"
    yield "</table>"
    for target in finished:
        yield from _section(folder, target)
    yield "</body></html>"


def _section(folder: Path, target: Finished) -> Iterator[str]:
    yield f'<h2 id="{escape(target.name)}">{escape(target.name)}</h2>'
    yield f"<pre>{escape(target.command)}</pre>"
    outcome = target.outcome
    if outcome is None:
        yield f'<p class="failed">Failed; the other targets are not affected.</p><pre>{escape(target.error)}</pre>'
        return
    yield f"<p><strong>{escape(outcome.title)}</strong></p>"
    if outcome.departure:
        yield f'<p class="departure">Not the paper\'s protocol: {escape(outcome.departure)}.</p>'
    versions = ", ".join(f"{name} {version}" for name, version in package_versions().items())
    yield f"<pre>{escape(outcome.settings)}\nversions: {escape(versions)}</pre>"
    for picture in outcome.figures:
        code = base64.b64encode(picture.read_bytes()).decode("ascii")
        caption = escape(f"{outcome.title} ({picture.stem})")
        yield f'<p><img alt="{caption}" src="data:image/png;base64,{code}"></p>'
    for heading, table in outcome.tables.items():
        yield (
            table.rename_axis(index=None)
            .to_html(border=0)
            .replace("<thead>", f"<caption>{escape(outcome.title)}: {escape(heading)}</caption><thead>", 1)
        )
    yield "".join(f"<p>{escape(line)}</p>" for line in outcome.reading.splitlines())
    links = (
        f'<a href="{escape(path.relative_to(folder).as_posix())}">{escape(path.name)}</a>' for path in outcome.files
    )
    yield f"<p>Files: {', '.join(links)}</p>"
