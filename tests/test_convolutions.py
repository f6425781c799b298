"""Established graph modules, by hand and in estimators; tests/test_convolutions_pyg.py compares them with a library."""

import numpy as np
import pandas as pd
import pytest
import torch

from skworm import GAT, GIN, SAGE, GATv2, GlobalAttention, GNNStateClassifier, GNNTrajectoryRegressor, InferredGraph
from skworm.datasets import make_worms
from skworm.frames import make_frames, make_trajectories
from skworm.nn import GraphConvolution, Groups

N_FRAMES, N_NEURONS, N_INPUTS, N_HIDDEN, N_HEADS = 6, 5, 2, 4, 2
CONVOLUTIONS = {
    "gin0": GIN(N_HIDDEN, learn_epsilon=False),
    "gin": GIN(N_HIDDEN),
    "sage": SAGE(N_HIDDEN),
    "gat": GAT(N_HIDDEN, N_HEADS),
    "gatv2": GATv2(N_HIDDEN, N_HEADS),
    "attention": GlobalAttention(N_HIDDEN),
}
NEURONS = ["AVAL", "RID", "AVBL"]
ATTENTIVE = ["gat", "gatv2", "attention"]
FEW = {"max_epochs": 20, "learning_rate": 0.02, "random_state": 0, "device": "cpu"}

every_convolution = pytest.mark.parametrize("name", CONVOLUTIONS)


def layer_of(name):
    layer = CONVOLUTIONS[name].layer(N_INPUTS).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn_like(parameter))
    return layer


@pytest.fixture
def nodes():
    return torch.randn(N_FRAMES, N_NEURONS, N_INPUTS, dtype=torch.float64)


@pytest.fixture
def adjacency():
    """Neuron 0 receives from 1 and 2, neuron 1 from 0, neuron 3 from all, neurons 2 and 4 from nobody."""
    edges = torch.zeros(N_NEURONS, N_NEURONS, dtype=torch.float64)
    edges[0, [1, 2]] = edges[1, 0] = edges[3] = 1
    return edges


GROUP = Groups.one(N_FRAMES)
SENDERS = {0: [1, 2], 1: [0], 2: [], 3: [0, 1, 2, 4], 4: []}


def leaky(values):
    return torch.where(values > 0, values, 0.2 * values)


def gin_by_hand(layer, x, i):
    return layer.perceptron((1 + layer.epsilon) * x[i] + sum((x[j] for j in SENDERS[i]), torch.zeros(N_INPUTS)))


def sage_by_hand(layer, x, i):
    mean = x[SENDERS[i]].mean(0) if SENDERS[i] else torch.zeros(N_INPUTS, dtype=x.dtype)
    return layer.own.weight @ x[i] + layer.neighbours.weight @ mean + layer.neighbours.bias


def gat_by_hand(layer, x, i):
    senders, heads = [*SENDERS[i], i], []
    for head in range(N_HEADS):
        h = x @ layer.linear.weight[head * N_HIDDEN : (head + 1) * N_HIDDEN].T
        scores = torch.stack([leaky(layer.receiver[head] @ h[i] + layer.sender[head] @ h[j]) for j in senders])
        heads.append(torch.softmax(scores, 0) @ h[senders])
    return torch.cat(heads) + layer.bias


def gatv2_by_hand(layer, x, i):
    senders, heads = [*SENDERS[i], i], []
    for head in range(N_HEADS):
        of_head = slice(head * N_HIDDEN, (head + 1) * N_HIDDEN)
        sent, received = layer.sender(x)[:, of_head], layer.receiver(x)[:, of_head]
        scores = torch.stack([layer.score[head] @ leaky(received[i] + sent[j]) for j in senders])
        heads.append(torch.softmax(scores, 0) @ sent[senders])
    return torch.cat(heads) + layer.bias


def attention_by_hand(layer, x, i):
    senders = [*SENDERS[i], i]
    return torch.softmax(layer.gate(x[senders])[:, 0], 0) @ layer.perceptron(x[senders])


BY_HAND = {
    "gin0": gin_by_hand,
    "gin": gin_by_hand,
    "sage": sage_by_hand,
    "gat": gat_by_hand,
    "gatv2": gatv2_by_hand,
    "attention": attention_by_hand,
}


@every_convolution
def test_neurons_that_are_missing_are_as_if_they_were_not(name, nodes):
    layer, group, present = layer_of(name), Groups.one(N_FRAMES), torch.ones(N_FRAMES, N_NEURONS).double()
    nodes[:, 4] = present[:, 4] = 0
    found = GraphConvolution(layer, torch.ones(5, 5).double())(nodes, group, None, present)
    torch.testing.assert_close(found[:, :4], GraphConvolution(layer, torch.ones(4, 4).double())(nodes[:, :4], group))
    assert (found[:, 4] == 0).all()


@every_convolution
def test_layers_follow_their_formulas(name, nodes, adjacency):
    layer = layer_of(name)
    result = layer(nodes, adjacency[None], GROUP)
    expected = torch.stack([torch.stack([BY_HAND[name](layer, x, i) for i in range(N_NEURONS)]) for x in nodes])
    torch.testing.assert_close(result, expected)
    assert result.shape[-1] == layer.n_outputs


def test_gin_0_has_no_epsilon_to_learn():
    assert float(CONVOLUTIONS["gin0"].layer(N_INPUTS).epsilon) == 0
    assert [CONVOLUTIONS[name].layer(N_INPUTS).epsilon.requires_grad for name in ("gin0", "gin")] == [False, True]


@every_convolution
def test_layers_do_not_know_the_order_of_neurons(name, nodes, adjacency):
    layer, order = layer_of(name), torch.randperm(N_NEURONS)
    shuffled = layer(nodes[:, order], adjacency[order][:, order][None], GROUP)
    torch.testing.assert_close(shuffled, layer(nodes, adjacency[None], GROUP)[:, order])


@every_convolution
def test_weights_and_the_diagonal_do_not_count(name, nodes, adjacency):
    layer = layer_of(name)
    other = -3.5 * adjacency * (1 - torch.eye(N_NEURONS)) + torch.diag(torch.arange(N_NEURONS))
    torch.testing.assert_close(layer(nodes, other[None], GROUP), layer(nodes, adjacency[None], GROUP))


@every_convolution
def test_a_neuron_receives_only_from_its_senders(name, nodes, adjacency):
    layer, changed = layer_of(name), nodes.clone()
    changed[:, 1] += 1
    before, after = (layer(values, adjacency[None], GROUP) for values in (nodes, changed))
    assert torch.equal(before[:, [2, 4]], after[:, [2, 4]])
    for neuron in (0, 1, 3):
        assert not torch.allclose(before[:, neuron], after[:, neuron])


@every_convolution
def test_every_group_has_its_graph(name, nodes, adjacency):
    layer, group = layer_of(name), Groups(torch.arange(N_FRAMES) % 2, 2)
    graphs = torch.stack([adjacency, adjacency.T])
    result = layer(nodes, graphs, group)
    for code, graph in enumerate(graphs):
        torch.testing.assert_close(result[group.index == code], layer(nodes, graph[None], GROUP)[group.index == code])


@every_convolution
def test_a_few_frames_at_a_time_give_the_same_and_the_same_gradients(name, nodes, adjacency, monkeypatch):
    messages, group = GraphConvolution(layer_of(name), adjacency), Groups(torch.arange(N_FRAMES) % 3, 3)

    def everything():
        messages.zero_grad()
        result = messages(nodes, group)
        result.square().sum().backward()
        slopes = [value.grad for value in messages.parameters() if value.requires_grad]
        return [result, messages.group_graphs(nodes, group), *slopes]

    whole = everything()
    monkeypatch.setattr("skworm.nn.messages.HIDDEN_EDGES_AT_A_TIME", 1)
    torch.testing.assert_close(everything(), whole)
    torch.testing.assert_close(whole[0], torch.relu(messages.convolution(nodes, adjacency[None], GROUP)))


@pytest.mark.parametrize("name", ATTENTIVE)
def test_graphs_of_attention_average_frames_and_divide_a_whole(name, nodes, adjacency):
    messages, group = GraphConvolution(layer_of(name), adjacency), Groups(torch.arange(N_FRAMES) % 2, 2)
    graphs = messages.group_graphs(nodes, group)
    torch.testing.assert_close(graphs[1], messages.weights(nodes, group)[group.index == 1].mean(0))
    torch.testing.assert_close(graphs.sum(-1), torch.ones(2, N_NEURONS, dtype=torch.float64))
    assert torch.equal(graphs[0] != 0, (adjacency + torch.eye(N_NEURONS)) != 0)


@pytest.fixture(scope="module")
def frames():
    return make_frames(make_worms(2, n_frames=400, random_state=0), neurons=NEURONS, states="2")


@pytest.fixture(scope="module")
def trajectories():
    worms = make_worms(2, n_frames=400, random_state=0)
    table, _ = make_frames(worms, neurons=NEURONS, states=None, derivative="backward")
    return make_trajectories(table, burn_in=2, horizon=8)


def given_graph():
    """RID hears AVAL; the neuron X is not recorded."""
    graph = pd.DataFrame(0.0, index=[*NEURONS, "X"], columns=[*NEURONS, "X"])
    graph.loc["AVAL", "RID"] = graph.loc["X", "AVAL"] = 7.0
    return graph


@pytest.mark.slow
@every_convolution
def test_classifiers_learn_and_read_every_frame_by_itself(name, frames):
    X, y = frames
    model = GNNStateClassifier(messages=CONVOLUTIONS[name], graph=given_graph(), **{**FEW, "max_epochs": 80}).fit(X, y)
    known = y != "unknown"
    assert model.score(X, y) > y[known].value_counts(normalize=True).max() + 0.1
    np.testing.assert_allclose(model.predict_proba(X)[::9], model.predict_proba(X[::9]), atol=1e-12)
    np.testing.assert_array_equal(model.predict(X), model.predict(X.droplevel("worm")))


@every_convolution
def test_gin_0_and_global_attention_cannot_tell_neurons_apart_on_the_full_graph(name, frames):
    X, y = frames
    model = GNNStateClassifier(messages=CONVOLUTIONS[name], **FEW).fit(X, y)
    columns = [column for neuron in reversed(NEURONS) for column in X.columns if column.startswith(neuron)]
    others = X[columns].set_axis(X.columns, axis=1)
    alike = np.allclose(model.predict_proba(X), model.predict_proba(others), atol=1e-12)
    assert alike == (name in ("gin0", "attention"))


@every_convolution
def test_graphs_of_classifiers_tell_attention_or_edges(name, frames):
    model = GNNStateClassifier(messages=CONVOLUTIONS[name], **FEW).fit(*frames)
    assert sorted(model.graphs_) == sorted(frames[0].index.unique("worm"))
    for graph in (model.graph_, *model.graphs_.values()):
        if name in ATTENTIVE:
            # A receiver, a column, divides its attention.
            np.testing.assert_allclose(graph.sum(axis=0), 1)
            assert (graph.to_numpy() > 0).all()
        else:
            np.testing.assert_array_equal(graph, 1 - np.eye(len(NEURONS)))


@pytest.mark.slow
@every_convolution
def test_given_graphs_are_aligned_by_name_and_point_from_pre_to_post(name, frames):
    graph = given_graph()
    model = GNNStateClassifier(messages=CONVOLUTIONS[name], graph=graph, **FEW).fit(*frames)
    off_diagonal = model.graph_.to_numpy() * (1 - np.eye(len(NEURONS)))
    assert np.argwhere(off_diagonal).tolist() == [[NEURONS.index("AVAL"), NEURONS.index("RID")]]
    named = graph.rename_axis(index="pre", columns="post")
    for same in (graph.iloc[::-1, ::-1], named.T, graph.astype(object), graph.rename(index=str.lower)):
        again = GNNStateClassifier(messages=CONVOLUTIONS[name], graph=same, **FEW).fit(*frames)
        np.testing.assert_array_equal(model.predict_proba(frames[0]), again.predict_proba(frames[0]))


@pytest.mark.parametrize("memory", [None, "lstm", "gated"])
@pytest.mark.parametrize("name", ["gin", "gat"])
def test_regressors_roll_out_with_convolutions(name, memory, trajectories):
    X, Y = trajectories
    few = {**FEW, "max_epochs": 3, "n_hidden": 8}
    model = GNNTrajectoryRegressor(messages=CONVOLUTIONS[name], memory=memory, **few).fit(X, Y)
    assert model.predict(X).shape == Y.shape
    np.testing.assert_allclose(model.predict(X)[:5], model.predict(X[:5]), atol=1e-12)
    assert model.graph_.shape == (len(NEURONS), len(NEURONS))


@pytest.mark.slow
@every_convolution
def test_training_a_regressor_lowers_the_error(name, trajectories):
    few = {**FEW, "n_hidden": 8, "linear": False, "validation_fraction": 0, "augmentation": None}
    model = GNNTrajectoryRegressor(messages=CONVOLUTIONS[name], **few).fit(*trajectories)
    losses = model.net_.history[:, "train_loss"]
    assert losses[-1] < losses[0]


def test_heads_set_side_by_side_widen_the_readout(frames):
    widths = [
        GNNStateClassifier(messages=messages, **FEW).fit(*frames).net_.module_.readout.hidden[0]
        for messages in (GAT(4, n_heads=3), GATv2(4, n_heads=3), SAGE(4))
    ]
    assert [layer.in_features for layer in widths] == [12 * len(NEURONS), 12 * len(NEURONS), 4 * len(NEURONS)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"messages": "no such"}, "The 'messages' parameter"),
        ({"messages": GAT(n_heads=0)}, "The 'n_heads' parameter of GAT"),
        ({"messages": "gin", "graph": "inferred"}, "leave graph='auto'"),
        ({"messages": "gin", "graph": InferredGraph()}, "leave graph='auto'"),
        ({"messages": "gin", "graph": given_graph().drop("RID")}, r"no row or no column for neurons \['RID'\]"),
    ],
    ids=["name", "heads", "inferred by name", "inferred", "graph"],
)
def test_bad_parameters(change, message, frames):
    with pytest.raises(ValueError, match=message):
        GNNStateClassifier(**change, **FEW).fit(*frames)
