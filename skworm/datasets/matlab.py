"""Read recordings from MATLAB files, in the layouts of Kato, Nichols, Kaplan and others of their laboratory."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
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
from skworm.datasets.hdf5 import open_hdf5, read_dataset, text_of
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
_DEEPEST = 10
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _OBJECT, _CHAR, _OPAQUE = 1, 2, 3, 4, 17
_NUMBERS = range(6, 16)
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_COMPLEX = 0x0800


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
    if len(codes) != n_frames:
        raise ValueError(f"{worm['states_field']} have {len(codes)} values for {n_frames} frames; save one a frame")
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
    text a list), numbers a 2-D array in MATLAB's orientation. Variables, and fields of structs, that are not among
    `_ALL_FIELDS` become None. Version 7.3 stores a struct array as a struct of cells, and it is read as such.
    """
    import h5py

    if not h5py.is_hdf5(path):
        return _version_5_variables(path.read_bytes(), _ALL_FIELDS)
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


def _refuse(is_wrong: bool, problem: str) -> None:
    if is_wrong:
        raise struct.error(problem)


# Version 5 is read here because scipy.io.loadmat, and so pymatreader, trusts the sizes that a file declares: a crafted
# file crashes the interpreter or takes all memory. The codes are those of The MathWorks, "MAT-File Format".


def _version_5_variables(content: bytes, fields: Collection[str]) -> dict[str, Any]:
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None or not content.startswith(b"MATLAB 5.0 MAT-file"):
        raise ValueError(
            "this is not a MATLAB file of version 5 or 7.3, or a truncated one; copy it again, or save it in MATLAB "
            "with the option -v7.3"
        )
    variables = {}
    unpacked = 0
    for kind, data in _elements(content[128:], order):
        if kind == _COMPRESSED:
            inside = zlib.decompressobj()
            data = inside.decompress(data, check_expansion(unpacked, len(content)) - unpacked + 1)
            unpacked += len(data)
            check_expansion(unpacked, len(content))
            _refuse(not inside.eof, "a compressed element is cut off")
            elements = list(_elements(data, order))
            _refuse(len(elements) != 1, f"a compressed element holds {len(elements)} elements, and one is expected")
            kind, data = elements[0]
        if kind == _MATRIX:
            name, value = _version_5_array(data, order, fields)
            variables[name] = value
    # Variables without a name belong to objects.
    return {name: value for name, value in variables.items() if name}


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield the elements that follow each other, each its type and content."""
    place = 0
    while place < len(data):
        _refuse(len(data) - place < 8, f"{len(data) - place} bytes are left, too few for an element")
        kind, size = struct.unpack_from(f"{order}II", data, place)
        if kind >> 16:
            kind, size, start, length = kind & 0xFFFF, kind >> 16, place + 4, 8
            _refuse(size > 4, f"a small element of {size} bytes is declared, and 4 are the most")
        else:
            start = place + 8
            # All but the compressed elements are filled up to multiples of 8 bytes.
            length = 8 + (size if kind == _COMPRESSED else -(-size // 8) * 8)
        _refuse(start + size > len(data), f"an element of {size} bytes is declared, and {len(data) - start} are left")
        yield kind, data[start : start + size]
        place += length


def _version_5_array(data: bytes, order: str, fields: Collection[str] | None = None, depth: int = 0) -> tuple[str, Any]:
    """Return the name of an array and its value, of which only `fields` are read unless they are None."""
    _refuse(depth > _DEEPEST, f"arrays stand within each other more than {_DEEPEST} times")
    elements = list(_elements(data, order))
    # An empty cell is a matrix of nothing.
    if not elements:
        return "", np.empty((0, 0))
    kinds = [kind for kind, _ in elements]
    flags = struct.unpack_from(f"{order}I", elements[0][1])[0] if len(elements[0][1]) == 8 else 0
    array_class = flags & 0xFF
    if array_class == _OPAQUE and kinds[:4] == [6, 1, 1, 1]:
        return _not_plain(elements[1][1], fields)
    dimensions = elements[1][1] if kinds[:2] == [6, 5] and len(elements) > 2 else b""
    is_bare = not dimensions or len(dimensions) % 4 or kinds[2] not in (1, 2, 16)
    _refuse(bool(is_bare), "an array has no flags, no dimensions or no name")
    shape = tuple(np.frombuffer(dimensions, f"{order}i4").tolist())
    _refuse(min(shape) < 0 or len(shape) < 2, f"an array has the shape {shape}")
    name, rest = elements[2][1].decode("latin-1"), elements[3:]
    if array_class in (_STRUCT, _OBJECT):
        wanted = None if fields is not None and name in fields else fields
        return name, _version_5_struct(rest[array_class == _OBJECT :], shape, order, wanted, depth)
    if fields is not None and name not in fields:
        return name, None
    if array_class in _NUMBERS:
        return name, _version_5_numbers(rest, shape, order, is_complex=bool(flags & _COMPLEX))
    if array_class == _CHAR:
        return name, _version_5_text(rest, shape, order)
    if array_class == _CELL:
        return name, [_version_5_array(item, order, None, depth + 1)[1] for item in _items(rest, math.prod(shape))]
    return _not_plain(elements[2][1], fields)


def _not_plain(name: bytes, fields: Collection[str] | None) -> tuple[str, None]:
    text = name.decode("latin-1")
    if fields is None or text in fields:
        raise ValueError(f"{text or 'a field'} is an object, a function or sparse; save full numbers, text and cells")
    return text, None


def _version_5_numbers(
    elements: list[tuple[int, bytes]], shape: tuple[int, ...], order: str, is_complex: bool
) -> np.ndarray:
    parts = [np.frombuffer(data, order + _TYPES[kind]) for kind, data in elements if kind in _TYPES]
    is_wrong = [len(part) for part in parts] != [math.prod(shape)] * (1 + is_complex) or len(parts) < len(elements)
    _refuse(is_wrong, f"an array of {math.prod(shape)} numbers holds {[len(data) for _, data in elements]} bytes")
    values = parts[0] + 1j * parts[1] if is_complex else parts[0]
    return values.reshape(shape, order="F")


def _version_5_text(elements: list[tuple[int, bytes]], shape: tuple[int, ...], order: str) -> str | list[str]:
    suffix = {"<": "-le", ">": "-be"}[order]
    codecs = {1: "ascii", 2: "ascii", 4: f"utf-16{suffix}", 16: "utf-8", 17: f"utf-16{suffix}", 18: f"utf-32{suffix}"}
    _refuse(any(kind not in codecs for kind, _ in elements), "a text holds numbers")
    letters = [letter for kind, data in elements for letter in data.decode(codecs[kind])]
    _refuse(len(letters) != math.prod(shape), f"a text of {math.prod(shape)} letters has {len(letters)}")
    return _text(["".join(letters[row :: shape[0]]) for row in range(shape[0])] if letters else [])


def _version_5_struct(
    elements: list[tuple[int, bytes]], shape: tuple[int, ...], order: str, fields: Collection[str] | None, depth: int
) -> Any:
    is_nameless = [kind for kind, _ in elements[:2]] != [5, 1] or len(elements[0][1]) != 4
    _refuse(is_nameless, "a struct does not name its fields")
    width = struct.unpack(f"{order}i", elements[0][1])[0]
    text = elements[1][1]
    is_wrong = width < 1 or len(text) % width > 0
    _refuse(is_wrong, f"the names of a struct's fields have {len(text)} bytes, not a multiple of {width}")
    names = [text[start : start + width].partition(b"\0")[0].decode("latin-1") for start in range(0, len(text), width)]
    n_structs = math.prod(shape) if names else 0
    items = iter(_items(elements[2:], n_structs * len(names)))
    structs = [
        {
            name: _version_5_array(item, order, None, depth + 1)[1] if fields is None or name in fields else None
            for name, item in zip(names, items, strict=False)
        }
        for _ in range(n_structs)
    ]
    return structs[0] if len(structs) == 1 else structs


def _items(elements: list[tuple[int, bytes]], n_items: int) -> list[bytes]:
    is_wrong = len(elements) != n_items or any(kind != _MATRIX for kind, _ in elements)
    _refuse(is_wrong, f"an array of {n_items} cells or fields holds {len(elements)}")
    return [data for _, data in elements]
