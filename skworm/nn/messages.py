"""Messages between neurons: those of the paper, and established graph convolutions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from skworm.nn.blocks import FeatureBatchNorm, Groups, perceptron
from skworm.nn.graphs import DynamicGraph, Graph, StaticGraph, pairs_of

HIDDEN_EDGES_AT_A_TIME = 2**20
"""Hidden features of pairs of neurons that are held at once."""

_OfFrames = Callable[[Tensor, Groups, Tensor | None], Tensor]


class MessageModule(nn.Module):
    """A module that passes messages between neurons, and tells along which graphs.

    What is held of each pair of neurons of each frame, such as the hidden features of dynamic edges, makes by far the
    largest tensors. It is computed for a few frames at a time, and once more in the backward pass instead of being
    kept, so that its memory grows neither with the number of frames nor with the steps of a rollout.
    ``in_parts=False`` computes all at once.
    """

    in_parts = True
    n_pair_features: int
    """Features that are held of each pair of neurons of each frame; 0 where frames share graphs."""
    takes_group_graphs: bool
    """Whether frames take the graph of their group, which can be told beforehand."""

    def weights(self, nodes: Tensor, group: Groups, present: Tensor | None = None) -> Tensor:
        """Return the graphs along which messages pass, of shape (n_graphs, n_neurons, n_neurons)."""
        raise NotImplementedError

    def group_graphs(self, nodes: Tensor, group: Groups, present: Tensor | None = None) -> Tensor:
        """Return one graph for each group of frames, of shape (n_groups, n_neurons, n_neurons).

        Entry [g, i, j] is the weight with which neuron i receives from neuron j, before messages are normalised; graphs
        of frames are averaged over the group. NaN where it would be inferred, but the two neurons are never there
        together. `nodes` and `present` are as in `forward`.
        """
        if self.n_pair_features:
            weights = self._frame_by_frame(self.weights, nodes, group, present)
            graphs = group.means(weights, None if present is None else pairs_of(present))
        else:
            graphs = self.weights(nodes, group, present).expand(group.n_groups, -1, -1)
        inferred = None if present is None else self._inferred(group, present)
        return graphs if inferred is None else graphs.masked_fill(inferred == 0, torch.nan)

    def _inferred(self, group: Groups, present: Tensor) -> Tensor | None:
        """Return which edges can be inferred, 0 for none, (n_groups, n_neurons, n_neurons); None if none is."""
        return group.means(pairs_of(present)) if self.n_pair_features else None

    def _frame_by_frame(self, function: _OfFrames, nodes: Tensor, group: Groups, present: Tensor | None) -> Tensor:
        """Apply a function to a few frames at a time, where something is held of each pair of neurons."""
        # Where batch normalisation takes statistics, it takes them over all frames.
        takes_statistics = any(part.training for part in self.modules() if isinstance(part, FeatureBatchNorm))
        if not self.in_parts or not self.n_pair_features or takes_statistics:
            return function(nodes, group, present)

        def of_part(nodes: Tensor, index: Tensor, present: Tensor | None = None) -> Tensor:
            return function(nodes, Groups(index, group.n_groups), present)

        size = max(1, HIDDEN_EDGES_AT_A_TIME // (nodes.shape[1] ** 2 * self.n_pair_features))
        parts = zip(*(value.split(size) for value in (nodes, group.index, present) if value is not None), strict=True)
        if not torch.is_grad_enabled():
            return torch.cat([of_part(*part) for part in parts])
        return torch.cat([checkpoint(of_part, *part, use_reentrant=False, preserve_rng_state=False) for part in parts])


class MessagePassing(MessageModule):
    """Send every neuron's features along a graph, and add up what each neuron receives.

    Wang et al. 2021, equations 12 and 14.

    Parameters
    ----------
    graph : StaticGraph, DynamicGraph, FreeGraph or FixedGraph
        Gives the edge weights.
    self_edges, normalization, residual, n_steps
        See :class:`skworm.Messages`.
    """

    def __init__(
        self, graph: Graph, *, self_edges: bool, normalization: str | None, residual: bool, n_steps: int
    ) -> None:
        super().__init__()
        self.graph = graph
        self.self_edges = self_edges
        self.normalization = normalization
        self.residual = residual
        self.n_steps = n_steps
        self.n_pair_features = graph.encoder.n_hidden if isinstance(graph, DynamicGraph) else 0
        self.takes_group_graphs = not isinstance(graph, DynamicGraph)

    def forward(
        self, nodes: Tensor, group: Groups, graphs: Tensor | None = None, present: Tensor | None = None
    ) -> Tensor:
        """Map features (n_frames, n_neurons, n_node_features) to what each neuron received, of the same shape.

        Frames of one group share a static graph, or the one of `graphs` of shape (n_groups, n_neurons, n_neurons), in
        place of what would be inferred. A neuron for which `present`, of shape (n_frames, n_neurons), is 0 and not 1
        sends nothing, receives nothing and keeps the features 0, which it must come with.
        """
        if not self.takes_group_graphs and graphs is None:
            return self._frame_by_frame(self._pass_along_own_graphs, nodes, group, present)
        weights = self.weights(nodes, group, present) if graphs is None else graphs
        return self._pass_along(weights, group.messages, nodes, present)

    def weights(self, nodes: Tensor, group: Groups, present: Tensor | None = None) -> Tensor:
        """Return edge weights of shape (n_graphs, n_neurons, n_neurons), self edges only where wanted."""
        weights = self.graph(nodes, group, present)
        if self.self_edges:
            return weights
        return weights * (1 - torch.eye(weights.shape[-1], device=weights.device, dtype=weights.dtype))

    def _inferred(self, group: Groups, present: Tensor) -> Tensor | None:
        return self.graph.inferred(group, present) if isinstance(self.graph, StaticGraph) else None

    def _pass_along_own_graphs(self, nodes: Tensor, group: Groups, present: Tensor | None) -> Tensor:
        return self._pass_along(self.weights(nodes, group, present), torch.matmul, nodes, present)

    def _pass_along(
        self, weights: Tensor, send: Callable[[Tensor, Tensor], Tensor], nodes: Tensor, present: Tensor | None
    ) -> Tensor:
        divisor: Tensor | None = None
        if present is not None:
            # Which senders are missing differs from frame to frame, whereas frames may share their weights.
            present = present.unsqueeze(-1)
            if self.normalization == "row":
                divisor = _one_for_zero(send(weights, present))
            elif self.normalization == "mean":
                divisor = present.sum(1, keepdim=True).clamp(min=1)
        elif self.normalization == "row":
            # A neuron without incoming edges gets no message, rather than NaN.
            weights = weights / _one_for_zero(weights.sum(-1, keepdim=True))
        elif self.normalization == "mean":
            weights = weights / weights.shape[-1]
        for _ in range(self.n_steps):
            messages = send(weights, nodes)
            messages = messages if divisor is None else messages / divisor
            nodes = nodes + messages if self.residual else messages
            nodes = nodes if present is None else nodes * present
        return nodes


def _one_for_zero(sums: Tensor) -> Tensor:
    return torch.where(sums > 0, sums, torch.ones_like(sums))


class Layer(nn.Module):
    """A layer that maps `n_inputs` features of each neuron to `n_hidden`, and sends along the edges as they are.

    ``n_outputs`` are the features that a neuron has afterwards, ``n_pair_features`` those that are held of each pair of
    neurons of each frame.
    """

    n_outputs: int
    n_pair_features = 0

    def edge_weights(self, nodes: Tensor, adjacency: Tensor, group: Groups, present: Tensor | None = None) -> Tensor:
        """Return how much each neuron takes of each other: of shape (n_graphs, ...) or (n_frames, ...)."""
        itself = torch.eye(adjacency.shape[-1], dtype=torch.bool, device=adjacency.device)
        return ((adjacency != 0) & ~itself).to(nodes.dtype)


class GINConvolution(Layer):
    r"""Graph isomorphism network: :math:`g((1 + \epsilon) x_i + \sum_j x_j)`, with a perceptron g of two layers.

    :math:`\epsilon` is learned with `learn_epsilon` (GIN-ε), and else 0 (GIN-0). Xu et al. 2019, "How Powerful are
    Graph Neural Networks?", equation 4.1.
    """

    def __init__(self, n_inputs: int, n_hidden: int, *, learn_epsilon: bool) -> None:
        super().__init__()
        self.n_outputs = n_hidden
        self.perceptron = perceptron(n_inputs, n_hidden, 2, None)
        self.epsilon = nn.Parameter(torch.zeros(()), requires_grad=learn_epsilon)

    def forward(self, nodes: Tensor, adjacency: Tensor, group: Groups, present: Tensor | None = None) -> Tensor:
        """Map nodes to nodes."""
        neighbours = group.messages(self.edge_weights(nodes, adjacency, group), nodes)
        return self.perceptron((1 + self.epsilon) * nodes + neighbours)


class SAGEConvolution(Layer):
    r"""GraphSAGE with the mean: :math:`W_1 x_i + W_2 \, \mathrm{mean}_j \, x_j + b`; the mean of no neuron is 0.

    Hamilton et al. 2017, "Inductive Representation Learning on Large Graphs", algorithm 1 and section 3.3.
    """

    def __init__(self, n_inputs: int, n_hidden: int) -> None:
        super().__init__()
        self.n_outputs = n_hidden
        self.own = nn.Linear(n_inputs, n_hidden, bias=False)
        self.neighbours = nn.Linear(n_inputs, n_hidden)

    def forward(self, nodes: Tensor, adjacency: Tensor, group: Groups, present: Tensor | None = None) -> Tensor:
        """Map nodes to nodes."""
        edges = self.edge_weights(nodes, adjacency, group)
        if present is None:
            means = group.messages(edges / edges.sum(-1, keepdim=True).clamp(min=1), nodes)
        else:
            means = group.messages(edges, nodes) / group.messages(edges, present.unsqueeze(-1)).clamp(min=1)
        return self.own(nodes) + self.neighbours(means)


class _Attention(Layer):
    """A layer whose neurons divide their attention over those that they receive from, and themselves.

    The messages of several heads are set side by side.
    """

    def __init__(self, n_hidden: int, n_heads: int, has_bias: bool = True) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.n_outputs = n_heads * n_hidden
        self.bias = nn.Parameter(torch.zeros(self.n_outputs)) if has_bias else None

    def _values(self, nodes: Tensor) -> Tensor:
        """Return what neurons send: (n_frames, n_neurons, n_outputs)."""
        raise NotImplementedError

    def _scores(self, nodes: Tensor) -> Tensor:
        """Score pairs of receiver and sender: (n_frames, n_heads, n_neurons, n_neurons)."""
        raise NotImplementedError

    def forward(self, nodes: Tensor, adjacency: Tensor, group: Groups, present: Tensor | None = None) -> Tensor:
        """Map nodes to nodes."""
        values = self._heads(self._values(nodes)).transpose(1, 2)
        messages = (self.attention(nodes, adjacency, group, present) @ values).transpose(1, 2).flatten(2)
        return messages if self.bias is None else messages + self.bias

    def attention(self, nodes: Tensor, adjacency: Tensor, group: Groups, present: Tensor | None) -> Tensor:
        """Return the attention of shape (n_frames, n_heads, n_neurons, n_neurons), whose rows sum to 1."""
        itself = torch.eye(adjacency.shape[-1], dtype=torch.bool, device=adjacency.device)
        edges = (adjacency != 0) | itself
        edges = edges if len(edges) == 1 else edges[group.index]
        if present is not None:
            # A missing neuron still attends to itself: a softmax needs something.
            edges = edges & (present > 0).unsqueeze(1) | itself
        return self._scores(nodes).masked_fill(~edges.unsqueeze(1), -torch.inf).softmax(-1)

    def edge_weights(self, nodes: Tensor, adjacency: Tensor, group: Groups, present: Tensor | None = None) -> Tensor:
        """Return the attention of every frame, averaged over heads: (n_frames, n_neurons, n_neurons)."""
        return self.attention(nodes, adjacency, group, present).mean(1)

    def _heads(self, features: Tensor) -> Tensor:
        return features.unflatten(-1, (self.n_heads, -1))


class GATConvolution(_Attention):
    r"""Graph attention network: :math:`\sum_j \alpha_{ij} W x_j + b`, the attention over i's senders and i itself.

    :math:`\alpha_{ij}` is the softmax over j of :math:`\mathrm{LeakyReLU}(a_1 \cdot W x_i + a_2 \cdot W x_j)`, whose
    slope is 0.2 below 0.

    Its `n_heads` heads of `n_hidden` features each are set side by side. Veličković et al. 2018, "Graph Attention
    Networks", equations 1 to 5.
    """

    def __init__(self, n_inputs: int, n_hidden: int, *, n_heads: int) -> None:
        super().__init__(n_hidden, n_heads)
        self.n_pair_features = n_heads
        self.linear = nn.Linear(n_inputs, self.n_outputs, bias=False)
        self.receiver = nn.Parameter(nn.init.xavier_uniform_(torch.empty(n_heads, n_hidden)))
        self.sender = nn.Parameter(nn.init.xavier_uniform_(torch.empty(n_heads, n_hidden)))

    def _values(self, nodes: Tensor) -> Tensor:
        return self.linear(nodes)

    def _scores(self, nodes: Tensor) -> Tensor:
        features = self._heads(self.linear(nodes))
        receiver, sender = ((features * weights).sum(-1).transpose(1, 2) for weights in (self.receiver, self.sender))
        return nn.functional.leaky_relu(receiver.unsqueeze(-1) + sender.unsqueeze(-2), 0.2)


class GATv2Convolution(_Attention):
    r"""Graph attention network of the second form: :math:`\sum_j \alpha_{ij} (W_2 x_j + b_2) + b`.

    :math:`\alpha_{ij}` is the softmax over j of :math:`a \cdot \mathrm{LeakyReLU}(W_1 x_i + b_1 + W_2 x_j + b_2)`, over
    i's senders and i itself. Dynamic edges of the paper (equations 8 to 11) come close to it, but weigh each edge by
    itself instead of dividing a whole among the senders.

    Its `n_heads` heads of `n_hidden` features each are set side by side. Brody et al. 2022, "How Attentive are Graph
    Attention Networks?", equation 7.
    """

    def __init__(self, n_inputs: int, n_hidden: int, *, n_heads: int) -> None:
        super().__init__(n_hidden, n_heads)
        self.n_pair_features = self.n_outputs
        self.receiver = nn.Linear(n_inputs, self.n_outputs)
        self.sender = nn.Linear(n_inputs, self.n_outputs)
        self.score = nn.Parameter(nn.init.xavier_uniform_(torch.empty(n_heads, n_hidden)))

    def _values(self, nodes: Tensor) -> Tensor:
        return self.sender(nodes)

    def _scores(self, nodes: Tensor) -> Tensor:
        pairs = self._heads(self.receiver(nodes).unsqueeze(2) + self.sender(nodes).unsqueeze(1))
        return (nn.functional.leaky_relu(pairs, 0.2) * self.score).sum(-1).permute(0, 3, 1, 2)


class AttentionConvolution(_Attention):
    r"""Global attention: :math:`\sum_j \mathrm{softmax}_j(g(x_j)) \, h(x_j)`, with a gate g and a perceptron h.

    It pools a frame: on the full graph every neuron receives the same. On another graph each neuron pools those that it
    receives from, and itself.

    It is GlobalAttention of PyTorch Geometric (AttentionalAggregation in later versions), of Li et al. 2015, "Gated
    Graph Sequence Neural Networks", equation 7, with a softmax over neurons in place of their sigmoid, as in Li et al.
    2019, "Graph Matching Networks".
    """

    n_pair_features = 1

    def __init__(self, n_inputs: int, n_hidden: int) -> None:
        super().__init__(n_hidden, n_heads=1, has_bias=False)
        self.gate = nn.Sequential(perceptron(n_inputs, n_hidden, 1, None), nn.Linear(n_hidden, 1))
        self.perceptron = perceptron(n_inputs, n_hidden, 1, None)

    def _values(self, nodes: Tensor) -> Tensor:
        return self.perceptron(nodes)

    def _scores(self, nodes: Tensor) -> Tensor:
        return self.gate(nodes).transpose(1, 2).unsqueeze(1).expand(-1, -1, nodes.shape[1], -1)


class GraphConvolution(MessageModule):
    """Send every neuron's features through a convolution and a rectifier, along a graph that is known beforehand.

    Parameters
    ----------
    convolution : GINConvolution, SAGEConvolution, GATConvolution, GATv2Convolution or AttentionConvolution
        The layer.
    adjacency : Tensor of shape (n_neurons, n_neurons)
        Neuron i receives from neuron j where entry [i, j] is not zero.

    Examples
    --------
    >>> import torch
    >>> from skworm.nn import GINConvolution, GraphConvolution, Groups
    >>> messages = GraphConvolution(GINConvolution(2, 16, learn_epsilon=True), torch.ones(15, 15))
    >>> messages(torch.rand(100, 15, 2), Groups.one(100)).shape
    torch.Size([100, 15, 16])
    """

    takes_group_graphs = False

    def __init__(self, convolution: Layer, adjacency: Tensor) -> None:
        super().__init__()
        self.convolution = convolution
        self.n_pair_features = convolution.n_pair_features
        self.register_buffer("adjacency", adjacency[None])

    def forward(
        self, nodes: Tensor, group: Groups, graphs: Tensor | None = None, present: Tensor | None = None
    ) -> Tensor:
        """Map features (n_frames, n_neurons, n_node_features) to new ones (n_frames, n_neurons, n_outputs).

        `graphs` of shape (n_groups, n_neurons, n_neurons) take the place of `adjacency`. A neuron for which `present`,
        of shape (n_frames, n_neurons), is 0 and not 1 is missing, and has the features 0 before and afterwards.
        """
        adjacency = self.get_buffer("adjacency") if graphs is None else graphs

        def convolve(nodes: Tensor, group: Groups, present: Tensor | None) -> Tensor:
            convolved = torch.relu(self.convolution(nodes, adjacency, group, present))
            return convolved if present is None else convolved * present.unsqueeze(-1)

        return self._frame_by_frame(convolve, nodes, group, present)

    def weights(self, nodes: Tensor, group: Groups, present: Tensor | None = None) -> Tensor:
        """Return the attention of every frame, or the edges as 0 and 1; without self edges in layers that have none."""
        return self.convolution.edge_weights(nodes, self.get_buffer("adjacency"), group, present)
