"""Traces of neurons in the colours of states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skworm.plotting.common import LEGEND_COLUMNS, STATE_COLORS, new_figure
from skworm.plotting.ethograms import edges_of_frames, patches_of_states, states_present
from skworm.recording import Recording

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
