"""Results of a cross-validation: kept on disk fit by fit, and summarised over worms."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from skworm.model_selection.splits import WormSplit

SCORES = ("accuracy", "balanced_accuracy", "macro_f1")
_PACKAGES = ("skworm", "scikit-learn", "torch", "numpy")


class ResultStore:
    """Rows of finished fits, one JSON line a fit, in the file ``scores.jsonl`` of a folder.

    A line is on the disk before the next fit is recorded. A line that a killed process left unfinished is removed when
    the store is opened.

    Parameters
    ----------
    folder : str or path-like
        Where the file is kept; made where absent.

    Raises
    ------
    ValueError
        If a line that was written whole cannot be read.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from skworm.model_selection.results import ResultStore
    >>> with TemporaryDirectory() as folder:
    ...     ResultStore(folder).append("digest-1", [{"model": "svm", "accuracy": 0.9}])
    ...     ResultStore(folder).rows_by_digest
    {'digest-1': [{'model': 'svm', 'accuracy': 0.9}]}
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(folder) / "scores.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        lines = self.path.read_bytes().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            os.truncate(self.path, sum(map(len, lines[:-1])))
        self.rows_by_digest = read_fits(self.path)

    def append(self, digest: str, rows: list[dict[str, Any]]) -> None:
        """Record the rows of one fit, and wait until they are on the disk.

        Raises
        ------
        OSError
            If they cannot be written whole. Nothing of them is left in the file.
        """
        size = self.path.stat().st_size
        try:
            with self.path.open("a", encoding="utf-8", newline="\n") as file:
                file.write(record_of_fit(digest, rows))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            os.truncate(self.path, size)
            raise
        self.rows_by_digest[digest] = rows


def read_fits(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Read the file of a :class:`ResultStore` as it is, for a run may be writing to it.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    dict of str to list of dict
        Rows by the digest of their fit, of all lines that are whole.

    Raises
    ------
    ValueError
        If a line that was written whole cannot be read.
    """
    rows_by_digest = {}
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        if not line.endswith(b"\n"):
            break
        try:
            record = json.loads(line)
            rows_by_digest[record["digest"]] = record["rows"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"line {number} of {path} is no record of a fit; delete the line, and its fit runs again"
            ) from error
    return rows_by_digest


def record_of_fit(digest: str, rows: list[dict[str, Any]]) -> str:
    r"""Write the line of a :class:`ResultStore` for one fit.

    Examples
    --------
    >>> from skworm.model_selection.results import record_of_fit
    >>> record_of_fit("digest-1", [{"accuracy": 0.9}])
    '{"digest": "digest-1", "rows": [{"accuracy": 0.9}]}\n'
    """
    return json.dumps({"digest": digest, "rows": rows}) + "\n"


def package_versions() -> dict[str, str]:
    """Look up the versions of the packages that scores depend on.

    Examples
    --------
    >>> from skworm.model_selection.results import package_versions
    >>> list(package_versions())
    ['skworm', 'scikit-learn', 'torch', 'numpy']
    """
    return {package: version(package) for package in _PACKAGES}


def digest_of_inputs(train: Any, external: Mapping[str, Any], cv: Any) -> str:
    """Digest everything that the fits of one cross-validation share: data, splitter and package versions.

    Parameters
    ----------
    train : EvaluationSet or TrajectorySet
        The samples that are split.
    external : mapping of str to EvaluationSet or TrajectorySet
        External sets.
    cv : WormGroupKFold
        The splitter.

    Returns
    -------
    str
        The same in every process, as long as nothing in it changes.

    Examples
    --------
    >>> from skworm.model_selection import WormGroupKFold
    >>> from skworm.model_selection.evaluation_sets import training_set
    >>> from skworm.model_selection.results import digest_of_inputs
    >>> train = training_set([[0.0], [1.0]], ["forward", "reverse"], groups=["a", "a"])
    >>> digest_of_inputs(train, {}, WormGroupKFold(4)) == digest_of_inputs(train, {}, WormGroupKFold(5))
    False
    """
    parts = {
        "train": digest_of_set(train),
        "external": [(name, digest_of_set(part)) for name, part in external.items()],
        "splitter": [(name, joblib.hash(value)) for name, value in sorted(vars(cv).items())],
        "versions": list(package_versions().items()),
    }
    return joblib.hash(parts)


def digest_of_fit(inputs: str, name: str, estimator: Any, split: WormSplit) -> str:
    """Digest one fit: the shared inputs, the model with its parameters, and the rows of the split.

    Parameters
    ----------
    inputs : str
        What :func:`digest_of_inputs` returned.
    name : str
        Name of the model.
    estimator : scikit-learn estimator
        The model. Its class counts by name, so a change of its code goes unnoticed.
    split : WormSplit
        The split.

    Returns
    -------
    str
        The same in every process, as long as nothing in it changes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.svm import SVC
    >>> from skworm.model_selection import WormSplit
    >>> from skworm.model_selection.results import digest_of_fit
    >>> split = WormSplit(("a",), 0, np.array([1, 2]), np.array([0]), np.array([3, 4]))
    >>> digest_of_fit("", "svm", SVC(C=1.0), split) == digest_of_fit("", "svm", SVC(C=10.0), split)
    False
    """
    parameters = sorted(estimator.get_params(deep=True).items())
    values = [(key, _class_name(value) if _is_estimator(value) else joblib.hash(value)) for key, value in parameters]
    rows = [joblib.hash(np.asarray(rows, dtype=np.int64)) for rows in (split.train, split.held_out, split.unseen)]
    return joblib.hash([inputs, name, _class_name(estimator), values, rows])


def summarize_worms(results: pd.DataFrame) -> pd.DataFrame:
    """Summarise the scores of :func:`cross_validate_worms` over worms.

    The worm is the unit. Fits that score the same worm are no independent samples, so the scores of each worm are
    averaged over its fits first; mean and standard deviation are then taken over the worms.

    Parameters
    ----------
    results : pandas.DataFrame
        The table of :func:`cross_validate_worms`.

    Returns
    -------
    pandas.DataFrame
        One row per model and evaluation; columns ``model, evaluation, n_worms, n_fits``, and ``accuracy_mean,
        accuracy_std`` and so on for each score. The standard deviation is that of a sample (NaN with one worm).

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.model_selection import summarize_worms
    >>> results = pd.DataFrame({
    ...     "model": "svm", "train_worms": "a", "fold": [0, 0, 1, 1], "evaluation": "unseen_worms",
    ...     "worm": ["b", "c", "b", "c"], "accuracy": [0.8, 0.6, 1.0, 0.6], "balanced_accuracy": 0.5, "macro_f1": 0.5,
    ... })
    >>> summarize_worms(results)[["n_worms", "n_fits", "accuracy_mean", "accuracy_std"]].round(3)
       n_worms  n_fits  accuracy_mean  accuracy_std
    0        2       2           0.75         0.212
    """
    keys = ["model", "evaluation"]
    by_worm = results.groupby([*keys, "worm"], sort=False)[list(SCORES)].mean().groupby(level=keys, sort=False)
    fits = results.drop_duplicates([*keys, "train_worms", "fold"]).groupby(keys, sort=False).size()
    summary = pd.DataFrame({"n_worms": by_worm.size(), "n_fits": fits})
    for score in SCORES:
        summary[f"{score}_mean"] = by_worm[score].mean()
        summary[f"{score}_std"] = by_worm[score].std()
    return summary.reset_index()


def digest_of_set(part: Any) -> str:
    """Digest all that the scores on an EvaluationSet, TrajectorySet or BehaviorSet depend on."""
    # joblib's hash depends on the memory layout of arrays, and on the identity of repeated objects other than strings.
    return joblib.hash([joblib.hash(np.ascontiguousarray(array)) for array in part.arrays()])


def _is_estimator(value: Any) -> bool:
    return isinstance(value, BaseEstimator)


def _class_name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
