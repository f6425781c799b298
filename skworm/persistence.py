"""Save fitted models to files of numbers and text, which can run no code, and load them."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, is_classifier
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.utils.validation import check_is_fitted

import skworm
from skworm.atomic import atomic_path
from skworm.estimators import parts
from skworm.estimators.calibration import ConformalStateClassifier, TemperatureScaledClassifier, WrappingStateClassifier
from skworm.estimators.hidden_markov import HiddenMarkovStateClassifier
from skworm.estimators.manifold import AsymmetricDiffusionMap
from skworm.estimators.network import GraphEstimator, NeuralEstimator
from skworm.estimators.states import NeuralStateClassifier
from skworm.estimators.svm import PairwiseSVC, SVMStateClassifier
from skworm.estimators.trajectory_base import TrajectoryRegressor
from skworm.frames import WormMinMaxScaler
from skworm.frames.index import learned_settings, worm_of_rows
from skworm.model_selection import WormGroupKFold
from skworm.parameters import ParameterObject
from skworm.training import TrainingJob, resolve_device
from skworm.training.loop import net_of_losses

MODELS: Mapping[str, type] = {
    **{name: getattr(skworm, name) for name in skworm.__all__ if name.endswith(("Classifier", "Regressor", "Map"))},
    **{
        kind.__name__: kind for kind in (WormMinMaxScaler, MinMaxScaler, StandardScaler, KNeighborsClassifier, Pipeline)
    },
}
"""The estimators that a file can hold, by themselves, in a pipeline or in a wrapper."""

_PARTS: Mapping[str, type] = {
    **{
        name: kind for name, kind in vars(parts).items() if isinstance(kind, type) and issubclass(kind, ParameterObject)
    },
    **{
        kind.__name__: kind
        for kind in (skworm.VirtualWorms, WormGroupKFold, GroupKFold, LeaveOneGroupOut, PairwiseSVC, Ridge)
    },
}
_CLASSES = {**MODELS, **_PARTS}

_KEY, _LAYOUT = "skworm", "2"
_DTYPES = ("float64", "float32", "int64", "int32", "bool")
_FLOATS = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}
_PACKAGES = ("skworm", "torch", "scikit-learn", "numpy")
_AGAIN = "copy it again from where it came, or save the model anew"
# What `fit` needs and a loaded model does without, or what depends on the machine.
_NOT_KEPT = ("callbacks", "n_jobs")

_PROBE_ROWS = 4
# Other versions and other processors round otherwise; what differs by more is another model.
_RELATIVE, _ABSOLUTE = 1e-4, 1e-6
# A file is refused before more memory is taken than any model needs. Graphs take the square of the number of neurons.
_MOST_BYTES, _MOST_TEXT = 2**28, 2**23
_MOST_FEATURES, _MOST_NEURONS, _MOST_STEPS, _MOST_PROBED = 100_000, 1000, 1000, 1_000_000


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
    Callbacks, `n_jobs` and `memory` are not kept.

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
    if type(estimator) not in MODELS.values():
        raise TypeError(f"a {type(estimator).__name__} cannot be saved; a file holds one of {', '.join(MODELS)}")
    encoder = _Encoder()
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
    with atomic_path(target) as temporary:
        temporary.write_bytes(_container(document, encoder.arrays))
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
    FileNotFoundError: nowhere.skworm does not exist; check the path
    """
    source = Path(path).expanduser()
    document, arrays = _read(source)
    try:
        decoder = _Decoder(arrays)
        model = decoder(document["model"])
        if type(model) not in MODELS.values():
            raise TypeError(f"a {type(model).__name__} is not a model")
        check_is_fitted(model)
        probe, answer = decoder.array(document["probe"]), decoder.array(document["answer"])
        _check_cost(model, probe, answer)
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
    wanted = resolve_device(device)
    for estimator in _estimators_of(model):
        if isinstance(estimator, NeuralEstimator):
            estimator.net_.set_params(device=wanted)
            estimator.net_.module_.to(wanted)
    return model


def describe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what is known of a model from its file, without building it.

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
        If the file is damaged or is not a model file of skworm.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import skworm
    >>> from skworm.persistence import describe
    >>> model = skworm.PersistenceRegressor().fit([[0.0]], [[1.0]])
    >>> with TemporaryDirectory() as folder:
    ...     describe(skworm.save(model, Path(folder, "a.skworm"), description="a baseline"))["description"]
    'a baseline'
    """
    source = Path(path).expanduser()
    document, arrays = _read(source)
    try:
        return {
            "class": str(document["model"]["class"]),
            "description": str(document["description"]),
            "training": dict(_Decoder(arrays)(document["training"])),
            "versions": dict(document["versions"]),
        }
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{source}: the model is not described as skworm does ({error}); save it anew") from error


def _container(document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return a safetensors file of a JSON document and arrays, with a checksum over both."""
    from safetensors.numpy import save

    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    # One entry, since safetensors writes several in any order: the same model makes the same file.
    return save(dict(arrays), metadata={_KEY: f"{_LAYOUT} {_digest(text, arrays)} {text}"})


def _read(source: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    if not source.is_file():
        raise FileNotFoundError(f"{source} does not exist; check the path")
    try:
        return _contents(source)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def _contents(source: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(source, framework="numpy") as file:
            # Shapes are checked against the length of the file before anything is allocated.
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dict
            metadata = file.metadata() or {}
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError, UnicodeDecodeError, TypeError, AttributeError, KeyError, ValueError) as error:
        raise ValueError(f"this is not a whole model file of skworm ({error}); {_AGAIN}") from error
    strange = {name: str(array.dtype) for name, array in arrays.items() if str(array.dtype) not in _DTYPES}
    if strange:
        raise ValueError(f"the file holds arrays of the types {strange}, and {', '.join(_DTYPES)} are expected")
    words = metadata.get(_KEY, "").split(" ", 2)
    if len(words) != 3:
        raise ValueError("this is a safetensors file, but not of a skworm model; write one with skworm.save")
    layout, checksum, text = words
    if layout != _LAYOUT:
        raise ValueError(
            f"the file has the layout {layout!r}, and this skworm reads {_LAYOUT!r}; install the skworm that wrote it"
        )
    if checksum != _digest(text, arrays):
        raise ValueError(f"the checksum does not fit the content, so the file is damaged; {_AGAIN}")
    if len(text) > _MOST_TEXT:
        raise ValueError(f"the description of the model is {len(text)} letters long, and {_MOST_TEXT} are the most")
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the description of the model is not JSON that can be read ({error}); {_AGAIN}") from error
    if not isinstance(document, dict):
        raise ValueError(f"the description of the model is a {type(document).__name__}, not an object; {_AGAIN}")
    return document, arrays


def _digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\0{name}\0{array.dtype}\0{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _parameters_of(value: Any) -> dict[str, Any]:
    if hasattr(value, "get_params"):
        return value.get_params(deep=False)
    return {name: getattr(value, name) for name in signature(type(value)).parameters}


class _Encoder:
    """Values as JSON; numbers of arrays go into ``arrays``."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}

    def __call__(self, value: Any, where: str, fitted: bool = True) -> Any:
        """Encode a value; `where` names it in errors, and of what is not `fitted` only parameters are kept."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return str(value)
        if isinstance(value, float):
            number = float(value)
            return number if np.isfinite(number) else {"type": "float", "value": str(number)}
        if isinstance(value, int):
            return value
        if isinstance(value, np.generic):
            return {"type": "scalar", "value": self._array(np.asarray(value), where)}
        if isinstance(value, list | tuple):
            items = [self(item, f"{where}[{place}]", fitted) for place, item in enumerate(value)]
            return items if isinstance(value, list) else {"type": "tuple", "items": items}
        if isinstance(value, Mapping):
            pairs = [[self(key, f"a key of {where}"), self(item, f"{where}[{key!r}]")] for key, item in value.items()]
            return {"type": "dict", "items": pairs}
        if isinstance(value, np.ndarray):
            return self._array(value, where)
        if isinstance(value, pd.DataFrame | pd.Series):
            axes = [self._index(axis, where) for axis in value.axes]
            name = self(value.name, where) if isinstance(value, pd.Series) else None
            return {"type": "table", "values": self._array(value.to_numpy(), where), "axes": axes, "name": name}
        if isinstance(value, csr_array):
            inside = {name: self._array(getattr(value, name), where) for name in ("data", "indices", "indptr")}
            return {"type": "sparse", "shape": list(map(int, value.shape)), **inside}
        return self._object(value, where, fitted)

    def _array(self, array: np.ndarray, where: str) -> dict[str, Any]:
        shape = list(array.shape)
        if array.dtype.kind == "U" or (array.dtype == object and all(isinstance(item, str) for item in array.ravel())):
            width = "object" if array.dtype == object else array.dtype.itemsize // 4
            return {"type": "names", "width": width, "shape": shape, "items": list(map(str, array.ravel()))}
        # Sums over an array round differently in another memory order.
        fortran = bool(array.flags.f_contiguous and not array.flags.c_contiguous)
        if is_complex := array.dtype == np.complex128:
            array = np.ascontiguousarray(array).view(np.float64)
        if str(array.dtype) not in _DTYPES:
            raise TypeError(f"{where} is an array of {array.dtype}, which a model file cannot hold")
        name = f"array_{len(self.arrays)}"
        self.arrays[name] = np.ascontiguousarray(array).reshape(array.shape)
        return {"type": "array", "name": name, "fortran": fortran, "complex": is_complex}

    def _index(self, index: pd.Index, where: str) -> dict[str, Any]:
        if index.nlevels > 1:
            raise TypeError(f"{where} has an index of several levels, which a model file cannot hold")
        labels = index.to_numpy(dtype=object) if index.dtype.kind not in "iufb" else index.to_numpy()
        return {"name": self(index.name, where), "labels": self._array(labels, where)}

    def _object(self, value: Any, where: str, fitted: bool) -> dict[str, Any]:
        if type(value) is SVC:
            value = _pairwise(value)
        if type(value) not in _CLASSES.values():
            raise TypeError(f"{where} is a {type(value).__name__}, which a model file cannot hold")
        parameters, learned = _parameters_of(value), dict(vars(value)) if fitted else {}
        encoded: dict[str, Any] = {"class": type(value).__name__}
        if isinstance(value, Pipeline):
            # The steps are parameters of a pipeline, and are fitted themselves.
            steps = [[name, self(step, f"step {name!r} of {where}", fitted)] for name, step in value.steps]
            encoded["parameters"] = {"steps": steps, "transform_input": self(value.transform_input, where)}
            return encoded
        encoded["parameters"] = {
            name: self(item, f"{where}.{name}", fitted=False)
            for name, item in parameters.items()
            if name not in _NOT_KEPT
        }
        if fitted and isinstance(value, BaseEstimator) and not isinstance(value, ParameterObject):
            check_is_fitted(value)
        if fitted and isinstance(value, KNeighborsClassifier):
            learned = {"frames": value._fit_X, "states": value.classes_[value._y]}
            learned["columns"] = getattr(value, "feature_names_in_", None)
        if fitted and isinstance(value, NeuralEstimator):
            encoded["network"] = self(_network(learned.pop("net_")), f"{where}.net_")
        encoded["learned"] = {
            name: self(item, f"{where}.{name}")
            for name, item in learned.items()
            if name not in parameters and name != "_metadata_request"
        }
        return encoded


class _Decoder:
    """Values of JSON and arrays; the reverse of :class:`_Encoder`, which believes nothing."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = arrays

    def __call__(self, value: Any) -> Any:
        """Decode a value; raise ValueError, TypeError or KeyError for what no encoder writes."""
        if isinstance(value, list):
            return [self(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "class" in value:
            return self._object(value)
        decoders: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "float": lambda part: _FLOATS[part["value"]],
            "scalar": lambda part: self.array(part["value"])[()],
            "tuple": lambda part: tuple(self(part["items"])),
            "dict": lambda part: {self(key): self(item) for key, item in part["items"]},
            "names": _names,
            "array": self._array,
            "table": self._table,
            "sparse": self._sparse,
        }
        if value.get("type") not in decoders:
            raise ValueError(f"{value.get('type')!r} is not a type of value that a file can hold")
        return decoders[value["type"]](value)

    def array(self, value: Any) -> np.ndarray:
        """Decode a value that has to be an array."""
        array = self(value)
        if not isinstance(array, np.ndarray):
            raise TypeError(f"an array is expected, not a {type(array).__name__}")
        return array

    def _array(self, part: Mapping[str, Any]) -> np.ndarray:
        array = np.array(self.arrays[part["name"]])
        if part["complex"]:
            array = np.ascontiguousarray(array, dtype=np.float64).view(np.complex128)
        return np.asfortranarray(array) if part["fortran"] else array

    def _table(self, part: Mapping[str, Any]) -> pd.DataFrame | pd.Series:
        values = self.array(part["values"])
        axes = [pd.Index(self.array(axis["labels"]), name=self(axis["name"])).infer_objects() for axis in part["axes"]]
        if len(axes) == 1:
            return pd.Series(values, index=axes[0], name=self(part["name"]))
        index, columns = axes
        return pd.DataFrame(values, index=index, columns=columns)

    def _sparse(self, part: Mapping[str, Any]) -> csr_array:
        inside = tuple(self.array(part[name]) for name in ("data", "indices", "indptr"))
        rows, columns = map(int, part["shape"])
        table = csr_array(inside, shape=(rows, columns))
        table.check_format(full_check=True)
        return table

    def _object(self, part: Mapping[str, Any]) -> Any:
        kind = _CLASSES.get(part["class"])
        if kind is None:
            raise ValueError(f"{part['class']!r} is none of the classes that a file can hold: {', '.join(_CLASSES)}")
        parameters = {name: self(item) for name, item in part["parameters"].items() if name not in _NOT_KEPT}
        if kind is Pipeline:
            return _pipeline(**parameters)
        made = kind(**parameters)
        if isinstance(made, ParameterObject):
            made.check()
        elif hasattr(made, "_parameter_constraints"):
            made._validate_params()
        learned = {name: self(item) for name, item in part.get("learned", {}).items()}
        if not learned:
            return made
        if isinstance(made, KNeighborsClassifier):
            return _grown(made, **learned)
        for name, value in learned.items():
            if hasattr(kind, name) or name in parameters or not name.strip("_").isidentifier() or name[:2] == "__":
                raise ValueError(f"{part['class']} learns no {name!r}")
            setattr(made, name, value)
        _check(made, len(self.arrays))
        if isinstance(made, NeuralEstimator):
            made.net_ = _net(made, self(part["network"]))
        return made


def _names(part: Mapping[str, Any]) -> np.ndarray:
    width, items = part["width"], part["items"]
    if not all(isinstance(item, str) for item in items):
        raise TypeError("a list of names holds something else")
    if width == "object":
        return np.array(items, dtype=object).reshape(part["shape"])
    if not isinstance(width, int) or not max(map(len, items), default=0) <= width <= _MOST_BYTES:
        raise ValueError(f"names of {width!r} letters are not expected")
    if 4 * max(width, 1) * len(items) > _MOST_BYTES:
        raise ValueError(f"{len(items)} names of {width} letters take more memory than a model needs")
    return np.array(items, dtype=f"<U{max(width, 1)}").reshape(part["shape"])


def _pipeline(steps: Any, transform_input: Any) -> Pipeline:
    for name, step in steps:
        if not isinstance(name, str) or not (type(step) in MODELS.values() or step in (None, "passthrough")):
            raise TypeError("a step of the pipeline is not an estimator that a file can hold")
    pipeline = Pipeline([(name, step) for name, step in steps], transform_input=transform_input)
    pipeline._validate_steps()
    return pipeline


def _grown(neighbors: KNeighborsClassifier, frames: Any, states: Any, columns: Any) -> KNeighborsClassifier:
    """Fit neighbours again: their tree follows from the frames, and would be a blob."""
    neighbors.fit(frames, states)
    if columns is not None:
        neighbors.feature_names_in_ = columns
    return neighbors


def _pairwise(svc: SVC) -> PairwiseSVC:
    """Return the support vectors and coefficients of libsvm, one row of coefficients for each pair of classes."""
    machine = PairwiseSVC(C=svc.C, kernel=svc.kernel, gamma=svc.gamma, class_weight=svc.class_weight, device="cpu")
    first_vector = np.concatenate([[0], np.cumsum(svc.n_support_)])
    n_classes = len(svc.classes_)
    pairs = [(first, second) for first in range(n_classes) for second in range(first + 1, n_classes)]
    machine.dual_coef_ = np.zeros((len(pairs), len(svc.support_vectors_)))
    for row, (first, second) in zip(machine.dual_coef_, pairs, strict=True):
        # libsvm keeps the coefficients of a class against the k-th other class in row k.
        of_first = slice(first_vector[first], first_vector[first + 1])
        of_second = slice(first_vector[second], first_vector[second + 1])
        row[of_first], row[of_second] = svc._dual_coef_[second - 1, of_first], svc._dual_coef_[first, of_second]
    machine.rho_ = -svc._intercept_
    machine.classes_, machine.support_vectors_ = svc.classes_, svc.support_vectors_
    machine.gamma_, machine.n_iter_ = float(svc._gamma), svc.n_iter_
    return machine


def _network(net: Any) -> dict[str, Any]:
    """Return the weights and the losses of a net."""
    weights = {name: tensor.detach().cpu().numpy() for name, tensor in net.module_.state_dict().items()}
    kept = [name for name in ("train_loss", "valid_loss") if net.history and name in net.history[-1]]
    return {"weights": weights, "losses": {name: np.array(net.history[:, name], dtype=float) for name in kept}}


def _net(estimator: NeuralEstimator, network: Mapping[str, Any]) -> Any:
    """Build the net of an estimator again, of its weights and losses."""
    weights = {name: torch.tensor(np.asarray(array)) for name, array in network["weights"].items()}
    # Without memory of its own, a module of a size that the weights have not got costs nothing.
    with torch.device("meta"):
        module = estimator._build_module().double()
    wanted = {name: (tensor.shape, tensor.dtype) for name, tensor in module.state_dict().items()}
    found = {name: (tensor.shape, tensor.dtype) for name, tensor in weights.items()}
    if wanted != found:
        differing = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        raise ValueError(f"the weights {differing[:4]} do not fit a {type(estimator).__name__} of these parameters")
    broken = [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise ValueError(f"the weights {broken[:4]} are not finite")
    module.load_state_dict(weights, assign=True)
    losses = network["losses"]
    settings, judged = estimator._training_settings("cpu", seed=0), np.array(["valid_loss" in losses])
    nothing = np.zeros(1, int)
    job = TrainingJob(module.eval(), estimator._loss, np.empty((1, 1)), nothing, nothing, judged, settings, None)
    return net_of_losses(job, losses, estimator.best_epoch_)


def _check(model: Any, n_arrays: int) -> None:
    """Refuse sizes that contradict each other, or that cost memory or time, before anything is done with them."""
    n_features = getattr(model, "n_features_in_", 1)
    _at_most("n_features_in_", n_features, _MOST_FEATURES)
    names = getattr(model, "feature_names_in_", None)
    if names is not None and np.shape(names) != (n_features,):
        raise ValueError("n_features_in_ and feature_names_in_ do not fit together")
    if not isinstance(getattr(model, "frame_settings_", {}), dict):
        raise TypeError("frame_settings_ is not a dict")
    if isinstance(model, NeuralEstimator):
        _at_most("n_layers", model._readout_of_neurons().n_layers, n_arrays)
    if isinstance(model, GraphEstimator):
        _at_most("the number of neurons", len(model.neurons_), _MOST_NEURONS)
        _at_most("n_steps", getattr(model._messages(), "n_steps", 1), _MOST_STEPS)
    if isinstance(model, TrajectoryRegressor):
        _check_steps(model)
    if isinstance(model, PairwiseSVC):
        _check_machine(model)
    if isinstance(model, SVMStateClassifier):
        _check_classifier(model)
    if isinstance(model, AsymmetricDiffusionMap):
        _check_manifold(model)
    if isinstance(model, WrappingStateClassifier):
        _check_wrapper(model)


def _at_most(name: str, value: Any, most: int) -> None:
    if not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{name}={value!r} is not expected here, at most {most}")


def _check_steps(model: TrajectoryRegressor) -> None:
    for name in ("burn_in_", "n_columns_"):
        _at_most(name, getattr(model, name), model.n_features_in_)
    if model.burn_in_ * model.n_columns_ != model.n_features_in_:
        raise ValueError("burn_in_, n_columns_ and n_features_in_ do not fit together")
    for level in (model.level_, *model.levels_.values()):
        if np.shape(level) != (model.n_columns_,):
            raise ValueError("a level has not as many columns as a frame")


def _check_machine(machine: PairwiseSVC) -> None:
    n_classes, vectors = len(machine.classes_), machine.support_vectors_
    n_pairs = n_classes * (n_classes - 1) // 2
    if n_classes < 2 or vectors.ndim != 2 or machine.dual_coef_.shape != (n_pairs, len(vectors)):
        raise ValueError("support_vectors_, dual_coef_ and classes_ of the support vector machine do not fit together")
    if machine.rho_.shape != (n_pairs,):
        raise ValueError("rho_ of the support vector machine does not fit its classes")
    for name in ("support_vectors_", "dual_coef_", "rho_", "gamma_"):
        if not np.isfinite(getattr(machine, name)).all():
            raise ValueError(f"{name} of the support vector machine is not finite")


def _check_classifier(model: SVMStateClassifier) -> None:
    if not np.array_equal(model.classes_, model.svc_.classes_):
        raise ValueError("the classes of the support vector machine are not those of the model")
    if np.shape(model.fill_) != (model.n_features_in_,):
        raise ValueError("n_features_in_ and fill_ do not fit together")


def _check_manifold(model: AsymmetricDiffusionMap) -> None:
    points, n_modes = model._points, len(model.eigenvalues_)
    n_points = len(points)
    fitting = (
        points.ndim == 2
        and points.shape[1] == (model.n_delays + 1) * model.n_features_in_
        and model._moments.shape == (n_points,)
        and model.transitions_.shape == (n_points, n_points)
        and model._modes.shape == (n_points, n_modes)
        and model._imaginary.shape == (n_modes,)
        and model.embedding_.shape == (n_points, n_modes)
        and model.n_neighbors <= n_points
    )
    if not fitting:
        raise ValueError("the points, transitions and modes of the manifold do not fit together")


def _check_wrapper(wrapper: WrappingStateClassifier) -> None:
    inner, classes = wrapper.estimator_, wrapper.classes_
    check_is_fitted(inner)
    if not is_classifier(inner) or not np.array_equal(classes, inner.classes_):
        raise ValueError("what is wrapped is not a classifier of the states of the model")
    if inner.n_features_in_ != wrapper.n_features_in_:
        raise ValueError("n_features_in_ is not that of the classifier that is wrapped")
    if isinstance(wrapper, TemperatureScaledClassifier) and not 0 < wrapper.temperature_ < np.inf:
        raise ValueError(f"temperature_={wrapper.temperature_!r} is not a temperature")
    if isinstance(wrapper, ConformalStateClassifier):
        if not isinstance(wrapper.worm_thresholds_, pd.Series):
            raise TypeError("worm_thresholds_ is not a series")
        if not np.isfinite(wrapper.threshold_):
            raise ValueError(f"threshold_={wrapper.threshold_!r} is not a threshold")
    if isinstance(wrapper, HiddenMarkovStateClassifier):
        for name, shape in (("transition_", (len(classes), len(classes))), ("shares_", (len(classes),))):
            shares = getattr(wrapper, name)
            if np.shape(shares) != shape or not np.all(shares >= 0) or not np.allclose(shares.sum(axis=-1), 1):
                raise ValueError(f"{name} does not hold the shares of {shape[0]} states")


def _estimators_of(model: Any) -> Iterator[Any]:
    if isinstance(model, Pipeline):
        for _, step in model.steps:
            yield from _estimators_of(step)
    elif isinstance(model, WrappingStateClassifier):
        yield from _estimators_of(model.estimator_)
    else:
        yield model


def _probe(estimator: Any) -> np.ndarray:
    """Return a few random frames, in some of which a neuron is missing that may be."""
    probe = np.random.default_rng(0).random((_PROBE_ROWS, estimator.n_features_in_))
    columns = _columns_that_may_be_missing(estimator)
    if len(columns) > 1:
        rows = np.arange(_PROBE_ROWS // 2, _PROBE_ROWS)
        probe[rows, columns[rows % len(columns)]] = np.nan
    return probe


def _columns_that_may_be_missing(estimator: Any) -> np.ndarray:
    """Return one column of each neuron that a classifier looks at, of which the others are left if it is NaN."""
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
    with warnings.catch_warnings():
        # A probe names no worms.
        warnings.simplefilter("ignore")
        if isinstance(model, ConformalStateClassifier):
            return np.hstack([model.predict_proba(X), model.predict_set(X)])
        for method in ("predict_proba", "decision_function", "predict", "transform"):
            if hasattr(model, method):
                return np.asarray(getattr(model, method)(X))
    raise TypeError(f"a {type(model).__name__} neither predicts nor transforms")


def _check_cost(model: Any, probe: np.ndarray, answer: np.ndarray) -> None:
    """Refuse a probe, or forecasts of so many steps, that would take long."""
    horizon = getattr(model, "horizon_", None)
    if horizon is not None and not (answer.ndim == 2 and answer.shape[1] == horizon * model.n_columns_):
        raise ValueError(f"horizon_={horizon!r} does not fit the answer that the file holds")
    if answer.size > _MOST_PROBED or len(probe) > _PROBE_ROWS:
        raise ValueError("the file holds a probe or an answer of more numbers than are expected")


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
