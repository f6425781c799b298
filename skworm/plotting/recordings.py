"""Recordings: traces, heat maps and states over time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skworm.frames.index import frame_of_rows, worm_of_rows
from skworm.metrics.bouts import frames_a_second
from skworm.plotting.base import LEGEND_COLUMNS, LINE_COLORS, STATE_COLORS, new_figure
from skworm.recording import Recording

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch


_STRIPS = {"annotated": "annotated", "state": "predicted"}
_INCHES_A_STRIP, _INCHES_AROUND = 0.3, 1.1
_HEAD, _GAP = 0.7, 0.25


def draw_ethogram(strip: Axes, states: np.ndarray, present: list[str], edges: np.ndarray) -> None:
    """Colour a strip by state.

    Parameters
    ----------
    strip : matplotlib.axes.Axes
        Where to draw.
    states : numpy.ndarray of str, shape (n_frames,)
        State of each frame.
    present : list of str
        The states that occur.
    edges : numpy.ndarray of shape (n_frames + 1,)
        When each frame begins, and when the last ends, in seconds.
    """
    from matplotlib.colors import ListedColormap

    colors = ListedColormap([STATE_COLORS[state] for state in present])
    codes = pd.Index(present).get_indexer(pd.Index(states))[np.newaxis]
    strip.pcolormesh(edges, [0, 1], codes, cmap=colors, vmin=-0.5, vmax=len(present) - 0.5, rasterized=True)
    strip.set_yticks([0.5], ["state"], fontsize="x-small")
    strip.tick_params(axis="y", length=0)


def patches_of_states(present: list[str]) -> list[Patch]:
    """Make what a legend shows for states."""
    return _patches({state: STATE_COLORS[state] for state in present})


def edges_of_frames(time: np.ndarray) -> np.ndarray:
    """Put an edge between every two frames, and one at either end."""
    if len(time) == 1:
        return time[0] + np.array([-0.5, 0.5])
    middles = (time[1:] + time[:-1]) / 2
    return np.concatenate([[2 * time[0] - middles[0]], middles, [2 * time[-1] - middles[-1]]])


def states_present(worm: Recording) -> list[str]:
    """List the states of a worm, in the order of their colours.

    Raises
    ------
    ValueError
        If one has no colour.
    """
    found = [] if worm.states is None else np.unique(worm.states).tolist()
    strange = [state for state in found if state not in STATE_COLORS]
    if strange:
        raise ValueError(
            f"worm {worm.worm!r} has the state {strange[0]!r}, which has no colour; translate it with "
            f"load_recordings(..., rename_states={{{strange[0]!r}: 'forward'}}), or to any of {', '.join(STATE_COLORS)}"
        )
    return [state for state in STATE_COLORS if state in found]


class EthogramDisplay:
    """Strips of behavioural states over time, worm below worm; those of several models stand with those labelled.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a frame: columns ``"worm"``, ``"time"``, and one of states for each strip. Frames that are absent, or
        whose state is None, leave gaps.
    strips : mapping of str to str, optional
        Column to label of each strip of a worm, from top to bottom. By default ``"annotated"`` where there is one, and
        ``"state"``, called predicted, as :func:`skworm.estimators.prediction.decode_states` returns them.
    unit : {"s", "frames"}, default="s"
        Unit of the column ``"time"``.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure.
    ax_ : matplotlib.axes.Axes
        The strips.
    states_ : list of str
        States of the legend.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.plotting import EthogramDisplay
    >>> table = pd.DataFrame({"worm": "a", "time": [0.0, 0.5, 1.0], "state": ["forward", "forward", "reverse"]})
    >>> EthogramDisplay.from_table(table).states_
    ['forward', 'reverse']
    """

    def __init__(self, table: pd.DataFrame, *, strips: Mapping[str, str] | None = None, unit: str = "s") -> None:
        self.table = table
        self.strips = strips
        self.unit = unit

    @classmethod
    def from_table(cls, table: pd.DataFrame, *, ax: Axes | None = None) -> EthogramDisplay:
        """Draw a table of states.

        Parameters
        ----------
        table : pandas.DataFrame
            One row a frame.
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        EthogramDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If a column is missing, or there are no rows.
        """
        return cls(table).plot(ax=ax)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any = None, *, worm: Any = None, fps: Any = None, ax: Axes | None = None
    ) -> EthogramDisplay:
        """Draw the states that a fitted classifier predicts, below those labelled.

        Parameters
        ----------
        estimator : scikit-learn classifier
            Fitted.
        X : DataFrame or array-like of shape (n_frames, n_features)
            Frames.
        y : array-like of str, shape (n_frames,), optional
            Labelled states.
        worm : array-like of shape (n_frames,), optional
            Worm of each frame; by default the index level ``"worm"`` of `X`.
        fps : float or mapping of worm to float, optional
            Frames a second; by default those that :func:`skworm.frames.make_frames` noted in ``X.attrs``. Without any
            the axis counts frames.
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        EthogramDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            As :meth:`from_predictions`.
        """
        states = {} if y is None else {"labelled": y}
        states[type(estimator).__name__] = estimator.predict(X)
        return cls._from_states(states, X, worm=worm, fps=fps or getattr(X, "attrs", {}).get("fps"), ax=ax)

    @classmethod
    def from_predictions(
        cls, y_true: Any, predictions: Any, *, worm: Any = None, fps: Any = None, ax: Axes | None = None
    ) -> EthogramDisplay:
        """Draw predicted states below those labelled.

        Parameters
        ----------
        y_true : Series or array-like of str, shape (n_frames,)
            Labelled states; a Series of :func:`skworm.frames.make_frames` tells worm and frame.
        predictions : array-like of str, shape (n_frames,), or mapping of str to such
            Predicted states; a mapping gives a strip a model.
        worm : array-like of shape (n_frames,), optional
            Worm of each frame; by default the index level ``"worm"`` of `y_true`, else all are of one.
        fps : float or mapping of worm to float, optional
            Frames a second; without it the axis counts frames.
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        EthogramDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If shapes do not fit, a frame of a worm comes twice, or `fps` lacks a worm.

        Examples
        --------
        >>> from skworm.plotting import EthogramDisplay
        >>> labelled, predicted = ["forward", "forward", "reverse"], ["forward", "reverse", "reverse"]
        >>> display = EthogramDisplay.from_predictions(labelled, {"GNN": predicted}, fps=2.9)
        >>> [label.get_text() for label in display.ax_.get_yticklabels()], display.ax_.get_xlabel()
        (['labelled', 'GNN'], 'Time (s)')
        """
        models = predictions if isinstance(predictions, Mapping) else {"predicted": predictions}
        return cls._from_states({"labelled": y_true, **models}, y_true, worm=worm, fps=fps, ax=ax)

    @classmethod
    def _from_states(cls, states: dict[str, Any], rows: Any, *, worm: Any, fps: Any, ax: Any) -> EthogramDisplay:
        worms = worm_of_rows(rows, worm)
        worms = np.full(len(rows), "") if worms is None else worms
        table = pd.DataFrame({"worm": worms, "time": frame_of_rows(rows, worms)})
        for name, values in states.items():
            array = np.asarray(values, dtype=str)
            if array.shape != (len(table),):
                raise ValueError(f"the states of {name!r} have shape {array.shape}, but there are {len(table)} frames")
            table[f"states of {name}"] = array
        repeated = table[table.duplicated(["worm", "time"])]
        if len(repeated):
            name, frame = repeated.iloc[0][["worm", "time"]]
            raise ValueError(f"worm {name!r} has frame {frame} more than once; give each recording its own worm name")
        strips = {f"states of {name}": name for name in states}
        # A gap is a frame without a state: the frames at its ends would else be drawn across it.
        whole = [
            own.set_index("time").reindex(range(own["time"].min(), own["time"].max() + 1)).assign(worm=name)
            for name, own in table.groupby("worm", sort=False)
        ]
        table = pd.concat(whole).reset_index()
        if fps is not None:
            rates = {name: frames_a_second(fps, name) for name in table["worm"].unique()}
            table["time"] = table["time"] / table["worm"].map(rates)
        return cls(table, strips=strips, unit="frames" if fps is None else "s").plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> EthogramDisplay:
        """Draw into `ax`, a matplotlib Axes, or into a new figure; return the display itself."""
        strips = self._checked_strips()
        worms = self.table["worm"].unique().tolist()
        colors = _colors(pd.unique(self.table[list(strips)].to_numpy().ravel()))
        self.states_ = list(colors)
        # With several strips a worm, its name stands above them, and their own names on the axis.
        head = _HEAD if len(strips) > 1 and any(map(str, worms)) else 0.0
        places = {
            (worm, column): place * (len(strips) + head + _GAP) + head + number
            for place, worm in enumerate(worms)
            for number, column in enumerate(strips)
        }
        height = max(places.values()) + 1
        if ax is None:
            ax = new_figure((8.0, _INCHES_AROUND + _INCHES_A_STRIP * height)).subplots()
        self.ax_, self.figure_ = ax, ax.figure
        for (worm, column), place in places.items():
            own = self.table[self.table["worm"] == worm]
            self._draw_strip(own["time"].to_numpy(), own[column], place, colors)
            if head and column == next(iter(strips)):
                ax.text(0, place - 0.1, str(worm), transform=ax.get_yaxis_transform(), fontsize="small", va="bottom")
        labels = [strips[column] if len(strips) > 1 else str(worm) for worm, column in places]
        ax.set_ylim(height, 0)
        ax.set_yticks(np.array(list(places.values())) + 0.5, labels, fontsize="small")
        ax.tick_params(axis="y", length=0)
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.set_xlabel(f"Time ({self.unit})")
        ax.legend(
            handles=_patches(colors),
            ncols=-(-len(colors) // -(-len(colors) // 6)),
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            frameon=False,
            fontsize="small",
        )
        return self

    def _checked_strips(self) -> dict[str, str]:
        strips = dict(self.strips or {name: label for name, label in _STRIPS.items() if name in self.table})
        wanted = ["worm", "time", *(self.strips or ["state"])]
        if not set(wanted) <= set(self.table.columns) or self.table.empty:
            raise ValueError(f"the table needs rows and the columns {sorted(wanted)}; pass that of decode_states")
        return strips

    def _draw_strip(self, time: np.ndarray, states: pd.Series, place: float, colors: dict[str, str]) -> None:
        from matplotlib.colors import ListedColormap

        codes = pd.Index(self.states_).get_indexer(pd.Index(states))[np.newaxis]
        self.ax_.pcolormesh(
            edges_of_frames(time),
            [place + 0.06, place + 0.94],
            np.ma.masked_less(codes, 0),
            cmap=ListedColormap(list(colors.values())),
            vmin=-0.5,
            vmax=len(colors) - 0.5,
            rasterized=True,
        )

    def save(self, path: Path, *, dots_per_inch: int = 150) -> None:
        """Write the figure, once drawn, to a file whose ending names the format."""
        from matplotlib.figure import SubFigure

        figure = self.figure_.figure if isinstance(self.figure_, SubFigure) else self.figure_
        figure.savefig(path, dpi=dots_per_inch)


def _patches(colors: Mapping[str, str]) -> list[Patch]:
    from matplotlib.patches import Patch

    return [Patch(color=color, label=state.replace("_", " ")) for state, color in colors.items()]


def _colors(states: Iterable[Any]) -> dict[str, str]:
    named = {state for state in states if isinstance(state, str)}
    known = {state: color for state, color in STATE_COLORS.items() if state in named}
    others = sorted(named - set(known))
    spare = [color for color in LINE_COLORS if color not in known.values()] or list(LINE_COLORS)
    return {**known, **{state: spare[place % len(spare)] for place, state in enumerate(others)}}


_NO_STATES = "#000000"
_N_NEURONS = 4
_LONGEST_STEP = 1.5
_MARGIN = 0.05


class TraceDisplay:
    r"""Traces of some neurons of a worm over time, in the colours of its states.

    Parameters
    ----------
    recording : Recording
        The worm.
    neurons : sequence of str, optional
        Neurons to show, from top to bottom; by default the first four that are identified, or of all where none is.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure.
    axes_ : list of matplotlib.axes.Axes
        One for each neuron, in dF/F.
    lines_ : dict of (neuron, state) to matplotlib.collections.LineCollection
        The pieces of each trace in each state; those of a recording without states under the state ``"trace"``.

    Examples
    --------
    >>> from skworm.datasets import make_worms
    >>> from skworm.plotting import TraceDisplay
    >>> worm = make_worms(1, n_frames=200, random_state=0)[0]
    >>> display = TraceDisplay.from_recording(worm, neurons=["AVAL", "RID"])
    >>> [axes.get_ylabel() for axes in display.axes_], display.axes_[-1].get_xlabel()
    (['AVAL\n(ΔF/F)', 'RID\n(ΔF/F)'], 'Time (s)')
    """

    def __init__(self, recording: Recording, *, neurons: Sequence[str] | None = None) -> None:
        self.recording = recording
        self.neurons = neurons

    @classmethod
    def from_recording(
        cls, recording: Recording, neurons: Sequence[str] | None = None, *, ax: Any = None
    ) -> TraceDisplay:
        """Draw traces of a recording.

        Parameters
        ----------
        recording : Recording
            The worm.
        neurons : sequence of str, optional
            Neurons to show, from top to bottom; by default the first four that are identified, or of all where none is.
        ax : matplotlib Axes or sequence of them, optional
            One for each neuron; by default a new figure.

        Returns
        -------
        TraceDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the worm lacks a neuron, has a state without a colour, or `ax` does not fit the neurons.
        """
        return cls(recording, neurons=neurons).plot(ax=ax)

    def plot(self, ax: Any = None) -> TraceDisplay:
        """Draw into `ax`, one matplotlib Axes for each neuron, or into a new figure; return the display itself."""
        worm = self.recording
        neurons = chosen_neurons(worm, self.neurons, _N_NEURONS)
        present = states_present(worm)
        if ax is None:
            figure = new_figure((7.0, 1.1 + 0.85 * len(neurons)))
            self.axes_: list[Axes] = list(figure.subplots(len(neurons), 1, sharex=True, squeeze=False)[:, 0])
        else:
            self.axes_ = list(np.atleast_1d(ax).ravel())
        if len(self.axes_) != len(neurons):
            raise ValueError(f"ax holds {len(self.axes_)} axes for {len(neurons)} neurons; pass one for each")
        self.figure_ = self.axes_[0].figure
        self.lines_: dict[tuple[str, str], Any] = {}
        edges = edges_of_frames(worm.time)
        for axes, neuron in zip(self.axes_, neurons, strict=True):
            self._draw_trace(axes, neuron, present)
            axes.set_xlim(edges[0], edges[-1])
            axes.set_ylabel(f"{neuron}\n(ΔF/F)", fontsize="small")
            axes.spines[["top", "right"]].set_visible(False)
        self.axes_[-1].set_xlabel("Time (s)")
        self.axes_[0].set_title(worm.worm, fontsize="medium")
        self._add_legend(present, own_figure=ax is None)
        return self

    def _draw_trace(self, axes: Axes, neuron: str, present: list[str]) -> None:
        from matplotlib.collections import LineCollection

        worm = self.recording
        trace = worm.traces[:, worm.neurons.index(neuron)]
        points = np.column_stack([worm.time, trace])
        segments = np.stack([points[:-1], points[1:]], axis=1)
        # A line over frames that are absent would be drawn where nothing was measured.
        drawn = (np.diff(worm.time) * worm.fps < _LONGEST_STEP) & np.isfinite(segments).all(axis=(1, 2))
        for state in present or ["trace"]:
            own = drawn if worm.states is None else drawn & (worm.states[1:] == state)
            lines = LineCollection(list(segments[own]), colors=STATE_COLORS.get(state, _NO_STATES), linewidths=1.2)
            lines.set_capstyle("round")
            self.lines_[neuron, state] = axes.add_collection(lines, autolim=False)
        low, high = np.nanmin(trace), np.nanmax(trace)
        margin = _MARGIN * (high - low or 1.0)
        axes.set_ylim(low - margin, high + margin)

    def _add_legend(self, present: list[str], own_figure: bool) -> None:
        if not present:
            return
        where: Any = self.figure_ if own_figure else self.axes_[-1]
        place: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}
        if own_figure:
            place = {"loc": "outside lower center", "ncols": LEGEND_COLUMNS + 1}
        where.legend(handles=patches_of_states(present), frameon=False, fontsize="small", **place)


def chosen_neurons(worm: Recording, neurons: Sequence[str] | None, most: int | None = None) -> list[str]:
    """Check the neurons that are to be shown; by default those identified, or all where none is, `most` at most."""
    chosen = list((worm.identified or worm.neurons)[:most]) if neurons is None else list(neurons)
    lacking = [neuron for neuron in chosen if neuron not in worm.neurons]
    if lacking or not chosen:
        found = f"has no neuron {lacking[0]!r}" if lacking else "is to be shown without neurons"
        raise ValueError(f"worm {worm.worm!r} {found}; choose among {', '.join(worm.neurons)}")
    return chosen


_INCHES_A_NEURON, _INCHES_STRIP = 0.13, 0.2


class RecordingDisplay:
    """Heat map of a worm's traces, above a strip that tells its behavioural state.

    Parameters
    ----------
    recording : Recording
        The worm.
    neurons : sequence of str, optional
        Neurons to show, from top to bottom; by default those identified, or all where none is.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure.
    ax_ : matplotlib.axes.Axes
        The heat map.
    image_ : matplotlib.collections.QuadMesh
        Its cells.
    colorbar_ : matplotlib.colorbar.Colorbar
        Its colour bar, in dF/F; colours span the 1st to the 99th percentile.
    ethogram_ax_ : matplotlib.axes.Axes or None
        The strip of states; None for a recording without.

    Examples
    --------
    >>> from skworm.datasets import make_worms
    >>> from skworm.plotting import RecordingDisplay
    >>> worm = make_worms(1, n_frames=200, random_state=0)[0]
    >>> display = RecordingDisplay.from_recording(worm, neurons=["AVAL", "RID"])
    >>> display.ethogram_ax_.get_xlabel()
    'Time (s)'
    """

    def __init__(self, recording: Recording, *, neurons: Sequence[str] | None = None) -> None:
        self.recording = recording
        self.neurons = neurons

    @classmethod
    def from_recording(
        cls, recording: Recording, neurons: Sequence[str] | None = None, *, ax: Axes | None = None
    ) -> RecordingDisplay:
        """Draw a recording.

        Parameters
        ----------
        recording : Recording
            The worm.
        neurons : sequence of str, optional
            Neurons to show, from top to bottom; by default those identified, or all where none is.
        ax : matplotlib Axes, optional
            Where to draw the heat map; the strip stands right below it. By default a new figure.

        Returns
        -------
        RecordingDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the worm lacks a neuron, or has a state without a colour.
        """
        return cls(recording, neurons=neurons).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> RecordingDisplay:
        """Draw into `ax`, a matplotlib Axes, or into a new figure; return the display itself."""
        worm = self.recording
        neurons = chosen_neurons(worm, self.neurons)
        present = states_present(worm)
        self.ax_, strip = self._new_axes(len(neurons)) if ax is None else (ax, None)
        self.figure_ = self.ax_.figure
        edges = edges_of_frames(worm.time)
        self._draw_traces(worm.traces[:, [worm.neurons.index(neuron) for neuron in neurons]].T, edges)
        self.ax_.set_yticks(range(len(neurons)), neurons[::-1], fontsize="x-small")
        self.ax_.tick_params(axis="y", length=0)
        self.ethogram_ax_ = strip
        if worm.states is not None:
            self._draw_states(worm.states, present, edges)
        else:
            self.ax_.set_title(worm.worm, fontsize="medium")
        (self.ethogram_ax_ or self.ax_).set_xlabel("Time (s)")
        return self

    def _new_axes(self, n_neurons: int) -> tuple[Axes, Axes | None]:
        height = max(0.6, _INCHES_A_NEURON * n_neurons)
        figure = new_figure((7.0, 1.6 + height))
        if self.recording.states is None:
            return figure.subplots(), None
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[height, _INCHES_STRIP])
        return upper, lower

    def _draw_traces(self, traces: np.ndarray, edges: np.ndarray) -> None:
        low, high = np.nanpercentile(traces, [1, 99])
        rows = np.arange(len(traces) + 1) - 0.5
        self.image_ = self.ax_.pcolormesh(
            edges, rows, traces[::-1], vmin=low, vmax=high, cmap="viridis", rasterized=True
        )
        self.ax_.set_facecolor("#DDDDDD")
        beside = self.ax_.inset_axes((1.015, 0, 0.015, 1))
        self.colorbar_ = self.figure_.colorbar(self.image_, cax=beside, label="ΔF/F", extend="both")

    def _draw_states(self, states: np.ndarray, present: list[str], edges: np.ndarray) -> None:
        if self.ethogram_ax_ is None:
            self.ethogram_ax_ = self.ax_.inset_axes((0, -0.09, 1, 0.06))
            self.ethogram_ax_.sharex(self.ax_)
        draw_ethogram(self.ethogram_ax_, states, present, edges)
        self.ax_.tick_params(axis="x", bottom=False, labelbottom=False)
        self.ax_.legend(
            handles=patches_of_states(present),
            title=self.recording.worm,
            ncols=min(len(present), 4),
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            frameon=False,
            fontsize="x-small",
        )
