"""A folder that keeps finished fits and what the runs were that made them, one file each."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from joblib.hashing import NumpyHasher
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator

from skworm.atomic import atomic_path
from skworm.model_selection.samples import Samples
from skworm.model_selection.splits import WormSplit

_PACKAGES = ("skworm", "scikit-learn", "torch", "numpy")


class FitStore:
    """Results of finished fits by their digest, each in a file of its own, with a checksum.

    A file is whole or absent, so a run that is killed leaves nothing half written, and several runs can share a folder
    without waiting for each other. A file that has been damaged since counts as absent: its fit runs again.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def read(self, digests: Iterable[str] | None = None) -> dict[str, Any]:
        """Return what is kept of some fits, by default of all."""
        folder = self.folder / "fits"
        wanted = sorted(path.stem for path in _whole_files(folder)) if digests is None else digests
        paths = {digest: folder / f"{digest}.json" for digest in wanted}
        found = {digest: _read_checked(path) for digest, path in paths.items() if path.is_file()}
        damaged = [digest for digest, rows in found.items() if rows is None]
        if damaged:
            warnings.warn(
                f"{len(damaged)} files of finished fits are damaged, first {paths[damaged[0]]}; these fits run again",
                UserWarning,
                stacklevel=2,
            )
        return {digest: rows for digest, rows in found.items() if rows is not None}

    def write(self, digest: str, rows: Any) -> None:
        """Keep the results of a fit; they are on the disk when this returns."""
        _write_checked(self.folder / "fits" / f"{digest}.json", rows)

    def write_run(self, record: Mapping[str, Any]) -> None:
        """Keep what a run is; a run of the same fits takes the place of the one before, and keeps its start."""
        path = self.folder / "runs" / f"{joblib.hash(list(record['fits']))}.json"
        known = _read_checked(path) if path.is_file() else None
        _write_checked(path, {**record, "started": known["started"] if known else record["called"]})

    def runs(self) -> list[dict[str, Any]]:
        """Return the records of runs, the latest last, without those whose fits are all part of a later one."""
        found = [_read_checked(path) for path in sorted(_whole_files(self.folder / "runs"))]
        records: list[dict[str, Any]] = []
        seen: set[str] = set()
        for record in sorted(filter(None, found), key=lambda record: record["called"], reverse=True):
            if not set(record["fits"]) <= seen:
                records.insert(0, record)
            seen |= set(record["fits"])
        return records

    def __bool__(self) -> bool:
        return any(_whole_files(self.folder / "fits"))


def _whole_files(folder: Path) -> Iterator[Path]:
    # Names with a dot belong to files that are being written, or that a killed process was writing.
    return folder.glob("[!.]*.json")


def _write_checked(path: Path, content: Any) -> None:
    text = json.dumps(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        # The name is part of the checksum, so that a file under another name counts as damaged.
        temporary.write_text(f"{_checksum(path, text)}\n{text}\n", encoding="utf-8", newline="\n")


def _read_checked(path: Path) -> Any:
    """Return the content of a file, None where it is damaged."""
    try:
        checksum, text, end = path.read_bytes().decode("utf-8").split("\n")
        return json.loads(text) if checksum == _checksum(path, text) and not end else None
    except (ValueError, OSError):
        return None


def _checksum(path: Path, text: str) -> str:
    return hashlib.sha256(f"{path.stem}\n{text}".encode()).hexdigest()


def now() -> str:
    """Return the time in UTC, in a form that sorts."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that scores depend on."""
    return {package: version(package) for package in _PACKAGES}


def digest_of_samples(samples: Samples) -> str:
    """Digest all that scores on some samples depend on."""
    # joblib's hash depends on the memory layout of arrays, and on the identity of repeated objects other than strings.
    return joblib.hash([joblib.hash(np.ascontiguousarray(array)) for array in samples.arrays()])


def digest_of_inputs(train: Samples, external: Mapping[str, Samples], cv: Any) -> str:
    """Digest everything that the fits of one cross-validation share: data, splitter and package versions."""
    parts = {
        "train": digest_of_samples(train),
        "external": [(name, digest_of_samples(part)) for name, part in external.items()],
        "splitter": [(name, joblib.hash(value)) for name, value in sorted(vars(cv).items())],
        "versions": list(package_versions().items()),
    }
    return joblib.hash(parts)


def digest_of_fit(inputs: str, name: str, estimator: Any, split: WormSplit) -> str:
    """Digest one fit: the shared inputs, the model with its parameters, and the rows of the split.

    The class of a model counts by name, so a change of its code goes unnoticed.
    """
    parameters = sorted(estimator.get_params(deep=True).items())
    parameters += [("", estimator)] if isinstance(estimator, FrozenEstimator) else []
    values = [(key, _digest_of_parameter(name, key, value)) for key, value in parameters]
    rows = [joblib.hash(np.asarray(rows, dtype=np.int64)) for rows in (split.train, split.held_out)]
    return joblib.hash([inputs, name, _class_name(estimator), values, rows])


def _digest_of_parameter(model: str, key: str, value: Any) -> str:
    if isinstance(value, BaseEstimator) and not isinstance(value, FrozenEstimator):
        return _class_name(value)
    try:
        return _Hasher(hash_name="md5").hash(value)
    except (pickle.PicklingError, AttributeError, TypeError, RuntimeError) as error:
        raise TypeError(
            f"model {model!r} has the parameter {key}={value!r}, which cannot be pickled, so that its fits cannot be "
            "looked up; define its functions and classes at the top of a module, or leave out memory="
        ) from error


class _Hasher(NumpyHasher):
    """joblib's, for which a network is its weights: it is pickled otherwise each time that it is loaded or copied."""

    def save(self, value: Any) -> None:
        """Take in a value."""
        if hasattr(value, "module_") and hasattr(value, "history_"):
            weights = value.module_.state_dict()
            value = {name: tensor.cpu().numpy() for name, tensor in weights.items()}
        super().save(value)


def record_of_run(
    digests: Sequence[str],
    models: Mapping[str, Any],
    train: Samples,
    external: Mapping[str, Samples],
    cv: Any,
    splits: Sequence[WormSplit],
) -> dict[str, Any]:
    """Describe a run: when it was called, its models, splits, data, versions and fits."""
    return {
        "called": now(),
        "task": train.task,
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


def _describe(part: Samples) -> dict[str, Any]:
    names, counts = np.unique(part.worm.astype(str), return_counts=True)
    return {
        "frames": dict(zip(names.tolist(), counts.tolist(), strict=True)),
        "columns": [str(column) for column in part.X.columns],
        "digest": digest_of_samples(part),
        "labelled": part.describe(),
    }


def _in_a_line(value: Any) -> str:
    # Where a function lies in memory tells nobody anything.
    return re.sub(r" at 0x[0-9a-f]+", "", " ".join(repr(value).split()))


def _class_name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
