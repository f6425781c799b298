"""Files as laboratories have them: each layout written small, and, where $SKWORM_FIELD has them, real files."""

import gzip
import json
import os
from contextlib import nullcontext
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from skworm.datasets import load_recordings
from skworm.recording import Recording

TRACES = np.random.RandomState(0).random_sample((40, 3))
TIME = np.arange(40) / 2.0

field = pytest.mark.skipif("SKWORM_FIELD" not in os.environ, reason="$SKWORM_FIELD names no real files")


def read_field(*parts, **options):
    return load_recordings(Path(os.environ["SKWORM_FIELD"], *parts), **options)


def typed(group, name, kind, **attributes):
    child = group.create_group(name)
    child.attrs.update({"neurodata_type": kind, **attributes})
    return child


def series(group, name, data, kind="RoiResponseSeries", conversion=1.0, offset=0.0, **attributes):
    child = typed(group, name, kind, **attributes)
    child["data"] = data
    child["data"].attrs.update(conversion=conversion, offset=offset)
    child["timestamps"] = TIME[: len(data)] if np.ndim(data) else TIME
    return child


def intervals(file, rows, name="states"):
    table = typed(file, f"intervals/{name}", "TimeIntervals")
    starts, stops, states = zip(*rows, strict=True)
    table["start_time"], table["stop_time"] = np.array(starts, float), np.array(stops, float)
    table["state"] = np.array(states, dtype="S")


def table_of_neurons(file, **columns):
    table = typed(file, "processing/ophys/seg/plane", "PlaneSegmentation")
    for name, values in columns.items():
        table[name] = values
    return table


@pytest.fixture
def nwb(tmp_path):
    path = tmp_path / "worm.nwb"
    with h5py.File(path, "w") as file:
        yield file, path


def read(nwb):
    file, path = nwb
    file.close()
    (worm,) = load_recordings(path)
    return worm


def test_nwb_values_are_in_the_unit_that_the_file_names(nwb):
    series(nwb[0], "processing/ophys/DfOverF/dff", TRACES, conversion=0.001, offset=5.0)
    np.testing.assert_allclose(read(nwb).traces, 0.001 * TRACES + 5)


def test_nwb_labels_written_letter_by_letter(nwb):
    letters = np.array(list("AVALRID"), dtype="S1")
    series(nwb[0], "processing/ophys/DfOverF/dff", TRACES)
    table_of_neurons(nwb[0], ID_labels=letters, ID_labels_index=np.array([4, 4, 7]))
    assert read(nwb).neurons == ("AVAL", "2", "RID")


def test_nwb_series_of_microscopy(nwb):
    table = table_of_neurons(nwb[0], neuropal_ids=np.array([b"AVAL", b"", b"RID"]))
    region = series(nwb[0], "processing/ophys/DfOverF/dff", TRACES, kind="MicroscopyResponseSeries")
    region["table_region"] = np.arange(3)
    region["table_region"].attrs["table"] = table.ref
    worm = read(nwb)
    assert worm.neurons == ("AVAL", "2", "RID")
    np.testing.assert_array_equal(worm.traces, TRACES)


def test_nwb_one_series_for_each_neuron(nwb):
    for number, name in enumerate(["AVAL", "Unknown Cell", "RID"]):
        for kind, sign in (("traces", 1), ("tracesDif", -1)):
            text = f"{kind}, idx: {number}: {name}"
            series(nwb[0], f"acquisition/{kind}_{number}", sign * TRACES[:, number], "TimeSeries", description=text)
    worm = read(nwb)
    assert worm.neurons == ("AVAL", "2", "RID")
    np.testing.assert_array_equal(worm.traces, TRACES)
    np.testing.assert_array_equal(worm.derivatives, -TRACES)


def test_nwb_of_one_neuron_and_of_a_plane_that_is_not_read(nwb):
    file, path = nwb
    for name, labels, traces in (("one", [b"AVAL", b"RID"], TRACES[:, :2]), ("two", [b"RIML"], TRACES[:, 2])):
        plane = typed(file, f"processing/ophys/seg/{name}", "PlaneSegmentation")
        plane["ID_labels"] = np.array(labels)
        region = series(file, f"processing/ophys/DfOverF/{name}", traces)
        region["rois"] = np.arange(len(labels))
        region["rois"].attrs["table"] = plane.ref
    file.close()
    with pytest.warns(UserWarning, match=r"DfOverF/two is not read, and with it \['RIML'\]"):
        (worm,) = load_recordings(path)
    assert worm.neurons == ("AVAL", "RID")
    with h5py.File(path, "a") as file:
        del file["processing/ophys/DfOverF/one"]
    (worm,) = load_recordings(path)
    np.testing.assert_array_equal(worm.traces, TRACES[:, 2:3])


def test_nwb_states_of_a_lab_are_told_by_their_translation(nwb):
    file, path = nwb
    series(file, "processing/ophys/DfOverF/dff", TRACES)
    intervals(file, [(0, 5, "run"), (5, 20, "pirouette")], name="behaviour")
    intervals(file, [(0, 20, "light on")], name="light")
    file.close()
    names = {"run": "forward", "pirouette": "reverse"}
    with pytest.warns(UserWarning, match="light.* name no states that are known"):
        (worm,) = load_recordings(path, rename_states=names)
    assert worm.states.tolist() == ["forward"] * 10 + ["reverse"] * 30


def test_nwb_interval_without_an_end_lasts_until_the_next(nwb):
    series(nwb[0], "processing/ophys/DfOverF/dff", TRACES)
    intervals(nwb[0], [(0, np.nan, "forward"), (5, np.nan, "reverse")])
    assert read(nwb).states.tolist() == ["forward"] * 10 + ["reverse"] * 30


def test_nwb_bouts_that_overlap_by_rounding(nwb):
    series(nwb[0], "processing/ophys/DfOverF/dff", TRACES)
    intervals(nwb[0], [(0, 5 + 3e-14, "forward"), (5, 20, "reverse")])
    assert read(nwb).states.tolist() == ["forward"] * 10 + ["reverse"] * 30


def test_nwb_bouts_that_overlap_are_refused(nwb):
    series(nwb[0], "processing/ophys/DfOverF/dff", TRACES)
    intervals(nwb[0], [(0, 6, "forward"), (5, 20, "reverse")])
    with pytest.raises(ValueError, match="frame 10 is in the states 'forward' and 'reverse'"):
        read(nwb)


def test_nwb_too_few_timestamps_are_named(nwb):
    dff = series(nwb[0], "processing/ophys/DfOverF/dff", TRACES)
    del dff["timestamps"]
    dff["timestamps"] = TIME[:37]
    with pytest.raises(ValueError, match="37 timestamps for 40 frames"):
        read(nwb)


def test_nwb_pairs_of_frames_are_reversals(nwb):
    series(nwb[0], "processing/ophys/DfOverF/dff", TRACES)
    behavior = typed(nwb[0], "processing/behavior/events", "BehavioralEvents")
    events = typed(behavior, "reversal_events", "TimeSeries")
    events["data"] = np.array([[3, 8], [20, 21]])
    worm = read(nwb)
    assert np.flatnonzero(worm.states == "reverse").tolist() == [3, 4, 5, 6, 7, 20]
    assert not worm.behavior


def write_h5(path, **changes):
    content = {
        "gcamp/trace_array_original": TRACES,
        "gcamp/trace_array": TRACES - 1,
        "timing/timestamp_confocal": 100 + np.arange(60) / 2.0,
        "behavior/velocity": np.where(np.arange(40) < 10, -1.0, 1.0),
        "behavior/reversal_vec": (np.arange(40) < 10).astype(int),
    } | changes
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            file[name] = values
    return path


def test_hdf5_of_freely_moving_worms(tmp_path):
    path = write_h5(tmp_path / "2022-01-01-01-data.h5")
    names = {"2022-01-01-01": {"1": {"label": "AVAL", "confidence": 4}, "2": {"label": "RID?"}}}
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps(names))
    for neuron_names in (names, labels):
        (worm,) = load_recordings(tmp_path, neuron_names=neuron_names)
        assert (worm.worm, worm.neurons, worm.fps) == ("2022-01-01-01", ("AVAL", "2", "3"), 2.0)
        np.testing.assert_array_equal(worm.traces, TRACES)
        assert worm.states.tolist() == ["reverse"] * 10 + ["forward"] * 30
        assert worm.time[0] == 0
        assert list(worm.behavior) == ["velocity"]
    with pytest.warns(UserWarning, match="neuron_names"):
        assert not load_recordings(path)[0].identified


def test_hdf5_of_another_layout_says_what_to_export(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images/frames"] = TRACES
    with pytest.raises(ValueError, match=r"a\.h5.*images.*CSV"):
        load_recordings(tmp_path / "a.h5")


def test_nested_json_of_wormwideweb(tmp_path):
    content = {
        "metadata": {"uid": "2022-01-01-01", "n_neuron": 3},
        "timing": {"timestamp_confocal": TIME.tolist(), "max_t": 40},
        "behavior": {"velocity": [1.0] * 40, "pumping": [None] * 40, "reversal_events": [[3, 8]]},
        "gcamp": {"trace_array": (TRACES.T - 1).tolist(), "trace_array_original": TRACES.T.tolist()},
        "label": {"1": {"label": "AVAL"}},
    }
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    (worm,) = load_recordings(path)
    assert (worm.worm, worm.neurons, list(worm.behavior)) == ("2022-01-01-01", ("AVAL", "2", "3"), ["velocity"])
    np.testing.assert_array_equal(worm.traces, TRACES)
    assert np.flatnonzero(worm.states == "reverse").tolist() == [3, 4, 5, 6, 7]
    path.write_text(json.dumps(content | {"label": {"1": {"label": "AVAL"}, "77": {"label": "RID"}}}))
    with pytest.warns(UserWarning, match="up to 77"):
        assert load_recordings(path)[0].identified == ()


def table(**columns):
    named = {"time": TIME, "AVAL": TRACES[:, 0], "7": TRACES[:, 1], "state": ["forward", "reverse"] * 20}
    return pd.DataFrame(named | columns)


def write_semicolons(path):
    table().to_csv(path, sep=";", decimal=",", index=False)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("w.tsv", lambda path: table().to_csv(path, sep="\t", index=False)),
        ("w.csv.gz", lambda path: table().to_csv(path, index=False)),
        ("w.csv", write_semicolons),
        ("w.csv", lambda path: table().to_csv(path, sep=";", index=False)),
    ],
)
def test_tables_with_other_separators(name, write, tmp_path):
    write(tmp_path / name)
    (worm,) = load_recordings(tmp_path)
    assert (worm.worm, worm.neurons, worm.fps) == ("w", ("AVAL", "7"), 2.0)
    np.testing.assert_allclose(worm.traces, TRACES[:, :2])
    assert worm.states.tolist() == ["forward", "reverse"] * 20


def test_sheets_after_the_first_are_not_read_and_this_is_said(tmp_path):
    with pd.ExcelWriter(tmp_path / "w.xlsx") as writer:
        table().to_excel(writer, sheet_name="traces", index=False)
        pd.DataFrame({"note": ["a"]}).to_excel(writer, sheet_name="notes", index=False)
        pd.DataFrame().to_excel(writer, sheet_name="empty", index=False)
    with pytest.warns(UserWarning, match=r"\['notes'\] are not read"):
        (worm,) = load_recordings(tmp_path)
    assert worm.states.tolist() == ["forward", "reverse"] * 20


def test_cells_without_a_value_at_the_edges_of_a_sheet(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in [["time", "AVAL", "RID"], [0.0, 0.1], [0.5, "=1/0", 1 / 3], [1.0, None, 0.2]]:
        book.active.append(row)
    book.active["B3"].data_type, book.active["B3"].value = "e", "#DIV/0!"
    # Formatted and empty, as a border leaves cells behind.
    book.active["Z99"].font = openpyxl.styles.Font(bold=True)
    book.save(tmp_path / "w.xlsx")
    (worm,) = load_recordings(tmp_path)
    np.testing.assert_allclose(worm.traces, [[0.1, np.nan], [np.nan, 1 / 3], [np.nan, 0.2]], rtol=1e-15)


def test_columns_of_0_and_1_are_not_neurons(tmp_path):
    table(is_fwd=[1, 0] * 20, lamp=[0] * 39 + [1]).to_csv(tmp_path / "w.csv", index=False)
    (worm,) = load_recordings(tmp_path)
    assert (worm.neurons, list(worm.behavior)) == (("AVAL", "7"), ["is_fwd", "lamp"])


def test_files_that_begin_with_a_dot_are_left_out(tmp_path):
    table().to_csv(tmp_path / "w.csv", index=False)
    (tmp_path / "._w.csv").write_bytes(b"\x00\x05\x16\x07")
    assert len(load_recordings(tmp_path)) == 1


def test_one_bad_file_ends_the_folder_and_is_named(tmp_path):
    table().to_csv(tmp_path / "a.csv", index=False)
    (tmp_path / "b.csv").write_text("time,AVAL\n0,1\n1\n")
    with pytest.raises(ValueError, match=r"b\.csv"):
        load_recordings(tmp_path)


@pytest.mark.parametrize("name", ["\x1b[31mworm", "=1+1", "+cmd|' /C calc'!A0", "a\nb"])
def test_names_that_a_terminal_or_a_spreadsheet_obeys_are_refused(name):
    for names in ({"worm": name}, {"neurons": (name, "2")}, {"behavior": {name: np.zeros(4)}}, {"states": [name] * 4}):
        values = {"worm": "w", "traces": np.zeros((4, 2)), "neurons": ("AVAL", "2"), "fps": 3.0} | names
        with pytest.raises(ValueError, match="obey"):
            Recording(**values)


def test_compressed_text_without_end_is_refused(tmp_path):
    with gzip.open(tmp_path / "w.csv.gz", "wb") as file:
        for _ in range(40):
            file.write(b"0" * 1_000_000)
    with pytest.raises(ValueError, match="unpacks to far more"):
        load_recordings(tmp_path / "w.csv.gz")


def test_cells_far_apart_are_refused(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active["A1"] = "AVAL"
    book.active["XFD1048576"] = 1.0
    book.save(tmp_path / "w.xlsx")
    with pytest.raises(ValueError, match="line 1048576 has 16384 cells"):
        load_recordings(tmp_path / "w.xlsx", fps=3.0)


@field
@pytest.mark.parametrize("worm", ["2022-07-26-31", "2022-07-27-31", "2022-08-02-31", "2022-05-02-01"])
def test_real_hdf5(worm):
    folder = Path(os.environ["SKWORM_FIELD"], "flavell_h5")
    unnamed = pytest.warns(UserWarning, match="no entry") if worm == "2022-05-02-01" else nullcontext()
    with unnamed:
        (found,) = load_recordings(folder / f"{worm}-data.h5", neuron_names=folder / "neuropal_labels.json")
    with h5py.File(folder / f"{worm}-data.h5") as file:
        np.testing.assert_array_equal(found.traces, file["gcamp/trace_array_original"])
        np.testing.assert_array_equal(found.states == "reverse", file["behavior/reversal_vec"][()] == 1)
    assert found.fps == pytest.approx(1 / 0.6, rel=1e-3)
    assert bool(found.identified) == (worm != "2022-05-02-01")


@field
def test_real_json_is_the_worm_of_the_hdf5():
    (nested,) = read_field("json", "wormwideweb_nested.json")
    folder = Path(os.environ["SKWORM_FIELD"], "flavell_h5")
    (worm,) = load_recordings(folder / "2022-07-27-31-data.h5", neuron_names=folder / "neuropal_labels.json")
    assert nested.neurons == worm.neurons
    np.testing.assert_array_equal(nested.states, worm.states)
    np.testing.assert_allclose(nested.traces, worm.traces, atol=0.01)


@pytest.mark.slow
@field
@pytest.mark.parametrize(
    ("name", "identified", "states"),
    [
        ("ragged_chars_000776", 38, {"sustained_reverse": 140, "slowing": 152}),
        ("leifer_like", 38, {"sustained_reverse": 140}),
        ("ok_labels_ulp", 38, {"sustained_reverse": 140}),
        ("osb_kato", 38, {}),
        ("nan_stop", 38, {"forward": 146, "reverse": 354}),
    ],
)
def test_real_traces_in_nwb(name, identified, states):
    (worm,) = read_field("nwb", f"{name}.nwb")
    assert len(worm.identified) == identified
    assert {state: int((worm.states == state).sum()) for state in states} == states
    (reference,) = read_field("nwb", "leifer_like.nwb")
    np.testing.assert_allclose(worm.traces, reference.traces)


@field
@pytest.mark.parametrize(
    ("name", "worms", "identified"),
    [("WT_Stim", 1, 35), ("kaplan_v5", 2, 38), ("kaplan_v73", 2, 38), ("wbData", 1, 35)],
)
def test_real_matlab(name, worms, identified):
    found = read_field("mat", f"{name}.mat")
    assert len(found) == worms
    assert len(found[0].identified) == identified
    if name == "WT_Stim":
        assert {"forward", "reverse", "sustained_reverse", "turn"} == set(found[0].states)


@field
def test_real_matlab_strings_say_how_to_save_them():
    with pytest.raises(ValueError, match="cellstr"):
        read_field("mat", "kato_v73_stringclass.mat")


@field
@pytest.mark.parametrize(
    "name",
    ["semicolon_comma.csv", "tabs.tsv", "onehot_beside_state.csv", "velocity_plain.csv", "Time_and_Frame.csv"],
)
def test_real_tables_hold_twenty_neurons(name):
    (worm,) = read_field("tables", name)
    assert len(worm.neurons) == len(worm.identified) == 20
    assert worm.fps == pytest.approx(2.832, rel=1e-3)


def test_nwb_intervals_of_a_stimulus_are_not_states(nwb):
    file, _ = nwb
    series(file, "processing/ophys/DfOverF/dff", TRACES)
    intervals(file, [(TIME[0], TIME[-1] + 1, "fwd")])
    stimulus = typed(file, "intervals/stimulus", "TimeIntervals")
    stimulus["start_time"], stimulus["stop_time"] = TIME[:1], TIME[-1:]
    stimulus["label"] = np.array(["O2 21 %"], dtype="S")
    with pytest.warns(UserWarning, match=r"intervals \['/intervals/stimulus'\] name no states"):
        worm = read(nwb)
    assert set(worm.states) == {"forward"}


def test_names_of_other_recordings_are_pointed_at(tmp_path):
    path = tmp_path / "worm-a.json"
    path.write_text(json.dumps({"trace_original": TRACES.T.tolist(), "avg_timestep": 0.5}))
    with pytest.warns(UserWarning, match=r"no entry 'worm-a', .* it has \['worm-b'\]"):
        load_recordings(path, neuron_names={"worm-b": {"1": "AVAL"}})
