"""Scores of predicted behavioural states, frame by frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

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
    _, recall, f1, _ = precision_recall_fscore_support(true, predicted, labels=np.unique(true), zero_division=0.0)
    return {
        "n_frames": len(true),
        "accuracy": float(accuracy_score(true, predicted)),
        "balanced_accuracy": float(np.mean(recall)),
        "macro_f1": float(np.mean(f1)),
    }
