"""The perceptron that every module is built of, and the ways to aggregate neurons."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FeatureBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of the last axis, over all the others."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalise `inputs` of shape (..., n_features)."""
        return super().forward(inputs.flatten(0, -2)).view_as(inputs)


def perceptron(n_inputs: int, n_hidden: int, n_layers: int, batch_norm: str | None) -> nn.Sequential:
    """Stack linear layers, each followed by a rectifier.

    Parameters
    ----------
    n_inputs : int
        Features that come in, on the last axis.
    n_hidden : int
        Features of each layer.
    n_layers : int
        Number of linear layers.
    batch_norm : {"output", "before_activation"} or None
        Normalise the output of the last layer, or each layer before its rectifier, or nothing.

    Returns
    -------
    torch.nn.Sequential
        Maps (..., n_inputs) to (..., n_hidden).
    """
    layers: list[nn.Module] = []
    for layer in range(n_layers):
        layers.append(nn.Linear(n_inputs if layer == 0 else n_hidden, n_hidden))
        if batch_norm == "before_activation":
            layers.append(FeatureBatchNorm(n_hidden))
        layers.append(nn.ReLU())
    if batch_norm == "output":
        layers.append(FeatureBatchNorm(n_hidden))
    return nn.Sequential(*layers)


class Readout(nn.Module):
    """Aggregate the neurons of a frame and map them to outputs (equations 6, 7 and 13).

    Parameters
    ----------
    n_neurons, n_node_features : int
        Shape of a frame.
    n_outputs : int
        Outputs a frame, such as one logit a state.
    n_hidden, n_layers, batch_norm
        See :func:`perceptron`.
    aggregation : {"concatenate", "sum", "mean"}
        How the neurons' features come together before the perceptron.
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
    ) -> None:
        super().__init__()
        self.aggregation = aggregation
        n_inputs = n_neurons * n_node_features if aggregation == "concatenate" else n_node_features
        self.hidden = perceptron(n_inputs, n_hidden, n_layers, batch_norm)
        self.output = nn.Linear(n_hidden, n_outputs)

    def forward(self, nodes: Tensor) -> Tensor:
        """Map `nodes` of shape (n_frames, n_neurons, n_node_features) to (n_frames, n_outputs)."""
        if self.aggregation == "concatenate":
            frames = nodes.flatten(1)
        elif self.aggregation == "sum":
            frames = nodes.sum(1)
        else:
            frames = nodes.mean(1)
        return self.output(self.hidden(frames))


def group_means(values: Tensor, group: Tensor, n_groups: int) -> Tensor:
    """Average rows group by group.

    Parameters
    ----------
    values : Tensor of shape (n_frames, ...)
        Rows.
    group : LongTensor of shape (n_frames,)
        Group of each row, from 0 to n_groups - 1.
    n_groups : int
        Number of groups.

    Returns
    -------
    Tensor of shape (n_groups, ...)
        Means; zero for a group without rows.
    """
    sums = values.new_zeros(n_groups, *values.shape[1:]).index_add(0, group, values)
    counts = torch.bincount(group, minlength=n_groups).clamp(min=1).to(values.dtype)
    return sums / counts.view(-1, *[1] * (values.dim() - 1))


def group_messages(weights: Tensor, nodes: Tensor, group: Tensor) -> Tensor:
    """Pass messages along the graph of each frame's group (equation 12).

    Frames are lined up group by group, so that a group takes one matrix product; a product a frame, with its graph
    copied for it, takes several times as long.

    Parameters
    ----------
    weights : Tensor of shape (n_groups, n_neurons, n_neurons)
        Entry [g, i, j] is the weight with which neuron i receives from neuron j; a single graph serves all groups.
    nodes : Tensor of shape (n_frames, n_neurons, n_node_features)
        Features that are sent.
    group : LongTensor of shape (n_frames,)
        Group of each frame.

    Returns
    -------
    Tensor of shape (n_frames, n_neurons, n_node_features)
        Sums of weighted messages.
    """
    signals = nodes.transpose(1, 2)
    if len(weights) == 1:
        return (signals @ weights[0].T).transpose(1, 2)
    counts = torch.bincount(group, minlength=len(weights))
    order = torch.argsort(group)
    place = torch.empty_like(group)
    place[order] = torch.arange(len(group), device=group.device) - (counts.cumsum(0) - counts)[group[order]]
    lined_up = signals.new_zeros(len(weights), int(counts.max()), *signals.shape[1:])
    lined_up[group, place] = signals
    messages = lined_up.flatten(1, 2) @ weights.transpose(1, 2)
    return messages.view_as(lined_up)[group, place].transpose(1, 2)
