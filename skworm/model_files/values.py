"""Python values as JSON and arrays, and back: a fixed set of types, none of which can run code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from skworm.model_files.container import ARRAY_DTYPES

_LONGEST_NAME = 1000
_FLOATS = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}


class Encoder:
    """Turn values into JSON; arrays go into ``arrays``.

    Parameters
    ----------
    encode_object : callable
        Encodes what is none of the plain types, or returns None.
    """

    def __init__(self, encode_object: Callable[[Encoder, Any, str], Any]) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self._encode_object = encode_object

    def __call__(self, value: Any, where: str) -> Any:
        """Encode a value; `where` names it in errors.

        Raises
        ------
        TypeError
            If a value has a type that a file cannot hold.
        """
        if value is None or isinstance(value, bool | str):
            return value if value is None or isinstance(value, bool) else str(value)
        if isinstance(value, float):
            number = float(value)
            return number if np.isfinite(number) else {"type": "float", "value": str(number)}
        if isinstance(value, int):
            return value
        if isinstance(value, np.generic):
            return {"type": "scalar", "value": self(np.asarray(value), where)}
        if isinstance(value, list | tuple):
            items = [self(item, f"{where}[{place}]") for place, item in enumerate(value)]
            return items if isinstance(value, list) else {"type": "tuple", "items": items}
        if isinstance(value, Mapping):
            pairs = [[self(key, f"a key of {where}"), self(item, f"{where}[{key!r}]")] for key, item in value.items()]
            return {"type": "dict", "items": pairs}
        return self._encode_table(value, where)

    def _encode_table(self, value: Any, where: str) -> Any:
        if isinstance(value, np.ndarray):
            return self._encode_array(value, where)
        if isinstance(value, pd.DataFrame):
            index, columns = (self._encode_index(axis, where) for axis in (value.index, value.columns))
            return {"type": "frame", "values": self(value.to_numpy(), where), "index": index, "columns": columns}
        if isinstance(value, pd.Series):
            index, name = self._encode_index(value.index, where), self(value.name, where)
            return {"type": "series", "values": self(value.to_numpy(), where), "index": index, "name": name}
        if isinstance(value, csr_array):
            parts = {name: self(getattr(value, name), f"{where}.{name}") for name in ("data", "indices", "indptr")}
            return {"type": "sparse", "shape": list(map(int, value.shape)), **parts}
        encoded = self._encode_object(self, value, where)
        if encoded is None:
            raise TypeError(f"{where} is a {type(value).__name__}, which a model file cannot hold")
        return encoded

    def _encode_array(self, array: np.ndarray, where: str) -> dict[str, Any]:
        if array.dtype.kind == "U" or (array.dtype == object and all(isinstance(item, str) for item in array.ravel())):
            kind = "object" if array.dtype == object else array.dtype.itemsize // 4
            return {"type": "names", "width": kind, "shape": list(array.shape), "items": list(map(str, array.ravel()))}
        if array.dtype.kind == "c":
            parts = np.ascontiguousarray(array, dtype=np.complex128).view(np.float64)
            return {"type": "complex", "fortran": _is_fortran(array), "parts": self(parts, where)}
        if str(array.dtype) not in ARRAY_DTYPES:
            raise TypeError(f"{where} is an array of {array.dtype}, which a model file cannot hold")
        name = f"array_{len(self.arrays)}"
        self.arrays[name] = np.ascontiguousarray(array).reshape(array.shape)
        # Sums over an array round differently in another memory order.
        return {"type": "array", "name": name, "fortran": _is_fortran(array)}

    def _encode_index(self, index: pd.Index, where: str) -> dict[str, Any]:
        if index.nlevels > 1:
            raise TypeError(f"{where} has an index of several levels, which a model file cannot hold")
        labels = index.to_numpy(dtype=object) if index.dtype.kind not in "iufb" else index.to_numpy()
        return {"name": self(index.name, where), "labels": self(labels, where)}


class Decoder:
    """Turn JSON back into values.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Arrays of the file.
    decode_object : callable
        Decodes the types of :class:`Encoder`'s `encode_object`.
    """

    def __init__(
        self, arrays: Mapping[str, np.ndarray], decode_object: Callable[[Decoder, Mapping[str, Any]], Any]
    ) -> None:
        self.arrays = arrays
        self._decode_object = decode_object

    def __call__(self, value: Any) -> Any:
        """Decode a value.

        Raises
        ------
        ValueError, TypeError, KeyError
            If the JSON is not what :class:`Encoder` writes.
        """
        if isinstance(value, list):
            return [self(item) for item in value]
        if not isinstance(value, dict):
            return value
        decoders: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "float": lambda part: _FLOATS[part["value"]],
            "scalar": lambda part: self.array(part["value"])[()],
            "tuple": lambda part: tuple(self(part["items"])),
            "dict": lambda part: {self(key): self(item) for key, item in part["items"]},
            "names": _decode_names,
            "array": self._decode_array,
            "complex": self._decode_complex,
            "frame": self._decode_frame,
            "series": self._decode_series,
            "sparse": self._decode_sparse,
        }
        decode = decoders.get(value.get("type", ""))
        return self._decode_object(self, value) if decode is None else decode(value)

    def array(self, value: Any) -> np.ndarray:
        """Decode a value that has to be an array."""
        array = self(value)
        if not isinstance(array, np.ndarray):
            raise TypeError(f"an array is expected, not a {type(array).__name__}")
        return array

    def _decode_array(self, part: Mapping[str, Any]) -> np.ndarray:
        array = np.array(self.arrays[part["name"]])
        return np.asfortranarray(array) if part["fortran"] else array

    def _decode_complex(self, part: Mapping[str, Any]) -> np.ndarray:
        array = np.ascontiguousarray(self.array(part["parts"]), dtype=np.float64).view(np.complex128)
        return np.asfortranarray(array) if part["fortran"] else array

    def _decode_frame(self, part: Mapping[str, Any]) -> pd.DataFrame:
        return pd.DataFrame(
            self.array(part["values"]),
            index=self._decode_index(part["index"]),
            columns=self._decode_index(part["columns"]),
        )

    def _decode_series(self, part: Mapping[str, Any]) -> pd.Series:
        index = self._decode_index(part["index"])
        return pd.Series(self.array(part["values"]), index=index, name=self(part["name"]))

    def _decode_index(self, part: Mapping[str, Any]) -> pd.Index:
        return pd.Index(self.array(part["labels"]), name=self(part["name"])).infer_objects()

    def _decode_sparse(self, part: Mapping[str, Any]) -> csr_array:
        parts = (self.array(part[name]) for name in ("data", "indices", "indptr"))
        rows, columns = map(int, part["shape"])
        table = csr_array(tuple(parts), shape=(rows, columns))
        table.check_format(full_check=True)
        return table


def _is_fortran(array: np.ndarray) -> bool:
    return bool(array.flags.f_contiguous and not array.flags.c_contiguous)


def _decode_names(part: Mapping[str, Any]) -> np.ndarray:
    width, items = part["width"], part["items"]
    if not all(isinstance(item, str) for item in items):
        raise TypeError("a list of names holds something else")
    if width != "object" and not (isinstance(width, int) and max(map(len, items), default=0) <= width <= _LONGEST_NAME):
        raise ValueError(f"names of {width!r} letters are not expected")
    return np.array(items, dtype=object if width == "object" else f"<U{width}").reshape(part["shape"])
