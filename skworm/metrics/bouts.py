"""Scores of bouts: onsets, segments and durations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import wasserstein_distance

from skworm.frames.features import check_positive
from skworm.frames.index import check_frames_differ, check_same_order, frame_of_rows, sequences_of, worm_of_rows
from skworm.recording import UNKNOWN


class Bouts(NamedTuple):
    """Bouts in order of time, from row `start` to before `stop`; one that `opens` its stretch has an unseen onset."""

    start: np.ndarray
    stop: np.ndarray
    state: np.ndarray
    opens: np.ndarray
    stretch: np.ndarray

    @property
    def n_frames(self) -> np.ndarray:
        """Length of each bout in frames."""
        return self.stop - self.start


def bouts_of(states: np.ndarray, stretch: np.ndarray) -> Bouts:
    """Cut frames, in order of time, where the state or the stretch changes."""
    opens = np.append(True, stretch[1:] != stretch[:-1])
    start = np.flatnonzero(opens | np.append(True, states[1:] != states[:-1]))
    return Bouts(start, np.append(start[1:], len(states)), states[start], opens[start], stretch[start])


def _bouts_of_worms(y_true: Any, y_pred: Any, worm: Any) -> Iterator[tuple[Any, Bouts, Bouts]]:
    """Yield each worm with its true and its predicted bouts, both cut where the true states have a gap."""
    true, predicted = same_frames(y_true, y_pred, "state", str)
    worms = worms_of(y_true, worm)
    frames = frame_of_rows(y_true, worms)
    check_frames_differ(worms, frames, "give each recording its own worm name, or drop repeated rows")
    known = np.flatnonzero(true != UNKNOWN)
    stretches = sequences_of(worms[known], frames[known])
    rows = known[np.concatenate(stretches)]
    stretch = np.repeat(np.arange(len(stretches)), list(map(len, stretches)))
    for name in pd.unique(worms[rows]):
        own = worms[rows] == name
        yield name, *(bouts_of(states[rows[own]], stretch[own]) for states in (true, predicted))


def worms_of(states: Any, worm: Any) -> np.ndarray:
    """Return the worm of each row; raise ValueError if nothing says it."""
    worms = worm_of_rows(states, worm)
    if worms is None:
        raise ValueError(
            "nothing says to which worm a row belongs; pass worm=, or data with the index level 'worm', as make_frames "
            "returns them"
        )
    return worms


def states_as_text(states: Any, name: str = "y_true") -> np.ndarray:
    """Return states as an array of text; raise ValueError where one is missing, which would become a state "nan"."""
    values = np.asarray(states)
    if values.dtype.kind not in "US" and (missing := pd.isna(values)).any():
        row = np.argwhere(missing)[0, 0]
        raise ValueError(f"{name} has no state at row {row}; write 'unknown' where none is known")
    return values.astype(str)


def same_frames(y_true: Any, y_pred: Any, what: str, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """Return what is true and what is predicted as arrays; raise ValueError unless both have a value a frame."""
    both = {"y_true": y_true, "y_pred": y_pred}
    true, predicted = (
        states_as_text(values, name) if dtype is str else np.asarray(values, dtype=dtype)
        for name, values in both.items()
    )
    if true.shape != predicted.shape or true.ndim != 1:
        raise ValueError(
            f"y_true has shape {true.shape} and y_pred {predicted.shape}; pass one {what} a frame, (n_frames,), in both"
        )
    check_same_order(y_true, y_pred, ("y_true", "y_pred"))
    return true, predicted


def frames_a_second(fps: float | Mapping[Any, float], worm: Any) -> float:
    """Return the frame rate of a worm, from one rate for all or from a mapping."""
    if isinstance(fps, Mapping) and worm not in fps:
        raise ValueError(f"fps names no rate for worm {str(worm)!r}; add it, or pass one number for all worms")
    return check_positive("fps", fps[worm] if isinstance(fps, Mapping) else fps, "frames a second")


def _match_onsets(true: Bouts, predicted: Bouts, *, fps: float, tolerance: float) -> dict[str, float]:
    """Compare when the bouts of a worm begin; see :func:`score_bouts`."""
    seen, found = ~true.opens, ~predicted.opens & (predicted.state != UNKNOWN)
    delay = predicted.start[found] - true.start[seen][:, None]
    near = (true.state[seen][:, None] == predicted.state[found]) & (np.abs(delay) <= tolerance * fps)
    # Rows have lost their gaps, and an onset must not find a partner beyond one.
    near &= true.stretch[seen][:, None] == predicted.stretch[found]
    first, second = np.nonzero(near)
    order = np.argsort(np.abs(delay[first, second]), kind="stable")
    paired: list[float] = []
    used_true, used_found = set(), set()
    for i, j in zip(first[order].tolist(), second[order].tolist(), strict=True):
        if i not in used_true and j not in used_found:
            used_true.add(i)
            used_found.add(j)
            paired.append(float(delay[i, j]) / fps)
    n_true, n_found = delay.shape
    return {
        "onset_delay": float(np.median(paired)) if paired else np.nan,
        "onset_latency": float(np.median(np.abs(paired))) if paired else np.nan,
        "n_onsets": n_true,
        "n_missed": n_true - len(paired),
        "n_spurious": n_found - len(paired),
        "onset_f1": 2 * len(paired) / (n_true + n_found) if n_true + n_found else np.nan,
    }


def segment_f1(y_true: Any, y_pred: Any, *, threshold: float = 0.5, worm: Any = None) -> float:
    """Compute the F1 score over bouts: a predicted bout is right where it overlaps a true one of its state enough.

    A predicted bout takes the true bout of the same state with the largest overlap, intersection over union. It is
    right if that is `threshold` or more and no earlier bout took it. Further predicted bouts are false, and true bouts
    that none took are missed. So a bout that flickers counts as several, whatever share of its frames is right.

    Parameters
    ----------
    y_true, y_pred : Series or array-like of str, shape (n_frames,)
        True and predicted states; frames whose true state is ``"unknown"`` are left out.
    threshold : float in (0, 1], default=0.5
        Least overlap; .10, .25 and .50 are usual.
    worm : array-like of shape (n_frames,), optional
        Worm of each row; by default the index level ``"worm"`` of `y_true`, whose level ``"frame"`` tells gaps.

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
    if not isinstance(threshold, Real) or not 0 < float(threshold) <= 1:
        raise ValueError(f"threshold={threshold!r} must be a number above 0 and at most 1, such as 0.5")
    scores = [_segment_f1(*both, threshold) for _, *both in _bouts_of_worms(y_true, y_pred, worm)]
    return float(np.mean(scores)) if scores else np.nan


def score_bouts(
    y_true: Any,
    y_pred: Any,
    *,
    fps: float | Mapping[Any, float],
    tolerance: float = 3.0,
    worm: Any = None,
) -> pd.DataFrame:
    """Score predicted states bout by bout, in every way that skworm knows.

    An onset is the first frame of a bout whose beginning was seen. True and predicted onsets of the same state are
    paired one to one, the nearest first, if no more than `tolerance` apart.

    Parameters
    ----------
    y_true, y_pred : Series or array-like of str, shape (n_frames,)
        True and predicted states; frames whose true state is ``"unknown"`` are left out.
    fps : float or mapping of worm to float
        Frames a second.
    tolerance : float, default=3.0
        Seconds.
    worm : array-like of shape (n_frames,), optional
        Worm of each row; by default the index level ``"worm"`` of `y_true`, whose level ``"frame"`` tells gaps.

    Returns
    -------
    pandas.DataFrame
        One row a worm, index ``"worm"``. Columns:

        - ``n_bouts`` and ``n_predicted_bouts``;
        - ``segment_f1_10``, ``segment_f1_25`` and ``segment_f1_50``, see :func:`segment_f1`;
        - ``onset_delay``, the median in seconds, positive where predictions come late; ``onset_latency``, the median of
          its absolute value; both NaN where nothing was paired;
        - ``n_onsets``, true ones; ``n_missed``, true ones without a partner; ``n_spurious``, predicted ones without a
          partner; ``onset_f1``, the F1 score that these counts give, NaN without any onset. Latencies look only at
          pairs: read them beside the counts;
        - ``dwell_time_distance``, seconds: the Wasserstein distance between the durations of true and of predicted
          bouts, mean over the states that the worm truly shows; 0 where the durations agree, whatever their order. A
          state that is never predicted counts as predicted for 0 s. Bouts that a gap cuts short are cut on both sides
          alike, and count with the length that was seen.

    Raises
    ------
    ValueError
        If `fps` or `tolerance` is not a positive number, shapes do not fit, or worms are missing.

    Examples
    --------
    >>> from skworm.metrics import score_bouts
    >>> true = ["forward"] * 4 + ["reverse"] * 4
    >>> scores = score_bouts(true, ["forward"] * 6 + ["reverse"] * 2, fps=2.0, worm=["a"] * 8)
    >>> scores.loc["a", ["segment_f1_10", "segment_f1_50", "onset_latency"]].tolist()
    [1.0, 1.0, 1.0]
    """
    check_positive("tolerance", tolerance, "seconds")
    rows = {}
    for name, true, predicted in _bouts_of_worms(y_true, y_pred, worm):
        rate = frames_a_second(fps, name)
        rows[name] = {
            "n_bouts": len(true.state),
            "n_predicted_bouts": int((predicted.state != UNKNOWN).sum()),
            **{f"segment_f1_{100 * t:.0f}": _segment_f1(true, predicted, t) for t in (0.10, 0.25, 0.50)},
            **_match_onsets(true, predicted, fps=rate, tolerance=tolerance),
            "dwell_time_distance": _dwell_time_distance(true, predicted) / rate,
        }
    return pd.DataFrame(list(rows.values()), index=pd.Index(rows, name="worm"))


def _segment_f1(true: Bouts, predicted: Bouts, threshold: float) -> float:
    """Return the F1 score over the bouts of a worm; see :func:`segment_f1`."""
    taken = np.zeros(len(true.state), dtype=bool)
    for start, stop, state in zip(predicted.start, predicted.stop, predicted.state, strict=True):
        shared = np.minimum(true.stop, stop) - np.maximum(true.start, start)
        joint = true.n_frames + (stop - start) - shared
        overlap = np.where((true.state == state) & (shared > 0), shared / joint, 0.0)
        best = int(overlap.argmax())
        # No other predicted bout is right by taking the same one: the second of two halves is a false bout.
        taken[best] |= overlap[best] >= threshold
    return 2 * float(taken.sum()) / (len(true.state) + (predicted.state != UNKNOWN).sum())


def _dwell_time_distance(true: Bouts, predicted: Bouts) -> float:
    """Return the distance between bout durations in frames; see :func:`score_bouts`."""
    distances = []
    for state in np.unique(true.state):
        lengths = predicted.n_frames[predicted.state == state]
        distances.append(wasserstein_distance(true.n_frames[true.state == state], lengths if len(lengths) else [0.0]))
    return float(np.mean(distances))
