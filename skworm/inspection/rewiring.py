"""Random graphs in which every neuron keeps its number of incoming and outgoing edges."""

from __future__ import annotations

import numpy as np

_SWAPS_AN_EDGE = 10


def rewire(
    weights: np.ndarray, allowed: np.ndarray, rng: np.random.RandomState, *, symmetric: bool = False
) -> np.ndarray:
    """Swap the ends of random pairs of edges again and again, ten times as often as there are edges.

    The edges a to b and c to d become a to d and c to b. A weight goes with its sender's edge. A swap that would double
    an edge, or put one where none is allowed, is left out.

    Parameters
    ----------
    weights : ndarray of shape (n_neurons, n_neurons)
        Graph; an entry that is not 0 is an edge.
    allowed : ndarray of bool, shape (n_neurons, n_neurons)
        Pairs between which edges may stand. What stands elsewhere, and on the diagonal, is not touched.
    rng : RandomState
        Source of randomness.
    symmetric : bool, default=False
        Move both directions of an edge together, so that a symmetric graph stays symmetric.

    Returns
    -------
    ndarray of shape (n_neurons, n_neurons)
        The rewired graph.

    References
    ----------
    Maslov & Sneppen 2002, Science 296, 910-913. Milo et al. 2003, arXiv:cond-mat/0312028: ten swaps an edge.

    Examples
    --------
    >>> import numpy as np
    >>> from skworm.inspection.rewiring import rewire
    >>> graph = np.array([[0, 2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 4], [5, 0, 0, 0]])
    >>> rewired = rewire(graph, np.ones((4, 4), dtype=bool), np.random.RandomState(1))
    >>> rewired.sum(axis=1).tolist(), (rewired > 0).sum(axis=0).tolist()
    ([2, 3, 4, 5], [1, 1, 1, 1])
    """
    rewired = weights.copy()
    free = allowed & ~np.eye(len(weights), dtype=bool)
    edges = (np.triu(rewired) != 0 if symmetric else rewired != 0) & free
    # Python's own numbers: a swap touches single entries, where numpy is slow.
    senders, receivers = (list(map(int, ends)) for ends in np.nonzero(edges))
    values = rewired[edges].tolist()
    taken = ((rewired != 0) | ~free).tolist()
    n_edges = len(values)
    if n_edges < 2:
        return rewired
    drawn = rng.randint(n_edges, size=(_SWAPS_AN_EDGE * n_edges, 2)).tolist()
    turned = (rng.random_sample(len(drawn)) < 0.5).tolist()
    for (first, second), turn in zip(drawn, turned, strict=True):
        if symmetric and turn:
            senders[second], receivers[second] = receivers[second], senders[second]
        a, b, c, d = senders[first], receivers[first], senders[second], receivers[second]
        if taken[a][d] or taken[c][b]:
            continue
        for one, other, is_taken in ((a, b, False), (c, d, False), (a, d, True), (c, b, True)):
            taken[one][other] = is_taken
            if symmetric:
                taken[other][one] = is_taken
        receivers[first], receivers[second] = d, b
    rewired[edges] = 0
    if symmetric:
        rewired[edges.T] = 0
        rewired[receivers, senders] = values
    rewired[senders, receivers] = values
    return rewired
