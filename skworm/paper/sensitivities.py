"""What scores owe to each reading of the paper's equations, and to each setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from skworm.paper.declaration import CONTEXT, STUDY, Plan, target
from skworm.paper.models import MARKOVIAN, TRAJECTORY_MODELS, Spec

if TYPE_CHECKING:
    from skworm.paper.study import Study

_VIRTUAL_WORMS = Spec("skworm:VirtualWorms")


def _readout(**parameters: Any) -> Mapping[str, Spec]:
    return {"readout": Spec("skworm:Readout", parameters)}


def _rollout(**parameters: Any) -> Mapping[str, Spec]:
    return {"rollout": Spec("skworm:Rollout", parameters)}


READINGS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "published": ("gnn-published", {}),
        "published, row-normalised messages": ("gnn-published", {"messages__normalization": "row"}),
        "published, residual": ("gnn-published", {"messages__residual": True}),
        "published, neuron embedding": ("gnn-published", {"graph__embedding": 8}),
        "published, no batch norm in the readout": ("gnn-published", _readout(batch_norm=None)),
        "published, dynamic edges": ("gnn-published", {"graph__per": "frame", "graph__batch_norm": False}),
        "published, one-hot edges": ("gnn-published", {"graph__temperature": 0.1}),
        "published, free adjacency": ("gnn-published", {"graph": "learned"}),
        "default": ("gnn", {}),
        "default, row-normalised messages": ("gnn", {"messages__normalization": "row"}),
        "default, messages not normalised": ("gnn", {"messages__normalization": None}),
        "default, no residual": ("gnn", {"messages__residual": False}),
        "default, no neuron embedding": ("gnn", {"graph__embedding": 0}),
        "default, hidden features averaged": ("gnn", {"graph__average": "hidden_neurons"}),
        "default, no weight decay": ("gnn", {"weight_decay": 0.0}),
        "default, batch norm always": ("gnn", _readout(batch_norm="output")),
        "default, dynamic edges": ("gnn", {"graph__per": "frame"}),
        "default, one-hot edges": ("gnn", {"graph__temperature": 0.1}),
        "default, free adjacency": ("gnn", {"graph": "learned"}),
    }
)
"""Readings of the GNN's equations: a model of the registry, and what differs."""

_MLPS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "MLP published": ("mlp-published", {}),
    "MLP": ("mlp", {}),
    "MLP, no weight decay": ("mlp", {"weight_decay": 0.0}),
}
_LUCK = "The best of many owes part of its lead to luck: choice.csv chooses one for each worm without it."


@target(
    "sensitivity",
    "What each reading of the GNN's equations is worth",
    "Score each reading of the paper's GNN on unseen worms, with and without virtual worms.",
    "The equations leave some choices open; the paper shows no comparison of them.",
    defaults=STUDY,
    in_all=False,
)
def sensitivity(study: Study) -> Plan:
    """Score every reading with and without virtual worms, beside the SVM and the MLP."""
    arms = study.arms("svm")
    for suffix, augmentation in {"": None, ", virtual worms": _VIRTUAL_WORMS.make()}.items():
        for name, (model, changes) in {**_MLPS, **READINGS}.items():
            made = study.model(model, **changes, augmentation=augmentation)
            arms += [arm.changed(name, block=arm.block + suffix, model=made) for arm in study.arms("gnn")]
    return Plan(arms, [_LUCK], candidates=tuple(READINGS))


PIPELINE: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = MappingProxyType(
    {
        "central difference": ({"derivative": "central"}, {}),
        "causal derivative": ({"derivative": "causal"}, {}),
        "derivative over 0.65 s": ({"derivative_width": 0.65}, {}),
        "derivative over 2.6 s": ({"derivative_width": 2.6}, {}),
        "scaled by the whole range": ({"percentiles": (0, 100)}, {}),
        "context": ({"context": CONTEXT}, {}),
        "C of 30": ({}, {"C": 30.0}),
        "context, C of 30": ({"context": CONTEXT}, {"C": 30.0}),
        "100 epochs": ({}, {"max_epochs": 100}),
        "800 epochs at 0.001": ({}, {"max_epochs": 800, "learning_rate": 1e-3}),
        "no virtual worms": ({}, {"augmentation": None}),
    }
)
"""Changes to the frames and to the models of the recommended pipeline by name."""


@target(
    "pipeline-sensitivity",
    "What each setting of the recommended pipeline is worth",
    "Score SVM, MLP and GNN with one setting of their frames or of their training changed at a time.",
    "The paper shows no comparison of settings.",
    defaults={**STUDY, "states": ("2", "4", "7")},
    in_all=False,
)
def pipeline_sensitivity(study: Study) -> Plan:
    """Score each model as it is by default, and with each change that it can have."""
    arms = study.arms("svm", "mlp", "gnn")
    changed = [
        arm.changed(f"{arm.label}, {name}", model=study.model(arm.name, **parameters), frames=frames, against=arm.name)
        for arm in arms
        for name, (frames, parameters) in PIPELINE.items()
        if parameters.keys() <= arm.model.get_params().keys()
    ]
    return Plan([*arms, *changed], figures=lambda scores, table: {})


TRAJECTORY_SETTINGS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "default": {},
        "no virtual worms": {"augmentation": None},
        "virtual worms: gain 0.3": {"gain": 0.3, "offset": 0.0},
        "virtual worms: gain 0.3, offset 0.2": {"gain": 0.3, "offset": 0.2},
        "virtual worms: mixing 0.1": {"gain": 0.0, "offset": 0.0, "mixing": 0.1},
        "virtual worms: mixing 0.2": {"gain": 0.0, "offset": 0.0, "mixing": 0.2},
        "virtual worms: mixing 0.3": {"gain": 0.0, "offset": 0.0, "mixing": 0.3},
        "virtual worms: gain 0.3, mixing 0.1": {"gain": 0.3, "offset": 0.0, "mixing": 0.1},
        "virtual worms: gain 0.3, mixing 0.3": {"gain": 0.3, "offset": 0.0, "mixing": 0.3},
        "virtual worms: gain 0.3, offset 0.1, mixing 0.2": {"gain": 0.3, "offset": 0.1, "mixing": 0.2},
        "worms not centred": {"center": "population"},
        "worms not centred, no virtual worms": {"center": "population", "augmentation": None},
        "no linear map": {"linear": False},
        "always from the first frame": _rollout(random_start=False),
        "trained on 16 frames": _rollout(train_horizon=16),
        "scheduled sampling until epoch 100": _rollout(scheduled_sampling_end=100),
        "64 hidden features": {"n_hidden": 64},
        "two layers": _readout(n_layers=2),
        "batch normalisation": _readout(batch_norm="output"),
    }
)
"""Changes to the trajectory MLP by name, one at a time; gain, offset and mixing are of its virtual worms."""


@target(
    "forecast-sensitivity",
    "What each setting of the trajectory MLP is worth",
    "Score each setting of the trajectory MLP on unseen worms, and choose one without each scored worm.",
    "The paper shows no comparison of settings.",
    defaults={
        "states": ("4",),
        "n_train_worms": (1,),
        "fold_by": ("contiguous_blocks",),
        "paper_folds": 1,
        "max_epochs": 200,
    },
    forecasts=True,
    in_all=False,
)
def forecast_sensitivity(study: Study) -> Plan:
    """Score every setting of the trajectory MLP, beside the baselines, from one observed frame."""
    (n_train,) = study.train_counts()
    n_worms = len(study.material.recordings)
    if n_train > n_worms - 2:
        raise ValueError(
            f"--train-worms {n_train} of {n_worms} worms leaves no fit that a worm has no part in, to choose its "
            "setting by; train on fewer worms, or give more"
        )
    linear = [TRAJECTORY_MODELS[name] for name in ("linear-uncentred", "linear-direct")]
    models = [(model.name, model.label, study.made(model)) for model in linear]
    for name, changes in TRAJECTORY_SETTINGS.items():
        if "gain" in changes:
            changes = {"augmentation": replace(_VIRTUAL_WORMS, parameters=changes).make()}
        models.append((name, name, study.made(TRAJECTORY_MODELS["mlp"], **changes)))
    arms = study.trajectory_arms(models, n_train, MARKOVIAN)
    return Plan(arms, [_LUCK], figures=lambda scores, table: {}, candidates=tuple(TRAJECTORY_SETTINGS))
