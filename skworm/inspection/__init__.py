"""Look into fitted models and their scores: inferred graphs, importance of neurons, leakage between windows."""

from skworm.inspection.graphs import compare_graphs, graph_stability, inferred_graph
from skworm.inspection.importance import neuron_importance, summarize_importance
from skworm.inspection.leakage import describe_leakage, leakage_report

__all__ = [
    "compare_graphs",
    "describe_leakage",
    "graph_stability",
    "inferred_graph",
    "leakage_report",
    "neuron_importance",
    "summarize_importance",
]
