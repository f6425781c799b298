from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    LeaveOneGroupOut,
    LeavePGroupsOut,
    cross_val_score,
    cross_validate,
)
from sklearn.neighbors import KNeighborsClassifier

from skworm import WormGroupKFold

SPLITTERS = [
    WormGroupKFold(n_splits=3, window=2, random_state=0),
    WormGroupKFold(n_splits=2, n_train_worms=2, window=2, test_on="held_out_windows", fold_by="contiguous_blocks"),
    GroupKFold(n_splits=2),
    LeaveOneGroupOut(),
    LeavePGroupsOut(n_groups=2),
]


def frames(lengths, kept=None):
    """A table of worms with the given numbers of frames, less the rows that `kept` drops."""
    index = pd.MultiIndex.from_tuples(
        [(f"worm-{worm}", frame) for worm, length in enumerate(lengths) for frame in range(length)],
        names=["worm", "frame"],
    )
    X = pd.DataFrame({"AVAL:trace": np.arange(len(index), dtype=float)}, index=index)
    return X if kept is None else X[kept]


def worms(X):
    return X.index.get_level_values("worm").to_numpy()


@st.composite
def problems(draw):
    n_splits = draw(st.integers(2, 4))
    window = draw(st.integers(1, 5))
    lengths = draw(st.lists(st.integers(n_splits * window, n_splits * window + 23), min_size=2, max_size=4))
    X = frames(lengths)
    if draw(st.booleans()):
        X = X.iloc[np.random.default_rng(draw(st.integers(0, 99))).permutation(len(X))]
    splitter = WormGroupKFold(
        n_splits,
        n_train_worms=draw(st.integers(1, len(lengths))),
        fold_by=draw(st.sampled_from(["shuffled_windows", "contiguous_blocks"])),
        window=window,
        random_state=draw(st.integers(0, 99)),
    )
    return splitter, X


@given(problems())
def test_every_combination_of_worms_comes_once_with_every_fold(problem):
    splitter, X = problem
    found = [(split.train_worms, split.fold) for split in splitter.split_worms(X, groups=worms(X))]
    names = sorted(set(worms(X)))
    assert found == [
        (combination, fold)
        for combination in combinations(names, splitter.n_train_worms)
        for fold in range(splitter.n_splits)
    ]


@given(problems())
def test_rows_are_train_or_held_out_or_unseen_and_never_two_of_them(problem):
    splitter, X = problem
    for split in splitter.split_worms(X, groups=worms(X)):
        rows = np.concatenate([split.train, split.held_out, split.unseen])
        assert sorted(rows) == list(range(len(X)))
        assert set(worms(X)[split.train]) == set(worms(X)[split.held_out]) == set(split.train_worms)
        assert set(worms(X)[split.unseen]).isdisjoint(split.train_worms)


@pytest.mark.slow
@given(problems())
def test_no_window_is_cut_and_each_row_is_held_out_once_a_combination(problem):
    splitter, X = problem
    window = X.index.get_level_values("frame") // splitter.window
    times_held_out = pd.Series(0, index=X.index)
    for split in splitter.split_worms(X, groups=worms(X)):
        windows = [set(zip(worms(X)[rows], window[rows], strict=True)) for rows in (split.train, split.held_out)]
        assert windows[0].isdisjoint(windows[1])
        times_held_out.iloc[split.held_out] += 1
    n_worms = X.index.get_level_values("worm").nunique()
    assert (times_held_out == comb(n_worms - 1, splitter.n_train_worms - 1)).all()


@given(problems())
def test_folds_are_as_equal_as_can_be_and_the_same_in_every_combination(problem):
    splitter, X = problem
    window = X.index.get_level_values("frame") // splitter.window
    folds = {}
    for split in splitter.split_worms(X, groups=worms(X)):
        for worm in split.train_worms:
            held_out = frozenset(window[split.held_out[worms(X)[split.held_out] == worm]])
            assert folds.setdefault((worm, split.fold), held_out) == held_out
    for worm in set(worms(X)):
        sizes = [len(folds[worm, fold]) for fold in range(splitter.n_splits) if (worm, fold) in folds]
        assert max(sizes) - min(sizes) <= 1


@pytest.mark.slow
@given(problems())
def test_the_same_random_state_gives_the_same_splits_at_every_call(problem):
    splitter, X = problem
    first, second = (list(splitter.split_worms(X, groups=worms(X))) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_equal(tuple(one), tuple(other))


@given(problems(), st.integers(1, 6))
@settings(max_examples=60)
def test_training_rows_keep_the_gap_and_nothing_further_away_is_dropped(problem, gap):
    splitter, X = problem
    splitter.gap = gap
    frame = X.index.get_level_values("frame").to_numpy()
    try:
        splits = list(splitter.split_worms(X, groups=worms(X)))
    except ValueError:
        reject()
    for split in splits:
        for worm in split.train_worms:
            train, held_out = (frame[rows[worms(X)[rows] == worm]] for rows in (split.train, split.held_out))
            distance = np.abs(np.arange(frame[worms(X) == worm].max() + 1)[:, None] - held_out).min(axis=1)
            assert sorted(train) == list(np.flatnonzero(distance > gap))


def test_shuffled_windows_differ_between_seeds_and_contiguous_blocks_are_contiguous():
    X = frames([80, 80])

    def held_out(**parameters):
        splitter = WormGroupKFold(5, test_on="held_out_windows", **parameters)
        return [test.tolist() for _, test in splitter.split(X, groups=worms(X))]

    assert held_out(random_state=0) != held_out(random_state=1)
    blocks = held_out(fold_by="contiguous_blocks")
    assert blocks[:5] == [list(range(start, start + 16)) for start in range(0, 80, 16)]


def test_rows_of_a_shuffled_table_come_in_order_and_blocks_are_of_frames():
    X = frames([16, 16]).iloc[np.random.default_rng(0).permutation(32)]
    splitter = WormGroupKFold(2, n_train_worms=2, window=4, test_on="held_out_windows", fold_by="contiguous_blocks")
    train, test = next(splitter.split(X, groups=worms(X)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(test) > 0).all()
    assert set(X.index.get_level_values("frame")[test]) == set(range(8))


def test_dropped_rows_shift_no_window_boundary():
    complete = frames([64, 64])
    kept = np.random.default_rng(0).random(len(complete)) < 0.6
    splitter = WormGroupKFold(4, window=8, random_state=3)
    full = list(splitter.split_worms(complete, groups=worms(complete)))
    part = list(splitter.split_worms(complete[kept], groups=worms(complete[kept])))
    for one, other in zip(full, part, strict=True):
        assert set(complete[kept].index[other.held_out]) == set(complete.index[one.held_out][kept[one.held_out]])


def test_gap_is_measured_from_the_window_even_where_its_edge_rows_were_dropped():
    X = frames([16, 16])
    X = X.drop([("worm-0", 7)])
    splitter = WormGroupKFold(2, window=8, gap=1, fold_by="contiguous_blocks")
    split = next(splitter.split_worms(X, groups=worms(X)))
    assert X.index[split.train].get_level_values("frame").tolist() == list(range(9, 16))


def test_recordings_of_an_animal_have_windows_of_their_own_without_frame_numbers():
    recording, animal = np.repeat(["a", "b", "c", "d"], 200), np.repeat(["A", "B"], 400)
    X = pd.DataFrame({"AVAL:trace": 0.0}, index=pd.Index(recording, name="worm"))
    place = np.tile(np.arange(200), 4)
    for gap in (0, 16):
        cv = WormGroupKFold(5, fold_by="contiguous_blocks", gap=gap, random_state=0)
        for split in cv.split_worms(X, groups=animal):
            assert len(split.held_out) == 80
            assert len(split.train) == 320 or gap
            for name in np.unique(recording[split.train]):
                held, train = (place[rows[recording[rows] == name]] for rows in (split.held_out, split.train))
                assert np.abs(held[:, None] - train).min() > gap


def test_windows_follow_row_order_within_each_worm_where_there_is_no_index():
    groups = np.array(["b", "a"] * 8)
    splitter = WormGroupKFold(2, window=4, test_on="held_out_windows", fold_by="contiguous_blocks")
    tests = [test.tolist() for _, test in splitter.split(np.zeros((16, 1)), groups=groups)]
    assert tests == [[1, 3, 5, 7], [9, 11, 13, 15], [0, 2, 4, 6], [8, 10, 12, 14]]


@pytest.mark.parametrize("test_on", ["unseen_worms", "held_out_windows"])
def test_split_yields_the_test_rows_that_test_on_names(test_on):
    X = frames([20, 20, 20])
    splitter = WormGroupKFold(2, n_train_worms=2, test_on=test_on, random_state=0)
    pairs = list(splitter.split(X, groups=worms(X)))
    assert len(pairs) == splitter.get_n_splits(groups=worms(X)) == 6
    for (train, test), split in zip(pairs, splitter.split_worms(X, groups=worms(X)), strict=True):
        np.testing.assert_array_equal(train, split.train)
        np.testing.assert_array_equal(test, split.unseen if test_on == "unseen_worms" else split.held_out)


def test_all_worms_may_train_where_the_test_is_on_held_out_windows():
    X = frames([16, 16])
    splitter = WormGroupKFold(2, n_train_worms=2, test_on="held_out_windows")
    assert len(list(splitter.split(X, groups=worms(X)))) == 2


def test_repr_shows_the_parameters():
    assert "n_train_worms=3" in repr(WormGroupKFold(n_train_worms=3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": ["worm-0"] * 10}, r"groups has shape \(10,\), but X has 80 rows"),
        ({"groups": np.full((80, 1), "worm-0")}, r"groups has shape \(80, 1\).*one worm name a row"),
        ({"groups": np.array(["a"] * 79 + [np.nan], dtype=object)}, r"row 79 has no worm.*drop the row"),
        ({"n_train_worms": 3}, r"n_train_worms=3, but groups has 2 worms; lower n_train_worms"),
        ({"n_train_worms": 2}, r"n_train_worms=2 uses all 2 worms.*test_on='held_out_windows'"),
        ({"n_splits": 6}, r"worm 'worm-0' has 5 windows of 8 frames.*lower n_splits or window"),
        ({"test_on": "others"}, r"test_on='others'.*'unseen_worms', 'held_out_windows'"),
        ({"fold_by": "random"}, r"fold_by='random'.*'shuffled_windows', 'contiguous_blocks'"),
        ({"n_splits": 0}, r"n_splits=0 must be a whole number, at least 1"),
        ({"n_splits": 1, "test_on": "held_out_windows"}, r"n_splits=1 holds no windows out; raise n_splits"),
        ({"n_train_worms": 0}, r"n_train_worms=0 must be a whole number, at least 1"),
        ({"window": 0}, r"window=0 must be a whole number, at least 1"),
        ({"window": 2.5}, r"window=2.5 must be a whole number, at least 1"),
        ({"gap": -1}, r"gap=-1 must be a whole number, at least 0"),
        ({"gap": 60}, r"gap=60 leaves worm 'worm-0' no training rows.*lower gap"),
    ],
)
def test_bad_input_is_refused_with_its_remedy(changes, message):
    X = frames([40, 40])
    parameters = {"n_splits": 2, "groups": worms(X), **changes}
    groups = parameters.pop("groups")
    with pytest.raises(ValueError, match=message):
        list(WormGroupKFold(**parameters).split(X, groups=groups))


def test_one_split_leaves_whole_worms_out():
    X = frames([40, 33, 48])
    splitter = WormGroupKFold(1, n_train_worms=2, gap=5)
    splits = list(splitter.split(X, groups=worms(X)))
    assert len(splits) == splitter.get_n_splits(groups=worms(X)) == 3
    for train, test in splits:
        np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(len(X)))
        assert set(worms(X)[train]).isdisjoint(worms(X)[test])
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in splits])), np.arange(len(X)))
    assert [len(split.held_out) for split in splitter.split_worms(X, groups=worms(X))] == [0, 0, 0]


def test_repeated_frames_are_refused():
    X = frames([40, 40])
    X = pd.concat([X, X.iloc[[5]]])
    with pytest.raises(ValueError, match=r"worm 'worm-0' has frame 5 more than once \(row 80\).*drop repeated rows"):
        list(WormGroupKFold(2).split(X, groups=worms(X)))


def test_more_splits_than_anybody_can_wait_for_are_refused():
    worm = np.repeat(np.arange(20), 40)
    with pytest.raises(ValueError, match="1,847,560 splits"):
        next(WormGroupKFold(10, n_train_worms=10).split(worm, groups=worm))


def test_get_n_splits_needs_groups():
    with pytest.raises(ValueError, match=r"groups is None.*pass groups="):
        WormGroupKFold().get_n_splits()


@pytest.fixture
def data():
    X = frames([24, 24, 24])
    y = np.tile(np.repeat(["forward", "reverse"], 4), 9)
    return X, y, worms(X)


@pytest.mark.parametrize("splitter", SPLITTERS, ids=repr)
def test_works_in_scikit_learn_with_groups(splitter, data):
    X, y, groups = data
    n_splits = splitter.get_n_splits(X, y, groups)
    assert len(cross_val_score(DummyClassifier(), X, y, groups=groups, cv=splitter)) == n_splits
    assert len(cross_validate(DummyClassifier(), X, y, groups=groups, cv=splitter)["test_score"]) == n_splits
    search = GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 3]}, cv=splitter).fit(X, y, groups=groups)
    assert search.n_splits_ == n_splits


@pytest.mark.parametrize("splitter", SPLITTERS, ids=repr)
def test_works_in_scikit_learn_with_metadata_routing(splitter, data):
    X, y, groups = data
    n_splits = splitter.get_n_splits(X, y, groups)
    search = GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 3]}, cv=splitter)
    with sklearn.config_context(enable_metadata_routing=True):
        scores = cross_val_score(DummyClassifier(), X, y, params={"groups": groups}, cv=splitter)
        assert len(scores) == n_splits
        assert search.fit(X, y, groups=groups).n_splits_ == n_splits


def test_groups_go_by_another_name_with_metadata_routing(data):
    X, y, groups = data
    with sklearn.config_context(enable_metadata_routing=True):
        splitter = WormGroupKFold(2).set_split_request(groups="worm")
        assert len(cross_val_score(DummyClassifier(), X, y, params={"worm": groups}, cv=splitter)) == 6
