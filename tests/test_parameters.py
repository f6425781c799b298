"""Every parameter of every estimator does something, and parameter objects are reached by searches."""

import copy
import inspect
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import EarlyStopping

import skworm
from skworm import GAT, GIN, InferredGraph, LearnedGraph, Messages, Readout, Rollout, VirtualWorms, WormGroupKFold
from skworm.datasets import make_worms
from skworm.frames import make_behavior, make_frames, make_trajectories
from skworm.paper import published

pytestmark = pytest.mark.slow

NEURONS = ("AVAL", "RID", "VB02")
FEW = {"max_epochs": 6, "random_state": 0, "device": "cpu", "n_hidden": 6}
PARTS = {"graph": InferredGraph(), "messages": Messages(), "readout": Readout(), "augmentation": VirtualWorms()}


def parts(*names):
    return {name: PARTS[name] for name in names}


NETWORK, GRAPH = parts("readout", "augmentation"), parts("graph", "messages", "readout", "augmentation")
STATES = {
    "svm": skworm.SVMStateClassifier(device="cpu"),
    "mlp": skworm.MLPStateClassifier(**FEW, **NETWORK),
    "gnn": skworm.GNNStateClassifier(**FEW, **GRAPH),
    "temperature": skworm.TemperatureScaledClassifier(LogisticRegression()),
    "conformal": skworm.ConformalStateClassifier(LogisticRegression()),
    "chain": skworm.HiddenMarkovStateClassifier(LogisticRegression()),
    "manifold": skworm.AsymmetricDiffusionMap(n_components=3),
}
BEHAVIOR = {
    "mlp behavior": skworm.MLPBehaviorRegressor(**FEW, **NETWORK),
    "gnn behavior": skworm.GNNBehaviorRegressor(**FEW, **GRAPH),
}
ROLLED = {**FEW, "rollout": Rollout(), **NETWORK}
TRAJECTORIES = {
    "persistence": skworm.PersistenceRegressor(),
    "linear": skworm.LinearTrajectoryRegressor(),
    "mlp trajectory": skworm.MLPTrajectoryRegressor(**ROLLED),
    "node mlp trajectory": skworm.NodeMLPTrajectoryRegressor(**ROLLED),
    "gnn trajectory": skworm.GNNTrajectoryRegressor(**ROLLED, **parts("graph", "messages")),
}
ALL = {**STATES, **BEHAVIOR, **TRAJECTORIES}

OTHER = {
    "graph": LearnedGraph(),
    "graph__per": "frame",
    "graph__average": "edge_weights",
    "graph__aggregation": "sum",
    "graph__temperature": 0.2,
    "graph__embedding": 2,
    "graph__n_hidden": 5,
    "graph__batch_norm": True,
    "messages": GIN(4),
    "messages__normalization": None,
    "messages__residual": False,
    "messages__self_edges": False,
    "messages__n_steps": 2,
    "readout": Readout("sum"),
    "readout__aggregation": "sum",
    "readout__n_layers": 2,
    "readout__batch_norm": None,
    "augmentation": None,
    "augmentation__gain": 0.9,
    "augmentation__offset": 0.9,
    "augmentation__n_groups": 2,
    "augmentation__mixing": 0.5,
    "augmentation__neuron_dropout": 0.4,
    "rollout": None,
    "rollout__train_horizon": 2,
    "rollout__random_start": False,
    "rollout__scheduled_sampling_end": 5,
    "rollout__clip_margin": 0.0,
    "n_hidden": 9,
    "class_weight": {"forward": 1.0, "reverse": 9.0},
    "max_epochs": 4,
    "learning_rate": 0.1,
    "weight_decay": 5.0,
    "validation_fraction": 0.4,
    "callbacks": [EarlyStopping()],
    "random_state": 5,
    "C": 0.01,
    "kernel": "linear",
    "gamma": 0.01,
    "estimator": LogisticRegression(C=1e-4),
    "cv": 2,
    "coverage": 0.4,
    "across_worms": "max",
    "decoding": "smoothing",
    "emission_weight": 0.01,
    "pseudo_count": 1000.0,
    "loss": "huber",
    "center": "population",
    "linear": False,
    "memory": "lstm",
    "burn_in": 1,
    "strategy": "direct",
    "alpha": 1e4,
    "n_components": 2,
    "n_delays": 1,
    "delay": 1,
    "n_neighbors": 5,
    "min_separation": 3,
    "diffusion_time": 4,
}
# What changes the machine or what is printed, not the model.
OUTSIDE = {"device", "verbose", "n_jobs"}


@pytest.fixture(scope="module")
def data():
    worms = make_worms(3, n_frames=160, neurons=NEURONS, n_unidentified=0, random_state=0)
    X, y = make_frames(worms, states="2")
    frames, _ = make_frames(worms, states=None)
    trajectories = make_trajectories(make_frames(worms, states=None, derivative="backward")[0], horizon=10, burn_in=1)
    return {"states": (X, y), "behavior": (frames, make_behavior(worms, frames)), "trajectories": trajectories}


def fingerprint(model, X):
    """Weights, settings and answers of a fitted model."""
    net = getattr(model, "net_", None)
    weights = {} if net is None else {name: value.numpy() for name, value in net.module_.state_dict().items()}
    methods = ("predict_proba", "decision_function", "predict_set", "predict", "transform")
    answers = {name: np.asarray(getattr(model, name)(X)) for name in methods if hasattr(model, name)}
    settings = {} if net is None else {"callbacks": len(net.callbacks_), "epochs": len(net.history)}
    learned = {name: getattr(model, name, None) for name in ("burn_in_", "temperature_", "threshold_")}
    return {**weights, **answers, **settings, **learned}


def same(one, other):
    if one.keys() != other.keys():
        return False
    return all(np.array_equal(np.asarray(a), np.asarray(other[name])) for name, a in one.items())


def of(name, data):
    task = "states" if name in STATES else "behavior" if name in BEHAVIOR else "trajectories"
    return data[task]


CASES = [
    (name, parameter)
    for name, model in ALL.items()
    for parameter in model.get_params()
    if parameter not in OUTSIDE and not parameter.startswith("estimator__")
]


@pytest.mark.parametrize(("name", "parameter"), CASES)
def test_another_value_changes_the_model(name, parameter, data):
    X, y = of(name, data)
    if parameter == "augmentation__neuron_dropout" and name not in STATES:
        pytest.skip("regressors need every neuron, and refuse this parameter; tests/test_missing_neurons.py")
    if (name, parameter) in {("linear", "burn_in"), ("persistence", "burn_in"), ("persistence", "center")} or (
        parameter == "burn_in" and "trajectory" in name
    ):
        # Columns name the observed frames, so another number is refused; persistence is the same from any level.
        if parameter == "burn_in":
            with pytest.raises(ValueError, match="burn_in"):
                clone(ALL[name]).set_params(burn_in=3).fit(X, y)
        return
    if parameter == "readout" and "trajectory" in name:
        other = Readout(n_layers=2)
    elif parameter == "readout__aggregation" and "trajectory" in name:
        with pytest.raises(ValueError, match="aggregation"):
            clone(ALL[name]).set_params(readout__aggregation="sum").fit(X, y)
        return
    else:
        other = copy.deepcopy(OTHER[parameter])
    model = clone(ALL[name])
    if "trajectory" in name and parameter in ("graph__per", "graph__average"):
        # Graphs of single frames are averaged over nothing.
        other, _ = ("worm", None) if parameter == "graph__per" else (other, model.set_params(graph__per="worm"))
    changes = {parameter: other}
    if parameter == "messages":
        changes["graph"] = "auto"
    if parameter == "rollout":
        model.set_params(rollout__train_horizon=2)
    if parameter == "readout__batch_norm" and "trajectory" in name:
        changes = {parameter: "output"}
    before = fingerprint(clone(model).fit(X, y), X)
    after = fingerprint(model.set_params(**changes).fit(X, y), X)
    assert not same(before, after)


def test_limits_of_the_numbers_of_parameters():
    assert len(skworm.GNNStateClassifier().get_params(deep=False)) <= 15
    assert len(skworm.GNNTrajectoryRegressor().get_params(deep=False)) <= 18


@pytest.mark.parametrize(
    ("model", "key", "remedy"),
    [
        (skworm.GNNStateClassifier(), "graph__temperature", r"graph='auto' .* graph=InferredGraph\(\.\.\.\)"),
        (skworm.MLPStateClassifier(), "augmentation__gain", r"augmentation=VirtualWorms\(\.\.\.\)"),
        (skworm.GNNStateClassifier(messages="gat"), "messages__n_heads", r"object, messages=GAT\(\.\.\.\)$"),
        (
            skworm.GNNStateClassifier(graph=pd.DataFrame()),
            "graph__temperature",
            r"graph=a DataFrame has no .* graph=Inf",
        ),
        (skworm.MLPTrajectoryRegressor(), "rollout__train_horizon", r"rollout=None .* rollout=Rollout\(\.\.\.\)"),
    ],
)
def test_a_name_for_an_object_has_no_parameters(model, key, remedy):
    with pytest.raises(ValueError, match=remedy):
        model.set_params(**{key: 2})
    model.set_params(**{key.partition("__")[0]: None})


def test_searches_reach_into_objects(data):
    X, y = data["states"]
    model = skworm.GNNStateClassifier(**FEW, **GRAPH)
    grid = {"graph__temperature": [0.2, 1.0], "messages__residual": [True], "readout__n_layers": [1]}
    search = GridSearchCV(model, grid, cv=WormGroupKFold(2, random_state=0)).fit(X, y)
    assert search.best_params_["graph__temperature"] in (0.2, 1.0)
    convolved = clone(model).set_params(messages=GAT(n_heads=2), graph="auto").fit(X, y)
    assert convolved.get_params()["messages__n_heads"] == 2


@pytest.mark.parametrize("part", [*PARTS.values(), Rollout(), LearnedGraph(), GAT(n_heads=3)], ids=repr)
def test_objects_are_cloned_shown_and_checked(part):
    copied = clone(part)
    assert copied is not part
    assert copied.get_params() == part.get_params()
    assert repr(copied) == repr(part)
    for name in part.get_params():
        with pytest.raises(ValueError, match=rf"'{name}' parameter of {type(part).__name__}"):
            clone(part).set_params(**{name: "no such value"})._validate_params()


def test_published_networks_and_names():
    assert published("gnn").graph.batch_norm
    assert published("mlp", "trajectories", random_state=1).random_state == 1
    assert published("gnn", messages__residual=True).messages.residual
    with pytest.raises(ValueError, match=r"no network 'node-mlp' for 'states'"):
        published("node-mlp")


def test_every_docstring_is_complete():
    for name, model in ALL.items():
        text = type(model).__doc__
        assert "%(" not in text, name
        for parameter in model.get_params(deep=False):
            assert f"\n{parameter} : " in text or f"\n    {parameter} : " in text, (name, parameter)


@pytest.mark.parametrize("name", ALL)
def test_every_method_says_what_it_takes_and_returns(name):
    kind = type(ALL[name])
    methods = {name: method for name, method in inspect.getmembers(kind, inspect.isfunction) if name[0] != "_"}
    for name, method in methods.items():
        if not method.__module__.startswith("skworm.") or name in ("training_job", "take_training"):
            continue
        text = inspect.getdoc(method)
        assert "Returns\n-------" in text, name
        for argument in list(inspect.signature(method).parameters)[1:]:
            assert re.search(rf"^(\*\*)?{argument} : \w", text, flags=re.MULTILINE), (name, argument)


def test_estimators_can_be_derived():
    class Own(skworm.MLPStateClassifier):
        patience: int = 3

        def fit(self, X, y, thresholds=None):
            """Train on frames."""
            return super().fit(X, y)

    assert Own(patience=4).get_params()["patience"] == 4
    with pytest.raises(ValueError, match="'patience' parameter of Own must be an instance of 'int'"):
        Own(patience="long").fit([[0.0], [1.0]], ["a", "b"])
    assert "X : array-like" in Own.fit.__doc__

    class Strong(VirtualWorms):
        pass

    class Wide(skworm.MLPStateClassifier):
        def __init__(self, width=1):
            super().__init__(n_hidden=16 * width)
            self.width = width

    assert inspect.getdoc(Strong) == inspect.getdoc(VirtualWorms)
    assert Strong(gain=0.9).get_params()["gain"] == 0.9
    assert Wide(2).n_hidden == 32
    assert Wide(2).get_params() == {"width": 2}


def test_the_convolution_that_contributing_shows(data):
    from pathlib import Path

    from skworm.estimators import parts as module

    page = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^ {3}```text\n( {3}class Mean.*?)^ {3}```$", page, flags=re.DOTALL | re.MULTILINE)
    made = {**vars(module)}
    exec("from __future__ import annotations\n" + re.sub(r"^ {3}", "", code, flags=re.MULTILINE), made)
    X, y = data["states"]
    own = skworm.GNNStateClassifier(messages=made["Mean"](n_hidden=4), **FEW).fit(X, y)
    assert own.net_.module_.readout.hidden[0].in_features == 4 * len(NEURONS)
