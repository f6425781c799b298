"""What the readers of all file formats share: state names, neuron names, the frame rate, and bounds."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skworm.recording import STATES, UNKNOWN, is_neuron, neuron_name, repeated

_NAMES_IN_FILES = {name: name for name in STATES} | {
    "fwd": "forward",
    "slow": "slowing",
    "rev1": "reverse_1",
    "rev2": "reverse_2",
    "revsus": "sustained_reverse",
    "dt": "dorsal_turn",
    "vt": "ventral_turn",
    "nostate": UNKNOWN,
    "rev": "reverse",
    "reversal": "reverse",
    "quiescent": "quiescence",
}
# Seconds from frame to frame at which worms are filmed; other values are in another unit.
_FASTEST, _SLOWEST = 1 / 150, 20.0
# Whole brains are filmed more slowly than this; time in minutes has shorter steps.
_FAST = 1 / 25
_SMALLEST_LIMIT = 10_000_000
# Traces pack to about a third, and text to a tenth.
_MOST_EXPANSION = 30


def translate_states(states: Any, rename_states: Mapping[str, str] | None = None) -> np.ndarray:
    """Return states under the names that skworm uses.

    Names in `rename_states` go before skworm's own, for which upper and lower case, spaces and hyphens make no
    difference. A name that neither knows stays as it is.
    """
    names, codes = np.unique(np.asarray(states, dtype=str), return_inverse=True)
    known = {name: _NAMES_IN_FILES.get(re.sub("[ -]", "_", name.strip().lower()), name) for name in names.tolist()}
    return np.array([(rename_states or {}).get(name, own) for name, own in known.items()], dtype=str)[codes]


def states_of_codes(codes: np.ndarray, name_of: Mapping[int, str], remedy: str) -> np.ndarray:
    """Return the state of each frame from its number; NaN is unknown. Other errors end in `remedy`."""
    wrong = np.flatnonzero(~np.isnan(codes) & ~np.isin(codes, list(name_of)))
    if len(wrong):
        raise ValueError(f"state {codes[wrong[0]]:g} at frame {wrong[0]} is none of {dict(name_of)}; {remedy}")
    return np.array([name_of.get(code, UNKNOWN) for code in codes.tolist()], dtype=object)


def states_of_flags(names: Sequence[str], flags: np.ndarray) -> np.ndarray:
    """Return the state of each frame from its flags, (n_frames, n_states) of 0 or 1; without any it is unknown."""
    several = np.flatnonzero(flags.sum(axis=1) > 1)
    if len(several):
        both = [name for name, flag in zip(names, flags[several[0]], strict=True) if flag]
        raise ValueError(f"frame {several[0]} is in the states {both} at once; leave one flag a frame")
    return np.array([*names, UNKNOWN], dtype=object)[np.where(flags.any(axis=1), flags.argmax(axis=1), len(names))]


def states_of_reversals(pairs: Any, n_frames: int, velocity: np.ndarray | None) -> np.ndarray:
    """Return the state of each frame from the first frame of each reversal and the one after its last, from 0.

    Outside of reversals a frame is forward where the velocity is positive, and otherwise unknown.
    """
    table = np.asarray(pairs, dtype=float)
    if table.ndim != 2 or table.shape[1] != 2 or not np.isfinite(table).all() or (table % 1).any():
        raise ValueError(
            "reversal_events are expected to be pairs of frames, the first of each reversal and the one after its last"
        )
    states = np.full(n_frames, UNKNOWN, dtype="<U7")
    if velocity is not None:
        states[velocity > 0] = "forward"
    for start, end in table.astype(int):
        if not 0 <= start <= end <= n_frames:
            raise ValueError(f"the reversal from frame {start} to {end} is outside of {n_frames} frames")
        states[start:end] = "reverse"
    return states


def frame_rate(time: np.ndarray) -> float:
    """Return the frames a second of increasing time stamps in seconds: one over the median step."""
    if len(time) < 2:
        raise ValueError(f"{len(time)} time stamps give no frame rate; at least two frames are expected")
    steps = np.diff(time)
    if not np.all(steps > 0):
        frame = int(np.flatnonzero(~(steps > 0))[0]) + 1
        raise ValueError(f"time does not increase at frame {frame}; give it in seconds, one value a frame")
    step = float(np.median(steps))
    if not _FASTEST <= step <= _SLOWEST:
        unit = "milliseconds: divide it by 1000" if step > _SLOWEST else "minutes: multiply it by 60"
        raise ValueError(
            f"time goes on by {step:.3g} from frame to frame, and no worm is filmed at {1 / step:.3g} frames a second; "
            f"it has to be in seconds, and may be in {unit}"
        )
    if step < _FAST:
        warnings.warn(
            f"time goes on by {step:.3g} from frame to frame, {1 / step:.3g} frames a second if these are seconds; if "
            "they are minutes, multiply them by 60",
            stacklevel=3,
        )
    if step == 1 and (steps == 1).all() and np.array_equal(time, np.round(time)):
        warnings.warn(
            "time counts 1, 2, 3 ..., which is one frame a second if these are seconds; if they are frame numbers, "
            "leave the column out and pass fps",
            stacklevel=3,
        )
    return 1 / step


def one_name_each(worm: str, labels: Sequence[str]) -> list[str]:
    """Return the neuron of each trace, or its column, counted from 1, where that is unknown or another trace has it."""
    names = [neuron_name(label) for label in labels]
    if several := repeated(filter(is_neuron, names)):
        warnings.warn(
            f"worm {worm!r}: the neurons {several} occur on several traces, which all count as unidentified; "
            "correct the names in the file to keep one",
            stacklevel=3,
        )
    return [
        name if is_neuron(name) and name not in several else str(column) for column, name in enumerate(names, start=1)
    ]


def frames_first(matrix: np.ndarray, field: str, n_neurons: int, n_frames: tuple[int, ...] | None) -> np.ndarray:
    """Return traces or derivatives as (n_frames, n_neurons); any number of frames of `n_frames` fits, with None all.

    A matrix that fits both ways or neither is an error.
    """
    fitting = [
        table
        for table in (matrix, matrix.T)
        if table.shape[1] == n_neurons and (n_frames is None or table.shape[0] in n_frames)
    ]
    if len(fitting) == 1:
        return fitting[0]
    expected = f"{n_neurons} neuron names" + ("" if n_frames is None else f" and {n_frames[0]} frames")
    ways, remedy = "neither as frames x neurons nor", "one name for each trace and one time stamp for each frame"
    if fitting:
        ways, remedy = "both as frames x neurons and", "the worm as .npz or .csv, where the orientation is fixed"
    raise ValueError(f"{field} of shape {matrix.shape} fit {expected} {ways} as neurons x frames; save {remedy}")


def check_expansion(unpacked: int, packed: int) -> int:
    """Return how many bytes a file may unpack to; raise ValueError where it unpacks to more."""
    limit = _SMALLEST_LIMIT + _MOST_EXPANSION * packed
    if unpacked > limit:
        raise ValueError("it unpacks to far more than recordings do; write it again without compression")
    return limit


def check_archive(path: Path) -> None:
    """Raise ValueError where a ZIP archive unpacks to far more than it is."""
    with zipfile.ZipFile(path) as archive:
        check_expansion(sum(info.file_size for info in archive.infolist()), path.stat().st_size)
