"""Whether the probabilities of states, and sets of states, hold what they promise, worm by worm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from skworm.frames.index import check_same_order
from skworm.metrics.bouts import states_as_text, worms_of
from skworm.parameters import check_whole
from skworm.recording import UNKNOWN

_SUM_TOLERANCE = 1e-3


def reliability_curve(
    y_true: Any, probabilities: Any, *, classes: Any, worm: Any = None, n_bins: int = 10
) -> pd.DataFrame:
    """Compare confidence and accuracy of each worm in equally wide bins of [0, 1].

    Parameters
    ----------
    y_true, probabilities, classes, worm
        As in :func:`calibration_report`, whose errors are raised.
    n_bins : int, default=10
        Bins.

    Returns
    -------
    pandas.DataFrame
        One row a bin that is not empty, index ``"worm"`` and ``"bin"``: mean ``confidence``, ``accuracy``,
        ``n_frames``.

    Examples
    --------
    >>> from skworm.metrics import reliability_curve
    >>> probabilities = [[0.75, 0.25], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]]
    >>> states = ["forward", "reverse", "reverse", "reverse"]
    >>> reliability_curve(states, probabilities, classes=["forward", "reverse"], worm=["a"] * 4, n_bins=2)
              confidence  accuracy  n_frames
    worm bin
    a    1        0.8125      0.75         4
    """
    check_whole(1, n_bins=n_bins)
    frames = _frames(y_true, probabilities, classes, worms_of(y_true, worm))
    return _by_bin(frames, (frames["confidence"] * n_bins).astype(int).clip(upper=n_bins - 1))


def calibration_report(
    y_true: Any,
    probabilities: Any,
    *,
    classes: Any,
    worm: Any = None,
    n_bins: int = 15,
) -> pd.DataFrame:
    """Measure for each worm whether probabilities hold what they promise.

    Frames are binned by the probability of their most probable state, the confidence. The expected calibration error is
    the mean over frames of the distance, within a bin, between mean confidence and accuracy. Errors of opposite sign in
    two worms do not cancel, as they would in all frames together. Bins hold equally many frames: confidences crowd near
    1, where equal widths would put most frames into one bin.

    Parameters
    ----------
    y_true : array-like of str, shape (n_frames,)
        True states; ``"unknown"`` is left out.
    probabilities : array-like of shape (n_frames, n_states)
        What `predict_proba` returned.
    classes : array-like of str, shape (n_states,)
        States of the columns: ``classes_`` of the classifier.
    worm : array-like of shape (n_frames,), optional
        Worm of each frame; by default the index level ``"worm"`` of `y_true`.
    n_bins : int, default=15
        Bins of each worm.

    Returns
    -------
    pandas.DataFrame
        One row a worm, index ``"worm"``: ``n_frames``; ``accuracy`` of the most probable state; its mean probability,
        ``confidence``; ``expected_calibration_error``, from 0 to 1, which chance alone moves above 0, the more so the
        fewer bouts there are; ``log_loss``, nats a frame, infinite where a true state had probability 0. All are NaN
        where no frame has a known state.

    Raises
    ------
    ValueError
        If worms are missing, shapes do not fit, rows are no probabilities, or a parameter is not known.

    References
    ----------
    Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3; Nixon et al. 2019, "Measuring Calibration
    in Deep Learning", for bins of equal mass.

    Examples
    --------
    >>> from skworm.metrics import calibration_report
    >>> report = calibration_report(
    ...     ["forward", "reverse"], [[0.9, 0.1], [0.6, 0.4]], classes=["forward", "reverse"], worm=["a", "b"]
    ... )
    >>> report["expected_calibration_error"].round(2).to_dict()
    {'a': 0.1, 'b': 0.6}
    """
    check_whole(1, n_bins=n_bins)
    worms = worms_of(y_true, worm)
    frames = _frames(y_true, probabilities, classes, worms)
    by_worm = frames.groupby("worm")
    # Equal confidences share a bin: divided in the order of rows, each would hold a bout.
    first = by_worm["confidence"].rank(method="min") - 1
    bins = _by_bin(frames, (first * n_bins // by_worm["confidence"].transform("size")).astype(int))
    errors = (bins["confidence"] - bins["accuracy"]).abs() * bins["n_frames"]
    report = by_worm[["accuracy", "confidence", "log_loss"]].mean()
    report.insert(0, "n_frames", by_worm.size())
    report.insert(3, "expected_calibration_error", errors.groupby("worm").sum() / report["n_frames"])
    report = report.reindex(pd.Index(np.unique(worms), name="worm"))
    return report.assign(n_frames=report["n_frames"].fillna(0).astype(int))


def coverage_report(y_true: Any, sets: pd.DataFrame, *, worm: Any = None) -> pd.DataFrame:
    """Measure for each worm how often sets of states hold the true one, and how large they are.

    Parameters
    ----------
    y_true : Series or array-like of str, shape (n_frames,)
        True states; ``"unknown"`` is left out.
    sets : pandas.DataFrame of bool, shape (n_frames, n_states)
        Which states each set holds, a column a state, as `ConformalStateClassifier.predict_set` returns them. A true
        state that has no column counts as not covered.
    worm : array-like of shape (n_frames,), optional
        Worm of each frame; by default the index level ``"worm"`` of `y_true`.

    Returns
    -------
    pandas.DataFrame
        One row a worm, index ``"worm"``: ``n_frames``; ``coverage``, the share of frames whose set holds the true
        state; ``set_size``, mean number of states in a set; ``abstained``, the share of frames with more than one.

    Raises
    ------
    ValueError
        If worms are missing or shapes do not fit.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.metrics import coverage_report
    >>> sets = pd.DataFrame({"forward": [True, True], "reverse": [False, True]})
    >>> coverage_report(["reverse", "reverse"], sets, worm=["a", "a"])
          n_frames  coverage  set_size  abstained
    worm
    a            2       0.5       1.5        0.5
    """
    worms, states = worms_of(y_true, worm), states_as_text(y_true)
    check_same_order(y_true, sets, ("y_true", "sets"))
    if not isinstance(sets, pd.DataFrame) or len(sets) != len(states):
        raise ValueError(f"sets must be a DataFrame of {len(states)} rows and a column a state; pass predict_set(X)")
    held, names = sets.to_numpy(dtype=bool), np.asarray(sets.columns, dtype=str)
    covered = (held & (states[:, None] == names)).any(axis=1)
    size = held.sum(axis=1)
    table = pd.DataFrame({"worm": worms, "coverage": covered, "set_size": size, "abstained": size > 1})
    by_worm = table[states != UNKNOWN].groupby("worm")
    return pd.concat([by_worm.size().rename("n_frames"), by_worm.mean()], axis=1)


def _frames(y_true: Any, probabilities: Any, classes: Any, worm: np.ndarray) -> pd.DataFrame:
    """Return a row for each frame of known state: worm, confidence, whether it is right, and log loss."""
    states, names = states_as_text(y_true), np.asarray(classes, dtype=str)
    check_same_order(y_true, probabilities, ("y_true", "probabilities"))
    if isinstance(probabilities, pd.DataFrame) and set(probabilities.columns) == set(names):
        probabilities = probabilities[list(names)]
    values = np.asarray(probabilities, dtype=float)
    if states.ndim != 1 or names.ndim != 1 or values.shape != (len(states), len(names)):
        raise ValueError(
            f"probabilities have shape {values.shape} for {len(states)} frames and {len(names)} classes; pass "
            "predict_proba(X) and the classes_ of the classifier"
        )
    wrong = np.flatnonzero(~((values >= 0).all(axis=1) & (np.abs(values.sum(axis=1) - 1) < _SUM_TOLERANCE)))
    if len(wrong):
        raise ValueError(
            f"row {wrong[0]} of probabilities is {values[wrong[0]].round(3).tolist()}, which are no probabilities that "
            "sum to 1; pass predict_proba(X)"
        )
    top = values.argmax(axis=1)
    of_true = np.where(states[:, None] == names, values, 0.0).sum(axis=1)
    with np.errstate(divide="ignore"):
        scores = {"confidence": values.max(axis=1), "accuracy": names[top] == states, "log_loss": -np.log(of_true)}
    return pd.DataFrame({"worm": worm, **scores})[states != UNKNOWN]


def _by_bin(frames: pd.DataFrame, number: pd.Series) -> pd.DataFrame:
    """Return mean confidence, accuracy and number of frames of each worm and bin."""
    bins = frames.groupby(["worm", number.rename("bin")])
    return bins[["confidence", "accuracy"]].mean().assign(n_frames=bins.size())
