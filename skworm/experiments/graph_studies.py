"""Studies of the graph: the supplement's modules, and the same network on other graphs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.base import clone

from skworm.classification import GNNStateClassifier, MLPStateClassifier
from skworm.experiments.arms import Arm, StudySettings, frames_of, n_parameters
from skworm.experiments.catalogue import Target
from skworm.experiments.classifier_studies import tasks
from skworm.experiments.given_graphs import (
    MEAN_WEIGHT,
    connectome_graph,
    identity_graph,
    random_graph,
    shuffled_connectome,
    silent_neurons,
    uniform_graph,
)
from skworm.experiments.outcome import Outcome
from skworm.experiments.protocol import Material
from skworm.experiments.study import run_study
from skworm.training import VirtualWorms

MODULES: Mapping[str, str] = {
    "GIN-0": "gin0",
    "GIN-ε": "gin",
    "GraphSAGE": "sage",
    "GAT": "gat",
    "GATv2": "gatv2",
    "Global attention": "attention",
}
"""The supplement's modules, and GATv2, by label; their names in ``GNNStateClassifier(convolution=...)``."""

AUGMENTATIONS: Mapping[str, VirtualWorms | None] = {"": None, ", virtual worms": VirtualWorms()}
"""How networks on different graphs are trained, by what is added to the heading."""

INFERRED = "GNN, inferred graph"
N_DRAWS = 2
"""How many random and how many shuffled graphs are drawn."""

_MOST_HIDDEN = 512


def modules(target: Target, settings: StudySettings, material: Material, out: Path, **run: Any) -> Outcome:
    """Compare the GNN with established graph modules in place of its messages."""
    shared = settings.of_networks
    arms = []
    for states, n_train, title in tasks(settings, material):
        arms.append(Arm(title, "GNN", GNNStateClassifier(**shared), states, n_train, material.neurons))
        arms += [
            Arm(title, label, GNNStateClassifier(convolution=name, **shared), states, n_train, material.neurons, "GNN")
            for label, name in MODULES.items()
        ]
    notes = [
        "Every module maps each neuron to as many features as the readout has hidden ones (16), on the fully connected "
        "graph, and has the same readout behind it; the GNN hands the readout a neuron's own 2 features. The modules "
        "therefore have more parameters, as the last column says."
    ]
    return run_study(target, settings, material, arms, out, notes=notes, **run)


def graph_ablation(target: Target, settings: StudySettings, material: Material, out: Path, **run: Any) -> Outcome:
    """Compare the GNN on its inferred graph with the same network on other graphs."""
    neurons = material.neurons
    arms = []
    for states, n_train, title in tasks(settings, material):
        for suffix, augmentation in AUGMENTATIONS.items():
            models = _models_on_graphs(settings, material, states, augmentation)
            arms += [
                Arm(title + suffix, label, model, states, n_train, neurons, INFERRED if label != INFERRED else None)
                for label, model in models.items()
            ]
    silent = silent_neurons(connectome_graph(neurons))
    silence = f" No edge of the connectome leads to {', '.join(silent)}, which hear themselves alone." if silent else ""
    notes = [
        "Each comparison is made with training on the recorded frames and with virtual worms.",
        "Every network has the same readout on the same features, a neuron's own plus what it receives. Given graphs "
        f"are scaled to the same sum of weights, {MEAN_WEIGHT:g} for each pair on average, where an untrained edge "
        "encoder starts. They have no parameters, so networks on given graphs have those of the readout alone; "
        "a free graph adds two for each pair, and an inferred one its edge encoder.",
        "'Identity' passes no message between neurons: it is the MLP behind a scaling. 'Identity, wide readout' has as "
        "many hidden features as bring it nearest to the number of parameters of the inferred graph, so that "
        "what the encoder adds is not mistaken for what parameters add.",
        "Messages are linear and the readout begins with a linear layer on all neurons, so a given graph can be undone "
        "by the readout: what it changes is how easily a solution is found, not which there are. Only an inferred "
        "graph changes from worm to worm.",
        "Random weights are even from 0 to 1. The connectome is White et al. 1986, chemical synapses and gap "
        "junctions, weighted, without self edges; shuffled, every neuron keeps its numbers of incoming and outgoing "
        f"edges. The numbers of random and shuffled graphs are their seeds.{silence}",
    ]
    return run_study(target, settings, material, arms, out, notes=notes, **run)


def hidden_features_to_match(model: Any, wanted: float, X: pd.DataFrame, y: pd.Series) -> int:
    """Find the number of hidden features with which a network comes nearest to a number of parameters.

    Parameters
    ----------
    model : GNNStateClassifier or MLPStateClassifier
        A network.
    wanted : float
        Number of parameters.
    X : DataFrame of shape (n_frames, n_columns)
        Frames.
    y : Series of shape (n_frames,)
        States.

    Returns
    -------
    int
        Hidden features.
    """

    def missing(n_hidden: int) -> float:
        return n_parameters(clone(model).set_params(n_hidden=n_hidden), X, y) - wanted

    low, high = 1, _MOST_HIDDEN
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if missing(middle) <= 0 else (low, middle)
    return min((low, high), key=lambda n_hidden: abs(missing(n_hidden)))


def _models_on_graphs(
    settings: StudySettings, material: Material, states: str, augmentation: VirtualWorms | None
) -> dict[str, Any]:
    neurons, shared = material.neurons, {**settings.of_networks, "augmentation": augmentation}
    inferred = GNNStateClassifier(**shared)
    identity = GNNStateClassifier(graph=identity_graph(neurons), **shared)
    X, y = frames_of(material, material.recordings, states, neurons)
    width = hidden_features_to_match(identity, n_parameters(inferred, X, y), X, y)
    seeds = [settings.random_state + draw for draw in range(N_DRAWS)]
    graphs = {
        "uniform graph": uniform_graph(neurons),
        **{f"random graph {seed}": random_graph(neurons, seed) for seed in seeds},
        "connectome": connectome_graph(neurons),
        **{f"shuffled connectome {seed}": shuffled_connectome(neurons, seed) for seed in seeds},
    }
    return {
        INFERRED: inferred,
        "GNN, free graph": GNNStateClassifier(edges="free", **shared),
        "GNN, identity": identity,
        "GNN, identity, wide readout": clone(identity).set_params(n_hidden=width),
        **{f"GNN, {name}": GNNStateClassifier(graph=graph, **shared) for name, graph in graphs.items()},
        "MLP": MLPStateClassifier(weight_decay="auto", **shared),
    }
