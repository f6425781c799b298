"""The registry of models, and the graphs that networks are given."""

import numpy as np
import pandas as pd
import pytest

from skworm import MLPStateClassifier
from skworm.frames import PAPER_NEURONS
from skworm.paper import published
from skworm.paper.models import (
    BASELINE_LABELS,
    RECURRENT,
    STATE_MODELS,
    TRAJECTORY_MODELS,
    connectome_graph,
    given_graphs,
    silent_neurons,
)
from skworm.paper.sensitivities import READINGS

SHARED = {"max_epochs": 7, "device": "cpu", "random_state": 3}


@pytest.fixture(scope="module")
def graphs():
    return given_graphs(PAPER_NEURONS, [1, 2])


def test_state_models_are_what_their_names_say():
    made = {name: model.make(PAPER_NEURONS, **SHARED).get_params() for name, model in STATE_MODELS.items()}
    networks = {name: values for name, values in made.items() if name not in ("diffusion-map", "svm")}
    assert {values["max_epochs"] for values in networks.values()} == {7}
    assert {values["random_state"] for values in networks.values()} == {3}
    assert made["svm"]["device"] == "cpu"
    assert made["gnn-dynamic"]["graph__per"] == "frame"
    assert made["gnn-free"]["graph"] == "learned"
    assert made["gnn-connectome"]["graph"].index.tolist() == list(PAPER_NEURONS)
    assert str(made["gnn-published"]) == str(published("gnn", **SHARED).get_params())
    assert str(made["mlp-published"]) == str(published("mlp", **SHARED).get_params())
    augmented = {name for name, values in networks.items() if values["augmentation"] is not None}
    assert set(networks) - augmented == {"mlp-published", "gnn-published", "mlp-plain", "gnn-plain"}


def test_trajectory_models_are_what_their_names_say():
    made = {name: model.make(**SHARED).get_params() for name, model in TRAJECTORY_MODELS.items()}
    networks = {name: values for name, values in made.items() if not name.startswith("linear")}
    assert {values["max_epochs"] for values in networks.values()} == {7}
    assert {values["random_state"] for values in networks.values()} == {3}
    assert {name for name, values in networks.items() if values["memory"]} == {"mlp-lstm", "node-mlp-lstm", "gnn-gated"}
    assert {name for name, values in networks.items() if values["augmentation"] is None} == {
        "mlp-plain",
        "mlp-published",
        "node-mlp-published",
        "gnn-published",
    }
    assert made["gnn-published"]["rollout__scheduled_sampling_end"] == 300
    observed = {name for name, model in TRAJECTORY_MODELS.items() if model.burn_in == RECURRENT}
    assert observed == {"mlp-lags", "mlp-lstm", "node-mlp-lstm", "gnn-gated"}


def test_parameters_that_are_none_leave_those_of_the_model():
    assert STATE_MODELS["mlp"].make(max_epochs=None).max_epochs == MLPStateClassifier().max_epochs


def test_no_model_has_the_name_of_a_baseline():
    for registry in (STATE_MODELS, TRAJECTORY_MODELS):
        labels = [model.label for model in registry.values()]
        assert len(set(labels)) == len(labels)
        assert set(labels).isdisjoint(BASELINE_LABELS.values())
        assert set(registry).isdisjoint(BASELINE_LABELS)
        assert [model.name for model in registry.values()] == list(registry)


def test_readings_change_parameters_of_the_gnn_each_in_its_way():
    for name, readings in READINGS.items():
        made = [STATE_MODELS[name].make(**changes).get_params() for changes in ({}, *readings.values())]
        assert len({str(sorted(parameters.items(), key=str)) for parameters in made}) == 1 + len(readings)


def test_readings_change_nothing_but_what_they_name():
    for name, readings in READINGS.items():
        before = STATE_MODELS[name].make().get_params()
        for changes in readings.values():
            whole = {key for key in changes if "__" not in key}
            assert whole <= {"graph", "augmentation"}
            after = STATE_MODELS[name].make(**changes).get_params()
            nested = {key for key in before if "__" in key and key.partition("__")[0] not in whole}
            assert {key for key in nested if before[key] != after[key]} == set(changes) - whole


def test_given_graphs_have_the_same_sum(graphs):
    for graph in graphs.values():
        total = graph.to_numpy().sum()
        assert total == pytest.approx(0.5 * len(PAPER_NEURONS) ** 2)
        assert graph.index.tolist() == graph.columns.tolist() == list(PAPER_NEURONS)


def test_random_graphs_follow_their_seed(graphs):
    again = given_graphs(PAPER_NEURONS, [1])
    for kind in ("random graph", "shuffled connectome"):
        pd.testing.assert_frame_equal(graphs[f"{kind} 1"], again[f"{kind} 1"])
        assert not graphs[f"{kind} 1"].equals(graphs[f"{kind} 2"])


def test_a_shuffled_connectome_keeps_the_numbers_of_edges(graphs):
    connectome, shuffled = graphs["connectome"] > 0, graphs["shuffled connectome 1"] > 0
    for axis in (0, 1):
        assert shuffled.sum(axis=axis).tolist() == connectome.sum(axis=axis).tolist()
    assert not np.diag(connectome).any()


def test_a_connectome_without_edges_stays_empty():
    graph = connectome_graph(["AIBR", "AVAL", "VB02"])
    assert not graph.to_numpy().any()
    assert silent_neurons(graph) == ["AIBR", "AVAL", "VB02"]
