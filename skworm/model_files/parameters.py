"""What estimators are made of before they are fitted: parameters, steps, and the estimators that wrappers copy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from sklearn.model_selection import GroupKFold, LeaveOneGroupOut
from sklearn.pipeline import Pipeline

from skworm.model_files.learned import SUPPORTED
from skworm.model_files.values import Decoder, Encoder
from skworm.model_selection import WormGroupKFold
from skworm.training import VirtualWorms

MADE_OF_PARAMETERS: Mapping[str, type] = {
    kind.__name__: kind for kind in (VirtualWorms, WormGroupKFold, GroupKFold, LeaveOneGroupOut)
}
"""Classes that learn nothing, so that their parameters are all there is of them."""

_UNFITTED: Mapping[str, type] = {kind.__name__: kind for kind in SUPPORTED}


def encode_parameters(encoder: Encoder, value: Any, where: str) -> dict[str, Any]:
    """Encode the parameters of an estimator or a splitter.

    Parameters
    ----------
    encoder : Encoder
        Encodes plain values.
    value : object
        The estimator or splitter.
    where : str
        What it is, for errors.

    Returns
    -------
    dict
        Parameters by name.
    """
    return {name: encode_unfitted(encoder, item, f"{where}.{name}") for name, item in parameters_of(value).items()}


def decode_parameters(decoder: Decoder, part: Mapping[str, Any]) -> dict[str, Any]:
    """Decode the parameters of an estimator or a splitter; the reverse of :func:`encode_parameters`."""
    return {name: decoder(parameter) for name, parameter in part["parameters"].items()}


def parameters_of(value: Any) -> dict[str, Any]:
    """Give the parameters by which an estimator or a splitter was made."""
    if hasattr(value, "get_params"):
        return value.get_params(deep=False)
    return {name: getattr(value, name) for name in signature(type(value)).parameters}


def encode_unfitted(encoder: Encoder, value: Any, where: str) -> Any:
    """Encode a parameter; of an estimator, which `fit` of its wrapper only copies, no more than its parameters."""
    if type(value) is Pipeline:
        return {"type": "unfitted", **encode_steps(encoder, value, where, encode_unfitted), "class": "Pipeline"}
    if type(value) in SUPPORTED:
        parameters = encode_parameters(encoder, value, where)
        return {"type": "unfitted", "class": type(value).__name__, "parameters": parameters}
    return encoder(value, where)


def decode_unfitted(decoder: Decoder, part: Mapping[str, Any]) -> Any:
    """Make an estimator that is not fitted; the reverse of :func:`encode_unfitted`."""
    kind = _UNFITTED.get(part["class"])
    if kind is None:
        raise ValueError(f"{part['class']!r} is none of the classes that a file can hold: {', '.join(_UNFITTED)}")
    return decode_steps(decoder, part) if kind is Pipeline else kind(**decode_parameters(decoder, part))


def encode_steps(
    encoder: Encoder, pipeline: Pipeline, where: str, encode: Callable[[Encoder, Any, str], Any]
) -> dict[str, Any]:
    """Encode a pipeline, each step by `encode`."""
    if pipeline.memory is not None:
        raise TypeError(f"{where} has memory={pipeline.memory!r}, which a model file cannot hold; set memory=None")
    steps = []
    for name, step in pipeline.steps:
        left_out = step is None or (isinstance(step, str) and step == "passthrough")
        steps.append([name, step if left_out else encode(encoder, step, f"step {name!r} of {where}")])
    return {"steps": steps, "transform_input": encoder(pipeline.transform_input, where)}


def decode_steps(decoder: Decoder, part: Mapping[str, Any]) -> Pipeline:
    """Build a pipeline of decoded steps; the reverse of :func:`encode_steps`."""
    steps = [(name, decoder(step)) for name, step in part["steps"]]
    if not all(
        isinstance(name, str) and (step in (None, "passthrough") or type(step) in SUPPORTED) for name, step in steps
    ):
        raise TypeError("a step of the pipeline is no estimator that a file can hold")
    pipeline = Pipeline(steps, transform_input=decoder(part["transform_input"]))
    pipeline._validate_steps()
    return pipeline
