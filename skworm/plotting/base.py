"""The base of all displays: their figure and its panels, spines, grids, legends, and strips of states."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd

from skworm.frames.index import worm_of_rows
from skworm.plotting.words import readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh

_LONGEST_STEP, _LONGEST_IN_SECONDS = 1.5, 300.0

_INCHES_OF_HANDLE, _INCHES_A_LETTER = 0.6, 0.065


class Display:
    """What all displays are: artists drawn by ``plot`` into axes that are given, or into a figure of their own.

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

    def save(self, path: str | os.PathLike[str], *, dots_per_inch: int = 150) -> None:
        """Write the figure, once drawn, to a file whose ending names the format."""
        from matplotlib.figure import SubFigure

        figure = self.figure_.figure if isinstance(self.figure_, SubFigure) else self.figure_
        figure.savefig(path, dpi=dots_per_inch)

    def _make_axes(
        self,
        ax: Any,
        n_panels: int,
        size: tuple[float, float],
        *,
        n_columns: int | None = None,
        square: bool = False,
        what: str = "panels",
        **grid: Any,
    ) -> list[Axes]:
        """Take the given axes, one for each panel, or make a figure of `size` in inches with that many panels.

        Panels are in rows of `n_columns`, by default in one row. Those that keep the shape of their data are `square`:
        the figure then takes away the room that is left. An error calls panels by `what`. `grid` has the options of
        ``Figure.subplots``.
        """
        self._own_figure = ax is None
        if ax is None:
            # Apart from pyplot, a figure needs no window, and goes when nobody refers to it.
            from matplotlib.figure import Figure

            figure = Figure(figsize=size, layout="compressed" if square else "constrained")
            n_columns = n_columns or n_panels
            places = figure.subplots(-(-n_panels // n_columns), n_columns, squeeze=False, **grid).ravel()
            for unused in places[n_panels:]:
                unused.remove()
            ax = places[:n_panels]
        self.axes_ = list(np.atleast_1d(ax).ravel())
        if len(self.axes_) != n_panels:
            raise ValueError(f"ax holds {len(self.axes_)} axes for {n_panels} {what}; pass one for each")
        self.figure_ = self.axes_[0].figure
        return self.axes_

    def _add_legend(
        self,
        handles: Mapping[str, Any],
        *,
        given: Mapping[str, Any] | None = None,
        axes: Axes | None = None,
        loc: str = "outside lower center",
        **options: Any,
    ) -> Any:
        """Place a legend outside the axes of a figure of its own, or else in given axes, as `given` says."""
        if not self._own_figure:
            return add_legend(axes or self.axes_[-1], handles, **options, **(given or {}))
        columns = 1 if "right" in loc else legend_columns(handles, width_of(self.figure_))
        return add_legend(self.figure_, handles, loc=loc, ncols=columns, **options)


class ClassifierDisplay(Display):
    """A display of what a classifier predicts, which ``_predict`` hands to ``from_predictions``."""

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, worm: Any = None, ax: Any = None, **options: Any
    ) -> Self:
        """Draw what a fitted classifier predicts.

        Parameters
        ----------
        estimator : scikit-learn classifier
            Fitted.
        X : DataFrame or array-like of shape (n_frames, n_features)
            Frames, best of worms that the classifier has not seen.
        y : array-like of str, shape (n_frames,)
            Labelled states; ``"unknown"`` is left out.
        worm : array-like of shape (n_frames,), optional
            Worm of each frame; by default the index level ``"worm"`` of `X`.
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure.
        **options
            Further options of ``from_predictions``.

        Returns
        -------
        Display
            The display, drawn.

        Raises
        ------
        ValueError
            As ``from_predictions``.
        """
        return cls.from_predictions(y, worm=worm_of_rows(X, worm), ax=ax, **cls._predict(estimator, X), **options)

    from_predictions: ClassVar[Callable[..., Any]]

    @staticmethod
    def _predict(estimator: Any, X: Any) -> dict[str, Any]:
        return {"predictions": {type(estimator).__name__: estimator.predict(X)}}


def add_legend(where: Any, handles: Mapping[str, Any], **options: Any) -> Any:
    """Add a legend without a frame to a figure or to axes, and return it."""
    style = {"frameon": False, "fontsize": "small", "title_fontsize": "small", **options}
    return where.legend(list(handles.values()), list(handles), **style)


def legend_columns(labels: Collection[str], width: float) -> int:
    """Return how many columns of a legend fit into a width in inches, such that its rows are even."""
    widest = _INCHES_OF_HANDLE + _INCHES_A_LETTER * max(map(len, labels))
    n_rows = -(-len(labels) // max(1, int(width / widest)))
    return -(-len(labels) // n_rows)


def width_of(figure: Any) -> float:
    """Return the width in inches of a figure or of a part of one."""
    return float(figure.bbox.width / figure.dpi)


def tidy(axes: Axes, *, grid: Literal["x", "y", "both"] | None = None, left: bool = True) -> None:
    """Hide the spines that carry no ticks, and draw a pale grid below the data."""
    axes.spines[["top", "right"] if left else ["top", "right", "left"]].set_visible(False)
    if grid:
        axes.grid(axis=grid, color="#E5E5E5", linewidth=0.6)
        axes.set_axisbelow(True)


def name_rows(axes: Axes, names: Sequence[str], *, margin: float = 0.5, **style: Any) -> None:
    """Name the rows of a picture, from top to bottom, with some room above the first."""
    axes.set_yticks(range(len(names)), names, **style)
    axes.set_ylim(len(names) - 1 + margin, -margin)
    axes.tick_params(axis="y", length=0)


def draw_dots(axes: Axes, x: Any, y: Any, color: str, **style: Any) -> Any:
    """Draw a dot a worm, open, so that several at one place are seen and a mean among them is told apart."""
    return axes.plot(x, y, "o", color=color, markerfacecolor="none", markersize=3.5, markeredgewidth=0.9, **style)[0]


def cells_of_frames(time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells that frames take on an axis of time.

    Parameters
    ----------
    time : numpy.ndarray of shape (n_frames,)
        Time of each frame, ascending.

    Returns
    -------
    edges : numpy.ndarray of shape (n_cells + 1,)
        Where each cell begins, and where the last ends. A frame reaches half way to its neighbours, but no further
        than half a usual frame where frames are absent.
    frames : numpy.ndarray of int, shape (n_cells,)
        Frame of each cell; -1 for a gap.

    Examples
    --------
    >>> import numpy as np
    >>> from skworm.plotting.base import cells_of_frames
    >>> edges, frames = cells_of_frames(np.array([0.0, 1.0, 2.0, 9.0]))
    >>> edges.tolist(), frames.tolist()
    ([-0.5, 0.5, 1.5, 2.5, 8.5, 9.5], [0, 1, 2, -1, 3])
    """
    steps = np.diff(time)
    half = np.median(steps) / 2 if len(steps) else 0.5
    gaps = np.flatnonzero(follows_a_gap(time)[1:])
    edges = np.concatenate([[time[0] - half], (time[1:] + time[:-1]) / 2, [time[-1] + half]])
    edges[gaps + 1] = time[gaps] + half
    edges = np.insert(edges, gaps + 2, time[gaps + 1] - half)
    return edges, np.insert(np.arange(len(time)), gaps + 1, -1)


def follows_a_gap(time: np.ndarray) -> np.ndarray:
    """Return which frames lie further behind the one before than frames usually do; the first does not."""
    steps = np.diff(time)
    return (
        np.concatenate([[False], steps > _LONGEST_STEP * np.median(steps)]) if len(steps) else np.zeros(len(time), bool)
    )


def draw_states(
    axes: Axes, time: np.ndarray, states: Any, colors: Mapping[str, str], rows: Sequence[float] = (0, 1)
) -> QuadMesh:
    """Colour a strip by state.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to draw.
    time : numpy.ndarray of shape (n_frames,)
        Time of each frame.
    states : array-like of str or None, shape (n_frames,)
        State of each frame; frames without one leave a gap.
    colors : mapping of str to str
        Colour of every state.
    rows : tuple of two float, default=(0, 1)
        Where the strip begins and ends, in data coordinates.
    """
    from matplotlib.colors import ListedColormap

    edges, frames = cells_of_frames(time)
    codes = pd.Index(list(colors)).get_indexer(pd.Index(states))
    cells = np.ma.masked_less(np.where(frames < 0, -1, codes[frames])[np.newaxis], 0)
    shades = ListedColormap(list(colors.values()))
    return axes.pcolormesh(edges, rows, cells, cmap=shades, vmin=-0.5, vmax=len(colors) - 0.5, rasterized=True)


def add_strip(axes: Axes, time: np.ndarray, states: Any, colors: Mapping[str, str], strip: Axes | None = None) -> Axes:
    """Colour a strip right below the axes by state, or one that is given, and return it; it has their axis of time."""
    if strip is None:
        strip = axes.inset_axes((0, -0.1, 1, 0.06))
        strip.sharex(axes)
    draw_states(strip, time, states, colors)
    strip.set_yticks([0.5], ["state"], fontsize="x-small")
    strip.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", bottom=False, labelbottom=False)
    return strip


def show_time(axes: Axes, seconds: float) -> None:
    """Label an axis of time in seconds, or in minutes where it spans more than five.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        The axes, whose data are in seconds.
    seconds : float
        What the axis spans.
    """
    if seconds > _LONGEST_IN_SECONDS:
        from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

        step = np.diff(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]).tick_values(0, seconds / 60))[0]
        axes.xaxis.set_major_locator(MultipleLocator(60 * step))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 60:g}"))
    axes.set_xlabel("Time (min)" if seconds > _LONGEST_IN_SECONDS else "Time (s)")


def patches_of_states(colors: Mapping[str, str]) -> dict[str, Any]:
    """Return what a legend shows for states."""
    from matplotlib.patches import Patch

    return {readable(state): Patch(color=color) for state, color in colors.items()}
