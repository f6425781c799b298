import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.metrics import make_scorer
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.naive_bayes import GaussianNB

from skworm import WormGroupKFold
from skworm.datasets import make_worms
from skworm.frames import make_frames
from skworm.metrics import segment_f1
from skworm.model_selection import null_score

STATES = st.lists(st.sampled_from(["forward", "reverse", "turn", "unknown"]), min_size=30, max_size=60)


def labelled(states, worms=("a", "b")):
    parts = np.array_split(np.asarray(states), len(worms))
    index = [(worm, frame) for worm, part in zip(worms, parts, strict=True) for frame in range(len(part))]
    return pd.Series(states, index=pd.MultiIndex.from_tuples(index, names=["worm", "frame"]), name="state")


def shifted(y, min_lag, n_repeats=1, seed=0):
    """Return the states of the controls that a model is scored on."""
    seen = []

    def scoring(model, X, states):
        seen.append(states)
        return 0.0

    X = pd.DataFrame({"AVAL:trace": np.arange(len(y), dtype=float)}, index=y.index)
    known = np.arange((y != "unknown").sum())
    options = {"min_lag": min_lag, "n_repeats": n_repeats, "random_state": seed}
    null_score(DummyClassifier(), X, y, cv=[(known, known)], scoring=scoring, **options)
    return seen[1:]


@settings(max_examples=30)
@given(STATES, st.integers(0, 100))
def test_states_are_shifted_within_each_worm_and_unknown_frames_stay(states, seed):
    y = labelled(["forward"] * 4 + states + ["reverse"] * 4)
    known = y != "unknown"
    (moved,) = shifted(y, 1, seed=seed)
    pd.testing.assert_index_equal(moved.index, y[known].index)
    for worm in "ab":
        before, after = (part.loc[worm].to_numpy() for part in (y[known], moved))
        assert any((np.roll(before, lag) == after).all() for lag in range(1, len(before)))


def test_lags_are_never_shorter_than_asked_and_reach_all_others():
    y = labelled([str(number) for number in range(10)], worms=("a",))
    assert {states.tolist().index("0") for states in shifted(y, 3, n_repeats=200)} == {3, 4, 5, 6, 7}
    with pytest.raises(ValueError, match=r"worm 'a' has 10 frames of known state, too few .* min_lag=6"):
        shifted(y, 6)
    with pytest.raises(ValueError, match="min_lag=0 must be a whole number"):
        shifted(y, 0)


def test_each_worm_has_a_lag_of_its_own():
    y = labelled([str(number) for number in range(50)] * 2)
    (moved,) = shifted(y, 1)
    assert moved.loc["a"].tolist() != moved.loc["b"].tolist()


def test_states_are_shifted_in_time_whatever_the_order_of_rows():
    y = labelled([str(number) for number in range(30)], worms=("a",)).sample(frac=1, random_state=0)
    (moved,) = shifted(y, 1)
    assert set(np.diff(moved.sort_index().astype(int)) % 30) == {1}


@pytest.fixture(scope="module")
def simulated():
    return make_frames(make_worms(2, n_frames=500, random_state=0), states="4", derivative="central", unknown="keep")


def test_a_relation_is_found_and_its_absence_too(simulated):
    X, y = simulated
    # make_worms gives worms of one seed their own states, so those of the other worm are unrelated.
    swapped = pd.Series(np.roll(y.to_numpy(), 500), index=y.index)
    options = {"cv": LeaveOneGroupOut(), "n_repeats": 19, "min_lag": 50, "random_state": 1}
    model = GaussianNB()
    related, unrelated = (null_score(model, X, states, **options) for states in (y, swapped))
    assert not hasattr(model, "classes_")
    assert related.p_value == 0.05
    assert related.score > related.null_scores.max() + 0.1
    assert unrelated.p_value > 0.05
    assert related.null_scores.shape == (19,)


def test_p_values_count_ties_against_the_model():
    options = {"cv": LeaveOneGroupOut(), "min_lag": 10, "n_repeats": 3}
    y = labelled(["forward", "reverse"] * 20)
    X = pd.DataFrame({"AVAL:trace": (y == "forward").astype(float)})
    # Lags of 10 frames in both worms, of 20: the alternating states come back.
    assert null_score(GaussianNB(), X, y, **options) == (1.0, pytest.approx([1.0] * 3), 1.0)
    y = labelled((["forward"] * 30 + ["reverse"] * 30) * 2)
    X = pd.DataFrame({"AVAL:trace": (y == "forward").astype(float)})
    worse = null_score(GaussianNB(), X, y, **options, random_state=0)
    assert (worse.score, worse.p_value) == (1.0, 0.25)


def test_unknown_frames_are_neither_trained_on_nor_scored(simulated):
    X, y = simulated
    options = {"cv": WormGroupKFold(2, random_state=0), "n_repeats": 3, "min_lag": 20, "random_state": 0}
    options["scoring"] = make_scorer(segment_f1)
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
    with pytest.raises(ValueError, match="n_repeats=0 must be a whole number"):
        null_score(GaussianNB(), X, y, cv=cv, n_repeats=0)
    with pytest.raises(ValueError, match="a score is NaN"):
        null_score(GaussianNB(), X, y, cv=cv, n_repeats=1, scoring=lambda *_: np.nan)
