"""MATLAB files of version 5: their sizes are checked before scipy reads them, and values as plain Python."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skworm.datasets.matlab import read_dataset

_HEADER = b"MATLAB 5.0 MAT-file"
_DEEPEST = 10


def read_matlab_values(path: Path, fields: Collection[str]) -> dict[str, Any]:
    """Read the variables of a MATLAB file.

    A struct becomes a dict, a cell array or struct array a list in column-major order, text a str (several rows of
    text a list), numbers a 2-D array in MATLAB's orientation. Version 7.3 stores a struct array as a struct of cells,
    and so it is read.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    fields : collection of str
        Names of variables, and of fields of structs, that are wanted; others become None.

    Returns
    -------
    dict of str to object
        Value of each variable.

    Raises
    ------
    ValueError
        If the file is no MATLAB file, or is truncated.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from scipy.io import savemat
    >>> from skworm.datasets.matlab_v5 import read_matlab_values
    >>> with TemporaryDirectory() as folder:
    ...     savemat(Path(folder, "a.mat"), {"worm": {"fps": 3.0, "dataset": "TS1", "stimulus": 1}})
    ...     read_matlab_values(Path(folder, "a.mat"), ["fps", "dataset"])
    {'worm': {'fps': array([[3.]]), 'dataset': 'TS1', 'stimulus': None}}
    """
    import h5py

    if h5py.is_hdf5(path):
        try:
            with h5py.File(path, "r") as file:
                return {
                    name: _wanted_part(file, name, node, fields)
                    for name, node in file.items()
                    if not name.startswith("#")
                }
        except (KeyError, OSError, RuntimeError) as error:
            raise ValueError(f"the MATLAB file is truncated or damaged ({error}); copy it again") from error
    with path.open("rb") as stream:
        header = stream.read(len(_HEADER))
    if header != _HEADER:
        raise ValueError(
            "this is no MATLAB file of version 5 or 7.3, or a truncated one; copy it again, or save it in MATLAB with "
            "the option -v7.3"
        )
    variables = _read_version_5(path)
    return {name: _pick(name, value, fields) for name, value in variables.items() if not name.startswith("__")}


def _wanted_part(file: Any, name: str, node: Any, fields: Collection[str]) -> Any:
    import h5py

    if isinstance(node, h5py.Group):
        return {field: _hdf5_value(file, child) if field in fields else None for field, child in node.items()}
    return _hdf5_value(file, node) if name in fields else None


def _hdf5_value(file: Any, node: Any, depth: int = 0) -> Any:
    import h5py

    if depth > _DEEPEST:
        raise ValueError(f"values stand within each other more than {_DEEPEST} times; the file is damaged")
    if isinstance(node, h5py.Group):
        return {name: _hdf5_value(file, child, depth + 1) for name, child in node.items()}
    matlab_class = node.attrs.get("MATLAB_class", b"")
    matlab_class = matlab_class.decode() if isinstance(matlab_class, bytes) else str(matlab_class)
    if node.attrs.get("MATLAB_empty", 0):
        return {"char": "", "cell": []}.get(matlab_class, np.empty((0, 0)))
    if h5py.check_ref_dtype(node.dtype) is not None:
        references = read_dataset(node).ravel()
        return [_hdf5_value(file, file[item], depth + 1) if item else np.empty((0, 0)) for item in references]
    values = np.atleast_2d(read_dataset(node).T)
    if matlab_class == "char" or (not matlab_class and values.dtype == np.uint16):
        return _text(["".join(map(chr, row)) for row in values])
    return values


def _read_version_5(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        check_version_5(path.read_bytes())
        with warnings.catch_warnings():
            # Sparse matrices are not among the fields that are read, whichever class scipy gives them.
            warnings.filterwarnings("ignore", "The default value for `spmatrix`", DeprecationWarning)
            return loadmat(path, appendmat=False)
    except (MatReadError, struct.error, OSError, IndexError, KeyError, TypeError, ValueError, zlib.error) as error:
        raise ValueError(f"the MATLAB file is truncated or damaged ({error}); copy it again") from error


def _pick(name: str, value: np.ndarray, fields: Collection[str]) -> Any:
    if value.dtype.names is None:
        return _version_5_value(value) if name in fields else None
    structs = [
        {field: _version_5_value(item[field]) if field in fields else None for field in value.dtype.names}
        for item in value.ravel("F")
    ]
    return structs[0] if len(structs) == 1 else structs


def _version_5_value(value: np.ndarray) -> Any:
    if value.dtype.names is not None:
        structs = [{field: _version_5_value(item[field]) for field in value.dtype.names} for item in value.ravel("F")]
        return structs[0] if len(structs) == 1 else structs
    if value.dtype.kind == "O":
        return [_version_5_value(item) for item in value.ravel("F")]
    if value.dtype.kind == "U":
        return _text(value.ravel().tolist())
    return value


def _text(rows: list[str]) -> str | list[str]:
    if len(rows) > 1:
        return [row.rstrip() for row in rows]
    return rows[0] if rows else ""


_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE = 1, 2, 3, 4, 5
_FUNCTION, _OPAQUE = 16, 17
_NUMBERS = range(6, 16)
_BYTES_OF_TYPE = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
_TEXT_TYPES = (1, 2, 4, 16, 17, 18)
_COMPLEX = 0x0800
_DEEPEST_ARRAYS = 50
_LONGEST_EXPANSION = 2000

_Element = tuple[int, bytes]


def check_version_5(content: bytes) -> None:
    """Refuse a file whose declared sizes contradict each other or its length.

    Parameters
    ----------
    content : bytes
        The whole file.

    Raises
    ------
    ValueError
        If they do.

    References
    ----------
    The MathWorks, "MAT-File Format", level 5.

    Examples
    --------
    >>> from io import BytesIO
    >>> from scipy.io import savemat
    >>> from skworm.datasets.matlab_v5 import check_version_5
    >>> file = BytesIO()
    >>> savemat(file, {"fps": 3.0})
    >>> check_version_5(file.getvalue())
    >>> check_version_5(file.getvalue()[:-4])
    Traceback (most recent call last):
    ValueError: an element of 56 bytes is declared, and 52 are left
    """
    order = {b"IM": "<", b"MI": ">"}.get(content[_HEADER_BYTES - 2 : _HEADER_BYTES])
    if order is None:
        raise ValueError("the header tells no order of bytes")
    for kind, data in _elements(content[_HEADER_BYTES:], order):
        if kind == _COMPRESSED:
            inside = zlib.decompressobj()
            data = inside.decompress(data, _LONGEST_EXPANSION * len(data) + 1)
            if not inside.eof:
                raise ValueError("a compressed element is cut off, or expands without end")
            elements = list(_elements(data, order))
            if len(elements) != 1:
                raise ValueError(f"a compressed element holds {len(elements)} elements, and one is expected")
            kind, data = elements[0]
        if kind == _MATRIX:
            _check_matrix(data, order, 0)


def _elements(data: bytes, order: str) -> Iterator[_Element]:
    """Yield the elements that follow each other, each its type and content."""
    place = 0
    while place < len(data):
        if len(data) - place < 8:
            raise ValueError(f"{len(data) - place} bytes are left, too few for an element")
        kind, size = struct.unpack_from(f"{order}II", data, place)
        if kind >> 16:
            kind, size, start, length = kind & 0xFFFF, kind >> 16, place + 4, 8
            if size > 4:
                raise ValueError(f"a small element of {size} bytes is declared, and 4 are the most")
        else:
            start = place + 8
            # All but the compressed elements are filled up to multiples of 8 bytes.
            length = 8 + (size if kind == _COMPRESSED else -(-size // 8) * 8)
        if start + size > len(data):
            raise ValueError(f"an element of {size} bytes is declared, and {len(data) - start} are left")
        yield kind, data[start : start + size]
        place += length


def _check_matrix(data: bytes, order: str, depth: int) -> None:
    if depth > _DEEPEST_ARRAYS:
        raise ValueError(f"arrays stand within each other more than {_DEEPEST_ARRAYS} times")
    elements = list(_elements(data, order))
    # An empty cell is a matrix of nothing.
    if not elements:
        return
    kinds = [kind for kind, _ in elements]
    flags = struct.unpack_from(f"{order}I", elements[0][1])[0] if len(elements[0][1]) == 8 else 0
    array_class = flags & 0xFF
    if array_class == _OPAQUE and kinds[:4] == [6, 1, 1, 1]:
        return
    dimensions = elements[1][1] if kinds[:2] == [6, 5] and len(elements) > 2 else b""
    if not dimensions or len(dimensions) % 4 or kinds[0] != 6 or kinds[2] not in (1, 2, 16):
        raise ValueError("an array has no flags, no dimensions or no name")
    shape = np.frombuffer(dimensions, f"{order}i4").tolist()
    if min(shape) < 0 or len(shape) < 2:
        raise ValueError(f"an array has the shape {tuple(shape)}")
    n_items = 1
    for length in shape:
        n_items *= length
    rest = elements[3:]
    if array_class in _NUMBERS:
        _check_numbers(rest, n_items, 2 if flags & _COMPLEX else 1)
    elif array_class == _CHAR:
        _check_text(rest, n_items)
    elif array_class == _CELL:
        _check_items(rest, n_items, order, depth)
    elif array_class == _STRUCT:
        _check_struct(rest, n_items, order, depth)
    elif array_class == _OBJECT and rest and rest[0][0] == 1:
        _check_struct(rest[1:], n_items, order, depth)
    elif array_class == _FUNCTION:
        _check_items(rest, 1, order, depth)
    elif array_class == _SPARSE:
        _check_sparse(rest, shape[1], order, 2 if flags & _COMPLEX else 1)
    else:
        raise ValueError(f"an array is of the class {array_class}; save plain arrays, structs and cells")


def _check_numbers(elements: list[_Element], n_items: int, n_parts: int) -> None:
    sizes = [len(data) / _BYTES_OF_TYPE[kind] if kind in _BYTES_OF_TYPE else -1 for kind, data in elements]
    if sizes != [n_items] * n_parts:
        raise ValueError(f"an array of {n_items} numbers holds {sizes}")


def _check_text(elements: list[_Element], n_items: int) -> None:
    if len(elements) > 1 or (n_items and not elements):
        raise ValueError(f"a text of {n_items} letters stands in {len(elements)} parts")
    for kind, data in elements:
        width = {1: 1, 2: 1, 4: 2, 17: 2, 18: 4}.get(kind)
        fits = len(data.decode("utf-8")) == n_items if width is None else len(data) == width * n_items
        if kind not in _TEXT_TYPES or not fits:
            raise ValueError(f"a text of {n_items} letters has {len(data)} bytes")


def _check_items(elements: list[_Element], n_items: int, order: str, depth: int) -> None:
    if len(elements) != n_items or any(kind != _MATRIX for kind, _ in elements):
        raise ValueError(f"an array of {n_items} cells or fields holds {len(elements)}")
    for _, data in elements:
        _check_matrix(data, order, depth + 1)


def _check_struct(elements: list[_Element], n_items: int, order: str, depth: int) -> None:
    if len(elements) < 2 or elements[0][0] != 5 or len(elements[0][1]) != 4 or elements[1][0] != 1:
        raise ValueError("a struct does not tell its fields")
    width = struct.unpack(f"{order}i", elements[0][1])[0]
    names = elements[1][1]
    if width < 1 or len(names) % width:
        raise ValueError(f"the names of a struct's fields have {len(names)} bytes, no multiple of {width}")
    _check_items(elements[2:], n_items * (len(names) // width), order, depth)


def _check_sparse(elements: list[_Element], n_columns: int, order: str, n_parts: int) -> None:
    if len(elements) != 2 + n_parts or any(kind != 5 or len(data) % 4 for kind, data in elements[:2]):
        raise ValueError("a sparse array has no rows or columns")
    rows, ends = (np.frombuffer(data, f"{order}i4") for _, data in elements[:2])
    if len(ends) != n_columns + 1 or ends[0] != 0 or (np.diff(ends) < 0).any() or ends[-1] > len(rows):
        raise ValueError("the columns of a sparse array do not fit its rows")
    for kind, data in elements[2:]:
        if len(data) < ends[-1] * _BYTES_OF_TYPE.get(kind, len(data) + 1):
            raise ValueError("a sparse array has fewer numbers than rows")
