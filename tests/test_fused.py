"""The stack trains what one-by-one training trains."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.base import clone

from skworm import (
    GAT,
    GIN,
    GNNBehaviorRegressor,
    GNNStateClassifier,
    GNNTrajectoryRegressor,
    InferredGraph,
    Messages,
    MLPBehaviorRegressor,
    MLPStateClassifier,
    MLPTrajectoryRegressor,
    NodeMLPTrajectoryRegressor,
    Readout,
    VirtualWorms,
)
from skworm.datasets import make_worms
from skworm.frames import make_behavior, make_frames, make_trajectories
from skworm.paper import published
from skworm.training import stack
from skworm.training.loop import train
from skworm.training.stack import train_together

pytestmark = pytest.mark.slow

NEURONS = ["AVAL", "AVAR", "AVBL", "VB02"]
VIRTUAL = VirtualWorms(n_groups=3, mixing=0.1)
TOGETHER = {"max_epochs": 12, "learning_rate": 0.02, "n_hidden": 5}


def plain(models):
    """Return models without virtual worms, but for those that name their own."""
    return {
        name: model.set_params(augmentation=None) if model.augmentation == "auto" else model
        for name, model in models.items()
    }


CLASSIFIERS = plain(
    {
        "mlp": MLPStateClassifier(weight_decay=0.1),
        "mlp virtual worms": MLPStateClassifier(augmentation=VIRTUAL),
        "mlp batch norm": MLPStateClassifier(readout=Readout("sum", n_layers=2, batch_norm="before_activation")),
        "mlp training loss": MLPStateClassifier(validation_fraction=0),
        "gnn": GNNStateClassifier(),
        "gnn virtual worms": GNNStateClassifier(graph=InferredGraph(n_hidden=5), augmentation=VIRTUAL),
        "gnn dynamic": GNNStateClassifier(graph=InferredGraph(per="frame"), augmentation=VIRTUAL),
        "gnn free": GNNStateClassifier(graph="learned", messages=Messages(normalization="row")),
        "gnn published": published("gnn"),
        "gnn dynamic published": published("gnn", graph__per="frame"),
        **{
            f"gnn {stage}": GNNStateClassifier(graph=InferredGraph(average=stage, batch_norm=True))
            for stage in ("hidden_edges", "edge_weights")
        },
        "mlp sum": MLPStateClassifier(readout="sum", augmentation=VIRTUAL),
        "gnn sum": GNNStateClassifier(readout="sum"),
        **{name: GNNStateClassifier(messages=name) for name in ("gin", "sage", "gat", "gatv2", "attention")},
        "gin 0": GNNStateClassifier(messages=GIN(learn_epsilon=False)),
    }
)
BEHAVIOR = plain(
    {
        "mlp": MLPBehaviorRegressor(),
        "mlp huber": MLPBehaviorRegressor(loss="huber", augmentation=VIRTUAL),
        "gnn": GNNBehaviorRegressor(),
        "gnn virtual worms": GNNBehaviorRegressor(augmentation=VIRTUAL),
        "gnn free": GNNBehaviorRegressor(graph="learned"),
    }
)
DROPPED = VirtualWorms(n_groups=3, mixing=0.1, neuron_dropout=0.3)
LACKING = plain(
    {
        "mlp": MLPStateClassifier(),
        "mlp virtual worms": MLPStateClassifier(augmentation=DROPPED),
        "mlp sum": MLPStateClassifier(augmentation=DROPPED, readout="sum"),
        "gnn": GNNStateClassifier(),
        "gnn virtual worms": GNNStateClassifier(augmentation=DROPPED, messages=Messages(normalization="row")),
        "gnn dynamic": GNNStateClassifier(graph=InferredGraph(per="frame"), augmentation=DROPPED),
        "gnn edge weights": GNNStateClassifier(graph=InferredGraph(average="edge_weights"), augmentation=DROPPED),
        **{name: GNNStateClassifier(messages=name) for name in ("gin", "sage", "gatv2")},
    }
)
REGRESSORS = {
    "mlp": MLPTrajectoryRegressor(),
    "mlp lstm": MLPTrajectoryRegressor(memory="lstm"),
    "mlp published": published("mlp", "trajectories"),
    "node mlp": NodeMLPTrajectoryRegressor(readout=Readout(batch_norm="output")),
    "node mlp lstm": NodeMLPTrajectoryRegressor(memory="lstm"),
    "gnn": GNNTrajectoryRegressor(graph=InferredGraph(n_hidden=4)),
    "gnn static": GNNTrajectoryRegressor(graph=InferredGraph(per="worm")),
    "gnn free": GNNTrajectoryRegressor(graph="learned"),
    "gnn lstm": GNNTrajectoryRegressor(memory="lstm", graph=InferredGraph(n_hidden=4)),
    "gnn gated": GNNTrajectoryRegressor(memory="gated", graph=InferredGraph(n_hidden=4)),
    "gnn published": published("gnn", "trajectories", graph__n_hidden=4),
    "gat": GNNTrajectoryRegressor(messages=GAT(n_hidden=4)),
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Let the learning rate fall within a few epochs."""
    for module in ("loop", "stack"):
        monkeypatch.setattr(f"skworm.training.{module}.LEARNING_RATE_PATIENCE", 1)


@pytest.fixture(scope="module")
def frames():
    return make_frames(make_worms(3, n_frames=160, random_state=0), neurons=NEURONS, states="2", derivative="backward")


@pytest.fixture(scope="module")
def behavior(frames):
    """Frames with two signals, each unknown in other frames."""
    X, _ = frames
    signals = make_behavior(make_worms(3, n_frames=160, random_state=0), X, ["velocity"])
    signals["speed"] = signals["velocity"].abs()
    signals.iloc[5:15, 0], signals.iloc[-30:-20, 1] = np.nan, np.nan
    return X, signals


@pytest.fixture(scope="module")
def trajectories(frames):
    return make_trajectories(frames[0], horizon=9, burn_in=1)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    return request.param


def test_virtual_worms_in_context_trained_together_equal_those_trained_alone():
    recordings = make_worms(3, n_frames=160, random_state=0)
    frames = make_frames(recordings, neurons=NEURONS, states="2", context=(-4, 0, 4))
    for model in (CLASSIFIERS["mlp virtual worms"], CLASSIFIERS["gnn virtual worms"]):
        assert_same(model, *frames, lambda model, X: model.predict_proba(X), "cpu")


def fits_of(estimator, X, y, device="cpu"):
    """Unfitted copies that differ in seed and learning rate, with different rows of two of the worms for each."""
    worm = X.index.get_level_values("worm").to_numpy()
    fits = []
    for seed, left_out in enumerate(np.unique(worm)):
        rows = np.flatnonzero(worm != left_out)[: -4 * seed or None]
        model = clone(estimator).set_params(**TOGETHER, device=device, random_state=seed)
        fits.append((model.set_params(learning_rate=0.02 / (1 + seed)), X.iloc[rows], y.iloc[rows]))
    return fits


def in_double_precision(job):
    # Rounding is amplified by an optimizer that divides by the size of gradients, even by that of gradients that are
    # nothing but rounding, as those are of which batch normalisation takes away the effect.
    return replace(job, module=job.module.double())


def trained(fits, how):
    jobs = [in_double_precision(model.training_job(X, y)) for model, X, y in fits]
    return [model.take_training(job, net) for (model, _, _), job, net in zip(fits, jobs, how(jobs), strict=True)]


def together(jobs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stack, "train", None)  # nothing is trained by itself
        return train_together(jobs)


def assert_same(estimator, X, y, predict, device):
    one_by_one = trained(fits_of(estimator, X, y, device), lambda jobs: [train(job) for job in jobs])
    stacked = trained(fits_of(estimator, X, y, device), together)
    for one, other in zip(one_by_one, stacked, strict=True):
        np.testing.assert_allclose(predict(other, X), predict(one, X), rtol=0, atol=1e-6)
        for name in ("train_loss", "valid_loss") if one.validation_fraction else ("train_loss",):
            np.testing.assert_allclose(other.net_.history[:, name], one.net_.history[:, name], atol=1e-7)
        assert (other.best_epoch_, other.n_iter_) == (one.best_epoch_, one.n_iter_)
    predictions = [predict(model, X) for model in stacked]
    assert not np.allclose(predictions[0], predictions[1], atol=1e-4), "the models must differ for this test to tell"


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_trained_together_equal_those_trained_alone(name, frames, device):
    assert_same(CLASSIFIERS[name], *frames, lambda model, X: model.predict_proba(X), device)


@pytest.mark.parametrize("name", BEHAVIOR)
def test_behavior_regressors_trained_together_equal_those_trained_alone(name, behavior, device):
    assert_same(BEHAVIOR[name], *behavior, lambda model, X: model.predict(X) / model.signal_scale_, device)


@pytest.mark.parametrize("name", LACKING)
def test_classifiers_of_worms_that_lack_neurons_equal_those_trained_alone(name, frames, device):
    X, y = frames[0].copy(), frames[1]
    X.loc["simulated-1", ["AVAL:trace", "AVAL:derivative"]] = np.nan
    X.iloc[5:9, -2:] = np.nan
    assert_same(LACKING[name], X, y, lambda model, X: model.predict_proba(X), device)


@pytest.mark.parametrize("name", REGRESSORS)
def test_trajectory_regressors_trained_together_equal_those_trained_alone(name, trajectories, device):
    X, Y = trajectories
    assert_same(REGRESSORS[name], X, Y, lambda model, X: model.predict(X), device)


@pytest.mark.parametrize("name", ["gnn virtual worms", "mlp"])
def test_in_single_precision_predictions_agree_within_rounding(name, frames):
    X, y = frames
    fits = fits_of(CLASSIFIERS[name], X, y)
    jobs = [model.training_job(X, y) for model, X, y in fits]
    stacked = [model.take_training(job, net) for (model, *_), job, net in zip(fits, jobs, together(jobs), strict=True)]
    for model, (one, X_train, y_train) in zip(stacked, fits_of(CLASSIFIERS[name], X, y), strict=True):
        np.testing.assert_allclose(model.predict_proba(X), one.fit(X_train, y_train).predict_proba(X), atol=0.01)


def test_other_structures_make_other_stacks(frames):
    X, y = frames
    jobs = [
        clone(model).set_params(max_epochs=3, device="cpu", random_state=0).training_job(X, y)
        for model in (
            MLPStateClassifier(augmentation=None),
            MLPStateClassifier(augmentation=None, n_hidden=7),
            MLPStateClassifier(augmentation=None, learning_rate=0.1, weight_decay=1.0),
            MLPStateClassifier(augmentation=VIRTUAL),
            MLPStateClassifier(augmentation=clone(VIRTUAL).set_params(gain=0.5)),
            MLPStateClassifier(augmentation=clone(VIRTUAL).set_params(mixing=0)),
            MLPStateClassifier(augmentation=DROPPED),
            MLPStateClassifier(readout="sum"),
            GNNStateClassifier(messages=Messages(residual=True)),
            GNNStateClassifier(messages=Messages(residual=False)),
        )
    ]
    structures = [stack.structure(job) for job in jobs]
    assert [structures.index(own) for own in structures] == [0, 1, 0, 3, 3, 5, 6, 7, 8, 9]
    nets = train_together(jobs)
    for job, net in zip(jobs, nets, strict=True):
        assert net.module_ is job.module


def test_a_stack_for_which_memory_runs_out_is_halved(frames, monkeypatch):
    X, y = frames
    sizes = []

    class Small(stack._Stack):
        def __init__(self, jobs):
            sizes.append(len(jobs))
            if len(jobs) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            super().__init__(jobs)

    monkeypatch.setattr(stack, "_Stack", Small)
    monkeypatch.setattr(stack, "models_at_a_time", lambda job, n_processes: 100)
    model = MLPStateClassifier(max_epochs=2, device="cpu")
    nets = train_together([clone(model).set_params(random_state=seed).training_job(X, y) for seed in range(5)])
    assert sizes == [5, 2, 3, 2]
    assert all(len(net.history) == 2 for net in nets)


def test_other_errors_are_not_taken_for_lack_of_memory(frames, monkeypatch):
    monkeypatch.setattr(stack, "_Stack", lambda jobs: 1 / 0)
    model = MLPStateClassifier(max_epochs=2, device="cpu")
    with pytest.raises(ZeroDivisionError):
        train_together([model.training_job(*frames), model.training_job(*frames)])


def test_stacks_are_as_large_as_memory_allows(frames, monkeypatch):
    X, y = frames
    job = MLPStateClassifier(max_epochs=2, device="cpu").training_job(X, y)
    large = GNNStateClassifier(graph=InferredGraph(per="frame"), max_epochs=2, device="cpu").training_job(X, y)
    bytes_of_one = stack.bytes_of_a_model(job)
    assert stack.bytes_of_a_model(large) > 3 * bytes_of_one
    monkeypatch.setattr(stack, "_CPU_BYTES", 10 * bytes_of_one)
    assert stack.models_at_a_time(job) == 10
    assert stack.models_at_a_time(job, n_processes=5) == 2
    assert stack.models_at_a_time(large) < 4
    monkeypatch.setattr(stack, "_CPU_BYTES", 1)
    assert stack.models_at_a_time(job) == 1


def test_measuring_memory_leaves_the_module_as_it_is(frames):
    job = MLPStateClassifier(readout=Readout(batch_norm="output"), augmentation=VIRTUAL, device="cpu").training_job(
        *frames
    )
    before = {name: value.clone() for name, value in job.module.state_dict().items()}
    stack.bytes_of_a_model(job)
    torch.testing.assert_close(job.module.state_dict(), before)


def test_one_model_without_a_finite_loss_does_not_end_the_others(frames):
    X, y = frames
    models = [MLPStateClassifier(max_epochs=2, device="cpu", random_state=0).set_params(learning_rate=rate)
              for rate in (0.01, 1e30, 0.01)]  # fmt: skip
    jobs = [model.training_job(X, y) for model in models]
    jobs[1].X[:] = np.inf
    nets = together(jobs)
    assert isinstance(nets[1], ValueError)
    assert "valid_loss was never a finite number in 2 epochs" in str(nets[1])
    assert nets[0].history[:, "valid_loss"] == nets[2].history[:, "valid_loss"]
