import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold

from skworm import WormGroupKFold
from skworm.frames import make_frames
from skworm.inspection import leakage_report

FOLDS = [("shuffled_windows", 0), ("contiguous_blocks", 0), ("contiguous_blocks", 4)]


def make_data(n_frames=96, dwell=12, names=("a", "b")):
    """Worms that change state every 12 frames."""
    index = pd.MultiIndex.from_product([names, range(n_frames)], names=["worm", "frame"])
    state = np.tile(np.arange(n_frames) // dwell % 2, len(names))
    return pd.DataFrame({"AVAL:trace": 0.0}, index=index), pd.Series(np.where(state, "reverse", "forward"), index)


def test_shares_and_accuracies_of_blocks_by_hand():
    X, y = make_data()
    report = leakage_report(X, y, cv=WormGroupKFold(4, window=4, random_state=0))
    assert list(zip(report["fold_by"], report["gap"], strict=True)) == [fold for fold in FOLDS for _ in "ab"]
    assert list(report["worm"]) == ["a", "b"] * 3
    table = report.set_index(["fold_by", "gap", "worm"])
    blocks = table.loc["contiguous_blocks", 0, "a"]
    # Blocks of 6 windows: 2 of them touch in each of the two blocks in the middle, 1 in the first and in the last.
    assert blocks["share_touching"] == pytest.approx(6 / 24)
    # Every block is half forward, half reverse. On either side the nearest training frame is in the other state; the
    # first and the last block have one such side, and half of their frames are right.
    assert blocks["accuracy_clock"] == pytest.approx(np.mean([0.5, 0, 0, 0.5]))
    assert table.loc["contiguous_blocks", 4, "a"]["share_touching"] == 0
    assert (table.loc["shuffled_windows"]["share_touching"] > 0.8).all()
    assert (table.loc["shuffled_windows"]["accuracy_clock"] > blocks["accuracy_clock"] + 0.2).all()


def test_a_window_touches_only_windows_of_its_own_worm():
    X, y = make_data(n_frames=24, dwell=3, names=("a", "b", "c"))
    cv = WormGroupKFold(2, n_train_worms=3, window=4, random_state=0)
    blocks = leakage_report(X, y, cv=cv).query("fold_by == 'contiguous_blocks' and gap == 0")
    np.testing.assert_allclose(blocks["share_touching"], 1 / 3)


def test_unknown_frames_count_no_more_than_dropped_ones():
    X, y = make_data()
    unknown = np.arange(len(y)) % 24 >= 16
    cv = WormGroupKFold(2, window=4, random_state=0)
    kept = leakage_report(X, y.mask(unknown, "unknown"), cv=cv).query("fold_by == 'contiguous_blocks' and gap == 0")
    # Two blocks of 12 windows, of which the last 2 of the first are unknown: nothing known lies on both sides.
    assert (kept["share_touching"] == 0).all()
    assert (leakage_report(X, y, cv=cv).query("gap == 0")["share_touching"] > 0).all()


def test_the_splitter_is_left_as_it_was_and_arrays_do_as_well():
    X, y = make_data()
    cv = WormGroupKFold(4, window=4, gap=1, random_state=0)
    before = dict(vars(cv))
    by_index = leakage_report(X, y, cv=cv)
    by_groups = leakage_report(X.to_numpy(), y.to_numpy(), X.index.get_level_values("worm"), cv=cv)
    assert vars(cv) == before
    pd.testing.assert_frame_equal(by_index, by_groups)


def test_bad_input_is_named():
    X, y = make_data()
    with pytest.raises(TypeError, match="does not split by worm; pass a WormGroupKFold"):
        leakage_report(X, y, cv=KFold(4))
    with pytest.raises(ValueError, match="does not say to which worm a row belongs"):
        leakage_report(X.to_numpy(), y.to_numpy(), cv=WormGroupKFold(4))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("states", "shuffled", "blocks"), [("2", (0.97, 0.98), (0.58, 0.75)), ("7", (0.88, 0.92), (0.30, 0.47))]
)
def test_the_clock_on_real_worms(recordings_kato2015, states, shuffled, blocks):
    X, y = make_frames(recordings_kato2015, states=states)
    report = leakage_report(X, y, cv=WormGroupKFold(10, random_state=0)).set_index(["fold_by", "gap"]).sort_index()
    for fold_by, (low, high) in (("shuffled_windows", shuffled), ("contiguous_blocks", blocks)):
        clock = report.loc[(fold_by, 0), "accuracy_clock"]
        assert len(clock) == 5
        assert clock.between(low - 0.005, high + 0.005).all(), clock.tolist()
    assert (report.loc[("shuffled_windows", 0), "share_touching"] > 0.95).all()
    assert (report.loc[("contiguous_blocks", 8), "share_touching"] == 0).all()
