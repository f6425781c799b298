"""The multi-layer perceptron, blind to the graph."""

from __future__ import annotations

from typing import Any

from skworm.classification.base import NeuralStateClassifier


class MLPStateClassifier(NeuralStateClassifier):
    """Read the behavioural state with a multi-layer perceptron on all neurons' features.

    Worms need not have the same neurons. NaN in a feature of a neuron tells that it is missing in that frame, and its
    other features are then not looked at either. :meth:`predict` matches columns ``"neuron:feature"`` by name.

    Parameters
    ----------
    aggregation : {"concatenate", "sum", "mean", "attention"}, default="concatenate"
        How the neurons' features come together before the perceptron (equation 6). ``"attention"`` gives each neuron a
        learned map of its own, and takes a learned weighted mean of those that are there; it wants virtual worms with
        `neuron_dropout` where neurons may be missing. With ``"concatenate"``, what is typical of a missing neuron, its
        mean in training, stands in for it, with a learned shift where neurons are missing in training.
    n_hidden : int, default=16
        Hidden features of a layer.
    n_layers : int, default=1
        Hidden layers; a linear map to the states follows.
    batch_norm : {"auto", "output", "before_activation"} or None, default="auto"
        Where batch normalisation stands: on the output of the hidden layers, before each rectifier, or nowhere.
        Its running statistics tie the readout to the worms that it was trained on, so ``"auto"`` uses it (on the
        output) only when virtual worms spread them.
    augmentation : VirtualWorms or None, default=None
        Augmentation of the training frames.
    n_node_features : int, default=None
        Columns a neuron; by default from the column names ``"neuron:feature"``, else 1.
    max_epochs : int, default=800
        Epochs, each one step on all training frames.
    learning_rate : float, default=1e-3
        Adam's first learning rate.
    weight_decay : float or "auto", default=0.0
        Penalty on the squared weights of the readout. ``"auto"`` is 0.01 without augmentation and 0 with it: on real
        worms either keeps a model from holding on to its training worms, and both together are too much.
    learning_rate_factor : float, default=0.25
        Multiplies the learning rate when the validation loss has not improved for `learning_rate_patience` epochs.
    learning_rate_patience : int, default=50
        Epochs.
    validation_fraction : float, default=0.1
        Share of each worm's windows that judges the epochs and is not trained on; the epoch with the lowest loss on
        them is kept. With 0 the training loss judges.
    window : int, default=8
        Frames a window.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where to compute.
    random_state : int, RandomState instance or None, default=None
        Governs initial weights, held-out windows and augmentation.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar.

    Attributes
    ----------
    classes_ : ndarray of shape (n_states,)
        State names.
    neurons_ : list of str
        Neurons, in the order of the columns.
    node_features_ : list of str
        Features of a neuron.
    neurons_without_data_ : list of str
        Neurons that are missing in all training frames; they count as missing whatever their columns hold.
    worms_ : ndarray of shape (n_worms,)
        Training worms.
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
    Wang et al. 2021, equations 1 to 3, 6 and 7.

    Examples
    --------
    >>> from skworm import MLPStateClassifier
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> X, y = make_frames(make_worms(n_worms=2, n_frames=400, random_state=0), states="2")
    >>> mlp = MLPStateClassifier(max_epochs=100, learning_rate=1e-2, random_state=0).fit(X, y)
    >>> mlp.score(X, y) > 0.8
    True
    """

    @classmethod
    def as_published(cls, **parameters: Any) -> MLPStateClassifier:
        """Make the perceptron that the paper describes: batch normalisation on the output, no augmentation.

        Parameters
        ----------
        **parameters
            Other parameters, or changes to these.

        Returns
        -------
        MLPStateClassifier
            Not yet fitted.
        """
        return cls(**{"batch_norm": "output", "n_layers": 2, **parameters})
