"""Inspect recordings, fitted models and their scores: graphs, importance of neurons, leakage between windows."""

from skworm.inspection.functional import FunctionalGraph, functional_graph
from skworm.inspection.graphs import compare_graphs, inferred_graph
from skworm.inspection.importance import neuron_importance, summarize_importance
from skworm.inspection.leakage import describe_leakage, leakage_report

__all__ = [
    "FunctionalGraph",
    "compare_graphs",
    "describe_leakage",
    "functional_graph",
    "inferred_graph",
    "leakage_report",
    "neuron_importance",
    "summarize_importance",
]
