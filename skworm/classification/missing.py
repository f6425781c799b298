"""Frames of worms that do not match: other neurons than those of training, in another order, or not everywhere."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from skworm.layout import SEPARATOR, column_names, frame_of_rows, parse_column_names, worm_of_rows


def match_neurons(X: Any, fitted_columns: Sequence[str] | None) -> Any:
    """Give frames the columns that a model was trained on, matched by name.

    Neurons that `X` lacks become columns of NaN, and further ones are left out. Frames whose columns are not named
    ``"neuron:feature"``, in training or now, are given back as they are.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_frames, n_columns)
        Frames.
    fitted_columns : sequence of str or None
        Columns of the training frames, where they had names.

    Returns
    -------
    array-like or DataFrame
        `X`, or a table of its rows with the columns `fitted_columns`.

    Raises
    ------
    ValueError
        If `X` has none of the neurons, lacks a node feature, or repeats a column.

    Warns
    -----
    UserWarning
        If `X` lacks neurons, or some of their features.
    """
    if fitted_columns is None or not isinstance(X, pd.DataFrame) or list(X.columns) == list(fitted_columns):
        return X
    fitted = parse_column_names(fitted_columns)
    if fitted is None or not all(isinstance(label, str) and SEPARATOR in label for label in X.columns):
        return X
    neurons, node_features = fitted
    if not X.columns.is_unique:
        raise ValueError(f"X has the column {X.columns[X.columns.duplicated()][0]!r} more than once; drop one of them")
    features = {label.rsplit(SEPARATOR, 1)[1] for label in X.columns}
    if not features.issuperset(node_features):
        raise ValueError(
            f"X has the node features {sorted(features)}, but the model was trained on {node_features}; make both "
            "tables with the same node_features"
        )
    if not X.columns.isin(fitted_columns).any():
        own = sorted({label.rsplit(SEPARATOR, 1)[0] for label in X.columns})
        raise ValueError(
            f"X has none of the neurons that the model was trained on, {neurons}; it has {own}; train on neurons that "
            "both have, or correct the names"
        )
    # A neuron is missing where any of its features is.
    incomplete = [neuron for neuron in neurons if not set(column_names([neuron], node_features)) <= set(X.columns)]
    if incomplete:
        warnings.warn(
            f"X lacks {len(incomplete)} of the {len(neurons)} neurons that the model was trained on, or features of "
            f"them, which count as missing: {incomplete}",
            UserWarning,
            stacklevel=4,
        )
    return X.reindex(columns=list(fitted_columns))


def missing_neurons(frames: np.ndarray, n_neurons: int) -> np.ndarray:
    """Tell which neurons are missing in which frame: those of which any feature is NaN.

    Parameters
    ----------
    frames : ndarray of shape (n_frames, n_neurons * n_node_features)
        Frames, neuron-major.
    n_neurons : int
        Number of neurons.

    Returns
    -------
    ndarray of bool, shape (n_frames, n_neurons)
        Whether a neuron is missing.
    """
    return np.any(np.isnan(frames).reshape(len(frames), n_neurons, -1), axis=2)


def check_neurons(frames: np.ndarray, neurons: Sequence[str], X: Any, worm: Any = None) -> None:
    """Raise a ValueError that names worm and frame if there is a frame without any neuron.

    Parameters
    ----------
    frames : ndarray of shape (n_frames, n_neurons * n_node_features)
        Frames, neuron-major, NaN where a neuron is missing.
    neurons : sequence of str
        Neurons.
    X : array-like or DataFrame of shape (n_frames, ...)
        What the frames were made of; its index may tell worm and frame.
    worm : array-like of shape (n_frames,), optional
        Worm of each frame.
    """
    empty = np.all(missing_neurons(frames, len(neurons)), axis=1)
    if not empty.any():
        return
    worms = worm_of_rows(X, worm)
    own = np.zeros(len(frames), dtype=int) if worms is None else worms
    rows = own == own[empty][0]
    whose = "X" if worms is None else f"worm {str(own[empty][0])!r}"
    named = ", ".join(neurons[:8]) + (", ..." if len(neurons) > 8 else "")
    if empty[rows].all():
        raise ValueError(f"{whose} has a value for none of the neurons {named}; leave it out, or choose other neurons")
    frame = frame_of_rows(X, own)[empty & rows][0]
    raise ValueError(
        f"{whose} has a value for none of the neurons {named} in {int(empty[rows].sum())} of {int(rows.sum())} frames, "
        f"first in frame {frame}; drop these rows, or interpolate them"
    )
