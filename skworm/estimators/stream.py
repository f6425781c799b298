"""States of a worm while it is recorded, frame by frame."""

from __future__ import annotations

import math
import warnings
from bisect import insort
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from skworm.estimators.hidden_markov import HiddenMarkovStateClassifier, filter_frame
from skworm.estimators.manifold import AsymmetricDiffusionMap
from skworm.estimators.prediction import check_present, columns_of, readable_frames
from skworm.frames import NODE_FEATURES, WormMinMaxScaler, make_frames
from skworm.frames.features import DERIVATIVE_LOOKS_AHEAD, REACH, SMOOTH_SECONDS, is_constant, scale, slopes
from skworm.frames.index import UnnamedWormsWarning, is_same_rate, parse_context_feature_names, settings_for
from skworm.frames.resampling import GAP_STEPS
from skworm.parameters import check_choice
from skworm.recording import UNKNOWN, Recording, neuron_name

# Value of a feature whose range is not known yet: the middle of [0, 1].
_WITHOUT_RANGE = 0.5


class StateStream:
    """Read the state of a worm frame by frame, from raw dF/F, as a closed loop must.

    Every frame that is pushed becomes a row as :func:`skworm.frames.make_frames` makes it: the derivative that the
    estimator was trained with, scaled by ranges that are known by then, beside the earlier frames of its context.
    Nothing looks ahead. A frame that comes after a gap in time starts a new sequence: neither context nor filter
    crosses it.

    Parameters
    ----------
    estimator : fitted scikit-learn classifier
        Trained on a DataFrame of ``make_frames(..., derivative="causal", context=...)`` with no later frame in its
        context, so that it knows its columns. A :class:`skworm.HiddenMarkovStateClassifier` must have
        ``decoding="filtering"``, and is then filtered along with the frames.
    fps : float
        Frames a second.
    calibration : Recording, optional
        A recording of the same worm, with the same unit of dF/F, such as its first minutes: the range of each trace and
        derivative is that in this recording.
    scaling : {"running", "fixed"}, default="running"
        Whether ranges widen with the frames that are pushed, or stay those of `calibration`, as which they start in
        either case. Until a range is known, a feature stands in the middle of [0, 1]. Without effect on an estimator
        that was trained with ``fit_scope="train"``, whose own scaler has the ranges.
    neurons : sequence of str, optional
        Neurons of a pushed frame, in order; by default those of the estimator, in its order. The estimator ignores
        others, and one that takes NaN does without neurons that are not pushed.
    settings : mapping, optional
        ``X.attrs`` of the training frames, for an estimator that does not remember how they were made.

    Attributes
    ----------
    classes_ : ndarray of shape (n_states,)
        State names.
    neurons_ : list of str
        Neurons that the estimator reads.
    n_frames_ : int
        Frames pushed.
    state_ : str
        Most probable state of the last frame; ``"unknown"`` where no neuron had a value.
    ranges_ : ndarray of shape (2, n_neurons, n_signals)
        What becomes 0 and 1 of every neuron's trace and derivative, by the percentiles of training; NaN where not known
        yet.

    Raises
    ------
    ValueError
        If the estimator looks ahead, needs more rows than one or does not name its columns, or the calibration lacks a
        neuron.

    Examples
    --------
    >>> from skworm import MLPStateClassifier, StateStream
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> train, new = make_worms(n_worms=2, n_frames=400, random_state=0)
    >>> X, y = make_frames(train, states="2", derivative="causal", context=(-6, -3, 0))
    >>> mlp = MLPStateClassifier(max_epochs=50, learning_rate=1e-2, random_state=0).fit(X, y)
    >>> stream = StateStream(mlp, fps=new.fps, neurons=new.neurons)
    >>> for frame in new.traces[:20]:
    ...     probabilities = stream.push(frame)
    >>> probabilities.shape, stream.n_frames_
    ((2,), 20)
    >>> stream.state_ in stream.classes_
    True
    """

    def __init__(
        self,
        estimator: Any,
        *,
        fps: float,
        calibration: Recording | None = None,
        scaling: str = "running",
        neurons: Sequence[str] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        check_is_fitted(estimator)
        check_choice(("running", "fixed"), scaling=scaling)
        if not np.isfinite(fps) or fps <= 0:
            raise ValueError(f"fps={fps!r} must be a positive number of frames a second")
        if scaling == "fixed" and calibration is None:
            raise ValueError("scaling='fixed' has no range to scale by; pass calibration=, or scaling='running'")
        self.estimator = estimator
        self.fps = fps
        self.scaling = scaling
        self.classes_ = estimator.classes_
        self._name_columns(estimator)
        self._read_settings(settings_for(estimator, settings))
        self._takes_missing = get_tags(estimator).input_tags.allow_nan
        self._places = self._places_of(neurons)
        _check_reads_single_frames(estimator)
        seen = np.empty((0, len(self.neurons_) * len(self._signals)))
        if calibration is not None:
            seen = self._frames_of(calibration)
        # What has been seen of each column, sorted, so that a frame costs no more after an hour.
        self._seen = [np.sort(column[np.isfinite(column)]).tolist() for column in seen.T]
        self.ranges_ = self._ranges()
        self.n_frames_ = 0
        self.state_ = UNKNOWN
        self._last_time = -np.inf
        self._recent: deque[tuple[float, np.ndarray]] = deque()
        self._log_state: np.ndarray | None = None
        self._begin()

    def push(self, frame: Any, time: float | None = None) -> np.ndarray:
        """Take the next frame.

        Parameters
        ----------
        frame : array-like of shape (n_neurons,)
            dF/F of every neuron; NaN where it has no value, for an estimator that takes NaN.
        time : float, optional
            Seconds since the first frame; by default from `fps`.

        Returns
        -------
        ndarray of shape (n_states,)
            Probability of every state, in the order of ``classes_``; NaN where no neuron has a value.

        Raises
        ------
        ValueError
            If the frame has another shape or holds a value that cannot be used, or time does not increase.
        """
        trace = self._checked(frame)
        next_time = self._last_time + 1 / self.fps if self.n_frames_ else 0.0
        time = next_time if time is None else float(time)
        if not time > self._last_time:
            raise ValueError(f"time={time} is not after {self._last_time}, that of the frame before; it is in seconds")
        if time - self._last_time > GAP_STEPS / self.fps:
            self._begin()
        self._remember(trace, time)
        self.n_frames_ += 1
        probabilities = np.full(len(self.classes_), np.nan)
        row = self._row()[np.newaxis]
        if readable_frames(row, len(self.neurons_), self._takes_missing)[0]:
            probabilities = self._probabilities(pd.DataFrame(row, columns=self._columns))
        else:
            # What follows is a sequence of its own, as it is for the estimator.
            self._log_state = None
        self.state_ = UNKNOWN if np.isnan(probabilities).any() else str(self.classes_[probabilities.argmax()])
        return probabilities

    def _probabilities(self, row: pd.DataFrame) -> np.ndarray:
        # A stream is of a new worm, and one row is not enough to infer its graph.
        with warnings.catch_warnings(action="ignore", category=UnnamedWormsWarning):
            if not isinstance(self.estimator, HiddenMarkovStateClassifier):
                return np.asarray(self.estimator.predict_proba(row))[0]
            self._log_state = filter_frame(self.estimator, row, self._log_state)
        return np.exp(self._log_state)

    def _read_settings(self, settings: Mapping[str, Any]) -> None:
        self._derivative = settings["derivative"] or "backward"
        if DERIVATIVE_LOOKS_AHEAD[self._derivative]:
            raise ValueError(
                f"the estimator was trained with derivative={self._derivative!r}, which looks at later frames; train "
                "it with make_frames(..., derivative='causal')"
            )
        if settings.get("detrend") is not None:
            raise ValueError(
                "the estimator was trained on detrended frames, whose baseline looks at later ones; train it with "
                "make_frames(..., detrend=None)"
            )
        self._width = settings.get("derivative_width") or SMOOTH_SECONDS
        self._percentiles = settings.get("percentiles") or (0, 100)
        self._scales = settings.get("fit_scope") != "train"
        trained = settings.get("fps")
        if trained is not None and not is_same_rate(self.fps, trained):
            warnings.warn(
                f"the estimator was trained on {trained:.3g} frames a second, and the stream has fps={self.fps:.3g}; "
                f"train it on make_frames(..., resample_to={self.fps:.3g})",
                UserWarning,
                stacklevel=3,
            )

    def _name_columns(self, estimator: Any) -> None:
        self.neurons_, node_features = columns_of(estimator)
        self._columns = estimator.feature_names_in_
        measured, shifts = parse_context_feature_names(node_features)
        strange = sorted(set(measured) - set(NODE_FEATURES))
        if strange:
            raise ValueError(f"the node features {strange} cannot be made of dF/F; a stream makes {NODE_FEATURES}")
        if max(shifts) > 0:
            raise ValueError(
                f"the estimator was trained with frames up to {max(shifts)} after the one that it labels, which are "
                "not known yet when a worm is recorded; train it with make_frames(..., context=(-12, -6, -3, 0))"
            )
        self._signals = [name for name in NODE_FEATURES if name in measured]
        self._which = np.array([self._signals.index(name) for name in measured])
        self._shifts = np.array(shifts)

    def _places_of(self, neurons: Sequence[str] | None) -> np.ndarray:
        self._n_pushed = len(self.neurons_ if neurons is None else neurons)
        if neurons is None:
            return np.arange(self._n_pushed)
        names = [neuron_name(name) for name in neurons]
        check_present("neurons", names, self.neurons_, self._takes_missing)
        # The last place of a frame, beyond what is pushed, holds NaN.
        return np.array([names.index(name) if name in names else self._n_pushed for name in self.neurons_])

    def _frames_of(self, calibration: Recording) -> np.ndarray:
        frames, _ = make_frames(
            calibration,
            neurons=self.neurons_,
            states=None,
            derivative=self._derivative,
            derivative_width=self._width,
            fit_scope="train",
            missing="nan" if self._takes_missing else "raise",
            node_features=self._signals,
        )
        return frames.to_numpy()

    def _ranges(self) -> np.ndarray:
        ranges = np.full((2, len(self._seen)), np.nan)
        for number, column in enumerate(self._seen):
            for row, percentile in enumerate(self._percentiles if column else ()):
                # As NumPy's percentiles lie between two of the sorted values.
                place = percentile / 100 * (len(column) - 1)
                below, above = column[math.floor(place)], column[math.ceil(place)]
                ranges[row, number] = below + (above - below) * (place % 1)
        return ranges.reshape(2, len(self.neurons_), -1)

    def _begin(self) -> None:
        """Forget what came before a gap, but not the ranges."""
        self._past: deque[np.ndarray] = deque(maxlen=1 - int(self._shifts.min()))
        self._log_state = None

    def _checked(self, frame: Any) -> np.ndarray:
        values = np.asarray(frame, dtype=float)
        if values.shape != (self._n_pushed,):
            raise ValueError(
                f"the frame has shape {values.shape}; push dF/F of {self._n_pushed} neurons, one value each"
            )
        trace = np.append(values, np.nan)[self._places]
        unusable = np.isinf(trace) if self._takes_missing else ~np.isfinite(trace)
        if unusable.any():
            neuron = self.neurons_[int(np.flatnonzero(unusable)[0])]
            raise ValueError(f"neuron {neuron!r} is not finite in frame {self.n_frames_}; push the last value that was")
        return trace

    def _remember(self, trace: np.ndarray, time: float) -> None:
        self._recent.append((time, trace))
        while len(self._recent) > 2 and self._recent[0][0] < time - REACH * self._width:
            self._recent.popleft()
        times, traces = (np.array(values) for values in zip(*self._recent, strict=True))
        if self._derivative == "causal":
            derivative = slopes(traces, times, self._width, causal=True)[-1]
        else:
            derivative = np.zeros_like(trace) if len(times) < 2 else (traces[-1] - traces[-2]) / (times[-1] - times[-2])
        measured = {"trace": trace, "derivative": derivative}
        values = np.stack([measured[name] for name in self._signals], axis=1)
        if self.scaling == "running":
            for column, value in zip(self._seen, values.ravel().tolist(), strict=True):
                if np.isfinite(value):
                    insort(column, value)
            self.ranges_ = self._ranges()
        self._past.append(values)
        self._last_time = time

    def _row(self) -> np.ndarray:
        scaled = past = np.stack(self._past)
        if self._scales:
            scaled = scale(past, self.ranges_, clip=tuple(self._percentiles) != (0, 100))
            scaled = np.where(is_constant(self.ranges_) & np.isfinite(past), _WITHOUT_RANGE, scaled)
        # Before the first frame of a sequence that frame is repeated.
        frames = np.maximum(len(scaled) - 1 + self._shifts, 0)
        return scaled[frames, :, self._which].T.ravel()


def _check_reads_single_frames(estimator: Any) -> None:
    for part in estimator.get_params(deep=True).values():
        if isinstance(part, HiddenMarkovStateClassifier):
            problem = "read each frame of a stream as a sequence of its own"
            remedy = "put the hidden Markov model outermost, around all else"
        elif isinstance(part, AsymmetricDiffusionMap):
            problem, remedy = "need the frames before and after each one", "train an estimator on the frames themselves"
        elif isinstance(part, WormMinMaxScaler) and part.unseen == "own":
            problem = "scale each frame of a stream by its own range"
            remedy = "train with WormMinMaxScaler(unseen='train'), or on frames that make_frames has scaled"
        else:
            continue
        raise ValueError(f"the {type(estimator).__name__} holds a {type(part).__name__}, and would {problem}; {remedy}")
    if not hasattr(estimator, "predict_proba"):
        raise TypeError(f"{type(estimator).__name__} gives no probabilities (predict_proba), which a stream returns")
    if isinstance(estimator, HiddenMarkovStateClassifier) and estimator.decoding != "filtering":
        raise ValueError(
            f"decoding={estimator.decoding!r} looks at later frames; call set_params(decoding='filtering') first"
        )
