"""Does an inferred graph agree with the true one, and with the connectome?

Fits the default GNNStateClassifier and GNNTrajectoryRegressor to worms, and compares their graphs with a reference:
on simulated worms with the interaction graph behind them, on real ones with the synapses of White et al. 1986 and of
Cook et al. 2019. Beside them stand two graphs that need no network: the size of the coefficients of a linear map
from all traces to the change of each trace, and that of the correlations of traces. Self edges do not count.

For each reference: AUROC of the inferred weights, with the 95th percentile and the p of either kind of chance, and the
rank correlation with the p of either. For each network also the rank correlation of its graph with that of the same
network before training, and at last how far the graphs of worms and seeds rank edges alike.

    python tests/benchmarks/true_graph.py [--data FOLDER] [--worm-seeds 0 1 2] [--fit-seeds 0 1 2]
        [--models classifier regressor linear correlation] [--mixing 0.35] [--noise 0.08] [--edge-scale 1]
        [--without-homologues] [--picture FILE]

Every worm seed is fitted with the first fit seed, the first worm seed with all of them. One fit takes some minutes.
"""

import argparse

import numpy as np
import pandas as pd

from skworm import GNNStateClassifier, GNNTrajectoryRegressor
from skworm.datasets import load_connectome, load_recordings, make_worms
from skworm.frames import PAPER_NEURONS, make_frames, make_trajectories
from skworm.inspection import compare_graphs, graph_stability, inferred_graph
from skworm.plotting import GraphDisplay

CONNECTOMES = [(source, kind) for source in ("white1986", "cook2019") for kind in ("both", "chemical", "electrical")]


def of_classifier(recordings, seed, epochs):
    """Graph of each worm, and their mean, in the classifier that tells four states apart."""
    X, y = make_frames(recordings, neurons=PAPER_NEURONS, missing="drop", states="4")
    gnn = GNNStateClassifier(random_state=seed, device="cpu").set_params(**epochs).fit(X, y)
    return inferred_graph(gnn, X, by="worm"), inferred_graph(gnn, X)


def of_regressor(recordings, seed, epochs):
    """The same in the regressor, whose graph changes from frame to frame."""
    X, Y = make_trajectories(backward_frames(recordings))
    gnn = GNNTrajectoryRegressor(random_state=seed, device="cpu").set_params(**epochs).fit(X, Y)
    return inferred_graph(gnn, X, by="worm"), inferred_graph(gnn, X)


def of_linear_map(recordings, seed, epochs):
    """Size of the coefficients with which each trace predicts the change of another, next frame."""
    from sklearn.linear_model import Ridge

    def coefficients(traces):
        change = traces.groupby(level="worm").diff().shift(-1)
        whole = change.notna().all(axis=1)
        return np.abs(Ridge(alpha=1.0).fit(traces[whole], change[whole]).coef_.T)

    return graphs_of_traces(recordings, coefficients)


def of_correlation(recordings, seed, epochs):
    """Size of the correlations of traces."""
    return graphs_of_traces(recordings, lambda traces: np.abs(np.corrcoef(traces.to_numpy().T)))


def before_training(model, recordings, seed, graph):
    """Rank correlation of a graph with that of the network as it starts."""
    start = MODELS[model](recordings, seed, {"max_epochs": 1, "learning_rate": 1e-12})[1]
    return graph_stability({"start": start, "end": graph})["mean"].item()


def backward_frames(recordings):
    return make_frames(recordings, neurons=PAPER_NEURONS, missing="drop", states=None, derivative="backward")[0]


def graphs_of_traces(recordings, weigh):
    traces = backward_frames(recordings).filter(like=":trace")
    traces = traces - traces.groupby(level="worm").transform("mean")
    neurons = [column.split(":")[0] for column in traces]
    pre, post = pd.Index(neurons, name="pre"), pd.Index(neurons, name="post")
    by_worm = {worm: pd.DataFrame(weigh(own), pre, post) for worm, own in traces.groupby(level="worm")}
    return by_worm, pd.DataFrame(weigh(traces), pre, post)


MODELS = {
    "classifier": of_classifier,
    "regressor": of_regressor,
    "linear": of_linear_map,
    "correlation": of_correlation,
}
SEEDED = ("classifier", "regressor")


def worms_and_references(options):
    """Yield the seed of the worms, the worms, and the graphs to compare with."""
    if options.data:
        references = {f"{source} {kind}": load_connectome(source, kind=kind) for source, kind in CONNECTOMES}
        if options.without_homologues:
            references = {name: hide_homologues(graph) for name, graph in references.items()}
        yield "real", load_recordings(options.data), references
        return
    _, true = make_worms(1, n_frames=2, random_state=0, return_graph=True)
    for seed in options.worm_seeds:
        settings = {"mixing": options.mixing, "noise": options.noise, "graph": options.edge_scale * true}
        yield f"worms {seed}", make_worms(random_state=seed, **settings), {"true graph": true}


def hide_homologues(graph):
    """Make pairs of a left and a right neuron of one class unknown, so that they do not count."""
    sides = {name: name[:-1] for name in graph.index if name[-1] in "LR"}
    classes = [sides.get(name, name) for name in graph.index]
    return graph.mask(np.equal.outer(np.array(classes), np.array(classes)))


def draw(path, graphs, reference):
    """Draw the graphs of the first model on the first worms, one a seed, with the edges of the first reference."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4 * len(graphs), 4.6), layout="constrained")
    for axes, (title, graph) in zip(figure.subplots(1, len(graphs), squeeze=False)[0], graphs.items(), strict=True):
        label = None if "reference" in reference[1].attrs else reference[0]
        GraphDisplay(graph, reference=reference[1], reference_label=label).plot(ax=axes)
        axes.set_title(title, fontsize="medium")
    figure.savefig(path, dpi=150)


def line_of(result):
    """One line of numbers."""
    table = result.set_index(["statistic", "null"])
    auroc, spearman = table.loc["auroc"], table.loc["spearman"]
    parts = [f"AUROC {auroc['value'].iloc[0]:.3f}"]
    for null, short in (("permuted_labels", "labels"), ("rewired_reference", "rewired")):
        chance = auroc.loc[null]
        parts.append(f"{short}: 95th {chance['null_percentile_95']:.3f} p {chance['p_value']:.4f}")
    parts.append(f"Spearman {spearman['value'].iloc[0]:+.3f} p {' / '.join(f'{p:.4f}' for p in spearman['p_value'])}")
    counts = result.iloc[0]
    return f"{'; '.join(parts)}; {counts['n_edges']} edges, {counts['n_pairs']} pairs"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of real recordings; simulated worms by default")
    parser.add_argument("--worm-seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--fit-seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--epochs", type=int, help="in place of the estimators' own")
    parser.add_argument("--mixing", type=float, default=0.35)
    parser.add_argument("--noise", type=float)
    parser.add_argument("--edge-scale", type=float, default=1.0, help="factor on the weights of the true graph")
    parser.add_argument("--without-homologues", action="store_true", help="leave out pairs such as AVAL and AVAR")
    parser.add_argument("--picture", help="file for a picture of the first model's graphs")
    options = parser.parse_args()
    epochs = {} if options.epochs is None else {"max_epochs": options.epochs}
    graphs, pictured = {model: {} for model in options.models}, {}
    for number, (worms, recordings, references) in enumerate(worms_and_references(options)):
        for model in options.models:
            for seed in options.fit_seeds[: None if number == 0 and model in SEEDED else 1]:
                by_worm, mean = MODELS[model](recordings, seed, epochs)
                if model in SEEDED:
                    correlation = before_training(model, recordings, seed, mean)
                    print(f"{model:11} {worms}, fit {seed}: rank correlation with its start {correlation:+.3f}")
                if number == 0 and model == options.models[0]:
                    pictured[f"fit {seed}"] = mean
                graphs[model] |= {(f"{worms}/{worm}", seed): graph for worm, graph in by_worm.items()}
                for name, reference in references.items():
                    result = compare_graphs(mean, reference, n_permutations=2000, random_state=0)
                    print(f"{model:11} {worms}, fit {seed}, {name}: {line_of(result)}", flush=True)
        if number == 0 and options.picture:
            draw(options.picture, pictured, next(iter(references.items())))
    for model, fitted in graphs.items():
        print(f"\n{model}: rank correlation of edge weights")
        print(graph_stability(fitted, names=("worm", "seed")).round(3).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
