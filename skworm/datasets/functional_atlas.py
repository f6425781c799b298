"""The functional atlas: which neurons respond when another is stimulated."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skworm.recording import neuron_name

_DOI = "10.1038/s41586-023-06683-4"
_NEURONS = "neuron_ids"
_WANTED = "pass the file funatlas.h5 of Randi et al. 2023, as the package wormneuroatlas has it"


def load_functional_atlas(path: str | os.PathLike[str], *, strain: str = "wt", measure: str = "dFF") -> pd.DataFrame:
    """Load the atlas of signal propagation of Randi et al. 2023 from your own file.

    One neuron at a time was stimulated by light while the calcium of the others was recorded. Most pairs were measured
    in few animals, and many in none.

    Parameters
    ----------
    path : path
        The file ``funatlas.h5``: a dataset ``neuron_ids`` of names, and a group for each strain with datasets of shape
        (n_neurons, n_neurons) whose rows are responding and whose columns are stimulated neurons.
    strain : str, default="wt"
        Group of the file: ``"wt"`` for wild type, ``"unc31"`` for the mutant without dense-core vesicle release.
    measure : str, default="dFF"
        Dataset of that group: ``"dFF"`` is the mean response, ``"q"`` the false discovery rate at which it counts as a
        response, ``"q_eq"`` that at which it counts as none, ``"occ1"`` the number of observations.

    Returns
    -------
    pandas.DataFrame of shape (n_neurons, n_neurons)
        The measure, from the stimulated neuron of the row (index ``"pre"``) to the responding neuron of the column
        (columns ``"post"``): the transpose of what is in the file. NaN where the file has NaN: the pair is unknown,
        which is not the same as no response. Names have two digits (``"VB01"``). ``attrs`` tells ``"source"``,
        ``"doi"``, ``"kind"``, ``"strain"`` and ``"measure"``.

    Raises
    ------
    FileNotFoundError
        If the file is absent.
    ValueError
        If the file is damaged, or not laid out like this.

    Notes
    -----
    ``GNNStateClassifier(graph=...)`` refuses NaN. Keep to neurons whose pairs were all measured, or decide for yourself
    what an unknown pair counts as, and say so when you report a result. Self-responses stand on the diagonal as the
    file has them.

    References
    ----------
    Randi, Sharma, Dvali & Leifer 2023, "Neural signal propagation atlas of Caenorhabditis elegans", Nature 623,
    406-414, https://doi.org/10.1038/s41586-023-06683-4.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import h5py
    >>> from skworm.datasets import load_functional_atlas
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "funatlas.h5")
    ...     with h5py.File(path, "w") as file:
    ...         file["neuron_ids"] = [b"AVAL", b"VB1"]
    ...         file["wt/dFF"] = [[1.0, float("nan")], [0.25, 1.5]]
    ...     load_functional_atlas(path)
    post  AVAL  VB01
    pre
    AVAL   1.0  0.25
    VB01   NaN  1.50
    """
    import h5py

    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; {_WANTED}")
    if not h5py.is_hdf5(path):
        raise ValueError(f"{path} is no HDF5 file, or a damaged one; {_WANTED}")
    try:
        with h5py.File(path, "r") as file:
            neurons = _read_neurons(file)
            values = _read_measure(file, strain, measure, len(neurons))
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{path} is truncated or damaged ({error}); copy it again") from error
    atlas = pd.DataFrame(values.T, index=pd.Index(neurons, name="pre"), columns=pd.Index(neurons, name="post"))
    atlas.attrs = {"source": "randi2023", "kind": "functional", "doi": _DOI, "strain": strain, "measure": measure}
    return atlas


def _read_neurons(file: Any) -> list[str]:
    import h5py

    node = file.get(_NEURONS)
    if not isinstance(node, h5py.Dataset) or node.ndim != 1 or h5py.check_string_dtype(node.dtype) is None:
        raise ValueError(
            f"{file.filename} has no dataset {_NEURONS!r} that lists the names of the neurons; it holds {list(file)}; "
            f"{_WANTED}"
        )
    names = [neuron_name(name.strip()) for name in node.asstr()[()]]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{file.filename}: {_NEURONS!r} repeats {repeated}; give each neuron one entry")
    return names


def _read_measure(file: Any, strain: str, measure: str, n_neurons: int) -> np.ndarray:
    import h5py

    groups = [name for name, node in file.items() if isinstance(node, h5py.Group)]
    if strain not in groups:
        raise ValueError(f"{file.filename} has no group of the strain {strain!r}; it has {groups}; {_WANTED}")
    tables = [name for name, node in file[strain].items() if _is_table(node, n_neurons)]
    if measure not in tables:
        raise ValueError(
            f"{file.filename} has no dataset '{strain}/{measure}' of numbers of shape {(n_neurons, n_neurons)}, "
            f"[response, stimulated]; those of {strain!r} are {tables}: pass one of them as measure"
        )
    return file[strain][measure][()].astype(np.float64)


def _is_table(node: Any, n_neurons: int) -> bool:
    import h5py

    return isinstance(node, h5py.Dataset) and node.shape == (n_neurons, n_neurons) and node.dtype.kind in "iuf"
