"""Whether sizes in a model file belong together, before anything is done with them that takes their time."""

from __future__ import annotations

from typing import Any

import numpy as np

from skworm.classification import SVMStateClassifier
from skworm.manifold import AsymmetricDiffusionMap
from skworm.trajectory.base import TrajectoryRegressor

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
