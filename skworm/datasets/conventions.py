"""What the readers of all file formats share: state names and the frame rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from skworm.states import STATES, UNKNOWN

_NAMES_IN_FILES = {name: name for name in STATES} | {
    "fwd": "forward",
    "slow": "slowing",
    "rev1": "reverse_1",
    "rev2": "reverse_2",
    "revsus": "sustained_reverse",
    "dt": "dorsal_turn",
    "vt": "ventral_turn",
    "nostate": UNKNOWN,
    "rev": "reverse",
    "reversal": "reverse",
    "quiescent": "quiescence",
}


def translate_states(states: Any, rename_states: Mapping[str, str] | None = None) -> np.ndarray:
    """Give states the names that skworm uses.

    Upper and lower case, spaces and hyphens make no difference. A name that neither `rename_states` nor skworm knows
    stays as it is.

    Parameters
    ----------
    states : array-like of str, shape (n_frames,)
        Names as a file gives them, such as ``"REVSUS"``.
    rename_states : mapping of str to str, optional
        Name in the file to skworm's name; goes before skworm's own table.

    Returns
    -------
    numpy.ndarray of str, shape (n_frames,)
        The translated names.

    Examples
    --------
    >>> from skworm.datasets.conventions import translate_states
    >>> translate_states(["REVSUS", "Quiescence", "nostate", "feeding"]).tolist()
    ['sustained_reverse', 'quiescence', 'unknown', 'feeding']
    """
    names, codes = np.unique(np.asarray(states, dtype=str), return_inverse=True)
    renamed = dict(rename_states or {})
    translated = [renamed.get(name, _NAMES_IN_FILES.get(_plain(name), name)) for name in names.tolist()]
    return np.array(translated, dtype=str)[codes]


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def frame_rate(time: np.ndarray) -> float:
    """Compute the frames a second from time stamps: one over the median step.

    Parameters
    ----------
    time : numpy.ndarray of shape (n_frames,)
        Seconds, strictly increasing.

    Returns
    -------
    float
        Frames a second.

    Raises
    ------
    ValueError
        If there are fewer than two time stamps, or they do not increase.

    Examples
    --------
    >>> import numpy as np
    >>> from skworm.datasets.conventions import frame_rate
    >>> frame_rate(np.array([0.0, 0.5, 1.0, 2.5]))
    2.0
    """
    if len(time) < 2:
        raise ValueError(f"{len(time)} time stamps give no frame rate; at least two frames are expected")
    steps = np.diff(time)
    if not np.all(steps > 0):
        frame = int(np.flatnonzero(~(steps > 0))[0]) + 1
        raise ValueError(f"time does not increase at frame {frame}; give it in seconds, one value a frame")
    return float(1 / np.median(steps))
