"""States as a sequence."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from skworm import HiddenMarkovStateClassifier
from skworm.datasets import make_worms
from skworm.estimators.hidden_markov import read_sequence, transition_probabilities
from skworm.frames import make_frames
from skworm.frames.index import sequences_of
from skworm.metrics import segment_f1


def every_path(emission, transition, start):
    paths = np.array(list(itertools.product(range(emission.shape[1]), repeat=len(emission))))
    logs = start[paths[:, 0]] + emission[np.arange(len(emission)), paths].sum(1)
    return paths, logs + transition[paths[:, :-1], paths[:, 1:]].sum(1)


def marginals(paths, logs, n_states):
    return np.array([[logsumexp(logs[paths[:, t] == k]) for k in range(n_states)] for t in range(paths.shape[1])])


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), n_frames=st.integers(1, 6), n_states=st.integers(2, 3))
def test_decoding_agrees_with_counting_every_path(seed, n_frames, n_states):
    rng = np.random.default_rng(seed)
    emission = rng.normal(size=(n_frames, n_states))
    transition = np.log(rng.dirichlet(np.ones(n_states), size=n_states))
    start = np.log(rng.dirichlet(np.ones(n_states)))
    paths, logs = every_path(emission, transition, start)
    np.testing.assert_array_equal(read_sequence(emission, transition, start, "viterbi").argmax(1), paths[logs.argmax()])
    expected = marginals(paths, logs, n_states) - logsumexp(logs)
    np.testing.assert_allclose(read_sequence(emission, transition, start, "smoothing"), expected, atol=1e-9)
    for last in range(n_frames):
        until, logs_until = every_path(emission[: last + 1], transition, start)
        now = marginals(until, logs_until, n_states)[-1] - logsumexp(logs_until)
        np.testing.assert_allclose(read_sequence(emission, transition, start, "filtering")[last], now, atol=1e-9)


def test_sequences_end_at_worms_and_gaps_whatever_the_order_of_rows():
    worm = np.array(["b", "a", "a", "b", "a", "a"])
    frame = np.array([4, 7, 2, 5, 6, 1])
    assert [rows.tolist() for rows in sequences_of(worm, frame)] == [[5, 2], [4, 1], [0, 3]]
    # Frame numbers may go on from one worm to the next.
    assert [rows.tolist() for rows in sequences_of(np.array(["a", "a", "b"]), np.arange(3))] == [[0, 1], [2]]


def test_transitions_are_counted_within_sequences():
    states = np.array([0, 0, 1, 0, 1, 1])
    counted = transition_probabilities(states, [np.arange(3), np.arange(3, 6)], 2, 0.0)
    np.testing.assert_allclose(counted, [[1 / 3, 2 / 3], [0, 1]])
    smooth = transition_probabilities(states, [np.arange(3), np.arange(3, 6)], 3, 1.0)
    np.testing.assert_allclose(smooth[2], 1 / 3)


@pytest.fixture(scope="module")
def frames():
    return make_frames(make_worms(3, n_frames=400, random_state=1), states="4", unknown="keep")


@pytest.fixture(scope="module")
def fitted(frames):
    X, y = frames
    training = X.index.get_level_values("worm") != "simulated-2"
    return HiddenMarkovStateClassifier(LogisticRegression(max_iter=500)).fit(X[training], y[training])


def test_sequences_make_better_bouts(frames, fitted):
    X, y = (table.loc[["simulated-2"]] for table in frames)
    plain = pd.Series(fitted.estimator_.predict(X), index=y.index)
    decoded = pd.Series(fitted.predict(X), index=y.index)
    assert segment_f1(y, decoded) > segment_f1(y, plain) + 0.1
    assert "unknown" not in fitted.classes_


def test_filtering_does_not_look_ahead_and_the_others_do(frames, fitted):
    X = frames[0].loc[["simulated-2"]]
    causal = clone(fitted).set_params(decoding="filtering").fit(*frames)
    np.testing.assert_allclose(causal.predict_proba(X[:50]), causal.predict_proba(X)[:50])
    ahead = clone(causal).set_params(decoding="smoothing").fit(*frames)
    assert not np.allclose(ahead.predict_proba(X[:50]), ahead.predict_proba(X)[:50])


@pytest.mark.parametrize(
    ("frame", "message"),
    [(lambda frame: frame % 50, "frame 0 more than once"), (lambda frame: frame / 3, "whole numbers of frames")],
)
def test_frame_numbers_that_tell_no_sequence_are_refused(frames, fitted, frame, message):
    X = frames[0].loc[["simulated-0"]].rename(index=frame, level="frame")
    for call in (fitted.predict, lambda X: clone(fitted).fit(X, np.resize(["forward", "reverse"], len(X)))):
        with pytest.raises(ValueError, match=message):
            call(X)


@pytest.mark.parametrize("decoding", ["viterbi", "smoothing", "filtering"])
def test_worms_and_gaps_end_sequences_and_rows_may_come_in_any_order(frames, fitted, decoding):
    X, _ = frames
    fitted.set_params(decoding=decoding)
    whole = pd.Series(fitted.predict(X), index=X.index)
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_array_equal(fitted.predict(X.iloc[order]), whole.iloc[order])
    np.testing.assert_array_equal(fitted.predict(X.loc[["simulated-1"]]), whole.loc[["simulated-1"]])
    parts = X.iloc[:100], X.iloc[105:200]
    apart = np.concatenate([fitted.predict(part) for part in parts])
    np.testing.assert_array_equal(fitted.predict(pd.concat(parts)), apart)


def test_rows_without_a_worm_are_one_sequence(frames, fitted):
    X = frames[0].loc[["simulated-0"]]
    fitted.set_params(decoding="viterbi")
    bare = X.reset_index(drop=True)
    np.testing.assert_array_equal(fitted.predict(bare), fitted.predict(X))
    worm = np.repeat(["a", "b"], [200, len(X) - 200])
    np.testing.assert_array_equal(fitted.predict(bare, worm=worm)[:200], fitted.predict(bare[:200]))


def test_an_estimator_that_says_nothing_of_its_certainty_is_refused(frames):
    from sklearn.neighbors import NearestCentroid

    X, y = frames

    class Silent(NearestCentroid):  # fmt: skip
        predict_proba = property()
        decision_function = property()

    with pytest.raises(TypeError, match="neither predict_proba nor decision_function"):
        HiddenMarkovStateClassifier(Silent()).fit(X, y).predict(X)
