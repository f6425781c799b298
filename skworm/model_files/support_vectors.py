"""Support vector machines of libsvm in model files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.svm import SVC

if TYPE_CHECKING:
    from skworm.model_files.values import Decoder, Encoder

_PARAMETERS = ("C", "kernel", "gamma", "class_weight")
_ARRAYS = (
    *("classes_", "class_weight_", "support_", "support_vectors_", "_n_support", "dual_coef_", "intercept_"),
    *("_dual_coef_", "_intercept_", "n_iter_"),
)


def encode_svc(encoder: Encoder, svc: SVC, where: str) -> dict[str, Any] | None:
    """Encode the fitted machine of a :class:`skworm.SVMStateClassifier`; None for one that was made otherwise."""
    parameters = svc.get_params()
    plain = SVC().get_params()
    if any(parameters[name] != plain[name] for name in parameters if name not in _PARAMETERS) or svc._sparse:
        return None
    return {
        "type": "SVC",
        "parameters": {name: encoder(parameters[name], f"{where}.{name}") for name in _PARAMETERS},
        "learned": {name: encoder(getattr(svc, name), f"{where}.{name}") for name in _ARRAYS},
        "gamma": encoder(float(svc._gamma), where),
        "shape_fit": list(map(int, svc.shape_fit_)),
    }


def decode_svc(decoder: Decoder, part: Mapping[str, Any]) -> SVC:
    """Build the machine again; the reverse of :func:`encode_svc`."""
    svc = SVC(**{name: decoder(part["parameters"][name]) for name in _PARAMETERS})
    svc._validate_params()
    learned = {name: decoder.array(part["learned"][name]) for name in _ARRAYS}
    _check(learned)
    for name, array in learned.items():
        setattr(svc, name, array)
    svc._gamma = float(decoder(part["gamma"]))
    if not np.isfinite(svc._gamma):
        raise ValueError("the kernel coefficient of the support vector machine is not finite")
    svc.shape_fit_ = tuple(map(int, part["shape_fit"]))
    svc.n_features_in_ = learned["support_vectors_"].shape[1]
    if len(svc.shape_fit_) != 2 or svc.shape_fit_[1] != svc.n_features_in_:
        raise ValueError("the support vectors do not fit the frames that the machine was trained on")
    svc.fit_status_ = 0
    svc._sparse = False
    svc._effective_probability = False
    svc._num_iter = learned["n_iter_"]
    svc._probA = svc._probB = np.empty(0)
    return svc


def _check(learned: Mapping[str, np.ndarray]) -> None:
    # libsvm believes these sizes, so none of them may be wrong.
    n_classes, vectors = len(learned["classes_"]), learned["support_vectors_"]
    n_pairs, n_vectors = n_classes * (n_classes - 1) // 2, len(vectors)
    shapes = {
        "classes_": (n_classes,),
        "class_weight_": (n_classes,),
        "support_": (n_vectors,),
        "support_vectors_": (n_vectors, vectors.shape[-1]),
        "_n_support": (n_classes,),
        "dual_coef_": (n_classes - 1, n_vectors),
        "_dual_coef_": (n_classes - 1, n_vectors),
        "intercept_": (n_pairs,),
        "_intercept_": (n_pairs,),
        "n_iter_": (n_pairs,),
    }
    whole = ("support_", "_n_support", "n_iter_")
    for name, shape in shapes.items():
        array = learned[name]
        expected = array.dtype if name == "classes_" else np.dtype(np.int32 if name in whole else np.float64)
        if array.shape != shape or array.dtype != expected or n_classes < 2:
            raise ValueError(f"{name} of the support vector machine has the shape {array.shape}, not {shape}")
        if array.dtype == np.float64 and not np.isfinite(array).all():
            raise ValueError(f"{name} of the support vector machine is not finite")
    counts = learned["_n_support"]
    if (counts < 0).any() or counts.sum() != n_vectors:
        raise ValueError(f"the support vector machine has {n_vectors} support vectors, not {counts.tolist()}")
