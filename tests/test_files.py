from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from skworm.datasets import load_recordings, save_recordings
from skworm.recording import STATES, VOCABULARIES, Recording

NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Cs", "Z"]), min_size=1, max_size=12
).filter(lambda name: name[0] not in "=@+-")
FINITE = st.floats(allow_nan=True, allow_infinity=False)


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    n_frames, n_neurons = draw(st.integers(2, 6)), draw(st.integers(1, 4))
    tables = hnp.arrays(np.float64, (n_frames, n_neurons), elements=FINITE)
    signals = hnp.arrays(np.float64, n_frames, elements=FINITE)
    states = st.lists(st.sampled_from(STATES), min_size=n_frames, max_size=n_frames)
    steps = st.lists(st.floats(0.01, 2.0), min_size=n_frames, max_size=n_frames)
    return Recording(
        worm=draw(NAMES),
        traces=draw(tables),
        neurons=draw(st.lists(NAMES, min_size=n_neurons, max_size=n_neurons, unique=True)),
        fps=draw(st.floats(0.1, 100.0)),
        dataset=draw(st.one_of(st.just(""), NAMES)),
        time=np.cumsum(draw(steps)),
        states=draw(st.none() | states),
        derivatives=draw(st.none() | tables),
        behavior=draw(st.dictionaries(NAMES, signals, max_size=2)),
        source=draw(st.one_of(st.just(""), NAMES)),
    )


def make_worm(name: str = "worm-a", **changes: object) -> Recording:
    values = {"traces": [[0.1, 0.2], [0.3, 0.1], [0.2, 0.5]], "neurons": ["AVAL", "2"], "fps": 3.0}
    return Recording(name, **(values | changes))


def assert_same(found: Recording, expected: Recording) -> None:
    for name in ("worm", "neurons", "fps", "dataset", "source"):
        assert getattr(found, name) == getattr(expected, name)
    for name in ("traces", "time", "derivatives", "states"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert list(found.behavior) == list(expected.behavior)
    for name, values in expected.behavior.items():
        np.testing.assert_array_equal(found.behavior[name], values)


def write_table(path: Path, table: pd.DataFrame) -> Path:
    table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)
    return path


@pytest.mark.parametrize("number", range(5))
def test_kato_recordings_load(number, kato2015_folder):
    (worm,) = load_recordings(kato2015_folder / f"worm_{number}.npz")
    assert (worm.worm, worm.dataset) == (f"worm_{number}", "kato2015")
    assert 31 <= len(worm.identified) <= 47
    assert ("VB01" in worm.identified) == (number != 4)
    assert set(worm.states) == set(VOCABULARIES["7"].values())
    reverse = np.isin(worm.states, ["reverse_1", "reverse_2", "sustained_reverse"])
    aval = worm.traces[:, worm.neurons.index("AVAL")]
    assert aval[reverse].mean() > aval[worm.states == "forward"].mean() + 0.2


@pytest.mark.slow
@settings(max_examples=40)
@given(worm=recordings())
def test_round_trip_is_exact(tmp_path_factory, worm):
    folder = tmp_path_factory.mktemp("round_trip")
    (path,) = save_recordings(worm, folder)
    with np.load(path, allow_pickle=False) as arrays:
        assert {"traces", "neuron_names", "fps"} <= set(arrays.files)
    (found,) = load_recordings(folder)
    assert_same(found, worm)


def test_folder_is_read_in_natural_order(tmp_path):
    paths = save_recordings([make_worm(f"worm_{number}") for number in (10, 2, 1)], tmp_path)
    Path(tmp_path, "notes.txt").write_text("no recording")
    assert [worm.worm for worm in load_recordings(tmp_path)] == ["worm_1", "worm_2", "worm_10"]
    assert [worm.worm for worm in load_recordings(paths)] == ["worm_10", "worm_2", "worm_1"]


def test_data_set_is_the_files_own_or_given_or_the_folder(tmp_path):
    plain = {"traces": np.zeros((3, 1)), "neuron_names": ["AVAL"], "fps": 3.0}
    np.savez(tmp_path / "plain.npz", **plain)
    (own,) = save_recordings(make_worm("own", dataset="kept"), tmp_path)
    assert [worm.dataset for worm in load_recordings([tmp_path / "plain.npz", own])] == [tmp_path.name, "kept"]
    assert [w.dataset for w in load_recordings([tmp_path / "plain.npz", own], dataset="mine")] == ["mine", "kept"]


def test_states_are_translated(tmp_path):
    codes = ["dt", "FWD", "nostate", "rev1", "Reversal", "Quiescence", "Turn", "roaming", "Sustained Reverse"]
    table = pd.DataFrame({"state": codes, "AVAL": range(9)})
    path = write_table(tmp_path / "worm.csv", table)
    (worm,) = load_recordings(path, fps=3)
    expected = ["dorsal_turn", "forward", "unknown", "reverse_1", "reverse", "quiescence", "turn", "roaming"]
    assert worm.states.tolist() == [*expected, "sustained_reverse"]
    (renamed,) = load_recordings(path, fps=3, rename_states={"roaming": "forward", "dt": "turn"})
    assert renamed.states[[0, 7]].tolist() == ["turn", "forward"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_table(tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    table = pd.DataFrame(
        {
            "AVAL": [0.1, 0.30000000000000004, np.nan],
            "time": [10.0, 10.25, 10.5],
            "12": [1, 2, 3],
            "behavior:velocity": [120.0, -3.5, 0.0],
            "state": ["fwd", None, "rev1"],
        }
    )
    (worm,) = load_recordings(write_table(tmp_path / f"worm{suffix}", table))
    assert (worm.worm, worm.dataset, worm.neurons, worm.fps) == ("worm", tmp_path.name, ("AVAL", "12"), 4.0)
    # Before pandas 3, the last bit of a number in text may get lost.
    np.testing.assert_allclose(worm.traces, table[["AVAL", "12"]], rtol=1e-15)
    np.testing.assert_array_equal(worm.time, table["time"])
    np.testing.assert_array_equal(worm.behavior["velocity"], table["behavior:velocity"])
    assert worm.states.tolist() == ["forward", "unknown", "reverse_1"]


def test_table_without_time_takes_fps(tmp_path):
    path = write_table(tmp_path / "worm.csv", pd.DataFrame({"AVAL": [0.0, 1.0]}))
    (worm,) = load_recordings(path, fps=2.5)
    assert worm.fps == 2.5
    np.testing.assert_allclose(worm.time, [0, 0.4])


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    path = tmp_path / "worm.parquet"
    path.write_bytes(b"PAR1")
    for module in [name for name in sys.modules if name.split(".")[0] in ("pyarrow", "fastparquet")]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(pd, "read_parquet", _without_engine)
    with pytest.raises(ImportError, match=r"worm\.parquet.*pip install skworm\[parquet\]"):
        load_recordings(path)


def _without_engine(path: Path) -> pd.DataFrame:
    raise ImportError("Unable to find a usable engine")


def test_saving_overwrites_only_when_told(tmp_path):
    save_recordings(make_worm("b"), tmp_path)
    with pytest.raises(FileExistsError, match=r"b\.npz exists; pass overwrite=True"):
        save_recordings([make_worm("a"), make_worm("b", fps=5.0)], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["b.npz"]
    save_recordings([make_worm("a"), make_worm("b", fps=5.0)], tmp_path, overwrite=True)
    assert [worm.fps for worm in load_recordings(tmp_path)] == [3.0, 5.0]
    with pytest.raises(ValueError, match="two recordings are named 'c'; rename one"):
        save_recordings([make_worm("c"), make_worm("c")], tmp_path)


def test_nothing_is_left_when_writing_breaks_off(tmp_path, monkeypatch):
    def break_off(path: Path, **arrays: object) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", break_off)
    with pytest.raises(OSError, match="disk full"):
        save_recordings(make_worm(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_worm_names_make_safe_file_names(tmp_path):
    names = ["../up", "a/b", "a:b", "..", "a b"]
    paths = save_recordings([make_worm(name) for name in names], tmp_path)
    assert len(set(paths)) == len(names)
    assert {path.parent for path in paths} == {tmp_path}
    assert [worm.worm for worm in load_recordings(paths)] == names


NPZ = {"traces": np.zeros((3, 2)), "neuron_names": ["AVAL", "2"], "fps": 3.0}


def savez(**changes: object):
    return lambda path: np.savez(path, **(NPZ | changes))


def truncate(path: Path) -> None:
    np.savez(path, traces=np.random.default_rng(0).normal(size=(50, 5)), neuron_names=list("ABCDE"), fps=3.0)
    path.write_bytes(path.read_bytes()[:-300])


def damage(path: Path) -> None:
    savez()(path)
    content = bytearray(path.read_bytes())
    content[content.index(b"\x93NUMPY") + 140] ^= 0xFF
    path.write_bytes(content)


def text(content: str):
    return lambda path: path.write_text(content)


@pytest.mark.parametrize(
    ("name", "write", "problem"),
    [
        ("a.npz", lambda path: None, "does not exist; check the path"),
        ("a.txt", text("x"), r"'\.txt' is not a supported format; convert it to one of \.npz"),
        ("a.npz", text("x"), "truncated or damaged.*copy it again"),
        ("a.npz", truncate, "truncated or damaged.*copy it again"),
        ("a.npz", damage, "truncated or damaged.*copy it again"),
        ("a.npz", lambda path: np.savez(path, traces=np.zeros((3, 2))), r"\['neuron_names', 'fps'\] are missing"),
        ("a.npz", savez(neuron_names=np.array(["AVAL", None])), "no pickled objects.*save_recordings"),
        ("a.npz", savez(neuron_names=["AVAL", "AVAL"]), r"neuron names repeat: \['AVAL'\]; give each"),
        ("a.npz", savez(neuron_names=["AVAL"]), "1 neuron names for 2 traces.*transpose"),
        ("a.npz", savez(labels=[0, 0, 0]), "no 'state_names'; write the name"),
        (
            "a.npz",
            savez(labels=[0, 1], state_names=["fwd", "slow"]),
            r"states has shape \(2,\), but there are 3 frames",
        ),
        ("a.npz", savez(labels=[0, 2, 0], state_names=["fwd", "slow"]), "state 2 at frame 1 .*count from 0"),
        ("a.npz", savez(labels=[0, -1, 0], state_names=["fwd", "slow"]), "state -1 at frame 1 .*count from 0"),
        ("a.npz", savez(labels=[0.0, 1, 0], state_names=["fwd", "slow"]), "'labels' are float64; write whole"),
        ("a.csv", text(""), "file is empty, or its first line is; give a header row"),
        ("a.csv", text("AVAL,RID\n0.1,0.2\n0.1"), "line 3 has 1 cells, the header of 'AVAL' has 2.*export"),
        ("a.csv", text("AVAL\n0.1\n\n0.2\n"), "line 4 .*a blank line goes before it.*export"),
        ("a.csv", text("AVAL,AVAL\n0.1,0.2\n"), r"columns \['AVAL'\] repeat; give each neuron one column"),
        ("a.csv", text("time,RID\n0.1,0.2\n0.2,high\n"), "column 'RID', row 2 below.*'high'.*not a number; correct"),
        ("a.csv", text(",AVAL\n0,0.1\n1,0.2\n"), r"column 1 has no name; .*index=False"),
        ("a.csv", text("AVAL\n0.1\n0.2\n"), "no column 'time'.*pass fps="),
        ("a.csv", text("time,AVAL\n0,0.1\n0,0.2\n"), "time does not increase at frame 1; give it in seconds"),
        ("a.csv", text("time,AVAL\n2020-01-01,0.1\n2020-01-02,0.2\n"), "'2020-01-01', which is not a number"),
        ("a.csv", text("time,state\n0,fwd\n1,fwd\n"), "0 columns of neurons; give one row a frame"),
        ("a.csv", lambda path: path.write_bytes(b"AVAL\n\xff\n"), "'utf-8' codec.*write it"),
        ("a.parquet", text("PAR1"), "truncated or damaged.*copy it again"),
        ("a.mat", text("no matlab"), "not a MATLAB file of version 5 or 7.3.*save it in MATLAB"),
    ],
)
def test_bad_file_is_named_with_its_remedy(tmp_path, name, write, problem):
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    write(tmp_path / name)
    with pytest.raises((ValueError, FileNotFoundError), match=rf"(?s){name}.*{problem}"):
        load_recordings(tmp_path / name)


def test_dates_in_parquet_are_no_seconds(tmp_path):
    pytest.importorskip("pyarrow")
    table = pd.DataFrame({"time": pd.date_range("2020-01-01", periods=3, freq="s"), "AVAL": [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match=r"column 'time', row 1 .*2020-01-01.*correct it"):
        load_recordings(write_table(tmp_path / "worm.parquet", table))


def test_nothing_to_read(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no recordings, which are files ending in \.npz"):
        load_recordings(tmp_path)
    with pytest.raises(ValueError, match="no paths to read; pass a file"):
        load_recordings([])


def test_worm_occurs_once_in_a_data_set(tmp_path):
    for folder in ("first", "second"):
        save_recordings(make_worm(dataset="" if folder == "first" else "other"), tmp_path / folder)
    assert len(load_recordings([tmp_path / "first", tmp_path / "second"])) == 2
    with pytest.raises(ValueError, match=r"worm-a\.npz.*both hold a worm 'worm-a'.*rename one"):
        load_recordings([tmp_path / "first", tmp_path / "first"])


def test_a_worm_of_which_little_was_measured_is_written_and_read(tmp_path):
    traces = np.full((8000, 300), np.nan)
    traces[:, :2] = np.random.default_rng(0).random((8000, 2))
    save_recordings(Recording("sparse", traces, [str(number) for number in range(300)], fps=3.0), tmp_path)
    np.testing.assert_array_equal(load_recordings(tmp_path)[0].traces, traces)


def test_shapes_of_names_and_rate_are_checked(tmp_path):
    for names, fps, problem in ((["AVAL", "RID"], 3.0, "2 neuron names"), (["AVAL"], [3.0, 3.0], "write one number")):
        np.savez(tmp_path / "a.npz", traces=np.zeros((5, 1)), neuron_names=np.array([names]), fps=fps)
        with pytest.raises(ValueError, match=problem):
            load_recordings(tmp_path)
