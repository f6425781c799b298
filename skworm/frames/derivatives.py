"""Time derivatives of traces."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from skworm.recording import Recording

DERIVATIVE_LOOKS_AHEAD: Mapping[str, bool] = MappingProxyType(
    {"smooth": True, "causal": False, "file": True, "central": True, "backward": False}
)
"""Whether the derivative at a frame may depend on later frames, by method."""

SMOOTH_SECONDS = 1.3
"""Default width of smooth derivatives."""

# Frames farther away than so many widths weigh less than one in three thousand.
REACH = 4.0


def slopes(values: np.ndarray, time: np.ndarray, width: float, *, causal: bool = False) -> np.ndarray:
    """Return the slope at each frame, (n_frames, n_columns), of the line that fits the frames around it best.

    Frames weigh by a normal density of their distance in time, `width` seconds wide, so that inside a recording of even
    steps this is the derivative of a Gaussian. Unlike a filter, it follows the time stamps, skips NaN, and has nothing
    to make up at the ends and at gaps. It is 0 where no other frame is near enough.
    """
    n_frames = len(values)
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    # As many frames as there are within reach of any.
    reach = int((np.arange(n_frames) - np.searchsorted(time, time - REACH * width)).max())
    total, by_time, by_time_squared, by_value, by_both = np.zeros((5, *values.shape))
    for shift in range(-reach, 1 if causal else reach + 1):
        own = slice(max(0, -shift), n_frames - max(0, shift))
        other = slice(max(0, shift), n_frames + min(0, shift))
        apart = time[other] - time[own]
        weight = np.exp(-0.5 * (apart / width) ** 2) * (np.abs(apart) <= REACH * width)
        weights = weight[:, np.newaxis] * known[other]
        apart = apart[:, np.newaxis]
        total[own] += weights
        by_time[own] += weights * apart
        by_time_squared[own] += weights * apart**2
        by_value[own] += weights * filled[other]
        by_both[own] += weights * apart * filled[other]
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
