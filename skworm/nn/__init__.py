"""Torch modules: perceptrons, graphs between neurons, memories, and the classifiers and rollouts built of them."""

from skworm.nn.classifiers import GNNClassifierModule, MLPClassifierModule
from skworm.nn.dynamics import Step, TrajectoryModule
from skworm.nn.graphs import DynamicGraph, EdgeEncoder, FixedGraph, FreeGraph, StaticGraph
from skworm.nn.memory import FrameLSTM, NeuronGRU, NeuronLSTM, NeuronReadout
from skworm.nn.messages import MessagePassing

__all__ = [
    "DynamicGraph",
    "EdgeEncoder",
    "FixedGraph",
    "FrameLSTM",
    "FreeGraph",
    "GNNClassifierModule",
    "MLPClassifierModule",
    "MessagePassing",
    "NeuronGRU",
    "NeuronLSTM",
    "NeuronReadout",
    "StaticGraph",
    "Step",
    "TrajectoryModule",
]
