"""Torch modules, and virtual worms, of which neurons are missing."""

import pytest
import torch

from skworm import VirtualWorms
from skworm.estimators.parts import MESSAGES
from skworm.nn import (
    DynamicGraph,
    EdgeEncoder,
    FixedGraph,
    FrameModule,
    GraphConvolution,
    Groups,
    MessagePassing,
    ReadoutModule,
    StaticGraph,
)
from skworm.nn.frames import MissingNodes

N_FRAMES, N_NEURONS, N_NODE_FEATURES = 12, 5, 2


class TestModules:
    """Neurons that are there are treated as if those that are missing did not exist."""

    MISSING = torch.tensor([False, True, False, False, True])

    @pytest.fixture
    def nodes(self):
        torch.manual_seed(1)
        nodes = torch.rand(N_FRAMES, N_NEURONS, N_NODE_FEATURES, dtype=torch.float64)
        nodes[:, self.MISSING] = 0
        return nodes

    @pytest.fixture
    def present(self):
        return (~self.MISSING).double().expand(N_FRAMES, -1)

    def encoder(self, neurons=None):
        torch.manual_seed(0)
        options = {"n_hidden": 4, "embedding": 3, "aggregation": "concatenate", "temperature": 1.0}
        encoder = EdgeEncoder(N_NEURONS, N_NODE_FEATURES, **options, batch_norm=False).double()
        if neurons is not None:
            encoder.embedding = torch.nn.Parameter(encoder.embedding[neurons])
        return encoder

    def graph(self, name, neurons=None):
        if name == "fixed":
            torch.manual_seed(0)
            weights = torch.rand(N_NEURONS, N_NEURONS, dtype=torch.float64)
            return FixedGraph(weights if neurons is None else weights[neurons][:, neurons])
        encoder = self.encoder(neurons)
        return DynamicGraph(encoder) if name == "dynamic" else StaticGraph(encoder, name)

    @pytest.mark.parametrize("normalization", ["row", "mean", None])
    @pytest.mark.parametrize(
        "name", ["node_features", "hidden_neurons", "hidden_edges", "edge_weights", "dynamic", "fixed"]
    )
    def test_messages(self, name, normalization, nodes, present):
        options = {"self_edges": True, "normalization": normalization, "residual": True, "n_steps": 2}
        there, group = ~self.MISSING, Groups(torch.arange(N_FRAMES) % 3, 3)
        whole = MessagePassing(self.graph(name), **options)
        part = MessagePassing(self.graph(name, there), **options)
        received = whole(nodes, group, present=present)
        torch.testing.assert_close(received[:, there], part(nodes[:, there], group))
        assert not received[:, self.MISSING].any()
        graphs = whole.group_graphs(nodes, group, present)
        torch.testing.assert_close(graphs[:, there][:, :, there], part.group_graphs(nodes[:, there], group))
        assert graphs[:, self.MISSING].isnan().all() == (name != "fixed")
        if name != "dynamic":
            torch.testing.assert_close(whole(nodes, group, graphs.nan_to_num(), present), received)

    @pytest.mark.parametrize("name", sorted(set(MESSAGES) - {"weighted"}))
    def test_convolutions(self, name, nodes, present):
        torch.manual_seed(0)
        layer, there = MESSAGES[name](n_hidden=4).layer(N_NODE_FEATURES).double(), ~self.MISSING
        adjacency = (torch.rand(N_NEURONS, N_NEURONS) < 0.6).double()
        whole, part = GraphConvolution(layer, adjacency), GraphConvolution(layer, adjacency[there][:, there])
        group = Groups.one(N_FRAMES)
        convolved = whole(nodes, group, present=present)
        torch.testing.assert_close(convolved[:, there], part(nodes[:, there], group))
        assert not convolved[:, self.MISSING].any()
        graphs = whole.group_graphs(nodes, group, present)
        torch.testing.assert_close(graphs[:, there][:, :, there], part.group_graphs(nodes[:, there], group))

    @pytest.mark.parametrize("name", ["node_features", "hidden_edges", "dynamic", "fixed"])
    @pytest.mark.parametrize("aggregation", ["concatenate", "sum"])
    def test_frames_known_to_be_complete_give_the_same_results(self, name, aggregation):
        frames, index = torch.rand(N_FRAMES, N_NEURONS * N_NODE_FEATURES).double(), torch.arange(N_FRAMES) % 3
        shape = {"n_hidden": 4, "n_layers": 1, "batch_norm": None, "aggregation": aggregation, "fill_missing": True}
        outputs, states = [], []
        for complete in (False, True):
            options = {"self_edges": True, "normalization": "row", "residual": True, "n_steps": 2}
            messages = MessagePassing(self.graph(name), **options)
            torch.manual_seed(0)
            readout = ReadoutModule(N_NEURONS, N_NODE_FEATURES, 3, **shape)
            module = FrameModule(N_NEURONS, N_NODE_FEATURES, messages, readout).double()
            outputs.append(module(frames, Groups(index, 3, complete=complete)))
            states.append(module.state_dict())
        torch.testing.assert_close(outputs[1], outputs[0])
        torch.testing.assert_close(states[1], states[0])

    @pytest.mark.parametrize("stage", ["node_features", "hidden_neurons", "hidden_edges", "edge_weights"])
    def test_a_graph_is_inferred_from_the_frames_in_which_both_neurons_are(self, stage):
        nodes = torch.rand(N_FRAMES, N_NEURONS, N_NODE_FEATURES, dtype=torch.float64)
        present = torch.ones(N_FRAMES, N_NEURONS, dtype=torch.float64)
        present[:8, 0] = 0
        graph, group = self.graph(stage), Groups.one(N_FRAMES)
        masked = graph(nodes * present.unsqueeze(-1), group, present)
        torch.testing.assert_close(masked[:, 1:, 1:], graph(nodes, group)[:, 1:, 1:])
        if stage in ("hidden_edges", "edge_weights"):
            torch.testing.assert_close(masked[0, 0], graph(nodes[8:], Groups.one(4))[0, 0])

    def test_what_is_typical_is_a_mean_over_frames_in_which_a_neuron_is_there(self):
        fill = MissingNodes(2, 1)
        nodes, present = torch.tensor([[[1.0], [3.0]], [[2.0], [0.0]]]), torch.tensor([[1.0, 1.0], [1.0, 0.0]])
        assert fill(nodes, present)[1].flatten().tolist() == [2.0, 3.0]
        fill.eval()
        torch.testing.assert_close(fill(0 * nodes, 0 * present)[0].flatten(), torch.tensor([1.5, 3.0]))
        fill.train()
        fill(4 + 0 * nodes, torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
        torch.testing.assert_close(fill.typical.mean.flatten(), torch.tensor([2.75, 3.0]))


def virtual(worms, X, group):
    draws = worms.draw(len(X), X.shape[1], torch.Generator().manual_seed(0), ("trace", "derivative"))
    return worms.apply(X, group, **draws.by_sample, **draws.shared)


class TestVirtualWormsLackNeurons:
    def draw(self, **parameters):
        torch.manual_seed(1)
        X, group = torch.rand(400, 8), torch.zeros(400, dtype=torch.long)
        worms = VirtualWorms(n_groups=50, **parameters)
        return X, *virtual(worms, X, group)

    def test_a_virtual_worm_lacks_whole_neurons_in_all_its_frames(self):
        _, changed, group = self.draw(neuron_dropout=0.3)
        missing = changed.isnan()
        assert torch.equal(missing[:, ::2], missing[:, 1::2])
        for worm in group.unique():
            own = missing[group == worm]
            assert torch.equal(own, own[:1].expand_as(own))
        assert 0.2 < missing.double().mean() < 0.4

    @pytest.mark.parametrize("mixing", [0.0, 0.2])
    def test_neurons_that_are_there_do_not_depend_on_dropout(self, mixing):
        _, changed, _ = self.draw(neuron_dropout=0.3, mixing=mixing)
        _, without, _ = self.draw(mixing=mixing)
        there = ~changed.isnan()
        torch.testing.assert_close(changed[there], without[there])

    def test_missing_neurons_stay_missing_and_are_not_mixed_into_others(self):
        X = torch.rand(30, 8)
        X[:, :2] = torch.nan
        worms, group = VirtualWorms(mixing=0.3, n_groups=3), torch.zeros(30, dtype=torch.long)
        changed, _ = virtual(worms, X, group)
        assert changed[:, :2].isnan().all()
        zeros, _ = virtual(worms, X.nan_to_num(), group)
        torch.testing.assert_close(changed[:, 2:], zeros[:, 2:])

    @pytest.mark.parametrize("value", [-0.1, 1.0, float("nan"), "half"])
    def test_a_wrong_probability(self, value):
        with pytest.raises(
            ValueError, match=r"'neuron_dropout' parameter of VirtualWorms must be a float in the range"
        ):
            VirtualWorms(neuron_dropout=value)._validate_params()
