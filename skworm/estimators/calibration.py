"""Classifiers whose probabilities, or sets of states, are judged on worms that the inner fits did not see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from numbers import Integral, Real
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn import get_config
from sklearn.base import MetaEstimatorMixin, clone
from sklearn.model_selection import GroupKFold, KFold
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import check_is_fitted, column_or_1d

from skworm.estimators.states import StateClassifierMixin
from skworm.frames.index import (
    FRAME_LEVEL,
    WORM_LEVEL,
    frame_of_rows,
    match_neurons,
    validate_like_training,
    worm_of_rows,
)
from skworm.parameters import DocumentedEstimator

# The log of a probability of 0, as far as single precision tells: finite, so that it can be divided.
_LOG_OF_ZERO = float(np.log(np.finfo(np.float32).tiny))


class LeftOut(NamedTuple):
    """What inner fits predict for frames that they did not see.

    The logarithms, of shape (n_frames, n_states), hold up to a constant a row; `state` is the column of the true state
    of each frame, and `learnt` whether the fit had seen that state at all.
    """

    log_probabilities: np.ndarray
    state: np.ndarray
    learnt: np.ndarray
    worm: np.ndarray


class WrappingStateClassifier(StateClassifierMixin, MetaEstimatorMixin, DocumentedEstimator):
    """A classifier around another one; frames have the columns of training in order, NaN where that one takes it.

    Parameters
    ----------
    estimator : scikit-learn classifier
        Gives `predict_proba`, or `decision_function`, whose softmax then stands for probabilities.

    Attributes
    ----------
    estimator_ : classifier
        The estimator, fitted to all frames.
    """

    estimator: Annotated[Any, HasMethods(["fit", "predict"])] = field(kw_only=False)

    _words: ClassVar[dict[str, str]] = {
        "about_X": "Frames as the estimator takes them; a table of :func:`skworm.frames.make_frames` carries worms.",
        "groups": """\
array-like of shape (n_frames,), optional
    Animal of each frame, where recordings of one animal have different names: inner fits, and an estimator that splits
    by groups, such as a search, leave whole animals out. By default each worm is an animal.""",
        "fit_params": """\
arrays of shape (n_frames,)
    Further arguments for `fit` of the estimator, such as `sample_weight`. What is learned beside it counts all frames
    alike.""",
        "predict_set returns": """\
pandas.DataFrame of bool, shape (n_frames, n_states)
    Which states each set holds, a column a state, with the index of `X` where it has one. More than one means that the
    classifier abstains from choosing.""",
    }

    __metadata_request__fit = {"sample_weight": None, "groups": True}  # noqa: RUF012  # scikit-learn reads a plain dict

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = get_tags(self.estimator).input_tags.allow_nan
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "estimator_")

    def _known_frames(
        self, X: Any, y: Any, worms: np.ndarray | None, arguments: Mapping[str, Any]
    ) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Check training data; return the frames of known state, their states, codes, a mask, and arguments of fit."""
        # A fit that ends early must not leave the estimator of an earlier one under new names.
        self.__dict__.pop("estimator_", None)
        self._validate_params()
        checked, known, states, codes = self._learn_states(X, y, dtype=None, ensure_all_finite=False)
        given = {name: column_or_1d(values) for name, values in arguments.items() if values is not None}
        for name, column in given.items():
            if len(column) != len(known):
                raise ValueError(f"{name} has {len(column)} values for {len(known)} rows; give one for each")
        given = {name: column[known] for name, column in given.items()}
        frames = _safe_indexing(labelled_rows(X, checked, worms), np.flatnonzero(known))
        return frames, states, codes, known, given

    def _log_probabilities(self, X: Any, worm: Any) -> np.ndarray:
        check_is_fitted(self)
        if get_tags(self).input_tags.allow_nan:
            X = match_neurons(X, getattr(self, "feature_names_in_", None))
        checked = validate_like_training(self, X, dtype=None, ensure_all_finite=False)
        return log_probabilities(self.estimator_, labelled_rows(X, checked, worm_of_rows(X, worm)), self.classes_)

    def _fit_inner(
        self, frames: Any, states: np.ndarray, given: Mapping[str, np.ndarray], rows: Any = slice(None)
    ) -> Any:
        """Fit a copy of the estimator to some rows, with groups only where it splits by groups."""
        model = clone(self.estimator)
        taken = {name: values[rows] for name, values in given.items() if name != "groups" or takes_groups(model)}
        return model.fit(_safe_indexing(frames, rows), states[rows], **taken)


class InnerWormsClassifier(WrappingStateClassifier):
    """A classifier around another one, which learns something from worms that inner fits have left out.

    Parameters
    ----------
    cv : int, splitter or "prefit", default=5
        Groups of worms that are left out in turn, at most one for each worm, or contiguous blocks of the only worm,
        which say little of another one. A splitter gets the worms, or animals, as groups. With ``"prefit"`` the
        estimator is fitted already, to worms that are not in `X`.
    """

    cv: Annotated[Any, Interval(Integral, 2, None, closed="left"), StrOptions({"prefit"}), HasMethods(["split"])] = 5

    def fit(self, X: Any, y: Any, worm: Any = None, groups: Any = None, **fit_params: Any) -> Self:
        """Fit the inner models, learn from what they leave out, and fit the estimator to all frames."""
        worms = worm_of_rows(X, worm)
        frames, states, codes, known, given = self._known_frames(X, y, worms, {"groups": groups, **fit_params})
        worms = np.zeros(len(states), dtype=int) if worms is None else worms[known]
        prefit, every_row = isinstance(self.cv, str), np.arange(len(states))
        if prefit:
            check_is_fitted(self.estimator)
            unknown = sorted(set(self.estimator.classes_.tolist()) - set(self.classes_.tolist()))
            if unknown:
                raise ValueError(
                    f"the estimator knows the states {unknown}, and y holds none of them; pass frames of each"
                )
        parts = []
        splits = inner_splits(self.cv, frames, states, given.get("groups", worms))
        for train, test in [(every_row, every_row)] if prefit else splits:
            if len(np.unique(codes[train])) > 1:
                model = self.estimator if prefit else self._fit_inner(frames, states, given, train)
                logs = log_probabilities(model, _safe_indexing(frames, test), self.classes_)
                learnt = np.isin(self.classes_, model.classes_)[codes[test]]
                parts.append((logs, codes[test], learnt, worms[test]))
        if not parts:
            raise ValueError(
                f"{type(self).__name__}: with cv={self.cv!r} no inner fit has frames of two states (classes); train on "
                "more frames or more worms"
            )
        self._learn(LeftOut(*map(np.concatenate, zip(*parts, strict=True))))
        self.estimator_ = self.estimator if prefit else self._fit_inner(frames, states, given)
        return self

    def predict_proba(self, X: Any, worm: Any = None) -> np.ndarray:
        """Return the probability of every state."""
        return np.exp(log_softmax(self._log_probabilities(X, worm), axis=1))

    def _learn(self, left_out: LeftOut) -> None:
        """Learn from frames of worms that the inner fits have not seen."""
        raise NotImplementedError


def takes_groups(estimator: Any) -> bool:
    """Return whether the fit of an estimator takes groups: a search, a classifier of this module, or one that asks."""
    if isinstance(estimator, WrappingStateClassifier | BaseSearchCV) and not get_config()["enable_metadata_routing"]:
        return True
    return bool(get_routing_for_object(estimator).consumes("fit", ["groups"]))


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
    """Put worm and frame into the index of the rows, where worms are known."""
    if worms is None:
        return X if isinstance(X, pd.DataFrame) else checked
    index = pd.MultiIndex.from_arrays([worms, frame_of_rows(X, worms)], names=[WORM_LEVEL, FRAME_LEVEL])
    table = X if isinstance(X, pd.DataFrame) else pd.DataFrame(checked)
    return table.set_axis(index, axis=0)


_LOG_TEMPERATURES = (np.log(0.05), np.log(100.0))


class TemperatureScaledClassifier(InnerWormsClassifier):
    """Make the probabilities of a classifier hold on worms that it has not seen, by one number.

    Inner fits leave worms out, and the temperature is the one that gives the true states of those worms the most
    probability, every worm counting alike. The estimator is then fitted to all frames, and the logarithms of its
    probabilities are divided by the temperature: above 1 it was too sure of itself. The most probable state stays what
    it was.

    scikit-learn's `CalibratedClassifierCV` scales by temperature too, from version 1.8 on, with folds of frames unless
    metadata routing brings it the worms.

    Attributes
    ----------
    temperature_ : float
        The temperature, from 0.05 to 100.

    References
    ----------
    Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 9.

    Examples
    --------
    >>> from skworm import MLPStateClassifier, TemperatureScaledClassifier
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> X, y = make_frames(make_worms(n_worms=3, n_frames=400, random_state=0), states="2")
    >>> mlp = MLPStateClassifier(max_epochs=50, learning_rate=1e-2, random_state=0)
    >>> scaled = TemperatureScaledClassifier(mlp).fit(X, y)
    >>> scaled.predict_proba(X).shape == (len(X), 2)
    True
    """

    def _learn(self, left_out: LeftOut) -> None:
        self.temperature_ = fit_temperature(left_out)

    def _log_probabilities(self, X: Any, worm: Any) -> np.ndarray:
        return super()._log_probabilities(X, worm) / self.temperature_


def fit_temperature(left_out: LeftOut) -> float:
    """Return the temperature with the least log loss, mean over worms.

    Frames of a state that a fit had not learnt are left out: no temperature can correct these.
    """
    logs, state, _, worm = (values[left_out.learnt] for values in left_out)
    if not len(state):
        raise ValueError("no frame that an inner fit left out has a state that it had learnt; train on more frames")
    _, code, counts = np.unique(worm, return_inverse=True, return_counts=True)
    weight = 1 / (len(counts) * counts[code])
    rows = np.arange(len(state))

    def loss(log_temperature: float) -> float:
        return -float(weight @ log_softmax(logs / np.exp(log_temperature), axis=1)[rows, state])

    return float(np.exp(minimize_scalar(loss, bounds=_LOG_TEMPERATURES, method="bounded").x))


class ConformalStateClassifier(InnerWormsClassifier):
    """Predict sets of states, and abstain from choosing where one state will not do.

    Inner fits leave worms out, and tell how improbable the true states of those worms are to a model that has not seen
    them: the nonconformity of a frame is 1 minus the probability of its true state. The threshold is such that sets of
    all states below it would have held the true ones in a share `coverage` of those frames. The estimator is then
    fitted to all frames, and a set holds the states whose nonconformity is no more than the threshold, and always the
    most probable one.

    What to expect: worms can be exchanged for each other, frames cannot, so what is calibrated are worms. The coverage
    then holds on average over new worms, not in each, and not in each state. There is no guarantee for a finite sample
    here. One would need at least ``coverage / (1 - coverage)`` worms to calibrate on, 9 for .9, left out of every fit;
    fewer could only promise the set of all states.

    Parameters
    ----------
    coverage : float in (0, 1), default=0.9
        Share of frames whose set shall hold the true state.
    across_worms : {"mean", "max"}, default="mean"
        Whether the coverage is reached on average over the worms that are left out, or in each of them, by the largest
        of their thresholds. A further worm needs a larger one than all of K exchangeable worms with probability
        1 / (K + 1).

    Attributes
    ----------
    threshold_ : float
        Largest nonconformity in a set.
    worm_thresholds_ : pandas.Series
        What each training worm by itself would have needed, index ``"worm"``. How far they lie apart tells how much a
        new worm may differ.

    See Also
    --------
    skworm.metrics.coverage_report : Coverage and size of sets, worm by worm.

    References
    ----------
    Sadinle, Lei & Wasserman 2019, "Least Ambiguous Set-Valued Classifiers with Bounded Error Levels"; Dunn, Wasserman &
    Ramdas 2023, "Distribution-Free Prediction Sets for Two-Layer Hierarchical Models", for pooling distributions over
    groups; Lee, Barber & Willett 2023, "Distribution-free Inference with Hierarchical Data", for the guarantee.

    Examples
    --------
    >>> from skworm import ConformalStateClassifier, MLPStateClassifier
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> X, y = make_frames(make_worms(n_worms=3, n_frames=400, random_state=0), states="2")
    >>> mlp = MLPStateClassifier(max_epochs=50, learning_rate=1e-2, random_state=0)
    >>> conformal = ConformalStateClassifier(mlp, coverage=0.9).fit(X, y)
    >>> sets = conformal.predict_set(X)
    >>> list(sets.columns), bool(sets.any(axis=1).all())
    (['forward', 'reverse'], True)
    """

    coverage: Annotated[float, Interval(Real, 0, 1, closed="neither")] = 0.9
    across_worms: Literal["mean", "max"] = "mean"

    def predict_set(self, X: Any, worm: Any = None) -> pd.DataFrame:
        """Predict a set of states for every frame."""
        held = states_within(self.predict_proba(X, worm=worm), self.threshold_)
        return pd.DataFrame(held, columns=self.classes_, index=X.index if isinstance(X, pd.DataFrame) else None)

    def _learn(self, left_out: LeftOut) -> None:
        logs = left_out.log_probabilities
        shares = np.exp(log_softmax(logs, axis=1))
        nonconformity = np.where(left_out.learnt, 1 - shares[np.arange(len(logs)), left_out.state], 1.0)
        by_worm = pd.Series(nonconformity).groupby(left_out.worm)
        self.worm_thresholds_ = by_worm.quantile(self.coverage, interpolation="higher").rename_axis("worm")
        if self.across_worms == "max":
            self.threshold_ = float(self.worm_thresholds_.max())
            return
        order = np.argsort(nonconformity, kind="stable")
        weight = (1 / (by_worm.transform("size") * by_worm.ngroups)).to_numpy()[order]
        # The sum of weights is 1 but for rounding, which must not push the place beyond the last frame.
        place = int(np.searchsorted(np.cumsum(weight), self.coverage - 1e-12))
        self.threshold_ = float(nonconformity[order[place]])


def states_within(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Return which states a set holds: those near enough, and the most probable one; none where NaN is all there is."""
    # Probabilities that repeat, as those of trees do, must not miss a threshold that is one of them by rounding.
    return (1 - probabilities <= threshold + 1e-9) | (probabilities == probabilities.max(axis=1, keepdims=True))
