"""The graphs that fitted networks use, and how far graphs of several fits agree."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.pipeline import Pipeline

from skworm.layout import worm_of_rows
from skworm.states import UNKNOWN

_FEWEST_SHARED_NEURONS = 3


def inferred_graph(
    estimator: Any,
    X: Any,
    *,
    by: Literal["worm", "state"] | None = None,
    y: Any = None,
    worm: Any = None,
    reinfer: bool = False,
) -> Any:
    """Give the graph that a fitted graph neural network uses on frames or trajectories.

    Rows send and columns receive, [pre, post], as in ``graph_``, ``graphs_`` and connectomes; the equations of the
    paper have it the other way round. Weights are those before messages are normalised. Self edges stand on the
    diagonal.

    Parameters
    ----------
    estimator : GNNStateClassifier or GNNTrajectoryRegressor, or a Pipeline that ends in one
        Fitted.
    X : DataFrame or array-like of shape (n_rows, n_features)
        Rows as `predict` takes them.
    by : {"worm", "state"} or None, default=None
        - ``"worm"``: the graph that `predict` uses for each worm. With static edges that is the stored one for a
          training worm, and for another worm one inferred from its rows; dynamic edges are averaged over its rows;
        - ``"state"``: dynamic edges averaged over the rows of each known state, first within a worm and then over the
          worms that show it;
        - None: the mean of the graphs of all worms, every worm weighing the same.
    y : Series or array-like of str, shape (n_rows,), optional
        State of each row, for ``by="state"``. A Series indexed by worm and frame may have further rows.
    worm : array-like of shape (n_rows,), optional
        Worm of each row; by default the index level ``"worm"`` of `X`. Without either, all rows are one population,
        whose static graph is ``graph_``.
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
        If the states are missing or do not fit `X`, or static edges are to be told by state.

    Notes
    -----
    A network with static edges has one graph a worm, and none a state: it uses the same graph whatever the worm does.
    With ``reinfer=True`` the edge encoder is shown the frames of one state at a time. What comes out tells how the
    encoder responds to that state's mean activity; the network never used it.

    Examples
    --------
    >>> from skworm import GNNStateClassifier
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> from skworm.inspection import inferred_graph
    >>> X, y = make_frames(make_worms(n_worms=2, n_frames=400, random_state=0), states="2")
    >>> gnn = GNNStateClassifier(edges="dynamic", max_epochs=2, random_state=0).fit(X, y)
    >>> by_state = inferred_graph(gnn, X, by="state", y=y)
    >>> sorted(by_state), by_state["forward"].shape, by_state["forward"].index.name
    (['forward', 'reverse'], (15, 15), 'pre')
    """
    if by not in ("worm", "state", None):
        raise ValueError(f"by={by!r} does not exist; choose one of ('worm', 'state', None)")
    worms = worm_of_rows(X, worm)
    states = _states_of_rows(X, y) if by == "state" else None
    model, X = _last_step(estimator, X)
    if states is not None:
        if model.has_static_graph and not reinfer:
            raise ValueError(
                f"{type(model).__name__} has static edges, one graph a worm whatever its state; fit it with "
                "edges='dynamic' for graphs by state, or pass reinfer=True to see what the edge encoder makes of the "
                "frames of each state, a graph that the network does not use"
            )
        return _graphs_by_state(model, X, worms, states)
    graphs = _graphs_by_worm(model, X, worms, reinfer)
    return graphs if by == "worm" else _mean(list(graphs.values()))


def graph_stability(
    graphs: Mapping[Any, pd.DataFrame], names: Sequence[str] = ("worm",), *, diagonal: bool = False
) -> pd.DataFrame:
    """Tell how far graphs of different worms, seeds or folds rank their edges alike.

    Parameters
    ----------
    graphs : mapping of DataFrame
        Square graphs by key: a tuple with one entry for each of `names`, or a single entry where there is one name.
        Pairs of graphs are compared over the neurons that both have.
    names : sequence of str, default=("worm",)
        What the entries of a key are, such as ``("worm", "seed", "fold")``.
    diagonal : bool, default=False
        Count self edges too.

    Returns
    -------
    pandas.DataFrame
        One row for each kind of pair. Columns: ``differ_in``, the entries in which the two keys differ, such as
        ``"seed"`` or ``"worm and seed"``; ``n_pairs``; ``n_undefined``, pairs left out because a graph has the same
        weight everywhere; ``mean``, ``lowest`` and ``highest`` rank correlation (Spearman) of the edge weights.

    Raises
    ------
    ValueError
        If there are fewer than two graphs, a key does not fit `names`, or two graphs share fewer than three neurons.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.inspection import graph_stability
    >>> graph = pd.DataFrame([[0, 1, 2], [3, 0, 4], [5, 6, 0]], index=list("abc"), columns=list("abc"))
    >>> graph_stability({("w", 0): graph, ("w", 1): graph ** 2, ("v", 0): -graph}, names=("worm", "seed"))
           differ_in  n_pairs  n_undefined  mean  lowest  highest
    0           seed        1            0   1.0     1.0      1.0
    1           worm        1            0  -1.0    -1.0     -1.0
    2  worm and seed        1            0  -1.0    -1.0     -1.0
    """
    keyed = {_as_key(key, names): graph for key, graph in graphs.items()}
    if len(keyed) < 2:
        raise ValueError(f"{len(keyed)} graph is no pair; pass at least two, such as the graphs_ of a fitted network")
    rows = []
    for (first, left), (second, right) in combinations(keyed.items(), 2):
        differing = [name for name, one, other in zip(names, first, second, strict=True) if one != other]
        correlation = _rank_correlation(left, right, (first, second), diagonal)
        rows.append({"differ_in": " and ".join(differing), "order": len(differing), "correlation": correlation})
    pairs = pd.DataFrame(rows)
    kinds = pairs.groupby(["order", "differ_in"])["correlation"]
    table = pd.DataFrame(
        {
            "n_pairs": kinds.size(),
            "n_undefined": kinds.size() - kinds.count(),
            "mean": kinds.mean(),
            "lowest": kinds.min(),
            "highest": kinds.max(),
        }
    )
    return table.reset_index().drop(columns="order")


def check_graph(graph: Any, name: str, *, finite: bool = True) -> None:
    """Refuse what is no square DataFrame of numbers with the same neurons, each once, on both axes."""
    square = isinstance(graph, pd.DataFrame) and sorted(map(str, graph.index)) == sorted(map(str, graph.columns))
    if not square or graph.index.has_duplicates:
        shape = getattr(graph, "shape", type(graph).__name__)
        raise ValueError(f"{name} ({shape}) must be a DataFrame with the same neurons, each once, on both axes")
    if finite and not np.isfinite(graph.to_numpy(dtype=float)).all():
        raise ValueError(f"{name} holds NaN or infinite weights; leave out the neurons that have them")


def counted_pairs(n_neurons: int, diagonal: bool) -> np.ndarray:
    """Tell which entries of a graph count: all, or all but self edges."""
    return np.ones((n_neurons, n_neurons), dtype=bool) if diagonal else ~np.eye(n_neurons, dtype=bool)


def correlation_of_ranks(left: np.ndarray, right: np.ndarray) -> float:
    """Correlate ranks (Spearman); NaN where one side is constant."""
    left, right = left - left.mean(), right - right.mean()
    scale = np.sqrt((left @ left) * (right @ right))
    return float(left @ right / scale) if scale > 0 else np.nan


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
    stored = model.graphs_ if model.has_static_graph and not reinfer else {}
    if worms is None:
        return {"population": model.graph_ if model.has_static_graph and not reinfer else model.infer_graphs(X)[0]}
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
    mean = np.mean([graph.to_numpy() for graph in graphs], axis=0)
    return pd.DataFrame(mean, index=graphs[0].index, columns=graphs[0].columns)


def _states_of_rows(X: Any, y: Any) -> np.ndarray:
    if y is None:
        raise ValueError("by='state' needs the state of each row; pass y, as make_frames returns it")
    if isinstance(y, pd.Series) and isinstance(X, pd.DataFrame) and not y.index.equals(X.index):
        lacking = X.index.difference(y.index)
        if len(lacking):
            raise ValueError(f"y has no state for {len(lacking)} rows of X, the first {lacking[0]}; make both alike")
        y = y.loc[X.index]
    states = np.asarray(y)
    if states.shape != (len(X),):
        raise ValueError(f"y has shape {states.shape}, but X has {len(X)} rows; pass one state a row")
    return states


def _as_key(key: Any, names: Sequence[str]) -> tuple[Hashable, ...]:
    entries = key if isinstance(key, tuple) else (key,)
    if len(entries) != len(names):
        raise ValueError(f"the key {key!r} has {len(entries)} entries, but names={tuple(names)} has {len(names)}")
    return entries


def _rank_correlation(left: pd.DataFrame, right: pd.DataFrame, keys: tuple[Any, Any], diagonal: bool) -> float:
    for graph, key in zip((left, right), keys, strict=True):
        check_graph(graph, f"graph {key}")
    shared = [name for name in left.index if name in right.index]
    if len(shared) < _FEWEST_SHARED_NEURONS:
        raise ValueError(
            f"the graphs {keys[0]} and {keys[1]} share {len(shared)} neurons, {shared}; at least "
            f"{_FEWEST_SHARED_NEURONS} are needed"
        )
    counted = counted_pairs(len(shared), diagonal)
    weights = [graph.loc[shared, shared].to_numpy(dtype=float)[counted] for graph in (left, right)]
    return correlation_of_ranks(*map(rankdata, weights))
