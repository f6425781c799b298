"""States read as a sequence: what a classifier says of each frame, and how states follow each other."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.special import logsumexp
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skworm.estimators.calibration import WrappingStateClassifier, animals_of
from skworm.frames.index import frame_of_rows, worm_of_rows


def sequences_of(worm: np.ndarray, frame: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows of every run of consecutive frames of one worm, in order of time.

    Parameters
    ----------
    worm : numpy.ndarray, shape (n_frames,)
        Worm of each row.
    frame : numpy.ndarray of int, shape (n_frames,)
        Frame number of each row.

    Yields
    ------
    numpy.ndarray of int
        Rows of a run.
    """
    _, codes = np.unique(worm, return_inverse=True)
    order = np.lexsort((frame, codes))
    breaks = (np.diff(frame[order]) != 1) | (np.diff(codes[order]) != 0)
    yield from np.split(order, np.flatnonzero(breaks) + 1)


def transition_probabilities(
    states: np.ndarray, sequences: list[np.ndarray], n_states: int, pseudo_count: float
) -> np.ndarray:
    """Estimate how probable each state is after each state, from frame to frame.

    Parameters
    ----------
    states : numpy.ndarray of int, shape (n_frames,)
        State of each row.
    sequences : list of numpy.ndarray of int
        Rows that follow each other.
    n_states : int
        Number of states.
    pseudo_count : float
        Added to the count of every pair.

    Returns
    -------
    numpy.ndarray of shape (n_states, n_states)
        From the state of the row to that of the column; rows sum to 1.
    """
    counts = np.full((n_states, n_states), float(pseudo_count))
    for rows in sequences:
        np.add.at(counts, (states[rows[:-1]], states[rows[1:]]), 1)
    totals = counts.sum(axis=1, keepdims=True)
    # Without pseudo-counts, a state that is seen only where sequences end stays what it is.
    return np.where(totals > 0, counts / np.maximum(totals, np.finfo(float).tiny), np.eye(n_states))


def filter_step(
    log_state: np.ndarray | None, log_emission: np.ndarray, log_transition: np.ndarray, log_start: np.ndarray
) -> np.ndarray:
    """Take one frame more into account.

    Parameters
    ----------
    log_state : numpy.ndarray of shape (n_states,) or None
        Logarithm of the probability of each state in the frame before, given all until then; None where there is none.
    log_emission : numpy.ndarray of shape (n_states,)
        Logarithm of how probable this frame is in each state, up to a constant.
    log_transition : numpy.ndarray of shape (n_states, n_states)
        Logarithm of the probability from the state of the row to that of the column.
    log_start : numpy.ndarray of shape (n_states,)
        Logarithm of the probability of the first state.

    Returns
    -------
    numpy.ndarray of shape (n_states,)
        Logarithm of the probability of each state in this frame, given all until now.
    """
    return _normalized(_next(log_state, log_emission, log_transition, log_start, logsumexp))


def filtered(log_emission: np.ndarray, log_transition: np.ndarray, log_start: np.ndarray) -> np.ndarray:
    """Return the logarithm of the probability of every state in each frame, given this and earlier frames.

    Parameters
    ----------
    log_emission : numpy.ndarray of shape (n_frames, n_states)
        Logarithm of how probable each frame is in each state, up to a constant a frame.
    log_transition, log_start
        As in :func:`filter_step`.

    Returns
    -------
    numpy.ndarray of shape (n_frames, n_states)
        Logarithms of probabilities.
    """
    return _normalized(_forward(log_emission, log_transition, log_start, logsumexp))


def smoothed(log_emission: np.ndarray, log_transition: np.ndarray, log_start: np.ndarray) -> np.ndarray:
    """Return the logarithm of the probability of every state in each frame, given all frames.

    Parameters
    ----------
    log_emission, log_transition, log_start
        As in :func:`filtered`.

    Returns
    -------
    numpy.ndarray of shape (n_frames, n_states)
        Logarithms of probabilities.
    """
    return _through_every_state(log_emission, log_transition, log_start, logsumexp)


def best_paths(log_emission: np.ndarray, log_transition: np.ndarray, log_start: np.ndarray) -> np.ndarray:
    """Return for every state in each frame the best path through it (Viterbi, forward and backward).

    Parameters
    ----------
    log_emission, log_transition, log_start
        As in :func:`filtered`.

    Returns
    -------
    numpy.ndarray of shape (n_frames, n_states)
        Logarithm of the probability of the most probable path that is in this state in this frame, as a share among the
        states. The most probable path of all has the highest value in each frame.
    """
    return _through_every_state(log_emission, log_transition, log_start, np.max)


def _next(
    log_state: np.ndarray | None, emission: np.ndarray, transition: np.ndarray, start: np.ndarray, reduce: Any
) -> np.ndarray:
    before = start if log_state is None else reduce(log_state[:, np.newaxis] + transition, axis=0)
    return before + emission


def _forward(log_emission: np.ndarray, transition: np.ndarray, start: np.ndarray, reduce: Any) -> np.ndarray:
    logs = np.empty(log_emission.shape)
    state = None
    for frame, emission in enumerate(log_emission):
        state = _next(state, emission, transition, start, reduce)
        logs[frame] = state = state - state.max()
    return logs


def _through_every_state(log_emission: np.ndarray, transition: np.ndarray, start: np.ndarray, reduce: Any) -> Any:
    logs = _forward(log_emission, transition, start, reduce)
    later = np.zeros(log_emission.shape[1])
    for frame in range(len(logs) - 2, -1, -1):
        later = reduce(transition + log_emission[frame + 1] + later, axis=1)
        later = later - later.max()
        logs[frame] += later
    return _normalized(logs)


def _normalized(logs: np.ndarray) -> np.ndarray:
    return logs - logsumexp(logs, axis=-1, keepdims=True)


_DECODINGS = {"viterbi": best_paths, "smoothing": smoothed, "filtering": filtered}


class HiddenMarkovStateClassifier(WrappingStateClassifier):
    """Read the states of a worm as one sequence, from what a classifier says of each frame.

    States last, and follow each other in an order. How they do is counted in the training worms, from frame to frame,
    never across worms, gaps or frames of unknown state. The probabilities of the classifier, divided by the shares of
    the states in training, stand for how well each frame fits each state.

    A prediction depends on the other frames of its sequence: rows of one worm whose frame numbers follow each other
    (index levels ``"worm"`` and ``"frame"``), in order of frame. Rows without a worm are one sequence, in the order
    they come in. Pass frames whole: where frames of unknown state are left out, a sequence ends.

    Parameters
    ----------
    estimator : scikit-learn classifier
        Gives `predict_proba`, or `decision_function`, whose softmax then stands for probabilities.
    decoding : {"viterbi", "smoothing", "filtering"}, default="viterbi"
        ``"viterbi"`` predicts the most probable path through a whole sequence, ``"smoothing"`` the most probable state
        of each frame given the whole sequence, ``"filtering"`` that given this and earlier frames only, as a closed
        loop must. It may be changed after the fit.
    emission_weight : float, default=0.3
        Weight of what the classifier says. Below 1 because neighbouring frames repeat each other, and a chain would
        count each as new evidence.
    pseudo_count : float, default=1.0
        Added to the count of every pair of states, so that what training never showed stays possible.

    Attributes
    ----------
    estimator_ : classifier
        The estimator, fitted to all frames.
    transition_ : ndarray of shape (n_states, n_states)
        Probability from the state of the row to that of the column, from frame to frame.
    shares_ : ndarray of shape (n_states,)
        Share of each state in the training frames.
    classes_ : ndarray of shape (n_states,)
        State names.
    n_features_in_ : int
        Columns of `X`.
    feature_names_in_ : ndarray of str
        Their names, where `X` had any.

    References
    ----------
    Rabiner 1989, "A Tutorial on Hidden Markov Models and Selected Applications in Speech Recognition", equations 19 to
    37; Bourlard & Morgan 1994, "Connectionist Speech Recognition", for probabilities over shares in place of a density.

    Examples
    --------
    >>> from skworm import HiddenMarkovStateClassifier, MLPStateClassifier
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> X, y = make_frames(make_worms(n_worms=2, n_frames=400, random_state=0), states="2")
    >>> mlp = MLPStateClassifier(max_epochs=50, learning_rate=1e-2, random_state=0)
    >>> model = HiddenMarkovStateClassifier(mlp).fit(X, y)
    >>> bool((model.transition_.diagonal() > 0.8).all())
    True
    >>> causal = model.set_params(decoding="filtering").predict(X)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "estimator": [HasMethods(["fit", "predict"])],
        "decoding": [StrOptions(set(_DECODINGS))],
        "emission_weight": [Interval(Real, 0, None, closed="neither")],
        "pseudo_count": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self, estimator: Any, *, decoding: str = "viterbi", emission_weight: float = 0.3, pseudo_count: float = 1.0
    ) -> None:
        self.estimator = estimator
        self.decoding = decoding
        self.emission_weight = emission_weight
        self.pseudo_count = pseudo_count

    def fit(self, X: Any, y: Any, worm: Any = None, groups: Any = None) -> HiddenMarkovStateClassifier:
        """Fit the estimator, and count how states follow each other.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_frames, n_features)
            Frames.
        y : array-like of shape (n_frames,)
            States; frames that are ``"unknown"`` are left out.
        worm : array-like of shape (n_frames,), optional
            Worm of each frame; by default the index level ``"worm"`` of `X`, else all are one worm.
        groups : array-like of shape (n_frames,), optional
            Animal of each frame, for an estimator that splits by groups, such as a search.

        Returns
        -------
        self
            The fitted classifier.
        """
        worms = worm_of_rows(X, worm)
        frames, states, codes, known = self._known_frames(X, y, worms)
        sequences = _sequences(X, worms, len(known), np.flatnonzero(known))
        self.shares_ = np.bincount(codes) / len(codes)
        self.transition_ = transition_probabilities(codes, sequences, len(self.classes_), self.pseudo_count)
        self.estimator_ = self._fit_inner(frames, states, animals_of(groups, known))
        return self

    def predict_proba(self, X: Any, worm: Any = None) -> np.ndarray:
        """Return the probability of every state in each frame, given its sequence.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_frames, n_features)
            Frames.
        worm : array-like of shape (n_frames,), optional
            Worm of each frame; by default the index level ``"worm"`` of `X`, else all are one sequence.

        Returns
        -------
        ndarray of shape (n_frames, n_states)
            Probabilities, in the order of ``classes_``; with ``decoding="filtering"`` given this and earlier frames,
            with ``"smoothing"`` given the whole sequence. With ``"viterbi"`` how probable the best path through each
            state is, as a share: highest along the path that is predicted, but no probability of single frames.
        """
        emission = self.log_emission(X, worm)
        chain = self.log_chain()
        rows = _sequences(X, worm_of_rows(X, worm), len(emission), slice(None))
        probabilities = np.empty(emission.shape)
        for part in rows:
            probabilities[part] = np.exp(_DECODINGS[self.decoding](emission[part], *chain))
        return probabilities

    def predict(self, X: Any, worm: Any = None) -> np.ndarray:
        """Predict the state of every frame.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_frames, n_features)
            Frames.
        worm : array-like of shape (n_frames,), optional
            Worm of each frame; by default the index level ``"worm"`` of `X`, else all are one sequence.

        Returns
        -------
        ndarray of shape (n_frames,)
            States.
        """
        probabilities = self.predict_proba(X, worm)
        return self.classes_[probabilities.argmax(axis=1)]

    def log_emission(self, X: Any, worm: Any = None) -> np.ndarray:
        """Return how well each frame by itself fits each state.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_frames, n_features)
            Frames.
        worm : array-like of shape (n_frames,), optional
            Worm of each frame; by default the index level ``"worm"`` of `X`.

        Returns
        -------
        ndarray of shape (n_frames, n_states)
            Logarithm of the estimator's probabilities over the shares of the states, times `emission_weight`.
        """
        return self.emission_weight * (self._log_probabilities(X, worm) - np.log(self.shares_))

    def log_chain(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the logarithms of ``transition_`` and of ``shares_``, with which every sequence starts.

        Returns
        -------
        log_transition, log_start : ndarray of shape (n_states, n_states), ndarray of shape (n_states,)
            Logarithms of probabilities.
        """
        check_is_fitted(self)
        with np.errstate(divide="ignore"):
            return np.log(self.transition_), np.log(self.shares_)


def _sequences(X: Any, worms: np.ndarray | None, n_rows: int, kept: Any) -> list[np.ndarray]:
    if worms is None and not isinstance(X, pd.DataFrame):
        return list(sequences_of(np.zeros(n_rows, dtype=int)[kept], np.arange(n_rows)[kept]))
    population = np.zeros(n_rows, dtype=int) if worms is None else worms
    return list(sequences_of(population[kept], frame_of_rows(X, population)[kept]))
