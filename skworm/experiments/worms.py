"""Recordings by path, by the name of a data set, or simulated; their digest; and fewer splits of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skworm.datasets import fetch_kato2015, fetch_nichols2017, load_recordings, make_worms
from skworm.model_selection import WormGroupKFold, WormSplit
from skworm.recording import Recording

_N_WORMS = 5
_N_FRAMES = 1500


def load_worms(wanted: str, random_state: int = 0, lab: int = 0) -> list[Recording]:
    """Load recordings by path or by the name of a data set, or simulate them.

    Parameters
    ----------
    wanted : str
        ``"kato2015"``, ``"nichols2017"``, ``"simulated"``, or a path.
    random_state : int, default=0
        Seed of simulated worms.
    lab : int, default=0
        Laboratory of simulated worms.

    Returns
    -------
    list of Recording
        The recordings.

    Raises
    ------
    FileNotFoundError
        If a path does not exist.

    Examples
    --------
    >>> from skworm.experiments.worms import load_worms
    >>> [recording.worm for recording in load_worms("simulated", lab=1)][:2]
    ['lab-1-0', 'lab-1-1']
    """
    if wanted == "simulated":
        prefix = f"lab-{lab}" if lab else "simulated"
        return make_worms(_N_WORMS, _N_FRAMES, lab=lab, worm_prefix=prefix, random_state=random_state)
    fetchers = {"kato2015": fetch_kato2015, "nichols2017": fetch_nichols2017}
    return fetchers[wanted]() if wanted in fetchers else load_recordings(wanted)


@dataclass(frozen=True)
class FirstFolds:
    """The first folds of a splitter, so that a wide comparison need not pay for all of them.

    Parameters
    ----------
    cv : WormGroupKFold or FewCombinations
        Splits by worm.
    n_folds : int
        Folds to keep.
    """

    cv: WormGroupKFold | FewCombinations
    n_folds: int

    def split_worms(self, X: Any, y: Any, groups: Any) -> Iterator[WormSplit]:
        """Yield the splits of the first folds."""
        return (split for split in self.cv.split_worms(X, y, groups) if split.fold < self.n_folds)


@dataclass(frozen=True)
class FewCombinations:
    """As many combinations of training worms as there are worms, each worm in equally many.

    The worms stand in a circle, and neighbours train together. One worm, and all but one, have no more combinations
    than that anyway.

    Parameters
    ----------
    cv : WormGroupKFold
        Splits by worm.

    Examples
    --------
    >>> from skworm.experiments.worms import FewCombinations
    >>> from skworm.model_selection import WormGroupKFold
    >>> cv = FewCombinations(WormGroupKFold(2, n_train_worms=2, window=1))
    >>> worms = ["a", "a", "b", "b", "c", "c", "d", "d"]
    >>> [split.train_worms for split in cv.split_worms([[0]] * 8, None, worms) if split.fold == 0]
    [('a', 'b'), ('a', 'd'), ('b', 'c'), ('c', 'd')]
    """

    cv: WormGroupKFold

    def split_worms(self, X: Any, y: Any, groups: Any) -> Iterator[WormSplit]:
        """Yield the splits of these combinations."""
        names = np.unique(groups).tolist()
        circle = names + names
        kept = {tuple(sorted(circle[start : start + self.cv.n_train_worms])) for start in range(len(names))}
        return (split for split in self.cv.split_worms(X, y, groups) if split.train_worms in kept)


def digest_recordings(recordings: Sequence[Recording]) -> str:
    """Digest worms, neurons, traces, times, states and derivatives.

    Parameters
    ----------
    recordings : sequence of Recording
        The recordings, whose order counts.

    Returns
    -------
    str
        A SHA-256 in hexadecimal digits.

    Examples
    --------
    >>> from skworm.datasets import make_worms
    >>> from skworm.experiments.worms import digest_recordings
    >>> len(digest_recordings(make_worms(1, n_frames=10, random_state=0)))
    64
    """
    digest = hashlib.sha256()
    for recording in recordings:
        states = () if recording.states is None else recording.states
        digest.update("\n".join((recording.worm, *recording.neurons, *states)).encode())
        for array in (recording.traces, recording.time, recording.derivatives):
            digest.update(b"" if array is None else array.tobytes())
    return digest.hexdigest()
