"""Nets that were trained together, handed out where each would be trained by itself."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import joblib
from skorch import NeuralNet

from skworm.training.fused import structure, train_together
from skworm.training.single import TrainingJob

_NETS: ContextVar[dict[str, NeuralNet | Exception] | None] = ContextVar("nets_trained_beforehand", default=None)


@contextmanager
def trained_beforehand(jobs: Sequence[TrainingJob]) -> Iterator[None]:
    """Train together, and let :func:`net_trained_beforehand` find the nets within the context, in this thread.

    Parameters
    ----------
    jobs : sequence of TrainingJob
        What to train.
    """
    # Before training, which changes modules.
    digests = [digest_of_job(job) for job in jobs]
    token = _NETS.set(dict(zip(digests, train_together(jobs), strict=True)))
    try:
        yield
    finally:
        _NETS.reset(token)


def net_trained_beforehand(job: TrainingJob) -> NeuralNet | None:
    """Find the net of a job.

    Parameters
    ----------
    job : TrainingJob
        What is to be trained.

    Returns
    -------
    skorch.NeuralNet or None
        None where it was not trained beforehand.

    Raises
    ------
    Exception
        What went wrong when it was.
    """
    nets = _NETS.get()
    net = nets.get(digest_of_job(job)) if nets else None
    if isinstance(net, Exception):
        raise net
    # Equal jobs have one net, and an estimator changes its own.
    return copy.deepcopy(net)


def digest_of_job(job: TrainingJob) -> str:
    """Digest all that decides what a job comes to.

    Parameters
    ----------
    job : TrainingJob
        A job that has not been trained: training changes its module.

    Returns
    -------
    str
        The same for jobs with the same result.
    """
    state = {name: value.cpu().numpy() for name, value in job.module.state_dict().items()}
    arrays = (job.X, job.group, job.y, job.held_out)
    return joblib.hash((structure(job), state, arrays, job.settings, job.prepare))
