"""What a classifier relies on: its neurons, or the moment in the recording."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import check_scoring
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skworm.frames.index import FRAME_LEVEL, column_names, parse_column_names
from skworm.metrics import score_states
from skworm.model_selection import WormGroupKFold, WormSplit
from skworm.model_selection.cross_validation import check_splitter
from skworm.model_selection.samples import StateSamples
from skworm.parameters import check_whole
from skworm.recording import UNKNOWN

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

    All columns of a neuron, trace and derivative, are shuffled together as whole frames, which keeps their relation to
    each other, and within each worm, which keeps the worm's level and range. What is lost is when the neuron was
    active, and the course of its activity, which matters to a classifier that looks at several frames.

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
    scoring : str or callable, optional
        Score of a worm, as scikit-learn takes it, such as ``"balanced_accuracy"`` or ``scorer(estimator, X, y)``, which
        gets the known frames alone; by default the accuracy of the known frames, where all are predicted.

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
    Neurons that carry the same information, such as AVAL and AVAR, stand in for each other: each can seem unimportant
    although the pair is important. A drop says what this classifier reads, not what drives behaviour.

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
    for worm in np.unique(frames.worm):
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
    if scoring is None:
        return lambda X, y: score_states(y, estimator.predict(X))["accuracy"]
    scorer = check_scoring(estimator, scoring=scoring)
    return lambda X, y: float(scorer(estimator, X[y != UNKNOWN], y[y != UNKNOWN]))


def leakage_report(X: Any, y: Any, groups: Any = None, *, cv: WormGroupKFold) -> pd.DataFrame:
    """Measure what remembering the moment is worth, for shuffled windows and for contiguous blocks.

    Behaviour and activity change slowly, so the frames next to a held-out window reveal much of it. The clock, which
    gives each held-out frame the state of the training frame with the nearest frame number, looks at no neuron: its
    score says nothing about the brain. A model deserves credit for what it scores beyond the clock, on the same splits
    (:func:`skworm.model_selection.cross_validate_worms`).

    Parameters
    ----------
    X : DataFrame or array-like, shape (n_frames, n_columns)
        Frames, as :func:`skworm.frames.make_frames` returns them.
    y : Series or array-like of str, shape (n_frames,)
        State of each frame, ``"unknown"`` where none is known.
    groups : array-like of shape (n_frames,), optional
        Worm of each row; from the index level ``"worm"`` of `X` where absent.
    cv : WormGroupKFold
        The splits. Its `fold_by` and `gap` are replaced by those of the report, one after the other: shuffled windows,
        contiguous blocks, and contiguous blocks with a gap of one window.

    Returns
    -------
    pandas.DataFrame
        One row for each kind of fold and worm. Columns: ``fold_by``; ``gap``, frames; ``worm``; ``share_touching``, the
        share of its held-out windows with training frames of known state in the window right before or right after;
        ``accuracy_majority``, of the most frequent training state; ``accuracy_clock``. All are means over the fits that
        train on the worm, on its held-out windows.

    Raises
    ------
    ValueError
        If worms or states are missing, `y` does not fit `X`, or training rows of a split have fewer than two states.
    TypeError
        If `cv` does not split by worm.

    References
    ----------
    Wang et al. 2021, "Experiments", whose folds are shuffled windows of 8 frames.

    Examples
    --------
    >>> from skworm import WormGroupKFold
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> from skworm.inspection import leakage_report
    >>> X, y = make_frames(make_worms(2, n_frames=800, random_state=0), states="2")
    >>> report = leakage_report(X, y, cv=WormGroupKFold(4, random_state=0))
    >>> clock = report.groupby(["fold_by", "gap"])["accuracy_clock"].mean()
    >>> bool(clock["shuffled_windows", 0] > clock["contiguous_blocks", 8] + 0.1)
    True
    """
    check_splitter(cv)
    frames = StateSamples.checked("X", X, y, groups)
    # The same shuffle in every call of a splitter, whatever kind of random_state cv has.
    seed = int(check_random_state(cv.random_state).randint(2**31 - 1))
    parts = []
    for fold_by, gap in (("shuffled_windows", 0), ("contiguous_blocks", 0), ("contiguous_blocks", cv.window)):
        splitter = copy.copy(cv)
        splitter.fold_by, splitter.gap, splitter.random_state = fold_by, gap, seed
        splits = list(splitter.split_worms(frames.X, frames.y, frames.worm))
        part = pd.concat([_share_touching(frames, splits, cv.window), _accuracies(frames, splits)], axis=1)
        parts.append(part.rename_axis("worm").reset_index().assign(fold_by=fold_by, gap=gap))
    report = pd.concat(parts, ignore_index=True)
    return report[["fold_by", "gap", "worm", "share_touching", "accuracy_majority", "accuracy_clock"]]


def _accuracies(frames: StateSamples, splits: list[WormSplit]) -> pd.DataFrame:
    """Return the mean accuracy of each baseline on the held-out windows of each worm."""
    rows = []
    for split in splits:
        frames.check_split(split)
        for name, model in frames.baselines().items():
            predicted = frames.fit(model, split.train).predict(frames.X.iloc[split.held_out])
            for scores in frames.scores(split.held_out, predicted):
                rows.append({"worm": scores["worm"], "model": f"accuracy_{name}", "accuracy": scores["accuracy"]})
    return pd.DataFrame(rows).groupby(["worm", "model"])["accuracy"].mean().unstack("model")


def _share_touching(frames: StateSamples, splits: list[WormSplit], length: int) -> pd.Series:
    """Return the share of held-out windows next to a window with training rows, by worm."""
    names, codes = np.unique(frames.worm.astype(str), return_inverse=True)
    window = np.asarray(frames.X.index.get_level_values(FRAME_LEVEL)) // length
    # Numbers skip one between worms, so that the last window of a worm is not next to the first of another.
    number = codes * (int(np.ptp(window)) + 2) + window - window.min()
    known = frames.y != UNKNOWN
    shares = []
    for split in splits:
        scored = split.held_out[known[split.held_out]]
        held_out, first = np.unique(number[scored], return_index=True)
        trained = number[split.train[known[split.train]]]
        touching = np.isin(held_out - 1, trained) | np.isin(held_out + 1, trained)
        shares.append(pd.Series(touching).groupby(names[codes[scored[first]]]).mean())
    return pd.concat(shares).groupby(level=0).mean().rename("share_touching")
