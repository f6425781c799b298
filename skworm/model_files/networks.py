"""Trained torch modules in model files: weights, and the losses of every epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from skworm.estimators.network import NeuralEstimator
from skworm.training import TrainingJob, resolve_device
from skworm.training.loop import make_net

if TYPE_CHECKING:
    from skworm.model_files.values import Decoder, Encoder


def encode_network(encoder: Encoder, estimator: NeuralEstimator, where: str) -> dict[str, Any]:
    """Encode the weights and the history of an estimator's net."""
    net = estimator.net_
    weights = {name: tensor.detach().cpu().numpy() for name, tensor in net.module_.state_dict().items()}
    losses = {
        name: np.array(net.history[:, name], dtype=float) for name in ("train_loss", "valid_loss") if _has(net, name)
    }
    return {"weights": encoder(weights, f"{where}.net_"), "losses": encoder(losses, f"{where}.net_.history")}


def _has(net: Any, loss: str) -> bool:
    return bool(net.history) and loss in net.history[-1]


def decode_network(decoder: Decoder, estimator: Any, part: Mapping[str, Any]) -> None:
    """Give an estimator its net; the reverse of :func:`encode_network`."""
    if not isinstance(estimator, NeuralEstimator):
        raise TypeError(f"{type(estimator).__name__} has no network")
    weights, losses = decoder(part["weights"]), decoder(part["losses"])
    module = _module_with(estimator, {name: torch.tensor(np.asarray(array)) for name, array in weights.items()})
    settings = estimator._settings("cpu", seed=0, verbose=0)
    judged = np.array(["valid_loss" in losses])
    job = TrainingJob(module, estimator._loss, np.empty((1, 1)), np.zeros(1, int), np.zeros(1), judged, settings, None)
    net = make_net(job).initialize()
    dict(net.callbacks_)["best_epoch"].best_epoch_ = estimator.best_epoch_
    for epoch, values in enumerate(zip(*losses.values(), strict=True), start=1):
        net.history.new_epoch()
        net.history.record("epoch", epoch)
        for name, value in zip(losses, values, strict=True):
            net.history.record(name, float(value))
    estimator.net_ = net


def _module_with(estimator: NeuralEstimator, weights: dict[str, torch.Tensor]) -> nn.Module:
    # Without memory of its own, a module of a size that the weights have not got costs nothing.
    with torch.device("meta"):
        module = estimator._build_module().double()
    wanted = {name: (tensor.shape, tensor.dtype) for name, tensor in module.state_dict().items()}
    found = {name: (tensor.shape, tensor.dtype) for name, tensor in weights.items()}
    if wanted != found:
        differing = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        raise ValueError(f"the weights {differing[:4]} do not fit a {type(estimator).__name__} of these parameters")
    module.load_state_dict(weights, assign=True)
    return module.eval()


def move_networks(estimators: list[Any], device: str) -> None:
    """Put the nets of some estimators on a device, ``"auto"``, ``"cpu"`` or ``"cuda"``."""
    wanted = resolve_device(device)
    for estimator in estimators:
        if isinstance(estimator, NeuralEstimator):
            estimator.net_.set_params(device=wanted)
            estimator.net_.module_.to(wanted)
