"""What all state classifiers share: known states, validation, training, prediction."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from skworm.layout import parse_context_feature_names, window_of_rows, worm_of_rows
from skworm.neural import NeuralEstimator
from skworm.nn.blocks import Readout
from skworm.nn.groups import Groups
from skworm.states import UNKNOWN
from skworm.training import Batch, Draws, TrainingJob, VirtualWorms, held_out_windows, one_thread

_FRAMES_A_CHUNK = 4096


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


@dataclass(frozen=True)
class _VirtualFrames:
    """Every epoch's frames are those of virtual worms."""

    augmentation: VirtualWorms
    signals: tuple[str, ...]

    @property
    def structure(self) -> Hashable:
        return self.augmentation.n_groups, self.augmentation.mixing > 0, self.signals

    def n_groups(self, n_groups: int) -> int:
        return n_groups * self.augmentation.n_groups

    def draw(self, epoch: int, n_samples: int, n_features: int, generator: torch.Generator) -> Draws:
        return self.augmentation.draw(n_samples, n_features, generator, len(self.signals), self.signals)

    def __call__(self, X: Tensor, group: Tensor, y: Tensor, **drawn: Tensor) -> Batch:
        frames, worms = self.augmentation.apply(X, group, **drawn)
        return {"X": frames, "group": worms}, y


class NeuralStateClassifier(StateClassifierMixin, NeuralEstimator):
    """A torch module that maps frames to logits, trained through skorch."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NeuralEstimator._parameter_constraints,
        "aggregation": [StrOptions({"concatenate", "sum", "mean"})],
    }

    def __init__(
        self,
        *,
        aggregation: str = "concatenate",
        n_hidden: int = 16,
        n_layers: int = 1,
        batch_norm: str | None = "auto",
        augmentation: VirtualWorms | None = None,
        n_node_features: int | None = None,
        max_epochs: int = 800,
        learning_rate: float = 1e-3,
        weight_decay: float | str = 0.0,
        learning_rate_factor: float = 0.25,
        learning_rate_patience: int = 50,
        validation_fraction: float = 0.1,
        window: int = 8,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
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
        self.aggregation = aggregation

    def fit(self, X: Any, y: Any, worm: Any = None) -> NeuralStateClassifier:
        """Train on frames.

        Parameters
        ----------
        X : array-like of shape (n_frames, n_neurons * n_node_features)
            Scaled frames, neuron-major; a DataFrame of :func:`skworm.frames.make_frames` carries worms and neurons.
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
        """Make all of a fit that precedes training; see :meth:`skworm.neural.NeuralEstimator.training_job`."""
        self._validate_params()
        if self.augmentation is not None:
            self.augmentation.check()
        frames, states = validate_data(self, X, y, dtype=np.float32)
        self._name_columns(getattr(X, "columns", None), frames.shape[1])
        known = known_states(states)
        self.classes_, targets = encode_states(self, states[known])
        worms = worm_of_rows(X, worm)
        self._has_worms = worms is not None
        population = np.zeros(len(frames), dtype=int) if worms is None else worms
        self.worms_, group = np.unique(population[known], return_inverse=True)
        window = window_of_rows(X, population, self.window)[known]
        random_state = check_random_state(self.random_state)
        seed = random_state.randint(np.iinfo(np.int32).max)
        held_out = held_out_windows(group, window, self.validation_fraction, random_state)
        signals, _ = parse_context_feature_names(self.node_features_)
        prepare = None if self.augmentation is None else _VirtualFrames(self.augmentation, tuple(signals))
        return self._job(nn.CrossEntropyLoss, frames[known], group, targets, held_out, seed, prepare)

    def predict_proba(self, X: Any, worm: Any = None) -> np.ndarray:
        """Give the probability of every state.

        Parameters
        ----------
        X : array-like of shape (n_frames, n_neurons * n_node_features)
            Frames.
        worm : array-like of shape (n_frames,), optional
            Worm of each frame; by default the index level ``"worm"`` of `X`.

        Returns
        -------
        ndarray of shape (n_frames, n_states)
            Probabilities, in the order of ``classes_``.
        """
        check_is_fitted(self)
        frames = validate_data(self, X, dtype=np.float64, reset=False)
        self.net_.module_.eval()
        with one_thread(), torch.inference_mode():
            logits = self._logits(self._tensor(frames), worm_of_rows(X, worm))
            return torch.softmax(logits, dim=1).cpu().numpy()

    def predict(self, X: Any, worm: Any = None) -> np.ndarray:
        """Predict the state of every frame.

        Parameters
        ----------
        X : array-like of shape (n_frames, n_neurons * n_node_features)
            Frames.
        worm : array-like of shape (n_frames,), optional
            Worm of each frame; by default the index level ``"worm"`` of `X`.

        Returns
        -------
        ndarray of shape (n_frames,)
            The most probable states (equation 3).
        """
        probabilities = self.predict_proba(X, worm=worm)
        return self.classes_[probabilities.argmax(axis=1)]

    def _logits(self, X: Tensor, worms: np.ndarray | None) -> Tensor:
        return self._forward_in_chunks(X, Groups.one(len(X), X.device))

    def _forward_in_chunks(self, X: Tensor, group: Groups, **others: Tensor) -> Tensor:
        module = self.net_.module_
        chunks = zip(X.split(_FRAMES_A_CHUNK), group.index.split(_FRAMES_A_CHUNK), strict=True)
        return torch.cat([module(part, Groups(index, group.n_groups), **others) for part, index in chunks])

    def _readout(self, n_features: int) -> Readout:
        return Readout(
            len(self.neurons_),
            n_features,
            len(self.classes_),
            n_hidden=self.n_hidden,
            n_layers=self.n_layers,
            batch_norm=self._batch_norm(),
            aggregation=self.aggregation,
        )
