"""Words and colours for people: how states, models, evaluations and scores are named and coloured in every picture."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from colorsys import hsv_to_rgb
from types import MappingProxyType
from typing import Any

from skworm.recording import STATES, UNKNOWN

_COLORS = {
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
    UNKNOWN: "#CCCCCC",
}
_FIRST_SPARE = (
    *("forward", "reverse", "dorsal_turn", "ventral_turn", "quiescence"),
    *("turn", "slowing", "reverse_2", "sustained_reverse", "reverse_1"),
)

STATE_COLORS: Mapping[str, str] = MappingProxyType({state: _COLORS[state] for state in STATES})
"""Colour of every state: forward blue, reverse orange to brown, turns green and purple (after Okabe & Ito 2008).

States of one vocabulary are told apart without red, green or blue cones. Their order is that of axes and legends.
"""

LINE_COLORS = ("#5D3FD3", "#EE3377", "#3B7A00", "#00CED1", "#A6D854", "#5B2C6F", "#000075", "#4DAF4A")
"""Colours of models and of worms, in turn. None is that of a state, so that lines are told from the states below."""

BASELINE_STYLES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "persistence": ("ink", "--"),
        "linear": ("#666666", ":"),
        "linear-direct": ("#666666", "-."),
        "linear-uncentred": ("#AAAAAA", ":"),
        "mean": ("#AAAAAA", "--"),
        "clock": ("ink", "--"),
        "majority": ("#777777", ":"),
    }
)
"""Colour and line style of baselines; ``"ink"`` is :func:`ink`."""

GREY, LIGHT = "#666666", "#DDDDDD"
"""Colours of lines that guide the eye, and of cells without a value."""

BAR, DOT = "#C6DDEC", "#0072B2"
"""Colours of a mean and of its worms where all models have the same."""

LABELLED, PREDICTED, TRUE = "labelled", "predicted", "true"
"""What pictures call the states of a person, the states or signals of a model, and signals that were measured."""

MEAN_OVER_WORMS = "mean ± SD over worms; a dot for each worm"


def ink() -> str:
    """Return the colour of what was measured, that of texts: black on a light page, white on a dark one."""
    from matplotlib import rcParams

    return str(rcParams["text.color"])


def readable(name: Any) -> str:
    """Return the name of a state, an evaluation or a kind of fold in words."""
    return str(name).replace("held_out", "held-out").replace("_", " ")


def connectome_label(connectome: Any) -> str:
    """Return what a legend calls a connectome: with its authors and year, where it tells its reference."""
    # "White, Southgate, Thomson & Brenner 1986, Phil. Trans. ..." has more than two authors.
    found = re.match(r"(.*?)(,.*?| et al\..*?)? (\d{4})\b", str(getattr(connectome, "attrs", {}).get("reference", "")))
    return f"connectome ({found[1]}{' et al.' if found[2] else ''} {found[3]})" if found else "reference"


def label_of_score(score: str) -> str:
    """Return the name of a score that is drawn in per cent as the label of its axis."""
    return f"{readable(score).capitalize().replace('f1', 'F1')} (%)"


def colors_of_states(states: Iterable[Any]) -> dict[str, str]:
    """Return a colour for each state that occurs, in the order of axes and legends."""
    named = {str(state) for state in states if isinstance(state, str)}
    colors = {state: color for state, color in STATE_COLORS.items() if state in named - {UNKNOWN}}
    own = sorted(named - set(STATE_COLORS))
    spare = [_COLORS[state] for state in _FIRST_SPARE if state not in named]
    # More states than colours: hues a golden angle apart, which do not come twice.
    hues = (hsv_to_rgb(0.618 * place % 1, 0.45, 0.75) for place in range(len(own) - len(spare)))
    spare += ["#" + "".join(f"{round(255 * part):02X}" for part in hue) for hue in hues]
    colors |= dict(zip(own, spare, strict=False))
    return colors | ({UNKNOWN: _COLORS[UNKNOWN]} if UNKNOWN in named else {})


def style_of_model(model: str, models: Iterable[str]) -> tuple[str, str]:
    """Return colour and line style of a model: grey or ink for baselines, else by its place among the others."""
    if model in BASELINE_STYLES:
        color, style = BASELINE_STYLES[model]
        return ink() if color == "ink" else color, style
    networks = [name for name in models if name not in BASELINE_STYLES]
    return LINE_COLORS[networks.index(model) % len(LINE_COLORS)], "-"
