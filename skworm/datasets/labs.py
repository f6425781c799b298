"""Read recordings of WormWideWeb, JSON and HDF5 files of Atanas et al. 2023 and Dag et al. 2023."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from skworm.datasets.conventions import frame_rate, one_name_each, states_of_reversals
from skworm.datasets.hdf5 import open_hdf5, read_dataset
from skworm.recording import Recording

KEYS = ("trace_original", "trace_array_original", "trace_array")
"""Fields that hold traces, the one that is preferred first."""

_BEHAVIOR = (
    *("velocity", "head_curvature", "head_angle", "angular_velocity", "body_curvature", "worm_curvature"),
    *("nose_curling", "pumping"),
)
# Volumes of a whole head take longer than this many seconds, and less than this many minutes.
_SECONDS_OR_MINUTES = 0.05


def read_wormwideweb(
    path: Path, *, dataset: str, fps: float | None = None, neuron_names: Mapping[str, Any] | None = None
) -> Recording:
    """Read one worm from a JSON file of WormWideWeb, or from an HDF5 file of the laboratory behind it.

    ==============================================  ======================================================
    ``trace_original``, ``trace_array_original``    traces, a list for each neuron; of ``trace_array``, which
    or ``trace_array``                              is z-scored, where there is no other
    ``labeled``, ``label``                          for each identified neuron its number and its ``label``
    ``timestamp_confocal``                          seconds, one for each frame; further ones are left out
    ``avg_timestep``, ``mean_timestep``             time of a frame, where time stamps are absent: minutes, or
                                                    seconds where it is 0.05 or more
    ``velocity``, ``head_curvature`` and others     behaviour, one value for each frame
    ``reversal_vec``                                1 in each frame of a reversal
    ``reversal_events``, or ``events``: reversal    of each reversal the first frame, counted from 0, and the
                                                    one after its last
    ==============================================  ======================================================

    These fields stand at the top of a JSON file or in its ``metadata``, ``timing``, ``behavior`` and ``gcamp``; an HDF5
    file has them in groups of the same names.

    - Neurons are counted from 1 unless a 0 occurs among them. A label with a question mark, or one that occurs twice,
      does not identify a neuron; labels that are numbered beyond the traces identify none.
    - Outside of reversals a frame is forward where the velocity is positive, and otherwise unknown.

    References
    ----------
    Dag et al. 2023, "Dissecting the functional organization of the C. elegans serotonergic system at whole-brain
    scale", Cell 186, 2574-2592.
    Atanas et al. 2023, "Brain-wide representations of behavior spanning multiple timescales and states in C. elegans",
    Cell 186, 4134-4151.
    """
    content = _read_hdf5(path) if path.suffix.lower() == ".h5" else _read_json(path)
    name = str(content.get("uid") or path.stem.removesuffix("-data"))
    field = next((key for key in KEYS if len(content.get(key, ()))), None)
    if field is None:
        raise ValueError(
            f"there are no traces: one of the fields {KEYS} is expected, as in the files of WormWideWeb, and there are "
            f"{sorted(content)[:12]}; export the traces as a CSV table with one row a frame"
        )
    traces = _traces(content, field)
    n_frames, n_neurons = traces.shape
    time = _of_frames(content, "timestamp_confocal", n_frames, more=True)
    behavior = _behavior(content, n_frames)
    labels = content.get("labeled")
    if labels is None and neuron_names is not None:
        labels = neuron_names.get(name, {})
        if name not in neuron_names:
            warnings.warn(
                f"worm {name!r}: neuron_names has no entry {name!r}, so none of its neurons is identified; it has "
                f"{sorted(map(str, neuron_names))[:5]}",
                stacklevel=3,
            )
    if labels is None:
        warnings.warn(
            f"worm {name!r}: the file has no names of neurons, so none is identified; pass neuron_names=... if they "
            "are known",
            stacklevel=3,
        )
    return Recording(
        worm=name,
        traces=traces,
        neurons=tuple(one_name_each(name, _labels(name, labels, n_neurons))),
        fps=_rate(content, time, fps),
        dataset=dataset,
        time=None if time is None else time - time[0],  # type: ignore[arg-type]  # filled from fps
        states=_states(content, n_frames, behavior.get("velocity")),
        behavior=behavior,
        source=str(path),
    )


def read_neuron_names(names: Mapping[str, Any] | str | os.PathLike[str] | None) -> Mapping[str, Any] | None:
    """Return the names of neurons of each recording, from a mapping or a JSON file of it."""
    if names is None or isinstance(names, Mapping):
        return names
    path = Path(names).expanduser()
    try:
        content = _load(path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not all(isinstance(entry, dict) for entry in content.values()):
        raise ValueError(f"{path} holds no mapping of names for each recording; write {{recording: {{1: name}}}}")
    return content


def _traces(content: Mapping[str, Any], field: str) -> np.ndarray:
    matrix = _numbers(content[field], field, n_dimensions=2)
    if content.get("frames_first"):
        return matrix
    per_frame = (content.get(name) for name in ("velocity", "timestamp_confocal"))
    n_frames = content.get("max_t", next((len(values) for values in per_frame if values is not None), None))
    n_neurons = content.get("num_neurons", content.get("n_neuron"))
    n_neurons = len(matrix) if n_neurons is None else n_neurons
    if len(matrix) != n_neurons or n_frames not in (None, matrix.shape[1]):
        raise ValueError(
            f"{field} has {len(matrix)} lists of {matrix.shape[1]} values, for {n_neurons} neurons and {n_frames} "
            "frames; write a list for each neuron, of a value for each frame"
        )
    return matrix.T


def _read_json(path: Path) -> dict[str, Any]:
    content = _load(path)
    if "gcamp" not in content:
        return content
    flat: dict[str, Any] = {"labeled": content.get("label")}
    for part in ("metadata", "timing", "behavior", "gcamp"):
        fields = content.get(part, {})
        if not isinstance(fields, dict):
            raise ValueError(f"{part!r} is expected to be a JSON object")
        flat |= fields
    return flat | {"avg_timestep": flat.get("mean_timestep")}


def _read_hdf5(path: Path) -> dict[str, Any]:
    wanted = {"timing": ("timestamp_confocal",), "behavior": (*_BEHAVIOR, "reversal_vec"), "gcamp": KEYS}
    with open_hdf5(path) as file:
        if "gcamp" not in file:
            raise ValueError(
                f"the groups {sorted(file)[:12]} are not those of a layout that is known, gcamp, timing and behavior; "
                "export the traces as a CSV table with one row a frame"
            )
        places = {name: f"{part}/{name}" for part, names in wanted.items() for name in names}
        found = {name: read_dataset(file[place]) for name, place in places.items() if place in file}
    return found | {"frames_first": True}


def _load(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"the file holds a JSON {type(content).__name__}, and the object of one worm is expected")
    return content


def _numbers(values: Any, field: str, n_dimensions: int = 1) -> np.ndarray:
    try:
        array = np.array(values, dtype=float)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{field} holds something other than lists of numbers of one length ({error})") from error
    if array.ndim != n_dimensions or 0 in array.shape:
        raise ValueError(f"{field} has the shape {array.shape}, and {n_dimensions} dimensions are expected")
    return array


def _of_frames(content: Mapping[str, Any], field: str, n_frames: int, *, more: bool = False) -> np.ndarray | None:
    """Return the value of each frame, of a field that may hold `more`, or None where it is absent or empty."""
    if content.get(field) is None or not len(content[field]):
        return None
    values = _numbers(content[field], field)
    if len(values) < n_frames or (len(values) > n_frames and not more):
        raise ValueError(f"{field} has {len(values)} values for {n_frames} frames; write one for each")
    return values[:n_frames]


def _rate(content: Mapping[str, Any], time: np.ndarray | None, fps: float | None) -> float:
    if time is not None:
        return frame_rate(time)
    step = content.get("avg_timestep")
    if step is None:
        if fps is None:
            raise ValueError(
                "there is neither 'timestamp_confocal' nor 'avg_timestep'; pass fps=... in frames a second"
            )
        return fps
    if isinstance(step, bool) or not isinstance(step, int | float) or not step > 0:
        raise ValueError(f"avg_timestep={step!r} is expected to be a positive number")
    return 1 / (step if step >= _SECONDS_OR_MINUTES else 60 * step)


def _labels(worm: str, labeled: Any, n_neurons: int) -> list[str]:
    try:
        entries = {
            int(number): str(entry["label"] if isinstance(entry, dict) else entry)
            for number, entry in ({} if labeled is None else labeled).items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"the labels are expected to map the number of each identified neuron to its 'label' ({error})"
        ) from error
    first = 0 if 0 in entries else 1
    if not all(first <= number < first + n_neurons for number in entries):
        warnings.warn(
            f"worm {worm!r}: labels are numbered up to {max(entries)}, and there are {n_neurons} traces, so that the "
            "numbers mean something else; no neuron counts as identified",
            stacklevel=3,
        )
        entries = {}
    return [entries.get(number, "") for number in range(first, first + n_neurons)]


def _behavior(content: Mapping[str, Any], n_frames: int) -> dict[str, np.ndarray]:
    inner = content.get("behavior")
    fields = {**content, **(inner if isinstance(inner, Mapping) else {})}
    signals = {name: _of_frames(fields, name, n_frames) for name in _BEHAVIOR}
    return {name: values for name, values in signals.items() if values is not None and np.isfinite(values).any()}


def _states(content: Mapping[str, Any], n_frames: int, velocity: np.ndarray | None) -> np.ndarray | None:
    reverse = _of_frames(content, "reversal_vec", n_frames)
    events = content.get("reversal_events")
    if events is None and isinstance(content.get("events"), dict):
        events = content["events"].get("reversal", content["events"].get("reversal_events"))
    if reverse is not None:
        frames = np.flatnonzero(reverse == 1)
        pairs: np.ndarray = np.column_stack([frames, frames + 1])
    elif events is None:
        return None
    else:
        pairs = _numbers(events, "reversal_events", n_dimensions=2) if events else np.empty((0, 2))
    return states_of_reversals(pairs, n_frames, velocity)
