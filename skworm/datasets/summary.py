"""What recordings hold, and what is wrong with them, before anyone trains on them."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skworm.datasets.files import load_recordings, recording_files
from skworm.datasets.tables import columns_of_roles
from skworm.frames.resampling import GAP_STEPS, follows_a_gap, rate_of_stamps
from skworm.frames.table import IMPOSSIBLE
from skworm.recording import STATES, UNKNOWN, Recording, map_states

_TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".xlsx")
_OTHER_RATE = 1.05
_NAMED = 6
# A spike lies so many ranges of the trace, from the 1st to the 99th percentile, beyond it; recorded worms stay below 8.
_SPIKE = 10
# A jump is so many median steps of the trace; in recorded worms few traces do so in one frame.
_JUMP = 15
# The median trace falls by so much of its range from the first fifth to the last; in recorded worms by .23 at most.
_DECLINE = 0.3
_FEWEST_TRACES, _SHORTEST_SECONDS, _PARTS, _AROUND = 5, 120.0, 5, 11


def inspect_recordings(
    path: str | os.PathLike[str],
    *,
    expected_neurons: Sequence[str] = (),
    states: str | Mapping[str, str] = "as_recorded",
    **options: Any,
) -> dict[str, Any]:
    """Return what a file or folder of recordings holds.

    Parameters
    ----------
    path : path
        A file, or a folder of them.
    expected_neurons : sequence of str, default=()
        Neurons that each worm should have, such as :data:`skworm.frames.PAPER_NEURONS`.
    states : {"as_recorded", "7", "4", "nichols", "2"} or mapping of str to str, default="as_recorded"
        Vocabulary in which states are counted, see :func:`skworm.frames.map_states`.
    **options
        Passed on to :func:`skworm.datasets.load_recordings`.

    Returns
    -------
    dict
        ``"shared_neurons"``, those identified in every worm; ``"problems"`` that concern whole files, such as one that
        cannot be read; and ``"worms"``, a dict for each worm: ``"worm"``, ``"dataset"``, ``"n_frames"``, ``"fps"``,
        ``"duration"`` in seconds, ``"n_neurons"``, ``"identified"`` and ``"unidentified"`` (names of traces),
        ``"derivatives"`` (whether the file brings them), ``"states"`` (for each its ``"percent"`` of the frames, its
        ``"bouts"`` and their ``"median_duration"`` in seconds; None without states), ``"behavior"`` (names) and
        ``"problems"``.

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
            roles = columns_of_roles(file, options.get("columns")) if file.name.lower().endswith(_TABLES) else {}
        problems += [f"{file}: {text}" for text in dict.fromkeys(str(warning.message) for warning in noticed)]
        recordings += found
        worms += [{**summarize_recording(worm, expected_neurons, states), "columns": roles} for worm in found]
    counts = Counter((worm.dataset, worm.worm) for worm in recordings)
    if several := sorted({worm for (_, worm), count in counts.items() if count > 1}):
        problems.append(f"several recordings are of worms named {_some(several)}; rename them")
    shared = set.intersection(*(set(worm.identified) for worm in recordings)) if recordings else set()
    return {"source": str(path), "worms": worms, "shared_neurons": sorted(shared), "problems": problems}


def summarize_recording(
    recording: Recording, expected_neurons: Sequence[str] = (), states: str | Mapping[str, str] = "as_recorded"
) -> dict[str, Any]:
    """Return what the recording of one worm holds; see :func:`inspect_recordings`."""
    problems = _problems_of(recording)
    if absent := [name for name in expected_neurons if name not in recording.neurons]:
        problems.append(f"expected neurons are not identified: {', '.join(absent)}")
    if recording.states is not None and states != "as_recorded":
        try:
            recording = replace(recording, states=map_states(recording.states, states))
        except ValueError as error:
            problems.append(str(error))
    return {
        **{name: getattr(recording, name) for name in ("worm", "dataset", "source", "n_frames", "fps")},
        "duration": float(recording.time[-1] - recording.time[0] + 1 / recording.fps),
        "n_neurons": recording.n_neurons,
        "identified": list(recording.identified),
        "unidentified": [name for name in recording.neurons if name not in set(recording.identified)],
        "derivatives": recording.derivatives is not None,
        "states": _states(recording),
        "behavior": list(recording.behavior),
        "problems": problems,
    }


def describe_recordings(summary: dict[str, Any]) -> str:
    """Return what :func:`inspect_recordings` found in words, several lines for each worm."""
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
        roles = worm["columns"]
        columns = {
            "unidentified": worm["unidentified"],
            "behaviour": worm["behavior"],
            "clock": roles.get("time", []),
            "states from": roles.get("states", []),
            "ignored, as clocks": roles.get("ignored", []),
        }
        lines += [f"  {role}: {_some(names)}" for role, names in columns.items() if names]
        for state, about in (worm["states"] or {}).items():
            median = about["median_duration"]
            lines.append(
                f"  {state:<18}{about['percent']:5.1f} % in {about['bouts']} bouts, median {median:.1f} seconds"
            )
        lines += [f"  problem: {problem}" for problem in worm["problems"]]
    lines += ["", *(f"problem: {text}" for text in summary["problems"])] if summary["problems"] else []
    return "\n".join(lines)


def _states(recording: Recording) -> dict[str, dict[str, Any]] | None:
    if recording.states is None:
        return None
    states, time = recording.states, recording.time
    gap = follows_a_gap(time)[1:]
    first = np.flatnonzero(np.append(True, (states[1:] != states[:-1]) | gap))
    # A frame lasts until the next one, before a gap and at the end as long as frames usually do.
    lasting = np.append(np.where(gap, 1 / recording.fps, np.diff(time)), 1 / recording.fps)
    durations = np.add.reduceat(lasting, first)
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
    with warnings.catch_warnings():
        # Of what is NaN throughout, medians are NaN.
        warnings.simplefilter("ignore", RuntimeWarning)
        problems = [*_problems_of_values(recording), *_artefacts(recording), *_problems_of_time(recording)]
    if not recording.identified:
        problems.append("no neuron is identified, so worms cannot be compared")
    for name, values in recording.behavior.items():
        if np.isnan(values).any():
            problems.append(f"behaviour {name!r} is NaN in {int(np.isnan(values).sum())} frames")
    return problems + _problems_of_states(recording)


def _problems_of_values(recording: Recording) -> list[str]:
    """Return what is wrong with values that are absent, never change or cannot be."""
    traces, problems = recording.traces, []
    is_nan = np.isnan(traces)
    lost = is_nan.all(axis=1)
    if lost.any():
        problems.append(
            f"{int(lost.sum())} frames have no value of any trace, the first is frame {int(lost.argmax())}; they are "
            "not trained on, and predicted as unknown"
        )
    names = np.array(recording.neurons)
    if having := names[is_nan[~lost].any(axis=0)].tolist():
        whole = int(is_nan.all(axis=0).sum())
        problems.append(
            f"{len(having)} traces hold NaN ({whole} nothing else): {_some(having)}; interpolate, or leave them out"
        )
    if constant := names[np.fmax.reduce(traces, axis=0) == np.fmin.reduce(traces, axis=0)].tolist():
        problems.append(f"{len(constant)} traces are constant: {_some(constant)}; leave them out")
    impossible = np.abs(np.nan_to_num(traces)) > IMPOSSIBLE
    if impossible.any():
        frame, column = np.argwhere(impossible)[0]
        problems.append(
            f"{int(impossible.sum())} values cannot be, the first {traces[frame, column]:.3g} of "
            f"{recording.neurons[column]} in frame {frame}; the file is damaged"
        )
    return problems


def _artefacts(recording: Recording) -> list[str]:
    """Return what in the traces looks like movement, single wrong values or bleaching."""
    known = ~np.isnan(recording.traces).all(axis=0)
    traces = np.where(np.abs(recording.traces) > IMPOSSIBLE, np.nan, recording.traces)[:, known]
    if recording.n_frames < 3 or not known.any():
        return []
    names = np.array(recording.neurons)[known]
    low, high = np.nanpercentile(traces, [1, 99], axis=0)
    ranges = np.where(high > low, high - low, np.nan)
    moved = _frames_of_movement(traces)
    problems = []
    if len(moved):
        problems.append(
            f"most traces jump together in {len(moved)} frames, {_some(list(map(str, moved)))}: a movement of the "
            "worm or the focus? Make them NaN if it is one"
        )
    calm = np.setdiff1d(np.arange(recording.n_frames), moved)
    spikes = np.maximum(low - traces[calm], traces[calm] - high) > _SPIKE * ranges
    if spikes.any():
        frame, column = np.argwhere(spikes)[0]
        problems.append(
            f"{int(spikes.sum())} values lie far beyond all others of their trace, the first {names[column]} in frame "
            f"{calm[frame]}: {traces[calm[frame], column]:.3g}, where 98 % are from {low[column]:.3g} to "
            f"{high[column]:.3g}; make it NaN if it is wrong"
        )
    return problems + _bleaching(recording, traces, ranges)


def _frames_of_movement(traces: np.ndarray) -> np.ndarray:
    """Return the frames in which most traces are far from what they are just before and after."""
    usual = np.nanmedian(np.abs(np.diff(traces, axis=0)), axis=0)
    known = usual > 0
    if known.sum() < _FEWEST_TRACES:
        return np.empty(0, dtype=int)
    traces = traces[:, known]
    around = pd.DataFrame(traces).rolling(_AROUND, center=True, min_periods=1).median().to_numpy()
    return np.flatnonzero((np.abs(traces - around) > _JUMP * usual[known]).mean(axis=1) > 0.5)


def _bleaching(recording: Recording, traces: np.ndarray, ranges: np.ndarray) -> list[str]:
    seconds = float(recording.time[-1] - recording.time[0])
    part = recording.n_frames // _PARTS
    change = (np.nanmedian(traces[-part:], axis=0) - np.nanmedian(traces[:part], axis=0)) / ranges
    change = change[~np.isnan(change)]
    if len(change) < _FEWEST_TRACES or seconds < _SHORTEST_SECONDS or (decline := -np.median(change)) < _DECLINE:
        return []
    return [
        f"traces decline, the median one by {100 * decline:.0f} % of its range from the first fifth of the recording "
        "to the last: bleaching? Compare with detrended traces"
    ]


def _problems_of_time(recording: Recording) -> list[str]:
    if recording.n_frames < 2:
        return ["there is one frame only"]
    problems = []
    steps = np.diff(recording.time)
    gaps = follows_a_gap(recording.time)
    if gaps.any():
        problems.append(
            f"time has {int(gaps.sum())} gaps, steps over {GAP_STEPS:g} times the median of {np.median(steps):.3g} s, "
            f"the longest {_duration(float(steps.max()))} after frame {int(steps.argmax())}; split the recording there "
            "if it is long, and correct a time stamp if it is wrong"
        )
    stamped = rate_of_stamps(recording)
    if not 1 / _OTHER_RATE <= recording.fps / stamped <= _OTHER_RATE:
        problems.append(
            f"the frame rate is given as {recording.fps:.3g} a second, but the time stamps have {stamped:.3g}; correct "
            "the wrong one"
        )
    return problems


def _duration(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.3g} minutes"


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


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
