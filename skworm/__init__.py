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
    from skworm.training import VirtualWorms

# Estimators bring torch along, so each is imported when first asked for.
_HOMES = {
    "AsymmetricDiffusionMap": "skworm.estimators.manifold",
    "ConformalStateClassifier": "skworm.estimators.calibration",
    "GAT": "skworm.estimators.parts",
    "GATv2": "skworm.estimators.parts",
    "GIN": "skworm.estimators.parts",
    "GNNBehaviorRegressor": "skworm.estimators.behavior",
    "GNNStateClassifier": "skworm.estimators.states",
    "GNNTrajectoryRegressor": "skworm.estimators.trajectory",
    "GlobalAttention": "skworm.estimators.parts",
    "HiddenMarkovStateClassifier": "skworm.estimators.hidden_markov",
    "InferredGraph": "skworm.estimators.parts",
    "LearnedGraph": "skworm.estimators.parts",
    "LinearTrajectoryRegressor": "skworm.estimators.baselines",
    "MLPBehaviorRegressor": "skworm.estimators.behavior",
    "MLPStateClassifier": "skworm.estimators.states",
    "MLPTrajectoryRegressor": "skworm.estimators.trajectory",
    "Messages": "skworm.estimators.parts",
    "NodeMLPTrajectoryRegressor": "skworm.estimators.trajectory",
    "PersistenceRegressor": "skworm.estimators.baselines",
    "Readout": "skworm.estimators.parts",
    "Rollout": "skworm.estimators.parts",
    "SAGE": "skworm.estimators.parts",
    "SVMStateClassifier": "skworm.estimators.svm",
    "StateStream": "skworm.estimators.stream",
    "TemperatureScaledClassifier": "skworm.estimators.calibration",
    "VirtualWorms": "skworm.training",
    "WormGroupKFold": "skworm.model_selection",
    "load": "skworm.persistence",
    "save": "skworm.persistence",
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
    if name not in _HOMES:
        raise AttributeError(f"module 'skworm' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
