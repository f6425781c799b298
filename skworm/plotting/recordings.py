"""Recordings over time: heat maps of traces, traces in the colours of states, and ethograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skworm.frames.index import frame_of_rows, worm_of_rows
from skworm.metrics.bouts import frames_a_second
from skworm.plotting.base import (
    Display,
    add_legend,
    add_strip,
    cells_of_frames,
    draw_states,
    follows_a_gap,
    legend_columns,
    patches_of_states,
    show_time,
    tidy,
    width_of,
)
from skworm.plotting.words import BLACK, LABELLED, LIGHT, PREDICTED, colors_of_states
from skworm.recording import Recording

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCHES_A_NEURON, _INCHES_STRIP = 0.13, 0.2
_N_TRACES, _MARGIN = 4, 0.05
_STRIPS = {"annotated": LABELLED, "state": PREDICTED}
_INCHES_A_STRIP, _INCHES_AROUND, _HEAD, _GAP = 0.3, 1.1, 0.7, 0.25


class RecordingDisplay(Display):
    """Heat map of a worm's traces, above a strip that shows its behavioural state.

    Parameters
    ----------
    recording : Recording
        The worm.
    neurons : sequence of str, optional
        Neurons to show, from top to bottom; by default those identified, or all where none is, such that neurons of
        similar traces are neighbours.

    Attributes
    ----------
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
    >>> display = RecordingDisplay(worm, neurons=["AVAL", "RID"]).plot()
    >>> display.ethogram_ax_.get_xlabel()
    'Time (s)'
    """

    def __init__(self, recording: Recording, *, neurons: Sequence[str] | None = None) -> None:
        self.recording = recording
        self.neurons = neurons

    def plot(self, ax: Axes | None = None) -> RecordingDisplay:
        """Draw the recording.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw the heat map, with the strip right below it. By default a new figure.

        Returns
        -------
        RecordingDisplay
            The display itself.

        Raises
        ------
        ValueError
            If the worm lacks a neuron.
        """
        worm = self.recording
        neurons = _chosen_neurons(worm, self.neurons)
        if self.neurons is None:
            neurons = _by_similarity(worm, neurons)
        colors = colors_of_states([] if worm.states is None else worm.states)
        height = max(0.6, _INCHES_A_NEURON * len(neurons))
        strips: dict[str, Any] = (
            {} if worm.states is None else {"sharex": True, "height_ratios": [height, _INCHES_STRIP]}
        )
        n_panels = 2 if ax is None and strips else 1
        self.ax_, *strip = self._make_axes(ax, n_panels, (7.0, 1.6 + height), n_columns=1, **strips)
        self._draw_traces(worm.traces[:, [worm.neurons.index(neuron) for neuron in neurons]].T)
        self.ax_.set_yticks(range(len(neurons)), neurons[::-1], fontsize="x-small")
        self.ax_.tick_params(axis="y", length=0)
        self.ethogram_ax_: Axes | None = None
        if worm.states is not None:
            self.ethogram_ax_ = add_strip(self.ax_, worm.time, worm.states, colors, *strip)
            self._name_states(colors)
        else:
            self.ax_.set_title(worm.worm, fontsize="medium")
        show_time(self.ethogram_ax_ or self.ax_, np.ptp(worm.time))
        return self

    def _draw_traces(self, traces: np.ndarray) -> None:
        low, high = np.nanpercentile(traces, [1, 99])
        rows = np.arange(len(traces) + 1) - 0.5
        edges, frames = cells_of_frames(self.recording.time)
        cells = np.where(frames < 0, np.nan, traces[::-1, frames])
        self.image_ = self.ax_.pcolormesh(edges, rows, cells, vmin=low, vmax=high, cmap="viridis", rasterized=True)
        self.ax_.set_facecolor(LIGHT)
        beside = self.ax_.inset_axes((1.015, 0, 0.015, 1))
        self.colorbar_ = self.figure_.colorbar(self.image_, cax=beside, label="ΔF/F", extend="both")

    def _name_states(self, colors: Mapping[str, str]) -> None:
        add_legend(
            self.ax_,
            patches_of_states(colors),
            title=self.recording.worm,
            title_fontsize=None,
            ncols=legend_columns(colors, width_of(self.figure_)),
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            fontsize="x-small",
        )


class TraceDisplay(Display):
    r"""Traces of some neurons of a worm over time, in the colours of its states.

    Parameters
    ----------
    recording : Recording
        The worm.
    neurons : sequence of str, optional
        Neurons to show, from top to bottom; by default the first four that are identified, or of all where none is.

    Attributes
    ----------
    axes_ : list of matplotlib.axes.Axes
        One for each neuron, in dF/F.
    lines_ : dict of (neuron, state) to matplotlib.collections.LineCollection
        The pieces of each trace in each state; those of a recording without states under the state ``"trace"``.

    Examples
    --------
    >>> from skworm.datasets import make_worms
    >>> from skworm.plotting import TraceDisplay
    >>> worm = make_worms(1, n_frames=200, random_state=0)[0]
    >>> display = TraceDisplay(worm, neurons=["AVAL", "RID"]).plot()
    >>> [axes.get_ylabel() for axes in display.axes_], display.axes_[-1].get_xlabel()
    (['AVAL\n(ΔF/F)', 'RID\n(ΔF/F)'], 'Time (s)')
    """

    def __init__(self, recording: Recording, *, neurons: Sequence[str] | None = None) -> None:
        self.recording = recording
        self.neurons = neurons

    def plot(self, ax: Any = None) -> TraceDisplay:
        """Draw the traces.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of them, optional
            One for each neuron; by default a new figure.

        Returns
        -------
        TraceDisplay
            The display itself.

        Raises
        ------
        ValueError
            If the worm lacks a neuron or `ax` does not fit the neurons.
        """
        worm = self.recording
        neurons = _chosen_neurons(worm, self.neurons, _N_TRACES)
        colors = colors_of_states([] if worm.states is None else worm.states)
        size = (7.0, 1.1 + 0.85 * len(neurons))
        self._make_axes(ax, len(neurons), size, n_columns=1, what="neurons", sharex=True)
        self.lines_: dict[tuple[str, str], Any] = {}
        edges, _ = cells_of_frames(worm.time)
        for axes, neuron in zip(self.axes_, neurons, strict=True):
            self._draw_trace(axes, neuron, colors or {"trace": BLACK})
            axes.set_xlim(edges[0], edges[-1])
            axes.set_ylabel(f"{neuron}\n(ΔF/F)", fontsize="small")
            tidy(axes)
        show_time(self.axes_[-1], np.ptp(worm.time))
        self.axes_[0].set_title(worm.worm, fontsize="medium")
        if colors:
            given = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}
            self._add_legend(patches_of_states(colors), given=given)
        return self

    def _draw_trace(self, axes: Axes, neuron: str, colors: Mapping[str, str]) -> None:
        from matplotlib.collections import LineCollection

        worm = self.recording
        trace = worm.traces[:, worm.neurons.index(neuron)]
        points = np.column_stack([worm.time, trace])
        segments = np.stack([points[:-1], points[1:]], axis=1)
        # A line over frames that are absent would be drawn where nothing was measured.
        drawn = ~follows_a_gap(worm.time)[1:] & np.isfinite(segments).all(axis=(1, 2))
        for state, color in colors.items():
            own = drawn if worm.states is None else drawn & (worm.states[1:] == state)
            lines = LineCollection(list(segments[own]), colors=color, linewidths=1.2)
            lines.set_capstyle("round")
            self.lines_[neuron, state] = axes.add_collection(lines, autolim=False)
        low, high = np.nanmin(trace), np.nanmax(trace)
        margin = _MARGIN * (high - low or 1.0)
        axes.set_ylim(low - margin, high + margin)


class EthogramDisplay(Display):
    """Strips of behavioural states over time, worm below worm; those of several models follow those labelled.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a frame: columns ``"worm"``, ``"time"``, and one of states for each strip. Frames that are absent, or
        whose state is None, leave gaps.
    strips : mapping of str to str, optional
        Column to label of each strip of a worm, from top to bottom. By default those that
        :func:`skworm.estimators.prediction.decode_states` returns: ``"annotated"``, where there is one, is called
        labelled, and ``"state"`` predicted.
    unit : {"s", "frames"}, default="s"
        Unit of the column ``"time"``.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The strips.
    states_ : list of str
        States of the legend.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.plotting import EthogramDisplay
    >>> table = pd.DataFrame({"worm": "a", "time": [0.0, 0.5, 1.0], "state": ["forward", "forward", "reverse"]})
    >>> EthogramDisplay(table).plot().states_
    ['forward', 'reverse']
    """

    def __init__(self, table: pd.DataFrame, *, strips: Mapping[str, str] | None = None, unit: str = "s") -> None:
        self.table = table
        self.strips = strips
        self.unit = unit

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
        states = {} if y is None else {LABELLED: y}
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
            Labelled states; the index of a Series of :func:`skworm.frames.make_frames` has worm and frame.
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
        models = predictions if isinstance(predictions, Mapping) else {PREDICTED: predictions}
        return cls._from_states({LABELLED: y_true, **models}, y_true, worm=worm, fps=fps, ax=ax)

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
        """Draw the strips.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        EthogramDisplay
            The display itself.

        Raises
        ------
        ValueError
            If a column is missing, or there are no rows.
        """
        strips = self._checked_strips()
        worms = self.table["worm"].unique().tolist()
        colors = colors_of_states(pd.unique(self.table[list(strips)].to_numpy().ravel()))
        self.states_ = list(colors)
        # With several strips a worm, its name is written above them, and their own names on the axis.
        head = _HEAD if len(strips) > 1 and any(map(str, worms)) else 0.0
        places = {
            (worm, column): place * (len(strips) + head + _GAP) + head + number
            for place, worm in enumerate(worms)
            for number, column in enumerate(strips)
        }
        height = max(places.values()) + 1
        [self.ax_] = self._make_axes(ax, 1, (8.0, _INCHES_AROUND + _INCHES_A_STRIP * height))
        for (worm, column), place in places.items():
            own = self.table[self.table["worm"] == worm]
            draw_states(self.ax_, own["time"].to_numpy(), own[column], colors, (place + 0.06, place + 0.94))
            if head and column == next(iter(strips)):
                above: dict[str, Any] = {"transform": self.ax_.get_yaxis_transform(), "va": "bottom"}
                self.ax_.text(0, place - 0.1, str(worm), fontsize="small", **above)
        labels = [strips[column] if len(strips) > 1 else str(worm) for worm, column in places]
        self.ax_.set_ylim(height, 0)
        self.ax_.set_yticks(np.array(list(places.values())) + 0.5, labels, fontsize="small")
        self.ax_.tick_params(axis="y", length=0)
        tidy(self.ax_, left=False)
        if self.unit == "s":
            show_time(self.ax_, np.ptp(self.table["time"]))
        else:
            self.ax_.set_xlabel(f"Time ({self.unit})")
        ncols = legend_columns(colors, width_of(self.figure_))
        add_legend(self.ax_, patches_of_states(colors), ncols=ncols, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        return self

    def _checked_strips(self) -> dict[str, str]:
        strips = dict(self.strips or {name: label for name, label in _STRIPS.items() if name in self.table})
        wanted = ["worm", "time", *(self.strips or ["state"])]
        if not set(wanted) <= set(self.table.columns) or self.table.empty:
            raise ValueError(f"the table needs rows and the columns {sorted(wanted)}; pass that of decode_states")
        return strips


def _chosen_neurons(worm: Recording, neurons: Sequence[str] | None, most: int | None = None) -> list[str]:
    """Check the neurons that are to be shown; by default those identified, or all where none is, `most` at most."""
    chosen = list((worm.identified or worm.neurons)[:most]) if neurons is None else list(neurons)
    lacking = [neuron for neuron in chosen if neuron not in worm.neurons]
    if lacking or not chosen:
        found = f"has no neuron {lacking[0]!r}" if lacking else "is to be shown without neurons"
        raise ValueError(f"worm {worm.worm!r} {found}; choose among {', '.join(worm.neurons)}")
    return chosen


def _by_similarity(worm: Recording, neurons: list[str]) -> list[str]:
    """Order neurons along a tree of correlations, in which neighbours differ least (Bar-Joseph et al. 2001)."""
    if len(neurons) < 3:
        return neurons
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    traces = worm.traces[:, [worm.neurons.index(neuron) for neuron in neurons]].astype(float)
    # Frames without a value say nothing of a neuron, and a constant trace is like no other.
    centred = np.nan_to_num(traces - np.nanmean(traces, axis=0))
    norms = np.linalg.norm(centred, axis=0)
    scaled = centred / np.where(norms > 0, norms, 1.0)
    distances = np.clip(1 - scaled.T @ scaled, 0, 2)
    np.fill_diagonal(distances, 0)
    tree = linkage(squareform(distances, checks=False), method="average", optimal_ordering=True)
    return [neurons[place] for place in leaves_list(tree)]
