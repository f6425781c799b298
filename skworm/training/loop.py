"""Training of one module on whole tensors through skorch: settings, batches, best epoch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, LRScheduler
from skorch.helper import predefined_split
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from skworm.nn.blocks import FeatureBatchNorm, Groups
from skworm.training.augmentation import Draws, VirtualWorms
from skworm.training.process import interrupts, one_thread


def held_out_windows(
    group: np.ndarray, window: np.ndarray, fraction: float, random_state: np.random.RandomState
) -> np.ndarray:
    """Return which samples are held out: whole windows, a `fraction` of each group but at least one of two."""
    held_out = np.zeros(len(group), dtype=bool)
    if fraction == 0:
        return held_out
    for member in np.unique(group):
        rows = group == member
        windows = np.unique(window[rows])
        n_held_out = min(max(1, round(fraction * len(windows))), len(windows) - 1)
        chosen = random_state.permutation(windows)[:n_held_out]
        held_out |= rows & np.isin(window, chosen)
    return held_out


LEARNING_RATE_FACTOR = 0.25
LEARNING_RATE_PATIENCE = 50
"""The learning rate falls to this share after so many epochs without a lower loss."""

Batch = tuple[dict[str, Any], Tensor]
"""Inputs of a module by name, and targets."""


@dataclass(frozen=True)
class Preparation:
    """Makes each epoch's own training batch, of virtual worms or of samples as they are.

    What is random is drawn apart from what is done with it, so that many models, each with a generator of its own,
    prepare their batches as one.
    """

    augmentation: VirtualWorms | None

    @property
    def structure(self) -> Hashable:
        """Return what preparations have in common whose batches can be made as one: all but strengths."""
        worms = self.augmentation
        kind = None if worms is None else (worms.n_groups, worms.mixing > 0, worms.neuron_dropout > 0)
        return replace(self, augmentation=None), kind

    @property
    def keeps_neurons(self) -> bool:
        """Whether every neuron is still there in the batches that it makes."""
        return self.augmentation is None or not self.augmentation.neuron_dropout

    def n_groups(self, n_groups: int) -> int:
        """Return the number of groups that so many groups become."""
        return n_groups if self.augmentation is None else n_groups * self.augmentation.n_groups

    def draw(self, epoch: int, n_samples: int, n_features: int, generator: torch.Generator) -> Draws:
        """Draw for one epoch; epochs count from 0."""
        raise NotImplementedError

    def __call__(self, X: Tensor, group: Tensor, y: Tensor, **drawn: Tensor) -> Batch:
        """Return inputs, of which ``"group"`` is the group of each sample, and targets of the draws.

        Only operations that ``torch.func.vmap`` knows.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class TrainingSettings:
    """How a module is trained."""

    max_epochs: int  # Epochs, each one step on all training frames
    learning_rate: float  # Adam's first learning rate
    weight_decay: float  # Adam's penalty on squared weights
    decayed: str  # Pattern of the names of the parameters that `weight_decay` holds for, such as ``"readout.*"``
    device: str  # ``"cpu"`` or ``"cuda"``
    seed: int  # Seed of what `prepare` draws
    verbose: int  # 0 is silent, 1 shows a progress bar
    callbacks: tuple[Any, ...] = ()  # Further callbacks of skorch, or pairs of a name and a callback


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """A module to be trained on whole tensors, to the epoch with the lowest loss on the rows held out."""

    module: nn.Module  # Takes ``X`` and ``group``, a :class:`skworm.nn.Groups`
    loss: type[nn.Module]  # Takes the module's outputs and `y`, and a `reduction`
    X: np.ndarray  # array of shape (n_samples, n_features): inputs
    group: np.ndarray  # array of int, shape (n_samples,): group of each sample, from 0
    y: np.ndarray  # array of shape (n_samples, ...): targets
    # array of bool, shape (n_samples,): samples for validation: their loss decides on the best epoch, and they are not
    # trained on. Where there is none, the training loss decides
    held_out: np.ndarray
    settings: TrainingSettings  # How to train
    prepare: Preparation | None  # Makes each epoch's own training batch. Held-out samples stay as they are
    weight: np.ndarray | None = None  # array of shape (n_samples,), optional: weights of the samples in the loss

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(self.group.max()) + 1

    @property
    def monitor(self) -> str:
        """Return the name of the loss that decides on the best epoch."""
        return "valid_loss" if self.held_out.any() else "train_loss"

    @property
    def generator(self) -> torch.Generator:
        """Return a new generator of what `prepare` draws."""
        return torch.Generator(self.settings.device).manual_seed(self.settings.seed)

    def tensors(self, rows: np.ndarray, prepare: Preparation | None = None) -> WholeTensors:
        """Return some rows on the training device, in the module's precision, and what prepares them at every epoch."""
        dtype = next(self.module.parameters()).dtype
        tensors = WholeTensors(self.X[rows], self.y[rows], self.settings.device, dtype, self.group[rows], self.n_groups)
        if self.weight is not None:
            tensors.weight = torch.as_tensor(self.weight[rows], dtype=dtype, device=self.settings.device)
        tensors.prepare, tensors.generator = prepare, self.generator
        return tensors


class WholeTensors(Dataset):
    """Samples, groups and targets on the training device, as one batch: slicing rows costs more than the model itself.

    Where ``prepare`` is set, every iteration is another epoch with a batch of its own.
    """

    weight: Tensor | None = None
    prepare: Preparation | None = None
    generator: torch.Generator
    epoch = 0

    def __init__(
        self,
        X: np.ndarray,
        y: np.ndarray,
        device: str,
        dtype: torch.dtype,
        group: np.ndarray | None = None,
        n_groups: int = 1,
    ) -> None:
        index = np.zeros(len(X), dtype=int) if group is None else group
        self.X = torch.as_tensor(X, dtype=dtype, device=device)
        self.group = Groups(torch.as_tensor(index, device=device), n_groups, complete=not np.isnan(X).any())
        self.y = torch.as_tensor(y, device=device)
        if self.y.is_floating_point():
            self.y = self.y.to(dtype)

    def __len__(self) -> int:
        return len(self.y)

    def __iter__(self) -> Iterator[Batch]:
        X, group, y = self.X, self.group, self.y
        inputs: dict[str, Any] = {"X": X, "group": group}
        if self.prepare is not None:
            draws = self.prepare.draw(self.epoch, len(X), X.shape[1], self.generator)
            self.epoch += 1
            inputs, y = self.prepare(X, group.index, y, **draws.by_sample, **draws.shared)
            complete = group.complete and self.prepare.keeps_neurons
            inputs["group"] = Groups(inputs["group"], self.prepare.n_groups(group.n_groups), complete=complete)
        yield (inputs if self.weight is None else inputs | {"weight": self.weight}), y


def one_batch(dataset: WholeTensors, batch_size: int) -> WholeTensors:
    """Return what iterates over a data set, as skorch asks for it: the data set, in a single step."""
    return dataset


class WholeTensorNet(NeuralNet):
    """A net whose epoch is one step, without the bookkeeping of batches, which costs more than a small model."""

    has_optimizer_ = True
    prefixes_: list[str]

    def initialize_optimizer(self, triggered_directly: bool | None = None) -> WholeTensorNet:
        """Make the optimizer, except for a net that was trained elsewhere: `partial_fit` makes that of such a net.

        For an optimizer torch imports its compiler, on which a program that only loads and predicts would wait.
        """
        if self.has_optimizer_:
            return super().initialize_optimizer()
        self.prefixes_ = [*self.prefixes_, "optimizer"]  # so that skorch knows the optimizer's parameters
        return self

    def get_default_callbacks(self) -> list[Any]:
        """Return those of every fit; skorch's average over batches and print, which takes longer than a step."""
        callbacks: list[Any] = [("best_epoch", BestEpoch())]
        if not any(issubclass(_class_of_callback(each), LRScheduler) for each in self.callbacks):
            plateau = LRScheduler(
                torch.optim.lr_scheduler.ReduceLROnPlateau,
                monitor=last_monitored_loss,
                factor=LEARNING_RATE_FACTOR,
                patience=LEARNING_RATE_PATIENCE,
            )
            callbacks.append(("learning_rate", plateau))
        if self.verbose:
            callbacks.append(("progress", EpochProgress()))
        return callbacks

    def partial_fit(self, X: Any, y: Any = None, classes: Any = None, **options: Any) -> WholeTensorNet:
        """Train for all epochs or until a callback ends it; Ctrl-C raises KeyboardInterrupt.

        skorch's own takes Ctrl-C for the end of training, and a truncated model for a trained one.
        """
        if not self.initialized_:
            self.initialize()
        if not self.has_optimizer_:
            self.has_optimizer_ = True
            self._unregister_attribute("optimizer")
            self._initialize_optimizer()
        self.notify("on_train_begin", X=X, y=y)
        with interrupts() as received:
            try:
                self.fit_loop(X, y, **options)
            except KeyboardInterrupt:
                # Callbacks such as EarlyStopping end training by this exception, too.
                if received or not self.callbacks:
                    raise
        self.notify("on_train_end", X=X, y=y)
        return self

    def get_dataset(self, X: Any, y: Any = None) -> Any:
        """Return rows as whole tensors, all of one group: skorch's own data set would hand over row by row."""
        if isinstance(X, Dataset):
            return X
        rows = np.array(X)
        targets = np.zeros(len(rows)) if y is None else np.asarray(y)
        return WholeTensors(rows, targets, self.device, next(self.module_.parameters()).dtype)

    def infer(self, x: dict[str, Any], **fit_params: Any) -> Any:
        """Apply the module to inputs that are on its device already; skorch's own knows no groups."""
        return self.module_(**{name: value for name, value in x.items() if name != "weight"})

    def get_loss(self, y_pred: Tensor, y_true: Tensor, X: Any = None, training: bool = False) -> Tensor:
        """Compute the mean loss of the samples, weighted where they come with weights."""
        if X is None or "weight" not in X:
            return self.criterion_(y_pred, y_true)
        losses = type(self.criterion_)(reduction="none")(y_pred, y_true)
        return (losses.reshape(len(losses), -1).mean(1) * X["weight"]).sum() / X["weight"].sum()

    def run_single_epoch(
        self, iterator: WholeTensors | None, training: bool, prefix: str, step_fn: Callable[..., Any], **fit_params: Any
    ) -> None:
        """Take the one step and record its loss for the epoch at once; skorch's own needs a callback for that."""
        for batch in iterator or ():
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            loss = step["loss"].item()
            self.history.record_batch(f"{prefix}_loss", loss)
            self.history.record(f"{prefix}_loss", loss)
            # For callbacks that average over batches.
            self.history.record_batch(f"{prefix}_batch_size", len(batch[1]))
            self.notify("on_batch_end", batch=batch, training=training, **step)


def monitored_loss(net: NeuralNet) -> str:
    """Return the name of the loss that decides on the best epoch, as the history has it."""
    return "valid_loss" if "valid_loss" in net.history[-1] else "train_loss"


def last_monitored_loss(net: NeuralNet) -> float:
    """Return that loss in the last epoch."""
    return net.history[-1, monitored_loss(net)]


class BestEpoch(Callback):
    """Go back to the weights of the epoch with the lowest loss at the end."""

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Start anew."""
        self.best_loss_ = np.inf
        self.best_epoch_ = 0
        self.best_weights_: dict[str, Tensor] | None = None

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Remember the weights if this epoch is the best so far, and record whether it is: Checkpoint asks for that."""
        loss = last_monitored_loss(net)
        net.history.record(f"{monitored_loss(net)}_best", loss < self.best_loss_)
        if loss < self.best_loss_:
            self.best_loss_ = loss
            self.best_epoch_ = len(net.history)
            self.best_weights_ = {name: value.clone() for name, value in net.module_.state_dict().items()}

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Restore the best weights."""
        if self.best_weights_ is None:
            raise never_finite(monitored_loss(net), len(net.history))
        net.module_.load_state_dict(self.best_weights_)
        self.best_weights_ = None


def never_finite(monitor: str, n_epochs: int) -> ValueError:
    """Return the error for a training without a single finite loss."""
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
    """Return the net of a job, trained with one CPU thread."""
    net = make_net(job.module, job.loss, job.settings, _copied_callbacks(job))
    if job.held_out.any():
        net.train_split = predefined_split(job.tensors(job.held_out))
    with one_thread():
        net.fit(job.tensors(~job.held_out, job.prepare), None)
        update_batch_norm(net.module_, job)
    # A fitted net travels: it must not take the frames along.
    net.train_split = None
    return net


def update_batch_norm(module: nn.Module, job: TrainingJob) -> None:
    """Set the statistics of batch normalisation to those of all rows under the weights that training ended with.

    In training they follow the weights by some ten epochs, and a static graph that they help to infer would be another
    one than the readout was trained with. Where batches are prepared, running means average over what was drawn.
    """
    norms = [part for part in module.modules() if isinstance(part, FeatureBatchNorm)]
    if not norms or job.prepare is not None:
        return
    samples = job.tensors(np.ones(len(job.X), dtype=bool))
    module.eval()
    momentum = norms[0].momentum
    for norm in norms:
        norm.train().momentum = 1.0
    with torch.no_grad():
        module(X=samples.X, group=samples.group)
    for norm in norms:
        norm.eval().momentum = momentum


def make_net(
    module: nn.Module, loss: type[nn.Module], settings: TrainingSettings, callbacks: Sequence[Any] = ()
) -> WholeTensorNet:
    """Return the net of a module, not yet trained."""
    return WholeTensorNet(
        module,
        criterion=loss,
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        optimizer__param_groups=[(settings.decayed, {"weight_decay": settings.weight_decay})],
        lr=settings.learning_rate,
        max_epochs=settings.max_epochs,
        batch_size=-1,
        train_split=None,
        iterator_train=one_batch,
        iterator_valid=one_batch,
        callbacks=list(callbacks),
        device=settings.device,
        verbose=settings.verbose,
    )


def net_of_losses(
    module: nn.Module, loss: type[nn.Module], settings: TrainingSettings, losses: dict[str, Any], best_epoch: int
) -> WholeTensorNet:
    """Return the net of a module that was trained elsewhere, as training leaves it.

    `losses` are the losses of every epoch by name, and `best_epoch`, counted from 1, is that of the module's weights.
    """
    net = make_net(module, loss, settings)
    net.has_optimizer_ = False
    net.initialize()
    dict(net.callbacks_)["best_epoch"].best_epoch_ = best_epoch
    for epoch, values in enumerate(zip(*losses.values(), strict=True), start=1):
        net.history.new_epoch()
        net.history.record("epoch", epoch)
        for name, value in zip(losses, values, strict=True):
            net.history.record(name, float(value))
    return net


def _class_of_callback(entry: Any) -> type:
    """Return the class of a callback, which may come in a pair with its name, and as a class."""
    callback = entry[1] if isinstance(entry, tuple | list) and len(entry) == 2 else entry
    return callback if isinstance(callback, type) else type(callback)


def _copied_callbacks(job: TrainingJob) -> list[Any]:
    """Return copies of the callbacks of a job, since a callback keeps what it saw of one fit; check them first."""
    for entry in job.settings.callbacks:
        if not issubclass(_class_of_callback(entry), Callback):
            raise TypeError(
                f"callbacks holds {entry!r}; pass callbacks of skorch such as skorch.callbacks.EarlyStopping(), or "
                "pairs of a name and a callback"
            )
        callback = entry[1] if isinstance(entry, tuple | list) else entry
        if getattr(callback, "use_caching", True) is False:
            raise ValueError(
                f"the callback {entry!r} has use_caching=False, and would be given no targets; leave use_caching out"
            )
        monitor = getattr(callback, "monitor", None)
        if isinstance(monitor, str) and monitor.startswith("valid_") and not job.held_out.any():
            raise ValueError(
                f"the callback {entry!r} looks at {monitor!r}, but no sample is held out; pass monitor="
                f"{monitor.replace('valid', 'train')!r} to it, or a validation_fraction greater than 0"
            )
    return copy.deepcopy(list(job.settings.callbacks))
