"""How many models fit into memory at once."""

from __future__ import annotations

import copy

import psutil
import torch
from torch import Tensor, nn

from skworm.training.single import TrainingJob, WholeBatch

_SHARE_OF_MEMORY = 0.5
# On a CPU a stack that outgrows the cache takes longer than its models one by one.
_CPU_BYTES = 2**24


def models_at_a_time(job: TrainingJob, n_processes: int = 1) -> int:
    """Tell how many models like that of a job can be trained at once in the memory that is free now.

    Parameters
    ----------
    job : TrainingJob
        One of them, that with the most samples.
    n_processes : int, default=1
        Processes that share the memory.

    Returns
    -------
    int
        1 or more.
    """
    if job.settings.device == "cuda":
        free = torch.cuda.mem_get_info()[0] * _SHARE_OF_MEMORY
    else:
        free = min(psutil.virtual_memory().available * _SHARE_OF_MEMORY, _CPU_BYTES)
    return max(1, int(free / n_processes / bytes_of_a_model(job)))


def bytes_of_a_model(job: TrainingJob) -> int:
    """Measure what one step of training keeps, by taking its forward pass.

    Parameters
    ----------
    job : TrainingJob
        The job; its module is left as it is.

    Returns
    -------
    int
        Bytes of samples, parameters with what the optimizer keeps of them, and all that the backward pass needs.
    """
    module = stackable(job.module).to(job.settings.device).train()
    samples = job.tensors(~job.held_out)
    inputs, y = next(iter(WholeBatch(samples, prepare=job.prepare, generator=job.generator)))
    kept: dict[int, int] = {}

    def note(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value):
        # The graph must live until all is counted: memory that is freed is given out again under the same address.
        loss = job.loss()(module(**inputs), y)
    n_parameters = sum(parameter.numel() for parameter in module.parameters())
    of_samples = sum(value.nbytes for value in (samples.X, samples.y, samples.group.index))
    del loss
    # The backward pass holds gradients of what the forward pass kept, though not of all at once.
    return 2 * sum(kept.values()) + 2 * of_samples + 6 * 4 * n_parameters


def stackable(module: nn.Module) -> nn.Module:
    """Copy a module, and let it compute all at once: what is computed again in the backward pass cannot be stacked.

    Parameters
    ----------
    module : torch.nn.Module
        Any module; parts with an attribute ``in_parts`` get the value False there.

    Returns
    -------
    torch.nn.Module
        The copy.
    """
    module = copy.deepcopy(module)
    for part in module.modules():
        if hasattr(part, "in_parts"):
            vars(part)["in_parts"] = False
    return module


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out, on a GPU or a CPU.

    Parameters
    ----------
    error : BaseException
        What was raised.

    Returns
    -------
    bool
        True for Python's and torch's errors of this kind.
    """
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
