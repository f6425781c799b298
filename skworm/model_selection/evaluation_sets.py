"""The frames that a cross-validation trains and scores on, checked once."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from skworm.layout import FRAME_LEVEL, WORM_LEVEL, frame_of_rows, worm_of_rows
from skworm.metrics import score_states
from skworm.states import UNKNOWN

_SIDED_TURNS = ("dorsal_turn", "ventral_turn")


@dataclass(frozen=True, eq=False)
class EvaluationSet:
    """Frames with their states, and how predictions on them are scored.

    Parameters
    ----------
    X : pandas.DataFrame of shape (n_frames, n_columns)
        Frames, indexed by worm and frame.
    y : numpy.ndarray of str, shape (n_frames,)
        State of each frame.
    merge_turns : bool, default=False
        Score dorsal and ventral turns as one state, ``"turn"``.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skworm.model_selection.evaluation_sets import EvaluationSet
    >>> index = pd.MultiIndex.from_product([["worm-a"], range(2)], names=["worm", "frame"])
    >>> frames = EvaluationSet(pd.DataFrame({"AVAL:trace": [0.0, 1.0]}, index=index), np.array(["turn", "turn"]), True)
    >>> frames.scores_by_worm(np.array([0, 1]), ["dorsal_turn", "forward"])
    [('worm-a', {'n_frames': 2, 'accuracy': 0.5, 'balanced_accuracy': 0.5, 'macro_f1': 0.666...})]
    """

    X: pd.DataFrame
    y: np.ndarray
    merge_turns: bool = False

    @property
    def worm(self) -> np.ndarray:
        """Worm of each row, shape (n_frames,)."""
        return np.asarray(self.X.index.get_level_values(WORM_LEVEL))

    @property
    def states(self) -> set[str]:
        """The known states among the frames."""
        return {str(state) for state in np.unique(self.y)} - {UNKNOWN}

    def training_samples(self, rows: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
        """Give frames and states of those of the rows whose state is known."""
        known = rows[self.y[rows] != UNKNOWN]
        return self.X.iloc[known], self.y[known]

    def arrays(self) -> list[np.ndarray]:
        """All that a score depends on."""
        return [*arrays_of_table(self.X), self.y]

    def scores_by_worm(self, rows: np.ndarray, y_pred: Any) -> list[tuple[str, dict[str, float]]]:
        """Score the predictions for `rows`, each worm by itself."""
        worm, y_true, predicted = self.worm[rows], self.y[rows], np.asarray(y_pred, dtype=str)
        if self.merge_turns:
            y_true, predicted = merge_turns(y_true), merge_turns(predicted)
        codes, names = pd.factorize(worm, sort=True)
        return [
            (str(name), score_states(y_true[codes == code], predicted[codes == code]))
            for code, name in enumerate(names)
        ]


def arrays_of_table(table: pd.DataFrame) -> list[np.ndarray]:
    """Values, worms, frame numbers and column names of a table."""
    index = table.index.to_frame(index=False)
    names = [np.asarray(labels, dtype=str) for labels in (index[WORM_LEVEL], table.columns)]
    return [table.to_numpy(), index[FRAME_LEVEL].to_numpy(), *names]


def training_set(X: Any, y: Any, groups: Any) -> EvaluationSet:
    """Check the frames that a cross-validation splits.

    Parameters
    ----------
    X : DataFrame or array-like, shape (n_frames, n_columns)
        Frames.
    y : Series or array-like of str, shape (n_frames,)
        State of each frame.
    groups : array-like of shape (n_frames,) or None
        Worm of each row, where the index of `X` does not say it.

    Returns
    -------
    EvaluationSet
        The frames, indexed by worm and frame.

    Raises
    ------
    ValueError
        If worms are missing, `y` does not fit `X`, or a state is missing.

    Examples
    --------
    >>> from skworm.model_selection.evaluation_sets import training_set
    >>> training_set([[0.0], [1.0]], ["forward", "reverse"], groups=["worm-a", "worm-a"]).X.index.to_list()
    [('worm-a', 0), ('worm-a', 1)]
    """
    return _labelled_frames("X", X, y, groups)


def external_sets(external: Mapping[str, tuple[Any, Any]] | None, train: EvaluationSet) -> dict[str, EvaluationSet]:
    """Check external data sets against the frames that models train on.

    Parameters
    ----------
    external : mapping of str to (X, y), or None
        External sets by name; each `X` is a DataFrame with the index level ``"worm"``.
    train : EvaluationSet
        The frames that models train on.

    Returns
    -------
    dict of str to EvaluationSet
        The sets, their columns in the order of the training frames.

    Raises
    ------
    ValueError
        If a set lacks columns, shares a worm with the training frames, or has states that no model could learn.

    Warns
    -----
    UserWarning
        Where turns are scored without their side.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.model_selection.evaluation_sets import external_sets, training_set
    >>> train = training_set([[0.0, 1.0], [1.0, 0.0]], ["forward", "reverse"], groups=["a", "a"])
    >>> index = pd.MultiIndex.from_tuples([("b", 0)], names=["worm", "frame"])
    >>> sets = external_sets({"other": (pd.DataFrame({1: [0.5], 0: [0.2]}, index=index), ["forward"])}, train)
    >>> list(sets["other"].X.columns)
    [0, 1]
    """
    sets = {}
    for name, (X, y) in (external or {}).items():
        sets[name] = _external_set(name, X, y, train)
    return sets


def _external_set(name: str, X: Any, y: Any, train: EvaluationSet) -> EvaluationSet:
    frames = _labelled_frames(f"external set {name!r}", X, y, None)
    table = like_training(name, frames.X, train.X)
    all_states = frames.states | train.states
    merge_turns = "turn" in all_states and not all_states.isdisjoint(_SIDED_TURNS)
    if merge_turns:
        warnings.warn(
            f"external set {name!r} is scored with dorsal_turn and ventral_turn counted as turn, because one side of "
            "the comparison does not tell them apart",
            UserWarning,
            stacklevel=4,
        )
    _check_states_learnable(name, frames.states, train.states, merge_turns)
    return EvaluationSet(table, frames.y, merge_turns)


def _check_states_learnable(name: str, external: set[str], learnt: set[str], merge_turns: bool) -> None:
    if merge_turns:
        learnt = learnt | {"turn", *_SIDED_TURNS}
    unlearnt = sorted(external - learnt)
    if unlearnt:
        raise ValueError(
            f"external set {name!r} has states {unlearnt}, which y never has, so that no model can predict them; "
            f"replace them by 'unknown', which is not scored: y.replace({unlearnt[0]!r}, 'unknown')"
        )


def like_training(name: str, X: pd.DataFrame, trained: pd.DataFrame) -> pd.DataFrame:
    """Check the frames of an external set against those that models train on, and put columns into the same order.

    Parameters
    ----------
    name : str
        Name of the set.
    X, trained : pandas.DataFrame
        Frames of the set, and those that models train on, indexed by worm and frame.

    Returns
    -------
    pandas.DataFrame
        `X` with the columns of `trained`.

    Raises
    ------
    ValueError
        If the name is taken, columns are missing, or a worm is in both.
    """
    if name in ("held_out_windows", "unseen_worms"):
        raise ValueError(f"external set {name!r} has the name of an evaluation on the training data; rename it")
    missing = [column for column in trained.columns if column not in X.columns]
    if missing:
        raise ValueError(
            f"external set {name!r} lacks the columns {missing}; make both tables with the same neurons, for example "
            "make_frames(recordings, neurons=...), or drop these columns from X"
        )
    own, others = (set(map(str, table.index.unique(WORM_LEVEL))) for table in (X, trained))
    shared = sorted(own & others)
    if shared:
        raise ValueError(
            f"external set {name!r} has worms {shared}, which X has too; if they are other animals, rename them, and "
            "if they are the same, leave them out of one of the two"
        )
    return X[list(trained.columns)]


def frames_by_worm(name: str, X: Any, groups: Any) -> pd.DataFrame:
    """Index frames by worm and frame.

    Parameters
    ----------
    name : str
        What an error calls the frames; ``"X"`` for those that models train on.
    X : DataFrame or array-like, shape (n_frames, n_columns)
        Frames.
    groups : array-like of shape (n_frames,) or None
        Worm of each row, where the index of `X` does not say it.

    Returns
    -------
    pandas.DataFrame of shape (n_frames, n_columns)
        The frames.

    Raises
    ------
    ValueError
        If worms are missing.
    """
    worm = worm_of_rows(X, groups)
    if worm is None:
        mend = "pass groups=, or give X" if name == "X" else "give it"
        raise ValueError(
            f"{name} does not say to which worm a row belongs; {mend} the index level 'worm', as make_frames does"
        )
    if pd.isna(worm).any():
        raise ValueError(f"{name} has no worm at row {np.flatnonzero(pd.isna(worm))[0]}; name it, or drop the row")
    index = pd.MultiIndex.from_arrays([worm, frame_of_rows(X, worm)], names=[WORM_LEVEL, FRAME_LEVEL])
    table = X if isinstance(X, pd.DataFrame) else pd.DataFrame(np.asarray(X))
    return table.set_axis(index, axis=0)


def check_same_rows(name: str, X: Any, y: Any) -> None:
    """Raise a ValueError where `y`, a Series or DataFrame, and the DataFrame `X` have rows of different frames."""
    if isinstance(y, pd.Series | pd.DataFrame) and isinstance(X, pd.DataFrame) and not y.index.equals(X.index):
        raise ValueError(
            f"{name} and its y have different indices, so their rows may not belong together; align them with "
            "y.loc[X.index], or pass y.to_numpy() where the rows do line up"
        )


def _labelled_frames(name: str, X: Any, y: Any, groups: Any) -> EvaluationSet:
    table = frames_by_worm(name, X, groups)
    _check_labels(name, X, y)
    return EvaluationSet(table, np.asarray(y, dtype=str))


def _check_labels(name: str, X: Any, y: Any) -> None:
    if np.shape(y) != (len(X),):
        raise ValueError(f"{name} has {len(X)} rows, but its y has shape {np.shape(y)}; pass one state a row")
    check_same_rows(name, X, y)
    missing = np.flatnonzero(pd.isna(np.asarray(y, dtype=object)))
    if len(missing):
        raise ValueError(f"{name} has no state at row {missing[0]} of its y; write 'unknown' where none is known")


def merge_turns(states: np.ndarray) -> np.ndarray:
    """Call dorsal and ventral turns ``"turn"``.

    Examples
    --------
    >>> import numpy as np
    >>> from skworm.model_selection.evaluation_sets import merge_turns
    >>> merge_turns(np.array(["dorsal_turn", "forward"])).tolist()
    ['turn', 'forward']
    """
    return np.where(np.isin(states, _SIDED_TURNS), "turn", states)
