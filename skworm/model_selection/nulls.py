"""Null controls: states that have lost their relation to the activity, and what a model scores on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state

from skworm.frames.index import FRAME_LEVEL, WORM_LEVEL
from skworm.model_selection.samples import StateSamples
from skworm.model_selection.workers import worker_options
from skworm.parameters import check_whole


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
    n_repeats: int = 100,
    scoring: Any = None,
    min_lag: int = 100,
    n_jobs: int | None = None,
    random_state: Any = None,
) -> NullScore:
    """Cross-validate a model on the data, and on controls in which activity and states are unrelated.

    A control shifts the states of each worm in time by a random lag of its own (Harris 2020): bouts, their durations
    and their order stay. The model is fitted anew on it: training and scored worms alike have lost the relation, and
    both have kept how slowly activity and states change. The splits are the same for all. Frames whose state is
    ``"unknown"`` are left out beforehand.

    Parameters
    ----------
    estimator : scikit-learn classifier
        The model; it is cloned.
    X : DataFrame or array-like, shape (n_frames, n_columns)
        Frames, as :func:`skworm.frames.make_frames` returns them.
    y : Series or array-like of str, shape (n_frames,)
        State of each frame.
    groups : array-like of shape (n_frames,), optional
        Worm of each row, or its animal where several recordings are of one; by default the index level ``"worm"``.
    cv : WormGroupKFold or other splitter
        The splits, made with the worms as groups.
    n_repeats : int, default=100
        Controls. The p cannot be less than 1 / (1 + `n_repeats`).
    scoring : str, callable or None, default=None
        A score of which more is better, as scikit-learn takes it; by default the estimator's own.
    min_lag : int, default=100
        Least lag of a shift, frames.
    n_jobs : int, optional
        Controls at a time, as joblib understands it.
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

    References
    ----------
    Harris 2020, "Nonsense correlations in neuroscience", bioRxiv 2020.11.29.402719; Phipson & Smyth 2010, "Permutation
    P-values should never be zero".

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
    check_whole(1, n_repeats=n_repeats, min_lag=min_lag)
    every = StateSamples.checked("X", X, y, groups)
    known = every.training_rows(np.arange(len(every.X)))
    animal = None if every.animal is None else every.animal[known]
    frames = StateSamples(every.X.iloc[known], every.y[known], animal)
    splitter = check_cv(cv, frames.y, classifier=is_classifier(estimator))
    splits = list(splitter.split(frames.X, frames.y, frames.worm))
    score = partial(_score, estimator, check_scoring(estimator, scoring=scoring), splits)
    seeds = check_random_state(random_state).randint(np.iinfo(np.int32).max, size=n_repeats)
    observed = score(frames)
    parallel = Parallel(n_jobs=n_jobs, **worker_options())
    null_scores = parallel(delayed(score)(_shifted(frames, min_lag, int(seed))) for seed in seeds)
    values = np.array(null_scores)
    if np.isnan([observed, *values]).any():
        raise ValueError("a score is NaN, so there is no p; choose a scoring that is defined on every split")
    return NullScore(observed, values, float((1 + (values >= observed).sum()) / (1 + len(values))))


def _score(estimator: Any, scorer: Callable[..., float], splits: list[Any], frames: StateSamples) -> float:
    states = pd.Series(frames.y, index=frames.X.index, name="state")
    models = ((frames.fit(estimator, train), test) for train, test in splits)
    return float(np.mean([scorer(model, frames.X.iloc[test], states.iloc[test]) for model, test in models]))


def _shifted(frames: StateSamples, min_lag: int, seed: int) -> StateSamples:
    rng = np.random.RandomState(seed)
    shifted = frames.y.copy()
    worm, frame = (frames.X.index.get_level_values(level).to_numpy() for level in (WORM_LEVEL, FRAME_LEVEL))
    for name in np.unique(worm):
        own = np.flatnonzero(worm == name)
        rows = own[np.argsort(frame[own], kind="stable")]
        if len(rows) < 2 * min_lag:
            raise ValueError(
                f"worm {str(name)!r} has {len(rows)} frames of known state, too few to shift by at least "
                f"min_lag={min_lag} either way; lower min_lag, or leave the worm out"
            )
        shifted[rows] = np.roll(frames.y[rows], rng.randint(min_lag, len(rows) - min_lag + 1))
    return replace(frames, y=shifted)
