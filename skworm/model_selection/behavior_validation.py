"""Cross-validation of behaviour regressors: scores of continuous signals by worm."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import check_random_state

from skworm.layout import WORM_LEVEL, signal_names
from skworm.metrics import score_behavior
from skworm.model_selection.cross_validation import frame_number
from skworm.model_selection.evaluation_sets import arrays_of_table, check_same_rows, frames_by_worm, like_training
from skworm.model_selection.paired_tests import bootstrap_over_worms
from skworm.model_selection.results import digest_of_inputs
from skworm.model_selection.runs import Data, check_splitter, name_of_split, named_models, run_fits

_SCORES = ["r2", "correlation", "rmse"]
_COLUMNS = ["model", "train_worms", "fold", "evaluation", "worm", "signal", "n_frames", *_SCORES, "fit_seconds"]
_INTERVAL = [0.025, 0.975]


def cross_validate_behavior(
    estimators: Mapping[str, Any],
    X: Any,
    y: Any,
    *,
    groups: Any = None,
    cv: Any,
    external: Mapping[str, tuple[Any, Any]] | None = None,
    baselines: bool = True,
    n_jobs: int | None = None,
    engine: str = "auto",
    out: str | os.PathLike[str] | None = None,
    verbose: int = 1,
) -> pd.DataFrame:
    """Fit every regressor once a split, and score it on held-out windows, unseen worms and external data.

    Frames where a signal is NaN are not trained on, and not scored for that signal, but estimators see them when they
    predict.

    Parameters
    ----------
    estimators : mapping of str to scikit-learn regressor
        Models by name. They are cloned, and fitted on DataFrames whose index tells worm and frame.
    X : DataFrame or array-like, shape (n_frames, n_columns)
        Frames, as :func:`skworm.frames.make_frames` returns them.
    y : Series, DataFrame or array-like, shape (n_frames,) or (n_frames, n_signals)
        Signals of :func:`skworm.frames.make_behavior`, NaN where none is known.
    groups : array-like of shape (n_frames,), optional
        Worm of each row; from the index level ``"worm"`` of `X` where absent.
    cv : WormGroupKFold
        The splits; its `test_on` has no effect here, since all evaluations are made. Signals change slowly, so held-out
        windows want ``fold_by="contiguous_blocks"`` and a `gap`.
    external : mapping of str to (X, y), optional
        Further data sets by name, each a DataFrame with index level ``"worm"`` and the columns of `X`, in any order,
        and the same signals.
    baselines : bool, default=True
        Add three models: ``"mean"`` predicts the mean over training frames, ``"clock"`` the signal of the training
        frame with the nearest frame number, without looking at any neuron, and ``"linear"`` is scikit-learn's `Ridge`.
        A network is worth what it adds to the last.
    n_jobs, engine, out, verbose
        See :func:`cross_validate_worms`.

    Returns
    -------
    pandas.DataFrame
        One row per model, training worms, fold, evaluation, worm and signal. Columns: ``model``; ``train_worms``,
        joined by ``"+"``; ``fold``; ``evaluation``, which is ``"held_out_windows"``, ``"unseen_worms"`` or the name of
        an external set; ``worm``, the scored one; ``signal``; ``n_frames``, ``r2``, ``correlation`` and ``rmse`` of
        :func:`skworm.metrics.score_behavior`; ``fit_seconds``.

    Raises
    ------
    ValueError
        If data sets do not fit each other, or fewer than two training frames of a split have known signals.
    RuntimeError
        If a fit fails, or a worker process is killed. Fits that had finished are kept in `out`.
    OSError
        If `out` cannot be written, or another run is at work there.
    KeyboardInterrupt
        If it is interrupted, with what is kept as its message.

    See Also
    --------
    summarize_behavior : Mean and interval over worms.
    compare_models : Models worm by worm; takes the rows of one signal, with ``score="r2"``.

    Examples
    --------
    >>> from sklearn.svm import SVR
    >>> from skworm import WormGroupKFold
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_behavior, make_frames
    >>> from skworm.model_selection import cross_validate_behavior, summarize_behavior
    >>> worms = make_worms(3, n_frames=400, random_state=0)
    >>> X, _ = make_frames(worms, states=None)
    >>> velocity = make_behavior(worms, X)
    >>> cv = WormGroupKFold(2, fold_by="contiguous_blocks", gap=8)
    >>> results = cross_validate_behavior({"svm": SVR(epsilon=0.01)}, X, velocity, cv=cv, verbose=0)
    >>> summary = summarize_behavior(results, random_state=0).set_index(["evaluation", "model"])
    >>> bool(summary.loc[("unseen_worms", "svm"), "r2_mean"] > summary.loc[("unseen_worms", "clock"), "r2_mean"])
    True
    """
    check_splitter(cv)
    models = named_models(estimators, behavior_baselines() if baselines else {})
    train = _behavior_set("X", X, y, groups)
    sets = {name: _external_set(name, *tables, train) for name, tables in (external or {}).items()}
    # Before splitting, which draws from a random_state that is a generator.
    inputs = None if out is None else digest_of_inputs(train, sets, cv)
    splits = list(cv.split_worms(train.X, None, train.worm))
    for split in splits:
        n_known = len(train.training_samples(split.train)[0])
        if n_known < 2:
            raise ValueError(
                f"{name_of_split(split)}: {n_known} training rows have known signals, and a regressor needs two; train "
                "on more worms, lower gap, or leave out worms or signals that are NaN"
            )
    rows = run_fits(
        models, Data(train, sets), splits, inputs, cv=cv, n_jobs=n_jobs, engine=engine, out=out, verbose=verbose
    )
    return pd.DataFrame(rows, columns=_COLUMNS)


def behavior_baselines() -> dict[str, Any]:
    """Make the models that a decoder of behaviour is measured by.

    Returns
    -------
    dict of str to scikit-learn regressor
        ``"mean"``, ``"clock"`` and ``"linear"``, see :func:`cross_validate_behavior`; fitted on DataFrames with the
        index level ``"frame"``.

    Examples
    --------
    >>> from skworm.model_selection.behavior_validation import behavior_baselines
    >>> list(behavior_baselines())
    ['mean', 'clock', 'linear']
    """
    clock = make_pipeline(FunctionTransformer(frame_number), KNeighborsRegressor(n_neighbors=1))
    return {"mean": DummyRegressor(), "clock": clock, "linear": Ridge(alpha=1.0)}


def summarize_behavior(results: pd.DataFrame, *, n_resamples: int = 10_000, random_state: Any = None) -> pd.DataFrame:
    """Summarise the scores of :func:`cross_validate_behavior` over worms.

    The worm is the unit: the scores of each worm are averaged over its fits first.

    Parameters
    ----------
    results : pandas.DataFrame
        The table of :func:`cross_validate_behavior`.
    n_resamples : int, default=10_000
        Bootstrap resamples.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same intervals in every call.

    Returns
    -------
    pandas.DataFrame
        One row per model, evaluation and signal; columns ``model, evaluation, signal, n_worms, n_fits``, and for each
        score, ``r2``, ``correlation`` and ``rmse``: ``r2_mean``, ``r2_std``, the sample standard deviation over worms,
        and ``r2_low`` and ``r2_high``, the 95 % interval of the mean from a bootstrap over worms and the fits within
        each. What is not known for a worm, such as the correlation of a constant prediction, leaves the mean NaN;
        deviation and interval are NaN with one worm. Intervals from few worms are too narrow; see
        :func:`compare_models`.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.model_selection import summarize_behavior
    >>> results = pd.DataFrame({
    ...     "model": "mlp", "train_worms": "a", "fold": [0, 0, 1, 1], "evaluation": "unseen_worms",
    ...     "worm": ["b", "c", "b", "c"], "signal": "velocity", "r2": [0.8, 0.6, 1.0, 0.6], "correlation": 0.9,
    ...     "rmse": 0.02,
    ... })
    >>> summarize_behavior(results, random_state=0)[["n_worms", "n_fits", "r2_mean", "r2_low", "r2_high"]].round(3)
       n_worms  n_fits  r2_mean  r2_low  r2_high
    0        2       2     0.75     0.6     0.95
    """
    keys = ["model", "evaluation", "signal"]
    seed = int(check_random_state(random_state).randint(2**31 - 1))
    rows = []
    for names, part in results.groupby(keys, sort=False):
        of_worms = [own[_SCORES].to_numpy(dtype=float) for _, own in part.groupby("worm", sort=False)]
        n_fits = len(part.drop_duplicates(["train_worms", "fold"]))
        # The same draws for every model.
        summary = _summary_of(of_worms, n_resamples, np.random.RandomState(seed))
        rows.append({**dict(zip(keys, names, strict=True)), "n_worms": len(of_worms), "n_fits": n_fits, **summary})
    return pd.DataFrame(rows)


def _summary_of(of_worms: list[np.ndarray], n_resamples: int, rng: np.random.RandomState) -> dict[str, float]:
    means = np.array([own.mean(axis=0) for own in of_worms])
    deviations, low, high = np.full((3, len(_SCORES)), np.nan)
    if len(means) > 1:
        deviations = means.std(axis=0, ddof=1)
        low, high = np.quantile(bootstrap_over_worms(of_worms, n_resamples=n_resamples, rng=rng), _INTERVAL, axis=0)
    values = zip(_SCORES, means.mean(axis=0), deviations, low, high, strict=True)
    parts = ("mean", "std", "low", "high")
    return {f"{score}_{part}": float(v) for score, *own in values for part, v in zip(parts, own, strict=True)}


@dataclass(frozen=True, eq=False)
class BehaviorSet:
    """Frames with their signals, and how predictions on them are scored.

    Parameters
    ----------
    X : pandas.DataFrame of shape (n_frames, n_columns)
        Frames, indexed by worm and frame.
    y : pandas.DataFrame of shape (n_frames, n_signals)
        Signals, NaN where none is known, with the same index.
    one_column : bool, default=False
        Whether models are given a Series, not a DataFrame.
    """

    X: pd.DataFrame
    y: pd.DataFrame
    one_column: bool = False

    @property
    def worm(self) -> np.ndarray:
        """Worm of each row, shape (n_frames,)."""
        return np.asarray(self.X.index.get_level_values(WORM_LEVEL))

    def training_samples(self, rows: np.ndarray) -> tuple[pd.DataFrame, Any]:
        """Give frames and signals of those of the rows whose signals are all known."""
        known = rows[self.y.iloc[rows].notna().all(axis=1).to_numpy()]
        signals = self.y.iloc[known]
        return self.X.iloc[known], signals.iloc[:, 0] if self.one_column else signals

    def arrays(self) -> list[np.ndarray]:
        """All that a score depends on."""
        return [*arrays_of_table(self.X), *arrays_of_table(self.y)]

    def scores_by_worm(self, rows: np.ndarray, predicted: Any) -> list[tuple[str, dict[str, Any]]]:
        """Score the predictions for `rows`: one dictionary a signal for each worm."""
        true = self.y.iloc[rows].to_numpy()
        values = np.asarray(predicted, dtype=float)
        if values.size != true.size or len(values) != len(true):
            raise ValueError(f"the model predicts values of shape {values.shape}, but the signals have {true.shape}")
        values = values.reshape(true.shape)
        codes, names = pd.factorize(self.worm[rows], sort=True)
        scores = []
        for code, name in enumerate(names):
            own = zip(self.y.columns, true[codes == code].T, values[codes == code].T, strict=True)
            scores += [(str(name), {"signal": signal, **score_behavior(*columns)}) for signal, *columns in own]
        return scores


def _behavior_set(name: str, X: Any, y: Any, groups: Any) -> BehaviorSet:
    table = frames_by_worm(name, X, groups)
    values = np.asarray(y, dtype=float)
    if values.ndim not in (1, 2) or len(values) != len(table):
        raise ValueError(
            f"{name} has {len(table)} rows, but its y has shape {values.shape}; pass one value a row, or one column a "
            "signal"
        )
    check_same_rows(name, X, y)
    if np.isinf(values).any():
        raise ValueError(f"the y of {name} is infinite at row {np.argwhere(np.isinf(values))[0, 0]}; write NaN there")
    signals = pd.DataFrame(values.reshape(len(table), -1), index=table.index, columns=signal_names(y))
    return BehaviorSet(table, signals, one_column=values.ndim == 1)


def _external_set(name: str, X: Any, y: Any, train: BehaviorSet) -> BehaviorSet:
    part = _behavior_set(f"external set {name!r}", X, y, None)
    if list(part.y.columns) != list(train.y.columns):
        raise ValueError(
            f"external set {name!r} has the signals {list(part.y.columns)}, but models are trained on "
            f"{list(train.y.columns)}; make both with make_behavior of the same signals"
        )
    return BehaviorSet(like_training(name, part.X, train.X), part.y, train.one_column)
