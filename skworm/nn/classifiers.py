"""State classifiers: frames in, one logit a state out (equation 1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skworm.nn.blocks import Readout, group_means, group_messages


class MLPClassifierModule(nn.Module):
    """Aggregate the neurons and apply a perceptron (equations 6 and 7).

    Parameters
    ----------
    n_neurons, n_node_features : int
        Shape of a frame.
    readout : Readout
        Aggregation and perceptron.
    """

    def __init__(self, n_neurons: int, n_node_features: int, readout: Readout) -> None:
        super().__init__()
        self.frame_shape = (n_neurons, n_node_features)
        self.readout = readout

    def forward(self, X: Tensor, group: Tensor) -> Tensor:
        """Map frames to logits.

        Parameters
        ----------
        X : Tensor of shape (n_frames, n_neurons * n_node_features)
            Frames, neuron-major.
        group : LongTensor of shape (n_frames,)
            Not used: every frame stands alone.

        Returns
        -------
        Tensor of shape (n_frames, n_states)
            Logits.
        """
        return self.readout(X.unflatten(1, self.frame_shape))


class GNNClassifierModule(nn.Module):
    """Pass messages along a weighted graph, then aggregate and apply a perceptron (equations 12 to 14).

    Parameters
    ----------
    n_neurons, n_node_features : int
        Shape of a frame.
    graph : StaticGraph, DynamicGraph, FreeGraph or FixedGraph
        Gives the edge weights.
    readout : Readout
        Aggregation and perceptron.
    self_edges : bool
        Whether a neuron sends a message to itself.
    message_normalization : {"row", "mean"} or None
        Divide the messages that a neuron receives by the sum of its edge weights, or by the number of neurons.
    residual : bool
        Add a neuron's own features to the messages that it receives.
    n_message_steps : int
        How many times messages are passed along the same graph.

    References
    ----------
    Wang et al. 2021, equations 8 to 14.
    """

    def __init__(
        self,
        n_neurons: int,
        n_node_features: int,
        graph: nn.Module,
        readout: Readout,
        *,
        self_edges: bool,
        message_normalization: str | None,
        residual: bool,
        n_message_steps: int,
    ) -> None:
        super().__init__()
        self.frame_shape = (n_neurons, n_node_features)
        self.graph = graph
        self.readout = readout
        self.self_edges = self_edges
        self.message_normalization = message_normalization
        self.residual = residual
        self.n_message_steps = n_message_steps

    def forward(self, X: Tensor, group: Tensor, graphs: Tensor | None = None) -> Tensor:
        """Map frames to logits.

        Parameters
        ----------
        X : Tensor of shape (n_frames, n_neurons * n_node_features)
            Frames, neuron-major.
        group : LongTensor of shape (n_frames,)
            Group of each frame; frames of one group share a static graph.
        graphs : Tensor of shape (n_groups, n_neurons, n_neurons), optional
            Edge weights that are already known, in place of inferred ones.

        Returns
        -------
        Tensor of shape (n_frames, n_states)
            Logits.
        """
        nodes = X.unflatten(1, self.frame_shape)
        weights = self._weights(nodes, group) if graphs is None else graphs
        adjacency = self._normalized(weights)
        for _ in range(self.n_message_steps):
            messages = adjacency @ nodes if self.graph.dynamic else group_messages(adjacency, nodes, group)
            nodes = nodes + messages if self.residual else messages
        return self.readout(nodes)

    def group_graphs(self, X: Tensor, group: Tensor) -> Tensor:
        """Infer one graph a group of frames; that of dynamic edges is their average over the group.

        Parameters
        ----------
        X : Tensor of shape (n_frames, n_neurons * n_node_features)
            Frames, neuron-major.
        group : LongTensor of shape (n_frames,)
            Group of each frame.

        Returns
        -------
        Tensor of shape (n_groups, n_neurons, n_neurons)
            Entry [g, i, j] is the weight with which neuron i receives from neuron j, before messages are normalised.
        """
        n_groups = int(group.max()) + 1
        weights = self._weights(X.unflatten(1, self.frame_shape), group)
        if self.graph.dynamic:
            return group_means(weights, group, n_groups)
        return weights.expand(n_groups, -1, -1)

    def _weights(self, nodes: Tensor, group: Tensor) -> Tensor:
        weights = self.graph(nodes, group, int(group.max()) + 1)
        if self.self_edges:
            return weights
        return weights * (1 - torch.eye(weights.shape[-1], device=weights.device, dtype=weights.dtype))

    def _normalized(self, weights: Tensor) -> Tensor:
        if self.message_normalization == "row":
            # A neuron without incoming edges gets no message, rather than NaN.
            sums = weights.sum(-1, keepdim=True)
            return weights / torch.where(sums > 0, sums, torch.ones_like(sums))
        if self.message_normalization == "mean":
            return weights / weights.shape[-1]
        return weights
