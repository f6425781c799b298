"""The multi-layer perceptron, blind to the graph."""

from __future__ import annotations

from skworm.behavior.base import NeuralBehaviorRegressor


class MLPBehaviorRegressor(NeuralBehaviorRegressor):
    """Read velocity or other continuous behaviour with a multi-layer perceptron on all neurons' features.

    Several signals, the columns of a two-dimensional `y`, share the hidden layers. Each is measured from its mean, in
    units of its standard deviation over the training frames; predictions are in its own unit again. Every neuron has to
    be there in every frame, in training and in prediction: NaN is an error, as is `neuron_dropout` of virtual worms.

    Parameters
    ----------
    loss : {"squared_error", "huber"}, default="squared_error"
        What training makes small. ``"huber"`` grows linearly beyond an error of one standard deviation of the signal,
        so that glitches of a tracker count for less.
    aggregation, n_hidden, n_layers, batch_norm, augmentation, n_node_features
        See :class:`MLPStateClassifier`; a linear map to the signals follows the hidden layers.
    max_epochs, learning_rate, weight_decay, learning_rate_factor, learning_rate_patience
        See :class:`MLPStateClassifier`.
    validation_fraction, window, device, random_state, verbose
        See :class:`MLPStateClassifier`.

    Attributes
    ----------
    signals_ : list of str
        Signals, from the name or the columns of `y`, else numbers.
    signal_mean_, signal_scale_ : ndarray of shape (n_signals,)
        Mean and standard deviation of each signal over the known training frames, in its own unit; a constant signal
        has a scale of 1.
    neurons_ : list of str
        Neurons, in the order of the columns.
    node_features_ : list of str
        Features of a neuron.
    worms_ : ndarray of shape (n_worms,)
        Training worms.
    net_ : skorch.NeuralNet
        Trained net; ``net_.history`` holds every epoch's losses, of signals in units of their standard deviation.
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
    Wang et al. 2021, equations 6 and 7, for the network; the paper decodes states, and no continuous behaviour.

    Examples
    --------
    >>> from skworm import MLPBehaviorRegressor
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_behavior, make_frames
    >>> worms = make_worms(n_worms=2, n_frames=400, random_state=0)
    >>> X, _ = make_frames(worms, states=None)
    >>> velocity = make_behavior(worms, X)
    >>> mlp = MLPBehaviorRegressor(max_epochs=100, learning_rate=1e-2, random_state=0).fit(X, velocity)
    >>> mlp.score(X, velocity) > 0.8
    True
    """
