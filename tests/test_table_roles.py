"""What becomes of each column of a table, and which names identify a neuron."""

import numpy as np
import pandas as pd
import pytest

from skworm.datasets import as_recording, load_recordings
from skworm.frames import make_frames
from skworm.recording import HERMAPHRODITE, MALE, Recording, is_neuron, neuron_name

N_FRAMES = 40


def table(**columns):
    rng = np.random.default_rng(0)
    time = np.arange(N_FRAMES) / 3
    return pd.DataFrame({"time": time, "AVAL": rng.random(N_FRAMES), "RID": rng.random(N_FRAMES), **columns})


def test_there_are_302_neurons_and_those_of_the_male():
    assert len(HERMAPHRODITE) == 302
    assert not HERMAPHRODITE & MALE
    assert {"VB01", "AVAL", "I1L", "M5", "HSNR"} <= HERMAPHRODITE
    assert {"CEMDL", "R9BR", "CP00"} <= MALE


@pytest.mark.parametrize(
    "label", ["", "?", "AVAL?", "nan", "UNK", "ROI_1", "cell 3", "[]_1", "OLQDL/URYDL", "velocity", "index", "17"]
)
def test_what_is_no_name_of_a_neuron_identifies_nobody(label):
    assert not is_neuron(neuron_name(label))
    if label:
        worm = Recording("a", np.random.default_rng(0).random((5, 2)), [label, "AVAL"], fps=3.0)
        assert worm.identified == ("AVAL",)
        assert worm.neurons[0] == label


@pytest.mark.parametrize(("label", "name"), [("vb1", "VB01"), (" AVAL ", "AVAL"), ("aVbR", "AVBR"), ("VB10", "VB10")])
def test_case_spaces_and_digits_of_names_are_forgiven(label, name):
    assert Recording("a", np.zeros((3, 1)), [label], fps=3.0).identified == (name,)


def test_no_trace_is_shared_by_worms_but_neurons():
    worms = [
        as_recording(table(ROI_1=np.arange(N_FRAMES) % 7, **{"cell 3": np.arange(N_FRAMES) % 5}), name)
        for name in ("a", "b")
    ]
    for choice in ("shared", "union"):
        X, _ = make_frames(worms, neurons=choice, states=None, missing="nan")
        assert list(dict.fromkeys(column.split(":")[0] for column in X)) == ["AVAL", "RID"]


@pytest.mark.parametrize("clock", ["index", "Frame", "frame number", "t"])
def test_a_clock_is_not_a_trace(clock, tmp_path):
    worm = as_recording(table(**{clock: np.arange(N_FRAMES)}), "a")
    assert worm.neurons == ("AVAL", "RID")
    table(**{clock: np.arange(N_FRAMES)}).to_csv(tmp_path / "a.csv", index=False)
    assert load_recordings(tmp_path / "a.csv")[0].neurons == ("AVAL", "RID")


def test_a_second_clock_is_not_a_trace():
    assert as_recording(table(**{"Time [s]": np.arange(N_FRAMES), "TIME": np.arange(N_FRAMES)}), "a").neurons == (
        "AVAL",
        "RID",
    )


def test_the_row_number_is_not_a_trace():
    assert as_recording(table(), "a").neurons == ("AVAL", "RID")
    assert as_recording(table().drop(columns="time"), "a", fps=3.0).neurons == ("AVAL", "RID")
    indexed = as_recording(table().set_index("time"), "a")
    assert indexed.neurons == ("AVAL", "RID")
    np.testing.assert_allclose(indexed.time, np.arange(N_FRAMES) / 3)


def test_signals_are_behaviour():
    speed = np.linspace(-1, 1, N_FRAMES)
    worm = as_recording(table(velocity=speed, Temperature=20 + speed, x_um=speed), "a")
    assert worm.neurons == ("AVAL", "RID")
    assert set(worm.behavior) == {"velocity", "Temperature", "x_um"}
    np.testing.assert_allclose(worm.behavior["velocity"], speed)


def test_columns_of_zero_and_one_named_after_states_are_states():
    frame = np.arange(N_FRAMES)
    one_hot = {"fwd": frame < 10, "rev1": (frame >= 10) & (frame < 20), "dt": (frame >= 20) & (frame < 25)}
    one_hot = {name: values.astype(int) for name, values in one_hot.items()}
    worm = as_recording(table(**one_hot), "a")
    assert worm.neurons == ("AVAL", "RID")
    expected = ["fwd"] * 10 + ["rev1"] * 10 + ["dt"] * 5 + ["unknown"] * (N_FRAMES - 25)
    assert worm.states.tolist() == expected
    beside = as_recording(table(state=["forward"] * N_FRAMES, **one_hot), "a")
    assert beside.neurons == ("AVAL", "RID")
    assert set(beside.states) == {"forward"}
    assert set(beside.behavior) == set(one_hot)


def test_names_of_columns_may_be_capital(tmp_path):
    frames = table(State=["forward"] * N_FRAMES).rename(columns={"time": "Time"})
    frames.to_csv(tmp_path / "a.csv", index=False)
    (worm,) = load_recordings(tmp_path)
    assert worm.neurons == ("AVAL", "RID")
    assert set(worm.states) == {"forward"}
    assert worm.fps == pytest.approx(3)


def test_a_missing_cell_leaves_numbers_of_states_whole(tmp_path):
    states = pd.Series([1.0, 2.0] * (N_FRAMES // 2))
    states.iloc[3] = np.nan
    table(state=states).to_csv(tmp_path / "a.csv", index=False)
    for worm in (as_recording(table(state=states), "a"), *load_recordings(tmp_path)):
        assert set(worm.states) == {"1", "2", "unknown"}
        assert worm.states[3] == "unknown"


@pytest.mark.parametrize(("unit", "word"), [(1000, "milliseconds"), (1 / 60, "minutes")])
def test_other_units_of_time_are_refused(unit, word):
    frames = table()
    frames["time"] = frames["time"] * unit
    with pytest.raises(ValueError, match=word):
        as_recording(frames, "a")


@pytest.mark.parametrize("fps", [0.9, 1.7])
def test_minutes_in_place_of_seconds_are_warned_of(fps):
    frames = table()
    frames["time"] = np.arange(N_FRAMES) / fps / 60
    with pytest.warns(UserWarning, match="if they are minutes, multiply them by 60"):
        as_recording(frames, "a")


def test_a_clock_and_states_under_other_names_are_pointed_at():
    frames = table(behaviour=["forward", "slow"] * (N_FRAMES // 2))
    with pytest.raises(ValueError, match=r"columns=\{'state': 'behaviour'\}"):
        as_recording(frames, "a")
    for name in ("time", "AVAL"):
        with pytest.raises(ValueError, match=rf"column '{name}'.* holds 'no'.*leave the cell empty$"):
            as_recording(table(**{name: ["no"] * N_FRAMES}), "a")
    frames = frames.rename(columns={"time": "clock"})
    with pytest.raises(ValueError, match=r"name the column by columns=\{'time': ...\}, one of \['clock', "):
        as_recording(frames, "a")


@pytest.mark.parametrize("name", ["Time (s)", "time_s", "Time [s]", "TIME"])
def test_seconds_are_the_time_however_they_are_written(name):
    frames = table()
    frames["time"] += np.where(np.arange(N_FRAMES) < 20, 0.0, 600.0)
    worm = as_recording(frames.rename(columns={"time": name}), "a")
    np.testing.assert_allclose(worm.time, frames["time"])


def test_flags_of_states_contradict_each_other_or_are_not_there():
    first = np.arange(N_FRAMES) < N_FRAMES // 2
    with pytest.raises(ValueError, match=r"frame 20 is in the states \['forward', 'reverse'\] at once"):
        as_recording(table(forward=1, reverse=(~first).astype(int)), "a")
    flags = pd.DataFrame({"forward": first, "reverse": ~first}, dtype=float)
    flags.iloc[5:9] = np.nan
    worm = as_recording(table(**flags), "a")
    assert worm.neurons == ("AVAL", "RID")
    states = np.where(flags["forward"].isna(), "unknown", np.where(first, "forward", "reverse"))
    assert (worm.states == states).all()
    for kind in ("boolean", "Int64", object, "float32"):
        own = flags.astype("boolean").astype(kind)
        assert (as_recording(table(**own), "a").states == states).all()


@pytest.mark.parametrize(("separator", "ending"), [("\t", "tsv"), (";", "csv")])
def test_decimal_commas_wherever_the_first_is(separator, ending, tmp_path):
    frames = table()
    frames.iloc[0] = 0
    text = frames.to_csv(sep=separator, decimal=",", index=False).replace("0,0", "0", 3)
    (tmp_path / f"a.{ending}").write_text(text)
    (worm,) = load_recordings(tmp_path)
    np.testing.assert_allclose(worm.traces, frames[["AVAL", "RID"]])


@pytest.mark.parametrize(
    "first", ['"0,5";"0,1";"0,2"', "5,0E-1;1,0E-01;2E-1", "0,5; 0,1; 0,2", "+0,5;+0,1;0,2", "0,5;,1;,2"]
)
def test_decimal_commas_of_all_forms(first, tmp_path):
    (tmp_path / "a.csv").write_text(f"time;AVAL;RID\n0;0;0\n{first}\n1;1;1\n")
    np.testing.assert_allclose(load_recordings(tmp_path)[0].traces, [[0, 0], [0.1, 0.2], [1, 1]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time\tAVAL\tRID\n0.0\t987\t1,021\n0.5\t1,043\t998\n", "one divides thousands"),
        ("time;AVAL;RID\n0,0;987;1.021\n0,5;1.043;998\n", "one divides thousands"),
        ("# Leica SP8\ntime,AVAL,RID\n0,1,2\n", "line 2 has 3 cells, the header of '# Leica SP8' has 1"),
    ],
)
def test_text_that_would_be_misread_is_refused(text, message, tmp_path):
    (tmp_path / "a.csv").write_text(text)
    (tmp_path / "a.csv").rename(tmp_path / f"a.{'tsv' if chr(9) in text else 'csv'}")
    with pytest.raises(ValueError, match=message):
        load_recordings(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["sep=;\ntime;AVAL\n0,0;1,5\n0,5;2,5\n", "time;AVAL\r0,0;1,5\r0,5;2,5\r", "sep=,\ntime,AVAL\n0,1.5\n0.5,2.5\n"],
)
def test_text_of_any_line_end_and_separator(text, tmp_path):
    (tmp_path / "a.csv").write_bytes(text.encode())
    (tmp_path / "~$a.xlsx").write_bytes(b"lock")
    np.testing.assert_allclose(load_recordings(tmp_path)[0].traces, [[1.5], [2.5]])


@pytest.mark.parametrize("name", ["time", "Time"])
def test_an_index_of_times_is_a_column(name, tmp_path):
    pytest.importorskip("pyarrow")
    frames = table().rename(columns={"time": name}).set_index(name)
    frames.to_parquet(tmp_path / "a.parquet")
    for worm in (load_recordings(tmp_path)[0], as_recording(frames, "a")):
        np.testing.assert_allclose(worm.time, table()["time"])
        assert worm.neurons == ("AVAL", "RID")


@pytest.mark.parametrize("index", [pd.RangeIndex(N_FRAMES, name="volume"), pd.Index(table()["time"])])
def test_an_index_that_is_not_called_time_is_ignored(index, tmp_path):
    pytest.importorskip("pyarrow")
    table().set_axis(index).to_parquet(tmp_path / "a.parquet")
    assert load_recordings(tmp_path)[0].neurons == ("AVAL", "RID")


def test_a_workbook_is_read_as_it_stands(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")

    def read(*rows):
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        book.save(tmp_path / "a.xlsx")
        return load_recordings(tmp_path)[0]

    worm = read(["time", "001", "1E5", "AVAL.1", 12], [0, 0.1, 0.2, 1, 2], [0.5, 0.3, None, 3, 4])
    assert worm.neurons == ("001", "1E5", "AVAL.1", "12")
    np.testing.assert_array_equal(worm.traces, [[0.1, 0.2, 1, 2], [0.3, np.nan, 3, 4]])
    with pytest.raises(ValueError, match="line 3 has 3 cells"):
        read(["time", "AVAL"], [0, 0.1], [0.5, 0.2, "bad focus"])


def test_a_neuron_twice_is_refused_in_a_workbook_too(tmp_path):
    pytest.importorskip("openpyxl")
    frames = table()
    frames.insert(1, "AVAL", frames["AVAL"], allow_duplicates=True)
    frames.to_excel(tmp_path / "a.xlsx", index=False)
    with pytest.raises(ValueError, match=r"columns \['AVAL'\] repeat"):
        load_recordings(tmp_path)


def test_frame_numbers_in_place_of_time_are_warned_of():
    frames = table()
    frames["time"] = np.arange(N_FRAMES)
    with pytest.warns(UserWarning, match="frame numbers"):
        as_recording(frames, "a")


@pytest.mark.parametrize("rename", [{"crwal": "forward"}, {1: "forward"}])
def test_names_of_states_that_match_nothing_are_an_error(rename, tmp_path):
    table(state=["crawl", "fwd"] * (N_FRAMES // 2)).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(ValueError, match=r"which no recording has.*\['crawl'\] are not renamed"):
        load_recordings(tmp_path, rename_states=rename)
    # One dictionary serves several folders: names that it needs elsewhere do no harm.
    (worm,) = load_recordings(tmp_path, rename_states={"crawl": "slowing", "pause": "quiescence"})
    assert set(worm.states) == {"slowing", "forward"}


def test_worms_of_different_rates_are_warned_of():
    slow, fast = (
        Recording(name, np.random.default_rng(0).random((60, 2)), ["AVAL", "RID"], fps=fps)
        for name, fps in (("slow", 2.9), ("fast", 10.0))
    )
    with pytest.warns(UserWarning, match=r"slow.*2\.9.*fast.*10.*resample_to"):
        make_frames([slow, fast], states=None)
    make_frames([slow, fast], states=None, resample_to=2.9)


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"State": np.arange(N_FRAMES) % 2, "STATE": np.arange(N_FRAMES) % 2}, r"\['State', 'STATE'\] all hold states"),
        ({"Unnamed: 0": np.arange(N_FRAMES)}, "'Unnamed: 0' has no name of its own; name it, or delete it"),
    ],
)
def test_second_states_and_a_saved_index_are_no_traces(columns, problem):
    with pytest.raises(ValueError, match=problem):
        as_recording(table(**columns), worm="a")
