"""Go through an HDF5 file as readers may, and print why it must not be read: hdf5_check.py PATH LIMIT SECONDS.

This runs in a process of its own, so it imports nothing of skworm.
"""

from __future__ import annotations

import math
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np

_LARGEST_ATTRIBUTE = 2**20
_MOST_MEMORY = 600 * 2**20
# A text may be as long as the file, so few are read at a time.
_AT_ONCE = 30
_DEFLATE, _MOST_OF_DEFLATE = 1, 1032


class RefusedError(ValueError):
    """What must not be read."""


def check_storage(node: Any, limit: int) -> None:
    """Raise an error where the values of an HDF5 data set lie in another file, or take more bytes than `limit`.

    The library unpacks a chunk whole, whatever size the data set declares.
    """
    if node.external or node.is_virtual:
        raise RefusedError(f"{node.name} keeps its values in other files; copy them into this one")
    if not node.chunks:
        return
    n_bytes = math.prod(node.chunks) * node.dtype.itemsize
    properties = node.id.get_create_plist()
    n_passes = [properties.get_filter(number)[0] for number in range(properties.get_nfilters())].count(_DEFLATE)
    suspects: list[tuple[int, ...]] = []

    def note(chunk: Any) -> None:
        if chunk.size * _MOST_OF_DEFLATE**n_passes > limit:
            suspects.append(chunk.chunk_offset)

    node.id.chunk_iter(note)
    is_bomb = n_bytes > limit or (bool(suspects) and n_passes > 1)
    for offset in () if is_bomb else suspects:
        packed = node.id.read_direct_chunk(offset)[1]
        is_bomb = is_bomb or len(zlib.decompressobj().decompress(packed, n_bytes + 1)) > n_bytes
    if is_bomb:
        raise RefusedError(f"{node.name} has chunks that unpack to more than the file holds; write it again")


def parts_of(node: Any) -> Iterator[tuple[np.ndarray, int]]:
    """Yield the values of an HDF5 data set of texts in small parts, each with its bytes."""
    for start in range(0, len(node) if node.ndim else 1, _AT_ONCE):
        part = np.asarray(node[start : start + _AT_ONCE] if node.ndim else node[()])
        yield part, sum(len(value) for value in part.flat if isinstance(value, bytes | str | np.ndarray))


def _check_file(path: str, limit: int, seconds: int) -> None:
    import h5py

    _limit_itself(seconds)
    try:
        file = h5py.File(path, "r")
    except OSError:
        # The reader cannot open it either, and says why.
        return
    with file:
        seen, waiting = {file.id}, [file]
        while waiting:
            node = waiting.pop()
            try:
                children = list(_children_of(node)) if isinstance(node, h5py.Group) else []
                _check_attributes(node)
                if isinstance(node, h5py.Dataset):
                    _check_dataset(node, limit)
            except RefusedError:
                raise
            # Damage here matters only to those who read this node.
            except Exception:
                children = []
            for child in children:
                if child.id not in seen:
                    seen.add(child.id)
                    waiting.append(child)


def _children_of(group: Any) -> Iterator[Any]:
    import h5py

    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise RefusedError(f"{group.name}/{name} is a link to the file {link.filename!r}; copy the data instead")
        if isinstance(link, h5py.HardLink):
            with suppress(LookupError, OSError, RuntimeError, ValueError):
                yield group[name]


def _check_attributes(node: Any) -> None:
    for name in node.attrs:
        attribute = node.attrs.get_id(name)
        if math.prod(attribute.shape or ()) * attribute.dtype.itemsize > _LARGEST_ATTRIBUTE:
            raise RefusedError(f"the attribute {name!r} of {node.name} declares the shape {attribute.shape}")
        node.attrs[name]


def _check_dataset(node: Any, limit: int) -> None:
    check_storage(node, limit)
    if node.dtype.hasobject and node.shape is not None and node.nbytes < limit:
        try:
            for _, n_bytes in parts_of(node):
                limit -= n_bytes
                if limit < 0:
                    return
        except (OSError, MemoryError) as error:
            # The length of a text can be damaged, and the library takes as much memory before it finds out.
            raise RefusedError(f"the texts of {node.name} are damaged; download the file again") from error


def _limit_itself(seconds: int) -> None:
    """Let this process compute no longer, and take little memory beyond what it has, where the system can tell."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        with open("/proc/self/statm", encoding="ascii") as file:
            taken = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + _MOST_MEMORY, taken + _MOST_MEMORY))


if __name__ == "__main__":
    try:
        _check_file(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    except RefusedError as refused:
        print(refused)
