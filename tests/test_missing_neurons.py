"""Worms that do not match: neurons that some lack, columns in another order, frames of another laboratory."""

import dataclasses
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

import skworm
from skworm import (
    GNNBehaviorRegressor,
    GNNStateClassifier,
    GNNTrajectoryRegressor,
    InferredGraph,
    Messages,
    MLPBehaviorRegressor,
    MLPStateClassifier,
    SVMStateClassifier,
    VirtualWorms,
    WormGroupKFold,
)
from skworm.datasets import make_worms
from skworm.frames import PAPER_NEURONS, WormMinMaxScaler, make_frames, make_trajectories
from skworm.frames.index import column_names, match_neurons
from skworm.model_selection import cross_validate_worms
from skworm.paper import published

NEURONS = ["AVAL", "AVAR", "RID", "RIML", "AVBL"]
FEATURES = ["trace", "derivative"]
FAST = {"max_epochs": 25, "learning_rate": 0.02, "random_state": 0, "device": "cpu"}
VIRTUAL = VirtualWorms(n_groups=4, mixing=0.1, neuron_dropout=0.2)

NEURAL = [
    MLPStateClassifier(**FAST),
    MLPStateClassifier(readout="sum", **FAST),
    MLPStateClassifier(augmentation=VIRTUAL, **FAST),
    GNNStateClassifier(augmentation=VIRTUAL, **FAST),
    GNNStateClassifier(**FAST),
    GNNStateClassifier(graph=InferredGraph(per="frame"), messages=Messages(normalization="row"), readout="sum", **FAST),
    GNNStateClassifier(graph="learned", **FAST),
    published("gnn", **FAST),
    *(GNNStateClassifier(messages=name, **FAST) for name in ("gin", "sage", "gatv2")),
]
ALL = [SVMStateClassifier(), *NEURAL]
every_model = pytest.mark.parametrize("estimator", ALL, ids=str)
every_network = pytest.mark.parametrize("estimator", NEURAL, ids=str)


def columns_of(*neurons):
    return column_names(neurons, FEATURES)


@pytest.fixture(scope="module")
def frames():
    return make_frames(make_worms(3, n_frames=300, random_state=0), neurons=NEURONS, states="2")


@pytest.fixture(scope="module")
def lacking(frames):
    """Two training worms, of which the second lacks RID; and a third that lacks AVAR."""
    X, y = frames[0].copy(), frames[1]
    X.loc["simulated-1", columns_of("RID")] = np.nan
    X.loc["simulated-2", columns_of("AVAR")] = np.nan
    unseen = X.index.get_level_values("worm") == "simulated-2"
    return X[~unseen], y[~unseen], X[unseen]


@pytest.mark.slow
@every_network
@given(value=st.floats(-1e6, 1e6), frame=st.integers(0, 199))
@settings(max_examples=5)
def test_no_value_of_a_missing_neuron_has_any_influence(estimator, value, frame, fitted, lacking):
    model, X = fitted(estimator), lacking[2]
    expected = model.predict_proba(X)
    for row in (slice(None), frame):
        changed = X.copy()
        changed.iloc[row, changed.columns.get_loc("AVAR:derivative")] = value
        np.testing.assert_array_equal(model.predict_proba(changed), expected)


@pytest.fixture(scope="module")
def fitted(lacking):
    models = {}

    def fit(estimator):
        if str(estimator) not in models:
            models[str(estimator)] = clone(estimator).fit(*lacking[:2])
        return models[str(estimator)]

    return fit


@every_model
def test_single_frames_without_a_neuron_leave_the_others_alone(estimator, fitted, lacking):
    model, X = fitted(estimator), lacking[2].droplevel("worm")
    expected = model.predict(X)
    holed = X.copy()
    holed.iloc[5, :2] = np.nan
    others = np.arange(len(X)) != 5
    np.testing.assert_array_equal(model.predict(holed)[others], expected[others])


@every_model
def test_frames_are_matched_by_name(estimator, fitted, lacking):
    model, X = fitted(estimator), lacking[2]
    outcome = model.decision_function if isinstance(estimator, SVMStateClassifier) else model.predict_proba
    expected = outcome(X)
    X_shuffled = X.sample(frac=1, axis=1, random_state=0)
    np.testing.assert_array_equal(outcome(X_shuffled), expected)
    further = X_shuffled.assign(**{"SMDVL:trace": 9.0, "SMDVL:derivative": 9.0})
    np.testing.assert_array_equal(outcome(further), expected)
    with pytest.warns(UserWarning, match=r"X lacks 1 of the 5 neurons .* count as missing: \['AVAR'\]"):
        np.testing.assert_array_equal(outcome(further.drop(columns=columns_of("AVAR"))), expected)
    # Without its derivative a neuron is as good as missing.
    with pytest.warns(UserWarning, match=r"X lacks 1 of the 5 neurons .* features of them, .*: \['AVAR'\]"):
        outcome(X.drop(columns=columns_of("AVAR")[1:]))


@given(data=st.data())
@settings(max_examples=30)
def test_matching_is_a_choice_of_columns(data):
    own = data.draw(st.lists(st.sampled_from([*NEURONS, "ALA", "RMEV"]), min_size=1, unique=True))
    columns = data.draw(st.permutations(columns_of(*own)))
    X = pd.DataFrame(np.random.default_rng(0).random((3, len(columns))), columns=columns)
    fitted_columns = columns_of(*NEURONS)
    if not set(own) & set(NEURONS):
        with pytest.raises(ValueError, match=r"X has none of the neurons that the model was trained on"):
            match_neurons(X, fitted_columns)
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        matched = match_neurons(X, fitted_columns)
    assert bool(caught) == (not set(own) >= set(NEURONS))
    pd.testing.assert_frame_equal(matched, X.reindex(columns=fitted_columns))


def test_columns_that_name_no_neurons_are_for_scikit_learn_to_refuse(frames):
    X, y = frames
    plain = X.set_axis([f"c{number}" for number in range(X.shape[1])], axis=1)
    model = SVMStateClassifier().fit(plain, y)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(plain[plain.columns[::-1]])
    with pytest.raises(ValueError, match="X has 8 features"):
        SVMStateClassifier().fit(plain.to_numpy(), y).predict(plain.to_numpy()[:, :8])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda X: X[["AVAL:trace", "RID:trace"]], r"X has the node features \['trace'\], but .* \['trace', 'deriv"),
        (lambda X: X[[*X.columns, "RID:trace"]], r"X has the column 'RID:trace' more than once"),
        (lambda X: X.rename(columns=lambda name: f"x{name}"), r"X has none of the neurons .*'AVAL'.* it has \['xAVAL'"),
        (lambda X: X * np.nan, r"worm 'simulated-2' has a value for none of the neurons AVAL, .*drop these rows"),
        (
            lambda X: X.where(np.repeat(X.index.get_level_values("frame") != 150, X.shape[1]).reshape(X.shape)),
            r"worm 'simulated-2' .* none of the neurons AVAL.* in 1 of \d+ frames, first in frame 150; drop",
        ),
        (lambda X: X.replace(X.iloc[0, 0], np.inf), r"contains infinity"),
    ],
)
@pytest.mark.parametrize("estimator", [SVMStateClassifier(), NEURAL[0]], ids=str)
def test_frames_that_cannot_be_read_are_an_error(estimator, change, match, fitted, lacking):
    if isinstance(estimator, SVMStateClassifier):
        match = match.replace("AVAL", "AVAL:trace") if "worm '" in match else match
    with pytest.raises(ValueError, match=match):
        fitted(estimator).predict(change(lacking[2]))


@pytest.mark.slow
@every_model
def test_a_neuron_that_no_training_frame_has_is_never_looked_at(estimator, frames):
    X, y = frames
    training = X.index.get_level_values("worm") == "simulated-0"
    without = X[training].assign(**dict.fromkeys(columns_of("RID"), np.nan))
    model = clone(estimator).fit(without, y[training])
    changed = X.assign(**dict.fromkeys(columns_of("RID"), 5.0))
    np.testing.assert_array_equal(model.predict(changed), model.predict(X))
    if isinstance(estimator, SVMStateClassifier):
        assert np.flatnonzero(np.isnan(model.fill_)).tolist() == [4, 5]
    else:
        assert model.neurons_without_data_ == ["RID"]
        others = columns_of(*(neuron for neuron in NEURONS if neuron != "RID"))
        alone = changed.loc[["simulated-1"]].assign(**dict.fromkeys(others, np.nan))
        with pytest.raises(ValueError, match=r"worm 'simulated-1' has a value for none"):
            model.predict(alone)


def test_a_neuron_that_only_held_out_frames_have_is_never_looked_at(frames):
    X, window = frames[0][:80], np.arange(80) // 8
    model = MLPStateClassifier(max_epochs=1, augmentation=None, random_state=0, device="cpu")
    without = []
    for number in range(10):
        only = X.copy()
        only.loc[window != number, columns_of("RID")] = np.nan
        without += clone(model).fit(only, np.arange(80) % 2, np.zeros(80)).neurons_without_data_
    # Of ten windows one is held out.
    assert without == ["RID"]


def test_neurons_may_be_dropped_from_complete_frames(frames):
    model = MLPStateClassifier(augmentation=VIRTUAL, **FAST).fit(*frames)
    assert np.isfinite(model.net_.history[:, "train_loss"]).all()


def test_a_training_worm_without_any_neuron_is_an_error(frames):
    X, y = frames[0].copy(), frames[1]
    X.loc["simulated-1"] = np.nan
    for estimator in (SVMStateClassifier(), NEURAL[0]):
        with pytest.raises(ValueError, match=r"worm 'simulated-1' has a value for none"):
            clone(estimator).fit(X, y)


def test_the_graph_of_a_worm_says_nothing_of_a_neuron_that_it_lacks(fitted):
    model = fitted(GNNStateClassifier(**FAST))
    assert model.graphs_["simulated-1"].loc["RID"].isna().all()
    assert model.graphs_["simulated-1"]["RID"].isna().all()
    assert model.graphs_["simulated-1"].drop(index="RID", columns="RID").notna().all(axis=None)
    assert model.graphs_["simulated-0"].notna().all(axis=None)
    assert model.graph_.notna().all(axis=None)


def test_an_svm_fills_in_means_of_training_frames(lacking):
    X, y, unseen = lacking
    model, pipeline = SVMStateClassifier(device="cpu"), make_pipeline(SimpleImputer(), SVC())
    np.testing.assert_array_equal(model.fit(X, y).predict(unseen), pipeline.fit(X, y).predict(unseen))
    np.testing.assert_allclose(model.fill_, X.mean(), rtol=1e-9)
    known = np.arange(len(X)) % 3 > 0
    np.testing.assert_allclose(model.fit(X, y.where(known, "unknown")).fill_, X[known].mean(), rtol=1e-9)


def test_trajectories_need_every_neuron(frames):
    table, _ = make_frames(
        make_worms(2, n_frames=80, random_state=0), neurons=NEURONS, states=None, derivative="backward"
    )
    X, Y = make_trajectories(table, burn_in=1)
    model = GNNTrajectoryRegressor(max_epochs=1, device="cpu", augmentation=VirtualWorms(neuron_dropout=0.1))
    with pytest.raises(ValueError, match=r"neuron_dropout=0.1, but GNNTrajectoryRegressor needs every neuron"):
        model.fit(X, Y)
    with pytest.raises(ValueError, match="contains NaN"):
        model.set_params(augmentation=None).fit(X.where(X > 0), Y)


@pytest.mark.parametrize("kind", [MLPBehaviorRegressor, GNNBehaviorRegressor])
def test_behavior_regressors_need_every_neuron(kind, frames):
    X = frames[0]
    velocity = X.iloc[:, 0].rename("velocity")
    model = kind(max_epochs=1, device="cpu", augmentation=VirtualWorms(neuron_dropout=0.1))
    with pytest.raises(ValueError, match=rf"neuron_dropout=0.1, but {kind.__name__} needs every neuron"):
        model.fit(X, velocity)
    model.set_params(augmentation=None)
    with pytest.raises(ValueError, match="contains NaN"):
        model.fit(X.where(X > 0), velocity)
    with pytest.raises(ValueError, match="contains NaN"):
        model.fit(X, velocity).predict(X.where(X > 0))


@pytest.mark.slow
@every_model
def test_a_model_file_keeps_what_is_missing(estimator, fitted, lacking, tmp_path):
    model = fitted(estimator)
    loaded = skworm.load(skworm.save(model, tmp_path / "model.skworm"))
    np.testing.assert_array_equal(loaded.predict(lacking[2]), model.predict(lacking[2]))


class TestTables:
    @pytest.fixture
    def worms(self):
        worms = make_worms(3, n_frames=60, neurons=["AVAL", "RID", "AVBL", "ALA"], n_unidentified=1, random_state=0)
        names = (("AVAL", "RID"), ("AVAL", "AVBL"), ("RID", "AVAL", "AVBL"))
        return [
            dataclasses.replace(worm, neurons=[n if n in own else str(90 + i) for i, n in enumerate(worm.neurons)])
            for worm, own in zip(worms, names, strict=True)
        ]

    def test_the_union_of_neurons(self, worms):
        neurons = ["AVAL", "AVBL", "RID"]
        X, _ = make_frames(worms, neurons="union", missing="nan")
        assert X.columns.tolist() == columns_of(*neurons)
        for worm in worms:
            own = X.loc[worm.worm].notna().all()
            assert {name.split(":")[0] for name in own[own].index} == set(neurons) & set(worm.identified)

    @pytest.mark.parametrize(
        ("changes", "match"),
        [
            ({"neurons": "union"}, r"worm 'simulated-0' has no 'AVBL'; .*missing='nan'"),
            ({"neurons": ["AVBL"], "missing": "nan"}, r"worm 'simulated-0' has none of the 1 neurons, AVBL"),
        ],
    )
    def test_errors_name_worm_and_neuron(self, worms, changes, match):
        with pytest.raises(ValueError, match=match):
            make_frames(worms, **changes)

    def test_single_frames_stay_nan(self, worms):
        traces = worms[0].traces.copy()
        column = worms[0].neurons.index("RID")
        traces[7, column] = np.nan
        worm = dataclasses.replace(worms[0], traces=traces)
        with pytest.raises(ValueError, match=r"'RID' is NaN in 1 of 60 frames, first in frame 7; .*missing='nan'"):
            make_frames(worm, states=None)
        X, _ = make_frames(worm, states=None, missing="nan")
        assert np.flatnonzero(X["RID:trace"].isna()).tolist() == [7]
        assert X["RID:trace"].min() == 0
        assert X["AVAL:trace"].notna().all()

    def test_a_neuron_is_missing_wherever_its_context_is(self, worms):
        traces = worms[0].traces.copy()
        traces[7, worms[0].neurons.index("RID")] = np.nan
        worm = dataclasses.replace(worms[0], traces=traces)
        X, _ = make_frames(worm, states=None, missing="nan", node_features=["trace"], context=(-2, 0))
        assert np.flatnonzero(X["RID:trace@-2"].isna()).tolist() == [9]
        assert np.flatnonzero(X["RID:trace"].isna()).tolist() == [7]

    def test_scaling_keeps_what_is_missing_missing(self, worms):
        X, _ = make_frames(worms, neurons="union", missing="nan", fit_scope="train")
        scaled = WormMinMaxScaler().fit_transform(X)
        pd.testing.assert_frame_equal(scaled.isna(), X.isna())
        expected, _ = make_frames(worms, neurons="union", missing="nan")
        pd.testing.assert_frame_equal(scaled, expected, check_exact=False)


def test_real_worms_train_and_test_without_a_neuron(recordings_kato2015):
    X, y = make_frames(recordings_kato2015, neurons=PAPER_NEURONS, missing="nan", states="2")
    assert X.loc["worm_4", "VB01:trace"].isna().all()
    cv = WormGroupKFold(n_splits=10, n_train_worms=1, random_state=0)
    models = {"svm": SVMStateClassifier(), "mlp": MLPStateClassifier(augmentation=VIRTUAL, **FAST)}
    first = [split for split in cv.split_worms(X, y, X.index.get_level_values("worm")) if split.fold == 0]
    assert len(first) == 5
    for model in models.values():
        for split in (first[0], first[4]):
            model.fit(X.iloc[split.train], y.iloc[split.train])
            unseen = X.loc[["worm_4" if split is first[0] else "worm_2"]]
            assert model.score(unseen, y.loc[unseen.index]) > 0.85


def test_worms_that_do_not_match_cross_validate(lacking, frames):
    X, y = lacking[0], lacking[1]
    scores = cross_validate_worms(
        {"gnn": NEURAL[3]}, X, y, cv=WormGroupKFold(n_splits=2, random_state=0), baselines=False, verbose=0
    )
    assert (scores.table["accuracy"] > 0.5).all()
