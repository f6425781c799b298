"""Weights of samples and states in the loss of networks."""

import numpy as np
import pytest
from sklearn.base import clone

from skworm import (
    GNNStateClassifier,
    GNNTrajectoryRegressor,
    MLPBehaviorRegressor,
    MLPStateClassifier,
    NodeMLPTrajectoryRegressor,
    Readout,
    Rollout,
    SVMStateClassifier,
)
from skworm.training import train_together

# Nothing is held out, drawn, or pooled over samples, so that a sample of weight 2 is one that occurs twice.
PLAIN = {"augmentation": None, "validation_fraction": 0, "random_state": 0, "device": "cpu", "max_epochs": 20}
ONE_STEP = {"rollout": Rollout(train_horizon=1), "n_hidden": 8, **PLAIN}
NETWORKS = {
    "mlp": MLPStateClassifier(**PLAIN),
    "gnn": GNNStateClassifier(graph="learned", **PLAIN),
    "behavior": MLPBehaviorRegressor(**PLAIN),
    "trajectory": GNNTrajectoryRegressor(linear=False, center="population", **ONE_STEP),
    "node trajectory": NodeMLPTrajectoryRegressor(linear=False, center="population", **ONE_STEP),
}


def samples(name, n_samples=60):
    rng = np.random.default_rng(0)
    X = rng.random((n_samples, 4))
    if "trajectory" in name:
        return X, X + 0.1 * rng.normal(size=X.shape)
    return X, X @ [1, -1, 2, 0.5] if name == "behavior" else (X[:, 0] + 0.2 * rng.normal(size=n_samples) > 0.5) * 1


def answers(model, X):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_weight_counts_a_sample_so_many_times(name):
    X, y = samples(name)
    weight = np.random.default_rng(1).integers(1, 4, size=len(X))
    weighted = clone(NETWORKS[name]).fit(X, y, sample_weight=weight)
    repeated = clone(NETWORKS[name]).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight, axis=0))
    even = clone(NETWORKS[name]).fit(X, y)
    if name == "behavior" or "trajectory" in name:
        # Signals and frames are measured from their mean over samples, whatever these weigh.
        assert np.abs(answers(weighted, X) - answers(repeated, X)).max() < 0.05
    else:
        np.testing.assert_allclose(answers(weighted, X), answers(repeated, X), atol=1e-4)
    assert np.abs(answers(weighted, X) - answers(even, X)).max() > 1e-4


@pytest.mark.parametrize("name", ["mlp", "gnn", "behavior"])
def test_a_frame_without_weight_is_left_out(name):
    X, y = samples(name)
    weight = np.ones(len(X))
    weight[::3] = 0
    weighted = clone(NETWORKS[name]).fit(X, y, sample_weight=weight)
    fewer = clone(NETWORKS[name]).fit(X[weight > 0], y[weight > 0])
    np.testing.assert_allclose(answers(weighted, X), answers(fewer, X), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("network", [MLPStateClassifier, GNNStateClassifier])
def test_weights_of_states_move_predictions_towards_them(network):
    X, y = samples("mlp", 300)
    rare = y & (np.random.default_rng(2).random(len(y)) < 0.3)
    shares = [
        network(class_weight=weight, max_epochs=60, random_state=0, device="cpu").fit(X, rare).predict(X).mean()
        for weight in (None, "balanced", {0: 1.0, 1: 30.0})
    ]
    assert shares[0] < shares[1] < shares[2]


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
@pytest.mark.parametrize("kind", [MLPStateClassifier, GNNStateClassifier, SVMStateClassifier])
def test_weights_of_states_are_no_less_than_0(kind, weight):
    X, y = samples("mlp", 60)
    with pytest.raises(ValueError, match=rf"class_weight gives {weight} to 1; weights must be"):
        kind(class_weight={0: 1.0, 1: weight}).fit(X, y)


def test_weights_judge_the_epochs_too():
    X, y = samples("mlp", 300)
    weight = np.where(y == 1, 5.0, 1.0)
    model = MLPStateClassifier(max_epochs=3, augmentation=None, random_state=0, device="cpu")
    even, weighted = (clone(model).fit(X, y, sample_weight=own).net_.history for own in (None, weight))
    assert even[0, "valid_loss"] != weighted[0, "valid_loss"]


def test_fits_with_weights_train_alike_alone_and_together():
    X, y = samples("mlp")
    models = [clone(NETWORKS["mlp"]).set_params(random_state=seed) for seed in range(3)]
    weights = [None, np.arange(1.0, len(X) + 1), np.arange(len(X), 0.0, -1)]
    jobs = [model.training_job(X, y, sample_weight=weight) for model, weight in zip(models, weights, strict=True)]
    for model, weight, job, net in zip(models, weights, jobs, train_together(jobs), strict=True):
        together = answers(model.take_training(job, net), X)
        np.testing.assert_allclose(together, answers(clone(model).fit(X, y, sample_weight=weight), X), atol=1e-5)


@pytest.mark.parametrize(
    ("weight", "problem"), [(np.zeros(60), "zero"), (np.ones(59), "sample_weight"), (-np.ones(60), "[Nn]egative")]
)
@pytest.mark.parametrize("name", NETWORKS)
def test_bad_weights_are_refused(name, weight, problem):
    with pytest.raises(ValueError, match=problem):
        clone(NETWORKS[name]).fit(*samples(name), sample_weight=weight)


def test_batch_norm_does_not_see_weights():
    X, y = samples("mlp")
    model = MLPStateClassifier(
        readout=Readout(batch_norm="output"), **{**PLAIN, "max_epochs": 1, "learning_rate": 1e-9}
    )
    even, weighted = (clone(model).fit(X, y, sample_weight=own) for own in (None, np.arange(1.0, 61.0)))
    np.testing.assert_allclose(answers(even, X), answers(weighted, X), atol=1e-6)
