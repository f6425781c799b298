"""Networks that read single frames, and their readouts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skworm.nn.blocks import Groups, perceptron
from skworm.nn.messages import MessageModule


class ReadoutModule(nn.Module):
    """Aggregate the neurons of a frame and map them to outputs (equations 6, 7 and 13).

    Parameters
    ----------
    n_neurons, n_node_features, n_outputs : int
        Shape of a frame, and its outputs, such as one logit a state.
    n_hidden : int
        Features of a hidden layer of the perceptron.
    n_layers, batch_norm, aggregation
        See :class:`skworm.Readout`.
    fill_missing : bool, default=False
        Whether neurons may be missing, so that what is typical of each has to be known where they are concatenated.
    """

    def __init__(
        self,
        n_neurons: int,
        n_node_features: int,
        n_outputs: int,
        *,
        n_hidden: int,
        n_layers: int,
        batch_norm: str | None,
        aggregation: str,
        fill_missing: bool = False,
    ) -> None:
        super().__init__()
        self.is_sum = aggregation == "sum"
        self.fill = MissingNodes(n_neurons, n_node_features) if fill_missing and not self.is_sum else None
        n_inputs = n_node_features * (1 if self.is_sum else n_neurons)
        self.hidden = perceptron(n_inputs, n_hidden, n_layers, batch_norm)
        self.output = nn.Linear(n_hidden, n_outputs)

    def forward(self, nodes: Tensor, present: Tensor | None = None) -> Tensor:
        """Map nodes (n_frames, n_neurons, n_node_features) to outputs (n_frames, n_outputs).

        Where a neuron is missing, `present` of shape (n_frames, n_neurons) is 0, otherwise 1, and the nodes are 0.
        """
        if self.fill is not None:
            nodes = self.fill(nodes, present)
        return self.output(self.hidden(nodes.sum(1) if self.is_sum else nodes.flatten(1)))


class TypicalNodes(nn.Module):
    """Remember what is typical of each neuron: its mean over the training frames in which it is there.

    The mean is a running one, since what a neuron has after messages changes while a network learns.
    """

    _LEAST_WEIGHT = 0.1

    def __init__(self, n_neurons: int, n_node_features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_neurons, n_node_features))
        self.register_buffer("n_batches", torch.zeros(n_neurons, 1))

    def forward(self, nodes: Tensor, present: Tensor | None) -> Tensor:
        """Return means of shape (n_neurons, n_node_features); in training, after those of these nodes were learned."""
        if self.training:
            self._learn(nodes.detach(), present)
        return self.get_buffer("mean")

    def _learn(self, nodes: Tensor, present: Tensor | None) -> None:
        count = nodes.new_full((nodes.shape[1], 1), len(nodes)) if present is None else present.sum(0).unsqueeze(-1)
        mean, n_batches = self.get_buffer("mean"), self.get_buffer("n_batches")
        there = (count > 0).to(nodes.dtype)
        n_batches.add_(there)
        weight = there * n_batches.clamp(min=1).reciprocal().clamp(min=self._LEAST_WEIGHT)
        mean.add_(weight * (nodes.sum(0) / count.clamp(min=1) - mean))


class MissingNodes(nn.Module):
    """Fill in neurons that are missing: with what is typical of each, shifted by what training made of its absence.

    The shift begins at 0, and stays there where no neuron was ever missing in training.
    """

    def __init__(self, n_neurons: int, n_node_features: int) -> None:
        super().__init__()
        self.typical = TypicalNodes(n_neurons, n_node_features)
        self.shift = nn.Parameter(torch.zeros(n_neurons, n_node_features))

    def forward(self, nodes: Tensor, present: Tensor | None) -> Tensor:
        """Fill nodes of shape (n_frames, n_neurons, n_node_features), 0 where `present` is 0; by None all are there."""
        typical = self.typical(nodes, present)
        return nodes if present is None else torch.where(present.unsqueeze(-1) > 0, nodes, typical + self.shift)


class FrameModule(nn.Module):
    """Pass messages, aggregate the neurons and apply a perceptron (Wang et al. 2021, equations 6 to 14).

    Parameters
    ----------
    n_neurons, n_node_features : int
        Shape of a frame.
    messages : MessagePassing, GraphConvolution or None
        None for a perceptron that is blind to the graph.
    readout : ReadoutModule
        Aggregation and perceptron.
    """

    def __init__(
        self, n_neurons: int, n_node_features: int, messages: MessageModule | None, readout: ReadoutModule
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
        nodes, present = self.nodes(X, group)
        if self.messages is not None:
            nodes = self.messages(nodes, group, graphs, present)
        return self.readout(nodes, present)

    def nodes(self, X: Tensor, group: Groups) -> tuple[Tensor, Tensor | None]:
        """Return the features of every neuron, 0 where it is missing, and whether it is there: 1 or 0, None for all.

        NaN in any of its features marks a neuron as missing. In a row that only fills up a batch every neuron is.
        """
        nodes = X.unflatten(1, self.frame_shape)
        if group.complete and group.weight is None:
            return nodes, None
        there = ~nodes.isnan().any(-1)
        if group.weight is not None:
            there = there & (group.weight > 0).unsqueeze(1)
        return torch.where(there.unsqueeze(-1), nodes, nodes.new_zeros(())), there.to(nodes.dtype)
