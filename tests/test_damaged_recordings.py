"""Files that are cut off or hold flipped bits: a clear error that names the file, or a valid recording."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_formats import atanas, write_nwb
from test_matlab import write

from skworm.datasets import load_recordings, make_worms, save_recordings
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
    for version in ("v5", "v73"):
        struct = {"traces": worm.traces, "IDs": list(worm.neurons), "fps": np.array([[3.0]])}
        paths[version] = write(folder / f"{version}.mat", version, {"worm": struct})
    return {name: (path.suffix, path.read_bytes()) for name, path in paths.items() if path.exists()}


def read(path):
    with warnings.catch_warnings():
        # What is read may well be strange, and readers may say so.
        warnings.simplefilter("ignore")
        return load_recordings(path, fps=3.0)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
