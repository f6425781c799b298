import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skworm import MLPStateClassifier, SVMStateClassifier, VirtualWorms, WormGroupKFold
from skworm.datasets import make_worms
from skworm.estimators import network
from skworm.frames import make_frames
from skworm.model_selection import FusedGridSearchCV
from skworm.training import support_vectors

pytestmark = pytest.mark.slow

MLP = MLPStateClassifier(max_epochs=6, device="cpu", n_hidden=4, random_state=0)
CV = WormGroupKFold(n_splits=2, random_state=0)
GRID = {"learning_rate": [1e-3, 1e-2], "n_hidden": [3, 4], "augmentation": [None, VirtualWorms(n_groups=2)]}


@pytest.fixture(scope="module")
def frames():
    X, y = make_frames(make_worms(3, n_frames=300, random_state=0), neurons=["AVAL", "AVAR", "VB02"], states="2")
    return X, y, X.index.get_level_values("worm")


@pytest.fixture
def trained_alone(monkeypatch):
    """Every training that is made by itself."""
    jobs, train = [], network.train
    monkeypatch.setattr(network, "train", lambda job: jobs.append(job) or train(job))
    return jobs


def assert_same_results(search, other):
    assert search.cv_results_.keys() == other.cv_results_.keys()
    assert search.cv_results_["params"] == other.cv_results_["params"]
    for name, values in other.cv_results_.items():
        if "score" in name and "time" not in name and "rank" not in name:
            # A frame on the border between two states may fall to the other side by rounding.
            np.testing.assert_allclose(search.cv_results_[name], values, atol=0.02, err_msg=name)


@pytest.mark.parametrize(
    ("estimator", "grid"),
    [
        (MLP, GRID),
        (MLP, [{"weight_decay": [0.0, 1.0]}, {"random_state": [0, 1]}]),
        (make_pipeline(StandardScaler(), MLP), {"mlpstateclassifier__learning_rate": [1e-3, 1e-2]}),
    ],
)
def test_the_search_is_that_of_scikit_learn_with_one_training_by_itself(frames, trained_alone, estimator, grid):
    X, y, worm = frames
    options = {"cv": CV, "return_train_score": True, "scoring": ["accuracy", "balanced_accuracy"], "refit": "accuracy"}
    fused = FusedGridSearchCV(estimator, grid, **options).fit(X, y, groups=worm)
    assert len(trained_alone) == 1, "only the refit"
    plain = GridSearchCV(estimator, grid, **options).fit(X, y, groups=worm)
    assert_same_results(fused, plain)
    assert fused.multimetric_
    assert type(fused.best_estimator_) is type(estimator)
    assert fused.predict(X).shape == y.shape


def test_without_a_seed_one_is_drawn_and_everything_is_still_trained_together(frames, trained_alone):
    X, y, worm = frames
    estimator = clone(MLP).set_params(random_state=None)
    cv = WormGroupKFold(n_splits=2, random_state=None)
    search = FusedGridSearchCV(estimator, {"learning_rate": [1e-3, 1e-2]}, cv=cv).fit(X, y, groups=worm)
    assert len(trained_alone) == 1
    assert estimator.random_state is None
    assert search.best_estimator_.random_state is not None


def test_support_vector_machines_are_fitted_in_one_batch(frames, monkeypatch):
    X, y, worm = frames
    monkeypatch.setattr(SVMStateClassifier, "_solver_device", lambda self: "cpu")
    calls, start = [], support_vectors.Problems.start
    monkeypatch.setattr(support_vectors.Problems, "start", lambda pairs: calls.append(len(pairs)) or start(pairs))
    grid = {"C": [0.1, 10.0], "class_weight": [None, "balanced"]}
    fused = FusedGridSearchCV(SVMStateClassifier(), grid, cv=CV).fit(X, y, groups=worm)
    assert calls == [4 * CV.get_n_splits(X, y, worm), 1], "all candidates on all splits, and the refit"
    assert_same_results(fused, GridSearchCV(SVC(), grid, cv=CV).fit(X, y, groups=worm))


def test_models_without_a_network_are_searched_as_ever(frames):
    X, y, worm = frames
    for search in (FusedGridSearchCV, GridSearchCV):
        results = search(SVC(), {"C": [0.1, 1]}, cv=CV).fit(X, y, groups=worm).cv_results_["mean_test_score"]
        assert len(results) == 2
    np.testing.assert_array_equal(
        FusedGridSearchCV(SVC(), {"C": [0.1, 1]}, cv=CV).fit(X, y, groups=worm).cv_results_["mean_test_score"], results
    )


def test_a_candidate_that_cannot_be_fitted_follows_error_score(frames, trained_alone):
    X, y, worm = frames
    grid = {"learning_rate": [1e-2, -1.0]}
    with pytest.warns(Warning, match="6 fits failed"), pytest.warns(Warning, match="non-finite"):
        search = FusedGridSearchCV(MLP, grid, cv=CV).fit(X, y, groups=worm)
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False, True]
    assert len(trained_alone) == 1
    with pytest.raises(ValueError, match="learning_rate"):
        FusedGridSearchCV(MLP, grid, cv=CV, error_score="raise").fit(X, y, groups=worm)


def test_groups_reach_the_splitter_with_metadata_routing(frames):
    X, y, worm = frames
    grid = {"learning_rate": [1e-3, 1e-2]}
    without = FusedGridSearchCV(MLP, grid, cv=CV).fit(X, y, groups=worm)
    with config_context(enable_metadata_routing=True):
        routed = FusedGridSearchCV(MLP, grid, cv=CV).fit(X, y, groups=worm)
    np.testing.assert_array_equal(routed.cv_results_["mean_test_score"], without.cv_results_["mean_test_score"])


def test_further_metadata_is_passed_on(frames, trained_alone):
    X, y, worm = frames
    search = FusedGridSearchCV(MLP, {"learning_rate": [1e-3]}, cv=CV)
    search.fit(X.to_numpy(), y.to_numpy(), groups=worm, worm=worm.to_numpy())
    assert list(search.best_estimator_.worms_) == list(worm.unique())
    assert len(trained_alone) == 1 + search.n_splits_
