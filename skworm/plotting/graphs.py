"""Graphs between neurons, as a matrix."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np
import pandas as pd

from skworm.frames.index import from_pre_to_post
from skworm.plotting import base

_INCHES_A_NEURON = 0.24


class GraphDisplay(base.Display):
    """A weighted graph between neurons: all weights of a matrix in colour.

    Parameters
    ----------
    graph : DataFrame of shape (n_neurons, n_neurons)
        Weights [pre, post], such as ``graph_`` of a fitted network or a connectome: the row sends, the column receives.
        Neurons are sorted by name, which keeps the members of a class together.
    reference : DataFrame of shape (n_reference_neurons, n_reference_neurons), optional
        Graph [pre, post] whose edges are marked by dots.
    label : str, default="Edge weight"
        Label of the colour bar.
    reference_label : str, default="edge of the reference"
        What the legend calls an edge of the reference.

    Attributes
    ----------
    image_, colorbar_ : matplotlib.image.AxesImage and matplotlib.colorbar.Colorbar
        The cells; colours begin at 0, or are white there where some weights are negative.
    reference_ : matplotlib.lines.Line2D or None
        Dots of the reference.

    Examples
    --------
    >>> from skworm.datasets import load_connectome
    >>> from skworm.frames import PAPER_NEURONS
    >>> from skworm.plotting import GraphDisplay
    >>> display = GraphDisplay(load_connectome(neurons=PAPER_NEURONS), label="Contacts").plot()
    >>> display.ax_.get_ylabel(), display.colorbar_.ax.get_ylabel()
    ('Sender (pre)', 'Contacts')
    """

    graph: pd.DataFrame
    _: KW_ONLY
    reference: pd.DataFrame | None = None
    label: str = "Edge weight"
    reference_label: str = "edge of the reference"

    def _draw(self, ax: Any) -> None:
        weights = from_pre_to_post(self.graph)
        alone = sorted(set(weights.index) ^ set(weights.columns))
        if alone:
            raise ValueError(f"graph has no row or no column for {alone}; pass the same neurons on both axes")
        neurons = sorted(weights.index)
        weights = weights.loc[neurons, neurons]
        side = max(3.2, 1.4 + _INCHES_A_NEURON * len(weights))
        self._make_axes(ax, 1, (side + 1.2, side + 0.3), square=True)
        values = weights.to_numpy()
        # The scale starts at 0, so that differences too small to matter do not fill it, and ends at the largest weight
        # between two neurons, since a neuron's weight on itself may be many times larger.
        between = np.where(np.eye(len(values), dtype=bool), 0.0, np.abs(values))
        limit = np.nanmax(between) or np.nanmax(np.abs(values)) or 1.0
        low, colors = (-limit, "RdBu") if (values < 0).any() else (0, "Blues")
        self.image_ = self.ax_.imshow(values, interpolation="nearest", vmin=low, vmax=limit, cmap=colors)
        self.ax_.set_facecolor(base.LIGHT)
        # Given axes may have neighbours that an inset would cover.
        place: dict[str, Any] = {"ax": self.ax_, "fraction": 0.046, "pad": 0.03}
        if self._own_figure:
            place = {"cax": self.ax_.inset_axes((1.03, 0, min(0.045, 0.7 / len(weights)), 1))}
        extend = ("both" if low else "max") if np.nanmax(np.abs(values)) > limit else "neither"
        self.colorbar_ = self.figure_.colorbar(self.image_, label=self.label, extend=extend, **place)
        self.ax_.set_xticks(range(len(weights)), neurons, rotation=90, fontsize="x-small")
        self.ax_.set_yticks(range(len(weights)), neurons, fontsize="x-small")
        self.ax_.tick_params(length=0)
        self.ax_.set(xlabel="Receiver (post)", ylabel="Sender (pre)")
        self.reference_ = None
        if self.reference is not None:
            marked = from_pre_to_post(self.reference, "reference").reindex(index=neurons, columns=neurons).fillna(0)
            pre, post = np.nonzero((marked.to_numpy() != 0) & ~np.eye(len(neurons), dtype=bool))
            self.reference_ = self.ax_.plot(post, pre, "o", color="white", markersize=3.2, mec="black", mew=0.6)[0]
            # Below the names of neurons and the label.
            given = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.22)}
            self._add_legend({self.reference_label: self.reference_}, given=given)
