"""Frames in, outputs of each frame out: one logit a state (equation 1), or one value a signal."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skworm.nn.groups import Groups
from skworm.nn.messages import GraphConvolution, MessagePassing
from skworm.nn.readouts import ReadoutModule


def neurons_of(X: Tensor, frame_shape: tuple[int, int], group: Groups) -> tuple[Tensor, Tensor | None]:
    """Return the features of every neuron, 0 where it is missing, and whether it is there: 1 or 0, None where all are.

    NaN in any of its features marks a neuron as missing. In a row that only fills up a batch every neuron is.
    """
    nodes = X.unflatten(1, frame_shape)
    if group.complete and group.weight is None:
        return nodes, None
    there = ~nodes.isnan().any(-1)
    if group.weight is not None:
        there = there & (group.weight > 0).unsqueeze(1)
    return torch.where(there.unsqueeze(-1), nodes, nodes.new_zeros(())), there.to(nodes.dtype)


class FrameModule(nn.Module):
    """Pass messages along a weighted graph, then aggregate the neurons and apply a perceptron (equations 6 to 14).

    Parameters
    ----------
    n_neurons, n_node_features : int
        Shape of a frame.
    messages : MessagePassing, GraphConvolution or None
        Graph and messages; None for a perceptron that is blind to the graph.
    readout : ReadoutModule
        Aggregation and perceptron.

    References
    ----------
    Wang et al. 2021, equations 6 to 14.
    """

    def __init__(
        self,
        n_neurons: int,
        n_node_features: int,
        messages: MessagePassing | GraphConvolution | None,
        readout: ReadoutModule,
    ) -> None:
        super().__init__()
        self.frame_shape = (n_neurons, n_node_features)
        self.messages = messages
        self.readout = readout

    def forward(self, X: Tensor, group: Groups, graphs: Tensor | None = None) -> Tensor:
        """Map frames, of shape (n_frames, n_neurons * n_node_features), to logits or signals (n_frames, n_outputs).

        Frames are neuron-major, NaN where a neuron is missing. Those of one group share a static graph, or the one of
        `graphs` of shape (n_groups, n_neurons, n_neurons), in place of what would be inferred.
        """
        nodes, present = neurons_of(X, self.frame_shape, group)
        if self.messages is not None:
            nodes = self.messages(nodes, group, graphs, present)
        return self.readout(nodes, present)

    def group_graphs(self, X: Tensor, group: Groups) -> Tensor:
        """Infer one graph a group of frames, see :meth:`MessagePassing.group_graphs`; frames are as in `forward`."""
        if self.messages is None:
            raise ValueError("this module passes no messages, so there is no graph")
        nodes, present = neurons_of(X, self.frame_shape, group)
        return self.messages.group_graphs(nodes, group, present)
