"""Read recordings of WormWideWeb, the JSON files of Atanas et al. 2023."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from skworm.datasets.conventions import frame_rate, frames_first, one_name_each
from skworm.recording import UNKNOWN, Recording

KEYS = ("trace_original", "trace_array")
"""Fields that hold traces, the one that is preferred first."""

_BEHAVIOR = ("velocity", "head_curvature", "head_angle", "angular_velocity", "body_curvature", "pumping")
# Volumes of a whole head take longer than this many seconds, and less than this many minutes.
_SECONDS_OR_MINUTES = 0.05


def read_wormwideweb(path: Path, *, dataset: str, fps: float | None = None) -> Recording:
    """Read one worm from a JSON file of WormWideWeb.

    ==============================================  ======================================================
    ``trace_original`` or ``trace_array``           traces, a list a neuron; the second are z-scored
    ``labeled``                                     for each identified neuron its number and its ``label``
    ``timestamp_confocal``                          seconds, one a frame
    ``avg_timestep``                                a frame's time, where time stamps are absent: minutes, or
                                                    seconds where it is 0.05 or more
    ``velocity``, ``head_curvature`` and others     behaviour, one value a frame
    ``reversal_events``, or ``events``: reversal    first and last frame of each reversal
    ==============================================  ======================================================

    - Neurons and frames are counted from 1, as the authors do, unless a 0 occurs among them.
    - A label with a question mark, or one that occurs twice, does not identify a neuron.
    - The files name reversals and no other states. Outside of them a frame is forward where the velocity is positive,
      and otherwise unknown.

    It was tested on files that were written after the public descriptions of the format.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    dataset : str
        Data set of the recording.
    fps : float, optional
        Frames a second, where the file tells neither time stamps nor a time step.

    Returns
    -------
    Recording
        The worm, named by the field ``uid``, else after the file.

    Raises
    ------
    ValueError
        If the file is not JSON, has no traces, or its fields do not fit together.

    References
    ----------
    Atanas et al. 2023, "Brain-wide representations of behavior spanning multiple timescales and states in C. elegans",
    Cell 186, 4134-4151.

    Examples
    --------
    >>> import json
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from skworm.datasets.labs import read_wormwideweb
    >>> worm = {"trace_array": [[0.0, 1.0, 0.5], [1.0, 0.0, 0.2]], "labeled": {"2": {"label": "AVAL"}}}
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "2022-06-14-01.json")
    ...     _ = path.write_text(json.dumps(worm | {"avg_timestep": 0.01, "velocity": [0.1, 0.1, -0.1]}))
    ...     read_wormwideweb(path, dataset="mine").neurons
    ('1', 'AVAL')
    """
    content = _load(path)
    name = str(content.get("uid") or path.stem)
    field = next((key for key in KEYS if isinstance(content.get(key), list) and content[key]), None)
    if field is None:
        raise ValueError(
            f"there are no traces: one of the fields {KEYS} is expected, as in the files of WormWideWeb, and there are "
            f"{sorted(content)[:12]}"
        )
    matrix = _numbers(content[field], field, n_dimensions=2)
    time = _numbers(content["timestamp_confocal"], "timestamp_confocal") if content.get("timestamp_confocal") else None
    n_frames = content.get("max_t") if time is None else len(time)
    n_neurons = content.get("num_neurons", len(matrix))
    if not isinstance(n_neurons, int) or not (n_frames is None or isinstance(n_frames, int)):
        raise ValueError(f"num_neurons={n_neurons!r} and max_t={n_frames!r} are expected to be whole numbers")
    # The publishers write a list a neuron, which settles a square matrix.
    if matrix.shape == (n_neurons, matrix.shape[1]) and n_frames in (None, matrix.shape[1]):
        traces = matrix.T
    else:
        traces = frames_first(matrix, field, n_neurons, None if n_frames is None else (n_frames,))
    behavior = _behavior(content, len(traces))
    return Recording(
        worm=name,
        traces=traces,
        neurons=tuple(one_name_each(name, _labels(content.get("labeled"), n_neurons))),
        fps=_rate(content, time, fps),
        dataset=dataset,
        time=None if time is None else time - time[0],  # type: ignore[arg-type]  # filled from fps
        states=_states(content, len(traces), behavior.get("velocity")),
        behavior=behavior,
        source=str(path),
    )


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"this is not a whole JSON file ({error}); download it again") from error
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


def _labels(labeled: Any, n_neurons: int) -> list[str]:
    names = [""] * n_neurons
    if labeled is None:
        return names
    try:
        entries = {
            int(number): str(entry["label"] if isinstance(entry, dict) else entry) for number, entry in labeled.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"'labeled' is expected to map the number of each identified neuron to its 'label' ({error})"
        ) from error
    first = 0 if 0 in entries else 1
    for number, label in entries.items():
        if not 0 <= number - first < n_neurons:
            raise ValueError(f"'labeled' names neuron {number}, and there are {n_neurons} of them")
        names[number - first] = label
    return names


def _behavior(content: Mapping[str, Any], n_frames: int) -> dict[str, np.ndarray]:
    found = {}
    for source in (content, content.get("behavior")):
        if not isinstance(source, Mapping):
            continue
        for name in _BEHAVIOR:
            if isinstance(source.get(name), list) and source[name]:
                values = _numbers(source[name], name)
                if len(values) != n_frames:
                    raise ValueError(f"{name} has {len(values)} values for {n_frames} frames")
                found[name] = values
    return found


def _states(content: Mapping[str, Any], n_frames: int, velocity: np.ndarray | None) -> np.ndarray | None:
    events = content.get("reversal_events")
    if events is None and isinstance(content.get("events"), dict):
        events = content["events"].get("reversal", content["events"].get("reversal_events"))
    if events is None:
        return None
    pairs = _numbers(events, "reversal_events", n_dimensions=2) if events else np.empty((0, 2))
    if pairs.shape[1] != 2 or not np.isfinite(pairs).all() or (pairs % 1).any():
        raise ValueError("reversal_events are expected to be pairs of frames, the first and the last of each reversal")
    first = 0 if (pairs == 0).any() else 1
    states = np.full(n_frames, UNKNOWN, dtype="<U7")
    if velocity is not None:
        with np.errstate(invalid="ignore"):
            states[velocity > 0] = "forward"
    for start, end in pairs.astype(int) - first:
        if not 0 <= start <= end < n_frames:
            raise ValueError(
                f"the reversal from frame {start + first} to {end + first} is outside of {n_frames} frames"
            )
        states[start : end + 1] = "reverse"
    return states
