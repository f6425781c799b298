"""One run at a time in a folder."""

from __future__ import annotations

import os
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

# Windows keeps others from reading a locked byte, so it lies behind the name of the holder.
_LOCKED_BYTE = 1 << 20


@contextmanager
def sole_use(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Keep other processes from working in a folder within the context.

    The operating system holds the lock, on the file ``scores.lock``, and frees it however the process ends: that the
    file exists means nothing. Where a file system has no locks, a warning says so.

    Parameters
    ----------
    folder : str or path-like
        The folder; made where absent.

    Raises
    ------
    BlockingIOError
        If another process, or another call in this one, works in the folder.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from skworm.model_selection.locks import sole_use
    >>> with TemporaryDirectory() as folder, sole_use(folder):
    ...     with sole_use(folder):
    ...         pass
    Traceback (most recent call last):
    ...
    BlockingIOError: ... is in use by process ... on ...; wait until it has ended, or pass another folder
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "scores.lock").open("a+b") as file:
        locked = _lock_or_refuse(file, folder)
        try:
            _write_holder(file, f"process {os.getpid()} on {socket.gethostname()}")
            yield
        finally:
            _write_holder(file, "")
            if locked:
                _unlock(file)


def _lock_or_refuse(file: BinaryIO, folder: Path) -> bool:
    try:
        _lock(file)
    except (BlockingIOError, PermissionError):
        file.seek(0)
        holder = file.read(1000).decode(errors="replace") or "another process"
        message = f"{folder} is in use by {holder}; wait until it has ended, or pass another folder"
        raise BlockingIOError(message) from None
    except OSError as error:
        reason = f"the file system of {folder} has no locks ({error.strerror})"
        warnings.warn(f"{reason}; see that no other run writes there", stacklevel=2)
        return False
    return True


def _write_holder(file: BinaryIO, holder: str) -> None:
    # The name is for a message alone: a full disk must not stop the run here.
    with suppress(OSError):
        file.truncate(0)
        file.write(holder.encode())
        file.flush()


if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        file.seek(_LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    def _unlock(file: BinaryIO) -> None:
        file.seek(_LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(file: BinaryIO) -> None:
        # Closing the file is not enough where a worker was forked with it.
        fcntl.flock(file, fcntl.LOCK_UN)
