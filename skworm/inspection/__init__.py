"""Inspect recordings, fitted models and their scores: graphs, importance of neurons, leakage between windows."""

from skworm.inspection.classifiers import leakage_report, neuron_importance
from skworm.inspection.functional import FunctionalGraph, functional_graph
from skworm.inspection.graphs import compare_graphs

__all__ = [
    "FunctionalGraph",
    "compare_graphs",
    "functional_graph",
    "leakage_report",
    "neuron_importance",
]
