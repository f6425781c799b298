"""Trajectory regressors: networks that predict the frames after those that they observe."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from skworm.estimators.network import GraphEstimator
from skworm.estimators.trajectory_base import PUBLISHED, NeuralTrajectoryRegressor
from skworm.nn.memory import FrameLSTM, NeuronGRU, NeuronLSTM, NeuronReadout
from skworm.nn.rollout import Step
from skworm.training import VirtualWorms


class MLPTrajectoryRegressor(NeuralTrajectoryRegressor):
    """Predict trajectories with a multi-layer perceptron on all neurons' features.

    Every predicted frame is the one before it plus a change, X(t + 1) = X(t) + f(X(t)), where f is a perceptron, by
    default with a linear map beside it. Predicted frames are fed back to predict the next.

    Parameters
    ----------
    burn_in : int, default=None
        Observed frames a row of `X`; by default from the column names ``"AVAL:trace@0"``, else 1. Without memory a step
        sees the last `burn_in` frames side by side; with 1 the model is Markovian, as in the paper.
    train_horizon : int, default=8
        Frames that are rolled out in training. `Y` may hold more: all of them are rolled out to judge the epochs, and
        to predict.
    center : {"worm", "population"}, default="worm"
        What the columns are measured from, see :class:`LinearTrajectoryRegressor`.
    linear : bool, default=True
        Add a linear map of the last `burn_in` frames to f. It starts as the ridge regression of the change
        in one step, the perceptron at nothing, and both are trained together.
    linear_alpha : float, default=1.0
        Penalty of that ridge regression; it pulls towards no change.
    n_hidden : int, default=256
        Hidden features of a layer.
    n_layers : int, default=1
        Hidden layers; a linear map to the change of the frame follows.
    memory : {"lstm"} or None, default=None
        Put a long short-term memory of `n_hidden` features before the perceptron; the observed frames run through it
        one after the other.
    batch_norm : {"auto", "output", "before_activation"} or None, default=None
        Where batch normalisation stands, see :class:`MLPStateClassifier`.
    augmentation : VirtualWorms, "auto" or None, default="auto"
        Augmentation of the training trajectories; all frames of one have the same gain, offset and mixing of neurons.
        ``"auto"`` is ``VirtualWorms(gain=0.3, offset=0, mixing=0.2)``.
    n_node_features : int, default=None
        Columns a neuron in a frame; by default from the column names ``"neuron:feature@step"``, else 1.
    random_start : bool, default=True
        Where `Y` holds more frames than `train_horizon`, begin each trajectory at every epoch anew at a random one of
        its frames, instead of at its first.
    scheduled_sampling_end : float, default=0
        Until here, a step of a training rollout starts from the true frame instead of the predicted one with a
        probability that falls linearly from 1 to 0. The paper's end is 300; 0 always feeds predictions back.
    scheduled_sampling_unit : {"epochs", "max_epochs"}, default="epochs"
        Whether the end is a number of epochs, or a share of `max_epochs`.
    clip_margin : float or None, default=0.5
        Predicted frames are kept within the range of each column over the training frames, widened on either side by
        this share of it, so that no rollout runs off. None sets no bounds; a rollout that ends in infinity is then an
        error.
    max_epochs : int, default=200
        Epochs, each one step on all training trajectories.
    learning_rate : float, default=1e-3
        Adam's first learning rate.
    weight_decay : float, default=0.0
        Penalty on the squared weights of f, its linear map apart.
    learning_rate_factor : float, default=0.25
        Multiplies the learning rate when the validation loss has not improved for `learning_rate_patience` epochs.
    learning_rate_patience : int, default=50
        Epochs.
    validation_fraction : float, default=0.1
        Share of each worm's windows whose trajectories judge the epochs and are not trained on; the epoch with the
        lowest loss on them is kept. With 0 the training loss judges. Neighbouring trajectories share frames, so this
        finds the best epoch for the training worms, not for others.
    window : int, default=8
        Frames a window.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where to compute.
    random_state : int, RandomState instance or None, default=None
        Governs initial weights, held-out windows, starts, augmentation and scheduled sampling.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar.

    Attributes
    ----------
    neurons_ : list of str
        Neurons, in the order of the columns of a frame.
    node_features_ : list of str
        Features of a neuron.
    worms_ : ndarray of shape (n_worms,)
        Training worms.
    level_ : ndarray of shape (n_columns,)
        Mean of the training worms.
    levels_ : dict of ndarray
        Mean of each training worm; empty with ``center="population"`` or where training named no worms.
    burn_in_, horizon_, n_columns_ : int
        Observed and predicted frames of a trajectory, and columns of a frame.
    net_ : skorch.NeuralNet
        Trained net; ``net_.history`` holds every epoch's losses.
    n_iter_ : int
        Epochs trained.
    best_epoch_ : int
        Epoch whose weights are kept, counted from 1.
    frame_settings_ : dict
        What ``X.attrs`` told of the training frames: ``"fps"``, ``"derivative"``, ``"derivative_looks_ahead"`` and
        ``"fit_scope"``.
    n_features_in_ : int
        Columns of `X`.
    feature_names_in_ : ndarray of str
        Their names, where `X` had any.

    References
    ----------
    Wang et al. 2021, equations 4 to 7; "Neuron-level Trajectory Prediction"; Bengio et al. 2015 for scheduled sampling.

    Examples
    --------
    >>> from skworm import MLPTrajectoryRegressor
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames, make_trajectories
    >>> frames, _ = make_frames(make_worms(2, n_frames=400, random_state=0), states=None, derivative="backward")
    >>> X, Y = make_trajectories(frames)
    >>> mlp = MLPTrajectoryRegressor(n_hidden=16, max_epochs=20, random_state=0).fit(X, Y)
    >>> mlp.predict(X).shape == Y.shape
    True
    """

    @classmethod
    def as_published(cls, **parameters: Any) -> MLPTrajectoryRegressor:
        """Make the perceptron that the paper describes.

        Two layers with batch normalisation on their output, no linear map, no centring, no virtual worms, scheduled
        sampling that ends at epoch 300 of 800.

        Parameters
        ----------
        **parameters
            Other parameters, or changes to these.

        Returns
        -------
        MLPTrajectoryRegressor
            Not yet fitted.
        """
        return cls(**{**PUBLISHED, **parameters})

    def _build_step(self) -> Step:
        n_neurons, n_features = len(self.neurons_), len(self.node_features_)
        memory = None
        if self.memory == "lstm":
            memory = FrameLSTM(n_neurons * n_features, self.n_hidden)
            inputs = (1, self.n_hidden)
        else:
            inputs = (n_neurons, self.burn_in_ * n_features)
        return Step(None, memory, self._readout(*inputs))


class NodeMLPTrajectoryRegressor(NeuralTrajectoryRegressor):
    """Predict trajectories with a small perceptron for each neuron, which sees that neuron alone.

    Parameters
    ----------
    burn_in, train_horizon, center, linear, linear_alpha, random_start, clip_margin
        See :class:`MLPTrajectoryRegressor`. The linear map, where there is one, sees all neurons.
    memory : {"lstm"} or None, default=None
        Put a long short-term memory of `n_hidden` features before each neuron's perceptron.
    n_hidden, n_layers, batch_norm, augmentation, n_node_features
        See :class:`MLPTrajectoryRegressor`, for each neuron's perceptron.
    scheduled_sampling_end, scheduled_sampling_unit
        See :class:`MLPTrajectoryRegressor`.
    max_epochs, learning_rate, weight_decay, learning_rate_factor, learning_rate_patience
        See :class:`MLPTrajectoryRegressor`.
    validation_fraction, window, device, random_state, verbose
        See :class:`MLPTrajectoryRegressor`.

    Attributes
    ----------
    neurons_, node_features_, worms_, level_, levels_, burn_in_, horizon_, n_columns_, net_, n_iter_, best_epoch_, \
frame_settings_, n_features_in_, feature_names_in_
        See :class:`MLPTrajectoryRegressor`.

    References
    ----------
    Wang et al. 2021, Supplementary Information, "Model Implementation": "Node MLP".

    Examples
    --------
    >>> from skworm import NodeMLPTrajectoryRegressor
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames, make_trajectories
    >>> frames, _ = make_frames(make_worms(2, n_frames=400, random_state=0), states=None, derivative="backward")
    >>> X, Y = make_trajectories(frames)
    >>> node_mlp = NodeMLPTrajectoryRegressor(n_hidden=8, max_epochs=20, random_state=0).fit(X, Y)
    >>> node_mlp.predict(X).shape == Y.shape
    True
    """

    @classmethod
    def as_published(cls, **parameters: Any) -> NodeMLPTrajectoryRegressor:
        """Make the perceptrons that the paper describes, see :meth:`MLPTrajectoryRegressor.as_published`.

        Parameters
        ----------
        **parameters
            Other parameters, or changes to these.

        Returns
        -------
        NodeMLPTrajectoryRegressor
            Not yet fitted.
        """
        return cls(**{**PUBLISHED, **parameters})

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
            n_layers=self.n_layers,
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
    edges : {"dynamic", "static", "free"}, default="dynamic"
        One graph a frame; one graph a worm, inferred from its observed frames; or one freely learned graph for all.
    graph : DataFrame of shape (n_neurons, n_neurons), default=None
        A given graph in place of inferred edges: weights from the neuron of the row (pre) to the neuron of the
        column (post), aligned by name; further neurons are ignored.
    convolution, n_heads
        See :class:`GNNStateClassifier`; a convolution has `n_hidden_edges` features.
    static_average, edge_aggregation, edge_temperature, neuron_embedding, encoder_batch_norm
        See :class:`GNNStateClassifier`.
    n_hidden_edges : int, default=16
        Hidden features of a neuron and of an edge in the edge encoder.
    self_edges, message_normalization, residual, n_message_steps
        See :class:`GNNStateClassifier`.
    memory : {"lstm", "gated"} or None, default=None
        ``"lstm"`` puts a long short-term memory of `n_hidden` features between messages and perceptron; ``"gated"``
        gives every neuron a gated recurrent memory of what it received, a recurrent graph network.
    n_memory : int, default=16
        Features of a neuron's gated memory.
    burn_in, train_horizon, center, linear, linear_alpha, random_start, clip_margin
        See :class:`MLPTrajectoryRegressor`.
    n_hidden, n_layers, batch_norm, augmentation, n_node_features
        See :class:`MLPTrajectoryRegressor`.
    scheduled_sampling_end, scheduled_sampling_unit
        See :class:`MLPTrajectoryRegressor`.
    max_epochs, learning_rate, weight_decay, learning_rate_factor, learning_rate_patience
        See :class:`MLPTrajectoryRegressor`.
    validation_fraction, window, device, random_state, verbose
        See :class:`MLPTrajectoryRegressor`.

    Attributes
    ----------
    graph_ : DataFrame of shape (n_neurons, n_neurons)
        Graph of all observed training frames together, dynamic ones averaged; weight from the neuron of the row (pre)
        to that of the column (post). With `convolution`, the attention averaged over frames and heads, or for GIN and
        GraphSAGE 1 for every edge.
    graphs_ : dict of DataFrame
        Graph of each training worm; empty where training named no worms.
    neurons_, node_features_, worms_, level_, levels_, burn_in_, horizon_, n_columns_, net_, n_iter_, best_epoch_, \
frame_settings_, n_features_in_, feature_names_in_
        See :class:`MLPTrajectoryRegressor`.

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
    >>> X, Y = make_trajectories(frames)
    >>> gnn = GNNTrajectoryRegressor(n_hidden=16, max_epochs=5, random_state=0).fit(X, Y)
    >>> gnn.predict(X).shape == Y.shape
    True
    >>> gnn.predict(X.iloc[:1], horizon=100).shape == (1, 100 * gnn.n_columns_)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NeuralTrajectoryRegressor._parameter_constraints,
        **GraphEstimator._graph_constraints,
        "n_hidden_edges": [Interval(Integral, 1, None, closed="left")],
        "n_memory": [Interval(Integral, 1, None, closed="left")],
        "memory": [StrOptions({"lstm", "gated"}), None],
    }

    def __init__(
        self,
        *,
        edges: str = "dynamic",
        graph: pd.DataFrame | None = None,
        convolution: str | None = None,
        n_heads: int = 1,
        static_average: str = "node_features",
        edge_aggregation: str = "concatenate",
        edge_temperature: float = 1.0,
        neuron_embedding: int = 8,
        n_hidden_edges: int = 16,
        n_memory: int = 16,
        encoder_batch_norm: bool = False,
        self_edges: bool = True,
        message_normalization: str | None = "mean",
        residual: bool = True,
        n_message_steps: int = 1,
        burn_in: int | None = None,
        train_horizon: int = 8,
        center: str = "worm",
        linear: bool = True,
        linear_alpha: float = 1.0,
        n_hidden: int = 256,
        n_layers: int = 1,
        memory: str | None = None,
        batch_norm: str | None = None,
        augmentation: VirtualWorms | str | None = "auto",
        n_node_features: int | None = None,
        random_start: bool = True,
        scheduled_sampling_end: float = 0,
        scheduled_sampling_unit: str = "epochs",
        clip_margin: float | None = 0.5,
        max_epochs: int = 200,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        learning_rate_factor: float = 0.25,
        learning_rate_patience: int = 50,
        validation_fraction: float = 0.1,
        window: int = 8,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            burn_in=burn_in,
            train_horizon=train_horizon,
            center=center,
            linear=linear,
            linear_alpha=linear_alpha,
            n_hidden=n_hidden,
            n_layers=n_layers,
            memory=memory,
            batch_norm=batch_norm,
            augmentation=augmentation,
            n_node_features=n_node_features,
            random_start=random_start,
            scheduled_sampling_end=scheduled_sampling_end,
            scheduled_sampling_unit=scheduled_sampling_unit,
            clip_margin=clip_margin,
            max_epochs=max_epochs,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            learning_rate_factor=learning_rate_factor,
            learning_rate_patience=learning_rate_patience,
            validation_fraction=validation_fraction,
            window=window,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
        self.edges = edges
        self.graph = graph
        self.convolution = convolution
        self.n_heads = n_heads
        self.static_average = static_average
        self.edge_aggregation = edge_aggregation
        self.edge_temperature = edge_temperature
        self.neuron_embedding = neuron_embedding
        self.n_hidden_edges = n_hidden_edges
        self.n_memory = n_memory
        self.encoder_batch_norm = encoder_batch_norm
        self.self_edges = self_edges
        self.message_normalization = message_normalization
        self.residual = residual
        self.n_message_steps = n_message_steps

    @classmethod
    def as_published(cls, **parameters: Any) -> GNNTrajectoryRegressor:
        """Make the network that the paper's equations describe, read literally.

        Neurons have no identity, messages are summed without normalisation or residual, edges and readout have 256
        hidden features, and the readout is that of :meth:`MLPTrajectoryRegressor.as_published`.

        Parameters
        ----------
        **parameters
            Other parameters, or changes to these.

        Returns
        -------
        GNNTrajectoryRegressor
            Not yet fitted.
        """
        literal = {"neuron_embedding": 0, "n_hidden_edges": 256, "message_normalization": None, "residual": False}
        return cls(**{**PUBLISHED, **literal, **parameters})

    def _build_step(self) -> Step:
        n_neurons, n_features = len(self.neurons_), len(self.node_features_)
        memory: nn.Module | None = None
        n_seen = n_features if self.memory else self.burn_in_ * n_features
        n_received = self._n_received(n_seen, self.n_hidden_edges)
        inputs = (n_neurons, n_received)
        if self.memory == "lstm":
            memory, inputs = FrameLSTM(n_neurons * n_received, self.n_hidden), (1, self.n_hidden)
        elif self.memory == "gated":
            memory, inputs = NeuronGRU(n_received, self.n_memory), (n_neurons, n_received + self.n_memory)
        return Step(self._build_messages(n_seen, self.n_hidden_edges), memory, self._readout(*inputs))

    def _after_training(self, X: np.ndarray, group: np.ndarray | None) -> None:
        self._keep_graphs(self._tensor(X.astype(np.float64)), group)

    def _rows_for_graphs(self, X: Any, worm: Any) -> Tensor:
        frames, _, _ = self._centred(X, worm)
        return self._tensor(frames.reshape(len(frames), -1))

    def _roll_out(self, X: Tensor, worms: np.ndarray | None, n_steps: int) -> Tensor:
        if not self.net_.module_.messages.takes_group_graphs:
            return super()._roll_out(X, worms, n_steps)
        graphs, rows = self._graphs_of_rows(X, worms)
        return self._in_chunks(X, rows, n_steps, graphs=graphs)
