"""What recordings hold, and what is wrong with them, before anyone trains on them."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skworm.datasets.files import check_renamed, read_recordings, recording_files
from skworm.frames.resampling import GAP_STEPS, follows_a_gap, rate_of_stamps
from skworm.frames.table import IMPOSSIBLE
from skworm.recording import STATES, UNKNOWN, Recording, map_states

_OTHER_RATE = 1.05
_NAMED = 6
# A spike lies so many ranges of the trace, from the 1st to the 99th percentile, beyond it; recorded worms stay below 8.
_SPIKE = 10
# A jump is so many median steps of the trace; in recorded worms few traces jump in the same frame.
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
        ``"shared_neurons"``, those identified in every worm; ``"problems"`` that concern whole files; and ``"worms"``,
        a dict for each worm: ``"worm"``, ``"dataset"``, ``"source"``, ``"n_frames"``, ``"fps"``, ``"duration"`` in
        seconds, ``"n_neurons"``, ``"identified"`` and ``"unidentified"`` (names of traces), ``"derivatives"`` (whether
        the file brings them), ``"states"`` (for each its ``"percent"`` of the frames, its ``"bouts"`` and their
        ``"median_duration"`` in seconds; None without states), ``"behavior"`` (names) and ``"problems"``.

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
    worms: list[dict[str, Any]] = []
    problems: list[str] = []
    names: set[str] = set()
    for file in recording_files(Path(path).expanduser()):
        with warnings.catch_warnings(record=True) as noticed:
            warnings.simplefilter("always")
            try:
                found, own_names = read_recordings([file], **options)
            except FileNotFoundError:
                raise
            except (ValueError, OSError, ImportError) as error:
                problems.append(f"cannot be read: {error}")
                continue
        problems += [f"{file}: {text}" for text in dict.fromkeys(str(warning.message) for warning in noticed)]
        names |= own_names
        worms += [summarize_recording(worm, expected_neurons, states) for worm in found]
    try:
        check_renamed(options.get("rename_states"), names)
    except ValueError as error:
        problems.append(f"cannot be read: {error}")
    counts = Counter((worm["dataset"], worm["worm"]) for worm in worms)
    if several := sorted({worm for (_, worm), count in counts.items() if count > 1}):
        problems.append(f"several recordings are of worms named {_some(several)}; rename them")
    shared = set.intersection(*(set(worm["identified"]) for worm in worms)) if worms else set()
    return {"source": str(path), "worms": worms, "shared_neurons": sorted(shared), "problems": problems}


def summarize_recording(
    recording: Recording, expected_neurons: Sequence[str] = (), states: str | Mapping[str, str] = "as_recorded"
) -> dict[str, Any]:
    """Return what the recording of one worm holds, as :func:`inspect_recordings` does."""
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
        lines += [
            "",
            f"{worm['worm']}" + (f" ({worm['dataset']})" if worm["dataset"] else ""),
            f"  {worm['n_frames']} frames at {worm['fps']:.2f} a second, {worm['duration'] / 60:.1f} minutes",
            f"  {len(worm['identified'])} of {worm['n_neurons']} neurons identified: "
            f"{', '.join(sorted(worm['identified'])) or 'none'}",
        ]
        listed = {"unidentified": worm["unidentified"], "behaviour": worm["behavior"]}
        lines += [f"  {kind}: {_some(names)}" for kind, names in listed.items() if names]
        lines += [
            f"  {state:<18}{about['percent']:5.1f} % in {about['bouts']} bouts, "
            f"median {about['median_duration']:.1f} seconds"
            for state, about in (worm["states"] or {}).items()
        ]
        lines += [f"  problem: {problem}" for problem in worm["problems"]]
    if summary["problems"]:
        lines += ["", *(f"problem: {problem}" for problem in summary["problems"])]
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
    absent = {name: int(np.isnan(values).sum()) for name, values in recording.behavior.items()}
    problems += [f"behaviour {name!r} is NaN in {n_frames} frames" for name, n_frames in absent.items() if n_frames]
    return [*problems, *_problems_of_states(recording)]


def _problems_of_values(recording: Recording) -> Iterator[str]:
    """Yield what is wrong with values that are absent, never change or cannot be."""
    traces, names = recording.traces, np.array(recording.neurons)
    is_nan = np.isnan(traces)
    lost = is_nan.all(axis=1)
    if lost.any():
        yield (
            f"{int(lost.sum())} frames have no value of any trace, the first is frame {int(lost.argmax())}; they are "
            "not trained on, and predicted as unknown"
        )
    if having := names[is_nan[~lost].any(axis=0)].tolist():
        whole = int(is_nan.all(axis=0).sum())
        yield f"{len(having)} traces hold NaN ({whole} nothing else): {_some(having)}; interpolate, or leave them out"
    if constant := names[np.fmax.reduce(traces, axis=0) == np.fmin.reduce(traces, axis=0)].tolist():
        yield f"{len(constant)} traces are constant: {_some(constant)}; leave them out"
    impossible = np.abs(np.nan_to_num(traces)) > IMPOSSIBLE
    if impossible.any():
        frame, column = np.argwhere(impossible)[0]
        yield (
            f"{int(impossible.sum())} values cannot be, the first {traces[frame, column]:.3g} of "
            f"{names[column]} in frame {frame}; the file is damaged"
        )


def _artefacts(recording: Recording) -> Iterator[str]:
    """Yield what in the traces looks like movement, single wrong values or bleaching."""
    known = ~np.isnan(recording.traces).all(axis=0)
    traces = np.where(np.abs(recording.traces) > IMPOSSIBLE, np.nan, recording.traces)[:, known]
    if recording.n_frames < 3 or not known.any():
        return
    names = np.array(recording.neurons)[known]
    low, high = np.nanpercentile(traces, [1, 99], axis=0)
    ranges = np.where(high > low, high - low, np.nan)
    moved = _frames_of_movement(traces)
    if len(moved):
        yield (
            f"most traces jump together in {len(moved)} frames, {_some(list(map(str, moved)))}: a movement of the "
            "worm or the focus? Make them NaN if it is one"
        )
    calm = np.setdiff1d(np.arange(recording.n_frames), moved)
    spikes = np.maximum(low - traces[calm], traces[calm] - high) > _SPIKE * ranges
    if spikes.any():
        frame, column = np.argwhere(spikes)[0]
        yield (
            f"{int(spikes.sum())} values lie far beyond all others of their trace, the first {names[column]} in frame "
            f"{calm[frame]}: {traces[calm[frame], column]:.3g}, where 98 % are from {low[column]:.3g} to "
            f"{high[column]:.3g}; make it NaN if it is wrong"
        )
    yield from _bleaching(recording, traces, ranges)


def _frames_of_movement(traces: np.ndarray) -> np.ndarray:
    """Return the frames in which most traces are far from what they are just before and after."""
    usual = np.nanmedian(np.abs(np.diff(traces, axis=0)), axis=0)
    known = usual > 0
    if known.sum() < _FEWEST_TRACES:
        return np.empty(0, dtype=int)
    traces = traces[:, known]
    around = pd.DataFrame(traces).rolling(_AROUND, center=True, min_periods=1).median().to_numpy()
    return np.flatnonzero((np.abs(traces - around) > _JUMP * usual[known]).mean(axis=1) > 0.5)


def _bleaching(recording: Recording, traces: np.ndarray, ranges: np.ndarray) -> Iterator[str]:
    seconds = recording.time[-1] - recording.time[0]
    part = recording.n_frames // _PARTS
    change = (np.nanmedian(traces[-part:], axis=0) - np.nanmedian(traces[:part], axis=0)) / ranges
    change = change[~np.isnan(change)]
    if len(change) >= _FEWEST_TRACES and seconds >= _SHORTEST_SECONDS and (decline := -np.median(change)) >= _DECLINE:
        yield (
            f"traces decline, the median one by {100 * decline:.0f} % of its range from the first fifth of the "
            "recording to the last: bleaching? Compare with detrended traces"
        )


def _problems_of_time(recording: Recording) -> Iterator[str]:
    if recording.n_frames < 2:
        yield "there is one frame only"
        return
    steps = np.diff(recording.time)
    gaps = follows_a_gap(recording.time)
    if gaps.any():
        longest = f"{steps.max():.3g} s" if steps.max() < 120 else f"{steps.max() / 60:.3g} minutes"
        yield (
            f"time has {int(gaps.sum())} gaps, steps over {GAP_STEPS:g} times the median of {np.median(steps):.3g} s, "
            f"the longest {longest} after frame {int(steps.argmax())}; split the recording there if it is long, and "
            "correct a time stamp if it is wrong"
        )
    stamped = rate_of_stamps(recording)
    if not 1 / _OTHER_RATE <= recording.fps / stamped <= _OTHER_RATE:
        yield (
            f"the frame rate is given as {recording.fps:.3g} a second, but the time stamps have {stamped:.3g}; correct "
            "the wrong one"
        )


def _problems_of_states(recording: Recording) -> Iterator[str]:
    if recording.states is None:
        yield "there are no states, so nothing can be trained on it; it can be decoded"
        return
    known = sorted(set(recording.states.tolist()) - {UNKNOWN})
    if not known:
        yield "no frame has a known state"
    elif len(known) == 1:
        yield f"all known frames are in one state, {known[0]}"
    if strange := [state for state in known if state not in STATES]:
        yield f"skworm does not know the states {_some(strange)}; translate them with rename_states"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
