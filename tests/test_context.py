"""Frames before and after the one that is labelled."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

from skworm import GNNStateClassifier, MLPStateClassifier, VirtualWorms
from skworm.frames import make_frames, make_trajectories
from skworm.frames.index import parse_context_feature_names
from skworm.recording import Recording

CONTEXT = (-3, 0, 2)


def record(worm="a", n_frames=9, **others):
    traces = np.random.default_rng(len(worm)).normal(size=(n_frames, 2))
    return Recording(worm, traces, ["AVAL", "RID"], fps=2.0, **others)


def test_a_row_shows_the_frames_around_it_and_no_row_is_lost():
    plain, _ = make_frames(record(), states=None)
    X, _ = make_frames(record(), states=None, context=CONTEXT)
    assert list(X.columns[:6]) == [
        *("AVAL:trace@-3", "AVAL:derivative@-3", "AVAL:trace", "AVAL:derivative", "AVAL:trace@2", "AVAL:derivative@2")
    ]
    pd.testing.assert_frame_equal(X[plain.columns], plain, check_flags=False)
    for shift in (-3, 2):
        rows = np.clip(np.arange(9) + shift, 0, 8)
        for column in plain:
            np.testing.assert_array_equal(X[f"{column}@{shift}"], plain[column].iloc[rows])


def test_context_stays_within_a_worm():
    alone, _ = make_frames(record("bb"), states=None, context=CONTEXT)
    both, _ = make_frames([record(), record("bb")], states=None, context=CONTEXT)
    pd.testing.assert_frame_equal(both.loc[["bb"]], alone)


def test_context_does_not_cross_a_gap_in_time():
    time = np.append(np.arange(4) * 0.5, 20 + np.arange(5) * 0.5)
    X, _ = make_frames(record(time=time), states=None, node_features=["trace"], context=(-1, 0, 1))
    np.testing.assert_array_equal(X["AVAL:trace@1"].iloc[3], X["AVAL:trace"].iloc[3])
    np.testing.assert_array_equal(X["AVAL:trace@-1"].iloc[4], X["AVAL:trace"].iloc[4])
    np.testing.assert_array_equal(X["AVAL:trace@-1"].iloc[5], X["AVAL:trace"].iloc[4])


def test_frames_without_a_state_serve_as_context():
    states = ["forward", "unknown", "reverse_1", *["forward"] * 6]
    X, _ = make_frames(record(states=states), context=(-1, 0), node_features=["trace"])
    every, _ = make_frames(record(), states=None, node_features=["trace"])
    assert len(X) == 8
    assert X.loc[("a", 2), "RID:trace@-1"] == every.loc[("a", 1), "RID:trace"]


def test_rows_that_show_a_frame_without_any_value_are_left_out():
    traces = record().traces.copy()
    traces[4] = np.nan
    worm = Recording("a", traces, ["AVAL", "RID"], fps=2.0, states=["forward"] * 9)
    X, _ = make_frames(worm, context=(-1, 0), node_features=["trace"])
    assert X.index.get_level_values("frame").tolist() == [0, 1, 2, 3, 6, 7, 8]


@pytest.mark.parametrize(
    ("context", "message"),
    [((), r"context=\(\) must be"), ((-1.5, 0), "must be whole numbers"), ((0, -2, -2), "more than once")],
)
def test_an_invalid_context_is_refused(context, message):
    with pytest.raises(ValueError, match=message):
        make_frames(record(), states=None, context=context)


def test_trajectories_are_made_of_single_frames():
    frames, _ = make_frames(record(), states=None, derivative="backward", context=(-1, 0))
    with pytest.raises(ValueError, match=r"without context="):
        make_trajectories(frames, horizon=2, burn_in=1)


def test_names_tell_signal_and_frame():
    assert parse_context_feature_names(["trace@-3", "trace", "3"]) == (["trace", "trace", "3"], [-3, 0, 0])


def test_virtual_worms_share_gain_and_offset_over_the_context():
    X, _ = make_frames(record(), states=None, context=CONTEXT)
    signals, _ = parse_context_feature_names([column.split(":")[1] for column in X.columns[:6]])
    draws = VirtualWorms().draw(9, X.shape[1], torch.Generator().manual_seed(0), signals)
    for name in ("gain", "offset"):
        values = draws.shared[name].unflatten(1, (2, 3, 2))
        assert (values == values[:, :, :1]).all()
        assert len(values[:, :, 0].unique()) == 20 * 2 * 2


def test_virtual_worms_without_context_are_what_they_were():
    drawn = [
        VirtualWorms(mixing=0.1).draw(9, 8, torch.Generator().manual_seed(0), signals).shared
        for signals in (range(2), ["trace", "derivative"])
    ]
    torch.testing.assert_close(drawn[0], drawn[1], rtol=0, atol=0)


@pytest.mark.parametrize("estimator", [MLPStateClassifier(), GNNStateClassifier()])
def test_estimators_read_a_state_that_only_another_frame_tells(estimator):
    worms = []
    for seed in range(2):
        traces = np.random.default_rng(seed).uniform(size=(400, 2))
        states = np.where(np.roll(traces[:, 0], 5) > 0.5, "forward", "reverse_1")
        worms.append(Recording(f"worm-{seed}", traces, ["AVAL", "RID"], fps=3.0, states=states))
    scores = []
    for context in ((0,), (-5, 0)):
        X, y = make_frames(worms, states="2", node_features=["trace"], context=context)
        few = {"max_epochs": 150, "learning_rate": 0.02, "device": "cpu", "random_state": 0}
        model = clone(estimator).set_params(augmentation=VirtualWorms(), **few)
        unseen = X.index.get_level_values("worm") == "worm-1"
        scores.append(model.fit(X[~unseen], y[~unseen]).score(X[unseen], y[unseen]))
        assert (len(model.neurons_), len(model.node_features_)) == (2, len(context))
    assert scores[0] < 0.65
    assert scores[1] > 0.9
