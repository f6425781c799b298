"""Fits of one model to many sets of rows, trained together where a GPU does that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.base import clone
from sklearn.pipeline import Pipeline

_MOST_FITS = 320


def network_of(model: Any) -> Any:
    """Return the estimator of a model whose fits can be trained together; None where there is none."""
    while isinstance(model, Pipeline):
        model = model.steps[-1][1]
    return model if hasattr(model, "training_job") else None


def fits_at_a_time(model: Any, n_fits: int, n_processes: int) -> int:
    """Return how many fits of a model make up one task: more than one where a GPU trains them as a stack."""
    network = network_of(model)
    if network is None:
        return 1
    from skworm.training import resolve_device

    if resolve_device(network.device) == "cpu":
        return 1
    return max(1, min(_MOST_FITS, -(-n_fits // n_processes)))


def fit_together(model: Any, samples: Sequence[tuple[Any, Any]], n_processes: int) -> list[Any | Exception]:
    """Fit clones of a model, each to samples of its own, and train them together."""
    from skworm.training import train_together

    models: list[Any] = [clone(model) for _ in samples]
    jobs: dict[int, Any] = {}
    for number, (own, (X, y)) in enumerate(zip(models, samples, strict=True)):
        try:
            jobs[number] = training_job(own, X, y)
        except Exception as error:
            models[number] = error
    nets = train_together(list(jobs.values()), n_processes=n_processes)
    for (number, job), net in zip(jobs.items(), nets, strict=True):
        if isinstance(net, Exception):
            models[number] = net
        else:
            network_of(models[number]).take_training(job, net)
    return models


def training_job(model: Any, X: Any, y: Any) -> Any:
    """Fit all steps of a model before its last, and make what trains the last."""
    while isinstance(model, Pipeline):
        if len(model.steps) > 1:
            X = model[:-1].fit_transform(X, y)
        model = model.steps[-1][1]
    return model.training_job(X, y)
