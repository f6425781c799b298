"""Runs of many fits: one task a fit, or a stack of fits, kept as soon as it has finished."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import groupby
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from sklearn.base import BaseEstimator, clone

from skworm.model_selection.keeping import FitKeeper
from skworm.model_selection.locks import sole_use
from skworm.model_selection.progress import FitProgress
from skworm.model_selection.results import ResultStore, digest_of_fit
from skworm.model_selection.run_records import record_run
from skworm.model_selection.splits import WormSplit
from skworm.model_selection.together import fit_together, fits_at_a_time
from skworm.model_selection.workers import Failure, finished_calls


class ScoredSet(Protocol):
    """Samples that models are fitted to and scored on."""

    @property
    def X(self) -> pd.DataFrame:
        """Samples, indexed by worm and frame."""

    def training_samples(self, rows: np.ndarray) -> tuple[Any, Any]:
        """Give X and y of those of the rows that a model may learn from."""

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
    cv: Any,
    n_jobs: int | None,
    engine: str,
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
    cv : WormGroupKFold
        What made the splits, for the record of the run.
    n_jobs, engine, out, verbose
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
        return _run(tasks, FitKeeper(None, list(map(str, range(len(tasks))))), data, n_jobs, engine, verbose)
    digests = [digest_of_fit(inputs, *task) for task in tasks]
    with sole_use(out):
        record_run(out, digests, models, data.train, data.external, cv, splits)
        return _run(tasks, FitKeeper(ResultStore(out), digests), data, n_jobs, engine, verbose)


def _run(
    tasks: list[Task], keeper: FitKeeper, data: Data, n_jobs: int | None, engine: str, verbose: int
) -> list[dict[str, Any]]:
    digests, failures = keeper.digests, list[tuple[Task, Failure]]()
    pending = [number for number, digest in enumerate(digests) if digest not in keeper.rows_by_digest]
    n_processes = effective_n_jobs(n_jobs)
    parts = _divided(tasks, pending, engine, n_processes)
    # After a failure no further fit starts, but those under way finish and are kept.
    calls = (
        (number, [tasks[task] for task in part], n_processes)
        for number, part in enumerate(parts)
        if not failures and not keeper.is_full
    )
    with (
        keeper.clear_end(),
        FitProgress(len(tasks), len(keeper.rows_by_digest), verbose) as progress,
        closing(finished_calls(_fit_and_score, calls, data, n_jobs)) as finished,
    ):
        for call, results in finished:
            # A call that could not be made at all has a single failure.
            for number, result in zip(parts[call], results if isinstance(results, list) else [results], strict=False):
                if isinstance(result, Failure):
                    failures.append((tasks[number], result))
                    progress.stop(f"{len(failures)} failed")
                    continue
                keeper.keep(digests[number], result.rows)
                progress.finish(tasks[number].name)
            if keeper.is_full:
                progress.stop("disk full")
    if failures:
        _raise_failure(*failures[0], keeper)
    return [row for digest in digests for row in keeper.rows_by_digest[digest]]


def _divided(tasks: list[Task], pending: list[int], engine: str, n_processes: int) -> list[list[int]]:
    """Divide pending tasks into calls: several tasks of one model where it trains them together."""
    parts = []
    for _, group in groupby(pending, lambda number: tasks[number].name):
        numbers = list(group)
        size = fits_at_a_time(tasks[numbers[0]].estimator, engine, len(numbers), n_processes)
        parts += [numbers[start : start + size] for start in range(0, len(numbers), size)]
    return parts


class _Finished(NamedTuple):
    rows: list[dict[str, Any]]


def _fit_and_score(
    number: int, tasks: list[Task], n_processes: int, data: Data
) -> tuple[int, list[_Finished | Failure]]:
    estimator = tasks[0].estimator
    samples = [data.train.training_samples(task.split.train) for task in tasks]
    with one_torch_thread(estimator):
        start = time.perf_counter()
        models = _fitted(estimator, samples, n_processes)
        seconds = (time.perf_counter() - start) / len(tasks)
        return number, [_scored(task, model, seconds, data) for task, model in zip(tasks, models, strict=True)]


def _fitted(estimator: Any, samples: list[tuple[Any, Any]], n_processes: int) -> list[Any | Exception]:
    # An exception would end the run before the parent has kept what other workers have finished.
    try:
        if len(samples) > 1:
            return fit_together(estimator, samples, n_processes)
        return [clone(estimator).fit(*samples[0])]
    except Exception as error:
        return [error] * len(samples)


def _scored(task: Task, model: Any, fit_seconds: float, data: Data) -> _Finished | Failure:
    try:
        if isinstance(model, Exception):
            raise model
        return _Finished(_rows_of_fit(task, model, fit_seconds, data))
    except Exception as error:
        return Failure(f"{type(error).__name__}: {error}", traceback.format_exc())


def _rows_of_fit(task: Task, model: Any, fit_seconds: float, data: Data) -> list[dict[str, Any]]:
    train, split = data.train, task.split
    parts = [("held_out_windows", train, split.held_out), ("unseen_worms", train, split.unseen)]
    parts += [(name, part, np.arange(len(part.X))) for name, part in data.external.items()]
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
