"""States of a worm while it is recorded, frame by frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from skworm.estimators.hidden_markov import HiddenMarkovStateClassifier, filter_step
from skworm.frames import NODE_FEATURES, make_frames
from skworm.frames.index import parse_column_names, parse_context_feature_names
from skworm.frames.scaling import check_choice, is_constant, range_of
from skworm.frames.table import GAP_STEPS
from skworm.recording import Recording, neuron_name

# Where a feature stands whose range is not known yet: in the middle of [0, 1].
_WITHOUT_RANGE = 0.5


class StateStream:
    """Read the state of a worm frame by frame, from raw dF/F, as a closed loop must.

    Every frame that is pushed becomes a row as :func:`skworm.frames.make_frames` makes it with
    ``derivative="backward"``: derivative from the frame before, scaled by ranges that are known by then, beside the
    earlier frames of the context that the estimator was trained with. Nothing looks ahead. A frame that comes after a
    gap in time starts a new sequence: neither context nor filter crosses it.

    Parameters
    ----------
    estimator : fitted scikit-learn classifier
        Trained on a DataFrame of ``make_frames(..., derivative="backward", context=...)`` with no later frame in its
        context, so that it knows its columns. A :class:`skworm.HiddenMarkovStateClassifier` must have
        ``decoding="filtering"``, and is then filtered along with the frames.
    fps : float
        Frames a second.
    calibration : Recording, optional
        A recording of the same worm, with the same unit of dF/F, such as its first minutes: the range of each trace and
        derivative is that in this recording.
    scaling : {"running", "fixed"}, default="running"
        Whether ranges widen with the frames that are pushed, or stay those of `calibration`, as which they start in
        either case. Until a range is known, a feature stands in the middle of [0, 1].
    neurons : sequence of str, optional
        Neurons of a pushed frame, in order; by default those of the estimator, in its order. Others are left out.

    Attributes
    ----------
    classes_ : ndarray of shape (n_states,)
        State names.
    neurons_ : list of str
        Neurons that the estimator reads.
    n_frames_ : int
        Frames pushed.
    ranges_ : ndarray of shape (2, n_neurons, n_signals)
        Minimum and maximum of every neuron's trace and derivative, by which they are scaled; NaN where not known yet.

    Raises
    ------
    ValueError
        If the estimator looks ahead or does not name its columns, or the calibration lacks a neuron.

    Examples
    --------
    >>> from skworm import MLPStateClassifier, StateStream
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> train, new = make_worms(n_worms=2, n_frames=400, random_state=0)
    >>> X, y = make_frames(train, states="2", derivative="backward", context=(-6, -3, 0))
    >>> mlp = MLPStateClassifier(max_epochs=50, learning_rate=1e-2, random_state=0).fit(X, y)
    >>> stream = StateStream(mlp, fps=new.fps, neurons=new.neurons)
    >>> for frame in new.traces[:20]:
    ...     probabilities = stream.push(frame)
    >>> probabilities.shape, stream.n_frames_
    ((2,), 20)
    """

    def __init__(
        self,
        estimator: Any,
        *,
        fps: float,
        calibration: Recording | None = None,
        scaling: str = "running",
        neurons: Sequence[str] | None = None,
    ) -> None:
        check_is_fitted(estimator)
        check_choice("scaling", scaling, ("running", "fixed"))
        if not np.isfinite(fps) or fps <= 0:
            raise ValueError(f"fps={fps!r} must be a positive number of frames a second")
        if scaling == "fixed" and calibration is None:
            raise ValueError("scaling='fixed' has no range to scale by; pass calibration=, or scaling='running'")
        self.estimator = estimator
        self.fps = fps
        self.scaling = scaling
        self.classes_ = estimator.classes_
        self._name_columns(estimator)
        self._places = self._places_of(neurons)
        self._filter = _filter_of(estimator)
        self.ranges_ = np.full((2, len(self.neurons_), len(self._signals)), np.nan)
        if calibration is not None:
            self.ranges_ = self._ranges_in(calibration)
        self.n_frames_ = 0
        self._last_time = -np.inf
        self._last_trace: np.ndarray | None = None
        self._log_state: np.ndarray | None = None
        self._begin()

    def push(self, frame: Any, time: float | None = None) -> np.ndarray:
        """Take the next frame.

        Parameters
        ----------
        frame : array-like of shape (n_neurons,)
            dF/F of every neuron.
        time : float, optional
            Seconds since the first frame; by default from `fps`.

        Returns
        -------
        ndarray of shape (n_states,)
            Probability of every state, in the order of ``classes_``.

        Raises
        ------
        ValueError
            If the frame has another shape or holds a value that is not finite, or time does not increase.
        """
        trace = self._checked(frame)
        time = self._next_time() if time is None else float(time)
        if not time > self._last_time:
            raise ValueError(f"time={time} is not after {self._last_time}, that of the frame before; it is in seconds")
        if time - self._last_time > GAP_STEPS / self.fps:
            self._begin()
        self._remember(trace, time)
        self.n_frames_ += 1
        row = pd.DataFrame([self._row()], columns=self._columns)
        if self._filter is None:
            return np.asarray(self.estimator.predict_proba(row))[0]
        self._log_state = filter_step(self._log_state, self.estimator.log_emission(row)[0], *self._filter)
        return np.exp(self._log_state)

    def _name_columns(self, estimator: Any) -> None:
        self._columns = getattr(estimator, "feature_names_in_", None)
        parsed = None if self._columns is None else parse_column_names(self._columns)
        if parsed is None:
            raise ValueError(
                f"{type(estimator).__name__} does not know its columns by names such as 'AVAL:trace'; fit it on the "
                "DataFrame of make_frames"
            )
        self.neurons_, node_features = parsed
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
        lacking = [name for name in self.neurons_ if name not in names]
        if lacking:
            raise ValueError(f"neurons lacks {lacking}, which the estimator reads; record them, or train without them")
        return np.array([names.index(name) for name in self.neurons_])

    def _ranges_in(self, calibration: Recording) -> np.ndarray:
        frames, _ = make_frames(
            calibration,
            neurons=self.neurons_,
            states=None,
            derivative="backward",
            fit_scope="train",
            node_features=self._signals,
        )
        return range_of(frames.to_numpy()).reshape(2, len(self.neurons_), len(self._signals))

    def _begin(self) -> None:
        """Forget what came before a gap, but not the ranges."""
        self._past: deque[np.ndarray] = deque(maxlen=1 - int(self._shifts.min()))
        self._log_state = None

    def _next_time(self) -> float:
        return 0.0 if self.n_frames_ == 0 else self._last_time + 1 / self.fps

    def _checked(self, frame: Any) -> np.ndarray:
        values = np.asarray(frame, dtype=float)
        if values.shape != (self._n_pushed,):
            raise ValueError(
                f"the frame has shape {values.shape}; push dF/F of {self._n_pushed} neurons, one value each"
            )
        trace = values[self._places]
        if not np.isfinite(trace).all():
            neuron = self.neurons_[int(np.flatnonzero(~np.isfinite(trace))[0])]
            raise ValueError(f"neuron {neuron!r} is not finite in frame {self.n_frames_}; push the last value that was")
        return trace

    def _remember(self, trace: np.ndarray, time: float) -> None:
        derivative = np.zeros_like(trace)
        if self._last_trace is not None:
            derivative = (trace - self._last_trace) / (time - self._last_time)
        measured = {"trace": trace, "derivative": derivative}
        values = np.stack([measured[name] for name in self._signals], axis=1)
        if self.scaling == "running":
            self.ranges_ = range_of(np.concatenate([self.ranges_, values[np.newaxis]]))
        self._past.append(values)
        self._last_trace, self._last_time = trace, time

    def _row(self) -> np.ndarray:
        low, high = self.ranges_
        unknown = is_constant(self.ranges_)
        scaled = (np.stack(self._past) - low) / np.where(unknown, 1.0, high - low)
        scaled[:, unknown] = _WITHOUT_RANGE
        # Before the first frame of a sequence that frame is repeated.
        frames = np.maximum(len(scaled) - 1 + self._shifts, 0)
        return scaled[frames, :, self._which].T.ravel()


def _filter_of(estimator: Any) -> tuple[np.ndarray, np.ndarray] | None:
    if not isinstance(estimator, HiddenMarkovStateClassifier):
        if not hasattr(estimator, "predict_proba"):
            raise TypeError(
                f"{type(estimator).__name__} gives no probabilities (predict_proba), which a stream returns"
            )
        return None
    if estimator.decoding != "filtering":
        raise ValueError(
            f"decoding={estimator.decoding!r} looks at later frames; call set_params(decoding='filtering') first"
        )
    return estimator.log_chain()
