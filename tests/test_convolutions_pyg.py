"""The convolutions equal those of PyTorch Geometric, which the paper used; run with the extra ``pyg`` installed."""

import pytest
import torch

from skworm import GAT, GIN, SAGE, GATv2, GlobalAttention
from skworm.nn import Groups

geometric = pytest.importorskip("torch_geometric", reason="torch_geometric is not installed: pip install 'skworm[pyg]'")

N_FRAMES, N_NEURONS, N_INPUTS, N_HIDDEN, N_HEADS = 4, 6, 2, 5, 3
CONVOLUTIONS = {
    "gin0": GIN(N_HIDDEN, learn_epsilon=False),
    "gin": GIN(N_HIDDEN),
    "sage": SAGE(N_HIDDEN),
    "gat": GAT(N_HIDDEN, N_HEADS),
    "gatv2": GATv2(N_HIDDEN, N_HEADS),
    "attention": GlobalAttention(N_HIDDEN),
}


def sparse(adjacency):
    """Edges from sender to receiver, all frames as one graph without edges between frames."""
    receivers, senders = torch.nonzero(adjacency).T
    edges = torch.stack([senders, receivers])
    return torch.cat([edges + frame * N_NEURONS for frame in range(N_FRAMES)], dim=1)


def named(module):
    return dict(module.named_parameters())


def gin(ours):
    theirs = geometric.nn.GINConv(ours.perceptron, train_eps=ours.epsilon.requires_grad)
    with torch.no_grad():
        theirs.eps.copy_(ours.epsilon)
    return theirs


def sage(ours):
    theirs = geometric.nn.SAGEConv(N_INPUTS, N_HIDDEN, aggr="mean")
    theirs.lin_l, theirs.lin_r = ours.neighbours, ours.own
    return theirs


def gat(ours):
    theirs = geometric.nn.GATConv(N_INPUTS, N_HIDDEN, heads=N_HEADS)
    values = {"lin.weight": ours.linear.weight, "att_src": ours.sender[None], "att_dst": ours.receiver[None]}
    return filled(theirs, {**values, "bias": ours.bias})


def gatv2(ours):
    theirs = geometric.nn.GATv2Conv(N_INPUTS, N_HIDDEN, heads=N_HEADS)
    values = {f"lin_l.{name}": value for name, value in ours.sender.named_parameters()}
    values |= {f"lin_r.{name}": value for name, value in ours.receiver.named_parameters()}
    return filled(theirs, {**values, "att": ours.score[None], "bias": ours.bias})


def filled(module, values):
    module.double()
    assert named(module).keys() == values.keys()
    module.load_state_dict(values, strict=False)
    return module


THEIRS = {"gin0": gin, "gin": gin, "sage": sage, "gat": gat, "gatv2": gatv2}


def ours_of(name):
    layer = CONVOLUTIONS[name].layer(N_INPUTS).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            # Biases and epsilon start at 0, where a mistake in them would not show.
            if parameter.requires_grad:
                parameter.copy_(torch.randn_like(parameter))
    return layer


@pytest.fixture
def nodes():
    return torch.randn(N_FRAMES, N_NEURONS, N_INPUTS, dtype=torch.float64, requires_grad=True)


def adjacency_of(kind):
    full = torch.ones(N_NEURONS, N_NEURONS, dtype=torch.float64) - torch.eye(N_NEURONS, dtype=torch.float64)
    if kind == "full":
        return full
    given = full * (torch.rand(N_NEURONS, N_NEURONS) < 0.4)
    given[2] = 0
    return given


def one_graph(adjacency):
    return adjacency[None], Groups.one(N_FRAMES)


@pytest.mark.parametrize("kind", ["full", "given, one neuron without senders"])
@pytest.mark.parametrize("name", THEIRS)
def test_layers_and_their_gradients_equal_those_of_pytorch_geometric(name, kind, nodes):
    ours, adjacency = ours_of(name), adjacency_of(kind)
    theirs = THEIRS[name](ours).double()
    result = ours(nodes, *one_graph(adjacency))
    expected = theirs(nodes.flatten(0, 1), sparse(adjacency)).view_as(result)
    torch.testing.assert_close(result, expected, atol=1e-6, rtol=0)
    direction = torch.randn_like(result)
    slopes = [torch.autograd.grad((outcome * direction).sum(), nodes)[0] for outcome in (result, expected)]
    torch.testing.assert_close(*slopes, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["gat", "gatv2"])
def test_attention_equals_that_of_pytorch_geometric(name, nodes):
    ours, adjacency = ours_of(name), adjacency_of("given")
    _, (edges, attention) = THEIRS[name](ours)(nodes.flatten(0, 1), sparse(adjacency), return_attention_weights=True)
    senders, receivers = edges
    result = ours.attention(nodes, *one_graph(adjacency), None)
    matched = result[receivers // N_NEURONS, :, receivers % N_NEURONS, senders % N_NEURONS]
    torch.testing.assert_close(matched, attention, atol=1e-6, rtol=0)
    assert int((result != 0).sum()) == attention.numel()


def test_global_attention_pools_as_that_of_pytorch_geometric(nodes):
    ours = ours_of("attention")
    theirs = geometric.nn.aggr.AttentionalAggregation(ours.gate, ours.perceptron)
    frame = torch.arange(N_FRAMES).repeat_interleave(N_NEURONS)
    pooled = theirs(nodes.flatten(0, 1), frame)
    result = ours(nodes, *one_graph(adjacency_of("full")))
    torch.testing.assert_close(result, pooled[:, None].expand_as(result), atol=1e-6, rtol=0)


def test_global_attention_on_a_given_graph_pools_every_neuron_s_senders(nodes):
    ours, adjacency = ours_of("attention"), adjacency_of("given")
    theirs = geometric.nn.aggr.AttentionalAggregation(ours.gate, ours.perceptron)
    receivers, senders = torch.nonzero(adjacency + torch.eye(N_NEURONS)).T
    result = ours(nodes, *one_graph(adjacency))
    for frame in range(N_FRAMES):
        expected = theirs(nodes[frame, senders], receivers)
        torch.testing.assert_close(result[frame], expected, atol=1e-6, rtol=0)
