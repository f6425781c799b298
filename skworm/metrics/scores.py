"""Scores of predicted states, trajectories and behavioural signals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from skworm.frames.index import check_same_order, parse_column_names, parse_step_column_names
from skworm.metrics.bouts import same_frames
from skworm.recording import UNKNOWN


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
    true, predicted = same_frames(y_true, y_pred, "state", str)
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


def mse_by_step(y_true: Any, y_pred: Any, *, horizon: int | None = None, node_feature: str | None = None) -> pd.Series:
    """Compute the mean squared error of predicted trajectories at every step.

    Parameters
    ----------
    y_true : DataFrame or array-like of shape (n_trajectories, horizon * n_columns)
        True frames, time-major, as :func:`skworm.frames.make_trajectories` returns them.
    y_pred : array-like of shape (n_trajectories, horizon * n_columns)
        Predicted frames.
    horizon : int, optional
        Number of steps; by default from the column names of `y_true`.
    node_feature : str, optional
        Take the columns of one node feature only, such as ``"trace"`` or ``"derivative"``; by default all.

    Returns
    -------
    pandas.Series of float, shape (horizon,)
        Mean over trajectories and columns, in squared units of the scaled features; the index ``"step"`` counts
        predicted frames from 1.

    Raises
    ------
    ValueError
        If shapes differ, the number of steps is not known or does not fit, or the node feature is unknown.

    References
    ----------
    Wang et al. 2021, "Neuron-level Trajectory Prediction": "we averaged the loss per prediction timestep across all
    batches"; Figure 4C.

    Examples
    --------
    >>> from skworm.metrics import mse_by_step
    >>> mse_by_step([[1.0, 1.0], [3.0, 3.0]], [[1.0, 2.0], [2.0, 5.0]], horizon=2)
    step
    1    0.5
    2    2.5
    Name: mse, dtype: float64
    """
    true, predicted, columns = _steps(y_true, y_pred, horizon)
    squared = (true - predicted) ** 2
    if node_feature is not None:
        _, known = parse_column_names(columns) or ([], [])
        if node_feature not in known:
            raise ValueError(
                f"node_feature={node_feature!r} is not among the node features {known} that the columns of y_true "
                "name; pass a table of make_trajectories, and one of its features"
            )
        squared = squared[..., known.index(node_feature) :: len(known)]
    steps = pd.RangeIndex(1, squared.shape[1] + 1, name="step")
    return pd.Series(squared.mean(axis=(0, 2)), index=steps, name="mse")


def skill_by_step(
    y_true: Any, y_pred: Any, X: Any, *, horizon: int | None = None, node_feature: str | None = None
) -> pd.Series:
    """Compute the skill of predicted trajectories over persistence at every step.

    Parameters
    ----------
    y_true, y_pred, horizon, node_feature
        As in :func:`mse_by_step`.
    X : DataFrame or array-like of shape (n_trajectories, burn_in * n_columns)
        Observed frames, whose last one persistence repeats.

    Returns
    -------
    pandas.Series of float, shape (horizon,)
        1 - MSE / MSE of persistence: 1 for a perfect forecast, 0 for one as good as repeating the last observed
        frame, negative for a worse one. NaN where persistence makes no error.

    Raises
    ------
    ValueError
        As :func:`mse_by_step`, or if `X` does not fit `y_true`.

    Examples
    --------
    >>> from skworm.metrics import skill_by_step
    >>> skill_by_step([[1.0, 2.0]], [[0.5, 2.0]], [[0.0]], horizon=2).tolist()
    [0.75, 1.0]
    """
    true, _, _ = _steps(y_true, y_pred, horizon)
    check_same_order(y_true, X, ("y_true", "X"))
    _check_columns(y_true, X, "X")
    observed = np.asarray(X, dtype=float)
    n_columns = true.shape[2]
    if observed.ndim != 2 or len(observed) != len(true) or observed.shape[1] % n_columns:
        raise ValueError(
            f"X has shape {observed.shape}, but y_true has {len(true)} trajectories of {n_columns} columns a step; "
            "pass the observed frames of the same trajectories, the first table of make_trajectories"
        )
    persistence = np.tile(observed[:, -n_columns:], true.shape[1])
    scope: dict[str, Any] = {"horizon": true.shape[1], "node_feature": node_feature}
    reference = mse_by_step(y_true, persistence, **scope)
    return (1 - mse_by_step(y_true, y_pred, **scope) / reference.where(reference > 0)).rename("skill")


def _steps(y_true: Any, y_pred: Any, horizon: int | None) -> tuple[np.ndarray, np.ndarray, list[str]]:
    true, predicted = np.asarray(y_true, dtype=float), np.asarray(y_pred, dtype=float)
    if true.ndim != 2 or true.shape != predicted.shape or not true.size:
        raise ValueError(
            f"y_true has shape {true.shape} and y_pred {predicted.shape}; pass trajectories of shape "
            "(n_trajectories, horizon * n_columns) in both"
        )
    check_same_order(y_true, y_pred, ("y_true", "y_pred"))
    _check_columns(y_true, y_pred, "y_pred")
    columns, steps = parse_step_column_names(getattr(y_true, "columns", [])) or ([], [])
    if horizon is None and not steps:
        raise ValueError("the number of steps is not known: y_true has no columns named 'AVAL:trace@1'; pass horizon=")
    horizon = horizon or len(steps)
    if not horizon or true.shape[1] % horizon or (steps and len(steps) != horizon):
        found = f"{len(steps)} steps" if steps else f"{true.shape[1]} columns"
        raise ValueError(f"horizon={horizon} does not fit the {found} of y_true; leave it out, or correct it")
    return true.reshape(len(true), horizon, -1), predicted.reshape(len(true), horizon, -1), columns


def _check_columns(y_true: Any, other: Any, name: str) -> None:
    true, found = (parse_step_column_names(getattr(table, "columns", [])) for table in (y_true, other))
    if true and found and true[0] != found[0]:
        raise ValueError(
            f"{name} has the columns {found[0][:4]} in a frame, and y_true {true[0][:4]}; make both of the same frames"
        )


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
    spread, other_spread = _spread(true), _spread(predicted)
    covariance = float(np.mean((true - true.mean()) * (predicted - predicted.mean())))
    return {
        "n_frames": len(true),
        "r2": 1 - squared / spread**2 if spread else np.nan,
        "correlation": covariance / (spread * other_spread) if spread and other_spread else np.nan,
        "rmse": float(np.sqrt(squared)),
    }


def _spread(values: np.ndarray) -> float:
    """Return the standard deviation, 0 where it is nothing but rounding."""
    deviation = float(values.std())
    return deviation if deviation > 1e-12 * float(np.abs(values).max()) else 0.0
