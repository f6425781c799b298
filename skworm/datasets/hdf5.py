"""Open and read HDF5 files, never more of them than their size makes likely."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np

from skworm.datasets.conventions import check_expansion

# What an array costs beside its values, in bytes: it takes as long to read as a kilobyte.
_SMALLEST_COST = 1024
# A text may be as long as the file, so few are read at a time.
_TEXTS_AT_ONCE = 30
# How many times as long as before a text of zlib becomes, at the most.
_MOST_OF_ZLIB = 1032

_left: ContextVar[int] = ContextVar("bytes that may still be read from the open file")
_opened: ContextVar[str] = ContextVar("name of the open file")


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """Open an HDF5 file for reading; all that :func:`read_dataset` reads of it together is bounded by its size."""
    import h5py

    if not h5py.is_hdf5(path):
        raise ValueError("this is not an HDF5 file, or a truncated one; download it again")
    with h5py.File(path, "r") as file:
        tokens = _left.set(check_expansion(0, path.stat().st_size)), _opened.set(file.filename)
        try:
            yield file
        finally:
            _left.reset(tokens[0])
            _opened.reset(tokens[1])


def read_dataset(node: Any) -> np.ndarray:
    """Return the values of an HDF5 data set of a file that :func:`open_hdf5` opened."""
    import h5py

    if not isinstance(node, h5py.Dataset) or node.shape is None:
        raise ValueError(f"{node.name} holds no values; write them")
    if node.external or node.is_virtual or node.file.filename != _opened.get():
        # Where the other file is absent, the values would be zeros.
        raise ValueError(f"{node.name} keeps its values in other files; copy them into this one")
    spend(node, max(node.nbytes, _SMALLEST_COST))
    if node.chunks:
        _check_chunks(node)
    if not node.dtype.hasobject or node.ndim == 0 or len(node) == 0:
        return np.asarray(node[()])
    parts = []
    for start in range(0, len(node), _TEXTS_AT_ONCE):
        part = np.asarray(node[start : start + _TEXTS_AT_ONCE])
        spend(node, sum(len(text) for text in part.flat if isinstance(text, bytes | str | np.ndarray)))
        parts.append(part)
    return np.concatenate(parts)


def spend(node: Any, n_bytes: int = _SMALLEST_COST) -> None:
    """Raise ValueError where, with a node, more is read than the open file is likely to hold."""
    left = _left.get() - n_bytes
    if left < 0:
        shape = f"declares the shape {node.shape}" if hasattr(node, "shape") else "leads to values"
        raise ValueError(f"{node.name} {shape}, more than the file holds; download it again")
    _left.set(left)


def _check_chunks(node: Any) -> None:
    """Raise ValueError where a chunk unpacks to more than it declares: the library unpacks it whole."""
    import h5py

    n_bytes, filters = math.prod(node.chunks) * node.dtype.itemsize, node.id.get_create_plist()
    kinds = [filters.get_filter(number)[0] for number in range(filters.get_nfilters())]
    suspects: list[tuple[int, ...]] = []

    def note(chunk: Any) -> None:
        if chunk.size * _MOST_OF_ZLIB > _left.get():
            suspects.append(chunk.chunk_offset)

    if h5py.h5z.FILTER_DEFLATE in kinds:
        node.id.chunk_iter(note)
    is_bomb = n_bytes > _left.get() or kinds.count(h5py.h5z.FILTER_DEFLATE) > 1
    for offset in () if is_bomb else suspects:
        packed = node.id.read_direct_chunk(offset)[1]
        is_bomb = is_bomb or len(zlib.decompressobj().decompress(packed, n_bytes + 1)) > n_bytes
    if is_bomb:
        raise ValueError(f"{node.name} has chunks that unpack to more than the file holds; write it again")


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
