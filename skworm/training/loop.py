"""Training of one module on whole tensors through skorch: settings, batches, best epoch."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.helper import predefined_split
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from skworm.nn.groups import Groups


def resolve_device(device: str) -> str:
    """Turn ``"auto"`` into ``"cuda"`` where there is a GPU, else ``"cpu"``.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        The wish.

    Returns
    -------
    str
        ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    ValueError
        If CUDA is asked for and torch finds none.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device='cuda', but torch finds no CUDA GPU here; pass device='auto' or device='cpu'")
    return device


@contextmanager
def seeded(seed: int, device: str) -> Iterator[None]:
    """Seed torch for a while, and leave its global random state as it was found."""
    devices = [torch.cuda.current_device()] if device == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one CPU thread for a while: on models this small a second one costs more than it brings."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def held_out_windows(
    group: np.ndarray, window: np.ndarray, fraction: float, random_state: np.random.RandomState
) -> np.ndarray:
    """Hold out whole windows, the same share of each group.

    Parameters
    ----------
    group : array of shape (n_samples,)
        Group of each sample.
    window : array of shape (n_samples,)
        Window of each sample, within its group.
    fraction : float
        Share of the windows to hold out, rounded; at least one window of a group that has two or more.
    random_state : numpy.random.RandomState
        Source of randomness.

    Returns
    -------
    array of bool, shape (n_samples,)
        True where a sample is held out.

    Examples
    --------
    >>> import numpy as np
    >>> from skworm.training import held_out_windows
    >>> group, window = np.zeros(8, int), np.repeat([0, 1, 2, 3], 2)
    >>> held_out_windows(group, window, 0.25, np.random.RandomState(0)).astype(int)
    array([0, 0, 0, 0, 1, 1, 0, 0])
    """
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
