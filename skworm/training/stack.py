"""Training of many modules of one structure as a stack, as many at once as fit into memory."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from fnmatch import fnmatch
from typing import Any, NamedTuple

import joblib
import numpy as np
import psutil
import torch
from skorch import NeuralNet
from torch import Tensor, nn
from torch.func import functional_call, vmap

from skworm.nn.blocks import FeatureBatchNorm, Groups
from skworm.training.loop import (
    LEARNING_RATE_FACTOR,
    LEARNING_RATE_PATIENCE,
    TrainingJob,
    TrainingSettings,
    net_of_losses,
    never_finite,
    train,
    update_batch_norm,
)
from skworm.training.process import one_thread
from skworm.training.support_vectors import SupportVectorJob, fit_support_vectors

AnyJob = TrainingJob | SupportVectorJob

_SHARE_OF_MEMORY = 0.5
# On a CPU a stack that outgrows the cache takes longer than its models one by one.
_CPU_BYTES = 2**24


def models_at_a_time(job: TrainingJob, n_processes: int = 1) -> int:
    """Return how many models can be trained at once in the memory that is free now; `job` has the most samples."""
    if job.settings.device == "cuda":
        free = torch.cuda.mem_get_info()[0] * _SHARE_OF_MEMORY
    else:
        free = min(psutil.virtual_memory().available * _SHARE_OF_MEMORY, _CPU_BYTES)
    return max(1, int(free / n_processes / bytes_of_a_model(job)))


def bytes_of_a_model(job: TrainingJob) -> int:
    """Return the bytes of a model in training, measured by a forward pass that leaves the module as it is.

    They are those of samples, parameters with what the optimizer keeps of them, and all that the backward pass needs.
    """
    module = stackable(job.module).to(job.settings.device).train()
    samples = job.tensors(~job.held_out, job.prepare)
    inputs, y = next(iter(samples))
    kept: dict[int, int] = {}

    def note(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value):
        # The graph must live until all is counted: memory that is freed is given out again under the same address.
        loss = job.loss()(module(**inputs), y)
    n_parameters = sum(parameter.numel() for parameter in module.parameters())
    of_samples = sum(value.nbytes for value in (samples.X, samples.y, samples.group.index))
    del loss
    # The backward pass holds gradients of what the forward pass kept, though not of all at once.
    return 2 * sum(kept.values()) + 2 * of_samples + 6 * 4 * n_parameters


def stackable(module: nn.Module) -> nn.Module:
    """Return a copy of a module without parts that compute again in the backward pass: these cannot be stacked."""
    module = copy.deepcopy(module)
    for part in module.modules():
        if hasattr(part, "in_parts"):
            vars(part)["in_parts"] = False
    return module


class StackedAdam:
    """:class:`torch.optim.Adam` with a learning rate and a penalty of its own for each model.

    It changes `parameters`, of shape (n_models, n_parameters), in place; `decay` penalises the square of each.
    """

    betas = (0.9, 0.999)
    epsilon = 1e-8

    def __init__(self, parameters: Tensor, decay: Tensor) -> None:
        self.parameters = parameters
        self.decay = decay
        self.mean = torch.zeros_like(parameters, requires_grad=False)
        self.square = torch.zeros_like(parameters, requires_grad=False)
        self.n_steps = 0

    @torch.no_grad()
    def step(self, gradient: Tensor, learning_rate: Tensor) -> None:
        """Take a step, with one learning rate a model."""
        self.n_steps += 1
        gradient = torch.addcmul(gradient, self.decay, self.parameters)
        self.mean.lerp_(gradient, 1 - self.betas[0])
        self.square.mul_(self.betas[1]).addcmul_(gradient, gradient, value=1 - self.betas[1])
        corrections = [1 - beta**self.n_steps for beta in self.betas]
        scale = self.square.sqrt().div_(corrections[1] ** 0.5).add_(self.epsilon)
        rate = (learning_rate / corrections[0]).to(gradient.dtype)
        self.parameters.sub_(rate[:, None] * (self.mean / scale))


class StackedPlateau:
    """:class:`torch.optim.lr_scheduler.ReduceLROnPlateau` and the best epoch of each model.

    Of each model it has the present `learning_rate`, the `best_loss` so far, and its `best_epoch`, counted from 1, or
    0 where no loss was finite.
    """

    # Those of ReduceLROnPlateau.
    threshold = 1e-4
    smallest_change = 1e-8

    def __init__(self, settings: Sequence[TrainingSettings], device: torch.device) -> None:
        self.learning_rate = torch.tensor([own.learning_rate for own in settings], dtype=torch.float64, device=device)
        self.best_loss = torch.full_like(self.learning_rate, torch.inf)
        self.best_epoch = torch.zeros_like(self.learning_rate, dtype=torch.long)
        self.reference = self.best_loss.clone()
        self.n_bad = torch.zeros_like(self.best_epoch)

    def update(self, loss: Tensor, epoch: int) -> Tensor:
        """Record every model's loss, and return whose is the lowest so far; epochs count from 0."""
        loss = loss.double()
        improved = loss < self.reference * (1 - self.threshold)
        self.reference = torch.where(improved, loss, self.reference)
        self.n_bad = torch.where(improved, 0, self.n_bad + 1)
        exhausted = self.n_bad > LEARNING_RATE_PATIENCE
        lower = self.learning_rate * LEARNING_RATE_FACTOR
        lowered = exhausted & (self.learning_rate - lower > self.smallest_change)
        self.learning_rate = torch.where(lowered, lower, self.learning_rate)
        self.n_bad = torch.where(exhausted, 0, self.n_bad)
        better = loss < self.best_loss
        self.best_loss = torch.where(better, loss, self.best_loss)
        self.best_epoch = torch.where(better, epoch + 1, self.best_epoch)
        return better


def train_together(jobs: Sequence[AnyJob], *, n_processes: int = 1) -> list[Any]:
    """Return what training makes of many jobs, done together; in place of an outcome the exception that ended it.

    Networks of the same structure make up a stack, which takes each step as one. Every model keeps its own samples,
    batch norm statistics, learning rate, stream of random numbers and best epoch, so that it ends as :func:`train`
    would have trained it, but for the rounding of sums in another order. A stack is as large as memory allows; one for
    which memory runs out is halved and begins anew. Support vector machines are for :func:`fit_support_vectors`.
    """
    outcomes: dict[int, Any] = {}
    machines: dict[int, SupportVectorJob] = {}
    stacks: dict[Hashable, list[tuple[int, TrainingJob]]] = {}
    for number, job in enumerate(jobs):
        if isinstance(job, SupportVectorJob):
            machines[number] = job
        elif _can_be_stacked(job):
            stacks.setdefault(structure(job), []).append((number, job))
        else:
            outcomes[number] = _train_alone(job)
    for stack in stacks.values():
        # Models are padded to the rows of the largest beside them.
        stack.sort(key=lambda numbered: int(np.count_nonzero(~numbered[1].held_out)))
        size = models_at_a_time(stack[-1][1], n_processes)
        for start in range(0, len(stack), size):
            numbers, part = zip(*stack[start : start + size], strict=True)
            outcomes |= zip(numbers, _train_or_halve(list(part)), strict=True)
    outcomes |= zip(machines, fit_support_vectors(list(machines.values())), strict=True)
    return [outcomes[number] for number in range(len(jobs))]


def structure(job: TrainingJob) -> Hashable:
    """Return what jobs of one stack have in common.

    It is the same for jobs that differ in nothing but rows, initial weights, seed, learning rate, decay and strength of
    augmentation.
    """
    parts = [
        (name, type(part), sorted((key, repr(value)) for key, value in vars(part).items() if key[0] != "_"))
        for name, part in job.module.named_modules()
    ]
    tensors = [(name, value.shape, value.requires_grad) for name, value in _named_tensors(job.module).items()]
    settings = job.settings
    others = (job.loss, job.X.shape[1:], job.y.shape[1:], job.n_groups, job.monitor, settings.max_epochs)
    prepared = None if job.prepare is None else job.prepare.structure
    return repr((parts, tensors, others, settings.decayed, settings.device, prepared))


def _can_be_stacked(job: AnyJob) -> bool:
    # Weights of samples must not weigh in batch normalisation, and callbacks see one net at a time.
    return isinstance(job, SupportVectorJob) or (job.weight is None and not job.settings.callbacks)


def _train_or_halve(jobs: list[TrainingJob]) -> list[NeuralNet | Exception]:
    if len(jobs) == 1:
        return [_train_alone(jobs[0])]
    # A GPU only: on a CPU a stack takes little.
    with suppress(torch.OutOfMemoryError):
        return _Stack(jobs).train()
    torch.cuda.empty_cache()
    half = len(jobs) // 2
    return _train_or_halve(jobs[:half]) + _train_or_halve(jobs[half:])


def _train_alone(job: TrainingJob) -> NeuralNet | Exception:
    try:
        return train(job)
    except ValueError as error:
        return error


def _named_tensors(module: torch.nn.Module) -> dict[str, Tensor]:
    return dict(module.named_parameters()) | dict(module.named_buffers())


class _Batch(NamedTuple):
    """Samples of all models, padded to the same number of rows: axis 0 of every tensor is the model."""

    inputs: dict[str, Tensor]  # "group" and, where rows have to be lined up, "place" are those of `groups`
    y: Tensor
    mask: Tensor  # 1 for samples, 0 for padding
    groups: Groups  # of all models


def _padded(values: list[Tensor], n_rows: int) -> Tensor:
    """Return a stack of tensors of (n_rows, ...), each padded with zeros."""
    stacked = values[0].new_zeros(len(values), n_rows, *values[0].shape[1:])
    for model, value in enumerate(values):
        stacked[model, : len(value)] = value
    return stacked


class _Stack:
    """Models of one structure, and their state while they are trained."""

    def __init__(self, jobs: list[TrainingJob]) -> None:
        self.jobs = jobs
        first = jobs[0]
        device = first.settings.device
        self.module = stackable(first.module).to(device)
        self.norms = [
            f"{name}.row_weights" for name, part in self.module.named_modules() if isinstance(part, FeatureBatchNorm)
        ]
        self.line_up = any(getattr(part, "takes_group_graphs", False) for part in self.module.modules())
        self.loss = first.loss(reduction="none")
        self.draws = [
            (job.prepare, int(np.count_nonzero(~job.held_out)), job.generator)
            for job in jobs
            if job.prepare is not None
        ]
        self.training = self._rows(held_out=False)
        self.validation = self._rows(held_out=True) if first.held_out.any() else None
        tensors = [_named_tensors(job.module) for job in self.jobs]
        stacked = {name: torch.stack([own[name].detach() for own in tensors]).to(device) for name in tensors[0]}
        learned = [name for name, value in tensors[0].items() if value.requires_grad]
        self.constants = {name: value for name, value in stacked.items() if name not in learned}
        self.shapes = {name: stacked[name].shape for name in learned}
        # One tensor for all parameters, so that the optimizer takes a handful of operations a step.
        self.flat = torch.cat([stacked[name].reshape(len(self.jobs), -1) for name in learned], dim=1).requires_grad_()
        self.best_flat = self.flat.detach().clone()
        self.best_constants = {name: value.clone() for name, value in self.constants.items()}
        self.sizes = [shape[1:].numel() for shape in self.shapes.values()]

    def train(self) -> list[NeuralNet | Exception]:
        """Train all epochs, and return the nets."""
        settings = [job.settings for job in self.jobs]
        optimizer = StackedAdam(self.flat, self._decay())
        plateau = StackedPlateau(settings, self.flat.device)
        losses: dict[str, list[Tensor]] = {"train_loss": [], "valid_loss": []}
        with one_thread():
            for epoch in range(settings[0].max_epochs):
                train_loss = self._step(epoch, optimizer, plateau.learning_rate)
                losses["train_loss"].append(train_loss)
                monitored = train_loss
                if self.validation is not None:
                    monitored = self._validate(self.validation)
                    losses["valid_loss"].append(monitored)
                self._remember(plateau.update(monitored, epoch))
        history = {name: torch.stack(values).T.tolist() for name, values in losses.items() if values}
        best_epochs, found = plateau.best_epoch.tolist(), plateau.best_loss.isfinite().tolist()
        return [
            self._net(model, {name: values[model] for name, values in history.items()}, best_epochs[model])
            if found[model]
            else never_finite(job.monitor, settings[0].max_epochs)
            for model, job in enumerate(self.jobs)
        ]

    def _rows(self, held_out: bool) -> _Batch:
        """Return the rows of all jobs for training or for validation, as they are."""
        parts = [job.tensors(job.held_out == held_out) for job in self.jobs]
        n_groups = self.jobs[0].n_groups
        # A first axis as long as the rows tells batch normalisation that it has the rows before it, not groups.
        n_rows = max(*map(len, parts), n_groups + 1)
        # Padding is spread over the groups, so that none becomes much larger than it is.
        spread = torch.arange(n_rows, device=parts[0].X.device) % n_groups
        group = torch.stack([torch.cat([part.group.index, spread[len(part) :]]) for part in parts])
        mask = _padded([torch.ones_like(part.X[:, 0]) for part in parts], n_rows)
        X, y = _padded([part.X for part in parts], n_rows), _padded([part.y for part in parts], n_rows)
        return self._batch({"X": X, "group": group}, y, mask, n_groups)

    def _batch(self, inputs: dict[str, Any], y: Tensor, mask: Tensor, n_groups: int) -> _Batch:
        groups = Groups(inputs["group"], n_groups)
        if self.line_up:
            groups = groups.line_up()
            inputs = inputs | {"place": groups.place}
        return _Batch(inputs, y, mask, groups)

    def _prepared(self, epoch: int) -> _Batch:
        """Return every model's own training batch of an epoch."""
        rows = self.training
        X, group, prepare = rows.inputs["X"], rows.inputs["group"], self.draws[0][0]
        draws = [own.draw(epoch, n_samples, X.shape[2], generator) for own, n_samples, generator in self.draws]
        drawn = {name: _padded([draw.by_sample[name] for draw in draws], X.shape[1]) for name in draws[0].by_sample}
        drawn |= {name: torch.stack([draw.shared[name] for draw in draws]) for name in draws[0].shared}
        inputs, y = vmap(lambda X, group, y, drawn: prepare(X, group, y, **drawn))(X, group, rows.y, drawn)
        return self._batch(inputs, y, rows.mask, prepare.n_groups(rows.groups.n_groups))

    def _step(self, epoch: int, optimizer: StackedAdam, learning_rate: Tensor) -> Tensor:
        self.module.train()
        losses = self._losses(self._prepared(epoch) if self.draws else self.training)
        # Models share no parameter, so the gradient of the sum is that of each.
        (gradient,) = torch.autograd.grad(losses.sum(), self.flat)
        optimizer.step(gradient, learning_rate)
        return losses.detach()

    @torch.no_grad()
    def _validate(self, batch: _Batch) -> Tensor:
        self.module.eval()
        return self._losses(batch)

    def _losses(self, batch: _Batch) -> Tensor:
        def loss_of_one(state: dict[str, Tensor], inputs: dict[str, Tensor], y: Tensor, mask: Tensor) -> Tensor:
            index, place = inputs.pop("group"), inputs.pop("place", None)
            group = replace(batch.groups, index=index, weight=mask, place=place)
            state = state | dict.fromkeys(self.norms, mask)
            losses = self.loss(functional_call(self.module, state, (), {**inputs, "group": group}), y)
            return (losses.reshape(len(y), -1).mean(1) * mask).sum() / mask.sum()

        state = self._unflattened(self.flat) | self.constants
        return vmap(loss_of_one)(state, batch.inputs, batch.y, batch.mask)

    def _unflattened(self, flat: Tensor) -> dict[str, Tensor]:
        parts = flat.split(self.sizes, dim=1)
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def _decay(self) -> Tensor:
        """Return the penalty on the square of every parameter of every model."""
        decayed = np.repeat([fnmatch(name, self.jobs[0].settings.decayed) for name in self.shapes], self.sizes)
        decay = np.outer([job.settings.weight_decay for job in self.jobs], decayed)
        return torch.tensor(decay, dtype=self.flat.dtype, device=self.flat.device)

    @torch.no_grad()
    def _remember(self, better: Tensor) -> None:
        torch.where(better[:, None], self.flat, self.best_flat, out=self.best_flat)
        for name, best in self.best_constants.items():
            torch.where(better.view(-1, *[1] * (best.dim() - 1)), self.constants[name], best, out=best)

    def _net(self, model: int, losses: dict[str, list[float]], best_epoch: int) -> NeuralNet:
        job, best = self.jobs[model], self._unflattened(self.best_flat) | self.best_constants
        net = net_of_losses(job.module, job.loss, job.settings, losses, best_epoch)
        net.module_.load_state_dict({name: value[model] for name, value in best.items()})
        update_batch_norm(net.module_, job)
        return net


_OUTCOMES: ContextVar[dict[str, Any] | None] = ContextVar("outcomes_beforehand", default=None)


@contextmanager
def trained_beforehand(jobs: Sequence[AnyJob]) -> Iterator[None]:
    """Train together, and let :func:`outcome_beforehand` find the outcomes within the context, in this thread."""
    jobs = [job for job in jobs if _can_be_stacked(job)]
    # Before training, which changes modules.
    digests = [digest_of_job(job) for job in jobs]
    token = _OUTCOMES.set(dict(zip(digests, train_together(jobs), strict=True)))
    try:
        yield
    finally:
        _OUTCOMES.reset(token)


def outcome_beforehand(job: AnyJob) -> Any:
    """Return what :func:`train_together` made of a job beforehand, or None; raise what went wrong with it."""
    outcomes = _OUTCOMES.get()
    outcome = outcomes.get(digest_of_job(job)) if outcomes and _can_be_stacked(job) else None
    if isinstance(outcome, Exception):
        raise outcome
    # Equal jobs have one outcome, and an estimator changes its own.
    return copy.deepcopy(outcome)


def digest_of_job(job: AnyJob) -> str:
    """Return a digest of all that decides the result of a job, before training changes its module."""
    if isinstance(job, SupportVectorJob):
        return joblib.hash(job)
    state = {name: value.cpu().numpy() for name, value in job.module.state_dict().items()}
    arrays = (job.X, job.group, job.y, job.held_out)
    return joblib.hash((structure(job), state, arrays, job.settings, job.prepare))
