"""Predicted beside true signals of one worm: traces of neurons after a moment, and behaviour over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skworm.frames.index import FRAME_LEVEL, SEPARATOR, WORM_LEVEL, parse_column_names
from skworm.plotting.base import (
    Display,
    add_legend,
    add_strip,
    cells_of_frames,
    legend_columns,
    patches_of_states,
    show_time,
    tidy,
    width_of,
)
from skworm.plotting.words import BLACK, GREY, TRUE, colors_of_states, style_of_model
from skworm.recording import UNKNOWN, Recording

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHADE, _STRIP = 0.2, 0.06
_UNITS = {"trace": "ΔF/F", "derivative": "ΔF/F/s"}


class TrajectoryDisplay(Display):
    """Predicted beside true traces of some neurons, over the states that the worm was in.

    Parameters
    ----------
    true : pandas.DataFrame of shape (n_frames, n_columns)
        Frames around a prediction, columns ``"AVAL:trace"`` and so on; the index counts frames from the last observed
        one, 0.
    predicted : mapping of str to pandas.DataFrame
        Predicted frames by model, with the same columns; the index begins at 1.
    neurons : sequence of str
        Neurons to show, from top to bottom.
    node_feature : str, default="trace"
        Node feature to show.
    states : pandas.Series of str, optional
        States of the frames of `true`.
    fps : float, optional
        Frames a second; with it the axis is in seconds.
    title : str, default=""
        Title.
    unit : str, default=""
        Unit of the node feature, for its axes.
    models : mapping of str to str, optional
        Model to label; colours follow its order, which may name further models. By default those of `predicted`.

    Attributes
    ----------
    axes_ : list of matplotlib.axes.Axes
        One for each neuron.
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
    >>> display = TrajectoryDisplay.from_predictions(frames, Y, predicted, row=3, neurons=["AVAL", "RID"], fps=3.0)
    >>> display.axes_[-1].get_xlabel()
    'Time after the last observed frame (s)'
    """

    def __init__(
        self,
        true: pd.DataFrame,
        predicted: Mapping[str, pd.DataFrame],
        *,
        neurons: Sequence[str],
        node_feature: str = "trace",
        states: pd.Series | None = None,
        fps: float | None = None,
        title: str = "",
        unit: str = "",
        models: Mapping[str, str] | None = None,
    ) -> None:
        self.true = true
        self.predicted = predicted
        self.neurons = neurons
        self.node_feature = node_feature
        self.states = states
        self.fps = fps
        self.title = title
        self.unit = unit
        self.models = models or {name: name for name in predicted}

    @classmethod
    def from_predictions(
        cls,
        frames: pd.DataFrame,
        Y: pd.DataFrame,
        predicted: Mapping[str, Any],
        *,
        row: int,
        neurons: Sequence[str] | None = None,
        node_feature: str = "trace",
        states: pd.Series | None = None,
        n_before: int = 16,
        ax: Any = None,
        **options: Any,
    ) -> TrajectoryDisplay:
        """Draw one row of predicted trajectories.

        Parameters
        ----------
        frames : pandas.DataFrame of shape (n_frames, n_columns)
            The frames that the trajectories were made of, of :func:`skworm.frames.make_frames`.
        Y : pandas.DataFrame of shape (n_trajectories, horizon * n_columns)
            True frames of :func:`skworm.frames.make_trajectories`.
        predicted : mapping of str to array-like of shape (n_trajectories, horizon * n_columns)
            What models predicted for `Y`, by name.
        row : int
            Row of `Y` to show.
        neurons : sequence of str, optional
            Neurons to show, from top to bottom; by default the first four.
        node_feature : str, default="trace"
            Node feature to show.
        states : pandas.Series of str, optional
            States of `frames`, same index levels.
        n_before : int, default=16
            Frames to show before the prediction.
        ax : sequence of matplotlib Axes, optional
            One for each neuron; by default a new figure.
        **options
            ``fps`` and ``models`` of the class.

        Returns
        -------
        TrajectoryDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If predictions do not fit `Y`, or a neuron or node feature is not among the columns.
        """
        worm, frame = Y.index.get_level_values(WORM_LEVEL)[row], Y.index.get_level_values(FRAME_LEVEL)[row]
        columns = list(frames.columns)
        horizon = Y.shape[1] // len(columns)
        stretch = frames.loc[worm].reindex(range(frame - n_before, frame + horizon + 1))
        steps = pd.RangeIndex(1, horizon + 1)
        tables = {}
        for name, values in predicted.items():
            array = _checked_predictions(name, values, Y, "Y")
            tables[name] = pd.DataFrame(array[row].reshape(horizon, -1), index=steps, columns=columns)
        if states is not None:
            states = states.loc[worm].reindex(stretch.index).set_axis(stretch.index - frame)
        display = cls(
            stretch.set_axis(stretch.index - frame),
            tables,
            neurons=_chosen_neurons(columns, neurons, node_feature),
            node_feature=node_feature,
            states=states,
            title=f"{worm}, frame {frame}",
            unit=_unit_of(frames, node_feature),
            **options,
        )
        return display.plot(ax=ax)

    def plot(self, ax: Any = None) -> TrajectoryDisplay:
        """Draw into `ax`, one matplotlib Axes for each neuron, or into a new figure; return the display itself."""
        size = (5.5, 1.5 + 0.95 * len(self.neurons))
        self._make_axes(ax, len(self.neurons), size, n_columns=1, what="neurons", sharex=True)
        self.lines_: dict[tuple[str, str], Any] = {}
        for axes, neuron in zip(self.axes_, self.neurons, strict=True):
            self._draw_neuron(axes, neuron)
        unit = "frames" if self.fps is None else "s"
        self.axes_[-1].set_xlabel(f"Time after the last observed frame ({unit})")
        title = ", ".join(filter(None, [self.title, self.node_feature]))
        lines = {model: line for (neuron, model), line in self.lines_.items() if neuron == self.neurons[0]}
        _add_legend_above(self.axes_[0], title, lines, self.models)
        if self.states is not None:
            self._add_legend(patches_of_states(colors_of_states(self.states.fillna(UNKNOWN))))
        return self

    def _draw_neuron(self, axes: Axes, neuron: str) -> None:
        column = f"{neuron}{SEPARATOR}{self.node_feature}"
        seconds = 1 / (self.fps or 1)
        self._shade_states(axes, seconds)
        line = axes.plot(self.true.index * seconds, self.true[column], color=BLACK, linewidth=1.2)[0]
        self.lines_[neuron, TRUE] = line
        for name, table in self.predicted.items():
            color, style = style_of_model(name, self.models)
            # The prediction goes on from the last observed frame.
            values = [self.true.loc[0, column], *table[column]]
            time = np.array([0, *table.index]) * seconds
            self.lines_[neuron, name] = axes.plot(time, values, color=color, linestyle=style, linewidth=1.5)[0]
        axes.axvline(0, color=GREY, linewidth=0.8)
        axes.set_ylabel(f"{neuron}\n({self.unit})" if self.unit else neuron, fontsize="small")
        axes.set_xlim(self.true.index[0] * seconds, self.true.index[-1] * seconds)
        tidy(axes)

    def _shade_states(self, axes: Axes, seconds: float) -> None:
        if self.states is None:
            return
        names = self.states.fillna(UNKNOWN)
        colors = colors_of_states(names)
        bouts = (names != names.shift()).cumsum()
        for _, bout in names.groupby(bouts):
            start, end = (bout.index[0] - 0.5) * seconds, (bout.index[-1] + 0.5) * seconds
            color = colors[bout.iloc[0]]
            axes.axvspan(start, end, color=color, alpha=_SHADE, linewidth=0)
            axes.axvspan(start, end, ymax=_STRIP, color=color, linewidth=0)


class BehaviorDisplay(Display):
    """Predicted beside true continuous behaviour of one worm over time, above a strip that shows its states.

    Parameters
    ----------
    recording : Recording
        The worm; it gives time and states.
    true : pandas.Series of shape (n_frames,)
        True signal; the index counts frames. Frames that are absent or NaN leave gaps.
    predicted : mapping of str to pandas.Series
        Predicted signals by model, with the same index.
    unit : str, default=""
        Unit of the signal, for its axis.
    models : mapping of str to str, optional
        Model to label; colours follow its order, which may name further models. By default those of `predicted`.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The signals.
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
    >>> seen = X.index.get_level_values("worm") == worms[0].worm
    >>> predicted = {"linear": Ridge().fit(X[seen], velocity[seen]).predict(X)}
    >>> display = BehaviorDisplay.from_predictions(worms[1], velocity, predicted, unit="mm/s")
    >>> display.ax_.get_ylabel()
    'velocity (mm/s)'
    """

    def __init__(
        self,
        recording: Recording,
        true: pd.Series,
        predicted: Mapping[str, pd.Series],
        *,
        unit: str = "",
        models: Mapping[str, str] | None = None,
    ) -> None:
        self.recording = recording
        self.true = true
        self.predicted = predicted
        self.unit = unit
        self.models = models or {name: name for name in predicted}

    @classmethod
    def from_predictions(
        cls,
        recording: Recording,
        y: pd.Series,
        predicted: Mapping[str, Any],
        *,
        ax: Axes | None = None,
        **options: Any,
    ) -> BehaviorDisplay:
        """Draw what models predicted for one worm.

        Parameters
        ----------
        recording : Recording
            The worm; it gives time and states.
        y : pandas.Series of shape (n_frames,)
            True signal of this worm, and of others that are not shown, of :func:`skworm.frames.make_behavior`.
        predicted : mapping of str to array-like of shape (n_frames,)
            What models predicted for the rows of `y`, by name.
        ax : matplotlib Axes, optional
            Where to draw the signals, with the strip right below. By default a new figure.
        **options
            ``unit`` and ``models`` of the class.

        Returns
        -------
        BehaviorDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `y` has no index of worm and frame or has no frame of the worm, or predictions do not fit `y`.
        """
        if not isinstance(y, pd.Series) or not {WORM_LEVEL, FRAME_LEVEL} <= set(y.index.names):
            raise ValueError("y is no Series that tells worm and frame by its index; make it with make_behavior")
        rows = np.asarray(y.index.get_level_values(WORM_LEVEL)) == recording.worm
        if not rows.any():
            found = ", ".join(map(repr, y.index.unique(WORM_LEVEL)))
            raise ValueError(f"y has no frame of worm {recording.worm!r}, only of {found}; pass the recording of one")
        frames = pd.Index(y.index.get_level_values(FRAME_LEVEL)[rows], name=FRAME_LEVEL)
        of_worm = {
            name: pd.Series(_checked_predictions(name, values, y, "y")[rows], index=frames)
            for name, values in predicted.items()
        }
        true = pd.Series(y.to_numpy()[rows], index=frames, name=y.name)
        return cls(recording, true, of_worm, **options).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> BehaviorDisplay:
        """Draw into `ax`, a matplotlib Axes, or into a new figure; return the display itself."""
        worm = self.recording
        colors = colors_of_states([] if worm.states is None else worm.states)
        if self.true.index.max() >= worm.n_frames:
            raise ValueError(
                f"the signal has frame {self.true.index.max()}, but the recording of {worm.worm!r} has {worm.n_frames} "
                "frames; pass the recording that the frames were made of"
            )
        [self.ax_] = self._make_axes(ax, 1, (7.0, 3.4))
        self.lines_: dict[str, Any] = {TRUE: self._draw(self.true, color=BLACK, linewidth=1.0, zorder=1.9)}
        for name, values in self.predicted.items():
            color, style = style_of_model(name, self.models)
            self.lines_[name] = self._draw(values, color=color, linestyle=style, linewidth=1.0)
        self.ax_.axhline(0, color="#BBBBBB", linewidth=0.8, zorder=0)
        name = "signal" if self.true.name is None else str(self.true.name)
        self.ax_.set_ylabel(f"{name} ({self.unit})" if self.unit else name)
        tidy(self.ax_)
        shown = worm.time[self.true.index.min() : self.true.index.max() + 1]
        edges, _ = cells_of_frames(shown)
        self.ax_.set_xlim(edges[0], edges[-1])
        self.ethogram_ax_ = None
        if worm.states is not None:
            self.ethogram_ax_ = add_strip(self.ax_, worm.time, worm.states, colors)
        show_time(self.ethogram_ax_ or self.ax_, np.ptp(shown))
        _add_legend_above(self.ax_, worm.worm, self.lines_, self.models)
        if self.ethogram_ax_ is not None:
            beside = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5), "bbox_transform": self.ax_.transAxes}
            self._add_legend(patches_of_states(colors), axes=self.ethogram_ax_, given=beside)
        return self

    def _draw(self, values: pd.Series, **style: Any) -> Any:
        # A frame that is absent breaks the line, where it would else be drawn straight across.
        edges, frames = cells_of_frames(self.recording.time)
        whole = values.reindex(frames).to_numpy()
        time = np.where(frames < 0, edges[:-1], self.recording.time[frames])
        return self.ax_.plot(time, whole, **style)[0]


def _add_legend_above(axes: Axes, title: str, lines: Mapping[str, Any], models: Mapping[str, str]) -> None:
    """Name the lines above the axes, apart from the states below them."""
    handles = {models.get(model, model): line for model, line in lines.items()}
    place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "title_fontsize": "medium"}
    add_legend(axes, handles, title=title, ncols=legend_columns(handles, width_of(axes.figure)), **place)


def _checked_predictions(name: str, values: Any, true: Any, name_of_true: str) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    if array.shape != true.shape:
        raise ValueError(f"the predictions of {name!r} have shape {array.shape}, but {name_of_true} has {true.shape}")
    return array


def _unit_of(frames: pd.DataFrame, node_feature: str) -> str:
    if "fit_scope" not in frames.attrs:
        return ""
    return "scaled" if frames.attrs["fit_scope"] == "recording" else _UNITS.get(node_feature, "")


def _chosen_neurons(columns: list[str], neurons: Sequence[str] | None, node_feature: str) -> list[str]:
    parsed = parse_column_names(columns)
    if parsed is None or node_feature not in parsed[1]:
        raise ValueError(f"frames have no node feature {node_feature!r}; their columns are {columns[:4]} and so on")
    chosen = list(parsed[0][:4] if neurons is None else neurons)
    lacking = [neuron for neuron in chosen if neuron not in parsed[0]]
    if lacking or not chosen:
        found = f"no neuron {lacking[0]!r}" if lacking else "no neuron to show"
        raise ValueError(f"frames have {found}; choose among {', '.join(parsed[0])}")
    return chosen
