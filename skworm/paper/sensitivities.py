"""How scores depend on each reading of the paper's equations, and on each setting of the recommended pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skworm.paper.declaration import CONTEXT, STUDY, Plan, Results, target

if TYPE_CHECKING:
    from skworm.paper.study import Study

_NO_ENCODER_NORM = {"graph__batch_norm": False}

READINGS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "gnn-published": {
        "row-normalised messages": {"messages__normalization": "row"},
        "residual": {"messages__residual": True},
        "neuron embedding": {"graph__embedding": 8},
        "no batch norm in the readout": {"readout__batch_norm": None},
        "no batch norm in the encoder": _NO_ENCODER_NORM,
        "residual, no batch norm in the encoder": {"messages__residual": True, **_NO_ENCODER_NORM},
        "dynamic edges, no batch norm in the encoder": {"graph__per": "frame", **_NO_ENCODER_NORM},
        "one-hot edges": {"graph__temperature": 0.1},
        "free adjacency": {"graph": "learned"},
        "virtual worms": {"augmentation": "auto"},
    },
    "gnn": {
        "row-normalised messages": {"messages__normalization": "row"},
        "messages not normalised": {"messages__normalization": None},
        "no residual": {"messages__residual": False},
        "no neuron embedding": {"graph__embedding": 0},
        "hidden features averaged": {"graph__average": "hidden_neurons"},
        "dynamic edges": {"graph__per": "frame"},
        "one-hot edges": {"graph__temperature": 0.1},
        "free adjacency": {"graph": "learned"},
        "no virtual worms": {"augmentation": None},
    },
}
"""Readings of the GNN's equations: what differs, by model of the registry and name."""


@target(
    "sensitivity",
    "What each reading of the GNN's equations is worth",
    "Score the GNN as published and as it is by default, with one reading of its equations changed at a time.",
    "The equations leave some choices open; the paper shows no comparison of them.",
    defaults=STUDY,
)
def sensitivity(study: Study) -> Plan:
    """Score both networks, and each reading beside the network that it changes."""
    arms = study.arms(*READINGS)
    changed = [
        arm.changed(f"{arm.label}, {name}", model=study.model(arm.name, **parameters), against=arm.name)
        for arm in arms
        for name, parameters in READINGS[arm.name].items()
    ]
    return Plan([*arms, *changed], results=lambda scores, table: Results())


PIPELINE: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "central difference": ({"derivative": "central"}, {}),
    "causal derivative": ({"derivative": "causal"}, {}),
    "derivative over 0.65 s": ({"derivative_width": 0.65}, {}),
    "derivative over 2.6 s": ({"derivative_width": 2.6}, {}),
    "scaled by the whole range": ({"percentiles": (0, 100)}, {}),
    "central difference, whole range": ({"derivative": "central", "percentiles": (0, 100)}, {}),
    "context": ({"context": CONTEXT}, {}),
    "C of 30": ({}, {"C": 30.0}),
    "context, C of 30": ({"context": CONTEXT}, {"C": 30.0}),
    "100 epochs": ({}, {"max_epochs": 100}),
    "800 epochs at 0.001": ({}, {"max_epochs": 800, "learning_rate": 1e-3}),
    "no virtual worms": ({}, {"augmentation": None}),
}
"""Changes to the frames and to the models of the recommended pipeline by name."""


@target(
    "pipeline-sensitivity",
    "What each setting of the recommended pipeline is worth",
    "Score SVM, MLP and GNN with one setting of their frames or of their training changed at a time, and once two.",
    "The paper scales by the whole range, and does not say which derivative it takes.",
    defaults={**STUDY, "states": ("2", "4", "7")},
)
def pipeline_sensitivity(study: Study) -> Plan:
    """Score each model with each change that it can have, and the MLP as published on other frames."""
    arms = study.arms("svm", "mlp", "gnn", "mlp-published")
    changed = [
        arm.changed(f"{arm.label}, {name}", model=study.model(arm.name, **parameters), frames=frames, against=arm.name)
        for arm in arms
        for name, (frames, parameters) in PIPELINE.items()
        if parameters.keys() <= arm.model.get_params().keys() and not (parameters and arm.name == "mlp-published")
    ]
    return Plan([*arms, *changed], results=lambda scores, table: Results())
