import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from skworm.frames import (
    PAPER_NEURONS,
    SHARED_WITH_NICHOLS,
    WormMinMaxScaler,
    make_behavior,
    make_frames,
    make_trajectories,
)
from skworm.frames.features import slopes
from skworm.frames.index import parse_column_names
from skworm.frames.resampling import frame_numbers
from skworm.recording import Recording

METHODS = ("backward", "central", "smooth", "causal")
STATES = np.array(["forward", "slowing", "reverse_1", "dorsal_turn"])


def record(worm="a", neurons=("AVAL", "RID", "3"), n_frames=24, seed=0, **changes):
    rng = np.random.default_rng(seed)
    values = {
        "traces": rng.normal(size=(n_frames, len(neurons))).cumsum(axis=0),
        "states": STATES[np.arange(n_frames) // 4 % 4],
        "fps": 3.0,
    }
    return Recording(worm=worm, neurons=neurons, **(values | changes))


def test_rows_are_frames_and_columns_are_neuron_major():
    X, y = make_frames([record("b", seed=1), record("a")], states="4")
    assert X.index.names == ["worm", "frame"]
    assert X.index[[0, 24]].tolist() == [("b", 0), ("a", 0)]
    assert parse_column_names(X.columns) == (["AVAL", "RID"], ["trace", "derivative"])
    assert (X.dtypes == np.float64).all()
    assert y.name == "state"
    pd.testing.assert_index_equal(y.index, X.index)
    assert y.loc["a"].iloc[[0, 4, 8, 12]].tolist() == ["forward", "forward", "reverse", "dorsal_turn"]


def test_unknown_frames_are_dropped_or_kept_and_frame_numbers_stay():
    whole, states = make_frames([record("a"), record("b", seed=1)], states="2", unknown="keep")
    known, known_states = make_frames([record("a"), record("b", seed=1)], states="2")
    assert len(whole) == 48
    assert set(states) == {"forward", "reverse", "unknown"}
    pd.testing.assert_frame_equal(known, whole[states != "unknown"])
    pd.testing.assert_series_equal(known_states, states[states != "unknown"])


def test_states_as_recorded_by_mapping_and_none():
    recording = record(states=["fwd", "unknown", "rev"] * 8)
    assert set(make_frames(recording, states="as_recorded")[1]) == {"fwd", "rev"}
    mapping = {"fwd": "forward", "rev": "unknown", "unknown": "unknown"}
    X, y = make_frames(recording, states=mapping)
    assert len(X) == 8
    assert set(y) == {"forward"}
    X, y = make_frames(record(states=None), states=None)
    assert len(X) == 24
    assert y is None


@given(data=st.data(), method=st.sampled_from(METHODS))
@settings(max_examples=30)
def test_features_span_zero_to_one_and_ignore_gain_and_offset(data, method):
    seed = data.draw(st.integers(0, 1000))
    gain = data.draw(st.floats(0.01, 100))
    offset = data.draw(st.floats(-100, 100))
    recordings = [record("a", seed=seed), record("b", seed=seed + 1, n_frames=17)]
    changed = [dataclasses.replace(recording, traces=gain * recording.traces + offset) for recording in recordings]
    X, _ = make_frames(recordings, derivative=method)
    assert (X.groupby("worm").min() == 0).all(axis=None)
    assert (X.groupby("worm").max() == 1).all(axis=None)
    np.testing.assert_allclose(make_frames(changed, derivative=method)[0], X, atol=1e-9)


@given(columns=st.permutations(range(4)), worms=st.permutations(range(3)))
@settings(max_examples=20)
def test_order_of_worms_and_neurons_in_the_files_does_not_matter(columns, worms):
    neurons = ("AVAL", "RID", "3", "AIBL")
    recordings = [record(name, neurons, seed=seed) for seed, name in enumerate("abc")]
    shuffled = [
        dataclasses.replace(
            recordings[worm], traces=recordings[worm].traces[:, columns], neurons=[neurons[c] for c in columns]
        )
        for worm in worms
    ]
    X, y = make_frames(recordings)
    X_shuffled, y_shuffled = make_frames(shuffled)
    pd.testing.assert_frame_equal(X_shuffled.loc[X.index], X)
    pd.testing.assert_series_equal(y_shuffled.loc[y.index], y)


@given(frame=st.integers(1, 23), method=st.sampled_from(METHODS))
@settings(max_examples=30)
def test_only_a_backward_derivative_never_looks_ahead(frame, method):
    recording = record()
    traces = recording.traces.copy()
    traces[frame:] += 1
    changed = dataclasses.replace(recording, traces=traces)
    tables = [make_frames(r, derivative=method, fit_scope="train")[0] for r in (recording, changed)]
    past_changed = not np.allclose(tables[0].iloc[:frame], tables[1].iloc[:frame])
    assert past_changed == (method not in ("backward", "causal"))
    assert tables[0].attrs["derivative_looks_ahead"] == (method not in ("backward", "causal"))


@pytest.mark.parametrize("causal", [False, True])
def test_smooth_slopes_are_those_of_weighted_lines(causal):
    rng = np.random.default_rng(0)
    time = np.cumsum(rng.uniform(0.2, 0.5, size=40))
    values = rng.normal(size=(40, 2))
    values[7:10, 1] = np.nan
    found = slopes(values, time, 1.0, causal=causal)
    for frame in range(1, 40):
        apart = time - time[frame]
        near = (np.abs(apart) <= 4) & ((apart <= 0) | (not causal))
        for column in range(2):
            use = near & np.isfinite(values[:, column])
            weight = np.exp(-0.25 * apart[use] ** 2)
            expected = np.polyfit(apart[use], values[use, column], 1, w=weight)[0]
            if np.isnan(values[frame, column]):
                expected = np.nan
            np.testing.assert_allclose(found[frame, column], expected, rtol=1e-6, err_msg=f"{frame} {column}")
    assert (found[0] == 0).all() == causal


def test_a_smooth_derivative_is_that_of_a_gaussian_inside_a_recording():
    from scipy.ndimage import gaussian_filter1d

    values = np.random.default_rng(0).normal(size=(300, 1)).cumsum(axis=0)
    expected = 3 * gaussian_filter1d(values, 3.9, axis=0, order=1)
    found = slopes(values, np.arange(300) / 3, 1.3)
    np.testing.assert_allclose(found[20:-20], expected[20:-20], atol=0.02)


def test_few_frames_of_movement_leave_the_others_where_they_are():
    recording = record(n_frames=3000)
    traces = recording.traces.copy()
    traces[100:103] += 8 * traces.std()
    moved = dataclasses.replace(recording, traces=traces)
    far = np.r_[0:80, 123:3000]
    before, after = (make_frames(each, states=None)[0].iloc[far].to_numpy() for each in (recording, moved))
    assert np.abs(before - after).max() < 0.1
    squeezed = make_frames(moved, states=None, percentiles=(0, 100))[0].iloc[far].to_numpy()
    assert np.abs(before - squeezed).max() > 0.3
    assert before.min() == 0
    assert before.max() == 1


@pytest.mark.parametrize("method", METHODS)
def test_percentiles_and_width_are_those_that_the_page_names(method):
    X, _ = make_frames(record(), derivative=method)
    assert X.attrs["percentiles"] == ((0, 100) if method == "backward" else (1, 99))
    assert X.attrs["derivative_width"] == (1.3 if method in ("smooth", "causal") else None)


@pytest.mark.parametrize("method", ["backward", "central"])
def test_a_derivative_is_a_slope_in_seconds(method):
    time = np.arange(20) / 4
    traces = np.stack([3 * time + np.where(time > 4, 5, 0), time**2], axis=1)
    X, _ = make_frames(
        record(neurons=["AVAL", "RID"], n_frames=20, fps=4.0, traces=traces), derivative=method, fit_scope="train"
    )
    np.testing.assert_allclose(X["AVAL:derivative"].iloc[1:12], 3)
    shift = 0.25 if method == "backward" else 0
    np.testing.assert_allclose(X["RID:derivative"].iloc[4:16], (2 * time - shift)[4:16])


def test_the_derivative_of_the_file_is_preferred_where_every_worm_has_one():
    derivatives = np.random.default_rng(5).normal(size=(24, 3))
    own = record("a", derivatives=derivatives)
    X, _ = make_frames(own, fit_scope="train")
    np.testing.assert_array_equal(X["RID:derivative"], derivatives[:, 1])
    expected = {"fps": {"a": 3.0}, "detrend": None, "resampled_to": None}
    made = {"derivative": "file", "derivative_width": None, "derivative_looks_ahead": True, "fit_scope": "train"}
    made["percentiles"] = (1.0, 99.0)
    assert X.attrs == made | expected
    assert make_frames([own, record("b")])[0].attrs["derivative"] == "smooth"
    X, _ = make_frames(own, node_features=["trace"])
    assert X.columns.tolist() == ["AVAL:trace", "RID:trace"]
    made = {"derivative": None, "derivative_width": None, "derivative_looks_ahead": False, "fit_scope": "recording"}
    made["percentiles"] = (1.0, 99.0)
    assert X.attrs == made | expected


def test_neurons_are_shared_listed_and_excluded():
    worms = [record("a", ("RID", "VB01", "AVAL", "1")), record("b", ("AVAL", "1", "RID"), seed=1)]
    assert list(make_frames(worms, node_features=["trace"])[0]) == ["AVAL:trace", "RID:trace"]
    assert list(make_frames(worms, node_features=["trace"], neurons=["RID", "1"])[0]) == ["RID:trace", "1:trace"]
    assert list(make_frames(worms, node_features=["trace"], exclude=["RID"])[0]) == ["AVAL:trace"]
    turned = make_frames(worms, node_features=["derivative", "trace"], neurons=["RID"])[0]
    assert list(turned) == ["RID:derivative", "RID:trace"]
    X, _ = make_frames(worms, neurons=["VB01", "RID"], missing="nan")
    assert X.loc["b", ["VB01:trace", "VB01:derivative"]].isna().all(axis=None)
    assert X.drop(columns=["VB01:trace", "VB01:derivative"]).notna().all(axis=None)
    assert X.loc["a"].notna().all(axis=None)


def with_value(value, frames, **changes):
    traces = record().traces.copy()
    traces[frames, 0] = value
    return record(traces=traces, **changes)


@pytest.mark.parametrize(
    ("recordings", "options", "message"),
    [
        ([], {}, r"recordings is empty; pass at least one Recording"),
        ([record(), record()], {}, r"worms named \['a'\]; rename them with dataclasses.replace"),
        (record(), {"neurons": "AVAL"}, r"neurons='AVAL' is one string.*or neurons='shared'"),
        (record(), {"neurons": ["AVAL", "AVAL"]}, r"neurons repeats \['AVAL'\]; name each one once"),
        (record(), {"exclude": "AVAL"}, r"exclude='AVAL' is one string.*exclude=\('AVAL',\)"),
        (record(), {"exclude": ["AVAR"]}, r"exclude names \['AVAR'\], which no worm has"),
        (record(), {"exclude": ["AVAL", "RID"]}, r"no neuron is left.*keep at least one"),
        (
            [record(), record("b", ["AIBL"])],
            {},
            r"no neuron is identified in all of 2 recordings, in .* are; name",
        ),
        (
            [record(), record("b", ["AIBL"])],
            {"neurons": ["AVAL", "RID", "AIBL"]},
            r"worm 'a' has no 'AIBL'; worm 'b' has no 'AVAL', 'RID': drop them with exclude.*missing='nan'",
        ),
        (record(), {"states": "5"}, r"worm 'a': '5' is not a vocabulary"),
        (record(states=["fwd"] * 24), {}, r"worm 'a': states \['fwd'\] have no translation"),
        (record(states=None), {}, r"worm 'a' has no states; pass states=None"),
        (record(states=["dorsal_turn"] * 24), {"states": "2"}, r"worm 'a' has no frame with a known.*unknown='keep'"),
        (record(), {"derivative": "file"}, r"worms \['a'\] bring no derivatives; compute them with"),
        (record(), {"derivative": "forward"}, r"derivative='forward' is not known.*'backward'"),
        (record(), {"derivative": "savgol"}, r"derivative='savgol' is not known"),
        (record(), {"derivative_width": 0}, r"derivative_width=0 must be a positive number of seconds"),
        (record(), {"percentiles": (99, 1)}, r"percentiles=\(99, 1\) must be two numbers"),
        (record(), {"fit_scope": "test"}, r"fit_scope='test' is not known.*'recording', 'train'"),
        (record(), {"missing": "ignore"}, r"missing='ignore' is not known.*'raise', 'nan'"),
        (record(), {"unknown": "nan"}, r"unknown='nan' is not known.*'drop', 'keep'"),
        (record(), {"node_features": []}, r"node_features=\[\] must be one or both of \('trace', 'derivative'\)"),
        (record(), {"node_features": ["speed"]}, r"node_features=\['speed'\] must be one or both"),
        (
            with_value(np.nan, [3, 5]),
            {},
            r"worm 'a': the trace of neuron 'AVAL' is NaN in 2 of 24 frames, first in frame 3; interpolate it.*exclude",
        ),
        (
            record(derivatives=np.full((24, 3), np.nan)),
            {"exclude": ["AVAL"]},
            r"worm 'a': the derivative of neuron 'RID' is NaN in 24 of 24",
        ),
        (with_value(-1e200, [3]), {}, r"neuron 'AVAL' is -1e\+200 in frame 3, which cannot be a measurement"),
        (with_value(2.0, slice(None)), {}, r"worm 'a': the trace of neuron 'AVAL' is constant.*exclude=\('AVAL',\)"),
        (
            with_value(0.1 * np.arange(24), slice(None)),
            {"derivative": "central"},
            r"derivative of neuron 'AVAL' is con",
        ),
    ],
)
def test_bad_input(recordings, options, message):
    with pytest.raises(ValueError, match=message):
        make_frames(recordings, **options)


def test_only_recordings_are_accepted():
    with pytest.raises(TypeError, match="recordings holds a ndarray; pass"):
        make_frames([np.zeros((3, 2))])


@parametrize_with_checks([WormMinMaxScaler(), WormMinMaxScaler(unseen="own")])
def test_scaler_keeps_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


def test_scaler_scales_worms_apart_and_keeps_the_table():
    raw, _ = make_frames([record("a"), record("b", seed=1)], fit_scope="train")
    whole, _ = make_frames([record("a"), record("b", seed=1)])
    scaled = WormMinMaxScaler().fit_transform(raw)
    pd.testing.assert_frame_equal(scaled, whole)
    assert scaled.attrs == raw.attrs
    worms = raw.index.get_level_values("worm")
    np.testing.assert_array_equal(WormMinMaxScaler().fit_transform(raw.to_numpy(), worm=worms), scaled)


def test_scaler_learns_from_training_rows_only():
    raw, _ = make_frames([record("a"), record("b", seed=1)], fit_scope="train")
    training = raw.loc[["a"]].iloc[:16]
    low, high = training.min(), training.max()
    own = WormMinMaxScaler((0, 100), unseen="own").fit(training).transform(raw)
    pd.testing.assert_frame_equal(own.loc[["a"]], (raw.loc[["a"]] - low) / (high - low))
    assert (own.loc["b"].min() == 0).all()
    assert (own.loc["b"].max() == 1).all()
    pooled = WormMinMaxScaler((0, 100)).fit(training).transform(raw)
    pd.testing.assert_frame_equal(pooled, (raw - low) / (high - low))
    low, high = training.quantile(0.01), training.quantile(0.99)
    robust = WormMinMaxScaler().fit(training).transform(raw)
    pd.testing.assert_frame_equal(robust, ((raw - low) / (high - low)).clip(0, 1))


@pytest.mark.parametrize("percentiles", ["auto", (99, 1), 5])
def test_scaler_refuses_what_are_not_two_percentiles(percentiles):
    with pytest.raises(ValueError, match="must be two numbers from 0 to 100"):
        WormMinMaxScaler(percentiles).fit(np.zeros((3, 2)))


def test_scaler_keeps_missing_neurons():
    worms = [record("a"), record("b", ["AVAL"], seed=1)]
    options = {"neurons": ["AVAL", "RID"], "missing": "nan"}
    raw, _ = make_frames(worms, fit_scope="train", **options)
    scaler = WormMinMaxScaler()
    pd.testing.assert_frame_equal(scaler.fit_transform(raw), make_frames(worms, **options)[0])
    # A worm may have lacked a neuron in training alone.
    later = raw.loc[["a"]].rename(index={"a": "b"}, level="worm")
    np.testing.assert_array_equal(scaler.transform(later)["RID:trace"], scaler.transform(raw.loc[["a"]])["RID:trace"])


def test_scaler_maps_a_constant_column_to_nothing():
    raw, _ = make_frames([record("a"), record("b", seed=1)], fit_scope="train")
    scaler = WormMinMaxScaler(unseen="own").fit(raw.loc[["a"]])
    assert (scaler.transform(raw.loc[["b"]].iloc[:1]).to_numpy() == 0).all()
    flat = raw.assign(**{"AVAL:trace": 0.5})
    scaled = WormMinMaxScaler().fit_transform(flat)
    assert (scaled["AVAL:trace"] == 0).all()
    assert scaled["AVAL:derivative"].max() == 1


def test_scaler_keeps_what_is_missing_of_a_constant_column():
    scaled = WormMinMaxScaler().fit_transform(np.array([[2.0], [np.nan], [2.0]]))
    np.testing.assert_array_equal(scaled, [[0], [np.nan], [0]])


def test_scaler_works_in_a_pipeline_under_cross_validation():
    X, y = make_frames([record(name, seed=seed) for seed, name in enumerate("abc")], states="4", fit_scope="train")
    model = make_pipeline(WormMinMaxScaler(), KNeighborsClassifier(1))
    groups = X.index.get_level_values("worm")
    scores = cross_val_score(model, X, y, groups=groups, cv=GroupKFold(3), error_score="raise")
    assert len(scores) == 3


def test_real_worms_share_14_of_the_15_neurons_of_the_paper(recordings_kato2015):
    with pytest.raises(ValueError, match=r"^worm 'worm_4' has no 'VB01': drop them"):
        make_frames(recordings_kato2015, neurons=PAPER_NEURONS)
    X, y = make_frames(recordings_kato2015, neurons=PAPER_NEURONS, exclude=["VB01"])
    assert X.shape == (15486, 28)
    assert len(y.unique()) == 7
    assert len(make_frames(recordings_kato2015, neurons=SHARED_WITH_NICHOLS, states="2")[0]) == 13127
    without, _ = make_frames(recordings_kato2015, neurons=[n for n in PAPER_NEURONS if n != "VB01"])
    pd.testing.assert_frame_equal(X, without)
    missing, _ = make_frames(recordings_kato2015, neurons=PAPER_NEURONS, missing="nan")
    assert missing.columns[missing.isna().any()].tolist() == ["VB01:trace", "VB01:derivative"]


def test_shared_neurons_of_the_real_worms_hold_those_of_the_paper(recordings_kato2015):
    neurons, _ = parse_column_names(make_frames(recordings_kato2015)[0].columns)
    assert set(PAPER_NEURONS) - set(neurons) == {"VB01"}
    assert neurons == sorted(neurons)


def test_frames_that_were_lost_in_a_gap_have_numbers_too():
    time = np.arange(24) / 3.0
    time[10:] += 5.0
    velocity = np.arange(24.0)
    worm = record(time=time, fps=3.0, behavior={"velocity": velocity}, states=np.repeat("forward", 24))
    X, _ = make_frames(worm, states=None, derivative="backward")
    numbers = X.index.get_level_values("frame")
    assert numbers.tolist() == [*range(10), *range(25, 39)]
    np.testing.assert_array_equal(make_behavior(worm, X), velocity)
    with pytest.raises(ValueError, match="has frame 10 of worm"):
        make_behavior(worm, X.rename(index={25: 10}, level="frame"))
    with pytest.raises(ValueError, match="consecutive"):
        make_trajectories(X, burn_in=8, horizon=8)


@given(
    lost=st.sets(st.integers(1, 298), max_size=20),
    fps=st.sampled_from([2.0, 2.9, 3.0, 7.7]),
    start=st.floats(-1e4, 1e4),
)
def test_frame_numbers_are_those_of_the_camera_whichever_frames_are_lost(lost, fps, start):
    kept = np.delete(np.arange(300), sorted(lost))
    np.testing.assert_array_equal(frame_numbers(start + kept / fps), kept)


def test_a_step_of_more_than_one_and_a_half_is_a_gap_whatever_the_others():
    assert frame_numbers(np.array([0.0, 1.0, 2.0, 3.0, 4.4, 5.4, 6.4, 8.1, 102.1])).tolist() == [*range(7), 8, 102]
