"""One file of named arrays and one JSON document, with a checksum over both."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_KEY = "skworm"
_VERSION = "1"
ARRAY_DTYPES = ("float64", "float32", "int64", "int32", "bool")
_AGAIN = "copy it again from where it came, or save the model anew"


def write_container(path: Path, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a document and arrays as a safetensors file, under a temporary name that is moved when whole.

    Parameters
    ----------
    path : pathlib.Path
        Where to write.
    document : mapping
        What JSON can hold.
    arrays : mapping of str to ndarray
        Numbers.
    """
    from safetensors.numpy import save

    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    # One entry, since safetensors writes several in any order: the same model makes the same file.
    content = save(dict(arrays), metadata={_KEY: f"{_VERSION} {_digest(text, arrays)} {text}"})
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_container(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read the document and the arrays of a file.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    document : dict
        What JSON held.
    arrays : dict of ndarray
        Arrays by name.

    Raises
    ------
    ValueError
        If the file has another format, is damaged, or its checksum is wrong.
    """
    metadata, arrays = _read_safetensors(path)
    parts = metadata.get(_KEY, "").split(" ", 2)
    if len(parts) != 3:
        raise ValueError("this is a safetensors file, but not of a skworm model; write one with skworm.save")
    layout, checksum, text = parts
    if layout != _VERSION:
        raise ValueError(
            f"the file has the layout {layout!r}, and this skworm reads {_VERSION!r}; install a newer skworm"
        )
    if checksum != _digest(text, arrays):
        raise ValueError(f"the checksum does not fit the content, so the file is damaged; {_AGAIN}")
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the description of the model is no JSON that can be read ({error}); {_AGAIN}") from error
    if not isinstance(document, dict):
        raise ValueError(f"the description of the model is a {type(document).__name__}, not an object; {_AGAIN}")
    return document, arrays


def _read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            # Shapes are checked against the length of the file before anything is allocated.
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dict
            metadata = file.metadata() or {}
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError, UnicodeDecodeError, TypeError, AttributeError, KeyError, ValueError) as error:
        raise ValueError(f"this is no whole model file of skworm ({error}); {_AGAIN}") from error
    strange = {name: str(array.dtype) for name, array in arrays.items() if str(array.dtype) not in ARRAY_DTYPES}
    if strange:
        raise ValueError(f"the file holds arrays of the types {strange}, and {', '.join(ARRAY_DTYPES)} are expected")
    return metadata, arrays


def _digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\0{name}\0{array.dtype}\0{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
