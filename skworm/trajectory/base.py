"""What all trajectory regressors share: shapes, column names, the level of a worm."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from skworm.expected_frames import frame_settings, validate_like_training
from skworm.layout import parse_step_column_names, worm_of_rows

_ROWS_OF_THE_POPULATION = 10
_Names = tuple[Sequence[str], Sequence[int]]


class TrajectoryRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Predict the frames of a trajectory from the observed ones before them.

    `X` holds `burn_in` observed frames a row, `Y` the `horizon` frames after them, both flattened time-major.
    """

    _trajectory_constraints: ClassVar[dict[str, list[Any]]] = {
        "burn_in": [Interval(Integral, 1, None, closed="left"), None],
        "center": [StrOptions({"worm", "population"})],
    }

    burn_in: int | None
    center: str

    def fit(self, X: Any, Y: Any, worm: Any = None) -> TrajectoryRegressor:
        """Learn from trajectories.

        Parameters
        ----------
        X : array-like of shape (n_trajectories, burn_in * n_columns)
            Observed frames, time-major; a DataFrame of :func:`skworm.frames.make_trajectories` carries worms, neurons
            and `burn_in`.
        Y : array-like of shape (n_trajectories, horizon * n_columns)
            The frames after them.
        worm : array-like of shape (n_trajectories,), optional
            Worm of each trajectory; by default the index level ``"worm"`` of `X`, else all are one population.

        Returns
        -------
        self
            The fitted regressor.

        Raises
        ------
        ValueError
            If `Y` is no multiple of the columns of a frame, or `burn_in` or names do not fit `X` and `Y`.
        """
        self._fit(*self._training_frames(X, Y, worm))
        return self

    def predict(self, X: Any, worm: Any = None, horizon: int | None = None) -> np.ndarray:
        """Predict the frames after the observed ones.

        Parameters
        ----------
        X : array-like of shape (n_trajectories, burn_in * n_columns)
            Observed frames, time-major.
        worm : array-like of shape (n_trajectories,), optional
            Worm of each trajectory; by default the index level ``"worm"`` of `X`.
        horizon : int, optional
            Frames to predict; by default as many as `Y` had in training.

        Returns
        -------
        ndarray of shape (n_trajectories, horizon * n_columns)
            Predicted frames, time-major.

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

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Give the coefficient of determination, averaged over all columns of all steps.

        Parameters
        ----------
        X : array-like of shape (n_trajectories, burn_in * n_columns)
            Observed frames, time-major.
        y : array-like of shape (n_trajectories, horizon * n_columns)
            True frames after them.
        sample_weight : array-like of shape (n_trajectories,), optional
            Weights of the trajectories.

        Returns
        -------
        float
            R²: 1 for a perfect forecast, 0 for one as good as each column's mean. :func:`skworm.metrics.skill_by_step`
            compares with persistence instead, step by step.
        """
        return super().score(X, y, sample_weight)

    def _training_frames(self, X: Any, Y: Any, worm: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Learn shapes and levels, and give frames measured from them, with their worms."""
        self._validate_params()
        observed, future = validate_data(self, X, Y, dtype=np.float64, multi_output=True, y_numeric=True)
        self.frame_settings_ = frame_settings(X)
        self._read_shapes(X, Y, observed, future)
        worms = worm_of_rows(X, worm)
        frames = np.concatenate([observed, future.reshape(len(future), -1)], axis=1)
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
        """Check observed frames, and give them measured from the level of their worm, with worms and levels."""
        observed = validate_like_training(self, X, dtype=np.float64)
        frames = observed.reshape(len(observed), self.burn_in_, self.n_columns_)
        worms = worm_of_rows(X, worm)
        levels = self._levels_of_rows(frames, worms)
        return frames - levels[:, None], worms, levels

    def _check_horizon(self, horizon: int | None) -> int:
        if horizon is None:
            return self.horizon_
        if not isinstance(horizon, Integral) or horizon < 1:
            raise ValueError(f"horizon={horizon!r} must be a whole number of frames, at least 1")
        return int(horizon)

    def _read_shapes(self, X: Any, Y: Any, observed: np.ndarray, future: np.ndarray) -> None:
        named = parse_step_column_names(X.columns) if hasattr(X, "columns") else None
        n_steps = None if named is None else len(named[1])
        if self.burn_in is not None and n_steps not in (None, self.burn_in):
            raise ValueError(
                f"burn_in={self.burn_in}, but the columns of X name {n_steps} observed frames; leave burn_in=None, or "
                f"make trajectories with burn_in={self.burn_in}"
            )
        self.burn_in_ = n_steps or self.burn_in or 1
        if observed.shape[1] % self.burn_in_:
            raise ValueError(
                f"X has {observed.shape[1]} columns, not a multiple of burn_in={self.burn_in_}; it holds "
                "burn_in frames a row, time-major"
            )
        self.n_columns_ = observed.shape[1] // self.burn_in_
        n_outputs = 1 if future.ndim == 1 else future.shape[1]
        if n_outputs % self.n_columns_:
            raise ValueError(
                f"Y has {n_outputs} columns, not a multiple of the {self.n_columns_} columns of a frame; it holds the "
                f"frames after those of X, time-major. If X holds several frames a row, pass burn_in="
            )
        self.horizon_ = n_outputs // self.n_columns_
        if named is not None and hasattr(Y, "columns"):
            _check_names(named, parse_step_column_names(Y.columns))
        self._frame_columns = None if named is None else named[0]

    def _learn_levels(self, frames: np.ndarray, worms: np.ndarray | None) -> None:
        self.levels_: dict[Any, np.ndarray] = {}
        if worms is not None and self.center == "worm":
            self.levels_ = {name: frames[worms == name].mean(axis=(0, 1)) for name in pd.unique(worms)}
        own = list(self.levels_.values())
        self.level_ = np.mean(own, axis=0) if own else frames.mean(axis=(0, 1))

    def _levels_of_rows(self, frames: np.ndarray, worms: np.ndarray | None) -> np.ndarray:
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


def _check_names(named: _Names, named_y: _Names | None) -> None:
    if named_y is None:
        return
    if named[0] != named_y[0]:
        strange = sorted(set(named[0]) ^ set(named_y[0])) or ["their order"]
        raise ValueError(f"X and Y differ in the columns of a frame: {strange[:4]}; make both with make_trajectories")
    if named[1][-1] != 0 or named_y[1][0] != 1:
        raise ValueError(
            f"the steps of X end at {named[1][-1]} and those of Y begin at {named_y[1][0]}; X ends at step 0, the last "
            "observed frame, and Y begins at step 1: make both with make_trajectories"
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
    """Pair each frame with the `burn_in` frames before it.

    Parameters
    ----------
    frames : ndarray of shape (n_trajectories, n_frames, n_columns)
        Trajectories.
    burn_in : int
        Frames before each.

    Returns
    -------
    before : ndarray of shape (n_pairs, burn_in * n_columns)
        Time-major.
    after : ndarray of shape (n_pairs, n_columns)
        The frames after them.
    """
    n_starts = frames.shape[1] - burn_in
    before = np.concatenate([frames[:, start : start + burn_in].reshape(len(frames), -1) for start in range(n_starts)])
    after = np.concatenate([frames[:, start + burn_in] for start in range(n_starts)])
    return before, after
