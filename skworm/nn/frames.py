"""Frames in, outputs of each frame out: one logit a state (equation 1), or one value a signal."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skworm.nn.groups import Groups
from skworm.nn.messages import GraphConvolution, MessagePassing
from skworm.nn.readouts import ReadoutModule


def neurons_of(X: Tensor, frame_shape: tuple[int, int], group: Groups) -> tuple[Tensor, Tensor | None]:
    """Return the features of every neuron, and whether it is there: NaN in any of its features marks it as missing.

    Parameters
    ----------
    X : Tensor of shape (n_frames, n_neurons * n_node_features)
        Frames, neuron-major.
    frame_shape : (int, int)
        Neurons and node features.
    group : Groups
        Groups of frames; in a row that only fills up a batch every neuron is missing.

    Returns
    -------
    nodes : Tensor of shape (n_frames, n_neurons, n_node_features)
        Node features, 0 where a neuron is missing.
    present : Tensor of shape (n_frames, n_neurons)
        1 for a neuron that is there, 0 for one that is missing; None where all are known to be there.
    """
    nodes = X.unflatten(1, frame_shape)
    if group.complete and group.weight is None:
        return nodes, None
    there = ~nodes.isnan().any(-1)
    if group.weight is not None:
        there = there & (group.weight > 0).unsqueeze(1)
    return torch.where(there.unsqueeze(-1), nodes, nodes.new_zeros(())), there.to(nodes.dtype)


class MLPFrameModule(nn.Module):
    """Aggregate the neurons and apply a perceptron (equations 6 and 7).

    Parameters
    ----------
    n_neurons, n_node_features : int
        Shape of a frame.
    readout : ReadoutModule
        Aggregation and perceptron.
    """

    def __init__(self, n_neurons: int, n_node_features: int, readout: ReadoutModule) -> None:
        super().__init__()
        self.frame_shape = (n_neurons, n_node_features)
        self.readout = readout

    def forward(self, X: Tensor, group: Groups) -> Tensor:
        """Map frames to outputs.

        Parameters
        ----------
        X : Tensor of shape (n_frames, n_neurons * n_node_features)
            Frames, neuron-major, NaN where a neuron is missing.
        group : Groups
            Tells the rows that only fill up a batch; every frame stands alone.

        Returns
        -------
        Tensor of shape (n_frames, n_outputs)
            Logits of states, or signals.
        """
        return self.readout(*neurons_of(X, self.frame_shape, group))


class GNNFrameModule(nn.Module):
    """Pass messages along a weighted graph, then aggregate and apply a perceptron (equations 12 to 14).

    Parameters
    ----------
    n_neurons, n_node_features : int
        Shape of a frame.
    messages : MessagePassing or GraphConvolution
        Graph and messages.
    readout : ReadoutModule
        Aggregation and perceptron.

    References
    ----------
    Wang et al. 2021, equations 8 to 14.
    """

    def __init__(
        self, n_neurons: int, n_node_features: int, messages: MessagePassing | GraphConvolution, readout: ReadoutModule
    ) -> None:
        super().__init__()
        self.frame_shape = (n_neurons, n_node_features)
        self.messages = messages
        self.readout = readout

    def forward(self, X: Tensor, group: Groups, graphs: Tensor | None = None) -> Tensor:
        """Map frames to outputs.

        Parameters
        ----------
        X : Tensor of shape (n_frames, n_neurons * n_node_features)
            Frames, neuron-major, NaN where a neuron is missing.
        group : Groups
            Groups of frames; frames of one group share a static graph.
        graphs : Tensor of shape (n_groups, n_neurons, n_neurons), optional
            Edge weights that are already known, in place of inferred ones.

        Returns
        -------
        Tensor of shape (n_frames, n_outputs)
            Logits of states, or signals.
        """
        nodes, present = neurons_of(X, self.frame_shape, group)
        return self.readout(self.messages(nodes, group, graphs, present), present)

    def group_graphs(self, X: Tensor, group: Groups) -> Tensor:
        """Infer one graph a group of frames.

        Parameters
        ----------
        X : Tensor of shape (n_frames, n_neurons * n_node_features)
            Frames, neuron-major, NaN where a neuron is missing.
        group : Groups
            Groups of frames.

        Returns
        -------
        Tensor of shape (n_groups, n_neurons, n_neurons)
            Entry [g, i, j] is the weight with which neuron i receives from neuron j; NaN where it would be inferred,
            but the two neurons are never there.
        """
        nodes, present = neurons_of(X, self.frame_shape, group)
        return self.messages.group_graphs(nodes, group, present)
