"""Stretches of frames that follow each other, and the bouts of a state within them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from skworm.layout import frame_of_rows, worm_of_rows
from skworm.states import UNKNOWN


class Bouts(NamedTuple):
    """Bouts in order of time, as half-open ranges of rows.

    Parameters
    ----------
    start, stop : numpy.ndarray of int, shape (n_bouts,)
        First row, and the row after the last.
    state : numpy.ndarray of str, shape (n_bouts,)
        State of each bout.
    opens, closes : numpy.ndarray of bool, shape (n_bouts,)
        Whether a bout is the first, or the last, of its stretch, so that its onset, or its end, was not seen.
    stretch : numpy.ndarray, shape (n_bouts,)
        Stretch that each bout lies in.
    """

    start: np.ndarray
    stop: np.ndarray
    state: np.ndarray
    opens: np.ndarray
    closes: np.ndarray
    stretch: np.ndarray

    @property
    def n_frames(self) -> np.ndarray:
        """Length of each bout in frames."""
        return self.stop - self.start

    @property
    def known(self) -> Bouts:
        """The bouts of every state but ``"unknown"``."""
        kept = self.state != UNKNOWN
        return Bouts(*(values[kept] for values in self))


def bouts_of(states: np.ndarray, stretch: np.ndarray) -> Bouts:
    """Cut frames, in order of time, where the state or the stretch changes."""
    new_stretch = np.append(True, stretch[1:] != stretch[:-1])[: len(states)]
    new_state = np.append(True, states[1:] != states[:-1])[: len(states)]
    start = np.flatnonzero(new_stretch | new_state)
    stop, opens = np.append(start[1:], len(states)), new_stretch[start]
    closes = np.append(opens[1:], True)[: len(start)]
    return Bouts(start, stop[: len(start)], states[start], opens, closes, stretch[start])


def table_of_frames(states: Any, worm: Any, frame: Any, **others: Any) -> pd.DataFrame:
    """Put the frames whose state is known in order of worm and frame, and number their stretches.

    Parameters
    ----------
    states : Series or array-like of str, shape (n_frames,)
        States; a Series may carry the index levels ``"worm"`` and ``"frame"``.
    worm : array-like of shape (n_frames,) or None
        Worm of each row, where the index does not say it.
    frame : array-like of int, shape (n_frames,), or None
        Frame number of each row; else the index level, else the row order within each worm.
    **others : array-like of str, shape (n_frames,)
        Further columns.

    Returns
    -------
    pandas.DataFrame
        Columns ``worm``, ``frame``, ``state``, those of `others`, and ``stretch``, which counts runs of consecutive
        known frames of one worm.

    Raises
    ------
    ValueError
        If worms are missing, shapes do not fit, or a frame of a worm comes twice.
    """
    values = np.asarray(states, dtype=str)
    if values.ndim != 1:
        raise ValueError(f"states have shape {values.shape}; pass one state a frame, (n_frames,)")
    worms = worm_of_rows(states, worm)
    if worms is None:
        raise ValueError(
            "nothing says to which worm a row belongs, and no bout runs from one worm into the next; pass worm=, or a "
            "Series with the index level 'worm', as make_frames returns it"
        )
    frames = frame_of_rows(states, worms) if frame is None else np.asarray(frame)
    table = pd.DataFrame({"worm": worms, "frame": frames, "state": values, **others})
    repeated = np.flatnonzero(table.duplicated(["worm", "frame"]))
    if len(repeated):
        row = int(repeated[0])
        name, number = str(table["worm"].iloc[row]), table["frame"].iloc[row]
        raise ValueError(
            f"worm {name!r} has frame {number} more than once (row {row}); give each recording its own worm name, or "
            "drop repeated rows"
        )
    table = table.sort_values(["worm", "frame"], ignore_index=True)
    table = table[table["state"] != UNKNOWN].reset_index(drop=True)
    breaks = (table["frame"].diff() != 1) | (table["worm"] != table["worm"].shift())
    return table.assign(stretch=breaks.cumsum())


def pairs_of_bouts(y_true: Any, y_pred: Any, worm: Any, frame: Any) -> Iterator[tuple[Any, Bouts, Bouts]]:
    """Yield each worm with its true and its predicted bouts, both cut where the true states have a gap."""
    if np.shape(y_true) != np.shape(y_pred):
        raise ValueError(
            f"y_true has shape {np.shape(y_true)} and y_pred {np.shape(y_pred)}; pass one state a frame, (n_frames,), "
            "in both"
        )
    both_labelled = isinstance(y_true, pd.Series) and isinstance(y_pred, pd.Series)
    if both_labelled and not y_true.index.equals(y_pred.index):
        raise ValueError("y_true and y_pred have different indices; align them with y_pred.loc[y_true.index]")
    table = table_of_frames(y_true, worm, frame, predicted=np.asarray(y_pred, dtype=str))
    for name, rows in table.groupby("worm", sort=True):
        stretch = rows["stretch"].to_numpy()
        true, predicted = (rows[column].to_numpy(dtype=str) for column in ("state", "predicted"))
        yield name, bouts_of(true, stretch).known, bouts_of(predicted, stretch)


def frames_a_second(fps: float | Mapping[Any, float], worm: Any) -> float:
    """Tell the frame rate of a worm, from one rate for all or from a mapping."""
    if isinstance(fps, Mapping) and worm not in fps:
        raise ValueError(f"fps names no rate for worm {str(worm)!r}; add it, or pass one number for all worms")
    rate = fps[worm] if isinstance(fps, Mapping) else fps
    if not isinstance(rate, Real) or not 0 < float(rate) < np.inf:
        raise ValueError(f"fps={rate!r} must be a number of frames a second, above 0")
    return float(rate)
