"""Time of recordings: gaps and contexts of frames, another frame rate, and traces without a slow baseline."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from skworm.frames.features import check_positive
from skworm.frames.index import is_same_rate
from skworm.recording import Recording

NO_CONTEXT = (0,)
# Frames are lost where time stamps jump by more than this many usual steps: a frame that is lost makes a step of two.
GAP_STEPS = 1.5
# Seconds without frames after which a recording may have changed: refocused, bleached, or a wrong time stamp.
LONG_GAP = 300.0
_LONGEST_GAP_FRAMES = 3
_LONGEST_GAP_SECONDS = 1.0
_ALIKE = 1e-9
_BASELINE_PERCENTILE, _FEWEST_FRAMES = 10, 10


def follows_a_gap(time: np.ndarray) -> np.ndarray:
    """Return which frames follow a gap, (n_frames,) of bool; the first does not."""
    return _usual_steps(time) > GAP_STEPS


def frame_numbers(time: np.ndarray) -> np.ndarray:
    """Return the number of each frame, from 0: frames that were lost in a gap have numbers too."""
    lost = np.where(follows_a_gap(time), np.rint(_usual_steps(time)) - 1, 0)
    return np.arange(len(time)) + np.cumsum(lost).astype(int)


def _usual_steps(time: np.ndarray) -> np.ndarray:
    """Return the step to each frame in usual ones, (n_frames,): 0 to the first."""
    steps = np.diff(time, prepend=time[0])
    return steps / np.median(steps[1:]) if len(steps) > 1 else steps


def rate_of_stamps(worm: Recording) -> float:
    """Return the frames a second according to the time stamps of a recording: one over the median step."""
    return 1 / float(np.median(np.diff(worm.time))) if worm.n_frames > 1 else worm.fps


def check_times(worms: list[Recording]) -> None:
    """Raise ValueError where a frame rate contradicts the time stamps; warn of long gaps."""
    for worm in worms:
        stamped = rate_of_stamps(worm)
        if not is_same_rate(worm.fps, stamped):
            raise ValueError(
                f"worm {worm.worm!r}: the frame rate is given as {worm.fps:.3g} a second, but the time stamps have "
                f"{stamped:.3g}; correct the wrong one in the file"
            )
        steps = np.diff(worm.time)
        if len(steps) and steps.max() > LONG_GAP:
            frame = int(steps.argmax())
            warnings.warn(
                f"worm {worm.worm!r} has no frames for {steps.max():.4g} s after frame {frame}; correct the time "
                "stamps if they are wrong, or make two recordings of it: before and after, baselines may differ",
                stacklevel=3,
            )


def check_context(context: Any) -> tuple[int, ...]:
    """Return the frames of a context as a tuple, after checking them."""
    frames = (context,) if isinstance(context, Integral) else tuple(context)
    if not frames or any(isinstance(frame, bool) or not isinstance(frame, Integral) for frame in frames):
        raise ValueError(
            f"context={context!r} must be whole numbers of frames from the labelled one, such as (-6, -3, 0, 3, 6)"
        )
    numbers = tuple(int(frame) for frame in frames)
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"context={context!r} names a frame more than once; name each one once")
    return numbers


def context_rows(time: np.ndarray, context: Sequence[int]) -> np.ndarray:
    """Return the rows, (n_frames, n_context), of a recording that are the context of each of its frames.

    Beyond the ends of a recording, and beyond a gap in its time stamps, the last frame on this side stands in.
    """
    rows = np.arange(len(time))
    edges = np.concatenate([[0], np.flatnonzero(follows_a_gap(time)), [len(time)]])
    stretch = np.searchsorted(edges, rows, side="right") - 1
    first, last = edges[stretch], edges[stretch + 1] - 1
    return np.clip(rows[:, np.newaxis] + np.asarray(context), first[:, np.newaxis], last[:, np.newaxis])


def resample(recording: Recording, fps: float) -> Recording:
    """Bring a recording to another frame rate, evenly spaced in time.

    Traces and behaviour are interpolated linearly between frames. Where the new rate is lower, each new frame is the
    mean of the frames within one new frame's time, weighed by a triangle, which keeps faster changes from showing up
    as slow ones. A state is that of the nearest frame, or with a lower rate that of most frames around. Derivatives
    that the file brought are dropped, since :func:`make_frames` computes them anew from the new traces. New frames are
    mixed with later ones, so that forecasts of them see part of their answer.

    Parameters
    ----------
    recording : Recording
        One worm.
    fps : float
        Wanted frames a second.

    Returns
    -------
    Recording
        The same stretch of time with frames every 1 / `fps` seconds, from the first frame's time on. NaN stays NaN
        where more than half of a new frame rests on it.

    Raises
    ------
    ValueError
        If the recording is shorter than two new frames, or lacks frames for longer than a second and three frames.

    Examples
    --------
    >>> import numpy as np
    >>> from skworm.frames import resample
    >>> from skworm.recording import Recording
    >>> worm = Recording("worm-a", np.arange(7.0)[:, None], ["AVAL"], fps=6.0, states=["forward"] * 4 + ["turn"] * 3)
    >>> slower = resample(worm, 3.0)
    >>> slower.traces.ravel(), slower.states.tolist()
    (array([0.33333333, 2.        , 4.        , 5.66666667]), ['forward', 'forward', 'turn', 'turn'])
    """
    fps = check_positive("fps", fps, "frames a second")
    time, worm = recording.time, recording.worm
    duration = time[-1] - time[0]
    n_frames = int(np.floor(duration * fps * (1 + _ALIKE) + _ALIKE)) + 1
    if n_frames < 2:
        raise ValueError(
            f"worm {worm!r} lasts {duration:.3g} s, less than two frames at fps={fps:.3g}; choose a higher rate"
        )
    _check_gaps(recording)
    new_time = np.minimum(time[0] + np.arange(n_frames) / fps, time[-1])
    lower = fps < (1 - _ALIKE) / np.median(np.diff(time))
    weights = _triangles(time, new_time, 1 / fps) if lower else _between(time, new_time)
    signals = {name: _weighed(weights, values[:, np.newaxis])[:, 0] for name, values in recording.behavior.items()}
    states = recording.states
    if states is not None:
        states = _most_frequent(states, time, new_time, 1 / fps)
    return replace(
        recording,
        traces=_weighed(weights, recording.traces),
        fps=fps,
        time=new_time,
        states=states,
        derivatives=None,
        behavior=signals,
    )


def detrend(recording: Recording, seconds: float) -> Recording:
    """Remove the slow baseline of each trace, and with it derivatives that the file brought; NaN stays NaN.

    The baseline is the 10th percentile of the frames within half of `seconds` to either side, smoothed by their mean.
    """
    n_frames = round(check_positive("detrend", seconds, "seconds, such as 300, or None") * recording.fps)
    if n_frames < _FEWEST_FRAMES:
        raise ValueError(
            f"worm {recording.worm!r}: detrend={seconds:g} s are {n_frames} frames, too few for a baseline; choose "
            "several times the longest bout"
        )
    # By time and not by frames: in a recording with gaps, frames next to each other may be a minute apart.
    around: dict[str, Any] = {"window": pd.Timedelta(seconds=seconds), "center": True, "closed": "both"}
    traces = pd.DataFrame(recording.traces, index=pd.to_timedelta(recording.time, unit="s"))
    baseline = traces.rolling(**around).quantile(_BASELINE_PERCENTILE / 100)
    smooth = baseline.rolling(**around).mean().to_numpy()
    return replace(recording, traces=recording.traces - smooth, derivatives=None)


def _check_gaps(recording: Recording) -> None:
    steps = np.diff(recording.time)
    longest = max(_LONGEST_GAP_FRAMES * np.median(steps), _LONGEST_GAP_SECONDS)
    gaps = np.flatnonzero(steps > longest)
    if len(gaps):
        frame = int(gaps[0])
        raise ValueError(
            f"worm {recording.worm!r}: frames are missing from {recording.time[frame]:.4g} to "
            f"{recording.time[frame + 1]:.4g} s, too long to interpolate; make two recordings of it, one before frame "
            f"{frame + 1} and one from there on"
        )


def _nearest(time: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    after = np.clip(np.searchsorted(time, wanted), 1, len(time) - 1)
    return np.where(wanted - time[after - 1] <= time[after] - wanted, after - 1, after)


def _between(time: np.ndarray, wanted: np.ndarray) -> csr_array:
    """Weights of linear interpolation, shape (n_wanted, n_frames)."""
    after = np.clip(np.searchsorted(time, wanted), 1, len(time) - 1)
    share = (wanted - time[after - 1]) / (time[after] - time[after - 1])
    rows = np.arange(len(wanted))
    values, places = np.r_[1 - share, share], (np.r_[rows, rows], np.r_[after - 1, after])
    return csr_array((values, places), shape=(len(wanted), len(time)))


def _around(time: np.ndarray, wanted: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Pair every wanted time with all frames nearer than `reach`, and with the nearest one in any case."""
    first, last = np.searchsorted(time, wanted - reach, "right"), np.searchsorted(time, wanted + reach, "left")
    nearest = _nearest(time, wanted)
    first, last = np.minimum(first, nearest), np.maximum(last, nearest + 1)
    counts = last - first
    rows = np.repeat(np.arange(len(wanted)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows, np.repeat(first, counts) + within


def _triangles(time: np.ndarray, wanted: np.ndarray, reach: float) -> csr_array:
    """Weights that fall from a wanted time to nothing at `reach`, times what each frame lasts; rows sum to 1."""
    rows, columns = _around(time, wanted, reach)
    # In a gap the nearest frame alone is there, beyond reach.
    height = np.maximum(1 - np.abs(time[columns] - wanted[rows]) / reach, 1e-9)
    values = height * np.gradient(time)[columns]
    total = np.bincount(rows, values, minlength=len(wanted))
    table = csr_array((values / total[rows], (rows, columns)), shape=(len(wanted), len(time)))
    table.eliminate_zeros()
    return table


def _weighed(weights: csr_array, values: np.ndarray) -> np.ndarray:
    known = ~np.isnan(values)
    support = weights @ known.astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (weights @ np.where(known, values, 0.0)) / support
    return np.where(support >= 0.5, means, np.nan)


def _most_frequent(states: np.ndarray, time: np.ndarray, wanted: np.ndarray, spacing: float) -> np.ndarray:
    codes, names = pd.factorize(states)
    rows, columns = _around(time, wanted, spacing / 2)
    votes = np.zeros((len(wanted), len(names)))
    np.add.at(votes, (rows, codes[columns]), 1.0)
    # Half a vote more for the nearest frame decides between states that are equally frequent.
    votes[np.arange(len(wanted)), codes[_nearest(time, wanted)]] += 0.5
    return np.asarray(names)[votes.argmax(axis=1)]
