"""What all networks share: groups of rows, such as the frames of one worm, perceptrons and batch normalisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

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
        momentum = self.momentum or 0.0
        with torch.no_grad():
            for name, value in {"running_mean": mean, "running_var": variance * count / (count - 1)}.items():
                self.get_buffer(name).mul_(1 - momentum).add_(value, alpha=momentum)
            self.get_buffer("num_batches_tracked").add_(1)
        return centred * torch.rsqrt(variance + self.eps) * self.weight + self.bias


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


_WIDEST = 4
"""Node features up to which messages are products with whole frames."""


@dataclass(frozen=True, eq=False)
class Groups:
    """Which rows belong together.

    All that depends on the values of `index` is computed outside the operations, in :meth:`line_up`, so that these run
    under ``torch.func.vmap`` once that is known.

    Parameters
    ----------
    index : LongTensor of shape (n_rows,)
        Group of each row, from 0 to n_groups - 1.
    n_groups : int
        Number of groups.
    weight : Tensor of shape (n_rows,), optional
        1 for a row, 0 for one that only fills up a batch; None where all are rows.
    place : LongTensor of shape (n_rows,), optional
        Place of each row among those of its group; found when first needed where absent.
    capacity : int, optional
        At least as many as the rows of the largest group.
    complete : bool, default=False
        Whether it is known that no row lacks a neuron, so that none is looked for.

    Examples
    --------
    >>> import torch
    >>> from skworm.nn.blocks import Groups
    >>> groups = Groups(torch.tensor([0, 1, 0]), n_groups=2)
    >>> groups.means(torch.tensor([[1.0], [2.0], [5.0]]))
    tensor([[3.],
            [2.]])
    """

    index: Tensor
    n_groups: int
    weight: Tensor | None = None
    place: Tensor | None = None
    capacity: int | None = None
    complete: bool = False

    @classmethod
    def one(cls, n_rows: int, device: torch.device | None = None) -> Groups:
        """Put all rows into one group."""
        return cls(torch.zeros(n_rows, dtype=torch.long, device=device), 1)

    def means(self, values: Tensor, present: Tensor | None = None) -> Tensor:
        """Average rows group by group: (n_rows, ...) to (n_groups, ...), 0 where a group has nothing that counts.

        `present` is 1 for an entry that counts and else 0; its axes are the first ones of `values`.
        """
        weight = values.new_ones(len(values)) if self.weight is None else self.weight.to(values.dtype)
        if present is not None:
            weight = weight.view(-1, *[1] * (present.dim() - 1)) * present
        counts = self._sums(weight)
        extra = [1] * (values.dim() - weight.dim())
        weighted = values if self.weight is None and present is None else values * weight.view(*weight.shape, *extra)
        return self._sums(weighted) / counts.clamp(min=1).view(*counts.shape, *extra)

    def messages(self, weights: Tensor, nodes: Tensor) -> Tensor:
        """Add up the messages along the graph of each row's group (equation 12).

        Of `weights`, of shape (n_groups, n_neurons, n_neurons), entry [g, i, j] is the weight with which neuron i
        receives from neuron j; a single graph serves all groups. `nodes` and what is returned have the shape
        (n_rows, n_neurons, n_node_features).
        """
        n_features = nodes.shape[2]
        if n_features > _WIDEST:
            return self._products(weights, nodes.transpose(1, 2)).transpose(1, 2)
        # A single matrix product of whole frames takes a fraction of the time of one for each node feature.
        identity = torch.eye(n_features, dtype=weights.dtype, device=weights.device)
        n_columns = nodes.shape[1] * n_features
        wide = weights[:, :, None, :, None] * identity[:, None, :]
        return self._products(wide.reshape(len(weights), n_columns, n_columns), nodes.flatten(1)).view_as(nodes)

    def _sums(self, values: Tensor) -> Tensor:
        if self._sizes is not None:
            return torch.stack([part.sum(0) for part in values.split(self._sizes)])
        return values.new_zeros(self.n_groups, *values.shape[1:]).index_add(0, self.index, values)

    def _products(self, matrices: Tensor, rows: Tensor) -> Tensor:
        """Multiply each row, of shape (..., n), by the matrix of its group, or by the only one.

        Rows are lined up group by group, where they do not come so, and a group takes one product; a product for each
        row, with its matrix copied for it, takes several times as long.
        """
        if len(matrices) == 1:
            return rows @ matrices[0].T
        if self._sizes is not None:
            parts = zip(rows.split(self._sizes), matrices, strict=True)
            return torch.cat([part @ matrix.T for part, matrix in parts])
        place, capacity = self._lined_up
        slot = self.index * capacity + place
        lined_up = rows.new_zeros(self.n_groups * capacity, *rows.shape[1:]).index_copy(0, slot, rows)
        products = lined_up.view(self.n_groups, -1, rows.shape[-1]) @ matrices.transpose(1, 2)
        return products.view_as(lined_up).index_select(0, slot)

    def line_up(self) -> Groups:
        """Return the place of each row, for one list of rows or for a stack of them, `index` of shape (..., n_rows)."""
        place, capacity = self._lined_up
        return replace(self, place=place, capacity=capacity)

    @cached_property
    def _sizes(self) -> list[int] | None:
        """Rows of each group, if the rows come group by group; None if not, or if nothing may be asked of values."""
        if self.place is not None or self.weight is not None or bool((self.index[1:] < self.index[:-1]).any()):
            return None
        return torch.bincount(self.index, minlength=self.n_groups).tolist()

    @cached_property
    def _lined_up(self) -> tuple[Tensor, int]:
        if self.place is not None and self.capacity is not None:
            return self.place, self.capacity
        index = self.index
        counts = index.new_zeros(*index.shape[:-1], self.n_groups).scatter_add(-1, index, torch.ones_like(index))
        order = index.argsort(dim=-1, stable=True)
        first = (counts.cumsum(-1) - counts).gather(-1, index.gather(-1, order))
        place = torch.arange(index.shape[-1], device=index.device) - first
        return torch.empty_like(index).scatter(-1, order, place), int(counts.max())
