from itertools import pairwise

import numpy as np
import pytest
import torch

from skworm.nn import DynamicGraph, EdgeEncoder, FixedGraph, FrameModule, MessagePassing, StaticGraph
from skworm.nn.blocks import FeatureBatchNorm, Groups
from skworm.nn.frames import ReadoutModule, TypicalNodes
from skworm.nn.graphs import FreeGraph

N_FRAMES, N_NEURONS, N_NODE_FEATURES, N_STATES = 30, 5, 2, 3


def encoder(**changes):
    options = {"n_hidden": 4, "embedding": 3, "aggregation": "concatenate", "temperature": 1.0}
    return EdgeEncoder(N_NEURONS, N_NODE_FEATURES, **{**options, "batch_norm": False, **changes})


def readout(aggregation="concatenate"):
    shape = (N_NEURONS, N_NODE_FEATURES, N_STATES)
    return ReadoutModule(*shape, n_hidden=4, n_layers=1, batch_norm=None, aggregation=aggregation)


def network(graph, aggregation="concatenate", **changes):
    options = {"self_edges": True, "normalization": None, "residual": False, "n_steps": 1}
    messages = MessagePassing(graph, **{**options, **changes})
    return FrameModule(N_NEURONS, N_NODE_FEATURES, messages, readout(aggregation))


def graphs_of(module, frames, group):
    nodes, present = module.nodes(frames, group)
    return module.messages.group_graphs(nodes, group, present)


@pytest.fixture
def frames():
    return torch.rand(N_FRAMES, N_NEURONS * N_NODE_FEATURES)


@pytest.fixture
def group():
    return Groups(torch.arange(N_FRAMES) % 3, 3)


def test_a_module_without_messages_maps_frames(frames, group):
    module = FrameModule(N_NEURONS, N_NODE_FEATURES, None, readout())
    assert module(frames, group).shape == (N_FRAMES, N_STATES)


def test_feature_batch_norm_spans_all_but_the_last_axis():
    values = torch.randn(6, 5, 4) * 3 + 2
    normalised = FeatureBatchNorm(4)(values)
    torch.testing.assert_close(normalised.mean((0, 1)), torch.zeros(4), atol=1e-5, rtol=0)


def test_group_means_of_an_empty_group_are_zero():
    means = Groups(torch.tensor([0, 0, 2]), 3).means(torch.tensor([[1.0], [3.0], [5.0]]))
    assert means.flatten().tolist() == [2.0, 0.0, 5.0]


def test_rows_that_fill_up_do_not_count_in_means_or_batch_norm():
    values, weight = torch.randn(6, 2, 4), torch.tensor([1.0, 1, 1, 1, 0, 0])
    index = torch.tensor([0, 1, 0, 0, 0, 1])
    means = Groups(index, 2, weight).means(values)
    torch.testing.assert_close(means, Groups(index[:4], 2).means(values[:4]))
    norm, filled = FeatureBatchNorm(4), FeatureBatchNorm(4)
    filled.row_weights = weight
    torch.testing.assert_close(filled(values)[:4], norm(values[:4]))
    torch.testing.assert_close(filled.state_dict(), norm.state_dict())
    torch.testing.assert_close(filled.eval()(values), norm.eval()(values))


def test_typical_nodes_are_means_of_those_that_were_there():
    typical = TypicalNodes(2, 1)
    typical(torch.tensor([[[1.0], [0.0]], [[3.0], [4.0]]]), torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    assert typical.mean.flatten().tolist() == [2.0, 4.0]
    typical(torch.tensor([[[2.0], [0.0]]]), torch.tensor([[1.0, 0.0]]))
    assert typical.mean.flatten().tolist() == [2.0, 4.0]


def test_neurons_of_rows_that_fill_up_are_missing():
    filled = Groups(torch.zeros(2, dtype=torch.long), 1, torch.tensor([1.0, 0.0]))
    assert FrameModule(2, 2, None, None).nodes(torch.ones(2, 4), filled)[1].tolist() == [[1, 1], [0, 0]]


def test_messages_follow_equation_12(group):
    weights, nodes = torch.rand(3, N_NEURONS, N_NEURONS), torch.rand(N_FRAMES, N_NEURONS, N_NODE_FEATURES)
    expected = torch.einsum("tij,tjf->tif", weights[group.index], nodes)
    torch.testing.assert_close(group.messages(weights, nodes), expected)
    shared = torch.einsum("ij,tjf->tif", weights[0], nodes)
    torch.testing.assert_close(group.messages(weights[:1], nodes), shared)


def test_edge_encoder_equals_a_perceptron_on_concatenated_pairs():
    edges = encoder(embedding=0)
    neurons = edges.neuron(torch.rand(N_NEURONS, N_NODE_FEATURES))
    pairs = torch.cat([neurons[:, None].expand(-1, N_NEURONS, -1), neurons[None].expand(N_NEURONS, -1, -1)], dim=-1)
    first = torch.nn.functional.linear(
        pairs, torch.cat([edges.receiver.weight, edges.sender.weight], dim=1), edges.receiver.bias
    )
    torch.testing.assert_close(edges.hidden_edges(neurons), edges.edge(torch.relu(first)))


def test_edge_weight_is_the_second_of_two_softmax_probabilities():
    edges, hidden = encoder(temperature=0.5), torch.randn(7, 3, 3, 4)
    expected = torch.softmax(edges.logits(hidden) / 0.5, dim=-1)[..., 1]
    torch.testing.assert_close(edges.weights(hidden), expected)


def test_summed_pairs_make_a_symmetric_graph(frames):
    weights = DynamicGraph(encoder(aggregation="sum"))(frames.unflatten(1, (N_NEURONS, -1)), None)
    torch.testing.assert_close(weights, weights.transpose(1, 2))


def test_low_temperature_pushes_weights_to_zero_or_one(frames, group):
    torch.manual_seed(0)
    warm = network(StaticGraph(encoder(), "hidden_neurons"))
    cold = network(StaticGraph(encoder(temperature=1e-4), "hidden_neurons"))
    cold.load_state_dict(warm.state_dict())

    def indecision(module):
        weights = graphs_of(module, frames, group)
        return float((weights * (1 - weights)).detach().mean())

    assert indecision(cold) < 0.01 < 0.1 < indecision(warm)


@pytest.mark.parametrize("average", ["node_features", "hidden_neurons", "hidden_edges", "edge_weights"])
def test_static_graph_of_a_group_depends_on_its_frames_alone(average, frames, group):
    module = network(StaticGraph(encoder(), average))
    graphs = graphs_of(module, frames, group)
    alone = graphs_of(module, frames[group.index == 1], Groups.one(int((group.index == 1).sum())))
    torch.testing.assert_close(graphs[1], alone[0])
    assert not torch.allclose(graphs[0], graphs[1], atol=1e-7)


@pytest.mark.parametrize("average", ["hidden_edges", "edge_weights"])
def test_a_pair_is_averaged_over_the_frames_that_have_both(average, frames):
    graph, nodes = StaticGraph(encoder(), average), frames.unflatten(1, (N_NEURONS, N_NODE_FEATURES))
    present = torch.ones(N_FRAMES, N_NEURONS)
    present[10:, 0] = 0
    found = graph(nodes * present[..., None], Groups.one(N_FRAMES), present)[0]
    torch.testing.assert_close(found[0], graph(nodes[:10], Groups.one(10))[0, 0])
    torch.testing.assert_close(found[1:, 1:], graph(nodes, Groups.one(N_FRAMES))[0, 1:, 1:])


def test_only_pairs_that_are_averaged_as_such_have_to_be_there_together(frames):
    frames[:15, :2], frames[15:, 2:4] = torch.nan, torch.nan
    for average, known in (("node_features", True), ("hidden_neurons", True), ("edge_weights", False)):
        graph = graphs_of(network(StaticGraph(encoder(), average)), frames, Groups.one(N_FRAMES))[0]
        assert bool(graph[0, 1].isfinite()) == known


def test_graphs_of_frames_are_averaged_over_those_that_have_both(frames):
    module, holed = network(DynamicGraph(encoder())), frames.clone()
    holed[10:, :2] = torch.nan
    found, expected = (graphs_of(module, X, Groups.one(len(X)))[0] for X in (holed, frames[:10]))
    torch.testing.assert_close(found[0], expected[0])


@pytest.mark.parametrize("normalization", ["row", "mean"])
def test_missing_senders_do_not_thin_messages(normalization):
    options = {"self_edges": True, "normalization": normalization, "residual": False, "n_steps": 1}
    messages = MessagePassing(FixedGraph(torch.ones(3, 3)), **options)
    nodes, present = torch.tensor([[[2.0], [4.0], [0.0]]]), torch.tensor([[1.0, 1.0, 0.0]])
    assert messages(nodes, Groups.one(1), None, present).flatten().tolist() == [3.0, 3.0, 0.0]


def test_low_temperature_pushes_learned_weights_to_zero_or_one():
    weights = FreeGraph(N_NEURONS, 1e-4)(torch.zeros(1), Groups.one(1))
    assert (torch.minimum(weights, 1 - weights) < 0.01).float().mean() > 0.9


def test_averages_at_different_stages_differ(frames, group):
    edges = encoder()
    stages = ["node_features", "hidden_neurons", "hidden_edges", "edge_weights"]
    graphs = [graphs_of(network(StaticGraph(edges, average)), frames, group) for average in stages]
    for first, second in pairwise(graphs):
        assert not torch.equal(first, second)


def test_dynamic_graph_depends_on_the_frame_alone(frames, group):
    module = network(DynamicGraph(encoder()))
    torch.testing.assert_close(module(frames, group)[:7], module(frames[:7], Groups.one(7)))


@pytest.mark.parametrize("graph", [DynamicGraph(encoder()), StaticGraph(encoder(), "node_features")])
def test_given_graphs_take_the_place_of_inferred_ones(graph, frames, group):
    module = network(graph)
    if isinstance(graph, DynamicGraph):
        assert graphs_of(module, frames, group).shape == (3, N_NEURONS, N_NEURONS)
        return
    graphs = graphs_of(module, frames, group)
    torch.testing.assert_close(module(frames, group, graphs=graphs), module(frames, group))
    assert not torch.allclose(module(frames, group, graphs=0 * graphs), module(frames, group))


def test_row_normalised_messages_of_an_isolated_neuron_are_zero(frames, group):
    weights = torch.ones(N_NEURONS, N_NEURONS)
    weights[2] = 0
    module = network(FixedGraph(weights), normalization="row")
    nodes = module.messages(frames.unflatten(1, (N_NEURONS, -1)), group)
    assert torch.equal(nodes[:, 2], torch.zeros(N_FRAMES, N_NODE_FEATURES))
    torch.testing.assert_close(nodes[:, 0], frames.unflatten(1, (N_NEURONS, -1)).mean(1))


def test_residual_and_self_edges(frames, group):
    nodes = frames.unflatten(1, (N_NEURONS, -1))
    without_edges = network(FixedGraph(torch.eye(N_NEURONS)), self_edges=False, residual=True)
    torch.testing.assert_close(without_edges.messages(nodes, group), nodes)
    doubled = network(FixedGraph(torch.eye(N_NEURONS)), residual=True, n_steps=2)
    torch.testing.assert_close(doubled.messages(nodes, group), 4 * nodes)


def test_a_sum_does_not_depend_on_the_order_of_neurons(frames):
    module, order = readout("sum"), torch.tensor(np.random.default_rng(0).permutation(N_NEURONS))
    nodes = frames.unflatten(1, (N_NEURONS, -1))
    torch.testing.assert_close(module(nodes), module(nodes[:, order]))
    assert not torch.allclose(readout()(nodes), readout()(nodes[:, order]))


def test_rows_that_come_group_by_group_give_the_same_as_mixed_ones():
    index = torch.tensor([0, 0, 0, 2, 2, 3])
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    nodes, weights = torch.rand(6, N_NEURONS, N_NODE_FEATURES), torch.rand(5, N_NEURONS, N_NEURONS)
    in_order, mixed = Groups(index, 5), Groups(index[order], 5)
    torch.testing.assert_close(in_order.messages(weights, nodes)[order], mixed.messages(weights, nodes[order]))
    torch.testing.assert_close(in_order.means(nodes), mixed.means(nodes[order]))
    assert not in_order.means(nodes)[[1, 4]].any()


def test_graphs_in_any_memory_layout_pass_messages():
    nodes, weights = torch.rand(6, N_NEURONS, N_NODE_FEATURES), torch.rand(1, N_NEURONS, N_NEURONS)
    transposed = weights.transpose(1, 2).contiguous().transpose(1, 2)
    torch.testing.assert_close(Groups.one(6).messages(transposed, nodes), Groups.one(6).messages(weights, nodes))
