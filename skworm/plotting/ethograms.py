"""Ethograms: behavioural states as coloured strips over time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skworm.plotting.common import LINE_COLORS, STATE_COLORS, new_figure
from skworm.recording import Recording

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch

_COLUMNS = {"worm", "time", "state"}
_INCHES_A_WORM, _INCHES_AROUND = 0.42, 1.1
_ROWS = {"state": "predicted", "annotated": "annotated"}


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


class EthogramDisplay:
    """Strips of behavioural states, one worm above the other, the predicted states above those annotated.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns ``"worm"``, ``"time"`` in seconds, ``"state"``, and optionally ``"annotated"``, as
        :func:`skworm.prediction.decode_states` returns them.

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

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table

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

    def plot(self, ax: Axes | None = None) -> EthogramDisplay:
        """Draw into `ax`, a matplotlib Axes, or into a new figure; return the display itself."""
        from matplotlib.colors import ListedColormap
        from matplotlib.patches import Patch

        table = self.table
        if not set(table.columns) >= _COLUMNS or table.empty:
            raise ValueError(f"the table needs rows and the columns {sorted(_COLUMNS)}; pass that of decode_states")
        rows = [column for column in _ROWS if column in table]
        worms = table["worm"].unique().tolist()
        found = pd.unique(table[rows].to_numpy().ravel()).tolist()
        colors = _colors(found)
        self.states_ = list(colors)
        if ax is None:
            figure = new_figure((8.0, _INCHES_AROUND + _INCHES_A_WORM * len(worms) * (1 + 0.4 * (len(rows) - 1))))
            ax = figure.subplots()
        self.ax_, self.figure_ = ax, ax.figure
        drawn: dict[str, Any] = {"cmap": ListedColormap(list(colors.values())), "vmin": -0.5, "vmax": len(colors) - 0.5}
        for place, worm in enumerate(worms):
            own = table[table["worm"] == worm]
            edges = edges_of_frames(own["time"].to_numpy())
            for number, column in enumerate(rows):
                codes = pd.Index(self.states_).get_indexer(pd.Index(own[column]))[np.newaxis]
                top = place + 0.1 + 0.8 * number / len(rows)
                ax.pcolormesh(edges, [top, top + 0.8 / len(rows) - 0.03], codes, rasterized=True, **drawn)
        ax.set_ylim(len(worms), 0)
        ax.set_yticks(np.arange(len(worms)) + 0.5, worms, fontsize="small")
        ax.tick_params(axis="y", length=0)
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.set_xlabel(
            "Time (s)" if len(rows) == 1 else "Time (s); above the predicted states, below the annotated ones"
        )
        ax.legend(
            handles=[Patch(color=color, label=state.replace("_", " ")) for state, color in colors.items()],
            ncols=min(len(colors), 6),
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            frameon=False,
            fontsize="small",
        )
        return self

    def save(self, path: Path, *, dots_per_inch: int = 150) -> None:
        """Write the figure, once drawn, to a file whose ending names the format."""
        from matplotlib.figure import SubFigure

        figure = self.figure_.figure if isinstance(self.figure_, SubFigure) else self.figure_
        figure.savefig(path, dpi=dots_per_inch)


def _colors(states: list[str]) -> dict[str, str]:
    known = {state: color for state, color in STATE_COLORS.items() if state in states}
    others = sorted(set(states) - set(known))
    spare = [color for color in LINE_COLORS if color not in known.values()] or list(LINE_COLORS)
    return {**known, **{state: spare[place % len(spare)] for place, state in enumerate(others)}}
