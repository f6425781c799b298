"""Scores of bouts: onsets, segments, durations and transitions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import wasserstein_distance

from skworm.frames.features import check_positive
from skworm.frames.index import check_frames_differ, check_same_order, frame_of_rows, worm_of_rows
from skworm.recording import UNKNOWN


class Bouts(NamedTuple):
    """Bouts in order of time, from row `start` to before `stop`; one that `opens` its stretch has an unseen onset."""

    start: np.ndarray
    stop: np.ndarray
    state: np.ndarray
    opens: np.ndarray
    closes: np.ndarray
    stretch: np.ndarray

    @property
    def n_frames(self) -> np.ndarray:
        """Length of each bout in frames."""
        return self.stop - self.start


def bouts_of(states: np.ndarray, stretch: np.ndarray) -> Bouts:
    """Cut frames, in order of time, where the state or the stretch changes."""
    new_stretch = np.append(True, stretch[1:] != stretch[:-1])[: len(states)]
    new_state = np.append(True, states[1:] != states[:-1])[: len(states)]
    start = np.flatnonzero(new_stretch | new_state)
    stop, opens = np.append(start[1:], len(states)), new_stretch[start]
    closes = np.append(opens[1:], True)[: len(start)]
    return Bouts(start, stop[: len(start)], states[start], opens, closes, stretch[start])


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


def _table_of_frames(states: Any, worm: Any, frame: Any, **others: Any) -> pd.DataFrame:
    """Put the frames whose state is known in order of worm and frame, with `others` as further columns.

    The column ``stretch`` counts runs of consecutive known frames of one worm.
    """
    values = states_as_text(states, "states")
    if values.ndim != 1:
        raise ValueError(f"states have shape {values.shape}; pass one state a frame, (n_frames,)")
    worms = worms_of(states, worm)
    frames = frame_of_rows(states, worms) if frame is None else np.asarray(frame)
    table = pd.DataFrame({"worm": worms, "frame": frames, "state": values, **others})
    check_frames_differ(worms, frames, "give each recording its own worm name, or drop repeated rows")
    table = table.sort_values(["worm", "frame"], ignore_index=True)
    table = table[table["state"] != UNKNOWN].reset_index(drop=True)
    breaks = (table["frame"].diff() != 1) | (table["worm"] != table["worm"].shift())
    return table.assign(stretch=breaks.cumsum())


def pairs_of_bouts(y_true: Any, y_pred: Any, worm: Any = None, frame: Any = None) -> Iterator[tuple[Any, Bouts, Bouts]]:
    """Yield each worm with its true and its predicted bouts, both cut where the true states have a gap."""
    _, predictions = same_frames(y_true, y_pred, "state", str)
    both_labelled = isinstance(y_true, pd.Series) and isinstance(y_pred, pd.Series)
    if both_labelled and not y_true.index.equals(y_pred.index):
        raise ValueError("y_true and y_pred have different indices; align them with y_pred.loc[y_true.index]")
    table = _table_of_frames(y_true, worm, frame, predicted=predictions)
    for name, rows in table.groupby("worm", sort=True):
        columns = (rows[column].to_numpy(dtype=str) for column in ("state", "predicted"))
        true, predicted = (bouts_of(states, rows["stretch"].to_numpy()) for states in columns)
        yield name, true, predicted


def frames_a_second(fps: float | Mapping[Any, float], worm: Any) -> float:
    """Return the frame rate of a worm, from one rate for all or from a mapping."""
    if isinstance(fps, Mapping) and worm not in fps:
        raise ValueError(f"fps names no rate for worm {str(worm)!r}; add it, or pass one number for all worms")
    return check_positive("fps", fps[worm] if isinstance(fps, Mapping) else fps, "frames a second")


def match_onsets(true: Bouts, predicted: Bouts, *, fps: float, tolerance: float) -> dict[str, float]:
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
    table, bouts = _bouts_of_worms(states, worm, frame)
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
    if not isinstance(threshold, Real) or not 0 < float(threshold) <= 1:
        raise ValueError(f"threshold={threshold!r} must be a number above 0 and at most 1, such as 0.5")
    pairs = pairs_of_bouts(y_true, y_pred, worm, frame)
    return mean_of_worms(_segment_f1(*pair, threshold) for _, *pair in pairs)


def transition_matrix(states: Any, *, worm: Any = None, frame: Any = None) -> pd.DataFrame:
    """Count which state follows which, from bout to bout.

    Parameters
    ----------
    states, worm, frame
        As in :func:`find_bouts`, whose errors are raised.

    Returns
    -------
    pandas.DataFrame of int, shape (n_states, n_states)
        Transitions from the state of the row to that of the column, over all worms; the diagonal is 0. Divide by the
        row sums for probabilities.

    Examples
    --------
    >>> from skworm.metrics import transition_matrix
    >>> transition_matrix(["forward", "reverse", "reverse", "forward", "reverse"], worm=["a"] * 5)
             forward  reverse
    forward        0        2
    reverse        1        0
    """
    _, bouts = _bouts_of_worms(states, worm, frame)
    names = np.unique(bouts.state)
    return pd.DataFrame(_transitions(bouts, names), index=names, columns=names)


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
    worm, frame : array-like of shape (n_frames,), optional
        Worm and frame number of each row; by default the index levels of `y_true`.

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
    for name, true, predicted in pairs_of_bouts(y_true, y_pred, worm, frame):
        rate = frames_a_second(fps, name)
        rows[name] = {
            "n_bouts": len(true.state),
            "n_predicted_bouts": int((predicted.state != UNKNOWN).sum()),
            **{f"segment_f1_{100 * t:.0f}": _segment_f1(true, predicted, t) for t in (0.10, 0.25, 0.50)},
            **match_onsets(true, predicted, fps=rate, tolerance=tolerance),
            "dwell_time_distance": dwell_time_distance(true, predicted) / rate,
        }
    return pd.DataFrame(list(rows.values()), index=pd.Index(rows, name="worm"))


def _bouts_of_worms(states: Any, worm: Any, frame: Any) -> tuple[pd.DataFrame, Bouts]:
    table = _table_of_frames(states, worm, frame)
    return table, bouts_of(table["state"].to_numpy(dtype=str), table["stretch"].to_numpy())


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


def dwell_time_distance(true: Bouts, predicted: Bouts) -> float:
    """Return the distance between bout durations in frames; see :func:`score_bouts`."""
    distances = []
    for state in np.unique(true.state):
        lengths = predicted.n_frames[predicted.state == state]
        distances.append(wasserstein_distance(true.n_frames[true.state == state], lengths if len(lengths) else [0.0]))
    return float(np.mean(distances))


def _transitions(bouts: Bouts, names: np.ndarray) -> np.ndarray:
    code = np.searchsorted(names, bouts.state)
    counts = np.zeros((len(names), len(names)), dtype=int)
    follows = np.flatnonzero(~bouts.opens[1:])
    np.add.at(counts, (code[follows], code[follows + 1]), 1)
    return counts


def mean_of_worms(values: Iterable[float]) -> float:
    """Return the mean of the values that are not NaN, NaN where none is."""
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else np.nan
