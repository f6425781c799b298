"""Save fitted models, and load them."""

from __future__ import annotations

import hashlib
import os
import platform
import warnings
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from skworm.estimators.calibration import ConformalStateClassifier, WrappingStateClassifier
from skworm.estimators.states import NeuralStateClassifier
from skworm.estimators.svm import SVMStateClassifier
from skworm.frames.index import learned_settings, worm_of_rows
from skworm.model_files.container import read_container, write_container
from skworm.model_files.estimators import decode_estimator, encode_estimator
from skworm.model_files.learned import SUPPORTED
from skworm.model_files.networks import move_networks
from skworm.model_files.values import Decoder, Encoder

_PACKAGES = ("skworm", "torch", "scikit-learn", "numpy")
_PROBE_ROWS = 4
# Other versions and other processors round otherwise; what differs by more is another model.
_RELATIVE, _ABSOLUTE = 1e-4, 1e-6
_MOST_PROBED = 1_000_000


def save(
    estimator: Any,
    path: str | os.PathLike[str],
    *,
    X: Any = None,
    y: Any = None,
    description: str = "",
    overwrite: bool = False,
) -> Path:
    """Write a fitted model to one file that can be passed on.

    The file holds numbers and text alone: weights as safetensors, parameters as JSON, and a checksum. Loading it runs
    no code of its sender, as unpickling would. Any estimator of skworm can be saved, and a pipeline of them with
    ``MinMaxScaler``, ``StandardScaler`` or ``KNeighborsClassifier``. A classifier around another one takes it along.

    Parameters
    ----------
    estimator : estimator
        The fitted model.
    path : path
        Where to write, best with the ending ``.skworm``.
    X : DataFrame or array-like of shape (n_frames, n_features), optional
        Training frames. They are not stored: the file tells their number, their worms and a digest, by which they can
        be recognised.
    y : array-like of str, shape (n_frames,), optional
        Training states, of which the file tells how many frames are in each.
    description : str, default=""
        What a reader should know, such as the strain and who trained the model.
    overwrite : bool, default=False
        Whether an existing file may be replaced.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is False.
    TypeError
        If the model, a step or a parameter of it cannot be saved; the message names it.
    sklearn.exceptions.NotFittedError
        If the model was not fitted.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import skworm
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> X, y = make_frames(make_worms(2, n_frames=400, random_state=0), states="2")
    >>> model = skworm.MLPStateClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> with TemporaryDirectory() as folder:
    ...     path = skworm.save(model, Path(folder, "mlp.skworm"), X=X, y=y)
    ...     loaded = skworm.load(path)
    >>> bool((loaded.predict_proba(X) == model.predict_proba(X)).all())
    True
    """
    target = Path(path).expanduser()
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists; pass overwrite=True to replace it, or another path")
    if type(estimator) not in SUPPORTED:
        raise TypeError(
            f"a {type(estimator).__name__} cannot be saved; a file holds one of "
            f"{', '.join(kind.__name__ for kind in SUPPORTED)}"
        )
    encoder = Encoder(encode_estimator)
    model = encoder(estimator, type(estimator).__name__)
    probe = _probe(estimator)
    document = {
        "model": model,
        "probe": encoder(probe, "probe"),
        "answer": encoder(_answer(estimator, probe), "answer"),
        "description": str(description),
        "training": encoder(_about_training(estimator, X, y), "training"),
        "versions": {**{name: version(name) for name in _PACKAGES}, "python": platform.python_version()},
    }
    write_container(target, document, encoder.arrays)
    return target


def load(path: str | os.PathLike[str], *, device: str = "cpu") -> Any:
    """Read a model that :func:`skworm.save` wrote.

    Predictions are those of the model that was saved. To make sure of it, the file holds the answers to a few random
    frames, and what answers otherwise is refused. Training cannot be continued; `fit` starts anew.

    Parameters
    ----------
    path : path
        The file.
    device : {"cpu", "cuda", "auto"}, default="cpu"
        Where a network predicts, wherever it was trained.

    Returns
    -------
    estimator
        The fitted model.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, holds no model of skworm, or a model that predicts otherwise with the versions that are
        installed here.

    Examples
    --------
    >>> import skworm
    >>> skworm.load("nowhere.skworm")
    Traceback (most recent call last):
    FileNotFoundError: nowhere.skworm does not exist; check the path
    """
    source = Path(path).expanduser()
    document, arrays = _read(source)
    decoder = Decoder(arrays, decode_estimator)
    try:
        model = decoder(document["model"])
        if type(model) not in SUPPORTED:
            raise TypeError(f"a {type(model).__name__} is no model")
        probe, answer = decoder(document["probe"]), decoder.array(document["answer"])
        _check_cost(model, answer)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = _answer(model, probe)
    # What a stranger wrote can fail anywhere; one kind of error names the file.
    except Exception as error:
        raise ValueError(
            f"{source}: the model cannot be built again ({type(error).__name__}: {error}); it was saved with "
            f"{_versions(document)}: save it anew, or install these versions"
        ) from error
    if not _is_same(found, answer):
        raise ValueError(
            f"{source}: the model answers otherwise than when it was saved with {_versions(document)}; install these "
            "versions"
        )
    move_networks(list(_estimators_of(model)), device)
    return model


def describe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Tell what is known of a model from its file, without building it.

    Parameters
    ----------
    path : path
        A file that :func:`skworm.save` wrote.

    Returns
    -------
    dict
        ``"class"``, ``"description"``, ``"training"`` (``"frames"``, how they were made; and where they were passed to
        :func:`skworm.save`, ``"n_frames"``, ``"worms"``, ``"states"`` and the digest ``"sha256"``), and
        ``"versions"`` of packages.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or holds no model of skworm.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import skworm
    >>> from skworm.model_files import describe
    >>> model = skworm.PersistenceRegressor().fit([[0.0]], [[1.0]])
    >>> with TemporaryDirectory() as folder:
    ...     describe(skworm.save(model, Path(folder, "a.skworm"), description="a baseline"))["description"]
    'a baseline'
    """
    source = Path(path).expanduser()
    document, arrays = _read(source)
    try:
        training = Decoder(arrays, decode_estimator)(document["training"])
        return {
            "class": str(document["model"]["type"]),
            "description": str(document["description"]),
            "training": dict(training),
            "versions": dict(document["versions"]),
        }
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{source}: the model is not described as skworm does ({error}); save it anew") from error


def _read(source: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    if not source.is_file():
        raise FileNotFoundError(f"{source} does not exist; check the path")
    try:
        return read_container(source)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def _estimators_of(model: Any) -> Iterator[Any]:
    if isinstance(model, Pipeline):
        for _, step in model.steps:
            yield from _estimators_of(step)
    elif isinstance(model, WrappingStateClassifier):
        yield from _estimators_of(model.estimator_)
    else:
        yield model


def _probe(estimator: Any) -> np.ndarray:
    probe = np.random.default_rng(0).random((_PROBE_ROWS, estimator.n_features_in_))
    columns = _columns_that_may_be_missing(estimator)
    if len(columns) > 1:
        rows = np.arange(_PROBE_ROWS // 2, _PROBE_ROWS)
        probe[rows, columns[rows % len(columns)]] = np.nan
    return probe


def _columns_that_may_be_missing(estimator: Any) -> np.ndarray:
    """Give one column of each neuron that a classifier looks at, of which the others are left if it is NaN."""
    if isinstance(estimator, WrappingStateClassifier):
        return _columns_that_may_be_missing(estimator.estimator_)
    if isinstance(estimator, SVMStateClassifier):
        return np.flatnonzero(~np.isnan(estimator.fill_))
    if isinstance(estimator, NeuralStateClassifier):
        seen = ~np.isin(estimator.neurons_, estimator.neurons_without_data_)
        return len(estimator.node_features_) * np.flatnonzero(seen)
    return np.empty(0, dtype=int)


def _answer(model: Any, probe: np.ndarray) -> np.ndarray:
    names = getattr(model, "feature_names_in_", None)
    X = probe if names is None else pd.DataFrame(probe, columns=names)
    if isinstance(model, ConformalStateClassifier):
        return np.hstack([model.predict_proba(X), model.predict_set(X)])
    for method in ("predict_proba", "decision_function", "predict", "transform"):
        if hasattr(model, method):
            return np.asarray(getattr(model, method)(X))
    raise TypeError(f"a {type(model).__name__} neither predicts nor transforms")


def _check_cost(model: Any, answer: np.ndarray) -> None:
    """Refuse forecasts of so many steps that the probe would take long, where the file holds no such answer."""
    horizon = getattr(model, "horizon_", None)
    if horizon is not None and not (answer.ndim == 2 and answer.shape[1] == horizon * model.n_columns_):
        raise ValueError(f"horizon_={horizon!r} does not fit the answer that the file holds")
    if answer.size > _MOST_PROBED:
        raise ValueError("the file holds an answer of more numbers than are expected")


def _is_same(found: np.ndarray, answer: np.ndarray) -> bool:
    if found.shape != answer.shape or found.dtype.kind != answer.dtype.kind:
        return False
    if found.dtype.kind not in "fc":
        return bool(np.array_equal(found, answer))
    return bool(np.allclose(found, answer, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True))


def _versions(document: Mapping[str, Any]) -> str:
    versions = document.get("versions")
    named = versions.items() if isinstance(versions, dict) else ()
    return ", ".join(f"{name} {number}" for name, number in named) or "unknown versions"


def _about_training(estimator: Any, X: Any, y: Any) -> dict[str, Any]:
    about: dict[str, Any] = {"frames": learned_settings(estimator)}
    if X is not None:
        table = X if isinstance(X, pd.DataFrame) else pd.DataFrame(np.asarray(X))
        digest = hashlib.sha256(np.ascontiguousarray(table.to_numpy(dtype=float)).tobytes())
        digest.update("\0".join(map(str, table.columns)).encode())
        digest.update(b"" if y is None else "\0".join(map(str, np.asarray(y))).encode())
        worms = worm_of_rows(X)
        about |= {"n_frames": len(table), "sha256": digest.hexdigest()}
        about["worms"] = [] if worms is None else [str(worm) for worm in pd.unique(worms)]
    if y is not None and np.asarray(y).dtype.kind in "OUT":
        states, counts = np.unique(np.asarray(y, dtype=str), return_counts=True)
        about["states"] = dict(zip(states.tolist(), counts.tolist(), strict=True))
    return about
