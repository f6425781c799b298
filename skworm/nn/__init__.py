"""Torch modules: multi-layer perceptrons, graphs between neurons, and the classifiers built of them."""

from skworm.nn.classifiers import GNNClassifierModule, MLPClassifierModule
from skworm.nn.graphs import DynamicGraph, EdgeEncoder, FixedGraph, FreeGraph, StaticGraph
from skworm.nn.messages import MessagePassing

__all__ = [
    "DynamicGraph",
    "EdgeEncoder",
    "FixedGraph",
    "FreeGraph",
    "GNNClassifierModule",
    "MLPClassifierModule",
    "MessagePassing",
    "StaticGraph",
]
