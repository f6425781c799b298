"""What training asks of its process: a device, one thread, random numbers of its own, and word of Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


def resolve_device(device: str) -> str:
    """Return ``"cuda"`` for ``"auto"`` where there is a GPU, else ``"cpu"``."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device='cuda', but torch finds no CUDA GPU here; pass device='auto' or device='cpu'")
    return device


class _Drawing(TorchDispatchMode):
    """Let every random operation of this thread draw from one generator."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if torch.Tag.nondeterministic_seeded in func.tags:
            kwargs["generator"] = self.generator
            if "generator" not in {argument.name for argument in func._schema.arguments}:
                func = func.overloadpacket.generator
        return func(*args, **kwargs)


def seeded(seed: int) -> _Drawing:
    """Return a context in which initial weights are drawn from a generator of their own, on the CPU.

    torch's global generator is neither read nor moved: threads share it, so that seeding it in one thread would give
    another thread other weights.
    """
    return _Drawing(torch.Generator().manual_seed(seed))


class _ThreadsInside(threading.local):
    """Whether this thread is within :func:`one_thread`; shared by all are how many are, and what they found."""

    inside = False
    lock = threading.Lock()
    count = 0
    found = 1


_THREADS = _ThreadsInside()


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one CPU thread for a while: on models this small a second one costs more than it brings.

    It also lets a process that was forked after a fit predict: OpenMP's threads do not survive a fork, and the first
    operation that waits for them never ends.
    """
    if _THREADS.inside:
        yield
        return
    # torch's number of threads is one of each thread, but a thread takes over the last number that any thread has set
    # when it first computes. So a thread that begins while another is inside finds 1, and must not go back to that.
    shared = _ThreadsInside
    with shared.lock:
        if not shared.count:
            shared.found = torch.get_num_threads()
        shared.count += 1
        torch.set_num_threads(1)
    _THREADS.inside = True
    try:
        yield
    finally:
        _THREADS.inside = False
        with shared.lock:
            shared.count -= 1
            torch.set_num_threads(shared.found)


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """Note each Ctrl-C within the context; only the main thread receives any."""
    received: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield received
        return

    def note(number: int, frame: Any) -> Any:
        received.append(number)
        return before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield received
    finally:
        signal.signal(signal.SIGINT, before)
