"""The graphs that networks infer, compared with connectomes."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from skworm.datasets import load_connectome
from skworm.inspection import compare_graphs
from skworm.model_selection.comparison import bootstrap_over_worms, interval
from skworm.paper.declaration import Results
from skworm.paper.models import STATE_MODELS
from skworm.paper.study import Study
from skworm.recording import UNKNOWN

SOURCES = ("white1986", "cook2019")
"""Connectomes that inferred graphs are compared with."""

_NETWORKS = ("gnn", "gnn-plain", "gnn-published")
_STATISTICS = {"spearman": "rank correlation", "auroc": "AUROC"}
_NULLS = {"permuted_labels": "permuted labels", "rewired_reference": "rewired connectome"}

# Graphs [pre, post] by network and worm.
Graphs = Mapping[str, Mapping[str, pd.DataFrame]]


def results_of_graphs(study: Study, n_permutations: int) -> Results:
    """Infer the graph of every worm, and compare it with connectomes."""
    graphs = infer_graphs(study)
    similarity = compare_with_connectomes(graphs, n_permutations, study.seed)
    return Results(
        {"graphs": _table(graphs), "similarity": similarity},
        {"inferred-graph": _figure(graphs)},
        {"inferred graphs against connectomes": _texts(similarity)},
    )


def infer_graphs(study: Study) -> Graphs:
    """Train networks on every combination of worms, and infer the graph of every worm, averaged over the fits."""
    X, y = study.frames(study.settings.states[0], study.neurons)
    worm, known = X.index.get_level_values("worm"), (y != UNKNOWN).to_numpy()
    graphs = {}
    for name in _NETWORKS:
        label, fits = STATE_MODELS[name].label, []
        for train in combinations(worm.unique(), study.train_counts()[0]):
            print(f"graph of {label}, trained on {', '.join(train)}", file=sys.stderr)
            rows = worm.isin(train) & known
            model = study.model(name).fit(X[rows], y[rows])
            # A training worm has the graph of training, another one that of its own frames.
            fits.append(model.infer_graphs(X) | model.graphs_)
        graphs[label] = {key: _mean([graphs_of_fit[key] for graphs_of_fit in fits]) for key in fits[0]}
    return graphs


def _mean(graphs: Collection[pd.DataFrame]) -> pd.DataFrame:
    first, *others = graphs
    return sum(others, first) / len(graphs)


def _table(graphs: Graphs) -> pd.DataFrame:
    rows = [
        graph.melt(ignore_index=False, value_name="weight").reset_index().assign(model=name, worm=worm)
        for name, of_worms in graphs.items()
        for worm, graph in of_worms.items()
    ]
    return pd.concat(rows, ignore_index=True)[["model", "worm", "pre", "post", "weight"]]


def compare_with_connectomes(graphs: Graphs, n_permutations: int, random_state: int = 0) -> pd.DataFrame:
    """Compare the graphs of networks, averaged over worms, with connectomes."""
    tables = []
    for name, of_worms in graphs.items():
        mean = _mean(of_worms.values())
        for source in SOURCES:
            reference = load_connectome(source, mean.index)
            table = compare_graphs(mean, reference, n_permutations=n_permutations, random_state=random_state)
            each = [compare_graphs(graph, reference, n_permutations=1, random_state=0) for graph in of_worms.values()]
            table = table.join(_over_worms(each, random_state), on="statistic")
            tables.append(table.assign(model=name, source=source))
    similarity = pd.concat(tables, ignore_index=True)
    first = ["model", "source", "statistic", "null"]
    return similarity[[*first, *similarity.columns.drop(first)]]


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


def _texts(similarity: pd.DataFrame) -> pd.DataFrame:
    rows = {}
    for (model, source), part in similarity.groupby(["model", "source"], sort=False):
        cells = {}
        for row in part.to_dict("records"):
            title = _STATISTICS[row["statistic"]]
            cells[title] = f"{row['value']:.3f} ({row['worms_low']:.3f} to {row['worms_high']:.3f})"
            cells[f"{title}, p {_NULLS[row['null']]}"] = f"{row['p_value']:.2g}"
        rows[f"{model}, {source}"] = {**cells, "edges": str(part["n_edges"].iloc[0])}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("graph, connectome")


def _figure(graphs: Graphs) -> Any:
    from skworm.plotting import GraphDisplay

    of_worms = graphs[STATE_MODELS["gnn"].label]
    mean = _mean(of_worms.values())
    reference = load_connectome(SOURCES[0], mean.index)
    label = f"Inferred edge weight, mean of {len(of_worms)} worms"
    reference_label = "edge of the connectome (White et al. 1986)"
    return GraphDisplay(mean, reference=reference, label=label, reference_label=reference_label).plot().figure_
