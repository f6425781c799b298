"""Calls spread over worker processes: those of joblib, or those of a Dask cluster."""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import BrokenExecutor
from itertools import islice
from typing import Any, NamedTuple

from joblib import Parallel, delayed
from joblib.parallel import LokyBackend, get_active_backend

from skworm.model_selection.store import package_versions


class Failure(NamedTuple):
    """What ended a call early, of which exception, and what to do about it."""

    message: str
    traceback: str
    remedy: str = "repair the model"


Outcome = tuple[int, Any]


def finished_calls(
    function: Callable[..., Outcome], calls: Iterable[tuple], data: Any, n_jobs: int | None
) -> Generator[Outcome, None, None]:
    """Call a function in worker processes, and yield what it returns as calls end.

    Within ``joblib.parallel_config("dask")`` calls go to the cluster of the Dask client, elsewhere to joblib's workers.
    Calls are drawn when workers are free or nearly so: a generator of calls that ends early starts no more.
    """
    backend, _ = get_active_backend()
    client = getattr(backend, "client", None)
    if client is None:
        return _finished_in_joblib(function, calls, data, n_jobs)
    return _finished_in_dask(client, backend.submit_kwargs, function, calls, data)


def _finished_in_joblib(
    function: Callable[..., Outcome], calls: Iterable[tuple], data: Any, n_jobs: int | None
) -> Generator[Outcome, None, None]:
    tasks = (delayed(function)(*call, data) for call in calls)
    finished = Parallel(n_jobs=n_jobs, batch_size=1, return_as="generator_unordered", **worker_options())(tasks)
    try:
        for outcome in finished:  # noqa: UP028  # `yield from` would hand the closing on before it gets here
            yield outcome
    except GeneratorExit:
        with warnings.catch_warnings():
            # That calls under way are given up is what closing means.
            warnings.simplefilter("ignore")
            finished.close()
        raise
    except BrokenExecutor:
        raise BrokenExecutor(
            "a worker process was killed, most often because memory ran out: pass a lower n_jobs"
        ) from None


def worker_options() -> dict[str, Any]:
    """Return options of joblib's Parallel with which no worker process outlives this one."""
    # Workers of other backends may be on other machines, or be the children of a process that starts them.
    loky = isinstance(get_active_backend()[0], LokyBackend)
    return {"initializer": _end_with, "initargs": (os.getpid(),)} if loky else {}


def _end_with(parent: int) -> None:
    """End this worker soon after its parent has ended: joblib's own wait for minutes, and some for ever."""
    # When a worker starts, and not with its first call: it may have its parent die before, or while it reads the call.
    threading.Thread(target=_wait_for_end, args=(parent,), daemon=True).start()
    # Ctrl-C reaches all processes of a terminal. The parent ends the workers; they need print no traceback.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _wait_for_end(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _finished_in_dask(
    client: Any, keywords: dict[str, Any], function: Callable[..., Outcome], calls: Iterable[tuple], data: Any
) -> Generator[Outcome, None, None]:
    # Not through joblib's own backend, which was tried: where a fit kills more workers than the scheduler allows, or
    # one that held scattered data, the future is cancelled, joblib's callback waits for its result, and Parallel never
    # returns. It also makes the calls in this process where the cluster has one worker.
    import dask
    from distributed import as_completed

    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TiB"}):
        # As the result of a task, data that were lost with their worker are made again.
        shared = client.submit(_same, data, pure=False)
    calls, versions = iter(calls), package_versions()
    numbers: dict[Any, int] = {}
    finished = as_completed()

    def start() -> None:
        # One call a thread: dask blames the death of a worker on the calls that wait there, too.
        for call in islice(calls, max(1, sum(client.nthreads().values())) - len(numbers)):
            future = client.submit(_call_with_versions, versions, function, call, shared, pure=False, **keywords)
            numbers[future] = call[0]
            finished.add(future)

    try:
        start()
        for future in finished:
            outcome = _outcome(future, numbers.pop(future))
            # A result that is still referred to would be computed again if its worker died.
            future.release()
            yield outcome
            start()
    finally:
        client.cancel([*numbers, shared])


def _same(data: Any) -> Any:
    return data


def _call_with_versions(versions: dict[str, str], function: Callable[..., Outcome], call: tuple, data: Any) -> Outcome:
    own = package_versions()
    for package, wanted in versions.items():
        if own[package] != wanted:
            host = platform.node()
            message = f"{package} {own[package]} on the Dask worker {host}, and {wanted} where the run was started"
            return call[0], Failure(message, "", f"install {package} {wanted} there")
    return function(*call, data)


def _outcome(future: Any, number: int) -> Outcome:
    from distributed import KilledWorker

    if future.status == "finished":
        return future.result()
    if future.status != "error":
        raise BrokenExecutor(f"the Dask cluster gave up fits under way ({future.status}): see that its scheduler runs")
    error = future.exception()
    if isinstance(error, KilledWorker):
        message = (
            f"the death of each worker that tried it ({error.allowed_failures + 1}), most often for want of memory"
        )
        return number, Failure(message, "", "start fewer workers on a machine")
    return number, Failure(f"{type(error).__name__}: {error}", "")
