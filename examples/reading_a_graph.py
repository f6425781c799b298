"""
Reading a graph
===============

A graph neural network infers a weighted graph between neurons. Before it goes into a figure: is it the same with
another seed, and does it agree with a graph that is known? Simulated worms have a true graph to ask.
"""

from skworm import GNNStateClassifier
from skworm.datasets import make_worms
from skworm.frames import make_frames
from skworm.inspection import compare_graphs, graph_stability, inferred_graph, neuron_importance
from skworm.plotting import GraphDisplay, NeuronImportanceDisplay

recordings, true_graph = make_worms(n_worms=3, n_frames=1500, random_state=0, return_graph=True)
X, y = make_frames(recordings, states="4")
fits = {seed: GNNStateClassifier(max_epochs=100, learning_rate=0.01, random_state=seed).fit(X, y) for seed in (0, 1, 2)}

# %%
# Rows send, columns receive, as in a connectome. ``inferred_graph`` averages over the worms; dots mark the true edges.
# For real worms ``reference=load_connectome()`` marks synapses.

graph = inferred_graph(fits[0], X)
display = GraphDisplay(graph, reference=true_graph, reference_label="true edge").plot()
display.figure_.savefig("graph.png", dpi=150)

# %%
# The largest weights alone, as a network. The width of an edge is its weight; dashed edges are not true ones:

network = GraphDisplay(graph, reference=true_graph, reference_label="true edge", kind="network").plot()
network.figure_.savefig("network.png", dpi=150)

# %%
# The blocks are neurons that are active in the same states: they take much of each other, and little of the others.
# That can be had from correlations, and it need not be how they are connected.
#
# Is the graph at least the same again? Rank correlations of edge weights: worms of one fit have nearly the same graph,
# because the network has learned one answer. Fits that differ in the seed agree less.

graphs = {(worm, seed): graph for seed, fit in fits.items() for worm, graph in fit.graphs_.items()}
print(graph_stability(graphs, names=("worm", "seed")).round(2).to_string(index=False))

# %%
# Against the true graph, beside two kinds of chance. An AUROC of .5 is what a coin gives. Where ``value`` does not
# exceed both percentiles, and with every seed, there is nothing to report.

for seed, fit in fits.items():
    compared = compare_graphs(inferred_graph(fit, X), true_graph, n_permutations=200, random_state=0)
    aurocs = compared[compared["statistic"] == "auroc"]
    print(f"seed {seed}")
    print(aurocs[["null", "value", "null_percentile_95", "p_value"]].round(3).to_string(index=False))

# %%
# What can be said of a classifier with more confidence is which neurons it reads: how far its accuracy falls when the
# frames of one neuron are shuffled. Neurons that tell the same stand in for each other.

importance = neuron_importance(fits[0], X, y, n_repeats=2, random_state=0)
bars = NeuronImportanceDisplay(importance).plot()
bars.figure_.savefig("importance.png", dpi=150)
