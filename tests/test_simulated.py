import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.svm import SVC

from skworm.datasets import make_worms, simulated
from skworm.frames import PAPER_NEURONS, make_frames
from skworm.recording import STATES, map_states


def trace(recording, neuron):
    return recording.traces[:, recording.neurons.index(neuron)]


def bouts(recording):
    starts = np.flatnonzero(recording.states[1:] != recording.states[:-1]) + 1
    return np.diff([0, *starts, recording.n_frames])


def test_the_same_seed_gives_the_same_worms():
    first, second, third = (make_worms(2, 200, random_state=seed) for seed in (3, 3, 4))
    for worm in range(2):
        np.testing.assert_array_equal(first[worm].traces, second[worm].traces)
        assert first[worm].neurons == second[worm].neurons
        assert first[worm].states.tolist() == second[worm].states.tolist()
        assert not np.array_equal(first[worm].traces, third[worm].traces)


def test_worms_differ():
    first, second = make_worms(2, 500, random_state=0)
    assert (first.worm, second.worm) == ("simulated-0", "simulated-1")
    assert first.neurons != second.neurons
    assert first.states.tolist() != second.states.tolist()


@pytest.mark.parametrize("n_frames", [2, 1000])
def test_size_and_names_are_as_asked(n_frames):
    (worm,), graph = make_worms(
        1, n_frames, neurons=["RID", "VB1"], n_unidentified=3, worm_prefix="w", random_state=0, return_graph=True
    )
    assert graph.columns.tolist() == ["RID", "VB01"]
    assert worm.traces.shape == (n_frames, 5)
    assert sorted(worm.identified) == ["RID", "VB01"]
    assert worm.worm == "w-0"
    assert set(worm.states) <= set(STATES)
    assert np.isfinite(worm.traces).all()


def test_default_worms_share_the_neurons_of_the_paper():
    X, y = make_frames(make_worms(n_frames=600, random_state=0))
    assert X.columns.tolist()[::2] == [f"{neuron}:trace" for neuron in PAPER_NEURONS]
    assert len(y) > 0.9 * 5 * 600


def test_identification_fails_at_the_rate_given():
    worms = make_worms(20, 2, identification_rate=0.6, random_state=0)
    assert all(worm.n_neurons == 35 for worm in worms)
    assert 0.5 < np.mean([len(worm.identified) / 15 for worm in worms]) < 0.7


def test_bouts_are_as_many_and_as_long_as_in_real_worms():
    worms = make_worms(30, 3100, n_unidentified=0, random_state=0)
    assert 99 <= np.median([len(bouts(worm)) for worm in worms]) <= 124
    assert 13 <= np.median([np.median(bouts(worm)) for worm in worms]) <= 20
    assert 0 < np.mean([np.mean(worm.states == "unknown") for worm in worms]) < 0.03


def test_the_cycle_goes_from_reversal_to_turn_to_forward():
    states = map_states(make_worms(1, 5000, random_state=0)[0].states, "nichols")
    follows = set(itertools.pairwise(states))
    assert {("forward", "reverse"), ("reverse", "turn"), ("turn", "forward")} <= follows
    assert not {("turn", "reverse"), ("forward", "turn")} & follows


def test_an_edge_moves_the_receiver_alone(monkeypatch):
    names = ["AVAL", "RID", "RIML"]
    graph = pd.DataFrame(0.0, index=names, columns=names)
    options = {"neurons": names, "n_unidentified": 2, "random_state": 0}
    monkeypatch.setattr(simulated, "_MIXING", 0)
    monkeypatch.setattr(simulated, "_species_graph", lambda names: graph)
    (without,) = make_worms(1, 300, **options)
    graph.loc["AVAL", "RID"] = 0.9
    (joined,) = make_worms(1, 300, **options)
    changed = [name for name in joined.neurons if not np.allclose(trace(joined, name), trace(without, name))]
    assert changed == ["RID"]


def test_labs_share_the_graph_and_nothing_else():
    (own,), graph = make_worms(1, 500, random_state=0, return_graph=True)
    (other,), other_graph = make_worms(1, 500, lab=1, random_state=0, return_graph=True)
    pd.testing.assert_frame_equal(graph, other_graph)
    assert own.fps == 2.9
    assert other.fps != own.fps
    assert other.states.tolist() != own.states.tolist()
    assert make_worms(1, 2, lab=1, fps=5, random_state=0)[0].fps == 5


def test_the_graph_is_sparse_and_belongs_to_the_names():
    graph = make_worms(1, 2, return_graph=True)[1]
    assert graph.index.name == "pre"
    assert graph.columns.name == "post"
    assert 0.05 < np.mean(graph != 0) < 0.3
    names = ["RMED", "AVAL", "RID", "AIBL"]
    part = make_worms(1, 2, neurons=names, return_graph=True)[1]
    np.testing.assert_array_equal(part, graph.loc[names, names])


def test_activity_stays_bounded_with_many_neurons():
    names = [f"N{number}" for number in range(70, 130)]
    (worm,) = make_worms(1, 2000, neurons=names, n_unidentified=0, random_state=0)
    assert np.abs(worm.traces).max() < 50


def accuracy_on_unseen_worms():
    X, y = make_frames(make_worms(3, 1000, n_unidentified=0, random_state=0), states="4")
    model = SVC().fit(X.loc[["simulated-0"]], y.loc["simulated-0"])
    return model.score(X.drop(index="simulated-0"), y.drop(index="simulated-0"))


def test_individuality_makes_unseen_worms_harder(monkeypatch):
    scores = {}
    for mixing in (0, 1.5):
        monkeypatch.setattr(simulated, "_MIXING", mixing)
        scores[mixing] = accuracy_on_unseen_worms()
    assert scores[0] > 0.75
    assert 0.3 < scores[1.5] < scores[0] - 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_worms": 0}, r"n_worms=0 must be a whole number, at least 1"),
        ({"n_frames": 1.5}, r"n_frames=1.5 must be a whole number, at least 2"),
        ({"n_unidentified": -1}, r"n_unidentified=-1 must be a whole number, at least 0"),
        ({"lab": -1}, r"lab=-1 must be a whole number, at least 0"),
        ({"identification_rate": 1.1}, r"identification_rate=1.1 must be a number between 0 and 1"),
        ({"fps": 0}, r"fps=0 must be a number greater than 0"),
        ({"fps": "fast"}, r"fps='fast' must be a number greater than 0"),
        ({"neurons": "AVAL"}, r"neurons='AVAL' must be at least one name.*such as \('AVAL', 'RID'\)"),
        ({"neurons": []}, r"neurons=\[\] must be at least one name"),
        ({"neurons": ["AVAL", "AVAL"]}, r"neurons=\['AVAL', 'AVAL'\] must be at least one name, each once"),
        ({"neurons": ["AVAL", "7"]}, r"neurons=\['AVAL', '7'\].*none of them a number"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        make_worms(**options)
