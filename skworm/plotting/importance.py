"""What a classifier loses without each neuron."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skworm.plotting.common import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BAR, _DOT, _ZERO = "#C6DDEC", "#0072B2", "#666666"
_SPREAD_OF_DOTS = 0.22
_INCHES_A_NEURON = 0.24


class NeuronImportanceDisplay:
    """Drop of the score without each neuron: a bar for the mean over worms, and a dot a worm.

    Parameters
    ----------
    importance : pandas.DataFrame
        Drops; columns ``neuron, worm, drop``, several rows of a neuron and worm being averaged.
    xlabel : str, default="Drop of accuracy (fraction)"
        Label of the axis.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure.
    ax_ : matplotlib.axes.Axes
        The axes.
    bars_ : dict
        Bars by neuron.
    dots_ : dict
        Dots by neuron, those of all worms together.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.plotting import NeuronImportanceDisplay
    >>> importance = pd.DataFrame(
    ...     {"neuron": ["ALA", "AVAL"] * 2, "worm": ["a", "a", "b", "b"], "drop": [0, 0.2, 0.01, 0.3]}
    ... )
    >>> display = NeuronImportanceDisplay.from_importance(importance)
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['AVAL', 'ALA']
    """

    def __init__(self, importance: pd.DataFrame, *, xlabel: str = "Drop of accuracy (fraction)") -> None:
        self.importance = importance
        self.xlabel = xlabel

    @classmethod
    def from_importance(
        cls, importance: pd.DataFrame, *, xlabel: str = "Drop of accuracy (fraction)", ax: Axes | None = None
    ) -> NeuronImportanceDisplay:
        """Draw the importance of neurons, the largest mean drop on top.

        Parameters
        ----------
        importance : pandas.DataFrame
            The table of :func:`skworm.inspection.neuron_importance`.
        xlabel : str, default="Drop of accuracy (fraction)"
            Label of the axis.
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        NeuronImportanceDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If columns are missing.
        """
        return cls(importance, xlabel=xlabel).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> NeuronImportanceDisplay:
        """Draw into `ax`, a matplotlib Axes, or into a new figure; return the display itself."""
        missing = [name for name in ("neuron", "worm", "drop") if name not in self.importance]
        if missing:
            raise ValueError(f"importance lacks the columns {missing}; pass the table of neuron_importance")
        drops = self.importance.groupby(["neuron", "worm"], sort=False)["drop"].mean().unstack("worm")
        drops = drops.loc[drops.mean(axis=1).sort_values(ascending=False, kind="stable").index]
        self.ax_: Axes = new_figure((4.8, 1.1 + _INCHES_A_NEURON * len(drops))).subplots() if ax is None else ax
        self.figure_ = self.ax_.figure
        self.bars_: dict[str, Any] = {}
        self.dots_: dict[str, Any] = {}
        for position, (neuron, values) in enumerate(drops.iterrows()):
            below = position + np.linspace(-_SPREAD_OF_DOTS, _SPREAD_OF_DOTS, len(values))
            self.bars_[str(neuron)] = self.ax_.barh(position, values.mean(), height=0.72, color=_BAR)[0]
            dots = self.ax_.plot(values, below, "o", color=_DOT, markersize=3.2, markeredgewidth=0)
            self.dots_[str(neuron)] = dots[0]
        self.ax_.axvline(0, color=_ZERO, linewidth=0.8)
        self.ax_.set_yticks(range(len(drops)), [str(neuron) for neuron in drops.index], fontsize="small")
        self.ax_.set_ylim(len(drops) - 0.4, -0.6)
        self.ax_.tick_params(axis="y", length=0)
        self.ax_.set_xlabel(self.xlabel)
        self.ax_.grid(axis="x", color="#E5E5E5", linewidth=0.6)
        self.ax_.set_axisbelow(True)
        self.ax_.spines[["top", "right", "left"]].set_visible(False)
        handles = {"mean over worms": next(iter(self.bars_.values())), "one worm": next(iter(self.dots_.values()))}
        self.ax_.legend(list(handles.values()), list(handles), loc="lower right", frameon=False, fontsize="small")
        return self
