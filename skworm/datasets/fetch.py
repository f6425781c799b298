"""Fetch published recordings: downloads that are checked, and in place only when whole."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from skworm.datasets.files import load_recordings
from skworm.recording import Recording

_KATO = "kato2015"
_KATO_NODE, _KATO_FILE, _KATO_WORMS = "2395t", "WT_NoStim.mat", 5
_KATO_SHA256 = "7531811c1718e26a0455f59cb2f8188cf25809278cfea85770dfe03315a0098a"
_NICHOLS_NODE = "kbf38"
_NICHOLS_FILES = {
    "n2": ("n2_prelet.mat", "5d24867945253a001939ac2c"),
    "npr1": ("npr1_prelet.mat", "5d24866f1c5b4a001b9bde6e"),
}
OSF_API = "https://api.osf.io/v2"

_TIMEOUT_SECONDS, _RETRIES = 60, 2


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
        path = fetch_file(
            home / file,
            partial(find_osf_file, f"{OSF_API}/files/{osf_id}/"),
            origin=f"https://osf.io/{_NICHOLS_NODE}",
            download_if_missing=download_if_missing,
        )
        recordings = load_recordings(path, dataset="nichols2017")
        worms += [replace(recording, worm=f"{name}-{number}") for number, recording in enumerate(recordings)]
    return worms


def data_folder(data_home: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of data, which need not exist: by default that of ``SKWORM_DATA``, else a cache folder."""
    import pooch

    home = (os.environ.get("SKWORM_DATA") or pooch.os_cache("skworm")) if data_home is None else data_home
    return Path(home).expanduser()


def fetch_file(
    path: Path,
    find: Callable[[], tuple[str, str]],
    *,
    origin: str,
    known_hash: str | None = None,
    download_if_missing: bool = True,
) -> Path:
    """Return a file of the data folder, downloaded if it is not there; `find` gives its address and SHA-256."""
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
    if not download_if_missing:
        raise FileNotFoundError(f"{wanted}, and download_if_missing=False; {by_hand}, or pass download_if_missing=True")
    try:
        url, found = find()
        known = {path.name: known_hash or found}
        folder = pooch.create(path.parent, "", registry=known, urls={path.name: url}, retry_if_failed=_RETRIES)
        downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=_TIMEOUT_SECONDS)
        folder.fetch(path.name, downloader=downloader)
    # The errors of requests are OSErrors too.
    except OSError as error:
        raise ConnectionError(f"{wanted}, but its download failed ({error}); try again, or {by_hand}") from error
    return path


def find_osf_file(address: str, name: str = "") -> tuple[str, str]:
    """Return address and SHA-256 of a file on the Open Science Framework.

    It is the one that `address` describes, or the one of that name in a listing and its folders. A listing that cannot
    be read, or has no such file, is a ``requests.RequestException``.
    """
    import requests

    pending, seen = [address], set()
    while pending:
        response = requests.get(pending[0], timeout=_TIMEOUT_SECONDS)
        response.raise_for_status()
        page = response.json()
        seen.add(pending[0])
        try:
            further = []
            for entry in page["data"] if name else [page["data"]]:
                about = entry["attributes"]
                if about["kind"] == "folder":
                    further.append(entry["relationships"]["files"]["links"]["related"]["href"])
                elif about["name"] == name or not name:
                    return entry["links"]["download"], about["extra"]["hashes"]["sha256"]
            further = [page["links"].get("next"), *further]
        except (KeyError, TypeError, AttributeError) as error:
            raise requests.RequestException(f"{pending[0]} is not an OSF file listing: {error!r}") from error
        pending = [*pending[1:], *(link for link in further if link and link not in seen)]
    raise requests.RequestException(f"{address} lists no file {name}")
