"""An inferred graph against a reference graph, such as a connectome, beside what chance gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.utils import check_random_state

from skworm.inspection.graphs import check_graph, correlation_of_ranks, counted_pairs
from skworm.inspection.rewiring import rewire
from skworm.recording import neuron_name

_FEWEST_SHARED_NEURONS = 4
# Beyond this, a statistic of a random graph counts as larger than the observed one; sums of ranks are not exact.
_TOLERANCE = 1e-9


def compare_graphs(
    inferred: pd.DataFrame,
    reference: pd.DataFrame,
    *,
    n_permutations: int = 1000,
    random_state: Any = None,
    diagonal: bool = False,
    signed: bool = False,
    edge_threshold: float = 0.0,
) -> pd.DataFrame:
    """Compare the weights of an inferred graph with a reference graph, beside two kinds of chance.

    Both are tables [pre, post]: rows send, columns receive. The names of their axes have to say so, as those of
    skworm's own tables do, and a table [post, pre] or [response, stimulated] is turned round. Neurons are matched by
    name (``"VB1"`` is ``"VB01"``), and those that only one graph has are left out. A pair of neurons that is NaN in the
    reference is unknown, which is not the same as unconnected: it is left out.

    Parameters
    ----------
    inferred : DataFrame of shape (n_neurons, n_neurons)
        Graph of a fitted network, of :func:`inferred_graph`.
    reference : DataFrame of shape (n_reference_neurons, n_reference_neurons)
        Graph of :func:`skworm.datasets.load_connectome` or :func:`skworm.datasets.load_functional_atlas`, or the true
        graph of :func:`skworm.datasets.make_worms`. Of the atlas take a measure that is larger where there is more of a
        connection, such as ``"dFF"``; make edges of a false discovery rate by ``(q < 0.05).where(q.notna())``.
    n_permutations : int, default=1000
        Random graphs for each kind of chance.
    random_state : int, RandomState instance or None, default=None
        Seed of the random graphs.
    diagonal : bool, default=False
        Count self edges too.
    signed : bool, default=False
        Rank pairs by the reference's weights as they are. By default by their absolute values: inferred weights tell
        how much a neuron takes of another, and know no inhibition.
    edge_threshold : float, default=0.0
        A pair is an edge, for AUROC, where the reference's weight (absolute unless `signed`) is greater than this.

    Returns
    -------
    pandas.DataFrame
        Four rows, one for each statistic and kind of chance. Columns:

        - ``statistic``: ``"spearman"``, the rank correlation of inferred and reference weights, and ``"auroc"``, the
          probability that an edge of the reference has a larger inferred weight than a pair without edge;
        - ``null``: ``"permuted_labels"``, in which the neurons of the inferred graph swap names, and
          ``"rewired_reference"``, in which the reference's edges swap ends so that every neuron keeps its numbers of
          incoming and outgoing edges, and weights go with the edges;
        - ``value``, ``null_mean``, ``null_percentile_95``;
        - ``p_value``: (1 + random graphs that do at least as well) / (1 + `n_permutations`), one-sided;
        - ``n_pairs``, ``n_edges`` and ``n_neurons`` that count.

        ``attrs`` name the ``"neurons"``, those of the ``"inferred_only"`` and of the ``"reference_only"``, and tell
        ``"share_moved"``, the mean share of edges that rewiring put elsewhere. Where the reference has no edge, or
        nothing but edges, or the same weight everywhere, there is nothing to compare: value and p are NaN.

    Raises
    ------
    ValueError
        If a graph is not square or does not name its axes, names a neuron twice, the inferred one holds NaN, or the two
        share fewer than four neurons.

    Notes
    -----
    Permuted labels ask whether it matters which neuron is which; a graph that merely gives a few well-connected neurons
    large weights passes. The rewired reference keeps how well connected each neuron is, and asks whether the pairs
    matter beyond that. A symmetric reference, such as gap junctions alone, stays symmetric when rewired. One that adds
    gap junctions to chemical synapses does not: its reciprocal edges come apart, which makes that null somewhat too
    narrow. Self edges stay where they are.

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
    if not isinstance(n_permutations, Integral) or n_permutations < 1:
        raise ValueError(f"n_permutations={n_permutations!r} must be a whole number, at least 1")
    inferred, reference = _oriented(inferred, "inferred"), _oriented(reference, "reference", finite=False)
    neurons = [name for name in inferred.index if name in reference.index]
    if len(neurons) < _FEWEST_SHARED_NEURONS:
        raise ValueError(
            f"inferred and reference share {len(neurons)} neurons, {neurons}; at least {_FEWEST_SHARED_NEURONS} are "
            f"needed. Inferred has {inferred.index.tolist()[:8]}, reference {reference.index.tolist()[:8]}"
        )
    weights = inferred.loc[neurons, neurons].to_numpy(dtype=float)
    strengths = reference.loc[neurons, neurons].to_numpy(dtype=float)
    if not signed:
        strengths = np.abs(strengths)
    counted = counted_pairs(len(neurons), diagonal) & ~np.isnan(strengths)
    if not counted.any():
        raise ValueError("reference knows no pair of the shared neurons: all are NaN; take another measure of it")
    statistics = _Statistics(counted, edge_threshold)
    rng = check_random_state(random_state)
    permuted = [statistics(_permuted(weights, rng), strengths) for _ in range(n_permutations)]
    rewired, moved = _rewired(weights, strengths, counted, statistics, n_permutations, rng)
    observed = statistics(weights, strengths)
    rows = [
        {"statistic": statistic, "null": null, **_against_chance(observed[column], np.array(chance)[:, column])}
        for column, statistic in enumerate(("spearman", "auroc"))
        for null, chance in (("permuted_labels", permuted), ("rewired_reference", rewired))
    ]
    n_edges = int((strengths[counted] > edge_threshold).sum())
    table = pd.DataFrame(rows).assign(n_pairs=int(counted.sum()), n_edges=n_edges, n_neurons=len(neurons))
    table.attrs = {
        "neurons": neurons,
        "inferred_only": _not_in(inferred.index, neurons),
        "reference_only": _not_in(reference.index, neurons),
        "share_moved": moved,
    }
    return table


class _Statistics:
    """Rank correlation and AUROC over the pairs that count."""

    def __init__(self, counted: np.ndarray, edge_threshold: float) -> None:
        self.counted = counted
        self.edge_threshold = edge_threshold

    def __call__(self, weights: np.ndarray, strengths: np.ndarray) -> tuple[float, float]:
        ranks, strengths = rankdata(weights[self.counted]), strengths[self.counted]
        is_edge = strengths > self.edge_threshold
        n_edges, n_others = int(is_edge.sum()), int((~is_edge).sum())
        auroc = np.nan
        if n_edges and n_others:
            auroc = (ranks[is_edge].sum() - n_edges * (n_edges + 1) / 2) / (n_edges * n_others)
        return correlation_of_ranks(ranks, rankdata(strengths)), float(auroc)


def _permuted(weights: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    order = rng.permutation(len(weights))
    return weights[np.ix_(order, order)]


def _rewired(
    weights: np.ndarray,
    strengths: np.ndarray,
    counted: np.ndarray,
    statistics: Callable[[np.ndarray, np.ndarray], tuple[float, float]],
    n_graphs: int,
    rng: np.random.RandomState,
) -> tuple[list[tuple[float, float]], float]:
    edges = (strengths != 0) & counted_pairs(len(strengths), False) & counted
    symmetric = np.array_equal(strengths, strengths.T, equal_nan=True)
    graph, results, moved = strengths, [], []
    for _ in range(n_graphs):
        # Each random graph goes on from the one before, and so ever farther away from the reference.
        graph = rewire(graph, counted, rng, symmetric=symmetric)
        results.append(statistics(weights, graph))
        moved.append((edges & (graph == 0)).sum() / max(1, edges.sum()))
    return results, float(np.mean(moved))


def _against_chance(observed: float, chance: np.ndarray) -> dict[str, float]:
    if np.isnan(observed):
        return {"value": np.nan, "null_mean": np.nan, "null_percentile_95": np.nan, "p_value": np.nan}
    # A random graph without a statistic counts against the observed one.
    as_good = ~(chance < observed - _TOLERANCE)
    return {
        "value": observed,
        "null_mean": float(np.nanmean(chance)),
        "null_percentile_95": float(np.nanpercentile(chance, 95)),
        "p_value": float((1 + as_good.sum()) / (1 + len(chance))),
    }


def _oriented(graph: pd.DataFrame, name: str, *, finite: bool = True) -> pd.DataFrame:
    check_graph(graph, name, finite=finite)
    axes = (graph.index.name, graph.columns.name)
    if axes in (("post", "pre"), ("response", "stimulated")):
        graph = graph.T
    elif axes not in (("pre", "post"), ("stimulated", "response")):
        raise ValueError(
            f"the axes of {name} are named {axes}, which does not tell who sends; where rows send and columns receive, "
            f"pass {name}.rename_axis(index='pre', columns='post')"
        )
    names = [neuron_name(label) for label in graph.index]
    repeated = sorted({label for label in names if names.count(label) > 1})
    if repeated:
        raise ValueError(f"{name} names {repeated} more than once ('VB1' and 'VB01' are the same); name each one once")
    senders = pd.Index(names, name="pre")
    receivers = pd.Index([neuron_name(label) for label in graph.columns], name="post")
    return pd.DataFrame(graph.to_numpy(dtype=float), index=senders, columns=receivers)


def _not_in(names: Iterable[str], neurons: list[str]) -> list[str]:
    return [name for name in names if name not in set(neurons)]
