"""Null controls: states and traces that have lost their relation to each other, and what a model scores on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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

from skworm.frames.index import frame_of_rows, parse_column_names
from skworm.metrics.bouts import bouts_of, worms_of
from skworm.model_selection.cross_validation import one_torch_thread
from skworm.model_selection.samples import StateSamples
from skworm.model_selection.workers import worker_options
from skworm.parameters import check_choice, check_whole
from skworm.recording import UNKNOWN

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
        - ``"circular_shift"``: states shifted in time by a random lag for each worm (Harris 2020), which changes least;
        - ``"shuffled_bouts"``: bouts in a random order, each with its length;
        - ``"phase_randomized"``: traces with random Fourier phases (Theiler et al. 1992), which keep their spectrum;
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
    check_whole(1, n_repeats=n_repeats)
    frames = StateSamples.checked("X", X, y, groups)
    states = pd.Series(frames.y, index=frames.X.index, name="state")
    if isinstance(null, str):
        check_choice(_NULLS, null=null)
    elif not callable(null):
        raise ValueError(f"null={null!r} must be one of {_NULLS}, or a callable of (X, y, random_state)")
    known = np.flatnonzero(frames.y != UNKNOWN)
    splitter = check_cv(cv, frames.y[known], classifier=is_classifier(estimator))
    splits = list(splitter.split(frames.X.iloc[known], frames.y[known], frames.worm[known]))
    score = partial(_score, estimator, check_scoring(estimator, scoring=scoring), splits, known)
    change = partial(_changed, null, min_lag, keep_correlations)
    seeds = check_random_state(random_state).randint(np.iinfo(np.int32).max, size=n_repeats)
    observed = score(frames.X, states)
    parallel = Parallel(n_jobs=n_jobs, **worker_options())
    null_scores = parallel(delayed(_score_of_null)(score, change, frames.X, states, int(seed)) for seed in seeds)
    values = np.array(null_scores)
    if np.isnan([observed, *values]).any():
        raise ValueError("a score is NaN, so there is no p; choose a scoring that is defined on every split")
    return NullScore(observed, values, float((1 + (values >= observed).sum()) / (1 + len(values))))


def _score(
    estimator: Any, scorer: Callable[..., float], splits: list[Any], known: np.ndarray, X: pd.DataFrame, y: pd.Series
) -> float:
    X, y, scores = X.iloc[known], y.iloc[known], []
    for train, test in splits:
        model = clone(estimator)
        with one_torch_thread(model):
            model.fit(X.iloc[train], y.iloc[train])
            scores.append(scorer(model, X.iloc[test], y.iloc[test]))
    return float(np.mean(scores))


def _score_of_null(score: Callable[..., float], change: Null, X: pd.DataFrame, y: pd.Series, seed: int) -> float:
    return score(*change(X, y, np.random.RandomState(seed)))


def _changed(
    null: str | Null, min_lag: int, keep_correlations: bool, X: pd.DataFrame, y: pd.Series, rng: np.random.RandomState
) -> tuple[pd.DataFrame, pd.Series]:
    if null == "circular_shift":
        return X, circularly_shifted_states(y, min_lag=min_lag, random_state=rng)
    if null == "shuffled_bouts":
        return X, shuffled_bouts(y, random_state=rng)
    if isinstance(null, str):
        return pd.DataFrame(phase_randomized(X, keep_correlations=keep_correlations, random_state=rng)), y
    other_X, other_y = null(X, y, rng)
    if np.shape(other_X) != X.shape or np.shape(other_y) != y.shape:
        raise ValueError(f"null returned shapes {np.shape(other_X)} and {np.shape(other_y)}; keep the rows of X and y")
    return other_X, other_y


def circularly_shifted_states(y: Any, *, worm: Any = None, min_lag: int = 100, random_state: Any = None) -> Any:
    """Shift the states of each worm in time by a random lag of its own; what leaves at the end comes in at the front.

    Bouts, their durations and their order stay, but for the two at the seam. The frames of unknown state stay where
    they are, and the states of the others are shifted among these, so that dropping unknown frames first gives the
    same (Harris 2020, "Nonsense correlations in neuroscience", bioRxiv 2020.11.29.402719).
    """
    if not isinstance(min_lag, Integral) or min_lag < 1:
        raise ValueError(f"min_lag={min_lag!r} must be a whole number of frames, at least 1")
    rng = check_random_state(random_state)
    states = np.asarray(y, dtype=str)
    shifted = states.copy()
    for name, rows, _ in _rows_in_time(y, worm, states != UNKNOWN):
        n_frames = len(rows)
        if n_frames < 2 * min_lag:
            raise ValueError(
                f"worm {str(name)!r} has {n_frames} frames of known state, too few to shift by at least "
                f"min_lag={min_lag} either way; lower min_lag, or leave the worm out"
            )
        shifted[rows] = np.roll(states[rows], rng.randint(min_lag, n_frames - min_lag + 1))
    return _like(y, shifted)


def shuffled_bouts(y: Any, *, worm: Any = None, random_state: Any = None) -> Any:
    """Put the bouts of each worm into a random order, each with its length; frames of unknown state stay.

    Durations stay; which state follows which does not, and two bouts of one state may come to lie side by side.
    """
    rng = check_random_state(random_state)
    states = np.asarray(y, dtype=str)
    shuffled = states.copy()
    for name, rows, frame in _rows_in_time(y, worm, states != UNKNOWN):
        bouts = bouts_of(states[rows], np.cumsum(np.diff(frame, prepend=frame[0]) != 1))
        order = rng.permutation(len(bouts.state))
        if len(order) < 2:
            raise ValueError(f"worm {str(name)!r} has a single bout, which has no other order; leave the worm out")
        shuffled[rows] = np.repeat(bouts.state[order], bouts.n_frames[order])
    return _like(y, shuffled)


def phase_randomized(
    X: Any,
    *,
    worm: Any = None,
    keep_correlations: bool = False,
    n_node_features: int | None = None,
    random_state: Any = None,
) -> pd.DataFrame | np.ndarray:
    """Give the activity of each worm random Fourier phases: the same spectrum at other times.

    All columns of a neuron get the same phases, and with `keep_correlations` all neurons of a worm. A derivative is
    linear in the trace, so that a neuron's derivative column remains the derivative of its trace, but for the ends of
    the recording. Rows that follow each other are taken as frames that do. Values may leave the range of `X`, and are
    nearer to normal (Theiler et al. 1992, "Testing for nonlinearity in time series"; Prichard & Theiler 1994,
    "Generating surrogate data for time series with several simultaneously measured variables", for common phases).
    """
    rng = check_random_state(random_state)
    values = np.array(X, dtype=float)
    n_features = _columns_a_neuron(X, values.shape[1], n_node_features)
    for name, rows, _ in _rows_in_time(X, worm):
        is_nan = np.isnan(values[rows])
        partly = np.flatnonzero(is_nan.any(axis=0) & ~is_nan.all(axis=0))
        if len(partly):
            raise ValueError(
                f"worm {str(name)!r} has NaN in part of column {partly[0]}; interpolate it, or drop the column"
            )
        spectrum = np.fft.rfft(values[rows], axis=0)
        n_drawn = 1 if keep_correlations else values.shape[1] // n_features
        angle = rng.uniform(0, 2 * np.pi, (len(spectrum), n_drawn))
        turn = np.exp(1j * np.repeat(angle, values.shape[1] // n_drawn, axis=1))
        # The mean, and the highest frequency of an even number of frames, have no phase.
        turn[0] = 1
        if len(rows) % 2 == 0:
            turn[-1] = 1
        values[rows] = np.fft.irfft(spectrum * turn, n=len(rows), axis=0)
    return pd.DataFrame(values, index=X.index, columns=X.columns) if isinstance(X, pd.DataFrame) else values


def _rows_in_time(data: Any, worm: Any, wanted: Any = True) -> Iterator[tuple[Any, np.ndarray, np.ndarray]]:
    """Yield each worm with those of its rows that are wanted, in order of time, and their frame numbers."""
    worms = worms_of(data, worm)
    frame = frame_of_rows(data, worms)
    for name in np.unique(worms):
        rows = np.flatnonzero((worms == name) & wanted)
        rows = rows[np.argsort(frame[rows], kind="stable")]
        if len(rows):
            yield name, rows, frame[rows]


def _columns_a_neuron(X: Any, n_columns: int, n_node_features: int | None) -> int:
    _, named = parse_column_names(getattr(X, "columns", [])) or ([], [])
    count = (len(named) or 1) if n_node_features is None else n_node_features
    if not isinstance(count, Integral) or count < 1 or n_columns % count or (named and count != len(named)):
        raise ValueError(
            f"n_node_features={n_node_features!r} does not fit the {n_columns} columns of X; leave it out where the "
            "columns are named 'AVAL:trace', or pass the number of columns a neuron"
        )
    return int(count)


def _like(y: Any, states: np.ndarray) -> Any:
    return pd.Series(states, index=y.index, name=y.name) if isinstance(y, pd.Series) else states
