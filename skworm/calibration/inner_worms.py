"""What calibrated classifiers share: inner fits that leave worms out, and probabilities on those worms."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.model_selection import GroupKFold, KFold
from sklearn.utils import get_tags
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from skworm.classification.base import StateClassifierMixin, encode_states, known_states
from skworm.layout import FRAME_LEVEL, WORM_LEVEL, frame_of_rows, worm_of_rows

# The log of a probability of 0, as far as single precision tells: finite, so that it can be divided.
_LOG_OF_ZERO = float(np.log(np.finfo(np.float32).tiny))


class LeftOut(NamedTuple):
    """What inner fits say of frames that they did not see.

    Parameters
    ----------
    log_probabilities : numpy.ndarray of shape (n_frames, n_states)
        Logarithms, up to a constant a row.
    state : numpy.ndarray of int, shape (n_frames,)
        Column of the true state.
    learnt : numpy.ndarray of bool, shape (n_frames,)
        Whether the fit had seen that state at all.
    worm : numpy.ndarray, shape (n_frames,)
        Worm of each frame.
    """

    log_probabilities: np.ndarray
    state: np.ndarray
    learnt: np.ndarray
    worm: np.ndarray


class WrappingStateClassifier(StateClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """A classifier around another one; frames have the columns of training in order, NaN where that one takes it."""

    estimator: Any
    estimator_: Any

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = get_tags(self.estimator).input_tags.allow_nan
        return tags

    def _known_frames(self, X: Any, y: Any, worms: np.ndarray | None) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
        """Check training data, and give the frames of known state, their states and codes, and a mask of them."""
        self._validate_params()
        checked, states = validate_data(self, X, y, dtype=None, ensure_all_finite=False)
        known = known_states(states)
        self.classes_, codes = encode_states(self, states[known])
        frames = rows_of(labelled_rows(X, checked, worms), np.flatnonzero(known))
        return frames, states[known], codes, known


class InnerWormsClassifier(WrappingStateClassifier):
    """A classifier around another one, which learns something from worms that inner fits have left out."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "estimator": [HasMethods(["fit", "predict"])],
        "cv": [Interval(Integral, 2, None, closed="left"), HasMethods(["split"])],
    }

    def __init__(self, estimator: Any, *, cv: Any = 5) -> None:
        self.estimator = estimator
        self.cv = cv

    def fit(self, X: Any, y: Any, worm: Any = None) -> InnerWormsClassifier:
        """Fit the inner models, learn from what they leave out, and fit the estimator to all frames.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_frames, n_features)
            Frames.
        y : array-like of shape (n_frames,)
            States; frames that are ``"unknown"`` are left out.
        worm : array-like of shape (n_frames,), optional
            Worm of each frame; by default the index level ``"worm"`` of `X`, else all are one worm.

        Returns
        -------
        self
            The fitted classifier.
        """
        worms = worm_of_rows(X, worm)
        frames, states, codes, known = self._known_frames(X, y, worms)
        worms = np.zeros(len(states), dtype=int) if worms is None else worms[known]
        self._learn(self._left_out(frames, states, codes, worms))
        self.estimator_ = clone(self.estimator).fit(frames, states)
        return self

    def predict_proba(self, X: Any, worm: Any = None) -> np.ndarray:
        """Give the probability of every state.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_frames, n_features)
            Frames.
        worm : array-like of shape (n_frames,), optional
            Worm of each frame; by default the index level ``"worm"`` of `X`.

        Returns
        -------
        ndarray of shape (n_frames, n_states)
            Probabilities, in the order of ``classes_``.
        """
        return np.exp(log_softmax(self._log_probabilities(X, worm), axis=1))

    def predict(self, X: Any, worm: Any = None) -> np.ndarray:
        """Predict the state of every frame.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_frames, n_features)
            Frames.
        worm : array-like of shape (n_frames,), optional
            Worm of each frame; by default the index level ``"worm"`` of `X`.

        Returns
        -------
        ndarray of shape (n_frames,)
            The most probable states.
        """
        check_is_fitted(self)
        return self.classes_[self._log_probabilities(X, worm).argmax(axis=1)]

    def _learn(self, left_out: LeftOut) -> None:
        """Learn from frames of worms that the inner fits have not seen."""
        raise NotImplementedError

    def _log_probabilities(self, X: Any, worm: Any) -> np.ndarray:
        check_is_fitted(self)
        checked = validate_data(self, X, dtype=None, ensure_all_finite=False, reset=False)
        return log_probabilities(self.estimator_, labelled_rows(X, checked, worm_of_rows(X, worm)), self.classes_)

    def _left_out(self, frames: Any, states: np.ndarray, codes: np.ndarray, worms: np.ndarray) -> LeftOut:
        parts = []
        for train, test in inner_splits(self.cv, frames, states, worms):
            learnt = np.unique(codes[train])
            if len(learnt) < 2:
                continue
            model = clone(self.estimator).fit(rows_of(frames, train), states[train])
            logs = log_probabilities(model, rows_of(frames, test), self.classes_)
            parts.append(LeftOut(logs, codes[test], np.isin(codes[test], learnt), worms[test]))
        if not parts:
            raise ValueError(
                f"{type(self).__name__}: with cv={self.cv!r} no inner fit has frames of two states (classes); train on "
                "more frames or more worms"
            )
        return LeftOut(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def inner_splits(cv: Any, frames: Any, states: np.ndarray, worms: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Split training frames so that every fit leaves whole worms out, or contiguous blocks of the only one."""
    if hasattr(cv, "split"):
        yield from cv.split(frames, states, worms)
        return
    n_worms = len(np.unique(worms))
    if n_worms > 1:
        yield from GroupKFold(min(cv, n_worms)).split(frames, states, worms)
        return
    if len(worms) < cv:
        raise ValueError(f"{len(worms)} frames (n_samples = {len(worms)}) are too few for cv={cv}; lower cv")
    order = np.argsort(frame_of_rows(frames, worms), kind="stable")
    for train, test in KFold(cv).split(order):
        yield order[train], order[test]


def log_probabilities(estimator: Any, X: Any, classes: np.ndarray) -> np.ndarray:
    """Ask a fitted classifier for logarithms of probabilities, up to a constant a row, in the order of `classes`.

    A classifier without `predict_proba`, such as a support vector machine, gives its decision function in their place.
    States that it has not learnt get the logarithm of nearly 0.
    """
    if hasattr(estimator, "predict_proba"):
        values = np.log(np.maximum(estimator.predict_proba(X).astype(float), np.exp(_LOG_OF_ZERO)))
    elif hasattr(estimator, "decision_function"):
        decision = np.asarray(estimator.decision_function(X), dtype=float)
        values = decision if decision.ndim == 2 else np.stack([np.zeros(len(decision)), decision], axis=1)
        values = log_softmax(values, axis=1)
    else:
        raise TypeError(
            f"{type(estimator).__name__} has neither predict_proba nor decision_function, so nothing tells how sure it "
            "is; wrap a classifier that has one of them"
        )
    logs = np.full((len(values), len(classes)), _LOG_OF_ZERO)
    logs[:, np.searchsorted(classes, estimator.classes_)] = values
    return logs


def labelled_rows(X: Any, checked: np.ndarray, worms: np.ndarray | None) -> Any:
    """Let the rows carry worm and frame in the index, where worms are known."""
    if worms is None:
        return X if isinstance(X, pd.DataFrame) else checked
    index = pd.MultiIndex.from_arrays([worms, frame_of_rows(X, worms)], names=[WORM_LEVEL, FRAME_LEVEL])
    table = X if isinstance(X, pd.DataFrame) else pd.DataFrame(checked)
    return table.set_axis(index, axis=0)


def rows_of(frames: Any, rows: np.ndarray) -> Any:
    """Take some rows of a table or an array."""
    return frames.iloc[rows] if isinstance(frames, pd.DataFrame) else frames[rows]
