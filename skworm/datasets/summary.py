"""What recordings hold, and what is wrong with them, before anyone trains on them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skworm.datasets.files import load_recordings, recording_files
from skworm.recording import STATES, UNKNOWN, Recording

_IRREGULAR = 1.5
_OTHER_RATE = 1.05
_NAMED = 6


def inspect_recordings(
    path: str | os.PathLike[str], *, expected_neurons: Sequence[str] = (), **options: Any
) -> dict[str, Any]:
    """Return what a file or folder of recordings holds.

    Parameters
    ----------
    path : path
        A file, or a folder of them.
    expected_neurons : sequence of str, default=()
        Neurons that each worm should have, such as :data:`skworm.frames.PAPER_NEURONS`.
    **options
        Passed on to :func:`skworm.datasets.load_recordings`.

    Returns
    -------
    dict
        ``"worms"``, one dict a worm of :func:`skworm.datasets.summary.summarize_recording`; ``"shared_neurons"``, those
        identified in every worm; and ``"problems"`` that concern whole files, such as one that cannot be read.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or a folder holds none.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from skworm.datasets import make_worms, save_recordings
    >>> from skworm.datasets.summary import inspect_recordings
    >>> with TemporaryDirectory() as folder:
    ...     _ = save_recordings(make_worms(2, n_frames=300, random_state=0), folder)
    ...     found = inspect_recordings(folder, expected_neurons=["AVAL", "ASEL"])
    >>> [worm["n_frames"] for worm in found["worms"]], found["worms"][0]["problems"]
    ([300, 300], ['expected neurons are not identified: ASEL'])
    """
    worms, problems, recordings = [], [], []
    for file in recording_files(Path(path).expanduser()):
        with warnings.catch_warnings(record=True) as noticed:
            warnings.simplefilter("always")
            try:
                found = load_recordings(file, **options)
            except FileNotFoundError:
                raise
            except (ValueError, OSError, ImportError) as error:
                problems.append(f"cannot be read: {error}")
                continue
        problems += [f"{file}: {warning.message}" for warning in noticed]
        recordings += found
        worms += [summarize_recording(worm, expected_neurons) for worm in found]
    problems += _problems_among(recordings)
    shared = set.intersection(*(set(worm.identified) for worm in recordings)) if recordings else set()
    return {"source": str(path), "worms": worms, "shared_neurons": sorted(shared), "problems": problems}


def summarize_recording(recording: Recording, expected_neurons: Sequence[str] = ()) -> dict[str, Any]:
    """Return what the recording of one worm holds.

    Parameters
    ----------
    recording : Recording
        The worm.
    expected_neurons : sequence of str, default=()
        Neurons that it should have.

    Returns
    -------
    dict
        ``"worm"``, ``"dataset"``, ``"n_frames"``, ``"fps"``, ``"duration"`` in seconds, ``"n_neurons"``,
        ``"identified"`` (names), ``"derivatives"`` (whether the file brings them), ``"states"`` (for each its
        ``"percent"`` of the frames, its ``"bouts"`` and their ``"median_duration"`` in seconds; None without states),
        ``"behavior"`` (names) and ``"problems"``.

    Examples
    --------
    >>> from skworm.datasets.summary import summarize_recording
    >>> from skworm.recording import Recording
    >>> found = summarize_recording(Recording("a", [[0.0], [1.0], [0.5]], ["AVAL"], 2.0, states=["turn"] * 3))
    >>> found["states"], found["problems"]
    ({'turn': {'percent': 100.0, 'bouts': 1, 'median_duration': 1.5}}, ['all known frames are in one state, turn'])
    """
    return {
        "worm": recording.worm,
        "dataset": recording.dataset,
        "source": recording.source,
        "n_frames": recording.n_frames,
        "fps": recording.fps,
        "duration": float(recording.time[-1] - recording.time[0] + 1 / recording.fps),
        "n_neurons": recording.n_neurons,
        "identified": list(recording.identified),
        "derivatives": recording.derivatives is not None,
        "states": _states(recording),
        "behavior": list(recording.behavior),
        "problems": [*_problems_of(recording), *_absent(recording, expected_neurons)],
    }


def describe_recordings(summary: dict[str, Any]) -> str:
    """Return what :func:`skworm.datasets.summary.inspect_recordings` found, in words.

    Parameters
    ----------
    summary : dict
        What it returned.

    Returns
    -------
    str
        Several lines for each worm.
    """
    worms = summary["worms"]
    lines = [f"{summary['source']}: {len(worms)} worms, {len(summary['shared_neurons'])} neurons identified in each"]
    for worm in worms:
        minutes = worm["duration"] / 60
        lines += [
            "",
            f"{worm['worm']}" + (f" ({worm['dataset']})" if worm["dataset"] else ""),
            f"  {worm['n_frames']} frames at {worm['fps']:.2f} a second, {minutes:.1f} minutes",
            f"  {len(worm['identified'])} of {worm['n_neurons']} neurons identified: "
            f"{', '.join(sorted(worm['identified'])) or 'none'}",
        ]
        for state, about in (worm["states"] or {}).items():
            median = about["median_duration"]
            lines.append(
                f"  {state:<18}{about['percent']:5.1f} % in {about['bouts']} bouts, median {median:.1f} seconds"
            )
        if worm["behavior"]:
            lines.append(f"  behaviour: {', '.join(worm['behavior'])}")
        lines += [f"  problem: {problem}" for problem in worm["problems"]]
    return "\n".join(
        [*lines, *(["", *(f"problem: {text}" for text in summary["problems"])] if summary["problems"] else [])]
    )


def _states(recording: Recording) -> dict[str, dict[str, Any]] | None:
    if recording.states is None:
        return None
    states, time = recording.states, recording.time
    first = np.flatnonzero(np.append(True, states[1:] != states[:-1]))
    ends = np.append(time[first[1:]], time[-1] + 1 / recording.fps)
    durations = ends - time[first]
    present = set(states.tolist())
    ordered = [state for state in STATES if state in present] + sorted(present.difference(STATES))
    return {
        state: {
            "percent": round(100 * float(np.mean(states == state)), 2),
            "bouts": int((states[first] == state).sum()),
            "median_duration": float(np.median(durations[states[first] == state])),
        }
        for state in ordered
    }


def _problems_of(recording: Recording) -> list[str]:
    problems = []
    is_nan = np.isnan(recording.traces)
    if is_nan.any():
        having = [name for name, column in zip(recording.neurons, is_nan.T, strict=True) if column.any()]
        whole = int(is_nan.all(axis=0).sum())
        problems.append(
            f"{len(having)} traces hold NaN ({whole} nothing else): {_some(having)}; interpolate, or leave them out"
        )
    with np.errstate(invalid="ignore"):
        spread = np.fmax.reduce(recording.traces, axis=0) - np.fmin.reduce(recording.traces, axis=0)
    constant = [name for name, value in zip(recording.neurons, spread, strict=True) if value == 0]
    if constant:
        problems.append(f"{len(constant)} traces are constant: {_some(constant)}; leave them out")
    problems += _problems_of_time(recording)
    if not recording.identified:
        problems.append("no neuron is identified, so worms cannot be compared")
    for name, values in recording.behavior.items():
        if np.isnan(values).any():
            problems.append(f"behaviour {name!r} is NaN in {int(np.isnan(values).sum())} frames")
    return problems + _problems_of_states(recording)


def _problems_of_time(recording: Recording) -> list[str]:
    if recording.n_frames < 2:
        return ["there is one frame only"]
    problems = []
    steps = np.diff(recording.time)
    median = float(np.median(steps))
    long = np.flatnonzero(steps > _IRREGULAR * median)
    if len(long):
        problems.append(
            f"time is irregular: {len(long)} steps are over {_IRREGULAR} times the median of {median:.3g} s, the "
            f"longest {steps.max():.3g} s after frame {int(steps.argmax())}; resample, or split the recording"
        )
    if not 1 / _OTHER_RATE <= recording.fps * median <= _OTHER_RATE:
        problems.append(
            f"the frame rate is given as {recording.fps:.3g} a second, but the time stamps have {1 / median:.3g}"
        )
    return problems


def _problems_of_states(recording: Recording) -> list[str]:
    if recording.states is None:
        return ["there are no states, so nothing can be trained on it; it can be decoded"]
    known = sorted(set(recording.states.tolist()) - {UNKNOWN})
    if not known:
        return ["no frame has a known state"]
    problems = [f"all known frames are in one state, {known[0]}"] if len(known) == 1 else []
    strange = [state for state in known if state not in STATES]
    if strange:
        problems.append(f"skworm does not know the states {_some(strange)}; translate them with rename_states")
    return problems


def _absent(recording: Recording, expected: Sequence[str]) -> list[str]:
    absent = [name for name in expected if name not in recording.neurons]
    return [f"expected neurons are not identified: {', '.join(absent)}"] if absent else []


def _problems_among(recordings: Iterable[Recording]) -> list[str]:
    keys = [(worm.dataset, worm.worm) for worm in recordings]
    repeated = sorted({worm for dataset, worm in keys if keys.count((dataset, worm)) > 1})
    return [f"several recordings are of worms named {_some(repeated)}; rename them"] if repeated else []


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
