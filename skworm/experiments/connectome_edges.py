"""Inferred edges against those of the connectome: as graphs, and as what a classifier computes on."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from skworm.classification import GNNStateClassifier
from skworm.datasets import load_connectome
from skworm.experiments.arms import Arm, StudySettings, frames_of
from skworm.experiments.catalogue import Target
from skworm.experiments.classifier_studies import table_1_numbers, tasks
from skworm.experiments.given_graphs import connectome_graph, silent_neurons
from skworm.experiments.intervals import interval_over_worms
from skworm.experiments.outcome import Outcome
from skworm.experiments.protocol import Material
from skworm.experiments.study import dots_figure, run_study
from skworm.experiments.worms import digest_recordings
from skworm.inspection import compare_graphs, inferred_graph
from skworm.model_selection.results import ResultStore
from skworm.states import UNKNOWN
from skworm.training import VirtualWorms

SOURCES = ("white1986", "cook2019")
"""Connectomes that inferred graphs are compared with."""

_N_PERMUTATIONS = 1000
_STATISTICS = {"spearman": "rank correlation", "auroc": "AUROC"}
_NULLS = {"permuted_labels": "permuted labels", "rewired_reference": "rewired connectome"}


def edges_vs_connectome(target: Target, settings: StudySettings, material: Material, out: Path, **run: Any) -> Outcome:
    """Compare inferred graphs with connectomes, and the GNN with one on the connectome's edges."""
    graphs = infer_graphs(settings, material, out, verbose=run.get("verbose", 1))
    similarity = compare_with_connectomes(graphs, settings.random_state)
    arms = _arms(settings, material)
    connectome = connectome_graph(material.neurons)
    silent = silent_neurons(connectome)
    notes = [
        "Graphs: each network is trained on all frames of every combination of training worms, and asked for the graph "
        "of every worm. Graphs are averaged over fits and worms and compared with the connectome between pairs of "
        "different neurons. Rank correlation is of weights; AUROC is the probability that an edge of the connectome "
        "has a larger inferred weight than a pair without one, .5 by chance. In round brackets the 95 % interval of "
        "the same for each worm's graph, over worms. p is one-sided, against neurons that swap names or a connectome "
        f"whose edges swap ends, {_N_PERMUTATIONS} times each. All graphs are of one seed: "
        "a likeness means something only where other seeds have it too.",
        "Classifier on the connectome: White et al. 1986, chemical synapses and gap junctions, weighted, without self "
        "edges, aligned by name (VB1 is VB01). "
        + (f"No edge leads to {', '.join(silent)}. " if silent else "")
        + "'Own features' adds a neuron's own features to its messages, the default; without them such neurons are not "
        "seen.",
    ]

    def figures(scores: Any, table: Any) -> dict[str, Any]:
        return {target.name: dots_figure(scores, table, arms), "inferred-graph": _graph_figure(graphs, material)}

    return run_study(
        target,
        settings,
        material,
        arms,
        out,
        figures=figures,
        notes=notes,
        data={"graphs": _long(graphs), "similarity": similarity},
        tables={"inferred graphs against connectomes": _texts(similarity)},
        **run,
    )


def infer_graphs(
    settings: StudySettings, material: Material, out: Path, *, verbose: int = 1
) -> dict[tuple[str, str], pd.DataFrame]:
    """Train networks and infer the graph of every worm.

    Parameters
    ----------
    settings : StudySettings
        Settings; the first vocabulary of states and the least number of training worms are taken.
    material : Material
        Recordings.
    out : pathlib.Path
        Folder that keeps the graphs of every finished fit.
    verbose : int, default=1
        0 is silent.

    Returns
    -------
    dict of DataFrame
        By network and worm, the graph [pre, post] averaged over the fits.
    """
    states, neurons = settings.states[0], list(material.neurons)
    X, y = frames_of(material, material.recordings, states, neurons)
    worm = X.index.get_level_values("worm")
    store = ResultStore(out / "graphs")
    data = digest_recordings(material.recordings)
    kept: dict[tuple[str, str], list[pd.DataFrame]] = {}
    least = settings.train_counts(len(material.recordings))[0]
    for name, model in _networks(settings).items():
        for train in combinations(worm.unique(), least):
            digest = joblib.hash([data, neurons, states, material.derivative, name, str(model.get_params()), train])
            if digest not in store.rows_by_digest:
                if verbose:
                    print(f"graph of {name}, trained on {'+'.join(train)}", file=sys.stderr)
                rows = worm.isin(train) & (y != UNKNOWN).to_numpy()
                fitted = model.fit(X[rows], y[rows])
                inferred = inferred_graph(fitted, X, by="worm")
                store.append(
                    digest, [{"worm": str(key), "graph": graph.to_numpy().tolist()} for key, graph in inferred.items()]
                )
            for row in store.rows_by_digest[digest]:
                kept.setdefault((name, row["worm"]), []).append(row["graph"])
    pre, post = pd.Index(neurons, name="pre"), pd.Index(neurons, name="post")
    return {key: pd.DataFrame(np.mean(graphs, axis=0), index=pre, columns=post) for key, graphs in kept.items()}


def compare_with_connectomes(graphs: Mapping[tuple[str, str], pd.DataFrame], random_state: int = 0) -> pd.DataFrame:
    """Compare the graphs of networks, averaged over worms, with connectomes.

    Parameters
    ----------
    graphs : mapping of (network, worm) to DataFrame
        What :func:`infer_graphs` returned.
    random_state : int, default=0
        Seed of permutations and intervals.

    Returns
    -------
    pandas.DataFrame
        The rows of :func:`~skworm.inspection.compare_graphs` with the columns ``model`` and ``source``, and with
        ``worms_mean``, ``worms_low`` and ``worms_high``: the statistic of each worm's own graph, its mean and 95 %
        interval over worms.
    """
    tables = []
    for name in dict.fromkeys(name for name, _ in graphs):
        of_worms, mean = _graphs_and_mean(graphs, name)
        for source in SOURCES:
            reference = load_connectome(source, mean.index)
            table = compare_graphs(mean, reference, n_permutations=_N_PERMUTATIONS, random_state=random_state)
            each = [compare_graphs(graph, reference, n_permutations=1, random_state=0) for graph in of_worms]
            spread = _over_worms(each, random_state)
            tables.append(table.join(spread, on="statistic").assign(model=name, source=source))
    similarity = pd.concat(tables, ignore_index=True)
    first = ["model", "source", "statistic", "null"]
    return similarity[[*first, *similarity.columns.drop(first)]]


def _networks(settings: StudySettings) -> dict[str, Any]:
    shared = settings.of_networks
    return {
        "GNN": GNNStateClassifier(**shared),
        "GNN, virtual worms": GNNStateClassifier(augmentation=VirtualWorms(), **shared),
        "GNN, as published": GNNStateClassifier.as_published(**shared),
    }


def _arms(settings: StudySettings, material: Material) -> list[Arm]:
    shared = settings.of_networks
    graph = connectome_graph(material.neurons)
    models = {
        "GNN": (GNNStateClassifier(**shared), None),
        "GNN, connectome": (GNNStateClassifier(graph=graph, **shared), "GNN"),
        "GNN, connectome, no own features": (GNNStateClassifier(graph=graph, residual=False, **shared), "GNN"),
    }
    return [
        Arm(title, label, model, states, n_train, material.neurons, against, table_1_numbers(label, states, n_train))
        for states, n_train, title in tasks(settings, material)
        for label, (model, against) in models.items()
    ]


def _graphs_and_mean(
    graphs: Mapping[tuple[str, str], pd.DataFrame], name: str
) -> tuple[list[pd.DataFrame], pd.DataFrame]:
    """Give the graph of every worm that a network inferred, and their mean."""
    of_worms = [graph for (network, _), graph in graphs.items() if network == name]
    return of_worms, sum(of_worms[1:], of_worms[0]) / len(of_worms)


def _over_worms(tables: Sequence[pd.DataFrame], random_state: int) -> pd.DataFrame:
    values = pd.concat(table.drop_duplicates("statistic").set_index("statistic")["value"] for table in tables)
    spread = {}
    for statistic, of_worms in values.groupby(level=0, sort=False):
        rows = pd.DataFrame({"worm": range(len(of_worms)), "value": of_worms.to_numpy()})
        low, high = interval_over_worms(rows, "value", random_state)
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


def _long(graphs: Mapping[tuple[str, str], pd.DataFrame]) -> pd.DataFrame:
    long = pd.concat({key: graph.melt(ignore_index=False, value_name="weight") for key, graph in graphs.items()})
    long = long.rename_axis(["model", "worm", "pre"]).reset_index()
    return long[["model", "worm", "pre", "post", "weight"]]


def _graph_figure(graphs: Mapping[tuple[str, str], pd.DataFrame], material: Material) -> Any:
    from skworm.plotting import GraphDisplay

    of_worms, mean = _graphs_and_mean(graphs, "GNN")
    reference = load_connectome(SOURCES[0], material.neurons)
    label = f"Inferred edge weight, mean of {len(of_worms)} worms"
    reference_label = "edge of the connectome (White et al. 1986)"
    return GraphDisplay(mean, reference=reference, label=label, reference_label=reference_label).plot().figure_
