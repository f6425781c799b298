"""Labels and traces that have lost their relation to each other, and kept what else they had."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from skworm.layout import frame_of_rows, parse_column_names, worm_of_rows
from skworm.metrics.stretches import bouts_of
from skworm.states import UNKNOWN


def circularly_shifted_states(y: Any, *, worm: Any = None, min_lag: int = 100, random_state: Any = None) -> Any:
    """Shift the states of each worm in time by a random lag of its own; what leaves at the end comes in at the front.

    Bouts, their durations and their order stay, but for the two at the seam. The frames of unknown state stay where
    they are, and the states of the others are shifted among these, so that dropping unknown frames first gives the
    same.

    Parameters
    ----------
    y : Series or array-like of str, shape (n_frames,)
        State of each frame.
    worm : array-like of shape (n_frames,), optional
        Worm of each frame; by default the index level ``"worm"``.
    min_lag : int, default=100
        Least lag in frames, in either direction; 100 are about 35 s at 2.9 frames a second. It should be longer than
        states and activity remember.
    random_state : int, RandomState instance or None, default=None
        Source of the lags, which are drawn uniformly.

    Returns
    -------
    Series or numpy.ndarray of str, shape (n_frames,)
        Shifted states, with the index of `y`.

    Raises
    ------
    ValueError
        If worms are missing, or a worm has too few frames of known state for `min_lag`.

    References
    ----------
    Harris 2020, "Nonsense correlations in neuroscience", bioRxiv 2020.11.29.402719.

    Examples
    --------
    >>> from skworm.model_selection import circularly_shifted_states
    >>> circularly_shifted_states(["a", "a", "b", "c"], worm=["worm-a"] * 4, min_lag=2, random_state=0)
    array(['b', 'c', 'a', 'a'], dtype='<U1')
    """
    if not isinstance(min_lag, Integral) or min_lag < 1:
        raise ValueError(f"min_lag={min_lag!r} must be a whole number of frames, at least 1")
    rng = check_random_state(random_state)
    states = np.asarray(y, dtype=str)
    shifted = states.copy()
    for name, rows, _ in _known_rows(y, states, worm):
        n_frames = len(rows)
        if n_frames < 2 * min_lag:
            raise ValueError(
                f"worm {str(name)!r} has {n_frames} frames of known state, too few to shift by at least "
                f"min_lag={min_lag} either way; lower min_lag, or leave the worm out"
            )
        shifted[rows] = np.roll(states[rows], rng.randint(min_lag, n_frames - min_lag + 1))
    return _like(y, shifted)


def shuffled_bouts(y: Any, *, worm: Any = None, random_state: Any = None) -> Any:
    """Put the bouts of each worm into a random order, each with its length.

    Durations stay; which state follows which does not, and two bouts of one state may come to lie side by side. The
    frames of unknown state stay where they are.

    Parameters
    ----------
    y : Series or array-like of str, shape (n_frames,)
        State of each frame.
    worm : array-like of shape (n_frames,), optional
        Worm of each frame; by default the index level ``"worm"``.
    random_state : int, RandomState instance or None, default=None
        Source of the order.

    Returns
    -------
    Series or numpy.ndarray of str, shape (n_frames,)
        States with the index of `y`.

    Raises
    ------
    ValueError
        If worms are missing, or a worm has a single bout.

    Examples
    --------
    >>> from skworm.model_selection import shuffled_bouts
    >>> shuffled_bouts(["a", "a", "b", "c", "c", "c"], worm=["worm-a"] * 6, random_state=0)
    array(['c', 'c', 'c', 'b', 'a', 'a'], dtype='<U1')
    """
    rng = check_random_state(random_state)
    states = np.asarray(y, dtype=str)
    shuffled = states.copy()
    for name, rows, stretch in _known_rows(y, states, worm):
        bouts = bouts_of(states[rows], stretch)
        order = rng.permutation(len(bouts.state))
        if len(order) < 2:
            raise ValueError(f"worm {str(name)!r} has a single bout, which has no other order; leave the worm out")
        shuffled[rows] = np.repeat(bouts.state[order], bouts.n_frames[order])
    return _like(y, shuffled)


def phase_randomized(
    X: Any,
    *,
    worm: Any = None,
    keep_correlations: bool = False,
    n_node_features: int | None = None,
    random_state: Any = None,
) -> pd.DataFrame | np.ndarray:
    """Give the activity of each worm random Fourier phases: the same spectrum at other times.

    All columns of a neuron get the same phases. A derivative is linear in the trace, so that a neuron's derivative
    column remains the derivative of its trace, but for the ends of the recording. Rows that follow each other are taken
    as frames that do: make frames with ``unknown="keep"`` for this.

    Parameters
    ----------
    X : DataFrame or array-like, shape (n_frames, n_columns)
        Frames, neuron-major.
    worm : array-like of shape (n_frames,), optional
        Worm of each frame; by default the index level ``"worm"``.
    keep_correlations : bool, default=False
        Whether all neurons of a worm get the same random phases added, which keeps the correlations between them, or
        each its own.
    n_node_features : int, optional
        Columns a neuron; by default from the names of the columns, else 1.
    random_state : int, RandomState instance or None, default=None
        Source of the phases.

    Returns
    -------
    DataFrame or numpy.ndarray, shape (n_frames, n_columns)
        Frames with the index and the columns of `X`. Values may leave the range of `X`, and are nearer to normal.

    Raises
    ------
    ValueError
        If worms are missing, columns do not fit `n_node_features`, or a column of a worm holds NaN in part.

    References
    ----------
    Theiler et al. 1992, "Testing for nonlinearity in time series"; Prichard & Theiler 1994, "Generating surrogate data
    for time series with several simultaneously measured variables", for common phases.

    Examples
    --------
    >>> import numpy as np
    >>> from skworm.model_selection import phase_randomized
    >>> wave = np.sin(np.arange(40) / 3)[:, None]
    >>> other = phase_randomized(wave, worm=["worm-a"] * 40, random_state=0)
    >>> np.allclose(np.abs(np.fft.rfft(wave, axis=0)), np.abs(np.fft.rfft(other, axis=0)))
    True
    """
    rng = check_random_state(random_state)
    values = np.array(X, dtype=float)
    worms = _worms(X, worm)
    n_features = _columns_a_neuron(X, values.shape[1], n_node_features)
    frame = frame_of_rows(X, worms)
    for name in np.unique(worms):
        rows = np.flatnonzero(worms == name)
        rows = rows[np.argsort(frame[rows], kind="stable")]
        is_nan = np.isnan(values[rows])
        partly = np.flatnonzero(is_nan.any(axis=0) & ~is_nan.all(axis=0))
        if len(partly):
            raise ValueError(
                f"worm {str(name)!r} has NaN in part of column {partly[0]}; interpolate it, or drop the column"
            )
        spectrum = np.fft.rfft(values[rows], axis=0)
        n_drawn = 1 if keep_correlations else values.shape[1] // n_features
        angle = rng.uniform(0, 2 * np.pi, (len(spectrum), n_drawn))
        turn = np.exp(1j * np.repeat(angle, values.shape[1] // n_drawn, axis=1))
        # The mean, and the highest frequency of an even number of frames, have no phase.
        turn[0] = 1
        if len(rows) % 2 == 0:
            turn[-1] = 1
        values[rows] = np.fft.irfft(spectrum * turn, n=len(rows), axis=0)
    return pd.DataFrame(values, index=X.index, columns=X.columns) if isinstance(X, pd.DataFrame) else values


def _known_rows(y: Any, states: np.ndarray, worm: Any) -> Iterator[tuple[Any, np.ndarray, np.ndarray]]:
    """Yield each worm with its rows of known state in order of time, and the stretch of each."""
    worms = _worms(y, worm)
    frame = frame_of_rows(y, worms)
    for name in np.unique(worms):
        rows = np.flatnonzero((worms == name) & (states != UNKNOWN))
        rows = rows[np.argsort(frame[rows], kind="stable")]
        if len(rows):
            yield name, rows, np.cumsum(np.diff(frame[rows], prepend=frame[rows[0]] - 1) != 1)


def _worms(data: Any, worm: Any) -> np.ndarray:
    worms = worm_of_rows(data, worm)
    if worms is None:
        raise ValueError(
            "nothing says to which worm a row belongs, and a null control stays within a worm; pass worm=, or data "
            "with the index level 'worm', as make_frames returns them"
        )
    return worms


def _columns_a_neuron(X: Any, n_columns: int, n_node_features: int | None) -> int:
    parsed = parse_column_names(X.columns) if hasattr(X, "columns") else None
    named = 1 if parsed is None else len(parsed[1])
    count = named if n_node_features is None else n_node_features
    if not isinstance(count, Integral) or count < 1 or n_columns % count or (parsed is not None and count != named):
        raise ValueError(
            f"n_node_features={n_node_features!r} does not fit the {n_columns} columns of X; leave it out where the "
            "columns are named 'AVAL:trace', or pass the number of columns a neuron"
        )
    return int(count)


def _like(y: Any, states: np.ndarray) -> Any:
    return pd.Series(states, index=y.index, name=y.name) if isinstance(y, pd.Series) else states
