"""Relations between neurons beyond what drives all of them."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from skworm.datasets import make_worms
from skworm.frames import PAPER_NEURONS
from skworm.inspection import compare_graphs, functional_graph
from skworm.recording import Recording

N_FRAMES = 1500


def driven(n_worms=4, seed=0, edge=("B", "C"), weight=0.5):
    """Make worms in which one neuron acts on another, and a state that lasts drives all three."""
    rng = np.random.RandomState(seed)
    worms = []
    for number in range(n_worms):
        state = np.repeat(rng.randint(2, size=N_FRAMES // 25), 25)
        traces = np.zeros((N_FRAMES, 3))
        for frame in range(1, N_FRAMES):
            before = traces[frame - 1]
            now = 0.7 * before + 1.5 * state[frame] + rng.normal(size=3)
            now[["A", "B", "C"].index(edge[1])] += weight * before[["A", "B", "C"].index(edge[0])]
            traces[frame] = now
        names = ("AVAL", "AVBL", "RID")
        states = np.where(state == 1, "forward", "reverse")
        worms.append(Recording(f"worm-{number}", traces, names, fps=3.0, states=states, behavior={"drive": state}))
    return worms


def strongest(graph):
    first = graph.edges().iloc[0]
    return first["pre"], first["post"]


def test_the_true_graph_of_simulated_worms_is_found():
    worms, true = make_worms(5, 3100, random_state=0, return_graph=True)
    graph = functional_graph(worms, neurons=PAPER_NEURONS, n_shifts=0)
    result = compare_graphs(graph.t.abs(), true, n_permutations=99, random_state=0)
    auroc = result[result["statistic"] == "auroc"]
    assert auroc["value"].iloc[0] > 0.8
    assert (auroc["value"] > auroc["null_percentile_95"]).all()
    signs = [(true.loc[row.pre, row.post], row.t) for row in graph.edges().head(29).itertuples()]
    assert all(np.sign(weight) == np.sign(t) for weight, t in signs if weight)
    raw = functional_graph(worms, neurons=PAPER_NEURONS, given=(), n_shifts=0)
    raw = compare_graphs(raw.t.abs(), true, n_permutations=1, random_state=0)
    assert raw["value"].iloc[2] < auroc["value"].iloc[0] - 0.1


@pytest.mark.parametrize("given", ["states", "drive"])
def test_an_edge_is_distinguished_from_a_common_drive(given):
    graph = functional_graph(driven(), given=given, history=1, n_shifts=60, random_state=0)
    assert strongest(graph) == ("AVBL", "RID")
    table = graph.edges().set_index(["pre", "post"])
    assert table.loc[("AVBL", "RID"), "p_family"] < 0.05
    assert table.loc[("AVBL", "RID"), "weight"] > 0
    others = table.drop(index=("AVBL", "RID"))
    assert (others["p_family"] > 0.05).all()
    assert functional_graph(driven(weight=-0.5), given=given, n_shifts=0).weights.loc["AVBL", "RID"] < 0


def test_shifts_find_nothing_in_noise():
    rng = np.random.RandomState(1)
    names = ("AVAL", "AVBL", "RID", "RIML")
    smallest = []
    for trial in range(20):
        worms = [Recording(f"w{number}", rng.normal(size=(400, 4)), names, fps=3.0) for number in range(3)]
        graph = functional_graph(worms, given=(), n_shifts=39, random_state=trial)
        smallest.append(graph.edges()["p_family"].min())
    assert np.mean(np.array(smallest) <= 0.05) <= 0.2
    assert np.mean(smallest) > 0.3


def test_worms_without_some_neurons_take_part():
    worms = driven()
    lacking = dataclasses.replace(worms[0], traces=worms[0].traces[:, 1:], neurons=worms[0].neurons[1:])
    graph = functional_graph([lacking, *worms[1:]], neurons="union", given="states", n_shifts=0)
    assert graph.n_worms.loc["AVBL", "RID"] == 4
    assert graph.n_worms.loc["AVAL", "RID"] == 3
    assert np.isfinite(graph.t.to_numpy()).all()
    assert functional_graph([lacking, *worms[1:]], n_shifts=0, given="states").t.shape == (2, 2)


def test_a_pair_that_no_worm_has_is_unknown():
    worms = driven(3)
    parts = [worms[0].neurons[:2], worms[1].neurons[1:], worms[2].neurons[1:]]
    some = [
        dataclasses.replace(worm, traces=worm.traces[:, [worm.neurons.index(name) for name in names]], neurons=names)
        for worm, names in zip(worms, parts, strict=True)
    ]
    graph = functional_graph(some, neurons="union", given="states", n_shifts=19, random_state=0)
    assert np.isnan(graph.weights.loc["AVAL", "RID"])
    assert np.isnan(graph.p_family.loc["AVAL", "RID"])
    assert len(graph.edges()) == 4


def test_nothing_is_learned_across_gaps_and_lost_frames():
    worm = driven(1)[0]
    keep = np.r_[0:500, 700:N_FRAMES]
    cut = dataclasses.replace(
        worm,
        traces=worm.traces[keep],
        time=worm.time[keep],
        states=worm.states[keep],
        behavior={"drive": worm.behavior["drive"][keep]},
    )
    lost = worm.traces.copy()
    lost[500:700] = np.nan
    lost = dataclasses.replace(worm, traces=lost)
    spike = worm.traces.copy()
    spike[500:700] = 1e3 * np.random.RandomState(0).normal(size=(200, 3))
    wrong = dataclasses.replace(worm, traces=spike)
    by_gap, by_loss, by_spike = (
        functional_graph(each, given=(), n_shifts=0).weights.to_numpy() for each in (cut, lost, wrong)
    )
    np.testing.assert_allclose(by_gap, by_loss, atol=1e-12)
    assert np.abs(by_gap - by_spike).max() > 0.1


def test_other_neurons_explain_by_the_frame_that_comes_too():
    common, sender, noise = np.random.RandomState(0).normal(size=(3, 600))
    receiver = 5 * common + noise + 0.5 * np.roll(sender, 1)
    worm = Recording("a", np.column_stack([receiver, sender, common]), ("AVAL", "AVBL", "3"), fps=3.0)
    # What the other neuron shares with the next frame of AVAL would drown the edge.
    assert functional_graph(worm, given="other_neurons", n_shifts=0).weights.loc["AVBL", "AVAL"] > 0.2


def test_standard_error_is_that_over_worms():
    worms = driven()
    graph = functional_graph(worms, given="states", n_shifts=0)
    each = np.stack([functional_graph(worm, given="states", n_shifts=0).weights.to_numpy() for worm in worms])
    np.testing.assert_allclose(graph.weights, each.mean(axis=0))
    np.testing.assert_allclose(graph.standard_error, each.std(axis=0, ddof=1) / 2)


def test_standard_error_of_one_worm_covers_the_spread_of_many():
    worms = driven(12)
    single = np.mean([functional_graph(w, given="states", n_shifts=0).standard_error.to_numpy() for w in worms], axis=0)
    among = functional_graph(worms, given="states", n_shifts=0).standard_error.to_numpy() * np.sqrt(12)
    pairs = ~np.eye(3, dtype=bool)
    assert 0.6 < (single / among)[pairs].mean() < 1.6


def test_scale_and_order_do_not_matter():
    worms = driven()
    graph = functional_graph(worms, given="states", n_shifts=0)
    other = [dataclasses.replace(w, traces=3 * w.traces[:, ::-1] + 2, neurons=w.neurons[::-1]) for w in worms]
    pd.testing.assert_frame_equal(functional_graph(other, given="states", n_shifts=0).weights, graph.weights)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "culprit"),
    [
        ({"neurons": ["AVAL"]}, "two neurons"),
        ({"neurons": ["AVAL", "RIBL"]}, "RIBL"),
        ({"neurons": "all"}, "all"),
        ({"given": "velocity"}, "velocity"),
        ({"given": "states", "history": 120}, "history"),
        ({"history": -1}, "history"),
        ({"n_shifts": 1.5}, "n_shifts"),
    ],
)
def test_bad_options_are_named(options, culprit):
    with pytest.raises(ValueError, match=culprit):
        functional_graph(driven(2), **options)


def test_bad_recordings_are_named():
    worms = driven(2)
    with pytest.raises(ValueError, match=r"worm-0.*states"):
        functional_graph([dataclasses.replace(worms[0], states=None), worms[1]])
    copied = dataclasses.replace(worms[0], traces=np.c_[worms[0].traces[:, :2], np.full(N_FRAMES, 0.5)])
    with pytest.raises(ValueError, match=r"worm-0.*RID"):
        functional_graph(copied, given="states")
    with pytest.raises(ValueError, match="worm-0"):
        functional_graph([worms[0], worms[0]])
    with pytest.raises(ValueError, match="at least one"):
        functional_graph([])
