"""Studies of the paper's classifiers: more training worms, fewer neurons, harder edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from skworm.classification import GNNStateClassifier, MLPStateClassifier, SVMStateClassifier
from skworm.experiments.arms import Arm, StudySettings
from skworm.experiments.catalogue import Target
from skworm.experiments.outcome import Outcome
from skworm.experiments.paper import PAPER_TABLE_1
from skworm.experiments.protocol import Material
from skworm.experiments.study import curve_figure, panel_title, run_study
from skworm.frames import SHARED_WITH_NICHOLS
from skworm.recording import neuron_name
from skworm.training import VirtualWorms

AVA = ("AVAL", "AVAR")
TEMPERATURES = (1.0, 0.3, 0.1, 0.03, 0.01)

NETWORKS: Mapping[str, tuple[Any, Mapping[str, Any]]] = {
    "MLP": (MLPStateClassifier, {}),
    "GNN": (GNNStateClassifier, {}),
    "MLP, virtual worms": (MLPStateClassifier, {"augmentation": VirtualWorms()}),
    "GNN, virtual worms": (GNNStateClassifier, {"augmentation": VirtualWorms()}),
}
"""The networks that studies compare, and their parameters, by label."""

_TABLE_1_NAMES = {"SVM": "svm", "MLP": "mlp", "GNN": "gnn", "GNN, connectome": "gnn-connectome"}
# "Our GNN trained on three worms in the Kato dataset generalized with an accuracy of 87% when classifying 4 states."
_GNN_ON_THREE_WORMS = ("GNN", "4", 3, 87.0)
_SAME_WORM_7_STATES = 92.0
_NICHOLS_4_STATES = 70.0


def networks(settings: StudySettings) -> dict[str, Any]:
    """Make the networks that studies compare, not fitted, by label."""
    shared = settings.of_networks
    return {label: make(**parameters, **shared) for label, (make, parameters) in NETWORKS.items()}


def classifiers(settings: StudySettings) -> dict[str, Any]:
    """Make the SVM and the networks, not fitted, by label."""
    return {"SVM": SVMStateClassifier(device=settings.device), **networks(settings)}


def title_of(states: str, n_train: int, settings: StudySettings, n_worms: int) -> str:
    """Name a block, with the number of training worms where there are several."""
    several = len(settings.train_counts(n_worms)) > 1
    return f"{states} states" + (f", {n_train} training worm{'s' if n_train > 1 else ''}" if several else "")


def tasks(settings: StudySettings, material: Material) -> list[tuple[str, int, str]]:
    """List states, number of training worms and title of every block."""
    n_worms = len(material.recordings)
    return [
        (states, n_train, title_of(states, n_train, settings, n_worms))
        for states in settings.states
        for n_train in settings.train_counts(n_worms)
    ]


def table_1_numbers(label: str, states: str, n_train: int) -> Mapping[str, tuple[float, float | None]]:
    """Look up what Table 1 of the paper has for a model, where states and training worms are its own."""
    name = _TABLE_1_NAMES.get(label, "")
    if (states, n_train) != ("2", 1) or name not in PAPER_TABLE_1:
        return {}
    numbers = dict(PAPER_TABLE_1[name])
    numbers["held_out_windows"] = numbers.pop("same_worm")
    return numbers


def figure_4a(target: Target, settings: StudySettings, material: Material, out: Path, **run: Any) -> Outcome:
    """Score the networks against the number of training worms."""
    arms = [
        Arm(
            title,
            label,
            model,
            states,
            n_train,
            material.neurons,
            against="MLP" if label != "MLP" else None,
            paper=_numbers_of_figure_4a(label, states, n_train),
            facts={"training_worms": n_train, "line": label},
        )
        for states, n_train, title in tasks(settings, material)
        for label, model in networks(settings).items()
    ]

    def figures(scores: Any, table: Any) -> dict[str, Any]:
        label, states, n_train, value = _GNN_ON_THREE_WORMS
        drawn = states in settings.states and n_train in settings.train_counts(len(material.recordings))
        figure = curve_figure(
            scores,
            arms,
            x="training_worms",
            line="line",
            panel=_panel,
            evaluations=["unseen_worms", *([material.external_name] if material.external else [])],
            xlabel="Training worms (number)",
            reference={(f"{states} states, unseen worms", label, n_train): value / 100} if drawn else None,
            reference_label="GNN, Wang et al. 2021",
        )
        return {target.name: figure}

    return run_study(target, settings, material, arms, out, figures=figures, **run)


def without_ava(target: Target, settings: StudySettings, material: Material, out: Path, **run: Any) -> Outcome:
    """Compare classifiers with and without AVAL and AVAR."""
    fewer = tuple(neuron for neuron in material.neurons if neuron_name(neuron) not in AVA)
    left_out = [neuron for neuron in material.neurons if neuron not in fewer]
    if not left_out or not fewer:
        raise ValueError(
            f"leaving out {', '.join(AVA)} of the neurons {', '.join(material.neurons)} "
            f"leaves {'none' if left_out else 'all of them'}; name AVAL or AVAR and others with --neurons"
        )
    sets = {"": material.neurons, ", without AVA": fewer}
    arms = _on_sets_of_neurons(sets, settings, material, paper_on=material.neurons)
    return run_study(target, settings, material, arms, out, notes=[f"Left out: {', '.join(left_out)}."], **run)


def three_neurons(target: Target, settings: StudySettings, material: Material, out: Path, **run: Any) -> Outcome:
    """Compare classifiers on the three neurons of Nichols et al. with those on all neurons."""
    names = {neuron_name(neuron): neuron for neuron in material.neurons}
    lacking = [neuron for neuron in SHARED_WITH_NICHOLS if neuron not in names]
    if lacking or len(names) == len(SHARED_WITH_NICHOLS):
        raise ValueError(
            f"the neurons {', '.join(material.neurons)} must hold {', '.join(SHARED_WITH_NICHOLS)} and others; name "
            "them with --neurons, or take recordings in which they are identified"
        )
    few = tuple(names[neuron] for neuron in SHARED_WITH_NICHOLS)
    sets = {"": material.neurons, ", 3 neurons": few}
    arms = _on_sets_of_neurons(sets, settings, material, paper_on=material.neurons, external_paper_on=few)
    # What all neurons would do on external worms that lack some is nothing but what the three do.
    arms = [replace(arm, external_on_fewer=False) for arm in arms]
    return run_study(target, settings, material, arms, out, **run)


def one_hot_edges(target: Target, settings: StudySettings, material: Material, out: Path, **run: Any) -> Outcome:
    """Score the GNN, as it comes and as published, against the temperature of its edges."""
    shared = settings.of_networks
    families: dict[str, Any] = {"GNN": GNNStateClassifier, "GNN, as published": GNNStateClassifier.as_published}
    arms = [
        Arm(
            title,
            _at(family, temperature),
            make(edge_temperature=temperature, **shared),
            states,
            n_train,
            material.neurons,
            against=_at(family, TEMPERATURES[0]) if temperature != TEMPERATURES[0] else None,
            facts={"temperature": temperature, "line": family},
        )
        for states, n_train, title in tasks(settings, material)
        for family, make in families.items()
        for temperature in TEMPERATURES
    ]
    notes = [
        "The logits of an edge are divided by the temperature before the softmax. At 1 weights are soft; the lower it "
        "is, the nearer they come to 0 and 1."
    ]

    def figures(scores: Any, table: Any) -> dict[str, Any]:
        figure = curve_figure(
            scores,
            arms,
            x="temperature",
            line="line",
            panel=lambda arm, evaluation: panel_title(arm.block, evaluation),
            evaluations=["held_out_windows", "unseen_worms"],
            xlabel="Temperature of edges (no unit)",
            log=True,
        )
        return {target.name: figure}

    return run_study(target, settings, material, arms, out, figures=figures, notes=notes, **run)


def _on_sets_of_neurons(
    sets: Mapping[str, tuple[str, ...]],
    settings: StudySettings,
    material: Material,
    *,
    paper_on: Sequence[str],
    external_paper_on: Sequence[str] | None = None,
) -> list[Arm]:
    arms = []
    for states, n_train, title in tasks(settings, material):
        for label, model in classifiers(settings).items():
            for suffix, neurons in sets.items():
                numbers = dict(table_1_numbers(label, states, n_train))
                external = numbers.pop("external", None)
                paper = numbers if neurons == paper_on else {}
                if external is not None and neurons == external_paper_on:
                    paper = {"external": external}
                against = label if suffix else None
                arms.append(Arm(title, label + suffix, model, states, n_train, neurons, against, paper))
    return arms


def _numbers_of_figure_4a(label: str, states: str, n_train: int) -> dict[str, tuple[float, float | None]]:
    numbers: dict[str, tuple[float, float | None]] = {}
    if label not in ("MLP", "GNN"):
        return numbers
    if (states, n_train) == ("7", 1):
        numbers["held_out_windows"] = (_SAME_WORM_7_STATES, None)
    if states == "4":
        numbers["external"] = (_NICHOLS_4_STATES, None)
    if (label, states, n_train) == _GNN_ON_THREE_WORMS[:3]:
        numbers["unseen_worms"] = (_GNN_ON_THREE_WORMS[3], None)
    return numbers


def _panel(arm: Arm, evaluation: str) -> str:
    return f"{arm.states} states, {evaluation.replace('_', ' ')}"


def _at(family: str, temperature: float) -> str:
    return f"{family}, temperature {temperature:g}"
