"""Recordings over time and on the manifold: heat maps, traces in the colours of states, ethograms, trajectories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY
from itertools import combinations
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from skworm.frames.index import check_frames_differ, frame_of_rows, worm_of_rows
from skworm.frames.resampling import follows_a_gap
from skworm.metrics.bouts import frames_a_second
from skworm.plotting import base
from skworm.recording import UNKNOWN, Recording

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCHES_A_NEURON, _INCHES_STRIP = 0.13, 0.2
_N_TRACES, _MARGIN, _MANY_FRAMES = 4, 0.05, 10_000
_STRIPS = {"annotated": base.LABELLED, "state": base.PREDICTED}
_INCHES_A_MANIFOLD, _INCHES_A_STRIP, _INCHES_AROUND, _HEAD, _GAP = 3.0, 0.3, 1.1, 0.7, 0.25


class RecordingDisplay(base.Display):
    """Heat map of a worm's traces, above a strip that shows its behavioural state.

    Parameters
    ----------
    recording : Recording
        The worm.
    neurons : sequence of str, optional
        Neurons to show, from top to bottom; by default those identified, or all where none is, sorted by similarity.

    Attributes
    ----------
    image_ : matplotlib.collections.QuadMesh
        The cells of the heat map.
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

    recording: Recording
    _: KW_ONLY
    neurons: Sequence[str] | None = None

    def _draw(self, ax: Any) -> None:
        worm = self.recording
        neurons = _chosen_neurons(worm, self.neurons)
        if self.neurons is None:
            neurons = _by_similarity(worm, neurons)
        height = max(0.6, _INCHES_A_NEURON * len(neurons))
        self._make_axes(ax, 1, (7.0, 1.8 + height))
        traces = worm.traces[:, [worm.neurons.index(neuron) for neuron in neurons]].T
        low, high = np.nanpercentile(traces, [1, 99])
        edges, frames = base.cells_of_frames(worm.time)
        cells, rows = np.where(frames < 0, np.nan, traces[:, frames]), np.arange(len(traces) + 1) - 0.5
        self.image_ = self.ax_.pcolormesh(edges, rows, cells, vmin=low, vmax=high, cmap="viridis", rasterized=True)
        self.ax_.set_facecolor(base.LIGHT)
        beside = self.ax_.inset_axes((1.015, 0, 0.015, 1))
        self.colorbar_ = self.figure_.colorbar(self.image_, cax=beside, label="ΔF/F", extend="both")
        points = 72 * self.figure_.bbox.height / self.figure_.dpi * self.ax_.get_position().height / len(neurons)
        base.name_rows(self.ax_, neurons, fontsize=min(7.0, 0.95 * points))
        self.ethogram_ax_ = base.add_strip(self.ax_, worm, _INCHES_STRIP / height)
        if worm.states is None:
            self.ax_.set_title(worm.worm, fontsize="medium")
        else:
            self._add_legend_above(base.patches_of_states(worm.states), worm.worm)


class TraceDisplay(base.Display):
    r"""Traces of some neurons of a worm over time, in the colours of its states.

    Parameters
    ----------
    recording : Recording
        The worm, whose traces are in dF/F.
    neurons : sequence of str, optional
        Neurons to show, from top to bottom; by default the first four that are identified, or of all where none is.

    Attributes
    ----------
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

    recording: Recording
    _: KW_ONLY
    neurons: Sequence[str] | None = None

    def _draw(self, ax: Any) -> None:
        worm = self.recording
        neurons = _chosen_neurons(worm, self.neurons, _N_TRACES)
        colors = base.colors_of_states([] if worm.states is None else worm.states)
        size = (7.0, 1.1 + 0.85 * len(neurons))
        self._make_axes(ax, len(neurons), size, n_columns=1, sharex=True)
        self.lines_: dict[tuple[str, str], Any] = {}
        edges, _ = base.cells_of_frames(worm.time)
        # A line over frames that are absent would be drawn where nothing was measured.
        joined = ~follows_a_gap(worm.time)[1:]
        states = np.full(worm.n_frames, "trace") if worm.states is None else worm.states
        shown = colors or {"trace": base.ink()}
        for axes, neuron in zip(self.axes_, neurons, strict=True):
            trace = worm.traces[:, worm.neurons.index(neuron)]
            points = np.column_stack([worm.time, trace])
            # In a file of vectors, a long recording of many neurons would take minutes and hundreds of megabytes.
            looks: dict[str, Any] = {"linewidths": 1.2, "capstyle": "round", "rasterized": len(points) > _MANY_FRAMES}
            lines = base.draw_segments(axes, points, joined, states, shown, **looks)
            self.lines_ |= {(neuron, state): own for state, own in lines.items()}
            low, high = np.nanmin(trace), np.nanmax(trace)
            margin = _MARGIN * (high - low or 1.0)
            axes.set_ylim(low - margin, high + margin)
            axes.set_xlim(edges[0], edges[-1])
            axes.set_ylabel(f"{neuron}\n(ΔF/F)", fontsize="small")
            base.tidy(axes)
        base.show_time(self.axes_[-1])
        self.ax_.set_title(worm.worm, fontsize="medium")
        if colors:
            given = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}
            self._add_legend(base.patches_of_states(colors), given=given)


class EthogramDisplay(base.ClassifierDisplay):
    """Strips of behavioural states over time, worm below worm; those of several models follow those labelled.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a frame: columns ``"worm"``, ``"time"`` in seconds or else ``"frame"``, and one of states for each
        strip. Frames that are absent, or whose state is None, leave gaps.
    strips : mapping of str to str, optional
        Column to label of each strip of a worm, from top to bottom; by default ``"annotated"``, where there is one, and
        ``"state"``, as :func:`skworm.estimators.prediction.decode_states` returns them.

    Attributes
    ----------
    states_ : list of str
        States of the legend.

    Examples
    --------
    >>> from skworm.plotting import EthogramDisplay
    >>> labelled, predicted = ["forward", "forward", "reverse"], ["forward", "reverse", "reverse"]
    >>> display = EthogramDisplay.from_predictions(labelled, {"GNN": predicted}, fps=2.9)
    >>> [label.get_text() for label in display.ax_.get_yticklabels()], display.ax_.get_xlabel()
    (['labelled', 'GNN'], 'Time (s)')
    """

    table: pd.DataFrame
    _: KW_ONLY
    strips: Mapping[str, str] | None = None

    @classmethod
    def _predict(cls, estimator: Any, X: Any) -> dict[str, Any]:
        return {**super()._predict(estimator, X), "fps": getattr(X, "attrs", {}).get("fps")}

    @classmethod
    def from_predictions(
        cls, y_true: Any, predictions: Any, *, worm: Any = None, fps: Any = None, ax: Axes | None = None
    ) -> Self:
        """Draw predicted states below those labelled.

        Parameters
        ----------
        y_true : Series or array-like of str, shape (n_frames,), or None
            Labelled states; the index of a Series of :func:`skworm.frames.make_frames` has worm and frame. None draws
            predictions alone.
        predictions : array-like of str, shape (n_frames,), or mapping of str to such
            Predicted states; a mapping gives each model a strip.
        %(worm)s
        fps : float or mapping of worm to float, optional
            Frames a second; those of ``X.attrs`` where there is an estimator. Without any the axis counts frames.
        %(ax)s
        """
        models = predictions if isinstance(predictions, Mapping) else {base.PREDICTED: predictions}
        states = {**({} if y_true is None else {base.LABELLED: y_true}), **models}
        rows = next(iter(states.values()))
        worms = worm_of_rows(rows, worm)
        worms = np.full(len(rows), "") if worms is None else worms
        table = pd.DataFrame({"worm": worms, "frame": frame_of_rows(rows, worms)})
        arrays = base.checked_predictions(states, (len(table),), next(iter(states)), str)
        table = table.assign(**{f"states of {name}": array for name, array in arrays.items()})
        check_frames_differ(worms, table["frame"].to_numpy(), "give each recording its own worm name")
        whole = [
            own.set_index("frame").reindex(_with_ends_of_gaps(own["frame"])).assign(worm=name)
            for name, own in table.groupby("worm", sort=False)
        ]
        table = pd.concat(whole).reset_index()
        if fps is not None:
            rates = {name: frames_a_second(fps, name) for name in table["worm"].unique()}
            table["time"] = table["frame"] / table["worm"].map(rates)
        return cls(table, strips={f"states of {name}": name for name in states}).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        strips = dict(self.strips or {name: label for name, label in _STRIPS.items() if name in self.table})
        clock = "time" if "time" in self.table else "frame"
        base.require_columns(self.table, ["worm", clock, *(self.strips or ["state"])], "that of decode_states")
        worms = self.table["worm"].unique().tolist()
        colors = base.colors_of_states(pd.unique(self.table[list(strips)].to_numpy().ravel()))
        self.states_ = list(colors)
        # With several strips a worm, its name is written above them, and their own names on the axis.
        head = _HEAD if len(strips) > 1 and any(map(str, worms)) else 0.0
        places = {
            (worm, column): place * (len(strips) + head + _GAP) + head + number
            for place, worm in enumerate(worms)
            for number, column in enumerate(strips)
        }
        height = max(places.values()) + 1
        self._make_axes(ax, 1, (8.0, _INCHES_AROUND + _INCHES_A_STRIP * height))
        for (worm, column), place in places.items():
            own = self.table[self.table["worm"] == worm]
            base.draw_states(self.ax_, own[clock].to_numpy(), own[column], colors, (place + 0.06, place + 0.94))
            if head and column == next(iter(strips)):
                above = self.ax_.get_yaxis_transform()
                self.ax_.text(0, place - 0.1, str(worm), fontsize="small", va="bottom", transform=above)
        labels = [strips[column] if len(strips) > 1 else str(worm) for worm, column in places]
        self.ax_.set_ylim(height, 0)
        self.ax_.set_yticks(np.array(list(places.values())) + 0.5, labels, fontsize="small")
        self.ax_.tick_params(axis="y", length=0)
        base.tidy(self.ax_, left=False)
        if clock == "time":
            base.show_time(self.ax_)
        else:
            self.ax_.set_xlabel("Time (frames)")
        self._add_legend_above(base.patches_of_states(colors))


def _with_ends_of_gaps(frames: pd.Series) -> pd.Index:
    """Return frame numbers with the first and the last of each gap, or the frames around would be drawn across it."""
    around = np.concatenate([frames - 1, frames, frames + 1])
    return pd.Index(np.unique(np.clip(around, frames.min(), frames.max())), name="frame")


class ManifoldDisplay(base.Display):
    """Trajectories of worms on the manifold, coloured by behavioural state: a panel for each pair of coordinates.

    Parameters
    ----------
    embedding : array-like of shape (n_frames, n_components)
        Coordinates, of which the first three are shown; a DataFrame with index levels ``("worm", "frame")`` shows where
        a trajectory is interrupted.
    states : array-like of str, shape (n_frames,), optional
        State of each frame.

    Attributes
    ----------
    lines_ : dict of ((component, component), state) to matplotlib.collections.LineCollection
        The pieces of the trajectories in each panel and state; under the state ``"trajectory"`` without states.

    Examples
    --------
    >>> from skworm import AsymmetricDiffusionMap
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> from skworm.plotting import ManifoldDisplay
    >>> X, y = make_frames(make_worms(1, n_frames=400, random_state=0), states="4", unknown="keep")
    >>> display = ManifoldDisplay.from_estimator(AsymmetricDiffusionMap(n_components=2).fit(X), X, y)
    >>> display.axes_[0].get_xlabel()
    'Manifold coordinate 1'
    """

    embedding: Any
    _: KW_ONLY
    states: Any = None

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: Any = None, *, ax: Any = None) -> Self:
        """Place frames on a fitted manifold, and draw them.

        Parameters
        ----------
        estimator : transformer
            A fitted :class:`skworm.AsymmetricDiffusionMap`; of a pipeline with a classifier at its end, ``model[:-1]``.
        X : array-like of shape (n_frames, n_features)
            Frames; a DataFrame of :func:`skworm.frames.make_frames` carries worms and frame numbers.
        y : array-like of str, shape (n_frames,), optional
            State of each frame.
        %(ax)s
        """
        embedding = pd.DataFrame(np.asarray(estimator.transform(X)), index=getattr(X, "index", None))
        return cls(embedding, states=y).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        values = np.asarray(self.embedding, dtype=float)
        pairs = list(combinations(range(min(3, values.shape[1])), 2))
        if not pairs:
            raise ValueError("embedding has one coordinate, and a picture needs two; fit more with n_components=")
        states = np.full(len(values), "trajectory") if self.states is None else np.asarray(self.states, dtype=str)
        if states.shape != (len(values),):
            raise ValueError(f"y has shape {states.shape}, but there are {len(values)} frames; pass one state a frame")
        colors = {"trajectory": base.DOT} if self.states is None else base.colors_of_states(states)
        worm = worm_of_rows(self.embedding)
        worm = np.zeros(len(values), dtype=int) if worm is None else worm
        # Rows that do not follow each other in time are not joined: nothing was seen on the way between them.
        joined = (np.diff(frame_of_rows(self.embedding, worm)) == 1) & (worm[1:] == worm[:-1])
        size = (0.8 + _INCHES_A_MANIFOLD * len(pairs), 0.6 + _INCHES_A_MANIFOLD)
        self._make_axes(ax, len(pairs), size)
        self.lines_: dict[tuple[tuple[int, int], str], Any] = {}
        for axes, pair in zip(self.axes_, pairs, strict=True):
            # Unknown frames lie below all others.
            below = dict(sorted(colors.items(), key=lambda item: item[0] != UNKNOWN))
            lines = base.draw_segments(axes, values[:, pair], joined, states, below, linewidths=0.8, alpha=0.6)
            self.lines_ |= {(pair, name): own for name, own in lines.items()}
            axes.autoscale_view()
            axes.set(xlabel=f"Manifold coordinate {pair[0] + 1}", ylabel=f"Manifold coordinate {pair[1] + 1}")
            base.tidy(axes)
        if self.states is not None:
            self._add_legend(base.patches_of_states(states))


def _chosen_neurons(worm: Recording, neurons: Sequence[str] | None, most: int | None = None) -> list[str]:
    """Check the neurons that are to be shown; by default those identified, or all where none is, `most` at most."""
    wanted = (worm.identified or worm.neurons)[:most] if neurons is None else neurons
    return base.chosen_neurons(wanted, worm.neurons, f"worm {worm.worm!r}")


def _by_similarity(worm: Recording, neurons: list[str]) -> list[str]:
    """Order neurons along a tree of correlations, in which neighbours differ least (Bar-Joseph et al. 2001)."""
    if len(neurons) < 3:
        return neurons
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import pdist

    traces = worm.traces[:, [worm.neurons.index(neuron) for neuron in neurons]].astype(float)
    # Frames without a value say nothing of a neuron, and a constant trace is like no other.
    centred = np.nan_to_num(traces - np.nanmean(traces, axis=0))
    distances = np.nan_to_num(pdist(centred.T, "cosine"), nan=1.0)
    tree = linkage(np.maximum(distances, 0), method="average", optimal_ordering=True)
    return [neurons[place] for place in leaves_list(tree)]
