"""Recordings that are downloaded: those of Kato et al. 2015 and Nichols et al. 2017."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skworm.datasets.files import load_recordings
from skworm.recording import Recording

if TYPE_CHECKING:
    import requests


OSF_API = "https://api.osf.io/v2"
OSF_FILES = "https://files.de-1.osf.io/v1/resources"

_TIMEOUT_SECONDS = (10, 60)
_RETRIES = 3
_BACKOFF_SECONDS = 0.5
_CHUNK_BYTES = 1 << 16
_TRANSIENT_STATUS = (429, 500, 502, 503, 504)


def data_folder(data_home: str | os.PathLike[str] | None = None) -> Path:
    """Tell the folder of the downloaded data.

    Parameters
    ----------
    data_home : path, optional
        The folder; by default the environment variable ``SKWORM_DATA``, else the cache folder of the operating system.

    Returns
    -------
    pathlib.Path
        The folder, which need not exist.

    Examples
    --------
    >>> from skworm.datasets.fetch import data_folder
    >>> data_folder("recordings").name
    'recordings'
    """
    if data_home is None:
        data_home = os.environ.get("SKWORM_DATA") or None
    if data_home is None:
        import pooch

        data_home = pooch.os_cache("skworm")
    return Path(data_home).expanduser()


def fetch_file(
    path: Path,
    url: str | Callable[[], str],
    *,
    origin: str,
    known_hash: str | None = None,
    download_if_missing: bool = True,
) -> Path:
    """Return a file of the data folder, downloaded if it is not there.

    Parameters
    ----------
    path : pathlib.Path
        Where the file is or is put.
    url : str or callable returning str
        Address of the file; a callable is asked only if a download is needed.
    origin : str
        Address of the page or file from which a person gets it by hand.
    known_hash : str, optional
        The file's SHA-256.
    download_if_missing : bool, default=True
        Whether to download.

    Returns
    -------
    pathlib.Path
        `path`.

    Raises
    ------
    FileNotFoundError
        If the file is absent and is not to be downloaded.
    ConnectionError
        If the download fails; what has arrived is kept for the next attempt beside `path`, ending in ``.part``.
    ValueError
        If the checksum is wrong; a downloaded file is removed, a file that was there is left alone.

    Examples
    --------
    >>> from pathlib import Path
    >>> from skworm.datasets.fetch import fetch_file
    >>> fetch_file(Path("a.mat"), "https://osf.io/x", origin="https://osf.io/x", download_if_missing=False)
    Traceback (most recent call last):
    ...
    FileNotFoundError: a.mat is wanted in ..., and download_if_missing=False; get it from https://osf.io/x and put ...
    """
    import pooch
    import requests

    wanted = f"{path.name} is wanted in {path.parent.resolve()}"
    by_hand = f"get it from {origin} and put it there"
    if path.exists():
        _check_present(path, known_hash)
        return path
    if not download_if_missing:
        raise FileNotFoundError(f"{wanted}, and download_if_missing=False; {by_hand}, or pass download_if_missing=True")
    try:
        address = url() if callable(url) else url
        downloader = ResumableDownloader(path)
        pooch.retrieve(address, known_hash, fname=path.name, path=path.parent, downloader=downloader)
    except requests.RequestException as error:
        raise ConnectionError(f"{wanted}, but its download failed ({error}); try again, or {by_hand}") from error
    return path


class ResumableDownloader:
    """A downloader for pooch that goes on where an earlier download broke off.

    What arrives is kept beside the target in a file ending in ``.part``, with the server's mark of that version in one
    ending in ``.part.json``. The next download asks for the rest only if the server still has the same version;
    else it starts again.

    Parameters
    ----------
    path : pathlib.Path
        The target of the download.

    References
    ----------
    RFC 9110, section 13.1.5 (If-Range) and section 14 (Range requests).

    Examples
    --------
    >>> from pathlib import Path
    >>> from skworm.datasets.fetch import ResumableDownloader
    >>> ResumableDownloader(Path("n2_prelet.mat")).part.name
    'n2_prelet.mat.part'
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.part = path.with_name(f"{path.name}.part")
        self.mark = path.with_name(f"{path.name}.part.json")

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        """Download `url` to `output_file`, retrying when the connection breaks.

        Parameters
        ----------
        url : str
            Address of the file.
        output_file : path
            Where the whole file is moved.
        pooch : object
            The calling pooch; not used.
        """
        import requests

        with open_session() as session:
            for attempt in range(_RETRIES + 1):
                try:
                    self._receive(session, url)
                    break
                except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
                    if attempt == _RETRIES:
                        raise
                    time.sleep(_BACKOFF_SECONDS * 2**attempt)
        self.part.replace(output_file)
        self.mark.unlink(missing_ok=True)

    def _receive(self, session: requests.Session, url: str) -> None:
        import requests
        from tqdm import tqdm

        offset, headers = self._resumption()
        with session.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as response:
            if offset and not self._continues(response, offset):
                if response.status_code != requests.codes.ok:
                    self.mark.unlink(missing_ok=True)
                    raise requests.ConnectionError(f"{url} does not continue at byte {offset} (restarting)")
                offset = 0
            response.raise_for_status()
            length = response.headers.get("Content-Length")
            total = None if length is None else offset + int(length)
            if not offset:
                self._write_mark(response, total)
            progress = tqdm(total=total, initial=offset, desc=self.name, unit="B", unit_scale=True, disable=None)
            with self.part.open("ab" if offset else "wb") as file, progress:
                for chunk in response.iter_content(_CHUNK_BYTES):
                    file.write(chunk)
                    progress.update(len(chunk))
        size = self.part.stat().st_size
        if total is not None and size != total:
            raise requests.ConnectionError(f"{url} sent {size} of {total} bytes")

    def _resumption(self) -> tuple[int, dict[str, str]]:
        # Compressed transfer would make the lengths and offsets those of another byte stream.
        headers = {"Accept-Encoding": "identity"}
        mark = self._read_mark()
        offset = self.part.stat().st_size if mark and self.part.is_file() else 0
        if not offset or offset >= mark["total"]:
            return 0, headers
        return offset, headers | {"Range": f"bytes={offset}-", "If-Range": mark["version"]}

    def _continues(self, response: requests.Response, offset: int) -> bool:
        mark = self._read_mark()
        expected = f"bytes {offset}-{mark['total'] - 1}/{mark['total']}"
        is_same_version = mark["version"] in (response.headers.get("ETag"), response.headers.get("Last-Modified"))
        return response.status_code == 206 and response.headers.get("Content-Range") == expected and is_same_version

    def _read_mark(self) -> dict[str, Any]:
        try:
            return json.loads(self.mark.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}

    def _write_mark(self, response: requests.Response, total: int | None) -> None:
        entity_tag = response.headers.get("ETag", "")
        strong = entity_tag if not entity_tag.startswith("W/") else ""
        version = strong or response.headers.get("Last-Modified")
        self.mark.unlink(missing_ok=True)
        if version and total is not None:
            self.mark.write_text(json.dumps({"version": version, "total": total}), encoding="utf-8")


def open_session() -> requests.Session:
    """Open an HTTP session that retries what may pass, with growing pauses.

    Returns
    -------
    requests.Session
        The session, to be used in a ``with`` statement.

    Examples
    --------
    >>> from skworm.datasets.fetch import open_session
    >>> with open_session() as session:
    ...     session.get_adapter("https://osf.io").max_retries.total
    3
    """
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    retry = Retry(total=_RETRIES, backoff_factor=_BACKOFF_SECONDS, status_forcelist=_TRANSIENT_STATUS)
    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def resolve_osf_file(node: str, name: str) -> str:
    """Find the download address of a file on the Open Science Framework by its name.

    Parameters
    ----------
    node : str
        The project's short name, such as ``"2395t"``.
    name : str
        The file's name, in whatever folder of the project it is.

    Returns
    -------
    str
        The address.

    Raises
    ------
    requests.RequestException
        If the listing cannot be read, or has no such file.

    Examples
    --------
    >>> from skworm.datasets.fetch import resolve_osf_file
    >>> resolve_osf_file("2395t", "WT_NoStim.mat")  # doctest: +SKIP
    'https://osf.io/download/...'
    """
    import requests

    pending = [f"{OSF_API}/nodes/{node}/files/osfstorage/"]
    seen: set[str] = set()
    with open_session() as session:
        while pending:
            address = pending.pop(0)
            seen.add(address)
            response = session.get(address, timeout=_TIMEOUT_SECONDS)
            response.raise_for_status()
            try:
                found, further = _read_listing(response.json(), name)
            except (KeyError, TypeError) as error:
                raise requests.RequestException(f"{address} is no OSF file listing: {error!r}") from error
            if found is not None:
                return found
            pending += [link for link in further if link not in seen]
    raise requests.RequestException(f"the OSF project {node} lists no file {name}")


def _read_listing(page: Any, name: str) -> tuple[str | None, list[str]]:
    further = []
    for entry in page["data"]:
        if entry["attributes"]["kind"] == "folder":
            further.append(entry["relationships"]["files"]["links"]["related"]["href"])
        elif entry["attributes"]["name"] == name:
            return entry["links"]["download"], []
    next_page = page["links"].get("next")
    return None, ([next_page] if next_page else []) + further


def _check_present(path: Path, known_hash: str | None) -> None:
    import pooch

    found = pooch.file_hash(str(path)) if known_hash is not None else None
    if found != known_hash:
        raise ValueError(
            f"{path} has the SHA-256 {found}, not {known_hash}; it is damaged or another version: move it away to "
            "download it anew, or read it as it is with load_recordings"
        )


_KATO_NODE = "2395t"
_KATO_FILE = "WT_NoStim.mat"
_KATO_SHA256 = "7531811c1718e26a0455f59cb2f8188cf25809278cfea85770dfe03315a0098a"
_KATO = "kato2015"
_N_KATO_WORMS = 5


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
        download; by default the environment variable ``SKWORM_DATA``, else the cache folder of the operating system.
    download_if_missing : bool, default=True
        Whether to download the file from the Open Science Framework where it is absent.

    Returns
    -------
    list of Recording
        The worms ``"kato-0"`` to ``"kato-4"`` of the data set ``"kato2015"``.

    Raises
    ------
    FileNotFoundError
        If the data are absent and are not to be downloaded.
    ConnectionError
        If the download fails.
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
        fetch_file(
            path,
            lambda: resolve_osf_file(_KATO_NODE, _KATO_FILE),
            origin=f"https://osf.io/{_KATO_NODE}",
            known_hash=_KATO_SHA256,
            download_if_missing=download_if_missing,
        )
    recordings = load_recordings(path)
    if len(recordings) != _N_KATO_WORMS:
        raise ValueError(
            f"{path} holds {len(recordings)} worms instead of {_N_KATO_WORMS}; put all of Kato et al. there"
        )
    return [replace(recording, worm=f"kato-{number}", dataset=_KATO) for number, recording in enumerate(recordings)]


_NICHOLS_NODE = "kbf38"
_NICHOLS = "nichols2017"
_NICHOLS_FILES = {
    "n2": ("n2_prelet.mat", "5d24867945253a001939ac2c"),
    "npr1": ("npr1_prelet.mat", "5d24866f1c5b4a001b9bde6e"),
}


def fetch_nichols2017(
    data_home: str | os.PathLike[str] | None = None, *, strain: str = "both", download_if_missing: bool = True
) -> list[Recording]:
    """Fetch the worms before lethargus of Nichols et al. 2017.

    Larvae of the strains N2 (11 worms) and npr-1 (10 worms), with the states reverse, forward, quiescence and turn. The
    file does not tell dorsal from ventral turns.

    Parameters
    ----------
    data_home : path, optional
        Folder that holds ``n2_prelet.mat`` and ``npr1_prelet.mat`` (61 to 81 MB each), or that receives them; by
        default the environment variable ``SKWORM_DATA``, else the cache folder of the operating system.
    strain : {"both", "n2", "npr1"}, default="both"
        Which worms.
    download_if_missing : bool, default=True
        Whether to download the files from the Open Science Framework where they are absent.

    Returns
    -------
    list of Recording
        The worms ``"n2-0"``, ... and ``"npr1-0"``, ... of the data set ``"nichols2017"``.

    Raises
    ------
    FileNotFoundError
        If a file is absent and is not to be downloaded.
    ConnectionError
        If a download fails.
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
        path = fetch_file(home / file, url, origin=url, download_if_missing=download_if_missing)
        recordings = load_recordings(path, dataset=_NICHOLS)
        worms += [replace(recording, worm=f"{name}-{number}") for number, recording in enumerate(recordings)]
    return worms
