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
    InferredGraph,
    LinearTrajectoryRegressor,
    MLPTrajectoryRegressor,
    NodeMLPTrajectoryRegressor,
    PersistenceRegressor,
    Rollout,
    VirtualWorms,
)

pytestmark = pytest.mark.slow

FEW = {"n_hidden": 8, "rollout": Rollout(train_horizon=1), "max_epochs": 3, "random_state": 0, "device": "cpu"}

ESTIMATORS = [
    PersistenceRegressor(),
    LinearTrajectoryRegressor(),
    LinearTrajectoryRegressor(strategy="direct"),
    MLPTrajectoryRegressor(**FEW),
    NodeMLPTrajectoryRegressor(memory="lstm", **FEW),
    GNNTrajectoryRegressor(**FEW),
    GNNTrajectoryRegressor(graph=InferredGraph(per="worm"), memory="gated", augmentation=VirtualWorms(), **FEW),
    GNNTrajectoryRegressor(messages="gin", memory="lstm", **FEW),
]

_REASON = "y is no multiple of the columns of a frame; the check runs on trajectories below"
WEIGHTS_AND_ROWS = {
    "check_sample_weight_equivalence_on_dense_data": (
        "what is held out and drawn depends on the rows; without either, tests/test_weights.py compares them"
    )
}
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
        "check_sample_weights_list",
        "check_sample_weights_not_an_array",
        "check_sample_weights_not_overwritten",
        "check_sample_weights_pandas_series",
        "check_sample_weights_shape",
        "check_supervised_y_2d",
    ),
    _REASON,
)


class OnTrajectories:
    """Add each target to the observed frame, as one step of the frames that follow it."""

    def fit(self, X, y, worm=None, **weights):
        try:
            frames, targets = np.asarray(X), np.asarray(y)
            if "c" in (frames.dtype.kind, targets.dtype.kind):
                raise ValueError("complex numbers")
            frames, targets = frames.astype(float), targets.astype(float)
            future = (frames[:, None] + targets.reshape(len(frames), -1, 1)).reshape(len(frames), -1)
        except (TypeError, ValueError, IndexError, NotImplementedError):
            # What cannot be a trajectory is for the regressor to refuse.
            return super().fit(X, y, worm, **weights)
        super().fit(X, future, worm, **weights)
        self.target_shape_ = targets.shape[1:]
        return self

    def predict(self, X, worm=None):
        predicted = super().predict(X, worm)
        frames = np.asarray(X, dtype=float)
        targets = (predicted.reshape(len(frames), -1, frames.shape[1]) - frames[:, None]).mean(axis=2)
        return targets.reshape(len(frames), *self.target_shape_)


class WeightedOnTrajectories(OnTrajectories):
    """The same for regressors that weigh samples."""

    def fit(self, X, y, worm=None, sample_weight=None):
        return super().fit(X, y, worm, sample_weight=sample_weight)


class PersistenceOnTrajectories(OnTrajectories, PersistenceRegressor):
    pass


class LinearOnTrajectories(OnTrajectories, LinearTrajectoryRegressor):
    pass


class MLPOnTrajectories(WeightedOnTrajectories, MLPTrajectoryRegressor):
    pass


class NodeMLPOnTrajectories(WeightedOnTrajectories, NodeMLPTrajectoryRegressor):
    pass


class GNNOnTrajectories(WeightedOnTrajectories, GNNTrajectoryRegressor):
    pass


ADAPTED = {
    cls.__bases__[1]: cls
    for cls in (
        *(PersistenceOnTrajectories, LinearOnTrajectories),
        *(MLPOnTrajectories, NodeMLPOnTrajectories, GNNOnTrajectories),
    )
}


def on_trajectories(estimator):
    return ADAPTED[type(estimator)](**estimator.get_params(deep=False))


def names_of_checks(estimator):
    return {getattr(check, "func", check).__name__ for _, check in estimator_checks_generator(estimator)}


def excused(estimator):
    return (
        EXCUSED
        if hasattr(estimator, "callbacks")
        else {name: EXCUSED[name] for name in EXCUSED if "_weights_" not in name}
    )


def drawn(estimator):
    return WEIGHTS_AND_ROWS if hasattr(estimator, "callbacks") else {}


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=lambda estimator: excused(estimator) | drawn(estimator))
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@parametrize_with_checks([on_trajectories(estimator) for estimator in ESTIMATORS], expected_failed_checks=drawn)
def test_scikit_learn_contract_on_trajectories(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_every_excused_check_runs_on_trajectories(estimator):
    names = names_of_checks(on_trajectories(estimator))
    assert names >= set(excused(estimator))
    assert len(names) > 45
