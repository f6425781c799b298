"""Graphs between neurons, as a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any, Self

import numpy as np
import pandas as pd

from skworm.frames.index import from_pre_to_post
from skworm.plotting import base
from skworm.recording import neuron_name

_INCHES_A_NEURON = 0.24


class GraphDisplay(base.Display):
    """A weighted graph between neurons: all weights of a matrix in colour.

    Parameters
    ----------
    graph : DataFrame of shape (n_neurons, n_neurons)
        Weights [pre, post], such as ``graph_`` of a fitted network or a connectome: the row sends, the column receives.
    neurons : sequence of str, optional
        Neurons to show, in their order; by default sorted by name, which keeps the members of a class together.
    reference : DataFrame of shape (n_reference_neurons, n_reference_neurons), optional
        Graph [pre, post] whose edges are marked by dots.
    label : str, optional
        Label of the colour bar; by default ``"Edge weight"`` and the source, if known.
    reference_label : str, optional
        What the legend calls an edge of the reference; by default with the source, if known.

    Attributes
    ----------
    image_, colorbar_ : matplotlib.image.AxesImage and matplotlib.colorbar.Colorbar
        The cells; colours begin at 0, or are white there where some weights are negative.
    reference_ : matplotlib.lines.Line2D or None
        Dots of the reference.
    legend_ : matplotlib.legend.Legend or None
        The legend of the reference.

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
    neurons: Sequence[str] | None = None
    reference: pd.DataFrame | None = None
    label: str | None = None
    reference_label: str | None = None

    @classmethod
    def from_estimator(cls, estimator: Any, *, worm: Any = None, ax: Any = None, **options: Any) -> Self:
        """Draw the graph that a network keeps from training.

        It shows how the network mixes neurons, and is not a finding about the worm: another seed has another graph. For
        relations between neurons draw the tables of :func:`skworm.inspection.functional_graph`.

        Parameters
        ----------
        estimator : GNNStateClassifier or GNNTrajectoryRegressor
            Fitted.
        worm : str, optional
            A training worm; by default the graph of all training rows.
        %(options)s
        """
        if worm is not None and worm not in estimator.graphs_:
            raise ValueError(f"no worm {worm!r} was in training; choose among {', '.join(map(str, estimator.graphs_))}")
        graph = estimator.graph_ if worm is None else estimator.graphs_[worm]
        return cls(graph, **options).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        weights = self._weights()
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
        source = f", {base.connectome_label(self.graph)}" if "reference" in self.graph.attrs else ""
        label = f"Edge weight{source}" if self.label is None else self.label
        self.colorbar_ = self.figure_.colorbar(self.image_, label=label, extend=extend, **place)
        self.ax_.set_xticks(range(len(weights)), list(weights.index), rotation=90, fontsize="x-small")
        self.ax_.set_yticks(range(len(weights)), list(weights.index), fontsize="x-small")
        self.ax_.tick_params(length=0)
        self.ax_.set(xlabel="Receiver (post)", ylabel="Sender (pre)")
        self.reference_ = self.legend_ = None
        if self.reference is not None:
            neurons = list(weights.index)
            marked = from_pre_to_post(self.reference, "reference").reindex(index=neurons, columns=neurons).fillna(0)
            pre, post = np.nonzero((marked.to_numpy() != 0) & ~np.eye(len(neurons), dtype=bool))
            self.reference_ = self.ax_.plot(post, pre, "o", color="white", markersize=3.2, mec="black", mew=0.6)[0]
            name = self.reference_label or f"edge of the {base.connectome_label(self.reference)}"
            # Below the names of neurons and the label.
            given = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.22)}
            self.legend_ = self._add_legend({name: self.reference_}, given=given)

    def _weights(self) -> pd.DataFrame:
        graph = from_pre_to_post(self.graph)
        neurons = sorted(graph.index) if self.neurons is None else [neuron_name(name) for name in self.neurons]
        known = sorted(set(graph.index) & set(graph.columns))
        neurons = base.chosen_neurons(neurons, known, "graph", "no row or no column for")
        return graph.loc[neurons, neurons]
