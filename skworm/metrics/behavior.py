"""Scores of predicted continuous behaviour."""

from __future__ import annotations

from typing import Any

import numpy as np

from skworm.metrics.bouts import same_frames


def score_behavior(y_true: Any, y_pred: Any) -> dict[str, float]:
    """Score a predicted signal against the true one, leaving out frames whose true signal is NaN.

    Parameters
    ----------
    y_true : array-like of shape (n_frames,)
        True signal of each frame, such as a velocity.
    y_pred : array-like of shape (n_frames,)
        Predicted signal of each frame, in the same unit.

    Returns
    -------
    dict
        ``"n_frames"``, the number of frames scored; ``"r2"``, the coefficient of determination, 1 - mean squared
        error / variance, which is 0 for the mean of `y_true` itself and negative for worse; ``"correlation"``,
        Pearson's, which level and size of the predictions leave as it is; ``"rmse"``, the root of the mean squared
        error in the unit of the signal. `r2` is NaN where `y_true` is constant, `correlation` where either is, and all
        are NaN where no frame is known.

    Raises
    ------
    ValueError
        If the two differ in length, or a known frame has a prediction that is not finite.

    Examples
    --------
    >>> from skworm.metrics import score_behavior
    >>> score_behavior([0.0, 0.1, 0.2, float("nan")], [0.0, 0.0, 0.2, 0.3])
    {'n_frames': 3, 'r2': 0.5, 'correlation': 0.866..., 'rmse': 0.057...}
    """
    true, predicted = same_frames(y_true, y_pred, "value", float)
    known = ~np.isnan(true)
    true, predicted = true[known], predicted[known]
    strange = np.flatnonzero(~np.isfinite(predicted))
    if len(strange):
        raise ValueError(f"y_pred is {predicted[strange[0]]} in {len(strange)} known frames; predict a number in each")
    if not len(true):
        return {"n_frames": 0, "r2": np.nan, "correlation": np.nan, "rmse": np.nan}
    squared = float(np.mean((true - predicted) ** 2))
    spread, other_spread = standard_deviation(true), standard_deviation(predicted)
    covariance = float(np.mean((true - true.mean()) * (predicted - predicted.mean())))
    return {
        "n_frames": len(true),
        "r2": 1 - squared / spread**2 if spread else np.nan,
        "correlation": covariance / (spread * other_spread) if spread and other_spread else np.nan,
        "rmse": float(np.sqrt(squared)),
    }


def standard_deviation(values: np.ndarray, ddof: int = 0) -> float:
    """Return the standard deviation, 0 where it is nothing but rounding."""
    deviation = float(values.std(ddof=ddof))
    return deviation if deviation > 1e-12 * float(np.abs(values).max()) else 0.0
