"""Worms come by `worm=`, by the index, or by `groups=`, wherever they are needed."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score

import skworm
from skworm import (
    GNNStateClassifier,
    LinearTrajectoryRegressor,
    MLPBehaviorRegressor,
    MLPStateClassifier,
    MLPTrajectoryRegressor,
    SVMStateClassifier,
    WormGroupKFold,
)
from skworm.datasets import make_worms
from skworm.frames import make_frames, make_trajectories

FEW = {"max_epochs": 10, "random_state": 0, "device": "cpu"}
CV = WormGroupKFold(n_splits=2, random_state=0)


@pytest.fixture(scope="module")
def frames():
    worms = make_worms(3, n_frames=210, neurons=["AVAL", "RID", "AVBL"], n_unidentified=0, random_state=0)
    return make_frames(worms, states="2")


@pytest.fixture(scope="module")
def trajectories(frames):
    worms = make_worms(3, n_frames=210, neurons=["AVAL", "RID", "AVBL"], n_unidentified=0, random_state=0)
    return make_trajectories(make_frames(worms, states=None, derivative="backward")[0], horizon=8, burn_in=1)


@pytest.mark.slow
def test_searches_need_no_groups_where_the_index_names_worms(frames):
    X, y = frames
    worm = X.index.get_level_values("worm")
    search = GridSearchCV(SVMStateClassifier(), {"C": [0.1, 10.0]}, cv=CV)
    np.testing.assert_allclose(
        cross_val_score(SVMStateClassifier(), X, y, cv=CV),
        cross_val_score(SVMStateClassifier(), X, y, groups=worm, cv=CV),
    )
    nested = cross_val_score(search, X, y, cv=WormGroupKFold(2, n_train_worms=2, random_state=0))
    assert nested.shape == (6,)
    assert np.isfinite(nested).all()
    wrapped = skworm.TemperatureScaledClassifier(search).fit(X, y)
    assert wrapped.score(X, y) > 0.7
    assert CV.get_n_splits(X) == CV.get_n_splits(groups=worm) == 6
    with pytest.raises(ValueError, match="no index level 'worm'"):
        cross_val_score(SVMStateClassifier(), X.to_numpy(), y, cv=CV, error_score="raise")


def test_recordings_of_one_animal_are_one_group(frames):
    X, y = frames
    animal = X.index.get_level_values("worm").map({"simulated-0": "a", "simulated-1": "a", "simulated-2": "b"})
    for split in CV.split_worms(X, y, animal):
        train = set(animal[split.train])
        assert len(train) == 1
        assert train.isdisjoint(animal[split.unseen])
        assert set(animal[split.held_out]) == train
    with pytest.raises(ValueError, match=r"pass groups= of their animals"):
        next(CV.split(X.rename(index={"simulated-1": "simulated-0"}, level="worm"), y))


@pytest.mark.parametrize("model", [SVMStateClassifier(), MLPStateClassifier(**FEW)], ids=["svm", "mlp"])
def test_composition_with_scikit_learn_on_frames(model, frames):
    X, y = frames
    assert cross_val_predict(model, X, y, cv=5).shape == y.shape
    calibrated = CalibratedClassifierCV(clone(model), cv=3).fit(X, y)
    assert calibrated.predict_proba(X).shape == (len(X), 2)
    stack = StackingClassifier([("one", clone(model))], LogisticRegression(), cv=3).fit(X, y)
    assert stack.score(X, y) > 0.7
    bag = BaggingClassifier(clone(model), n_estimators=2, random_state=0).fit(X, y)
    assert bag.score(X, y) > 0.7


def test_every_score_and_prediction_takes_worms(frames, trajectories):
    X, y = frames
    worm = X.index.get_level_values("worm").to_numpy()
    plain = X.reset_index(drop=True)
    for model in (SVMStateClassifier(), MLPStateClassifier(**FEW), GNNStateClassifier(**FEW)):
        model.fit(plain, y.to_numpy(), worm=worm)
        assert model.score(plain, y.to_numpy(), worm=worm) == pytest.approx(model.score(X, y))
        np.testing.assert_array_equal(model.predict(plain, worm=worm), model.predict(X))
    signal = plain.iloc[:, 0]
    behavior = MLPBehaviorRegressor(**FEW).fit(plain, signal, worm=worm)
    assert behavior.score(plain, signal, worm=worm) == pytest.approx(behavior.score(X, signal.to_numpy()))
    X, y = trajectories
    worm = X.index.get_level_values("worm").to_numpy()
    for model in (LinearTrajectoryRegressor(), MLPTrajectoryRegressor(n_hidden=8, **FEW)):
        model.fit(X.to_numpy(), y.to_numpy(), worm=worm)
        known = model.score(X.to_numpy(), y.to_numpy(), worm=worm)
        with pytest.warns(UserWarning, match=r"measures each worm from its own level.*pass worm="):
            assert model.score(X.to_numpy(), y.to_numpy()) < known


def test_levels_of_worms_weigh_alike_and_that_of_a_new_worm_by_its_rows():
    X, y = [[0.0, 0.0]] * 3 + [[8.0, 8.0]], [[0.0]] * 3 + [[8.0]]
    model = LinearTrajectoryRegressor(burn_in=2).fit(X, y, worm=list("aaab"))
    assert model.level_ == 4
    # Ten rows weigh as much as the population.
    np.testing.assert_allclose(model.predict(np.full((10, 2), 12.0), worm=["c"] * 10), 8)


def test_score_checks_its_labels(frames):
    X, y = frames
    model = SVMStateClassifier().fit(X, y)
    assert model.score(X, y.to_frame()) == model.score(X, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.score(X, y[:-1])


def test_weights_of_unknown_frames_do_not_count_in_a_score():
    model = SVMStateClassifier().fit([[0.0], [0.1], [1.0], [1.1]], ["forward", "forward", "reverse", "reverse"])
    score = model.score([[0.0], [0.0], [1.0]], ["unknown", "forward", "forward"], sample_weight=[5, 1, 3])
    assert score == 0.25


@pytest.mark.parametrize(
    "model", [SVMStateClassifier(), MLPStateClassifier(**FEW), skworm.TemperatureScaledClassifier(SVMStateClassifier())]
)
def test_rows_in_another_order_are_refused(model, frames):
    X, y = frames
    with pytest.raises(ValueError, match=r"another order.*y\.loc\[X\.index\]"):
        clone(model).fit(X, y.sample(frac=1, random_state=0))


@pytest.mark.parametrize("missing", [None, np.nan])
def test_a_row_without_a_worm_is_named(missing, frames, trajectories):
    for model, (X, y) in ((GNNStateClassifier(**FEW), frames), (LinearTrajectoryRegressor(), trajectories)):
        worm = np.asarray(X.index.get_level_values("worm"), dtype=object)
        fitted = clone(model).fit(X, y)
        worm[7] = missing
        with pytest.raises(ValueError, match="row 7 has no worm"):
            fitted.predict(X, worm=worm)
        with pytest.raises(ValueError, match="row 7 has no worm"):
            clone(model).fit(X, y, worm=worm)
