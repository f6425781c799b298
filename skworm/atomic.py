"""Files that are whole or absent, however the process that writes them ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`, which takes the place of `path` when the context ends well."""
    path = Path(path)
    temporary = path.with_name(f".{path.stem[:60]}-{uuid4().hex}{path.suffix}")
    try:
        yield temporary
        # Without this, a machine that loses power may keep the new name and none of the content.
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename == str(temporary):
            error.filename, error.filename2 = str(path), None
        raise


def write_whole(path: str | os.PathLike[str], text: str) -> None:
    """Write a text in UTF-8 to a file that is whole or absent."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
