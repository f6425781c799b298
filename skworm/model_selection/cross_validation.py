"""Cross-validation that fits once a split, and scores worm by worm."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, clone
from sklearn.dummy import DummyClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from tqdm import tqdm

from skworm.layout import FRAME_LEVEL
from skworm.model_selection.evaluation_sets import EvaluationSet, external_sets, training_set
from skworm.model_selection.results import SCORES, ResultStore, digest_of_fit, digest_of_inputs
from skworm.model_selection.splits import WormSplit
from skworm.states import UNKNOWN

_COLUMNS = ["model", "train_worms", "fold", "evaluation", "worm", "n_frames", *SCORES, "fit_seconds"]


def cross_validate_worms(
    estimators: Mapping[str, Any],
    X: Any,
    y: Any,
    *,
    groups: Any = None,
    cv: Any,
    external: Mapping[str, tuple[Any, Any]] | None = None,
    baselines: bool = True,
    n_jobs: int | None = None,
    out: str | os.PathLike[str] | None = None,
    verbose: int = 1,
) -> pd.DataFrame:
    """Fit every model once a split, and score it on held-out windows, unseen worms and external data.

    Frames whose state is ``"unknown"`` are neither trained on nor scored, but estimators see them when they predict:
    an estimator may use all frames of a new worm.

    Every (model, split) is one joblib task, so ``joblib.parallel_config`` chooses where they run. torch uses one
    thread a task.

    Parameters
    ----------
    estimators : mapping of str to scikit-learn classifier
        Models by name. They are cloned, fitted on DataFrames whose index tells worm and frame, and asked for states.
    X : DataFrame or array-like, shape (n_frames, n_columns)
        Frames, as :func:`skworm.frames.make_frames` returns them.
    y : Series or array-like of str, shape (n_frames,)
        State of each frame, ``"unknown"`` where none is known.
    groups : array-like of shape (n_frames,), optional
        Worm of each row; from the index level ``"worm"`` of `X` where absent.
    cv : WormGroupKFold
        The splits; its `test_on` has no effect here, since all evaluations are made.
    external : mapping of str to (X, y), optional
        Further data sets by name, each a DataFrame with index level ``"worm"`` and the columns of `X`, in any order.
        Where one of the two sides knows ``"turn"`` only, the other's dorsal and ventral turns count as ``"turn"``.
    baselines : bool, default=True
        Add two models: ``"majority"`` predicts the most frequent training state, ``"clock"`` the state of the training
        frame with the nearest frame number, without looking at any neuron. What the clock scores on held-out windows
        is what remembering the moment is worth.
    n_jobs : int, optional
        Tasks at a time, as joblib understands it.
    out : str or path-like, optional
        A folder that keeps each finished fit at once. A call with the same folder takes from it what has been done for
        the same data, splits, parameters and package versions, and fits the rest; a random_state of None counts as
        the same in a model, but gives `cv` new splits. A change in the code of an estimator goes unnoticed.
    verbose : int, default=1
        1 shows a progress bar, 0 nothing.

    Returns
    -------
    pandas.DataFrame
        One row per model, training worms, fold, evaluation and worm. Columns: ``model``; ``train_worms``, joined by
        ``"+"``; ``fold``; ``evaluation``, which is ``"held_out_windows"``, ``"unseen_worms"`` or the name of an
        external set; ``worm``, the scored one; ``n_frames`` scored; ``accuracy``, ``balanced_accuracy`` and
        ``macro_f1``, NaN where `n_frames` is 0; ``fit_seconds``.

    Raises
    ------
    ValueError
        If data sets do not fit each other, or training rows of a split have fewer than two states.
    RuntimeError
        If a fit fails. Fits that had finished are kept in `out`.

    References
    ----------
    Wang et al. 2021, Table 1 (held-out windows against unseen worms) and the external data set of Nichols et al. 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.svm import SVC
    >>> from skworm.model_selection import WormGroupKFold, cross_validate_worms, summarize_worms
    >>> rng = np.random.default_rng(0)
    >>> y = np.tile(np.repeat(["forward", "reverse"], 20), 3)
    >>> X = rng.normal(size=(120, 2)) + 5.0 * (y == "forward")[:, None]
    >>> worm = np.repeat(["worm-a", "worm-b", "worm-c"], 40)
    >>> cv = WormGroupKFold(n_splits=2, window=4, random_state=0)
    >>> results = cross_validate_worms({"svm": SVC()}, X, y, groups=worm, cv=cv, baselines=False, verbose=0)
    >>> results.head(3)[["train_worms", "fold", "evaluation", "worm", "n_frames"]]
      train_worms  fold        evaluation    worm  n_frames
    0      worm-a     0  held_out_windows  worm-a        20
    1      worm-a     0      unseen_worms  worm-b        40
    2      worm-a     0      unseen_worms  worm-c        40
    >>> bool((summarize_worms(results)["accuracy_mean"] > 0.95).all())
    True
    """
    _check_splitter(cv)
    models = _models(estimators, baselines)
    train = training_set(X, y, groups)
    data = _Data(train, external_sets(external, train))
    # Before splitting, which draws from a random_state that is a generator.
    inputs = None if out is None else digest_of_inputs(data.train, data.external, cv)
    splits = list(cv.split_worms(train.X, train.y, train.worm))
    for split in splits:
        _check_states(split, train.y[split.train])
    tasks = [_Task(name, estimator, split) for name, estimator in models.items() for split in splits]
    if inputs is None or out is None:
        digests, store = list(map(str, range(len(tasks)))), None
    else:
        digests, store = [digest_of_fit(inputs, *task) for task in tasks], ResultStore(out)
    rows = _run(tasks, digests, store, data, n_jobs, verbose)
    return pd.DataFrame([row for digest in digests for row in rows[digest]], columns=_COLUMNS)


@dataclass(frozen=True, eq=False)
class _Data:
    train: EvaluationSet
    external: dict[str, EvaluationSet]

    def __sizeof__(self) -> int:
        # dask sends an argument once, instead of with each task, where it says that it is large.
        return sum(frames.X.to_numpy().nbytes for frames in (self.train, *self.external.values()))


class _Task(NamedTuple):
    name: str
    estimator: Any
    split: WormSplit

    def __str__(self) -> str:
        return f"model {self.name!r} on {_split_name(self.split)}"


class _Failure(NamedTuple):
    message: str
    traceback: str


def _run(
    tasks: list[_Task],
    digests: list[str],
    store: ResultStore | None,
    data: _Data,
    n_jobs: int | None,
    verbose: int,
) -> dict[str, list[dict[str, Any]]]:
    rows = {} if store is None else {key: store.rows_by_digest[key] for key in digests if key in store.rows_by_digest}
    failures: list[tuple[_Task, _Failure]] = []
    # After a failure no further task starts, but those under way finish and are kept.
    pending = (
        delayed(_fit_and_score)(number, task, data)
        for number, task in enumerate(tasks)
        if digests[number] not in rows and not failures
    )
    finished = Parallel(n_jobs=n_jobs, batch_size=1, return_as="generator_unordered")(pending)
    with tqdm(total=len(tasks), initial=len(rows), unit="fit", disable=not verbose) as progress:
        for number, result in finished:
            if isinstance(result, _Failure):
                failures.append((tasks[number], result))
                continue
            rows[digests[number]] = result
            if store is not None:
                store.append(digests[number], result)
            progress.update()
    if failures:
        _raise_failure(*failures[0], store)
    return rows


def _fit_and_score(number: int, task: _Task, data: _Data) -> tuple[int, list[dict[str, Any]] | _Failure]:
    # An exception would end the run before the parent has kept what other workers have finished.
    try:
        return number, _rows_of_fit(task, data)
    except Exception as error:
        return number, _Failure(f"{type(error).__name__}: {error}", traceback.format_exc())


def _rows_of_fit(task: _Task, data: _Data) -> list[dict[str, Any]]:
    train, split = data.train, task.split
    known = split.train[train.y[split.train] != UNKNOWN]
    model = clone(task.estimator)
    parts = [("held_out_windows", train, split.held_out), ("unseen_worms", train, split.unseen)]
    parts += [(name, frames, np.arange(len(frames.y))) for name, frames in data.external.items()]
    with _one_torch_thread(model):
        start = time.perf_counter()
        model.fit(train.X.iloc[known], train.y[known])
        fit_seconds = time.perf_counter() - start
        scores = [
            (evaluation, worm, score)
            for evaluation, frames, rows in parts
            if len(rows)
            for worm, score in frames.scores_by_worm(rows, model.predict(frames.X.iloc[rows]))
        ]
    labels = {"model": task.name, "train_worms": "+".join(map(str, split.train_worms)), "fold": split.fold}
    return [
        {**labels, "evaluation": evaluation, "worm": worm, **score, "fit_seconds": fit_seconds}
        for evaluation, worm, score in scores
    ]


@contextmanager
def _one_torch_thread(model: Any) -> Iterator[None]:
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


def _models(estimators: Mapping[str, Any], baselines: bool) -> dict[str, Any]:
    if not isinstance(estimators, Mapping):
        raise TypeError(f"estimators is a {type(estimators).__name__}; pass a mapping such as {{'svm': SVC()}}")
    for name, estimator in estimators.items():
        if not hasattr(estimator, "fit") or not hasattr(estimator, "predict") or isinstance(estimator, type):
            raise TypeError(f"model {name!r} is {estimator!r}; pass a classifier with fit and predict, such as SVC()")
    # A fitted model must not be told from a new one when its results are looked up.
    models = {name: clone(estimator) for name, estimator in estimators.items()}
    if not baselines:
        return models
    clock = make_pipeline(FunctionTransformer(_frame_number), KNeighborsClassifier(n_neighbors=1))
    added = {"majority": DummyClassifier(strategy="most_frequent"), "clock": clock}
    taken = sorted(added.keys() & estimators.keys())
    if taken:
        raise ValueError(f"model {taken[0]!r} has the name of a baseline; rename it, or pass baselines=False")
    return {**models, **added}


def _frame_number(X: pd.DataFrame) -> np.ndarray:
    return np.asarray(X.index.get_level_values(FRAME_LEVEL), dtype=np.float64)[:, None]


def _check_splitter(cv: Any) -> None:
    if not hasattr(cv, "split_worms"):
        raise TypeError(f"cv={cv!r} does not split by worm; pass a WormGroupKFold")


def _check_states(split: WormSplit, y: np.ndarray) -> None:
    states = [str(state) for state in np.unique(y) if state != UNKNOWN]
    if len(states) < 2:
        raise ValueError(
            f"{_split_name(split)}: the training rows have only the states {states}, and a classifier needs two; train "
            "on more worms, lower gap, or use fold_by='shuffled_windows'"
        )


def _split_name(split: WormSplit) -> str:
    return f"worms {'+'.join(map(str, split.train_worms))}, fold {split.fold}"


def _raise_failure(task: _Task, failure: _Failure, store: ResultStore | None) -> None:
    kept = "pass out= to keep finished fits" if store is None else f"finished fits are kept in {store.path}"
    error = RuntimeError(f"{task} failed with {failure.message}; {kept}; mend the model and call again")
    error.add_note(failure.traceback)
    raise error
