"""Ethograms: the states of worms as coloured strips over time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skworm.plotting.common import LINE_COLORS, STATE_COLORS, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = {"worm", "time", "state"}
_INCHES_A_WORM, _INCHES_AROUND = 0.42, 1.1
_ROWS = {"state": "predicted", "annotated": "annotated"}


class EthogramDisplay:
    """Strips of behavioural states, one worm above the other, the predicted states above those annotated.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns ``"worm"``, ``"time"`` in seconds, ``"state"``, and optionally ``"annotated"``, as
        :func:`skworm.decoding.decode_states` returns them.

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
            edges = _edges(own["time"].to_numpy())
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


def _edges(time: np.ndarray) -> np.ndarray:
    step = np.median(np.diff(time)) if len(time) > 1 else 1.0
    return np.append(time, time[-1] + step)
