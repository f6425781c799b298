"""What an epoch makes of trajectories: windows of the training horizon, virtual worms, scheduled sampling."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

from skworm.training import Batch, Draws, VirtualWorms


@dataclass(frozen=True)
class TrainingWindows:
    """Cut a window out of every trajectory, make virtual worms of them, and show true frames now and then.

    Parameters
    ----------
    burn_in, horizon : int
        Observed and predicted frames of a window.
    n_columns, n_node_features : int
        Columns of a frame, and of a neuron.
    n_starts : int
        Frames at which a window may start; which one is drawn.
    sampling_end : float
        Epochs over which the share of true frames that a rollout is shown falls from 1 to 0; 0 shows none.
    augmentation : VirtualWorms or None
        Virtual worms.
    """

    burn_in: int
    horizon: int
    n_columns: int
    n_node_features: int
    n_starts: int
    sampling_end: float
    augmentation: VirtualWorms | None

    @property
    def structure(self) -> Hashable:
        """All but the strength of augmentation."""
        virtual = None if self.augmentation is None else self.augmentation.structure
        sizes = (self.burn_in, self.horizon, self.n_columns, self.n_node_features, self.n_starts)
        return sizes, self.sampling_end, virtual

    @property
    def keeps_neurons(self) -> bool:
        """Whether no neuron goes missing in what comes out."""
        return self.augmentation is None or not self.augmentation.neuron_dropout

    def n_groups(self, n_groups: int) -> int:
        """Tell how many groups come out of so many."""
        return n_groups if self.augmentation is None else n_groups * self.augmentation.n_groups

    def draw(self, epoch: int, n_samples: int, n_features: int, generator: torch.Generator) -> Draws:
        """Draw starts, virtual worms, and which true frames are shown."""
        draws = Draws({}, {})
        if self.n_starts > 1:
            start = torch.randint(self.n_starts, (n_samples, 1), generator=generator, device=generator.device)
            draws.by_sample["start"] = start
        if self.augmentation is not None:
            virtual = self.augmentation.draw(n_samples, self.n_columns, generator, self.n_node_features)
            draws.by_sample.update(virtual.by_sample)
            draws.shared.update(virtual.shared)
        if epoch < self.sampling_end:
            chance = torch.rand(n_samples, self.horizon, generator=generator, device=generator.device)
            draws.by_sample["shown"] = chance < 1 - epoch / self.sampling_end
        return draws

    def __call__(
        self,
        X: Tensor,
        group: Tensor,
        y: Tensor,
        start: Tensor | None = None,
        shown: Tensor | None = None,
        **virtual: Tensor,
    ) -> Batch:
        """Make inputs and targets of the draws."""
        frames = torch.cat([X, y], dim=1)
        n_features = (self.burn_in + self.horizon) * self.n_columns
        if start is not None:
            frames = frames.gather(1, start * self.n_columns + torch.arange(n_features, device=X.device))
        frames = frames[:, :n_features]
        if virtual:
            frames, group = VirtualWorms.apply(frames, group, **virtual)
        X, y = frames[:, : self.burn_in * self.n_columns], frames[:, self.burn_in * self.n_columns :]
        inputs = {"X": X, "group": group}
        return (inputs if shown is None else inputs | {"true": y, "shown": shown}), y
