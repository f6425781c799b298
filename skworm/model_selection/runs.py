"""Runs of many fits: one joblib task a fit, kept as soon as it has finished."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone

from skworm.model_selection.keeping import FitKeeper
from skworm.model_selection.locks import sole_use
from skworm.model_selection.progress import FitProgress
from skworm.model_selection.results import ResultStore, digest_of_fit
from skworm.model_selection.splits import WormSplit
from skworm.model_selection.workers import Failure, finished_calls


class ScoredSet(Protocol):
    """Samples that models are fitted to and scored on."""

    @property
    def X(self) -> pd.DataFrame:
        """Samples, indexed by worm and frame."""

    def fit(self, model: Any, rows: np.ndarray) -> None:
        """Fit a model to those of the rows that it may learn from."""

    def scores_by_worm(self, rows: np.ndarray, predicted: Any) -> list[tuple[str, dict[str, Any]]]:
        """Score the predictions for `rows`: one dictionary or several for each worm."""

    def arrays(self) -> list[np.ndarray]:
        """All that a score depends on, for a digest."""


class Data(NamedTuple):
    """What a run fits and scores.

    Parameters
    ----------
    train : ScoredSet
        Samples that are split.
    external : dict of str to ScoredSet
        Samples that are only scored.
    """

    train: ScoredSet
    external: dict[str, Any]


class Task(NamedTuple):
    """One fit.

    Parameters
    ----------
    name : str
        Name of the model.
    estimator : scikit-learn estimator
        The model, not fitted.
    split : WormSplit
        Its rows.
    """

    name: str
    estimator: Any
    split: WormSplit

    def __str__(self) -> str:
        return f"model {self.name!r} on {name_of_split(self.split)}"


def run_fits(
    models: Mapping[str, Any],
    data: Data,
    splits: Sequence[WormSplit],
    inputs: str | None,
    *,
    n_jobs: int | None,
    out: str | os.PathLike[str] | None,
    verbose: int,
) -> list[dict[str, Any]]:
    """Fit every model to every split and score it on held-out windows, unseen worms and external sets.

    Parameters
    ----------
    models : mapping of str to estimator
        Models by name.
    data : Data
        What to fit and to score.
    splits : sequence of WormSplit
        Rows of the fits.
    inputs : str or None
        What :func:`digest_of_inputs` returned; None where nothing is kept.
    n_jobs, out, verbose
        See :func:`cross_validate_worms`.

    Returns
    -------
    list of dict
        Rows of scores, model by model and split by split.

    Raises
    ------
    RuntimeError
        If a fit fails, or a worker process is killed. Fits that had finished are kept in `out`.
    OSError
        If `out` cannot be written, or another run is at work there.
    KeyboardInterrupt
        If it is interrupted, with what is kept as its message.
    """
    tasks = [Task(name, estimator, split) for name, estimator in models.items() for split in splits]
    if inputs is None or out is None:
        return _run(tasks, FitKeeper(None, list(map(str, range(len(tasks))))), data, n_jobs, verbose)
    digests = [digest_of_fit(inputs, *task) for task in tasks]
    with sole_use(out):
        return _run(tasks, FitKeeper(ResultStore(out), digests), data, n_jobs, verbose)


def _run(tasks: list[Task], keeper: FitKeeper, data: Data, n_jobs: int | None, verbose: int) -> list[dict[str, Any]]:
    digests = keeper.digests
    failures: list[tuple[Task, Failure]] = []
    # After a failure no further fit starts, but those under way finish and are kept.
    calls = (
        (number, task)
        for number, task in enumerate(tasks)
        if digests[number] not in keeper.rows_by_digest and not failures and not keeper.is_full
    )
    with (
        keeper.clear_end(),
        FitProgress(len(tasks), len(keeper.rows_by_digest), verbose) as progress,
        closing(finished_calls(_fit_and_score, calls, data, n_jobs)) as finished,
    ):
        for number, result in finished:
            if isinstance(result, Failure):
                failures.append((tasks[number], result))
                progress.stop(f"{len(failures)} failed")
                continue
            keeper.keep(digests[number], result)
            progress.finish(tasks[number].name)
            if keeper.is_full:
                progress.stop("disk full")
    if failures:
        _raise_failure(*failures[0], keeper)
    return [row for digest in digests for row in keeper.rows_by_digest[digest]]


def _fit_and_score(number: int, task: Task, data: Data) -> tuple[int, list[dict[str, Any]] | Failure]:
    # An exception would end the run before the parent has kept what other workers have finished.
    try:
        return number, _rows_of_fit(task, data)
    except Exception as error:
        return number, Failure(f"{type(error).__name__}: {error}", traceback.format_exc())


def _rows_of_fit(task: Task, data: Data) -> list[dict[str, Any]]:
    train, split = data.train, task.split
    model = clone(task.estimator)
    parts = [("held_out_windows", train, split.held_out), ("unseen_worms", train, split.unseen)]
    parts += [(name, part, np.arange(len(part.X))) for name, part in data.external.items()]
    with one_torch_thread(model):
        start = time.perf_counter()
        train.fit(model, split.train)
        fit_seconds = time.perf_counter() - start
        scores = [
            (evaluation, worm, score)
            for evaluation, part, rows in parts
            if len(rows)
            for worm, score in part.scores_by_worm(rows, model.predict(part.X.iloc[rows]))
        ]
    labels = {"model": task.name, "train_worms": "+".join(map(str, split.train_worms)), "fold": split.fold}
    return [
        {**labels, "evaluation": evaluation, "worm": worm, **score, "fit_seconds": fit_seconds}
        for evaluation, worm, score in scores
    ]


@contextmanager
def one_torch_thread(model: Any) -> Iterator[None]:
    """Let torch use one thread within the context, where the model may use torch at all."""
    # Small models are slower on two threads than on one, and a worker a core leaves no core for a second.
    nested = [model, *model.get_params(deep=True).values()]
    own = any(isinstance(value, BaseEstimator) and type(value).__module__.startswith("skworm.") for value in nested)
    if not own and "torch" not in sys.modules:
        yield
        return
    import torch

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def check_splitter(cv: Any) -> None:
    """Refuse what does not split by worm."""
    if not hasattr(cv, "split_worms"):
        raise TypeError(f"cv={cv!r} does not split by worm; pass a WormGroupKFold")


def named_models(estimators: Mapping[str, Any], baselines: Mapping[str, Any]) -> dict[str, Any]:
    """Clone models, and add baselines.

    Parameters
    ----------
    estimators, baselines : mapping of str to estimator
        Models by name.

    Returns
    -------
    dict of str to estimator
        Both, not fitted.

    Raises
    ------
    TypeError
        If something is no estimator.
    ValueError
        If a model has the name of a baseline.
    """
    if not isinstance(estimators, Mapping):
        raise TypeError(f"estimators is a {type(estimators).__name__}; pass a mapping such as {{'svm': SVC()}}")
    for name, estimator in estimators.items():
        if not hasattr(estimator, "fit") or not hasattr(estimator, "predict") or isinstance(estimator, type):
            raise TypeError(f"model {name!r} is {estimator!r}; pass an estimator with fit and predict, such as SVC()")
    taken = sorted(baselines.keys() & estimators.keys())
    if taken:
        raise ValueError(f"model {taken[0]!r} has the name of a baseline; rename it, or pass baselines=False")
    # A fitted model must not be told from a new one when its results are looked up.
    return {name: clone(estimator) for name, estimator in estimators.items()} | dict(baselines)


def name_of_split(split: WormSplit) -> str:
    """Name the training worms and the fold of a split."""
    return f"worms {'+'.join(map(str, split.train_worms))}, fold {split.fold}"


def _raise_failure(task: Task, failure: Failure, keeper: FitKeeper) -> None:
    error = RuntimeError(f"{task} failed with {failure.message}; {keeper}; {failure.mend}, and call again")
    error.add_note(failure.traceback)
    raise error
