"""Bring recordings to another frame rate."""

from __future__ import annotations

from dataclasses import replace
from numbers import Real

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from skworm.recording import Recording

_LONGEST_GAP_FRAMES = 3
_LONGEST_GAP_SECONDS = 1.0
_ALIKE = 1e-9


def resample(recording: Recording, fps: float) -> Recording:
    """Bring a recording to another frame rate, evenly spaced in time.

    Traces and behaviour are interpolated linearly between frames. Where the new rate is lower, each new frame is the
    mean of the frames within one new frame's time, weighed by a triangle, which keeps faster changes from showing up
    as slow ones. A state is that of the nearest frame, or with a lower rate that of most frames around. Derivatives
    that the file brought are dropped, since :func:`make_frames` computes them anew from the new traces.

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
        If `fps` is no positive number, the recording is shorter than two new frames, or frames are missing in it for
        longer than a second and three frames: there is nothing to interpolate.

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
    if not isinstance(fps, Real) or not np.isfinite(float(fps)) or not fps > 0:
        raise ValueError(f"fps={fps!r} must be a positive number of frames a second")
    fps = float(fps)
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
        states = _most_frequent(states, time, new_time, 1 / fps) if lower else states[_nearest(time, new_time)]
    return replace(
        recording,
        traces=_weighed(weights, recording.traces),
        fps=fps,
        time=new_time,
        states=states,
        derivatives=None,
        behavior=signals,
    )


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
    rows = np.repeat(np.arange(len(wanted)), 2)
    columns = np.column_stack([after - 1, after]).ravel()
    values = np.column_stack([1 - share, share]).ravel()
    return csr_array((values, (rows, columns)), shape=(len(wanted), len(time)))


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
    lasting = np.gradient(time)
    height = np.maximum(1 - np.abs(time[columns] - wanted[rows]) / reach, 0.0)
    values = height * lasting[columns]
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
