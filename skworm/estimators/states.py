"""State classifiers: networks that read the behavioural state from a frame."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from skworm.estimators.network import FrameEstimator, GraphFrameEstimator
from skworm.frames.index import (
    SEPARATOR,
    column_names,
    frame_of_rows,
    parse_column_names,
    validate_like_training,
    worm_of_rows,
)
from skworm.recording import UNKNOWN
from skworm.training import TrainingJob, VirtualWorms


def match_neurons(X: Any, fitted_columns: Sequence[str] | None) -> Any:
    """Give frames the columns that a model was trained on, matched by name.

    Neurons that `X` lacks become columns of NaN, and further ones are left out. Frames whose columns are not named
    ``"neuron:feature"``, in training or now, are given back as they are.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_frames, n_columns)
        Frames.
    fitted_columns : sequence of str or None
        Columns of the training frames, where they had names.

    Returns
    -------
    array-like or DataFrame
        `X`, or a table of its rows with the columns `fitted_columns`.

    Raises
    ------
    ValueError
        If `X` has none of the neurons, lacks a node feature, or repeats a column.

    Warns
    -----
    UserWarning
        If `X` lacks neurons, or some of their features.
    """
    if fitted_columns is None or not isinstance(X, pd.DataFrame) or list(X.columns) == list(fitted_columns):
        return X
    fitted = parse_column_names(fitted_columns)
    if fitted is None or not all(isinstance(label, str) and SEPARATOR in label for label in X.columns):
        return X
    neurons, node_features = fitted
    if not X.columns.is_unique:
        raise ValueError(f"X has the column {X.columns[X.columns.duplicated()][0]!r} more than once; drop one of them")
    features = {label.rsplit(SEPARATOR, 1)[1] for label in X.columns}
    if not features.issuperset(node_features):
        raise ValueError(
            f"X has the node features {sorted(features)}, but the model was trained on {node_features}; make both "
            "tables with the same node_features"
        )
    if not X.columns.isin(fitted_columns).any():
        own = sorted({label.rsplit(SEPARATOR, 1)[0] for label in X.columns})
        raise ValueError(
            f"X has none of the neurons that the model was trained on, {neurons}; it has {own}; train on neurons that "
            "both have, or correct the names"
        )
    # A neuron is missing where any of its features is.
    incomplete = [neuron for neuron in neurons if not set(column_names([neuron], node_features)) <= set(X.columns)]
    if incomplete:
        warnings.warn(
            f"X lacks {len(incomplete)} of the {len(neurons)} neurons that the model was trained on, or features of "
            f"them, which count as missing: {incomplete}",
            UserWarning,
            stacklevel=4,
        )
    return X.reindex(columns=list(fitted_columns))


def missing_neurons(frames: np.ndarray, n_neurons: int) -> np.ndarray:
    """Tell which neurons are missing in which frame: those of which any feature is NaN.

    Parameters
    ----------
    frames : ndarray of shape (n_frames, n_neurons * n_node_features)
        Frames, neuron-major.
    n_neurons : int
        Number of neurons.

    Returns
    -------
    ndarray of bool, shape (n_frames, n_neurons)
        Whether a neuron is missing.
    """
    return np.any(np.isnan(frames).reshape(len(frames), n_neurons, -1), axis=2)


def check_neurons(frames: np.ndarray, neurons: Sequence[str], X: Any, worm: Any = None) -> None:
    """Raise a ValueError that names worm and frame if there is a frame without any neuron.

    Parameters
    ----------
    frames : ndarray of shape (n_frames, n_neurons * n_node_features)
        Frames, neuron-major, NaN where a neuron is missing.
    neurons : sequence of str
        Neurons.
    X : array-like or DataFrame of shape (n_frames, ...)
        What the frames were made of; its index may tell worm and frame.
    worm : array-like of shape (n_frames,), optional
        Worm of each frame.
    """
    empty = np.all(missing_neurons(frames, len(neurons)), axis=1)
    if not empty.any():
        return
    worms = worm_of_rows(X, worm)
    own = np.zeros(len(frames), dtype=int) if worms is None else worms
    rows = own == own[empty][0]
    whose = "X" if worms is None else f"worm {str(own[empty][0])!r}"
    named = ", ".join(neurons[:8]) + (", ..." if len(neurons) > 8 else "")
    if empty[rows].all():
        raise ValueError(f"{whose} has a value for none of the neurons {named}; leave it out, or choose other neurons")
    frame = frame_of_rows(X, own)[empty & rows][0]
    raise ValueError(
        f"{whose} has a value for none of the neurons {named} in {int(empty[rows].sum())} of {int(rows.sum())} frames, "
        f"first in frame {frame}; drop these rows, or interpolate them"
    )


def known_states(y: np.ndarray) -> np.ndarray:
    """Tell which rows carry a state: all but ``"unknown"``."""
    return y != UNKNOWN if y.dtype.kind in "OUT" else np.ones(len(y), dtype=bool)


def encode_states(estimator: BaseEstimator, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """List the states and number those of each row, after checking that there are at least two."""
    check_classification_targets(y)
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        found = f"1 class, {classes.tolist()[0]!r}" if len(classes) else "no class"
        raise ValueError(
            f"{type(estimator).__name__} needs at least two states (classes) to tell apart, but the known frames of y "
            f"hold {found}; train on frames of more states"
        )
    return classes, codes


class StateClassifierMixin(ClassifierMixin):
    """A classifier that gives no score to frames whose state is unknown."""

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Give the accuracy over the frames whose state is known.

        Parameters
        ----------
        X : array-like of shape (n_frames, n_features)
            Frames.
        y : array-like of shape (n_frames,)
            True states; ``"unknown"`` is left out.
        sample_weight : array-like of shape (n_frames,), optional
            Weights of the frames.

        Returns
        -------
        float
            Share of the known frames that are predicted rightly.
        """
        known = known_states(np.asarray(y))
        weights = None if sample_weight is None else np.asarray(sample_weight)[known]
        return accuracy_score(np.asarray(y)[known], self.predict(X)[known], sample_weight=weights)


class NeuralStateClassifier(StateClassifierMixin, FrameEstimator):
    """A torch module that maps frames to logits, trained through skorch."""

    _takes_missing_neurons = True

    def fit(self, X: Any, y: Any, worm: Any = None) -> NeuralStateClassifier:
        """Train on frames.

        Parameters
        ----------
        X : array-like of shape (n_frames, n_neurons * n_node_features)
            Scaled frames, neuron-major; a DataFrame of :func:`skworm.frames.make_frames` carries worms and neurons.
            A neuron with NaN in a frame is missing there; one that is missing in all training frames
            (``neurons_without_data_``) is never looked at.
        y : array-like of shape (n_frames,)
            States; frames that are ``"unknown"`` are left out.
        worm : array-like of shape (n_frames,), optional
            Worm of each frame; by default the index level ``"worm"`` of `X`, else all are one population.

        Returns
        -------
        self
            The fitted classifier.
        """
        super().fit(X, y, worm)
        return self

    def training_job(self, X: Any, y: Any, worm: Any = None) -> TrainingJob:
        """Make all of a fit that precedes training; see ``NeuralEstimator.training_job``."""
        self._check_parameters()
        frames, states = validate_data(self, X, y, dtype=np.float32, ensure_all_finite="allow-nan")
        self._name_columns(getattr(X, "columns", None), frames.shape[1])
        check_neurons(frames, self.neurons_, X, worm)
        known = known_states(states)
        self.classes_, targets = encode_states(self, states[known])
        return self._job_of_frames(X, frames, targets, known, worm)

    @property
    def _loss(self) -> type[nn.Module]:
        return nn.CrossEntropyLoss

    def _frames_to_train(self, frames: np.ndarray, trained_on: np.ndarray) -> np.ndarray:
        """Set ``neurons_without_data_``, and let these be missing in the frames that judge as well."""
        missing = np.all(missing_neurons(frames[trained_on], len(self.neurons_)), axis=0)
        self.neurons_without_data_ = [name for name, lacks in zip(self.neurons_, missing, strict=True) if lacks]
        return self._masked(frames)

    def _frames_to_predict(self, X: Any, worm: Any) -> np.ndarray:
        X = match_neurons(X, getattr(self, "feature_names_in_", None))
        frames = validate_like_training(self, X, dtype=np.float64, ensure_all_finite="allow-nan")
        frames = self._masked(frames)
        check_neurons(frames, self.neurons_, X, worm)
        return frames

    def _masked(self, frames: np.ndarray) -> np.ndarray:
        unseen = np.isin(self.neurons_, self.neurons_without_data_)
        if unseen.any():
            # What was drawn for a neuron at random and never learned must not speak.
            frames = np.where(np.repeat(unseen, len(self.node_features_)), np.nan, frames).astype(frames.dtype)
        return frames

    @property
    def _n_outputs(self) -> int:
        return len(self.classes_)

    def predict_proba(self, X: Any, worm: Any = None) -> np.ndarray:
        """Give the probability of every state.

        Parameters
        ----------
        X : array-like of shape (n_frames, n_neurons * n_node_features)
            Frames; NaN where a neuron is missing. A DataFrame with columns ``"neuron:feature"``, on which the model was
            trained too, is matched by name: columns may come in any order, neurons that it lacks count as missing, and
            further ones are ignored.
        worm : array-like of shape (n_frames,), optional
            Worm of each frame; by default the index level ``"worm"`` of `X`.

        Returns
        -------
        ndarray of shape (n_frames, n_states)
            Probabilities, in the order of ``classes_``.
        """
        check_is_fitted(self)
        return torch.softmax(self._outputs(X, worm), dim=1).cpu().numpy()

    def predict(self, X: Any, worm: Any = None) -> np.ndarray:
        """Predict the state of every frame.

        Parameters
        ----------
        X : array-like of shape (n_frames, n_neurons * n_node_features)
            Frames, as :meth:`predict_proba` takes them.
        worm : array-like of shape (n_frames,), optional
            Worm of each frame; by default the index level ``"worm"`` of `X`.

        Returns
        -------
        ndarray of shape (n_frames,)
            The most probable states (equation 3).
        """
        probabilities = self.predict_proba(X, worm=worm)
        return self.classes_[probabilities.argmax(axis=1)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


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


class GNNStateClassifier(NeuralStateClassifier, GraphFrameEstimator):
    """Read the behavioural state with a graph neural network on an inferred weighted graph.

    `fit` infers one graph a training worm (``graphs_``) and one of all their frames (``graph_``). With static edges,
    `predict` takes the stored graph for a training worm, infers the graph of a worm it has not seen from the frames
    that it is given (never from labels), and uses ``graph_`` for frames that name no worm. Dynamic edges are
    inferred frame by frame, so that every frame stands alone, as it does with `convolution`.

    Worms need not have the same neurons, see :class:`MLPStateClassifier`: a neuron that is missing sends no message and
    receives none, and no edge from or to it is inferred.

    Parameters
    ----------
    edges : {"static", "dynamic", "free"}, default="static"
        One graph a worm, one graph a frame, or one freely learned graph for all.
    graph : DataFrame of shape (n_neurons, n_neurons), default=None
        A given graph in place of inferred edges: weights from the neuron of the row (pre) to the neuron of the
        column (post), aligned by name; further neurons are ignored.
    convolution : {"gin0", "gin", "sage", "gat", "gatv2", "attention"} or None, default=None
        An established graph module in place of equations 8 to 12, which None keeps: GIN-0, GIN-ε, GraphSAGE with the
        mean, GAT, GATv2 or global attention, each to `n_hidden` features and followed by a rectifier. It runs on the
        fully connected graph, or on `graph`: an entry that is not 0 is an edge, whatever its weight, and the diagonal
        does not count. `edges`, the parameters of inferred edges, `self_edges`, `message_normalization` and `residual`
        then have no effect, and `n_message_steps` must be 1.
    n_heads : int, default=1
        Heads of ``"gat"`` and ``"gatv2"``, each of `n_hidden` features, set side by side.
    static_average : {"node_features", "hidden_neurons", "hidden_edges", "edge_weights"}, default="node_features"
        What a static graph averages over a worm's frames (equations 8 to 11).
    edge_aggregation : {"concatenate", "sum"}, default="concatenate"
        How two neurons' hidden features come together (equation 9); their sum gives a symmetric graph.
    edge_temperature : float, default=1.0
        Divides the logits of an edge before the softmax (equation 10); small values push weights to 0 or 1.
    neuron_embedding : int, default=8
        Learned features a neuron that tell the edge encoder which neuron it looks at; 0 for none.
    encoder_batch_norm : bool, default=False
        Batch normalisation inside the edge encoder.
    self_edges : bool, default=True
        Whether a neuron sends a message to itself (equation 12).
    message_normalization : {"row", "mean"} or None, default="mean"
        Divide a neuron's messages by the sum of its incoming weights, by the number of neurons, or not.
    residual : bool, default=True
        Add a neuron's own features to its messages.
    n_message_steps : int, default=1
        How many times messages are passed.
    aggregation, n_hidden, n_layers, batch_norm, augmentation, n_node_features
        See :class:`MLPStateClassifier`; they shape the readout (equation 13). `n_hidden` is the size of the edge
        encoder too.
    weight_decay : float or "auto", default="auto"
        Penalty on the squared weights of the readout; ``"auto"`` is 0.01 without augmentation and 0 with it. The edge
        encoder is spared: a penalty on it makes every graph uniform.
    max_epochs, learning_rate, learning_rate_factor, learning_rate_patience
        See :class:`MLPStateClassifier`.
    validation_fraction, window, device, random_state, verbose
        See :class:`MLPStateClassifier`.

    Attributes
    ----------
    graph_ : DataFrame of shape (n_neurons, n_neurons)
        Graph of all training frames together; weight from the neuron of the row (pre) to that of the column (post).
        With `convolution`, the attention averaged over frames and heads, or for GIN and GraphSAGE 1 for every edge.
        NaN for an inferred edge between neurons that are never there in the same frame.
    graphs_ : dict of DataFrame
        Graph of each training worm; empty where training named no worms.
    classes_, neurons_, node_features_, neurons_without_data_, worms_, net_, n_iter_, best_epoch_, frame_settings_, \
n_features_in_, feature_names_in_
        See :class:`MLPStateClassifier`.

    References
    ----------
    Wang et al. 2021, equations 8 to 14; Supplementary Information, "Model Selection".

    Examples
    --------
    >>> from skworm import GNNStateClassifier
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> X, y = make_frames(make_worms(n_worms=2, n_frames=400, random_state=0), states="2")
    >>> gnn = GNNStateClassifier(max_epochs=50, learning_rate=1e-2, random_state=0).fit(X, y)
    >>> gnn.graph_.shape == (len(gnn.neurons_), len(gnn.neurons_))
    True
    >>> sorted(gnn.graphs_) == sorted(X.index.unique("worm"))
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NeuralStateClassifier._parameter_constraints,
        **GraphFrameEstimator._graph_constraints,
    }

    def __init__(
        self,
        *,
        edges: str = "static",
        graph: pd.DataFrame | None = None,
        convolution: str | None = None,
        n_heads: int = 1,
        static_average: str = "node_features",
        edge_aggregation: str = "concatenate",
        edge_temperature: float = 1.0,
        neuron_embedding: int = 8,
        encoder_batch_norm: bool = False,
        self_edges: bool = True,
        message_normalization: str | None = "mean",
        residual: bool = True,
        n_message_steps: int = 1,
        aggregation: str = "concatenate",
        n_hidden: int = 16,
        n_layers: int = 1,
        batch_norm: str | None = "auto",
        augmentation: VirtualWorms | None = None,
        n_node_features: int | None = None,
        max_epochs: int = 800,
        learning_rate: float = 1e-3,
        weight_decay: float | str = "auto",
        learning_rate_factor: float = 0.25,
        learning_rate_patience: int = 50,
        validation_fraction: float = 0.1,
        window: int = 8,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            aggregation=aggregation,
            n_hidden=n_hidden,
            n_layers=n_layers,
            batch_norm=batch_norm,
            augmentation=augmentation,
            n_node_features=n_node_features,
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
        self.encoder_batch_norm = encoder_batch_norm
        self.self_edges = self_edges
        self.message_normalization = message_normalization
        self.residual = residual
        self.n_message_steps = n_message_steps

    @classmethod
    def as_published(cls, **parameters: Any) -> GNNStateClassifier:
        """Make the network that the paper's equations describe, read literally.

        Hidden features of neurons are averaged over a worm's frames before edges are encoded, neurons have no
        identity, messages are summed without normalisation or residual, every perceptron has two layers with batch
        normalisation on its output, and nothing is penalised or augmented.

        Parameters
        ----------
        **parameters
            Other parameters, or changes to these.

        Returns
        -------
        GNNStateClassifier
            Not yet fitted.
        """
        published = {
            "static_average": "hidden_neurons",
            "neuron_embedding": 0,
            "encoder_batch_norm": True,
            "message_normalization": None,
            "residual": False,
            "n_layers": 2,
            "batch_norm": "output",
            "weight_decay": 0.0,
        }
        return cls(**{**published, **parameters})
