import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut, cross_val_score
from sklearn.naive_bayes import GaussianNB

from skworm.frames import make_frames
from skworm.metrics import score_bouts, segment_f1

NAMES = {"f": "forward", "r": "reverse", "t": "turn", "u": "unknown"}
LETTERS = st.text("frtu", min_size=2, max_size=40)


def series(frames=None, **worms):
    """A letter a frame: f, r, t or u; `frames` replaces the frame numbers of every worm."""
    index = [(worm, frame) for worm, text in worms.items() for frame in (frames or range(len(text)))]
    states = [NAMES[letter] for text in worms.values() for letter in text]
    return pd.Series(states, index=pd.MultiIndex.from_tuples(index, names=["worm", "frame"]))


def test_bouts_end_at_worms_gaps_and_unknown_frames():
    true = series(frames=[0, 1, 2, 3, 7, 8], a="ffuffr", b="rrrrrr")
    scores = score_bouts(true, true, fps=1.0)
    assert scores["n_bouts"].to_dict() == {"a": 4, "b": 2}
    assert scores["n_onsets"].to_dict() == {"a": 1, "b": 0}


@settings(max_examples=20)
@given(st.permutations(range(12)))
def test_the_order_of_rows_does_not_matter(order):
    true, predicted = series(a="ffrrtt", b="rrffff"), series(a="frrrtt", b="rrrrff")
    assert segment_f1(true.iloc[order], predicted.iloc[order]) == segment_f1(true, predicted)
    shuffled = score_bouts(true.iloc[order], predicted.iloc[order], fps=1.0)
    pd.testing.assert_frame_equal(shuffled, score_bouts(true, predicted, fps=1.0))


@pytest.mark.parametrize(
    ("true", "predicted", "threshold", "expected"),
    [
        ("ffffrrrr", "ffffrrrr", 1.0, 1.0),
        # Overlaps of 3/4 and 4/5.
        ("ffffrrrr", "fffrrrrr", 0.75, 1.0),
        ("ffffrrrr", "fffrrrrr", 0.80, 0.5),
        ("ffffrrrr", "fffrrrrr", 0.81, 0.0),
        # Of the two halves one is right (2/4), the other is false; the gap's state is false, too.
        ("fffff", "ffrff", 0.25, 2 * 1 / (1 + 3)),
        # A bout takes the true one of its state with the largest overlap, not the first.
        ("frfff", "fffff", 0.50, 2 * 1 / (3 + 1)),
        ("ffff", "rrrr", 0.10, 0.0),
        # A prediction of unknown is no bout, and misses the true one.
        ("ffff", "uuuu", 0.10, 0.0),
        ("ffuuff", "fffrff", 0.50, 1.0),
    ],
)
def test_segment_f1_by_hand(true, predicted, threshold, expected):
    assert segment_f1(series(a=true), series(a=predicted), threshold=threshold) == pytest.approx(expected)


def test_a_gap_in_the_frames_cuts_a_predicted_bout():
    true, predicted = {"frames": [0, 1, 2, 9, 10, 11]}, {"frames": [0, 1, 2, 9, 10, 11]}
    assert segment_f1(series(**true, a="fffrrr"), series(**predicted, a="ffffff")) == pytest.approx(2 * 1 / (2 + 2))


def test_the_worm_is_the_unit():
    # Worm a is long and right, worm b short and wrong.
    true, predicted = series(a="frtfrtfr", b="f"), series(a="frtfrtfr", b="r")
    assert segment_f1(true, predicted) == 0.5


ONSETS = ["onset_delay", "onset_latency", "n_onsets", "n_missed", "n_spurious", "onset_f1"]


def match_onsets(true, predicted, **options):
    return score_bouts(true, predicted, **options)[ONSETS]


def mean_score(score, true, predicted, fps=1.0):
    return score_bouts(true, predicted, fps=fps)[score].mean()


def test_onsets_by_hand():
    #              0123456789
    true = series(a="fffrrrtttf")
    pred = series(a="ffffrrttrf")
    # r: 3 -> 4 (late by 1); t: 6 -> 6; f: 9 -> 9; a second r at 8 is spurious.
    row = match_onsets(true, pred, fps=2.0, tolerance=1.0).loc["a"]
    assert row.tolist() == [0.0, 0.0, 3, 0, 1, 2 * 3 / 7]
    early = match_onsets(true, series(a="ffrrrttttf"), fps=2.0, tolerance=1.0).loc["a"]
    assert (early["onset_delay"], early["onset_latency"]) == (-0.5, 0.5)
    strict = match_onsets(true, series(a="ffrrrttttf"), fps=2.0, tolerance=0.4).loc["a"]
    assert strict[["n_missed", "n_spurious"]].tolist() == [2, 2]


def test_an_onset_finds_no_partner_beyond_a_gap_and_none_at_the_beginning_of_a_stretch():
    true, predicted = series(a="frufrr"), series(a="ffufrr")
    row = match_onsets(true, predicted, fps=1.0, tolerance=10.0).loc["a"]
    assert row[["n_onsets", "n_missed", "n_spurious"]].tolist() == [2, 1, 0]
    assert match_onsets(series(a="fff"), series(a="fff"), fps=1.0).loc["a"].isna().sum() == 3


def test_an_onset_is_missed_where_its_only_partner_lies_beyond_a_gap():
    row = match_onsets(series(a="frufff"), series(a="ffuffr"), fps=1.0, tolerance=10.0).loc["a"]
    assert row[["n_onsets", "n_missed", "n_spurious"]].tolist() == [1, 1, 1]


def test_early_and_late_onsets_do_not_make_up_for_each_other():
    row = match_onsets(series(a="ffrrffrr"), series(a="frrrfffr"), fps=1.0).loc["a"]
    assert row[["onset_delay", "onset_latency"]].tolist() == [0, 1]


def test_frames_without_a_prediction_are_no_bout():
    row = score_bouts(series(a="ffff"), series(a="ffuf"), fps=1.0).loc["a"]
    assert row[["n_predicted_bouts", "n_spurious"]].tolist() == [2, 1]
    assert row["segment_f1_50"] == pytest.approx(2 / 3)


def test_worms_whose_frame_numbers_go_on_from_each_other_stay_apart():
    index = pd.MultiIndex.from_arrays([list("aabb"), range(4)], names=["worm", "frame"])
    true = pd.Series(["forward", "forward", "reverse", "reverse"], index=index)
    scores = score_bouts(true, true, fps=1.0)
    assert scores["n_bouts"].tolist() == [1, 1]
    assert scores["n_onsets"].tolist() == [0, 0]


def test_each_worm_has_its_own_frame_rate():
    true, predicted = series(a="ffrr", b="ffrr"), series(a="fffr", b="fffr")
    delays = match_onsets(true, predicted, fps={"a": 1.0, "b": 4.0})["onset_delay"]
    assert delays.to_dict() == {"a": 1.0, "b": 0.25}
    with pytest.raises(ValueError, match="fps names no rate for worm 'b'"):
        match_onsets(true, predicted, fps={"a": 1.0})


def test_dwell_times_by_hand():
    # f: durations 2 and 4 against 3 and 3; r: 2 against 2.
    distance = mean_score("dwell_time_distance", series(a="ffrrffff"), series(a="fffrrfff"), fps=2.0)
    assert distance == pytest.approx((1 + 0) / 2 / 2.0)
    # r is never predicted: 2 frames against 0; f: 2 against 4.
    assert mean_score("dwell_time_distance", series(a="ffrr"), series(a="ffff")) == pytest.approx((2 + 2) / 2)


@settings(max_examples=30)
@given(LETTERS, LETTERS)
def test_a_perfect_prediction_is_perfect(first, second):
    true = series(a=first + "fr", b=second + "rt")
    scores = score_bouts(true, true, fps=3.0)
    assert (scores.filter(like="segment_f1") == 1).all(axis=None)
    assert (scores["onset_f1"] == 1).all()
    assert (scores[["onset_delay", "dwell_time_distance", "n_missed", "n_spurious"]] == 0).all(axis=None)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from("frtu"), st.sampled_from("frtu")), min_size=12, max_size=12))
def test_names_of_worms_do_not_matter(pairs):
    true, predicted = ("".join(letters) for letters in zip(*pairs, strict=True))
    halves = [(true[:6], predicted[:6]), (true[6:], predicted[6:])]
    tables = []
    for first, second in (("a", "b"), ("z", "c")):
        named = dict(zip((first, second), halves, strict=True))
        both = (series(**{worm: pair[side] for worm, pair in named.items()}) for side in (0, 1))
        tables.append(score_bouts(*both, fps=2.0).rename({"z": "a", "c": "b"}).sort_index())
    pd.testing.assert_frame_equal(*tables)
    values = tables[0].filter(regex="f1|agreement").to_numpy()
    assert ((values >= 0) & (values <= 1) | np.isnan(values)).all()


def test_bad_input_is_named():
    true = series(a="ffrr")
    with pytest.raises(ValueError, match=r"nothing says to which worm a row belongs.*pass worm="):
        segment_f1(["forward"], ["forward"])
    with pytest.raises(ValueError, match="worm 'a' has frame 0 more than once"):
        segment_f1(series(frames=[0, 0], a="ff"), ["forward"] * 2)
    with pytest.raises(ValueError, match=r"y_true has shape \(4,\) and y_pred \(3,\)"):
        segment_f1(true, true[:3])
    with pytest.raises(ValueError, match="the same rows in another order"):
        segment_f1(true, true[::-1])
    with pytest.raises(ValueError, match="have other rows"):
        segment_f1(true, series(b="ffrr"))
    with pytest.raises(ValueError, match="threshold=0 must be a number above 0"):
        segment_f1(true, true, threshold=0)
    with pytest.raises(ValueError, match="tolerance=-1 must be"):
        match_onsets(true, true, fps=1.0, tolerance=-1)
    with pytest.raises(ValueError, match="fps=0 must be"):
        score_bouts(true, true, fps=0)


def test_a_search_maximises_scores_of_bouts_worm_by_worm():
    y = series(a="ffffrrrr" * 4, b="ffrrffrr" * 4, c="rrrruuff" * 4)
    signal = (y == "forward").to_numpy() + 0.7 * np.sin(np.arange(len(y)))
    X = pd.DataFrame({"AVAL:trace": signal}, index=y.index)
    worm, told = X.index.get_level_values("worm"), TellsAll(y)
    scorer = make_scorer(segment_f1, threshold=0.25)
    assert scorer(told, X, y) == 1
    assert scorer(TellsAll(y.where(worm != "b", "turn")), X, y) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="nothing says to which worm a row belongs"):
        scorer(told, X, y.to_numpy())
    late = make_scorer(lambda *both: score_bouts(*both, fps=3.0)["onset_latency"].mean(), greater_is_better=False)
    for scoring in (scorer, late):
        options = {"groups": worm, "cv": LeaveOneGroupOut(), "scoring": scoring}
        good, poor = (cross_val_score(model, X, y, **options) for model in (GaussianNB(), DummyClassifier()))
        assert good.shape == (3,)
        assert np.isfinite(good).all()
        assert scoring is late or good.mean() > poor.mean()
    search = GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9, 1e3]}, cv=LeaveOneGroupOut(), scoring=scorer)
    assert search.fit(X, y, groups=worm).best_params_["var_smoothing"] == 1e-9


class TellsAll(BaseEstimator):
    def __init__(self, y):
        self.y = y

    def predict(self, X):
        return self.y.loc[X.index].to_numpy()


def test_bouts_of_real_worms(recordings_kato2015):
    _, y = make_frames(recordings_kato2015, states="7")
    fps = {recording.worm: recording.fps for recording in recordings_kato2015}
    scores = score_bouts(y, y, fps=fps)
    assert scores["n_bouts"].between(99, 130).all()
    # One frame late in everything: most bouts still overlap, and most onsets are found.
    late = y.groupby(level="worm").transform(lambda states: states.shift(1).bfill())
    scores = score_bouts(y, late, fps=fps)
    # Some bouts are of one frame, and are lost.
    assert scores["segment_f1_10"].between(0.8, 0.96).all()
    assert (scores["onset_f1"] > 0.9).all()
    np.testing.assert_allclose(scores["onset_delay"], [1 / fps[worm] for worm in scores.index])
