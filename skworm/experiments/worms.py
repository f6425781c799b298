"""Recordings by path, by the name of a data set, or simulated; and fewer folds of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

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
    cv : WormGroupKFold
        Splits by worm.
    n_folds : int
        Folds to keep.
    """

    cv: WormGroupKFold
    n_folds: int

    def split_worms(self, X: Any, y: Any, groups: Any) -> Iterator[WormSplit]:
        """Yield the splits of the first folds."""
        return (split for split in self.cv.split_worms(X, y, groups) if split.fold < self.n_folds)
