"""Frames before and after the one that is labelled, as further node features."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np

NO_CONTEXT = (0,)

# A recording whose time stamps jump by more than this many usual steps has lost frames there.
GAP_STEPS = 2.0


def check_context(context: Any) -> tuple[int, ...]:
    """Give the frames of a context as a tuple, after checking them."""
    frames = (context,) if isinstance(context, Integral) else tuple(context)
    if not frames or any(isinstance(frame, bool) or not isinstance(frame, Integral) for frame in frames):
        raise ValueError(
            f"context={context!r} must be whole numbers of frames from the labelled one, such as (-6, -3, 0, 3, 6)"
        )
    numbers = tuple(int(frame) for frame in frames)
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"context={context!r} names a frame more than once; name each one once")
    return numbers


def context_rows(time: np.ndarray, context: Sequence[int]) -> np.ndarray:
    """Find the rows of a recording that are the context of each of its frames.

    Beyond the ends of a recording, and beyond a gap in its time stamps, the last frame on this side stands in.

    Parameters
    ----------
    time : numpy.ndarray of shape (n_frames,)
        Seconds of every frame of one worm.
    context : sequence of int, length n_context
        Frames from the labelled one; negative is earlier.

    Returns
    -------
    numpy.ndarray of int, shape (n_frames, n_context)
        Rows.
    """
    rows, steps = np.arange(len(time)), np.diff(time)
    breaks = np.flatnonzero(steps > GAP_STEPS * np.median(steps)) + 1 if len(steps) else np.empty(0, dtype=int)
    edges = np.concatenate([[0], breaks, [len(time)]])
    stretch = np.searchsorted(edges, rows, side="right") - 1
    first, last = edges[stretch], edges[stretch + 1] - 1
    return np.clip(rows[:, np.newaxis] + np.asarray(context), first[:, np.newaxis], last[:, np.newaxis])
