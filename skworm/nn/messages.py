"""Messages between neurons along a weighted graph (equations 12 and 14)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from skworm.nn.graphs import DynamicGraph, EdgeEncoder, Graph, StaticGraph, pairs_of
from skworm.nn.groups import Groups

HIDDEN_EDGES_AT_A_TIME = 2**20
"""Hidden features of pairs of neurons that are held at once."""


class MessagePassing(nn.Module):
    """Send every neuron's features along a graph, and add up what each neuron receives.

    With dynamic edges the hidden features of all pairs of neurons are by far the largest tensors. They are computed for
    a few frames at a time, and once more in the backward pass instead of being kept, so that the memory for them grows
    with the square of the number of neurons, but neither with the number of frames nor with the steps of a rollout.
    Setting ``in_parts`` to False computes all at once.

    Parameters
    ----------
    graph : StaticGraph, DynamicGraph, FreeGraph or FixedGraph
        Gives the edge weights.
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
    Wang et al. 2021, equations 12 and 14.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        self_edges: bool,
        message_normalization: str | None,
        residual: bool,
        n_message_steps: int,
    ) -> None:
        super().__init__()
        self.graph = graph
        self.self_edges = self_edges
        self.message_normalization = message_normalization
        self.residual = residual
        self.n_message_steps = n_message_steps
        self.in_parts = True

    @property
    def takes_group_graphs(self) -> bool:
        """Whether frames take the graph of their group, which can be told beforehand."""
        return not self.graph.dynamic

    def forward(
        self, nodes: Tensor, group: Groups, graphs: Tensor | None = None, present: Tensor | None = None
    ) -> Tensor:
        """Pass messages.

        Parameters
        ----------
        nodes : Tensor of shape (n_frames, n_neurons, n_node_features)
            Features that are sent.
        group : Groups
            Groups of frames; frames of one group share a static graph.
        graphs : Tensor of shape (n_groups, n_neurons, n_neurons), optional
            Edge weights that are already known, in place of inferred ones.
        present : Tensor of shape (n_frames, n_neurons), optional
            1 for a neuron that is there, 0 for one that is missing: it sends nothing, receives nothing and keeps the
            features 0, which it must come with. By default all are there.

        Returns
        -------
        Tensor of shape (n_frames, n_neurons, n_node_features)
            What each neuron received, with its own features where `residual` is set.
        """
        if self.graph.dynamic and graphs is None:
            values = (nodes,) if present is None else (nodes, present)
            if not self.in_parts:
                return self._pass_along_own_graphs(*values)
            again = torch.is_grad_enabled() and not self._has_batch_norm
            return frame_by_frame(self._pass_along_own_graphs, values, self._frames_at_a_time(nodes), again)
        weights = self.weights(nodes, group, present) if graphs is None else graphs
        return self._pass_along(weights, group.messages, nodes, present)

    def group_graphs(self, nodes: Tensor, group: Groups, present: Tensor | None = None) -> Tensor:
        """Infer one graph a group of frames; that of dynamic edges is their average over the group.

        Parameters
        ----------
        nodes : Tensor of shape (n_frames, n_neurons, n_node_features)
            Features of the neurons.
        group : Groups
            Groups of frames.
        present : Tensor of shape (n_frames, n_neurons), optional
            1 for a neuron that is there, 0 for one that is missing.

        Returns
        -------
        Tensor of shape (n_groups, n_neurons, n_neurons)
            Entry [g, i, j] is the weight with which neuron i receives from neuron j, before messages are normalised;
            NaN where it would be inferred, but the two neurons are never there.
        """
        if not self.graph.dynamic:
            graphs = self.weights(nodes, group, present).expand(group.n_groups, -1, -1)
        else:
            size = self._frames_at_a_time(nodes)
            masks = [None] * -(-len(nodes) // size) if present is None else present.split(size)
            parts = zip(nodes.split(size), masks, strict=True)
            weights = torch.cat([self.weights(part, group, mask) for part, mask in parts])
            graphs = group.means(weights, None if present is None else pairs_of(present))
        if present is None or not isinstance(self.graph, StaticGraph | DynamicGraph):
            return graphs
        return graphs.masked_fill(self.graph.inferred(group, present) == 0, torch.nan)

    def weights(self, nodes: Tensor, group: Groups, present: Tensor | None = None) -> Tensor:
        """Infer edge weights of shape (n_graphs, n_neurons, n_neurons), self edges only where wanted."""
        weights = self.graph(nodes, group, present)
        if self.self_edges:
            return weights
        return weights * (1 - torch.eye(weights.shape[-1], device=weights.device, dtype=weights.dtype))

    @property
    def _encoder(self) -> EdgeEncoder:
        return self.get_submodule("graph.encoder")  # type: ignore[return-value]  # only dynamic edges ask for it

    @property
    def _has_batch_norm(self) -> bool:
        return self._encoder.has_batch_norm

    def _pass_along_own_graphs(self, nodes: Tensor, present: Tensor | None = None) -> Tensor:
        weights = self.weights(nodes, Groups.one(len(nodes), nodes.device), present)
        return self._pass_along(weights, torch.matmul, nodes, present)

    def _pass_along(
        self, weights: Tensor, send: Callable[[Tensor, Tensor], Tensor], nodes: Tensor, present: Tensor | None
    ) -> Tensor:
        divisor: Tensor | None = None
        if present is None:
            weights = self._normalized(weights)
        else:
            # Which senders are missing differs from frame to frame, whereas frames may share their weights.
            present = present.unsqueeze(-1)
            divisor = self._divisor(weights, send, present)
        for _ in range(self.n_message_steps):
            messages = send(weights, nodes)
            messages = messages if divisor is None else messages / divisor
            nodes = nodes + messages if self.residual else messages
            nodes = nodes if present is None else nodes * present
        return nodes

    def _divisor(self, weights: Tensor, send: Callable[[Tensor, Tensor], Tensor], present: Tensor) -> Tensor | None:
        if self.message_normalization == "row":
            sums = send(weights, present)
            return torch.where(sums > 0, sums, torch.ones_like(sums))
        if self.message_normalization == "mean":
            return present.sum(1, keepdim=True).clamp(min=1)
        return None

    def _frames_at_a_time(self, nodes: Tensor) -> int:
        # In training, batch normalisation takes its statistics over all frames.
        if self.training and self._has_batch_norm:
            return len(nodes)
        return max(1, HIDDEN_EDGES_AT_A_TIME // (nodes.shape[1] ** 2 * self._encoder.n_hidden))

    def _normalized(self, weights: Tensor) -> Tensor:
        if self.message_normalization == "row":
            # A neuron without incoming edges gets no message, rather than NaN.
            sums = weights.sum(-1, keepdim=True)
            return weights / torch.where(sums > 0, sums, torch.ones_like(sums))
        if self.message_normalization == "mean":
            return weights / weights.shape[-1]
        return weights


def frame_by_frame(
    function: Callable[..., Tensor], values: tuple[Tensor, ...], frames_at_a_time: int, again: bool
) -> Tensor:
    """Apply a function that treats every frame by itself to a few frames at a time.

    Parameters
    ----------
    function : callable
        Maps tensors of some frames to a tensor of these frames.
    values : tuple of Tensor of shape (n_frames, ...)
        Its arguments.
    frames_at_a_time : int
        Frames.
    again : bool
        Compute everything once more in the backward pass, instead of keeping it.

    Returns
    -------
    Tensor of shape (n_frames, ...)
        What the function gives.
    """
    parts = zip(*(value.split(frames_at_a_time) for value in values), strict=True)
    if not again:
        return torch.cat([function(*part) for part in parts])
    return torch.cat([checkpoint(function, *part, use_reentrant=False, preserve_rng_state=False) for part in parts])
