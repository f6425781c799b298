"""Where and under which seed a module is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def resolve_device(device: str) -> str:
    """Turn ``"auto"`` into ``"cuda"`` where there is a GPU, else ``"cpu"``.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        The wish.

    Returns
    -------
    str
        ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    ValueError
        If CUDA is asked for and torch finds none.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device='cuda', but torch finds no CUDA GPU here; pass device='auto' or device='cpu'")
    return device


@contextmanager
def seeded(seed: int, device: str) -> Iterator[None]:
    """Seed torch for a while, and leave its global random state as it was found."""
    devices = [torch.cuda.current_device()] if device == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one CPU thread for a while: on models this small a second one costs more than it brings."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
