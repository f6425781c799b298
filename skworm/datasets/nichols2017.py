"""The worms of Nichols et al. 2017, before lethargus."""

from __future__ import annotations

import os
from dataclasses import replace

from skworm.datasets import download
from skworm.datasets.files import load_recordings
from skworm.recording import Recording

_NODE = "kbf38"
_DATASET = "nichols2017"
_FILES = {
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
    if strain != "both" and strain not in _FILES:
        raise ValueError(f"strain={strain!r} is unknown; choose one of {['both', *_FILES]}")
    home = download.data_folder(data_home)
    worms = []
    for name in _FILES if strain == "both" else [strain]:
        file, osf_id = _FILES[name]
        url = f"{download.OSF_FILES}/{_NODE}/providers/osfstorage/{osf_id}"
        path = download.fetch_file(home / file, url, origin=url, download_if_missing=download_if_missing)
        recordings = load_recordings(path, dataset=_DATASET)
        worms += [replace(recording, worm=f"{name}-{number}") for number, recording in enumerate(recordings)]
    return worms
