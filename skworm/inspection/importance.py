"""What a classifier loses when it can no longer read a neuron."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import check_scoring
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skworm.frames.index import column_names, parse_column_names
from skworm.metrics import score_states
from skworm.model_selection.samples import StateSamples
from skworm.parameters import check_whole
from skworm.recording import UNKNOWN

_SCORES = ("accuracy", "balanced_accuracy", "macro_f1")
_Scorer = Callable[[pd.DataFrame, np.ndarray], float]


def neuron_importance(
    estimator: Any,
    X: pd.DataFrame,
    y: Any,
    *,
    n_repeats: int = 5,
    random_state: Any = None,
    scoring: Any = None,
) -> pd.DataFrame:
    """Measure by how much each worm's score drops when the frames of one neuron are shuffled.

    All columns of a neuron, trace and derivative, are shuffled together and by whole frames, so that what they tell of
    each other stays, and within each worm, so that the worm's level and range stay. What is lost is when the neuron was
    active, and how its activity runs on, which matters to a classifier that looks at several frames.

    Parameters
    ----------
    estimator : scikit-learn classifier
        Fitted to frames: an SVM, a pipeline or any of skworm's. Score it on worms it was not trained on, where you can.
    X : DataFrame of shape (n_frames, n_neurons * n_node_features)
        Frames, as :func:`skworm.frames.make_frames` returns them.
    y : Series or array-like of str, shape (n_frames,)
        State of each frame; ``"unknown"`` is not scored.
    n_repeats : int, default=5
        Shuffles of each neuron in each worm.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffles; all neurons of a worm are shuffled in the same `n_repeats` ways.
    scoring : {"accuracy", "balanced_accuracy", "macro_f1"}, or a scorer of scikit-learn, default=None
        Score of a worm, as :func:`skworm.metrics.score_states` gives it; None is the accuracy. Any other name of a
        scorer, such as ``"neg_log_loss"``, or a callable ``scorer(estimator, X, y)`` gets the known frames alone.

    Returns
    -------
    pandas.DataFrame
        One row for each neuron, worm and repeat; columns ``neuron, worm, repeat``; ``baseline``, the score of the
        frames as they are; ``score``, that with the neuron shuffled; and ``drop``, their difference.

    Raises
    ------
    ValueError
        If the columns of `X` do not name neurons, worms are missing, or a worm has no known frame.

    Notes
    -----
    Neurons that tell the same, such as AVAL and AVAR, stand in for each other: each can seem unimportant while both are
    not. A drop says what this classifier reads, not what drives behaviour.

    References
    ----------
    Breiman 2001, "Random Forests", Machine Learning 45, 5-32.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> from skworm.inspection import neuron_importance
    >>> worms = make_worms(n_worms=2, n_frames=300, random_state=0)
    >>> X, y = make_frames(worms, neurons=["ALA", "AVAL"], states="2")
    >>> importance = neuron_importance(SVC().fit(X, y), X, y, n_repeats=2, random_state=0)
    >>> importance.shape
    (8, 6)
    >>> importance.groupby("neuron")["drop"].mean().idxmax()
    'AVAL'
    """
    check_whole(1, n_repeats=n_repeats)
    check_is_fitted(estimator)
    parsed = parse_column_names(X.columns) if isinstance(X, pd.DataFrame) else None
    if parsed is None:
        raise ValueError("X does not tell which columns are a neuron's; pass the DataFrame that make_frames returned")
    neurons, node_features = parsed
    frames = StateSamples.checked("X", X, y)
    score = _scorer(estimator, scoring)
    rng = check_random_state(random_state)
    rows = []
    for worm in pd.unique(frames.worm):
        own = frames.worm == worm
        table, states = frames.X[own], frames.y[own]
        if (states == UNKNOWN).all():
            raise ValueError(f"worm {worm!r} has no frame of known state, so nothing can be scored; leave it out")
        baseline = score(table, states)
        for repeat in range(n_repeats):
            order = rng.permutation(len(table))
            for neuron in neurons:
                columns = column_names([neuron], node_features)
                shuffled = table.copy()
                shuffled[columns] = table[columns].to_numpy()[order]
                rows.append([neuron, worm, repeat, baseline, score(shuffled, states)])
    importance = pd.DataFrame(rows, columns=["neuron", "worm", "repeat", "baseline", "score"])
    return importance.assign(drop=importance["baseline"] - importance["score"])


def _scorer(estimator: Any, scoring: Any) -> _Scorer:
    if scoring is None or scoring in _SCORES:
        return lambda X, y: score_states(y, estimator.predict(X))[scoring or "accuracy"]
    scorer = check_scoring(estimator, scoring=scoring)
    return lambda X, y: float(scorer(estimator, X[y != UNKNOWN], y[y != UNKNOWN]))
