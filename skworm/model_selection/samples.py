"""The samples of a cross-validation, checked once: states, behaviour or trajectories, and how each is scored."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.utils import _safe_indexing

from skworm.frames.index import (
    FRAME_LEVEL,
    WORM_LEVEL,
    frame_of_rows,
    parse_column_names,
    parse_step_column_names,
    signal_names,
    worm_of_rows,
)
from skworm.metrics import mse_by_step, score_behavior, score_states
from skworm.model_selection.splits import WormSplit
from skworm.recording import UNKNOWN

EVALUATIONS = ("held_out_windows", "unseen_worms")
"""The evaluations on the data that are split; the others are external sets."""

PERSISTENCE = "persistence_"
"""Begins the names of the errors of persistence, which stand beside those of each model."""

_SIDED_TURNS = ("dorsal_turn", "ventral_turn")


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples of one task, what models see and what they predict, indexed by worm and frame.

    Where an animal has several recordings, `animal` names that of each sample, and the index names the recording.
    """

    X: pd.DataFrame
    y: Any
    animal: np.ndarray | None = None

    task: ClassVar[str]

    @classmethod
    def checked(cls, name: str, X: Any, y: Any, groups: Any, transition: pd.Series | None = None) -> Self:
        """Check data that messages call `name`."""
        raise NotImplementedError

    @classmethod
    def baselines(cls) -> dict[str, Any]:
        """Return the models that others are measured by, not fitted, by name."""
        raise NotImplementedError

    @property
    def worm(self) -> np.ndarray:
        """Worm of each sample, by which samples are split and scored, shape (n_samples,)."""
        return np.asarray(self.X.index.get_level_values(WORM_LEVEL)) if self.animal is None else self.animal

    def training_rows(self, rows: np.ndarray) -> np.ndarray:
        """Return those of the rows that a model can learn from."""
        return rows

    def training_samples(self, rows: np.ndarray) -> tuple[pd.DataFrame, Any]:
        """Return X and y of those of the rows that a model can learn from."""
        known = self.training_rows(rows)
        return self.X.iloc[known], _safe_indexing(self.y, known)

    def fit(self, estimator: Any, rows: np.ndarray) -> Any:
        """Return a clone of an estimator that has learned from the rows; one that splits them is told the animals."""
        from skworm.estimators.calibration import takes_groups

        groups = {}
        if self.animal is not None and takes_groups(estimator):
            groups["groups"] = self.animal[self.training_rows(rows)]
        return clone(estimator).fit(*self.training_samples(rows), **groups)

    def scores(self, rows: np.ndarray, predicted: Any) -> list[dict[str, Any]]:
        """Score the predictions for `rows`: a dictionary or several for each worm, with its name as ``"worm"``."""
        raise NotImplementedError

    def arrays(self) -> list[np.ndarray]:
        """Return all that a score depends on, for a digest."""
        animal = [] if self.animal is None else [self.animal.astype(str)]
        return [*_arrays_of_table(self.X), *_arrays_of_table(self.y), *animal]

    def check_split(self, split: WormSplit) -> None:
        """Raise a ValueError where the training rows of a split are too few to learn from."""

    def describe(self) -> dict[Any, Any]:
        """Count the labelled frames of each worm, by state or signal."""
        return {}

    def by_worm(self, rows: np.ndarray) -> list[tuple[str, np.ndarray]]:
        """Return each worm among the rows, in alphabetical order, with the places of its rows."""
        codes, names = pd.factorize(self.worm[rows], sort=True)
        return [(str(name), np.flatnonzero(codes == code)) for code, name in enumerate(names)]


@dataclass(frozen=True, eq=False)
class StateSamples(Samples):
    """Frames and an array of their states; `merge_turns` scores dorsal and ventral turns as one state, ``"turn"``."""

    merge_turns: bool = False

    task = "states"

    @classmethod
    def checked(cls, name: str, X: Any, y: Any, groups: Any = None, transition: pd.Series | None = None) -> Self:
        """Check frames and their states."""
        table, animal = _indexed(name, X, y, groups, 1, "one state a row")
        missing = np.flatnonzero(pd.isna(np.asarray(y, dtype=object)))
        if len(missing):
            raise ValueError(f"{name} has no state at row {missing[0]} of its y; write 'unknown' where none is known")
        return cls(table, np.asarray(y, dtype=str), animal)

    @classmethod
    def baselines(cls) -> dict[str, Any]:
        """Return ``"majority"``, the most frequent training state, and ``"clock"``, which sees frame numbers alone."""
        return {"majority": DummyClassifier(strategy="most_frequent"), "clock": Clock(KNeighborsClassifier(1))}

    def states(self, rows: Any = slice(None)) -> list[str]:
        """Return the known states among the rows, in alphabetical order."""
        return [str(state) for state in np.unique(self.y[rows]) if state != UNKNOWN]

    def training_rows(self, rows: np.ndarray) -> np.ndarray:
        """Return the frames whose state is known."""
        return rows[self.y[rows] != UNKNOWN]

    def scores(self, rows: np.ndarray, predicted: Any) -> list[dict[str, Any]]:
        """Score states worm by worm, and count how often each labelled state is predicted as which."""
        true, predicted = self.y[rows], np.asarray(predicted, dtype=str)
        if self.merge_turns:
            true, predicted = (np.where(np.isin(y, _SIDED_TURNS), "turn", y) for y in (true, predicted))
        return [
            {
                "worm": name,
                **score_states(true[places], predicted[places]),
                "confusion": _confusion(true[places], predicted[places]),
            }
            for name, places in self.by_worm(rows)
        ]

    def check_split(self, split: WormSplit) -> None:
        """Raise a ValueError unless the training rows have two known states."""
        states = self.states(split.train)
        if len(states) < 2:
            raise ValueError(
                f"{split}: the training rows have only the states {states}, and a classifier needs two; train on more "
                "worms, lower gap, or use fold_by='shuffled_windows'"
            )

    def describe(self) -> dict[Any, Any]:
        """Count the frames of each state, worm by worm."""
        return pd.crosstab(self.worm.astype(str), self.y).to_dict("index")


@dataclass(frozen=True, eq=False)
class BehaviorSamples(Samples):
    """Frames and a table of their signals; models are given a Series where there is but `one_column`."""

    one_column: bool = False

    task = "behavior"

    @classmethod
    def checked(cls, name: str, X: Any, y: Any, groups: Any, transition: pd.Series | None = None) -> Self:
        """Check frames and their signals."""
        table, animal = _indexed(name, X, y, groups, 2, "one value a row, or one column a signal")
        values = np.asarray(y, dtype=float)
        if np.isinf(values).any():
            row = np.argwhere(np.isinf(values))[0, 0]
            raise ValueError(f"the y of {name} is infinite at row {row}; write NaN there")
        signals = pd.DataFrame(values.reshape(len(table), -1), index=table.index, columns=signal_names(y))
        return cls(table, signals, animal, one_column=values.ndim == 1)

    @classmethod
    def baselines(cls) -> dict[str, Any]:
        """Return ``"mean"`` over training frames, ``"clock"``, and ``"linear"``, a ridge regression."""
        return {"mean": DummyRegressor(), "clock": Clock(KNeighborsRegressor(1)), "linear": Ridge(alpha=1.0)}

    def training_rows(self, rows: np.ndarray) -> np.ndarray:
        """Return the frames whose signals are all known."""
        return rows[self.y.iloc[rows].notna().all(axis=1).to_numpy()]

    def training_samples(self, rows: np.ndarray) -> tuple[pd.DataFrame, Any]:
        """Return the frames whose signals are all known, and their signals."""
        X, signals = super().training_samples(rows)
        return X, signals.iloc[:, 0] if self.one_column else signals

    def scores(self, rows: np.ndarray, predicted: Any) -> list[dict[str, Any]]:
        """Score signals worm by worm, a dictionary a signal."""
        true = self.y.iloc[rows].to_numpy()
        values = np.asarray(predicted, dtype=float)
        if values.size != true.size or len(values) != len(true):
            raise ValueError(f"the model predicts values of shape {values.shape}, but the signals have {true.shape}")
        values = values.reshape(true.shape)
        return [
            {"worm": name, "signal": signal, **score_behavior(true[places, column], values[places, column])}
            for name, places in self.by_worm(rows)
            for column, signal in enumerate(self.y.columns)
        ]

    def check_split(self, split: WormSplit) -> None:
        """Raise a ValueError unless two training rows have known signals."""
        n_known = len(self.training_samples(split.train)[0])
        if n_known < 2:
            raise ValueError(
                f"{split}: {n_known} training rows have known signals, and a regressor needs two; train on more worms, "
                "lower gap, or leave out worms or signals that are NaN"
            )

    def describe(self) -> dict[Any, Any]:
        """Count the known frames of each signal, worm by worm."""
        return self.y.notna().groupby(self.worm.astype(str)).sum().to_dict("index")


@dataclass(frozen=True, eq=False)
class TrajectorySamples(Samples):
    """Tables of observed frames and of those after them, and which trajectories hold a `transition` between states."""

    n_columns: int = 0
    node_features: tuple[str, ...] = ()
    transition: np.ndarray | None = None

    task = "trajectories"

    @classmethod
    def checked(cls, name: str, X: Any, y: Any, groups: Any, transition: pd.Series | None = None) -> Self:
        """Check observed frames and those after them."""
        if groups is not None:
            raise ValueError("groups= has no meaning for trajectories, whose index names the worm; leave it out")
        for letter, table in (("X", X), ("y", y)):
            if not _has_steps(table) or not {WORM_LEVEL, FRAME_LEVEL} <= set(table.index.names):
                raise ValueError(f"{name}: {letter} is not a table of trajectories; make both with make_trajectories")
        if not X.index.equals(y.index):
            raise ValueError(f"{name}: X and y have different indices; make both with one call of make_trajectories")
        columns, _ = parse_step_column_names(y.columns) or ([], [])
        _, node_features = parse_column_names(columns) or ([], [])
        changes = None
        if transition is not None:
            missing = X.index.difference(transition.index)
            if len(missing):
                raise ValueError(
                    f"{name}: transition lacks {len(missing)} trajectories, first {missing[0]}; make it with "
                    "contains_transition of the same y"
                )
            changes = transition.reindex(X.index).to_numpy(dtype=bool)
        return cls(X, y, n_columns=len(columns), node_features=tuple(node_features), transition=changes)

    @classmethod
    def baselines(cls) -> dict[str, Any]:
        """Return ``"persistence"``, which repeats the last observed frame, the ``"mean"``, and a ``"linear"`` map."""
        from skworm.estimators.baselines import LinearTrajectoryRegressor, PersistenceRegressor

        return {
            "persistence": PersistenceRegressor(),
            "mean": DummyRegressor(),
            "linear": LinearTrajectoryRegressor(),
        }

    def scores(self, rows: np.ndarray, predicted: Any) -> list[dict[str, Any]]:
        """Measure errors worm by worm, a dictionary a step, beside those of persistence."""
        predicted = np.asarray(predicted)
        return [
            {"worm": name, **{str(column): value for column, value in errors.items()}}
            for name, places in self.by_worm(rows)
            for errors in self._errors(rows[places], predicted[places]).reset_index().to_dict("records")
        ]

    def arrays(self) -> list[np.ndarray]:
        """Return values and names of observed and future frames, and which hold a change of state."""
        return [*super().arrays(), np.empty(0) if self.transition is None else self.transition]

    def _errors(self, rows: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
        own = self._errors_of(rows, predicted)
        last = self.X.iloc[rows, -self.n_columns :].to_numpy()
        persistence = self._errors_of(rows, np.tile(last, self.y.shape[1] // self.n_columns)).add_prefix(PERSISTENCE)
        counts = {"n_trajectories": len(rows)}
        if self.transition is not None:
            counts["n_transition"] = int(self.transition[rows].sum())
        return pd.concat([own, persistence], axis=1).assign(**counts)

    def _errors_of(self, rows: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
        true = self.y.iloc[rows]
        errors = {"mse": mse_by_step(true, predicted)}
        for feature in self.node_features:
            errors[f"mse_{feature}"] = mse_by_step(true, predicted, node_feature=feature)
        if self.transition is not None:
            changes = self.transition[rows]
            for name, chosen in (("mse_transition", changes), ("mse_steady", ~changes)):
                missing = pd.Series(np.nan, index=errors["mse"].index)
                errors[name] = mse_by_step(true[chosen], predicted[chosen]) if chosen.any() else missing
        return pd.DataFrame(errors)


def make_samples(
    estimators: Mapping[str, Any],
    X: Any,
    y: Any,
    groups: Any = None,
    *,
    external: Mapping[str, tuple[Any, Any]] | None = None,
    transition: pd.Series | None = None,
) -> tuple[Samples, dict[str, Samples]]:
    """Check the data of a cross-validation, and tell which task it is."""
    task = _task_of(estimators, y)
    if transition is not None and task is not TrajectorySamples:
        raise ValueError("transition= is about trajectories, and y holds none; leave it out")
    train = task.checked("X", X, y, groups, transition)
    sets: dict[str, Samples] = {}
    if not isinstance(external or {}, Mapping):
        raise TypeError(
            f"external is a {type(external).__name__}; pass a mapping of names to tables, such as {{'lab 2': (X, y)}}"
        )
    for name, (own_X, own_y) in (external or {}).items():
        if name in EVALUATIONS:
            raise ValueError(f"external set {name!r} has the name of an evaluation on the training data; rename it")
        part = task.checked(f"external set {name!r}", own_X, own_y, None, transition)
        sets[name] = _like_training(name, part, train)
    return train, sets


class Clock(BaseEstimator):
    """Predict for a frame what the frame of the nearest number has, of the same worm.

    For a worm that was not in training it asks each training worm, and takes the most frequent answer or the mean.
    """

    def __init__(self, nearest: Any) -> None:
        self.nearest = nearest

    def fit(self, X: pd.DataFrame, y: Any) -> Self:
        """Remember the frames of each worm, of which `X` gives the number alone."""
        worm, frame = _moments(X)
        answers = np.asarray(y)
        self.worms_ = {
            name: clone(self.nearest).fit(frame[worm == name], answers[worm == name]) for name in np.unique(worm)
        }
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return what the nearest frames have."""
        worm, frame = _moments(X)
        rows, predicted = [], []
        for name in np.unique(worm):
            rows.append(np.flatnonzero(worm == name))
            asked = [self.worms_[name]] if name in self.worms_ else list(self.worms_.values())
            answers = np.stack([nearest.predict(frame[rows[-1]]) for nearest in asked])
            predicted.append(_most_frequent(answers) if is_classifier(self.nearest) else answers.mean(axis=0))
        return np.concatenate(predicted)[np.argsort(np.concatenate(rows))]


def _moments(X: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    frame = np.asarray(X.index.get_level_values(FRAME_LEVEL), dtype=np.float64)
    return np.asarray(X.index.get_level_values(WORM_LEVEL), dtype=str), frame[:, None]


def _most_frequent(answers: np.ndarray) -> np.ndarray:
    """Return the most frequent answer of each column, the first in alphabetical order of several."""
    names, codes = np.unique(answers, return_inverse=True)
    counts = (codes.reshape(answers.shape)[:, :, None] == np.arange(len(names))).sum(axis=0)
    return names[counts.argmax(axis=1)]


def _task_of(estimators: Mapping[str, Any], y: Any) -> type[Samples]:
    regressors = [name for name, model in estimators.items() if is_regressor(model)]
    classifiers = [name for name, model in estimators.items() if is_classifier(model)]
    if regressors and classifiers:
        raise TypeError(
            f"estimators mix classifiers ({', '.join(classifiers)}) and regressors ({', '.join(regressors)}); "
            "cross-validate them in two calls"
        )
    # Those of X do not count: frames around a frame have such columns too.
    has_steps, values = _has_steps(y), np.asarray(y)
    numeric = np.issubdtype(values.dtype, np.number)
    if classifiers and (has_steps or (numeric and not np.array_equal(values, np.round(values)))):
        raise TypeError(
            f"{classifiers[0]!r} is a classifier, and y holds {'trajectories' if has_steps else 'signals'}; pass the "
            "states of make_frames, or a regressor"
        )
    if regressors and not numeric:
        raise TypeError(
            f"{regressors[0]!r} is a regressor, and y holds no numbers; pass the signals of make_behavior or the "
            "trajectories of make_trajectories, or a classifier"
        )
    if has_steps:
        return TrajectorySamples
    return BehaviorSamples if numeric and not classifiers else StateSamples


def _has_steps(table: Any) -> bool:
    return isinstance(table, pd.DataFrame) and parse_step_column_names(table.columns) is not None


def _like_training(name: str, part: Any, train: Any) -> Samples:
    """Check an external set against the training samples, and put its columns into their order."""
    shared = sorted(set(map(str, part.worm)) & set(map(str, train.worm)))
    if shared:
        raise ValueError(
            f"external set {name!r} has worms {shared}, which X has too; if they are other animals, rename them, and "
            "if they are the same, leave them out of one of the two"
        )
    missing = [column for column in train.X.columns if column not in part.X.columns]
    if missing:
        raise ValueError(
            f"external set {name!r} lacks the columns {missing}; make both tables with the same neurons, for example "
            "make_frames(recordings, neurons=...), or drop these columns from X"
        )
    X = part.X[list(train.X.columns)]
    if isinstance(part, StateSamples):
        return replace(part, X=X, merge_turns=_turns_to_merge(name, part, train))
    if list(part.y.columns) != list(train.y.columns):
        raise ValueError(
            f"external set {name!r} predicts the columns {list(part.y.columns)[:6]}, but models are trained on "
            f"{list(train.y.columns)[:6]}; make both with the same signals, or the same neurons and horizon"
        )
    return replace(part, X=X)


def _turns_to_merge(name: str, part: StateSamples, train: StateSamples) -> bool:
    learnt, scored = set(train.states()), set(part.states())
    all_states = learnt | scored
    merge = "turn" in all_states and not all_states.isdisjoint(_SIDED_TURNS)
    unlearnt = sorted(scored - learnt - ({"turn", *_SIDED_TURNS} if merge else set()))
    if unlearnt:
        raise ValueError(
            f"external set {name!r} has states {unlearnt}, which y never has, so that no model can predict them; "
            f"replace them by 'unknown', which is not scored: y.replace({unlearnt[0]!r}, 'unknown')"
        )
    if merge:
        warnings.warn(
            f"external set {name!r} is scored with dorsal_turn and ventral_turn counted as turn, because one side of "
            "the comparison does not tell them apart",
            UserWarning,
            stacklevel=5,
        )
    return merge


def _indexed(
    name: str, X: Any, y: Any, groups: Any, most_axes: int, wanted: str
) -> tuple[pd.DataFrame, np.ndarray | None]:
    """Return X as a table indexed by worm and frame, if y has such rows, and the animals of which it has recordings."""
    worm, animal = worm_of_rows(X), worm_of_rows(X, groups, "groups")
    worm = animal if worm is None else worm
    if worm is None or animal is None:
        remedy = "pass groups=, or give X" if name == "X" else "give it"
        raise ValueError(
            f"{name} does not say to which worm a row belongs; {remedy} the index level 'worm', as make_frames does"
        )
    if "" in set(map(str, animal)):
        raise ValueError(f"{name} has a worm whose name is empty; name it")
    index = pd.MultiIndex.from_arrays([worm, frame_of_rows(X, worm)], names=[WORM_LEVEL, FRAME_LEVEL])
    table = X if isinstance(X, pd.DataFrame) else pd.DataFrame(np.asarray(X))
    if table.columns.has_duplicates:
        twice = table.columns[table.columns.duplicated()][0]
        raise ValueError(f"{name} has several columns {twice!r}; drop or rename all but one")
    shape = np.shape(y)
    if shape[:1] != (len(X),) or len(shape) > most_axes:
        raise ValueError(f"{name} has {len(X)} rows, but its y has shape {shape}; pass {wanted}")
    if isinstance(y, pd.Series | pd.DataFrame) and isinstance(X, pd.DataFrame) and not y.index.equals(X.index):
        raise ValueError(
            f"{name} and its y have different indices, so their rows may not belong together; align them with "
            "y.loc[X.index], or pass y.to_numpy() where the rows do line up"
        )
    return table.set_axis(index, axis=0), None if np.array_equal(worm, animal) else animal


def _confusion(true: np.ndarray, predicted: np.ndarray) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for (state, guess), n in sorted(Counter(zip(true.tolist(), predicted.tolist(), strict=True)).items()):
        if state != UNKNOWN:
            counts.setdefault(state, {})[guess] = n
    return counts


def _arrays_of_table(table: pd.DataFrame | np.ndarray) -> list[np.ndarray]:
    if isinstance(table, np.ndarray):
        return [table]
    index = table.index.to_frame(index=False)
    names = [np.asarray(labels, dtype=str) for labels in (index[WORM_LEVEL], table.columns)]
    return [table.to_numpy(), index[FRAME_LEVEL].to_numpy(), *names]
