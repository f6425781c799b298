"""The graph neural network, which infers the relations between neurons."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from skworm.classification.base import NeuralStateClassifier
from skworm.nn import DynamicGraph, EdgeEncoder, FixedGraph, FreeGraph, GNNClassifierModule, StaticGraph
from skworm.training import VirtualWorms, one_thread


class GNNStateClassifier(NeuralStateClassifier):
    """Read the behavioural state with a graph neural network on an inferred weighted graph.

    `fit` infers one graph a training worm (``graphs_``) and one of all their frames (``graph_``). With static edges,
    `predict` takes the stored graph for a training worm, infers the graph of a worm it has not seen from the frames
    that it is given (never from labels), and uses ``graph_`` for frames that name no worm. Dynamic edges are
    inferred frame by frame, so that every frame stands alone.

    Parameters
    ----------
    edges : {"static", "dynamic", "free"}, default="static"
        One graph a worm, one graph a frame, or one freely learned graph for all.
    graph : DataFrame of shape (n_neurons, n_neurons), default=None
        A given graph in place of inferred edges: weights from the neuron of the row (pre) to the neuron of the
        column (post), aligned by name; further neurons are ignored.
    static_average : {"node_features", "hidden_neurons", "hidden_edges", "edge_weights"}, default="node_features"
        What a static graph averages over a worm's frames (equations 8 to 11).
    edge_aggregation : {"concatenate", "sum"}, default="concatenate"
        How two neurons' hidden features come together (equation 9); their sum gives a symmetric graph.
    edge_temperature : float, default=1.0
        Divides the logits of an edge before the softmax (equation 10); small values push weights to 0 or 1.
    neuron_embedding : int, default=8
        Learned features a neuron that tell the edge encoder which neuron it looks at; 0 for none.
    encoder_batch_norm : bool, default=False
        Batch normalisation inside the edge encoder.
    self_edges : bool, default=True
        Whether a neuron sends a message to itself (equation 12).
    message_normalization : {"row", "mean"} or None, default="mean"
        Divide a neuron's messages by the sum of its incoming weights, by the number of neurons, or not.
    residual : bool, default=True
        Add a neuron's own features to its messages.
    n_message_steps : int, default=1
        How many times messages are passed.
    aggregation, n_hidden, n_layers, batch_norm, augmentation, n_node_features
        See :class:`MLPStateClassifier`; they shape the readout (equation 13). `n_hidden` is the size of the edge
        encoder too.
    weight_decay : float or "auto", default="auto"
        Penalty on the squared weights of the readout; ``"auto"`` is 0.01 without augmentation and 0 with it. The edge
        encoder is spared: a penalty on it makes every graph uniform.
    max_epochs, learning_rate, learning_rate_factor, learning_rate_patience
        See :class:`MLPStateClassifier`.
    validation_fraction, window, device, random_state, verbose
        See :class:`MLPStateClassifier`.

    Attributes
    ----------
    graph_ : DataFrame of shape (n_neurons, n_neurons)
        Graph of all training frames together; weight from the neuron of the row (pre) to that of the column (post).
    graphs_ : dict of DataFrame
        Graph of each training worm; empty where training named no worms.
    classes_, neurons_, node_features_, worms_, net_, n_iter_, best_epoch_, n_features_in_, feature_names_in_
        See :class:`MLPStateClassifier`.

    References
    ----------
    Wang et al. 2021, equations 8 to 14.

    Examples
    --------
    >>> from skworm import GNNStateClassifier
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> X, y = make_frames(make_worms(n_worms=2, n_frames=400, random_state=0), states="2")
    >>> gnn = GNNStateClassifier(max_epochs=50, learning_rate=1e-2, random_state=0).fit(X, y)
    >>> gnn.graph_.shape == (len(gnn.neurons_), len(gnn.neurons_))
    True
    >>> sorted(gnn.graphs_) == sorted(X.index.unique("worm"))
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NeuralStateClassifier._parameter_constraints,
        "edges": [StrOptions({"static", "dynamic", "free"})],
        "graph": [pd.DataFrame, None],
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

    def __init__(
        self,
        *,
        edges: str = "static",
        graph: pd.DataFrame | None = None,
        static_average: str = "node_features",
        edge_aggregation: str = "concatenate",
        edge_temperature: float = 1.0,
        neuron_embedding: int = 8,
        encoder_batch_norm: bool = False,
        self_edges: bool = True,
        message_normalization: str | None = "mean",
        residual: bool = True,
        n_message_steps: int = 1,
        aggregation: str = "concatenate",
        n_hidden: int = 16,
        n_layers: int = 1,
        batch_norm: str | None = "auto",
        augmentation: VirtualWorms | None = None,
        n_node_features: int | None = None,
        max_epochs: int = 800,
        learning_rate: float = 1e-3,
        weight_decay: float | str = "auto",
        learning_rate_factor: float = 0.25,
        learning_rate_patience: int = 50,
        validation_fraction: float = 0.1,
        window: int = 8,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            aggregation=aggregation,
            n_hidden=n_hidden,
            n_layers=n_layers,
            batch_norm=batch_norm,
            augmentation=augmentation,
            n_node_features=n_node_features,
            max_epochs=max_epochs,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            learning_rate_factor=learning_rate_factor,
            learning_rate_patience=learning_rate_patience,
            validation_fraction=validation_fraction,
            window=window,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
        self.edges = edges
        self.graph = graph
        self.static_average = static_average
        self.edge_aggregation = edge_aggregation
        self.edge_temperature = edge_temperature
        self.neuron_embedding = neuron_embedding
        self.encoder_batch_norm = encoder_batch_norm
        self.self_edges = self_edges
        self.message_normalization = message_normalization
        self.residual = residual
        self.n_message_steps = n_message_steps

    @classmethod
    def as_published(cls, **parameters: Any) -> GNNStateClassifier:
        """Make the network that the paper's equations describe, read literally.

        Hidden features of neurons are averaged over a worm's frames before edges are encoded, neurons have no
        identity, messages are summed without normalisation or residual, every perceptron has two layers with batch
        normalisation on its output, and nothing is penalised or augmented.

        Parameters
        ----------
        **parameters
            Other parameters, or changes to these.

        Returns
        -------
        GNNStateClassifier
            Not yet fitted.
        """
        published = {
            "static_average": "hidden_neurons",
            "neuron_embedding": 0,
            "encoder_batch_norm": True,
            "message_normalization": None,
            "residual": False,
            "n_layers": 2,
            "batch_norm": "output",
            "weight_decay": 0.0,
        }
        return cls(**{**published, **parameters})

    def _build_module(self) -> nn.Module:
        return GNNClassifierModule(
            len(self.neurons_),
            len(self.node_features_),
            self._build_graph(),
            self._readout(),
            self_edges=self.self_edges,
            message_normalization=self.message_normalization,
            residual=self.residual,
            n_message_steps=self.n_message_steps,
        )

    def _build_graph(self) -> nn.Module:
        if self.graph is not None:
            return FixedGraph(torch.tensor(self._aligned(self.graph).to_numpy().T, dtype=torch.float32))
        if self.edges == "free":
            return FreeGraph(len(self.neurons_), self.edge_temperature)
        encoder = EdgeEncoder(
            len(self.neurons_),
            len(self.node_features_),
            n_hidden=self.n_hidden,
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
            raise ValueError("graph holds NaN or infinite weights; fill them in, for example with graph.fillna(0)")
        return aligned

    def _after_training(self, X: np.ndarray, group: np.ndarray | None) -> None:
        frames = self._tensor(X.astype(np.float64))
        everyone = torch.zeros(len(frames), dtype=torch.long, device=frames.device)
        self.graph_ = self._labelled(self._infer(frames, everyone)[0])
        self.graphs_ = {}
        if group is not None:
            graphs = self._infer(frames, torch.as_tensor(group, device=frames.device))
            self.graphs_ = {worm: self._labelled(graph) for worm, graph in zip(self.worms_, graphs, strict=True)}

    def _infer(self, X: Tensor, group: Tensor) -> Tensor:
        module = self.net_.module_
        module.eval()
        with one_thread(), torch.inference_mode():
            return module.group_graphs(X, group)

    def _labelled(self, weights: Tensor) -> pd.DataFrame:
        pre = pd.Index(self.neurons_, name="pre")
        return pd.DataFrame(weights.T.cpu().numpy(), index=pre, columns=pre.rename("post"))

    def _logits(self, X: Tensor, worms: np.ndarray | None) -> Tensor:
        if self.net_.module_.graph.dynamic:
            return super()._logits(X, worms)
        if worms is None:
            graphs = [self.graph_]
            codes = np.zeros(len(X), dtype=int)
        else:
            names, codes = np.unique(worms, return_inverse=True)
            graphs = [self._graph_of(name, X, codes == code) for code, name in enumerate(names)]
        weights = self._tensor(np.stack([graph.to_numpy().T for graph in graphs]))
        return self._forward_in_chunks(X, self._tensor(codes), graphs=weights)

    def _graph_of(self, worm: Any, X: Tensor, rows: np.ndarray) -> pd.DataFrame:
        if worm in self.graphs_:
            return self.graphs_[worm]
        frames = X[self._tensor(rows)]
        return self._labelled(self._infer(frames, torch.zeros(len(frames), dtype=torch.long, device=X.device))[0])
