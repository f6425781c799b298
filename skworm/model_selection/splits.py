"""Cross-validation splits by worm and by window of frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from itertools import combinations
from math import comb
from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import check_random_state

from skworm.frames.index import check_frames_differ, frame_of_rows, worm_of_rows
from skworm.parameters import check_choice, check_whole

_TEST_ON = ("unseen_worms", "held_out_windows")
_MOST_SPLITS = 100_000
_FOLD_BY = ("shuffled_windows", "contiguous_blocks")


class WormSplit(NamedTuple):
    """Rows of one fit: one combination of training worms, one fold.

    Parameters
    ----------
    train_worms : tuple
        The training worms, sorted.
    fold : int
        The fold that is held out, counted from 0.
    train : numpy.ndarray of int
        Rows to fit on.
    held_out : numpy.ndarray of int
        Rows of the training worms in the fold; none with ``n_splits=1``.
    unseen : numpy.ndarray of int
        All rows of all other worms.

    Examples
    --------
    >>> from skworm.model_selection import WormGroupKFold
    >>> splitter = WormGroupKFold(n_splits=2, window=1, fold_by="contiguous_blocks")
    >>> split = next(splitter.split_worms([[0], [1], [2], [3]], groups=["a", "a", "b", "b"]))
    >>> split.train_worms, split.train, split.held_out, split.unseen
    (('a',), array([1]), array([0]), array([2, 3]))
    """

    train_worms: tuple[Any, ...]
    fold: int
    train: np.ndarray
    held_out: np.ndarray
    unseen: np.ndarray

    def __str__(self) -> str:
        return f"worms {', '.join(map(str, self.train_worms))}, fold {self.fold}"


@dataclass(eq=False, repr=False)
class WormGroupKFold(BaseCrossValidator):
    """Every combination of training worms, times folds of whole windows.

    The rows of each worm are cut into windows of consecutive frames, and its windows into `n_splits` folds, as equal
    as can be. A worm has the same folds in every combination. A fit sees the training worms without one fold; it is
    tested on the held-out fold of the same worms, or on all rows of all other worms.

    Neighbouring frames resemble each other, so shuffled windows let a model recognise the moment rather than the
    state. Contiguous blocks, with a `gap`, measure what holds beyond the moment; scores on unseen worms are not
    affected.

    Parameters
    ----------
    n_splits : int, default=10
        Folds a worm. With 1 none is held out: a fit sees the training worms whole, and is tested on unseen worms only.
        Trained on all worms but one, every row is then in one test set, which is the partition that
        ``cross_val_predict`` and ``StackingClassifier`` want.
    n_train_worms : int, default=1
        Worms in the training set; every combination of that many is used.
    test_on : {"unseen_worms", "held_out_windows"}, default="unseen_worms"
        Whether `split` yields all rows of all other worms as the test set, or the held-out fold of the training worms.
    fold_by : {"shuffled_windows", "contiguous_blocks"}, default="shuffled_windows"
        Whether a fold is made of windows drawn at random, or of windows that follow each other.
    window : int, default=8
        Frames a window. Windows are counted by the index level ``"frame"`` of `X`, so that dropped rows shift no
        boundary; without it, by row order within each worm.
    gap : int, default=0
        Frames: training rows this near to a held-out window of the same worm, or nearer, are left out.
    random_state : int, RandomState instance or None, default=None
        Seeds the shuffle. An int gives the same splits at every call.

    References
    ----------
    Wang et al. 2021, "Experiments": training on every combination of worms ("permutations"), ten folds of windows of
    8 frames.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.svm import SVC
    >>> import numpy as np
    >>> from skworm.model_selection import WormGroupKFold
    >>> rng = np.random.default_rng(0)
    >>> y = np.tile(np.repeat(["forward", "reverse"], 20), 3)
    >>> X = rng.normal(size=(120, 2)) + 5.0 * (y == "forward")[:, None]
    >>> worm = np.repeat(["worm-a", "worm-b", "worm-c"], 40)
    >>> cv = WormGroupKFold(n_splits=5, n_train_worms=2, random_state=0)
    >>> scores = cross_val_score(SVC(), X, y, groups=worm, cv=cv)
    >>> scores.shape, bool(scores.mean() > 0.95)
    ((15,), True)
    """

    __metadata_request__split = {"groups": True}  # noqa: RUF012  # scikit-learn reads a plain dict

    n_splits: int = 10
    _: KW_ONLY
    n_train_worms: int = 1
    test_on: str = "unseen_worms"
    fold_by: str = "shuffled_windows"
    window: int = 8
    gap: int = 0
    random_state: Any = None

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Count the splits: combinations of training worms times folds.

        Parameters
        ----------
        X, y, groups
            As in :meth:`split`; of `X` only the index level ``"worm"`` counts, where there are no `groups`.

        Returns
        -------
        int
            Number of splits.

        Raises
        ------
        ValueError
            If `groups` is missing, or a parameter does not fit the worms.

        Examples
        --------
        >>> from skworm.model_selection import WormGroupKFold
        >>> WormGroupKFold(n_train_worms=2).get_n_splits(groups=["a", "b", "c", "d", "e"])
        100
        """
        self._check_parameters()
        n_worms = len(np.unique(_worm_of_rows(X, groups)))
        self._check_worms(n_worms, unseen_needed=self.test_on == "unseen_worms")
        return comb(n_worms, self.n_train_worms) * self.n_splits

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield training and test rows of every split.

        Parameters
        ----------
        X : array-like or DataFrame, shape (n_frames, ...)
            Frames; the index level ``"frame"`` counts the windows where there is one.
        y : object, default=None
            Ignored.
        groups : array-like of shape (n_frames,), optional
            Worm of each row, or its animal where several recordings are of one; by default the index level ``"worm"``.

        Yields
        ------
        train : numpy.ndarray of int
            Rows to fit on.
        test : numpy.ndarray of int
            Rows to score on.

        Raises
        ------
        ValueError
            If `groups` is missing or does not fit `X`, or a parameter does not fit the worms.

        Examples
        --------
        >>> from skworm.model_selection import WormGroupKFold
        >>> cv = WormGroupKFold(n_splits=2, window=1, fold_by="contiguous_blocks")
        >>> for train, test in cv.split([[0], [1], [2], [3]], groups=["a", "a", "b", "b"]):
        ...     print(train, test)
        [1] [2 3]
        [0] [2 3]
        [3] [0 1]
        [2] [0 1]
        """
        on_unseen = self.test_on == "unseen_worms"
        self.get_n_splits(X, y, groups)
        for split in self.split_worms(X, y, groups):
            yield split.train, split.unseen if on_unseen else split.held_out

    def split_worms(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[WormSplit]:
        """Yield training, held-out and unseen rows of every split at once, whatever `test_on` says.

        Parameters
        ----------
        X, y, groups
            As in :meth:`split`, whose errors are raised.

        Yields
        ------
        WormSplit
            Training worms, fold, and rows. `unseen` is empty where all worms train.

        Examples
        --------
        >>> from skworm.model_selection import WormGroupKFold
        >>> cv = WormGroupKFold(n_splits=2, window=1, fold_by="contiguous_blocks")
        >>> for split in cv.split_worms([[0], [1], [2], [3]], groups=["a", "a", "b", "b"]):
        ...     print(split.train_worms, split.fold, split.train, split.held_out, split.unseen)
        ('a',) 0 [1] [0] [2 3]
        ('a',) 1 [0] [1] [2 3]
        ('b',) 0 [3] [2] [0 1]
        ('b',) 1 [2] [3] [0 1]
        """
        self._check_parameters()
        worm = _worm_of_rows(X, groups)
        # Several recordings of one animal are one group, and each counts its own frames.
        recording = worm_of_rows(X)
        frame = frame_of_rows(X, worm if recording is None else recording)
        unique_worms, worm_codes = np.unique(worm, return_inverse=True)
        names = unique_worms.tolist()
        self._check_worms(len(names), unseen_needed=False)
        remedy = (
            "its copies could fall on both sides of a split: drop repeated rows, or give each recording a name of its "
            "own and pass groups= of their animals"
        )
        check_frames_differ(worm if recording is None else recording, frame, remedy)
        window = frame // self.window
        folds = self._folds(names, worm_codes, frame, window)
        for combination in combinations(range(len(names)), self.n_train_worms):
            unseen = np.flatnonzero(~np.isin(worm_codes, combination))
            for fold in range(self.n_splits):
                train, held_out = zip(*(folds[code][fold] for code in combination), strict=True)
                yield WormSplit(
                    train_worms=tuple(names[code] for code in combination),
                    fold=fold,
                    train=np.sort(np.concatenate(train)),
                    held_out=np.sort(np.concatenate(held_out)),
                    unseen=unseen,
                )

    def _folds(
        self, names: list[Any], worm_codes: np.ndarray, frame: np.ndarray, window: np.ndarray
    ) -> list[list[tuple[np.ndarray, np.ndarray]]]:
        rng = check_random_state(self.random_state)
        folds = []
        for code, name in enumerate(names):
            rows = np.flatnonzero(worm_codes == code)
            windows = np.unique(window[rows])
            if len(windows) < self.n_splits:
                raise ValueError(
                    f"worm {name!r} has {len(windows)} windows of {self.window} frames, too few for "
                    f"n_splits={self.n_splits}; lower n_splits or window, or leave the worm out"
                )
            if self.fold_by == "shuffled_windows":
                windows = rng.permutation(windows)
            parts = np.array_split(windows, self.n_splits) if self.n_splits > 1 else [windows[:0]]
            folds.append([self._fold_rows(name, rows, frame[rows], window[rows], part) for part in parts])
        return folds

    def _fold_rows(
        self, name: Any, rows: np.ndarray, frame: np.ndarray, window: np.ndarray, held_out_windows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        held_out, windows = np.isin(window, held_out_windows), np.sort(held_out_windows)
        # A frame is near where a held-out window is among those from `gap` frames before it to `gap` frames after it.
        first, last = ((frame + shift) // self.window for shift in (-self.gap, self.gap))
        near = np.searchsorted(windows, first) < np.searchsorted(windows, last, side="right")
        if near.all():
            raise ValueError(
                f"gap={self.gap} leaves worm {name!r} no training rows in a fold; lower gap, or use "
                "fold_by='contiguous_blocks'"
            )
        return rows[~near], rows[held_out]

    def _check_parameters(self) -> None:
        check_choice(_TEST_ON, test_on=self.test_on)
        check_choice(_FOLD_BY, fold_by=self.fold_by)
        check_whole(1, n_splits=self.n_splits, n_train_worms=self.n_train_worms, window=self.window)
        check_whole(0, gap=self.gap)
        if self.n_splits == 1 and self.test_on == "held_out_windows":
            raise ValueError("n_splits=1 holds no windows out; raise n_splits, or use test_on='unseen_worms'")

    def _check_worms(self, n_worms: int, *, unseen_needed: bool) -> None:
        if self.n_train_worms > n_worms:
            raise ValueError(
                f"n_train_worms={self.n_train_worms}, but groups has {n_worms} worms; lower n_train_worms or add worms"
            )
        if unseen_needed and self.n_train_worms == n_worms:
            raise ValueError(
                f"n_train_worms={self.n_train_worms} uses all {n_worms} worms, so none is unseen; lower "
                "n_train_worms, or use test_on='held_out_windows'"
            )
        if (n_splits := comb(n_worms, self.n_train_worms) * self.n_splits) > _MOST_SPLITS:
            raise ValueError(
                f"n_train_worms={self.n_train_worms} of {n_worms} worms in n_splits={self.n_splits} folds make "
                f"{n_splits:,} splits; bring n_train_worms nearer to 1 or to {n_worms - 1}, or pass fewer worms"
            )


def _worm_of_rows(X: Any, groups: Any) -> np.ndarray:
    worm = worm_of_rows(groups if X is None else X, groups, "groups")
    if worm is None:
        raise ValueError(
            "groups is None, and X has no index level 'worm' to split by; pass groups=, an array with the name of the "
            "worm of each row"
        )
    return worm
