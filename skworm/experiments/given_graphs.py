"""Graphs that a network is given in place of inferred edges, all with the same sum of weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from skworm.datasets import load_connectome
from skworm.inspection.rewiring import rewire

MEAN_WEIGHT = 0.5
"""Mean weight over all pairs of neurons, where an untrained edge encoder starts."""


def labelled(weights: np.ndarray, neurons: Sequence[str]) -> pd.DataFrame:
    """Name the neurons of a matrix [pre, post], and scale it to :data:`MEAN_WEIGHT`.

    A matrix without edges stays as it is.

    Examples
    --------
    >>> import numpy as np
    >>> from skworm.experiments.given_graphs import labelled
    >>> labelled(np.eye(2), ["AVAL", "RID"])
    post  AVAL  RID
    pre
    AVAL   1.0  0.0
    RID    0.0  1.0
    """
    total = weights.sum()
    scaled = weights * (MEAN_WEIGHT * weights.size / total) if total > 0 else weights
    return pd.DataFrame(scaled, index=pd.Index(neurons, name="pre"), columns=pd.Index(neurons, name="post"))


def identity_graph(neurons: Sequence[str]) -> pd.DataFrame:
    """Let every neuron hear itself alone: no message passes between neurons."""
    return labelled(np.eye(len(neurons)), neurons)


def uniform_graph(neurons: Sequence[str]) -> pd.DataFrame:
    """Let every neuron hear all neurons alike."""
    return labelled(np.ones((len(neurons), len(neurons))), neurons)


def random_graph(neurons: Sequence[str], random_state: int) -> pd.DataFrame:
    """Draw every weight, self edges too, evenly from 0 to 1."""
    return labelled(np.random.RandomState(random_state).random_sample((len(neurons), len(neurons))), neurons)


def connectome_graph(neurons: Sequence[str], source: str = "white1986") -> pd.DataFrame:
    """Take chemical synapses and gap junctions between the neurons, weighted, without self edges.

    ``"VB1"`` and ``"VB01"`` are the same neuron, and the graph names it as `neurons` does.

    Raises
    ------
    ValueError
        If the source lacks a neuron.

    Examples
    --------
    >>> from skworm.experiments.given_graphs import connectome_graph
    >>> connectome_graph(["AVAL", "VB1", "AIBR"]).index.tolist()
    ['AVAL', 'VB1', 'AIBR']
    """
    return labelled(load_connectome(source, neurons, kind="both", self_loops=False).to_numpy(), neurons)


def shuffled_connectome(neurons: Sequence[str], random_state: int, source: str = "white1986") -> pd.DataFrame:
    """Swap the ends of the connectome's edges; every neuron keeps its numbers of incoming and outgoing edges."""
    weights = connectome_graph(neurons, source).to_numpy()
    allowed = np.ones(weights.shape, dtype=bool)
    return labelled(rewire(weights, allowed, np.random.RandomState(random_state)), neurons)


def silent_neurons(graph: pd.DataFrame) -> list[str]:
    """Name the neurons that no edge leads to.

    Examples
    --------
    >>> from skworm.experiments.given_graphs import connectome_graph, silent_neurons
    >>> silent_neurons(connectome_graph(["AVAL", "AVAR", "RMED"]))
    ['RMED']
    """
    return [str(name) for name, heard in (graph != 0).any(axis=0).items() if not heard]
