"""Recordings: traces and states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from skworm.plotting.common import STATE_COLORS, new_figure
from skworm.recording import Recording

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
        neurons = list(worm.identified or worm.neurons) if self.neurons is None else list(self.neurons)
        lacking = [neuron for neuron in neurons if neuron not in worm.neurons]
        if lacking or not neurons:
            found = f"has no neuron {lacking[0]!r}" if lacking else "is to be shown without neurons"
            raise ValueError(f"worm {worm.worm!r} {found}; choose among {', '.join(worm.neurons)}")
        present = _states_present(worm)
        self.ax_, strip = self._new_axes(len(neurons)) if ax is None else (ax, None)
        self.figure_ = self.ax_.figure
        edges = _edges(worm.time)
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
        from matplotlib.colors import ListedColormap
        from matplotlib.patches import Patch

        if self.ethogram_ax_ is None:
            self.ethogram_ax_ = self.ax_.inset_axes((0, -0.09, 1, 0.06))
            self.ethogram_ax_.sharex(self.ax_)
        strip = self.ethogram_ax_
        colors = ListedColormap([STATE_COLORS[state] for state in present])
        codes = pd.Index(present).get_indexer(pd.Index(states))[np.newaxis]
        strip.pcolormesh(edges, [0, 1], codes, cmap=colors, vmin=-0.5, vmax=len(present) - 0.5, rasterized=True)
        strip.set_yticks([0.5], ["state"], fontsize="x-small")
        strip.tick_params(axis="y", length=0)
        self.ax_.tick_params(axis="x", bottom=False, labelbottom=False)
        self.ax_.legend(
            handles=[Patch(color=STATE_COLORS[state], label=state.replace("_", " ")) for state in present],
            title=self.recording.worm,
            ncols=min(len(present), 4),
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            frameon=False,
            fontsize="x-small",
        )


def _edges(time: np.ndarray) -> np.ndarray:
    if len(time) == 1:
        return time[0] + np.array([-0.5, 0.5])
    middles = (time[1:] + time[:-1]) / 2
    return np.concatenate([[2 * time[0] - middles[0]], middles, [2 * time[-1] - middles[-1]]])


def _states_present(worm: Recording) -> list[str]:
    found = [] if worm.states is None else np.unique(worm.states).tolist()
    strange = [state for state in found if state not in STATE_COLORS]
    if strange:
        raise ValueError(
            f"worm {worm.worm!r} has the state {strange[0]!r}, which has no colour; translate it with "
            f"load_recordings(..., rename_states={{{strange[0]!r}: 'forward'}}), or to any of {', '.join(STATE_COLORS)}"
        )
    return [state for state in STATE_COLORS if state in found]
