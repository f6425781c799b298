"""The behavioural states, by one set of names, and the maps onto coarser sets."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

UNKNOWN = "unknown"

STATES = (
    "forward",
    "slowing",
    "reverse_1",
    "reverse_2",
    "sustained_reverse",
    "reverse",
    "dorsal_turn",
    "ventral_turn",
    "turn",
    "quiescence",
    UNKNOWN,
)
"""Every state name that skworm knows, in the order of tables, axes and legends."""

_SEVEN = (*STATES[:5], "dorsal_turn", "ventral_turn")
_FORWARD = dict.fromkeys(("forward", "slowing"), "forward")
_REVERSE = dict.fromkeys(("reverse_1", "reverse_2", "sustained_reverse", "reverse"), "reverse")
_SIDED_TURNS = {"dorsal_turn": "dorsal_turn", "ventral_turn": "ventral_turn", "turn": "turn"}
_ONE_TURN = dict.fromkeys(_SIDED_TURNS, "turn")
_NO_TURN = dict.fromkeys(_SIDED_TURNS, UNKNOWN)
_NOT_SCORED = dict.fromkeys(("quiescence", UNKNOWN), UNKNOWN)

VOCABULARIES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "7": {**{name: name for name in _SEVEN}, **_NOT_SCORED},
        "4": {**_FORWARD, **_REVERSE, **_SIDED_TURNS, **_NOT_SCORED},
        "nichols": {**_FORWARD, **_REVERSE, **_ONE_TURN, **_NOT_SCORED, "quiescence": "quiescence"},
        "2": {**_FORWARD, **_REVERSE, **_NO_TURN, **_NOT_SCORED},
    }
)
"""What each state of :data:`STATES` becomes in each vocabulary.

``"4"`` keeps ``turn`` where a recording does not say to which side the worm turned.
"""


def map_states(states: Any, vocabulary: str | Mapping[str, str]) -> Any:
    """Translate state names into a coarser vocabulary.

    Parameters
    ----------
    states : pandas.Series or array-like of str, shape (n_frames,)
        State names, one a frame.
    vocabulary : {"7", "4", "nichols", "2"} or mapping of str to str
        The wanted vocabulary. ``"7"`` keeps the seven states of Kato et al. 2015; ``"4"`` is reverse, forward,
        dorsal_turn and ventral_turn; ``"nichols"`` is reverse, forward, turn and quiescence; ``"2"`` is forward (with
        slowing) against reverse. What a vocabulary leaves out becomes ``"unknown"``. A mapping translates by itself.

    Returns
    -------
    pandas.Series or numpy.ndarray of str, shape (n_frames,)
        The translated names; a Series keeps its index.

    Raises
    ------
    ValueError
        If the vocabulary does not exist, or a state has no translation in it.

    References
    ----------
    Wang et al. 2021, Supplementary Information, "Experimental Procedures".

    Examples
    --------
    >>> from skworm.frames import map_states
    >>> map_states(["slowing", "reverse_2", "dorsal_turn"], "4")
    array(['forward', 'reverse', 'dorsal_turn'], dtype='<U11')
    >>> map_states(["slowing", "reverse_2", "dorsal_turn"], "2")
    array(['forward', 'reverse', 'unknown'], dtype='<U7')
    """
    translation = _translation(vocabulary)
    values = np.asarray(states, dtype=str)
    names, codes = np.unique(values, return_inverse=True)
    missing = [str(name) for name in names if name not in translation]
    if missing:
        raise ValueError(
            f"states {missing} have no translation into the vocabulary {vocabulary!r}, which knows "
            f"{sorted(translation)}; rename them, for example with "
            f"load_recordings(..., rename_states={{{missing[0]!r}: 'forward'}}), or pass a mapping of your state names"
        )
    translated = np.array([translation[name] for name in names], dtype=str)[codes]
    if isinstance(states, pd.Series):
        return pd.Series(translated, index=states.index, name=states.name)
    return translated


def _translation(vocabulary: str | Mapping[str, str]) -> Mapping[str, str]:
    if isinstance(vocabulary, Mapping):
        return vocabulary
    if vocabulary not in VOCABULARIES:
        raise ValueError(
            f"{vocabulary!r} is no vocabulary of states; choose one of {sorted(VOCABULARIES)}, or pass a mapping "
            "of your state names"
        )
    return VOCABULARIES[vocabulary]
