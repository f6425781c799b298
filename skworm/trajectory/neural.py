"""What all neural trajectory regressors share: training windows, scheduled sampling, rollouts."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.linear_model import Ridge
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from skworm.layout import window_of_rows
from skworm.neural import NeuralEstimator
from skworm.nn.dynamics import Step, TrajectoryModule
from skworm.nn.groups import Groups
from skworm.nn.readouts import Readout
from skworm.training import TrainingJob, VirtualWorms, held_out_windows, one_thread
from skworm.trajectory.base import TrajectoryRegressor, steps_of_pairs
from skworm.trajectory.windows import TrainingWindows

PUBLISHED: Mapping[str, Any] = MappingProxyType(
    {
        "n_layers": 2,
        "batch_norm": "output",
        "linear": False,
        "center": "population",
        "random_start": False,
        "scheduled_sampling_end": 300,
        "clip_margin": None,
        "augmentation": None,
        "max_epochs": 800,
    }
)
"""Parameters of a network as the paper describes it."""

_SAMPLES_A_CHUNK = 4096


class NeuralTrajectoryRegressor(TrajectoryRegressor, NeuralEstimator):
    """A torch module that rolls out trajectories, trained through skorch."""

    _decayed = "step.*"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NeuralEstimator._parameter_constraints,
        **TrajectoryRegressor._trajectory_constraints,
        "augmentation": [VirtualWorms, StrOptions({"auto"}), None],
        "memory": [StrOptions({"lstm"}), None],
        "train_horizon": [Interval(Integral, 1, None, closed="left")],
        "linear": ["boolean"],
        "linear_alpha": [Interval(Real, 0, None, closed="left")],
        "random_start": ["boolean"],
        "scheduled_sampling_end": [Interval(Real, 0, None, closed="left")],
        "scheduled_sampling_unit": [StrOptions({"epochs", "max_epochs"})],
        "clip_margin": [Interval(Real, 0, None, closed="left"), None],
    }

    def __init__(
        self,
        *,
        burn_in: int | None = None,
        train_horizon: int = 8,
        center: str = "worm",
        linear: bool = True,
        linear_alpha: float = 1.0,
        n_hidden: int = 256,
        n_layers: int = 1,
        memory: str | None = None,
        batch_norm: str | None = None,
        augmentation: VirtualWorms | str | None = "auto",
        n_node_features: int | None = None,
        random_start: bool = True,
        scheduled_sampling_end: float = 0,
        scheduled_sampling_unit: str = "epochs",
        clip_margin: float | None = 0.5,
        max_epochs: int = 200,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        learning_rate_factor: float = 0.25,
        learning_rate_patience: int = 50,
        validation_fraction: float = 0.1,
        window: int = 8,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            n_hidden=n_hidden,
            n_layers=n_layers,
            batch_norm=batch_norm,
            augmentation=augmentation,
            n_node_features=n_node_features,
            max_epochs=max_epochs,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            learning_rate_factor=learning_rate_factor,
            learning_rate_patience=learning_rate_patience,
            validation_fraction=validation_fraction,
            window=window,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
        self.burn_in = burn_in
        self.train_horizon = train_horizon
        self.center = center
        self.linear = linear
        self.linear_alpha = linear_alpha
        self.memory = memory
        self.random_start = random_start
        self.scheduled_sampling_end = scheduled_sampling_end
        self.scheduled_sampling_unit = scheduled_sampling_unit
        self.clip_margin = clip_margin

    def _virtual_worms(self) -> VirtualWorms | None:
        return VirtualWorms(gain=0.3, offset=0.0, mixing=0.2) if self.augmentation == "auto" else self.augmentation

    def _build_step(self) -> Step:
        raise NotImplementedError

    def _readout(self, n_neurons: int, n_features: int) -> Readout:
        return Readout(
            n_neurons,
            n_features,
            self.n_columns_,
            n_hidden=self.n_hidden,
            n_layers=self.n_layers,
            batch_norm=self._batch_norm(),
            aggregation="concatenate",
        )

    def fit(self, X: Any, Y: Any, worm: Any = None) -> NeuralTrajectoryRegressor:
        """Train on trajectories; see ``TrajectoryRegressor.fit``."""
        NeuralEstimator.fit(self, X, Y, worm)
        return self

    def training_job(self, X: Any, y: Any, worm: Any = None) -> TrainingJob:
        """Make all of a fit that precedes training; see ``NeuralEstimator.training_job``."""
        frames, worms = self._training_frames(X, y, worm)
        augmentation = self._virtual_worms()
        if augmentation is not None:
            augmentation.check()
            if augmentation.neuron_dropout:
                raise ValueError(
                    f"VirtualWorms: neuron_dropout={augmentation.neuron_dropout}, but {type(self).__name__} predicts "
                    "every neuron and so needs every neuron; leave neuron_dropout=0"
                )
        if self.train_horizon > self.horizon_:
            raise ValueError(
                f"train_horizon={self.train_horizon} is longer than the {self.horizon_} frames that Y holds; lower it, "
                f"or make trajectories with horizon={self.train_horizon} or more"
            )
        self._name_columns(self._frame_columns, self.n_columns_)
        population = np.zeros(len(frames), dtype=int) if worms is None else worms
        self._has_worms = worms is not None
        self.worms_, group = np.unique(population, return_inverse=True)
        random_state = check_random_state(self.random_state)
        seed = random_state.randint(np.iinfo(np.int32).max)
        window = window_of_rows(X, population, self.window)
        held_out = held_out_windows(group, window, self.validation_fraction, random_state)
        self._learn_linear_part(frames[~held_out])
        flat = frames.reshape(len(frames), -1).astype(np.float32)
        observed, future = np.split(flat, [self.burn_in_ * self.n_columns_], axis=1)
        return self._job(observed, group, future, held_out, seed, self._preparation())

    @property
    def _loss(self) -> type[nn.Module]:
        return nn.MSELoss

    def _learn_linear_part(self, frames: np.ndarray) -> None:
        before, after = steps_of_pairs(frames, self.burn_in_)
        self._bounds = None
        if self.clip_margin is not None:
            low, high = frames.min(axis=(0, 1)), frames.max(axis=(0, 1))
            margin = self.clip_margin * (high - low)
            self._bounds = np.stack([low - margin, high + margin])
        self._ridge = None
        if self.linear:
            self._ridge = Ridge(alpha=self.linear_alpha).fit(before, after - before[:, -self.n_columns_ :])

    def _build_module(self) -> TrajectoryModule:
        step, linear = self._build_step(), None
        if self._ridge is not None:
            linear = nn.Linear(self.burn_in_ * self.n_columns_, self.n_columns_)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(self._ridge.coef_))
                linear.bias.copy_(torch.from_numpy(self._ridge.intercept_))
                # The network starts at nothing: it is what the linear map leaves to be explained.
                for parameter in step.readout.get_submodule("output").parameters():
                    parameter.zero_()
        return TrajectoryModule(
            len(self.neurons_),
            len(self.node_features_),
            self.burn_in_,
            step,
            train_horizon=self.train_horizon,
            horizon=self.horizon_,
            linear=linear,
            bounds=None if self._bounds is None else torch.from_numpy(self._bounds).float(),
        )

    def _preparation(self) -> TrainingWindows:
        end = self.scheduled_sampling_end * (1 if self.scheduled_sampling_unit == "epochs" else self.max_epochs)
        n_starts = self.horizon_ - self.train_horizon + 1 if self.random_start else 1
        return TrainingWindows(
            burn_in=self.burn_in_,
            horizon=self.train_horizon,
            n_columns=self.n_columns_,
            n_node_features=len(self.node_features_),
            n_starts=n_starts,
            sampling_end=end,
            augmentation=self._virtual_worms(),
        )

    def _predict(self, frames: np.ndarray, worms: np.ndarray | None, n_steps: int) -> np.ndarray:
        module = self.net_.module_
        module.eval()
        with one_thread(), torch.inference_mode():
            X = self._tensor(frames.reshape(len(frames), -1))
            predicted = self._roll_out(X, worms, n_steps)
            return predicted.cpu().numpy().reshape(len(frames), n_steps, -1)

    def _roll_out(self, X: Tensor, worms: np.ndarray | None, n_steps: int) -> Tensor:
        return self._in_chunks(X, Groups.one(len(X), X.device), n_steps)

    def _in_chunks(self, X: Tensor, group: Groups, n_steps: int, **others: Tensor) -> Tensor:
        module = self.net_.module_
        chunks = zip(X.split(_SAMPLES_A_CHUNK), group.index.split(_SAMPLES_A_CHUNK), strict=True)
        parts = [module(part, Groups(index, group.n_groups), n_steps=n_steps, **others) for part, index in chunks]
        return torch.cat(parts)
