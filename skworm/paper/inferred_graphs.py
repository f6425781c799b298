"""The graphs that networks infer, compared with connectomes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from skworm.datasets import load_connectome
from skworm.inspection import compare_graphs, inferred_graph
from skworm.model_selection.comparison import bootstrap_over_worms, interval
from skworm.model_selection.store import FitStore
from skworm.paper.models import STATE_MODELS
from skworm.paper.study import Study, digest_of_recordings
from skworm.recording import UNKNOWN

SOURCES = ("white1986", "cook2019")
"""Connectomes that inferred graphs are compared with."""

_NETWORKS = ("gnn", "gnn-plain", "gnn-published")
_STATISTICS = {"spearman": "rank correlation", "auroc": "AUROC"}
_NULLS = {"permuted_labels": "permuted labels", "rewired_reference": "rewired connectome"}

# Graphs [pre, post] by network and worm.
Graphs = Mapping[tuple[str, str], pd.DataFrame]


def results_of_inferred_graphs(study: Study, folder: Path, n_permutations: int) -> dict[str, dict[str, Any]]:
    """Infer the graph of every worm, and compare it with connectomes."""
    graphs = infer_graphs(study, folder)
    similarity = compare_with_connectomes(graphs, n_permutations, study.seed)
    long = pd.concat({key: graph.melt(ignore_index=False, value_name="weight") for key, graph in graphs.items()})
    long = long.rename_axis(["model", "worm", "pre"]).reset_index()[["model", "worm", "pre", "post", "weight"]]
    return {
        "data": {"graphs": long, "similarity": similarity},
        "tables": {"inferred graphs against connectomes": _texts(similarity)},
        "figures": {"inferred-graph": _figure(graphs, study)},
    }


def infer_graphs(study: Study, folder: Path) -> dict[tuple[str, str], pd.DataFrame]:
    """Train networks and infer the graph of every worm, averaged over the fits."""
    states, neurons = study.settings.states[0], list(study.neurons)
    X, y = study.frames(states, neurons)
    worm = X.index.get_level_values("worm")
    store = FitStore(folder / "graphs")
    data = digest_of_recordings(study.recordings)
    kept: dict[tuple[str, str], list[Any]] = {}
    for name in _NETWORKS:
        model = study.model(name)
        for train in combinations(worm.unique(), study.train_counts()[0]):
            digest = joblib.hash([data, neurons, states, study.derivative, name, str(model.get_params()), train])
            known = store.read([digest])
            if digest not in known:
                print(f"graph of {STATE_MODELS[name].label}, trained on {', '.join(train)}", file=sys.stderr)
                rows = worm.isin(train) & (y != UNKNOWN).to_numpy()
                inferred = inferred_graph(model.fit(X[rows], y[rows]), X, by="worm")
                known[digest] = {str(key): graph.to_numpy().tolist() for key, graph in inferred.items()}
                store.write(digest, known[digest])
            for key, graph in known[digest].items():
                kept.setdefault((STATE_MODELS[name].label, key), []).append(graph)
    pre, post = pd.Index(neurons, name="pre"), pd.Index(neurons, name="post")
    return {key: pd.DataFrame(np.mean(graphs, axis=0), index=pre, columns=post) for key, graphs in kept.items()}


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


def _figure(graphs: Graphs, study: Study) -> Any:
    from skworm.plotting import GraphDisplay

    of_worms, mean = _graphs_and_mean(graphs, STATE_MODELS["gnn"].label)
    reference = load_connectome(SOURCES[0], study.neurons)
    label = f"Inferred edge weight, mean of {len(of_worms)} worms"
    reference_label = "edge of the connectome (White et al. 1986)"
    return GraphDisplay(mean, reference=reference, label=label, reference_label=reference_label).plot().figure_
