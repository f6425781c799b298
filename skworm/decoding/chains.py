"""Sequences of hidden states: transition probabilities, the most probable path, and what is known of every frame."""

from __future__ import annotations

from collections.abc import Iterator

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


def most_probable_path(log_emission: np.ndarray, log_transition: np.ndarray, log_start: np.ndarray) -> np.ndarray:
    """Find the sequence of states with the highest probability (Viterbi).

    Parameters
    ----------
    log_emission : numpy.ndarray of shape (n_frames, n_states)
        Logarithm of how probable each frame is in each state, up to a constant a frame.
    log_transition : numpy.ndarray of shape (n_states, n_states)
        Logarithm of the probability from the state of the row to that of the column.
    log_start : numpy.ndarray of shape (n_states,)
        Logarithm of the probability of the first state.

    Returns
    -------
    numpy.ndarray of int, shape (n_frames,)
        States.
    """
    came_from = np.zeros(log_emission.shape, dtype=int)
    score = log_start + log_emission[0]
    for frame in range(1, len(log_emission)):
        paths = score[:, np.newaxis] + log_transition
        came_from[frame] = paths.argmax(axis=0)
        score = paths.max(axis=0) + log_emission[frame]
    path = np.empty(len(log_emission), dtype=int)
    path[-1] = score.argmax()
    for frame in range(len(path) - 1, 0, -1):
        path[frame - 1] = came_from[frame, path[frame]]
    return path


def filter_step(log_state: np.ndarray | None, log_emission: np.ndarray, log_transition: np.ndarray,
                log_start: np.ndarray) -> np.ndarray:  # fmt: skip
    """Take one frame more into account.

    Parameters
    ----------
    log_state : numpy.ndarray of shape (n_states,) or None
        Logarithm of the probability of each state in the frame before, given all until then; None where there is none.
    log_emission : numpy.ndarray of shape (n_states,)
        As in :func:`most_probable_path`, of this frame.
    log_transition, log_start
        As in :func:`most_probable_path`.

    Returns
    -------
    numpy.ndarray of shape (n_states,)
        Logarithm of the probability of each state in this frame, given all until now.
    """
    if log_state is not None:
        log_start = logsumexp(log_state[:, np.newaxis] + log_transition, axis=0)
    joint = log_start + log_emission
    return joint - logsumexp(joint)


def filtered(log_emission: np.ndarray, log_transition: np.ndarray, log_start: np.ndarray) -> np.ndarray:
    """Give the logarithm of the probability of every state in each frame, given this and earlier frames.

    Parameters
    ----------
    log_emission, log_transition, log_start
        As in :func:`most_probable_path`.

    Returns
    -------
    numpy.ndarray of shape (n_frames, n_states)
        Logarithms of probabilities.
    """
    logs = np.empty(log_emission.shape)
    state = None
    for frame, emission in enumerate(log_emission):
        logs[frame] = state = filter_step(state, emission, log_transition, log_start)
    return logs


def smoothed(log_emission: np.ndarray, log_transition: np.ndarray, log_start: np.ndarray) -> np.ndarray:
    """Give the logarithm of the probability of every state in each frame, given all frames.

    Parameters
    ----------
    log_emission, log_transition, log_start
        As in :func:`most_probable_path`.

    Returns
    -------
    numpy.ndarray of shape (n_frames, n_states)
        Logarithms of probabilities.
    """
    logs = filtered(log_emission, log_transition, log_start)
    later = np.zeros(log_emission.shape[1])
    for frame in range(len(logs) - 2, -1, -1):
        later = logsumexp(log_transition + log_emission[frame + 1] + later, axis=1)
        later -= later.max()
        logs[frame] += later
    return logs - logsumexp(logs, axis=1, keepdims=True)
