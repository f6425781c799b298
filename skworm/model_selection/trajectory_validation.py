"""Cross-validation of trajectory regressors: errors by worm and by step."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from skworm.layout import FRAME_LEVEL, WORM_LEVEL, parse_column_names, parse_step_column_names
from skworm.metrics import mse_by_step
from skworm.model_selection.evaluation_sets import arrays_of_table
from skworm.model_selection.results import digest_of_inputs
from skworm.model_selection.runs import Data, check_splitter, named_models, run_fits

_PERSISTENCE = "persistence_"


def cross_validate_trajectories(
    estimators: Mapping[str, Any],
    X: pd.DataFrame,
    Y: pd.DataFrame,
    *,
    cv: Any,
    transition: pd.Series | None = None,
    external: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]] | None = None,
    n_jobs: int | None = None,
    engine: str = "auto",
    out: str | os.PathLike[str] | None = None,
    verbose: int = 1,
) -> pd.DataFrame:
    """Fit every model once a split, and measure its errors on held-out windows, unseen worms and external data.

    Parameters
    ----------
    estimators : mapping of str to trajectory regressor
        Models by name. They are cloned, and fitted on DataFrames whose index tells the worm. A network is worth what it
        adds to a linear map: have a :class:`skworm.LinearTrajectoryRegressor` among them.
    X : DataFrame of shape (n_trajectories, burn_in * n_columns)
        Observed frames of :func:`skworm.frames.make_trajectories`.
    Y : DataFrame of shape (n_trajectories, horizon * n_columns)
        The frames after them.
    cv : WormGroupKFold
        The splits. Neighbouring trajectories share frames: without ``gap=burn_in + horizon``, held-out ones have been
        seen in training, in part. Its `test_on` has no effect here, since all evaluations are made.
    transition : Series of bool, shape (n_trajectories,), optional
        Which trajectories hold a change of state, see :func:`skworm.frames.contains_transition`; indexed like `X`.
        Trajectories of external sets may be among them.
    external : mapping of str to (X, Y), optional
        Further data sets by name, with the columns of `X` and `Y`.
    n_jobs, engine, out, verbose
        See :func:`cross_validate_worms`.

    Returns
    -------
    pandas.DataFrame
        One row per model, training worms, fold, evaluation, worm and step. Columns: ``model``; ``train_worms``, joined
        by ``"+"``; ``fold``; ``evaluation``, which is ``"held_out_windows"``, ``"unseen_worms"`` or the name of an
        external set; ``worm``, the scored one; ``step``, from 1; ``n_trajectories``; ``mse``, over all columns;
        ``mse_trace``, ``mse_derivative`` and so on, by node feature; with `transition`, ``n_transition``,
        ``mse_transition`` and ``mse_steady``, over trajectories with and without a change of state; beside each error
        that of persistence, which repeats the last observed frame, as ``persistence_mse`` and so on; ``fit_seconds``.

    Raises
    ------
    ValueError
        If `X` and `Y` are no trajectories, or data sets do not fit each other.
    RuntimeError
        If a fit fails, or a worker process is killed. Fits that had finished are kept in `out`.
    OSError
        If `out` cannot be written, or another run is at work there.
    KeyboardInterrupt
        If it is interrupted, with what is kept as its message.

    References
    ----------
    Wang et al. 2021, Figure 4C.

    Examples
    --------
    >>> from skworm import LinearTrajectoryRegressor, WormGroupKFold
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames, make_trajectories
    >>> from skworm.model_selection import cross_validate_trajectories, summarize_trajectories
    >>> frames, _ = make_frames(make_worms(2, n_frames=400, random_state=0), states=None, derivative="backward")
    >>> X, Y = make_trajectories(frames)
    >>> cv = WormGroupKFold(2, fold_by="contiguous_blocks", gap=17)
    >>> models = {"linear": LinearTrajectoryRegressor()}
    >>> results = cross_validate_trajectories(models, X, Y, cv=cv, n_jobs=1, verbose=0)
    >>> summary = summarize_trajectories(results).set_index(["model", "evaluation", "step"])
    >>> bool(summary.loc[("linear", "unseen_worms", 1), "skill"] > 0)
    True
    """
    check_splitter(cv)
    models = named_models(estimators, {})
    train = _trajectory_set("X", X, Y, transition)
    sets = {name: _external_set(name, *tables, train, transition) for name, tables in (external or {}).items()}
    inputs = None if out is None else digest_of_inputs(train, sets, cv)
    splits = list(cv.split_worms(X, Y, train.worm))
    rows = run_fits(
        models, Data(train, sets), splits, inputs, cv=cv, n_jobs=n_jobs, engine=engine, out=out, verbose=verbose
    )
    results = pd.DataFrame(rows)
    return results[[*results.columns.drop("fit_seconds"), "fit_seconds"]]


def summarize_trajectories(results: pd.DataFrame) -> pd.DataFrame:
    """Summarise the errors of :func:`cross_validate_trajectories` over worms, and give the skill over persistence.

    The worm is the unit: the errors of each worm are averaged over its fits first.

    Parameters
    ----------
    results : pandas.DataFrame
        The table of :func:`cross_validate_trajectories`.

    Returns
    -------
    pandas.DataFrame
        One row per model, evaluation and step: ``n_worms``, ``n_fits``; for each error, ``mse``, ``mse_trace`` and so
        on, its mean and its standard deviation over worms, ``mse`` and ``mse_std``, and the skill
        1 - MSE / MSE of persistence of the mean errors, ``skill``, ``skill_trace`` and so on; and ``skill_worst``, the
        lowest skill of any worm over all columns.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.model_selection import summarize_trajectories
    >>> results = pd.DataFrame({
    ...     "model": "gnn", "train_worms": "a", "fold": 0, "evaluation": "unseen_worms", "worm": ["b", "c"], "step": 1,
    ...     "mse": [0.01, 0.02], "persistence_mse": [0.02, 0.02],
    ... })
    >>> summarize_trajectories(results)[["n_worms", "mse", "skill", "skill_worst"]].round(3)
       n_worms    mse  skill  skill_worst
    0        2  0.015   0.25          0.0
    """
    errors = [name for name in map(str, results) if name == "mse" or name.startswith("mse_")]
    keys = ["model", "evaluation", "step"]
    both = [*errors, *(_PERSISTENCE + error for error in errors)]
    by_worm = results.groupby([*keys, "worm"], sort=False)[both].mean()
    over_worms = by_worm.groupby(level=keys, sort=False)
    means, deviations = over_worms.mean(), over_worms.std()
    fits = results.drop_duplicates([*keys, "train_worms", "fold"]).groupby(keys, sort=False).size()
    summary = pd.DataFrame({"n_worms": over_worms.size(), "n_fits": fits})
    for error in errors:
        summary[error], summary[f"{error}_std"] = means[error], deviations[error]
        summary[error.replace("mse", "skill")] = 1 - means[error] / means[_PERSISTENCE + error]
    of_worms = 1 - by_worm["mse"] / by_worm[_PERSISTENCE + "mse"]
    summary["skill_worst"] = of_worms.groupby(level=keys, sort=False).min()
    return summary.reset_index()


@dataclass(frozen=True, eq=False)
class TrajectorySet:
    """Trajectories, and how predictions of them are scored.

    Parameters
    ----------
    X : pandas.DataFrame of shape (n_trajectories, burn_in * n_columns)
        Observed frames.
    Y : pandas.DataFrame of shape (n_trajectories, horizon * n_columns)
        The frames after them.
    n_columns : int
        Columns of a frame.
    node_features : list of str
        Node features that are scored one by one.
    transition : numpy.ndarray of bool, shape (n_trajectories,), or None
        Which trajectories hold a change of state.
    """

    X: pd.DataFrame
    Y: pd.DataFrame
    n_columns: int
    node_features: list[str]
    transition: np.ndarray | None

    @property
    def worm(self) -> np.ndarray:
        """Worm of each trajectory."""
        return np.asarray(self.X.index.get_level_values(WORM_LEVEL))

    def training_samples(self, rows: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Give observed and future frames of the rows."""
        return self.X.iloc[rows], self.Y.iloc[rows]

    def arrays(self) -> list[np.ndarray]:
        """All that an error depends on."""
        transition = np.empty(0) if self.transition is None else self.transition
        return [*arrays_of_table(self.X), *arrays_of_table(self.Y), transition]

    def scores_by_worm(self, rows: np.ndarray, predicted: Any) -> list[tuple[str, dict[str, Any]]]:
        """Measure the errors of the predictions for `rows`: a dictionary a step for each worm."""
        worm, predicted = self.worm[rows], np.asarray(predicted)
        return [
            (str(name), {str(column): value for column, value in errors.items()})
            for name in np.unique(worm)
            for errors in self._errors(rows[worm == name], predicted[worm == name]).reset_index().to_dict("records")
        ]

    def _errors(self, rows: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
        own = self._errors_of(rows, predicted)
        last = self.X.iloc[rows, -self.n_columns :].to_numpy()
        persistence = self._errors_of(rows, np.tile(last, self.Y.shape[1] // self.n_columns)).add_prefix(_PERSISTENCE)
        counts = {"n_trajectories": len(rows)}
        if self.transition is not None:
            counts["n_transition"] = int(self.transition[rows].sum())
        return pd.concat([own, persistence], axis=1).assign(**counts)

    def _errors_of(self, rows: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
        true = self.Y.iloc[rows]
        errors = {"mse": mse_by_step(true, predicted)}
        for feature in self.node_features:
            errors[f"mse_{feature}"] = mse_by_step(true, predicted, node_feature=feature)
        if self.transition is not None:
            changes = self.transition[rows]
            for name, chosen in (("mse_transition", changes), ("mse_steady", ~changes)):
                missing = pd.Series(np.nan, index=errors["mse"].index)
                errors[name] = mse_by_step(true[chosen], predicted[chosen]) if chosen.any() else missing
        return pd.DataFrame(errors)


def _trajectory_set(name: str, X: Any, Y: Any, transition: pd.Series | None) -> TrajectorySet:
    for letter, table in (("X", X), ("Y", Y)):
        named = isinstance(table, pd.DataFrame) and parse_step_column_names(table.columns) is not None
        if not named or not {WORM_LEVEL, FRAME_LEVEL} <= set(table.index.names):
            raise ValueError(f"{name}: {letter} is no table of trajectories; make both with make_trajectories")
    if not X.index.equals(Y.index):
        raise ValueError(f"{name}: X and Y have different indices; make both with one call of make_trajectories")
    columns, _ = parse_step_column_names(Y.columns) or ([], [])
    parsed = parse_column_names(columns)
    node_features = [] if parsed is None else parsed[1]
    return TrajectorySet(X, Y, len(columns), node_features, _aligned(name, transition, X.index))


def _aligned(name: str, transition: pd.Series | None, index: pd.Index) -> np.ndarray | None:
    if transition is None:
        return None
    missing = index.difference(transition.index)
    if len(missing):
        raise ValueError(
            f"{name}: transition says nothing of {len(missing)} trajectories, first {missing[0]}; make it with "
            "contains_transition of the same Y"
        )
    return transition.reindex(index).to_numpy(dtype=bool)


def _external_set(
    name: str, X: pd.DataFrame, Y: pd.DataFrame, train: TrajectorySet, transition: pd.Series | None
) -> TrajectorySet:
    if name in ("held_out_windows", "unseen_worms"):
        raise ValueError(f"external set {name!r} has the name of an evaluation on the training data; rename it")
    title = f"external set {name!r}"
    part = _trajectory_set(title, X, Y, transition)
    for letter, own, trained in (("X", X, train.X), ("Y", Y, train.Y)):
        if list(own.columns) != list(trained.columns):
            raise ValueError(
                f"{title}: the columns of its {letter} are not those of the training {letter}; make both with the same "
                f"neurons, burn_in and horizon{_first_difference(own.columns, trained.columns)}"
            )
    shared = sorted(set(map(str, part.worm)) & set(map(str, train.worm)))
    if shared:
        raise ValueError(f"{title} has worms {shared}, which X has too; rename them, or leave them out")
    return part


def _first_difference(own: Iterable[str], trained: Iterable[str]) -> str:
    own, trained = list(own), list(trained)
    strange = [name for name in trained if name not in own] or [name for name in own if name not in trained]
    return f" (first {strange[0]!r})" if strange else ""
