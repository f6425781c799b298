"""Behaviour regressors: networks that read continuous signals from a frame."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, validate_data
from torch import nn

from skworm.estimators.network import FrameEstimator, GraphEstimator
from skworm.frames.index import check_same_columns, check_same_order, signal_names

_LOSSES = MappingProxyType({"squared_error": nn.MSELoss, "huber": nn.HuberLoss})
_KNOWN_OR_NOT: dict[str, Any] = {"dtype": np.float64, "ensure_2d": False, "ensure_all_finite": "allow-nan"}


class NeuralBehaviorRegressor(MultiOutputMixin, RegressorMixin, FrameEstimator):
    """A torch module that maps frames to continuous signals, trained through skorch.

    Parameters
    ----------
    loss : {"squared_error", "huber"}, default="squared_error"
        What training makes small. ``"huber"`` grows linearly beyond an error of one standard deviation of the signal,
        so that glitches of a tracker count for less.

    Attributes
    ----------
    signals_ : list of str
        Signals, from the name or the columns of `y`, else numbers.
    signal_mean_, signal_scale_ : ndarray of shape (n_signals,)
        Mean and standard deviation of each signal over the known training frames, in its own unit; a constant signal
        has a scale of 1.
    """

    loss: Literal["squared_error", "huber"] = "squared_error"

    _words: ClassVar[dict[str, str]] = {
        "y": """\
array-like of shape (n_frames,) or (n_frames, n_signals)
    Signals, of :func:`skworm.frames.make_behavior`; frames where one is NaN are left out.""",
        "score y": """\
array-like of shape (n_frames,) or (n_frames, n_signals)
    True signals; NaN is left out, of each signal by itself.""",
        "predict returns": """\
ndarray of shape (n_frames,) or (n_frames, n_signals)
    Signals in their own units, in as many dimensions as `y` had.""",
        "score returns": """\
float
    R², the mean over signals: 1 for a perfect prediction, 0 for one as good as the mean of `y`.""",
    }

    def fit(self, X: Any, y: Any, worm: Any = None, sample_weight: Any = None) -> Self:
        """Train on frames.

        Raises
        ------
        ValueError
            If `y` is infinite, no number, or known in fewer than two frames.
        """
        return super().fit(X, y, worm, sample_weight)

    def _checked(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        frames, signals = validate_data(self, X, y, validate_separately=({"dtype": np.float32}, _KNOWN_OR_NOT))
        check_consistent_length(frames, signals)
        self.signals_ = signal_names(y)
        self._one_column = signals.ndim == 1
        signals = signals.reshape(len(signals), -1)
        return frames, signals, np.isfinite(signals).all(axis=1)

    def _learn_targets(self, y: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        if len(y) < 2:
            raise ValueError(
                f"y has {len(y)} frames with known signals {self.signals_} (n_samples={len(y)}), and at least two are "
                "needed; train on more frames, or leave signals out that are NaN"
            )
        self.signal_mean_, spread = y.mean(axis=0), y.std(axis=0)
        self.signal_scale_ = np.where(spread > 0, spread, 1.0)
        return ((y - self.signal_mean_) / self.signal_scale_).astype(np.float32), weight

    @property
    def _loss(self) -> type[nn.Module]:
        return _LOSSES[self.loss]

    @property
    def _n_outputs(self) -> int:
        return len(self.signals_)

    def predict(self, X: Any, worm: Any = None) -> np.ndarray:
        """Predict the signals of every frame."""
        check_is_fitted(self)
        signals = self._outputs(X, worm).cpu().numpy() * self.signal_scale_ + self.signal_mean_
        return signals[:, 0] if self._one_column else signals

    def score(self, X: Any, y: Any, sample_weight: Any = None, worm: Any = None) -> float:
        """Return the coefficient of determination over the frames whose signal is known.

        Raises
        ------
        ValueError
            If `y` does not fit the predictions, or a signal has no known frame.
        """
        check_same_order(X, y)
        check_same_columns(signal_names(y), self.signals_)
        predicted = self.predict(X, worm=worm).reshape(-1, self._n_outputs)
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


class MLPBehaviorRegressor(NeuralBehaviorRegressor):
    """Read velocity or other continuous behaviour with a multi-layer perceptron on all neurons' features.

    Several signals, the columns of a two-dimensional `y`, share the hidden layers. Each is measured from its mean, in
    units of its standard deviation over the training frames; predictions are in its own unit again. Every neuron has to
    be there in every frame, in training and in prediction: NaN is an error, as is `neuron_dropout` of virtual worms.

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


class GNNBehaviorRegressor(NeuralBehaviorRegressor, GraphEstimator):
    """Read velocity or other continuous behaviour with a graph neural network on an inferred weighted graph.

    The network is that of :class:`GNNStateClassifier`, with one output a signal in place of one a state; graphs are
    inferred and kept in the same way.

    References
    ----------
    Wang et al. 2021, equations 8 to 14, for the network; the paper decodes states, and no continuous behaviour.

    Examples
    --------
    >>> import numpy as np
    >>> from skworm import GNNBehaviorRegressor
    >>> X, velocity = np.random.rand(60, 4), np.random.rand(60)
    >>> GNNBehaviorRegressor(max_epochs=5, random_state=0).fit(X, velocity).graph_.shape
    (4, 4)
    """
