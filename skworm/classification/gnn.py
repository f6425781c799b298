"""The graph neural network, which infers the relations between neurons."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd

from skworm.classification.base import NeuralStateClassifier
from skworm.neural import GraphFrameEstimator
from skworm.training import VirtualWorms


class GNNStateClassifier(NeuralStateClassifier, GraphFrameEstimator):
    """Read the behavioural state with a graph neural network on an inferred weighted graph.

    `fit` infers one graph a training worm (``graphs_``) and one of all their frames (``graph_``). With static edges,
    `predict` takes the stored graph for a training worm, infers the graph of a worm it has not seen from the frames
    that it is given (never from labels), and uses ``graph_`` for frames that name no worm. Dynamic edges are
    inferred frame by frame, so that every frame stands alone, as it does with `convolution`.

    Worms need not have the same neurons, see :class:`MLPStateClassifier`: a neuron that is missing sends no message and
    receives none, and no edge from or to it is inferred.

    Parameters
    ----------
    edges : {"static", "dynamic", "free"}, default="static"
        One graph a worm, one graph a frame, or one freely learned graph for all.
    graph : DataFrame of shape (n_neurons, n_neurons), default=None
        A given graph in place of inferred edges: weights from the neuron of the row (pre) to the neuron of the
        column (post), aligned by name; further neurons are ignored.
    convolution : {"gin0", "gin", "sage", "gat", "gatv2", "attention"} or None, default=None
        An established graph module in place of equations 8 to 12, which None keeps: GIN-0, GIN-ε, GraphSAGE with the
        mean, GAT, GATv2 or global attention, each to `n_hidden` features and followed by a rectifier. It runs on the
        fully connected graph, or on `graph`: an entry that is not 0 is an edge, whatever its weight, and the diagonal
        does not count. `edges`, the parameters of inferred edges, `self_edges`, `message_normalization` and `residual`
        then have no effect, and `n_message_steps` must be 1.
    n_heads : int, default=1
        Heads of ``"gat"`` and ``"gatv2"``, each of `n_hidden` features, set side by side.
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
        With `convolution`, the attention averaged over frames and heads, or for GIN and GraphSAGE 1 for every edge.
        NaN for an inferred edge between neurons that are never there in the same frame.
    graphs_ : dict of DataFrame
        Graph of each training worm; empty where training named no worms.
    classes_, neurons_, node_features_, neurons_without_data_, worms_, net_, n_iter_, best_epoch_, frame_settings_, \
n_features_in_, feature_names_in_
        See :class:`MLPStateClassifier`.

    References
    ----------
    Wang et al. 2021, equations 8 to 14; Supplementary Information, "Model Selection".

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
        **GraphFrameEstimator._graph_constraints,
    }

    def __init__(
        self,
        *,
        edges: str = "static",
        graph: pd.DataFrame | None = None,
        convolution: str | None = None,
        n_heads: int = 1,
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
        self.convolution = convolution
        self.n_heads = n_heads
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
