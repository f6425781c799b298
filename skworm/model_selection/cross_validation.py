"""Cross-validation that fits once a split, and scores worm by worm."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skworm.layout import FRAME_LEVEL
from skworm.model_selection.evaluation_sets import external_sets, training_set
from skworm.model_selection.results import SCORES, digest_of_inputs
from skworm.model_selection.runs import Data, check_splitter, name_of_split, named_models, run_fits
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
    engine: str = "auto",
    out: str | os.PathLike[str] | None = None,
    verbose: int = 1,
) -> pd.DataFrame:
    """Fit every model once a split, and score it on held-out windows, unseen worms and external data.

    Frames whose state is ``"unknown"`` are neither trained on nor scored, but estimators see them when they predict:
    an estimator may use all frames of a new worm.

    Every (model, split) is one joblib task, so ``joblib.parallel_config`` chooses where they run: with ``"dask"``, on
    the machines of a cluster. torch uses one thread a task.

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
    engine : {"auto", "fused", "joblib"}, default="auto"
        How networks are trained: ``"fused"`` trains many splits of a model as one stack in each task, ``"joblib"`` one
        split a task. Both give the same models, but for rounding. ``"auto"`` is ``"fused"`` on a GPU and ``"joblib"``
        on a CPU. Models without a network of skworm have one split a task with any engine.
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
        If a fit fails, or a worker process is killed. Fits that had finished are kept in `out`.
    OSError
        If `out` cannot be written, or another run is at work there.
    KeyboardInterrupt
        If it is interrupted, with what is kept as its message.

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
    check_splitter(cv)
    models = named_models(estimators, baseline_models() if baselines else {})
    train = training_set(X, y, groups)
    data = Data(train, external_sets(external, train))
    # Before splitting, which draws from a random_state that is a generator.
    inputs = None if out is None else digest_of_inputs(data.train, data.external, cv)
    splits = list(cv.split_worms(train.X, train.y, train.worm))
    for split in splits:
        check_states(split, train.y[split.train])
    return pd.DataFrame(
        run_fits(models, data, splits, inputs, cv=cv, n_jobs=n_jobs, engine=engine, out=out, verbose=verbose),
        columns=_COLUMNS,
    )


def baseline_models() -> dict[str, Any]:
    """Make the models that a score on held-out windows is measured by.

    Returns
    -------
    dict of str to scikit-learn classifier
        ``"majority"`` predicts the most frequent training state, ``"clock"`` the state of the training frame with the
        nearest frame number; both are fitted on DataFrames with the index level ``"frame"``.

    Examples
    --------
    >>> from skworm.model_selection.cross_validation import baseline_models
    >>> list(baseline_models())
    ['majority', 'clock']
    """
    clock = make_pipeline(FunctionTransformer(frame_number), KNeighborsClassifier(n_neighbors=1))
    return {"majority": DummyClassifier(strategy="most_frequent"), "clock": clock}


def frame_number(X: pd.DataFrame) -> np.ndarray:
    """Give the frame number of each row as a column, all that a clock sees."""
    return np.asarray(X.index.get_level_values(FRAME_LEVEL), dtype=np.float64)[:, None]


def check_states(split: WormSplit, y: np.ndarray) -> None:
    """Raise a ValueError unless the training rows of a split, whose states are `y`, have two known states."""
    states = [str(state) for state in np.unique(y) if state != UNKNOWN]
    if len(states) < 2:
        raise ValueError(
            f"{name_of_split(split)}: the training rows have only the states {states}, and a classifier needs two; "
            "train on more worms, lower gap, or use fold_by='shuffled_windows'"
        )
