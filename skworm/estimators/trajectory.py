"""Predict trajectories of neurons: the base of all trajectory regressors, and the networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
import torch
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from skworm.estimators.network import GraphEstimator, NeuralEstimator, check_weights
from skworm.estimators.parts import Readout, Rollout
from skworm.frames.index import (
    check_same_columns,
    check_same_order,
    frame_settings,
    parse_step_column_names,
    validate_like_training,
    warn_unnamed,
    worm_of_rows,
)
from skworm.nn.rollout import FrameLSTM, NeuronGRU, NeuronLSTM, NeuronReadout, Step, TrajectoryModule
from skworm.parameters import Count, DocumentedEstimator, NotNegative, Positive, check_whole
from skworm.training.augmentation import Draws, VirtualWorms
from skworm.training.loop import Batch, Preparation, TrainingJob
from skworm.training.process import one_thread

_ROWS_OF_THE_POPULATION = 10


class TrajectoryRegressor(MultiOutputMixin, RegressorMixin, DocumentedEstimator):
    """Predict the frames of a trajectory from the observed ones before them.

    `X` holds `burn_in` observed frames a row, `y` the `horizon` frames after them, both flattened time-major.

    Parameters
    ----------
    burn_in : int, default=None
        Observed frames in each row of `X`; by default from the column names ``"AVAL:trace@0"``, else 1. A network
        without memory sees them side by side; with 1 it is Markovian, as in the paper.

    Attributes
    ----------
    level_ : ndarray of shape (n_columns,)
        Mean of the training worms; of all training frames where `levels_` is empty.
    levels_ : dict of ndarray
        Mean of each training worm; empty with ``center="population"`` or where training named no worms.
    burn_in_, horizon_, n_columns_ : int
        Observed and predicted frames of a trajectory, and columns of a frame.
    """

    burn_in: Count | None = None
    center = "population"

    _words: ClassVar[dict[str, str]] = {
        "about_X": """\
Observed frames, `burn_in` of them in each row, time-major; a DataFrame of :func:`skworm.frames.make_trajectories`
    carries worms, neurons and `burn_in`.""",
        "y": "array-like of shape (n_trajectories, horizon * n_columns)\n    The frames after them, time-major.",
        "horizon": "int, optional\n    Frames to predict; by default as many as `y` had in training.",
        "predict returns": "ndarray of shape (n_trajectories, horizon * n_columns)\n    Predicted frames, time-major.",
        "score returns": """\
float
    R²: 1 for a perfect forecast, 0 for one as good as each column's mean. :func:`skworm.metrics.skill_by_step` compares
    with persistence instead, step by step.""",
    }

    def fit(self, X: Any, y: Any, worm: Any = None) -> Self:
        """Learn from trajectories.

        Raises
        ------
        ValueError
            If `y` is not a multiple of the columns of a frame, or `burn_in` or names do not fit `X` and `y`.
        """
        self._fit(*self._training_frames(X, y, worm))
        return self

    def predict(self, X: Any, worm: Any = None, horizon: int | None = None) -> np.ndarray:
        """Predict the frames after the observed ones.

        Raises
        ------
        ValueError
            If `X` does not fit the training data, or a predicted frame is not finite.
        """
        check_is_fitted(self)
        steps = self._check_horizon(horizon)
        frames, worms, levels = self._centred(X, worm)
        predicted = self._predict(frames, worms, steps) + levels[:, None]
        _check_finite(predicted)
        return predicted.reshape(len(frames), -1)

    def score(self, X: Any, y: Any, sample_weight: Any = None, worm: Any = None) -> float:
        """Return the coefficient of determination, averaged over all columns of all steps."""
        check_same_order(X, y)
        named = parse_step_column_names(y.columns) if hasattr(y, "columns") else None
        if named is not None:
            check_same_columns(named[0], self._frame_columns or named[0])
        return r2_score(y, self.predict(X, worm=worm), sample_weight=sample_weight)

    def _training_frames(
        self, X: Any, y: Any, worm: Any, kept: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Learn shapes and levels from the rows that are kept; return their frames less the level, and their worms."""
        self._validate_params()
        check_same_order(X, y)
        observed, future = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        self.frame_settings_ = frame_settings(X)
        self._read_shapes(X, y, observed, future)
        worms = worm_of_rows(X, worm)
        frames = np.concatenate([observed, future.reshape(len(future), -1)], axis=1)
        if kept is not None:
            frames, worms = frames[kept], None if worms is None else worms[kept]
        frames = frames.reshape(len(frames), self.burn_in_ + self.horizon_, self.n_columns_)
        self._learn_levels(frames, worms)
        return frames - self._levels_of_rows(frames, worms)[:, None], worms

    def _fit(self, frames: np.ndarray, worms: np.ndarray | None) -> None:
        """Learn from centred frames of shape (n_trajectories, burn_in + horizon, n_columns)."""
        raise NotImplementedError

    def _predict(self, frames: np.ndarray, worms: np.ndarray | None, n_steps: int) -> np.ndarray:
        """Predict centred frames of shape (n_trajectories, n_steps, n_columns)."""
        raise NotImplementedError

    def _centred(self, X: Any, worm: Any) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """Check observed frames; return them less the level of their worm, with worms and levels."""
        observed = validate_like_training(self, X, dtype=np.float64)
        frames = observed.reshape(len(observed), self.burn_in_, self.n_columns_)
        worms = worm_of_rows(X, worm)
        levels = self._levels_of_rows(frames, worms)
        return frames - levels[:, None], worms, levels

    def _check_horizon(self, horizon: int | None) -> int:
        if horizon is None:
            return self.horizon_
        check_whole(1, horizon=horizon)
        return horizon

    def _read_shapes(self, X: Any, y: Any, observed: np.ndarray, future: np.ndarray) -> None:
        of_X, of_y = (parse_step_column_names(part.columns) if hasattr(part, "columns") else None for part in (X, y))
        if of_X and of_y:
            _check_names(*of_X, *of_y)
        # A step of a pipeline may remove the names of X; those of y still show the columns of a frame.
        columns = self._frame_columns = (of_X or of_y or (None,))[0]
        width = observed.shape[1]
        self.burn_in_ = self.burn_in or (1 if columns is None else max(1, width // len(columns)))
        self.n_columns_ = width // self.burn_in_ if columns is None else len(columns)
        if width != self.burn_in_ * self.n_columns_:
            of_columns = "" if columns is None else f" of the {len(columns)} columns that are named"
            raise ValueError(
                f"X has {width} columns, which are not burn_in={self.burn_in_} frames{of_columns}; it holds burn_in "
                "frames a row, time-major, with all columns of each: pass the right burn_in=, or leave burn_in=None "
                "where columns are named"
            )
        n_outputs = 1 if future.ndim == 1 else future.shape[1]
        if n_outputs % self.n_columns_:
            raise ValueError(
                f"y has {n_outputs} columns, not a multiple of the {self.n_columns_} columns of a frame; it holds the "
                f"frames after those of X, time-major. If X holds several frames a row, pass burn_in="
            )
        self.horizon_ = n_outputs // self.n_columns_

    def _learn_levels(self, frames: np.ndarray, worms: np.ndarray | None) -> None:
        self.levels_: dict[Any, np.ndarray] = {}
        if worms is not None and self.center == "worm":
            self.levels_ = {name: frames[worms == name].mean(axis=(0, 1)) for name in pd.unique(worms)}
        own = list(self.levels_.values())
        self.level_ = np.mean(own, axis=0) if own else frames.mean(axis=(0, 1))

    def _levels_of_rows(self, frames: np.ndarray, worms: np.ndarray | None) -> np.ndarray:
        if worms is None and self.levels_:
            warn_unnamed(self, "measures each worm from its own level")
        if worms is None or self.center == "population":
            return np.broadcast_to(self.level_, (len(frames), self.n_columns_))
        levels = np.empty((len(frames), self.n_columns_))
        for name in pd.unique(worms):
            rows = worms == name
            levels[rows] = self.levels_[name] if name in self.levels_ else self._level_of_new_worm(frames[rows])
        return levels

    def _level_of_new_worm(self, frames: np.ndarray) -> np.ndarray:
        # A few rows say little of a worm's level, so the population weighs as much as that many rows.
        own, population = len(frames), _ROWS_OF_THE_POPULATION
        return (own * frames.mean(axis=(0, 1)) + population * self.level_) / (own + population)


def _check_names(columns: list[str], steps: list[int], columns_y: list[str], steps_y: list[int]) -> None:
    if columns != columns_y:
        strange = sorted(set(columns) ^ set(columns_y)) or ["their order"]
        raise ValueError(f"X and y differ in the columns of a frame: {strange[:4]}; make both with make_trajectories")
    if steps[-1] != 0 or steps_y[0] != 1:
        raise ValueError(
            f"the steps of X end at {steps[-1]} and those of y begin at {steps_y[0]}; X ends at step 0, the last "
            "observed frame, and y begins at step 1: make both with make_trajectories"
        )


def _check_finite(predicted: np.ndarray) -> None:
    diverged = ~np.isfinite(predicted).all(axis=2)
    if diverged.any():
        step = int(np.flatnonzero(diverged.any(axis=0))[0]) + 1
        raise ValueError(
            f"the rollout of {int(diverged.any(axis=1).sum())} of {len(predicted)} trajectories diverged, first "
            f"at step {step}; keep frames within bounds (clip_margin=0.5), train with a longer train_horizon or a "
            f"lower learning_rate, or predict with horizon={max(1, step - 1)}"
        )


def steps_of_pairs(frames: np.ndarray, burn_in: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all stretches of `burn_in` frames, (n_pairs, burn_in * n_columns), and the frame after each.

    Frames have the shape (n_trajectories, n_frames, n_columns).
    """
    n_starts = frames.shape[1] - burn_in
    before = np.concatenate([frames[:, start : start + burn_in].reshape(len(frames), -1) for start in range(n_starts)])
    after = np.concatenate([frames[:, start + burn_in] for start in range(n_starts)])
    return before, after


@dataclass(frozen=True)
class TrainingWindows(Preparation):
    """Cut a window out of every trajectory, make virtual worms of them, and show true frames now and then.

    A window starts at one of `n_starts` frames, and the share of true frames that a rollout is shown falls from 1 to 0
    until the epoch `sampling_end`.
    """

    burn_in: int
    horizon: int
    n_columns: int
    n_node_features: int
    n_starts: int
    sampling_end: float

    def draw(self, epoch: int, n_samples: int, n_features: int, generator: torch.Generator) -> Draws:
        """Draw starts, virtual worms, and which true frames are shown."""
        draws = Draws({}, {})
        if self.n_starts > 1:
            start = torch.randint(self.n_starts, (n_samples, 1), generator=generator, device=generator.device)
            draws.by_sample["start"] = start
        if self.augmentation is not None:
            virtual = self.augmentation.draw(n_samples, self.n_columns, generator, range(self.n_node_features))
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


_RIDGE = 1.0
"""Penalty of the ridge regression that the linear map starts as."""
_N_GATED = 16
"""Features of a neuron's gated memory."""


class NeuralTrajectoryRegressor(TrajectoryRegressor, NeuralEstimator):
    """A torch module that rolls out trajectories, trained through skorch.

    Parameters
    ----------
    rollout : Rollout or None, default=None
        How trajectories are rolled out; None is ``Rollout()``.
    center : {"worm", "population"}, default="worm"
        What the columns are measured from, see :class:`LinearTrajectoryRegressor`.
    linear : bool, default=True
        Add a linear map of the last `burn_in` frames, of all neurons, to the change. It starts as the ridge regression
        of the change in one step, the network starts at 0, and both are trained together.
    readout : {"concatenate"} or Readout, default={readout}
        How outputs are read out of the neurons; a name is :class:`Readout` with this `aggregation`.
    augmentation : VirtualWorms, "auto" or None, default={augmentation}
        Augmentation of the training data. ``"auto"`` is ``VirtualWorms(gain=0.3, offset=0, mixing=0.2)``.
    weight_decay : float, default={weight_decay}
        Penalty on the squared weights of f, its linear map apart.
    """

    rollout: Rollout | None = None
    center: Literal["worm", "population"] = "worm"
    linear: bool = True
    n_hidden: Count = 256
    readout: Literal["concatenate"] | Readout = "concatenate"
    max_epochs: Count = 200
    learning_rate: Positive = 1e-3
    weight_decay: NotNegative = 0.0
    memory: Literal["lstm", "gated"] | None = None

    _auto_augmentation = VirtualWorms(gain=0.3, offset=0.0, mixing=0.2)
    _auto_batch_norm = None
    _loss = nn.MSELoss
    _decayed = "step.*"
    _graph_per = "frame"

    def _check_parts(self) -> None:
        super()._check_parts()
        self._rollout()._validate_params()
        aggregation = self._readout_of_neurons().aggregation
        if aggregation != "concatenate":
            raise ValueError(
                f"Readout: aggregation={aggregation!r}, but {type(self).__name__} predicts every neuron, and reads all "
                "of them out side by side; leave aggregation='concatenate'"
            )

    def _rollout(self) -> Rollout:
        return Rollout() if self.rollout is None else self.rollout

    def _build_step(self) -> Step:
        """Return the module of f, which sees the observed frames side by side, or, with memory, one after the other."""
        memory: nn.Module | None = None
        n_neurons, n_seen = len(self.neurons_), len(self.node_features_) * (1 if self.memory else self.burn_in_)
        n_received = self._n_received(n_seen)
        inputs = (n_neurons, n_received)
        if self.memory == "lstm":
            memory, inputs = FrameLSTM(n_neurons * n_received, self.n_hidden), (1, self.n_hidden)
        elif self.memory == "gated":
            memory, inputs = NeuronGRU(n_received, _N_GATED), (n_neurons, n_received + _N_GATED)
        return Step(self._build_messages(n_seen), memory, self._build_readout(*inputs))

    @property
    def _n_outputs(self) -> int:
        return self.n_columns_

    def fit(self, X: Any, y: Any, worm: Any = None, sample_weight: Any = None) -> Self:
        """Train on trajectories."""
        return NeuralEstimator.fit(self, X, y, worm, sample_weight)

    def training_job(self, X: Any, y: Any, worm: Any = None, sample_weight: Any = None) -> TrainingJob:
        """Make all of a fit that precedes training; see ``NeuralEstimator.training_job``."""
        self._check_parts()
        weight = check_weights(sample_weight, X)
        kept = None if weight is None else weight > 0
        frames, _ = self._training_frames(X, y, worm, kept)
        weight = None if weight is None else weight[kept]
        train_horizon = self._rollout().train_horizon
        if train_horizon > self.horizon_:
            raise ValueError(
                f"train_horizon={train_horizon} is longer than the {self.horizon_} frames that y holds; lower it with "
                f"rollout=Rollout(train_horizon=...), or make trajectories with horizon={train_horizon} or more"
            )
        self._name_columns(self._frame_columns, self.n_columns_)
        known = np.ones(len(frames), dtype=bool) if kept is None else kept
        flat = frames.reshape(len(frames), -1).astype(np.float32)
        observed, future = np.split(flat, [self.burn_in_ * self.n_columns_], axis=1)
        job = self._job(X, worm, known, observed, future, weight, self._preparation())
        trained_on = ~job.held_out
        self._start(job.module, frames[trained_on], None if weight is None else weight[trained_on])
        return job

    @torch.no_grad()
    def _start(self, module: nn.Module, frames: np.ndarray, weight: np.ndarray | None) -> None:
        """Set the bounds and the linear map of a module by the frames that it is trained on."""
        clip_margin = self._rollout().clip_margin
        if clip_margin is not None:
            low, high = frames.min(axis=(0, 1)), frames.max(axis=(0, 1))
            margin = clip_margin * (high - low)
            module.get_buffer("bounds").copy_(torch.from_numpy(np.stack([low - margin, high + margin])))
        if self.linear:
            before, after = steps_of_pairs(frames, self.burn_in_)
            # As many pairs of each trajectory as there are starts, one start after the other.
            weight = None if weight is None else np.tile(weight / weight.mean(), len(before) // len(frames))
            ridge = Ridge(alpha=_RIDGE).fit(before, after - before[:, -self.n_columns_ :], weight)
            module.get_parameter("linear.weight").copy_(torch.from_numpy(ridge.coef_))
            module.get_parameter("linear.bias").copy_(torch.from_numpy(ridge.intercept_))
            # The network starts at 0: it explains what the linear map leaves.
            for parameter in module.get_submodule("step.readout.output").parameters():
                parameter.zero_()

    def _build_module(self) -> TrajectoryModule:
        step = self._build_step()
        n_columns, bounded = self.n_columns_, self._rollout().clip_margin is not None
        return TrajectoryModule(
            len(self.neurons_),
            len(self.node_features_),
            self.burn_in_,
            step,
            train_horizon=self._rollout().train_horizon,
            horizon=self.horizon_,
            linear=nn.Linear(self.burn_in_ * n_columns, n_columns) if self.linear else None,
            bounds=torch.zeros(2, n_columns) if bounded else None,
        )

    def _preparation(self) -> TrainingWindows:
        rollout = self._rollout()
        return TrainingWindows(
            burn_in=self.burn_in_,
            horizon=rollout.train_horizon,
            n_columns=self.n_columns_,
            n_node_features=len(self.node_features_),
            n_starts=self.horizon_ - rollout.train_horizon + 1 if rollout.random_start else 1,
            sampling_end=rollout.scheduled_sampling_end,
            augmentation=self._virtual_worms(),
        )

    def _rows_to_predict(self, X: Any, worm: Any) -> np.ndarray:
        frames, _, _ = self._centred(X, worm)
        return frames.reshape(len(frames), -1)

    def _predict(self, frames: np.ndarray, worms: np.ndarray | None, n_steps: int) -> np.ndarray:
        with one_thread(), torch.inference_mode():
            predicted = self._apply(self._tensor(frames.reshape(len(frames), -1)), worms, n_steps=n_steps)
            return predicted.cpu().numpy().reshape(len(frames), n_steps, -1)


class MLPTrajectoryRegressor(NeuralTrajectoryRegressor):
    """Predict trajectories with a multi-layer perceptron on all neurons' features.

    Every predicted frame is the one before it plus a change, X(t + 1) = X(t) + f(X(t)), where f is a perceptron, by
    default with a linear map beside it. Predicted frames are fed back to predict the next.

    Parameters
    ----------
    memory : {"lstm"} or None, default=None
        Put a long short-term memory of `n_hidden` features before the perceptron; the observed frames run through it
        one after the other.

    References
    ----------
    Wang et al. 2021, equations 4 to 7; "Neuron-level Trajectory Prediction"; Bengio et al. 2015 for scheduled sampling.

    Examples
    --------
    >>> from skworm import MLPTrajectoryRegressor
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames, make_trajectories
    >>> frames, _ = make_frames(make_worms(2, n_frames=400, random_state=0), states=None, derivative="backward")
    >>> X, y = make_trajectories(frames)
    >>> mlp = MLPTrajectoryRegressor(n_hidden=16, max_epochs=20, random_state=0).fit(X, y)
    >>> mlp.predict(X).shape == y.shape
    True
    """

    memory: Literal["lstm"] | None = None


class NodeMLPTrajectoryRegressor(NeuralTrajectoryRegressor):
    """Predict trajectories with a small perceptron for each neuron, which sees that neuron alone; `linear` sees all.

    Parameters
    ----------
    memory : {"lstm"} or None, default=None
        Put a long short-term memory of `n_hidden` features before each neuron's perceptron.

    References
    ----------
    Wang et al. 2021, Supplementary Information, "Model Implementation": "Node MLP".

    Examples
    --------
    >>> import numpy as np
    >>> from skworm import NodeMLPTrajectoryRegressor
    >>> X, y = np.random.rand(50, 4), np.random.rand(50, 32)
    >>> NodeMLPTrajectoryRegressor(n_hidden=8, max_epochs=20, random_state=0).fit(X, y).predict(X).shape
    (50, 32)
    """

    memory: Literal["lstm"] | None = None

    def _build_step(self) -> Step:
        n_neurons, n_features = len(self.neurons_), len(self.node_features_)
        memory, n_inputs = None, self.burn_in_ * n_features
        if self.memory == "lstm":
            memory, n_inputs = NeuronLSTM(n_neurons, n_features, self.n_hidden), self.n_hidden
        part = self._readout_of_neurons()
        shape = (n_neurons, n_inputs, n_features)
        readout = NeuronReadout(*shape, n_hidden=self.n_hidden, n_layers=part.n_layers, batch_norm=part.batch_norm)
        return Step(None, memory, readout)


class GNNTrajectoryRegressor(NeuralTrajectoryRegressor, GraphEstimator):
    """Predict trajectories with a graph neural network on an inferred weighted graph.

    Every predicted frame is the one before it plus a change, X(t + 1) = X(t) + f(X(t)). f passes messages along a graph
    and reads the change out of what the neurons received, by default with a linear map beside it. By default the graph
    is inferred anew from every frame, predicted ones included.

    Parameters
    ----------
    memory : {"lstm", "gated"} or None, default=None
        ``"lstm"`` puts a long short-term memory of `n_hidden` features between messages and perceptron; ``"gated"``
        gives every neuron a gated recurrent memory of what it received, a recurrent graph network.

    References
    ----------
    Wang et al. 2021, equations 4, 5 and 8 to 14; Supplementary Information, "Model Selection" and "Model
    Implementation".

    Examples
    --------
    >>> import numpy as np
    >>> from skworm import GNNTrajectoryRegressor
    >>> X, y = np.random.rand(50, 4), np.random.rand(50, 32)
    >>> GNNTrajectoryRegressor(n_hidden=16, max_epochs=5, random_state=0).fit(X, y).graph_.shape
    (4, 4)
    """
