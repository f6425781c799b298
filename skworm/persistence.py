"""Save fitted models to files of numbers and text, which can run no code, and load them.

``skops.io`` would not do: it too runs no code, but sets attributes of unchecked objects, bounds no memory, and has no
checksum, no probe and no torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open
from safetensors.numpy import save as save_arrays
from sklearn.base import BaseEstimator
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.utils.validation import check_is_fitted

import skworm
from skworm.atomic import atomic_path
from skworm.estimators import parts
from skworm.estimators.behavior import NeuralBehaviorRegressor
from skworm.estimators.calibration import ConformalStateClassifier
from skworm.estimators.network import GraphEstimator, NeuralEstimator
from skworm.estimators.svm import PairwiseSVC, SVMStateClassifier
from skworm.estimators.trajectory import TrajectoryRegressor
from skworm.frames import WormMinMaxScaler
from skworm.frames.index import learned_settings, worm_of_rows
from skworm.model_selection import WormGroupKFold
from skworm.parameters import ParameterObject
from skworm.pretrained import NAMES, card, path_of
from skworm.training.loop import net_of_losses
from skworm.training.process import resolve_device

MODELS: Mapping[str, type] = {
    **{name: getattr(skworm, name) for name in skworm.__all__ if name.endswith(("Classifier", "Regressor", "Map"))},
    **{own.__name__: own for own in (WormMinMaxScaler, MinMaxScaler, StandardScaler, KNeighborsClassifier, Pipeline)},
}
"""The estimators that a file can hold, by themselves, in a pipeline or in a wrapper."""

_OTHERS = (skworm.VirtualWorms, WormGroupKFold, GroupKFold, LeaveOneGroupOut, PairwiseSVC)
_PARTS = [kind for kind in vars(parts).values() if isinstance(kind, type) and issubclass(kind, ParameterObject)]
_CLASSES: Mapping[str, type] = {kind.__name__: kind for kind in (*MODELS.values(), *_PARTS, *_OTHERS)}

_KEY, _LAYOUT = "skworm", "3"
_DTYPES = ("float64", "float32", "int64", "int32", "int16", "int8", "uint32", "uint8", "bool")
_PACKAGES = ("skworm", "torch", "scikit-learn", "numpy")
# What `fit` needs or tells and a loaded model does without, or what depends on the machine.
_NOT_KEPT = ("callbacks", "n_jobs", "transitions_")

_PROBE_ROWS = 4
# Other versions and other processors round differently; a larger difference means another model.
_TOLERANCES = 1e-4, 1e-6
# A file is refused before it takes more memory or time than any model needs.
_MOST_TEXT, _MOST_ARRAYS, _MOST_OBJECTS = 2**23, 10_000, 1000
_MOST_NUMBERS, _MOST_COST, _COST_OF_A_LAYER = 2**24, 2**30, 2**17
_MOST = {"n_features_in_": 100_000, "neurons_": 1000, "burn_in_": 1000, "horizon_": 1000}
_MOST |= dict.fromkeys(("classes_", "n_layers", "n_steps", "n_heads"), 100)

# Axes of what classes learn: an attribute that is the size or has it as its length, or a word for any size.
_SHAPES: Mapping[Any, Mapping[str, str]] = {
    BaseEstimator: {"feature_names_in_": "n_features_in_"},
    GraphEstimator: {"graph_ graphs_": "neurons_ neurons_"},
    NeuralBehaviorRegressor: {"signal_mean_ signal_scale_": "signals_"},
    TrajectoryRegressor: {"level_ levels_": "n_columns_"},
    skworm.LinearTrajectoryRegressor: {"coef_": "targets n_features_in_", "intercept_": "targets"},
    PairwiseSVC: {"support_vectors_": "vectors columns", "dual_coef_": "pairs vectors", "rho_": "pairs", "gamma_": ""},
    SVMStateClassifier: {"fill_": "n_features_in_"},
    skworm.AsymmetricDiffusionMap: {
        "eigenvalues_ _imaginary": "modes",
        "_modes embedding_": "points modes",
        "_points": "points delayed",
        "_moments": "points",
    },
    skworm.HiddenMarkovStateClassifier: {"transition_": "classes_ classes_", "shares_": "classes_"},
    (StandardScaler, MinMaxScaler): {"mean_ min_ scale_": "n_features_in_"},
    WormMinMaxScaler: {"range_ worm_ranges_": "2 n_features_in_"},
}
# Of columns without any value, and of neurons that were never there together.
_MAY_BE_NAN = ("fill_", "graph_", "graphs_", "mean_", "min_", "scale_", "range_", "worm_ranges_")


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

    The file holds numbers and text alone, weights as safetensors and parameters as JSON, so that loading it runs no
    code of its sender, as unpickling would. Callbacks, `n_jobs`, `memory` and the ``transitions_`` of a diffusion map
    are not kept.

    Parameters
    ----------
    estimator : estimator
        Any fitted estimator of skworm, or a pipeline of them with ``MinMaxScaler``, ``StandardScaler`` or
        ``KNeighborsClassifier``.
    path : path
        Where to write, best with the ending ``.skworm``.
    X : DataFrame or array-like of shape (n_frames, n_features), optional
        Training frames, of which the file holds the number and the worms.
    y : array-like of str, shape (n_frames,), optional
        Training states, of which the file holds how many frames are in each.
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
    >>> import skworm, tempfile
    >>> model = skworm.PersistenceRegressor().fit([[0.5]], [[1.0]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     skworm.load(skworm.save(model, f"{folder}/a.skworm")).predict([[0.25]])
    array([[0.25]])
    """
    target = Path(path).expanduser()
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists; pass overwrite=True to replace it, or another path")
    if type(estimator) not in MODELS.values():
        raise TypeError(f"a {type(estimator).__name__} cannot be saved; a file holds one of {', '.join(MODELS)}")
    encoder = _Encoder()
    document = {
        "model": encoder(estimator, type(estimator).__name__),
        **{name: encoder(array, name) for name, array in _probe(estimator).items()},
        "description": str(description),
        "training": encoder(_about_training(estimator, X, y), "training"),
        "versions": {**{name: version(name) for name in _PACKAGES}, "python": platform.python_version()},
    }
    with atomic_path(target) as temporary:
        temporary.write_bytes(_container(document, encoder))
        try:
            load(temporary)
        except ValueError as error:
            raise ValueError(
                f"the {type(estimator).__name__} cannot be saved, since it would be read as another model "
                f"({error.__cause__}); its parameters, or those of an object that it shares with another estimator, "
                "were changed since fit: fit it again"
            ) from error
    return target


def load(path: str | os.PathLike[str], *, device: str = "cpu") -> Any:
    """Read a model that :func:`skworm.save` wrote.

    Predictions are those of the model that was saved: the file holds its answers to a few random frames, and a model
    that answers otherwise is refused. Training cannot be continued; `fit` starts anew.

    Parameters
    ----------
    path : path or str
        The file, or the name of a model that comes with the package, one of ``skworm.pretrained.NAMES``.
    device : {"cpu", "cuda", "auto"}, default="cpu"
        Where a network predicts, wherever it was trained.

    Returns
    -------
    estimator
        The fitted model. A support vector machine of libsvm comes back as its support vectors and coefficients, whose
        sums are the same to rounding.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, is not a model file of skworm, or holds a model that predicts otherwise with the
        versions that are installed here.

    Examples
    --------
    >>> import skworm
    >>> skworm.load("nowhere.skworm")
    Traceback (most recent call last):
    FileNotFoundError: nowhere.skworm does not exist; check the path, or name a model of the package: ...
    """
    shipped = str(path) in NAMES
    with _reading(path_of(str(path)) if shipped else path) as (document, decoder):
        model = decoder(document["model"])
        if type(model) not in MODELS.values():
            raise TypeError(f"a {type(model).__name__} is not a model")
        check_is_fitted(model)
        probe, answer = (np.asarray(decoder(document[name])) for name in ("probe", "answer"))
        if probe.shape != (_PROBE_ROWS, _n_features(model)):
            raise ValueError(f"the probe has the shape {probe.shape}")
        if hasattr(model, "horizon_") and answer.shape[1:] != (model.horizon_ * model.n_columns_,):
            raise ValueError(f"horizon_={model.horizon_!r} does not fit the answer that the file holds")
        found = _answer(model, probe)
        numbers = found.shape == answer.shape and found.dtype.kind in "fc"
        whole = np.resize(~np.isnan(probe).any(axis=1), len(found))
        if numbers and not np.isfinite(found[whole]).all():
            raise ValueError("the model answers to whole frames with numbers that are not finite")
        same = np.allclose(found, answer, *_TOLERANCES, equal_nan=True) if numbers else np.array_equal(found, answer)
        if not same:
            raise ValueError("the model answers otherwise than when it was saved")
    wanted = resolve_device(device)
    for estimator in decoder.networks:
        estimator.net_.set_params(device=wanted)
        estimator.net_.module_.to(wanted)
    if shipped:
        model.card_ = card(str(path))
    return model


def describe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what is known of a model from its file, without building it.

    Parameters
    ----------
    path : path
        A file that :func:`skworm.save` wrote; as :func:`skworm.load`, it refuses what is damaged.

    Returns
    -------
    dict
        ``"class"``, ``"description"``, ``"training"`` (``"frames"``, how they were made; and where they were passed to
        :func:`skworm.save`, ``"n_frames"``, ``"worms"`` and ``"states"``), and ``"versions"`` of packages.

    Examples
    --------
    >>> import skworm, tempfile
    >>> model = skworm.PersistenceRegressor().fit([[0.0]], [[1.0]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     describe(skworm.save(model, f"{folder}/a.skworm", description="a baseline"))["description"]
    'a baseline'
    """
    with _reading(path) as (document, decoder):
        return {
            "class": str(document["model"]["class"]),
            "description": str(document["description"]),
            "training": dict(decoder(document["training"])),
            "versions": dict(document["versions"]),
        }


@contextmanager
def _reading(path: str | os.PathLike[str]) -> Iterator[tuple[dict[str, Any], _Decoder]]:
    """Yield the document of a file and the decoder of its values, and name the file in errors."""
    source = Path(path).expanduser()
    versions: Any = "unknown versions"
    if not source.is_file():
        names = ", ".join(NAMES)
        raise FileNotFoundError(f"{source} does not exist; check the path, or name a model of the package: {names}")
    try:
        document, arrays = _contents(source)
        versions = document.get("versions")
        yield document, _Decoder(arrays)
    # What a stranger wrote can fail anywhere, and ends in one kind of error.
    except Exception as error:
        raise ValueError(
            f"{source}: this cannot be read as a model of skworm ({type(error).__name__}: {error}); if it is one, "
            f"saved with {versions}, copy the file again, save the model anew, or install these versions"
        ) from error


def _container(document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return a safetensors file of a JSON document and arrays, with a checksum over both."""
    text = json.dumps(document, separators=(",", ":"))
    # One entry, since safetensors writes several in any order: the same model makes the same file.
    return save_arrays(dict(arrays), metadata={_KEY: f"{_LAYOUT} {_digest(text, arrays)} {text}"})


def _contents(source: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    with safe_open(source, framework="numpy") as file:
        metadata = file.metadata() or {}
        # Shapes are checked against the length of the file before anything is allocated.
        arrays = {name: file.get_tensor(name) for name in file.keys()[: _MOST_ARRAYS + 1]}
    words = metadata.get(_KEY, "").split(" ", 2)
    if len(words) != 3:
        raise ValueError("this is a safetensors file, but not of a skworm model; write one with skworm.save")
    layout, checksum, text = words
    if layout != _LAYOUT:
        raise ValueError(f"the layout is {layout!r}, and {_LAYOUT!r} is read; install the skworm that wrote the file")
    if len(text) > _MOST_TEXT or len(arrays) > _MOST_ARRAYS:
        raise ValueError(f"{len(arrays)} arrays and {len(text)} letters; {_MOST_ARRAYS} and {_MOST_TEXT} are the most")
    if checksum != _digest(text, arrays):
        raise ValueError("the checksum does not fit the content, so the file is damaged")
    for name, array in arrays.items():
        # An empty array can have an axis of any length.
        if str(array.dtype) not in _DTYPES or max(array.shape, default=0) > max(array.size, _MOST_OBJECTS):
            raise ValueError(f"{name} is an array of {array.dtype}, {array.shape}; numbers of {_DTYPES} are expected")
    return dict(json.loads(text, parse_constant=_refuse_number)), arrays


def _refuse_number(name: str) -> float:
    raise ValueError(f"the file holds the number {name}, which no model has")


def _digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"\0{name}\0{array.dtype}\0{array.shape}\0".encode() + array.tobytes())
    return digest.hexdigest()


class _Encoder(dict[str, np.ndarray]):
    """Values as JSON; holds the numbers of arrays by name."""

    def __call__(self, value: Any, where: str, fitted: bool = True) -> Any:
        """Encode a value; `where` names it in errors, and of what is not `fitted` only parameters are kept."""
        match value:
            case None | bool() | int() | str():
                return value
            case float() if np.isfinite(value):
                return float(value)
            case np.generic() | np.ndarray():
                return self._array(np.asarray(value), where)
            case list():
                return [self(item, f"{where}[{place}]", fitted) for place, item in enumerate(value)]
            case tuple():
                return {"type": "tuple", "items": self(list(value), where, fitted)}
            case Mapping():
                pairs = [[self(key, where), self(item, f"{where}[{key!r}]")] for key, item in value.items()]
                return {"type": "dict", "items": pairs}
            case pd.DataFrame() | pd.Series():
                if any(axis.nlevels > 1 for axis in value.axes):
                    raise TypeError(f"{where} has an index of several levels, which a model file cannot hold")
                axes = [{"name": self(axis.name, where), "labels": self(axis.to_numpy(), where)} for axis in value.axes]
                name = self(value.name if value.ndim == 1 else None, where)
                return {"type": "table", "values": self._array(value.to_numpy(), where), "axes": axes, "name": name}
        return self._object(PairwiseSVC.of_libsvm(value) if type(value) is SVC else value, where, fitted)

    def _array(self, array: np.ndarray, where: str) -> dict[str, Any]:
        # Sums over an array round differently in another memory order.
        fortran = bool(array.flags.f_contiguous and not array.flags.c_contiguous)
        kind = "numbers"
        if array.dtype == np.complex128:
            kind, array = "complex", np.ascontiguousarray(array).view(np.float64)
        elif array.dtype.kind == "U" or (array.dtype == object and all(isinstance(item, str) for item in array.flat)):
            # The code points of each name are a further axis, so that names take the memory that they have in the file.
            kind, names = "objects" if array.dtype == object else "names", array.astype(str)
            array = names.ravel().view(np.uint32).reshape(*names.shape, names.itemsize // 4)
        if str(array.dtype) not in _DTYPES:
            raise TypeError(f"{where} is an array of {array.dtype}, which a model file cannot hold")
        name = f"array_{len(self)}"
        self[name] = np.ascontiguousarray(array).reshape(array.shape)
        return {"type": "array", "name": name, "fortran": fortran, "kind": kind}

    def _object(self, value: Any, where: str, fitted: bool) -> dict[str, Any]:
        if type(value) not in _CLASSES.values():
            raise TypeError(
                f"{where} is a {type(value).__name__}, which a model file cannot hold: it holds numbers, text and "
                "objects of skworm; pickle the model instead"
            )
        encoded: dict[str, Any] = {"class": type(value).__name__}
        names = sorted(set(signature(type(value)).parameters) - set(_NOT_KEPT))
        parameters = {name: getattr(value, name) for name in names}
        if is_pipeline := isinstance(value, Pipeline):
            parameters["memory"] = None
        # The steps are parameters of a pipeline, and are fitted themselves.
        of_steps = fitted and is_pipeline
        encoded["parameters"] = {name: self(item, f"{where}.{name}", of_steps) for name, item in parameters.items()}
        if fitted and isinstance(value, BaseEstimator) and not isinstance(value, ParameterObject):
            check_is_fitted(value)
        _check(value, fitted)
        if not fitted:
            return encoded
        learned = dict(vars(value))
        if isinstance(value, KNeighborsClassifier):
            named = {name: names for name, names in learned.items() if name == "feature_names_in_"}
            learned = {"frames": value._fit_X, "states": value.classes_[value._y], **named}
        if isinstance(value, NeuralEstimator):
            net = learned.pop("net_")
            weights = {name: tensor.detach().cpu().numpy() for name, tensor in net.module_.state_dict().items()}
            kept = [name for name in ("train_loss", "valid_loss") if net.history and name in net.history[-1]]
            losses = {name: np.array(net.history[:, name], dtype=float) for name in kept}
            encoded["network"] = self({"weights": weights, "losses": losses}, where)
        for name in (*parameters, *_NOT_KEPT, "_metadata_request"):
            learned.pop(name, None)
        return encoded | {"learned": {name: self(item, f"{where}.{name}") for name, item in learned.items()}}


class _Decoder(dict[str, np.ndarray]):
    """Values of JSON and of arrays by name; the reverse of :class:`_Encoder`, which trusts nothing in a file."""

    n_objects = 0
    networks: tuple[NeuralEstimator, ...] = ()

    def __call__(self, value: Any) -> Any:
        """Decode a value; raise an error for what no encoder writes."""
        if isinstance(value, list):
            return [self(item) for item in value]
        if not isinstance(value, dict):
            return value
        match value:
            case {"class": str(name)}:
                return self._object(name, value)
            case {"type": "tuple", "items": items}:
                return tuple(self(items))
            case {"type": "dict", "items": pairs}:
                return {self(key): self(item) for key, item in pairs}
            case {"type": "array", "name": name, "fortran": fortran, "kind": kind}:
                # Each array is taken once, so that values need no more memory than the file.
                array = self.pop(name)
                if kind == "complex":
                    array = array.view(np.complex128)
                elif kind != "numbers":
                    names = array.view(f"U{array.shape[-1]}")[..., 0].astype(object)
                    return names if kind == "objects" else names.astype(f"U{array.shape[-1]}")
                return np.asfortranarray(array) if fortran else array[()]
            case {"type": "table", "values": values, "axes": parts, "name": name}:
                table = self(values)
                axes = [pd.Index(self(part["labels"]), name=self(part["name"])).infer_objects() for part in parts]
                if table.shape != tuple(map(len, axes)):
                    raise ValueError(f"a table of the shape {table.shape} has other labels")
                return pd.Series(table, axes[0], name=self(name)) if len(axes) == 1 else pd.DataFrame(table, *axes)
        raise ValueError(f"{value.get('type')!r} is not a type of value that a file can hold")

    def _object(self, name: str, part: Mapping[str, Any]) -> Any:
        if (kind := _CLASSES.get(name)) is None:
            raise ValueError(f"{name!r} is none of the classes that a file can hold: {', '.join(_CLASSES)}")
        self.n_objects += 1
        if self.n_objects > _MOST_OBJECTS:
            raise ValueError(f"the file holds more than {_MOST_OBJECTS} objects")
        parameters = {name: self(item) for name, item in part["parameters"].items() if name not in _NOT_KEPT}
        made = kind(**parameters)
        if hasattr(made, "_parameter_constraints"):
            made._validate_params()
        if isinstance(made, Pipeline):
            # A folder of pickles that a stranger names.
            made.memory = None
            made._validate_steps()
        learned = {name: self(item) for name, item in part.get("learned", {}).items()}
        fitted = "learned" in part
        if isinstance(made, KNeighborsClassifier) and fitted:
            _check(made, fitted=False)
            # Their tree is built again from the frames; kept, it would be an opaque blob.
            made.fit(learned.pop("frames"), learned.pop("states"))
        for attribute, value in learned.items():
            if hasattr(kind, attribute) or attribute in signature(kind).parameters or attribute[:2] == "__":
                raise ValueError(f"{name} learns no {attribute!r}")
            setattr(made, attribute, value)
        _check(made, fitted)
        if isinstance(made, NeuralEstimator) and fitted:
            made.net_ = _net(made, self(part["network"]))
            self.networks += (made,)
        return made


def _net(estimator: NeuralEstimator, network: Mapping[str, Any]) -> Any:
    """Build the net of an estimator again, of its weights and losses."""
    weights = {name: torch.tensor(array) for name, array in network["weights"].items()}
    if broken := [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]:
        raise ValueError(f"the weights {broken[:4]} are not finite")
    # Without memory of its own, a module whose size the weights do not have costs nothing.
    with torch.device("meta"):
        module = estimator._build_module().double()
    try:
        module.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise ValueError(f"the weights do not fit the parameters: {error}") from error
    settings = estimator._training_settings("cpu", seed=0)
    return net_of_losses(module.eval(), estimator._loss, settings, network["losses"], estimator.best_epoch_)


def _check(model: Any, fitted: bool = True) -> None:
    """Refuse sizes that contradict each other, or that cost memory or time, before anything is done with them."""
    for name, most in _MOST.items():
        size = getattr(model, name, 0)
        size = len(size) if hasattr(size, "__len__") and not isinstance(size, str) else size
        if not isinstance(size, int | np.integer) or not 0 <= size <= most:
            raise ValueError(f"{name}={size!r} is not expected here, at most {most}")
    if isinstance(model, KNeighborsClassifier) and model.metric != "minkowski":
        # Some metrics look at the covariance of all columns, which takes memory for the square of their number.
        raise ValueError(f"metric={model.metric!r} cannot be held by a file; leave metric='minkowski'")
    if not fitted:
        return
    if isinstance(model, NeuralEstimator):
        _check_cost(model)
    sizes, called = {"2": 2}, type(model).__name__
    if isinstance(model, PairwiseSVC):
        called, sizes["pairs"] = "the support vector machine", len(model.classes_) * (len(model.classes_) - 1) // 2
    shapes = (item for kind in _SHAPES if isinstance(model, kind) for item in _SHAPES[kind].items())
    for name, axes in ((name, axes) for names, axes in shapes for name in names.split()):
        value = getattr(model, name, None)
        for array in value.values() if isinstance(value, dict) else () if value is None else (value,):
            shape = np.shape(array)
            for axis, length in zip(axes.split(), shape, strict=False):
                size = getattr(model, axis, length)
                sizes.setdefault(axis, size if isinstance(size, int) else len(size))
            if shape != tuple(sizes.get(axis) for axis in axes.split()):
                raise ValueError(f"{name} of {called} has the shape {shape}, which does not fit ({axes})")
            is_number = np.asarray(array).dtype.kind in "fc" and name not in _MAY_BE_NAN
            if is_number and not np.isfinite(array).all():
                raise ValueError(f"{name} of {called} is not finite")
    if isinstance(model, skworm.AsymmetricDiffusionMap) and model.n_neighbors * len(model._points) > _MOST_NUMBERS:
        raise ValueError(f"n_neighbors={model.n_neighbors} of {len(model._points)} points take long to find")
    inner = getattr(model, "svc_", getattr(model, "estimator_", model))
    if hasattr(model, "classes_") and not np.array_equal(model.classes_, inner.classes_):
        raise ValueError(f"the {type(inner).__name__} inside the {called} reads other states than this")


def _check_cost(model: NeuralEstimator) -> None:
    """Refuse a network of few weights that would fill memory with each pair of neurons, or take steps for minutes."""
    n_neurons = len(model.neurons_)
    parts = [part for part in model.get_params(deep=False).values() if isinstance(part, ParameterObject)]
    width = max(model.n_hidden, model.n_features_in_ // n_neurons)
    if isinstance(model, GraphEstimator):
        # The graph and the messages have features of every pair of neurons, the readout of neurons alone.
        of_pairs = [getattr(part, "n_hidden", 1) * getattr(part, "n_heads", 1) for part in parts]
        width = max(width, n_neurons * max(skworm.InferredGraph.n_hidden, *of_pairs, 1))
    n_layers = sum(getattr(part, name, 0) for part in parts for name in ("n_layers", "n_steps")) + 1
    n_frames = getattr(model, "burn_in_", 0) + getattr(model, "horizon_", 1)
    cost = n_frames * n_layers * (_COST_OF_A_LAYER + _PROBE_ROWS * n_neurons * width)
    if n_neurons * width > _MOST_NUMBERS or cost > _MOST_COST:
        raise ValueError(
            f"{n_frames} frames of {n_neurons} neurons with {width} features and {n_layers} layers take more memory or "
            "time than a model file may; take fewer neurons, features or frames, or pickle the model instead"
        )


def _probe(estimator: Any) -> dict[str, np.ndarray]:
    """Return a few random frames, in some of which a neuron is missing if it may be, and what is answered to them."""
    probe = np.random.default_rng(0).random((_PROBE_ROWS, _n_features(estimator)))
    gaps = probe.copy()
    gaps[-2, 0] = gaps[-1, -1] = np.nan
    try:
        return {"probe": gaps, "answer": _answer(estimator, gaps)}
    except ValueError:
        return {"probe": probe, "answer": _answer(estimator, probe)}


def _n_features(model: Any) -> int:
    """Return the number of columns of a model; a pipeline may begin with steps that pass all on."""
    steps = [step for _, step in model.steps] if isinstance(model, Pipeline) else [model]
    return int(next(step.n_features_in_ for step in steps if hasattr(step, "n_features_in_")))


def _answer(model: Any, probe: np.ndarray) -> np.ndarray:
    """Return what a model says of frames that name no worm, and then of the same as those of a new worm."""
    tables: list[Any] = [probe]
    if (names := getattr(model, "feature_names_in_", None)) is not None:
        new_worm = pd.Index(["new"] * len(probe), name="worm")
        tables = [pd.DataFrame(probe, index, names) for index in (None, new_worm)]
    methods = ("predict_proba", "decision_function", "predict", "transform")
    method = next(getattr(model, name) for name in methods if hasattr(model, name))
    with warnings.catch_warnings(action="ignore"):
        answers = [np.asarray(method(X)) for X in tables]
        if isinstance(model, ConformalStateClassifier):
            answers += [np.asarray(model.predict_set(X)) for X in tables]
    return np.concatenate(answers)


def _about_training(estimator: Any, X: Any, y: Any) -> dict[str, Any]:
    about: dict[str, Any] = {"frames": learned_settings(estimator)}
    if X is not None:
        about["n_frames"] = len(X)
        about["worms"] = pd.Series(worm_of_rows(X), dtype=object).astype(str).unique().tolist()
    if y is not None and np.asarray(y).dtype.kind in "OUT":
        about["states"] = pd.Series(np.asarray(y, dtype=str)).value_counts().sort_index().to_dict()
    return about
