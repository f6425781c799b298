"""Adapt a fitted network to a worm that it was not trained on."""

from __future__ import annotations

from copy import deepcopy
from numbers import Real
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skworm.estimators.states import NeuralStateClassifier, known_states
from skworm.frames.index import worm_of_rows
from skworm.nn.blocks import FeatureBatchNorm
from skworm.nn.frames import ReadoutModule
from skworm.recording import UNKNOWN
from skworm.training import one_thread

# Neighbouring frames repeat each other: so many count as one.
_FRAMES_A_FACT = 8
_MAX_ITERATIONS = 100


def adapt(
    estimator: NeuralStateClassifier, X_new: Any, y_new: Any = None, *, align: float = 1.0, freedom: float = 0.03
) -> NeuralStateClassifier:
    """Adapt a fitted network to a new worm, by its frames and a few states where they are known.

    Frames alone align the worm: what batch normalisation takes the readout's hidden features to be spread around
    becomes what they are spread around in this worm (adaptive batch normalisation). Known states then move the last
    layer, which maps hidden features to states: its weights get the highest posterior probability under a normal prior
    around those of the fit. A few seconds hold few states, so these are compared with each other only: the weights of a
    state that the labelled frames do not show stay as they are, and where they show a single one nothing is learnt.

    Parameters
    ----------
    estimator : MLPStateClassifier or GNNStateClassifier
        Fitted; stays as it is.
    X_new : DataFrame or array-like of shape (n_frames, n_features)
        Frames of one new worm, scaled as those of training. All that are known, with states or without; the share of
        states among them moves the alignment, so that a few seconds align badly.
    y_new : array-like of shape (n_frames,), optional
        States, ``"unknown"`` where they are not known.
    align : float in [0, 1], default=1.0
        How far normalisation goes from the training worms' mean and variance to the new worm's. With 0 frames without a
        state change nothing.
    freedom : float, default=0.03
        Standard deviation of the prior around the weights of the last layer. With 0 states change nothing.

    Returns
    -------
    NeuralStateClassifier
        A new fitted estimator of the same class, for this worm.

    Raises
    ------
    ValueError
        If a parameter cannot be used, frames are of several worms, `y_new` has another length or holds a state that the
        estimator has not learnt, or nothing can be adapted: the network has no batch normalisation on the output of its
        hidden layers, and no state is known.
    TypeError
        If the estimator is not a neural state classifier.

    References
    ----------
    Li et al. 2016, "Revisiting Batch Normalization For Practical Domain Adaptation".

    Examples
    --------
    >>> from skworm import MLPStateClassifier, VirtualWorms
    >>> from skworm.estimators.adaptation import adapt
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> X, y = make_frames(make_worms(n_worms=2, n_frames=400, random_state=0), states="2")
    >>> old, new = ["simulated-0"], ["simulated-1"]
    >>> mlp = MLPStateClassifier(augmentation=VirtualWorms(), max_epochs=50, learning_rate=1e-2, random_state=0)
    >>> mlp = mlp.fit(X.loc[old], y.loc[old])
    >>> labelled = y.loc[new].where(X.loc[new].index.get_level_values("frame") < 90, "unknown")
    >>> adapted = adapt(mlp, X.loc[new], labelled)
    >>> adapted.predict(X.loc[new]).shape == (len(X.loc[new]),)
    True
    """
    if not isinstance(estimator, NeuralStateClassifier):
        raise TypeError(
            f"{type(estimator).__name__} is not an MLPStateClassifier or GNNStateClassifier; pass the network itself, "
            "without a pipeline or another estimator around it"
        )
    check_is_fitted(estimator)
    for name, value, high in (("align", align, 1.0), ("freedom", freedom, np.inf)):
        if not isinstance(value, Real) or not 0 <= float(value) <= high or not np.isfinite(float(value)):
            raise ValueError(f"{name}={value!r} must be a finite number from 0 to {high:g}")
    adapted = deepcopy(estimator)
    frames = adapted._rows_to_predict(X_new, None)
    worms = worm_of_rows(X_new, None)
    if worms is not None and len(np.unique(worms)) > 1:
        raise ValueError(f"X_new has frames of the worms {np.unique(worms).tolist()}; adapt to one worm at a time")
    codes = _codes(adapted, y_new, len(frames))
    readout = adapted.net_.module_.readout
    norm = readout.hidden[-1] if isinstance(readout.hidden[-1], FeatureBatchNorm) else None
    if norm is None and (codes < 0).all():
        raise ValueError(
            "nothing to adapt: no state is known, and frames alone align batch normalisation on the output of the "
            "hidden layers, which the estimator lacks; pass y_new=, or train with augmentation=VirtualWorms()"
        )
    adapted.net_.module_.eval()
    with one_thread():
        if norm is not None and align > 0:
            inputs = _input_of(norm, adapted, frames, worms)
            norm.get_buffer("running_mean").lerp_(inputs.mean(0), float(align))
            norm.get_buffer("running_var").lerp_(inputs.var(0, unbiased=False), float(align))
        if freedom > 0 and len(np.unique(codes[codes >= 0])) > 1:
            known = torch.as_tensor(codes >= 0)
            hidden = _input_of(readout.output, adapted, frames, worms)[known.to(adapted.net_.device)]
            _move_output(readout, hidden, torch.as_tensor(codes[codes >= 0]).to(hidden.device), float(freedom))
    return adapted


def _codes(estimator: NeuralStateClassifier, y: Any, n_frames: int) -> np.ndarray:
    """Return the number of each state in the estimator, -1 where none is known."""
    states = np.full(n_frames, UNKNOWN) if y is None else np.asarray(y)
    if states.shape != (n_frames,):
        raise ValueError(f"y_new has shape {states.shape}, but X_new has {n_frames} rows; pass one state a frame")
    known = known_states(states)
    strange = sorted(set(states[known].tolist()) - set(estimator.classes_.tolist()))
    if strange:
        raise ValueError(
            f"y_new holds {strange}, which the estimator has not learnt: it knows {estimator.classes_.tolist()}; "
            f"translate states with map_states, or write {UNKNOWN!r} in their place"
        )
    codes = np.full(n_frames, -1)
    codes[known] = np.searchsorted(estimator.classes_, states[known])
    return codes


def _input_of(part: nn.Module, estimator: NeuralStateClassifier, frames: np.ndarray, worms: Any) -> Tensor:
    """Return what comes into a part of the module for some frames."""
    taken: list[Tensor] = []
    handle = part.register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0]))
    try:
        with torch.no_grad():
            estimator._apply(estimator._tensor(frames), worms)
    finally:
        handle.remove()
    return torch.cat(taken)


def _move_output(readout: ReadoutModule, hidden: Tensor, codes: Tensor, freedom: float) -> None:
    output = readout.output
    fitted = [parameter.detach().clone() for parameter in (output.weight, output.bias)]
    moved = [torch.zeros_like(parameter, requires_grad=True) for parameter in fitted]
    shown, codes = torch.unique(codes, return_inverse=True)
    optimizer = torch.optim.LBFGS(moved, max_iter=_MAX_ITERATIONS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        weight, bias = (old + freedom * step for old, step in zip(fitted, moved, strict=True))
        logits = nn.functional.linear(hidden, weight, bias)[:, shown]
        loss = nn.functional.cross_entropy(logits, codes, reduction="sum") / _FRAMES_A_FACT
        loss = loss + sum((step.square().sum() for step in moved), torch.zeros_like(loss)) / 2
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        for parameter, old, step in zip((output.weight, output.bias), fitted, moved, strict=True):
            parameter.copy_(old + freedom * step)
