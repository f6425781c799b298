from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from skworm.datasets import load_recordings
from skworm.recording import Recording

N_FRAMES = 200
KATO_CODES = {
    "dt": "dorsal_turn",
    "fwd": "forward",
    "nostate": "unknown",
    "rev1": "reverse_1",
    "rev2": "reverse_2",
    "revsus": "sustained_reverse",
    "slow": "slowing",
    "vt": "ventral_turn",
}
VERSIONS = ("v5", "v7.3")
CELL_NUMBER = itertools.count()


@pytest.fixture(scope="module")
def worms() -> list[Recording]:
    folder = Path(os.environ.get("SKWORM_DATA", "absent"), "kato2015")
    found = load_recordings(folder) if folder.is_dir() else [synthetic_worm(number) for number in range(5)]
    return [
        Recording(w.worm, w.traces[:N_FRAMES], w.neurons, w.fps, states=w.states[:N_FRAMES], time=w.time[:N_FRAMES])
        for w in found
    ]


def synthetic_worm(number: int) -> Recording:
    rng = np.random.default_rng(number)
    neurons = ["AVAL", "2", "VB02", "4", "SMDDR"]
    states = rng.choice(list(KATO_CODES.values()), size=N_FRAMES)
    return Recording(f"worm_{number}", rng.normal(size=(N_FRAMES, 5)), neurons, fps=2.9, states=states)


def write_v5(path: Path, variables: dict[str, Any]) -> Path:
    savemat(path, {name: as_v5(value) for name, value in variables.items()}, long_field_names=True)
    return path


def as_v5(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: as_v5(item) for name, item in value.items()}
    if isinstance(value, list):
        cells = np.empty((1, len(value)), dtype=object)
        for column, item in enumerate(value):
            cells[0, column] = as_v5(item)
        return cells
    return value


def write_v73(path: Path, variables: dict[str, Any]) -> Path:
    with h5py.File(path, "w", userblock_size=512) as file:
        references = file.create_group("#refs#")
        file.create_group("#subsystem#").create_dataset("MCOS", data=np.zeros((1, 2)))
        for name, value in variables.items():
            write_v73_node(file, name, value, references)
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .")
    return path


def write_v73_node(group: h5py.Group, name: str, value: Any, references: h5py.Group) -> h5py.Dataset | h5py.Group:
    if isinstance(value, dict):
        node = group.create_group(name)
        for field, item in value.items():
            write_v73_node(node, field, item, references)
        node.attrs["MATLAB_class"] = np.bytes_("struct")
        return node
    if isinstance(value, list):
        cells = [write_v73_node(references, f"cell-{next(CELL_NUMBER)}", item, references).ref for item in value]
        matlab_class, data = "cell", np.array(cells, dtype=h5py.ref_dtype)[:, np.newaxis]
    elif isinstance(value, str):
        matlab_class, data = "char", np.array([[ord(letter)] for letter in value], dtype=np.uint16)
    else:
        matlab_class, data = "double", np.atleast_2d(np.asarray(value, dtype=float)).T
    node = group.create_dataset(name, data=data if data.size else np.zeros(2, dtype=np.uint64))
    node.attrs["MATLAB_class"] = np.bytes_(matlab_class)
    if not data.size:
        node.attrs["MATLAB_empty"] = np.uint8(1)
    return node


def write(path: Path, version: str, variables: dict[str, Any]) -> Path:
    return (write_v5 if version == "v5" else write_v73)(path, variables)


def column(values: Any) -> np.ndarray:
    return np.asarray(values, dtype=float)[:, np.newaxis]


def flags_of(worm: Recording) -> dict[str, np.ndarray]:
    return {code: column(worm.states == name) for code, name in KATO_CODES.items()}


def kato_struct(worms: list[Recording], **changes: Any) -> dict[str, Any]:
    names = [list(worm.neurons) for worm in worms]
    names[3][-1] = [names[3][-1]]
    fields = {
        "deltaFOverF": [worm.traces + 1 for worm in worms],
        "deltaFOverF_bc": [worm.traces for worm in worms],
        "NeuronNames": names,
        "States": [flags_of(worm) for worm in worms],
        "tv": [column(worm.time) for worm in worms],
        "fps": [np.array([[worm.fps]]) for worm in worms],
        "dataset": [f"TS{number}" for number in range(len(worms))],
    }
    return {"WT_NoStim": fields | changes}


def assert_same_worms(found: list[Recording], expected: list[Recording], states: bool = True) -> None:
    assert len(found) == len(expected)
    for left, right in zip(found, expected, strict=True):
        assert left.neurons == right.neurons
        assert left.fps == pytest.approx(right.fps)
        np.testing.assert_array_equal(left.traces, right.traces)
        np.testing.assert_array_equal(left.time, right.time)
        if states:
            np.testing.assert_array_equal(left.states, right.states)


@pytest.mark.parametrize("version", VERSIONS)
def test_kato_layout_equals_the_converted_recordings(tmp_path, version, worms):
    found = load_recordings(write(tmp_path / "WT_NoStim.mat", version, kato_struct(worms)))
    assert_same_worms(found, worms)
    assert [worm.worm for worm in found] == ["TS0", "TS1", "TS2", "TS3", "TS4"]
    assert {worm.dataset for worm in found} == {tmp_path.name}
    assert all(worm.derivatives is None for worm in found)


@pytest.mark.parametrize("version", VERSIONS)
def test_neurons_first_is_told_by_names_and_frames(tmp_path, version, worms):
    transposed = kato_struct(worms, deltaFOverF_bc=[worm.traces.T for worm in worms])
    assert_same_worms(load_recordings(write(tmp_path / "a.mat", version, transposed)), worms)


def test_as_many_names_of_states_as_worms_are_those_of_each_worm(tmp_path, worms):
    key = ["fwd", "rev1", "rev2", "dt", "vt"]
    changes = {"States": [column(np.arange(N_FRAMES) % 5 + 1)] * 5, "States_key": key}
    found = load_recordings(write_v5(tmp_path / "a.mat", kato_struct(worms, **changes)))
    assert found[1].states[:5].tolist() == [KATO_CODES[code] for code in key]


def test_differences_become_slopes_by_the_time_stamps(tmp_path, worms):
    time = np.cumsum(np.tile([0.3, 0.4], N_FRAMES // 2))
    changes = {"tv": [column(time)] * 5, "derivs": [np.diff(worm.traces, axis=0) for worm in worms]}
    found = load_recordings(write_v5(tmp_path / "a.mat", kato_struct(worms, **changes)))
    expected = np.diff(worms[0].traces, axis=0) / np.diff(time)[:, np.newaxis]
    np.testing.assert_allclose(found[0].derivatives[1:], expected)


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_kato_sister_file_brings_derivatives(tmp_path, version, worms):
    derivatives = [np.gradient(worm.traces, axis=0) for worm in worms]
    as_struct = [{"traces": table.T, "order": np.ones((1, 1))} for table in derivatives]
    for number, cells in enumerate((derivatives, as_struct)):
        path = tmp_path / f"NoStim_Data{number}.mat"
        variables = {"NoStim_Data": kato_struct(worms, derivs=cells)["WT_NoStim"]}
        for found, expected in zip(load_recordings(write(path, version, variables)), derivatives, strict=True):
            np.testing.assert_array_equal(found.derivatives, expected)


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("time_field", ["timeVectorSeconds", "timVectorSeconds"])
def test_older_layout(tmp_path, version, time_field, worms):
    names = [[[name] if not name.isdecimal() else [] for name in worm.neurons] for worm in worms]
    names[0][0], names[0][2] = ["RIML", "RIMR"], "MI"
    codes = list(KATO_CODES)
    states = [column([codes.index(code) + 1 for code in raw_codes(worm)]) for worm in worms]
    variables = {
        "WT_NoStim": {
            "IDs": names,
            "traces": [worm.traces for worm in worms],
            "tracesDif": [np.diff(worm.traces, axis=0) for worm in worms],
            time_field: [column(worm.time) for worm in worms],
            "fps": np.array([[worm.fps for worm in worms]]),
            "States": states,
            "States_key": [code.upper() for code in codes],
        }
    }
    found = load_recordings(write(tmp_path / "old.mat", version, variables))
    assert_same_worms(found[1:], worms[1:])
    assert found[0].neurons == ("1", worms[0].neurons[1], "MI", *worms[0].neurons[3:])
    assert [worm.worm for worm in found] == [f"old-{number}" for number in range(5)]
    for left, right in zip(found, worms, strict=True):
        rate = np.diff(right.traces, axis=0) / np.diff(right.time)[:, np.newaxis]
        np.testing.assert_allclose(left.derivatives[1:], rate, rtol=1e-12)
        np.testing.assert_array_equal(left.derivatives[0], left.derivatives[1])


def raw_codes(worm: Recording) -> list[str]:
    code_of = {name: code for code, name in KATO_CODES.items()}
    return [code_of[state] for state in worm.states]


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("key", ["own", "per worm", "none"])
def test_nichols_layout(tmp_path, version, wrapped, key, worms):
    def wrap(values: list[Any]) -> list[Any]:
        return [{"value": value} for value in values] if wrapped else values

    numbers = [np.arange(N_FRAMES)[:, np.newaxis] % 4 + 1.0 for _ in worms]
    fields = {
        "IDs": wrap([[name if not name.isdecimal() else "" for name in worm.neurons] for worm in worms]),
        "traces": wrap([worm.traces for worm in worms]),
        "timeVectorSeconds": wrap([column(worm.time) for worm in worms]),
        "fps": wrap([np.array([[worm.fps]]) for worm in worms]),
        "FourStates": wrap(numbers),
    }
    names = ["Reversal", "Forward", "Quiescence", "Turn"]
    if key != "none":
        fields["FourStatesNames"] = names[::-1] if key == "own" else [names[::-1]] * len(worms)
    found = load_recordings(write(tmp_path / "n2_prelet.mat", version, {"n2_prelet": fields}))
    assert_same_worms(found, worms, states=False)
    expected = ["reverse", "forward", "quiescence", "turn"]
    assert found[0].states[:5].tolist() == (
        expected + expected[:1] if key == "none" else (expected * 2)[3::-1] + ["turn"]
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_single_worm_and_struct_array(tmp_path, version, worms):
    def plain(worm: Recording) -> dict[str, Any]:
        return {"traces": worm.traces, "IDs": list(worm.neurons), "fps": worm.fps, "trialname": f" {worm.worm}"}

    (found,) = load_recordings(write(tmp_path / "one.mat", version, {"wbdataset": plain(worms[0])}))
    assert (found.worm, found.neurons) == (worms[0].worm, worms[0].neurons)
    np.testing.assert_array_equal(found.traces, worms[0].traces)
    (loose,) = load_recordings(write(tmp_path / "loose.mat", version, plain(worms[0])))
    np.testing.assert_array_equal(loose.traces, worms[0].traces)
    if version == "v5":
        array = np.array(
            [tuple(map(as_v5, plain(w).values())) for w in worms], dtype=[(f, "O") for f in plain(worms[0])]
        )
        savemat(tmp_path / "array.mat", {"WT": array})
        found = load_recordings(tmp_path / "array.mat")
        assert [worm.worm for worm in found] == [worm.worm for worm in worms]


def small(**changes: Any) -> dict[str, Any]:
    fields = {
        "traces": np.arange(12.0).reshape(6, 2),
        "IDs": ["AVAL", "RID"],
        "tv": column(np.arange(6) / 2),
        "fps": np.array([[2.0]]),
    }
    return {"worm": fields | changes}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("traces", "neurons", "time", "more"),
    [
        ("traces", "IDs", "timeVectorSeconds", {"stimulus": {"type": "O2"}, "States": column([1, 2, 3, 4, 1, 2])}),
        ("traces_bleach_corrected", "neuron_ID", "time_vector", {}),
        ("deltaFOverF_bc", "NeuronIds", "tv", {"deltaFOverF_deriv": np.ones((6, 2)), "FlNameStr": "TS1"}),
    ],
)
def test_layouts_of_other_files_of_the_laboratory(tmp_path, version, traces, neurons, time, more):
    values = np.arange(12.0).reshape(6, 2)
    fields = {traces: values, neurons: ["AVAL", ""], time: column(np.arange(6) / 20), **more}
    (worm,) = load_recordings(write(tmp_path / "a.mat", version, {"wbData": fields}))
    np.testing.assert_array_equal(worm.traces, values)
    assert (worm.worm, worm.neurons) == (more.get("FlNameStr", "a"), ("AVAL", "2"))
    assert worm.fps == pytest.approx(20)
    expected = ["forward", "reverse", "sustained_reverse", "turn", "forward", "reverse"] if "States" in more else None
    assert (worm.states if expected is None else worm.states.tolist()) == expected
    assert (worm.derivatives is not None) == ("deltaFOverF_deriv" in more)


@pytest.mark.parametrize("version", VERSIONS)
def test_repeated_name_is_no_identification(tmp_path, version):
    traces = np.arange(18.0).reshape(6, 3)
    path = write(tmp_path / "a.mat", version, small(IDs=["AVAL", "RID", "AVAL"], traces=traces))
    with pytest.warns(UserWarning, match=r"worm 'a': the neurons \['AVAL'\] occur on several traces"):
        (worm,) = load_recordings(path)
    assert worm.neurons == ("1", "RID", "3")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("label", ["RID?", "nan", "Unknown", "?"])
def test_uncertain_label_is_no_identification(tmp_path, version, label):
    (worm,) = load_recordings(write(tmp_path / "a.mat", version, small(IDs=["AVAL", label])))
    assert worm.neurons == ("AVAL", "2")


@pytest.mark.parametrize("version", VERSIONS)
def test_frames_without_state_are_unknown(tmp_path, version):
    flags = {"FWD": column([1, 1, 0, 0, 0, 0]), "REVSUS": column([0, 0, 0, 1, 1, 1])}
    (worm,) = load_recordings(write(tmp_path / "a.mat", version, small(States=flags)))
    assert worm.states.tolist() == ["forward"] * 2 + ["unknown"] + ["sustained_reverse"] * 3
    (worm,) = load_recordings(write(tmp_path / "b.mat", version, small(FourStates=column([1, np.nan, 2, 3, 4, 4]))))
    assert worm.states.tolist() == ["reverse", "unknown", "forward", "quiescence", "turn", "turn"]
    one = {"REV": column([1, 1, np.nan, 0, 0, 0])}
    (worm,) = load_recordings(write(tmp_path / "d.mat", version, small(States=one)))
    assert worm.states.tolist() == ["reverse"] * 2 + ["unknown"] * 4
    codes = {"fwd": np.array([[3.0]]), "rev1": np.array([[0.0]])}
    variables = small(States=column([0, 0, 3, 3, 3, 3]), States_key=codes)
    (worm,) = load_recordings(write(tmp_path / "c.mat", version, variables))
    assert worm.states.tolist() == ["reverse_1"] * 2 + ["forward"] * 4
    variables = small(States=column([0, 0, 0, 0, 0, np.nan]), States_key={"fwd": np.array([[0.0]])})
    (worm,) = load_recordings(write(tmp_path / "e.mat", version, variables))
    assert worm.states.tolist() == ["forward"] * 5 + ["unknown"]


@pytest.mark.parametrize("version", VERSIONS)
def test_structs_among_plain_variables(tmp_path, version):
    flags = {"fwd": column([1, 1, 0, 0, 0, 0]), "rev": column([0, 0, 0, 1, 1, 1])}
    (worm,) = load_recordings(write(tmp_path / "a.mat", version, small(States=flags)["worm"]))
    assert worm.states.tolist() == ["forward"] * 2 + ["unknown"] + ["reverse"] * 3
    key = {"fwd": np.array([[1.0]]), "rev1": np.array([[2.0]])}
    variables = small(States=column([1, 1, 2, 2, 2, 2]), States_key=key)
    (worm,) = load_recordings(write(tmp_path / "b.mat", version, variables["worm"]))
    assert worm.states.tolist() == ["forward"] * 2 + ["reverse_1"] * 4


@pytest.mark.parametrize("version", VERSIONS)
def test_absent_and_empty_fields(tmp_path, version):
    variables = small(tv=np.empty((0, 0)), States=np.empty((0, 0)), tracesDif=[])
    (worm,) = load_recordings(write(tmp_path / "a.mat", version, variables))
    assert worm.states is None
    assert worm.derivatives is None
    np.testing.assert_array_equal(worm.time, np.arange(6) / 2)
    variables = small()
    del variables["worm"]["fps"]
    (worm,) = load_recordings(write(tmp_path / "b.mat", version, variables))
    assert worm.fps == 2.0


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"worm": {"signal": np.zeros((6, 2))}}, r"no struct holds traces.*'signal'.*save one struct"),
        ({**small(), "other": small()["worm"]}, r"several structs \['.*save one struct"),
        (small(IDs=["A", "B", "C"]), r"worm 'a': traces of shape \(6, 2\) fit 3 neuron names.*save one name"),
        (small(tv=column(np.arange(5))), r"worm 'a': traces .* and 5 frames neither.*save one"),
        (small(traces=np.zeros((2, 2)), tv=column([0, 1])), r"worm 'a': traces .* both as frames x neurons.*\.npz"),
        (small(traces="text"), "worm 'a': traces are str, not an array of numbers; save"),
        (small(traces=[np.zeros((6, 2))] * 3), "field 'IDs' has 2 cells, 'traces' has 3; give each"),
        (small(fps=[], tv=[]), "worm 'a': neither 'fps' nor a time vector is there; save 'fps'"),
        (small(fps=np.ones((1, 3))), "worm 'a': fps has 3 values; save one"),
        (small(tracesDif=np.zeros((3, 2))), r"worm 'a': derivatives of shape \(3, 2\) fit .* neither"),
        (small(States=column([1] * 6)), "worm 'a': the states are numbers without names; save 'States_key'"),
        (small(FourStates=column([1] * 5)), r"worm 'a': states has shape \(5,\), but there are 6 frames"),
        (small(FourStates=column([1, 2, 5, 1, 1, 1])), "worm 'a': state 5 at frame 2 is none of.*save its name"),
        (small(FourStates=column([1, 0, 4, 1, 1, 1])), "worm 'a': state 0 at frame 1 is none of.*save its name"),
        (small(FourStates=column([1, 1.5, 4, 1, 1, 1])), "worm 'a': state 1.5 at frame 1 is none of.*save its"),
        (
            small(States={"fwd": column([1] * 6), "slow": column([0, 0, 1, 0, 0, 0])}),
            r"worm 'a': frame 2 is in the states \['fwd', 'slow'\] at once; leave one flag",
        ),
        (
            small(States={"fwd": column([1] * 5), "slow": column([0] * 6)}),
            "worm 'a': the flags of state 'fwd' are 5 values for 6 frames; save a 0 or 1",
        ),
        (
            small(States={"fwd": column([2] * 6), "slow": column([0] * 6)}),
            "worm 'a': the flags of state 'fwd' .* save a 0 or 1",
        ),
    ],
)
def test_bad_struct_is_named_with_its_remedy(tmp_path, version, variables, problem):
    path = write(tmp_path / "a.mat", version, variables)
    with pytest.raises(ValueError, match=rf"a\.mat: .*{problem}"):
        load_recordings(path)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_truncated_file(tmp_path, version, fraction):
    path = write(tmp_path / "a.mat", version, small(traces=np.ones((600, 2)), tv=column(np.arange(600))))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * fraction)])
    with pytest.raises(ValueError, match=r"a\.mat: .*truncated.*copy it again"):
        load_recordings(path)


def test_objects_and_sparse_matrices_beside_the_worm_do_no_harm(tmp_path):
    from scipy.sparse import csc_array

    path = tmp_path / "a.mat"
    worm = {"traces": np.zeros((5, 2)), "IDs": np.array(["AVAL", ""], dtype=object), "fps": 3.0}
    savemat(path, {"worm": worm, "mask": csc_array(np.eye(3)), "phase": np.array([1j]), "none": []})
    (found,) = load_recordings(path)
    assert found.neurons == ("AVAL", "2")


def test_sizes_that_contradict_each_other_are_refused(tmp_path):
    path = tmp_path / "a.mat"
    savemat(path, {"traces": np.zeros((5, 2)), "IDs": np.array(["AVAL", ""], dtype=object), "fps": 3.0})
    content = path.read_bytes()
    place = content.index((5).to_bytes(4, "little") + (2).to_bytes(4, "little"))
    for rows in (4, 6, 2**30):
        path.write_bytes(content[:place] + rows.to_bytes(4, "little") + content[place + 4 :])
        with pytest.raises(ValueError, match=r"a\.mat: .*damaged"):
            load_recordings(path)


def test_cells_that_are_not_there_take_no_memory(tmp_path):
    path = tmp_path / "a.mat"
    savemat(path, {"IDs": np.array([["AVAL"], ["RID"], ["RIS"]], dtype=object), "fps": 3.0})
    content = path.read_bytes()
    shape = (3).to_bytes(4, "little") + (1).to_bytes(4, "little")
    path.write_bytes(content.replace(shape, (2**31 - 1).to_bytes(4, "little") + shape[4:]))
    with pytest.raises(ValueError, match=r"a\.mat: .*not what it declares"):
        load_recordings(path)
