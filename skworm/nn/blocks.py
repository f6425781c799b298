"""The perceptron that every module is built of, and the ways to aggregate neurons."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class FeatureBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of the last axis, over all the others.

    Where ``row_weights`` of shape (n_rows,) are set, in training, a row of weight 0 only fills up a batch, and is left
    out of the statistics. They hold for inputs whose first axis is the rows.
    """

    row_weights: Tensor | None

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        self.register_buffer("row_weights", None, persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalise `inputs` of shape (..., n_features)."""
        if self.training and self.row_weights is not None and len(inputs) == len(self.row_weights):
            return self._normalize_rows(inputs, self.row_weights)
        return super().forward(inputs.flatten(0, -2)).view_as(inputs)

    def _normalize_rows(self, inputs: Tensor, row_weights: Tensor) -> Tensor:
        others = tuple(range(inputs.dim() - 1))
        weights = row_weights.view(-1, *[1] * (inputs.dim() - 1))
        count = row_weights.sum() * inputs[0, ..., 0].numel()
        mean = (inputs * weights).sum(others) / count
        centred = inputs - mean
        variance = (centred.square() * weights).sum(others) / count
        with torch.no_grad():
            self._keep("running_mean", mean)
            self._keep("running_var", variance * count / (count - 1))
            self.get_buffer("num_batches_tracked").add_(1)
        return centred * torch.rsqrt(variance + self.eps) * self.weight + self.bias

    def _keep(self, name: str, value: Tensor) -> None:
        momentum = self.momentum or 0.0
        self.get_buffer(name).mul_(1 - momentum).add_(value, alpha=momentum)


def perceptron(
    n_inputs: int,
    n_hidden: int,
    n_layers: int,
    batch_norm: str | None,
    *,
    linear: Callable[[int, int], nn.Module] = nn.Linear,
    norm: Callable[[int], nn.Module] = FeatureBatchNorm,
) -> nn.Sequential:
    """Return linear layers, each followed by a rectifier, that map (..., n_inputs) to (..., n_hidden)."""
    layers: list[nn.Module] = []
    for layer in range(n_layers):
        layers.append(linear(n_inputs if layer == 0 else n_hidden, n_hidden))
        if batch_norm == "before_activation":
            layers.append(norm(n_hidden))
        layers.append(nn.ReLU())
    if batch_norm == "output":
        layers.append(norm(n_hidden))
    return nn.Sequential(*layers)
