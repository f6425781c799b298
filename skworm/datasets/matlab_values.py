"""Read MATLAB files of version 5 and 7.3 into plain Python values."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from skworm.datasets.hdf5 import read_dataset
from skworm.datasets.matlab_version_5 import check_version_5

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
    >>> from skworm.datasets.matlab_values import read_matlab_values
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
