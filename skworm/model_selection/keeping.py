"""Finished fits of a run: kept, and counted when the run ends early."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from typing import Any

from skworm.model_selection.results import ResultStore, record_of_fit


class FitKeeper:
    """Rows of the finished fits of one run, in memory and in a store.

    Parameters
    ----------
    store : ResultStore or None
        Where rows are kept on the disk; None keeps them in memory alone.
    digests : sequence of str
        The fits of the run.

    Attributes
    ----------
    rows_by_digest : dict of str to list of dict
        Rows of the fits that have finished.
    is_full : bool
        Whether the store could not be written. Further fits should not start.

    Examples
    --------
    >>> from skworm.model_selection.keeping import FitKeeper
    >>> keeper = FitKeeper(None, ["digest-1", "digest-2"])
    >>> keeper.keep("digest-1", [{"model": "svm", "accuracy": 0.9}])
    >>> print(keeper)
    1 of 2 fits had finished, and nothing is kept: pass out= to keep finished fits
    """

    def __init__(self, store: ResultStore | None, digests: Sequence[str]) -> None:
        self.store = store
        self.digests = digests
        stored = {} if store is None else store.rows_by_digest
        self.rows_by_digest = {digest: stored[digest] for digest in digests if digest in stored}
        self._error: OSError | None = None
        self._unwritten: list[str] = []
        self._rescued = ""

    @property
    def is_full(self) -> bool:
        """Whether the store could not be written."""
        return self._error is not None

    def keep(self, digest: str, rows: list[dict[str, Any]]) -> None:
        """Keep the rows of a fit."""
        self.rows_by_digest[digest] = rows
        if self.store is None:
            return
        self._unwritten.append(digest)
        # After an error the file may end in a torn line, which has to go first.
        if not self.is_full:
            self._write(self.store)

    @contextmanager
    def clear_end(self) -> Iterator[None]:
        """Say what is kept, and how to go on, where the run ends early within the context.

        Raises
        ------
        KeyboardInterrupt, BrokenExecutor
            Instead of those within the context.
        OSError
            If the store cannot be written.
        """
        try:
            yield
        except KeyboardInterrupt:
            self._write_rest()
            raise KeyboardInterrupt(f"interrupted; {self}; call again to go on") from None
        except BrokenExecutor as error:
            self._write_rest()
            raise BrokenExecutor(f"{error}; {self}; call again to go on") from None
        self._write_rest()
        missing = len(self.rows_by_digest) < len(set(self.digests))
        if self.store is not None and self._error is not None and (missing or self._unwritten):
            message = f"{self.store.path} cannot be written ({self._error.strerror}); {self}"
            full = OSError(f"{message}; free some space, and call again to go on")
            full.errno = self._error.errno
            raise full

    def __str__(self) -> str:
        fits = f"{len(self.rows_by_digest) - len(self._unwritten)} of {len(self.digests)} fits"
        if self.store is None:
            return f"{fits} had finished, and nothing is kept: pass out= to keep finished fits"
        return f"{fits} are kept in {self.store.path}{self._rescued}"

    def _write(self, store: ResultStore) -> None:
        try:
            while self._unwritten:
                store.append(self._unwritten[0], self.rows_by_digest[self._unwritten[0]])
                self._unwritten.pop(0)
        except OSError as error:
            self._error = error

    def _write_rest(self) -> None:
        if self.store is None or not self._unwritten:
            return
        try:
            # Opening it removes a torn line. An interrupt may have come when a line was already whole.
            self.store = ResultStore(self.store.path.parent)
            self._unwritten = [digest for digest in self._unwritten if digest not in self.store.rows_by_digest]
            self._write(self.store)
        except OSError as error:
            self._error = error
        if self._unwritten:
            self._rescued = f"; {len(self._unwritten)} more had finished, and {self._rescue()}"

    def _rescue(self) -> str:
        lines = [record_of_fit(digest, self.rows_by_digest[digest]) for digest in self._unwritten]
        try:
            handle, path = tempfile.mkstemp(prefix="skworm-", suffix=".jsonl")
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.writelines(lines)
        except OSError:
            return "could be written nowhere"
        return f"are in {path}, whose lines can be appended to it"
