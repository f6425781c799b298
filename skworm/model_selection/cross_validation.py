"""Cross-validation by worm: every model is fitted once a split and scored worm by worm, fits are kept one by one."""

from __future__ import annotations

import errno
import os
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import closing, contextmanager
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from sklearn.base import clone
from tqdm import tqdm

from skworm.model_selection.results import WormScores
from skworm.model_selection.samples import EVALUATIONS, Samples, make_samples
from skworm.model_selection.splits import WormSplit
from skworm.model_selection.stacks import fit_together, fits_at_a_time
from skworm.model_selection.store import FitStore, digest_of_fit, digest_of_inputs, record_of_run
from skworm.model_selection.workers import Failure, finished_calls


def cross_validate_worms(
    estimators: Mapping[str, Any],
    X: Any,
    y: Any,
    *,
    cv: Any,
    groups: Any = None,
    external: Mapping[str, tuple[Any, Any]] | None = None,
    transition: pd.Series | None = None,
    baselines: bool = True,
    memory: str | os.PathLike[str] | None = None,
    n_jobs: int | None = None,
    verbose: int = 1,
) -> WormScores:
    """Fit every model once a split, and score it on held-out windows, unseen worms and external data.

    Estimators and `y` tell the task: classifiers and state names, regressors and signals, or trajectory regressors and
    trajectories. Frames whose state is ``"unknown"`` or whose signal is NaN are neither trained on nor scored, but
    estimators see them when they predict: an estimator may use all frames of a new worm.

    Every (model, split) is one joblib task, so ``joblib.parallel_config`` chooses where they run: with ``"dask"``, on
    the machines of a cluster. On a GPU, one task trains many splits as a stack.

    Parameters
    ----------
    estimators : mapping of str to scikit-learn estimator
        Models by name. They are cloned, fitted on DataFrames whose index names worm and frame, and asked to predict.
    X : DataFrame or array-like, shape (n_samples, n_columns)
        Frames of :func:`skworm.frames.make_frames`, or observed frames of :func:`skworm.frames.make_trajectories`.
    y : Series, DataFrame or array-like, shape (n_samples,) or (n_samples, n_outputs)
        The state of each frame, ``"unknown"`` where none is known; signals of :func:`skworm.frames.make_behavior`, NaN
        where none is known; or the frames after `X` of :func:`skworm.frames.make_trajectories`.
    cv : WormGroupKFold
        The splits; its `test_on` has no effect here, since all evaluations are made. Signals change slowly, so
        held-out windows of behaviour and trajectories want ``fold_by="contiguous_blocks"`` and a `gap`: of
        ``burn_in + horizon`` for trajectories, which otherwise share frames with training ones.
    groups : array-like of shape (n_frames,), optional
        Worm of each row, or its animal where several recordings are of one: it splits, and is scored, as one. By
        default the index level ``"worm"`` of `X`.
    external : mapping of str to (X, y), optional
        Further data sets by name, each with the index level ``"worm"`` and the columns of `X`, in any order. Where one
        of the two sides has ``"turn"`` only, the other's dorsal and ventral turns count as ``"turn"``.
    transition : Series of bool, optional
        For trajectories: which ones hold a change of state, see :func:`skworm.frames.contains_transition`; indexed like
        `X`, those of external sets among them. Their errors are measured apart.
    baselines : bool, default=True
        Add the models that a score is measured by. States: ``"majority"`` predicts the most frequent training state,
        ``"clock"`` the state of the worm's training frame with the nearest frame number, without looking at any neuron;
        what it scores on held-out windows is what remembering the moment is worth. For an unseen worm it takes the most
        frequent of the training worms' states at that frame. Behaviour: ``"mean"``, ``"clock"`` and
        ``"linear"``, a ridge regression. Trajectories: ``"persistence"``, ``"mean"`` and ``"linear"``, a
        :class:`skworm.LinearTrajectoryRegressor`.
    memory : str or path-like, optional
        A folder that keeps each finished fit at once. A call with the same folder takes from it what has been done for
        the same data, splits, parameters and package versions, and fits the rest; a random_state of None counts as
        the same in a model, but gives `cv` new splits. A change in the code of an estimator goes unnoticed.
    n_jobs : int, optional
        Tasks at a time, as joblib understands it.
    verbose : int, default=1
        1 shows a progress bar, 0 nothing.

    Returns
    -------
    WormScores
        The scores of every model, split, evaluation and worm, with a summary over worms and comparisons of models.

    Raises
    ------
    ValueError
        If data sets do not fit each other, or the training rows of a split are too few.
    TypeError
        If estimators and `y` are of different tasks, or `cv` does not split by worm.
    RuntimeError
        If a fit fails, or a worker process is killed. Fits that had finished are kept in `memory`.
    OSError
        If `memory` cannot be written.
    KeyboardInterrupt
        If it is interrupted, with what is kept as its message.

    References
    ----------
    Wang et al. 2021, Table 1 (held-out windows against unseen worms), Figure 4C, and the external data set of Nichols
    et al. 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.svm import SVC
    >>> from skworm.model_selection import WormGroupKFold, cross_validate_worms
    >>> rng = np.random.default_rng(0)
    >>> y = np.tile(np.repeat(["forward", "reverse"], 20), 3)
    >>> X = rng.normal(size=(120, 2)) + 5.0 * (y == "forward")[:, None]
    >>> worm = np.repeat(["worm-a", "worm-b", "worm-c"], 40)
    >>> cv = WormGroupKFold(n_splits=2, window=4, random_state=0)
    >>> scores = cross_validate_worms({"svm": SVC()}, X, y, groups=worm, cv=cv, baselines=False, verbose=0)
    >>> scores.table.head(3)[["train_worms", "fold", "evaluation", "worm", "n_frames"]]
      train_worms  fold        evaluation    worm  n_frames
    0   (worm-a,)     0  held_out_windows  worm-a        20
    1   (worm-a,)     0      unseen_worms  worm-b        40
    2   (worm-a,)     0      unseen_worms  worm-c        40
    >>> bool((scores.summary()["accuracy_mean"] > 0.95).all())
    True
    """
    check_splitter(cv)
    if not isinstance(estimators, Mapping):
        raise TypeError(f"estimators is a {type(estimators).__name__}; pass a mapping such as {{'svm': SVC()}}")
    for name, estimator in estimators.items():
        if name == "":
            raise ValueError("the name of a model is empty; pass a name such as 'svm'")
        if not hasattr(estimator, "fit") or not hasattr(estimator, "predict") or isinstance(estimator, type):
            raise TypeError(f"model {name!r} is {estimator!r}; pass an estimator with fit and predict, such as SVC()")
    train, sets = make_samples(estimators, X, y, groups, external=external, transition=transition)
    added = train.baselines() if baselines else {}
    taken = sorted(added.keys() & estimators.keys())
    if taken:
        raise ValueError(f"model {taken[0]!r} has the name of a baseline; rename it, or pass baselines=False")
    # A fitted model must not be told from a new one when its results are looked up.
    models = {name: clone(estimator) for name, estimator in estimators.items()} | added
    # Before splitting, which draws from a random_state that is a generator.
    inputs = None if memory is None else digest_of_inputs(train, sets, cv)
    splits = list(cv.split_worms(train.X, None, train.worm))
    for split in splits:
        train.check_split(split)
    tasks = [Task(name, estimator, split) for name, estimator in models.items() for split in splits]
    digests = [str(number) if inputs is None else digest_of_fit(inputs, *task) for number, task in enumerate(tasks)]
    run = _Run(tasks, digests, None if memory is None else FitStore(memory))
    record = record_of_run(digests, models, train, sets, cv, splits)
    run.keep_record(record)
    run.fit((train, sets), n_jobs, verbose)
    return WormScores.from_rows([row for digest in run.digests for row in run.rows[digest]], record)


_Data = tuple[Samples, dict[str, Samples]]
"""Samples that are split, and samples that are only scored, by name."""


class Task(NamedTuple):
    """One fit: the name of a model, the model, not fitted, and its rows."""

    name: str
    estimator: Any
    split: WormSplit

    def __str__(self) -> str:
        return f"model {self.name!r} on {self.split}"


class _Run:
    """The fits of one call: what has finished is kept as it comes, and an early end says how to go on."""

    def __init__(self, tasks: list[Task], digests: list[str], store: FitStore | None) -> None:
        self.tasks, self.digests, self.store = tasks, digests, store
        self.rows = {} if store is None else store.read(digests)
        self.failures: dict[int, Failure] = {}

    def keep_record(self, record: dict[str, Any]) -> None:
        """Keep what the run is."""
        if self.store is not None:
            with self._writing(self.store):
                self.store.write_run(record)

    def fit(self, data: _Data, n_jobs: int | None, verbose: int) -> None:
        """Make the fits that are missing."""
        pending = [number for number, digest in enumerate(self.digests) if digest not in self.rows]
        n_processes = max(1, min(effective_n_jobs(n_jobs), len(pending)))
        parts = self._divided(pending, n_processes)
        # After a failure no further fit starts, but those under way finish and are kept.
        calls = (
            (number, [self.tasks[task] for task in part], n_processes)
            for number, part in enumerate(parts)
            if not self.failures
        )
        # Without smoothing: fits differ in length from model to model, and parallel ones end in bunches.
        bar: dict[str, Any] = {"unit": "fit", "smoothing": 0, "disable": not verbose}
        try:
            with (
                tqdm(total=len(self.tasks), initial=len(self.tasks) - len(pending), **bar) as progress,
                closing(finished_calls(_fit_and_score, calls, data, n_processes)) as finished,
            ):
                for call, results in finished:
                    # A call that could not be made at all has a single failure.
                    results = results if isinstance(results, list) else [results]
                    for number, result in zip(parts[call], results, strict=False):
                        self._take(number, result)
                        progress.update(not isinstance(result, Failure))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"interrupted; {self}; call again to go on") from None
        except BrokenExecutor as error:
            raise BrokenExecutor(f"{error}; {self}; call again to go on") from None
        if self.failures:
            # The first in the order of tasks: which one ends first is a matter of chance.
            number, failure = min(self.failures.items())
            message = f"{self.tasks[number]} failed with {failure.message}; {self}; {failure.remedy}, and call again"
            raised = RuntimeError(message)
            raised.add_note(failure.traceback)
            raise raised

    def _divided(self, pending: list[int], n_processes: int) -> list[list[int]]:
        """Divide pending tasks into calls: several tasks of one model where it trains them together."""
        parts = []
        for _, group in groupby(pending, lambda number: self.tasks[number].name):
            numbers = list(group)
            size = fits_at_a_time(self.tasks[numbers[0]].estimator, len(numbers), n_processes)
            parts += [numbers[start : start + size] for start in range(0, len(numbers), size)]
        return parts

    def _take(self, number: int, result: list[dict[str, Any]] | Failure) -> None:
        if isinstance(result, Failure):
            self.failures[number] = result
            return
        if self.store is not None:
            with self._writing(self.store):
                self.store.write(self.digests[number], result)
        self.rows[self.digests[number]] = result

    @contextmanager
    def _writing(self, store: FitStore) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            remedy = "free some space" if is_full else "pass a folder that can be written as memory="
            raised = OSError(
                f"{store.folder} cannot be written ({error.strerror or error}); {self}; {remedy}, and call again to go "
                "on"
            )
            raised.errno = error.errno
            raise raised from None

    def __str__(self) -> str:
        fits = f"{len(self.rows)} of {len(self.digests)} fits"
        if self.store is None:
            return f"{fits} had finished, and nothing is kept: pass memory= to keep finished fits"
        return f"{fits} are kept in {self.store.folder}"


def _fit_and_score(
    number: int, tasks: list[Task], n_processes: int, data: _Data
) -> tuple[int, list[list[dict[str, Any]] | Failure]]:
    start = time.perf_counter()
    models = _fitted(tasks, n_processes, data[0])
    seconds = (time.perf_counter() - start) / len(tasks)
    return number, [_scored(task, model, seconds, data) for task, model in zip(tasks, models, strict=True)]


def _fitted(tasks: list[Task], n_processes: int, train: Samples) -> Sequence[Any]:
    # An exception would end the run before the parent has kept what other workers have finished.
    try:
        if len(tasks) > 1:
            samples = [train.training_samples(task.split.train) for task in tasks]
            return fit_together(tasks[0].estimator, samples, n_processes)
        return [train.fit(tasks[0].estimator, tasks[0].split.train)]
    except Exception as error:
        return [error] * len(tasks)


def _scored(task: Task, model: Any, fit_seconds: float, data: _Data) -> list[dict[str, Any]] | Failure:
    try:
        if isinstance(model, Exception):
            raise model
        (train, external), split = data, task.split
        parts = [(name, train, rows) for name, rows in zip(EVALUATIONS, (split.held_out, split.unseen), strict=True)]
        parts += [(name, part, np.arange(len(part.X))) for name, part in external.items()]
        labels = {"model": task.name, "train_worms": list(map(str, split.train_worms)), "fold": split.fold}
        return [
            {**labels, "evaluation": evaluation, **scores, "fit_seconds": fit_seconds}
            for evaluation, part, rows in parts
            if len(rows)
            for scores in part.scores(rows, model.predict(part.X.iloc[rows]))
        ]
    except Exception as error:
        return Failure(f"{type(error).__name__}: {error}", traceback.format_exc())


def check_splitter(cv: Any) -> None:
    """Raise a TypeError unless `cv` splits by worm."""
    if not hasattr(cv, "split_worms"):
        raise TypeError(f"cv={cv!r} does not split by worm; pass a WormGroupKFold")
