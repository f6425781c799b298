import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skworm import GNNStateClassifier
from skworm.datasets import make_worms
from skworm.frames import make_frames
from skworm.inspection import neuron_importance
from skworm.metrics import score_states


@pytest.fixture(scope="module")
def frames():
    """Two worms at different levels; only AVAL tells the state, and every tenth frame is unknown."""
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product([["a", "b"], range(200)], names=["worm", "frame"])
    reverse = np.arange(400) % 20 < 10
    noise = rng.normal(0, 0.1, (400, 4))
    level = np.repeat([0.0, 0.3], 200)
    columns = {
        "AVAL:trace": reverse + level + noise[:, 0],
        "AVAL:derivative": reverse + noise[:, 1],
        "RID:trace": level + noise[:, 2],
        "RID:derivative": noise[:, 3],
    }
    states = np.where(np.arange(400) % 10 == 9, "unknown", np.where(reverse, "reverse", "forward"))
    return pd.DataFrame(columns, index=index), pd.Series(states, index=index)


class Recorder(ClassifierMixin, BaseEstimator):
    """A classifier that keeps what it is asked to predict, and reads AVAL."""

    def __init__(self):
        self.seen = []
        self.classes_ = ["forward", "reverse"]

    def fit(self, X, y):
        return self

    def predict(self, X):
        self.seen.append(X)
        return np.where(X["AVAL:derivative"] > 0.5, "reverse", "forward")

    def __sklearn_is_fitted__(self):
        return True


def known(X, y):
    return X[y != "unknown"], y[y != "unknown"]


def test_an_informative_neuron_matters_and_noise_does_not(frames):
    X, y = frames
    importance = neuron_importance(make_pipeline(StandardScaler(), SVC()).fit(*known(X, y)), X, y, random_state=0)
    assert list(importance) == ["neuron", "worm", "repeat", "baseline", "score", "drop"]
    assert len(importance) == 2 * 2 * 5
    drops = importance.groupby(["neuron", "worm"])["drop"].mean().unstack()
    assert (drops.loc["AVAL"] > 0.35).all()
    assert abs(drops.loc["RID"].mean()) < 0.02
    assert drops.shape == (2, 2)


def test_whole_frames_of_a_neuron_are_shuffled_within_a_worm(frames):
    X, y = frames
    recorder = Recorder()
    importance = neuron_importance(recorder, X, y, n_repeats=2, random_state=0)
    own = X.xs("b", drop_level=False)
    tables = [table for table in recorder.seen if table.index.equals(own.index)]
    pd.testing.assert_frame_equal(tables[0], own)
    shuffled, columns = tables[1], ["AVAL:trace", "AVAL:derivative"]
    pd.testing.assert_frame_equal(shuffled.drop(columns=columns), own.drop(columns=columns))
    pairs, expected = (set(map(tuple, table[columns].to_numpy())) for table in (shuffled, own))
    assert pairs == expected
    assert not np.array_equal(shuffled[columns], own[columns])
    # Both neurons of a repeat are shuffled alike.
    order = [own["AVAL:trace"].tolist().index(value) for value in shuffled["AVAL:trace"]]
    np.testing.assert_array_equal(tables[2]["RID:trace"], own["RID:trace"].to_numpy()[order])
    assert (importance.query("neuron == 'RID'")["drop"] == 0).all()


def test_unknown_frames_are_not_scored(frames):
    X, y = frames
    recorder = Recorder()
    importance = neuron_importance(recorder, X, y, n_repeats=1, random_state=0)
    rows = importance.query("worm == 'a' and neuron == 'AVAL'").iloc[0]
    assert rows["baseline"] == 1
    own = y.xs("a", drop_level=False)
    assert rows["score"] == score_states(own, recorder.predict(recorder.seen[1]))["accuracy"]
    assert rows["drop"] == rows["baseline"] - rows["score"]
    with pytest.raises(ValueError, match="worm 'b' has no frame of known state"):
        neuron_importance(recorder, X, y.where(X.index.get_level_values("worm") == "a", "unknown"))


def test_scorers_of_sklearn_get_known_frames(frames):
    X, y = frames
    model = SVC().fit(*known(X, y))
    by_name = neuron_importance(model, X, y, n_repeats=1, random_state=0, scoring="accuracy")
    pd.testing.assert_frame_equal(by_name, neuron_importance(model, X, y, n_repeats=1, random_state=0))

    def scorer(estimator, X, y):
        assert "unknown" not in set(y)
        return len(X)

    counted = neuron_importance(model, X, y, n_repeats=1, scoring=scorer)
    assert (counted["baseline"] == 180).all()


def test_a_graph_network_keeps_the_graph_of_the_worm():
    X, y = make_frames(make_worms(2, n_frames=300, random_state=0), neurons=["AVAL", "RID", "VB02"], states="2")
    gnn = GNNStateClassifier(max_epochs=40, learning_rate=0.01, random_state=0, device="cpu").fit(X, y)
    importance = neuron_importance(gnn, X, y, n_repeats=2, random_state=0)
    again = neuron_importance(gnn, X, y, n_repeats=2, random_state=0)
    pd.testing.assert_frame_equal(importance, again)
    assert importance.groupby("neuron")["drop"].mean().max() > 0.05


def test_what_is_wrong_is_named(frames):
    X, y = frames
    model = SVC().fit(*known(X, y))
    with pytest.raises(ValueError, match="does not tell which columns are a neuron's"):
        neuron_importance(model, X.to_numpy(), y)
    with pytest.raises(ValueError, match="does not say to which worm"):
        neuron_importance(model, X.reset_index(drop=True), y.to_numpy())
    with pytest.raises(ValueError, match="n_repeats=0 must be a whole number"):
        neuron_importance(model, X, y, n_repeats=0)
