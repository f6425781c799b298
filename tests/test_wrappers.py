"""Classifiers around others: recordings of one animal, models that are fitted already, selected columns."""

import os
from typing import ClassVar

import numpy as np
import pytest
import sklearn
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import BaggingClassifier, StackingClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut, cross_val_predict, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skworm import (
    ConformalStateClassifier,
    GNNStateClassifier,
    HiddenMarkovStateClassifier,
    LinearTrajectoryRegressor,
    MLPStateClassifier,
    SVMStateClassifier,
    TemperatureScaledClassifier,
    WormGroupKFold,
)
from skworm.datasets import load_recordings, make_worms
from skworm.estimators.prediction import frames_for_model
from skworm.frames import WormMinMaxScaler, make_frames
from skworm.frames.index import UnnamedWormsWarning
from skworm.model_selection import null_score

WRAPPERS = [TemperatureScaledClassifier, ConformalStateClassifier, HiddenMarkovStateClassifier]


def mlp(**parameters):
    return MLPStateClassifier(max_epochs=20, random_state=0, **parameters)


@pytest.fixture(scope="module")
def frames():
    return make_frames(make_worms(4, n_frames=300, random_state=0), states="2")


@pytest.fixture(scope="module")
def animals(frames):
    """Return the animal of each frame: worms 0 and 1 are one, and so are 2 and 3."""
    worm = frames[0].index.get_level_values("worm")
    return np.where(worm.isin(["simulated-0", "simulated-1"]), "a", "b")


class Recorder(LogisticRegression):
    """Remember the worms that it was fitted to."""

    fitted: ClassVar[list] = []

    def fit(self, X, y):
        Recorder.fitted.append(set(X.index.get_level_values("worm")))
        return super().fit(X, y)


@pytest.mark.parametrize("wrapper", [TemperatureScaledClassifier, ConformalStateClassifier])
def test_inner_fits_leave_whole_animals_out(wrapper, frames, animals):
    X, y = frames
    Recorder.fitted = []
    wrapper(Recorder()).fit(X, y, groups=animals)
    inner = Recorder.fitted[:-1]
    assert sorted(map(sorted, inner)) == [["simulated-0", "simulated-1"], ["simulated-2", "simulated-3"]]


def test_groups_of_another_length_are_refused(frames):
    with pytest.raises(ValueError, match="groups has 3 values"):
        TemperatureScaledClassifier(mlp()).fit(*frames, groups=["a", "b", "c"])


class Weighted(LogisticRegression):
    """Remember for which frames it was given which weights."""

    given: ClassVar[list] = []

    def fit(self, X, y, sample_weight=None):
        Weighted.given.append((X.index, sample_weight))
        return super().fit(X, y, sample_weight)


def wrapped_search(model):
    return TemperatureScaledClassifier(GridSearchCV(model, {"fit_intercept": [True]}, cv=2, error_score="raise"))


@pytest.mark.parametrize("wrapper", [*WRAPPERS, wrapped_search, lambda model: WRAPPERS[2](WRAPPERS[0](model))])
def test_weights_reach_every_fit_of_the_estimator(wrapper, frames):
    X, y = frames
    y = y.where(X.index.get_level_values("frame") > 20, "unknown")
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(X))
    Weighted.given = []
    model = wrapper(Weighted()).fit(X, y, sample_weight=weight)
    for rows, given in Weighted.given:
        np.testing.assert_array_equal(given, weight[X.index.get_indexer(rows)])
    known = (y != "unknown").to_numpy()
    alone = LogisticRegression().fit(X[known], y[known], weight[known])
    while not hasattr(model, "coef_"):
        model = model.best_estimator_ if hasattr(model, "best_estimator_") else model.estimator_
    np.testing.assert_allclose(model.coef_, alone.coef_)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_weights_that_cannot_be_passed_on_are_refused(wrapper, frames):
    X, y = frames
    weight = np.ones(len(X))
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'sample_weight'"):
        wrapper(KNeighborsClassifier()).fit(X, y, sample_weight=weight)
    with pytest.raises(ValueError, match=r"Pipeline.fit does not accept the sample_weight parameter"):
        wrapper(make_pipeline(MinMaxScaler(), LogisticRegression())).fit(X, y, sample_weight=weight)
    with pytest.raises(ValueError, match=r"sample_weight has 3 values for \d+ rows"):
        wrapper(LogisticRegression()).fit(X, y, sample_weight=[1.0, 2.0, 3.0])


def test_weights_are_routed_to_and_through_wrappers(frames):
    X, y = frames
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(X))
    with sklearn.config_context(enable_metadata_routing=True):
        steps = make_pipeline(MinMaxScaler(), LogisticRegression().set_fit_request(sample_weight=True))
        model = HiddenMarkovStateClassifier(steps).fit(X, y, sample_weight=weight)
        inner = model.estimator_[-1].coef_
        asking = HiddenMarkovStateClassifier(LogisticRegression()).set_fit_request(sample_weight=True)
        routed = make_pipeline(MinMaxScaler().set_output(transform="pandas"), asking).fit(X, y, sample_weight=weight)
    alone = LogisticRegression().fit(MinMaxScaler().fit_transform(X), y, weight).coef_
    np.testing.assert_allclose(inner, alone)
    np.testing.assert_allclose(routed[-1].estimator_.coef_, alone)


@pytest.fixture(scope="module")
def three_animals():
    """Return the frames of six worms, each two of which are one animal, and the animal of each frame."""
    X, y = make_frames(make_worms(6, n_frames=200, random_state=0), states="2")
    return X, y, X.index.get_level_values("worm").str[-1].astype(int).to_numpy() // 2


class Splits(WormGroupKFold):
    """Remember the worms of training and of testing."""

    seen: ClassVar[list] = []

    def split(self, X, y=None, groups=None):
        worm = X.index.get_level_values("worm").str[-1].astype(int)
        for train, test in super().split(X, y, groups):
            Splits.seen.append((set(worm[train] // 2), set(worm[test] // 2)))
            yield train, test


def search(model, **parameters):
    return GridSearchCV(model, {"C": [0.1, 1.0]}, cv=Splits(2, **parameters), error_score="raise")


def animals_stay_together():
    seen, Splits.seen = Splits.seen, []
    return bool(seen) and not any(train & test for train, test in seen)


def test_searches_within_scores_keep_an_animal_together(three_animals):
    X, y, animal = three_animals
    Splits.seen = []
    with sklearn.config_context(enable_metadata_routing=True):
        cv = Splits(2, n_train_worms=2)
        scores = cross_val_score(
            search(LogisticRegression()), X, y, cv=cv, params={"groups": animal}, error_score="raise"
        )
    assert len(scores) == 6
    assert animals_stay_together()


def test_searches_within_null_scores_keep_an_animal_together(three_animals):
    X, y, animal = three_animals
    Splits.seen = []
    cv = WormGroupKFold(1, n_train_worms=2)
    null_score(search(LogisticRegression()), X, y, animal, cv=cv, n_repeats=1, min_lag=20, random_state=0)
    assert animals_stay_together()


@pytest.mark.slow
@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_searches_within_wrappers_keep_an_animal_together(wrapper, routing, three_animals):
    X, y, animal = three_animals
    Splits.seen = []
    with sklearn.config_context(enable_metadata_routing=routing):
        wrapper(search(LogisticRegression())).fit(X, y, groups=animal)
    assert animals_stay_together()


@pytest.mark.parametrize("routing", [False, True])
def test_animals_reach_the_innermost_wrapper(frames, animals, routing):
    Recorder.fitted = []
    with sklearn.config_context(enable_metadata_routing=routing):
        HiddenMarkovStateClassifier(TemperatureScaledClassifier(Recorder())).fit(*frames, groups=animals)
    inner = Recorder.fitted[:-1]
    assert sorted(map(sorted, inner)) == [["simulated-0", "simulated-1"], ["simulated-2", "simulated-3"]]


@pytest.mark.parametrize("wrap", [*WRAPPERS, lambda model: make_pipeline(WormMinMaxScaler(), model)])
def test_neurons_are_matched_by_name(wrap, frames):
    X, y = frames
    model = wrap(mlp()).fit(X, y)
    columns = list(X.columns)
    predicted = model.predict(X)
    shuffled = X[columns[::-1]].assign(**{"other:trace": 0.0, "other:derivative": 0.0})
    np.testing.assert_array_equal(model.predict(shuffled), predicted)
    gap = X.copy()
    gap[columns[:2]] = np.nan
    with pytest.warns(UserWarning, match="lacks 1 of"):
        without = model.predict(X[columns[2:]])
    np.testing.assert_array_equal(without, model.predict(gap))


def test_a_wrapped_model_without_missing_values_says_which_neurons_it_needs(frames):
    X, y = frames
    model = TemperatureScaledClassifier(LogisticRegression()).fit(X, y)
    with pytest.raises(ValueError, match="now missing:\n- AIBL:derivative"):
        model.predict(X.iloc[:, 2:])


@pytest.mark.slow
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_settings_of_frames_pass_through_wrappers_and_scalers(wrapper):
    worms = make_worms(2, n_frames=200, random_state=0)
    X, y = make_frames(worms, states="2", derivative="smooth", fit_scope="train")
    for model in (make_pipeline(WormMinMaxScaler(), wrapper(mlp())), wrapper(make_pipeline(MinMaxScaler(), mlp()))):
        made, _ = frames_for_model(model.fit(X, y), worms)
        assert (made.attrs["fit_scope"], made.attrs["derivative"]) == ("train", "smooth")
    with pytest.raises(ValueError, match="settings="):
        frames_for_model(make_pipeline(MinMaxScaler(), wrapper(mlp())).fit(X, y), worms)


def test_half_a_neuron_is_refused_with_a_remedy(frames):
    X, y = frames
    with pytest.raises(ValueError, match=r"whole neurons.*'AIBL:trace'.*to_numpy"):
        mlp().fit(X.iloc[:, 1:], y)


@pytest.mark.parametrize("wrapper", [TemperatureScaledClassifier, ConformalStateClassifier])
def test_a_model_that_is_fitted_already(wrapper, frames):
    X, y = frames
    worm = X.index.get_level_values("worm")
    old = worm.isin(["simulated-0", "simulated-1"])
    model = mlp().fit(X[old], y[old])
    before = model.predict_proba(X)
    wrapped = wrapper(model, cv="prefit").fit(X[~old], y[~old])
    assert wrapped.estimator_ is model
    np.testing.assert_array_equal(model.predict_proba(X), before)
    assert np.isfinite(wrapped.predict_proba(X)).all()
    again = wrapper(model, cv="prefit").fit(X[worm == "simulated-3"], y[worm == "simulated-3"])
    name = "temperature_" if wrapper is TemperatureScaledClassifier else "threshold_"
    assert getattr(again, name) != getattr(wrapped, name)
    with pytest.raises(sklearn.exceptions.NotFittedError):
        wrapper(mlp(), cv="prefit").fit(X, y)


@pytest.mark.parametrize(
    "select",
    [
        SelectKBest(k=6),
        make_column_transformer(("passthrough", make_column_selector(":trace$"))),
    ],
)
def test_columns_that_are_selected(select, frames):
    X, y = frames
    for transform in ("default", "pandas"):
        model = make_pipeline(select, mlp()).set_output(transform=transform)
        assert model.fit(X, y).score(X, y) > 0.8


def test_rows_without_worms_are_warned_of(frames):
    X, y = frames
    gnn = GNNStateClassifier(max_epochs=5, random_state=0).fit(X, y)
    with pytest.warns(UnnamedWormsWarning, match="graph for each worm"):
        gnn.predict(X.reset_index(drop=True))
    trajectories = np.random.RandomState(0).random_sample((30, 2)), np.random.RandomState(1).random_sample((30, 4))
    linear = LinearTrajectoryRegressor().fit(*trajectories, worm=["a"] * 15 + ["b"] * 15)
    with pytest.warns(UnnamedWormsWarning, match="level"):
        linear.predict(trajectories[0])
    with pytest.warns(UnnamedWormsWarning, match="range"):
        WormMinMaxScaler().fit(X).transform(X.reset_index(drop=True))


def test_trajectories_of_one_column():
    rng = np.random.RandomState(0)
    X, y = rng.random_sample((50, 1)), rng.random_sample((50, 4))
    for strategy in ("iterated", "direct"):
        assert LinearTrajectoryRegressor(strategy=strategy).fit(X, y).predict(X).shape == (50, 4)


def test_a_constant_column_becomes_0():
    X = np.column_stack([np.full(10, 3.0), np.arange(10.0)])
    scaled = WormMinMaxScaler((0, 100)).fit_transform(X, worm=["a"] * 5 + ["b"] * 5)
    assert (scaled[:, 0] == 0).all()
    assert np.ptp(scaled[:, 1]) == 1


REAL = pytest.param(
    "real", marks=pytest.mark.skipif("SKWORM_DATA" not in os.environ, reason="$SKWORM_DATA names no real recordings")
)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["simulated", REAL])
def test_composition(kind, request):
    if kind == "real":
        worms = load_recordings(os.path.join(os.environ["SKWORM_DATA"], "kato2015"))[:3]
        X, y = make_frames(worms, states="2", neurons=["AVAL", "RMED", "VB02", "RIML"])
    else:
        X, y = request.getfixturevalue("frames")
    X, y = X.iloc[::5], y.iloc[::5]
    worm = X.index.get_level_values("worm")
    cv = LeaveOneGroupOut()
    predicted = cross_val_predict(mlp(), X, y, groups=worm, cv=cv)
    assert predicted.shape == y.shape
    splits = list(cv.split(X, y, worm))
    calibrated = CalibratedClassifierCV(SVMStateClassifier(), cv=splits).fit(X, y)
    unseen = WormGroupKFold(1, n_train_worms=len(splits) - 1)
    models = [("mlp", mlp()), ("svm", SVMStateClassifier()), ("chain", HiddenMarkovStateClassifier(mlp()))]
    stacked = StackingClassifier(models, LogisticRegression(), cv=unseen).fit(X, y)
    bagged = BaggingClassifier(mlp(), n_estimators=2, random_state=0).fit(X, y)
    for model in (calibrated, stacked, bagged):
        assert model.score(X, y) > 0.4
    with sklearn.config_context(enable_metadata_routing=True):
        scores = cross_val_score(
            mlp().set_fit_request(worm=True).set_score_request(worm=True),
            X,
            y,
            cv=WormGroupKFold(2, random_state=0).set_split_request(groups=True),
            params={"worm": np.asarray(worm), "groups": np.asarray(worm)},
            error_score="raise",
        )
    assert np.isfinite(scores).all()
