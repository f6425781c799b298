"""Does `functional_graph` find the true graph of simulated worms, and does it agree with the connectome?

For six sets of simulated worms: AUROC of |t| against the true graph, the 95th percentile of either kind of chance, and
the signs of the true edges among the strongest 29; with what is given by default, with states alone, and with nothing.
For real worms: AUROC of |t| and of the size of the weights against White et al. 1986.

    python tests/benchmarks/functional_graph.py [--data FOLDER] [--worm-seeds 0 1 2 3 4 5] [--worms 5] [--frames 3100]
"""

import argparse

import numpy as np

from skworm.datasets import load_connectome, load_recordings, make_worms
from skworm.frames import PAPER_NEURONS
from skworm.inspection import compare_graphs, functional_graph

GIVEN = {"default": ("states", "other_neurons"), "states": ("states",), "nothing": ()}


def auroc(graph, reference):
    table = compare_graphs(graph.abs(), reference, n_permutations=300, random_state=0)
    return table[table["statistic"] == "auroc"]


def signs_of_the_strongest(graph, truth, n_edges=29):
    pairs = [(truth.loc[edge.pre, edge.post], edge.t) for edge in graph.edges().head(n_edges).itertuples()]
    true = [(weight, t) for weight, t in pairs if weight]
    return sum(np.sign(weight) == np.sign(t) for weight, t in true), len(true)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of real recordings, beside the simulated worms")
    parser.add_argument("--worm-seeds", type=int, nargs="+", default=list(range(6)))
    parser.add_argument("--worms", type=int, default=5)
    parser.add_argument("--frames", type=int, default=3100)
    options = parser.parse_args()
    for name, given in GIVEN.items():
        found = []
        for seed in options.worm_seeds:
            worms, truth = make_worms(options.worms, options.frames, random_state=seed, return_graph=True)
            graph = functional_graph(worms, neurons=PAPER_NEURONS, given=given, n_shifts=0)
            scores = auroc(graph.t, truth)
            right, among = signs_of_the_strongest(graph, truth)
            found.append(scores["value"].iloc[0])
            chance = ", ".join(f"{value:.3f}" for value in scores["null_percentile_95"])
            print(f"given {name}, worms {seed}: AUROC {found[-1]:.3f} ({chance}), signs {right} of {among}", flush=True)
        print(f"given {name}: mean {np.mean(found):.3f}, least {min(found):.3f}")
    if options.data:
        recordings = load_recordings(options.data)
        for name, given in GIVEN.items():
            graph = functional_graph(recordings, neurons=PAPER_NEURONS, given=given, n_shifts=0)
            for kind in ("both", "chemical", "electrical"):
                connectome = load_connectome("white1986", kind=kind)
                values = [auroc(table, connectome)["value"].iloc[0] for table in (graph.t, graph.weights)]
                print(f"given {name}, real worms, {kind}: |t| {values[0]:.3f}, weights {values[1]:.3f}")


if __name__ == "__main__":
    main()
