"""Graph neural networks that read C. elegans behaviour from calcium traces, as scikit-learn estimators."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

__version__ = version("skworm")

if TYPE_CHECKING:
    from skworm.estimators.baselines import LinearTrajectoryRegressor, PersistenceRegressor
    from skworm.estimators.behavior import GNNBehaviorRegressor, MLPBehaviorRegressor
    from skworm.estimators.calibration import ConformalStateClassifier, TemperatureScaledClassifier
    from skworm.estimators.hidden_markov import HiddenMarkovStateClassifier
    from skworm.estimators.manifold import AsymmetricDiffusionMap
    from skworm.estimators.parts import (
        GAT,
        GIN,
        SAGE,
        GATv2,
        GlobalAttention,
        InferredGraph,
        LearnedGraph,
        Messages,
        Readout,
        Rollout,
    )
    from skworm.estimators.states import GNNStateClassifier, MLPStateClassifier
    from skworm.estimators.stream import StateStream
    from skworm.estimators.svm import SVMStateClassifier
    from skworm.estimators.trajectory import GNNTrajectoryRegressor, MLPTrajectoryRegressor, NodeMLPTrajectoryRegressor
    from skworm.model_selection import WormGroupKFold
    from skworm.persistence import load, save
    from skworm.training.augmentation import VirtualWorms

# Estimators bring torch along, so each is imported when first asked for.
_HOMES = {
    "estimators.baselines": ("LinearTrajectoryRegressor", "PersistenceRegressor"),
    "estimators.behavior": ("GNNBehaviorRegressor", "MLPBehaviorRegressor"),
    "estimators.calibration": ("ConformalStateClassifier", "TemperatureScaledClassifier"),
    "estimators.hidden_markov": ("HiddenMarkovStateClassifier",),
    "estimators.manifold": ("AsymmetricDiffusionMap",),
    "estimators.parts": (
        *("InferredGraph", "LearnedGraph", "Messages", "Readout", "Rollout"),
        *("GAT", "GATv2", "GIN", "GlobalAttention", "SAGE"),
    ),
    "estimators.states": ("GNNStateClassifier", "MLPStateClassifier"),
    "estimators.stream": ("StateStream",),
    "estimators.svm": ("SVMStateClassifier",),
    "estimators.trajectory": ("GNNTrajectoryRegressor", "MLPTrajectoryRegressor", "NodeMLPTrajectoryRegressor"),
    "model_selection": ("WormGroupKFold",),
    "persistence": ("load", "save"),
    "training.augmentation": ("VirtualWorms",),
}

__all__ = [
    "GAT",
    "GIN",
    "SAGE",
    "AsymmetricDiffusionMap",
    "ConformalStateClassifier",
    "GATv2",
    "GNNBehaviorRegressor",
    "GNNStateClassifier",
    "GNNTrajectoryRegressor",
    "GlobalAttention",
    "HiddenMarkovStateClassifier",
    "InferredGraph",
    "LearnedGraph",
    "LinearTrajectoryRegressor",
    "MLPBehaviorRegressor",
    "MLPStateClassifier",
    "MLPTrajectoryRegressor",
    "Messages",
    "NodeMLPTrajectoryRegressor",
    "PersistenceRegressor",
    "Readout",
    "Rollout",
    "SVMStateClassifier",
    "StateStream",
    "TemperatureScaledClassifier",
    "VirtualWorms",
    "WormGroupKFold",
    "__version__",
    "load",
    "save",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"skworm.{module}"), name)
    raise AttributeError(f"module 'skworm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
