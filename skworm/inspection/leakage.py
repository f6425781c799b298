"""How much of a score on held-out windows is memory of the moment."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils import check_random_state

from skworm.frames.index import FRAME_LEVEL
from skworm.model_selection import WormGroupKFold, WormSplit
from skworm.model_selection.cross_validation import check_splitter, one_torch_thread
from skworm.model_selection.samples import StateSamples
from skworm.recording import UNKNOWN

_KEYS = ["fold_by", "gap", "worm"]


def leakage_report(X: Any, y: Any, groups: Any = None, *, cv: WormGroupKFold, estimator: Any = None) -> pd.DataFrame:
    """Measure what remembering the moment is worth, for shuffled windows and for contiguous blocks.

    Behaviour and activity change slowly, so the frames next to a held-out window tell much of it. The clock, which
    gives each held-out frame the state of the training frame with the nearest frame number, looks at no neuron: what it
    scores says nothing of the brain. A model deserves credit for what it scores beyond the clock.

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
    estimator : scikit-learn classifier, optional
        A model to score beside the clock, on the same splits.

    Returns
    -------
    pandas.DataFrame
        One row for each kind of fold and worm. Columns: ``fold_by``; ``gap``, frames; ``worm``; ``share_touching``, the
        share of its held-out windows with training frames of known state in the window right before or right after;
        ``accuracy_majority``, of the most frequent training state; ``accuracy_clock``; with an estimator,
        ``accuracy_estimator``. All are means over the fits that train on the worm, on its held-out windows.

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
    models = frames.baselines() if estimator is None else {**frames.baselines(), "estimator": estimator}
    # The same shuffle in every call of a splitter, whatever kind of random_state cv has.
    seed = int(check_random_state(cv.random_state).randint(2**31 - 1))
    parts = []
    for fold_by, gap in (("shuffled_windows", 0), ("contiguous_blocks", 0), ("contiguous_blocks", cv.window)):
        splitter = copy.copy(cv)
        splitter.fold_by, splitter.gap, splitter.random_state = fold_by, gap, seed
        splits = list(splitter.split_worms(frames.X, frames.y, frames.worm))
        part = pd.concat([_share_touching(frames, splits, cv.window), _accuracies(models, frames, splits)], axis=1)
        parts.append(part.rename_axis("worm").reset_index().assign(fold_by=fold_by, gap=gap))
    report = pd.concat(parts, ignore_index=True)
    return report[[*_KEYS, *report.columns.drop(_KEYS)]]


def _accuracies(models: dict[str, Any], frames: StateSamples, splits: list[WormSplit]) -> pd.DataFrame:
    """Return the mean accuracy of each model on the held-out windows of each worm."""
    rows = []
    for split in splits:
        frames.check_split(split)
        for name, model in models.items():
            fitted = clone(model)
            with one_torch_thread(fitted):
                fitted.fit(*frames.training_samples(split.train))
                predicted = fitted.predict(frames.X.iloc[split.held_out])
            for scores in frames.scores(split.held_out, predicted):
                rows.append({"worm": scores["worm"], "model": f"accuracy_{name}", "accuracy": scores["accuracy"]})
    by_worm = pd.DataFrame(rows).groupby(["worm", "model"])["accuracy"].mean().unstack("model")
    return by_worm[[f"accuracy_{name}" for name in models]]


def _share_touching(frames: StateSamples, splits: list[WormSplit], length: int) -> pd.Series:
    """Return the share of held-out windows next to a window with training rows, by worm."""
    names, codes = np.unique(frames.worm.astype(str), return_inverse=True)
    window = np.asarray(frames.X.index.get_level_values(FRAME_LEVEL)) // length
    # Numbers that leave one free between worms, so that the last window of a worm is no neighbour of the next worm.
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
