"""Every trajectory regressor keeps scikit-learn's contract.

scikit-learn's checks pass targets of one column, or two, beside observations of several. No target of that shape is a
trajectory, so the checks that fit are excused for the regressors as they are. Each of them runs on the same regressors
all the same, with the targets of the check turned into trajectories and the predictions turned back.
"""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from skworm import (
    GNNTrajectoryRegressor,
    LinearTrajectoryRegressor,
    MLPTrajectoryRegressor,
    NodeMLPTrajectoryRegressor,
    PersistenceRegressor,
    VirtualWorms,
)

FEW = {"n_hidden": 8, "train_horizon": 1, "max_epochs": 3, "random_state": 0, "device": "cpu"}

ESTIMATORS = [
    PersistenceRegressor(),
    LinearTrajectoryRegressor(),
    LinearTrajectoryRegressor(strategy="direct"),
    MLPTrajectoryRegressor(**FEW),
    MLPTrajectoryRegressor(memory="lstm", augmentation=VirtualWorms(), **FEW),
    NodeMLPTrajectoryRegressor(**FEW),
    NodeMLPTrajectoryRegressor(memory="lstm", **FEW),
    GNNTrajectoryRegressor(**FEW),
    GNNTrajectoryRegressor(edges="static", **FEW),
    GNNTrajectoryRegressor(memory="gated", **FEW),
    GNNTrajectoryRegressor(convolution="gin", **FEW),
]

_REASON = "y is no multiple of the columns of a frame; the check runs on trajectories below"
EXCUSED = dict.fromkeys(
    (
        "check_dict_unchanged",
        "check_dont_overwrite_parameters",
        "check_dtype_object",
        "check_estimators_dtypes",
        "check_estimators_fit_returns_self",
        "check_estimators_nan_inf",
        "check_estimators_overwrite_params",
        "check_estimators_pickle",
        "check_f_contiguous_array_estimator",
        "check_fit2d_1sample",
        "check_fit2d_predict1d",
        "check_fit_check_is_fitted",
        "check_fit_idempotent",
        "check_fit_score_takes_y",
        "check_methods_sample_order_invariance",
        "check_methods_subset_invariance",
        "check_n_features_in",
        "check_n_features_in_after_fitting",
        "check_pipeline_consistency",
        "check_positive_only_tag_during_fit",
        "check_readonly_memmap_input",
        "check_regressor_data_not_an_array",
        "check_regressor_multioutput",
        "check_regressors_int",
        "check_regressors_no_decision_function",
        "check_regressors_train",
        "check_supervised_y_2d",
    ),
    _REASON,
)


class OnTrajectories:
    """Add each target to the observed frame, as one step of the frames that follow it."""

    def fit(self, X, y, worm=None):
        try:
            frames, targets = np.asarray(X), np.asarray(y)
            if "c" in (frames.dtype.kind, targets.dtype.kind):
                raise ValueError("complex numbers")
            frames, targets = frames.astype(float), targets.astype(float)
            future = (frames[:, None] + targets.reshape(len(frames), -1, 1)).reshape(len(frames), -1)
        except (TypeError, ValueError, IndexError, NotImplementedError):
            # What cannot be a trajectory is for the regressor to refuse.
            return super().fit(X, y, worm)
        super().fit(X, future, worm)
        self.target_shape_ = targets.shape[1:]
        return self

    def predict(self, X, worm=None):
        predicted = super().predict(X, worm)
        frames = np.asarray(X, dtype=float)
        targets = (predicted.reshape(len(frames), -1, frames.shape[1]) - frames[:, None]).mean(axis=2)
        return targets.reshape(len(frames), *self.target_shape_)


class PersistenceOnTrajectories(OnTrajectories, PersistenceRegressor):
    pass


class LinearOnTrajectories(OnTrajectories, LinearTrajectoryRegressor):
    pass


class MLPOnTrajectories(OnTrajectories, MLPTrajectoryRegressor):
    pass


class NodeMLPOnTrajectories(OnTrajectories, NodeMLPTrajectoryRegressor):
    pass


class GNNOnTrajectories(OnTrajectories, GNNTrajectoryRegressor):
    pass


ADAPTED = {cls.__mro__[2]: cls for cls in OnTrajectories.__subclasses__()}


def on_trajectories(estimator):
    return ADAPTED[type(estimator)](**estimator.get_params(deep=False))


def names_of_checks(estimator):
    return {getattr(check, "func", check).__name__ for _, check in estimator_checks_generator(estimator)}


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=lambda estimator: EXCUSED)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@parametrize_with_checks([on_trajectories(estimator) for estimator in ESTIMATORS])
def test_scikit_learn_contract_on_trajectories(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_every_excused_check_runs_on_trajectories(estimator):
    names = names_of_checks(on_trajectories(estimator))
    assert names >= set(EXCUSED)
    assert len(names) > 45
