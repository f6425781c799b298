"""Strips that tell the behavioural state over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from skworm.plotting.common import STATE_COLORS
from skworm.recording import Recording

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch


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
    from matplotlib.patches import Patch

    return [Patch(color=STATE_COLORS[state], label=state.replace("_", " ")) for state in present]


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
