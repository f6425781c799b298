"""What all behaviour regressors share: known frames, targets in units of their spread, prediction."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, validate_data
from torch import nn

from skworm.layout import signal_names
from skworm.neural import FrameEstimator
from skworm.training import TrainingJob, VirtualWorms

_LOSSES = MappingProxyType({"squared_error": nn.MSELoss, "huber": nn.HuberLoss})
_KNOWN_OR_NOT: dict[str, Any] = {"dtype": np.float64, "ensure_2d": False, "ensure_all_finite": "allow-nan"}


class NeuralBehaviorRegressor(MultiOutputMixin, RegressorMixin, FrameEstimator):
    """A torch module that maps frames to continuous signals, trained through skorch."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **FrameEstimator._parameter_constraints,
        "loss": [StrOptions(set(_LOSSES))],
    }

    def __init__(
        self,
        *,
        loss: str = "squared_error",
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
        self.loss = loss

    def fit(self, X: Any, y: Any, worm: Any = None) -> NeuralBehaviorRegressor:
        """Train on frames.

        Parameters
        ----------
        X : array-like of shape (n_frames, n_neurons * n_node_features)
            Scaled frames, neuron-major; a DataFrame of :func:`skworm.frames.make_frames` carries worms and neurons.
        y : array-like of shape (n_frames,) or (n_frames, n_signals)
            Signals, of :func:`skworm.frames.make_behavior`; frames where one is NaN are left out.
        worm : array-like of shape (n_frames,), optional
            Worm of each frame; by default the index level ``"worm"`` of `X`, else all are one population.

        Returns
        -------
        self
            The fitted regressor.

        Raises
        ------
        ValueError
            If `y` is infinite, no number, or known in fewer than two frames.
        """
        super().fit(X, y, worm)
        return self

    def training_job(self, X: Any, y: Any, worm: Any = None) -> TrainingJob:
        """Make all of a fit that precedes training; see ``NeuralEstimator.training_job``."""
        self._check_parameters()
        frames, signals = validate_data(self, X, y, validate_separately=({"dtype": np.float32}, _KNOWN_OR_NOT))
        check_consistent_length(frames, signals)
        self._name_columns(getattr(X, "columns", None), frames.shape[1])
        self.signals_ = signal_names(y)
        self._one_column = signals.ndim == 1
        signals = signals.reshape(len(signals), -1)
        known = np.isfinite(signals).all(axis=1)
        if known.sum() < 2:
            raise ValueError(
                f"y has {known.sum()} frames with known signals {self.signals_} (n_samples={known.sum()}), and at "
                "least two are needed; train on more frames, or leave signals out that are NaN"
            )
        self.signal_mean_ = signals[known].mean(axis=0)
        spread = signals[known].std(axis=0)
        self.signal_scale_ = np.where(spread > 0, spread, 1.0)
        targets = (signals[known] - self.signal_mean_) / self.signal_scale_
        return self._job_of_frames(X, frames, targets.astype(np.float32), known, worm)

    @property
    def _loss(self) -> type[nn.Module]:
        return _LOSSES[self.loss]

    @property
    def _n_outputs(self) -> int:
        return len(self.signals_)

    def predict(self, X: Any, worm: Any = None) -> np.ndarray:
        """Predict the signals of every frame.

        Parameters
        ----------
        X : array-like of shape (n_frames, n_neurons * n_node_features)
            Frames.
        worm : array-like of shape (n_frames,), optional
            Worm of each frame; by default the index level ``"worm"`` of `X`.

        Returns
        -------
        ndarray of shape (n_frames,) or (n_frames, n_signals)
            Signals in their own units, in as many dimensions as `y` had.
        """
        check_is_fitted(self)
        signals = self._outputs(X, worm).cpu().numpy() * self.signal_scale_ + self.signal_mean_
        return signals[:, 0] if self._one_column else signals

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Give the coefficient of determination over the frames whose signal is known.

        Parameters
        ----------
        X : array-like of shape (n_frames, n_features)
            Frames.
        y : array-like of shape (n_frames,) or (n_frames, n_signals)
            True signals; NaN is left out, of each signal by itself.
        sample_weight : array-like of shape (n_frames,), optional
            Weights of the frames.

        Returns
        -------
        float
            R², the mean over signals: 1 for a perfect prediction, 0 for one as good as the mean of `y`.

        Raises
        ------
        ValueError
            If `y` does not fit the predictions, or a signal has no known frame.
        """
        predicted = self.predict(X).reshape(-1, self._n_outputs)
        signals = check_array(y, input_name="y", **_KNOWN_OR_NOT)
        true = signals.reshape(len(signals), -1)
        if true.shape != predicted.shape:
            raise ValueError(
                f"y has shape {signals.shape}, but {len(predicted)} frames of the signals {self.signals_} are "
                "predicted; pass these signals of the same frames"
            )
        weights = np.ones(len(true)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
        known = np.isfinite(true)
        if not known.any(axis=0).all():
            unknown = self.signals_[int(np.flatnonzero(~known.any(axis=0))[0])]
            raise ValueError(f"y has no known frame of the signal {unknown!r}; score it on other frames")
        scores = [
            r2_score(own[rows], other[rows], sample_weight=weights[rows])
            for own, other, rows in zip(true.T, predicted.T, known.T, strict=True)
        ]
        return float(np.mean(scores))
