"""Open and read HDF5 files that a stranger may have written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np

from skworm.datasets import hdf5_check
from skworm.datasets.conventions import check_expansion

# Seconds of computing that the check may take; by the clock it takes longer on a busy machine or a slow disk.
_PATIENCE, _LAST_BY_CLOCK = 15, 20
_OUT_OF_TIME = -getattr(signal, "SIGXCPU", 24)
# Bytes that an array costs beside its values.
_SMALLEST_COST = 128

_left: ContextVar[int] = ContextVar("bytes that may still be read from the open file")


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """Open an HDF5 file for reading, after a check in a process of its own.

    A damaged file can make the HDF5 library loop for ever, deaf to Ctrl-C, or end the interpreter. A child process,
    which takes 0.2 to 0.4 seconds, therefore goes through all groups, attributes, texts and indices of chunks first,
    and is ended after 15 seconds of computing. It reads no numbers, so that a file of many gigabytes takes no longer.
    A link to another file, or values that lie in one, are an error.
    """
    import h5py

    if not h5py.is_hdf5(path):
        raise ValueError("this is not an HDF5 file, or a truncated one; download it again")
    limit = check_expansion(0, path.stat().st_size)
    if problem := _problem_of(path, limit):
        raise ValueError(problem)
    with h5py.File(path, "r") as file:
        token = _left.set(limit)
        try:
            yield file
        finally:
            _left.reset(token)


def _problem_of(path: Path, limit: int) -> str:
    """Return why the file must not be read, or an empty text."""
    # The child finds h5py where this process did, and not the modules beside the script.
    own = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONIOENCODING": "utf-8:backslashreplace"}
    command = [sys.executable, "-P", hdf5_check.__file__, str(path.absolute()), str(limit), str(_PATIENCE)]
    endless = f"it is damaged: the HDF5 library finds no end within {_PATIENCE} seconds; download it again"
    clock = _LAST_BY_CLOCK * _PATIENCE
    try:
        child = subprocess.run(
            command, env=os.environ | own, stdin=subprocess.DEVNULL, capture_output=True, timeout=clock
        )
    except subprocess.TimeoutExpired:
        return endless
    if child.returncode == _OUT_OF_TIME:
        return endless
    if child.returncode:
        return (
            f"it is damaged: the HDF5 library breaks down ({text_of(child.stderr).strip()[-200:]!r}); download it again"
        )
    return text_of(child.stdout).strip()


def read_dataset(node: Any) -> np.ndarray:
    """Return the values of an HDF5 data set of a file that :func:`open_hdf5` opened.

    All that is read of a file together is bounded by its size.
    """
    import h5py

    if not isinstance(node, h5py.Dataset) or node.shape is None:
        raise ValueError(f"{node.name} holds no values; write them")
    hdf5_check.check_storage(node, _left.get())
    _spend(node, max(node.nbytes, _SMALLEST_COST))
    if not node.dtype.hasobject or node.ndim == 0 or len(node) == 0:
        return np.asarray(node[()])
    parts = []
    for part, n_bytes in hdf5_check.parts_of(node):
        _spend(node, n_bytes)
        parts.append(part)
    return np.concatenate(parts)


def _spend(node: Any, n_bytes: int) -> None:
    left = _left.get() - n_bytes
    if left < 0:
        raise ValueError(f"{node.name} declares the shape {node.shape}, more than the file holds; download it again")
    _left.set(left)


def groups_below(group: Any) -> Iterator[Any]:
    """Yield all groups below a group once, in the order of their names, without following links."""
    import h5py

    # In a damaged file a group can stand within itself, and visititems stops at damage that nobody reads.
    seen, waiting = set(), [group]
    while waiting:
        node = waiting.pop()
        if node.id in seen:
            continue
        seen.add(node.id)
        if node is not group:
            yield node
        children = [node[name] for name in node if isinstance(node.get(name, getlink=True), h5py.HardLink)]
        waiting += [child for child in reversed(children) if isinstance(child, h5py.Group)]


def read_texts(node: Any) -> list[str] | None:
    """Return the texts of a one-dimensional HDF5 data set, or None where `node` is something else."""
    import h5py

    if not isinstance(node, h5py.Dataset) or node.ndim != 1 or h5py.check_string_dtype(node.dtype) is None:
        return None
    return [text_of(value) for value in read_dataset(node)]


def text_of(value: Any) -> str:
    """Return a text of HDF5 as str."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
