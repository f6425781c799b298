"""What neural estimators of every task share: parameters, columns, training, graphs between neurons."""

from skworm.neural.base import NeuralEstimator
from skworm.neural.frames import FrameEstimator, GraphFrameEstimator
from skworm.neural.graphs import GraphEstimator

__all__ = ["FrameEstimator", "GraphEstimator", "GraphFrameEstimator", "NeuralEstimator"]
