"""What the readers of all file formats share: state names and the frame rate."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skworm.recording import STATES, UNKNOWN

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


def one_name_each(worm: str, names: Sequence[str]) -> list[str]:
    """Give numbers to the neurons that have no name, or one that another trace of the worm has too.

    Parameters
    ----------
    worm : str
        Name of the worm, for the warning.
    names : sequence of str
        Names, ``""`` where there is none.

    Returns
    -------
    list of str
        Unique names; numbers count from 1.

    Warns
    -----
    UserWarning
        If a name occurs twice.

    Examples
    --------
    >>> from skworm.datasets.conventions import one_name_each
    >>> one_name_each("worm-a", ["AVAL", "", "RID"])
    ['AVAL', '2', 'RID']
    """
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        warnings.warn(
            f"worm {worm!r}: the neurons {repeated} occur on several traces, which all count as unidentified; "
            "correct the names in the file to keep one",
            UserWarning,
            stacklevel=3,
        )
    return [name if name and name not in repeated else str(column) for column, name in enumerate(names, start=1)]


def frames_first(matrix: np.ndarray, field: str, n_neurons: int, n_frames: tuple[int, ...] | None) -> np.ndarray:
    """Turn a matrix so that frames come first.

    Parameters
    ----------
    matrix : numpy.ndarray of shape (n_frames, n_neurons) or (n_neurons, n_frames)
        Traces or derivatives.
    field : str
        What it is, for errors.
    n_neurons : int
        Neurons.
    n_frames : tuple of int or None
        Numbers of frames that are right; None where they are not known.

    Returns
    -------
    numpy.ndarray of shape (n_frames, n_neurons)
        The same values.

    Raises
    ------
    ValueError
        If neither or both of the orientations fit.
    """
    fitting = [
        table
        for table in (matrix, matrix.T)
        if table.shape[1] == n_neurons and (n_frames is None or table.shape[0] in n_frames)
    ]
    if len(fitting) == 1:
        return fitting[0]
    expected = f"{n_neurons} neuron names" + ("" if n_frames is None else f" and {n_frames[0]} frames")
    if not fitting:
        raise ValueError(
            f"{field} of shape {matrix.shape} fit {expected} neither as frames x neurons nor as neurons x frames; save "
            "one name for each trace and one time stamp for each frame"
        )
    raise ValueError(
        f"{field} of shape {matrix.shape} fit {expected} both as frames x neurons and as neurons x frames; save the "
        "worm as .npz or .csv, where the orientation is fixed"
    )
