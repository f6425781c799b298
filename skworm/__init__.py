"""Graph neural networks that read C. elegans behaviour from calcium traces, as scikit-learn estimators."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

__version__ = version("skworm")

if TYPE_CHECKING:
    from skworm.behavior import GNNBehaviorRegressor, MLPBehaviorRegressor
    from skworm.calibration import ConformalStateClassifier, TemperatureScaledClassifier
    from skworm.classification import GNNStateClassifier, MLPStateClassifier, SVMStateClassifier
    from skworm.decoding import HiddenMarkovStateClassifier, StateStream
    from skworm.manifold import AsymmetricDiffusionMap
    from skworm.model_files import load, save
    from skworm.model_selection import WormGroupKFold
    from skworm.training import VirtualWorms
    from skworm.trajectory import (
        GNNTrajectoryRegressor,
        LinearTrajectoryRegressor,
        MLPTrajectoryRegressor,
        NodeMLPTrajectoryRegressor,
        PersistenceRegressor,
    )

# Estimators bring torch along, so each is imported when first asked for.
_HOMES = {
    "AsymmetricDiffusionMap": "skworm.manifold",
    "ConformalStateClassifier": "skworm.calibration",
    "GNNBehaviorRegressor": "skworm.behavior",
    "GNNStateClassifier": "skworm.classification",
    "GNNTrajectoryRegressor": "skworm.trajectory",
    "HiddenMarkovStateClassifier": "skworm.decoding",
    "LinearTrajectoryRegressor": "skworm.trajectory",
    "MLPBehaviorRegressor": "skworm.behavior",
    "MLPStateClassifier": "skworm.classification",
    "MLPTrajectoryRegressor": "skworm.trajectory",
    "NodeMLPTrajectoryRegressor": "skworm.trajectory",
    "PersistenceRegressor": "skworm.trajectory",
    "SVMStateClassifier": "skworm.classification",
    "StateStream": "skworm.decoding",
    "TemperatureScaledClassifier": "skworm.calibration",
    "VirtualWorms": "skworm.training",
    "WormGroupKFold": "skworm.model_selection",
    "load": "skworm.model_files",
    "save": "skworm.model_files",
}

__all__ = [
    "AsymmetricDiffusionMap",
    "ConformalStateClassifier",
    "GNNBehaviorRegressor",
    "GNNStateClassifier",
    "GNNTrajectoryRegressor",
    "HiddenMarkovStateClassifier",
    "LinearTrajectoryRegressor",
    "MLPBehaviorRegressor",
    "MLPStateClassifier",
    "MLPTrajectoryRegressor",
    "NodeMLPTrajectoryRegressor",
    "PersistenceRegressor",
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
