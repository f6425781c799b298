"""Weights of samples and states in the loss of networks."""

import numpy as np
import pytest
import torch
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
    VirtualWorms,
)
from skworm.training.stack import train_together

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


def test_weights_that_are_all_alike_leave_the_loss_as_it_is():
    X, y = samples("mlp")
    even, heavy = (clone(NETWORKS["mlp"]).fit(X, y, sample_weight=np.full(60, own)).net_.history for own in (1, 3))
    assert heavy[0, "train_loss"] == pytest.approx(even[0, "train_loss"], rel=1e-5)


def test_the_linear_part_follows_the_samples_that_weigh():
    X, first = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) < 30
    rate = np.where(first, 0.5, -0.5)[:, np.newaxis]
    model = NodeMLPTrajectoryRegressor(center="population", **{**ONE_STEP, "max_epochs": 1, "learning_rate": 1e-9})
    model.fit(X, np.hstack([X * rate, X * rate**2, X * rate**3]), sample_weight=np.where(first, 1.0, 1e-6))
    np.testing.assert_allclose(model.predict(X, horizon=1), 0.5 * X, atol=0.1)


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


def test_held_out_samples_that_hardly_weigh_do_not_judge():
    X, y = samples("mlp", 80)
    model, without = MLPStateClassifier(max_epochs=1, augmentation=None, random_state=0, device="cpu"), 0
    for number in range(10):
        weight = np.where(np.arange(80) // 8 == number, 1e-3, 1.0)
        without += "valid_loss" not in clone(model).fit(X, y, sample_weight=weight).net_.history[0]
    # Of ten windows one is held out.
    assert without == 1


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


def test_the_seed_governs_what_a_network_begins_with():
    X, y = samples("mlp")
    one, same, other = (answers(clone(NETWORKS["mlp"]).set_params(random_state=s).fit(X, y), X) for s in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3


def test_batch_norm_does_not_see_weights():
    X, y = samples("mlp")
    model = MLPStateClassifier(
        readout=Readout(batch_norm="output"), **{**PLAIN, "max_epochs": 1, "learning_rate": 1e-9}
    )
    even, weighted = (clone(model).fit(X, y, sample_weight=own) for own in (None, np.arange(1.0, 61.0)))
    np.testing.assert_allclose(answers(even, X), answers(weighted, X), atol=1e-6)


@pytest.mark.parametrize("augmentation", [None, VirtualWorms()])
def test_batch_norm_ends_with_the_statistics_of_all_frames_unless_there_are_virtual_worms(augmentation):
    X, y = samples("mlp")
    options = {**PLAIN, "validation_fraction": 0.2, "augmentation": augmentation}
    model = MLPStateClassifier(readout=Readout(batch_norm="output"), **options).fit(X, y)
    *layers, norm = model.net_.module_.readout.hidden
    with torch.inference_mode():
        seen = torch.nn.Sequential(*layers)(torch.tensor(X))
    assert torch.allclose(norm.running_mean, seen.mean(0), atol=1e-5) == (augmentation is None)
