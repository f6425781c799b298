"""Networks that predict trajectories: a rollout of steps, memory between them, and perceptrons of single neurons.

Every memory maps (nodes, state) to (nodes, state). The state is None before the first frame.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from skworm.nn.blocks import FeatureBatchNorm, Groups, perceptron
from skworm.nn.messages import MessageModule

State = tuple[Tensor, ...]


class FrameLSTM(nn.LSTMCell):
    """Long short-term memory of whole frames: the LSTM before the MLP.

    It is torch's cell in plain operations, since the kernel of that cannot be stacked with ``torch.func.vmap``. Its
    `input_size` is the node features of all neurons together. Wang et al. 2021, Supplementary Information, "Model
    Implementation".
    """

    def forward(self, nodes: Tensor, state: State | None) -> tuple[Tensor, State]:  # type: ignore[override]
        """Map nodes (n_samples, n_neurons, n_features) to one node of the memory (n_samples, 1, hidden_size)."""
        hidden, cell = state or (nodes.new_zeros(len(nodes), self.hidden_size),) * 2
        gates = nn.functional.linear(nodes.flatten(1), self.weight_ih, self.bias_ih)
        gates = gates + nn.functional.linear(hidden, self.weight_hh, self.bias_hh)
        let_in, forget, change, let_out = gates.chunk(4, dim=1)
        hidden, cell = _remember(let_in, forget, change, let_out, cell)
        return hidden.unsqueeze(1), (hidden, cell)


def _remember(let_in: Tensor, forget: Tensor, change: Tensor, let_out: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Return the hidden features and the cell of a long short-term memory after a step."""
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(let_in) * torch.tanh(change)
    return torch.sigmoid(let_out) * torch.tanh(cell), cell


class NeuronGRU(nn.GRUCell):
    """Gated recurrent memory of every neuron, the same weights for all: with messages, a recurrent graph network.

    It is torch's cell in plain operations, as :class:`FrameLSTM`. Wang et al. 2021, "Conclusion": "the development of a
    recurrent graph neural network"; Li et al. 2015, "Gated Graph Sequence Neural Networks".
    """

    def forward(self, nodes: Tensor, state: State | None) -> tuple[Tensor, State]:  # type: ignore[override]
        """Append each neuron's memory to its features: (n_samples, n_neurons, input_size + hidden_size)."""
        inputs = nodes.flatten(0, 1)
        (hidden,) = state or (inputs.new_zeros(len(inputs), self.hidden_size),)
        new = nn.functional.linear(inputs, self.weight_ih, self.bias_ih).chunk(3, dim=1)
        old = nn.functional.linear(hidden, self.weight_hh, self.bias_hh).chunk(3, dim=1)
        reset, update = torch.sigmoid(new[0] + old[0]), torch.sigmoid(new[1] + old[1])
        candidate = torch.tanh(new[2] + reset * old[2])
        hidden = candidate + update * (hidden - candidate)
        return torch.cat([nodes, hidden.unflatten(0, nodes.shape[:2])], dim=2), (hidden,)


class NeuronLinear(nn.Module):
    """A linear layer for each neuron, every one with its own weights."""

    def __init__(self, n_neurons: int, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        # As in torch.nn.Linear.
        bound = n_inputs**-0.5
        self.weight = nn.Parameter(torch.empty(n_neurons, n_inputs, n_outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n_neurons, 1, n_outputs).uniform_(-bound, bound))

    def forward(self, nodes: Tensor) -> Tensor:
        """Map (n_samples, n_neurons, n_inputs) to (n_samples, n_neurons, n_outputs)."""
        return torch.baddbmm(self.bias, nodes.transpose(0, 1), self.weight).transpose(0, 1)


class NeuronLSTM(nn.Module):
    """Long short-term memory of every neuron, each with its own weights."""

    def __init__(self, n_neurons: int, n_inputs: int, n_hidden: int) -> None:
        super().__init__()
        self.gates = NeuronLinear(n_neurons, n_inputs + n_hidden, 4 * n_hidden)
        self.n_hidden = n_hidden

    def forward(self, nodes: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Map nodes (n_samples, n_neurons, n_inputs) to memories (n_samples, n_neurons, n_hidden)."""
        hidden, cell = state or (nodes.new_zeros(*nodes.shape[:2], self.n_hidden),) * 2
        let_in, forget, let_out, change = self.gates(torch.cat([nodes, hidden], dim=2)).chunk(4, dim=2)
        hidden, cell = _remember(let_in, forget, change, let_out, cell)
        return hidden, (hidden, cell)


class NeuronReadout(nn.Module):
    """A perceptron for each neuron, every one with its own weights ("Node MLP").

    Parameters are those of :class:`ReadoutModule`, of each perceptron. Wang et al. 2021, Supplementary Information,
    "Model Implementation".
    """

    def __init__(
        self, n_neurons: int, n_inputs: int, n_outputs: int, *, n_hidden: int, n_layers: int, batch_norm: str | None
    ) -> None:
        super().__init__()

        def norm(n_features: int) -> nn.Module:
            flatten, unflatten = nn.Flatten(1), nn.Unflatten(1, (n_neurons, n_features))
            return nn.Sequential(flatten, FeatureBatchNorm(n_neurons * n_features), unflatten)

        linear = partial(NeuronLinear, n_neurons)
        self.hidden = perceptron(n_inputs, n_hidden, n_layers, batch_norm, linear=linear, norm=norm)
        self.output = NeuronLinear(n_neurons, n_hidden, n_outputs)

    def forward(self, nodes: Tensor) -> Tensor:
        """Map (n_samples, n_neurons, n_inputs) to (n_samples, n_neurons, n_outputs)."""
        return self.output(self.hidden(nodes))


class Step(nn.Module):
    """Compute how a frame changes: messages, memory and readout, the function f of equation 4.

    Parameters
    ----------
    messages : MessagePassing, GraphConvolution or None
        None for a network that is blind to the graph.
    memory : torch.nn.Module or None
        Such as :class:`FrameLSTM`; None for a network that sees the last frames alone.
    readout : torch.nn.Module
        Maps nodes of shape (n_samples, n_neurons, n_features) to (n_samples, n_columns).
    """

    def __init__(self, messages: MessageModule | None, memory: nn.Module | None, readout: nn.Module) -> None:
        super().__init__()
        self.messages = messages
        self.memory = memory
        self.readout = readout

    def forward(
        self, nodes: Tensor, group: Groups, graphs: Tensor | None, state: State | None
    ) -> tuple[Tensor, State | None]:
        """Map nodes to a change of the frame, of shape (n_samples, n_columns), and the next state of the memory."""
        if self.messages is not None:
            nodes = self.messages(nodes, group, graphs)
        if self.memory is not None:
            nodes, state = self.memory(nodes, state)
        return self.readout(nodes).flatten(1), state


class TrajectoryModule(nn.Module):
    """Predict frame after frame, each from the ones before: X(t + 1) = X(t) + f(X(t)) (Wang et al. 2021, equation 5).

    Parameters
    ----------
    n_neurons, n_node_features : int
        Shape of a frame.
    burn_in : int
        Observed frames, which a step without memory sees side by side, and one with memory one after the other.
    step : Step
        The function f.
    train_horizon, horizon : int
        Frames to predict in training mode, and in evaluation mode.
    linear : torch.nn.Linear or None
        A linear map of the last `burn_in` frames that is added to f.
    bounds : Tensor of shape (2, n_columns) or None
        Predicted frames are kept between these.
    """

    def __init__(
        self,
        n_neurons: int,
        n_node_features: int,
        burn_in: int,
        step: Step,
        *,
        train_horizon: int,
        horizon: int,
        linear: nn.Linear | None,
        bounds: Tensor | None,
    ) -> None:
        super().__init__()
        self.frame_shape = (n_neurons, n_node_features)
        self.burn_in = burn_in
        self.step = step
        self.train_horizon = train_horizon
        self.horizon = horizon
        self.linear = linear
        self.register_buffer("bounds", bounds)

    @property
    def messages(self) -> MessageModule | None:
        """The messages between neurons, None where there are none."""
        return self.step.messages

    def forward(
        self,
        X: Tensor,
        group: Groups,
        true: Tensor | None = None,
        shown: Tensor | None = None,
        graphs: Tensor | None = None,
        n_steps: int | None = None,
    ) -> Tensor:
        """Map observed frames (n_samples, burn_in * n_columns) to predicted ones (n_samples, n_steps * n_columns).

        Both are time-major, each frame neuron-major; `n_steps` takes the place of `train_horizon` or `horizon`. Samples
        of one group share a static graph, or the one of `graphs` of shape (n_groups, n_neurons, n_neurons), in place of
        what would be inferred. Where `shown`, of shape (n_samples, n_steps), is True, the next step starts from the
        frame of `true`, shaped as the predicted ones.
        """
        frames = list(X.unflatten(1, (self.burn_in, -1)).unbind(1))
        true_frames = None if true is None else true.unflatten(1, (-1, X.shape[1] // self.burn_in))
        if self.messages is not None and self.messages.takes_group_graphs and graphs is None:
            graphs = self.messages.weights(self._nodes(frames), group)
        state = None
        if self.step.memory is not None:
            for frame in frames[:-1]:
                _, state = self.step(frame.unflatten(1, self.frame_shape), group, graphs, state)
        predicted = []
        for step in range(n_steps or (self.train_horizon if self.training else self.horizon)):
            change, state = self.step(self._nodes(frames), group, graphs, state)
            if self.linear is not None:
                change = change + self.linear(torch.cat(frames, dim=1))
            frame = frames[-1] + change
            if self.bounds is not None:
                frame = torch.clamp(frame, *self.get_buffer("bounds"))
            predicted.append(frame)
            if true_frames is not None and shown is not None:
                frame = torch.where(shown[:, step, None], true_frames[:, step], frame)
            frames = [*frames[1:], frame]
        return torch.cat(predicted, dim=1)

    def nodes(self, X: Tensor, group: Groups) -> tuple[Tensor, None]:
        """Return what the first step sees of every neuron, from which graphs are inferred; no neuron is missing."""
        return self._nodes(list(X.unflatten(1, (self.burn_in, -1)).unbind(1))), None

    def _nodes(self, frames: list[Tensor]) -> Tensor:
        """Return the last frame, where there is a memory, or all frames side by side, neuron by neuron."""
        seen = frames if self.step.memory is None else frames[-1:]
        return torch.cat([frame.unflatten(1, self.frame_shape) for frame in seen], dim=2)
