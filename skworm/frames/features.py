"""Node features of each worm: derivatives of traces, and scaling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from numbers import Real
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import FLOAT_DTYPES, check_is_fitted, validate_data

from skworm.frames.index import frame_settings, match_neurons, validate_like_training, warn_unnamed, worm_of_rows
from skworm.parameters import DocumentedEstimator
from skworm.recording import Recording

DERIVATIVE_LOOKS_AHEAD: Mapping[str, bool] = MappingProxyType(
    {"smooth": True, "causal": False, "file": True, "central": True, "backward": False}
)
"""Whether the derivative at a frame may depend on later frames, by method."""

SMOOTH_SECONDS = 1.3
"""Default width of smooth derivatives."""

# Frames farther away than so many widths weigh less than one in three thousand; a little more than 4, so that
# rounding of time stamps does not decide.
REACH = 4.0 + 1e-6


def slopes(values: np.ndarray, time: np.ndarray, width: float, *, causal: bool = False) -> np.ndarray:
    """Return the slope at each frame, (n_frames, n_columns), of the line that fits the frames around it best.

    Frames weigh by a normal density of their distance in time, `width` seconds wide, so that inside a recording of even
    steps this is the derivative of a Gaussian. Unlike a filter, it follows the time stamps, skips NaN, and invents
    no values at the ends and at gaps. It is 0 where no other frame is near enough.
    """
    n_frames = len(values)
    known = np.isfinite(values)
    reach = REACH * width
    first = np.searchsorted(time, time - reach)
    n_others = (np.arange(1, n_frames + 1) if causal else np.searchsorted(time, time + reach)) - first
    ends = np.append(0, np.cumsum(n_others))
    others = np.arange(ends[-1]) + np.repeat(first - ends[:-1], n_others)
    apart = time[others] - np.repeat(time, n_others)
    weights = np.exp(-0.5 * (apart / width) ** 2)

    def weigh(power: int, table: np.ndarray) -> np.ndarray:
        return csr_array((weights * apart**power, others, ends), shape=(n_frames, n_frames)) @ table

    # Traces that lack the same frames share what depends on time alone.
    masks, mask_of = np.unique(known, axis=1, return_inverse=True)
    total, by_time, by_time_squared = (weigh(power, masks.astype(float))[:, mask_of] for power in range(3))
    by_value, by_both = (weigh(power, np.where(known, values, 0.0)) for power in range(2))
    spread = total * by_time_squared - by_time**2
    enough = spread > 1e-12 * np.maximum(total, 1e-300) * width**2
    slope = np.divide(total * by_both - by_time * by_value, spread, out=np.zeros_like(spread), where=enough)
    return np.where(known, slope, np.nan)


def differentiate(recording: Recording, columns: list[int], method: str, width: float) -> np.ndarray:
    """Return the derivative of some traces, dF/F a second, by one of :data:`DERIVATIVE_LOOKS_AHEAD`."""
    if method == "file" and recording.derivatives is not None:
        return recording.derivatives[:, columns]
    trace, time = recording.traces[:, columns], recording.time
    if method == "backward":
        return np.diff(trace, axis=0, prepend=trace[:1]) / np.diff(time, prepend=time[0] - 1)[:, np.newaxis]
    if method == "central":
        return np.gradient(trace, time, axis=0)
    return slopes(trace, time, width, causal=method == "causal")


_CONSTANT_TO_ROUNDING = 1e-12
ROBUST = (1.0, 99.0)
"""Percentiles that a few frames of movement do not shift."""


class WormMinMaxScaler(OneToOneFeatureMixin, TransformerMixin, DocumentedEstimator):
    """Scale every column to [0, 1], worm by worm, with ranges learned on training rows only.

    The counterpart of ``make_frames(..., fit_scope="train")`` in a pipeline. A constant column becomes 0. NaN is
    ignored when ranges are learned, and kept.

    Parameters
    ----------
    percentiles : (float, float), default=(1, 99)
        Percentiles of the training rows that become 0 and 1; what lies beyond is clipped. With ``(0, 100)``, the whole
        range, later rows may fall outside [0, 1], and are not clipped.
    unseen : {"train", "own"}, default="train"
        How rows of a worm that was not in training are scaled: by the range of all training rows, so that each row
        stands by itself; or by the range of that worm's own rows in the same call, which is transductive in inputs
        (never in labels) and wants the whole worm at once.

    Attributes
    ----------
    range_ : numpy.ndarray of shape (2, n_columns)
        Minimum and maximum over all training rows; scales rows of which the worm is not known.
    worm_ranges_ : dict of worm to numpy.ndarray of shape (2, n_columns)
        Those of each training worm; empty where the worms are not known.

    Examples
    --------
    >>> import numpy as np
    >>> from skworm.frames import WormMinMaxScaler
    >>> X = np.array([[0.0], [2.0], [10.0], [30.0]])
    >>> WormMinMaxScaler().fit_transform(X, worm=["a", "a", "b", "b"]).ravel()
    array([0., 1., 0., 1.])
    >>> WormMinMaxScaler((0, 100)).fit_transform(X).ravel()
    array([0.        , 0.06666667, 0.33333333, 1.        ])
    """

    percentiles: Annotated[tuple[float, float], "array-like"] = field(default=(1, 99), kw_only=False)
    unseen: Literal["train", "own"] = field(default="train", kw_only=False)

    _words: ClassVar[dict[str, str]] = {
        "about_X": 'Frames; a DataFrame may carry the worm as the index level ``"worm"``.',
        "y": "ignored",
    }

    def fit(self, X: Any, y: Any = None, *, worm: Any = None) -> WormMinMaxScaler:
        """Learn the range of every column, for each worm and over all rows."""
        check_percentiles(self.percentiles)
        self._validate_params()
        values = validate_data(self, X, dtype=FLOAT_DTYPES, ensure_all_finite="allow-nan")
        self.frame_settings_ = frame_settings(X)
        worms = worm_of_rows(X, worm)
        self.range_ = range_of(values, self.percentiles)
        names: Iterable[Any] = [] if worms is None else pd.unique(worms)
        self.worm_ranges_ = {name: range_of(values[worms == name], self.percentiles) for name in names}
        return self

    def transform(self, X: Any, *, worm: Any = None) -> Any:
        """Scale frames.

        Parameters
        ----------
        X, worm
            As in :meth:`fit`. Neurons are matched by name: those that `X` lacks become NaN, others are left out.

        Returns
        -------
        DataFrame or numpy.ndarray of shape (n_frames, n_columns)
            Scaled frames; a DataFrame where `X` is one, with its index and attrs, and the columns of training.
        """
        check_is_fitted(self)
        X = match_neurons(X, getattr(self, "feature_names_in_", None))
        values = validate_like_training(self, X, dtype=FLOAT_DTYPES, ensure_all_finite="allow-nan")
        worms = worm_of_rows(X, worm)
        if worms is None and self.worm_ranges_:
            warn_unnamed(self, "has a range for each worm")
        clip = tuple(self.percentiles) != (0, 100)
        scaled = scale(values, self.range_, clip=clip)
        for name in [] if worms is None else pd.unique(worms):
            rows = worms == name
            ranges = self.worm_ranges_.get(name, self.range_)
            # A neuron that the worm lacked in training has the range of the others.
            ranges = np.where(np.isnan(ranges), self.range_, ranges)
            if self.unseen == "own" and name not in self.worm_ranges_:
                ranges = range_of(values[rows], self.percentiles)
            scaled[rows] = scale(values[rows], ranges, clip=clip)
        if not isinstance(X, pd.DataFrame):
            return scaled
        table = pd.DataFrame(scaled, index=X.index, columns=X.columns)
        table.attrs = dict(X.attrs)
        return table

    def fit_transform(self, X: Any, y: Any = None, *, worm: Any = None) -> Any:
        """Learn the ranges and scale the same frames; parameters as in :meth:`fit`."""
        return self.fit(X, y, worm=worm).transform(X, worm=worm)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def range_of(values: np.ndarray, percentiles: tuple[float, float] = (0, 100)) -> np.ndarray:
    """Return two percentiles of every column, shape (2, n_columns), NaN apart."""
    known = np.isfinite(values).any(axis=0)
    ranges = np.full((2, values.shape[1]), np.nan, dtype=values.dtype)
    ranges[:, known] = np.nanpercentile(values[:, known], percentiles, axis=0)
    return ranges


def is_constant(low_and_high: np.ndarray) -> np.ndarray:
    """Return which columns have no range but rounding errors."""
    low, high = low_and_high
    return high - low <= _CONSTANT_TO_ROUNDING * np.maximum(np.abs(low), np.abs(high))


def scale(values: np.ndarray, low_and_high: np.ndarray, *, clip: bool = True) -> np.ndarray:
    """Map the range of every column onto [0, 1], and what is constant to 0."""
    low, high = low_and_high
    flat = is_constant(low_and_high)
    scaled = (values - low) / np.where(flat, 1.0, high - low)
    scaled = np.where(flat & np.isfinite(values), 0.0, scaled).astype(values.dtype)
    return np.clip(scaled, 0.0, 1.0) if clip else scaled


def check_percentiles(percentiles: Any) -> tuple[float, float]:
    """Return percentiles as two numbers, after checking them."""
    try:
        low, high = (float(value) for value in percentiles)
    except (TypeError, ValueError):
        low = high = np.nan
    if not 0 <= low < high <= 100:
        raise ValueError(f"percentiles={percentiles!r} must be two numbers from 0 to 100, such as (1, 99)")
    return low, high


def check_positive(name: str, value: Any, unit: str) -> float:
    """Return a parameter as a number, which has to be positive."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < np.inf:
        raise ValueError(f"{name}={value!r} must be a positive number of {unit}")
    return float(value)
