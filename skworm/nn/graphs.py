"""Weighted graphs between neurons: inferred a group of frames, inferred a frame, learned freely, or given.

Every graph module maps frames to edge weights of shape (n_graphs, n_neurons, n_neurons), whose entry [i, j] is the
weight w_ij with which neuron i receives from neuron j (Wang et al. 2021, equation 12). There are as many graphs as
groups of frames (static), as frames (dynamic), or a single one (free, fixed).

Where neurons are missing, `present` of shape (n_frames, n_neurons) is 1 for a neuron that is there, 0 for one that is
not. An edge is inferred from the frames in which both its neurons are there, and is 0 where there is no such frame; a
static graph that averages neurons, not pairs of them, asks only that each neuron is there in some frame.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skworm.nn.blocks import Groups, perceptron


class EdgeEncoder(nn.Module):
    """Encode each pair of neurons and weigh the edge between them.

    Wang et al. 2021, equations 8 to 11; "One-hot encoding of edges" in the Supplementary Information.

    Parameters
    ----------
    n_neurons, n_node_features : int
        Shape of a frame.
    n_hidden, embedding, aggregation, temperature, batch_norm
        See :class:`skworm.InferredGraph`.
    """

    def __init__(
        self,
        n_neurons: int,
        n_node_features: int,
        *,
        n_hidden: int,
        embedding: int,
        aggregation: str,
        temperature: float,
        batch_norm: bool,
    ) -> None:
        super().__init__()
        norm = "output" if batch_norm else None
        self.n_hidden = n_hidden
        self.aggregation = aggregation
        self.temperature = temperature
        self.neuron = perceptron(n_node_features, n_hidden, 2, norm)  # equation 8
        self.embedding = nn.Parameter(torch.randn(n_neurons, embedding))
        n_inputs = n_hidden + embedding
        self.receiver = nn.Linear(n_inputs, n_hidden)
        self.sender = nn.Linear(n_inputs, n_hidden, bias=False)
        self.edge = perceptron(n_hidden, n_hidden, 1, norm)
        self.logits = nn.Linear(n_hidden, 2)

    def hidden_edges(self, neurons: Tensor) -> Tensor:
        """Encode pairs (equation 9): (..., n_neurons, n_hidden) to (..., n_neurons, n_neurons, n_hidden)."""
        identity = self.embedding.expand(*neurons.shape[:-1], -1)
        neurons = torch.cat([neurons, identity], dim=-1)
        # A linear layer on a concatenated pair is a sum of two linear maps, so no concatenated pair is ever stored.
        receiver = self.receiver(neurons)
        sender = self.receiver(neurons) if self.aggregation == "sum" else self.sender(neurons)
        return self.edge(torch.relu(receiver.unsqueeze(-2) + sender.unsqueeze(-3)))

    def weights(self, edges: Tensor) -> Tensor:
        """Weigh edges (equations 10 and 11): (..., n_neurons, n_neurons, n_hidden) to (..., n_neurons, n_neurons)."""
        # The second of two softmax probabilities is the sigmoid of their logits' difference, at a quarter of the cost.
        first, second = self.logits.weight
        bias = self.logits.bias[1] - self.logits.bias[0]
        return torch.sigmoid((edges @ (second - first) + bias) / self.temperature)


class StaticGraph(nn.Module):
    """One graph a group of frames, such as a worm, inferred from all its frames together.

    Parameters
    ----------
    encoder : EdgeEncoder
        Weighs the edges.
    average : {"node_features", "hidden_neurons", "hidden_edges", "edge_weights"} or None
        What is averaged over the frames of a group: incoming features, hidden features, or the resulting weights. The
        paper: "the aggregation step in (9) also averages hidden features across all timesteps". None is for
        :class:`DynamicGraph`.
    """

    def __init__(self, encoder: EdgeEncoder, average: str | None) -> None:
        super().__init__()
        self.encoder = encoder
        self.average = average

    def forward(self, nodes: Tensor, group: Groups, present: Tensor | None = None) -> Tensor:
        """Infer edge weights."""
        of_neurons = self.average in ("node_features", "hidden_neurons")
        counted = present if present is None or of_neurons else pairs_of(present)

        def averaged(values: Tensor, stage: str) -> Tensor:
            return group.means(values, counted) if self.average == stage else values

        nodes = averaged(nodes, "node_features")
        neurons = averaged(self.encoder.neuron(nodes), "hidden_neurons")
        edges = averaged(self.encoder.hidden_edges(neurons), "hidden_edges")
        weights = averaged(self.encoder.weights(edges), "edge_weights")
        if present is None:
            return weights
        return weights * (pairs_of(present) if self.average is None else self.inferred(group, present))

    def inferred(self, group: Groups, present: Tensor) -> Tensor:
        """Return which edges can be inferred: 1 or 0, of shape (n_groups, n_neurons, n_neurons)."""
        if self.average in ("node_features", "hidden_neurons"):
            return pairs_of((group.means(present) > 0).to(present.dtype))
        return (group.means(pairs_of(present)) > 0).to(present.dtype)


class DynamicGraph(StaticGraph):
    """One graph a frame, of shape (n_frames, n_neurons, n_neurons): as :class:`StaticGraph`, without any average."""

    def __init__(self, encoder: EdgeEncoder) -> None:
        super().__init__(encoder, None)


class FreeGraph(nn.Module):
    """One graph for all frames whose weights are parameters; for `temperature` see :class:`skworm.LearnedGraph`."""

    def __init__(self, n_neurons: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.logits = nn.Parameter(0.1 * torch.randn(n_neurons, n_neurons, 2))

    def forward(self, nodes: Tensor, group: Groups, present: Tensor | None = None) -> Tensor:
        """Return edge weights of shape (1, n_neurons, n_neurons)."""
        return torch.softmax(self.logits / self.temperature, dim=-1)[None, ..., 1]


class FixedGraph(nn.Module):
    """One given graph for all frames, such as a connectome.

    Parameters
    ----------
    weights : Tensor of shape (n_neurons, n_neurons)
        Entry [i, j] is the weight with which neuron i receives from neuron j.
    """

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", weights[None])

    def forward(self, nodes: Tensor, group: Groups, present: Tensor | None = None) -> Tensor:
        """Return edge weights of shape (1, n_neurons, n_neurons)."""
        return self.get_buffer("weights")


def pairs_of(present: Tensor) -> Tensor:
    """Return of which pairs both neurons are there: (..., n_neurons) to (..., n_neurons, n_neurons)."""
    return present.unsqueeze(-1) * present.unsqueeze(-2)


Graph = StaticGraph | DynamicGraph | FreeGraph | FixedGraph
"""Any of the graphs."""
