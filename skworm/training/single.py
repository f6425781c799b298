"""One model, trained on whole tensors through skorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.helper import predefined_split
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

Batch = tuple[dict[str, Tensor], Tensor]
"""Inputs of a module by name, and targets."""

Preparation = Callable[[int, Tensor, Tensor, Tensor, torch.Generator], Batch]
"""Makes an epoch's own batch of (epoch, X, group, y, generator); epochs count from 0."""


@dataclass(frozen=True)
class TrainingSettings:
    """How a module is trained.

    Parameters
    ----------
    max_epochs : int
        Epochs, each one step on all training frames.
    learning_rate : float
        Adam's first learning rate.
    weight_decay : float
        Adam's penalty on squared weights.
    decayed : str
        Pattern of the names of the parameters that `weight_decay` holds for, such as ``"readout.*"``.
    learning_rate_factor : float
        Multiplies the learning rate after `learning_rate_patience` epochs without improvement.
    learning_rate_patience : int
        Epochs.
    device : str
        ``"cpu"`` or ``"cuda"``.
    seed : int
        Seed of what `prepare` draws.
    verbose : int
        0 is silent, 1 shows a progress bar.
    """

    max_epochs: int
    learning_rate: float
    weight_decay: float
    decayed: str
    learning_rate_factor: float
    learning_rate_patience: int
    device: str
    seed: int
    verbose: int


class WholeTensors(Dataset):
    """Frames, groups and targets that are always handed over whole, on the training device."""

    def __init__(self, X: np.ndarray, group: np.ndarray, y: np.ndarray, device: str) -> None:
        self.X = torch.as_tensor(X, dtype=torch.float32, device=device)
        self.group = torch.as_tensor(group, dtype=torch.long, device=device)
        self.y = torch.as_tensor(y, device=device)

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: Any) -> tuple[dict[str, Tensor], Tensor]:
        return {"X": self.X[rows], "group": self.group[rows]}, self.y[rows]


class WholeBatch:
    """Iterate over a data set in a single step: slicing frame by frame costs more than the model itself."""

    def __init__(
        self,
        dataset: WholeTensors,
        batch_size: int = -1,
        prepare: Preparation | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        self.dataset = dataset
        self.prepare = prepare
        self.generator = generator
        self.epoch = 0

    def __iter__(self) -> Iterator[Batch]:
        X, group, y = self.dataset.X, self.dataset.group, self.dataset.y
        if self.prepare is None or self.generator is None:
            yield {"X": X, "group": group}, y
        else:
            yield self.prepare(self.epoch, X, group, y, self.generator)
        self.epoch += 1


class WholeTensorNet(NeuralNet):
    """A net whose epoch is one step, without the bookkeeping of batches, which costs more than a small model."""

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        """Take one optimizer step."""
        self.optimizer_.zero_grad()
        step = self.train_step_single(batch, **fit_params)
        self.optimizer_.step()
        return step

    def run_single_epoch(
        self, iterator: WholeBatch | None, training: bool, prefix: str, step_fn: Callable[..., Any], **fit_params: Any
    ) -> None:
        """Take the one step and record its loss; without judging samples there is nothing to iterate over."""
        for batch in iterator or ():
            self.history.record(f"{prefix}_loss", step_fn(batch, **fit_params)["loss"].item())


class BestEpoch(Callback):
    """Lower the learning rate on a plateau, and go back to the weights of the best epoch at the end."""

    def __init__(self, monitor: str, factor: float, patience: int) -> None:
        self.monitor = monitor
        self.factor = factor
        self.patience = patience

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Start anew."""
        self.scheduler_ = torch.optim.lr_scheduler.ReduceLROnPlateau(
            net.optimizer_, factor=self.factor, patience=self.patience
        )
        self.best_loss_ = np.inf
        self.best_epoch_ = 0
        self.best_weights_: dict[str, Tensor] | None = None

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Remember the weights if this epoch is the best so far."""
        loss = net.history[-1, self.monitor]
        self.scheduler_.step(loss)
        if loss < self.best_loss_:
            self.best_loss_ = loss
            self.best_epoch_ = len(net.history)
            self.best_weights_ = {name: value.clone() for name, value in net.module_.state_dict().items()}

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Restore the best weights."""
        if self.best_weights_ is None:
            raise ValueError(
                f"the {self.monitor} was never a finite number in {len(net.history)} epochs; check that the features "
                "are scaled, or lower learning_rate"
            )
        net.module_.load_state_dict(self.best_weights_)
        self.best_weights_ = None


class EpochProgress(Callback):
    """One progress bar over the epochs."""

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Open the bar."""
        self.bar_ = tqdm(total=net.max_epochs, desc=type(net.module_).__name__, unit="epoch")

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Advance the bar."""
        self.bar_.update()

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Close the bar."""
        self.bar_.close()
        del self.bar_


def train(
    module: nn.Module,
    loss: type[nn.Module],
    X: np.ndarray,
    group: np.ndarray,
    y: np.ndarray,
    held_out: np.ndarray,
    settings: TrainingSettings,
    prepare: Preparation | None = None,
) -> NeuralNet:
    """Train a module on whole tensors and keep the epoch with the lowest loss on the rows held out.

    Parameters
    ----------
    module : torch.nn.Module
        Takes ``X`` and ``group``.
    loss : type of torch.nn.Module
        Takes the module's outputs and `y`.
    X : array of shape (n_samples, n_features)
        Inputs.
    group : array of int, shape (n_samples,)
        Group of each sample, from 0.
    y : array of shape (n_samples, ...)
        Targets.
    held_out : array of bool, shape (n_samples,)
        Samples that judge the epochs and are not trained on. Where there is none, the training loss judges.
    settings : TrainingSettings
        How to train.
    prepare : callable, optional
        Makes each epoch's own training batch of (epoch, X, group, y, generator): inputs of the module by name, and
        targets. Held-out samples are judged as they are.

    Returns
    -------
    skorch.NeuralNet
        Trained net; its ``history`` holds every epoch's losses.

    Raises
    ------
    ValueError
        If no epoch had a finite loss.
    """
    training = WholeTensors(X[~held_out], group[~held_out], y[~held_out], settings.device)
    judging = WholeTensors(X[held_out], group[held_out], y[held_out], settings.device) if held_out.any() else None
    monitor = "train_loss" if judging is None else "valid_loss"
    best = BestEpoch(monitor, settings.learning_rate_factor, settings.learning_rate_patience)
    callbacks: list[tuple[str, Callback]] = [("best_epoch", best)]
    if settings.verbose:
        callbacks.append(("progress", EpochProgress()))
    generator = torch.Generator(settings.device).manual_seed(settings.seed)
    net = WholeTensorNet(
        module,
        criterion=loss,
        optimizer=torch.optim.Adam,
        optimizer__param_groups=[(settings.decayed, {"weight_decay": settings.weight_decay})],
        lr=settings.learning_rate,
        max_epochs=settings.max_epochs,
        batch_size=-1,
        iterator_train=partial(WholeBatch, prepare=prepare, generator=generator),
        iterator_valid=WholeBatch,
        train_split=None if judging is None else predefined_split(judging),
        callbacks=callbacks,
        callbacks__epoch_timer=None,
        callbacks__train_loss=None,
        callbacks__valid_loss=None,
        callbacks__print_log=None,
        device=settings.device,
        verbose=0,
    )
    net.fit(training, None)
    # A fitted net travels: it must not take the frames or a generator bound to a device along.
    net.train_split = None
    net.iterator_train = WholeBatch
    return net
