"""Memory between the steps of a rollout, and perceptrons of single neurons.

Every memory maps (nodes, state) to (nodes, state). The state is None before the first frame.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from skworm.nn.blocks import FeatureBatchNorm, perceptron

State = tuple[Tensor, ...]


class _LSTMCell(nn.LSTMCell):
    """torch's cell in plain operations: its own kernel cannot be stacked with ``torch.func.vmap``."""

    def forward(self, inputs: Tensor, state: State | None) -> State:  # type: ignore[override]
        hidden, cell = state or (inputs.new_zeros(len(inputs), self.hidden_size),) * 2
        gates = nn.functional.linear(inputs, self.weight_ih, self.bias_ih)
        gates = gates + nn.functional.linear(hidden, self.weight_hh, self.bias_hh)
        let_in, forget, change, let_out = gates.chunk(4, dim=1)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(let_in) * torch.tanh(change)
        return torch.sigmoid(let_out) * torch.tanh(cell), cell


class _GRUCell(nn.GRUCell):
    """As :class:`_LSTMCell`."""

    def forward(self, inputs: Tensor, hidden: Tensor | None) -> Tensor:  # type: ignore[override]
        hidden = inputs.new_zeros(len(inputs), self.hidden_size) if hidden is None else hidden
        new = nn.functional.linear(inputs, self.weight_ih, self.bias_ih).chunk(3, dim=1)
        old = nn.functional.linear(hidden, self.weight_hh, self.bias_hh).chunk(3, dim=1)
        reset, update = torch.sigmoid(new[0] + old[0]), torch.sigmoid(new[1] + old[1])
        candidate = torch.tanh(new[2] + reset * old[2])
        return candidate + update * (hidden - candidate)


class FrameLSTM(nn.Module):
    """Long short-term memory of whole frames: the LSTM before the MLP.

    Parameters
    ----------
    n_inputs, n_hidden : int
        Node features of all neurons together, and size of the memory.

    References
    ----------
    Wang et al. 2021, Supplementary Information, "Model Implementation".
    """

    def __init__(self, n_inputs: int, n_hidden: int) -> None:
        super().__init__()
        self.cell = _LSTMCell(n_inputs, n_hidden)

    def forward(self, nodes: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Map nodes (n_samples, n_neurons, n_features) to one node of the memory (n_samples, 1, n_hidden)."""
        hidden, cell = self.cell(nodes.flatten(1), state)
        return hidden.unsqueeze(1), (hidden, cell)


class NeuronGRU(nn.Module):
    """Gated recurrent memory of every neuron, the same weights for all: with messages, a recurrent graph network.

    Parameters
    ----------
    n_inputs, n_hidden : int
        Features of a neuron, and size of its memory.

    References
    ----------
    Wang et al. 2021, "Conclusion": "the development of a recurrent graph neural network"; Li et al. 2015, "Gated Graph
    Sequence Neural Networks".
    """

    def __init__(self, n_inputs: int, n_hidden: int) -> None:
        super().__init__()
        self.cell = _GRUCell(n_inputs, n_hidden)

    def forward(self, nodes: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Append each neuron's memory to its features: (n_samples, n_neurons, n_inputs + n_hidden)."""
        hidden = self.cell(nodes.flatten(0, 1), None if state is None else state[0])
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
    """Long short-term memory of every neuron, each with its own weights.

    Parameters
    ----------
    n_neurons, n_inputs, n_hidden : int
        Number of memories, and the size of each.
    """

    def __init__(self, n_neurons: int, n_inputs: int, n_hidden: int) -> None:
        super().__init__()
        self.gates = NeuronLinear(n_neurons, n_inputs + n_hidden, 4 * n_hidden)
        self.n_hidden = n_hidden

    def forward(self, nodes: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Map nodes (n_samples, n_neurons, n_inputs) to memories (n_samples, n_neurons, n_hidden)."""
        if state is None:
            zeros = nodes.new_zeros(*nodes.shape[:2], self.n_hidden)
            state = (zeros, zeros)
        hidden, cell = state
        gates = self.gates(torch.cat([nodes, hidden], dim=2)).chunk(4, dim=2)
        let_in, forget, let_out = (torch.sigmoid(gate) for gate in gates[:3])
        cell = forget * cell + let_in * torch.tanh(gates[3])
        hidden = let_out * torch.tanh(cell)
        return hidden, (hidden, cell)


class NeuronReadout(nn.Module):
    """A perceptron for each neuron, every one with its own weights ("Node MLP").

    Parameters
    ----------
    n_neurons, n_inputs, n_outputs : int
        Number of perceptrons, and the features that go in and come out of each.
    n_hidden, n_layers : int
        Hidden features and hidden layers of each.
    batch_norm : {"output", "before_activation"} or None
        Where hidden features are normalised, see :class:`skworm.MLPStateClassifier`.

    References
    ----------
    Wang et al. 2021, Supplementary Information, "Model Implementation".
    """

    def __init__(
        self, n_neurons: int, n_inputs: int, n_outputs: int, *, n_hidden: int, n_layers: int, batch_norm: str | None
    ) -> None:
        super().__init__()
        linear, norm = partial(NeuronLinear, n_neurons), partial(_NeuronBatchNorm, n_neurons)
        self.hidden = perceptron(n_inputs, n_hidden, n_layers, batch_norm, linear=linear, norm=norm)
        self.output = NeuronLinear(n_neurons, n_hidden, n_outputs)

    def forward(self, nodes: Tensor) -> Tensor:
        """Map (n_samples, n_neurons, n_inputs) to (n_samples, n_neurons, n_outputs)."""
        return self.output(self.hidden(nodes))


class _NeuronBatchNorm(nn.Module):
    def __init__(self, n_neurons: int, n_features: int) -> None:
        super().__init__()
        self.norm = FeatureBatchNorm(n_neurons * n_features)

    def forward(self, nodes: Tensor) -> Tensor:
        return self.norm(nodes.flatten(1)).view_as(nodes)
