"""The experiments of the paper, each a declaration: what is compared with what, and what the paper says about it.

A declaration is a function of a :class:`~skworm.paper.study.Study` that returns a
:class:`~skworm.paper.declaration.Plan`; ``skworm reproduce`` makes a command of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import skworm
from skworm.paper.declaration import (
    CONTEXT,
    QUICK,
    QUICK_EPOCHS,
    QUICK_FORECAST_EPOCHS,
    STUDY,
    TARGETS,
    Plan,
    Results,
    target,
    with_paper,
)
from skworm.paper.models import (
    MEAN_WEIGHT,
    STATE_MODELS,
    TRAJECTORY_MODELS,
    connectome_graph,
    given_graphs,
    silent_neurons,
)

if TYPE_CHECKING:
    from skworm.paper.study import Arm, Study

_NETWORKS = ("mlp", "gnn", "mlp-plain", "gnn-plain")
_ONE_HOT_TEMPERATURES = (1.0, 0.3, 0.1, 0.03, 0.01)
_AVA = ("AVAL", "AVAR")
_N_DRAWS = 2
_N_PERMUTATIONS = 1000


@target(
    "table1",
    "Table 1: accuracy of state classifiers",
    "Compare state classifiers as in Table 1: on the training worms, on unseen worms, on external recordings.",
    "In square brackets Table 1, where states and training worms are its own: trained on Kato et al. 2015 (15 "
    "neurons), external recordings of Nichols et al. 2017 (3 neurons).",
    defaults={
        "states": ("2",),
        "n_train_worms": (1,),
        "n_folds": 10,
        "fold_by": ("shuffled_windows", "contiguous_blocks"),
        "models": ("diffusion-map", "svm", "mlp-published", "gnn-published", "mlp", "gnn-connectome", "gnn"),
    },
    simulated={"n_folds": 3, "max_epochs": 200},
    quick={"n_folds": 2, "max_epochs": QUICK_EPOCHS},
    models=tuple(STATE_MODELS),
)
def table_1(study: Study) -> Plan:
    """Compare state classifiers with both kinds of folds."""
    arms: list[Arm] = []
    for fold_by in study.settings.fold_by:
        for arm in study.arms(*study.settings.models, fold_by=fold_by):
            arms += [with_paper(arm), *(_in_context(study, arm) if arm.name == "svm" else ())]
    first = study.settings.fold_by[0].replace("_", " ")
    return Plan(arms, [f"Unseen worms and external recordings are scored by the fits with {first}."])


def _in_context(study: Study, svm: Arm) -> list[Arm]:
    """Return the SVM with context, and with a penalty that it searches on windows of its own training worms."""
    from sklearn.model_selection import GridSearchCV

    from skworm.model_selection import WormGroupKFold

    cv = WormGroupKFold(3, n_train_worms=svm.n_train_worms, test_on="held_out_windows", random_state=study.seed)
    searched = GridSearchCV(svm.model, {"C": [1, 10, 100]}, cv=cv)
    context = svm.changed("svm-context", label="SVM, context", frames={"context": CONTEXT})
    return [context, context.changed("svm-context-searched", label="SVM, context, C searched", model=searched)]


@target(
    "figure4a",
    "Accuracy against the number of training worms",
    "Draw accuracy on unseen worms against the number of training worms, with 7 and with 4 states.",
    "About 92 per cent on the same worm with 7 states; GNN trained on three worms 87 per cent with 4 states on the "
    "remaining worms; about 70 per cent for MLP and GNN on the worms of Nichols et al. The text has no other values.",
    defaults={"states": ("7", "4"), "n_folds": 10},
    quick=QUICK,
)
def figure_4a(study: Study) -> Plan:
    """Score the networks against the number of training worms."""
    from skworm.paper.figures import curve_figure

    arms = [
        replace(arm, against="mlp" if arm.name != "mlp" else None, paper=_numbers_of_figure_4a(arm))
        for arm in study.arms(*_NETWORKS)
    ]
    return Plan(arms, results=lambda scores, table: Results(figures={"figure4a": curve_figure(arms, scores)}))


def _numbers_of_figure_4a(arm: Arm) -> dict[str, tuple[float, float | None]]:
    if arm.name not in ("mlp", "gnn"):
        return {}
    numbers: dict[str, tuple[float, float | None]] = {}
    if (arm.states, arm.n_train_worms) == ("7", 1):
        numbers["held_out_windows"] = (92.0, None)
    if arm.states == "4":
        numbers["external"] = (70.0, None)
    if (arm.name, arm.states, arm.n_train_worms) == ("gnn", "4", 3):
        numbers["unseen_worms"] = (87.0, None)
    return numbers


@target(
    "figure4b",
    "Confusion matrix",
    "Draw which states are taken for which: per cent of each labelled state, on unseen worms.",
    "Figure 4B shows such a matrix for the worms of Nichols et al. and 4 states; the text has no numbers of it.",
    defaults={**STUDY, "states": ("7",), "n_folds": 10},
    quick=QUICK,
)
def figure_4b(study: Study) -> Plan:
    """Count which states the networks take for which, on worms that they have not seen."""
    from skworm.paper.figures import confusion_figures
    from skworm.paper.tables import confusion_table, confusion_texts

    arms = study.arms(*_NETWORKS, external_on_fewer=False)
    labels = {arm.name: arm.label for arm in arms}
    notes = [
        "Confusion: per cent of the frames of each labelled state that are predicted as each state, so that rows sum "
        "to 100; mean and interval over worms as above. Worms that never show a state are left out of its row."
    ]

    def results(scores: Any, table: Any) -> Results:
        counts = scores.confusion
        counts = counts[(counts["evaluation"] != "held_out_windows") & counts["model"].isin(list(labels))]
        shares = confusion_table(counts, study.seed)
        data = {"confusion": counts, "confusion_table": shares}
        return Results(data, confusion_figures("figure4b", shares, labels), confusion_texts(shares, labels))

    return Plan(arms, notes, results)


@target(
    "figure4cd",
    "Figures 4C and 4D: errors of predicted trajectories",
    "Tabulate errors of predicted trajectories at 1, 8 and 16 steps, and draw them at all steps. Models "
    "are trained on one worm, on all but one, and on all where there are external recordings.",
    "Figures 4C and 4D show errors of MLP, Node MLP and GNN by step on the worms of Nichols et al. Neither persistence "
    "nor a linear map is shown.",
    defaults={
        "states": ("4",),
        "fold_by": ("contiguous_blocks",),
        "models": ("mlp", "node-mlp", "gnn", "mlp-lstm"),
    },
    quick={"max_epochs": QUICK_FORECAST_EPOCHS},
    models=tuple(name for name in TRAJECTORY_MODELS if not name.startswith("linear")),
)
def figure_4cd(study: Study) -> Plan:
    """Score trajectory regressors from one observed frame and, where they have a memory, from four."""
    from skworm.paper.figures import error_figure

    n_worms = len(study.recordings)
    counts = study.train_counts((1, n_worms - 1, *([n_worms] if study.external else [])))
    observed = {name: TRAJECTORY_MODELS[name].burn_in for name in study.settings.models}
    arms = []
    for burn_in in sorted(set(observed.values())):
        networks = [name for name, own in observed.items() if own == burn_in]
        for n_train in counts:
            arms += study.trajectory_arms(["linear-uncentred", "linear-direct", *networks], n_train, burn_in)
    notes = [
        "Every model but the training mean and those 'not centred' or 'as published' measures each column from the "
        "worm's own mean, which for a worm that it has not seen is that of all its observed frames together."
    ]
    return Plan(arms, notes, lambda scores, table: Results(figures={"figure4cd": error_figure(arms, scores)}))


@target(
    "without-ava",
    "Without the AVA neurons",
    "Compare classifiers with and without AVAL and AVAR, which took part in defining the states.",
    '"No noticeable difference in model performance"; no numbers.',
    defaults=STUDY,
    quick=QUICK,
)
def without_ava(study: Study) -> Plan:
    """Compare classifiers with and without AVAL and AVAR."""
    from skworm.recording import neuron_name

    fewer = tuple(neuron for neuron in study.neurons if neuron_name(neuron) not in _AVA)
    left_out = [neuron for neuron in study.neurons if neuron not in fewer]
    if not left_out or not fewer:
        raise ValueError(
            f"leaving out {', '.join(_AVA)} of the neurons {', '.join(study.neurons)} "
            f"leaves {'none' if left_out else 'all of them'}; name AVAL or AVAR and others with --neurons"
        )
    arms = [with_paper(arm) for arm in study.arms("svm", *_NETWORKS)]
    return Plan([*arms, *_on_fewer(arms, fewer, "without AVA")], [f"Left out: {', '.join(left_out)}."])


@target(
    "one-hot-edges",
    "One-hot encoding of edges",
    "Score the GNN against the temperature of its edges: soft weights, or near to 0 and 1.",
    'Similar accuracy on the same worm, but the GNN "failed to generalize well to unseen worms"; no numbers.',
    defaults=STUDY,
    quick=QUICK,
)
def one_hot_edges(study: Study) -> Plan:
    """Score the GNN against the temperature of its edges."""
    arms = []
    for arm in study.arms("gnn"):
        soft, *_ = names = [f"{arm.label}, temperature {temperature:g}" for temperature in _ONE_HOT_TEMPERATURES]
        for name, temperature in zip(names, _ONE_HOT_TEMPERATURES, strict=True):
            model = study.model(arm.name, graph__temperature=temperature)
            against = soft if name != soft else None
            arms.append(arm.changed(name, model=model, against=against, facts={"temperature": temperature}))
    notes = [
        "The logits of an edge are divided by the temperature before the softmax. At 1 weights are soft; the lower it "
        "is, the nearer they are to 0 and 1."
    ]

    return Plan(arms, notes)


@target(
    "three-neurons",
    "Three neurons against all",
    "Compare classifiers on AIBR, AVAL and VB02 alone with those on all neurons.",
    '"Performance was not significantly impacted by using 3 neurons (...) instead of 15". Table 1 has 15 neurons on '
    "unseen worms and, as the external worms have no others, 3 on those.",
    defaults=STUDY,
    quick=QUICK,
)
def three_neurons(study: Study) -> Plan:
    """Compare classifiers on the three neurons of Nichols et al. with those on all neurons."""
    from skworm.frames import SHARED_WITH_NICHOLS
    from skworm.recording import neuron_name

    names = {neuron_name(neuron): neuron for neuron in study.neurons}
    lacking = [neuron for neuron in SHARED_WITH_NICHOLS if neuron not in names]
    if lacking or len(names) == len(SHARED_WITH_NICHOLS):
        raise ValueError(
            f"the neurons {', '.join(study.neurons)} must hold {', '.join(SHARED_WITH_NICHOLS)} and others; name "
            "them with --neurons, or take recordings in which they are identified"
        )
    few = tuple(names[neuron] for neuron in SHARED_WITH_NICHOLS)
    # On external worms that lack some neurons, fits on all neurons would repeat the fits on these three.
    arms = [with_paper(arm) for arm in study.arms("svm", *_NETWORKS, external_on_fewer=False)]
    of_few = [
        replace(arm, paper={key: value for key, value in of_all.paper.items() if key == "external"})
        for arm, of_all in zip(_on_fewer(arms, few, "3 neurons"), arms, strict=True)
    ]
    of_all = [replace(arm, paper={key: value for key, value in arm.paper.items() if key != "external"}) for arm in arms]
    return Plan([*of_all, *of_few])


def _on_fewer(arms: Sequence[Arm], neurons: tuple[str, ...], what: str) -> list[Arm]:
    """Return the arms on fewer neurons, each compared with itself on all."""
    return [
        arm.changed(f"{arm.name}, {what}", label=f"{arm.label}, {what}", neurons=neurons, against=arm.name, paper={})
        for arm in arms
    ]


@target(
    "edges-vs-connectome",
    "Inferred edges against the connectome",
    "Compare inferred graphs with connectomes, and the GNN with one on edges of the connectome.",
    '"We found no similarities between our inferred edges and the connectome"; the classifiers are those of Table 1.',
    defaults={**STUDY, "states": ("2",)},
    quick=QUICK,
)
def edges_vs_connectome(study: Study) -> Plan:
    """Compare inferred graphs with connectomes, and the GNN with one on the connectome's edges."""
    from skworm.paper.inferred_graphs import results_of_graphs

    graph = connectome_graph(study.neurons)
    silent = silent_neurons(graph)
    arms = [with_paper(arm) for arm in study.arms("gnn")]
    given = [replace(arm, against="gnn") for arm in study.arms("gnn-connectome")]
    arms += [with_paper(arm) for arm in given]
    alone = "GNN (connectome), no own features"
    model = study.model("gnn-connectome", messages__residual=False)
    arms += [arm.changed(alone, model=model) for arm in given]
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
    return Plan(arms, notes, lambda scores, table: results_of_graphs(study, _N_PERMUTATIONS))


MODULES: Mapping[str, str] = {
    "GIN-0": "gin",
    "GIN-ε": "gin",
    "GraphSAGE": "sage",
    "GAT": "gat",
    "GATv2": "gatv2",
    "Global attention": "attention",
}
"""The supplement's modules, and GATv2: ``GNNStateClassifier(messages=...)`` by label; GIN-0 learns no epsilon."""


@target(
    "modules",
    "Established graph modules in place of the paper's",
    "Compare the GNN with GIN-0, GIN-eps, GraphSAGE, GAT, GATv2 and global attention.",
    '"The GAT ... performs slightly worse on behavioral state classification", and "the GIN-eps was prone to '
    'overfitting"; no numbers.',
    defaults=STUDY,
    quick=QUICK,
)
def modules(study: Study) -> Plan:
    """Compare the GNN with established graph modules in place of its messages."""
    arms = study.arms("gnn")
    for label, name in MODULES.items():
        messages = skworm.GIN(learn_epsilon=False) if label == "GIN-0" else name
        model = study.model("gnn", graph="auto", messages=messages)
        arms += [arm.changed(label, model=model, against="gnn") for arm in study.arms("gnn")]
    notes = [
        "Every module maps each neuron to as many features as the readout has hidden ones (16), on the fully connected "
        "graph, and has the same readout behind it; the GNN hands the readout a neuron's own 2 features. The modules "
        "therefore have more parameters, as the last column says."
    ]
    return Plan(arms, notes)


@target(
    "graph-ablation",
    "Does the graph matter?",
    "Compare the GNN on its inferred graph with the same network on other graphs, worm by worm.",
    "The paper credits the GNN's score to messages along inferred edges, and shows no such comparison.",
    defaults=STUDY,
    quick=QUICK,
)
def graph_ablation(study: Study) -> Plan:
    """Compare the GNN on its inferred graph with the same network on other graphs."""
    arms: list[Arm] = []
    graphs = given_graphs(study.neurons, [study.seed + draw for draw in range(_N_DRAWS)])
    kinds = {", no virtual worms": None, ", virtual worms": skworm.VirtualWorms()}
    for suffix, augmentation in kinds.items():
        given = {
            f"GNN, {name}": study.model("gnn", graph=graph, augmentation=augmentation) for name, graph in graphs.items()
        }
        inferred = study.model("gnn", augmentation=augmentation)
        free = study.model("gnn", graph="learned", augmentation=augmentation)
        mlp = study.model("mlp", augmentation=augmentation)
        for arm in study.arms("gnn"):
            first = replace(arm, block=arm.block + suffix, label="GNN, inferred graph", model=inferred)
            wide = _as_wide_as(study, arm, inferred, given["GNN, identity"])
            others = {"GNN, free graph": free, **given, "GNN, identity, wide readout": wide}
            arms += [first, *(first.changed(name, model=model, against="gnn") for name, model in others.items())]
            arms.append(first.changed("mlp", label="MLP", model=mlp, against="gnn"))
    silent = silent_neurons(graphs["connectome"])
    silence = f" No edge of the connectome leads to {', '.join(silent)}, which hear themselves alone." if silent else ""
    notes = [
        "Each comparison is made with training on the recorded frames and with virtual worms.",
        "Every network has the same readout on the same features, a neuron's own plus what it receives. Given graphs "
        f"are scaled to the same sum of weights, {MEAN_WEIGHT:g} for each pair on average, where an untrained edge "
        "encoder starts. They have no parameters, so networks on given graphs have those of the readout alone; "
        "a free graph adds two for each pair, and an inferred one its edge encoder.",
        "'Identity' passes no message between neurons: it is the MLP behind a scaling. 'Identity, wide readout' has as "
        "many hidden features as bring it nearest to the number of parameters of the inferred graph, so that "
        "what the encoder adds is not mistaken for what parameters add.",
        "Messages are linear and the readout begins with a linear layer on all neurons, so a given graph can be undone "
        "by the readout: what it changes is how easily a solution is found, not which there are. Only an inferred "
        "graph changes from worm to worm.",
        "Random weights are even from 0 to 1. The connectome is White et al. 1986, chemical synapses and gap "
        "junctions, weighted, without self edges; shuffled, every neuron keeps its numbers of incoming and outgoing "
        f"edges. The numbers of random and shuffled graphs are their seeds.{silence}",
    ]
    return Plan(arms, notes)


def _as_wide_as(study: Study, arm: Arm, wanted: Any, narrow: Any) -> Any:
    """Return a network with as many hidden features as bring it nearest to the number of parameters of another."""
    from sklearn.base import clone

    from skworm.paper.study import n_parameters

    X, y = study.frames(arm.states, arm.neurons)
    goal = n_parameters(wanted, X, y)

    def missing(n_hidden: int) -> int:
        return n_parameters(clone(narrow).set_params(n_hidden=n_hidden), X, y) - goal

    # The number of parameters is linear in the number of hidden features.
    one, slope = missing(1), missing(2) - missing(1)
    near = max(1, 1 - one // slope)
    n_hidden = min((max(1, near - 1), near, near + 1), key=lambda n: abs(missing(n)))
    return clone(narrow).set_params(n_hidden=n_hidden)


ALL_TARGETS = tuple(TARGETS)
"""What ``skworm reproduce all`` runs."""

# These experiments come after those above in the list, and are many fits more.
from skworm.paper import sensitivities  # noqa: E402, F401

__all__ = ["ALL_TARGETS", "MODULES", "TARGETS"]
