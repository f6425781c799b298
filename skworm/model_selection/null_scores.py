"""What a model scores where neural activity and states have nothing to do with each other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.base import clone, is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state

from skworm.model_selection.evaluation_sets import training_set
from skworm.model_selection.runs import one_torch_thread
from skworm.model_selection.surrogates import circularly_shifted_states, phase_randomized, shuffled_bouts
from skworm.states import UNKNOWN

Null = Callable[[pd.DataFrame, pd.Series, np.random.RandomState], tuple[pd.DataFrame, pd.Series]]
"""Makes frames and states without a relation of (X, y, random_state)."""

_NULLS = ("circular_shift", "shuffled_bouts", "phase_randomized")


class NullScore(NamedTuple):
    """A score beside the scores of null controls.

    Parameters
    ----------
    score : float
        Score on the data as they are, mean over splits.
    null_scores : numpy.ndarray of float, shape (n_repeats,)
        The same on each null control.
    p_value : float
        (1 + number of null scores that reach the score) / (1 + `n_repeats`): the probability of such a score where
        nothing relates activity and states.
    """

    score: float
    null_scores: np.ndarray
    p_value: float


def null_score(
    estimator: Any,
    X: Any,
    y: Any,
    groups: Any = None,
    *,
    cv: Any,
    null: str | Null = "circular_shift",
    n_repeats: int = 100,
    scoring: Any = None,
    min_lag: int = 100,
    keep_correlations: bool = False,
    n_jobs: int | None = None,
    random_state: Any = None,
) -> NullScore:
    """Cross-validate a model on the data, and on controls in which activity and states are unrelated.

    A control changes all worms, each by itself, and the model is fitted anew on it: training and scored worms alike
    have lost the relation, and both have kept how slowly activity and states change. The splits are the same for all.
    Frames whose state is ``"unknown"`` are left out of fits and scores.

    Parameters
    ----------
    estimator : scikit-learn classifier
        The model; it is cloned.
    X : DataFrame or array-like, shape (n_frames, n_columns)
        Frames, as :func:`skworm.frames.make_frames` returns them.
    y : Series or array-like of str, shape (n_frames,)
        State of each frame.
    groups : array-like of shape (n_frames,), optional
        Worm of each row; from the index level ``"worm"`` of `X` where absent.
    cv : WormGroupKFold or other splitter
        The splits, made with the worms as groups.
    null : {"circular_shift", "shuffled_bouts", "phase_randomized"} or callable, default="circular_shift"
        - ``"circular_shift"``: :func:`circularly_shifted_states`, the control that changes least;
        - ``"shuffled_bouts"``: :func:`shuffled_bouts`, which loses the order of bouts as well;
        - ``"phase_randomized"``: :func:`phase_randomized` traces, which lose all but their spectrum as well;
        - a callable of (X, y, random_state) that returns such an X and y, with the same rows.

        A small p says that the data differ from the control, in whichever way the control changed them.
    n_repeats : int, default=100
        Controls. The p cannot be less than 1 / (1 + `n_repeats`).
    scoring : str, callable or None, default=None
        A score of which more is better, as scikit-learn takes it, or of :func:`skworm.metrics.make_state_scorer`; by
        default the estimator's own.
    min_lag : int, default=100
        Least lag of ``"circular_shift"``, frames.
    keep_correlations : bool, default=False
        Whether ``"phase_randomized"`` keeps the correlations between neurons.
    n_jobs : int, optional
        Controls at a time, as joblib understands it. torch uses one thread each.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same controls in every call; the splits have the random_state of `cv`.

    Returns
    -------
    NullScore
        The score, the null scores and the p-value.

    Raises
    ------
    ValueError
        If worms are missing, `y` does not fit `X`, a parameter is not known, or a worm is too short for `min_lag`.

    See Also
    --------
    skworm.inspection.leakage_report : What remembering the moment is worth on held-out windows.

    References
    ----------
    Phipson & Smyth 2010, "Permutation P-values should never be zero".

    Examples
    --------
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from skworm import WormGroupKFold
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> from skworm.model_selection import null_score
    >>> X, y = make_frames(make_worms(2, n_frames=500, random_state=0), states="4")
    >>> cv = WormGroupKFold(2, random_state=0)
    >>> result = null_score(GaussianNB(), X, y, cv=cv, n_repeats=19, random_state=0)
    >>> result.p_value, bool(result.score > result.null_scores.max() + 0.1)
    (0.05, True)
    """
    if not isinstance(n_repeats, Integral) or n_repeats < 1:
        raise ValueError(f"n_repeats={n_repeats!r} must be a whole number, at least 1")
    frames = training_set(X, y, groups)
    states = pd.Series(frames.y, index=frames.X.index, name="state")
    make_null = _maker(null, min_lag, keep_correlations)
    known = np.flatnonzero(frames.y != UNKNOWN)
    splitter = check_cv(cv, frames.y[known], classifier=is_classifier(estimator))
    splits = list(splitter.split(frames.X.iloc[known], frames.y[known], frames.worm[known]))
    score = partial(_score, estimator, check_scoring(estimator, scoring=scoring), splits)
    seeds = check_random_state(random_state).randint(np.iinfo(np.int32).max, size=n_repeats)
    observed = score(frames.X.iloc[known], states.iloc[known])
    run = delayed(_score_of_null)
    null_scores = Parallel(n_jobs=n_jobs)(run(score, make_null, frames.X, states, known, int(seed)) for seed in seeds)
    values = np.array(null_scores)
    if np.isnan([observed, *values]).any():
        raise ValueError("a score is NaN, so no p can be told; choose a scoring that is defined on every split")
    return NullScore(observed, values, float((1 + (values >= observed).sum()) / (1 + len(values))))


def _score_of_null(
    score: Callable[[pd.DataFrame, pd.Series], float],
    make_null: Null,
    X: pd.DataFrame,
    y: pd.Series,
    known: np.ndarray,
    seed: int,
) -> float:
    other_X, other_y = make_null(X, y, np.random.RandomState(seed))
    if np.shape(other_X) != X.shape or np.shape(other_y) != y.shape:
        raise ValueError(f"null returned shapes {np.shape(other_X)} and {np.shape(other_y)}; keep the rows of X and y")
    return score(other_X.iloc[known], other_y.iloc[known])


def _score(
    estimator: Any,
    scorer: Callable[[Any, Any, Any], float],
    splits: list[tuple[np.ndarray, np.ndarray]],
    X: pd.DataFrame,
    y: pd.Series,
) -> float:
    scores = []
    for train, test in splits:
        model = clone(estimator)
        with one_torch_thread(model):
            model.fit(X.iloc[train], y.iloc[train])
            scores.append(scorer(model, X.iloc[test], y.iloc[test]))
    return float(np.mean(scores))


def _maker(null: str | Null, min_lag: int, keep_correlations: bool) -> Null:
    if not isinstance(null, str):
        if not callable(null):
            raise ValueError(f"null={null!r} must be one of {_NULLS}, or a callable of (X, y, random_state)")
        return null
    if null not in _NULLS:
        raise ValueError(f"null={null!r} is not known; choose one of {_NULLS}, or pass a callable")
    if null == "circular_shift":
        return partial(_with_states, partial(circularly_shifted_states, min_lag=min_lag))
    if null == "shuffled_bouts":
        return partial(_with_states, shuffled_bouts)
    return partial(_with_traces, keep_correlations)


def _with_states(change: Callable[..., Any], X: pd.DataFrame, y: pd.Series, random_state: Any) -> Any:
    return X, change(y, random_state=random_state)


def _with_traces(keep_correlations: bool, X: pd.DataFrame, y: pd.Series, random_state: Any) -> Any:
    return phase_randomized(X, keep_correlations=keep_correlations, random_state=random_state), y
