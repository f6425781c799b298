"""Trajectory regressors: observed frames in, predicted frames out."""

from skworm.trajectory.baselines import LinearTrajectoryRegressor, PersistenceRegressor
from skworm.trajectory.gnn import GNNTrajectoryRegressor
from skworm.trajectory.mlp import MLPTrajectoryRegressor, NodeMLPTrajectoryRegressor

__all__ = [
    "GNNTrajectoryRegressor",
    "LinearTrajectoryRegressor",
    "MLPTrajectoryRegressor",
    "NodeMLPTrajectoryRegressor",
    "PersistenceRegressor",
]
