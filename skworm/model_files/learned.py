"""Which estimators a file can hold, and what each of them has learned."""

from __future__ import annotations

from collections.abc import Mapping

from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skworm.estimators.baselines import LinearTrajectoryRegressor, PersistenceRegressor
from skworm.estimators.behavior import GNNBehaviorRegressor, MLPBehaviorRegressor
from skworm.estimators.calibration import ConformalStateClassifier, TemperatureScaledClassifier
from skworm.estimators.hidden_markov import HiddenMarkovStateClassifier
from skworm.estimators.manifold import AsymmetricDiffusionMap
from skworm.estimators.states import GNNStateClassifier, MLPStateClassifier
from skworm.estimators.svm import PairwiseSVC, SVMStateClassifier
from skworm.estimators.trajectory import GNNTrajectoryRegressor, MLPTrajectoryRegressor, NodeMLPTrajectoryRegressor
from skworm.frames import WormMinMaxScaler

_COLUMNS = ("n_features_in_", "feature_names_in_")
_FRAMES = (*_COLUMNS, "frame_settings_")
_NETWORK = ("neurons_", "node_features_", "worms_", "_has_worms", "n_iter_", "best_epoch_")
_GRAPHS = ("graph_", "graphs_")
_STATES = ("classes_", "neurons_without_data_")
_SIGNALS = ("signals_", "signal_mean_", "signal_scale_", "_one_column")
_STEPS = ("burn_in_", "horizon_", "n_columns_", "_frame_columns", "level_", "levels_")
_ROLLED_OUT = (*_FRAMES, *_STEPS, *_NETWORK, "_bounds", "_ridge")
_WRAPPED = (*_COLUMNS, "classes_", "estimator_")

LEARNED: Mapping[type, tuple[str, ...]] = {
    SVMStateClassifier: (*_FRAMES, "classes_", "svc_", "n_iter_", "fill_"),
    MLPStateClassifier: (*_FRAMES, *_NETWORK, *_STATES),
    GNNStateClassifier: (*_FRAMES, *_NETWORK, *_GRAPHS, *_STATES),
    TemperatureScaledClassifier: (*_WRAPPED, "temperature_"),
    ConformalStateClassifier: (*_WRAPPED, "threshold_", "worm_thresholds_"),
    HiddenMarkovStateClassifier: (*_WRAPPED, "transition_", "shares_"),
    MLPBehaviorRegressor: (*_FRAMES, *_NETWORK, *_SIGNALS),
    GNNBehaviorRegressor: (*_FRAMES, *_NETWORK, *_GRAPHS, *_SIGNALS),
    PersistenceRegressor: (*_FRAMES, *_STEPS),
    LinearTrajectoryRegressor: (*_FRAMES, *_STEPS, "coef_", "intercept_"),
    MLPTrajectoryRegressor: _ROLLED_OUT,
    NodeMLPTrajectoryRegressor: _ROLLED_OUT,
    GNNTrajectoryRegressor: (*_ROLLED_OUT, *_GRAPHS),
    AsymmetricDiffusionMap: (
        *(*_FRAMES, "_points", "_moments", "_modes", "_imaginary"),
        *("transitions_", "eigenvalues_", "periods_", "embedding_"),
    ),
    WormMinMaxScaler: (*_FRAMES, "range_", "worm_ranges_"),
    MinMaxScaler: (*_COLUMNS, "min_", "scale_", "data_min_", "data_max_", "data_range_", "n_samples_seen_"),
    StandardScaler: (*_COLUMNS, "mean_", "scale_", "var_", "n_samples_seen_"),
    PairwiseSVC: ("classes_", "support_vectors_", "dual_coef_", "rho_", "gamma_", "n_iter_"),
    Ridge: (*_COLUMNS, "coef_", "intercept_", "n_iter_", "solver_"),
}
"""What each class has learned after `fit`; the torch modules of networks are written beside it."""

_PARTS = (PairwiseSVC, Ridge)
SUPPORTED = (*(kind for kind in LEARNED if kind not in _PARTS), KNeighborsClassifier, Pipeline)
"""The estimators that a file can hold, by themselves, in a pipeline or in a wrapper."""
