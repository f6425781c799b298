"""What the runs of a folder were: data, splits, models and versions, kept beside their scores."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skworm.layout import WORM_LEVEL
from skworm.model_selection.results import digest_of_set, package_versions, read_fits
from skworm.model_selection.splits import WormSplit

_FILE = "runs.json"


@dataclass(frozen=True, eq=False)
class StoredRun:
    """A run that a folder keeps.

    Parameters
    ----------
    record : mapping
        ``started`` and ``called``, when it was called first and last; ``models``, name to parameters; ``splitter``;
        ``n_train_worms``, ``n_combinations`` and ``n_folds`` of the splits; ``train`` and, by name, ``external``:
        ``frames`` by worm, ``columns``, ``digest``, and ``states`` or ``signals``, the frames of each by worm;
        ``versions``; and ``fits``, their digests. Empty where the folder keeps scores alone.
    scores : pandas.DataFrame
        Rows of those fits that have finished.
    n_missing : int
        Fits that have not.
    """

    record: Mapping[str, Any]
    scores: pd.DataFrame
    n_missing: int = 0


def record_run(
    folder: str | os.PathLike[str],
    digests: Sequence[str],
    models: Mapping[str, Any],
    train: Any,
    external: Mapping[str, Any],
    cv: Any,
    splits: Sequence[WormSplit],
) -> None:
    """Write down what a run is, in the file ``runs.json`` of its folder; the same run is kept once, the latest last.

    Parameters
    ----------
    folder : str or path-like
        The folder.
    digests : sequence of str
        The fits of the run.
    models : mapping of str to estimator
        Models by name.
    train : ScoredSet
        Samples that are split.
    external : mapping of str to ScoredSet
        Samples that are only scored.
    cv : WormGroupKFold
        The splitter.
    splits : sequence of WormSplit
        What it gave.

    Raises
    ------
    ValueError
        If the file is there and cannot be read.
    """
    path = Path(folder) / _FILE
    runs = _read(path)
    known = next((run for run in runs if run["fits"] == list(digests)), None)
    record = {
        "started": known["started"] if known else now(),
        "called": now(),
        "models": {name: _in_a_line(model) for name, model in models.items()},
        "splitter": _in_a_line(cv),
        "n_train_worms": sorted({len(split.train_worms) for split in splits}),
        "n_combinations": len({split.train_worms for split in splits}),
        "n_folds": len({split.fold for split in splits}),
        "train": _describe(train),
        "external": {name: _describe(part) for name, part in external.items()},
        "versions": package_versions(),
        "fits": list(digests),
    }
    runs = [run for run in runs if run is not known] + [record]
    whole = path.with_suffix(".part")
    whole.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
    whole.replace(path)


def now() -> str:
    """Tell the time, in a form that sorts."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def stored_runs(folder: str | os.PathLike[str]) -> list[StoredRun]:
    """Read the runs that a folder keeps.

    Parameters
    ----------
    folder : str or path-like
        What was passed as ``out`` to :func:`cross_validate_worms` or another cross-validation.

    Returns
    -------
    list of StoredRun
        The latest last, without those whose fits are all part of a later one. A folder that keeps scores alone is one
        run.

    Raises
    ------
    FileNotFoundError
        If the folder keeps no fits.
    ValueError
        If a file is damaged.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from sklearn.svm import SVC
    >>> from skworm import WormGroupKFold
    >>> from skworm.model_selection import cross_validate_worms
    >>> from skworm.model_selection.run_records import stored_runs
    >>> y = np.tile(["forward", "reverse"], 40)
    >>> cv = WormGroupKFold(2, window=4, random_state=0)
    >>> with TemporaryDirectory() as folder:
    ...     worms = np.repeat(["a", "b"], 40)
    ...     results = cross_validate_worms({"svm": SVC()}, y[:, None] == y[0], y, groups=worms, cv=cv, out=folder,
    ...                                    verbose=0)
    ...     (run,) = stored_runs(folder)
    >>> run.record["models"]["svm"], run.record["train"]["frames"], len(run.scores) == len(results)
    ('SVC()', {'a': 40, 'b': 40}, True)
    """
    if not (Path(folder) / "scores.jsonl").is_file():
        raise FileNotFoundError(f"{folder} keeps no fits; pass the folder that a cross-validation was given as out")
    rows_by_digest = read_fits(Path(folder) / "scores.jsonl")
    records = _read(Path(folder) / _FILE)
    if not records:
        return [StoredRun({}, pd.DataFrame([row for rows in rows_by_digest.values() for row in rows]))]
    runs: list[StoredRun] = []
    seen: set[str] = set()
    for record in reversed(records):
        fits = record["fits"]
        if not set(fits) <= seen:
            found = [digest for digest in fits if digest in rows_by_digest]
            scores = pd.DataFrame([row for digest in found for row in rows_by_digest[digest]])
            runs.insert(0, StoredRun(record, scores, len(fits) - len(found)))
        seen |= set(fits)
    return runs


def _in_a_line(value: Any) -> str:
    # Where a function lies in memory tells nobody anything.
    return re.sub(r" at 0x[0-9a-f]+", "", " ".join(repr(value).split()))


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        runs = json.loads(path.read_bytes())
        # Where a key is absent the file is someone else's.
        return [{**run, "fits": run["fits"], "called": run["called"]} for run in runs]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no record of runs; delete it, and scores alone are kept") from error


def _describe(part: Any) -> dict[str, Any]:
    worm = np.asarray(part.X.index.get_level_values(WORM_LEVEL), dtype=str)
    names = sorted(set(worm))
    described: dict[str, Any] = {
        "frames": {name: int((worm == name).sum()) for name in names},
        "columns": [str(column) for column in part.X.columns],
        "digest": digest_of_set(part),
    }
    y = getattr(part, "y", None)
    if isinstance(y, pd.DataFrame):
        known = y.notna()
        described["signals"] = {
            name: {str(signal): int(known[signal][worm == name].sum()) for signal in y} for name in names
        }
    elif y is not None:
        described["states"] = {
            name: {str(state): int((y[worm == name] == state).sum()) for state in np.unique(y)} for name in names
        }
    return described
