"""Trajectory regressors: networks that predict the frames after those that they observe."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor, nn

from skworm.estimators.network import GraphEstimator
from skworm.estimators.trajectory_base import NeuralTrajectoryRegressor
from skworm.nn.rollout import FrameLSTM, NeuronGRU, NeuronLSTM, NeuronReadout, Step

_N_GATED = 16
"""Features of a neuron's gated memory."""


class MLPTrajectoryRegressor(NeuralTrajectoryRegressor):
    """Predict trajectories with a multi-layer perceptron on all neurons' features.

    Every predicted frame is the one before it plus a change, X(t + 1) = X(t) + f(X(t)), where f is a perceptron, by
    default with a linear map beside it. Predicted frames are fed back to predict the next.

    Parameters
    ----------
    %(trajectories)s
    %(network)s
    memory : {"lstm"} or None, default=None
        Put a long short-term memory of `n_hidden` features before the perceptron; the observed frames run through it
        one after the other.
    %(augmentation)s
    %(training)s

    Attributes
    ----------
    %(levels)s
    %(fitted)s

    References
    ----------
    Wang et al. 2021, equations 4 to 7; "Neuron-level Trajectory Prediction"; Bengio et al. 2015 for scheduled sampling.

    Examples
    --------
    >>> from skworm import MLPTrajectoryRegressor
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames, make_trajectories
    >>> frames, _ = make_frames(make_worms(2, n_frames=400, random_state=0), states=None, derivative="backward")
    >>> X, y = make_trajectories(frames)
    >>> mlp = MLPTrajectoryRegressor(n_hidden=16, max_epochs=20, random_state=0).fit(X, y)
    >>> mlp.predict(X).shape == y.shape
    True
    """

    memory: Literal["lstm"] | None = None

    def _build_step(self) -> Step:
        n_neurons, n_features = len(self.neurons_), len(self.node_features_)
        memory = None
        if self.memory == "lstm":
            memory = FrameLSTM(n_neurons * n_features, self.n_hidden)
            inputs = (1, self.n_hidden)
        else:
            inputs = (n_neurons, self.burn_in_ * n_features)
        return Step(None, memory, self._build_readout(*inputs))


class NodeMLPTrajectoryRegressor(NeuralTrajectoryRegressor):
    """Predict trajectories with a small perceptron for each neuron, which sees that neuron alone.

    Parameters
    ----------
    %(trajectories)s
    %(network)s
    memory : {"lstm"} or None, default=None
        Put a long short-term memory of `n_hidden` features before each neuron's perceptron.
    %(augmentation)s
    %(training)s

    Attributes
    ----------
    %(levels)s
    %(fitted)s

    References
    ----------
    Wang et al. 2021, Supplementary Information, "Model Implementation": "Node MLP".

    Examples
    --------
    >>> from skworm import NodeMLPTrajectoryRegressor
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames, make_trajectories
    >>> frames, _ = make_frames(make_worms(2, n_frames=400, random_state=0), states=None, derivative="backward")
    >>> X, y = make_trajectories(frames)
    >>> node_mlp = NodeMLPTrajectoryRegressor(n_hidden=8, max_epochs=20, random_state=0).fit(X, y)
    >>> node_mlp.predict(X).shape == y.shape
    True
    """

    memory: Literal["lstm"] | None = None

    def _build_step(self) -> Step:
        n_neurons, n_features = len(self.neurons_), len(self.node_features_)
        if self.memory == "lstm":
            memory, n_inputs = NeuronLSTM(n_neurons, n_features, self.n_hidden), self.n_hidden
        else:
            memory, n_inputs = None, self.burn_in_ * n_features
        readout = NeuronReadout(
            n_neurons,
            n_inputs,
            n_features,
            n_hidden=self.n_hidden,
            n_layers=self._readout_of_neurons().n_layers,
            batch_norm=self._batch_norm(),
        )
        return Step(None, memory, readout)


class GNNTrajectoryRegressor(NeuralTrajectoryRegressor, GraphEstimator):
    """Predict trajectories with a graph neural network on an inferred weighted graph.

    Every predicted frame is the one before it plus a change, X(t + 1) = X(t) + f(X(t)). f passes messages along a graph
    and reads the change out of what the neurons received, by default with a linear map beside it. By default the graph
    is inferred anew from every frame, predicted ones included.

    Parameters
    ----------
    %(graph)s
    %(trajectories)s
    %(network)s
    memory : {"lstm", "gated"} or None, default=None
        ``"lstm"`` puts a long short-term memory of `n_hidden` features between messages and perceptron; ``"gated"``
        gives every neuron a gated recurrent memory of what it received, a recurrent graph network.
    %(augmentation)s
    %(training)s

    Attributes
    ----------
    %(graphs)s
    %(levels)s
    %(fitted)s

    References
    ----------
    Wang et al. 2021, equations 4, 5 and 8 to 14; Supplementary Information, "Model Selection" and "Model
    Implementation".

    Examples
    --------
    >>> from skworm import GNNTrajectoryRegressor
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames, make_trajectories
    >>> frames, _ = make_frames(make_worms(2, n_frames=400, random_state=0), states=None, derivative="backward")
    >>> X, y = make_trajectories(frames)
    >>> gnn = GNNTrajectoryRegressor(n_hidden=16, max_epochs=5, random_state=0).fit(X, y)
    >>> gnn.predict(X).shape == y.shape
    True
    """

    memory: Literal["lstm", "gated"] | None = None

    def _build_step(self) -> Step:
        n_neurons, n_features = len(self.neurons_), len(self.node_features_)
        memory: nn.Module | None = None
        n_seen = n_features if self.memory else self.burn_in_ * n_features
        n_received = self._messages().n_features(n_seen)
        inputs = (n_neurons, n_received)
        if self.memory == "lstm":
            memory, inputs = FrameLSTM(n_neurons * n_received, self.n_hidden), (1, self.n_hidden)
        elif self.memory == "gated":
            memory, inputs = NeuronGRU(n_received, _N_GATED), (n_neurons, n_received + _N_GATED)
        return Step(self._build_messages(n_seen), memory, self._build_readout(*inputs))

    def _rows_for_graphs(self, X: Any, worm: Any) -> Tensor:
        frames, _, _ = self._centred(X, worm)
        return self._tensor(frames.reshape(len(frames), -1))
