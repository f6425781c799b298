"""NWB, WormWideWeb, Excel and tables in memory, in files that are written after the public descriptions."""

import json
import os
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from skworm.cli import main
from skworm.datasets import as_recording, load_recordings

field = pytest.mark.skipif("SKWORM_FIELD" not in os.environ, reason="$SKWORM_FIELD names no real files")
RNG = np.random.default_rng(0)
TRACES = RNG.normal(size=(40, 4)).round(3)
LABELS = ["AVAL", "VB1", "RID?", ""]
NAMES = ("AVAL", "VB01", "3", "4")


def write_nwb(path, **changes):
    """Write a worm as the dandisets of whole-brain imaging do; `where` says which table names its neurons."""
    pytest.importorskip("pynwb", reason="writing NWB files needs pynwb")
    with warnings.catch_warnings():
        # It warns of what it will do otherwise one day.
        warnings.simplefilter("ignore")
        return _write_nwb(path, **changes)


def _write_nwb(
    path, *, traces=TRACES, labels=LABELS, where="NeuronIDs", kind="DfOverF", rate=None, states="intervals", more=()
):
    import pynwb
    from hdmf.common import DynamicTable, VectorData
    from pynwb import behavior, ophys

    file = pynwb.NWBFile("worm", "id-1", datetime(2023, 1, 1, tzinfo=UTC))
    file.subject = pynwb.file.Subject(subject_id="2022-08-02-01", species="C. elegans", sex="O", age="P1D")
    device = file.create_device("microscope")
    channel = ophys.OpticalChannel("channel", "GCaMP", 510.0)
    plane = file.create_imaging_plane(
        name="plane", optical_channel=channel, description="head", device=device, excitation_lambda=488.0,
        indicator="GCaMP", location="head", imaging_rate=4.0,
    )  # fmt: skip
    module = file.create_processing_module("CalciumActivity", "traces")
    segmentation = ophys.ImageSegmentation(name="CalciumSeriesSegmentation")
    table = segmentation.create_plane_segmentation("neurons", plane, name="Aligned_neurons_coordinates")
    for number in range(len(labels)):
        table.add_roi(voxel_mask=[(number, 1, 1, 1.0)])
    if where == "ID_labels":
        table.add_column("ID_labels", "names", data=labels)
    module.add(segmentation)
    rois = table.create_roi_table_region("neurons", region=list(range(len(labels))))
    times = {"rate": rate} if rate else {"timestamps": 5 + np.arange(len(traces)) / 4}
    container = getattr(ophys, kind)(name="SignalDFoF")
    container.create_roi_response_series("SignalCalciumImResponseSeries", traces, "a.u.", rois, **times)
    module.add(container)
    if where == "NeuronIDs":
        columns = [VectorData(name="labels", description="names", data=labels)]
        module.add(DynamicTable(name="NeuronIDs", description="names", columns=columns))
    if "raw" in more:
        raw = ophys.Fluorescence(name="SignalRawFluor")
        raw.create_roi_response_series("SignalCalciumImResponseSeries", 100 + traces, "a.u.", rois, **times)
        module.add(raw)
    acting = file.create_processing_module("behavior", "behaviour")
    velocity = behavior.BehavioralTimeSeries(name="velocity")
    velocity.create_timeseries("velocity", np.arange(81.0), "mm/s", timestamps=5 + np.arange(81) / 8)
    acting.add(velocity)
    if states == "intervals":
        intervals = pynwb.epoch.TimeIntervals(name="behavior_states", description="states")
        intervals.add_column("state", "name")
        for start, stop, state in [(5.0, 7.0, "Forward"), (7.0, 9.0, "REV"), (10.0, 99.0, "ventral turn")]:
            intervals.add_row(start_time=start, stop_time=stop, state=state)
        file.add_time_intervals(intervals)
    elif states == "named":
        intervals = pynwb.epoch.TimeIntervals(name="reversal", description="reversals")
        intervals.add_row(start_time=7.0, stop_time=9.0)
        acting.add(intervals)
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(file)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("where", ["NeuronIDs", "ID_labels"])
@pytest.mark.parametrize("kind", ["DfOverF", "Fluorescence"])
def test_nwb(where, kind, tmp_path):
    (worm,) = load_recordings(write_nwb(tmp_path / "a.nwb", where=where, kind=kind))
    assert (worm.worm, worm.dataset, worm.fps, worm.neurons) == ("2022-08-02-01", tmp_path.name, 4.0, NAMES)
    np.testing.assert_array_equal(worm.traces, TRACES)
    np.testing.assert_allclose(worm.time, np.arange(40) / 4)
    np.testing.assert_allclose(worm.behavior["velocity"], 2 * np.arange(40))
    expected = ["forward"] * 8 + ["reverse"] * 8 + ["unknown"] * 4 + ["ventral_turn"] * 20
    assert worm.states.tolist() == expected


def test_nwb_prefers_df_and_a_constant_rate_counts(tmp_path):
    (worm,) = load_recordings(write_nwb(tmp_path / "a.nwb", rate=4.0, more=["raw"], states=None))
    np.testing.assert_array_equal(worm.traces, TRACES)
    assert (worm.fps, worm.states) == (4.0, None)
    # The behaviour begins five seconds after this series does.
    assert np.isnan(worm.behavior["velocity"][:20]).all()
    np.testing.assert_allclose(worm.behavior["velocity"][20:], 2 * np.arange(20))


def test_nwb_states_by_the_name_of_a_table(tmp_path):
    (named,) = load_recordings(write_nwb(tmp_path / "a.nwb", states="named"))
    assert named.states.tolist() == ["unknown"] * 8 + ["reverse"] * 8 + ["unknown"] * 24


def test_nwb_without_names_or_with_a_name_twice(tmp_path):
    (worm,) = load_recordings(write_nwb(tmp_path / "a.nwb", where=None))
    assert worm.neurons == ("1", "2", "3", "4")
    with pytest.warns(UserWarning, match=r"neurons \['AVAL'\] occur on several traces"):
        (worm,) = load_recordings(write_nwb(tmp_path / "b.nwb", labels=["AVAL", "AVAL", "RID", ""]))
    assert worm.neurons == ("1", "2", "RID", "4")


def test_nwb_without_activity_or_with_too_much_is_refused(tmp_path):
    import h5py

    path = tmp_path / "a.nwb"
    with h5py.File(path, "w") as file:
        file.create_group("processing")
    with pytest.raises(ValueError, match=r"a\.nwb: there is no RoiResponseSeries"):
        load_recordings(path)
    path.write_bytes(b"no hdf5")
    with pytest.raises(ValueError, match=r"a\.nwb: this is not an HDF5 file"):
        load_recordings(path)
    write_nwb(path)
    with h5py.File(path, "a") as file:
        file.copy("processing/CalciumActivity/SignalDFoF", file["processing/CalciumActivity"], "Other")
    with pytest.raises(ValueError, match=r"a\.nwb: several series could be meant: .*Other.*; copy the one"):
        load_recordings(path)


def test_nwb_series_of_single_neurons_come_in_the_order_of_their_numbers(tmp_path):
    names = ("AVAL", "AVAR", "AVBL", "AVBR", "AVEL", "AVER", "RID", "RIML", "RIMR", "RIS", "ALA")
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        for number, name in enumerate(names):
            series = file.create_group(f"processing/traces_{number}")
            series.attrs.update({"neurodata_type": "TimeSeries", "description": f"neuron: {name}"})
            series["data"], series["timestamps"] = number + np.arange(4.0), np.arange(4) / 2
    (worm,) = load_recordings(tmp_path / "a.nwb")
    assert worm.neurons == names
    np.testing.assert_array_equal(worm.traces[0], np.arange(11))


def atanas(**changes):
    """A worm as WormWideWeb describes it."""
    worm = {
        "uid": "2022-06-14-01",
        "num_neurons": 4,
        "max_t": 40,
        "avg_timestep": 0.0098,
        "trace_array": ((TRACES - TRACES.mean(axis=0)) / TRACES.std(axis=0)).T.tolist(),
        "trace_original": TRACES.T.tolist(),
        "labeled": {
            "1": {"label": "AVAL", "neuron_class": "AVA", "LR": "L", "confidence": 4},
            "2": {"label": "VB1"},
            "3": {"label": "RID?"},
        },
        "timestamp_confocal": (0.6 * np.arange(40)).tolist(),
        "velocity": np.where(np.arange(40) < 30, 0.1, -0.1).tolist(),
        "head_curvature": [0.0] * 40,
        "ranges": [[1, 20], [21, 40]],
        "reversal_events": [[30, 40]],
    }
    worm |= changes
    return {key: value for key, value in worm.items() if value is not None}


def write_json(path, **changes):
    path.write_text(json.dumps(atanas(**changes)))
    return path


def test_wormwideweb(tmp_path):
    (worm,) = load_recordings(write_json(tmp_path / "a.json"))
    assert (worm.worm, worm.neurons, list(worm.behavior)) == ("2022-06-14-01", NAMES, ["velocity", "head_curvature"])
    np.testing.assert_array_equal(worm.traces, TRACES)
    np.testing.assert_allclose(worm.time, 0.6 * np.arange(40))
    assert worm.states.tolist() == ["forward"] * 30 + ["reverse"] * 10


def test_a_worm_that_stands_still_is_in_no_known_state(tmp_path):
    (worm,) = load_recordings(write_json(tmp_path / "a.json", velocity=[0.0] * 40))
    assert set(worm.states) == {"unknown", "reverse"}


def test_wormwideweb_in_other_words(tmp_path):
    changes = {"timestamp_confocal": None, "trace_original": None, "uid": None, "velocity": None}
    events = {"reversal_events": None, "events": {"reversal": [[0, 10]]}}
    path = write_json(tmp_path / "b.json", **changes, **events, labeled={"0": {"label": "AVAL"}})
    (worm,) = load_recordings(path)
    assert (worm.worm, worm.neurons, worm.fps) == ("b", ("AVAL", "2", "3", "4"), pytest.approx(1 / 0.588))
    assert worm.states.tolist() == ["reverse"] * 10 + ["unknown"] * 30
    (worm,) = load_recordings(write_json(path, timestamp_confocal=None, avg_timestep=0.5, reversal_events=None))
    assert (worm.fps, worm.states) == (2.0, None)
    (worm,) = load_recordings(write_json(path, timestamp_confocal=None, avg_timestep=None), fps=1.5)
    assert worm.fps == 1.5


def test_other_json_in_a_folder_is_not_a_recording(tmp_path):
    write_json(tmp_path / "a.json")
    (tmp_path / "settings.json").write_text("{}")
    assert len(load_recordings(tmp_path)) == 1


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"trace_original": None, "trace_array": None}, r"there are no traces: one of the fields \('trace_original'"),
        ({"trace_original": [[1.0], [1.0, 2.0]]}, "trace_original holds something other than lists of numbers"),
        ({"max_t": 39, "timestamp_confocal": None}, "4 lists of 40 values, for 4 neurons and 39 frames"),
        ({"labeled": {"x": {"label": "AVAL"}}}, "the labels are expected to map"),
        ({"reversal_events": [[31, 41]]}, "the reversal from frame 31 to 41 is outside of 40 frames"),
        ({"reversal_events": [1, 2]}, "reversal_events has the shape"),
        ({"velocity": [0.0]}, "velocity has 1 values for 40 frames"),
        ({"velocity": [0.0] * 41}, "velocity has 41 values for 40 frames"),
        (
            {"timestamp_confocal": None, "avg_timestep": None},
            "neither 'timestamp_confocal' nor 'avg_timestep'; pass fps",
        ),
        (
            {"timestamp_confocal": None, "avg_timestep": "fast"},
            "avg_timestep='fast' is expected to be a positive number",
        ),
    ],
)
def test_wormwideweb_that_does_not_fit_is_refused(changes, problem, tmp_path):
    with pytest.raises(ValueError, match=rf"a\.json: .*{problem}"):
        load_recordings(write_json(tmp_path / "a.json", **changes))


TABLE = pd.DataFrame(
    {
        "t (s)": [0.0, 0.5, 1.0],
        "cell 3": [0.1, 0.2, np.nan],
        "7": [1.0, 2.0, 3.0],
        "v": [0.1, -0.1, 0.0],
        "behaviour": ["fwd", None, "rev1"],
    }
)
COLUMNS = {"time": "t (s)", "state": "behaviour", "AVAL": "cell 3", "behavior:velocity": "v"}


def check_table(worm):
    assert (worm.neurons, worm.fps, list(worm.behavior)) == (("AVAL", "7"), 2.0, ["velocity"])
    np.testing.assert_array_equal(worm.traces, TABLE[["cell 3", "7"]])
    assert worm.states[1] == "unknown"


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".xlsx"])
def test_columns_may_have_other_names(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    if suffix == ".csv":
        TABLE.to_csv(path, index=False)
    elif suffix == ".parquet":
        pytest.importorskip("pyarrow")
        TABLE.to_parquet(path)
    else:
        pytest.importorskip("openpyxl")
        TABLE.to_excel(path, index=False)
    (worm,) = load_recordings(path, columns=COLUMNS)
    check_table(worm)
    assert worm.states.tolist() == ["forward", "unknown", "reverse_1"]
    with pytest.raises(ValueError, match=r"names \['seconds'\], which the table has not; it has \['t \(s\)'"):
        load_recordings(path, columns={"time": "seconds"})
    with pytest.raises(ValueError, match=r"gives the columns \['v'\] two meanings"):
        load_recordings(path, columns={"time": "v", "behavior:v": "v"})
    with pytest.raises(ValueError, match=r"the columns \['7'\] repeat"):
        load_recordings(path, columns={"time": "t (s)", "7": "v"})
    with pytest.raises(ValueError, match=r"no column 'time'.*columns={'time': \.\.\.}, one of \['t \(s\)'"):
        load_recordings(path)


def test_the_frame_rate_of_a_table_is_that_of_most_steps():
    table = pd.DataFrame({"time": [0.0, 0.5, 1.0, 1.5, 21.5], "AVAL": np.arange(5.0)})
    assert as_recording(table, "w").fps == 2


def test_excel_without_openpyxl_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(ImportError, match=r"a\.xlsx.*pip install skworm\[excel\]"):
        load_recordings(tmp_path / "a.xlsx")


def test_tables_of_pandas():
    check_table(as_recording(TABLE, "w", columns=COLUMNS))
    check_table(as_recording(TABLE.set_index("t (s)"), "w", columns=COLUMNS))
    with pytest.raises(TypeError, match="table is a list; pass a pandas DataFrame"):
        as_recording([[1.0]], "w")


def test_commands_take_the_names_of_neurons(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["gcamp/trace_array_original"] = TRACES
        file["timing/timestamp_confocal"] = np.arange(40) / 2
    names = tmp_path / "names.json"
    names.write_text(json.dumps({"w": {"2": {"label": "AVAL"}}}))
    result = CliRunner().invoke(main, ["inspect", str(tmp_path), "--neuron-names", str(names), "--json"])
    assert json.loads(result.output)["shared_neurons"] == ["AVAL"]


@field
@pytest.mark.parametrize(
    ("name", "options", "fps", "identified", "n_neurons"),
    [
        ("oh16230_1.csv", {"fps": 0.943}, 0.943, 35, 35),
        ("interneurons_1.xlsx", {}, 0.94, 10, 10),
        ("uncertain_names.csv", {}, 2.832, 14, 20),
    ],
)
def test_real_tables(name, options, fps, identified, n_neurons):
    (worm,) = load_recordings(Path(os.environ["SKWORM_FIELD"], "tables", name), **options)
    assert worm.fps == pytest.approx(fps, rel=0.01)
    assert (len(worm.identified), worm.n_neurons) == (identified, n_neurons)


@field
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("tables/oh16230_1.csv", "no column 'time'.*fps"),
        ("tables/time_in_ms.csv", "milliseconds: divide it by 1000"),
        ("nwb/timestamps_short.nwb", "497 timestamps for 500 frames"),
    ],
)
def test_real_files_that_are_refused(name, problem):
    with pytest.raises(ValueError, match=problem):
        load_recordings(Path(os.environ["SKWORM_FIELD"], name))
