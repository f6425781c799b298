import pytest
import torch
from torch import nn

from skworm.nn import DynamicGraph, EdgeEncoder, FixedGraph, Groups, MessagePassing, StaticGraph
from skworm.nn import messages as messages_module
from skworm.nn.frames import ReadoutModule
from skworm.nn.rollout import FrameLSTM, NeuronGRU, NeuronLinear, NeuronLSTM, NeuronReadout, Step, TrajectoryModule

N_SAMPLES, N_NEURONS, N_NODE_FEATURES = 12, 4, 2
N_COLUMNS = N_NEURONS * N_NODE_FEATURES
GROUP = Groups.one(N_SAMPLES)


def encoder():
    return EdgeEncoder(
        N_NEURONS, N_NODE_FEATURES, n_hidden=6, embedding=2, aggregation="concatenate", temperature=1.0,
        batch_norm=False,
    )  # fmt: skip


def passing(graph, n_steps=1):
    options = {"self_edges": True, "normalization": "mean", "residual": True}
    return MessagePassing(graph, n_steps=n_steps, **options)


def readout(n_neurons=N_NEURONS, n_features=N_NODE_FEATURES):
    shape = {"n_hidden": 5, "n_layers": 1, "batch_norm": None, "aggregation": "concatenate"}
    return ReadoutModule(n_neurons, n_features, N_COLUMNS, **shape)


def module(step, burn_in=1, linear=None, bounds=None, horizon=4):
    shape = {"train_horizon": 2, "horizon": horizon, "linear": linear, "bounds": bounds}
    return TrajectoryModule(N_NEURONS, N_NODE_FEATURES, burn_in, step, **shape)


def observed(burn_in=1):
    return torch.rand(N_SAMPLES, burn_in * N_COLUMNS)


def test_each_frame_is_the_one_before_plus_its_change():
    roll = module(Step(None, None, readout()))
    X = observed()
    frame, expected = X, []
    for _ in range(4):
        frame = frame + roll.step.readout(frame.unflatten(1, (N_NEURONS, -1)))
        expected.append(frame)
    torch.testing.assert_close(roll.eval()(X, GROUP), torch.cat(expected, 1))


def test_training_and_evaluation_have_horizons_of_their_own():
    roll = module(Step(None, None, readout()))
    assert roll.train()(observed(), GROUP).shape == (N_SAMPLES, 2 * N_COLUMNS)
    assert roll.eval()(observed(), GROUP).shape == (N_SAMPLES, 4 * N_COLUMNS)
    assert roll(observed(), GROUP, n_steps=7).shape == (N_SAMPLES, 7 * N_COLUMNS)


def test_a_step_starts_from_the_true_frame_where_it_is_shown():
    roll = module(Step(None, None, readout())).train()
    X, true = observed(), torch.rand(N_SAMPLES, 2 * N_COLUMNS)
    everywhere = torch.ones(N_SAMPLES, 2, dtype=torch.bool)
    forced = roll(X, GROUP, true=true, shown=everywhere)[:, N_COLUMNS:]
    torch.testing.assert_close(forced, roll(true[:, :N_COLUMNS], GROUP)[:, :N_COLUMNS])
    torch.testing.assert_close(roll(X, GROUP, true=true, shown=~everywhere), roll(X, GROUP))
    later = torch.rand(N_SAMPLES, 3 * N_COLUMNS)
    third = roll(X, GROUP, true=later, shown=torch.ones(N_SAMPLES, 3, dtype=torch.bool), n_steps=3)[:, 2 * N_COLUMNS :]
    torch.testing.assert_close(third, roll(later[:, N_COLUMNS : 2 * N_COLUMNS], GROUP)[:, :N_COLUMNS])


def test_a_linear_map_of_all_observed_frames_is_added():
    linear = nn.Linear(3 * N_COLUMNS, N_COLUMNS)
    silent = Step(None, None, readout(n_features=3 * N_NODE_FEATURES))
    for parameter in silent.readout.output.parameters():
        nn.init.zeros_(parameter)
    X = observed(3)
    predicted = module(silent, burn_in=3, linear=linear).eval()(X, GROUP, n_steps=2)
    first = X[:, -N_COLUMNS:] + linear(X)
    second = first + linear(torch.cat([X[:, N_COLUMNS:], first], 1))
    torch.testing.assert_close(predicted, torch.cat([first, second], 1))


def test_predicted_frames_stay_within_bounds():
    linear = nn.Linear(N_COLUMNS, N_COLUMNS)
    nn.init.constant_(linear.weight, 3.0)
    bounds = torch.stack([torch.full((N_COLUMNS,), -2.0), torch.full((N_COLUMNS,), 2.0)])
    step = Step(None, None, readout())
    assert not module(step, linear=linear).eval()(observed(), GROUP, n_steps=200).isfinite().all()
    assert module(step, linear=linear, bounds=bounds).eval()(observed(), GROUP, n_steps=200).abs().max() <= 2


@pytest.mark.parametrize("n_steps", [1, 2])
def test_dynamic_edges_in_parts_give_the_same_messages_and_gradients(monkeypatch, n_steps):
    messages = passing(DynamicGraph(encoder()), n_steps)
    nodes = torch.rand(N_SAMPLES, N_NEURONS, N_NODE_FEATURES)

    def run():
        messages.zero_grad()
        inputs = nodes.clone().requires_grad_()
        outputs = messages(inputs, GROUP)
        outputs.pow(2).sum().backward()
        return [outputs.detach(), inputs.grad, *(parameter.grad for parameter in messages.parameters())]

    whole = run()
    # Room for the hidden edges of two frames and a half.
    monkeypatch.setattr(messages_module, "HIDDEN_EDGES_AT_A_TIME", int(2.5 * N_NEURONS**2 * 6))
    for ours, expected in zip(run(), whole, strict=True):
        torch.testing.assert_close(ours, expected)
    with torch.no_grad():
        torch.testing.assert_close(messages(nodes, GROUP), whole[0])


def test_hidden_edges_of_one_part_at_a_time_are_kept(monkeypatch):
    """What waits for the backward pass does not grow with the number of frames times that of pairs."""
    monkeypatch.setattr(messages_module, "HIDDEN_EDGES_AT_A_TIME", 1)
    messages, kept = passing(DynamicGraph(encoder())), []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()) or tensor, lambda t: t):
        messages(torch.rand(N_SAMPLES, N_NEURONS, N_NODE_FEATURES, requires_grad=True), GROUP)
    assert max(kept, default=0) < N_NEURONS**2 * 6


def test_static_graph_comes_from_observed_frames_and_stays():
    roll = module(Step(passing(StaticGraph(encoder(), "node_features")), None, readout())).eval()
    X = observed()
    graphs = roll.messages.group_graphs(roll.nodes(X, GROUP)[0], GROUP)
    torch.testing.assert_close(roll(X, GROUP), roll(X, GROUP, graphs=graphs))
    assert not torch.allclose(roll(X, GROUP), roll(X, GROUP, graphs=0 * graphs))


def test_fixed_graph_without_edges_leaves_each_neuron_alone():
    step = Step(passing(FixedGraph(torch.zeros(N_NEURONS, N_NEURONS))), None, nn.Identity())
    X = observed()
    # The change of a frame is the frame itself.
    torch.testing.assert_close(module(step).eval()(X, GROUP, n_steps=2), torch.cat([2 * X, 4 * X], 1))


MEMORIES = {
    "lstm": lambda: Step(None, FrameLSTM(N_COLUMNS, 5), readout(1, 5)),
    "neuron-lstm": lambda: Step(
        None, NeuronLSTM(N_NEURONS, N_NODE_FEATURES, 5),
        NeuronReadout(N_NEURONS, 5, N_NODE_FEATURES, n_hidden=5, n_layers=1, batch_norm="output"),
    ),
    "gated": lambda: Step(
        passing(DynamicGraph(encoder())), NeuronGRU(N_NODE_FEATURES, 3), readout(n_features=N_NODE_FEATURES + 3)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MEMORIES)
def test_memory_remembers_all_observed_frames(name):
    roll = module(MEMORIES[name](), burn_in=3).eval()
    X = observed(3)
    changed = X.clone()
    changed[:, 0] += 1
    assert roll(X, GROUP).shape == (N_SAMPLES, 4 * N_COLUMNS)
    assert not torch.allclose(roll(X, GROUP), roll(changed, GROUP))


def test_neuron_lstm_is_an_lstm_for_each_neuron():
    ours, cell = NeuronLSTM(1, N_NODE_FEATURES, 5), nn.LSTMCell(N_NODE_FEATURES, 5)
    order = [0, 1, 3, 2]  # torch: let in, forget, candidate, let out; ours: candidate last
    with torch.no_grad():
        weights = torch.cat([cell.weight_ih, cell.weight_hh], 1).unflatten(0, (4, 5))[order].flatten(0, 1)
        biases = (cell.bias_ih + cell.bias_hh).unflatten(0, (4, 5))[order].flatten()
        ours.gates.weight[0] = weights.T
        ours.gates.bias[0, 0] = biases
    nodes, state, expected = torch.rand(3, N_SAMPLES, 1, N_NODE_FEATURES), None, None
    for frame in nodes:
        hidden, state = ours(frame, state)
        expected = cell(frame[:, 0], expected)
        torch.testing.assert_close(hidden[:, 0], expected[0])


@pytest.mark.parametrize(("memory", "cell"), [(FrameLSTM, nn.LSTMCell), (NeuronGRU, nn.GRUCell)])
def test_memories_are_the_cells_of_torch(memory, cell):
    ours, theirs = memory(N_NODE_FEATURES, 5), cell(N_NODE_FEATURES, 5)
    theirs.load_state_dict(ours.state_dict())
    state = expected = None
    for frame in torch.rand(3, N_SAMPLES, 1, N_NODE_FEATURES):
        seen, state = ours(frame, state)
        expected = theirs(frame[:, 0], expected)
        torch.testing.assert_close(seen[:, 0, -5:], expected[0] if isinstance(expected, tuple) else expected)


def test_layers_of_neurons_begin_as_those_of_torch():
    weight = NeuronLinear(50, 16, 50).weight.detach()
    assert 0.24 < weight.abs().max() <= 0.25


def test_neurons_have_layers_of_their_own():
    layer = NeuronLinear(N_NEURONS, N_NODE_FEATURES, 3)
    nodes = torch.rand(N_SAMPLES, N_NEURONS, N_NODE_FEATURES)
    for neuron in range(N_NEURONS):
        expected = nodes[:, neuron] @ layer.weight[neuron] + layer.bias[neuron]
        torch.testing.assert_close(layer(nodes)[:, neuron], expected)
