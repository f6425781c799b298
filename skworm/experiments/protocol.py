"""Who is compared with whom, on what: the state classifiers of Table 1 and their data."""

from __future__ import annotations

import os
import sys
import typing
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import Any

import pandas as pd
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from skworm.classification import GNNStateClassifier, MLPStateClassifier, SVMStateClassifier
from skworm.experiments.given_graphs import connectome_graph
from skworm.experiments.worms import load_worms
from skworm.frames import PAPER_NEURONS, make_frames
from skworm.manifold import AsymmetricDiffusionMap
from skworm.model_selection import WormGroupKFold, cross_validate_worms
from skworm.recording import Recording
from skworm.training import VirtualWorms

FOLD_KINDS = ("shuffled_windows", "contiguous_blocks")
BASELINES = ("clock", "majority")
PAPER_EPOCHS, PAPER_FOLDS = 800, 10
DEFAULT_MODELS = ("diffusion-map", "svm", "mlp", "gnn-connectome", "gnn", "mlp-virtual-worms", "gnn-virtual-worms")

_NEURAL_MODELS: Mapping[str, tuple[Any, Mapping[str, Any]]] = {
    "mlp": (MLPStateClassifier, {}),
    "mlp-published": (MLPStateClassifier.as_published, {}),
    "gnn-connectome": (GNNStateClassifier, {}),
    "gnn": (GNNStateClassifier, {}),
    "gnn-published": (GNNStateClassifier.as_published, {}),
    "gnn-dynamic": (GNNStateClassifier, {"edges": "dynamic"}),
    "gnn-free": (GNNStateClassifier, {"edges": "free"}),
    "mlp-virtual-worms": (MLPStateClassifier, {"augmentation": VirtualWorms()}),
    "gnn-virtual-worms": (GNNStateClassifier, {"augmentation": VirtualWorms()}),
}
MODELS = ("diffusion-map", "svm", *_NEURAL_MODELS)
"""Every model that can be compared, in the order of a table."""

_EXTERNAL_LAB = 1


class DataSettings(typing.Protocol):
    """Which recordings and neurons a comparison uses."""

    @property
    def data(self) -> str:
        """Worms to train on and to score."""

    @property
    def external(self) -> str | None:
        """Worms that are only scored."""

    @property
    def neurons(self) -> str | Sequence[str]:
        """Neurons to use."""

    @property
    def random_state(self) -> int:
        """Seed of simulated data."""


@dataclass(frozen=True)
class Protocol:
    """Settings of one comparison of state classifiers.

    Parameters
    ----------
    data : str, default="simulated"
        ``"kato2015"``, ``"simulated"``, or a path to recordings.
    external : str, optional
        Recordings that are only scored: ``"nichols2017"``, ``"simulated"``, ``"none"`` or a path. By default a second
        simulated lab beside simulated data, else none.
    states : {"2", "4", "7", "nichols"}, default="2"
        Vocabulary of states.
    neurons : "paper", "shared" or sequence of str, default="paper"
        Neurons to use: the paper's, or all, that are identified in every worm; or a list.
    n_train_worms : int, default=1
        Worms that a model trains on; every combination of that many is used.
    n_folds : int, optional
        Folds of windows; by default 3 on simulated data, else 10.
    max_epochs : int, optional
        Epochs of the neural models; by default 200 on simulated data, else 800.
    models : sequence of str, default=DEFAULT_MODELS
        Names among :data:`MODELS`.
    fold_by : sequence of {"shuffled_windows", "contiguous_blocks"}, default=FOLD_KINDS
        How windows become folds. Unseen worms and external recordings are scored by the fits of the first.
    device : {"cpu", "cuda", "auto"}, default="cpu"
        Where the neural models train.
    random_state : int, default=0
        Seed of simulated data, splits and models.

    Raises
    ------
    ValueError
        If a model or a kind of fold does not exist, or none is named.

    References
    ----------
    Wang et al. 2021, "Experiments" and Supplementary Information, "Experimental Procedures".

    Examples
    --------
    >>> from skworm.experiments.protocol import Protocol
    >>> Protocol(models=("svm", "mlp")).n_folds
    3
    """

    data: str = "simulated"
    external: str | None = None
    states: str = "2"
    neurons: str | Sequence[str] = "paper"
    n_train_worms: int = 1
    n_folds: int | None = None
    max_epochs: int | None = None
    models: Sequence[str] = DEFAULT_MODELS
    fold_by: Sequence[str] = FOLD_KINDS
    device: str = "cpu"
    random_state: int = 0

    def __post_init__(self) -> None:
        for name, allowed in (("models", MODELS), ("fold_by", FOLD_KINDS)):
            chosen = getattr(self, name)
            unknown = [choice for choice in chosen if choice not in allowed]
            if unknown or not chosen:
                found = f"has the unknown name {unknown[0]!r}" if unknown else "is empty"
                raise ValueError(f"{name} {found}; choose one or several of {', '.join(allowed)}")
            object.__setattr__(self, name, tuple(choice for choice in allowed if choice in chosen))
        simulated = self.data == "simulated"
        if self.external is None:
            object.__setattr__(self, "external", "simulated" if simulated else "none")
        if self.n_folds is None:
            object.__setattr__(self, "n_folds", 3 if simulated else PAPER_FOLDS)
        if self.max_epochs is None:
            object.__setattr__(self, "max_epochs", 200 if simulated else PAPER_EPOCHS)

    @property
    def departure(self) -> str:
        """What is less than in the paper; empty where nothing is."""
        n_folds = int(self.n_folds or 0)
        parts = [f"{n_folds} folds in place of {PAPER_FOLDS}"] if n_folds < PAPER_FOLDS else []
        n_epochs = int(self.max_epochs or 0)
        parts += [f"{n_epochs} of {PAPER_EPOCHS} epochs"] if n_epochs < PAPER_EPOCHS else []
        return " and ".join(parts)

    @property
    def is_of_table_1(self) -> bool:
        """Whether states and number of training worms are those of the paper's Table 1."""
        return self.states == "2" and self.n_train_worms == 1

    def estimators(self, neurons: Sequence[str] = PAPER_NEURONS) -> dict[str, Any]:
        """Make the models, not yet fitted, by name; `neurons` are those that the connectome is asked for."""
        shared = {"max_epochs": self.max_epochs, "device": self.device, "random_state": self.random_state}
        estimators: dict[str, Any] = {
            "diffusion-map": make_pipeline(AsymmetricDiffusionMap(n_components=16), KNeighborsClassifier(20)),
            "svm": SVMStateClassifier(device=self.device),
        }
        estimators |= {name: make(**parameters, **shared) for name, (make, parameters) in _NEURAL_MODELS.items()}
        if "gnn-connectome" in self.models:
            estimators["gnn-connectome"].set_params(graph=connectome_graph(neurons))
        return {name: estimators[name] for name in self.models}


@dataclass(frozen=True, eq=False)
class Material:
    """The recordings of a comparison, and what is used of them.

    Parameters
    ----------
    recordings : list of Recording
        Worms to train on and to score.
    neurons : tuple of str
        Neurons in use.
    neurons_left_out : tuple of str
        Neurons that were asked for by a preset and are not identified in every worm.
    external_name : str, default=""
        Name of the external recordings.
    external : list of Recording
        Worms that are only scored; may be empty.
    external_neurons : tuple of str
        Those of `neurons` that every external worm has.

    Examples
    --------
    >>> from skworm.experiments.protocol import Protocol, load_material
    >>> load_material(Protocol(neurons=("AVAL", "RID"))).external_neurons
    ('AVAL', 'RID')
    """

    recordings: list[Recording]
    neurons: tuple[str, ...]
    neurons_left_out: tuple[str, ...]
    external_name: str
    external: list[Recording]
    external_neurons: tuple[str, ...]

    @property
    def derivative(self) -> str:
        """The one kind of derivative that all recordings allow."""
        with_derivatives = [recording.derivatives is not None for recording in (*self.recordings, *self.external)]
        return "file" if all(with_derivatives) else "central"

    @property
    def external_apart(self) -> bool:
        """Whether external recordings need fits of their own, on fewer neurons."""
        return bool(self.external) and self.external_neurons != self.neurons


def load_material(protocol: DataSettings) -> Material:
    """Load or simulate the recordings of a comparison, and choose the neurons.

    Parameters
    ----------
    protocol : Protocol
        Which recordings and neurons.

    Returns
    -------
    Material
        The recordings.

    Raises
    ------
    FileNotFoundError
        If a path does not exist.
    ValueError
        If recordings cannot be read, or share no neuron.

    Examples
    --------
    >>> from skworm.experiments.protocol import Protocol, load_material
    >>> len(load_material(Protocol(external="none")).neurons)
    15
    """
    recordings = load_worms(protocol.data, protocol.random_state, lab=0)
    neurons, left_out = _choose_neurons(recordings, protocol.neurons)
    wanted = str(protocol.external)
    if wanted == "none":
        return Material(recordings, neurons, left_out, "", [], ())
    external = _tell_apart(load_worms(wanted, protocol.random_state, lab=_EXTERNAL_LAB), recordings)
    shared = tuple(neuron for neuron in neurons if all(neuron in worm.neurons for worm in external))
    if not shared:
        raise ValueError(
            f"external recordings {wanted!r} share none of the neurons {', '.join(neurons)}; name neurons that all "
            "worms have, or leave external recordings out with 'none'"
        )
    name = f"simulated lab {_EXTERNAL_LAB}" if wanted == "simulated" else os.path.basename(os.path.normpath(wanted))
    return Material(recordings, neurons, left_out, name, external, shared)


def run_protocol(
    protocol: Protocol, material: Material, out: str | os.PathLike[str], *, n_jobs: int | None = -1, verbose: int = 1
) -> pd.DataFrame:
    """Fit and score all models, and the baselines beside them, with each kind of fold.

    Parameters
    ----------
    protocol : Protocol
        Settings.
    material : Material
        What :func:`load_material` returned for them.
    out : path
        Folder that keeps every finished fit; a second call goes on where the first ended.
    n_jobs : int, default=-1
        Fits at a time, as joblib understands it.
    verbose : int, default=1
        1 shows progress on the standard error stream, 0 nothing.

    Returns
    -------
    pandas.DataFrame
        The rows of :func:`~skworm.model_selection.cross_validate_worms`, with the columns ``fold_by`` and
        ``n_neurons``. Where external recordings lack neurons, their rows come from fits on the neurons that they have.

    Raises
    ------
    ValueError
        If settings and recordings do not fit each other.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from skworm.datasets import make_worms, save_recordings
    >>> from skworm.experiments.protocol import Protocol, load_material, run_protocol
    >>> with TemporaryDirectory() as folder:
    ...     _ = save_recordings(make_worms(2, n_frames=200, random_state=0), folder)
    ...     protocol = Protocol(data=folder, models=("svm",), n_folds=2, fold_by=("shuffled_windows",))
    ...     scores = run_protocol(protocol, load_material(protocol), folder, n_jobs=1, verbose=0)
    >>> scores["evaluation"].unique().tolist()
    ['held_out_windows', 'unseen_worms']
    """
    run = {"out": out, "n_jobs": n_jobs, "verbose": verbose}
    tables = []
    for fold_by in protocol.fold_by:
        scored_here = fold_by == protocol.fold_by[0] and not material.external_apart
        external = material.external if scored_here else []
        tables.append(_cross_validate(protocol, material, fold_by, material.neurons, external, **run))
    if material.external_apart:
        neurons = material.external_neurons
        scores = _cross_validate(protocol, material, protocol.fold_by[0], neurons, material.external, **run)
        tables.append(scores[scores["evaluation"] == material.external_name])
    return pd.concat(tables, ignore_index=True)


def count_fits(protocol: Protocol, material: Material) -> int:
    """Count the fits of :func:`run_protocol`, baselines included.

    Parameters
    ----------
    protocol : Protocol
        Settings.
    material : Material
        Recordings.

    Returns
    -------
    int
        Models times combinations of training worms times folds, for each kind of fold.

    Examples
    --------
    >>> from skworm.experiments.protocol import Protocol, count_fits, load_material
    >>> count_fits(protocol := Protocol(models=("svm",)), load_material(protocol))
    90
    """
    n_splits = comb(len(material.recordings), protocol.n_train_worms) * int(protocol.n_folds or 0)
    n_runs = len(protocol.fold_by) + material.external_apart
    return (len(protocol.models) + len(BASELINES)) * n_splits * n_runs


def _choose_neurons(
    recordings: list[Recording], wanted: str | Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not isinstance(wanted, str):
        return tuple(wanted), ()
    if wanted not in ("shared", "paper"):
        raise ValueError(f"neurons={wanted!r} is no choice; pass 'shared', 'paper', or several names")
    identified = set.intersection(*(set(recording.identified) for recording in recordings))
    candidates = PAPER_NEURONS if wanted == "paper" else tuple(sorted(identified))
    neurons = tuple(neuron for neuron in candidates if neuron in identified)
    if not neurons:
        raise ValueError(f"neurons={wanted!r} finds no neuron that is identified in every worm; name some instead")
    return neurons, tuple(neuron for neuron in candidates if neuron not in identified)


def _tell_apart(external: list[Recording], recordings: list[Recording]) -> list[Recording]:
    # Labs number their worms alike. Within one data set the same name means the same worm, and stays an error.
    dataset_of = {recording.worm: recording.dataset for recording in recordings}
    return [
        replace(recording, worm=f"{recording.dataset}/{recording.worm}")
        if dataset_of.get(recording.worm, recording.dataset) != recording.dataset
        else recording
        for recording in external
    ]


def _cross_validate(
    protocol: Protocol,
    material: Material,
    fold_by: str,
    neurons: Sequence[str],
    external: list[Recording],
    **run: Any,
) -> pd.DataFrame:
    if run["verbose"]:
        print(f"{fold_by.replace('_', ' ')}, {len(neurons)} neurons:", file=sys.stderr)
    frames: dict[str, Any] = {"neurons": neurons, "states": protocol.states, "derivative": material.derivative}
    X, y = make_frames(material.recordings, **frames)
    cv = WormGroupKFold(
        n_splits=int(protocol.n_folds or 0),
        n_train_worms=protocol.n_train_worms,
        fold_by=fold_by,
        random_state=protocol.random_state,
    )
    with warnings.catch_warnings():
        # The text around the table says so.
        warnings.filterwarnings("ignore", "external set .* is scored with dorsal_turn", UserWarning)
        sets = {material.external_name: make_frames(external, **frames)} if external else None
        scores = cross_validate_worms(protocol.estimators(neurons), X, y, cv=cv, external=sets, **run)
    return scores.assign(fold_by=fold_by, n_neurons=len(neurons))
