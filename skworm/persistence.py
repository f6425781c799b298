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
from contextlib import contextmanager, nullcontext, suppress
from importlib.metadata import version
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as save_arrays
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, is_classifier
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.utils.validation import check_is_fitted
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import flop_registry

import skworm
from skworm.atomic import atomic_path
from skworm.estimators import parts
from skworm.estimators.behavior import NeuralBehaviorRegressor
from skworm.estimators.calibration import ConformalStateClassifier, TemperatureScaledClassifier, WrappingStateClassifier
from skworm.estimators.network import GraphEstimator, NeuralEstimator
from skworm.estimators.svm import PairwiseSVC, SVMStateClassifier
from skworm.estimators.trajectory import NeuralTrajectoryRegressor, TrajectoryRegressor
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

_OTHERS = (skworm.VirtualWorms, WormGroupKFold, GroupKFold, LeaveOneGroupOut, PairwiseSVC, Ridge)
_PARTS = [kind for kind in vars(parts).values() if isinstance(kind, type) and issubclass(kind, ParameterObject)]
_CLASSES: Mapping[str, type] = {kind.__name__: kind for kind in (*MODELS.values(), *_PARTS, *_OTHERS)}

_KEY, _LAYOUT = "skworm", "2"
_DTYPES = ("float64", "float32", "int64", "int32", "int16", "int8", "uint8", "bool")
_PACKAGES = ("skworm", "torch", "scikit-learn", "numpy")
# What `fit` needs and a loaded model does without, or what depends on the machine.
_NOT_KEPT = ("callbacks", "n_jobs")

_PROBE_ROWS = 4
# Other versions and other processors round differently; a larger difference means another model.
_TOLERANCES = 1e-4, 1e-6
# A file is refused before it takes more memory or time than any model needs.
_MOST_TEXT, _MOST_NAMES, _MOST_ARRAYS, _MOST_OBJECTS = 2**23, 2**27, 10_000, 1000
_MOST_NUMBERS, _MOST_COST, _COST_OF_A_CALL = 2**24, 2**30, 40_000
_MOST = {"n_features_in_": 100_000, "neurons_": 1000, "horizon_": 1000}
_MOST |= dict.fromkeys(("classes_", "n_layers", "n_steps", "n_heads"), 100)

# Axes of what classes learn: an attribute that is the size or has it as its length, or a word for any size.
_SHAPES: Mapping[Any, Mapping[str, str]] = {
    BaseEstimator: {"feature_names_in_": "n_features_in_"},
    GraphEstimator: {"graph_ graphs_": "neurons_ neurons_"},
    NeuralBehaviorRegressor: {"signal_mean_ signal_scale_": "signals_"},
    TrajectoryRegressor: {"level_ levels_": "n_columns_"},
    NeuralTrajectoryRegressor: {"_bounds": "2 n_columns_"},
    (skworm.LinearTrajectoryRegressor, Ridge): {"coef_": "targets n_features_in_", "intercept_": "targets"},
    PairwiseSVC: {"support_vectors_": "vectors columns", "dual_coef_": "pairs vectors", "rho_": "pairs", "gamma_": ""},
    SVMStateClassifier: {"fill_": "n_features_in_"},
    skworm.AsymmetricDiffusionMap: {
        "eigenvalues_ _imaginary": "modes",
        "_modes embedding_": "points modes",
        "_points": "points delayed",
        "_moments": "points",
        "transitions_": "points points",
    },
    skworm.HiddenMarkovStateClassifier: {"transition_": "classes_ classes_", "shares_": "classes_"},
    (StandardScaler, MinMaxScaler): {"mean_ min_ scale_": "n_features_in_"},
    WormMinMaxScaler: {"range_ worm_ranges_": "2 n_features_in_"},
}
# Other metrics look at the covariance of all columns, which takes memory for the square of their number.
_METRICS = ("minkowski", "euclidean", "manhattan", "chebyshev", "cosine")
_FINITE = (PairwiseSVC, Ridge, skworm.LinearTrajectoryRegressor, skworm.AsymmetricDiffusionMap)


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
    code of its sender, as unpickling would. Callbacks, `n_jobs` and `memory` are not kept.

    Parameters
    ----------
    estimator : estimator
        Any fitted estimator of skworm, or a pipeline of them with ``MinMaxScaler``, ``StandardScaler`` or
        ``KNeighborsClassifier``.
    path : path
        Where to write, best with the ending ``.skworm``.
    X : DataFrame or array-like of shape (n_frames, n_features), optional
        Training frames, of which the file holds the number, the worms and a digest.
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
        _check_copy(estimator, temporary)
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
        found = _answer(model, probe, bounded=not shipped)
        numbers = found.shape == answer.shape and found.dtype.kind in "fc"
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
        :func:`skworm.save`, ``"n_frames"``, ``"worms"``, ``"states"`` and the digest ``"sha256"``), and
        ``"versions"`` of packages.

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
            f"{source}: the model cannot be read ({type(error).__name__}: {error}); it was saved with {versions}: copy "
            "the file again from where it came, save the model anew, or install these versions"
        ) from error


def _container(document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return a safetensors file of a JSON document and arrays, with a checksum over both."""
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    # One entry, since safetensors writes several in any order: the same model makes the same file.
    return save_arrays(dict(arrays), metadata={_KEY: f"{_LAYOUT} {_digest(text, arrays)} {text}"})


def _contents(source: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        with safe_open(source, framework="numpy") as file:
            metadata = file.metadata() or {}
            # Shapes are checked against the length of the file before anything is allocated.
            arrays = {name: file.get_tensor(name) for name in file.keys()[: _MOST_ARRAYS + 1]}
    except (SafetensorError, OSError, UnicodeDecodeError, TypeError, AttributeError, KeyError, ValueError) as error:
        raise ValueError(f"this is not a whole model file of skworm: {error}") from error
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
    return dict(json.loads(text)), arrays


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
            case float():
                return float(value) if np.isfinite(value) else {"type": "float", "value": str(float(value))}
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
            case csr_array():
                inside = {name: self._array(getattr(value, name), where) for name in ("data", "indices", "indptr")}
                return {"type": "sparse", "shape": list(map(int, value.shape)), **inside}
        return self._object(PairwiseSVC.of_libsvm(value) if type(value) is SVC else value, where, fitted)

    def _array(self, array: np.ndarray, where: str) -> dict[str, Any]:
        if array.dtype.kind == "U" or (array.dtype == object and all(isinstance(item, str) for item in array.ravel())):
            width = "object" if array.dtype == object else array.dtype.itemsize // 4
            return {"type": "names", "width": width, "shape": list(array.shape), "items": list(map(str, array.ravel()))}
        # Sums over an array round differently in another memory order.
        fortran = bool(array.flags.f_contiguous and not array.flags.c_contiguous)
        if is_complex := array.dtype == np.complex128:
            array = np.ascontiguousarray(array).view(np.float64)
        if str(array.dtype) not in _DTYPES:
            raise TypeError(f"{where} is an array of {array.dtype}, which a model file cannot hold")
        name = f"array_{len(self)}"
        self[name] = np.ascontiguousarray(array).reshape(array.shape)
        return {"type": "array", "name": name, "fortran": fortran, "complex": is_complex}

    def _object(self, value: Any, where: str, fitted: bool) -> dict[str, Any]:
        if type(value) not in _CLASSES.values():
            raise TypeError(
                f"{where} is a {type(value).__name__}, which a model file cannot hold: it holds numbers, text and "
                "objects of skworm; pickle the model instead"
            )
        encoded: dict[str, Any] = {"class": type(value).__name__}
        if isinstance(value, Pipeline):
            # The steps are parameters of a pipeline, and are fitted themselves.
            steps = [[name, self(step, f"step {name!r} of {where}", fitted)] for name, step in value.steps]
            return encoded | {"parameters": {"steps": steps, "transform_input": self(value.transform_input, where)}}
        names = sorted(set(signature(type(value)).parameters) - set(_NOT_KEPT))
        parameters = {name: getattr(value, name) for name in names}
        encoded["parameters"] = {name: self(item, f"{where}.{name}", False) for name, item in parameters.items()}
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

    n_objects, n_bytes = 0, 0
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
            case {"type": "float", "value": "nan" | "inf" | "-inf" as number}:
                return float(number)
            case {"type": "tuple", "items": items}:
                return tuple(self(items))
            case {"type": "dict", "items": pairs}:
                return {self(key): self(item) for key, item in pairs}
            case {"type": "names", "width": width, "shape": shape, "items": items}:
                if not all(isinstance(item, str) for item in items):
                    raise TypeError("a list of names holds something else")
                if width != "object":
                    width = max(width, 1)
                    self.n_bytes += 4 * width * max(len(items), 1)
                if self.n_bytes > _MOST_NAMES:
                    raise ValueError(f"{len(items)} names of {width} letters take more memory than a model needs")
                return np.array(items, dtype=object if width == "object" else f"<U{width}").reshape(shape)
            case {"type": "array", "name": name, "fortran": fortran, "complex": is_complex}:
                # Each array is taken once, so that values need no more memory than the file.
                array = self.pop(name)
                array = array.view(np.complex128) if is_complex else array
                return np.asfortranarray(array) if fortran else array[()]
            case {"type": "table", "values": values, "axes": parts, "name": name}:
                table = self(values)
                axes = [pd.Index(self(part["labels"]), name=self(part["name"])).infer_objects() for part in parts]
                if table.shape != tuple(map(len, axes)):
                    raise ValueError(f"a table of the shape {table.shape} has other labels")
                return pd.Series(table, axes[0], name=self(name)) if len(axes) == 1 else pd.DataFrame(table, *axes)
            case {"type": "sparse", "shape": [int(rows), int(columns)]}:
                inside = tuple(self(value[name]) for name in ("data", "indices", "indptr"))
                matrix = csr_array(inside, shape=(rows, columns))
                matrix.check_format(full_check=True)
                return matrix
        raise ValueError(f"{value.get('type')!r} is not a type of value that a file can hold")

    def _object(self, name: str, part: Mapping[str, Any]) -> Any:
        if (kind := _CLASSES.get(name)) is None:
            raise ValueError(f"{name!r} is none of the classes that a file can hold: {', '.join(_CLASSES)}")
        self.n_objects += 1
        if self.n_objects > _MOST_OBJECTS:
            raise ValueError(f"the file holds more than {_MOST_OBJECTS} objects")
        parameters = {name: self(item) for name, item in part["parameters"].items() if name not in _NOT_KEPT}
        if kind is Pipeline:
            made = Pipeline([(name, step) for name, step in parameters.pop("steps")], **parameters)
            made._validate_steps()
            return made
        made = kind(**parameters)
        if hasattr(made, "_parameter_constraints"):
            made._validate_params()
        learned = {name: self(item) for name, item in part.get("learned", {}).items()}
        fitted = "learned" in part
        if isinstance(made, KNeighborsClassifier) and fitted:
            _check(made, fitted=False)
            # Their tree is built again from the frames; kept, it would be an opaque blob.
            made.fit(learned.pop("frames"), learned.pop("states"))
        for attribute, value in learned.items():
            if hasattr(kind, attribute) or attribute in parameters or attribute[:2] == "__":
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
    if isinstance(model, KNeighborsClassifier) and model.metric not in _METRICS:
        raise ValueError(f"metric={model.metric!r} is none that a file can hold: {', '.join(_METRICS)}")
    if not fitted:
        return
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
            numbers = np.asarray(array.data if isinstance(array, csr_array) else array)
            if isinstance(model, _FINITE) and numbers.dtype.kind in "fc" and not np.isfinite(numbers).all():
                raise ValueError(f"{name} of {called} is not finite")
    if isinstance(model, TrajectoryRegressor) and model.burn_in_ * model.n_columns_ != model.n_features_in_:
        raise ValueError("burn_in_, n_columns_ and n_features_in_ do not fit together")
    if isinstance(model, skworm.AsymmetricDiffusionMap) and model.n_neighbors * len(model._points) > _MOST_NUMBERS:
        raise ValueError(f"n_neighbors={model.n_neighbors} of {len(model._points)} points take long to find")
    wraps = isinstance(model, WrappingStateClassifier)
    if wraps or isinstance(model, SVMStateClassifier):
        inner = model.estimator_ if wraps else model.svc_
        if (wraps and not is_classifier(inner)) or not np.array_equal(model.classes_, inner.classes_):
            raise ValueError(f"a {type(inner).__name__} is wrapped that is not a classifier of the states of the model")
    if isinstance(model, TemperatureScaledClassifier) and not 0 < model.temperature_ < np.inf:
        raise ValueError(f"temperature_={model.temperature_!r} is not a temperature")
    if isinstance(model, ConformalStateClassifier) and not (
        isinstance(model.worm_thresholds_, pd.Series) and np.isfinite(model.threshold_)
    ):
        raise ValueError(f"threshold_={model.threshold_!r} is not a threshold, or worm_thresholds_ is not a series")


def _probe(estimator: Any) -> dict[str, np.ndarray]:
    """Return a few random frames, in some of which a neuron is missing if it may be, and what is answered to them."""
    probe = np.random.default_rng(0).random((_PROBE_ROWS, _n_features(estimator)))
    gaps = probe.copy()
    gaps[-2, 0] = gaps[-1, -1] = np.nan
    try:
        return {"probe": gaps, "answer": _answer(estimator, gaps)}
    except ValueError:
        return {"probe": probe, "answer": _answer(estimator, probe)}


def _check_copy(estimator: Any, path: Path) -> None:
    """Raise ValueError unless a file is read back as a model that predicts what the estimator predicts."""
    probe = np.random.default_rng(1).random((_PROBE_ROWS, _n_features(estimator)))
    try:
        # Rows of a new worm as well, for which a network infers a graph.
        found, wanted = (_answer(model, probe, worm="new") for model in (load(path), estimator))
    except ValueError as error:
        problem: Any = error.__cause__ or error
    else:
        if found.dtype.kind not in "fc" or np.allclose(found, wanted, *_TOLERANCES, equal_nan=True):
            return
        problem = "it predicts otherwise"
    raise ValueError(
        f"the {type(estimator).__name__} cannot be saved, since it would be read as another model ({problem}); its "
        "parameters, or those of an object that it shares with another estimator, were changed since fit: fit it again"
    )


def _n_features(model: Any) -> int:
    """Return the number of columns of a model; a pipeline may begin with steps that pass all on."""
    steps = [step for _, step in model.steps] if isinstance(model, Pipeline) else [model]
    return int(next(step.n_features_in_ for step in steps if hasattr(step, "n_features_in_")))


def _answer(model: Any, probe: np.ndarray, *, bounded: bool = True, worm: str | None = None) -> np.ndarray:
    names = getattr(model, "feature_names_in_", None)
    index = None if worm is None else pd.Index([worm] * len(probe), name="worm")
    X = probe if names is None else pd.DataFrame(probe, columns=names, index=index)
    # To predict what an operation costs, torch imports its compiler, which takes longer than reading a model.
    with warnings.catch_warnings(), _Bounded() if bounded else nullcontext():
        # The probe of a file names no worms.
        warnings.simplefilter("ignore")
        if isinstance(model, ConformalStateClassifier):
            return np.hstack([model.predict_proba(X), model.predict_set(X)])
        for method in ("predict_proba", "decision_function", "predict"):
            if hasattr(model, method):
                return np.asarray(getattr(model, method)(X))
        return np.asarray(model.transform(X))


class _Bounded(TorchDispatchMode):
    """Refuse operations of torch, before they run, that take more memory or time than a few frames need."""

    cost = 0.0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, once the same operation without memory has shown that its outcome is small."""
        kwargs = kwargs or {}
        size, flops = 0, 0
        outlines, named = tree_map_only(torch.Tensor, lambda tensor: tensor.to("meta"), (args, kwargs))
        named |= {"device": "meta"} if "device" in named else {}
        # Sizes that depend on values are not known before; a selection of rows is never larger than all rows.
        with suppress(RuntimeError, NotImplementedError):
            outcome = function(*outlines, **named)
            size = sum(part.numel() for part in tree_leaves(outcome) if isinstance(part, torch.Tensor))
            if count := flop_registry.get(function.overloadpacket):
                flops = count(*outlines, **named, out_val=outcome)
        self.cost += _COST_OF_A_CALL + size + flops / 8
        if size > _MOST_NUMBERS or self.cost > _MOST_COST:
            raise ValueError(f"{function} on {size} numbers takes more memory or time than a model needs")
        return function(*args, **kwargs)


def _about_training(estimator: Any, X: Any, y: Any) -> dict[str, Any]:
    about: dict[str, Any] = {"frames": learned_settings(estimator)}
    if X is not None:
        table = X if isinstance(X, pd.DataFrame) else pd.DataFrame(np.asarray(X))
        text = "\0".join(map(str, table.columns)) + "\0".join(map(str, [] if y is None else np.asarray(y)))
        digest = hashlib.sha256(table.to_numpy(dtype=float).tobytes() + text.encode()).hexdigest()
        worms = list(map(str, pd.Series(worm_of_rows(X), dtype=object).unique()))
        about |= {"n_frames": len(table), "sha256": digest, "worms": worms}
    if y is not None and np.asarray(y).dtype.kind in "OUT":
        about["states"] = pd.Series(np.asarray(y, dtype=str)).value_counts().sort_index().to_dict()
    return about
