"""Graphs between neurons: as a matrix, and drawn on a circle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from skworm.plotting.base import Display
from skworm.plotting.words import LIGHT
from skworm.recording import neuron_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_EDGE, _INHIBITION, _REFERENCE = "#0072B2", "#D55E00", "#BBBBBB"
_INCHES_A_NEURON = 0.24
_INCHES_OF_HANDLE, _INCHES_A_LETTER = 0.6, 0.075
_WIDEST, _BEND = 2.6, 0.16
_NAME_RADIUS, _LIMIT = 1.1, 1.32


class GraphDisplay(Display):
    """A weighted graph between neurons, as a matrix or as a network.

    Parameters
    ----------
    graph : DataFrame of shape (n_neurons, n_neurons)
        Weights [pre, post], such as ``graph_`` of a fitted network or a connectome: the row sends, the column receives.
    neurons : sequence of str, optional
        Neurons to show, in their order; by default sorted by name, which keeps the members of a class together.
    reference : DataFrame of shape (n_reference_neurons, n_reference_neurons), optional
        Graph [pre, post] whose edges are marked: in grey under the edges of a network, as dots in a matrix.
    label : str, default="Edge weight"
        Label of the colour bar, and of the edges of a network.
    reference_label : str, default="connectome"
        What the legend calls the reference.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes.
    image_ : matplotlib.image.AxesImage or None
        The cells of a matrix; colours begin at 0, or are white there where some weights are negative.
    colorbar_ : matplotlib.colorbar.Colorbar or None
        Its colour bar.
    reference_ : matplotlib.lines.Line2D, list of matplotlib.patches.FancyArrowPatch or None
        Dots or grey edges of the reference.
    legend_ : matplotlib.legend.Legend or None
        Tells what stands for the reference, and in a network the sign of edges; None for a matrix without reference.
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

    def __init__(
        self,
        graph: pd.DataFrame,
        *,
        neurons: Sequence[str] | None = None,
        reference: pd.DataFrame | None = None,
        label: str = "Edge weight",
        reference_label: str = "connectome",
    ) -> None:
        self.graph = graph
        self.neurons = neurons
        self.reference = reference
        self.label = label
        self.reference_label = reference_label

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        worm: Any = None,
        kind: Literal["matrix", "network"] = "matrix",
        share: float = 0.2,
        ax: Axes | None = None,
        **options: Any,
    ) -> GraphDisplay:
        """Draw the graph that a network keeps from training.

        Parameters
        ----------
        estimator : GNNStateClassifier or GNNTrajectoryRegressor
            Fitted.
        worm : str, optional
            A training worm; by default the graph of all training rows.
        kind, share, ax
            As in :meth:`plot`.
        **options
            Parameters of the class.

        Returns
        -------
        GraphDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the worm was not in training.
        """
        if worm is not None and worm not in estimator.graphs_:
            raise ValueError(f"no worm {worm!r} was in training; choose among {', '.join(map(str, estimator.graphs_))}")
        graph = estimator.graph_ if worm is None else estimator.graphs_[worm]
        return cls(graph, **options).plot(kind, share=share, ax=ax)

    def plot(
        self, kind: Literal["matrix", "network"] = "matrix", *, share: float = 0.2, ax: Axes | None = None
    ) -> GraphDisplay:
        """Draw the graph.

        Parameters
        ----------
        kind : {"matrix", "network"}, default="matrix"
            All weights in colour, or neurons on a circle with arrows from sender to receiver.
        share : float in (0, 1], default=0.2
            Share of the pairs whose edges a network shows, those of the largest absolute weight.
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        GraphDisplay
            The display itself.

        Raises
        ------
        ValueError
            If the graph is not square, lacks a neuron, or an option does not exist.
        """
        if kind not in ("matrix", "network"):
            raise ValueError(f"kind={kind!r} does not exist; choose 'matrix' or 'network'")
        if not 0 < share <= 1:
            raise ValueError(f"share={share!r} must be a number greater than 0, at most 1")
        weights = self._weights()
        marked = self._marked(list(weights.index))
        side = max(3.2, 1.4 + _INCHES_A_NEURON * len(weights))
        size = (side + 1.2, side + 0.3) if kind == "matrix" else (side, side + 0.3)
        [self.ax_] = self._make_axes(ax, 1, size, square=True)
        self.image_: Any = None
        self.colorbar_: Any = None
        self.reference_: Any = None
        self.legend_: Any = None
        self.edges_: dict[tuple[str, str], Any] = {}
        if kind == "matrix":
            self._draw_matrix(weights, marked)
        else:
            self._draw_network(weights, marked, share)
        self._explain()
        return self

    def _weights(self) -> pd.DataFrame:
        neurons = sorted(map(str, self.graph.index)) if self.neurons is None else list(self.neurons)
        known = set(self.graph.index) & set(self.graph.columns)
        lacking = [neuron for neuron in neurons if neuron not in known]
        if lacking or not neurons:
            found = f"has no row or no column for {lacking[0]!r}" if lacking else "is to be shown without neurons"
            raise ValueError(f"graph {found}; choose among {', '.join(sorted(map(str, known)))}")
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
        low, colors = (-limit, "RdBu") if signed else (0, "viridis")
        self.image_ = self.ax_.imshow(values, interpolation="nearest", vmin=low, vmax=limit, cmap=colors)
        self.ax_.set_facecolor(LIGHT)
        # Given axes may have neighbours that an inset would cover.
        beside = self.ax_.inset_axes((1.03, 0, min(0.045, 0.7 / len(weights)), 1)) if self._own_figure else None
        place: dict[str, Any] = (
            {"cax": beside} if self._own_figure else {"ax": self.ax_, "fraction": 0.046, "pad": 0.03}
        )
        self.colorbar_ = self.figure_.colorbar(self.image_, label=self.label, **place)
        if marked is not None:
            pre, post = np.nonzero(marked)
            self.reference_ = self.ax_.plot(post, pre, "o", color="white", markersize=3.2, mec="black", mew=0.6)[0]
        places, names = range(len(weights)), list(weights.index)
        self.ax_.set_xticks(places, names, rotation=90, fontsize="x-small")
        self.ax_.set_yticks(places, names, fontsize="x-small")
        self.ax_.tick_params(length=0)
        self.ax_.set_xlabel("Receiver (post)")
        self.ax_.set_ylabel("Sender (pre)")

    def _draw_network(self, weights: pd.DataFrame, marked: np.ndarray | None, share: float) -> None:
        names = list(weights.index)
        angles = np.pi / 2 - 2 * np.pi * np.arange(len(names)) / len(names)
        places = np.column_stack([np.cos(angles), np.sin(angles)])
        if marked is not None:
            style = {"color": _REFERENCE, "linewidth": 1.2, "zorder": 1}
            pairs = zip(*np.nonzero(marked), strict=True)
            self.reference_ = [self._arrow(places, pre, post, **style) for pre, post in pairs]
        values = weights.to_numpy()
        for pre, post, strength in _strongest(values, share):
            color = _EDGE if values[pre, post] > 0 else _INHIBITION
            style = {"color": color, "linewidth": _WIDEST * strength, "alpha": 0.25 + 0.65 * strength, "zorder": 2}
            self.edges_[names[pre], names[post]] = self._arrow(places, pre, post, **style)
        self.ax_.plot(*places.T, "o", color="black", markersize=4, zorder=3)
        for name, (x, y), angle in zip(names, places * _NAME_RADIUS, np.degrees(angles), strict=True):
            left = x < -1e-9
            text = self.ax_.text(x, y, name, ha="right" if left else "left", va="center", fontsize="x-small")
            text.set(rotation=angle + 180 if left else angle, rotation_mode="anchor")
        self.ax_.set(xlim=(-_LIMIT, _LIMIT), ylim=(-_LIMIT, _LIMIT), aspect="equal")
        self.ax_.set_axis_off()

    def _explain(self) -> None:
        from matplotlib.colors import to_hex
        from matplotlib.lines import Line2D

        handles: dict[str, Any] = {}
        if self.edges_:
            signed = (self._weights().to_numpy() < 0).any()
            drawn = {to_hex(edge.get_edgecolor()).upper() for edge in self.edges_.values()}
            signs = {"positive": _EDGE, "negative": _INHIBITION} if signed else {"largest": _EDGE}
            signs = {sign: color for sign, color in signs.items() if color in drawn}
            handles = {f"{self.label} ({sign})": Line2D([], [], color=color) for sign, color in signs.items()}
        if self.reference_:
            dots = not isinstance(self.reference_, list)
            handles[self.reference_label] = self.reference_ if dots else Line2D([], [], color=_REFERENCE)
        if handles:
            wide = sum(_INCHES_OF_HANDLE + _INCHES_A_LETTER * len(name) for name in handles)
            ncols = len(handles) if wide < self.figure_.bbox.width / self.figure_.dpi else 1
            # A matrix has names and a label below it; a network has nothing there.
            place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0 if self.image_ is None else -0.22)}
            self.legend_ = self._add_legend(handles, ncols=ncols, given={**place, "ncols": ncols})

    def _arrow(self, places: np.ndarray, pre: int, post: int, **style: Any) -> Any:
        from matplotlib.patches import FancyArrowPatch

        arrow = FancyArrowPatch(
            tuple(places[pre]),
            tuple(places[post]),
            connectionstyle=f"arc3,rad={_BEND}",
            arrowstyle="-|>,head_length=4,head_width=2",
            shrinkA=4,
            shrinkB=4,
            **style,
        )
        self.ax_.add_patch(arrow)
        return arrow


def _strongest(values: np.ndarray, share: float) -> list[tuple[int, int, float]]:
    """Return the pairs of the largest absolute weights, weakest first, with their strength from 0.3 to 1."""
    strengths = np.where(np.eye(len(values), dtype=bool), 0, np.abs(np.nan_to_num(values)))
    n_shown = min(int(np.ceil(share * (strengths.size - len(strengths)))), int((strengths > 0).sum()))
    if not n_shown:
        return []
    order = np.argsort(strengths, axis=None, kind="stable")[-n_shown:]
    pre, post = np.unravel_index(order, strengths.shape)
    shown = strengths[pre, post]
    spread = np.ptp(shown)
    scaled = 0.3 + 0.7 * (shown - shown.min()) / spread if spread > 0 else np.ones(n_shown)
    return list(zip(pre.tolist(), post.tolist(), scaled.tolist(), strict=True))
