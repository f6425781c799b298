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

from skworm.nn.groups import Groups
from skworm.training.devices import one_thread
from skworm.training.preparation import Batch, Preparation


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


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """A module to be trained on whole tensors, to the epoch with the lowest loss on the rows held out.

    Parameters
    ----------
    module : torch.nn.Module
        Takes ``X`` and ``group``, a :class:`skworm.nn.Groups`.
    loss : type of torch.nn.Module
        Takes the module's outputs and `y`, and a `reduction`.
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
    prepare : Preparation, optional
        Makes each epoch's own training batch. Held-out samples are judged as they are.
    """

    module: nn.Module
    loss: type[nn.Module]
    X: np.ndarray
    group: np.ndarray
    y: np.ndarray
    held_out: np.ndarray
    settings: TrainingSettings
    prepare: Preparation | None

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(self.group.max()) + 1

    @property
    def monitor(self) -> str:
        """The loss that judges the epochs."""
        return "valid_loss" if self.held_out.any() else "train_loss"

    @property
    def generator(self) -> torch.Generator:
        """A new source of randomness."""
        return torch.Generator(self.settings.device).manual_seed(self.settings.seed)

    def tensors(self, rows: np.ndarray) -> WholeTensors:
        """Put some rows on the training device, in the module's precision."""
        dtype = next(self.module.parameters()).dtype
        return WholeTensors(self.X[rows], self.group[rows], self.y[rows], self.n_groups, self.settings.device, dtype)


class WholeTensors(Dataset):
    """Samples, groups and targets that are always handed over whole, on the training device."""

    def __init__(
        self, X: np.ndarray, group: np.ndarray, y: np.ndarray, n_groups: int, device: str, dtype: torch.dtype
    ) -> None:
        self.X = torch.as_tensor(X, dtype=dtype, device=device)
        index = torch.as_tensor(group, dtype=torch.long, device=device)
        self.group = Groups(index, n_groups, complete=not np.isnan(X).any())
        self.y = torch.as_tensor(y, device=device)
        if self.y.is_floating_point():
            self.y = self.y.to(dtype)

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: Any) -> Batch:
        raise TypeError("the samples are handed over whole")


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
            return
        draws = self.prepare.draw(self.epoch, len(X), X.shape[1], self.generator)
        self.epoch += 1
        inputs, y = self.prepare(X, group.index, y, **draws.by_sample, **draws.shared)
        complete = group.complete and self.prepare.keeps_neurons
        yield inputs | {"group": Groups(inputs["group"], self.prepare.n_groups(group.n_groups), complete=complete)}, y


class _Interrupted(BaseException):
    """Ctrl-C, in a form that skorch does not take for the end of training: it would return a truncated model."""


class WholeTensorNet(NeuralNet):
    """A net whose epoch is one step, without the bookkeeping of batches, which costs more than a small model."""

    def fit_loop(self, X: Any, y: Any = None, **options: Any) -> WholeTensorNet:
        """Train for all epochs."""
        try:
            return super().fit_loop(X, y, **options)
        except KeyboardInterrupt:
            raise _Interrupted from None

    def partial_fit(self, X: Any, y: Any = None, classes: Any = None, **options: Any) -> WholeTensorNet:
        """Train for all epochs, from the weights that are there; Ctrl-C raises KeyboardInterrupt."""
        try:
            return super().partial_fit(X, y, classes, **options)
        except _Interrupted:
            raise KeyboardInterrupt from None

    def infer(self, x: dict[str, Any], **fit_params: Any) -> Any:
        """Apply the module to inputs that are on its device already."""
        return self.module_(**x)

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
            raise never_finite(self.monitor, len(net.history))
        net.module_.load_state_dict(self.best_weights_)
        self.best_weights_ = None


def never_finite(monitor: str, n_epochs: int) -> ValueError:
    """Make the error for a training without a single finite loss."""
    return ValueError(
        f"the {monitor} was never a finite number in {n_epochs} epochs; check that the features are scaled, or lower "
        "learning_rate"
    )


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


def train(job: TrainingJob) -> NeuralNet:
    """Train a module, with one CPU thread.

    Parameters
    ----------
    job : TrainingJob
        What to train.

    Returns
    -------
    skorch.NeuralNet
        Trained net; its ``history`` holds every epoch's losses.

    Raises
    ------
    ValueError
        If no epoch had a finite loss.
    """
    judging = job.tensors(job.held_out) if job.held_out.any() else None
    net = make_net(
        job,
        iterator_train=partial(WholeBatch, prepare=job.prepare, generator=job.generator),
        train_split=None if judging is None else predefined_split(judging),
    )
    with one_thread():
        net.fit(job.tensors(~job.held_out), None)
    # A fitted net travels: it must not take the frames or a generator bound to a device along.
    net.train_split = None
    net.iterator_train = WholeBatch
    return net


def make_net(job: TrainingJob, **others: Any) -> WholeTensorNet:
    """Make the net of a job, not yet trained.

    Parameters
    ----------
    job : TrainingJob
        What it will train.
    **others
        Further parameters of a skorch net.

    Returns
    -------
    WholeTensorNet
        Net with the callback ``"best_epoch"``.
    """
    settings = job.settings
    best = BestEpoch(job.monitor, settings.learning_rate_factor, settings.learning_rate_patience)
    callbacks: list[tuple[str, Callback]] = [("best_epoch", best)]
    if settings.verbose:
        callbacks.append(("progress", EpochProgress()))
    parameters: dict[str, Any] = {"iterator_train": WholeBatch, "train_split": None, **others}
    return WholeTensorNet(
        job.module,
        criterion=job.loss,
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        optimizer__param_groups=[(settings.decayed, {"weight_decay": settings.weight_decay})],
        lr=settings.learning_rate,
        max_epochs=settings.max_epochs,
        batch_size=-1,
        iterator_valid=WholeBatch,
        callbacks=callbacks,
        callbacks__epoch_timer=None,
        callbacks__train_loss=None,
        callbacks__valid_loss=None,
        callbacks__print_log=None,
        device=settings.device,
        verbose=0,
        **parameters,
    )
