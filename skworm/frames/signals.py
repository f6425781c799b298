"""Continuous behaviour for a table of frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from skworm.frames.table import list_recordings
from skworm.layout import FRAME_LEVEL, WORM_LEVEL
from skworm.recording import Recording


def make_behavior(
    recordings: Recording | Iterable[Recording], X: pd.DataFrame, signal: str | Sequence[str] = "velocity"
) -> Any:
    """Look up continuous behaviour for every row of a table of frames.

    Parameters
    ----------
    recordings : Recording or iterable of Recording
        The worms that the frames were made of; further worms are ignored.
    X : pandas.DataFrame of shape (n_frames, n_columns)
        Frames of :func:`make_frames`, whole or in part. ``make_frames(..., states=None)`` keeps frames without a state,
        which may well have a velocity.
    signal : str or sequence of str, default="velocity"
        Name of the signal in ``behavior`` of the recordings, or names of several.

    Returns
    -------
    pandas.Series of shape (n_frames,), or pandas.DataFrame of shape (n_frames, n_signals)
        The signal in its own unit, named after it, or one column for each name of a sequence; with the index of `X`.
        NaN where the recording has NaN: such frames are neither trained on nor scored.

    Raises
    ------
    ValueError
        If `X` does not tell worm and frame, has a worm or a frame that `recordings` lack, or a worm lacks a signal.
    TypeError
        If something other than a recording is passed.

    Examples
    --------
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_behavior, make_frames
    >>> worms = make_worms(2, n_frames=300, random_state=0)
    >>> X, _ = make_frames(worms, states=None)
    >>> velocity = make_behavior(worms, X)
    >>> velocity.name, velocity.index.equals(X.index)
    ('velocity', True)
    >>> make_behavior(worms, X, ["velocity"]).shape
    (600, 1)
    """
    by_name = {worm.worm: worm for worm in list_recordings(recordings)}
    signals = [signal] if isinstance(signal, str) else [str(name) for name in signal]
    if not signals or len(set(signals)) < len(signals):
        raise ValueError(f"signal={signal!r} must be one name, or several, each once, such as 'velocity'")
    if not isinstance(X, pd.DataFrame) or not {WORM_LEVEL, FRAME_LEVEL} <= set(X.index.names):
        raise ValueError("X does not tell worm and frame by index levels of these names; make it with make_frames")
    worm, frame = (np.asarray(X.index.get_level_values(level)) for level in (WORM_LEVEL, FRAME_LEVEL))
    present = [str(name) for name in pd.unique(worm)]
    absent = [name for name in present if name not in by_name]
    if absent:
        raise ValueError(f"X has frames of worms {absent}, which are not among recordings {sorted(by_name)}; add them")
    _check_signals([by_name[name] for name in present], signals)
    _check_rates([by_name[name] for name in present], X)
    values = np.full((len(X), len(signals)), np.nan)
    for name in present:
        rows = worm == name
        values[rows] = _values(by_name[name], signals, frame[rows])
    table = pd.DataFrame(values, index=X.index, columns=signals)
    return table[signal] if isinstance(signal, str) else table


def _check_rates(worms: list[Recording], X: pd.DataFrame) -> None:
    rates = X.attrs.get("fps", {})
    for worm in worms:
        rate = rates.get(worm.worm, worm.fps) if isinstance(rates, Mapping) else worm.fps
        if not np.isclose(rate, worm.fps):
            raise ValueError(
                f"X has {rate:.3g} frames a second of worm {worm.worm!r}, and its recording {worm.fps:.3g}; pass the "
                "recordings that X was made of, after skworm.frames.resample"
            )


def _check_signals(worms: list[Recording], signals: list[str]) -> None:
    lacking = [(worm, lacks) for worm in worms if (lacks := [name for name in signals if name not in worm.behavior])]
    if not lacking:
        return
    listing = "; ".join(f"worm {worm.worm!r} has no {', '.join(map(repr, lacks))}" for worm, lacks in lacking)
    known = sorted({name for worm in worms for name in worm.behavior})
    raise ValueError(
        f"{listing}: leave these worms out, choose among the signals that recordings have, {known}, or add one with "
        "dataclasses.replace(recording, behavior={'velocity': values})"
    )


def _values(worm: Recording, signals: list[str], frames: np.ndarray) -> np.ndarray:
    beyond = frames[(frames < 0) | (frames >= worm.n_frames)]
    if len(beyond):
        raise ValueError(
            f"X has frame {beyond[0]} of worm {worm.worm!r}, whose recording has {worm.n_frames} frames; pass the "
            "recordings that X was made of"
        )
    return np.stack([worm.behavior[name][frames] for name in signals], axis=1)
