"""The skorch net of a fit, callbacks of the user, and Ctrl-C."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    LRScheduler,
    PassthroughScoring,
    ProgressBar,
)

import skworm
from skworm import (
    GNNStateClassifier,
    GNNTrajectoryRegressor,
    HiddenMarkovStateClassifier,
    MLPBehaviorRegressor,
    MLPStateClassifier,
    MLPTrajectoryRegressor,
    WormGroupKFold,
)
from skworm.datasets import make_worms, save_recordings
from skworm.frames import make_frames, make_trajectories
from skworm.model_selection import FusedGridSearchCV, cross_validate_worms
from skworm.training.stack import train_together

FEW = {"max_epochs": 12, "random_state": 0, "device": "cpu", "n_hidden": 5}
LONG = {**FEW, "max_epochs": 400, "learning_rate": 0.05}


@pytest.fixture(scope="module")
def frames():
    return make_frames(make_worms(3, n_frames=160, random_state=0), neurons=["AVAL", "AVAR", "VB02"], states="2")


def accuracy(net, X, y):
    return float((net.predict(X).argmax(1) == y).mean())


class Counter(Callback):
    """Counts the epochs of one fit."""

    n_epochs_ = 0

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs_ += 1


class CtrlC(Callback):
    """Sends this process a Ctrl-C in some epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            signal.raise_signal(signal.SIGINT)


class TestNet:
    @pytest.mark.parametrize("model", [MLPStateClassifier(**FEW), GNNStateClassifier(**FEW)], ids=["mlp", "gnn"])
    def test_the_net_of_a_classifier_predicts_probabilities(self, frames, model):
        X, y = frames
        net = clone(model).fit(X, y).net_
        expected = clone(model).fit(X, y).predict_proba(X.reset_index(drop=True))
        for frames_of_one_worm in (X, X.to_numpy(), X.to_numpy(np.float32)):
            np.testing.assert_allclose(net.predict(frames_of_one_worm), expected, atol=1e-6)
        np.testing.assert_allclose(torch.softmax(net.forward(X), 1), expected, atol=1e-6)

    def test_the_net_of_a_regressor_predicts_scaled_signals(self, frames):
        X, _ = frames
        model = MLPBehaviorRegressor(**FEW).fit(X, X.to_numpy()[:, 0])
        scaled = (model.predict(X) - model.signal_mean_) / model.signal_scale_
        np.testing.assert_allclose(model.net_.predict(X).ravel(), scaled.ravel(), atol=1e-6)

    @pytest.mark.parametrize("kind", [MLPTrajectoryRegressor, GNNTrajectoryRegressor])
    def test_the_net_of_trajectories_predicts_frames_from_their_level(self, kind):
        frames, _ = make_frames(make_worms(1, n_frames=160, random_state=0), states=None, derivative="backward")
        X, y = make_trajectories(frames, horizon=8, burn_in=1)
        model = kind(center="population", **FEW).fit(X, y)
        level = np.tile(model.level_, model.horizon_)
        predicted = model.net_.predict(X.to_numpy() - model.level_).reshape(len(X), -1) + level
        np.testing.assert_allclose(predicted[:, : model.n_columns_], model.predict(X)[:, : model.n_columns_], atol=1e-5)

    def test_the_history_has_every_epoch(self, frames):
        model = MLPStateClassifier(**FEW).fit(*frames)
        losses = np.array(model.net_.history[:, ("train_loss", "valid_loss")])
        assert losses.shape == (12, 2)
        assert model.net_.history[:, "epoch"] == list(range(1, 13))
        assert model.best_epoch_ == 1 + losses[:, 1].argmin()
        assert model.net_.history[model.best_epoch_ - 1, "valid_loss_best"]

    def test_weights_go_to_a_file_and_come_back(self, frames, tmp_path):
        X, y = frames
        model, other = MLPStateClassifier(**FEW).fit(X, y), MLPStateClassifier(**FEW | {"random_state": 1}).fit(X, y)
        files = {"f_params": tmp_path / "weights.pt", "f_history": tmp_path / "history.json"}
        model.net_.save_params(**files)
        assert np.abs(other.predict_proba(X) - model.predict_proba(X)).max() > 1e-3
        other.net_.load_params(**files)
        np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))
        assert other.net_.history[:, "valid_loss"] == model.net_.history[:, "valid_loss"]

    def test_a_graph_of_other_weights_is_not_used(self, frames, tmp_path):
        X, y = frames
        model, other = (GNNStateClassifier(**FEW | {"random_state": seed}).fit(X, y) for seed in (0, 1))
        files = {"f_params": tmp_path / "weights.pt", "f_history": tmp_path / "history.json"}
        model.net_.save_params(**files)
        other.net_.load_params(**files)
        new = X.rename(index=lambda name: f"new {name}", level="worm")
        with pytest.warns(UserWarning, match="has other weights than after fit"):
            np.testing.assert_allclose(other.predict_proba(X), model.predict_proba(new), atol=1e-9)
        copied = skworm.load(skworm.save(model, tmp_path / "model.skworm"))
        np.testing.assert_allclose(copied.predict_proba(X), model.predict_proba(X), atol=1e-9)

    def test_a_loaded_net_trains_on(self, frames, tmp_path):
        X, y = frames
        model = skworm.load(skworm.save(MLPStateClassifier(**FEW).fit(X, y), tmp_path / "model.skworm"))
        before = {name: value.clone() for name, value in model.net_.module_.state_dict().items()}
        model.net_.set_params(lr=0.5, max_epochs=1)
        model.net_.partial_fit(X, torch.as_tensor(model.classes_ == "forward").nonzero()[0].repeat(len(X)))
        assert model.net_.optimizer_.param_groups[0]["lr"] == 0.5
        assert any((value != before[name]).any() for name, value in model.net_.module_.state_dict().items())


class TestCallbacks:
    @pytest.mark.parametrize("kind", [MLPStateClassifier, GNNStateClassifier])
    def test_early_stopping_ends_a_fit_with_the_weights_of_its_best_epoch(self, frames, kind):
        X, y = frames
        model = kind(**LONG, callbacks=[EarlyStopping(patience=5)]).fit(X, y)
        losses = model.net_.history[:, "valid_loss"]
        assert model.n_iter_ == len(losses) < LONG["max_epochs"]
        assert model.best_epoch_ == 1 + np.argmin(losses) < model.n_iter_
        shorter = kind(**LONG | {"max_epochs": model.best_epoch_}).fit(X, y)
        np.testing.assert_array_equal(model.predict_proba(X), shorter.predict_proba(X))

    def test_a_checkpoint_has_the_weights_of_the_best_epoch(self, frames, tmp_path):
        X, y = frames
        checkpoint = Checkpoint(dirname=tmp_path)
        model = MLPStateClassifier(**LONG | {"max_epochs": 30}, callbacks=[checkpoint]).fit(X, y)
        expected = model.predict_proba(X)
        with torch.no_grad():
            for parameter in model.net_.module_.parameters():
                parameter.zero_()
        assert np.abs(model.predict_proba(X) - expected).max() > 0.01
        model.net_.load_params(checkpoint=checkpoint)
        np.testing.assert_allclose(model.predict_proba(X), expected, atol=1e-6)

    def test_what_averages_over_batches_knows_their_size(self, frames):
        callback = PassthroughScoring("train_loss", on_train=True)
        model = MLPStateClassifier(**FEW, callbacks=[("again", callback)]).fit(*frames)
        assert len(model.net_.history[:, "train_loss"]) == FEW["max_epochs"]

    @pytest.mark.parametrize("class_weight", [None, "balanced"])
    def test_a_score_of_every_epoch(self, frames, class_weight):
        X, y = frames
        scoring = EpochScoring(accuracy, lower_is_better=False, name="valid_acc")
        stopping = EarlyStopping(scoring.name, lower_is_better=False, patience=3)
        model = MLPStateClassifier(**LONG, class_weight=class_weight, callbacks=[scoring, stopping]).fit(X, y)
        scores = np.array(model.net_.history[:, scoring.name])
        assert model.n_iter_ == len(scores) < LONG["max_epochs"]
        assert (scores >= 0).all()
        assert (scores <= 1).all()

    def test_a_score_that_would_see_no_targets_is_refused(self, frames):
        scoring = EpochScoring(accuracy, use_caching=False)
        with pytest.raises(ValueError, match="use_caching=False"):
            MLPStateClassifier(**LONG, callbacks=[scoring]).fit(*frames)

    def test_a_score_on_training_frames_is_that_of_the_frames_as_they_were_drawn(self, frames):
        scoring = EpochScoring(accuracy, lower_is_better=False, on_train=True, name="train_acc")
        model = MLPStateClassifier(**LONG | {"max_epochs": 50}, callbacks=[scoring]).fit(*frames)
        scores = model.net_.history[:, "train_acc"]
        assert scores[-1] > max(0.8, scores[0])

    def test_a_schedule_of_the_user_is_the_only_one(self, frames, monkeypatch):
        monkeypatch.setattr("skworm.training.loop.LEARNING_RATE_PATIENCE", 0)
        schedule = LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=5, gamma=0.5)
        model = MLPStateClassifier(**LONG | {"max_epochs": 12}, callbacks=[("learning_rate", schedule)]).fit(*frames)
        assert model.net_.history[:, "event_lr"] == [0.05] * 5 + [0.025] * 5 + [0.0125] * 2
        plain = MLPStateClassifier(**LONG | {"max_epochs": 40}).fit(*frames)
        assert plain.net_.history[-1, "event_lr"] < 0.05

    def test_each_fit_has_callbacks_of_its_own(self, frames):
        counter = Counter()
        model = MLPStateClassifier(**FEW, callbacks=[("counter", counter), EarlyStopping])
        for _ in range(2):
            assert dict(model.fit(*frames).net_.callbacks_)["counter"].n_epochs_ == model.n_iter_
        assert counter.n_epochs_ == 0
        assert clone(model).callbacks[0][1] is not counter

    def test_a_bar_of_skorch(self, frames, capsys):
        MLPStateClassifier(**FEW, callbacks=[ProgressBar()]).fit(*frames)
        assert "it/s" in capsys.readouterr().err

    def test_fits_with_callbacks_are_not_stacked(self, frames):
        X, y = frames
        jobs = [MLPStateClassifier(**FEW, callbacks=[Counter()]).training_job(X, y) for _ in range(2)]
        assert [dict(net.callbacks_)["Counter"].n_epochs_ for net in train_together(jobs)] == [12, 12]

    @pytest.mark.slow
    def test_a_fused_search_over_callbacks_and_weights_is_that_of_scikit_learn(self, frames):
        X, y = frames
        stopping = [EarlyStopping(patience=2, monitor="train_loss", threshold=0.5)]
        # A weight that no scaling makes up for, and a callback that cannot be pickled.
        grid = [{"class_weight": [None, {"forward": 1.0, "reverse": 50.0}]}, {"callbacks": [stopping, [lambdas()]]}]
        options = {"cv": WormGroupKFold(n_splits=2, random_state=0), "scoring": "neg_log_loss", "refit": False}
        worm = X.index.get_level_values("worm")
        # Batch normalisation, which comes with virtual worms, would round differently in a stack.
        model = MLPStateClassifier(augmentation=None, **FEW)
        fused = FusedGridSearchCV(model, grid, **options).fit(X, y, groups=worm)
        plain = GridSearchCV(model, grid, **options).fit(X, y, groups=worm)
        scores = plain.cv_results_["mean_test_score"]
        np.testing.assert_allclose(fused.cv_results_["mean_test_score"], scores, rtol=1e-4)
        assert len(set(scores.round(3))) == 3

    def test_objects_that_are_not_callbacks_are_refused(self, frames):
        with pytest.raises(TypeError, match=r"callbacks holds 5; pass callbacks of skorch.*EarlyStopping"):
            MLPStateClassifier(**FEW, callbacks=[5]).fit(*frames)

    def test_a_callback_that_waits_for_a_loss_that_is_never_computed(self, frames):
        model = MLPStateClassifier(**FEW, validation_fraction=0, callbacks=[EarlyStopping()])
        with pytest.raises(ValueError, match=r"'valid_loss', but no sample is held out; pass monitor='train_loss'"):
            model.fit(*frames)
        model.set_params(callbacks=[EarlyStopping(monitor="train_loss", threshold=1, patience=2)]).fit(*frames)
        assert model.n_iter_ < 12


def lambdas():
    return EpochScoring(lambda net, X, y: 0.0, name="nothing")


# A shell in the background makes its children deaf to Ctrl-C.
START = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from skworm import MLPStateClassifier
from skworm.cli import main
from skworm.datasets import load_recordings
from skworm.estimators import network
from skworm.frames import make_frames
train = network.train
def announced(job):
    print("training", file=sys.stderr, flush=True)
    return train(job)
network.train = announced
"""


class TestInterrupts:
    @pytest.fixture(autouse=True)
    def heard(self):
        """Hear Ctrl-C where the tests run in the background of a shell, which ignores it."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        signal.signal(signal.SIGINT, before)

    @pytest.mark.parametrize("epoch", [1, 5])
    def test_a_fit_leaves_no_model(self, frames, epoch):
        model = MLPStateClassifier(**FEW, callbacks=[CtrlC(epoch)])
        with pytest.raises(KeyboardInterrupt):
            model.fit(*frames)
        assert not hasattr(model, "net_")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_a_refit_leaves_no_model_of_two_fits(self, frames):
        X, y = frames
        model = MLPStateClassifier(**FEW).fit(X, y).set_params(callbacks=[CtrlC(1)])
        wrapped = HiddenMarkovStateClassifier(MLPStateClassifier(**FEW)).fit(X, y)
        wrapped.set_params(estimator__callbacks=[CtrlC(1)])
        for each in (model, wrapped):
            with pytest.raises(KeyboardInterrupt):
                each.fit(X, "other " + y)
            with pytest.raises(NotFittedError):
                each.predict(X)

    def test_a_search(self, frames):
        X, y = frames
        search = GridSearchCV(MLPStateClassifier(**FEW), {"callbacks": [None, [CtrlC(1)]]}, cv=2, error_score=0.0)
        with pytest.raises(KeyboardInterrupt):
            search.fit(X, y)
        assert not hasattr(search, "best_estimator_")

    def test_a_cross_validation_keeps_what_has_finished(self, frames, tmp_path):
        X, y = frames
        models = {"whole": MLPStateClassifier(**FEW), "cut": MLPStateClassifier(**FEW, callbacks=[CtrlC(2)])}
        options = {"cv": WormGroupKFold(n_splits=2, random_state=0), "baselines": False, "verbose": 0}
        with pytest.raises(KeyboardInterrupt, match="interrupted; 6 of 12 fits are kept"):
            cross_validate_worms(models, X, y, memory=tmp_path, n_jobs=1, **options)
        assert len(list((tmp_path / "fits").iterdir())) == 6

    @pytest.mark.slow
    @pytest.mark.parametrize("command", ["fit", "train"])
    def test_a_signal_from_outside(self, tmp_path, command):
        save_recordings(make_worms(2, n_frames=200, random_state=0), tmp_path / "worms")
        code = {
            "fit": "X, y = make_frames(load_recordings(sys.argv[1]), states='2')\n"
            "MLPStateClassifier(max_epochs=10**7, device='cpu').fit(X, y); print('a model')",
            "train": "main(['train', '--data', sys.argv[1], '--model', 'mlp', '--epochs', '10000000', '--device', "
            "'cpu', '--out', sys.argv[2]])",
        }[command]
        with subprocess.Popen(
            [sys.executable, "-c", START + code, tmp_path / "worms", tmp_path / "model.skworm"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                assert process.stderr.readline() == b"training\n"
                # Long enough to be amid the epochs.
                time.sleep(0.5)
                process.send_signal(signal.SIGINT)
                out, errors = process.communicate(timeout=30)
            finally:
                process.kill()
        assert process.returncode == (130 if command == "train" else -signal.SIGINT)
        assert b"never a finite" not in errors
        assert b"a model" not in out
        assert sorted(path.name for path in tmp_path.iterdir()) == ["worms"]


def test_training_of_a_fitted_net_goes_on(frames):
    model = skworm.MLPStateClassifier(max_epochs=5, device="cpu", random_state=0).fit(*frames)
    rows, codes = frames[0].to_numpy(), np.searchsorted(model.classes_, frames[1])
    before = model.net_.history[-1]["train_loss"]
    model.net_.partial_fit(rows, codes)
    assert len(model.net_.history) == 10
    assert model.net_.history[-1]["train_loss"] < before
