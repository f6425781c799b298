"""The graphs that networks infer, compared with connectomes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from skworm.datasets import load_connectome
from skworm.inspection import compare_graphs, inferred_graph
from skworm.model_selection.comparison import bootstrap_over_worms, interval
from skworm.paper.models import STATE_MODELS
from skworm.paper.study import Study
from skworm.recording import UNKNOWN

SOURCES = ("white1986", "cook2019")
"""Connectomes that inferred graphs are compared with."""

_NETWORKS = ("gnn", "gnn-plain", "gnn-published")
_STATISTICS = {"spearman": "rank correlation", "auroc": "AUROC"}
_NULLS = {"permuted_labels": "permuted labels", "rewired_reference": "rewired connectome"}

# Graphs [pre, post] by network and worm.
Graphs = Mapping[tuple[str, str], pd.DataFrame]


def infer_graphs(study: Study) -> dict[tuple[str, str], pd.DataFrame]:
    """Train networks on every combination of worms, and infer the graph of every worm, averaged over the fits."""
    X, y = study.frames(study.settings.states[0], study.neurons)
    worm, known = X.index.get_level_values("worm"), (y != UNKNOWN).to_numpy()
    graphs: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for name in _NETWORKS:
        label = STATE_MODELS[name].label
        for train in combinations(worm.unique(), study.train_counts()[0]):
            print(f"graph of {label}, trained on {', '.join(train)}", file=sys.stderr)
            rows = worm.isin(train) & known
            model = study.model(name).fit(X[rows], y[rows])
            for key, graph in inferred_graph(model, X, by="worm").items():
                graphs.setdefault((label, key), []).append(graph)
    return {key: sum(several[1:], several[0]) / len(several) for key, several in graphs.items()}


def table_of_graphs(graphs: Graphs) -> pd.DataFrame:
    """Return graphs as a table with a row for each edge."""
    long = pd.concat({key: graph.melt(ignore_index=False, value_name="weight") for key, graph in graphs.items()})
    return long.rename_axis(["model", "worm", "pre"]).reset_index()[["model", "worm", "pre", "post", "weight"]]


def compare_with_connectomes(graphs: Graphs, n_permutations: int, random_state: int = 0) -> pd.DataFrame:
    """Compare the graphs of networks, averaged over worms, with connectomes."""
    tables = []
    for name in dict.fromkeys(name for name, _ in graphs):
        of_worms, mean = _graphs_and_mean(graphs, name)
        for source in SOURCES:
            reference = load_connectome(source, mean.index)
            table = compare_graphs(mean, reference, n_permutations=n_permutations, random_state=random_state)
            each = [compare_graphs(graph, reference, n_permutations=1, random_state=0) for graph in of_worms]
            table = table.join(_over_worms(each, random_state), on="statistic")
            tables.append(table.assign(model=name, source=source))
    similarity = pd.concat(tables, ignore_index=True)
    first = ["model", "source", "statistic", "null"]
    return similarity[[*first, *similarity.columns.drop(first)]]


def _graphs_and_mean(graphs: Graphs, name: str) -> tuple[list[pd.DataFrame], pd.DataFrame]:
    of_worms = [graph for (network, _), graph in graphs.items() if network == name]
    return of_worms, sum(of_worms[1:], of_worms[0]) / len(of_worms)


def _over_worms(tables: list[pd.DataFrame], random_state: int) -> pd.DataFrame:
    values = pd.concat(table.drop_duplicates("statistic").set_index("statistic")["value"] for table in tables)
    spread = {}
    for statistic, of_worms in values.groupby(level=0, sort=False):
        low, high = np.nan, np.nan
        if len(of_worms) > 1:
            each = list(of_worms.to_numpy()[:, None, None])
            rng = np.random.RandomState(random_state)
            low, high = interval(bootstrap_over_worms(each, n_resamples=10_000, rng=rng))
        spread[statistic] = {"worms_mean": of_worms.mean(), "worms_low": low, "worms_high": high}
    return pd.DataFrame.from_dict(spread, orient="index")


def texts_of_similarity(similarity: pd.DataFrame) -> pd.DataFrame:
    """Lay the comparison with connectomes out for reading."""
    rows = {}
    for (model, source), part in similarity.groupby(["model", "source"], sort=False):
        cells = {}
        for row in part.to_dict("records"):
            title = _STATISTICS[row["statistic"]]
            cells[title] = f"{row['value']:.3f} ({row['worms_low']:.3f} to {row['worms_high']:.3f})"
            cells[f"{title}, p {_NULLS[row['null']]}"] = f"{row['p_value']:.2g}"
        rows[f"{model}, {source}"] = {**cells, "edges": str(part["n_edges"].iloc[0])}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("graph, connectome")


def graph_figure(graphs: Graphs) -> Any:
    """Draw the graph of the GNN, averaged over worms, beside the connectome."""
    from skworm.plotting import GraphDisplay

    of_worms, mean = _graphs_and_mean(graphs, STATE_MODELS["gnn"].label)
    reference = load_connectome(SOURCES[0], mean.index)
    label = f"Inferred edge weight, mean of {len(of_worms)} worms"
    reference_label = "edge of the connectome (White et al. 1986)"
    return GraphDisplay(mean, reference=reference, label=label, reference_label=reference_label).plot().figure_
