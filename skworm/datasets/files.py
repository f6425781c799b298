"""Read recordings from files, and write them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from skworm.atomic import atomic_path
from skworm.datasets.conventions import check_archive, states_of_codes, translate_states
from skworm.datasets.labs import KEYS, read_neuron_names, read_wormwideweb
from skworm.datasets.matlab import read_matlab
from skworm.datasets.nwb import read_nwb
from skworm.datasets.tables import read_table
from skworm.recording import STATES, Recording, repeated

_SUFFIXES = (".npz", ".mat", ".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".xlsx", ".nwb", ".h5", ".json")
_REQUIRED = ("traces", "neuron_names", "fps")
_BEHAVIOR_PREFIX = "behavior_"


def load_recordings(
    path_or_paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    dataset: str | None = None,
    rename_states: Mapping[str, str] | None = None,
    fps: float | None = None,
    columns: Mapping[str, str] | None = None,
    neuron_names: Mapping[str, Mapping[str, Any]] | str | os.PathLike[str] | None = None,
) -> list[Recording]:
    """Read recordings from files of any supported format.

    The page :doc:`/files` describes what files of each format must hold.

    Parameters
    ----------
    path_or_paths : path or iterable of paths
        A file, or a folder whose supported files are read in natural order (``worm_2`` before ``worm_10``), but those
        whose name begins with a dot. One that cannot be read is an error; ``skworm inspect`` names all such files.
    dataset : str, optional
        Data set of recordings whose file names none; by default the name of the folder.
    rename_states : mapping of str to str, optional
        Name of a state in the file to its name in skworm. The codes of Kato et al. (``"REVSUS"``) and of Nichols et
        al. (``"Reversal"``) are known without it.
    fps : float, optional
        Frames a second, used for tables without a column ``time`` only.
    columns : mapping of str to str, optional
        Columns that tables call otherwise, such as ``{"time": "t (s)", "state": "behaviour", "AVAL": "cell 3"}``; other
        formats have names of their own.
    neuron_names : mapping or path, optional
        Names of the neurons of ``.h5`` files, which hold none: for each recording the name of each trace, counted from
        1, as text or as a mapping with a ``"label"``; or a JSON file of it.

    Returns
    -------
    list of Recording
        The worms, each named by its file, or else after the file.

    Raises
    ------
    FileNotFoundError
        If a file is absent, or a folder holds none.
    ValueError
        If a file cannot be read, or two worms of one data set have the same name.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from skworm.datasets import load_recordings, save_recordings
    >>> from skworm.recording import Recording
    >>> worm = Recording("worm-a", [[0.1, 0.2], [0.3, 0.1]], ["AVAL", "2"], fps=3.0, states=["forward", "unknown"])
    >>> with TemporaryDirectory() as folder:
    ...     _ = save_recordings([worm], folder)
    ...     load_recordings(folder)
    [Recording('worm-a': 2 frames at 3.00 a second, 2 neurons, 1 identified, with states)]
    """
    paths = [path_or_paths] if isinstance(path_or_paths, str | os.PathLike) else list(path_or_paths)
    if not paths:
        raise ValueError("there are no paths to read; pass a file, a folder, or several of them")
    files = [file for entry in paths for file in recording_files(Path(entry).expanduser())]
    recordings, found = read_recordings(files, rename_states, neuron_names, dataset=dataset, fps=fps, columns=columns)
    check_renamed(rename_states, found)
    return recordings


def read_recordings(
    files: Iterable[Path], rename_states: Mapping[str, str] | None = None, neuron_names: Any = None, **reading: Any
) -> tuple[list[Recording], set[str]]:
    """Return the worms of some files, and the names of states that the files use; see :func:`load_recordings`."""
    names = read_neuron_names(neuron_names)
    recordings: list[Recording] = []
    origin: dict[tuple[str, str], Path] = {}
    found: set[str] = set()
    for path in files:
        for recording in _read_file(path, names, rename_states or {}, **reading):
            key = (recording.dataset, recording.worm)
            if key in origin:
                raise ValueError(
                    f"{path} and {origin[key]} both hold a worm {recording.worm!r} of the data set "
                    f"{recording.dataset!r}; rename one of the files, or load them apart with another dataset=..."
                )
            origin[key] = path
            if recording.states is not None:
                found.update(recording.states.tolist())
                recording = replace(recording, states=translate_states(recording.states, rename_states))
            recordings.append(recording)
    return recordings, found


def check_renamed(rename_states: Mapping[str, str] | None, found: set[str]) -> None:
    """Raise ValueError where a state is to be renamed that is not there, and another is left that nobody knows."""
    unused = [name for name in rename_states or {} if name not in found]
    left = sorted(name for name in found - set(rename_states or {}) if translate_states([name])[0] not in STATES)
    if unused and (left or not all(isinstance(name, str) for name in unused)):
        raise ValueError(
            f"rename_states names {unused}, which no recording has, and the states {left or sorted(found)} are not "
            "renamed; correct the names, which are texts"
        )


def save_recordings(
    recordings: Recording | Iterable[Recording], folder: str | os.PathLike[str], *, overwrite: bool = False
) -> list[Path]:
    """Write recordings as ``.npz`` files, one a worm.

    The files hold plain arrays and load with ``numpy.load(path, allow_pickle=False)``: ``traces`` (n_frames,
    n_neurons), ``neuron_names``, ``fps``, ``time``, ``worm``, ``dataset``, ``source``, and where the recording has
    them ``labels`` (indices into ``state_names``), ``derivatives`` and ``behavior_<name>``.

    Parameters
    ----------
    recordings : Recording or iterable of Recording
        The worms, each with its own name.
    folder : path
        Where to write; made if absent.
    overwrite : bool, default=False
        Whether existing files may be replaced.

    Returns
    -------
    list of pathlib.Path
        The files, named after the worms; characters that a file name cannot hold are percent-encoded.

    Raises
    ------
    FileExistsError
        If a file exists and `overwrite` is False; nothing is written then.
    ValueError
        If two worms have the same name.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from skworm.datasets import save_recordings
    >>> from skworm.recording import Recording
    >>> worm = Recording("n2/3", [[0.1, 0.2], [0.3, 0.1]], ["AVAL", "2"], fps=3.0)
    >>> with TemporaryDirectory() as folder:
    ...     [path.name for path in save_recordings(worm, folder)]
    ['n2%2F3.npz']
    """
    worms = [recordings] if isinstance(recordings, Recording) else list(recordings)
    target = Path(folder).expanduser()
    # A leading dot would hide the file.
    paths = [target / f"{re.sub('^[.]', '%2E', quote(worm.worm, safe=''))}.npz" for worm in worms]
    if several := repeated(worm.worm for worm in worms):
        raise ValueError(f"two recordings are named {several[0]!r}; rename one, so that each has its file")
    for path in paths:
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists; pass overwrite=True to replace it, or another folder")
    target.mkdir(parents=True, exist_ok=True)
    for worm, path in zip(worms, paths, strict=True):
        # Not compressed: mostly-NaN traces would become so small that reading takes the file for a bomb.
        with atomic_path(path) as temporary:
            np.savez(temporary, **_arrays_of(worm))
    return paths


def read_npz(path: Path, *, dataset: str | None = None) -> Recording:
    """Return the worm of an ``.npz`` file as :func:`save_recordings` writes it, of `dataset` where it names none."""
    arrays = _load_arrays(path)
    missing = [name for name in _REQUIRED if name not in arrays]
    if missing:
        raise ValueError(
            f"the arrays {missing} are missing, only {sorted(arrays)} are there; write {', '.join(_REQUIRED)}, for "
            "example with save_recordings"
        )
    if arrays["traces"].dtype.kind not in "biuf":
        raise ValueError(f"the traces are {arrays['traces'].dtype}; write numbers")
    if arrays["fps"].size != 1:
        raise ValueError(f"fps has the shape {arrays['fps'].shape}; write one number of frames a second")
    texts = {"worm": path.stem, "source": str(path)}
    texts |= {name: str(arrays[name].item()) for name in ("worm", "dataset", "source") if name in arrays}
    if not texts.get("dataset") and (dataset is not None or "dataset" not in texts):
        texts["dataset"] = _dataset_of(path, dataset)
    signals = {name: values for name, values in arrays.items() if name.startswith(_BEHAVIOR_PREFIX)}
    return Recording(
        traces=arrays["traces"],
        neurons=tuple(arrays["neuron_names"].ravel().astype(str).tolist()),
        fps=float(arrays["fps"].item()),
        time=arrays.get("time"),  # type: ignore[arg-type]  # filled from fps
        states=_states_of(arrays) if "labels" in arrays else None,
        derivatives=arrays.get("derivatives"),
        behavior={name.removeprefix(_BEHAVIOR_PREFIX): values for name, values in signals.items()},
        **texts,
    )


def recording_files(path: Path) -> list[Path]:
    """Return the file itself, or the files of recordings in a folder, which must hold some, in natural order."""
    if not path.is_dir():
        return [path]
    files = [
        file for file in path.iterdir() if not file.name.startswith((".", "~$")) and file.is_file() and _is_data(file)
    ]
    if not files:
        below = sorted(file.parent.name for file in path.glob("*/*") if file.is_file() and _format_of(file) is not None)
        remedy = f"pass one of the folders in it, {below[0]!r} or another" if below else "put some there"
        raise FileNotFoundError(
            f"folder {path} holds no recordings, which are files ending in {', '.join(_SUFFIXES)}; {remedy}"
        )
    return sorted(files, key=lambda file: [int(p) if p.isdecimal() else p for p in re.split(r"(\d+)", file.name)])


def _is_data(file: Path) -> bool:
    # Settings and notes are often JSON too.
    if _format_of(file) == ".json":
        content = file.read_bytes()
        return any(f'"{key}"'.encode() in content for key in KEYS)
    return _format_of(file) is not None


def _format_of(path: Path) -> str | None:
    return next((suffix for suffix in _SUFFIXES if path.name.lower().endswith(suffix)), None)


def _read_file(
    path: Path,
    names: Mapping[str, Any] | None,
    renamed: Mapping[str, str],
    dataset: str | None = None,
    fps: float | None = None,
    columns: Mapping[str, str] | None = None,
) -> list[Recording]:
    suffix = _format_of(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; check the path, or the working folder {Path.cwd()}")
    if suffix is None:
        raise ValueError(
            f"{path}: {path.suffix!r} is not a supported format; convert it to one of {', '.join(_SUFFIXES)}"
        )
    try:
        if suffix == ".npz":
            return [read_npz(path, dataset=dataset)]
        folder = _dataset_of(path, dataset)
        if suffix == ".mat":
            return read_matlab(path, dataset=folder)
        if suffix == ".nwb":
            return [read_nwb(path, dataset=folder, renamed=renamed)]
        if suffix in (".json", ".h5"):
            return [read_wormwideweb(path, dataset=folder, fps=fps, neuron_names=names)]
        return [read_table(path, dataset=folder, fps=fps, columns=columns)]
    except (PermissionError, FileNotFoundError, ImportError):
        raise
    except Exception as error:
        # A plain ValueError says what to do; on bytes that are wrong the parsers of the formats fail in many ways.
        problem = str(error)
        if type(error) is not ValueError:
            problem = (
                f"the file is truncated or damaged, or has another format ({type(error).__name__}: {error}); copy it "
                "again, or write it as the page on files says"
            )
        raise ValueError(f"{path}: {problem}") from error


def _dataset_of(path: Path, dataset: str | None) -> str:
    return path.resolve().parent.name if dataset is None else dataset


def _load_arrays(path: Path) -> dict[str, np.ndarray]:
    check_archive(path)
    with np.load(path, allow_pickle=False) as archive:
        try:
            return {name: archive[name] for name in archive.files}
        except ValueError as error:
            raise ValueError(
                f"an array cannot be read ({error}); write plain arrays of numbers and text, no pickled objects, for "
                "example with save_recordings"
            ) from error


def _states_of(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    labels = arrays["labels"]
    if "state_names" not in arrays:
        raise ValueError("there are 'labels' but no 'state_names'; write the name of each label")
    if labels.dtype.kind not in "iu":
        raise ValueError(f"'labels' are {labels.dtype}; write whole numbers, indices into 'state_names'")
    names = dict(enumerate(arrays["state_names"].astype(str).tolist()))
    return states_of_codes(
        labels.ravel().astype(float), names, "labels are indices into 'state_names' and count from 0"
    )


def _arrays_of(recording: Recording) -> dict[str, Any]:
    names = ("traces", "fps", "time", "worm", "dataset", "source", "derivatives")
    arrays = {name: value for name in names if (value := getattr(recording, name)) is not None}
    arrays["neuron_names"] = np.array(recording.neurons, dtype=str)
    if recording.states is not None:
        arrays["state_names"], labels = np.unique(recording.states, return_inverse=True)
        arrays["labels"] = labels.astype(np.int64)
    return arrays | {f"{_BEHAVIOR_PREFIX}{name}": values for name, values in recording.behavior.items()}
