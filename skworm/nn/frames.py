"""Networks that read single frames, and their readouts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skworm.nn.blocks import Groups, perceptron
from skworm.nn.messages import GraphConvolution, MessagePassing
from skworm.nn.rollout import NeuronLinear


class ReadoutModule(nn.Module):
    """Aggregate the neurons of a frame and map them to outputs (equations 6, 7 and 13).

    Parameters
    ----------
    n_neurons, n_node_features : int
        Shape of a frame.
    n_outputs : int
        Outputs a frame, such as one logit a state.
    n_hidden, n_layers, batch_norm
        Shape of the perceptron, see :class:`skworm.MLPStateClassifier`.
    aggregation : {"concatenate", "sum", "mean", "attention"}
        How the neurons' features come together before the perceptron.
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
        self.aggregation = aggregation
        n_inputs = {"concatenate": n_neurons * n_node_features, "attention": n_hidden}
        if aggregation == "attention":
            self.pooling = AttentionPooling(n_neurons, n_node_features, n_hidden)
        self.fill = MissingNodes(n_neurons, n_node_features) if fill_missing and aggregation == "concatenate" else None
        self.hidden = perceptron(n_inputs.get(aggregation, n_node_features), n_hidden, n_layers, batch_norm)
        self.output = nn.Linear(n_hidden, n_outputs)

    def forward(self, nodes: Tensor, present: Tensor | None = None) -> Tensor:
        """Map nodes (n_frames, n_neurons, n_node_features) to outputs (n_frames, n_outputs).

        Where a neuron is missing, `present` of shape (n_frames, n_neurons) is 0, otherwise 1, and the nodes are 0.
        """
        return self.output(self.hidden(self._aggregated(nodes, present)))

    def _aggregated(self, nodes: Tensor, present: Tensor | None) -> Tensor:
        if self.aggregation == "attention":
            return self.pooling(nodes, nodes.new_ones(nodes.shape[:2]) if present is None else present)
        if self.aggregation == "sum":
            return nodes.sum(1)
        if self.aggregation == "mean":
            return nodes.mean(1) if present is None else nodes.sum(1) / present.sum(1, keepdim=True).clamp(min=1)
        return (nodes if self.fill is None else self.fill(nodes, present)).flatten(1)


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


class AttentionPooling(nn.Module):
    r"""Pool the neurons that are there: :math:`n \sum_i \alpha_i (W_i x_i + b_i)`, in no order, each known by its name.

    :math:`x_i` is measured from what is typical of neuron i, its mean in training, and :math:`\alpha` is the softmax
    of :math:`w_i \cdot x_i + c_i` over the neurons that are there. :math:`W_i, b_i, w_i` and :math:`c_i` are learned; n
    is the number of all neurons. With equal attention and no neuron missing this is the first layer of a perceptron on
    concatenated neurons; where some are missing, the others count for more.

    Parameters
    ----------
    n_neurons, n_inputs, n_outputs : int
        Neurons, their features, and the features of its outputs.
    """

    def __init__(self, n_neurons: int, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.n_neurons = n_neurons
        self.typical = TypicalNodes(n_neurons, n_inputs)
        self.value = NeuronLinear(n_neurons, n_inputs, n_outputs)
        self.score = NeuronLinear(n_neurons, n_inputs, 1)
        with torch.no_grad():
            # As the layer of a perceptron on all neurons begins, with equal attention.
            for parameter in self.value.parameters():
                parameter.mul_(n_neurons**-0.5)
            for parameter in self.score.parameters():
                parameter.zero_()

    def forward(self, nodes: Tensor, present: Tensor) -> Tensor:
        """Map (n_frames, n_neurons, n_inputs), with `present` of (n_frames, n_neurons), to (n_frames, n_outputs)."""
        nodes = (nodes - self.typical(nodes, present)) * present.unsqueeze(-1)
        attention = self.attention(nodes, present)
        return self.n_neurons * (attention.unsqueeze(1) @ self.value(nodes)).squeeze(1)

    def attention(self, nodes: Tensor, present: Tensor) -> Tensor:
        """Return the attention of shape (n_frames, n_neurons): its rows sum to 1, or to 0 where no neuron is there."""
        scores = self.score(nodes).squeeze(-1)
        # Not -inf, of which a softmax over nothing else would make NaN.
        lowest = torch.finfo(scores.dtype).min
        return scores.masked_fill(present == 0, lowest).softmax(-1) * present


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
