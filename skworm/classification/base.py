"""What all state classifiers share: known states, validation, training, prediction."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from skworm.layout import parse_column_names, window_of_rows, worm_of_rows
from skworm.nn.blocks import Readout
from skworm.states import UNKNOWN
from skworm.training import (
    TrainingSettings,
    VirtualWorms,
    held_out_windows,
    one_thread,
    resolve_device,
    seeded,
    train,
)

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


class NeuralStateClassifier(StateClassifierMixin, BaseEstimator):
    """A torch module that maps frames to logits, trained through skorch."""

    _decayed = "readout.*"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "aggregation": [StrOptions({"concatenate", "sum", "mean"})],
        "n_hidden": [Interval(Integral, 1, None, closed="left")],
        "n_layers": [Interval(Integral, 1, None, closed="left")],
        "batch_norm": [StrOptions({"auto", "output", "before_activation"}), None],
        "augmentation": [VirtualWorms, None],
        "n_node_features": [Interval(Integral, 1, None, closed="left"), None],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "learning_rate_factor": [Interval(Real, 0, 1, closed="neither")],
        "learning_rate_patience": [Interval(Integral, 0, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "window": [Interval(Integral, 1, None, closed="left")],
        "device": [StrOptions({"auto", "cpu", "cuda"})],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
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
        self.aggregation = aggregation
        self.n_hidden = n_hidden
        self.n_layers = n_layers
        self.batch_norm = batch_norm
        self.augmentation = augmentation
        self.n_node_features = n_node_features
        self.max_epochs = max_epochs
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.learning_rate_factor = learning_rate_factor
        self.learning_rate_patience = learning_rate_patience
        self.validation_fraction = validation_fraction
        self.window = window
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

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
        self._validate_params()
        if self.augmentation is not None:
            self.augmentation.check()
        frames, states = validate_data(self, X, y, dtype=np.float32)
        self._read_columns(X)
        known = known_states(states)
        self.classes_, targets = encode_states(self, states[known])
        worms = worm_of_rows(X, worm)
        population = np.zeros(len(frames), dtype=int) if worms is None else worms
        self.worms_, group = np.unique(population[known], return_inverse=True)
        window = window_of_rows(X, population, self.window)[known]
        random_state = check_random_state(self.random_state)
        seed = random_state.randint(np.iinfo(np.int32).max)
        held_out = held_out_windows(group, window, self.validation_fraction, random_state)
        self._train(frames[known], group, targets, held_out, seed)
        self._after_training(frames[known], None if worms is None else group)
        return self

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

    def _read_columns(self, X: Any) -> None:
        names = parse_column_names(X.columns) if hasattr(X, "columns") else None
        if names is not None:
            self.neurons_, self.node_features_ = names
            if self.n_node_features not in (None, len(self.node_features_)):
                raise ValueError(
                    f"n_node_features={self.n_node_features}, but the columns of X name "
                    f"{len(self.node_features_)}: {self.node_features_}; leave n_node_features=None"
                )
            return
        n_node_features = self.n_node_features or 1
        if self.n_features_in_ % n_node_features:
            raise ValueError(
                f"X has {self.n_features_in_} columns, not a multiple of n_node_features={n_node_features}; columns "
                "are neuron-major, n_node_features a neuron"
            )
        self.neurons_ = [str(neuron) for neuron in range(self.n_features_in_ // n_node_features)]
        self.node_features_ = [str(feature) for feature in range(n_node_features)]

    def _train(self, X: np.ndarray, group: np.ndarray, targets: np.ndarray, held_out: np.ndarray, seed: int) -> None:
        settings = TrainingSettings(
            max_epochs=self.max_epochs,
            learning_rate=self.learning_rate,
            weight_decay=self._weight_decay(),
            decayed=self._decayed,
            learning_rate_factor=self.learning_rate_factor,
            learning_rate_patience=self.learning_rate_patience,
            device=resolve_device(self.device),
            seed=seed,
            verbose=int(self.verbose),
        )
        with one_thread(), seeded(seed, settings.device):
            module = self._build_module()
            self.net_ = train(module, nn.CrossEntropyLoss, X, group, targets, held_out, settings, self.augmentation)
        # In single precision a frame's probabilities would depend, if slightly, on the frames that come with it.
        self.net_.module_.double()
        self.n_iter_ = len(self.net_.history)
        self.best_epoch_ = dict(self.net_.callbacks_)["best_epoch"].best_epoch_

    def _build_module(self) -> nn.Module:
        raise NotImplementedError

    def _after_training(self, X: np.ndarray, group: np.ndarray | None) -> None:
        pass

    def _logits(self, X: Tensor, worms: np.ndarray | None) -> Tensor:
        group = torch.zeros(len(X), dtype=torch.long, device=X.device)
        return self._forward_in_chunks(X, group)

    def _forward_in_chunks(self, X: Tensor, group: Tensor, **others: Tensor) -> Tensor:
        module = self.net_.module_
        chunks = zip(X.split(_FRAMES_A_CHUNK), group.split(_FRAMES_A_CHUNK), strict=True)
        return torch.cat([module(part, members, **others) for part, members in chunks])

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.tensor(array, device=self.net_.device)

    def _weight_decay(self) -> float:
        if self.weight_decay == "auto":
            return 0.01 if self.augmentation is None else 0.0
        return float(self.weight_decay)

    def _readout(self) -> Readout:
        batch_norm = self.batch_norm
        if batch_norm == "auto":
            batch_norm = None if self.augmentation is None else "output"
        return Readout(
            len(self.neurons_),
            len(self.node_features_),
            len(self.classes_),
            n_hidden=self.n_hidden,
            n_layers=self.n_layers,
            batch_norm=batch_norm,
            aggregation=self.aggregation,
        )
