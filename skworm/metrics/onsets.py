"""When bouts begin, and when they are predicted to."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from skworm.metrics.stretches import Bouts, frames_a_second, pairs_of_bouts

_ONSET_COLUMNS = ["onset_delay", "onset_latency", "n_onsets", "n_missed", "n_spurious", "onset_f1"]


def match_onsets(
    y_true: Any,
    y_pred: Any,
    *,
    fps: float | Mapping[Any, float],
    tolerance: float = 3.0,
    worm: Any = None,
    frame: Any = None,
) -> pd.DataFrame:
    """Compare when bouts begin.

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
        One row a worm, index ``"worm"``. ``onset_delay``, the median in seconds, positive where predictions come late;
        ``onset_latency``, the median of its absolute value; both NaN where nothing was paired. ``n_onsets``, true ones;
        ``n_missed``, true ones without a partner; ``n_spurious``, predicted ones without a partner; ``onset_f1``, the
        F1 score that these counts give, NaN without any onset. Latencies look only at pairs: read them beside the
        counts.

    Raises
    ------
    ValueError
        If `fps` or `tolerance` is no positive number, shapes do not fit, or worms are missing.

    Examples
    --------
    >>> from skworm.metrics import match_onsets
    >>> true = ["forward"] * 4 + ["reverse"] * 4
    >>> late = ["forward"] * 5 + ["reverse"] * 3
    >>> match_onsets(true, late, fps=2.0, worm=["a"] * 8)
          onset_delay  onset_latency  n_onsets  n_missed  n_spurious  onset_f1
    worm
    a             0.5            0.5         1         0           0       1.0
    """
    check_tolerance(tolerance)
    rows = {
        name: compare_onsets(true, predicted.known, frames_a_second(fps, name), tolerance)
        for name, true, predicted in pairs_of_bouts(y_true, y_pred, worm, frame)
    }
    return pd.DataFrame(list(rows.values()), index=pd.Index(rows, name="worm"), columns=_ONSET_COLUMNS)


def compare_onsets(true: Bouts, predicted: Bouts, fps: float, tolerance: float) -> dict[str, float]:
    """Give the row of :func:`match_onsets` for one worm."""
    onsets, found = true.start[~true.opens], predicted.start[~predicted.opens]
    same = true.state[~true.opens][:, None] == predicted.state[~predicted.opens]
    delay = found - onsets[:, None]
    near = same & (np.abs(delay) <= tolerance * fps)
    # Rows have lost their gaps, and an onset must not find a partner beyond one.
    near &= true.stretch[~true.opens][:, None] == predicted.stretch[~predicted.opens]
    first, second = np.nonzero(near)
    order = np.argsort(np.abs(delay[first, second]), kind="stable")
    paired: list[float] = []
    used_true, used_found = set(), set()
    for i, j in zip(first[order].tolist(), second[order].tolist(), strict=True):
        if i not in used_true and j not in used_found:
            used_true.add(i)
            used_found.add(j)
            paired.append(float(delay[i, j]) / fps)
    n_all = len(onsets) + len(found)
    return {
        "onset_delay": float(np.median(paired)) if paired else np.nan,
        "onset_latency": float(np.median(np.abs(paired))) if paired else np.nan,
        "n_onsets": len(onsets),
        "n_missed": len(onsets) - len(paired),
        "n_spurious": len(found) - len(paired),
        "onset_f1": 2 * len(paired) / n_all if n_all else np.nan,
    }


def check_tolerance(tolerance: Any) -> None:
    """Refuse a tolerance that is no number of seconds above 0."""
    if not isinstance(tolerance, Real) or not 0 < float(tolerance) < np.inf:
        raise ValueError(f"tolerance={tolerance!r} must be a number of seconds, above 0")
