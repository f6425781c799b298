"""Graphs between neurons in an estimator: how one is parametrised, built, inferred and labelled."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skworm.layout import worm_of_rows
from skworm.neural.base import NeuralEstimator
from skworm.nn import (
    DynamicGraph,
    EdgeEncoder,
    FixedGraph,
    FreeGraph,
    GraphConvolution,
    Groups,
    MessagePassing,
    StaticGraph,
)
from skworm.nn.convolutions import CONVOLUTIONS, HEADED
from skworm.nn.graphs import Graph
from skworm.training import one_thread


class GraphEstimator(NeuralEstimator):
    """A neural estimator whose module passes messages along a graph, as ``module.messages``."""

    _graph_constraints: ClassVar[dict[str, list[Any]]] = {
        "edges": [StrOptions({"static", "dynamic", "free"})],
        "graph": [pd.DataFrame, None],
        "convolution": [StrOptions(set(CONVOLUTIONS)), None],
        "n_heads": [Interval(Integral, 1, None, closed="left")],
        "static_average": [StrOptions({"node_features", "hidden_neurons", "hidden_edges", "edge_weights"})],
        "edge_aggregation": [StrOptions({"concatenate", "sum"})],
        "edge_temperature": [Interval(Real, 0, None, closed="neither")],
        "neuron_embedding": [Interval(Integral, 0, None, closed="left")],
        "encoder_batch_norm": ["boolean"],
        "self_edges": ["boolean"],
        "message_normalization": [StrOptions({"row", "mean"}), None],
        "residual": ["boolean"],
        "n_message_steps": [Interval(Integral, 1, None, closed="left")],
    }

    edges: str
    graph: pd.DataFrame | None
    convolution: str | None
    n_heads: int
    static_average: str
    edge_aggregation: str
    edge_temperature: float
    neuron_embedding: int
    encoder_batch_norm: bool
    self_edges: bool
    message_normalization: str | None
    residual: bool
    n_message_steps: int

    @property
    def has_static_graph(self) -> bool:
        """Whether all frames of a worm have one graph; else ``graphs_`` averages a graph of every frame."""
        check_is_fitted(self)
        return self.net_.module_.messages.takes_group_graphs

    def infer_graphs(self, X: Any, group: Any = None, worm: Any = None) -> dict[Any, pd.DataFrame]:
        """Infer the graph of each group of rows, from these rows alone.

        Static edges are inferred from the rows of a group together, as `predict` does for a worm that was not in
        training; the graphs that `predict` uses for training worms are ``graphs_``. Dynamic edges are averaged over the
        rows of a group.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows as `predict` takes them.
        group : array-like of shape (n_rows,), optional
            Group of each row; by default its worm, or one group, 0, where rows name no worm.
        worm : array-like of shape (n_rows,), optional
            Worm of each row; by default the index level ``"worm"`` of `X`.

        Returns
        -------
        dict of DataFrame
            Graph of each group, of shape (n_neurons, n_neurons): weight from the neuron of the row (pre) to that of the
            column (post).

        Raises
        ------
        ValueError
            If `group` does not fit `X`.
        """
        check_is_fitted(self)
        rows = self._rows_for_graphs(X, worm)
        labels = worm_of_rows(X, worm) if group is None else np.asarray(group)
        labels = np.zeros(len(rows), dtype=int) if labels is None else labels
        if labels.shape != (len(rows),):
            raise ValueError(f"group has shape {labels.shape}, but X has {len(rows)} rows; pass one label a row")
        names, codes = np.unique(labels, return_inverse=True)
        graphs = self._infer(rows, Groups(self._tensor(codes), len(names)))
        return {name: self._labelled(graph) for name, graph in zip(names.tolist(), graphs, strict=True)}

    def _rows_for_graphs(self, X: Any, worm: Any) -> Tensor:
        """Give rows as the module takes them."""
        raise NotImplementedError

    def _build_messages(self, n_node_features: int, n_hidden: int) -> MessagePassing | GraphConvolution:
        if self.convolution is not None:
            return self._build_convolution(self.convolution, n_node_features, n_hidden)
        return MessagePassing(
            self._build_graph(n_node_features, n_hidden),
            self_edges=self.self_edges,
            message_normalization=self.message_normalization,
            residual=self.residual,
            n_message_steps=self.n_message_steps,
        )

    def _build_convolution(self, name: str, n_node_features: int, n_hidden: int) -> GraphConvolution:
        if self.n_message_steps != 1:
            raise ValueError(
                f"n_message_steps={self.n_message_steps}, but convolution={name!r} passes messages once; leave "
                "n_message_steps=1, or leave convolution=None"
            )
        heads = {"n_heads": self.n_heads} if name in HEADED else {}
        n_neurons = len(self.neurons_)
        adjacency = torch.ones(n_neurons, n_neurons) if self.graph is None else self._receiving(self.graph)
        return GraphConvolution(CONVOLUTIONS[name](n_node_features, n_hidden, **heads), adjacency)

    def _n_received(self, n_node_features: int, n_hidden: int) -> int:
        """Tell how many features a neuron has after messages."""
        if self.convolution is None:
            return n_node_features
        return n_hidden * self.n_heads if self.convolution in HEADED else n_hidden

    def _receiving(self, graph: pd.DataFrame) -> Tensor:
        return torch.tensor(self._aligned(graph).to_numpy().T, dtype=torch.get_default_dtype())

    def _build_graph(self, n_node_features: int, n_hidden: int) -> Graph:
        if self.graph is not None:
            return FixedGraph(self._receiving(self.graph))
        if self.edges == "free":
            return FreeGraph(len(self.neurons_), self.edge_temperature)
        encoder = EdgeEncoder(
            len(self.neurons_),
            n_node_features,
            n_hidden=n_hidden,
            neuron_embedding=self.neuron_embedding,
            edge_aggregation=self.edge_aggregation,
            temperature=self.edge_temperature,
            batch_norm=self.encoder_batch_norm,
        )
        return DynamicGraph(encoder) if self.edges == "dynamic" else StaticGraph(encoder, self.static_average)

    def _aligned(self, graph: pd.DataFrame) -> pd.DataFrame:
        missing = [name for name in self.neurons_ if name not in graph.index or name not in graph.columns]
        if missing:
            raise ValueError(
                f"graph has no row or no column for neurons {missing}; it needs one of each for every neuron of X, "
                "named as in the columns of X ('AVAL:trace')"
            )
        aligned = graph.loc[self.neurons_, self.neurons_]
        if aligned.shape != (len(self.neurons_), len(self.neurons_)):
            raise ValueError("graph names a neuron more than once; give each neuron one row and one column")
        if not np.isfinite(aligned.to_numpy(dtype=float)).all():
            raise ValueError(
                "graph holds NaN or infinite weights between the neurons of X; NaN is unknown, which is not 0: leave "
                "out neurons, or decide what an unknown weight counts as, and fill it in with graph.fillna(...)"
            )
        return aligned

    def _keep_graphs(self, X: Tensor, group: np.ndarray | None) -> None:
        """Set ``graph_`` from all training rows and ``graphs_`` from those of each worm."""
        self.graph_ = self._labelled(self._infer(X, Groups.one(len(X), X.device))[0])
        self.graphs_ = {}
        if group is not None:
            graphs = self._infer(X, Groups(torch.as_tensor(group, device=X.device), len(self.worms_)))
            self.graphs_ = {worm: self._labelled(graph) for worm, graph in zip(self.worms_, graphs, strict=True)}

    def _graphs_of_rows(self, X: Tensor, worms: np.ndarray | None) -> tuple[Tensor, Groups]:
        """Tell the graphs of some rows, and which of them each row has.

        A training worm has the graph that was kept, a new worm one that is inferred from its rows, and rows without a
        worm that of all training rows.
        """
        if worms is None:
            graphs = [self.graph_]
            codes = np.zeros(len(X), dtype=int)
        else:
            names, codes = np.unique(worms, return_inverse=True)
            graphs = [self._graph_of(name, X, codes == code) for code, name in enumerate(names)]
        # Between neurons that were never there together nothing was inferred, and nothing is sent.
        stacked = self._tensor(np.nan_to_num(np.stack([graph.to_numpy().T for graph in graphs])))
        return stacked, Groups(self._tensor(codes), len(graphs))

    def _graph_of(self, worm: Any, X: Tensor, rows: np.ndarray) -> pd.DataFrame:
        if worm in self.graphs_:
            return self.graphs_[worm]
        frames = X[self._tensor(rows)]
        return self._labelled(self._infer(frames, Groups.one(len(frames), X.device))[0])

    def _infer(self, X: Tensor, group: Groups) -> Tensor:
        module = self.net_.module_
        module.eval()
        with one_thread(), torch.inference_mode():
            return module.group_graphs(X, group)

    def _labelled(self, weights: Tensor) -> pd.DataFrame:
        pre = pd.Index(self.neurons_, name="pre")
        return pd.DataFrame(weights.T.cpu().numpy(), index=pre, columns=pre.rename("post"))
