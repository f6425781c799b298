"""What of the paper can be repeated, in words alone, so that a command line can list it without loading any model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Target:
    """A comparison of state classifiers that the paper makes, and how this project repeats it.

    Parameters
    ----------
    name : str
        Name of the command.
    title : str
        Caption of its table.
    summary : str
        What the command does, in one sentence.
    paper : str
        What the paper says about it.
    made_by : str
        ``"module:function"`` within ``skworm.experiments``, called with this target and its settings.
    states : tuple of str
        Vocabularies of states, by default.
    n_train_worms : tuple of int or None
        Numbers of training worms, by default; None for every number that leaves a worm unseen.
    n_folds : int
        Folds out of ten that are held out in turn, by default.
    """

    name: str
    title: str
    summary: str
    paper: str
    made_by: str
    states: tuple[str, ...] = ("2", "4")
    n_train_worms: tuple[int, ...] | None = (1,)
    n_folds: int = 1


_TARGETS = (
    Target(
        "figure4a",
        "Accuracy against the number of training worms",
        "Draw accuracy on unseen worms against the number of training worms, with 7 and with 4 states.",
        "About 92 per cent on the same worm with 7 states; GNN trained on three worms 87 per cent with 4 states on the "
        "remaining worms; about 70 per cent for MLP and GNN on the worms of Nichols et al. Other values stand in the "
        "figure alone.",
        "classifier_studies:figure_4a",
        states=("7", "4"),
        n_train_worms=None,
        n_folds=10,
    ),
    Target(
        "figure4b",
        "Confusion matrix",
        "Draw which states are taken for which: per cent of each labelled state, on unseen worms.",
        "Figure 4B shows such a matrix for the worms of Nichols et al. and 4 states; its numbers stand in the figure "
        "alone.",
        "confusion:figure_4b",
        states=("7",),
        n_folds=10,
    ),
    Target(
        "without-ava",
        "Without the AVA neurons",
        "Compare classifiers with and without AVAL and AVAR, which took part in defining the states.",
        '"No noticeable difference in model performance"; no numbers.',
        "classifier_studies:without_ava",
    ),
    Target(
        "one-hot-edges",
        "One-hot encoding of edges",
        "Score the GNN against the temperature of its edges: soft weights, or near to 0 and 1.",
        'Similar accuracy on the same worm, but the GNN "failed to generalize well to unseen worms"; no numbers.',
        "classifier_studies:one_hot_edges",
    ),
    Target(
        "three-neurons",
        "Three neurons against all",
        "Compare classifiers on AIBR, AVAL and VB02 alone with those on all neurons.",
        '"Performance was not significantly impacted by using 3 neurons instead of 15". Table 1 has 15 neurons on '
        "unseen worms and, as the external worms have no others, 3 on those.",
        "classifier_studies:three_neurons",
    ),
    Target(
        "edges-vs-connectome",
        "Inferred edges against the connectome",
        "Compare inferred graphs with connectomes, and the GNN with one on edges of the connectome.",
        '"We found no similarities between our inferred edges and the connectome"; the classifiers are those of '
        "Table 1.",
        "connectome_edges:edges_vs_connectome",
        states=("2",),
    ),
    Target(
        "modules",
        "Established graph modules in place of the paper's",
        "Compare the GNN with GIN-0, GIN-eps, GraphSAGE, GAT, GATv2 and global attention.",
        '"The GAT ... performs slightly worse on behavioral state classification", and "the GIN-eps was prone to '
        'overfitting"; no numbers.',
        "graph_studies:modules",
    ),
    Target(
        "graph-ablation",
        "Does the graph matter?",
        "Compare the GNN on its inferred graph with the same network on other graphs, worm by worm.",
        "The paper credits the GNN's score to messages along inferred edges, and shows no such comparison.",
        "graph_studies:graph_ablation",
    ),
)

TARGETS: Mapping[str, Target] = MappingProxyType({target.name: target for target in _TARGETS})
"""Comparisons of state classifiers beside Table 1, by name."""

TABLE_1_MODELS = (
    "diffusion-map",
    "svm",
    "mlp",
    "mlp-published",
    "gnn-connectome",
    "gnn",
    "gnn-published",
    "gnn-dynamic",
    "gnn-free",
    "mlp-virtual-worms",
    "gnn-virtual-worms",
)
"""The names of the state classifiers that Table 1 can compare."""

FORECAST_NETWORKS = (
    "mlp",
    "node-mlp",
    "gnn",
    "gnn-static",
    "mlp-plain",
    "mlp-uncentred",
    "mlp-published",
    "node-mlp-published",
    "gnn-published",
    "mlp-lags",
    "mlp-lstm",
    "node-mlp-lstm",
    "gnn-gated",
)
"""The names of the networks that forecasts can compare."""

FORECAST_TARGETS = ("figure4c", "figure4d")
"""The names of the comparisons of forecasts, which share one run."""

ALL_TARGETS = ("table1", "figure4a", "figure4b", *FORECAST_TARGETS, *list(TARGETS)[2:])
"""Everything that ``skworm reproduce all`` repeats, in the order of the paper."""


def folder_of(name: str) -> str:
    """Name the folder of a target; the two of the forecasts share the fits in theirs."""
    return "figure4cd" if name in FORECAST_TARGETS else name
