"""Fitted estimators in model files, and how each is built again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC
from sklearn.utils.validation import check_is_fitted

from skworm.estimators.network import NeuralEstimator
from skworm.model_files.checks import check_sizes
from skworm.model_files.learned import LEARNED
from skworm.model_files.networks import decode_network, encode_network
from skworm.model_files.parameters import (
    MADE_OF_PARAMETERS,
    decode_parameters,
    decode_steps,
    decode_unfitted,
    encode_parameters,
    encode_steps,
    parameters_of,
)
from skworm.model_files.support_vectors import decode_svc, encode_svc
from skworm.model_files.values import Decoder, Encoder
from skworm.training import VirtualWorms

_BY_NAME = {kind.__name__: kind for kind in LEARNED}


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
    if kind in MADE_OF_PARAMETERS.values():
        return {"type": kind.__name__, "parameters": encode_parameters(encoder, value, where)}
    if kind is SVC:
        return encode_svc(encoder, value, where)
    if kind is Pipeline:
        return {"type": "Pipeline", **encode_steps(encoder, value, where, Encoder.__call__)}
    if kind is KNeighborsClassifier:
        return _encode_neighbors(encoder, value, where)
    if kind not in LEARNED:
        return None
    if isinstance(value, BaseEstimator):
        check_is_fitted(value)
    encoded: dict[str, Any] = {
        "type": kind.__name__,
        "parameters": encode_parameters(encoder, value, where),
        "learned": {},
    }
    strange = sorted(set(vars(value)).difference(parameters_of(value), LEARNED[kind], ("net_",)))
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
    name: Any = part.get("type")
    if name == "unfitted":
        return decode_unfitted(decoder, part)
    if name in MADE_OF_PARAMETERS:
        made = MADE_OF_PARAMETERS[name](**decode_parameters(decoder, part))
        if isinstance(made, VirtualWorms):
            made.check()
        return made
    if name == "SVC":
        return decode_svc(decoder, part)
    if name == "Pipeline":
        return decode_steps(decoder, part)
    if name == "KNeighborsClassifier":
        return _decode_neighbors(decoder, part)
    if name not in _BY_NAME:
        raise ValueError(f"{name!r} is none of the classes that a file can hold: {', '.join(sorted(_BY_NAME))}")
    kind = _BY_NAME[name]
    estimator = kind(**decode_parameters(decoder, part))
    if hasattr(estimator, "_parameter_constraints"):
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


def _encode_neighbors(encoder: Encoder, value: KNeighborsClassifier, where: str) -> dict[str, Any]:
    check_is_fitted(value)
    if value.outputs_2d_ or not isinstance(value._fit_X, np.ndarray):
        raise TypeError(f"{where} was fitted to sparse frames or to several outputs, which a model file cannot hold")
    names = getattr(value, "feature_names_in_", None)
    return {
        "type": "KNeighborsClassifier",
        "parameters": encode_parameters(encoder, value, where),
        "frames": encoder(value._fit_X, where),
        "states": encoder(value.classes_[value._y], where),
        "columns": encoder(names, where),
    }


def _decode_neighbors(decoder: Decoder, part: Mapping[str, Any]) -> KNeighborsClassifier:
    neighbors = KNeighborsClassifier(**decode_parameters(decoder, part))
    # The tree of neighbours is grown again: it follows from the frames, and would be a blob.
    neighbors.fit(decoder.array(part["frames"]), decoder.array(part["states"]))
    columns = decoder(part["columns"])
    if columns is not None:
        neighbors.feature_names_in_ = columns
    return neighbors
