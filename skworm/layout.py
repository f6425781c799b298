"""How frames are laid out as rows and columns: index levels, column names, windows, context, steps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

WORM_LEVEL = "worm"
FRAME_LEVEL = "frame"
SEPARATOR = ":"
STEP_SEPARATOR = "@"

_STEP_NAME = re.compile(r".+@-?\d+$", re.DOTALL)


def column_names(neurons: Iterable[str], node_features: Sequence[str]) -> list[str]:
    """Name the columns of a frame table, neuron-major: ``"AVAL:trace", "AVAL:derivative", ...``."""
    return [f"{neuron}{SEPARATOR}{feature}" for neuron in neurons for feature in node_features]


def parse_column_names(columns: Iterable[Any]) -> tuple[list[str], list[str]] | None:
    """Read neurons and node features back from column names.

    Parameters
    ----------
    columns : iterable
        Column labels of a frame table.

    Returns
    -------
    (neurons, node_features) or None
        Names in column order, or None where the labels are not ``"neuron:feature"`` names at all.

    Raises
    ------
    ValueError
        If the labels are such names, but not neuron-major with the same features for every neuron.
    """
    labels = list(columns)
    if not labels or not all(isinstance(label, str) and SEPARATOR in label for label in labels):
        return None
    pairs = [label.rsplit(SEPARATOR, 1) for label in labels]
    neurons = list(dict.fromkeys(neuron for neuron, _ in pairs))
    node_features = list(dict.fromkeys(feature for _, feature in pairs))
    if labels != column_names(neurons, node_features):
        raise ValueError(
            "columns named 'neuron:feature' must be neuron-major, with the same features in the same order for every "
            f"neuron, such as {column_names(neurons[:2], node_features)}; got {labels[:6]}; make the table with "
            "make_frames, or reorder its columns"
        )
    return neurons, node_features


def context_feature_names(node_features: Sequence[str], context: Iterable[int]) -> list[str]:
    """Name the node features of a neuron over a context: ``"trace@-3", "derivative@-3", "trace", "derivative"``."""
    return [f"{name}{STEP_SEPARATOR}{frame}" if frame else name for frame in context for name in node_features]


def parse_context_feature_names(node_features: Iterable[str]) -> tuple[list[str], list[int]]:
    """Tell for each node feature what was measured, and how many frames from the labelled one.

    Parameters
    ----------
    node_features : iterable of str
        Names of node features, such as ``"trace@-3"``.

    Returns
    -------
    (signals, frames) : list of str, list of int
        One of each for every node feature, such as ``"trace"`` and -3. A name that tells no frame is of frame 0.
    """
    signals, frames = [], []
    for name in node_features:
        in_context = _STEP_NAME.match(name) is not None
        signal, frame = name.rsplit(STEP_SEPARATOR, 1) if in_context else (name, "0")
        signals.append(signal)
        frames.append(int(frame))
    return signals, frames


def worm_of_rows(X: Any, worm: Any = None) -> np.ndarray | None:
    """Tell the worm of each row.

    Parameters
    ----------
    X : array-like or DataFrame, shape (n_frames, ...)
        Frames; a DataFrame may carry the worm as the index level ``"worm"``.
    worm : array-like, shape (n_frames,), optional
        Worm of each row; takes precedence over the index.

    Returns
    -------
    numpy.ndarray of shape (n_frames,) or None
        None where neither says to which worm a row belongs.
    """
    if worm is not None:
        ids = np.asarray(worm)
        if ids.ndim != 1 or len(ids) != len(X):
            raise ValueError(f"worm has shape {ids.shape}, but X has {len(X)} rows; pass one worm name a row")
        return ids
    index = getattr(X, "index", None)
    if isinstance(index, (pd.Index, pd.MultiIndex)) and WORM_LEVEL in index.names:
        return np.asarray(index.get_level_values(WORM_LEVEL))
    return None


def frame_of_rows(X: Any, worm: np.ndarray) -> np.ndarray:
    """Tell the frame number of each row: from the index level ``"frame"``, else by row order within each worm.

    Parameters
    ----------
    X : array-like or DataFrame, shape (n_frames, ...)
        Frames.
    worm : numpy.ndarray, shape (n_frames,)
        Worm of each row.

    Returns
    -------
    numpy.ndarray of int, shape (n_frames,)
        Frame numbers, counted from 0 within each worm.
    """
    index = getattr(X, "index", None)
    if isinstance(index, (pd.Index, pd.MultiIndex)) and FRAME_LEVEL in index.names:
        return np.asarray(index.get_level_values(FRAME_LEVEL), dtype=np.int64)
    return pd.Series(worm).groupby(worm, sort=False).cumcount().to_numpy()


def window_of_rows(X: Any, worm: np.ndarray, window: int) -> np.ndarray:
    """Tell the window of each row: ``frame // window``, so that dropped rows shift no boundary.

    Parameters
    ----------
    X : array-like or DataFrame, shape (n_frames, ...)
        Frames.
    worm : numpy.ndarray, shape (n_frames,)
        Worm of each row.
    window : int
        Frames a window.

    Returns
    -------
    numpy.ndarray of int, shape (n_frames,)
        Window numbers, counted from 0 within each worm.
    """
    if not isinstance(window, (int, np.integer)) or window < 1:
        raise ValueError(f"window={window!r} must be a whole number of frames, at least 1")
    return frame_of_rows(X, worm) // window


def signal_names(y: Any) -> list[str]:
    """Tell the names of behavioural signals: of the columns of a table, of a Series, else numbers.

    Parameters
    ----------
    y : array-like, shape (n_frames,) or (n_frames, n_signals)
        Signals.

    Returns
    -------
    list of str, length n_signals
        Names.
    """
    if hasattr(y, "columns"):
        return [str(name) for name in y.columns]
    if getattr(y, "name", None) is not None:
        return [str(y.name)]
    shape = np.asarray(y).shape
    return [str(number) for number in range(shape[1] if len(shape) > 1 else 1)]


def step_column_names(columns: Iterable[str], steps: Iterable[int]) -> list[str]:
    """Name the columns of trajectories, time-major: ``"AVAL:trace@0", "RID:trace@0", "AVAL:trace@1", ...``."""
    columns = list(columns)
    return [f"{column}{STEP_SEPARATOR}{step}" for step in steps for column in columns]


def parse_step_column_names(columns: Iterable[Any]) -> tuple[list[str], list[int]] | None:
    """Read the columns of a frame, and the steps, back from the column names of trajectories.

    Parameters
    ----------
    columns : iterable
        Column labels of a table of trajectories.

    Returns
    -------
    (columns, steps) or None
        Names of the columns of one frame, and steps in order, or None where the labels are no ``"name@step"`` at all.

    Raises
    ------
    ValueError
        If the labels are such names, but not time-major over consecutive steps with the same columns in each.
    """
    labels = list(columns)
    if not labels or not all(isinstance(label, str) and _STEP_NAME.match(label) for label in labels):
        return None
    pairs = [label.rsplit(STEP_SEPARATOR, 1) for label in labels]
    names = list(dict.fromkeys(name for name, _ in pairs))
    steps = list(dict.fromkeys(int(step) for _, step in pairs))
    if labels != step_column_names(names, range(steps[0], steps[0] + len(steps))):
        raise ValueError(
            "columns named 'name@step' must be time-major, with the same columns in the same order in consecutive "
            f"steps, such as {step_column_names(names[:2], steps[:2])}; got {labels[:6]}; make the table with "
            "make_trajectories, or reorder its columns"
        )
    return names, steps
