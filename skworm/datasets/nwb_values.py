"""Values in an NWB file: types, numbers, text, times, labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from skworm.datasets.hdf5 import read_dataset

_LABEL_COLUMNS = (
    *("ID_labels", "ID_label", "labels", "label", "neuron_name", "neuron_names", "neuron_id", "neuron_ids"),
    *("cell_name", "cell_names", "roi_name", "roi_names", "ROI_ID", "names", "name"),
)


def is_kind(node: Any, *kinds: str) -> bool:
    """Tell whether a group has one of these types."""
    return text_of(node.attrs.get("neurodata_type", "")) in kinds


def text_of(value: Any) -> str:
    """Decode text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def read_text(node: Any) -> str:
    """Read a scalar of text."""
    values = read_dataset(node)
    return text_of(values.item()) if values.size == 1 else ""


def read_texts(node: Any) -> list[str] | None:
    """Read a column of text, or None where it holds something else."""
    import h5py

    if not isinstance(node, h5py.Dataset) or node.ndim != 1 or h5py.check_string_dtype(node.dtype) is None:
        return None
    return [text_of(value) for value in read_dataset(node)]


def label_column(table: Any) -> list[str] | None:
    """Read the column of a table that labels its rows, or None where there is none.

    A column of several labels a row, told by a column ``<name>_index``, gives those of one label.
    """
    names = {name.lower(): name for name in table}
    for wanted in _LABEL_COLUMNS:
        name = names.get(wanted.lower())
        texts = None if name is None else read_texts(table[name])
        if texts is None:
            continue
        if f"{name}_index" not in table:
            return texts
        ends = read_dataset(table[f"{name}_index"]).astype(int).ravel()
        starts = np.append(0, ends[:-1])
        parts = [texts[start:end] for start, end in zip(starts, ends, strict=True)]
        return [part[0] if len(part) == 1 else "" for part in parts]
    return None


def times_of(series: Any, n_frames: int) -> np.ndarray | None:
    """Tell the seconds of every frame of a time series, or None where it does not."""
    if "timestamps" in series:
        times = read_dataset(series["timestamps"]).astype(float).ravel()
        return times if len(times) == n_frames else None
    if "starting_time" in series:
        start = series["starting_time"]
        rate = float(np.asarray(start.attrs.get("rate", np.nan)))
        if np.isfinite(rate) and rate > 0:
            return float(read_dataset(start)) + np.arange(n_frames) / rate
    return None


def groups_below(node: Any, seen: set[Any] | None = None) -> Iterator[Any]:
    """Yield all groups below a group once, in the order of their names; links are not followed."""
    import h5py

    # In a damaged file a group can stand within itself.
    seen = set() if seen is None else seen
    for name in node:
        if isinstance(node.get(name, getlink=True), h5py.HardLink):
            child = node[name]
            if isinstance(child, h5py.Group) and child.id not in seen:
                seen.add(child.id)
                yield child
                yield from groups_below(child, seen)
