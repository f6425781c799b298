"""Fetch published recordings: downloads that are resumed, checked, and in place only when whole."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from skworm.datasets.files import load_recordings
from skworm.recording import Recording

if TYPE_CHECKING:
    import requests

_KATO = "kato2015"
_KATO_NODE, _KATO_FILE, _KATO_WORMS = "2395t", "WT_NoStim.mat", 5
_KATO_SHA256 = "7531811c1718e26a0455f59cb2f8188cf25809278cfea85770dfe03315a0098a"
_NICHOLS_NODE = "kbf38"
_NICHOLS_FILES = {
    "n2": ("n2_prelet.mat", "5d24867945253a001939ac2c"),
    "npr1": ("npr1_prelet.mat", "5d24866f1c5b4a001b9bde6e"),
}
OSF_API = "https://api.osf.io/v2"
OSF_FILES = "https://files.de-1.osf.io/v1/resources"

_TIMEOUT_SECONDS = (10, 60)
_RETRIES, _BACKOFF_SECONDS, _LONGEST_WAIT_SECONDS = 3, 0.5, 60
_MOST_BYTES, _CHUNK_BYTES = 1 << 30, 1 << 16
_TRANSIENT_STATUS = (429, 500, 502, 503, 504)


def fetch_kato2015(
    data_home: str | os.PathLike[str] | None = None, *, download_if_missing: bool = True
) -> list[Recording]:
    """Fetch the five worms without stimulus of Kato et al. 2015.

    Bleach-corrected dF/F of 109 to 135 neurons, 31 to 47 of them identified, over 18 minutes, with the seven states of
    the motor command sequence.

    Parameters
    ----------
    data_home : path, optional
        Folder that holds ``WT_NoStim.mat`` (56 MB) or a folder ``kato2015`` of ``.npz`` files, or that receives the
        download; by default the environment variable ``SKWORM_DATA``, else a cache folder.
    download_if_missing : bool, default=True
        Whether to download what is absent from the Open Science Framework.

    Returns
    -------
    list of Recording
        The worms ``"kato-0"`` to ``"kato-4"`` of the data set ``"kato2015"``.

    Raises
    ------
    FileNotFoundError, ConnectionError
        If the data are absent and are not to be downloaded, or the download fails.
    ValueError
        If the file has a wrong checksum, or the folder does not hold five worms.

    References
    ----------
    Kato et al. 2015, "Global brain dynamics embed the motor command sequence of Caenorhabditis elegans", Cell 163,
    656-669. Data: https://osf.io/2395t

    Examples
    --------
    >>> from skworm.datasets import fetch_kato2015
    >>> fetch_kato2015("empty-folder", download_if_missing=False)
    Traceback (most recent call last):
    ...
    FileNotFoundError: WT_NoStim.mat is wanted in ...
    """
    home = data_folder(data_home)
    path, converted = home / _KATO_FILE, home / _KATO
    if not path.exists() and converted.is_dir():
        path = converted
    else:
        listing = f"{OSF_API}/nodes/{_KATO_NODE}/files/osfstorage/"
        fetch_file(
            path,
            lambda: find_osf_file(listing, _KATO_FILE),
            origin=f"https://osf.io/{_KATO_NODE}",
            known_hash=_KATO_SHA256,
            download_if_missing=download_if_missing,
        )
    recordings = load_recordings(path)
    if len(recordings) != _KATO_WORMS:
        raise ValueError(f"{path} holds {len(recordings)} worms instead of {_KATO_WORMS}; put all of Kato et al. there")
    return [replace(recording, worm=f"kato-{number}", dataset=_KATO) for number, recording in enumerate(recordings)]


def fetch_nichols2017(
    data_home: str | os.PathLike[str] | None = None, *, strain: str = "both", download_if_missing: bool = True
) -> list[Recording]:
    """Fetch the worms before lethargus of Nichols et al. 2017.

    Larvae of the strains N2 (11 worms) and npr-1 (10 worms), with the states reverse, forward, quiescence and turn.

    Parameters
    ----------
    data_home : path, optional
        Folder that holds ``n2_prelet.mat`` and ``npr1_prelet.mat`` (61 to 81 MB each), or that receives them; by
        default the environment variable ``SKWORM_DATA``, else a cache folder.
    strain : {"both", "n2", "npr1"}, default="both"
        Which worms.
    download_if_missing : bool, default=True
        Whether to download what is absent from the Open Science Framework.

    Returns
    -------
    list of Recording
        The worms ``"n2-0"``, ... and ``"npr1-0"``, ... of the data set ``"nichols2017"``.

    Raises
    ------
    FileNotFoundError, ConnectionError
        If a file is absent and is not to be downloaded, or its download fails.
    ValueError
        If there is no such strain, or a file cannot be read.

    References
    ----------
    Nichols et al. 2017, "A global brain state underlies C. elegans sleep behavior", Science 356, eaam6851. Data:
    https://osf.io/kbf38

    Examples
    --------
    >>> from skworm.datasets import fetch_nichols2017
    >>> fetch_nichols2017("empty-folder", strain="n2", download_if_missing=False)
    Traceback (most recent call last):
    ...
    FileNotFoundError: n2_prelet.mat is wanted in ...
    """
    if strain != "both" and strain not in _NICHOLS_FILES:
        raise ValueError(f"strain={strain!r} is unknown; choose one of {['both', *_NICHOLS_FILES]}")
    home = data_folder(data_home)
    worms = []
    for name in _NICHOLS_FILES if strain == "both" else [strain]:
        file, osf_id = _NICHOLS_FILES[name]
        url = f"{OSF_FILES}/{_NICHOLS_NODE}/providers/osfstorage/{osf_id}"
        find = partial(find_osf_file, f"{OSF_API}/files/{osf_id}/", url=url)
        path = fetch_file(home / file, find, origin=url, download_if_missing=download_if_missing)
        recordings = load_recordings(path, dataset="nichols2017")
        worms += [replace(recording, worm=f"{name}-{number}") for number, recording in enumerate(recordings)]
    return worms


class RemoteFile(NamedTuple):
    """A file that a server has: where, of how many bytes, and its SHA-256; None where that is not known."""

    url: str
    size: int | None = None
    sha256: str | None = None


def data_folder(data_home: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of data, which need not exist: by default that of ``SKWORM_DATA``, else a cache folder."""
    import pooch

    home = (os.environ.get("SKWORM_DATA") or pooch.os_cache("skworm")) if data_home is None else data_home
    return Path(home).expanduser()


def fetch_file(
    path: Path,
    find: Callable[[], RemoteFile],
    *,
    origin: str,
    known_hash: str | None = None,
    download_if_missing: bool = True,
) -> Path:
    """Return a file of the data folder, downloaded if it is not there."""
    import pooch

    wanted = f"{path.name} is wanted in {path.parent.resolve()}"
    by_hand = f"get it from {origin} and put it there"
    if path.exists():
        found = pooch.file_hash(str(path)) if known_hash is not None else None
        if found != known_hash:
            raise ValueError(
                f"{path} has the SHA-256 {found}, not {known_hash}; it is damaged or another version: move it away to "
                "download it anew, or read it as it is with load_recordings"
            )
        return path
    if path.is_symlink():
        raise FileNotFoundError(f"{wanted}, but it is a link to {path.readlink()}, which is absent; remove the link")
    if not download_if_missing:
        raise FileNotFoundError(f"{wanted}, and download_if_missing=False; {by_hand}, or pass download_if_missing=True")
    try:
        remote = find()
        downloader = _Downloader(path, remote.size)
        known_hash = known_hash or remote.sha256
        pooch.retrieve(remote.url, known_hash, fname=path.name, path=path.parent, downloader=downloader)
    # The errors of requests are OSErrors too.
    except OSError as error:
        raise ConnectionError(f"{wanted}, but its download failed ({error}); try again, or {by_hand}") from error
    return path


class _Downloader:
    """A downloader for pooch that goes on where an earlier download broke off.

    Every download writes into a new file of its own, since two that share one would damage what either has verified.
    When it breaks off, that file becomes ``<name>.part`` and ends in the server's mark of the version. A later download
    copies it, and asks for the rest if the server still has that version (RFC 9110, sections 13.1.5 and 14).
    """

    def __init__(self, path: Path, size: int | None) -> None:
        self.name = path.name
        self.size = size
        self.own = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
        self.kept = path.with_name(f"{path.name}.part")
        self.mark: dict[str, Any] = {}

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        try:
            # Creating it anew follows no link that stands there.
            with self.own.open("x+b") as file:
                try:
                    self._take_over(file)
                    _retried(lambda: self._receive(url, file))
                except BaseException:
                    with contextlib.suppress(OSError):
                        self._leave(file)
                    raise
            self.own.replace(output_file)
            with contextlib.suppress(OSError):
                self.kept.unlink()
        finally:
            self.own.unlink(missing_ok=True)

    def _take_over(self, file: BinaryIO) -> None:
        if self.kept.is_symlink() or not self.kept.is_file():
            return
        with contextlib.suppress(OSError, ValueError, TypeError, LookupError), self.kept.open("rb") as earlier:
            end = earlier.seek(-4, os.SEEK_END)
            n_bytes = earlier.seek(end - int.from_bytes(earlier.read(4), "big"))
            mark = json.loads(earlier.read(end - n_bytes))
            version, total = str(mark["version"]), int(mark["total"])
            if mark["received"] == n_bytes < total:
                earlier.seek(0)
                shutil.copyfileobj(earlier, file)
                file.truncate(n_bytes)
                self.mark = {"version": version, "total": total}

    def _leave(self, file: BinaryIO) -> None:
        received = file.seek(0, os.SEEK_END)
        if self.mark and received:
            mark = json.dumps(self.mark | {"received": received}).encode()
            file.write(mark + len(mark).to_bytes(4, "big"))
            file.flush()
            self.own.replace(self.kept)

    def _receive(self, url: str, file: BinaryIO) -> None:
        import requests
        from tqdm import tqdm

        # Compressed transfer would make the lengths and offsets those of another byte stream.
        headers = {"Accept-Encoding": "identity"}
        offset = file.seek(0, os.SEEK_END) if self.mark else 0
        if offset:
            headers |= {"Range": f"bytes={offset}-", "If-Range": self.mark["version"]}
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as response:
            if response.status_code != requests.codes.requested_range_not_satisfiable:
                response.raise_for_status()
            if not (offset and self._continues(response, offset)):
                if response.status_code != requests.codes.ok:
                    self.mark = {}
                    raise requests.ConnectionError(f"{url} answers {response.status_code}, not with the whole file")
                offset = 0
            total = self._total(response, offset)
            file.truncate(offset)
            file.seek(offset)
            progress = tqdm(total=total, initial=offset, desc=self.name, unit="B", unit_scale=True, disable=None)
            with progress:
                for chunk in response.iter_content(_CHUNK_BYTES):
                    file.write(chunk)
                    progress.update(len(chunk))
        if file.tell() != total:
            raise requests.ConnectionError(f"{url} sent {file.tell()} of {total} bytes")

    def _continues(self, response: requests.Response, offset: int) -> bool:
        expected = f"bytes {offset}-{self.mark['total'] - 1}/{self.mark['total']}"
        is_same_version = self.mark["version"] in (response.headers.get("ETag"), response.headers.get("Last-Modified"))
        return response.status_code == 206 and response.headers.get("Content-Range") == expected and is_same_version

    def _total(self, response: requests.Response, offset: int) -> int:
        """Return the size of the whole file, if it is the one that is wanted, and note its version."""
        import requests

        length = response.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise requests.RequestException(f"{response.url} does not say its size, so a part could pass for the whole")
        total = offset + int(length)
        if total > _MOST_BYTES or self.size not in (None, total):
            wanted = f"at most {_MOST_BYTES}" if self.size is None else self.size
            raise requests.RequestException(f"{response.url} has {total} bytes, and {wanted} are expected")
        if not offset:
            entity_tag = response.headers.get("ETag", "")
            strong = "" if entity_tag.startswith("W/") else entity_tag
            version = strong or response.headers.get("Last-Modified")
            self.mark = {"version": version, "total": total} if version else {}
        return total


def _retried(attempt: Callable[[], Any]) -> Any:
    """Return what `attempt` returns, which is called again, after growing pauses, where its failure may pass."""
    import requests

    for number in range(_RETRIES):
        try:
            return attempt()
        except requests.RequestException as error:
            seconds = _pause(error, number)
            if seconds is None:
                raise
            print(f"{error}; trying again in {seconds:.0f} seconds", file=sys.stderr)
            time.sleep(seconds)
    return attempt()


def _pause(error: requests.RequestException, number: int) -> float | None:
    """Return the seconds to wait before the next attempt, or None where that would not help."""
    import requests

    pause = _BACKOFF_SECONDS * 2**number
    if error.response is None:
        passing = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
        return pause if isinstance(error, passing) else None
    if error.response.status_code not in _TRANSIENT_STATUS:
        return None
    asked = error.response.headers.get("Retry-After", "")
    try:
        seconds = float(asked) if asked.isdigit() else parsedate_to_datetime(asked).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return pause
    if seconds > _LONGEST_WAIT_SECONDS:
        raise requests.RequestException(f"{error}; the server asks to come back in {seconds:.0f} seconds") from error
    return max(seconds, pause)


def find_osf_file(address: str, name: str = "", url: str | None = None) -> RemoteFile:
    """Return a file on the Open Science Framework: the one at an address, or by name in a listing and its folders.

    It is to be had at `url`, by default where the listing says. A listing that cannot be read, or has no such file, is
    a ``requests.RequestException``.
    """
    import requests

    def ask() -> Any:
        response = requests.get(pending[0], timeout=_TIMEOUT_SECONDS)
        response.raise_for_status()
        return response.json()

    pending, seen = [address], set()
    while pending:
        page = _retried(ask)
        seen.add(pending[0])
        try:
            further = []
            for entry in page["data"] if name else [page["data"]]:
                about = entry["attributes"]
                if about["kind"] == "folder":
                    further.append(entry["relationships"]["files"]["links"]["related"]["href"])
                elif about["name"] == name or not name:
                    link, checksum = entry["links"]["download"], about["extra"]["hashes"]["sha256"]
                    return RemoteFile(url or link, about["size"], checksum)
            further = [page["links"].get("next"), *further]
        except (KeyError, TypeError, AttributeError) as error:
            raise requests.RequestException(f"{pending[0]} is not an OSF file listing: {error!r}") from error
        pending = [*pending[1:], *(link for link in further if link and link not in seen)]
    raise requests.RequestException(f"{address} lists no file {name}")
