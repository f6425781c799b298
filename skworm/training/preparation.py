"""What an epoch makes of the training samples, such as augmentation and scheduled sampling."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

Batch = tuple[dict[str, Any], Tensor]
"""Inputs of a module by name, and targets."""


class Draws(NamedTuple):
    """What one epoch drew at random.

    Parameters
    ----------
    by_sample : dict of str to Tensor of shape (n_samples, ...)
        Draws of single samples.
    shared : dict of str to Tensor
        Draws for all samples together.
    """

    by_sample: dict[str, Tensor]
    shared: dict[str, Tensor]


class Preparation(Protocol):
    """Makes each epoch's own training batch.

    What is random is drawn apart from what is done with it, so that many models, each with a generator of its own,
    prepare their batches as one.
    """

    @property
    def structure(self) -> Hashable:
        """What preparations have in common whose batches can be made as one."""

    @property
    def keeps_neurons(self) -> bool:
        """Whether no neuron goes missing in what comes out."""

    def n_groups(self, n_groups: int) -> int:
        """Tell how many groups come out of so many."""

    def draw(self, epoch: int, n_samples: int, n_features: int, generator: torch.Generator) -> Draws:
        """Draw for one epoch; epochs count from 0."""

    def __call__(self, X: Tensor, group: Tensor, y: Tensor, **drawn: Tensor) -> Batch:
        """Make inputs, of which ``"group"`` is the group of each sample, and targets of the draws.

        Only operations that ``torch.func.vmap`` knows.
        """
