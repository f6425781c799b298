"""The multi-layer perceptrons, blind to the graph: one of all neurons, and one of each."""

from __future__ import annotations

from typing import Any

from skworm.nn.dynamics import Step
from skworm.nn.memory import FrameLSTM, NeuronLSTM, NeuronReadout
from skworm.trajectory.neural import PUBLISHED, NeuralTrajectoryRegressor


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
