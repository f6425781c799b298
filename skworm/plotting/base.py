"""What all displays share: figures apart from pyplot, colours of states and models, panels of scores."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


STATE_COLORS: Mapping[str, str] = MappingProxyType(
    {
        "forward": "#0072B2",
        "slowing": "#56B4E9",
        "reverse_1": "#F5C98A",
        "reverse_2": "#E69F00",
        "sustained_reverse": "#8C2D04",
        "reverse": "#D55E00",
        "dorsal_turn": "#009E73",
        "ventral_turn": "#CC79A7",
        "turn": "#882255",
        "quiescence": "#F0E442",
        "unknown": "#CCCCCC",
    }
)
"""Colour of every state: forward blue, reverse orange to brown, turns green and purple (after Okabe & Ito 2008).

States of one vocabulary are told apart without red, green or blue cones. Their order is that of axes and legends.
"""

LINE_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#332288")
"""Colours of models and of worms, in turn (Okabe & Ito 2008, and two of Tol 2021)."""


BASELINE_STYLES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "persistence": ("#000000", "--"),
        "linear": ("#666666", ":"),
        "linear-direct": ("#666666", "-."),
        "linear-uncentred": ("#AAAAAA", ":"),
        "mean": ("#AAAAAA", "--"),
        "clock": ("#000000", "--"),
        "majority": ("#999999", ":"),
    }
)
"""Colour and line style of baselines."""

LEGEND_COLUMNS = 3
"""Columns of a legend below a figure."""


def new_figure(size: tuple[float, float], *, square_axes: bool = False) -> Figure:
    """Make a figure of that width and height in inches; `square_axes` leave room that is used elsewhere."""
    # Apart from pyplot, a figure needs no window, and goes when nobody refers to it.
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="compressed" if square_axes else "constrained")


def style_of_model(model: str, models: Mapping[str, str]) -> tuple[str, str]:
    """Tell colour and line style of a model: grey or black for baselines, else by its place among the others."""
    if model in BASELINE_STYLES:
        return BASELINE_STYLES[model]
    networks = [name for name in models if name not in BASELINE_STYLES]
    return LINE_COLORS[networks.index(model) % len(LINE_COLORS)], "-"
