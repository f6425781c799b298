import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC

from skworm import GNNStateClassifier, GNNTrajectoryRegressor, InferredGraph, Messages
from skworm.datasets import make_worms
from skworm.frames import make_frames, make_trajectories
from skworm.inspection import inferred_graph

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


def rows_of(table, **n_rows):
    """The first rows of some worms."""
    return pd.concat([table.xs(worm.replace("_", "-"), drop_level=False).iloc[:n] for worm, n in n_rows.items()])


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
    graph = inferred_graph(classifier, X)
    assert (graph.index.name, graph.columns.name) == ("pre", "post")
    assert graph.loc["AVAL", "RID"] == 1
    assert graph.to_numpy().sum() == 1
    # AVAL sends, so that it is read through RID; RID sends nothing, and is not seen at all.
    before = classifier.predict_proba(X)
    assert not np.array_equal(classifier.predict_proba(X.assign(**{"AVAL:trace": 1 - X["AVAL:trace"]})), before)
    np.testing.assert_array_equal(classifier.predict_proba(X.assign(**{"RID:trace": 1 - X["RID:trace"]})), before)


def test_static_graphs_are_those_that_predict_uses(frames, static):
    X, _ = frames
    by_worm = inferred_graph(static, X, by="worm")
    assert list(by_worm) == [*TRAINING, NEW]
    for worm in TRAINING:
        pd.testing.assert_frame_equal(by_worm[worm], static.graphs_[worm])
    own = X[X.index.get_level_values("worm") == NEW]
    np.testing.assert_allclose(by_worm[NEW], static.infer_graphs(without_worms(own))[0])
    # Predictions stay when the new worm's graph is stored beside those of the training worms.
    before = static.predict_proba(own)
    static.graphs_[NEW] = by_worm[NEW]
    np.testing.assert_allclose(static.predict_proba(own.iloc[:7]), before[:7])
    del static.graphs_[NEW]


def test_the_mean_weighs_worms_alike(frames, static, dynamic):
    X, _ = frames
    uneven = rows_of(X, simulated_0=150, simulated_1=30)
    for model in (static, dynamic):
        by_worm = inferred_graph(model, uneven, by="worm")
        assert len(by_worm) == 2
        np.testing.assert_allclose(inferred_graph(model, uneven), np.mean(list(by_worm.values()), axis=0))


def test_dynamic_graphs_are_averaged_over_the_frames_of_a_state(frames, dynamic):
    X, y = frames
    X, y = X.iloc[:60], y.iloc[:60].copy()
    y.iloc[:5] = "unknown"
    by_state = inferred_graph(dynamic, X, by="state", y=y)
    assert sorted(by_state) == sorted(set(y) - {"unknown"})
    for state, graph in by_state.items():
        expected = np.mean([graph_of_one_frame(dynamic, X.iloc[[row]]) for row in np.flatnonzero(y == state)], axis=0)
        np.testing.assert_allclose(graph, expected, rtol=1e-6)


def test_a_state_weighs_its_worms_alike(frames, dynamic):
    X, _ = frames
    uneven = rows_of(X, simulated_0=100, simulated_1=10)
    everywhere = inferred_graph(dynamic, uneven, by="state", y=["forward"] * 110)["forward"]
    np.testing.assert_allclose(everywhere, inferred_graph(dynamic, uneven))


def test_static_edges_have_no_graph_of_a_state_unless_inferred_anew(frames, static):
    X, y = frames
    with pytest.raises(ValueError, match=r"static edges, one graph a worm .*per='frame'.*reinfer=True"):
        inferred_graph(static, X, by="state", y=y)
    by_state = inferred_graph(static, X, by="state", y=y, reinfer=True)
    own = X[X.index.get_level_values("worm") == NEW]
    states = y.loc[own.index]
    only = inferred_graph(static, own, by="state", y=y, reinfer=True)["forward"]
    np.testing.assert_allclose(only, static.infer_graphs(without_worms(own[states == "forward"]))[0])
    assert set(by_state) == {"forward", "reverse"}
    part = X.iloc[:50]
    again = inferred_graph(static, part, by="worm", reinfer=True)["simulated-0"]
    assert not np.allclose(again, static.graphs_["simulated-0"], atol=1e-6)


def test_rows_without_worms_have_the_graph_of_the_population(frames, static, dynamic):
    X = without_worms(frames[0])
    np.testing.assert_array_equal(inferred_graph(static, X), static.graph_)
    np.testing.assert_allclose(inferred_graph(dynamic, X), dynamic.infer_graphs(frames[0], group=[0] * len(X))[0])
    worm = frames[0].index.get_level_values("worm")
    np.testing.assert_array_equal(
        inferred_graph(static, X, by="worm", worm=worm)["simulated-1"], static.graphs_["simulated-1"]
    )


def test_a_pipeline_hands_its_rows_on(frames):
    X, y = map(of_training, frames)
    gnn = GNNStateClassifier(graph=InferredGraph(per="frame"), max_epochs=2, random_state=0, device="cpu")
    pipeline = make_pipeline(MinMaxScaler(feature_range=(0, 2)), gnn).fit(X, y)
    scaled = pipeline[0].transform(X)
    worm = X.index.get_level_values("worm")
    np.testing.assert_allclose(inferred_graph(pipeline, X), inferred_graph(pipeline[-1], scaled, worm=worm))


def test_a_pipeline_that_loses_the_worms_uses_one_graph(frames):
    X, y = map(of_training, frames)
    gnn = GNNStateClassifier(max_epochs=2, random_state=0, device="cpu")
    pipeline = make_pipeline(MinMaxScaler(), gnn).fit(X, y)
    np.testing.assert_array_equal(inferred_graph(pipeline, X, by="worm")["population"], pipeline[-1].graph_)
    assert set(inferred_graph(pipeline, X, by="worm", reinfer=True)) == set(X.index.unique("worm"))


def test_a_worm_without_a_neuron_does_not_count_for_its_edges(frames):
    X, y = map(of_training, frames)
    first = X.index.unique("worm")[0]
    X.loc[first, X.columns[:2]] = np.nan
    gnn = GNNStateClassifier(max_epochs=2, random_state=0, device="cpu").fit(X, y)
    mean, others = inferred_graph(gnn, X), [graph for worm, graph in gnn.graphs_.items() if worm != first]
    assert np.isfinite(mean.to_numpy()).all()
    np.testing.assert_allclose(mean.iloc[0], np.mean([graph.iloc[0] for graph in others], axis=0))


@pytest.mark.parametrize("per", ["frame", "worm"])
def test_graphs_of_a_trajectory_regressor(trajectories, per):
    X, Y = map(of_training, trajectories)
    gnn = GNNTrajectoryRegressor(
        graph=InferredGraph(per=per), n_hidden=8, max_epochs=2, random_state=0, device="cpu"
    ).fit(X, Y)
    assert gnn.has_static_graph == (per == "worm")
    by_worm = inferred_graph(gnn, X, by="worm")
    for worm in TRAINING:
        # Rows are measured from the level of their worm, as in training.
        np.testing.assert_allclose(by_worm[worm], gnn.graphs_[worm], atol=1e-6)
    states = pd.Series("forward", index=trajectories[0].index)
    if per == "frame":
        np.testing.assert_allclose(inferred_graph(gnn, X, by="state", y=states)["forward"], inferred_graph(gnn, X))


def test_attention_is_a_graph_of_every_frame(frames):
    classifier = fit_classifier(frames, messages="gatv2")
    assert not classifier.has_static_graph
    X, y = map(of_training, frames)
    by_state = inferred_graph(classifier, X, by="state", y=y)
    # Attention sums to 1 over the senders of each receiver.
    np.testing.assert_allclose(by_state["reverse"].sum(axis=0), 1)


def test_what_is_wrong_is_named(frames, dynamic):
    X, y = frames
    with pytest.raises(TypeError, match="SVC infers no graph; pass a fitted GNNStateClassifier"):
        inferred_graph(SVC().fit(X, y), X)
    with pytest.raises(ValueError, match="by='frame' does not exist"):
        inferred_graph(dynamic, X, by="frame")
    with pytest.raises(ValueError, match="needs the state of each row; pass y"):
        inferred_graph(dynamic, X, by="state")
    with pytest.raises(ValueError, match=r"y has no state for \d+ rows of X, the first \('simulated-1', 0\)"):
        inferred_graph(dynamic, X, by="state", y=y.xs("simulated-0", drop_level=False))
    with pytest.raises(ValueError, match=r"y has shape \(3,\), but X has \d+ rows"):
        inferred_graph(dynamic, X, by="state", y=["forward"] * 3)
    with pytest.raises(ValueError, match=r"group has shape \(2,\), but X has \d+ rows"):
        dynamic.infer_graphs(X, group=[0, 1])
