"""Graphs between neurons: as a matrix, and drawn on a circle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any, Literal, Self

import numpy as np
import pandas as pd

from skworm.plotting import base
from skworm.recording import neuron_name

_POSITIVE, _NEGATIVE, _REFERENCE = "#2166AC", "#B2182B", "#CCCCCC"
_INCHES_A_NEURON, _EDGES_A_NEURON, _WIDEST, _THINNEST = 0.24, 2, 2.6, 0.4
_TO_CENTRE, _NAME_RADIUS, _LIMIT = (0.35, 0.6), 1.07, 1.3


class GraphDisplay(base.Display):
    """A weighted graph between neurons, as a matrix or as a network.

    Parameters
    ----------
    graph : DataFrame of shape (n_neurons, n_neurons)
        Weights [pre, post], such as ``graph_`` of a fitted network or a connectome: the row sends, the column receives.
    kind : {"matrix", "network"}, default="matrix"
        All weights in colour, or neurons on a circle with arrows from sender to receiver.
    share : float in (0, 1], optional
        Share of the pairs whose edges a network shows, those of the largest absolute weight; by default two a neuron.
    neurons : sequence of str, optional
        Neurons to show, in their order; by default sorted by name, which keeps the members of a class together.
    reference : DataFrame of shape (n_reference_neurons, n_reference_neurons), optional
        Graph [pre, post] whose edges are marked: as dots in a matrix; in a network in pale grey, and the edges that it
        lacks are dashed.
    label : str, optional
        Label of the colour bar, or of the edges of a network; by default ``"Edge weight"`` and the source, if known.
    reference_label : str, optional
        What the legend calls an edge of the reference; by default with the source, if known.

    Attributes
    ----------
    image_, colorbar_ : matplotlib.image.AxesImage and matplotlib.colorbar.Colorbar, or None
        The cells of a matrix; colours begin at 0, or are white there where some weights are negative.
    reference_ : matplotlib.lines.Line2D, list of matplotlib.patches.FancyArrowPatch or None
        Dots or grey edges of the reference.
    legend_ : matplotlib.legend.Legend or None
        What stands for the reference, and in a network for weights.
    edges_ : dict of matplotlib.patches.FancyArrowPatch
        Edges of a network by (pre, post); empty for a matrix.

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
    kind: Literal["matrix", "network"] = "matrix"
    share: float | None = None
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
        if self.kind not in ("matrix", "network"):
            raise ValueError(f"kind={self.kind!r} does not exist; choose 'matrix' or 'network'")
        if self.share is not None and not 0 < self.share <= 1:
            raise ValueError(f"share={self.share!r} must be a number greater than 0, at most 1")
        weights = self._weights()
        marked = self._marked(list(weights.index))
        side = max(3.2, 1.4 + _INCHES_A_NEURON * len(weights))
        size = (side + 1.2, side + 0.3) if self.kind == "matrix" else (side, side + 0.3)
        self._make_axes(ax, 1, size, square=True)
        self.image_: Any = None
        self.colorbar_: Any = None
        self.reference_: Any = None
        self.legend_: Any = None
        self.edges_: dict[tuple[str, str], Any] = {}
        if self.kind == "matrix":
            self._draw_matrix(weights, marked)
        else:
            self._draw_network(weights, marked)
        self._explain()

    def _weights(self) -> pd.DataFrame:
        neurons = sorted(map(str, self.graph.index)) if self.neurons is None else list(self.neurons)
        known = sorted(set(self.graph.index) & set(self.graph.columns), key=str)
        neurons = base.chosen_neurons(neurons, known, "graph", "no row or no column for")
        return self.graph.loc[neurons, neurons].astype(float)

    def _marked(self, neurons: list[str]) -> np.ndarray | None:
        if self.reference is None:
            return None
        reference = self.reference.rename(index=neuron_name, columns=neuron_name)
        names = [neuron_name(neuron) for neuron in neurons]
        aligned = reference.reindex(index=names, columns=names).fillna(0)
        return (aligned.to_numpy() != 0) & ~np.eye(len(names), dtype=bool)

    def _draw_matrix(self, weights: pd.DataFrame, marked: np.ndarray | None) -> None:
        values = weights.to_numpy()
        signed = bool((values < 0).any())
        # From 0 on, so that differences too small to matter do not fill the scale.
        limit = np.nanmax(np.abs(values)) or 1.0
        low, colors = (-limit, "RdBu") if signed else (0, "Blues")
        self.image_ = self.ax_.imshow(values, interpolation="nearest", vmin=low, vmax=limit, cmap=colors)
        self.ax_.set_facecolor(base.LIGHT)
        # Given axes may have neighbours that an inset would cover.
        place: dict[str, Any] = {"ax": self.ax_, "fraction": 0.046, "pad": 0.03}
        if self._own_figure:
            place = {"cax": self.ax_.inset_axes((1.03, 0, min(0.045, 0.7 / len(weights)), 1))}
        self.colorbar_ = self.figure_.colorbar(self.image_, label=self._label(), **place)
        if marked is not None:
            pre, post = np.nonzero(marked)
            self.reference_ = self.ax_.plot(post, pre, "o", color="white", markersize=3.2, mec="black", mew=0.6)[0]
        self.ax_.set_xticks(range(len(weights)), list(weights.index), rotation=90, fontsize="x-small")
        self.ax_.set_yticks(range(len(weights)), list(weights.index), fontsize="x-small")
        self.ax_.tick_params(length=0)
        self.ax_.set(xlabel="Receiver (post)", ylabel="Sender (pre)")

    def _draw_network(self, weights: pd.DataFrame, marked: np.ndarray | None) -> None:
        names = list(weights.index)
        angles = np.pi / 2 - 2 * np.pi * np.arange(len(names)) / len(names)
        places = np.column_stack([np.cos(angles), np.sin(angles)])
        if marked is not None:
            style: dict[str, Any] = {"color": _REFERENCE, "linewidth": 0.5, "zorder": 1}
            pairs = zip(*np.nonzero(marked), strict=True)
            self.reference_ = [self._arrow(places, pre, post, **style) for pre, post in pairs]
        values = weights.to_numpy()
        shown = _strongest(values, self.share)
        # Widths span the weights that are shown: the strongest of a graph are often much alike.
        strengths = np.array([abs(values[pair]) for pair in shown])
        span = np.ptp(strengths) if shown else 0.0
        shares = (strengths - strengths[0]) / span if span > 0 else np.full(len(shown), 0.5)
        widths = _THINNEST + (_WIDEST - _THINNEST) * shares
        for (pre, post), width in zip(shown, widths, strict=True):
            color = _POSITIVE if values[pre, post] > 0 else _NEGATIVE
            style = {"color": color, "linewidth": width, "alpha": 0.85, "zorder": 2}
            style["linestyle"] = "-" if marked is None or marked[pre, post] else (0, (4 / width**0.5, 2 / width**0.5))
            self.edges_[names[pre], names[post]] = self._arrow(places, pre, post, **style)
        self.ax_.plot(*places.T, "o", color=base.ink(), markersize=5, zorder=3)
        for name, (x, y), angle in zip(names, places * _NAME_RADIUS, np.degrees(angles), strict=True):
            left = x < -1e-9
            text = self.ax_.text(x, y, name, ha="right" if left else "left", va="center", fontsize="small")
            text.set(rotation=angle + 180 if left else angle, rotation_mode="anchor")
        self.ax_.set(xlim=(-_LIMIT, _LIMIT), ylim=(-_LIMIT, _LIMIT), aspect="equal")
        self.ax_.set_axis_off()

    def _label(self) -> str:
        source = f", {base.connectome_label(self.graph)}" if "reference" in self.graph.attrs else ""
        return f"Edge weight{source}" if self.label is None else self.label

    def _title(self) -> str:
        weights = np.nan_to_num(self._weights().to_numpy())
        n_edges, shown = np.count_nonzero(weights) - np.count_nonzero(np.diag(weights)), len(self.edges_)
        return self._label() + (f"\n(the {shown} strongest of {n_edges})" if shown < n_edges else "")

    def _explain(self) -> None:
        from matplotlib.lines import Line2D

        handles: dict[str, Any] = {}
        weights: dict[tuple[str, str], Any] = {pair: self.graph.loc[pair] for pair in self.edges_}
        strongest = [max(weights, key=lambda pair: sign * weights[pair]) for sign in (1, -1) if weights]
        weakest = [min(weights, key=lambda pair: abs(weights[pair]))] if weights else []
        for pair in (*strongest, *weakest):
            edge = self.edges_[pair]
            handles[f"{weights[pair]:.3g}"] = Line2D([], [], color=edge.get_edgecolor(), linewidth=edge.get_linewidth())
        reference = self.reference_label or f"edge of the {base.connectome_label(self.reference)}"
        if isinstance(self.reference_, list):
            handles[f"no {reference}"] = Line2D([], [], color=_POSITIVE, linestyle=(0, (4, 2)))
            handles[reference] = Line2D([], [], color=_REFERENCE)
        elif self.reference_ is not None:
            handles[reference] = self.reference_
        if handles:
            # A matrix has names and a label below it; a network has nothing there.
            given = {"loc": "upper center", "bbox_to_anchor": (0.5, 0 if self.image_ is None else -0.22)}
            self.legend_ = self._add_legend(handles, given=given, title=self._title() if self.edges_ else None)

    def _arrow(self, places: np.ndarray, pre: int, post: int, **style: Any) -> Any:
        from matplotlib.patches import FancyArrowPatch

        # Bent towards the centre, and the two edges of a pair by different amounts.
        begin, end = places[pre], places[post]
        chord, middle = end - begin, (begin + end) / 2
        inwards = np.sign(chord[0] * middle[1] - chord[1] * middle[0]) or 1.0
        depth = _TO_CENTRE[int(pre < post)] * max(float(np.linalg.norm(middle)), 0.2)
        bend = inwards * depth / float(np.linalg.norm(chord))
        ends: dict[str, Any] = {"arrowstyle": "-|>,head_length=4,head_width=2", "shrinkA": 4, "shrinkB": 4}
        arrow = FancyArrowPatch(tuple(begin), tuple(end), connectionstyle=f"arc3,rad={bend}", **ends, **style)
        return self.ax_.add_patch(arrow)


def _strongest(values: np.ndarray, share: float | None) -> list[tuple[int, int]]:
    """Return the pairs of the largest absolute weights, weakest first."""
    strengths = np.where(np.eye(len(values), dtype=bool), 0, np.abs(np.nan_to_num(values)))
    n_wanted = _EDGES_A_NEURON * len(values) if share is None else int(np.ceil(share * len(values) * (len(values) - 1)))
    n_shown = min(n_wanted, int(np.count_nonzero(strengths)))
    order = np.argsort(strengths, axis=None, kind="stable")[strengths.size - n_shown :]
    pre, post = np.unravel_index(order, strengths.shape)
    return list(zip(pre.tolist(), post.tolist(), strict=True))
