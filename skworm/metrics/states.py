"""Scores of predicted states by frame, and scorers for scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np
import pandas as pd

from skworm.frames.index import frame_of_rows, worm_of_rows
from skworm.metrics import bouts
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
    true, predicted = bouts.same_frames(y_true, y_pred, "state", str)
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
        If there is no such metric, or it lacks or does not take an option. The scorer itself raises it where `X` names
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
        true, predicted = (np.asarray(states, dtype=str) for states in (y, estimator.predict(X)))
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
