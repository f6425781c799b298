"""Graphs that networks infer, and their likeness to other graphs."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state

from skworm.frames.index import from_pre_to_post, worm_of_rows
from skworm.parameters import check_whole
from skworm.recording import UNKNOWN

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
    diagonal: bool = False,
    signed: bool = False,
    edge_threshold: float = 0.0,
) -> pd.DataFrame:
    """Compare the weights of an inferred graph with a reference graph, beside two kinds of chance.

    Both are tables [pre, post]: rows send, columns receive. The names of their axes have to say so, and a table
    [post, pre] or [response, stimulated] is transposed. Neurons are matched by name (``"VB1"`` is ``"VB01"``), and
    those that only one graph has are left out, as is a pair that is NaN in the reference, and so unknown.

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
        Rank pairs by the reference's weights as they are, not by their absolute values; inferred weights have no sign.
    edge_threshold : float, default=0.0
        A pair is an edge, for AUROC, where the reference's weight (absolute unless `signed`) is greater than this.

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

        ``attrs`` have the ``"neurons"``, those ``"inferred_only"`` and ``"reference_only"``, and ``"share_moved"``, the
        mean share of edges that rewiring put elsewhere. Value and p are NaN where the reference has no edge, nothing
        but edges, or the same weight everywhere.

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
    weights, strengths = (graph.loc[neurons, neurons].to_numpy() for graph in (inferred, reference))
    strengths = strengths if signed else np.abs(strengths)
    between = ~np.eye(len(neurons), dtype=bool)
    counted = (between | diagonal) & ~np.isnan(strengths)
    if not counted.any():
        raise ValueError("reference knows no pair of the shared neurons: all are NaN; take another measure of it")
    statistics = partial(_statistics, counted=counted, edge_threshold=edge_threshold)
    rng = check_random_state(random_state)
    orders = [rng.permutation(len(neurons)) for _ in range(n_permutations)]
    permuted = [statistics(weights[np.ix_(order, order)], strengths) for order in orders]
    edges = (strengths != 0) & between & counted
    symmetric = np.array_equal(strengths, strengths.T, equal_nan=True)
    graph, rewired, moved = strengths, [], []
    for _ in range(n_permutations):
        # Each random graph goes on from the one before, and so ever farther away from the reference.
        graph = rewire(graph, counted, rng, symmetric=symmetric)
        rewired.append(statistics(weights, graph))
        moved.append((edges & (graph == 0)).sum() / max(1, edges.sum()))
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
        "inferred_only": [name for name in inferred.index if name not in neurons],
        "reference_only": [name for name in reference.index if name not in neurons],
        "share_moved": float(np.mean(moved)),
    }
    return table


def _statistics(
    weights: np.ndarray, strengths: np.ndarray, counted: np.ndarray, edge_threshold: float
) -> tuple[float, float]:
    """Return the rank correlation and the AUROC over the pairs that count."""
    ranks, strengths = rankdata(weights[counted]), strengths[counted]
    is_edge = strengths > edge_threshold
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


def inferred_graph(
    estimator: Any,
    X: Any,
    *,
    by: Literal["worm", "state"] | None = None,
    y: Any = None,
    worm: Any = None,
    reinfer: bool = False,
) -> Any:
    """Return the graph that a fitted graph neural network uses on frames or trajectories.

    Rows send and columns receive, [pre, post], as in ``graph_``, ``graphs_`` and connectomes; the equations of the
    paper have it the other way round. Weights are those before messages are normalised. Self edges are on the
    diagonal.

    Parameters
    ----------
    estimator : GNNStateClassifier or GNNTrajectoryRegressor, or a Pipeline that ends in one
        Fitted.
    X : DataFrame or array-like of shape (n_rows, n_features)
        Rows as `predict` takes them.
    by : {"worm", "state"} or None, default=None
        - ``"worm"``: the graph that `predict` uses for each worm: of static edges the stored one of a training worm, or
          one inferred from the rows of another worm; dynamic edges are averaged over its rows;
        - ``"state"``: dynamic edges averaged over the rows of each known state, first within a worm and then over the
          worms that show it;
        - None: the mean of the graphs of all worms, every worm that has the two neurons of an edge weighing the same.
    y : Series or array-like of str, shape (n_rows,), optional
        State of each row, for ``by="state"``. A Series indexed by worm and frame may have further rows.
    worm : array-like of shape (n_rows,), optional
        Worm of each row; by default the index level ``"worm"`` of `X`. Without either, or where a pipeline loses the
        index, all rows are one population, whose static graph is ``graph_``.
    reinfer : bool, default=False
        Infer static graphs from the rows of each worm, or of each state, even where the network uses a stored one.

    Returns
    -------
    DataFrame of shape (n_neurons, n_neurons), or dict of DataFrame
        One graph for ``by=None``, else the graph of each worm or state.

    Raises
    ------
    TypeError
        If the estimator infers no graph.
    ValueError
        If the states are missing or do not fit `X`, or graphs by state are asked of static edges.

    Notes
    -----
    A network with static edges has one graph a worm, and none a state: it uses the same graph whatever the worm does.
    With ``reinfer=True`` the edge encoder is shown the frames of one state at a time. The result shows how the
    encoder responds to that state's mean activity; the network never used it.

    Examples
    --------
    >>> from skworm import GNNStateClassifier, InferredGraph
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> from skworm.inspection import inferred_graph
    >>> X, y = make_frames(make_worms(n_worms=2, n_frames=400, random_state=0), states="2")
    >>> gnn = GNNStateClassifier(graph=InferredGraph(per="frame"), max_epochs=2, random_state=0).fit(X, y)
    >>> by_state = inferred_graph(gnn, X, by="state", y=y)
    >>> sorted(by_state), by_state["forward"].shape, by_state["forward"].index.name
    (['forward', 'reverse'], (15, 15), 'pre')
    """
    if by not in ("worm", "state", None):
        raise ValueError(f"by={by!r} does not exist; choose one of ('worm', 'state', None)")
    worms = worm_of_rows(X, worm)
    states = _states_of_rows(X, y) if by == "state" else None
    model, X = _last_step(estimator, X)
    if model.has_static_graph and not reinfer:
        # Steps of a pipeline may have lost the worms, and `predict` uses the graph of all training rows then.
        worms = worm_of_rows(X, worm)
    if states is not None:
        if model.has_static_graph and not reinfer:
            raise ValueError(
                f"{type(model).__name__} has static edges, one graph a worm whatever its state; fit it with "
                "graph=InferredGraph(per='frame') for graphs by state, or pass reinfer=True to see what the edge "
                "encoder makes of the frames of each state, a graph that the network does not use"
            )
        return _graphs_by_state(model, X, worms, states)
    graphs = _graphs_by_worm(model, X, worms, reinfer)
    return graphs if by == "worm" else _mean(list(graphs.values()))


def _last_step(estimator: Any, X: Any) -> tuple[Any, Any]:
    if isinstance(estimator, Pipeline):
        X = estimator[:-1].transform(X) if len(estimator) > 1 else X
        estimator = estimator[-1]
    if not hasattr(type(estimator), "infer_graphs"):
        raise TypeError(
            f"{type(estimator).__name__} infers no graph; pass a fitted GNNStateClassifier or GNNTrajectoryRegressor"
        )
    return estimator, X


def _graphs_by_worm(model: Any, X: Any, worms: np.ndarray | None, reinfer: bool) -> dict[Any, pd.DataFrame]:
    stored = model._kept_graphs() if model.has_static_graph and not reinfer else {}
    if worms is None:
        return {"population": stored[None] if stored else model.infer_graphs(X)[0]}
    names = pd.unique(worms)
    inferred = {} if all(name in stored for name in names) else model.infer_graphs(X, worm=worms)
    return {name: stored[name].copy() if name in stored else inferred[name] for name in names}


def _graphs_by_state(model: Any, X: Any, worms: np.ndarray | None, states: np.ndarray) -> dict[str, pd.DataFrame]:
    names, codes = np.unique(states.astype(str), return_inverse=True)
    worm_codes = np.zeros(len(states), dtype=int) if worms is None else np.unique(worms, return_inverse=True)[1]
    inferred = model.infer_graphs(X, group=worm_codes * len(names) + codes, worm=worms)
    return {
        str(name): _mean([graph for group, graph in inferred.items() if group % len(names) == code])
        for code, name in enumerate(names)
        if name != UNKNOWN
    }


def _mean(graphs: list[pd.DataFrame]) -> pd.DataFrame:
    """Average graphs; an edge is NaN in that of a worm that lacks one of its neurons."""
    return pd.concat(graphs).groupby(level="pre", sort=False).mean()


def _states_of_rows(X: Any, y: Any) -> np.ndarray:
    if y is None:
        raise ValueError("by='state' needs the state of each row; pass y, as make_frames returns it")
    if isinstance(y, pd.Series) and isinstance(X, pd.DataFrame) and not y.index.equals(X.index):
        lacking = X.index.difference(y.index)
        if len(lacking):
            raise ValueError(f"y has no state for {len(lacking)} rows of X, the first {lacking[0]}; make both together")
        y = y.loc[X.index]
    states = np.asarray(y)
    if states.shape != (len(X),):
        raise ValueError(f"y has shape {states.shape}, but X has {len(X)} rows; pass one state a row")
    return states
