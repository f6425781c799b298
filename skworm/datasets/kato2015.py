"""The five immobilised worms of Kato et al. 2015."""

from __future__ import annotations

import os
from dataclasses import replace

from skworm.datasets.download import data_folder, fetch_file, resolve_osf_file
from skworm.datasets.files import load_recordings
from skworm.recording import Recording

_NODE = "2395t"
_FILE = "WT_NoStim.mat"
_SHA256 = "7531811c1718e26a0455f59cb2f8188cf25809278cfea85770dfe03315a0098a"
_DATASET = "kato2015"
_N_WORMS = 5


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
    path, converted = home / _FILE, home / _DATASET
    if not path.exists() and converted.is_dir():
        path = converted
    else:
        fetch_file(
            path,
            lambda: resolve_osf_file(_NODE, _FILE),
            origin=f"https://osf.io/{_NODE}",
            known_hash=_SHA256,
            download_if_missing=download_if_missing,
        )
    recordings = load_recordings(path)
    if len(recordings) != _N_WORMS:
        raise ValueError(f"{path} holds {len(recordings)} worms instead of {_N_WORMS}; put all of Kato et al. there")
    return [replace(recording, worm=f"kato-{number}", dataset=_DATASET) for number, recording in enumerate(recordings)]
