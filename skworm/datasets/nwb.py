"""Read recordings from NWB files (Neurodata Without Borders), such as those of worms on DANDI."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skworm.datasets.conventions import (
    frame_rate,
    frames_first,
    one_name_each,
    states_of_reversals,
    translate_states,
)
from skworm.datasets.hdf5 import groups_below, open_hdf5, read_dataset, read_texts, text_of
from skworm.recording import STATES, UNKNOWN, Recording, is_neuron, neuron_name

_TRACES = ("RoiResponseSeries", "MicroscopyResponseSeries")
_REGIONS = ("rois", "table_region")
_CONTAINERS = ("BehavioralTimeSeries", "BehavioralEvents", "Position", "CompassDirection", "SpatialSeries")
_SERIES = ("TimeSeries", "SpatialSeries")
_STATE_COLUMNS = ("state", "states", "behavior", "behaviour", "behavioral_state", "label", "labels")
_MOST_COLUMNS = 3
_EVENTS = re.compile(r"(^|_)reversal_events$", re.IGNORECASE)
# Bouts that follow each other overlap by rounding; no frame is this short, in seconds.
_ROUNDING = 1e-6
_OF_ONE_NEURON = re.compile(r"^(.+?)_?(\d+)$")
_LABEL_COLUMNS = (
    *("id_labels", "id_label", "labels", "label", "neuron_name", "neuron_names", "neuron_id", "neuron_ids"),
    *("cell_name", "cell_names", "roi_name", "roi_names", "neuropal_ids", "roi_id", "names", "name"),
)


def read_nwb(path: Path, *, dataset: str, renamed: Collection[str] = ()) -> Recording:
    """Read one worm from an NWB file; `renamed` are names of states, beside those of skworm, that the user knows.

    Parts are found by their type, wherever they are in the file:

    - Traces: a ``RoiResponseSeries`` or ``MicroscopyResponseSeries``, one within ``DfOverF`` before one within
      ``Fluorescence``, and the one with more labelled neurons before another; or else one ``TimeSeries`` for each
      neuron, called ``traces_0`` and so on, with the name of the neuron at the end of its description.
    - Names: a text column such as ``ID_labels`` of the table that the series points to, or else of a table with as many
      rows, first in the same module. A label with a question mark, or that occurs twice, does not identify a neuron.
    - Behaviour: every ``TimeSeries`` of one to three columns within ``BehavioralTimeSeries``, ``Position`` and the
      like, interpolated at the frames; NaN outside of its time.
    - States: a ``TimeIntervals`` table with a column of states, such as ``state`` or ``label``, where an interval
      without an end lasts until the next one, or tables that are named after a state. Or else pairs of frames
      ``reversal_events``: the first of a reversal, and the one after its last.

    Values are multiplied by the ``conversion`` of their series, and its ``offset`` is added.

    References
    ----------
    Rubel et al. 2022, "The Neurodata Without Borders ecosystem for neurophysiological data science", eLife 11:e78362.
    Sprague et al. 2024, "Unifying community whole-brain imaging datasets enables robust neuron identification and
    reveals determinants of neuron position in C. elegans", Cell Reports Methods.
    """
    with open_hdf5(path) as file:
        groups = list(groups_below(file))
        candidates = [_Series(groups, node) for node in groups if _is_kind(node, *_TRACES)]
        best = [series for series in candidates if series.rank == max(other.rank for other in candidates)]
        if len(best) > 1:
            raise ValueError(
                f"several series could be meant: {[series.node.name for series in best]}; copy the one that is wanted "
                "into a file of its own, or into a CSV table"
            )
        if best:
            _warn_of_others(best[0], candidates)
        traces, time, labels, derivatives = best[0].read() if best else _traces_of_each_neuron(groups)
        subject = file.get("general/subject/subject_id")
        names = [] if subject is None else read_dataset(subject).ravel().tolist()
        name = (text_of(names[0]).strip() if len(names) == 1 else "") or path.stem
        behavior = _read_behavior(groups, time)
        return Recording(
            worm=name,
            traces=traces,
            neurons=tuple(one_name_each(name, labels)),
            fps=frame_rate(time),
            dataset=dataset,
            time=time - time[0],
            states=_read_states(groups, time, behavior.get("velocity"), renamed),
            derivatives=derivatives,
            behavior=behavior,
            source=str(path),
        )


_Found = tuple[np.ndarray, np.ndarray, list[str], np.ndarray | None]


class _Series:
    """A series of traces, with the labels of its neurons."""

    def __init__(self, groups: list[Any], node: Any) -> None:
        self.node = node
        shape = node["data"].shape
        region = next((name for name in _REGIONS if name in node), None)
        rois = None if region is None else read_dataset(node[region]).ravel()
        self.n_neurons = (1 if len(shape) < 2 else shape[-1]) if rois is None else len(rois)
        # Frames come first by the standard, and some files have them last.
        self.n_frames = shape[0] if len(shape) < 2 or shape[1] == self.n_neurons else shape[1]
        self.labels = self._labels(groups, rois, None if region is None else node[region].attrs.get("table"))
        # Higher for what is more likely meant.
        is_dff = _is_kind(node.parent, "DfOverF") or node.parent.name.endswith("/DfOverF")
        self.identified = {name for label in self.labels if is_neuron(name := neuron_name(label))}
        self.rank = is_dff, len(self.identified)

    def read(self) -> _Found:
        """Return traces, time and labels, and no derivatives."""
        time = _time_of_traces(self.node, self.n_frames)
        values = _values(self.node)
        values = values[:, np.newaxis] if values.ndim == 1 else values
        return frames_first(values, "traces", self.n_neurons, (len(time),)), time, self.labels, None

    def _labels(self, groups: list[Any], rois: np.ndarray | None, reference: Any) -> list[str]:
        if reference and rois is not None:
            column = _label_column(self.node.file[reference])
            if column is not None and len(rois) and rois.min() >= 0 and rois.max() < len(column):
                return [column[row] for row in rois]
        for places in (groups_below(self.node.parent.parent), groups):
            for node in places:
                column = _label_column(node)
                if column is not None and len(column) == self.n_neurons:
                    return column
        return [""] * self.n_neurons


def _warn_of_others(chosen: _Series, candidates: list[_Series]) -> None:
    for other in candidates:
        if lost := sorted(other.identified - chosen.identified):
            warnings.warn(
                f"the series {other.node.name} is not read, and with it {lost[:6]}: {chosen.node.name} has more names; "
                "write the traces of all planes into one series",
                stacklevel=2,
            )


def _traces_of_each_neuron(groups: list[Any]) -> _Found:
    """Return traces, time, labels and derivatives of a file with one series for each neuron."""
    families: dict[str, dict[int, Any]] = {}
    for node in groups:
        name = _OF_ONE_NEURON.match(node.name.rpartition("/")[2])
        if name and _is_kind(node, "TimeSeries") and "data" in node and node["data"].ndim == 1:
            families.setdefault(name[1].lower(), {})[int(name[2])] = node
    nodes = families.get("traces", families.get("trace", {}))
    if not nodes:
        raise ValueError(
            "there is no RoiResponseSeries, no MicroscopyResponseSeries and no series of single neurons called "
            "traces_0, traces_1 ..., so no calcium activity; the file may hold images alone: extract traces"
        )
    series = [nodes[number] for number in sorted(nodes)]
    time = _time_of_traces(series[0], len(series[0]["data"]))
    labels = [text_of(node.attrs.get("description", "")).rpartition(":")[2].strip() for node in series]
    traces, slopes = _columns(nodes), families.get("tracesdif", {})
    return traces, time, labels, _columns(slopes) if slopes.keys() == nodes.keys() else None


def _columns(nodes: dict[int, Any]) -> np.ndarray:
    series = [nodes[number] for number in sorted(nodes)]
    lengths = {len(node["data"]) for node in series}
    if len(lengths) > 1:
        raise ValueError(f"the series of single neurons have different lengths, {sorted(lengths)}; save one a frame")
    return np.column_stack([_values(node) for node in series])


def _values(series: Any) -> np.ndarray:
    """Return the values of a series in the unit that it names."""
    attributes = series["data"].attrs
    values = read_dataset(series["data"]).astype(float)
    conversion, offset = float(attributes.get("conversion", 1.0)), float(attributes.get("offset", 0.0))
    if not np.isfinite([conversion, offset]).all() or conversion == 0:
        raise ValueError(f"{series.name} has the conversion {conversion} and the offset {offset}; correct them")
    return values * conversion + offset


def _read_behavior(groups: list[Any], time: np.ndarray) -> dict[str, np.ndarray]:
    """Return behavioural signals by name, each interpolated at the frames; those of several columns are numbered."""
    signals = {}
    for node in _behavioral_series(groups):
        data = node["data"]
        name = node.name.rpartition("/")[2]
        if data.dtype.kind not in "iuf" or data.ndim not in (1, 2) or _EVENTS.search(name):
            continue
        values = _values(node).reshape(len(data), -1)
        if not 1 <= values.shape[1] <= _MOST_COLUMNS or not len(values):
            continue
        try:
            own_time = _times_of(node, len(values))
        except ValueError as error:
            warnings.warn(f"the signal {name!r} is left out: {error}", stacklevel=2)
            continue
        own_time = time if own_time is None else own_time
        if len(own_time) == len(values) and np.all(np.diff(own_time) > 0):
            for number, column in enumerate(values.T):
                whole = name if values.shape[1] == 1 else f"{name}_{number}"
                signals[whole] = np.interp(time, own_time, column, left=np.nan, right=np.nan)
    return signals


def _read_states(
    groups: list[Any], time: np.ndarray, velocity: np.ndarray | None, renamed: Collection[str]
) -> np.ndarray | None:
    """Return the state of every frame, as the file names it, or None where it has none."""
    tables = {table.name: _intervals(table) for table in groups if _is_kind(table, "TimeIntervals")}
    tables = {name: intervals for name, intervals in tables.items() if intervals}
    # A stimulus or an epoch has a label too; what names no state counts as one only where nothing else does.
    known = {name: own for name, own in tables.items() if _name_states({text for _, _, text in own}, renamed)}
    if chosen := known or tables:
        if left := sorted(set(tables) - set(chosen)):
            warnings.warn(f"the intervals {left} name no states that are known, and are not read", stacklevel=2)
        return _states_of([interval for own in chosen.values() for interval in own], time)
    for node in _behavioral_series(groups):
        if _EVENTS.search(node.name.rpartition("/")[2]):
            pairs = read_dataset(node["data"])
            return states_of_reversals(pairs if pairs.shape[-1] == 2 else pairs.T, len(time), velocity)
    return None


def _name_states(texts: set[str], renamed: Collection[str]) -> bool:
    known = set(STATES[:-1]).intersection(translate_states(list(texts)).tolist())
    return bool(known) or not texts.isdisjoint(renamed)


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
    for interval in intervals:
        if np.isnan(interval[0]):
            raise ValueError(f"the interval {interval} has no start; write it")
    states = np.array([state for _, _, state in intervals], dtype=object)
    # The interval that holds each frame.
    holder = np.full(len(time), -1)
    starts = np.array([*sorted(start for start, _, _ in intervals), np.inf])
    for number, (start, stop, state) in enumerate(intervals):
        # An interval that was still going on when it was written lasts until the next begins.
        end = starts[np.searchsorted(starts, start, "right")] if np.isnan(stop) else stop
        first, last = np.searchsorted(time, [start - _ROUNDING, end - _ROUNDING])
        within = slice(first, max(first, last))
        other = (holder[within] >= 0) & (states[holder[within]] != state)
        if other.any():
            frame = int(first + other.argmax())
            both = f"{states[holder[frame]]!r} and {state!r}"
            raise ValueError(f"frame {frame} is in the states {both} at once; correct the intervals")
        holder[within] = number
    return np.where(holder < 0, UNKNOWN, states[holder])


def _behavioral_series(groups: list[Any]) -> Iterator[Any]:
    for node in groups:
        if not _is_kind(node, *_SERIES) or "data" not in node:
            continue
        if _is_kind(node.parent, *_CONTAINERS) or "behav" in node.parent.name.lower():
            yield node


def _is_kind(node: Any, *kinds: str) -> bool:
    return text_of(node.attrs.get("neurodata_type", "")) in kinds


def _label_column(table: Any) -> list[str] | None:
    """Return the column of a table that labels its rows, or None where there is none.

    A column of several labels in each row, which a column ``<name>_index`` ends, gives those of one label; single
    characters are one label, written letter by letter.
    """
    names = {name.lower(): name for name in table}
    for name in (names[wanted] for wanted in _LABEL_COLUMNS if wanted in names):
        texts = read_texts(table[name])
        if texts is None:
            continue
        if f"{name}_index" not in table:
            return texts
        ends = read_dataset(table[f"{name}_index"]).astype(int).ravel()
        starts = np.append(0, ends[:-1])
        parts = [texts[start:end] for start, end in zip(starts, ends, strict=True)]
        return ["".join(part) if len(part) == 1 or all(len(text) == 1 for text in part) else "" for part in parts]
    return None


def _time_of_traces(series: Any, n_frames: int) -> np.ndarray:
    time = _times_of(series, n_frames)
    if time is None:
        raise ValueError(f"the series {series.name} has neither timestamps nor a starting time with its rate")
    return time


def _times_of(series: Any, n_frames: int) -> np.ndarray | None:
    """Return the seconds of every frame of a time series, or None where it does not have them."""
    if "timestamps" in series:
        times = read_dataset(series["timestamps"]).astype(float).ravel()
        if len(times) != n_frames:
            raise ValueError(
                f"the series {series.name} has {len(times)} timestamps for {n_frames} frames; nobody can tell which "
                "frames they belong to: write one for each frame"
            )
        return times
    if "starting_time" in series:
        start = series["starting_time"]
        rate = float(np.asarray(start.attrs.get("rate", np.nan)))
        if np.isfinite(rate) and rate > 0:
            return float(read_dataset(start)) + np.arange(n_frames) / rate
    return None
