"""The words and the layout around a table of scores: settings, cells, how to read it."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd

from skworm.experiments.protocol import Material, Protocol, count_fits
from skworm.model_selection.paired_tests import MOST_WORMS_FOR_ALL_FLIPS, smallest_sign_flip_p

_PACKAGES = ("skworm", "numpy", "scipy", "pandas", "scikit-learn", "joblib", "torch", "skorch", "matplotlib")
_LETTERS_AN_INCH, _INCHES_A_LINE = 13, 0.2


def score_text(mean: float, std: float, low: float, high: float, paper: str = "", *, digits: int = 1) -> str:
    """Write a mean over worms, as every table of scores has it.

    Parameters
    ----------
    mean, std, low, high : float
        Mean, standard deviation and the ends of the 95 % interval over worms; NaN where there is none.
    paper : str, default=""
        The paper's own figure.
    digits : int, default=1
        Digits behind the point.

    Returns
    -------
    str
        ``mean ± SD [paper]``, and the interval on a second line.

    Examples
    --------
    >>> from skworm.experiments.report import score_text
    >>> print(score_text(96.04, 2.0, 94.12, 97.5, "97.7 ± 3.1"))
    96.0 ± 2.0 [97.7 ± 3.1]
    (94.1 to 97.5)
    """
    own = "" if np.isnan(mean) else f"{mean:.{digits}f}" + ("" if np.isnan(std) else f" ± {std:.{digits}f}")
    first = " ".join(filter(None, [own, f"[{paper}]" if paper else ""])) or "–"
    return first if np.isnan(low) else f"{first}\n({low:.{digits}f} to {high:.{digits}f})"


def lay_out(cells: pd.DataFrame) -> str:
    r"""Lay a table of texts out for a terminal; a text may have several lines, and a heading ends a line at a comma.

    Parameters
    ----------
    cells : pandas.DataFrame of str
        The texts.

    Returns
    -------
    str
        The table, without blanks at the ends of lines.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.experiments.report import lay_out
    >>> print(lay_out(pd.DataFrame({"unseen worms, 4 states": ["96.0\n(94.1 to 97.5)"]}, index=["GNN"])))
          unseen worms
          4 states
    --------------------
    GNN   96.0
          (94.1 to 97.5)
    """
    titles = [str(title).replace(": ", ", ").replace(", ", "\n", 1) for title in cells.columns]
    grid = [[str(cells.index.name or ""), *titles]]
    grid += [[str(label), *map(str, row)] for label, row in zip(cells.index, cells.to_numpy(), strict=True)]
    rows = [list(zip_longest(*(cell.split("\n") for cell in row), fillvalue="")) for row in grid]
    widths = [max(map(len, column)) for column in zip(*(line for lines in rows for line in lines), strict=True)]
    texts = [["   ".join(map(str.ljust, line, widths)).rstrip() for line in lines] for lines in rows]
    rule = "-" * max(len(line) for lines in texts for line in lines)
    return "\n".join([*texts[0], rule, *(line for lines in texts[1:] for line in lines)])


def markdown(cells: pd.DataFrame) -> str:
    """Write a table of texts as Markdown, its index in the first column.

    Parameters
    ----------
    cells : pandas.DataFrame of str
        The texts.

    Returns
    -------
    str
        A Markdown table.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.experiments.report import markdown
    >>> print(markdown(pd.DataFrame({"accuracy": ["96.0"]}, index=pd.Index(["GNN"], name="model"))))
    | model | accuracy |
    | --- | --- |
    | GNN | 96.0 |
    """
    lines = [[str(cells.index.name), *cells.columns], ["---"] * (len(cells.columns) + 1)]
    lines += [[label, *row] for label, row in zip(cells.index, cells.to_numpy(), strict=True)]
    texts = [[str(text).replace("\n", " ").replace("|", "\\|") for text in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in texts)


def smallest_p_text(n_worms: int) -> str:
    """Write the smallest p that a sign-flip test across worms can reach.

    Examples
    --------
    >>> from skworm.experiments.report import smallest_p_text
    >>> smallest_p_text(5), smallest_p_text(21)
    ('1/16', '0.0001')
    """
    p = smallest_sign_flip_p(n_worms)
    return f"1/{1 / p:.0f}" if n_worms <= MOST_WORMS_FOR_ALL_FLIPS else f"{p:.3g}"


def settings_text(settings: Mapping[str, Any]) -> str:
    """Write settings down, one a line.

    Examples
    --------
    >>> from skworm.experiments.report import settings_text
    >>> print(settings_text({"data": "simulated", "epochs": 800}))
    data:     simulated
    epochs:   800
    """
    return "\n".join(f"{name + ':':<10}{value}" for name, value in settings.items())


def save_figure(figure: Any, path: Path) -> list[Path]:
    """Save a figure as ``.png`` and ``.pdf``, with fonts that can be edited.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    path : pathlib.Path
        File name without ending.

    Returns
    -------
    list of pathlib.Path
        The files.
    """
    from matplotlib import rc_context

    paths = [path.with_suffix(ending) for ending in (".png", ".pdf")]
    with rc_context({"pdf.fonttype": 42}):
        for file in paths:
            figure.savefig(file, dpi=300)
    return paths


def mark_departure(figure: Any, departure: str) -> None:
    """Write above a figure what is less than in the paper.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    departure : str
        Such as ``"1 of 10 folds"``; nothing is written where it is empty.
    """
    if departure:
        letters = int(_LETTERS_AN_INCH * figure.get_figwidth())
        text = fill(f"Not the paper's protocol: {departure}", letters)
        figure.set_figheight(figure.get_figheight() + _INCHES_A_LINE * (1 + text.count("\n")))
        figure.suptitle(text, fontsize="small", color="#D55E00")


def package_versions() -> dict[str, str]:
    """Tell the versions of Python and of the packages that scores depend on.

    Returns
    -------
    dict of str
        Versions by name.
    """
    return {"python": platform.python_version()} | {package: version(package) for package in _PACKAGES}


def describe_settings(protocol: Protocol, material: Material) -> str:
    """Write down what is compared on what, one setting a line.

    Parameters
    ----------
    protocol : Protocol
        Settings.
    material : Material
        Recordings.

    Returns
    -------
    str
        The lines.

    Examples
    --------
    >>> from skworm.experiments.report import describe_settings
    >>> from skworm.experiments.protocol import Protocol, load_material
    >>> protocol = Protocol(external="none")
    >>> print(describe_settings(protocol, load_material(protocol)).splitlines()[0])
    data:     simulated, 5 worms, 7500 frames (1500 to 1500)
    """
    n_frames = [recording.n_frames for recording in material.recordings]
    neurons = f"{len(material.neurons)}: {', '.join(material.neurons)}"
    if material.neurons_left_out:
        neurons += f" (left out, not in every worm: {', '.join(material.neurons_left_out)})"
    external = "none"
    if material.external:
        external = f"{material.external_name}, {len(material.external)} worms"
        if material.external_apart:
            external += f", by fits on the shared neurons {', '.join(material.external_neurons)}"
    lines = {
        "data": f"{protocol.data}, {len(n_frames)} worms, {sum(n_frames)} frames ({min(n_frames)} to {max(n_frames)})",
        "neurons": neurons,
        "states": f"{protocol.states}",
        "training": f"{protocol.n_train_worms} of {len(n_frames)} worms, every combination; {protocol.n_folds} folds "
        f"of windows of 8 frames ({', '.join(protocol.fold_by).replace('_', ' ')})",
        "epochs": f"{protocol.max_epochs}",
        "fits": f"{count_fits(protocol, material)}, baselines included",
        "external": external,
    }
    return settings_text(lines)


def describe_reading(protocol: Protocol, material: Material, table: pd.DataFrame) -> str:
    """Say how the table is to be read.

    Parameters
    ----------
    protocol : Protocol
        Settings.
    material : Material
        Recordings.
    table : pandas.DataFrame
        The table of :func:`skworm.experiments.paper.table_1`.

    Returns
    -------
    str
        One sentence or two a line.
    """
    return "\n".join(_sentences(protocol, material, table))


def turns_merged(protocol: Protocol, material: Material) -> bool:
    """Tell whether the external score counts dorsal and ventral turns as one state.

    Parameters
    ----------
    protocol : Protocol
        Settings.
    material : Material
        Recordings.

    Returns
    -------
    bool
        True where only one side of the comparison tells the side of a turn.
    """
    worms = (*material.recordings, *material.external)
    states = {str(state) for worm in worms if worm.states is not None for state in np.unique(worm.states)}
    sided = not states.isdisjoint({"dorsal_turn", "ventral_turn"})
    return bool(material.external) and protocol.states == "4" and sided and "turn" in states


def cell_texts(table: pd.DataFrame) -> pd.DataFrame:
    """Write a table of Table 1 in texts, a row a model and a column each, the paper's figures in square brackets.

    Parameters
    ----------
    table : pandas.DataFrame
        The table of :func:`skworm.experiments.paper.table_1`.

    Returns
    -------
    pandas.DataFrame of str
        The texts; intervals stand on second lines.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.experiments.report import cell_texts, lay_out
    >>> cell = {"mean": 96.0, "std": 2.0, "mean_low": 94.1, "mean_high": 97.5, "paper_mean": 97.7, "paper_std": 3.1}
    >>> table = pd.DataFrame([{"label": "GNN", "column": "unseen worms", **cell}])
    >>> print(lay_out(cell_texts(table)))
    model   unseen worms
    -------------------------------
    GNN     96.0 ± 2.0 [97.7 ± 3.1]
            (94.1 to 97.5)
    """
    published = map(_published, table["paper_mean"], table["paper_std"])
    ours = (table[name] for name in ("mean", "std", "mean_low", "mean_high"))
    cells = table.assign(text=list(map(score_text, *ours, published)))
    cells = cells.pivot(index="label", columns="column", values="text")
    return cells.loc[table["label"].unique(), table["column"].unique()].rename_axis(index="model", columns=None)


def _published(mean: float, std: float) -> str:
    if np.isnan(mean):
        return ""
    return f"{mean:.1f}".removesuffix(".0") if np.isnan(std) else f"{mean:.1f} ± {std:.1f}"


def _sentences(protocol: Protocol, material: Material, table: pd.DataFrame) -> Iterator[str]:
    n_scored = table.groupby("column", sort=False)["n_worms"].max()
    each = [f"{n} in '{column}'" for column, n in n_scored.items()]
    worms = f"{n_scored.iloc[0]} in every column" if n_scored.nunique() == 1 else ", ".join(each)
    yield (
        f"Accuracy in per cent, mean ± standard deviation over worms ({worms}); each worm's score is first averaged "
        "over the fits that score it. In round brackets the 95 % interval of a bootstrap over worms and fits, which "
        "from few worms is too narrow."
    )
    yield (
        "'Same worm' is scored on the fold of windows held out from the training worms, 'unseen worms' and 'external' "
        f"on all frames of other worms, by the fits with {protocol.fold_by[0].replace('_', ' ')}."
    )
    clock = table[(table["model"] == "clock") & (table["evaluation"] == "held_out_windows")]
    values = " and ".join(f"{row.mean:.1f} in '{row.column}'" for row in clock.itertuples())
    yield (
        f"Clock is 1-nearest neighbour on the frame number alone, without any neural data: {values}. Where a same-worm "
        "score comes near its clock, remembering the moment explains it (leakage); other worms have no such shortcut."
    )
    n_worms = len(material.recordings)
    smallest = smallest_p_text(n_worms)
    yield f"With {n_worms} worms, the smallest two-sided p of a sign-flip test across worms is {smallest}."
    if protocol.departure:
        yield f"Not the paper's protocol: {protocol.departure}."
    if turns_merged(protocol, material):
        yield "On the external recordings dorsal and ventral turns count as one state, turn."
    if material.external_apart:
        yield f"The external column comes from fits on {len(material.external_neurons)} neurons that all worms share."
    if protocol.is_of_table_1:
        simulated = " They are for real worms, and these worms are simulated." if protocol.data == "simulated" else ""
        yield (
            "In square brackets: Wang et al. 2021, Table 1, trained on Kato et al. 2015 (15 neurons), its external "
            f"recordings those of Nichols et al. 2017 (3 neurons).{simulated}"
        )
