"""The graph neural network, which infers the relations between neurons."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd

from skworm.behavior.base import NeuralBehaviorRegressor
from skworm.neural import GraphFrameEstimator
from skworm.training import VirtualWorms


class GNNBehaviorRegressor(NeuralBehaviorRegressor, GraphFrameEstimator):
    """Read velocity or other continuous behaviour with a graph neural network on an inferred weighted graph.

    The network is that of :class:`GNNStateClassifier`, with one output a signal in place of one a state; graphs are
    inferred and kept in the same way.

    Parameters
    ----------
    loss : {"squared_error", "huber"}, default="squared_error"
        What training makes small, see :class:`MLPBehaviorRegressor`.
    edges, graph, convolution, n_heads
        See :class:`GNNStateClassifier`.
    static_average, edge_aggregation, edge_temperature, neuron_embedding, encoder_batch_norm
        See :class:`GNNStateClassifier`.
    self_edges, message_normalization, residual, n_message_steps
        See :class:`GNNStateClassifier`.
    aggregation, n_hidden, n_layers, batch_norm, augmentation, n_node_features, weight_decay
        See :class:`GNNStateClassifier`.
    max_epochs, learning_rate, learning_rate_factor, learning_rate_patience
        See :class:`MLPStateClassifier`.
    validation_fraction, window, device, random_state, verbose
        See :class:`MLPStateClassifier`.

    Attributes
    ----------
    graph_ : DataFrame of shape (n_neurons, n_neurons)
        Graph of all training frames together, see :class:`GNNStateClassifier`.
    graphs_ : dict of DataFrame
        Graph of each training worm; empty where training named no worms.
    signals_, signal_mean_, signal_scale_, neurons_, node_features_, worms_, net_, n_iter_, best_epoch_, \
frame_settings_, n_features_in_, feature_names_in_
        See :class:`MLPBehaviorRegressor`.

    References
    ----------
    Wang et al. 2021, equations 8 to 14, for the network; the paper decodes states, and no continuous behaviour.

    Examples
    --------
    >>> from skworm import GNNBehaviorRegressor
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_behavior, make_frames
    >>> worms = make_worms(n_worms=2, n_frames=400, random_state=0)
    >>> X, _ = make_frames(worms, states=None)
    >>> velocity = make_behavior(worms, X)
    >>> gnn = GNNBehaviorRegressor(max_epochs=50, learning_rate=1e-2, random_state=0).fit(X, velocity)
    >>> gnn.score(X, velocity) > 0.7
    True
    >>> gnn.graph_.shape == (len(gnn.neurons_), len(gnn.neurons_))
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NeuralBehaviorRegressor._parameter_constraints,
        **GraphFrameEstimator._graph_constraints,
    }

    def __init__(
        self,
        *,
        loss: str = "squared_error",
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
            loss=loss,
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
