"""Models that come with the package: ``skworm.load(name)`` reads one, and its card tells what it is worth."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

NAMES = tuple(f"kato2015-{states}-states{kind}" for kind in ("", "-causal") for states in (2, 4, 7))
"""Models that read behavioural states; those called causal look at no later frame."""


def path_of(name: str) -> Path:
    """Return the file of a model that comes with the package."""
    return Path(str(files(__name__) / f"{name}.skworm"))


def card(name: str) -> dict[str, Any]:
    """Return what is known of a model: data, licence, neurons, scores on left-out worms, and what it is not for.

    Parameters
    ----------
    name : str
        One of :data:`NAMES`.

    Returns
    -------
    dict
        ``"data"``, ``"licence"``, ``"citation"``, ``"not_for"``, ``"recipe"``, ``"neurons"``, ``"scores"`` of each
        worm by a model of the other four, and the numbers behind the checks of new recordings.

    Raises
    ------
    ValueError
        If there is no such model.

    Examples
    --------
    >>> from skworm.pretrained import card
    >>> card("kato2015-4-states")["states"]
    ['dorsal_turn', 'forward', 'reverse', 'ventral_turn']
    """
    if name not in NAMES:
        raise ValueError(f"{name!r} does not come with skworm; choose one of {', '.join(NAMES)}")
    return dict(json.loads((files(__name__) / "cards.json").read_text(encoding="utf-8"))[name])
