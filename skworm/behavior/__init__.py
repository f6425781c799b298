"""Behaviour regressors: from calcium traces to velocity and other continuous signals."""

from skworm.behavior.gnn import GNNBehaviorRegressor
from skworm.behavior.mlp import MLPBehaviorRegressor

__all__ = ["GNNBehaviorRegressor", "MLPBehaviorRegressor"]
