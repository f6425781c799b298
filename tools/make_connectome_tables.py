"""Write the connectome tables of skworm from the data that the package cect collects.

Needed only to make them anew, in an environment that has skworm::

    pip install networkx openpyxl xlrd webcolors
    pip install --no-deps cect==0.3.5
    python tools/make_connectome_tables.py
"""

from __future__ import annotations

from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skworm.recording import neuron_name

_CECT = "0.3.5"
# A time stamp in the header would make every run differ.
_COMPRESSION = {"method": "gzip", "mtime": 0}
_SYNAPSE_CLASSES = {"chemical": "Generic_CS", "electrical": "Generic_GJ"}


@dataclass(frozen=True)
class _Paper:
    doi: str
    reference: str
    weight: str


_WHITE = _Paper(
    "10.1098/rstb.1986.0056",
    "White, Southgate, Thomson & Brenner 1986, Phil. Trans. R. Soc. B 314, 1-340",
    "synaptic contacts",
)
_VARSHNEY = _Paper(
    "10.1371/journal.pcbi.1001066",
    "Varshney, Chen, Paniagua, Hall & Chklovskii 2011, PLoS Comput. Biol. 7, e1001066",
    "synaptic contacts",
)
_COOK = _Paper(
    "10.1038/s41586-019-1352-7",
    "Cook et al. 2019, Nature 571, 63-71; adjacency matrices as corrected in July 2020",
    "sections of the electron micrographs in which the contact is seen, all contacts together",
)
_WITVLIET = _Paper("10.1038/s41586-021-03778-8", "Witvliet et al. 2021, Nature 596, 257-261", "synapses")

# Name of the source: reader of cect, paper, what was imaged.
_SOURCES = {
    "white1986": ("White_whole", _WHITE, "hermaphrodite from several animals, as re-read by Varshney et al. 2011"),
    "white1986_adult": ("White_A", _WHITE, "nerve ring of an old adult, series N2U"),
    "white1986_l4": ("White_L4", _WHITE, "nerve ring of an L4 larva, series JSH"),
    "varshney2011": ("VarshneyDataReader", _VARSHNEY, "hermaphrodite without its pharynx; White et al. corrected"),
    "cook2019": ("Cook2019HermReader", _COOK, "whole adult hermaphrodite"),
} | {
    f"witvliet2021_{number}": (f"WitvlietDataReader{number}", _WITVLIET, f"brain of one animal, {stage}")
    for number, stage in enumerate(("L1", "L1", "L1", "L1", "L2", "L3", "adult", "adult"), start=1)
}


def edges_between_neurons(dataset: Any, neurons: set[str]) -> pd.DataFrame:
    """Tabulate the edges between neurons.

    Parameters
    ----------
    dataset : cect.ConnectomeDataset
        Names of cells as `nodes`, and a matrix [pre, post] for each class of synapse as `connections`.
    neurons : set of str
        Cells that are neurons, named as in `dataset`.

    Returns
    -------
    pandas.DataFrame
        Columns ``pre``, ``post``, ``chemical``, ``electrical``, sorted by name. A gap junction stands once, in the row
        whose ``pre`` comes first in the alphabet.

    Raises
    ------
    ValueError
        If there are other classes of synapses, weights that are not counts, or gap junctions that are not symmetric.
    """
    unknown = set(dataset.connections) - set(_SYNAPSE_CLASSES.values())
    if unknown:
        raise ValueError(f"there are synapses of the classes {sorted(unknown)}; say in _SYNAPSE_CLASSES what they are")
    kept = [index for index, cell in enumerate(dataset.nodes) if cell in neurons]
    weights = {kind: dataset.connections[name][np.ix_(kept, kept)] for kind, name in _SYNAPSE_CLASSES.items()}
    for kind, matrix in weights.items():
        if (matrix < 0).any() or (matrix % 1 != 0).any():
            raise ValueError(f"some {kind} weights are negative or not whole; they should count contacts")
    if not np.array_equal(weights["electrical"], weights["electrical"].T):
        raise ValueError("gap junctions are not symmetric")
    names = np.array([neuron_name(dataset.nodes[index]) for index in kept])
    weights["electrical"] = np.where(names[:, np.newaxis] <= names, weights["electrical"], 0)
    pre, post = np.nonzero(weights["chemical"] + weights["electrical"])
    columns = {kind: matrix[pre, post].astype(int) for kind, matrix in weights.items()}
    return pd.DataFrame({"pre": names[pre], "post": names[post], **columns}).sort_values(["pre", "post"])


def write_tables(folder: Path) -> None:
    """Write all tables; the same version of cect gives the same bytes.

    Parameters
    ----------
    folder : pathlib.Path
        Where to put them.
    """
    if version("cect") != _CECT:
        raise SystemExit(f"cect {version('cect')} is installed; the tables are made from cect=={_CECT}")
    all_neurons = import_module("cect.Cells").PREFERRED_HERM_NEURON_NAMES
    presence = pd.DataFrame(index=pd.Index(sorted(map(neuron_name, all_neurons)), name="neuron"))
    for source, (reader, _, _) in _SOURCES.items():
        with redirect_stdout(StringIO()):
            dataset = import_module(f"cect.readers.{reader}").get_instance(from_cache=False)
        presence[source] = presence.index.isin([neuron_name(cell) for cell in dataset.nodes]).astype(int)
        edges = edges_between_neurons(dataset, set(all_neurons))
        edges.to_csv(folder / f"{source}.csv.gz", index=False, compression=_COMPRESSION)
    presence.to_csv(folder / "neurons.csv.gz", compression=_COMPRESSION)
    rows = [
        (source, paper.doi, paper.reference, specimen, paper.weight)
        for source, (_, paper, specimen) in _SOURCES.items()
    ]
    columns = ["source", "doi", "reference", "specimen", "weight"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "sources.csv", index=False)


if __name__ == "__main__":
    write_tables(Path(__file__).parents[1] / "skworm" / "datasets" / "connectomes")
