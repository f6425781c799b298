import numpy as np
import pandas as pd
import pytest

from skworm import GNNStateClassifier, GNNTrajectoryRegressor, InferredGraph, Messages
from skworm.datasets import make_worms
from skworm.frames import make_frames, make_trajectories

NEURONS = ["AVAL", "RID", "RIML", "VB02"]
TRAINING, NEW = ["simulated-0", "simulated-1"], "simulated-2"


@pytest.fixture(scope="module")
def worms():
    return make_worms(n_worms=3, n_frames=240, random_state=0)


@pytest.fixture(scope="module")
def frames(worms):
    return make_frames(worms, neurons=NEURONS, states="2")


@pytest.fixture(scope="module")
def trajectories(worms):
    return make_trajectories(
        make_frames(worms, neurons=NEURONS, states=None, derivative="backward")[0], horizon=8, burn_in=1
    )


def of_training(table):
    return table[table.index.get_level_values("worm") != NEW]


def without_worms(table):
    return table.reset_index(drop=True)


def fit_classifier(frames, **parameters):
    X, y = map(of_training, frames)
    return GNNStateClassifier(max_epochs=3, learning_rate=0.01, random_state=0, device="cpu", **parameters).fit(X, y)


@pytest.fixture(scope="module")
def static(frames):
    return fit_classifier(frames)


@pytest.fixture(scope="module")
def dynamic(frames):
    return fit_classifier(frames, graph=InferredGraph(per="frame"))


def graph_of_one_frame(classifier, frame):
    """What the messages of the module use for one frame, turned round to [pre, post]."""
    import torch

    module = classifier.net_.module_
    nodes = torch.tensor(frame.to_numpy()).reshape(1, len(NEURONS), 2)
    with torch.inference_mode():
        return module.messages.weights(nodes, torch.zeros(1, dtype=torch.long))[0].numpy().T


def test_rows_send_and_columns_receive(frames):
    X, _ = frames
    one_edge = pd.DataFrame(0.0, index=NEURONS, columns=NEURONS)
    one_edge.loc["AVAL", "RID"] = 1
    classifier = fit_classifier(frames, graph=one_edge, messages=Messages(residual=False))
    graph = classifier.graph_
    assert (graph.index.name, graph.columns.name) == ("pre", "post")
    assert graph.loc["AVAL", "RID"] == 1
    assert graph.to_numpy().sum() == 1
    # AVAL sends, so that it is read through RID; RID sends nothing, and is not seen at all.
    before = classifier.predict_proba(X)
    assert not np.array_equal(classifier.predict_proba(X.assign(**{"AVAL:trace": 1 - X["AVAL:trace"]})), before)
    np.testing.assert_array_equal(classifier.predict_proba(X.assign(**{"RID:trace": 1 - X["RID:trace"]})), before)


def test_static_graphs_are_those_that_predict_uses(frames, static):
    X, _ = frames
    by_worm = static.infer_graphs(X)
    assert list(by_worm) == [*TRAINING, NEW]
    for worm in TRAINING:
        np.testing.assert_allclose(by_worm[worm], static.graphs_[worm], atol=1e-6)
    own = X[X.index.get_level_values("worm") == NEW]
    np.testing.assert_allclose(by_worm[NEW], static.infer_graphs(without_worms(own))[0])
    # Predictions stay when the new worm's graph is stored beside those of the training worms.
    before = static.predict_proba(own)
    static.graphs_[NEW] = by_worm[NEW]
    np.testing.assert_allclose(static.predict_proba(own.iloc[:7]), before[:7])
    del static.graphs_[NEW]


def test_dynamic_graphs_are_averaged_over_the_frames_of_a_state(frames, dynamic):
    X, y = frames
    X, y = X.iloc[:60], y.iloc[:60]
    by_state = dynamic.infer_graphs(X, group=y)
    assert sorted(by_state) == sorted(set(y))
    for state, graph in by_state.items():
        expected = np.mean([graph_of_one_frame(dynamic, X.iloc[[row]]) for row in np.flatnonzero(y == state)], axis=0)
        np.testing.assert_allclose(graph, expected, rtol=1e-6)


def test_static_edges_of_a_state_are_inferred_from_its_frames(frames, static):
    X, y = frames
    own = X[X.index.get_level_values("worm") == NEW]
    states = y.loc[own.index]
    by_state = static.infer_graphs(own, group=states)
    assert set(by_state) == {"forward", "reverse"}
    alone = static.infer_graphs(without_worms(own[states == "forward"]))[0]
    np.testing.assert_allclose(by_state["forward"], alone)


@pytest.mark.parametrize("per", ["frame", "worm"])
def test_graphs_of_a_trajectory_regressor(trajectories, per):
    X, Y = map(of_training, trajectories)
    gnn = GNNTrajectoryRegressor(
        graph=InferredGraph(per=per), n_hidden=8, max_epochs=2, random_state=0, device="cpu"
    ).fit(X, Y)
    by_worm = gnn.infer_graphs(X)
    for worm in TRAINING:
        # Rows are measured from the level of their worm, as in training.
        np.testing.assert_allclose(by_worm[worm], gnn.graphs_[worm], atol=1e-6)


def test_attention_is_a_graph_of_every_frame(frames):
    classifier = fit_classifier(frames, messages="gatv2")
    X, y = map(of_training, frames)
    # Attention sums to 1 over the senders of each receiver.
    np.testing.assert_allclose(classifier.infer_graphs(X, group=y)["reverse"].sum(axis=0), 1)


def test_groups_that_do_not_fit_are_refused(frames, dynamic):
    with pytest.raises(ValueError, match=r"group has shape \(2,\), but X has \d+ rows"):
        dynamic.infer_graphs(frames[0], group=[0, 1])
