"""Read recordings from MATLAB files, in the layouts of Kato, Nichols, Kaplan and others of their laboratory."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skworm.datasets.conventions import (
    check_expansion,
    frame_rate,
    frames_first,
    one_name_each,
    states_of_codes,
    states_of_flags,
    translate_states,
)
from skworm.datasets.hdf5 import open_hdf5, read_dataset, spend, text_of
from skworm.recording import STATES, Recording

_FIELDS = {
    "traces": ("deltaFOverF_bc", "traces_bleach_corrected", "traces"),
    "neurons": ("NeuronNames", "IDs", "neuron_ID", "NeuronIds"),
    "time": ("tv", "timeVectorSeconds", "timVectorSeconds", "time_vector"),
    "fps": ("fps",),
    "derivatives": ("derivs", "tracesDif", "deltaFOverF_deriv"),
    "states": ("States", "FourStates"),
    "state_names": ("States_key", "FourStatesNames"),
    "worm": ("dataset", "trialname", "FlNameStr"),
}
_STIMULUS = "stimulus"
_ALL_FIELDS = frozenset([_STIMULUS, *(name for names in _FIELDS.values() for name in names)])
_FOUR_STATES = ["reversal", "forward", "quiescence", "turn"]
# Recordings with a stimulus, WT_Stim of Kato et al. 2015, number these states and do not name them.
_STATES_WITH_STIMULUS = ["forward", "reverse", "sustained_reverse", "turn"]
# In files of version 5: types of elements, and classes of arrays.
_TYPES = (*range(1, 8), 9, *range(12, 19))
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED, _UTF8 = 1, 5, 6, 14, 15, 16
_CONTAINERS, _SPARSE, _OPAQUE = (1, 2, 3, 16), 5, 17
_COMPLEX = 0x0800
_MOST_DIMENSIONS = 32


def read_matlab(path: Path, *, dataset: str) -> list[Recording]:
    """Read worms from a MATLAB file of version 5 or 7.3.

    The file holds one struct, whose fields are cells of one entry a worm, or plain values of a single worm. ``_FIELDS``
    lists their names; derivatives, states and names of worms are optional. Traces are frames x neurons or neurons x
    frames. States are a struct of 0/1 vectors, or numbers from 1, which ``States_key`` or ``FourStatesNames`` name.

    - A neuron without a name, with several candidates, or with a name that occurs twice in the worm, counts as
      unidentified: it is called by its column, counted from 1.
    - Derivatives of one frame fewer than the traces are differences ``x[t + 1] - x[t]``: divided by the time step they
      become the derivative at ``t + 1``, and the first frame repeats the second.
    - ``FourStates`` without names are reversal, forward, quiescence, turn, in this order; ``States`` without names
      beside a ``stimulus`` are forward, reverse, sustained reverse, turn. A frame without any flag, or with the number
      NaN, is unknown.
    """
    worms = _worms_of(_find_struct(_variables(path)))
    names = _worm_names(worms, path.stem)
    return [_recording(name, worm, dataset, str(path)) for name, worm in zip(names, worms, strict=True)]


def _find_struct(variables: dict[str, Any]) -> Any:
    structs = {name: value for name, value in variables.items() if _is_known(value)}
    if not structs and _is_known(variables):
        return variables
    if len(structs) != 1:
        found = {name: list(value) if isinstance(value, dict) else type(value) for name, value in variables.items()}
        problem = f"several structs {list(structs)} hold" if structs else "no struct holds"
        raise ValueError(
            f"{problem} traces and neuron names: the variables and their fields are {found}; save one struct with a "
            f"field of each of {_FIELDS['traces']} and {_FIELDS['neurons']}"
        )
    return next(iter(structs.values()))


def _is_known(value: Any) -> bool:
    structs = value if isinstance(value, list) and value else [value]
    return all(isinstance(each, dict) and _field_of(each, "traces") and _field_of(each, "neurons") for each in structs)


def _field_of(struct: Mapping[str, Any], role: str) -> str | None:
    return next((name for name in _FIELDS[role] if not _is_empty(struct.get(name))), None)


def _is_empty(value: Any) -> bool:
    return value is None or (value.size if isinstance(value, np.ndarray) else len(value)) == 0


def _worms_of(struct: Any) -> list[dict[str, Any]]:
    if isinstance(struct, list):
        return [worm for item in struct for worm in _worms_of(item)]
    fields = {role: name for role in _FIELDS if (name := _field_of(struct, role))}
    values = {role: struct[name] for role, name in fields.items()}
    values |= {"states_field": fields.get("states"), _STIMULUS: _STIMULUS in struct}
    if not isinstance(values["traces"], list):
        return [values]
    n_worms = len(values["traces"])
    for role, value in values.items():
        if role != "state_names" and isinstance(value, list) and len(value) != n_worms:
            raise ValueError(
                f"field {fields[role]!r} has {len(value)} cells, {fields['traces']!r} has {n_worms}; give each worm one"
            )
    return [{role: _share(role, value, worm, n_worms) for role, value in values.items()} for worm in range(n_worms)]


def _share(role: str, value: Any, worm: int, n_worms: int) -> Any:
    is_shared = role == "state_names" and all(isinstance(item, str) for item in value)
    if isinstance(value, list) and len(value) == n_worms and not is_shared:
        return value[worm]
    if role == "fps" and isinstance(value, np.ndarray) and value.size == n_worms:
        return value.ravel()[worm : worm + 1]
    return value


def _worm_names(worms: Sequence[Mapping[str, Any]], stem: str) -> list[str]:
    own = [_only_item(worm.get("worm")) for worm in worms]
    if len(set(map(str, own))) == len(worms) and all(isinstance(name, str) and name.strip() for name in own):
        return [name.strip() for name in own]
    return [stem] if len(worms) == 1 else [f"{stem}-{worm}" for worm in range(len(worms))]


def _recording(name: str, worm: Mapping[str, Any], dataset: str, source: str) -> Recording:
    try:
        neurons = _neuron_names(name, worm["neurons"])
        time = None if _is_empty(worm.get("time")) else _numbers(worm["time"], "time").ravel()
        n_frames = None if time is None else (len(time),)
        traces = frames_first(_numbers(worm["traces"], "traces"), "traces", len(neurons), n_frames)
        fps = _frame_rate(worm.get("fps"), time)
        steps = np.full(len(traces) - 1, 1 / fps) if time is None else np.diff(time)
        states = None if _is_empty(worm.get("states")) else _states(worm, len(traces))
        slopes = worm.get("derivatives")
        derivatives = None if _is_empty(slopes) else _derivatives(slopes, traces.shape, steps)
    except ValueError as error:
        raise ValueError(f"worm {name!r}: {error}") from error
    return Recording(
        worm=name,
        traces=traces,
        neurons=tuple(neurons),
        fps=fps,
        dataset=dataset,
        time=time,  # type: ignore[arg-type]  # filled from fps
        states=states,
        derivatives=derivatives,
        source=source,
    )


def _only_item(value: Any) -> Any:
    while isinstance(value, (list, dict)) and len(value) == 1:
        value = value[0] if isinstance(value, list) else next(iter(value.values()))
    return value


def _numbers(value: Any, field: str) -> np.ndarray:
    array = _only_item(value)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        raise ValueError(f"{field} are {type(array).__name__}, not an array of numbers; save a numeric matrix")
    return array.astype(float)


def _neuron_names(worm: str, value: Any) -> list[str]:
    while isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    cells = value if isinstance(value, list) else [value]
    candidates = [list(dict.fromkeys(_candidates(cell))) for cell in cells]
    return one_name_each(worm, [found[0] if len(found) == 1 else "" for found in candidates])


def _candidates(value: Any) -> list[str]:
    if isinstance(value, (list, dict)):
        items = value if isinstance(value, list) else value.values()
        return [name for item in items for name in _candidates(item)]
    return [value.strip()] if isinstance(value, str) and any(map(str.isalpha, value)) else []


def _frame_rate(value: Any, time: np.ndarray | None) -> float:
    if _is_empty(value):
        if time is None:
            raise ValueError(f"neither 'fps' nor a time vector is there; save 'fps' or one of {_FIELDS['time']}")
        return frame_rate(time)
    fps = _numbers(value, "fps").ravel()
    if fps.size != 1:
        raise ValueError(f"fps has {fps.size} values; save one number of frames a second for each worm")
    return float(fps[0])


def _derivatives(value: Any, shape: tuple[int, ...], steps: np.ndarray) -> np.ndarray:
    if isinstance(value, dict) and "traces" in value:
        value = value["traces"]
    n_frames, n_neurons = shape
    table = frames_first(_numbers(value, "derivatives"), "derivatives", n_neurons, (n_frames, n_frames - 1))
    if len(table) == n_frames:
        return table
    rates = table / steps[:, np.newaxis]
    return np.concatenate([rates[:1], rates])


def _states(worm: Mapping[str, Any], n_frames: int) -> np.ndarray:
    value = worm["states"]
    # A struct of one field holds the codes of all states, unless it is named after a state.
    while isinstance(value, (list, dict)) and len(value) == 1 and not _is_of_a_state(value):
        value = value[0] if isinstance(value, list) else next(iter(value.values()))
    if isinstance(value, dict):
        return _states_from_flags(value, n_frames)
    codes = _numbers(value, worm["states_field"]).ravel()
    remedy = f"save its name in one of {_FIELDS['state_names']}, or NaN where no state is known"
    return states_of_codes(codes, _state_names(worm), remedy)


def _is_of_a_state(value: Any) -> bool:
    return isinstance(value, dict) and translate_states(list(value))[0] in STATES


def _state_names(worm: Mapping[str, Any]) -> dict[int, str]:
    key = worm.get("state_names")
    if isinstance(key, dict) and all(isinstance(number, np.ndarray) for number in key.values()):
        return {int(_numbers(number, "states key").item()): name for name, number in key.items()}
    if not _is_empty(key):
        names = _only_item(key)
    elif worm["states_field"] == "FourStates":
        names = _FOUR_STATES
    elif worm[_STIMULUS]:
        names = _STATES_WITH_STIMULUS
    else:
        raise ValueError("the states are numbers without names; save 'States_key', the name of each number")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"the names of the states are {names!r}; save a cell of text, one name a state")
    return dict(enumerate(names, start=1))


def _states_from_flags(flags: Mapping[str, Any], n_frames: int) -> np.ndarray:
    # NaN, in a frame that nobody has scored, counts as no flag.
    columns = {name: np.nan_to_num(_numbers(flag, f"flags of state {name!r}").ravel()) for name, flag in flags.items()}
    for name, column in columns.items():
        if len(column) != n_frames or not np.isin(column, (0, 1)).all():
            raise ValueError(
                f"the flags of state {name!r} are {len(column)} values for {n_frames} frames; save a 0 or 1 a frame"
            )
    return states_of_flags(list(columns), np.column_stack(list(columns.values())))


def _variables(path: Path) -> dict[str, Any]:
    """Return the variables of a MATLAB file by name.

    A struct becomes a dict, a cell array or struct array a list in column-major order, text a str (several rows of
    text a list), numbers a 2-D array in MATLAB's orientation. What is not among `_ALL_FIELDS` may be None. Version 7.3
    stores a struct array as a struct of cells, and it is read as such.
    """
    import h5py

    if not h5py.is_hdf5(path):
        return _version_5_variables(path)
    with open_hdf5(path) as file:
        return {name: _hdf5_variable(name, node) for name, node in file.items() if not name.startswith("#")}


def _hdf5_variable(name: str, node: Any) -> Any:
    import h5py

    if name in _ALL_FIELDS:
        return _hdf5_value(node)
    if isinstance(node, h5py.Group):
        return {field: _hdf5_value(child) if field in _ALL_FIELDS else None for field, child in node.items()}
    return None


def _hdf5_value(node: Any) -> Any:
    """Return the value of a node and of all that it refers to, each time anew, so that circles end in too much read."""
    import h5py

    if isinstance(node, h5py.Group):
        spend(node)
        return {name: _hdf5_value(child) for name, child in node.items()}
    matlab_class = text_of(node.attrs.get("MATLAB_class", ""))
    if matlab_class == "string":
        raise ValueError(
            f"{node.name} is a MATLAB string array, which version 7.3 stores in a form of its own; save a cell array "
            "of characters instead: names = cellstr(names)"
        )
    if node.attrs.get("MATLAB_empty", 0):
        return {"char": "", "cell": []}.get(matlab_class, np.empty((0, 0)))
    if h5py.check_ref_dtype(node.dtype) is not None:
        cells = read_dataset(node).ravel()
        return [_hdf5_value(node.file[cell]) if cell else np.empty((0, 0)) for cell in cells]
    values = np.atleast_2d(read_dataset(node).T)
    if matlab_class == "char" or (not matlab_class and values.dtype == np.uint16):
        return _text(["".join(map(chr, row)) for row in values])
    return values


def _text(rows: list[str]) -> str | list[str]:
    if len(rows) > 1:
        return [row.rstrip() for row in rows]
    return rows[0] if rows else ""


def _version_5_variables(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    _check_version_5(path.read_bytes())
    try:
        variables = loadmat(path)
    except ValueError as error:
        raise ValueError(f"the MATLAB file is damaged ({error}); copy it again") from error
    return {name: _version_5_value(name, value) for name, value in variables.items() if not name.startswith("__")}


def _version_5_value(name: str, value: Any) -> Any:
    from scipy.io.matlab import MatlabFunction, MatlabOpaque

    if not isinstance(value, np.ndarray) or isinstance(value, MatlabFunction | MatlabOpaque):
        if name in _ALL_FIELDS:
            raise ValueError(f"{name} is an object, a function or sparse; save full numbers, text and cells")
        return None
    if fields := value.dtype.names:
        structs = [{field: _version_5_value(field, item[field]) for field in fields} for item in value.ravel(order="F")]
        return structs[0] if len(structs) == 1 else structs
    if value.dtype.hasobject:
        return [_version_5_value(name, item) for item in value.ravel(order="F")]
    return _text(value.ravel().tolist()) if value.dtype.kind == "U" else value


def _check_version_5(content: bytes) -> None:
    """Raise ValueError where a file is of another version, or would fill the memory."""
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None or not content.startswith(b"MATLAB 5.0 MAT-file"):
        raise ValueError(
            "this is not a MATLAB file of version 5 or 7.3, or a truncated one; copy it again, or save it in MATLAB "
            "with the option -v7.3"
        )
    left = check_expansion(0, len(content))
    for kind, data in _elements(memoryview(content)[128:], order):
        if kind == _COMPRESSED:
            data = memoryview(zlib.decompressobj().decompress(data, left + 1))
            left -= len(data)
            if left < 0:
                raise ValueError("it unpacks to far more than recordings do; save it in MATLAB with the option -v6")
            ((kind, data),) = _elements(data, order) or [(0, data)]
        if kind == _MATRIX:
            _check_array(data, order)


def _elements(data: memoryview, order: str) -> list[tuple[int, memoryview]]:
    """Return the elements that follow each other, each its type and content; codes are of "MAT-File Format"."""
    place, elements = 0, []
    while place + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, place)
        start = place + 8
        # The content of a small element is part of its header.
        if kind >> 16:
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
        if kind not in _TYPES or start + size > len(data):
            raise ValueError(f"it is truncated or damaged: an element has type {kind} and {size} bytes; copy it again")
        # All but the compressed elements are filled up to multiples of 8 bytes.
        place = start + size if kind == _COMPRESSED else -(-(start + size) // 8) * 8
        elements.append((kind, data[start : start + size]))
    return elements


def _check_array(data: memoryview, order: str) -> None:
    """Raise ValueError where an array is not what it declares: scipy makes room for it, and dies of a wrong type."""
    elements = _elements(data, order)
    kinds = [kind for kind, _ in elements]
    # An empty cell is an array of nothing, and an object, which is not read, has no shape.
    flags = struct.unpack_from(f"{order}I", elements[0][1])[0] if elements else _OPAQUE
    array_class = flags & 0xFF
    if array_class == _OPAQUE:
        return
    is_whole = kinds[:3] in ([_UINT32, _INT32, _INT8], [_UINT32, _INT32, _UTF8]) and len(elements[0][1]) == 8
    is_whole = is_whole and len(elements[1][1]) % 4 == 0
    shape = np.frombuffer(elements[1][1], f"{order}i4").tolist() if is_whole else []
    is_whole = 2 <= len(shape) <= _MOST_DIMENSIONS and min(shape) >= 0
    is_whole = is_whole and (array_class == _SPARSE or math.prod(shape) <= len(data))
    if array_class not in _CONTAINERS:
        n_parts = (3 if array_class == _SPARSE else 1) + bool(flags & _COMPLEX)
        is_whole = is_whole and len(elements) == 3 + n_parts and _MATRIX not in kinds
    if not is_whole:
        raise ValueError("it is damaged: an array is not what it declares to be; copy it again")
    for kind, item in elements[3:]:
        if kind == _MATRIX:
            _check_array(item, order)
