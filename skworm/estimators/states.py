"""State classifiers: networks that read the behavioural state from a frame."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d, validate_data
from torch import nn

from skworm.estimators.network import FrameEstimator, GraphEstimator, check_neurons, missing_neurons
from skworm.frames.index import check_same_order, frame_settings, match_neurons, validate_like_training
from skworm.parameters import DocumentedEstimator
from skworm.recording import UNKNOWN
from skworm.training.process import one_thread


def known_states(y: np.ndarray) -> np.ndarray:
    """Return which rows carry a state: all but ``"unknown"``."""
    return y != UNKNOWN if y.dtype.kind in "OUT" else np.ones(len(y), dtype=bool)


def encode_states(
    estimator: BaseEstimator, y: np.ndarray, of: str = "the known frames of y"
) -> tuple[np.ndarray, np.ndarray]:
    """List the states and number those of each row, after checking that there are at least two."""
    check_classification_targets(y)
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        found = f"1 class, {classes.tolist()[0]!r}" if len(classes) else "no class"
        raise ValueError(
            f"{type(estimator).__name__} needs at least two states (classes) to tell apart, but {of} hold {found}; "
            "train on frames of more states"
        )
    return classes, codes


class StateClassifierMixin(ClassifierMixin, DocumentedEstimator):
    """A classifier that gives no score to frames whose state is unknown.

    Attributes
    ----------
    classes_ : ndarray of shape (n_states,)
        State names.
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _learn_states(self, X: Any, y: Any, **options: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Check training data; return frames, which of them have a known state, and these states and their codes."""
        check_same_order(X, y)
        _check_weights(getattr(self, "class_weight", None))
        frames, states = validate_data(self, X, y, **options)
        self.frame_settings_ = frame_settings(X)
        known = known_states(states)
        self.classes_, codes = encode_states(self, states[known])
        return frames, known, states[known], codes

    def predict(self, X: Any, worm: Any = None) -> np.ndarray:
        """Predict the state of every frame."""
        probabilities = self.predict_proba(X, worm=worm)
        return self.classes_[probabilities.argmax(axis=1)]

    def score(self, X: Any, y: Any, sample_weight: Any = None, worm: Any = None) -> float:
        """Return the accuracy over the frames whose state is known."""
        check_same_order(X, y)
        true = column_or_1d(y, warn=False)
        check_consistent_length(X, true, sample_weight)
        known = known_states(true)
        weights = None if sample_weight is None else np.asarray(sample_weight)[known]
        predicted = self.predict(X) if worm is None else self.predict(X, worm=worm)
        return accuracy_score(true[known], predicted[known], sample_weight=weights)


def _check_weights(class_weight: Any) -> None:
    for state, weight in class_weight.items() if isinstance(class_weight, dict) else ():
        if not 0 <= weight < np.inf:
            raise ValueError(f"class_weight gives {weight!r} to {state!r}; weights must be numbers, 0 or greater")


class NeuralStateClassifier(StateClassifierMixin, FrameEstimator):
    """A torch module that maps frames to logits, trained through skorch.

    Parameters
    ----------
    class_weight : dict, "balanced" or None, default={class_weight}
        Weights of the states in the loss; ``"balanced"`` weighs each by the inverse of its share of the frames.

    Attributes
    ----------
    neurons_without_data_ : list of str
        Neurons that are missing in all training frames; they count as missing whatever their columns hold.
    """

    class_weight: Literal["balanced"] | dict[str, float] | None = None
    _loss = nn.CrossEntropyLoss
    _takes_missing_neurons = True

    def _checked(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        frames, states = validate_data(self, X, y, dtype=np.float32, ensure_all_finite="allow-nan")
        return frames, states, known_states(states)

    def _learn_targets(self, y: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        weighted = "the known frames of y" + ("" if weight is None else " with a sample_weight above 0")
        self.classes_, targets = encode_states(self, y, weighted)
        if self.class_weight is None:
            return targets, weight
        _check_weights(self.class_weight)
        by_state = compute_sample_weight(self.class_weight, y).astype(np.float32)
        return targets, by_state if weight is None else weight * by_state

    def _frames_to_train(self, frames: np.ndarray, trained_on: np.ndarray) -> np.ndarray:
        """Set ``neurons_without_data_``, and let these be missing in the frames that judge as well."""
        missing = np.all(missing_neurons(frames[trained_on], len(self.neurons_)), axis=0)
        self.neurons_without_data_ = [name for name, lacks in zip(self.neurons_, missing, strict=True) if lacks]
        return self._masked(frames)

    def _rows_to_predict(self, X: Any, worm: Any) -> np.ndarray:
        X = match_neurons(X, getattr(self, "feature_names_in_", None))
        frames = self._masked(validate_like_training(self, X, dtype=np.float64, ensure_all_finite="allow-nan"))
        check_neurons(frames, self.neurons_, X, worm)
        return frames

    def _masked(self, frames: np.ndarray) -> np.ndarray:
        unseen = np.isin(self.neurons_, self.neurons_without_data_)
        if unseen.any():
            # Weights that were drawn at random and never trained must not have an effect.
            frames = np.where(np.repeat(unseen, len(self.node_features_)), np.nan, frames).astype(frames.dtype)
        return frames

    @property
    def _n_outputs(self) -> int:
        return len(self.classes_)

    @one_thread()
    def predict_proba(self, X: Any, worm: Any = None) -> np.ndarray:
        """Return the probability of every state."""
        check_is_fitted(self)
        return torch.softmax(self._outputs(X, worm), dim=1).cpu().numpy()


class MLPStateClassifier(NeuralStateClassifier):
    """Read the behavioural state with a multi-layer perceptron on all neurons' features.

    Worms need not have the same neurons. A neuron with NaN in any feature is missing in that frame; one that is missing
    in all training frames (``neurons_without_data_``) is never looked at. Prediction matches columns
    ``"neuron:feature"`` by name: they may come in any order, neurons that are not there count as missing, and further
    ones are ignored. Columns without such names are one neuron each.

    References
    ----------
    Wang et al. 2021, equations 1 to 3, 6 and 7.

    Examples
    --------
    >>> from skworm import MLPStateClassifier
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> X, y = make_frames(make_worms(n_worms=2, n_frames=400, random_state=0), states="2")
    >>> mlp = MLPStateClassifier(max_epochs=100, random_state=0).fit(X, y)
    >>> mlp.score(X, y) > 0.8
    True
    """


class GNNStateClassifier(NeuralStateClassifier, GraphEstimator):
    """Read the behavioural state with a graph neural network on an inferred weighted graph.

    `fit` infers one graph for each training worm (``graphs_``) and one of all their frames (``graph_``). `predict`
    takes the stored graph for a training worm, infers the graph of a worm that it has not seen from the frames that it
    is given (never from labels), and uses ``graph_`` for frames that name no worm. Graphs for each frame are inferred
    frame by frame, so that every frame stands alone, as it does with a convolution.

    Worms need not have the same neurons, see :class:`MLPStateClassifier`: a neuron that is missing sends no message and
    receives none, and no edge from or to it is inferred.

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
