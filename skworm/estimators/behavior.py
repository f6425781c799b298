"""Behaviour regressors: networks that read continuous signals from a frame."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, validate_data
from torch import nn

from skworm.estimators.network import FrameEstimator, GraphFrameEstimator
from skworm.frames.index import signal_names
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


class GNNBehaviorRegressor(NeuralBehaviorRegressor, GraphFrameEstimator):
    """Read velocity or other continuous behaviour with a graph neural network on an inferred weighted graph.

    The network is that of :class:`GNNStateClassifier`, with one output a signal in place of one a state; graphs are
    inferred and kept in the same way.

    Parameters
    ----------
    loss : {"squared_error", "huber"}, default="squared_error"
        What training makes small, see :class:`MLPBehaviorRegressor`.
    edges, graph, convolution, n_heads
        See :class:`GNNStateClassifier`.
    static_average, edge_aggregation, edge_temperature, neuron_embedding, encoder_batch_norm
        See :class:`GNNStateClassifier`.
    self_edges, message_normalization, residual, n_message_steps
        See :class:`GNNStateClassifier`.
    aggregation, n_hidden, n_layers, batch_norm, augmentation, n_node_features, weight_decay
        See :class:`GNNStateClassifier`.
    max_epochs, learning_rate, learning_rate_factor, learning_rate_patience
        See :class:`MLPStateClassifier`.
    validation_fraction, window, device, random_state, verbose
        See :class:`MLPStateClassifier`.

    Attributes
    ----------
    graph_ : DataFrame of shape (n_neurons, n_neurons)
        Graph of all training frames together, see :class:`GNNStateClassifier`.
    graphs_ : dict of DataFrame
        Graph of each training worm; empty where training named no worms.
    signals_, signal_mean_, signal_scale_, neurons_, node_features_, worms_, net_, n_iter_, best_epoch_, \
frame_settings_, n_features_in_, feature_names_in_
        See :class:`MLPBehaviorRegressor`.

    References
    ----------
    Wang et al. 2021, equations 8 to 14, for the network; the paper decodes states, and no continuous behaviour.

    Examples
    --------
    >>> from skworm import GNNBehaviorRegressor
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_behavior, make_frames
    >>> worms = make_worms(n_worms=2, n_frames=400, random_state=0)
    >>> X, _ = make_frames(worms, states=None)
    >>> velocity = make_behavior(worms, X)
    >>> gnn = GNNBehaviorRegressor(max_epochs=50, learning_rate=1e-2, random_state=0).fit(X, velocity)
    >>> gnn.score(X, velocity) > 0.7
    True
    >>> gnn.graph_.shape == (len(gnn.neurons_), len(gnn.neurons_))
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NeuralBehaviorRegressor._parameter_constraints,
        **GraphFrameEstimator._graph_constraints,
    }

    def __init__(
        self,
        *,
        loss: str = "squared_error",
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
            loss=loss,
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
