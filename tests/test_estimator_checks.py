"""Every public estimator keeps scikit-learn's contract."""

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from skworm import (
    ConformalStateClassifier,
    GNNStateClassifier,
    MLPStateClassifier,
    SVMStateClassifier,
    TemperatureScaledClassifier,
    VirtualWorms,
)

FEW = {"max_epochs": 60, "learning_rate": 0.03, "random_state": 0, "device": "cpu"}

ESTIMATORS = [
    SVMStateClassifier(),
    MLPStateClassifier(**FEW),
    MLPStateClassifier(augmentation=VirtualWorms(), **FEW),
    GNNStateClassifier(**FEW),
    GNNStateClassifier(edges="dynamic", **FEW),
    GNNStateClassifier(edges="free", **FEW),
    GNNStateClassifier(convolution="gatv2", **FEW),
    TemperatureScaledClassifier(SVMStateClassifier()),
    ConformalStateClassifier(LogisticRegression()),
]


@parametrize_with_checks(ESTIMATORS, xfail_strict=True)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_scikit_learn_yields_every_check(estimator):
    from sklearn.utils.estimator_checks import estimator_checks_generator

    assert len(list(estimator_checks_generator(estimator))) > 50
