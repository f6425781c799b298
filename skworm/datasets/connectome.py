"""Graphs to compare with: connectomes, as electron microscopy shows them, and the functional atlas."""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from skworm.datasets.hdf5 import open_hdf5, read_dataset, read_texts
from skworm.parameters import check_choice
from skworm.recording import neuron_name, repeated

_TABLES = files("skworm.datasets") / "connectomes"
_DOI = "10.1038/s41586-023-06683-4"
_WANTED = "pass the file funatlas.h5 of Randi et al. 2023, as the package wormneuroatlas has it"


def load_connectome(
    source: str = "white1986",
    neurons: Iterable[str] | None = None,
    *,
    kind: Literal["both", "chemical", "electrical"] = "both",
    weighted: bool = True,
    symmetric: bool = False,
    self_loops: bool | Literal["keep"] = False,
    missing: Literal["raise", "zero"] = "raise",
) -> pd.DataFrame:
    """Load the connectome of the hermaphrodite, or the part of it between some neurons.

    Chemical synapses have a direction; gap junctions have none, and their matrix is symmetric.

    =====================================  =================================================================
    ``"white1986"``                        whole animal with its pharynx, put together from several animals,
                                           as re-read by Varshney et al. 2011
    ``"white1986_adult"``,                 nerve ring of an old adult (series N2U) and of an L4 larva
    ``"white1986_l4"``                     (series JSH), the same authors
    ``"varshney2011"``                     White et al. corrected and completed, without the pharynx
    ``"cook2019"``                         whole adult with its pharynx, all 302 neurons
    ``"witvliet2021_1"`` to                brains of eight animals: 1 to 4 are L1, 5 is L2, 6 is L3, 7 and 8
    ``"witvliet2021_8"``                   are adults; their gap junctions are incomplete
    =====================================  =================================================================

    Parameters
    ----------
    source : str, default="white1986"
        Name of the source.
    neurons : iterable of str, default=None
        Neurons to keep, in this order; ``"VB1"`` and ``"VB01"`` are the same. With None all neurons that the source
        has, in alphabetical order.
    kind : {"both", "chemical", "electrical"}, default="both"
        Chemical synapses, gap junctions, or the sum of their weights.
    weighted : bool, default=True
        Keep the weights, or write 1 for every edge. A weight counts synaptic contacts (White et al., Varshney et al.),
        synapses (Witvliet et al.), or micrograph sections with contacts (Cook et al.): sources do not compare.
    symmetric : bool, default=False
        Forget the direction of chemical synapses, and sum the weights of both.
    self_loops : bool or "keep", default=False
        With False no neuron has an edge to itself, with True every neuron has one of weight 1, with ``"keep"`` those
        have one that the source gives one.
    missing : {"raise", "zero"}, default="raise"
        What becomes of a neuron that the source lacks: an error, or zeros, which do not mean that it has no synapses.

    Returns
    -------
    pandas.DataFrame of shape (n_neurons, n_neurons)
        Weight of each edge, from the neuron of the row (index ``"pre"``) to that of the column (columns ``"post"``).
        ``attrs`` has ``"source"``, ``"kind"``, ``"doi"``, ``"reference"`` and what a ``"weight"`` counts.

    Raises
    ------
    ValueError
        If a source, option or neuron does not exist, a neuron is named twice, or the source lacks one.

    References
    ----------
    White et al. 1986, https://doi.org/10.1098/rstb.1986.0056. Varshney et al. 2011,
    https://doi.org/10.1371/journal.pcbi.1001066. Cook et al. 2019, https://doi.org/10.1038/s41586-019-1352-7.
    Witvliet et al. 2021, https://doi.org/10.1038/s41586-021-03778-8. The data are those that OpenWorm's package cect
    0.3.5 (MIT licence) collects from these papers.

    Examples
    --------
    >>> from skworm.datasets import load_connectome
    >>> connectome = load_connectome(neurons=["AVER", "AVAR", "RIMR", "VB1"])
    >>> connectome.astype(int)
    post  AVER  AVAR  RIMR  VB01
    pre
    AVER     0    16     2     0
    AVAR     2     0     1     0
    RIMR     2     1     0     0
    VB01     0     0     0     0
    """
    sources = _read("sources.csv", index="source")
    check_choice(tuple(sources.index), source=source)
    check_choice(("both", "chemical", "electrical"), kind=kind)
    check_choice((True, False), weighted=weighted, symmetric=symmetric)
    check_choice((True, False, "keep"), self_loops=self_loops)
    check_choice(("raise", "zero"), missing=missing)
    presence = _read("neurons.csv.gz", index="neuron").astype(bool)
    names = (
        presence.index[presence[source]].tolist() if neurons is None else _check_neurons(neurons, list(presence.index))
    )
    if missing == "raise" and (lacking := [name for name in names if not presence.loc[name, source]]):
        complete = presence.columns[presence.loc[names].all()].tolist()
        elsewhere = f", or take a source that has all of these neurons: {complete}" if complete else ""
        raise ValueError(
            f"source {source!r} lacks the neurons {lacking}; leave them out, pass missing='zero' for rows and columns "
            f"of zeros{elsewhere}"
        )
    chemical, electrical = _matrices(source, names)
    if symmetric:
        chemical = _mirrored(chemical)
    weights = {"both": chemical + electrical, "chemical": chemical, "electrical": electrical}[kind]
    if not weighted:
        weights = (weights > 0).astype(float)
    if self_loops != "keep":
        np.fill_diagonal(weights, float(self_loops))
    connectome = pd.DataFrame(weights, index=pd.Index(names, name="pre"), columns=pd.Index(names, name="post"))
    about = sources.loc[source, ["doi", "reference", "weight"]].to_dict()
    connectome.attrs = {"source": source, "kind": kind, **about}
    return connectome


def _read(name: str, index: str | None = None) -> pd.DataFrame:
    with (_TABLES / name).open("rb") as stream:
        return pd.read_csv(stream, index_col=index, compression="gzip" if name.endswith(".gz") else None)


def _check_neurons(neurons: Iterable[str], known: list[str]) -> list[str]:
    if isinstance(neurons, str):
        raise ValueError(f"neurons={neurons!r} is one string; pass a sequence, such as neurons=['AVAL', 'AVAR']")
    names = [neuron_name(name) for name in neurons]
    if not names:
        raise ValueError("neurons is empty; name at least one, or pass neurons=None for all that the source has")
    if twice := repeated(names):
        raise ValueError(f"neurons names {twice} more than once; name each one once ('VB1' and 'VB01' are the same)")
    close = {name: get_close_matches(neuron_name(name.upper()), known) for name in names if name not in known}
    if close:
        unknown = [
            f"{name!r} (did you mean {', '.join(map(repr, meant))}?)" if meant else repr(name)
            for name, meant in close.items()
        ]
        raise ValueError(
            f"the hermaphrodite has no neurons {', '.join(unknown)}; correct their names, or leave them out"
        )
    return names


def _matrices(source: str, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    edges = _read(f"{source}.csv.gz")
    index = pd.Index(names)
    edges = edges[edges["pre"].isin(index) & edges["post"].isin(index)]
    pre, post = (index.get_indexer(pd.Index(edges[end])) for end in ("pre", "post"))
    chemical, electrical = np.zeros((2, len(names), len(names)))
    chemical[pre, post], electrical[pre, post] = edges["chemical"], edges["electrical"]
    # The table has each gap junction once.
    return chemical, _mirrored(electrical)


def _mirrored(weights: np.ndarray) -> np.ndarray:
    return weights + weights.T - np.diag(np.diag(weights))


def load_functional_atlas(path: str | os.PathLike[str], *, strain: str = "wt", measure: str = "dFF") -> pd.DataFrame:
    """Load the atlas of signal propagation of Randi et al. 2023 from your own file.

    One neuron at a time was stimulated by light while the calcium of the others was recorded.

    Parameters
    ----------
    path : path
        The file ``funatlas.h5``: names ``neuron_ids``, and a group for each strain with tables of shape (n_neurons,
        n_neurons) whose rows are responding and whose columns are stimulated neurons.
    strain : str, default="wt"
        Group of the file: ``"wt"`` for wild type, ``"unc31"`` for the mutant without dense-core vesicle release.
    measure : str, default="dFF"
        Dataset of that group: ``"dFF"`` is the mean response, ``"q"`` the false discovery rate at which it counts as a
        response, ``"q_eq"`` that at which it counts as none, ``"occ1"`` the number of observations.

    Returns
    -------
    pandas.DataFrame of shape (n_neurons, n_neurons)
        The measure, from the stimulated neuron of the row (index ``"pre"``) to the responding neuron of the column
        (columns ``"post"``), NaN where the pair was not measured. ``attrs`` has ``"source"``, ``"doi"``, ``"kind"``,
        ``"strain"`` and ``"measure"``.

    Raises
    ------
    FileNotFoundError
        If the file is absent.
    ValueError
        If the file is damaged, or not laid out like this.

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
    try:
        with open_hdf5(path) as file:
            texts = read_texts(file.get("neuron_ids"))
            if texts is None:
                raise ValueError(f"it has no dataset 'neuron_ids' of the names of neurons; it holds {list(file)}")
            neurons = [neuron_name(text.strip()) for text in texts]
            if twice := repeated(neurons):
                raise ValueError(f"'neuron_ids' repeats {twice}; give each neuron one entry")
            groups = [name for name, node in file.items() if isinstance(node, h5py.Group)]
            if strain not in groups:
                raise ValueError(f"it has no group of the strain {strain!r}; it has {groups}")
            shape = (len(neurons), len(neurons))
            tables = {
                name: node
                for name, node in file[strain].items()
                if isinstance(node, h5py.Dataset) and node.shape == shape and node.dtype.kind in "iuf"
            }
            if measure not in tables:
                raise ValueError(
                    f"it has no dataset '{strain}/{measure}' of numbers of shape {shape}, [response, stimulated]; "
                    f"those of {strain!r} are {list(tables)}: pass one of them as measure"
                )
            values = read_dataset(tables[measure]).astype(np.float64)
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}; {_WANTED}") from error
    atlas = pd.DataFrame(values.T, index=pd.Index(neurons, name="pre"), columns=pd.Index(neurons, name="post"))
    atlas.attrs = {"source": "randi2023", "kind": "functional", "doi": _DOI, "strain": strain, "measure": measure}
    return atlas
