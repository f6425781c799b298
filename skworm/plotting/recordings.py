"""Recordings: traces and states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from skworm.plotting.common import new_figure
from skworm.plotting.ethograms import draw_ethogram, edges_of_frames, patches_of_states, states_present
from skworm.plotting.traces import chosen_neurons
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
