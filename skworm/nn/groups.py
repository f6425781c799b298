"""Groups of rows, such as the frames of one worm, and what is computed group by group."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor


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

    Examples
    --------
    >>> import torch
    >>> from skworm.nn.groups import Groups
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

    @classmethod
    def one(cls, n_rows: int, device: torch.device | None = None) -> Groups:
        """Put all rows into one group."""
        return cls(torch.zeros(n_rows, dtype=torch.long, device=device), 1)

    def means(self, values: Tensor, present: Tensor | None = None) -> Tensor:
        """Average rows group by group.

        Parameters
        ----------
        values : Tensor of shape (n_rows, ...)
            Rows.
        present : Tensor, optional
            1 for an entry that counts, 0 for one that does not; its axes are the first ones of `values`. By default
            all count.

        Returns
        -------
        Tensor of shape (n_groups, ...)
            Means; zero for a group without rows, or without entries that count.
        """
        weight = values.new_ones(len(values)) if self.weight is None else self.weight.to(values.dtype)
        if present is not None:
            weight = weight.view(-1, *[1] * (present.dim() - 1)) * present
        counts = values.new_zeros(self.n_groups, *weight.shape[1:]).index_add(0, self.index, weight)
        extra = [1] * (values.dim() - weight.dim())
        weighted = values if self.weight is None and present is None else values * weight.view(*weight.shape, *extra)
        sums = values.new_zeros(self.n_groups, *values.shape[1:]).index_add(0, self.index, weighted)
        return sums / counts.clamp(min=1).view(*counts.shape, *extra)

    def messages(self, weights: Tensor, nodes: Tensor) -> Tensor:
        """Pass messages along the graph of each row's group (equation 12).

        Rows are lined up group by group, so that a group takes one matrix product; a product a row, with its graph
        copied for it, takes several times as long.

        Parameters
        ----------
        weights : Tensor of shape (n_groups, n_neurons, n_neurons)
            Entry [g, i, j] is the weight with which neuron i receives from neuron j; a single graph serves all groups.
        nodes : Tensor of shape (n_rows, n_neurons, n_node_features)
            Features that are sent.

        Returns
        -------
        Tensor of shape (n_rows, n_neurons, n_node_features)
            Sums of weighted messages.
        """
        signals = nodes.transpose(1, 2)
        if len(weights) == 1:
            return (signals @ weights[0].T).transpose(1, 2)
        place, capacity = self._lined_up
        slot = self.index * capacity + place
        lined_up = signals.new_zeros(self.n_groups * capacity, *signals.shape[1:]).index_copy(0, slot, signals)
        messages = lined_up.view(self.n_groups, -1, signals.shape[-1]) @ weights.transpose(1, 2)
        return messages.view_as(lined_up).index_select(0, slot).transpose(1, 2)

    def line_up(self) -> Groups:
        """Tell the place of each row, for one list of rows or for a stack of them, `index` of shape (..., n_rows)."""
        place, capacity = self._lined_up
        return replace(self, place=place, capacity=capacity)

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
