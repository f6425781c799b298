import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.naive_bayes import GaussianNB

from skworm import WormGroupKFold
from skworm.datasets import make_worms
from skworm.frames import make_frames
from skworm.metrics import find_bouts, make_state_scorer
from skworm.model_selection import null_score
from skworm.model_selection.nulls import circularly_shifted_states, phase_randomized, shuffled_bouts

STATES = st.lists(st.sampled_from(["forward", "reverse", "turn", "unknown"]), min_size=30, max_size=60)


def labelled(states, worms=("a", "b")):
    parts = np.array_split(np.asarray(states), len(worms))
    index = [(worm, frame) for worm, part in zip(worms, parts, strict=True) for frame in range(len(part))]
    return pd.Series(states, index=pd.MultiIndex.from_tuples(index, names=["worm", "frame"]), name="state")


@settings(max_examples=30)
@given(STATES, st.integers(0, 100))
def test_states_are_shifted_within_each_worm_and_unknown_frames_stay(states, seed):
    y = labelled(["forward"] * 4 + states + ["reverse"] * 4)
    shifted = circularly_shifted_states(y, min_lag=1, random_state=seed)
    pd.testing.assert_index_equal(shifted.index, y.index)
    known = y != "unknown"
    assert (shifted[~known] == "unknown").all()
    for worm in "ab":
        before, after = (states[known].loc[worm].to_numpy() for states in (y, shifted))
        assert any((np.roll(before, lag) == after).all() for lag in range(1, len(before)))
    dropped = circularly_shifted_states(y[known], min_lag=1, random_state=seed)
    pd.testing.assert_series_equal(dropped, shifted[known])


def test_lags_are_never_shorter_than_asked_and_reach_all_others():
    y = labelled([str(number) for number in range(10)], worms=("a",))
    lags = {int(circularly_shifted_states(y, min_lag=3, random_state=seed).tolist().index("0")) for seed in range(200)}
    assert lags == {3, 4, 5, 6, 7}
    with pytest.raises(ValueError, match=r"worm 'a' has 10 frames of known state, too few .* min_lag=6"):
        circularly_shifted_states(y, min_lag=6)
    with pytest.raises(ValueError, match="min_lag=0 must be a whole number of frames"):
        circularly_shifted_states(y, min_lag=0)


def test_each_worm_has_a_lag_of_its_own():
    y = labelled([str(number) for number in range(50)] * 2)
    shifted = circularly_shifted_states(y, min_lag=1, random_state=0)
    assert shifted.loc["a"].tolist() != shifted.loc["b"].tolist()


@settings(max_examples=30)
@given(STATES, st.integers(0, 100))
def test_bouts_keep_their_lengths_in_another_order(states, seed):
    y = labelled(["forward", "reverse", *states, "forward", "reverse"], worms=("a",))
    shuffled = shuffled_bouts(y, random_state=seed)
    known = y != "unknown"
    assert (shuffled[~known] == "unknown").all()
    assert shuffled.value_counts().to_dict() == y.value_counts().to_dict()
    # Bouts of one state may have come to lie side by side, and unknown frames may cut bouts that were whole.
    joined = [run for run, _ in zip(runs(shuffled[known]), range(100), strict=False)]
    lengths = find_bouts(y).groupby("state")["n_frames"].apply(list)
    assert all(any(sum(part) == length for part in subsets(lengths[state])) for state, length in joined)


def runs(states):
    values = states.to_numpy()
    starts = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    return list(zip(values[starts], np.diff(np.append(starts, len(values))).tolist(), strict=True))


def subsets(lengths):
    sums = {0}
    for length in lengths:
        sums |= {total + length for total in sums}
    return [[total] for total in sums]


def test_a_single_bout_cannot_be_shuffled():
    with pytest.raises(ValueError, match="worm 'a' has a single bout"):
        shuffled_bouts(["forward"] * 3, worm=["a"] * 3)


@pytest.fixture(scope="module")
def simulated():
    return make_frames(make_worms(2, n_frames=500, random_state=0), states="4", derivative="central", unknown="keep")


@pytest.mark.parametrize("keep_correlations", [False, True])
@pytest.mark.parametrize("n_frames", [499, 500])
def test_phases_are_random_and_spectra_are_kept(simulated, keep_correlations, n_frames):
    X = simulated[0].groupby(level="worm").head(n_frames)
    other = phase_randomized(X, keep_correlations=keep_correlations, random_state=0)
    assert other.index.equals(X.index)
    assert list(other.columns) == list(X.columns)
    for worm in X.index.unique("worm"):
        before, after = X.loc[worm].to_numpy(), other.loc[worm].to_numpy()
        np.testing.assert_allclose(*(np.abs(np.fft.rfft(part, axis=0)) for part in (before, after)), atol=1e-9)
        assert np.abs(np.diag(np.corrcoef(before.T, after.T)[: before.shape[1], before.shape[1] :])).mean() < 0.8
        correlations = [np.corrcoef(part[:, ::2].T) for part in (before, after)]
        assert np.allclose(*correlations) == keep_correlations


def test_a_derivative_stays_that_of_its_trace():
    phase = 2 * np.pi * np.arange(200) / 200
    trace = np.sin(3 * phase) + np.cos(17 * phase)
    derivative = (np.roll(trace, -1) - np.roll(trace, 1)) / 2
    columns = ["AVAL:trace", "AVAL:derivative", "RID:trace", "RID:derivative"]
    index = pd.MultiIndex.from_product([["a"], range(200)], names=["worm", "frame"])
    scaled = 0.1 + 3 * derivative
    X = pd.DataFrame(np.column_stack([trace, scaled, trace, scaled]), index=index, columns=columns)
    other = phase_randomized(X, random_state=0)
    for neuron in ("AVAL", "RID"):
        moved = other[f"{neuron}:trace"].to_numpy()
        np.testing.assert_allclose(
            other[f"{neuron}:derivative"], 0.1 + 3 * (np.roll(moved, -1) - np.roll(moved, 1)) / 2, atol=1e-9
        )
    assert not np.allclose(other["AVAL:trace"], other["RID:trace"])
    array = phase_randomized(X.to_numpy(), worm=["a"] * 200, n_node_features=2, random_state=0)
    np.testing.assert_allclose(array, other.to_numpy())


def test_traces_that_cannot_be_randomised_are_named(simulated):
    X = simulated[0]
    holes = X.mask((np.arange(len(X)) == 3)[:, None] & (np.arange(X.shape[1]) == 1))
    with pytest.raises(ValueError, match="worm 'simulated-0' has NaN in part of column 1"):
        phase_randomized(holes)
    with pytest.raises(ValueError, match="n_node_features=7 does not fit"):
        phase_randomized(X, n_node_features=7)
    with pytest.raises(ValueError, match="nothing says to which worm"):
        phase_randomized(X.to_numpy())


@pytest.mark.slow
@pytest.mark.parametrize("null", ["circular_shift", "shuffled_bouts", "phase_randomized"])
def test_a_relation_is_found_and_its_absence_too(simulated, null):
    X, y = simulated
    # make_worms gives worms of one seed their own states, so those of the other worm are unrelated.
    swapped = pd.Series(np.roll(y.to_numpy(), 500), index=y.index)
    options = {"cv": LeaveOneGroupOut(), "null": null, "n_repeats": 19, "min_lag": 50, "random_state": 1}
    related, unrelated = (null_score(GaussianNB(), X, states, **options) for states in (y, swapped))
    assert related.p_value == 0.05
    assert related.score > related.null_scores.max() + 0.1
    assert unrelated.p_value > 0.05
    assert related.null_scores.shape == (19,)


def test_p_values_count_ties_against_the_model():
    y = labelled(["forward", "reverse"] * 20)
    X = pd.DataFrame({"AVAL:trace": (y == "forward").astype(float)})
    splits = LeaveOneGroupOut()
    same = null_score(GaussianNB(), X, y, cv=splits, null=lambda X, y, rng: (X, y), n_repeats=3)
    assert same == (1.0, pytest.approx([1.0] * 3), 1.0)
    # Lags of 10 frames in both worms, of 20: the alternating states come back.
    assert null_score(GaussianNB(), X, y, cv=splits, min_lag=10, n_repeats=2).null_scores.tolist() == [1.0, 1.0]

    def noise(X, y, rng):
        return X.assign(**{"AVAL:trace": rng.normal(size=len(X))}), y

    worse = null_score(GaussianNB(), X, y, cv=splits, null=noise, n_repeats=3)
    assert worse.p_value == 0.25


def test_unknown_frames_are_neither_trained_on_nor_scored(simulated):
    X, y = simulated
    options = {"cv": WormGroupKFold(2, random_state=0), "n_repeats": 3, "min_lag": 20, "random_state": 0}
    options["scoring"] = make_state_scorer("segment_f1")
    unknown = y.mask(np.arange(len(y)) % 50 < 10, "unknown")
    kept, dropped = (
        null_score(GaussianNB(), X[rows], unknown[rows], **options) for rows in (slice(None), unknown != "unknown")
    )
    assert kept.score == dropped.score
    np.testing.assert_array_equal(kept.null_scores, dropped.null_scores)
    arrays = null_score(
        GaussianNB(), X.to_numpy(), unknown.to_numpy(), groups=X.index.get_level_values("worm"), n_jobs=2, **options
    )
    np.testing.assert_array_equal(arrays.null_scores, kept.null_scores)


def test_bad_nulls_are_named(simulated):
    X, y = simulated
    cv = WormGroupKFold(2, random_state=0)
    with pytest.raises(ValueError, match="null='shift' is not known; choose one of"):
        null_score(GaussianNB(), X, y, cv=cv, null="shift")
    with pytest.raises(ValueError, match="null=3 must be one of"):
        null_score(GaussianNB(), X, y, cv=cv, null=3)
    with pytest.raises(ValueError, match="n_repeats=0 must be a whole number"):
        null_score(GaussianNB(), X, y, cv=cv, n_repeats=0)
    with pytest.raises(ValueError, match="keep the rows of X and y"):
        null_score(GaussianNB(), X, y, cv=cv, null=lambda X, y, rng: (X[:3], y[:3]), n_repeats=1)
    with pytest.raises(ValueError, match="a score is NaN"):
        null_score(GaussianNB(), X, y, cv=cv, n_repeats=1, scoring=lambda *_: np.nan)
