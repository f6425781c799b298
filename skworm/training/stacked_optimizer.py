"""Adam and a learning rate that falls on a plateau, for each model of a stack by itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from skworm.training.single import TrainingSettings


class StackedAdam:
    """:class:`torch.optim.Adam` with a learning rate and a penalty of its own for each model.

    Parameters
    ----------
    parameters : Tensor of shape (n_models, n_parameters)
        What to optimize, in place.
    decay : Tensor of shape (n_models, n_parameters)
        Penalty on the square of each parameter.
    """

    betas = (0.9, 0.999)
    epsilon = 1e-8

    def __init__(self, parameters: Tensor, decay: Tensor) -> None:
        self.parameters = parameters
        self.decay = decay if bool(decay.any()) else None
        self.mean = torch.zeros_like(parameters, requires_grad=False)
        self.square = torch.zeros_like(parameters, requires_grad=False)
        self.n_steps = 0

    @torch.no_grad()
    def step(self, gradient: Tensor, learning_rate: Tensor) -> None:
        """Take a step, with one learning rate a model."""
        self.n_steps += 1
        if self.decay is not None:
            gradient = torch.addcmul(gradient, self.decay, self.parameters)
        self.mean.lerp_(gradient, 1 - self.betas[0])
        self.square.mul_(self.betas[1]).addcmul_(gradient, gradient, value=1 - self.betas[1])
        corrections = [1 - beta**self.n_steps for beta in self.betas]
        scale = self.square.sqrt().div_(corrections[1] ** 0.5).add_(self.epsilon)
        rate = (learning_rate / corrections[0]).to(gradient.dtype)
        self.parameters.sub_(rate[:, None] * (self.mean / scale))


class StackedPlateau:
    """:class:`torch.optim.lr_scheduler.ReduceLROnPlateau` and the best epoch of each model.

    Parameters
    ----------
    settings : sequence of TrainingSettings
        One a model.
    device : torch.device
        Where losses come from.

    Attributes
    ----------
    learning_rate, best_loss : Tensor of shape (n_models,)
        Present learning rate and lowest loss so far.
    best_epoch : LongTensor of shape (n_models,)
        Epoch of the lowest loss, from 1; 0 where none was finite.
    """

    # Those of ReduceLROnPlateau.
    threshold = 1e-4
    smallest_change = 1e-8

    def __init__(self, settings: Sequence[TrainingSettings], device: torch.device) -> None:
        def of_each(name: str, dtype: torch.dtype) -> Tensor:
            return torch.tensor([getattr(own, name) for own in settings], dtype=dtype, device=device)

        self.learning_rate = of_each("learning_rate", torch.float64)
        self.factor = of_each("learning_rate_factor", torch.float64)
        self.patience = of_each("learning_rate_patience", torch.long)
        self.best_loss = torch.full_like(self.learning_rate, torch.inf)
        self.best_epoch = torch.zeros_like(self.patience)
        self.reference = self.best_loss.clone()
        self.n_bad = torch.zeros_like(self.patience)

    def update(self, loss: Tensor, epoch: int) -> Tensor:
        """Take note of every model's loss, and tell whose is the lowest so far; epochs count from 0."""
        loss = loss.double()
        improved = loss < self.reference * (1 - self.threshold)
        self.reference = torch.where(improved, loss, self.reference)
        self.n_bad = torch.where(improved, 0, self.n_bad + 1)
        tired = self.n_bad > self.patience
        lower = self.learning_rate * self.factor
        lowered = tired & (self.learning_rate - lower > self.smallest_change)
        self.learning_rate = torch.where(lowered, lower, self.learning_rate)
        self.n_bad = torch.where(tired, 0, self.n_bad)
        better = loss < self.best_loss
        self.best_loss = torch.where(better, loss, self.best_loss)
        self.best_epoch = torch.where(better, epoch + 1, self.best_epoch)
        return better
