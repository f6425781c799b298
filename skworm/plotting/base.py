"""The base of all displays: panels, legends, spines, grids, strips of states, and what their docstrings share."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from colorsys import hsv_to_rgb
from dataclasses import dataclass
from textwrap import wrap
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, dataclass_transform

import numpy as np
import pandas as pd

from skworm.frames.index import worm_of_rows
from skworm.frames.resampling import follows_a_gap
from skworm.recording import UNKNOWN, Recording

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh

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
        UNKNOWN: "#CCCCCC",
    }
)
"""Colour of every state: forward blue, reverse orange to brown, turns green and purple (after Okabe & Ito 2008).

States of one vocabulary are told apart without red, green or blue cones. Their order is that of axes and legends.
"""

_FIRST_SPARE = (
    *("forward", "reverse", "dorsal_turn", "ventral_turn", "quiescence"),
    *("turn", "slowing", "reverse_2", "sustained_reverse", "reverse_1"),
)

LINE_COLORS = ("#5D3FD3", "#EE3377", "#3B7A00", "#00CED1", "#A6D854", "#5B2C6F", "#000075", "#4DAF4A")
"""Colours of models and of worms, in turn. None is that of a state, so that lines stand out from states below them."""

LABELLED, PREDICTED, TRUE = "labelled", "predicted", "true"
"""Names in pictures of states labelled by a person, of what a model predicts, and of signals that were measured."""

BASELINE_STYLES = {
    TRUE: ("ink", "-"),
    "persistence": ("ink", "--"),
    "linear": ("#666666", ":"),
    "linear-direct": ("#666666", "-."),
    "linear-uncentred": ("#AAAAAA", ":"),
    "mean": ("#AAAAAA", "--"),
    "clock": ("ink", "--"),
    "majority": ("#777777", ":"),
}
"""Colour and line style of baselines and of measured signals; ``"ink"`` is :func:`ink`."""

GREY, LIGHT = "#666666", "#DDDDDD"
"""Colours of lines that guide the eye, and of cells without a value."""

DOT = "#0072B2"
"""Colour of the dots of worms where all models have the same."""


def ink() -> str:
    """Return the colour of measured signals, which is that of text: black on a light page, white on a dark one."""
    from matplotlib import rcParams

    return str(rcParams["text.color"])


def readable(name: Any) -> str:
    """Return the name of a state, an evaluation or a kind of fold in words."""
    return str(name).replace("held_out", "held-out").replace("_", " ")


def label_of_score(score: str) -> str:
    """Return the name of a score that is drawn in per cent as the label of its axis."""
    return f"{readable(score).capitalize().replace('f1', 'F1')} (%)"


def colors_of_states(states: Iterable[Any]) -> dict[str, str]:
    """Return a colour for each state that occurs, in the order of axes and legends."""
    named = {str(state) for state in states if isinstance(state, str)}
    colors = {state: color for state, color in STATE_COLORS.items() if state in named - {UNKNOWN}}
    own = sorted(named - set(STATE_COLORS))
    spare = [STATE_COLORS[state] for state in _FIRST_SPARE if state not in named]
    # More states than colours: hues a golden angle apart, which do not come twice.
    hues = (hsv_to_rgb(0.618 * place % 1, 0.45, 0.75) for place in range(len(own) - len(spare)))
    spare += ["#" + "".join(f"{round(255 * part):02X}" for part in hue) for hue in hues]
    colors |= dict(zip(own, spare, strict=False))
    return colors | ({UNKNOWN: STATE_COLORS[UNKNOWN]} if UNKNOWN in named else {})


def style_of_model(model: str, models: Iterable[str]) -> tuple[str, str]:
    """Return colour and line style of a model: grey or ink for baselines, else by its place among the others."""
    if model in BASELINE_STYLES:
        color, style = BASELINE_STYLES[model]
        return ink() if color == "ink" else color, style
    networks = [name for name in models if name not in BASELINE_STYLES]
    return LINE_COLORS[networks.index(model) % len(LINE_COLORS)], "-"


_BELOW = "outside lower center"
_LETTERS_AN_INCH, _INCHES_A_LINE = 13, 0.2
_LONGEST_IN_SECONDS = 300.0
_INCHES_OF_HANDLE, _INCHES_A_LETTER, _LEAST_INCHES_OF_PANEL = 0.56, 0.065, 1.7

_AX = "ax : matplotlib Axes or sequence of them, optional\n    One for each panel; by default a new figure."
_DRAWN = """
Returns
-------
Display
    The display, drawn.

Raises
------
ValueError
    If the data lack what is to be drawn, or shapes or `ax` do not fit."""

_SHARED = {
    "models": """\
models : mapping of str to str, optional
    Label of each model, in the order of the legend, which also sets the colours; by default all models.""",
    "curve": """\
reference : mapping of (panel, model, x) to float, optional
    Published scores, in the unit of the models' scores.
reference_label : str, default="published"
    What the legend calls them.""",
    "y_true": """\
y_true : Series or array-like of str, shape (n_frames,)
    Labelled states; ``"unknown"`` is left out.""",
    "worm": """\
worm : array-like of shape (n_frames,), optional
    Worm of each frame; by default the index level ``"worm"`` of the frames.""",
    "ax": f"{_AX}\n{_DRAWN}",
    "options": f"{_AX}\n**options\n    Further parameters of the class.\n{_DRAWN}",
}


@dataclass_transform(eq_default=False)
class Display:
    """What all displays are: artists drawn by ``plot`` into axes that are given, or into a figure of their own.

    Subclasses are dataclasses. A line ``%(name)s`` in their docstrings stands for a part that several share.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure.
    axes_ : list of matplotlib.axes.Axes
        The panels.
    """

    figure_: Any
    axes_: list[Axes]
    _own_figure: bool
    _width: float | None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__()
        dataclass(cls, eq=False, repr=False, **options)
        for documented in (cls, *(getattr(member, "__func__", member) for member in vars(cls).values())):
            if "%(" in (getattr(documented, "__doc__", None) or ""):
                doc = inspect.cleandoc(documented.__doc__) + "\n"
                documented.__doc__ = re.sub(r"^%\((\w+)\)s$", lambda line: _SHARED[line[1]], doc, flags=re.MULTILINE)

    def plot(self, ax: Any = None, *, width: float | None = None) -> Self:
        """Draw into given axes or into a new figure.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of them, optional
            One for each panel; by default a new figure.
        width : float, optional
            Width of a new figure in inches, such as 3.35 (85 mm) for a column of a journal: panels that are too
            narrow then stand below each other. By default each has room.

        Returns
        -------
        Display
            The display itself.

        Raises
        ------
        ValueError
            If the data lack what is to be drawn, or `ax` does not hold an Axes for each panel.
        """
        self._width = width
        self._draw(ax)
        return self

    def _draw(self, ax: Any) -> None:
        raise NotImplementedError

    @property
    def ax_(self) -> Axes:
        """The first of the panels."""
        return self.axes_[0]

    def _make_axes(
        self, ax: Any, n_panels: int, size: tuple[float, float], *, n_columns: int = 0, square: bool = False, **kw: Any
    ) -> None:
        """Take the given axes, one for each panel, or make a figure of `size` in inches with that many panels.

        Panels are in rows of `n_columns`, by default in one row. Those that keep the shape of their data are `square`:
        the figure then takes away the room that is left. `kw` has the options of ``Figure.subplots``.
        """
        self._own_figure = ax is None
        if ax is None:
            # A figure that pyplot does not know needs no window, and is freed when nothing refers to it.
            from matplotlib.figure import Figure

            n_columns = n_columns or n_panels
            n_rows = -(-n_panels // n_columns)
            if self._width is not None:
                # Panels that would be too narrow stand below each other; square ones keep their shape.
                columns_before, rows_before = n_columns, n_rows
                n_columns = min(n_columns, max(1, int(self._width / _LEAST_INCHES_OF_PANEL)))
                n_rows = -(-n_panels // n_columns)
                scale = self._width * columns_before / n_columns / size[0] if square else 1.0
                size = self._width, size[1] * scale * n_rows / rows_before
            figure = Figure(figsize=size, layout="compressed" if square else "constrained")
            places = figure.subplots(n_rows, n_columns, squeeze=False, **kw).ravel()
            for unused in places[n_panels:]:
                unused.remove()
            ax = places[:n_panels]
        self.axes_ = list(np.atleast_1d(ax).ravel())
        if len(self.axes_) != n_panels:
            raise ValueError(f"ax holds {len(self.axes_)} axes for {n_panels} panels; pass one for each")
        self.figure_ = self.ax_.figure

    def _add_legend(
        self, handles: Mapping[str, Any], *, given: Any = None, axes: Any = None, loc: str = _BELOW, **options: Any
    ) -> Any:
        """Place a legend outside the axes of a figure of its own, or else in given axes, as `given` says."""
        if not self._own_figure:
            return add_legend(axes or self.axes_[-1], handles, **options, **(given or {}))
        if self._width is not None:
            loc = _BELOW
        columns = 1 if "right" in loc else self._legend_columns(handles)
        return add_legend(self.figure_, handles, loc=loc, ncols=columns, **options)

    def _add_legend_above(self, handles: Mapping[str, Any], title: str = "") -> None:
        """Place a legend right above the first panel, below a title."""
        place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "title_fontsize": "medium"}
        add_legend(self.ax_, handles, title=title, ncols=self._legend_columns(handles), **place)

    def _legend_columns(self, labels: Collection[str]) -> int:
        return legend_columns(labels, self.figure_.bbox.width / self.figure_.dpi)


class ClassifierDisplay(Display):
    """A display of what a classifier predicts, which ``_predict`` gives to ``from_predictions``."""

    from_predictions: ClassVar[Any]

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any = None, *, worm: Any = None, ax: Any = None, **options: Any
    ) -> Self:
        """Draw what a fitted classifier predicts."""
        if y is not None and isinstance(X, pd.DataFrame) and len(y) == len(X):
            y = pd.Series(np.asarray(y), index=X.index)
        options = {**cls._predict(estimator, X), **options}
        return cls.from_predictions(y, worm=worm_of_rows(X, worm), ax=ax, **options)

    @classmethod
    def _predict(cls, estimator: Any, X: Any) -> dict[str, Any]:
        states = estimator.predict(X)
        if isinstance(X, pd.DataFrame):
            states = pd.Series(states, index=X.index)
        return {"predictions": {type(estimator).__name__: states}}


def add_legend(where: Any, handles: Mapping[str, Any], **options: Any) -> Any:
    """Add a legend without a frame to a figure or to axes, and return it."""
    style = {"frameon": False, "fontsize": "small", "title_fontsize": "small", **options}
    return where.legend(list(handles.values()), list(handles), **style)


def write_above(figure: Any, lines: Sequence[str], **style: Any) -> None:
    """Write lines above a figure, wrapped to its width, and make room for them."""
    wrapped = [part for line in lines for part in wrap(line, int(_LETTERS_AN_INCH * figure.get_figwidth()))]
    figure.set_figheight(figure.get_figheight() + _INCHES_A_LINE * len(wrapped))
    figure.suptitle("\n".join(wrapped), fontsize="small", **style)


def legend_columns(labels: Collection[str], width: float) -> int:
    """Return how many columns of a legend fit into a width in inches, such that its rows are even."""
    widest = _INCHES_OF_HANDLE + _INCHES_A_LETTER * max(map(len, labels))
    n_rows = -(-len(labels) // max(1, int(width / widest)))
    return -(-len(labels) // n_rows)


def tidy(axes: Axes, *, grid: Literal["x", "y", "both"] | None = None, left: bool = True) -> None:
    """Hide the spines that carry no ticks, and draw a pale grid below the data."""
    axes.spines[["top", "right"] if left else ["top", "right", "left"]].set_visible(False)
    if grid:
        axes.grid(axis=grid, color="#7F7F7F", alpha=0.2, linewidth=0.6)
        axes.set_axisbelow(True)


def name_rows(axes: Axes, names: Sequence[str], **style: Any) -> None:
    """Name the rows of a picture, from top to bottom."""
    axes.set_yticks(range(len(names)), names, **style)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def chosen_neurons(wanted: Sequence[str], known: Collection[str], whose: str) -> list[str]:
    """Return the neurons that are to be shown, in their order, if all of them are known."""
    lacking = [neuron for neuron in wanted if neuron not in known]
    if lacking or not len(wanted):
        found = f"has no neuron {lacking[0]!r}" if lacking else "is to be shown without neurons"
        raise ValueError(f"{whose} {found}; choose among {', '.join(map(str, known))}")
    return list(wanted)


def draw_segments(
    axes: Axes, points: np.ndarray, joined: np.ndarray, states: np.ndarray, colors: Mapping[str, str], **style: Any
) -> dict[str, Any]:
    """Draw lines between frames that are joined to the one before, a collection for each state, and return these.

    `points` of shape (n_frames, 2) may hold NaN, and `joined` has one entry less.
    """
    from matplotlib.collections import LineCollection

    segments = np.stack([points[:-1], points[1:]], axis=1)
    drawn = joined & np.isfinite(segments).all(axis=(1, 2))
    of_state = {name: segments[drawn & (states[1:] == name)] for name in colors}
    lines = {name: LineCollection(list(own), colors=colors[name], **style) for name, own in of_state.items()}
    return {name: axes.add_collection(own) for name, own in lines.items()}


def draw_dots(axes: Axes, x: Any, y: Any, color: str, **style: Any) -> Any:
    """Draw open dots, one for each worm, so that overlapping dots and a mean among them stay visible."""
    return axes.plot(x, y, "o", color=color, markerfacecolor="none", markersize=3.5, markeredgewidth=0.9, **style)[0]


def cells_of_frames(time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges of the cells that frames take on an axis of time, and the frame of each cell, -1 for a gap.

    A frame reaches half way to its neighbours, but no further than half a usual frame where frames are absent.
    """
    steps = np.diff(time)
    half = np.median(steps) / 2 if len(steps) else 0.5
    gaps = np.flatnonzero(follows_a_gap(time)[1:])
    edges = np.concatenate([[time[0] - half], (time[1:] + time[:-1]) / 2, [time[-1] + half]])
    edges[gaps + 1] = time[gaps] + half
    edges = np.insert(edges, gaps + 2, time[gaps + 1] - half)
    return edges, np.insert(np.arange(len(time)), gaps + 1, -1)


def draw_states(
    axes: Axes, time: np.ndarray, states: Any, colors: Mapping[str, str], rows: Sequence[float] = (0, 1)
) -> QuadMesh:
    """Colour a strip between two rows by state; frames without one leave a gap."""
    from matplotlib.colors import ListedColormap

    edges, frames = cells_of_frames(time)
    codes = pd.Index(list(colors)).get_indexer(pd.Index(states))
    cells = np.ma.masked_less(np.where(frames < 0, -1, codes[frames])[np.newaxis], 0)
    shades = ListedColormap(list(colors.values()))
    return axes.pcolormesh(edges, rows, cells, cmap=shades, vmin=-0.5, vmax=len(colors) - 0.5, rasterized=True)


def add_strip(axes: Axes, worm: Recording, height: float = 0.06) -> Axes | None:
    """Colour a strip below the axes by state, if the worm has states, and return it; label the axis of time."""
    strip = None
    if worm.states is not None:
        strip = axes.inset_axes((0, -1.5 * height, 1, height))
        strip.sharex(axes)
        draw_states(strip, worm.time, worm.states, colors_of_states(worm.states))
        strip.set_yticks([0.5], ["state"], fontsize="x-small")
        strip.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", bottom=False, labelbottom=False)
    show_time(strip or axes)
    return strip


def show_time(axes: Axes) -> None:
    """Label an axis, whose data are in seconds, in seconds, or in minutes where it spans more than five."""
    seconds = float(np.ptp(axes.get_xlim()))
    if seconds > _LONGEST_IN_SECONDS:
        from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

        step = np.diff(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]).tick_values(0, seconds / 60))[0]
        axes.xaxis.set_major_locator(MultipleLocator(60 * step))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 60:g}"))
    axes.set_xlabel("Time (min)" if seconds > _LONGEST_IN_SECONDS else "Time (s)")


def checked_predictions(models: Mapping[str, Any], shape: Any, what: str, dtype: type = float) -> dict[str, np.ndarray]:
    """Return the predictions of models as arrays, after checking that they have the shape of `what`."""
    arrays: dict[str, np.ndarray] = {name: np.asarray(values, dtype=dtype) for name, values in models.items()}
    for name, array in arrays.items():
        if array.shape != shape:
            whose = f" of {name!r}" if name else ""
            raise ValueError(f"predictions{whose} have shape {array.shape}, but {what} has {shape}")
    return arrays


def require_columns(table: pd.DataFrame, wanted: Collection[str], source: str) -> None:
    """Check that a table has rows and columns, or say where such a table is from."""
    lacking = [name for name in wanted if name not in table]
    if lacking or table.empty:
        found = f"lacks the columns {lacking}" if lacking else "has no rows"
        raise ValueError(f"the table {found}; pass {source}")


def patches_of_states(states: Any, colors: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what a legend shows for states; `colors` are those of a picture that shows some of its states."""
    from matplotlib.patches import Patch

    shown = colors_of_states(states)
    return {readable(state): Patch(color=(colors or shown)[state]) for state in shown}
