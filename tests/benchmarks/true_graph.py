"""Which graphs agree with the true one of simulated worms, and with connectomes?

Simulated worms have an interaction graph that is known: 29 signed edges among 210 pairs of 15 neurons. Real worms are
compared with the synapses of White et al. 1986, Cook et al. 2019 and Witvliet et al. 2021 (an adult). Self edges do not
count.
One row for each set of worms, method, seed of the fit and reference: AUROC of the size of the weights, the 95th
percentile and p of either kind of chance, the rank correlation with the reference, and, where weights are signed, how
many of the true edges among the strongest 29 have the right sign. At the end, how far the graphs of one network's fits
with different seeds rank edges alike.

    python tests/benchmarks/true_graph.py [--data FOLDER] [--worm-seeds 0 1 2] [--worms 5] [--mixing 0.35]
        [--methods functional ...] [--fit-seeds 0] [--out FILE.csv] [--picture FILE.png]

Methods without a network take seconds for each set of worms, a fit of a network some minutes.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from skworm import GNNStateClassifier, GNNTrajectoryRegressor
from skworm.datasets import load_connectome, load_recordings, make_worms
from skworm.frames import PAPER_NEURONS, make_frames, make_trajectories
from skworm.inspection import compare_graphs, functional_graph

CONNECTOMES = [
    ("white1986", "chemical"),
    ("white1986", "electrical"),
    ("white1986", "both"),
    ("cook2019", "both"),
    ("witvliet2021_8", "both"),
]
HORIZON = 16
RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results" / "graphs.csv"


def correlation(recordings, seed):
    """Return the correlations of traces."""
    return as_graph(recordings, lambda traces: np.corrcoef(traces.T))


def partial_correlation(recordings, seed):
    """Return partial correlations by the graphical lasso."""
    from sklearn.covariance import GraphicalLassoCV

    def partial_correlations(traces):
        precision = GraphicalLassoCV(max_iter=500).fit(traces / traces.std(axis=0)).precision_
        scale = np.sqrt(np.diag(precision))
        return -precision / np.outer(scale, scale)

    return as_graph(recordings, partial_correlations)


def functional(recordings, seed, **options):
    """Return the t of ``functional_graph``."""
    return functional_graph(recordings, neurons=neurons_of(recordings), n_shifts=0, **options).t


def classifier(recordings, seed):
    """Return the mean graph of the classifier of four states."""
    X, y = make_frames(recordings, neurons=neurons_of(recordings), states="4")
    return mean_graph(GNNStateClassifier(random_state=seed, device="cpu").fit(X, y))


def regressor(recordings, seed, *, given_states=False):
    """Return the mean graph of the network that predicts traces, with states regressed out of them where wanted."""
    frames, states = make_frames(
        recordings, neurons=neurons_of(recordings), states="7", derivative="backward", unknown="keep"
    )
    if given_states:
        by_state = frames.groupby([frames.index.get_level_values("worm"), states.to_numpy()])
        residuals = frames - by_state.transform("mean")
        residuals.attrs = dict(frames.attrs)
        frames = residuals
    X, y = make_trajectories(frames, horizon=HORIZON, burn_in=1)
    return mean_graph(GNNTrajectoryRegressor(random_state=seed, device="cpu").fit(X, y))


METHODS = {
    "correlation": correlation,
    "partial correlation": partial_correlation,
    "linear map": partial(functional, given=()),
    "given states": partial(functional, given="states"),
    "functional": functional,
    "classifier": classifier,
    "regressor": regressor,
    "regressor given states": partial(regressor, given_states=True),
}
NETWORKS = ("classifier", "regressor", "regressor given states")


def mean_graph(network):
    """Return the mean of the graphs of the training worms."""
    return sum(network.graphs_.values()) / len(network.graphs_)


def neurons_of(recordings):
    """Return the paper's neurons that every worm has."""
    return [name for name in PAPER_NEURONS if all(name in worm.identified for worm in recordings)]


def as_graph(recordings, weigh):
    """Return the weights of centred traces of all worms, as a table [pre, post]."""
    names = neurons_of(recordings)
    traces = [worm.traces[:, [worm.neurons.index(name) for name in names]] for worm in recordings]
    weights = weigh(np.vstack([own - own.mean(axis=0) for own in traces]))
    return pd.DataFrame(weights, index=pd.Index(names, name="pre"), columns=pd.Index(names, name="post"))


def row_of(graph, reference):
    """Return how far a graph agrees with a reference."""
    table = compare_graphs(graph.abs(), reference.abs(), n_permutations=1000, random_state=0)
    auroc = table[table["statistic"] == "auroc"].set_index("null")
    row = {"auroc": auroc["value"].iloc[0]}
    for null in ("permuted_labels", "rewired_reference"):
        row |= {f"{null}_95": auroc.loc[null, "null_percentile_95"], f"{null}_p": auroc.loc[null, "p_value"]}
    wanted = reference.reindex(index=graph.index, columns=graph.columns)
    pairs = ~np.eye(len(graph), dtype=bool)
    row["spearman"] = spearmanr(graph.to_numpy()[pairs], wanted.to_numpy()[pairs]).statistic
    if (wanted.to_numpy()[pairs] < 0).any() and (graph.to_numpy()[pairs] < 0).any():
        found, true = graph.to_numpy()[pairs], wanted.to_numpy()[pairs]
        strongest = np.argsort(-np.abs(found), kind="stable")[: np.count_nonzero(true)]
        hits = strongest[true[strongest] != 0]
        row |= {"true_edges": len(hits), "right_signs": int((np.sign(found[hits]) == np.sign(true[hits])).sum())}
    return row


def worms_and_references(options):
    """Yield the name of a set of worms, the worms, and the graphs to compare with."""
    if options.data:
        references = {f"{source} {kind}": load_connectome(source, kind=kind) for source, kind in CONNECTOMES}
        yield "real", load_recordings(options.data), references
        return
    for seed in options.worm_seeds:
        worms, true = make_worms(
            options.worms, options.frames, mixing=options.mixing, random_state=seed, return_graph=True
        )
        yield str(seed), worms, {"true graph": true}


def draw(path, recordings):
    """Draw how well each method finds the true graph, and the functional graph of the last worms."""
    from matplotlib.figure import Figure

    from skworm.plotting import GraphDisplay

    rows = pd.read_csv(RESULTS)
    rows = rows[(rows["reference"] == "true graph") & (rows["n_worms"] == 5) & (rows["mixing"] == 0.35)]
    methods = [name for name in METHODS if name in set(rows["method"])]
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
    for place, method in enumerate(methods):
        own = rows.loc[rows["method"] == method, "auroc"]
        spread = np.linspace(-0.18, 0.18, len(own)) if len(own) > 1 else [0]
        left.plot(own, place + np.array(spread), "o", markersize=4, color="#0072B2", mec="white", mew=0.5)
    chance = rows[["permuted_labels_95", "rewired_reference_95"]].max(axis=1).mean()
    left.axvspan(0.4, chance, color="0.92", zorder=0)
    left.text(chance - 0.005, len(methods) - 0.45, "chance", ha="right", va="bottom", fontsize="x-small", color="0.4")
    left.set_yticks(range(len(methods)), methods, fontsize="small")
    left.set_xlabel("AUROC of the true edges\n(simulated worms)", fontsize="small")
    left.set_xlim(0.4, 1)
    left.invert_yaxis()
    left.spines[["top", "right"]].set_visible(False)
    graph = functional_graph(recordings, neurons=neurons_of(recordings), n_shifts=0).t
    graph = graph.mask(np.eye(len(graph), dtype=bool))
    GraphDisplay(
        graph,
        reference=load_connectome(kind="both"),
        reference_label="edge of the connectome (White et al. 1986)",
        label="Functional graph, t over worms",
    ).plot(ax=right)
    figure.savefig(path, dpi=200)


def main():
    """Print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of real recordings; simulated worms by default")
    parser.add_argument("--worm-seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--worms", type=int, default=5)
    parser.add_argument("--frames", type=int, default=3100)
    parser.add_argument("--mixing", type=float, default=0.35)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--fit-seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", help="file for the rows, as CSV")
    parser.add_argument("--picture", help="file for a picture of docs/results/graphs.csv and of the functional graph")
    options = parser.parse_args()
    rows, graphs = [], {}
    for worms, recordings, references in worms_and_references(options):
        for method in options.methods:
            for seed in options.fit_seeds if method in NETWORKS else [0]:
                graph = METHODS[method](recordings, seed)
                graphs.setdefault((method, worms), {})[seed] = graph
                for name, reference in references.items():
                    setting = {"worms": worms, "n_worms": len(recordings), "mixing": options.mixing}
                    rows.append(
                        {**setting, "method": method, "seed": seed, "reference": name, **row_of(graph, reference)}
                    )
                    print(
                        "; ".join(
                            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                            for key, value in rows[-1].items()
                        ),
                        flush=True,
                    )
    table = pd.DataFrame(rows)
    if options.out:
        table.to_csv(options.out, index=False, float_format="%.4g")
    if options.picture:
        draw(options.picture, recordings)
    print(table.groupby(["method", "reference"], sort=False)["auroc"].agg(["mean", "min", "max"]).round(3).to_string())
    for (method, worms), fits in graphs.items():
        if len(fits) > 1:
            alike = pd.DataFrame({seed: graph.stack() for seed, graph in fits.items()}).corr("spearman")
            print(f"{method}, worms {worms}, rank correlation between seeds:\n{alike.round(3).to_string()}")


if __name__ == "__main__":
    main()
