"""States read as a sequence: what a classifier says of each frame, and how states follow each other."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import numpy as np

from skworm.estimators.calibration import WrappingStateClassifier
from skworm.frames.index import check_frames_differ, frame_of_rows, sequences_of, worm_of_rows
from skworm.parameters import NotNegative, Positive


def transition_probabilities(
    states: np.ndarray, sequences: list[np.ndarray], n_states: int, pseudo_count: float
) -> np.ndarray:
    """Return how probable each state (column) is after each state (row), from rows of `states` that follow each other.

    `pseudo_count` is added to the count of every pair.
    """
    counts = np.full((n_states, n_states), float(pseudo_count))
    for rows in sequences:
        np.add.at(counts, (states[rows[:-1]], states[rows[1:]]), 1)
    totals = counts.sum(axis=1, keepdims=True)
    # Without pseudo-counts, a state that is seen only where sequences end stays what it is.
    return np.where(totals > 0, counts / np.maximum(totals, np.finfo(float).tiny), np.eye(n_states))


def read_sequence(
    log_emission: np.ndarray, log_transition: np.ndarray, log_start: np.ndarray, decoding: str
) -> np.ndarray:
    """Return the logarithm of the probability of every state in each frame, of shape (n_frames, n_states).

    It is given this and earlier frames (``"filtering"``) or all (``"smoothing"``). With ``"viterbi"`` it is that of the
    most probable path that is in this state in this frame, as a share among the states: the most probable path of all
    has the highest value in each frame.
    """
    reduce: Any = np.max if decoding == "viterbi" else np.logaddexp.reduce
    logs, state = np.empty(log_emission.shape), None
    for frame, emission in enumerate(log_emission):
        state = _next(state, emission, log_transition, log_start, reduce)
        logs[frame] = state = state - state.max()
    later = np.zeros(log_emission.shape[1])
    for frame in range(len(logs) - 2, -1, -1) if decoding != "filtering" else ():
        later = reduce(log_transition + log_emission[frame + 1] + later, axis=1)
        later = later - later.max()
        logs[frame] += later
    return _normalized(logs)


def _next(
    log_state: np.ndarray | None, emission: np.ndarray, transition: np.ndarray, start: np.ndarray, reduce: Any
) -> np.ndarray:
    before = start if log_state is None else reduce(log_state[:, np.newaxis] + transition, axis=0)
    return before + emission


def _normalized(logs: np.ndarray) -> np.ndarray:
    return logs - np.logaddexp.reduce(logs, axis=-1, keepdims=True)


class HiddenMarkovStateClassifier(WrappingStateClassifier):
    """Read the states of a worm as one sequence, from what a classifier says of each frame.

    States last, and follow each other in an order. How they do is counted in the training worms, from frame to frame,
    never across worms, gaps or frames of unknown state. The probabilities of the classifier, divided by the shares of
    the states in training, stand for how well each frame fits each state.

    A prediction depends on the other frames of its sequence: rows of one worm whose frame numbers follow each other
    (index levels ``"worm"`` and ``"frame"``), in order of frame. Rows without a worm are one sequence, in the order
    they come in. Pass frames whole: where frames of unknown state are left out, a sequence ends. scikit-learn's own
    wrappers, such as ``CalibratedClassifierCV`` and ``StackingClassifier``, take ``"unknown"`` for a state: drop such
    rows there.

    Parameters
    ----------
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
    transition_ : ndarray of shape (n_states, n_states)
        Probability from the state of the row to that of the column, from frame to frame.
    shares_ : ndarray of shape (n_states,)
        Share of each state in the training frames.

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

    decoding: Literal["viterbi", "smoothing", "filtering"] = "viterbi"
    emission_weight: Positive = 0.3
    pseudo_count: NotNegative = 1.0

    _words: ClassVar[dict[str, str]] = {
        "predict_proba returns": """\
ndarray of shape (n_frames, n_states)
    Probabilities, in the order of ``classes_``; with ``decoding="filtering"`` given this and earlier frames, with
    ``"smoothing"`` given the whole sequence. With ``"viterbi"`` how probable the best path through each state is, as a
    share: highest along the path that is predicted, but no probability of single frames.""",
    }

    def fit(self, X: Any, y: Any, worm: Any = None, groups: Any = None, **fit_params: Any) -> Self:
        """Fit the estimator, and count how states follow each other."""
        worms = worm_of_rows(X, worm)
        frames, states, codes, known, given = self._known_frames(X, y, worms, {"groups": groups, **fit_params})
        sequences = _sequences(X, worms, len(known), np.flatnonzero(known))
        self.shares_ = np.bincount(codes) / len(codes)
        self.transition_ = transition_probabilities(codes, sequences, len(self.classes_), self.pseudo_count)
        self.estimator_ = self._fit_inner(frames, states, given)
        return self

    def predict_proba(self, X: Any, worm: Any = None) -> np.ndarray:
        """Return the probability of every state in each frame, given its sequence."""
        emission, chain = self._log_emission(X, worm), self._log_chain()
        probabilities = np.empty(emission.shape)
        for part in _sequences(X, worm_of_rows(X, worm), len(emission), slice(None)):
            probabilities[part] = np.exp(read_sequence(emission[part], *chain, self.decoding))
        return probabilities

    def _log_emission(self, X: Any, worm: Any = None) -> np.ndarray:
        """Return how well each frame by itself fits each state: logarithms of probabilities over shares, weighted."""
        return self.emission_weight * (self._log_probabilities(X, worm) - np.log(self.shares_))

    def _log_chain(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the logarithms of ``transition_`` and of ``shares_``, with which every sequence starts."""
        with np.errstate(divide="ignore"):
            return np.log(self.transition_), np.log(self.shares_)


def filter_frame(model: HiddenMarkovStateClassifier, X: Any, log_state: np.ndarray | None) -> np.ndarray:
    """Return the logarithm of the probability of each state in the only frame of `X`, given all until now.

    `log_state` is that of the frame before, None where there is none.
    """
    return _normalized(_next(log_state, model._log_emission(X)[0], *model._log_chain(), np.logaddexp.reduce))


def _sequences(X: Any, worms: np.ndarray | None, n_rows: int, kept: Any) -> list[np.ndarray]:
    population = np.zeros(n_rows, dtype=int) if worms is None else worms
    frames = frame_of_rows(X, population)
    check_frames_differ(population, frames, "name each recording by a worm of its own, or drop repeated rows")
    return sequences_of(population[kept], frames[kept])
