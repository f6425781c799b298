"""Files that are cut off or hold flipped bits: a clear error that names the file, or a valid recording."""

import json
import warnings
import zipfile
import zlib

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat
from test_formats import atanas, write_nwb
from test_matlab import write_v73

from skworm.datasets import hdf5, load_recordings, make_worms, save_recordings
from skworm.datasets.summary import inspect_recordings
from skworm.recording import Recording

FORMATS = ("npz", "csv", "parquet", "xlsx", "json", "nwb", "v5", "v73")


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """The bytes of one valid file of each format that can be written here."""
    folder = tmp_path_factory.mktemp("whole")
    (worm,) = make_worms(1, 30, neurons=("AVAL", "RID"), n_unidentified=1, random_state=0)
    table = pd.DataFrame(worm.traces, columns=worm.neurons).assign(time=worm.time, state=worm.states)
    paths = {"npz": save_recordings(worm, folder)[0]}
    paths |= {name: folder / f"a.{name}" for name in ("csv", "parquet", "xlsx", "json", "nwb")}
    table.to_csv(paths["csv"], index=False)
    paths["json"].write_text(json.dumps(atanas()))
    for name, module, write_one in (
        ("parquet", "pyarrow", table.to_parquet),
        ("xlsx", "openpyxl", lambda path: table.to_excel(path, index=False)),
        ("nwb", "pynwb", write_nwb),
    ):
        try:
            __import__(module)
        except ImportError:
            continue
        write_one(paths[name])
    struct = {"traces": worm.traces, "IDs": list(worm.neurons), "fps": np.array([[3.0]])}
    paths["v73"] = write_v73(folder / "v73.mat", {"worm": struct})
    # Not compressed, since a checksum would find all wrong bits.
    paths["v5"] = folder / "v5.mat"
    savemat(paths["v5"], {"worm": struct | {"IDs": np.array(worm.neurons, dtype=object)}})
    return {name: (path.suffix, path.read_bytes()) for name, path in paths.items() if path.exists()}


def read(path):
    with warnings.catch_warnings():
        # What is read may well be strange, and readers may say so.
        warnings.simplefilter("ignore")
        return load_recordings(path, fps=3.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
# The same damage each time, since the HDF5 library dies of some.
@settings(max_examples=20, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_gives_an_error_that_names_it_or_a_recording(name, contents, data, tmp_path_factory):
    if name not in contents:
        pytest.skip(f"writing {name} files needs a package that is not installed")
    suffix, content = contents[name]
    damaged = bytearray(content)
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(content) - 1)) :]
    last = data.draw(st.sampled_from([min(256, len(content)), len(content)])) - 1
    for place in data.draw(st.lists(st.integers(0, last), max_size=3)):
        if place < len(damaged):
            damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.getbasetemp() / f"damaged{suffix}"
    path.write_bytes(damaged)
    try:
        found = read(path)
    except (ValueError, OSError) as error:
        message = str(error)
    else:
        assert all(isinstance(worm, Recording) and np.isfinite(worm.time).all() for worm in found)
        return
    assert str(path) in message


@pytest.mark.parametrize("name", FORMATS)
def test_the_whole_files_can_be_read(name, contents, tmp_path):
    if name not in contents:
        pytest.skip(f"writing {name} files needs a package that is not installed")
    suffix, content = contents[name]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    (worm,) = read(path)
    assert worm.n_frames in (30, 40)


@pytest.mark.parametrize(("back", "byte"), [(4, 0x0B), (4, 0x0E), (8, 1), (24, 12)])
def test_matlab_arrays_of_which_scipy_would_die_are_refused(back, byte, tmp_path):
    savemat(tmp_path / "a.mat", {"worm": {"traces": np.ones((9, 2)), "IDs": np.array(["AVAL", "RID"], dtype=object)}})
    content = bytearray((tmp_path / "a.mat").read_bytes())
    # Before the text stand its type, the size of a name without letters, and that of the shape.
    content[content.index(b"AVAL") - back] = byte
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.mat: it is .*damaged.*copy it again"):
        load_recordings(tmp_path)


def read_hdf5(path):
    with hdf5.open_hdf5(path) as file:
        return [hdf5.read_dataset(node) for node in file.values()]


def test_texts_that_are_one_long_text_many_times_are_refused(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        texts = file.create_dataset("texts", data=["a" * 10**6] + ["b"] * 999, dtype=h5py.string_dtype())
        place, one = texts.id.get_offset(), texts.id.get_storage_size() // 1000
    content = bytearray(path.read_bytes())
    content[place : place + 1000 * one] = 1000 * content[place : place + one]
    path.write_bytes(content)
    with pytest.raises(ValueError, match="more than the file holds"):
        read_hdf5(path)


def test_the_data_sets_of_a_file_are_bounded_together(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("a", shape=(700_000,), dtype=float, chunks=(1000,))
    (values,) = read_hdf5(path)
    assert values.shape == (700_000,)
    with h5py.File(path, "a") as file:
        file.create_dataset("b", shape=(700_000,), dtype=float, chunks=(1000,))
    with pytest.raises(ValueError, match="/b declares the shape"):
        read_hdf5(path)


def test_chunks_that_unpack_without_end_are_refused(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        packed = file.create_dataset("a", (10,), float, chunks=(10,), compression="gzip")
        packed.id.write_direct_chunk((0,), zlib.compress(bytes(2**24)))
    with pytest.raises(ValueError, match="/a has chunks that unpack to more"):
        read_hdf5(path)
    with h5py.File(path, "w") as file:
        file.create_dataset("a", (10,), float, chunks=(10**7,), maxshape=(None,))
    with pytest.raises(ValueError, match="/a has chunks that unpack to more"):
        read_hdf5(path)


def test_references_to_references_to_references_are_refused(tmp_path):
    path = tmp_path / "a.mat"
    with h5py.File(path, "w") as file:
        file["w/traces"], file["w/fps"], node = np.zeros((2, 10)), [[3.0]], file.create_dataset("name", data=[[65]])
        for level in range(5):
            cells = np.full((1, 50), node.ref, dtype=object)
            node = file.create_dataset(f"cells/{level}", data=cells, dtype=h5py.ref_dtype)
        file.create_dataset("w/IDs", data=np.array([[node.ref]] * 2, dtype=object), dtype=h5py.ref_dtype)
    with pytest.raises(ValueError, match=r"a\.mat: .*more than the file holds"):
        load_recordings(path)


def test_groups_that_lead_to_each_other_in_many_ways_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        group = file.create_group("0")
        for number in range(1, 40):
            above = file.create_group(f"{number}")
            above["a"] = above["b"] = group
            group = above
        file["traces"] = group
    with pytest.raises(ValueError, match=r"a\.mat: .*more than the file holds"):
        load_recordings(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda file, _: file.create_virtual_dataset("a", virtual(file)),
        lambda file, other: file.create_dataset("a", (2,), float, external=[(other, 0, 16)]),
        lambda file, other: file.update({"a": h5py.ExternalLink(other, "/a")}),
    ],
)
def test_hdf5_that_keeps_values_elsewhere_is_refused(change, tmp_path):
    other = str(tmp_path / "other")
    with h5py.File(other, "w") as file:
        file["a"] = [1.0, 2.0]
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:
        change(file, other)
    with pytest.raises(ValueError, match="keeps its values in other files"):
        read_hdf5(tmp_path / "a.h5")


def virtual(file):
    layout = h5py.VirtualLayout((2,), float)
    layout[:] = h5py.VirtualSource("other.h5", "x", (2,))
    return layout


def write_xlsx(path, cell):
    """Write a table, and add a cell to its sheet."""
    pytest.importorskip("openpyxl")
    pd.DataFrame({"time": [0.0, 1.0], "AVAL": [0.0, 1.0]}).to_excel(path, index=False)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    parts[sheet] = parts[sheet].replace(b"</sheetData>", b"<row>" + cell + b"</row></sheetData>")
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)


def savez(path, **arrays):
    np.savez_compressed(path, **{"traces": np.zeros((3, 1)), "neuron_names": ["AVAL"], "fps": 3.0} | arrays)


def long_state(path):
    savez(path, traces=np.zeros((200, 1)), labels=np.zeros(200, int), state_names=["x" * 10**5])


def write_parquet(path, n_rows):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = {"AVAL": np.zeros(n_rows), "RID": np.zeros(n_rows)}
    parquet.write_table(__import__("pyarrow").table(table), path, compression="zstd")


@pytest.mark.parametrize(
    ("name", "write", "problem"),
    [
        ("a.npz", lambda path: savez(path, traces=np.zeros((3_000_000, 1))), "unpacks to far more"),
        ("a.npz", lambda path: savez(path, labels=np.zeros(99, int), state_names=["turn"]), "states has shape"),
        ("a.npz", lambda path: long_state(path), "100000 letters"),
        ("a.npz", lambda path: savez(path, traces=np.zeros((3, 1), "M8[s]")), "traces are datetime64"),
        ("a.csv", lambda path: path.write_text("AVAL,state\n0," + "x" * 10**5 + 200 * "\n1,turn"), "100000 letters"),
        ("a.parquet", lambda path: write_parquet(path, 2_000_000), "unpacks to far more"),
        ("a.xlsx", lambda path: write_xlsx(path, b"<c r='XFD1048576'><v>1</v></c>"), "16384 cells"),
        ("a.xlsx", lambda path: write_xlsx(path, b'<c r="&#88;FD1048576"><v>1</v></c>'), "16384 cells"),
    ],
)
def test_small_files_that_would_fill_the_memory_are_refused(name, write, problem, tmp_path):
    write(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name}: .*{problem}"):
        read(tmp_path / name)


def test_a_bad_file_ends_the_reading_of_a_folder_and_inspect_shows_the_others(tmp_path):
    save_recordings(make_worms(2, 30, random_state=0), tmp_path)
    bad = tmp_path / "bad.npz"
    np.savez(bad, traces=np.zeros((3, 2)), neuron_names=["AVAL", "2"], fps=3.0)
    bad.write_bytes(bad.read_bytes().replace(b"'shape': (3, 2), }", b"'shape': (3, 2(, }"))
    with pytest.raises(ValueError, match=r"bad\.npz: "):
        load_recordings(tmp_path)
    found = inspect_recordings(tmp_path)
    assert len(found["worms"]) == 2
    assert [str(bad) in problem for problem in found["problems"]] == [True]


def test_a_text_of_a_damaged_length_is_refused(tmp_path):
    path = tmp_path / "a.nwb"
    with h5py.File(path, "w") as file:
        series = file.create_group("processing/ophys/DfOverF/dff")
        series.attrs["neurodata_type"] = "RoiResponseSeries"
        series["data"], series["timestamps"] = np.random.RandomState(0).random_sample((20, 2)), np.arange(20) / 2
        states = file.create_group("intervals/states")
        states.attrs["neurodata_type"] = "TimeIntervals"
        states["start_time"], states["stop_time"] = np.array([0.0, 5.0]), np.array([5.0, 10.0])
        states.create_dataset("state", data=["forward", "reverse"], dtype=h5py.string_dtype())
        place = states["state"].id.get_offset()
    assert load_recordings(path)[0].states.tolist() == ["forward"] * 10 + ["reverse"] * 10
    content = bytearray(path.read_bytes())
    # The first four bytes of a text of variable length are its length.
    content[place : place + 4] = (2**30).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.nwb.*damaged"):
        load_recordings(path)
