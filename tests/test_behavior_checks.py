"""Every behaviour regressor keeps scikit-learn's contract."""

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from skworm import GNNBehaviorRegressor, MLPBehaviorRegressor, VirtualWorms

pytestmark = pytest.mark.slow

FEW = {"max_epochs": 30, "learning_rate": 0.03, "random_state": 0, "device": "cpu"}

ESTIMATORS = [
    MLPBehaviorRegressor(**FEW),
    MLPBehaviorRegressor(loss="huber", augmentation=VirtualWorms(gain=0.05, offset=0.05), **FEW),
    GNNBehaviorRegressor(**FEW),
]


WEIGHTS_AND_ROWS = {
    "check_sample_weight_equivalence_on_dense_data": (
        "what is held out and drawn depends on the rows; without either, tests/test_weights.py compares them"
    )
}


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=lambda estimator: WEIGHTS_AND_ROWS)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_scikit_learn_yields_every_check(estimator):
    assert len(list(estimator_checks_generator(estimator))) > 45
