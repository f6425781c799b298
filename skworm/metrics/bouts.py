"""Scores of predicted behavioural states, bout by bout.

A bout is a run of consecutive frames of one worm in one state. It never runs across worms, across gaps in the frame
numbers, or across frames whose true state is ``"unknown"``; predictions are cut at the same places. Every score is made
worm by worm, and the mean over worms is what a function of one number returns.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import wasserstein_distance

from skworm.metrics.onsets import check_tolerance, compare_onsets
from skworm.metrics.stretches import Bouts, bouts_of, frames_a_second, pairs_of_bouts, table_of_frames

_THRESHOLDS = (0.10, 0.25, 0.50)


def find_bouts(states: Any, *, worm: Any = None, frame: Any = None) -> pd.DataFrame:
    """List the bouts of every worm.

    Parameters
    ----------
    states : Series or array-like of str, shape (n_frames,)
        State of each frame; a Series of :func:`skworm.frames.make_frames` carries worms and frames.
    worm : array-like of shape (n_frames,), optional
        Worm of each frame; by default the index level ``"worm"``.
    frame : array-like of int, shape (n_frames,), optional
        Frame numbers; by default the index level ``"frame"``, else the row order within each worm.

    Returns
    -------
    pandas.DataFrame
        One row a bout: ``worm``, ``state``, ``first_frame``, ``n_frames``, and whether its beginning and its end were
        seen (``onset_seen``, ``end_seen``): a bout beside a gap, or at either end of a recording, may have been longer.

    Raises
    ------
    ValueError
        If worms are missing, or a frame of a worm comes twice.

    Examples
    --------
    >>> from skworm.metrics import find_bouts
    >>> find_bouts(["forward", "forward", "reverse", "unknown", "reverse"], worm=["a"] * 5)
      worm    state  first_frame  n_frames  onset_seen  end_seen
    0    a  forward            0         2       False      True
    1    a  reverse            2         1        True     False
    2    a  reverse            4         1       False     False
    """
    table = table_of_frames(states, worm, frame)
    bouts = bouts_of(table["state"].to_numpy(dtype=str), table["stretch"].to_numpy())
    return pd.DataFrame(
        {
            "worm": table["worm"].to_numpy()[bouts.start],
            "state": bouts.state,
            "first_frame": table["frame"].to_numpy()[bouts.start],
            "n_frames": bouts.n_frames,
            "onset_seen": ~bouts.opens,
            "end_seen": ~bouts.closes,
        }
    )


def segment_f1(y_true: Any, y_pred: Any, *, threshold: float = 0.5, worm: Any = None, frame: Any = None) -> float:
    """Give the F1 score over bouts: a predicted bout is right where it overlaps a true one of its state enough.

    A predicted bout takes the true bout of the same state with the largest overlap, intersection over union. It is
    right if that is `threshold` or more and no earlier bout took it. Further predicted bouts are false, and true bouts
    that none took are missed. So a bout that flickers counts as several, whatever share of its frames is right.

    Parameters
    ----------
    y_true, y_pred : Series or array-like of str, shape (n_frames,)
        True and predicted states; frames whose true state is ``"unknown"`` are left out.
    threshold : float in (0, 1], default=0.5
        Least overlap; .10, .25 and .50 are usual.
    worm, frame : array-like of shape (n_frames,), optional
        Worm and frame number of each row; by default the index levels of `y_true`.

    Returns
    -------
    float
        Mean over worms; NaN where no frame has a known state.

    Raises
    ------
    ValueError
        If `threshold` is out of range, shapes do not fit, or worms are missing.

    References
    ----------
    Lea et al. 2017, "Temporal Convolutional Networks for Action Segmentation and Detection", section 4, "F1@k".

    Examples
    --------
    >>> from skworm.metrics import segment_f1
    >>> true = ["forward"] * 4 + ["reverse"] * 4
    >>> flickers = ["forward", "reverse", "forward", "forward"] + ["reverse"] * 4
    >>> segment_f1(true, flickers, worm=["a"] * 8)
    0.666...
    """
    _check_threshold(threshold)
    pairs = pairs_of_bouts(y_true, y_pred, worm, frame)
    return _mean([_segment_f1(true, predicted.known, threshold) for _, true, predicted in pairs])


def dwell_time_distance(
    y_true: Any, y_pred: Any, *, fps: float | Mapping[Any, float], worm: Any = None, frame: Any = None
) -> float:
    """Give the distance between true and predicted bout durations.

    For every state that a worm truly shows, the Wasserstein distance between the durations of its true and of its
    predicted bouts; then the mean over states. A state that is never predicted counts as predicted for 0 s. Bouts that
    a gap cuts short are cut on both sides alike, and count with the length that was seen.

    Parameters
    ----------
    y_true, y_pred : Series or array-like of str, shape (n_frames,)
        True and predicted states; frames whose true state is ``"unknown"`` are left out.
    fps : float or mapping of worm to float
        Frames a second.
    worm, frame : array-like of shape (n_frames,), optional
        Worm and frame number of each row; by default the index levels of `y_true`.

    Returns
    -------
    float
        Seconds, mean over worms; 0 where the durations agree, whatever their order.

    Raises
    ------
    ValueError
        If `fps` is no positive number, shapes do not fit, or worms are missing.

    Examples
    --------
    >>> from skworm.metrics import dwell_time_distance
    >>> true = ["forward"] * 4 + ["reverse"] * 4
    >>> dwell_time_distance(true, ["forward"] * 6 + ["reverse"] * 2, fps=2.0, worm=["a"] * 8)
    1.0
    """
    pairs = pairs_of_bouts(y_true, y_pred, worm, frame)
    return _mean([_dwell_times(true, predicted) / frames_a_second(fps, name) for name, true, predicted in pairs])


def transition_matrix(states: Any, *, worm: Any = None, frame: Any = None) -> pd.DataFrame:
    """Count which state follows which, from bout to bout.

    Parameters
    ----------
    states : Series or array-like of str, shape (n_frames,)
        State of each frame.
    worm, frame : array-like of shape (n_frames,), optional
        Worm and frame number of each row; by default the index levels of `states`.

    Returns
    -------
    pandas.DataFrame of int, shape (n_states, n_states)
        Transitions from the state of the row to that of the column, over all worms; the diagonal is 0. Divide by the
        row sums for probabilities.

    Raises
    ------
    ValueError
        If worms are missing, or a frame of a worm comes twice.

    Examples
    --------
    >>> from skworm.metrics import transition_matrix
    >>> transition_matrix(["forward", "reverse", "reverse", "forward", "reverse"], worm=["a"] * 5)
             forward  reverse
    forward        0        2
    reverse        1        0
    """
    table = table_of_frames(states, worm, frame)
    bouts = bouts_of(table["state"].to_numpy(dtype=str), table["stretch"].to_numpy())
    names = np.unique(bouts.state)
    return pd.DataFrame(_transitions(bouts, names), index=names, columns=names)


def transition_agreement(y_true: Any, y_pred: Any, *, worm: Any = None, frame: Any = None) -> float:
    """Tell how well predicted bouts follow each other as the true ones do.

    The rows of both transition matrices are divided by their sums. Two such rows agree by 1 minus their total variation
    distance, that is by the probability that they share; where a state is never left in the prediction, by 0. The
    agreement of a worm is the mean over states, weighted by how often each is truly left.

    Parameters
    ----------
    y_true, y_pred : Series or array-like of str, shape (n_frames,)
        True and predicted states; frames whose true state is ``"unknown"`` are left out.
    worm, frame : array-like of shape (n_frames,), optional
        Worm and frame number of each row; by default the index levels of `y_true`.

    Returns
    -------
    float
        From 0 to 1, mean over the worms that have a transition; NaN where none has. With two states every row has one
        entry, so this says no more than that both states are left.

    Raises
    ------
    ValueError
        If shapes do not fit, or worms are missing.

    Examples
    --------
    >>> from skworm.metrics import transition_agreement
    >>> true = ["forward", "reverse", "turn", "forward"]
    >>> transition_agreement(true, true, worm=["a"] * 4)
    1.0
    >>> transition_agreement(true, ["forward", "turn", "turn", "forward"], worm=["a"] * 4)
    0.333...
    """
    return _mean([_agreement(true, predicted) for _, true, predicted in pairs_of_bouts(y_true, y_pred, worm, frame)])


def score_bouts(
    y_true: Any,
    y_pred: Any,
    *,
    fps: float | Mapping[Any, float],
    tolerance: float = 3.0,
    worm: Any = None,
    frame: Any = None,
) -> pd.DataFrame:
    """Score predicted states bout by bout, in every way that skworm knows.

    Parameters
    ----------
    y_true, y_pred : Series or array-like of str, shape (n_frames,)
        True and predicted states; frames whose true state is ``"unknown"`` are left out.
    fps : float or mapping of worm to float
        Frames a second.
    tolerance : float, default=3.0
        Seconds that an onset may be off, see :func:`match_onsets`.
    worm, frame : array-like of shape (n_frames,), optional
        Worm and frame number of each row; by default the index levels of `y_true`.

    Returns
    -------
    pandas.DataFrame
        One row a worm, index ``"worm"``. ``n_bouts`` and ``n_predicted_bouts``; ``segment_f1_10``, ``segment_f1_25``
        and ``segment_f1_50``; the columns of :func:`match_onsets`; ``dwell_time_distance``, seconds;
        ``transition_agreement``.

    Raises
    ------
    ValueError
        If `fps` or `tolerance` is no positive number, shapes do not fit, or worms are missing.

    Examples
    --------
    >>> from skworm.metrics import score_bouts
    >>> true = ["forward"] * 4 + ["reverse"] * 4
    >>> scores = score_bouts(true, ["forward"] * 6 + ["reverse"] * 2, fps=2.0, worm=["a"] * 8)
    >>> scores.loc["a", ["segment_f1_10", "segment_f1_50", "onset_latency"]].tolist()
    [1.0, 1.0, 1.0]
    """
    check_tolerance(tolerance)
    rows = {}
    for name, true, predicted in pairs_of_bouts(y_true, y_pred, worm, frame):
        rate = frames_a_second(fps, name)
        rows[name] = {
            "n_bouts": len(true.state),
            "n_predicted_bouts": len(predicted.known.state),
            **{f"segment_f1_{100 * t:.0f}": _segment_f1(true, predicted.known, t) for t in _THRESHOLDS},
            **compare_onsets(true, predicted.known, rate, tolerance),
            "dwell_time_distance": _dwell_times(true, predicted) / rate,
            "transition_agreement": _agreement(true, predicted),
        }
    return pd.DataFrame(list(rows.values()), index=pd.Index(rows, name="worm"))


def _segment_f1(true: Bouts, predicted: Bouts, threshold: float) -> float:
    taken = np.zeros(len(true.state), dtype=bool)
    for start, stop, state in zip(predicted.start, predicted.stop, predicted.state, strict=True):
        shared = np.minimum(true.stop, stop) - np.maximum(true.start, start)
        joint = true.n_frames + (stop - start) - shared
        overlap = np.where((true.state == state) & (shared > 0), shared / joint, 0.0)
        best = int(overlap.argmax())
        # No other predicted bout is right by taking the same one: the second of two halves is a false bout.
        taken[best] |= overlap[best] >= threshold
    return 2 * float(taken.sum()) / (len(true.state) + len(predicted.state))


def _dwell_times(true: Bouts, predicted: Bouts) -> float:
    distances = []
    for state in np.unique(true.state):
        lengths = predicted.n_frames[predicted.state == state]
        distances.append(wasserstein_distance(true.n_frames[true.state == state], lengths if len(lengths) else [0.0]))
    return float(np.mean(distances))


def _agreement(true: Bouts, predicted: Bouts) -> float:
    names = np.unique([*true.state, *predicted.state])
    counts, found = _transitions(true, names), _transitions(predicted, names)
    left = counts.sum(axis=1)
    if not left.sum():
        return np.nan
    shared = np.minimum(*(matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1) for matrix in (counts, found)))
    return float(left @ shared.sum(axis=1) / left.sum())


def _transitions(bouts: Bouts, names: np.ndarray) -> np.ndarray:
    code = np.searchsorted(names, bouts.state)
    counts = np.zeros((len(names), len(names)), dtype=int)
    follows = np.flatnonzero(~bouts.opens[1:])
    np.add.at(counts, (code[follows], code[follows + 1]), 1)
    return counts


def _mean(values: list[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else np.nan


def _check_threshold(threshold: Any) -> None:
    if not isinstance(threshold, Real) or not 0 < float(threshold) <= 1:
        raise ValueError(f"threshold={threshold!r} must be a number above 0 and at most 1, such as 0.5")
