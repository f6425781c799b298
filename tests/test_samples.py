"""Which task data are, and what a cross-validation refuses before it fits anything."""

import errno
import time

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC

from skworm.datasets import make_worms
from skworm.frames import make_frames, make_trajectories
from skworm.model_selection import WormGroupKFold, cross_validate_worms
from skworm.model_selection.samples import make_samples

CV = WormGroupKFold(2, window=4, random_state=0)
INDEX = pd.MultiIndex.from_product([["a", "b"], range(40)], names=["worm", "frame"])
X = pd.DataFrame(np.arange(160.0).reshape(80, 2), INDEX, ["AVAL:trace", "RID:trace"])
STATES = pd.Series(np.tile(["forward", "reverse"], 40), INDEX)
SIGNAL = pd.Series(np.linspace(0, 1, 80), INDEX, name="velocity")


def trajectories():
    frames, _ = make_frames(make_worms(2, 60, random_state=0), states=None, derivative="backward")
    return make_trajectories(frames, horizon=2, burn_in=1)


@pytest.mark.parametrize(
    ("models", "y", "task"),
    [
        ({"svm": SVC()}, STATES, "states"),
        ({}, STATES, "states"),
        ({"svm": SVC()}, STATES == "forward", "states"),
        ({"svm": SVC()}, (STATES == "forward").astype(int), "states"),
        ({"svm": SVC()}, (STATES == "forward").astype(float), "states"),
        ({"mean": DummyRegressor()}, SIGNAL, "behavior"),
        ({}, SIGNAL, "behavior"),
        ({}, pd.DataFrame({"velocity": SIGNAL, "speed": SIGNAL.abs()}), "behavior"),
    ],
)
def test_estimators_and_y_tell_the_task(models, y, task):
    assert make_samples(models, X, y)[0].task == task


def test_columns_of_steps_are_trajectories_and_frames_in_context_are_not():
    assert make_samples({}, *trajectories())[0].task == "trajectories"
    in_context = make_frames(make_worms(2, 60, random_state=0), states="2", context=(-1, 0, 1))
    assert make_samples({"svm": SVC()}, *in_context)[0].task == "states"
    before = make_frames(make_worms(2, 60, random_state=0), states="2", context=(-2, -1))
    assert make_samples({"svm": SVC()}, *before)[0].task == "states"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": SIGNAL}, "'model' is a classifier, and y holds signals; pass the states of make_frames, or a regressor"),
        ({"y": SIGNAL.mask(SIGNAL < 0.1)}, "'model' is a classifier, and y holds signals"),
        ({"model": DummyRegressor()}, "'model' is a regressor, and y holds no numbers"),
        (
            dict(zip("Xy", trajectories(), strict=True)),
            "'model' is a classifier, and y holds trajectories; pass the states of make_frames, or a regressor",
        ),
        ({"X": pd.concat([X, X], axis=1)}, "X has several columns 'AVAL:trace'; drop or rename all but one"),
        ({"external": [(X, STATES)]}, "external is a list; pass a mapping of names to tables"),
        ({"y": STATES.to_frame()}, r"X has 80 rows, but its y has shape \(80, 1\); pass one state a row"),
    ],
)
def test_bad_input_is_refused(change, message):
    call = {"model": DummyClassifier(), "X": X, "y": STATES, **change}
    with pytest.raises((TypeError, ValueError), match=message):
        cross_validate_worms({"model": call.pop("model")}, **call, cv=CV, verbose=0)


def test_a_parameter_that_cannot_be_looked_up_is_named(tmp_path):
    models = {"scaled": make_pipeline(FunctionTransformer(lambda frames: 2 * frames), DummyClassifier())}
    assert len(cross_validate_worms(models, X, STATES, cv=CV, verbose=0).table)
    message = (
        r"model 'scaled' has the parameter functiontransformer__func=<.*lambda.*cannot be pickled.*leave out memory="
    )
    with pytest.raises(TypeError, match=message):
        cross_validate_worms(models, X, STATES, cv=CV, memory=tmp_path, verbose=0)


def test_a_memory_knows_which_trajectories_hold_a_transition(tmp_path):
    X, y = trajectories()
    changes = pd.Series(np.arange(len(X)) % 2 == 0, X.index)
    options = {"cv": WormGroupKFold(1), "memory": tmp_path, "baselines": False, "verbose": 0}
    first, other = (
        cross_validate_worms({"mean": DummyRegressor()}, X, y, transition=rows, **options).table
        for rows in (changes, ~changes)
    )
    np.testing.assert_array_equal(first["mse_transition"], other["mse_steady"])
    assert not first.equals(other)


def test_a_memory_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    message = (
        rf"^{tmp_path}/file cannot be written \(Not a directory\); 0 of 12 fits are kept in {tmp_path}/file; "
        "pass a folder that can be written as memory=, and call again"
    )
    with pytest.raises(OSError, match=message):
        cross_validate_worms({"svm": SVC()}, X, STATES, cv=CV, memory=tmp_path / "file", verbose=0)
    monkeypatch.setattr("os.fsync", lambda handle: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    message = r"cannot be written \(No space left\); 0 of 12 fits are kept in .*; free some space, and call again"
    with pytest.raises(OSError, match=message) as caught:
        cross_validate_worms({"svm": SVC()}, X, STATES, cv=CV, memory=tmp_path / "full", verbose=0)
    assert caught.value.errno == errno.ENOSPC
    assert not [path for path in (tmp_path / "full").rglob("*") if path.is_file()]


class Failing(ClassifierMixin, BaseEstimator):
    """Fails, and later on the fold that comes first."""

    def fit(self, X, y):
        time.sleep(0.5 * (("a", 20) in X.index))
        raise ArithmeticError("always")

    def predict(self, X):
        raise NotImplementedError


@pytest.mark.slow
def test_of_several_fits_that_fail_the_first_is_named():
    # Fold 0 trains on the frames from 20, fold 1 on those before.
    cv = WormGroupKFold(2, window=20, fold_by="contiguous_blocks")
    with pytest.raises(RuntimeError, match=r"model 'failing' on worms a, fold 0 failed with ArithmeticError"):
        cross_validate_worms({"failing": Failing()}, X, STATES, cv=cv, n_jobs=2, baselines=False, verbose=0)
