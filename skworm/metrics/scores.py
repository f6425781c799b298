"""Scores of predicted states, trajectories and behavioural signals."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np
import pandas as pd

from skworm.frames.index import (
    check_same_order,
    frame_of_rows,
    parse_column_names,
    parse_step_column_names,
    worm_of_rows,
)
from skworm.metrics import bouts
from skworm.metrics.bouts import same_frames
from skworm.parameters import check_choice
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


def make_state_scorer(metric: str, **options: Any) -> Callable[[Any, Any, Any], float]:
    """Make a scorer of states for `cross_val_score`, `GridSearchCV` and whatever else takes ``scoring=``.

    The scorer calls ``estimator.predict(X)`` once, scores each worm by itself, and returns the mean over worms; frames
    whose true state is ``"unknown"`` are predicted and not scored. Which worm a row belongs to, and where frames are
    missing, it learns from the index levels ``"worm"`` and ``"frame"`` of `X`.

    Parameters
    ----------
    metric : str
        - ``"accuracy"``, ``"balanced_accuracy"``, ``"macro_f1"``: frames, see :func:`score_states`;
        - ``"segment_f1"``: bouts, see :func:`segment_f1`; takes `threshold`;
        - ``"onset_f1"``, ``"onset_latency"``: see :func:`score_bouts`; take `fps` and `tolerance`; a worm whose
          onsets are all missed has a latency of `tolerance`;
        - ``"dwell_time_distance"``: see :func:`score_bouts`; takes `fps`.
    **options
        Options of the metric.

    Returns
    -------
    callable
        ``scorer(estimator, X, y)``. More is always better: ``"onset_latency"`` and ``"dwell_time_distance"`` are
        negated. NaN where no worm has a score.

    Raises
    ------
    ValueError
        If the metric is unknown, or lacks or does not take an option. The scorer itself raises it where `X` names
        no worms.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from skworm import WormGroupKFold
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> from skworm.metrics import make_state_scorer
    >>> X, y = make_frames(make_worms(2, n_frames=600, random_state=0), states="4")
    >>> cv = WormGroupKFold(2, random_state=0)
    >>> worm = X.index.get_level_values("worm")
    >>> frames, bouts = (
    ...     cross_val_score(GaussianNB(), X, y, groups=worm, cv=cv, scoring=make_state_scorer(metric)).mean()
    ...     for metric in ("accuracy", "segment_f1")
    ... )
    >>> bool(bouts < frames)
    True
    """
    check_choice(sorted([*_OF_FRAMES, *_OF_BOUTS]), metric=metric)
    expected = signature(_OF_BOUTS[metric]).parameters if metric in _OF_BOUTS else {}
    free = [name for name, option in expected.items() if option.kind is option.KEYWORD_ONLY]
    wrong = sorted(set(options) - set(free))
    if wrong:
        raise ValueError(f"metric={metric!r} takes no option {wrong[0]!r}; it takes {free or 'none'}")
    missing = [name for name in free if expected[name].default is expected[name].empty and name not in options]
    if missing:
        raise ValueError(f"metric={metric!r} needs {missing[0]}=; pass the frames a second of the recordings")
    return _StateScorer(metric, options)


class _StateScorer:
    """A scorer that can be pickled, and shows what it scores."""

    def __init__(self, metric: str, options: dict[str, Any]) -> None:
        self.metric = metric
        self.options = options

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"make_state_scorer({self.metric!r}{options})"

    def __call__(self, estimator: Any, X: Any, y: Any) -> float:
        worm = worm_of_rows(X)
        if worm is None:
            raise ValueError(
                f"{self!r} scores worm by worm, but X does not say to which worm a row belongs; pass a DataFrame with "
                "the index level 'worm', as make_frames returns it"
            )
        check_same_order(X, y)
        true, predicted = bouts.states_as_text(y, "y"), np.asarray(estimator.predict(X), dtype=str)
        if self.metric in _OF_FRAMES:
            rows = (worm == name for name in pd.unique(worm))
            return bouts.mean_of_worms(score_states(true[own], predicted[own])[self.metric] for own in rows)
        scores = []
        for name, *pair in bouts.pairs_of_bouts(true, predicted, worm, frame_of_rows(X, worm)):
            rate = {"fps": bouts.frames_a_second(self.options["fps"], name)} if "fps" in self.options else {}
            scores.append(_OF_BOUTS[self.metric](*pair, **{**self.options, **rate}))
        return bouts.mean_of_worms(scores)


def _onset_latency(true: bouts.Bouts, predicted: bouts.Bouts, *, fps: float, tolerance: float = 3.0) -> float:
    onsets = bouts.match_onsets(true, predicted, fps=fps, tolerance=tolerance)
    # A search could not rank a model that finds no onset at all.
    missed = onsets["n_onsets"] and onsets["n_missed"] == onsets["n_onsets"]
    return -tolerance if missed else -onsets["onset_latency"]


_OF_FRAMES = ("accuracy", "balanced_accuracy", "macro_f1")
_OF_BOUTS: dict[str, Callable[..., float]] = {
    "segment_f1": bouts.segment_f1_of,
    "onset_f1": lambda true, predicted, *, fps, tolerance=3.0: bouts.match_onsets(
        true, predicted, fps=fps, tolerance=tolerance
    )["onset_f1"],
    "onset_latency": _onset_latency,
    "dwell_time_distance": lambda true, predicted, *, fps: -bouts.dwell_time_distance(true, predicted) / fps,
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
