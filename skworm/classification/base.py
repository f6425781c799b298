"""What all state classifiers share: known states, validation, training, prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from skworm.classification.missing import check_neurons, match_neurons, missing_neurons
from skworm.expected_frames import validate_like_training
from skworm.neural import FrameEstimator
from skworm.states import UNKNOWN
from skworm.training import TrainingJob


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
