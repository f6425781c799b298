"""Predicted beside true signals of one worm: traces of neurons after a moment, and behaviour over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skworm.frames.index import FRAME_LEVEL, SEPARATOR, WORM_LEVEL, parse_column_names
from skworm.frames.resampling import frame_numbers
from skworm.metrics.bouts import frames_a_second
from skworm.plotting import base
from skworm.recording import UNKNOWN, Recording

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_N_BEFORE, _SHADE, _STRIP = 16, 0.2, 0.06


class TrajectoryDisplay(base.Display):
    """Predicted beside true traces of some neurons, over the states that the worm was in.

    Parameters
    ----------
    frames : pandas.DataFrame of shape (n_frames, n_columns)
        The frames that the trajectories were made of, of :func:`skworm.frames.make_frames`. Where they know their frame
        rate, the axis is in seconds.
    Y : pandas.DataFrame of shape (n_trajectories, horizon * n_columns)
        True frames of :func:`skworm.frames.make_trajectories`.
    predicted : mapping of str to array-like of shape (n_trajectories, horizon * n_columns)
        What models predicted for `Y`, by name.
    row : int
        Row of `Y` to show.
    neurons : sequence of str, optional
        Neurons to show, from top to bottom; by default the first four.
    states : pandas.Series of str, optional
        States of `frames`, same index levels.
    %(models)s

    Attributes
    ----------
    lines_ : dict
        Lines by (neuron, model); the model of the true trace is ``"true"``.

    Examples
    --------
    >>> from skworm import PersistenceRegressor
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames, make_trajectories
    >>> from skworm.plotting import TrajectoryDisplay
    >>> frames, _ = make_frames(make_worms(1, n_frames=200, random_state=0), states=None, derivative="backward")
    >>> X, Y = make_trajectories(frames)
    >>> predicted = {"persistence": PersistenceRegressor().fit(X, Y).predict(X)}
    >>> display = TrajectoryDisplay(frames, Y, predicted, row=3, neurons=["AVAL", "RID"]).plot()
    >>> display.axes_[-1].get_xlabel()
    'Time after last observed frame (s)'
    """

    frames: pd.DataFrame
    Y: pd.DataFrame
    predicted: Mapping[str, Any]
    _: KW_ONLY
    row: int
    neurons: Sequence[str] | None = None
    states: pd.Series | None = None
    models: Mapping[str, str] | None = None

    def _draw(self, ax: Any) -> None:
        columns = list(self.frames.columns)
        known, node_features = parse_column_names(columns) or ([], [])
        if "trace" not in node_features:
            raise ValueError(f"frames have no traces; their columns are {columns[:4]} and so on")
        neurons = base.chosen_neurons(known[:4] if self.neurons is None else self.neurons, known, "the table of frames")
        arrays = base.checked_predictions(self.predicted, self.Y.shape, "Y")
        if not -len(self.Y) <= self.row < len(self.Y):
            raise ValueError(f"row={self.row} does not exist: Y has {len(self.Y)} trajectories, counted from 0")
        worm, frame = (self.Y.index.get_level_values(level)[self.row] for level in (WORM_LEVEL, FRAME_LEVEL))
        shown = range(frame - _N_BEFORE, frame + self.Y.shape[1] // len(columns) + 1)
        true = self.frames.loc[worm].reindex(shown).to_numpy()
        rates = self.frames.attrs.get("fps")
        time = np.arange(-_N_BEFORE, len(true) - _N_BEFORE) / (1 if rates is None else frames_a_second(rates, worm))
        states = None if self.states is None else self.states.loc[worm].reindex(shown).fillna(UNKNOWN).to_numpy()
        # Colours are chosen for all states, so that every row of a recording has the same ones.
        colors = base.colors_of_states([] if self.states is None else [*self.states, UNKNOWN])
        unit = {None: "", "recording": "\n(scaled)"}.get(self.frames.attrs.get("fit_scope"), "\n(ΔF/F)")
        size = (5.5, 1.5 + 0.95 * len(neurons))
        self._make_axes(ax, len(neurons), size, n_columns=1, sharex=True)
        self.lines_: dict[tuple[str, str], Any] = {}
        for axes, neuron in zip(self.axes_, neurons, strict=True):
            if states is not None:
                _shade_states(axes, time, states, colors)
            column = columns.index(f"{neuron}{SEPARATOR}trace")
            self.lines_[neuron, base.TRUE] = axes.plot(time, true[:, column], color=base.ink(), linewidth=1.2)[0]
            for name, array in arrays.items():
                # The prediction goes on from the last observed frame.
                values = [true[_N_BEFORE, column], *array[self.row].reshape(-1, len(columns))[:, column]]
                color, style = base.style_of_model(name, self.models or self.predicted)
                line = axes.plot(time[_N_BEFORE:], values, color=color, linestyle=style, linewidth=1.5)[0]
                self.lines_[neuron, name] = line
            axes.axvline(0, color=base.GREY, linewidth=0.8)
            axes.set_ylabel(neuron + unit, fontsize="small")
            axes.set_xlim(time[0], time[-1])
            base.tidy(axes)
        self.axes_[-1].set_xlabel(f"Time after last observed frame ({'frames' if rates is None else 's'})")
        lines = {model: line for (neuron, model), line in self.lines_.items() if neuron == neurons[0]}
        self._add_legend_above(_labelled(lines, self.models), f"{worm}, frame {frame}")
        if states is not None:
            self._add_legend(base.patches_of_states(states, colors))


class BehaviorDisplay(base.Display):
    """Predicted beside true continuous behaviour of one worm over time, above a strip that shows its states.

    Parameters
    ----------
    recording : Recording
        The worm; it gives time and states.
    y : pandas.Series of shape (n_frames,)
        True signal of this worm, and maybe others, of :func:`skworm.frames.make_behavior`; gaps where absent or NaN.
    predicted : mapping of str to array-like of shape (n_frames,)
        What models predicted for the rows of `y`, by name.
    unit : str, default=""
        Unit of the signal, for its axis.
    %(models)s

    Attributes
    ----------
    lines_ : dict
        Lines by model; that of the true signal is ``"true"``.
    ethogram_ax_ : matplotlib.axes.Axes or None
        The strip of states; None for a recording without.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_behavior, make_frames
    >>> from skworm.plotting import BehaviorDisplay
    >>> worms = make_worms(2, n_frames=300, random_state=0)
    >>> X, _ = make_frames(worms, states=None)
    >>> velocity = make_behavior(worms, X)
    >>> predicted = {"linear": Ridge().fit(X.iloc[:300], velocity.iloc[:300]).predict(X)}
    >>> display = BehaviorDisplay(worms[1], velocity, predicted, unit="mm/s").plot()
    >>> display.ax_.get_ylabel()
    'velocity (mm/s)'
    """

    recording: Recording
    y: pd.Series
    predicted: Mapping[str, Any]
    _: KW_ONLY
    unit: str = ""
    models: Mapping[str, str] | None = None

    def _draw(self, ax: Any) -> None:
        worm, y = self.recording, self.y
        if not isinstance(y, pd.Series) or not {WORM_LEVEL, FRAME_LEVEL} <= set(y.index.names):
            raise ValueError("y is not a Series with worm and frame in its index; make it with make_behavior")
        rows = np.asarray(y.index.get_level_values(WORM_LEVEL)) == worm.worm
        if not rows.any():
            found = ", ".join(map(repr, y.index.unique(WORM_LEVEL)))
            raise ValueError(f"y has no frame of worm {worm.worm!r}, only of {found}; pass the recording of one")
        frames = y.index.get_level_values(FRAME_LEVEL)[rows]
        numbers = frame_numbers(worm.time)
        absent = frames[~np.isin(frames, numbers)]
        if len(absent):
            raise ValueError(
                f"y has frame {absent[0]}, but the recording of {worm.worm!r} has {worm.n_frames} frames, the last of "
                f"the number {numbers[-1]}; pass the recording that the frames were made of"
            )
        signals = {base.TRUE: y.to_numpy(dtype=float), **base.checked_predictions(self.predicted, y.shape, "y")}
        self._make_axes(ax, 1, (7.0, 3.4))
        self.lines_: dict[str, Any] = {}
        # An absent frame breaks the line, which would otherwise be drawn straight across the gap.
        edges, places = base.cells_of_frames(worm.time)
        time = np.where(places < 0, edges[:-1], worm.time[places])
        for name, values in signals.items():
            color, style = base.style_of_model(name, self.models or self.predicted)
            zorder = 1.9 if name == base.TRUE else 2
            whole = pd.Series(values[rows], index=frames).reindex(np.where(places < 0, -1, numbers[places]))
            line = self.ax_.plot(time, whole, color=color, linestyle=style, linewidth=1.0, zorder=zorder)
            self.lines_[name] = line[0]
        self.ax_.axhline(0, color="#BBBBBB", linewidth=0.8, zorder=0)
        label = "signal" if y.name is None else str(y.name)
        self.ax_.set_ylabel(f"{label} ({self.unit})" if self.unit else label)
        base.tidy(self.ax_)
        edges, _ = base.cells_of_frames(worm.time[(numbers >= frames.min()) & (numbers <= frames.max())])
        self.ax_.set_xlim(edges[0], edges[-1])
        self.ethogram_ax_ = base.add_strip(self.ax_, worm)
        self._add_legend_above(_labelled(self.lines_, self.models), worm.worm)
        if self.ethogram_ax_ is not None:
            beside = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5), "bbox_transform": self.ax_.transAxes}
            self._add_legend(base.patches_of_states(worm.states), axes=self.ethogram_ax_, given=beside)


def _labelled(lines: Mapping[str, Any], models: Mapping[str, str] | None) -> dict[str, Any]:
    return {(models or {}).get(name, name): line for name, line in lines.items()}


def _shade_states(axes: Axes, time: np.ndarray, states: np.ndarray, colors: Mapping[str, str]) -> None:
    half = (time[1] - time[0]) / 2
    begins = np.flatnonzero(np.concatenate([[True], states[1:] != states[:-1]]))
    for begin, end in zip(begins, [*begins[1:], len(states)], strict=True):
        span, color = (time[begin] - half, time[end - 1] + half), colors[states[begin]]
        axes.axvspan(*span, color=color, alpha=_SHADE, linewidth=0)
        axes.axvspan(*span, ymax=_STRIP, color=color, linewidth=0)
