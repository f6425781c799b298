"""The likeness of an inferred graph to a reference graph."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.utils import check_random_state

from skworm.frames.index import from_pre_to_post
from skworm.parameters import check_whole

_SWAPS_AN_EDGE = 10


def rewire(
    weights: np.ndarray, allowed: np.ndarray, rng: np.random.RandomState, *, symmetric: bool = False
) -> np.ndarray:
    """Swap the ends of random pairs of edges again and again, ten times as often as there are edges.

    The edges a to b and c to d become a to d and c to b, and a weight goes with its sender's edge. A swap that would
    double an edge, or put one where none is `allowed`, is left out; entries there, and on the diagonal, stay as they
    are. A `symmetric` graph stays so, as both directions of an edge move together. See Maslov & Sneppen 2002, Science
    296, 910-913; ten swaps an edge are those of Milo et al. 2003, arXiv:cond-mat/0312028.
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


_FEWEST_SHARED_NEURONS = 4
# Beyond this, a statistic of a random graph counts as larger than the observed one; sums of ranks are not exact.
_TOLERANCE = 1e-9


def compare_graphs(
    inferred: pd.DataFrame,
    reference: pd.DataFrame,
    *,
    n_permutations: int = 1000,
    random_state: Any = None,
) -> pd.DataFrame:
    """Compare the weights of an inferred graph with a reference graph, beside two kinds of chance.

    Both are tables [pre, post]: rows send, columns receive. The names of their axes have to say so, and a table
    [post, pre] or [response, stimulated] is transposed. Neurons are matched by name (``"VB1"`` is ``"VB01"``), and
    those that only one graph has are left out, as are self edges, and a pair that is NaN in the reference, and so
    unknown. Signs of the reference do not count: an edge is where its weight is not 0.

    Parameters
    ----------
    inferred : DataFrame of shape (n_neurons, n_neurons)
        Graph of :func:`functional_graph`, or ``graph_`` of a fitted network.
    reference : DataFrame of shape (n_reference_neurons, n_reference_neurons)
        Graph of :func:`skworm.datasets.load_connectome` or :func:`skworm.datasets.load_functional_atlas`, or the true
        graph of :func:`skworm.datasets.make_worms`. Of the atlas take a measure that is larger where there is more of a
        connection, such as ``"dFF"``; make edges of a false discovery rate by ``(q < 0.05).where(q.notna())``.
    n_permutations : int, default=1000
        Random graphs for each kind of chance.
    random_state : int, RandomState instance or None, default=None
        Seed of the random graphs.

    Returns
    -------
    pandas.DataFrame
        Four rows, one for each statistic and kind of chance. Columns:

        - ``statistic``: ``"spearman"``, the rank correlation of inferred and reference weights, and ``"auroc"``, the
          probability that an edge of the reference has a larger inferred weight than a pair without edge;
        - ``null``: ``"permuted_labels"``, in which the neurons of the inferred graph swap names, and
          ``"rewired_reference"``, in which the reference's edges swap ends, weights go with them, and every neuron
          keeps its numbers of incoming and outgoing edges;
        - ``value``, ``null_mean``, ``null_percentile_95``;
        - ``p_value``: (1 + random graphs that do at least as well) / (1 + `n_permutations`), one-sided;
        - ``n_pairs``, ``n_edges`` and ``n_neurons`` that count.

        Value and p are NaN where the reference has no edge, nothing but edges, or the same weight everywhere.

    Raises
    ------
    ValueError
        If a graph is not square or does not name its axes, names a neuron twice, the inferred one holds NaN, or the two
        share fewer than four neurons.

    Notes
    -----
    Permuted labels ask whether it matters which neuron is which; a graph that merely gives a few well-connected neurons
    large weights passes. The rewired reference asks whether the pairs matter beyond how well connected each neuron is.
    A symmetric reference, such as gap junctions alone, stays symmetric when rewired. One that adds gap junctions to
    chemical synapses does not: its reciprocal edges are separated, which makes that null somewhat too narrow.

    References
    ----------
    Phipson & Smyth 2010, "Permutation P-values should never be zero". Maslov & Sneppen 2002, Science 296, 910-913.

    Examples
    --------
    >>> from skworm.datasets import load_connectome
    >>> from skworm.frames import PAPER_NEURONS
    >>> from skworm.inspection import compare_graphs
    >>> inferred = load_connectome("white1986", PAPER_NEURONS, symmetric=True)
    >>> result = compare_graphs(inferred, load_connectome("cook2019"), n_permutations=99, random_state=0)
    >>> result[["statistic", "null", "value", "p_value", "n_pairs"]].round(2)
      statistic               null  value  p_value  n_pairs
    0  spearman    permuted_labels   0.84     0.01      210
    1  spearman  rewired_reference   0.84     0.01      210
    2     auroc    permuted_labels   0.93     0.01      210
    3     auroc  rewired_reference   0.93     0.01      210
    """
    check_whole(1, n_permutations=n_permutations)
    inferred, reference = _oriented(inferred, "inferred"), _oriented(reference, "reference", finite=False)
    neurons = [name for name in inferred.index if name in reference.index]
    if len(neurons) < _FEWEST_SHARED_NEURONS:
        raise ValueError(
            f"inferred and reference share {len(neurons)} neurons, {neurons}; at least {_FEWEST_SHARED_NEURONS} are "
            f"needed. Inferred has {inferred.index.tolist()[:8]}, reference {reference.index.tolist()[:8]}"
        )
    weights, strengths = (graph.loc[neurons, neurons].to_numpy() for graph in (inferred, reference.abs()))
    counted = ~np.eye(len(neurons), dtype=bool) & ~np.isnan(strengths)
    if not counted.any():
        raise ValueError("reference knows no pair of the shared neurons: all are NaN; take another measure of it")
    statistics = partial(_statistics, counted=counted)
    rng = check_random_state(random_state)
    orders = [rng.permutation(len(neurons)) for _ in range(n_permutations)]
    permuted = [statistics(weights[np.ix_(order, order)], strengths) for order in orders]
    symmetric = np.array_equal(strengths, strengths.T, equal_nan=True)
    graph, rewired = strengths, []
    for _ in range(n_permutations):
        # Each random graph goes on from the one before, and so ever farther away from the reference.
        graph = rewire(graph, counted, rng, symmetric=symmetric)
        rewired.append(statistics(weights, graph))
    observed = statistics(weights, strengths)
    rows = [
        {"statistic": statistic, "null": null, **_against_chance(observed[column], np.array(chance)[:, column])}
        for column, statistic in enumerate(("spearman", "auroc"))
        for null, chance in (("permuted_labels", permuted), ("rewired_reference", rewired))
    ]
    n_edges = np.count_nonzero(strengths[counted])
    return pd.DataFrame(rows).assign(n_pairs=int(counted.sum()), n_edges=n_edges, n_neurons=len(neurons))


def _statistics(weights: np.ndarray, strengths: np.ndarray, counted: np.ndarray) -> tuple[float, float]:
    """Return the rank correlation and the AUROC over the pairs that count."""
    ranks, strengths = rankdata(weights[counted]), strengths[counted]
    is_edge = strengths > 0
    n_edges, n_others = int(is_edge.sum()), int((~is_edge).sum())
    auroc = np.nan
    if n_edges and n_others:
        auroc = (ranks[is_edge].sum() - n_edges * (n_edges + 1) / 2) / (n_edges * n_others)
    left, right = (each - each.mean() for each in (ranks, rankdata(strengths)))
    scale = np.sqrt((left @ left) * (right @ right))
    return float(left @ right / scale) if scale > 0 else np.nan, float(auroc)


def _against_chance(observed: float, chance: np.ndarray) -> dict[str, float]:
    if np.isnan(observed):
        return dict.fromkeys(("value", "null_mean", "null_percentile_95", "p_value"), np.nan)
    # A random graph without a statistic counts against the observed one.
    as_good = ~(chance < observed - _TOLERANCE)
    return {
        "value": observed,
        "null_mean": float(np.nanmean(chance)),
        "null_percentile_95": float(np.nanpercentile(chance, 95)),
        "p_value": float((1 + as_good.sum()) / (1 + len(chance))),
    }


def _oriented(graph: pd.DataFrame, name: str, *, finite: bool = True) -> pd.DataFrame:
    square = isinstance(graph, pd.DataFrame) and sorted(map(str, graph.index)) == sorted(map(str, graph.columns))
    if not square or graph.index.has_duplicates:
        shape = getattr(graph, "shape", type(graph).__name__)
        raise ValueError(f"{name} ({shape}) must be a DataFrame with the same neurons, each once, on both axes")
    if finite and not np.isfinite(graph.to_numpy(dtype=float)).all():
        raise ValueError(f"{name} holds NaN or infinite weights; leave out the neurons that have them")
    axes = (graph.index.name, graph.columns.name)
    if set(axes) not in ({"pre", "post"}, {"stimulated", "response"}):
        raise ValueError(
            f"the axes of {name} are named {axes}, which does not tell who sends; where rows send and columns receive, "
            f"pass {name}.rename_axis(index='pre', columns='post')"
        )
    return from_pre_to_post(graph, name)
