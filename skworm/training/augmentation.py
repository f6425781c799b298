"""Augmentation: train on individuals that do not exist."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Annotated, Any, NamedTuple

import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor

from skworm.parameters import Count, NotNegative, ParameterObject


class Draws(NamedTuple):
    """What one epoch drew at random."""

    by_sample: dict[str, Tensor]  # Draws of single samples, of shape (n_samples, ...)
    shared: dict[str, Tensor]  # Draws for all samples together


class VirtualWorms(ParameterObject):
    """Split the training frames into random groups and give each group its own gain, offset and mixing of neurons.

    Individuals differ by roughly linear maps of their node features. At every epoch the frames are dealt anew into
    `n_groups` groups; each is a worm that does not exist, whose neurons are mixed with each other, and whose every
    column is then scaled and shifted, by random amounts of its own, which frames of a context share. A static graph is
    inferred for each group by itself. Validation and prediction see frames as they are.

    Parameters
    ----------
    gain : float, default=0.3
        Gains are drawn uniformly from 1 - gain to 1 + gain.
    offset : float, default=0.2
        Offsets are drawn uniformly from -offset to offset, in units of the scaled features.
    n_groups : int, default=20
        Virtual worms an epoch, for each training worm; those of the same number have the same random amounts in every
        training worm.
    mixing : float, default=0.0
        Each neuron becomes itself plus a share of every neuron, itself included, that is drawn from a normal
        distribution of this standard deviation; the same for all its node features.
    neuron_dropout : float, default=0.0
        Probability that a virtual worm lacks a neuron, as real worms do whose neurons were not all identified. Only
        state classifiers can train on such worms.

    References
    ----------
    Wang et al. 2021, "Discussion": "relevant topological structures in latent space are loosely related by linear
    transformations of node features".

    Examples
    --------
    >>> from skworm import MLPStateClassifier, VirtualWorms
    >>> MLPStateClassifier(augmentation=VirtualWorms(gain=0.5)).get_params()["augmentation__gain"]
    0.5
    """

    gain: NotNegative = 0.3
    offset: NotNegative = 0.2
    n_groups: Count = 20
    mixing: NotNegative = 0.0
    neuron_dropout: Annotated[float, Interval(Real, 0, 1, closed="left")] = 0.0

    def draw(self, n_samples: int, n_columns: int, generator: torch.Generator, signals: Sequence[Any]) -> Draws:
        """Draw the virtual worm of each sample, and each virtual worm's gain, offset, mixing and neurons.

        Each of the `n_columns` columns of a frame, which is neuron-major, is of one of `signals`, one for each node
        feature; columns of a neuron that are of the same one have the same gain and offset.
        """
        on_device: Any = {"generator": generator, "device": generator.device}
        dealt = torch.randint(self.n_groups, (n_samples,), **on_device)
        n_neurons = n_columns // len(signals)
        distinct = list(dict.fromkeys(signals))
        by_signal = 2 * torch.rand(2, self.n_groups, n_neurons, len(distinct), **on_device) - 1
        draws = by_signal[..., [distinct.index(signal) for signal in signals]].flatten(2)
        shared = {"gain": 1 + self.gain * draws[0], "offset": self.offset * draws[1]}
        if self.mixing:
            shared["share"] = self.mixing * torch.randn(self.n_groups, n_neurons, n_neurons, **on_device)
        if self.neuron_dropout:
            drawn = torch.rand(self.n_groups, n_neurons, **on_device)
            shared["missing"] = (drawn < self.neuron_dropout).repeat_interleave(len(signals), dim=1)
        return Draws({"dealt": dealt}, shared)

    @staticmethod
    def apply(
        X: Tensor,
        group: Tensor,
        *,
        dealt: Tensor,
        gain: Tensor,
        offset: Tensor,
        share: Tensor | None = None,
        missing: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return samples of virtual worms of what was drawn, and the virtual worm of each.

        `X` of shape (n_samples, n_steps * n_columns) holds frames, or trajectories, time-major, each frame
        neuron-major, NaN where a neuron is missing; all frames of a trajectory have the same gain, offset and mixing.
        Samples of different groups never share a virtual worm.
        """
        n_groups, n_columns = gain.shape
        n_steps = X.shape[1] // n_columns
        if share is not None:
            frames = X.view(len(X), n_steps, share.shape[1], -1)
            sent = torch.where(frames.isnan(), frames.new_zeros(()), frames)
            X = (frames + torch.einsum("tij,tsjf->tsif", share.to(X.dtype)[dealt], sent)).flatten(1)
        gain, offset = (values.to(X.dtype).repeat(1, n_steps) for values in (gain, offset))
        changed = torch.addcmul(offset[dealt], X, gain[dealt])
        if missing is not None:
            changed = changed.masked_fill(missing.repeat(1, n_steps)[dealt], torch.nan)
        return changed, group * n_groups + dealt
