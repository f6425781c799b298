"""
Reading a graph
===============

Relations between neurons beyond what drives all of them, beside the graph inside a network. Simulated worms have a true
graph to ask.
"""

import pandas as pd

from skworm import GNNStateClassifier
from skworm.datasets import make_worms
from skworm.frames import PAPER_NEURONS, make_frames
from skworm.inspection import compare_graphs, functional_graph, neuron_importance
from skworm.plotting import GraphDisplay

recordings, true_graph = make_worms(n_worms=3, n_frames=1500, random_state=0, return_graph=True)

# %%
# Rows send, columns receive, as in a connectome. States and all other neurons are regressed out of both first, since
# the motor command moves all neurons together. For real worms ``reference=load_connectome()`` marks synapses.

functional = functional_graph(recordings, neurons=PAPER_NEURONS, history=1.0, n_shifts=50, random_state=0)
display = GraphDisplay(functional.t, reference=true_graph, reference_label="true edge", label="t over worms").plot()
display.figure_.savefig("graph.png", dpi=150)
print(functional.edges().head(8).round(3).to_string(index=False))

# %%
# The graph inside a network is another matter. It need not be the true one to read states, and with another seed it is
# another graph, as the rank correlations of its weights show:

X, y = make_frames(recordings, states="4")
fits = {seed: GNNStateClassifier(max_epochs=100, learning_rate=0.01, random_state=seed).fit(X, y) for seed in (0, 1, 2)}
graphs = {seed: fit.graph_ for seed, fit in fits.items()}
print(pd.DataFrame({seed: graph.stack() for seed, graph in graphs.items()}).corr("spearman").round(2))

# %%
# Against the true graph, beside two kinds of chance. An AUROC of .5 is what a coin gives. Where ``value`` does not
# exceed both percentiles there is nothing to report.

compared_with_truth = {"functional": functional.t.abs(), "network, seed 0": graphs[0], "network, seed 1": graphs[1]}
for name, graph in compared_with_truth.items():
    compared = compare_graphs(graph, true_graph, n_permutations=200, random_state=0)
    aurocs = compared[compared["statistic"] == "auroc"]
    print(name)
    print(aurocs[["null", "value", "null_percentile_95", "p_value"]].round(3).to_string(index=False))

# %%
# What can be said of a classifier with more confidence is which neurons it reads: how far its accuracy falls when the
# frames of one neuron are shuffled. Neurons that tell the same stand in for each other.

importance = neuron_importance(fits[0], X, y, n_repeats=2, random_state=0)
print(importance.groupby("neuron")["drop"].mean().sort_values(ascending=False).round(3).to_string())
