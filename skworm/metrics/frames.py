"""Scores of predicted behavioural states, frame by frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from skworm.states import UNKNOWN


def score_states(y_true: Any, y_pred: Any) -> dict[str, float]:
    """Score predicted states against true ones, leaving out frames whose true state is ``"unknown"``.

    Parameters
    ----------
    y_true : array-like of str, shape (n_frames,)
        True state of each frame.
    y_pred : array-like of str, shape (n_frames,)
        Predicted state of each frame.

    Returns
    -------
    dict
        ``"n_frames"``, the number of frames scored; ``"accuracy"``; ``"balanced_accuracy"``, the recall averaged over
        states; ``"macro_f1"``, the F1 score averaged over states. Both averages run over the states that `y_true` has,
        so a recording without turns is not scored on turns. The scores are NaN where no frame has a known state.

    Raises
    ------
    ValueError
        If the two differ in length.

    Examples
    --------
    >>> from skworm.metrics import score_states
    >>> score_states(["forward", "forward", "reverse", "unknown"], ["forward", "reverse", "reverse", "forward"])
    {'n_frames': 3, 'accuracy': 0.666..., 'balanced_accuracy': 0.75, 'macro_f1': 0.666...}
    """
    true = np.asarray(y_true, dtype=str)
    predicted = np.asarray(y_pred, dtype=str)
    if true.shape != predicted.shape or true.ndim != 1:
        raise ValueError(
            f"y_true has shape {true.shape} and y_pred {predicted.shape}; pass one state a frame, (n_frames,), in both"
        )
    known = true != UNKNOWN
    true, predicted = true[known], predicted[known]
    if not len(true):
        return {"n_frames": 0, "accuracy": np.nan, "balanced_accuracy": np.nan, "macro_f1": np.nan}
    # As scikit-learn counts, without its checks of the input, which take most of its time.
    codes, states = pd.factorize(np.concatenate([true, predicted]))
    n_states = len(states)
    confusion = np.bincount(codes[: len(true)] * n_states + codes[len(true) :], minlength=n_states**2)
    confusion = confusion.reshape(n_states, n_states)
    hits, n_true, n_predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    present = n_true > 0
    return {
        "n_frames": len(true),
        "accuracy": float(hits.sum() / len(true)),
        "balanced_accuracy": float((hits / n_true.clip(min=1))[present].mean()),
        "macro_f1": float((2 * hits / (n_true + n_predicted))[present].mean()),
    }
