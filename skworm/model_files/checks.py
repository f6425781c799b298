"""Whether sizes in a model file belong together, before anything is done with them that takes their time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_classifier

from skworm.estimators.calibration import ConformalStateClassifier, TemperatureScaledClassifier, WrappingStateClassifier
from skworm.estimators.hidden_markov import HiddenMarkovStateClassifier
from skworm.estimators.manifold import AsymmetricDiffusionMap
from skworm.estimators.svm import SVMStateClassifier
from skworm.estimators.trajectory_base import TrajectoryRegressor

_MOST_MESSAGE_STEPS = 1000
_MOST_NEIGHBORS = 10_000


def check_sizes(estimator: Any, n_arrays: int) -> None:
    """Refuse sizes that contradict each other, or that a file of so many arrays cannot have.

    Parameters
    ----------
    estimator : estimator
        With parameters and what it learned, but for a network.
    n_arrays : int
        Arrays in the file.

    Raises
    ------
    ValueError
        If a size is wrong.
    """
    _at_most(estimator, "n_layers", n_arrays)
    _at_most(estimator, "n_message_steps", _MOST_MESSAGE_STEPS)
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None and np.shape(names) != (estimator.n_features_in_,):
        raise ValueError("n_features_in_ and feature_names_in_ do not fit together")
    if not isinstance(getattr(estimator, "frame_settings_", {}), dict):
        raise TypeError("frame_settings_ is no dict")
    if isinstance(estimator, TrajectoryRegressor):
        _check_steps(estimator)
    if isinstance(estimator, SVMStateClassifier) and not np.array_equal(estimator.classes_, estimator.svc_.classes_):
        raise ValueError("the classes of the support vector machine are not those of the model")
    if isinstance(estimator, SVMStateClassifier) and np.shape(estimator.fill_) != (estimator.n_features_in_,):
        raise ValueError("n_features_in_ and fill_ do not fit together")
    if isinstance(estimator, AsymmetricDiffusionMap):
        _check_manifold(estimator)
    if isinstance(estimator, WrappingStateClassifier):
        _check_wrapper(estimator)


def _at_most(estimator: Any, name: str, most: int) -> None:
    value = getattr(estimator, name, 1)
    if not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{name}={value!r} is not expected here, at most {most}")


def _check_steps(estimator: TrajectoryRegressor) -> None:
    _at_most(estimator, "burn_in_", estimator.n_features_in_)
    _at_most(estimator, "n_columns_", estimator.n_features_in_)
    if estimator.burn_in_ * estimator.n_columns_ != estimator.n_features_in_:
        raise ValueError("burn_in_, n_columns_ and n_features_in_ do not fit together")
    for level in (estimator.level_, *estimator.levels_.values()):
        if np.shape(level) != (estimator.n_columns_,):
            raise ValueError("a level has not as many columns as a frame")


def _check_manifold(estimator: AsymmetricDiffusionMap) -> None:
    _at_most(estimator, "n_neighbors", _MOST_NEIGHBORS)
    points, n_modes = estimator._points, len(estimator.eigenvalues_)
    n_points = len(points)
    fitting = (
        points.ndim == 2
        and points.shape[1] == (estimator.n_delays + 1) * estimator.n_features_in_
        and estimator._moments.shape == (n_points,)
        and estimator.transitions_.shape == (n_points, n_points)
        and estimator._modes.shape == (n_points, n_modes)
        and estimator._imaginary.shape == (n_modes,)
        and estimator.embedding_.shape == (n_points, n_modes)
    )
    if not fitting:
        raise ValueError("the points, transitions and modes of the manifold do not fit together")


def _check_wrapper(wrapper: WrappingStateClassifier) -> None:
    inner, classes = wrapper.estimator_, wrapper.classes_
    if not is_classifier(inner) or not np.array_equal(classes, inner.classes_):
        raise ValueError("what is wrapped is no classifier of the states of the model")
    if inner.n_features_in_ != wrapper.n_features_in_:
        raise ValueError("n_features_in_ is not that of the classifier that is wrapped")
    if isinstance(wrapper, TemperatureScaledClassifier) and not 0 < wrapper.temperature_ < np.inf:
        raise ValueError(f"temperature_={wrapper.temperature_!r} is no temperature")
    if isinstance(wrapper, ConformalStateClassifier):
        if not isinstance(wrapper.worm_thresholds_, pd.Series):
            raise TypeError("worm_thresholds_ is no series")
        if not np.isfinite(wrapper.threshold_):
            raise ValueError(f"threshold_={wrapper.threshold_!r} is no threshold")
    if isinstance(wrapper, HiddenMarkovStateClassifier):
        _check_shares("transition_", wrapper.transition_, (len(classes), len(classes)))
        _check_shares("shares_", wrapper.shares_, (len(classes),))


def _check_shares(name: str, shares: np.ndarray, shape: tuple[int, ...]) -> None:
    if np.shape(shares) != shape or not np.all(shares >= 0) or not np.allclose(shares.sum(axis=-1), 1):
        raise ValueError(f"{name} holds no shares of {shape[0]} states")
