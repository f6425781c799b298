"""Scaling worm by worm."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import FLOAT_DTYPES, check_is_fitted, validate_data

from skworm.frames.index import frame_settings, validate_like_training, worm_of_rows

_CONSTANT_TO_ROUNDING = 1e-12


class WormMinMaxScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Scale every column to [0, 1], worm by worm, with ranges learned on training rows only.

    The counterpart of ``make_frames(..., fit_scope="train")`` in a pipeline. Values outside the training range fall
    outside [0, 1]; they are not clipped. NaN is ignored when ranges are learned, and kept.

    Parameters
    ----------
    unseen : {"train", "own"}, default="train"
        How rows of a worm that was not in training are scaled: by the range of all training rows, so that each row
        stands by itself; or by the range of that worm's own rows in the same call, which is transductive in inputs
        (never in labels) and wants the whole worm at once.

    Attributes
    ----------
    range_ : numpy.ndarray of shape (2, n_columns)
        Minimum and maximum over all training rows; scales rows of which the worm is not known.
    worm_ranges_ : dict of worm to numpy.ndarray of shape (2, n_columns)
        Minimum and maximum over the training rows of each worm; empty where the worms are not known.
    frame_settings_ : dict
        What ``X.attrs`` told of the training frames: ``"fps"``, ``"derivative"``, ``"derivative_looks_ahead"`` and
        ``"fit_scope"``.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : numpy.ndarray of str, shape (n_columns,)
        Column names, where `X` has them.

    Examples
    --------
    >>> import numpy as np
    >>> from skworm.frames import WormMinMaxScaler
    >>> X = np.array([[0.0], [2.0], [10.0], [30.0]])
    >>> WormMinMaxScaler().fit_transform(X, worm=["a", "a", "b", "b"]).ravel()
    array([0., 1., 0., 1.])
    >>> WormMinMaxScaler().fit_transform(X).ravel()
    array([0.        , 0.06666667, 0.33333333, 1.        ])
    """

    range_: np.ndarray
    worm_ranges_: dict[Any, np.ndarray]

    def __init__(self, unseen: str = "train") -> None:
        self.unseen = unseen

    def fit(self, X: Any, y: Any = None, *, worm: Any = None) -> WormMinMaxScaler:
        """Learn the range of every column, for each worm and over all rows.

        Parameters
        ----------
        X : array-like or DataFrame, shape (n_frames, n_columns)
            Training frames; a DataFrame may carry the worm as the index level ``"worm"``.
        y : ignored
        worm : array-like, shape (n_frames,), optional
            Worm of each row; takes precedence over the index.
        """
        check_choice("unseen", self.unseen, ("train", "own"))
        values = validate_data(self, X, dtype=FLOAT_DTYPES, ensure_all_finite="allow-nan")
        self.frame_settings_ = frame_settings(X)
        worms = worm_of_rows(X, worm)
        self.range_ = self._learn_range(values, "training rows")
        self.worm_ranges_ = {
            name: self._learn_range(values[worms == name], f"training rows of worm {str(name)!r}")
            for name in ([] if worms is None else pd.unique(worms))
        }
        return self

    def transform(self, X: Any, *, worm: Any = None) -> Any:
        """Scale frames.

        Parameters
        ----------
        X, worm
            As in :meth:`fit`.

        Returns
        -------
        DataFrame or numpy.ndarray of shape (n_frames, n_columns)
            Scaled frames; a DataFrame where `X` is one, with the same index, columns and attrs.

        Raises
        ------
        ValueError
            With ``unseen="own"``, if a column is constant over the rows of a new worm.
        """
        check_is_fitted(self)
        values = validate_like_training(self, X, dtype=FLOAT_DTYPES, ensure_all_finite="allow-nan")
        worms = worm_of_rows(X, worm)
        scaled = np.empty_like(values)
        for name in [None] if worms is None else pd.unique(worms):
            rows = slice(None) if worms is None else worms == name
            scaled[rows] = scale(values[rows], self._range_of(name, values[rows]))
        if not isinstance(X, pd.DataFrame):
            return scaled
        table = pd.DataFrame(scaled, index=X.index, columns=X.columns)
        table.attrs = dict(X.attrs)
        return table

    def fit_transform(self, X: Any, y: Any = None, *, worm: Any = None) -> Any:
        """Learn the ranges and scale the same frames; parameters as in :meth:`fit`."""
        return self.fit(X, y, worm=worm).transform(X, worm=worm)

    def _range_of(self, worm: Any, rows: np.ndarray) -> np.ndarray:
        if worm in self.worm_ranges_:
            return self.worm_ranges_[worm]
        if worm is None or self.unseen == "train":
            return self.range_
        return self._learn_range(rows, f"rows of the new worm {str(worm)!r}")

    def _learn_range(self, rows: np.ndarray, whose: str) -> np.ndarray:
        learned = range_of(rows)
        constant = np.flatnonzero(is_constant(learned))
        if len(constant):
            names = getattr(self, "feature_names_in_", [f"column {column}" for column in range(rows.shape[1])])
            raise ValueError(
                f"{names[constant[0]]!r} is constant over the {whose} (n_samples={len(rows)}), so it has no range to "
                "scale by; drop the column, pass more frames, or scale new worms with unseen='train'"
            )
        return learned

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def range_of(values: np.ndarray) -> np.ndarray:
    """Minimum and maximum of every column, shape (2, n_columns), NaN apart."""
    # fmin and fmax skip NaN and, unlike nanmin and nanmax, stay silent on columns of nothing else.
    return np.stack([np.fmin.reduce(values, axis=0), np.fmax.reduce(values, axis=0)])


def is_constant(low_and_high: np.ndarray) -> np.ndarray:
    """Tell which columns have no range but rounding errors."""
    low, high = low_and_high
    return high - low <= _CONSTANT_TO_ROUNDING * np.maximum(np.abs(low), np.abs(high))


def scale(values: np.ndarray, low_and_high: np.ndarray) -> np.ndarray:
    """Map the range of every column onto [0, 1]."""
    low, high = low_and_high
    return (values - low) / (high - low)


def check_choice(name: str, value: Any, choices: Iterable[str]) -> None:
    """Refuse a parameter value that is none of the choices."""
    if value not in (choices := tuple(choices)):
        raise ValueError(f"{name}={value!r} does not exist; choose one of {choices}")
