"""Behaviour and its states in an NWB file, at the frames of the calcium activity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from skworm.datasets.conventions import translate_states
from skworm.datasets.hdf5 import read_dataset
from skworm.datasets.nwb_values import groups_below, is_kind, read_texts, times_of
from skworm.recording import STATES, UNKNOWN

_CONTAINERS = ("BehavioralTimeSeries", "BehavioralEvents", "Position", "CompassDirection", "SpatialSeries")
_SERIES = ("TimeSeries", "SpatialSeries", "AnnotationSeries")
_STATE_COLUMNS = ("state", "states", "behavior", "behaviour", "behavioral_state", "label", "labels")
_MOST_COLUMNS = 3


def read_behavior(file: Any, time: np.ndarray) -> dict[str, np.ndarray]:
    """Read behavioural signals, each interpolated at the frames; NaN outside of its time.

    Parameters
    ----------
    file : h5py.File
        The file.
    time : numpy.ndarray of shape (n_frames,)
        Seconds of the frames.

    Returns
    -------
    dict of numpy.ndarray of shape (n_frames,)
        Signals by name; those of several columns are numbered.
    """
    signals = {}
    for node in _series(file):
        data = node["data"]
        if data.dtype.kind not in "iuf" or data.ndim not in (1, 2):
            continue
        values = read_dataset(data).astype(float).reshape(len(data), -1)
        if not 1 <= values.shape[1] <= _MOST_COLUMNS or not len(values):
            continue
        own_time = times_of(node, len(values))
        if own_time is None:
            own_time = time if len(values) == len(time) else None
        if own_time is None or not np.all(np.diff(own_time) > 0):
            continue
        name = node.name.rpartition("/")[2]
        for number, column in enumerate(values.T):
            whole = name if values.shape[1] == 1 else f"{name}_{number}"
            signals[whole] = np.interp(time, own_time, column, left=np.nan, right=np.nan)
    return signals


def read_states(file: Any, time: np.ndarray) -> np.ndarray | None:
    """Read the state of every frame, or None where the file tells none.

    Parameters
    ----------
    file : h5py.File
        The file.
    time : numpy.ndarray of shape (n_frames,)
        Seconds of the frames.

    Returns
    -------
    numpy.ndarray of str, shape (n_frames,), or None
        Names as in the file.

    Raises
    ------
    ValueError
        If two intervals give a frame two states.
    """
    intervals = [
        interval for table in groups_below(file) if is_kind(table, "TimeIntervals") for interval in _intervals(table)
    ]
    if intervals:
        return _states_of(intervals, time)
    for node in _series(file):
        texts = read_texts(node["data"])
        own_time = None if texts is None else times_of(node, len(texts))
        if texts is None or (own_time is None and len(texts) != len(time)):
            continue
        if own_time is None:
            return np.array(texts, dtype=str)
        place = np.searchsorted(own_time, time, "right") - 1
        return np.where(place >= 0, np.array(texts, dtype=str)[np.maximum(place, 0)], UNKNOWN)
    return None


def _intervals(table: Any) -> list[tuple[float, float, str]]:
    if "start_time" not in table or "stop_time" not in table:
        return []
    starts, stops = (read_dataset(table[name]).astype(float).ravel() for name in ("start_time", "stop_time"))
    texts = next((found for name in _STATE_COLUMNS if name in table and (found := read_texts(table[name]))), None)
    if texts is None:
        (name,) = translate_states([table.name.rpartition("/")[2]]).tolist()
        if name not in STATES:
            return []
        texts = [name] * len(starts)
    return list(zip(starts.tolist(), stops.tolist(), texts, strict=True))


def _states_of(intervals: list[tuple[float, float, str]], time: np.ndarray) -> np.ndarray:
    names = np.array([UNKNOWN, *dict.fromkeys(state for _, _, state in intervals)])
    codes = np.zeros(len(time), dtype=int)
    code_of = {name: code for code, name in enumerate(names.tolist())}
    for start, stop, state in intervals:
        within = (time >= start) & (time < stop)
        other = within & (codes > 0) & (codes != code_of[state])
        if other.any():
            frame = int(np.flatnonzero(other)[0])
            raise ValueError(
                f"frame {frame} is in the states {names[codes[frame]]!r} and {state!r} at once; correct the intervals"
            )
        codes[within] = code_of[state]
    return names[codes]


def _series(file: Any) -> Iterator[Any]:
    """Yield time series of behaviour."""
    for node in groups_below(file):
        within = is_kind(node.parent, *_CONTAINERS) or "behav" in node.parent.name.lower()
        if within and is_kind(node, *_SERIES) and "data" in node:
            yield node
