import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skworm.frames import contains_transition, make_frames, make_trajectories
from skworm.frames.index import parse_step_column_names, step_column_names
from skworm.metrics import mse_by_step, skill_by_step


def table_of(numbers_by_worm, columns=("AVAL:trace", "RID:trace")):
    """Frames whose every value tells its worm, frame and column."""
    index = pd.MultiIndex.from_tuples(
        [(worm, frame) for worm, numbers in numbers_by_worm.items() for frame in numbers], names=["worm", "frame"]
    )
    worm = pd.factorize(index.get_level_values("worm"))[0]
    values = 1000 * worm[:, None] + index.get_level_values("frame").to_numpy()[:, None] + np.arange(len(columns)) / 10
    return pd.DataFrame(values, index=index, columns=list(columns))


def test_rows_are_time_major_and_continue_each_other():
    X, Y = make_trajectories(table_of({"a": range(20)}), burn_in=2, horizon=3, stride=4)
    assert list(X.columns) == ["AVAL:trace@-1", "RID:trace@-1", "AVAL:trace@0", "RID:trace@0"]
    assert list(Y.columns)[:2] == ["AVAL:trace@1", "RID:trace@1"]
    assert X.index.tolist() == Y.index.tolist() == [("a", 1), ("a", 5), ("a", 9), ("a", 13)]
    assert X.iloc[1].tolist() == [4.0, 4.1, 5.0, 5.1]
    assert Y.iloc[1].tolist() == [6.0, 6.1, 7.0, 7.1, 8.0, 8.1]


@pytest.mark.slow
@given(
    st.lists(st.lists(st.booleans(), min_size=30, max_size=60), min_size=1, max_size=3),
    st.integers(1, 3),
    st.integers(1, 6),
    st.integers(1, 5),
)
def test_no_trajectory_spans_two_worms_or_a_gap(kept, burn_in, horizon, stride):
    numbers = {f"worm-{i}": np.flatnonzero(frames) for i, frames in enumerate(kept) if any(frames)}
    length = burn_in + horizon
    wanted = [
        (name, start + burn_in - 1)
        for name, frames in numbers.items()
        for start in range(0, 60, stride)
        if set(range(start, start + length)) <= set(frames.tolist())
    ]
    without = [name for name in numbers if name not in {worm for worm, _ in wanted}]
    make = {"burn_in": burn_in, "horizon": horizon, "stride": stride}
    if without or not numbers:
        with pytest.raises(ValueError, match=rf"has no {length} consecutive frames|frames have no row"):
            make_trajectories(table_of(numbers), **make)
        return
    X, Y = make_trajectories(table_of(numbers), **make)
    assert X.index.tolist() == wanted
    stretches = np.concatenate([X.to_numpy(), Y.to_numpy()], axis=1)[:, ::2]
    assert (np.diff(stretches, axis=1) == 1).all()


def test_dropped_frames_shift_no_other_trajectory():
    frames = table_of({"a": range(60)})
    whole, _ = make_trajectories(frames, horizon=4, burn_in=1)
    holed, _ = make_trajectories(frames.drop([("a", 10)]), horizon=4, burn_in=1)
    assert holed.index.tolist() == [row for row in whole.index.tolist() if row[1] != 8]


@pytest.mark.parametrize("derivative", ["central", "smooth"])
def test_derivatives_that_look_ahead_are_refused(recordings, derivative):
    frames, _ = make_frames(recordings, states=None, derivative=derivative)
    with pytest.raises(ValueError, match="see part of its answer"):
        make_trajectories(frames, burn_in=1)


def test_frames_of_unknown_origin_are_refused_only_where_they_have_a_derivative():
    unknown = table_of({"a": range(40)}, ("AVAL:trace", "AVAL:derivative"))
    with pytest.raises(ValueError, match="do not say whether their derivative"):
        make_trajectories(unknown, burn_in=1)
    unknown.attrs["derivative_looks_ahead"] = False
    assert make_trajectories(unknown, burn_in=1)[0].attrs == {"derivative_looks_ahead": False}


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        (table_of({"a": range(40)}).reset_index(drop=True), {}, "do not tell worm and frame"),
        (table_of({"a": range(40)}), {"burn_in": 0}, "burn_in=0 must be a whole number"),
        (table_of({"a": range(40)}), {"stride": 1.5}, "stride=1.5 must be a whole number"),
        (table_of({"a": range(40), "b": range(10)}), {}, "worm 'b' has no 20 consecutive frames"),
        (table_of({"a": [*range(40), 3]}), {}, "worm 'a' has frame 3 more than once"),
        (table_of({"a": range(40, 0, -1)}), {}, "frame 39 comes after frame 40; sort the rows"),
        (table_of({"a": range(40)}, (1, 2)), {}, "columns that are not named by strings"),
    ],
)
def test_bad_frames_are_refused_with_their_remedy(frames, options, message):
    with pytest.raises(ValueError, match=message):
        make_trajectories(frames, **options)


def test_transitions_are_changes_between_known_states():
    frames = table_of({"a": range(20), "b": range(20)})
    _, Y = make_trajectories(frames, horizon=4, stride=5, burn_in=1)
    states = pd.Series("forward", index=frames.index)
    states.loc[[("a", 8), ("a", 9)]] = "unknown"
    states.loc[[("b", frame) for frame in range(9, 20)]] = "reverse"
    assert contains_transition(states, Y).loc["a"].tolist() == [False] * 4
    # From the last observed frame, 5, to the last predicted one, 9.
    assert contains_transition(states, Y).loc["b"].tolist() == [False, True, False, False]
    dropped = states[states != "unknown"]
    for same in (dropped, states.swaplevel()):
        pd.testing.assert_series_equal(contains_transition(same, Y), contains_transition(states, Y))
    with pytest.raises(ValueError, match="no frame of worm 'b'"):
        contains_transition(states.loc[["a"]], Y)
    with pytest.raises(ValueError, match="second table of make_trajectories"):
        contains_transition(states, frames)


@given(
    st.lists(st.text("ABxyz:@-0", min_size=1), min_size=1, max_size=4, unique=True),
    st.integers(-3, 1),
    st.integers(1, 4),
)
def test_step_names_round_trip(columns, first, n_steps):
    steps = list(range(first, first + n_steps))
    assert parse_step_column_names(step_column_names(columns, steps)) == (columns, steps)


def test_step_names_in_another_order_are_refused():
    assert parse_step_column_names(["AVAL:trace", "RID:trace"]) is None
    with pytest.raises(ValueError, match="time-major"):
        parse_step_column_names(["AVAL:trace@1", "AVAL:trace@2", "RID:trace@1", "RID:trace@2"])


def test_mse_and_skill_by_step_and_node_feature():
    columns = ("AVAL:trace", "AVAL:derivative")
    frames = table_of({"a": range(30)}, columns)
    frames.attrs["derivative_looks_ahead"] = False
    X, Y = make_trajectories(frames, horizon=3, burn_in=1)
    wrong = Y + np.tile([1.0, 3.0], 3)
    assert mse_by_step(Y, wrong).tolist() == pytest.approx([5.0] * 3)
    assert mse_by_step(Y, wrong, node_feature="trace").tolist() == pytest.approx([1.0] * 3)
    # Persistence is 1, 2 and 3 behind, as every value grows by 1 a frame.
    assert skill_by_step(Y, wrong, X).tolist() == pytest.approx([-4.0, 1 - 5 / 4, 1 - 5 / 9])
    assert skill_by_step(Y, np.tile(X, 3), X).tolist() == [0.0] * 3
    assert skill_by_step(Y.to_numpy(), Y.to_numpy(), X.to_numpy(), horizon=3).tolist() == [1.0] * 3
    assert np.isnan(skill_by_step([[1.0]], [[1.0]], [[1.0]], horizon=1)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mse_by_step([[1.0, 2.0]], [[1.0, 2.0]]), "pass horizon="),
        (lambda: mse_by_step([[1.0, 2.0]], [[1.0]], horizon=1), r"y_true has shape \(1, 2\) and y_pred \(1, 1\)"),
        (lambda: mse_by_step([[1.0, 2.0]], [[1.0, 2.0]], horizon=3), "horizon=3 does not fit the 2 columns"),
        (lambda: mse_by_step([[1.0]], [[1.0]], horizon=1, node_feature="trace"), "node_feature='trace' is not among"),
        (lambda: skill_by_step([[1.0, 2.0]], [[1.0, 2.0]], [[1.0], [2.0]], horizon=2), "X has shape"),
    ],
)
def test_bad_errors_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.fixture(scope="module")
def recordings():
    from skworm.datasets import make_worms

    return make_worms(2, n_frames=80, random_state=0)
