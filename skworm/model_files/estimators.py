"""Which estimators a file can hold, what each has learned, and how it is built again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.utils.validation import check_is_fitted

from skworm.behavior import GNNBehaviorRegressor, MLPBehaviorRegressor
from skworm.classification import GNNStateClassifier, MLPStateClassifier, SVMStateClassifier
from skworm.classification.pairwise import PairwiseSVC
from skworm.frames import WormMinMaxScaler
from skworm.manifold import AsymmetricDiffusionMap
from skworm.model_files.checks import check_sizes
from skworm.model_files.networks import decode_network, encode_network
from skworm.model_files.support_vectors import decode_svc, encode_svc
from skworm.model_files.values import Decoder, Encoder
from skworm.neural import NeuralEstimator
from skworm.training import VirtualWorms
from skworm.trajectory import (
    GNNTrajectoryRegressor,
    LinearTrajectoryRegressor,
    MLPTrajectoryRegressor,
    NodeMLPTrajectoryRegressor,
    PersistenceRegressor,
)

_COLUMNS = ("n_features_in_", "feature_names_in_")
_FRAMES = (*_COLUMNS, "frame_settings_")
_NETWORK = ("neurons_", "node_features_", "worms_", "_has_worms", "n_iter_", "best_epoch_")
_GRAPHS = ("graph_", "graphs_")
_STATES = ("classes_", "neurons_without_data_")
_SIGNALS = ("signals_", "signal_mean_", "signal_scale_", "_one_column")
_STEPS = ("burn_in_", "horizon_", "n_columns_", "_frame_columns", "level_", "levels_")
_ROLLED_OUT = (*_FRAMES, *_STEPS, *_NETWORK, "_bounds", "_ridge")

LEARNED: Mapping[type, tuple[str, ...]] = {
    SVMStateClassifier: (*_FRAMES, "classes_", "svc_", "n_iter_", "fill_"),
    MLPStateClassifier: (*_FRAMES, *_NETWORK, *_STATES),
    GNNStateClassifier: (*_FRAMES, *_NETWORK, *_GRAPHS, *_STATES),
    MLPBehaviorRegressor: (*_FRAMES, *_NETWORK, *_SIGNALS),
    GNNBehaviorRegressor: (*_FRAMES, *_NETWORK, *_GRAPHS, *_SIGNALS),
    PersistenceRegressor: (*_FRAMES, *_STEPS),
    LinearTrajectoryRegressor: (*_FRAMES, *_STEPS, "coef_", "intercept_"),
    MLPTrajectoryRegressor: _ROLLED_OUT,
    NodeMLPTrajectoryRegressor: _ROLLED_OUT,
    GNNTrajectoryRegressor: (*_ROLLED_OUT, *_GRAPHS),
    AsymmetricDiffusionMap: (
        *(*_FRAMES, "_points", "_moments", "_modes", "_imaginary"),
        *("transitions_", "eigenvalues_", "periods_", "embedding_"),
    ),
    WormMinMaxScaler: (*_FRAMES, "range_", "worm_ranges_"),
    MinMaxScaler: (*_COLUMNS, "min_", "scale_", "data_min_", "data_max_", "data_range_", "n_samples_seen_"),
    StandardScaler: (*_COLUMNS, "mean_", "scale_", "var_", "n_samples_seen_"),
    PairwiseSVC: ("classes_", "support_vectors_", "dual_coef_", "rho_", "gamma_", "n_iter_"),
    Ridge: (*_COLUMNS, "coef_", "intercept_", "n_iter_", "solver_"),
}
"""What each class has learned after `fit`; the torch modules of networks are written beside it."""

_BY_NAME = {kind.__name__: kind for kind in LEARNED}
_PARTS = (PairwiseSVC, Ridge)
SUPPORTED = (*(kind for kind in LEARNED if kind not in _PARTS), KNeighborsClassifier, Pipeline)
"""The estimators that a file can hold, by themselves or in a pipeline."""


def encode_estimator(encoder: Encoder, value: Any, where: str) -> dict[str, Any] | None:
    """Encode a fitted estimator, or a part of one.

    Parameters
    ----------
    encoder : Encoder
        Encodes parameters and what was learned.
    value : object
        An estimator.
    where : str
        What it is, for errors.

    Returns
    -------
    dict or None
        None for a class that no file can hold.

    Raises
    ------
    TypeError
        If it holds something that a file cannot hold.
    sklearn.exceptions.NotFittedError
        If it was not fitted.
    """
    kind = type(value)
    if kind is VirtualWorms:
        return {"type": "VirtualWorms", "parameters": _encode_parameters(encoder, value, where)}
    if kind is SVC:
        return encode_svc(encoder, value, where)
    if kind is Pipeline:
        return _encode_pipeline(encoder, value, where)
    if kind is KNeighborsClassifier:
        return _encode_neighbors(encoder, value, where)
    if kind not in LEARNED:
        return None
    if isinstance(value, BaseEstimator):
        check_is_fitted(value)
    parameters = _parameters(value)
    encoded: dict[str, Any] = {
        "type": kind.__name__,
        "parameters": _encode_parameters(encoder, value, where),
        "learned": {},
    }
    strange = sorted(set(vars(value)).difference(parameters, LEARNED[kind], ("net_",)))
    if strange:
        raise TypeError(f"{where} has the attribute {strange[0]!r}, which a model file cannot hold; delete it")
    for name in LEARNED[kind]:
        if name in vars(value):
            encoded["learned"][name] = encoder(getattr(value, name), f"{where}.{name}")
    if isinstance(value, NeuralEstimator):
        encoded["network"] = encode_network(encoder, value, where)
    return encoded


def decode_estimator(decoder: Decoder, part: Mapping[str, Any]) -> Any:
    """Build an estimator again; the reverse of :func:`encode_estimator`.

    Parameters
    ----------
    decoder : Decoder
        Decodes parameters and what was learned.
    part : mapping
        The JSON object.

    Returns
    -------
    object
        The estimator, fitted.

    Raises
    ------
    ValueError, TypeError, KeyError
        If the class is none of those that a file can hold, or does not fit what the file holds for it.
    """
    name = part.get("type")
    if name == "VirtualWorms":
        virtual = VirtualWorms(**_decode_parameters(decoder, part))
        virtual.check()
        return virtual
    if name == "SVC":
        return decode_svc(decoder, part)
    if name == "Pipeline":
        return _decode_pipeline(decoder, part)
    if name == "KNeighborsClassifier":
        return _decode_neighbors(decoder, part)
    if name not in _BY_NAME:
        raise ValueError(f"{name!r} is none of the classes that a file can hold: {', '.join(sorted(_BY_NAME))}")
    kind = _BY_NAME[name]
    estimator = kind(**_decode_parameters(decoder, part))
    if kind is not PairwiseSVC and hasattr(estimator, "_parameter_constraints"):
        estimator._validate_params()
    for attribute, learned in part["learned"].items():
        if attribute not in LEARNED[kind]:
            raise ValueError(f"{name} learns no {attribute!r}")
        setattr(estimator, attribute, decoder(learned))
    check_sizes(estimator, len(decoder.arrays))
    if "network" in part:
        decode_network(decoder, estimator, part["network"])
    if isinstance(estimator, BaseEstimator):
        check_is_fitted(estimator)
    return estimator


def _parameters(value: Any) -> dict[str, Any]:
    if isinstance(value, PairwiseSVC):
        return {name: getattr(value, name) for name in ("C", "kernel", "gamma", "class_weight", "device")}
    return value.get_params(deep=False)


def _encode_parameters(encoder: Encoder, value: Any, where: str) -> dict[str, Any]:
    return {name: encoder(parameter, f"{where}.{name}") for name, parameter in _parameters(value).items()}


def _decode_parameters(decoder: Decoder, part: Mapping[str, Any]) -> dict[str, Any]:
    return {name: decoder(parameter) for name, parameter in part["parameters"].items()}


def _encode_pipeline(encoder: Encoder, pipeline: Pipeline, where: str) -> dict[str, Any]:
    if pipeline.memory is not None:
        raise TypeError(f"{where} has memory={pipeline.memory!r}, which a model file cannot hold; set memory=None")
    steps = []
    for name, step in pipeline.steps:
        encoded = step if step is None or step == "passthrough" else encoder(step, f"step {name!r} of {where}")
        steps.append([name, encoded])
    return {"type": "Pipeline", "steps": steps, "transform_input": encoder(pipeline.transform_input, where)}


def _decode_pipeline(decoder: Decoder, part: Mapping[str, Any]) -> Pipeline:
    steps = [(name, decoder(step)) for name, step in part["steps"]]
    if not all(
        isinstance(name, str) and (step in (None, "passthrough") or _is_supported(step)) for name, step in steps
    ):
        raise TypeError("a step of the pipeline is no estimator that a file can hold")
    pipeline = Pipeline(steps, transform_input=decoder(part["transform_input"]))
    pipeline._validate_steps()
    return pipeline


def _is_supported(step: Any) -> bool:
    return type(step) in SUPPORTED


def _encode_neighbors(encoder: Encoder, value: KNeighborsClassifier, where: str) -> dict[str, Any]:
    check_is_fitted(value)
    if value.outputs_2d_ or not isinstance(value._fit_X, np.ndarray):
        raise TypeError(f"{where} was fitted to sparse frames or to several outputs, which a model file cannot hold")
    names = getattr(value, "feature_names_in_", None)
    return {
        "type": "KNeighborsClassifier",
        "parameters": _encode_parameters(encoder, value, where),
        "frames": encoder(value._fit_X, where),
        "states": encoder(value.classes_[value._y], where),
        "columns": encoder(names, where),
    }


def _decode_neighbors(decoder: Decoder, part: Mapping[str, Any]) -> KNeighborsClassifier:
    neighbors = KNeighborsClassifier(**_decode_parameters(decoder, part))
    # The tree of neighbours is grown again: it follows from the frames, and would be a blob.
    neighbors.fit(decoder.array(part["frames"]), decoder.array(part["states"]))
    columns = decoder(part["columns"])
    if columns is not None:
        neighbors.feature_names_in_ = columns
    return neighbors
