"""Sequences of hidden states: transition probabilities, the most probable path, and what is known of every frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.special import logsumexp


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
    """Give the logarithm of the probability of every state in each frame, given this and earlier frames.

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
    """Give the logarithm of the probability of every state in each frame, given all frames.

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
    """Give for every state in each frame the best path through it (Viterbi, forward and backward).

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
