"""Who is compared with whom, on what: the trajectory regressors of Figure 4 and their data."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from sklearn.dummy import DummyRegressor

from skworm.experiments.protocol import PAPER_EPOCHS, Material
from skworm.experiments.worms import FirstFolds
from skworm.frames import contains_transition, make_frames, make_trajectories
from skworm.model_selection import WormGroupKFold, cross_validate_trajectories
from skworm.recording import Recording
from skworm.trajectory import (
    GNNTrajectoryRegressor,
    LinearTrajectoryRegressor,
    MLPTrajectoryRegressor,
    NodeMLPTrajectoryRegressor,
    PersistenceRegressor,
)

HORIZON = 16
"""Frames that are predicted; networks are trained on the first 8 of any stretch."""

MARKOVIAN, RECURRENT = 1, 4

BASELINES: Mapping[str, Callable[[], Any]] = {
    "persistence": PersistenceRegressor,
    "mean": DummyRegressor,
    "linear-uncentred": lambda: LinearTrajectoryRegressor(center="population"),
    "linear": LinearTrajectoryRegressor,
    "linear-direct": lambda: LinearTrajectoryRegressor(strategy="direct"),
}
"""The forecasts that every network is compared with."""

_NETWORKS: Mapping[str, tuple[int, Callable[..., Any], Mapping[str, Any]]] = {
    "mlp": (MARKOVIAN, MLPTrajectoryRegressor, {}),
    "node-mlp": (MARKOVIAN, NodeMLPTrajectoryRegressor, {}),
    "gnn": (MARKOVIAN, GNNTrajectoryRegressor, {}),
    "gnn-static": (MARKOVIAN, GNNTrajectoryRegressor, {"edges": "static"}),
    "mlp-plain": (MARKOVIAN, MLPTrajectoryRegressor, {"augmentation": None}),
    "mlp-uncentred": (MARKOVIAN, MLPTrajectoryRegressor, {"center": "population"}),
    "mlp-published": (MARKOVIAN, MLPTrajectoryRegressor.as_published, {}),
    "node-mlp-published": (MARKOVIAN, NodeMLPTrajectoryRegressor.as_published, {}),
    "gnn-published": (MARKOVIAN, GNNTrajectoryRegressor.as_published, {}),
    "mlp-lags": (RECURRENT, MLPTrajectoryRegressor, {}),
    "mlp-lstm": (RECURRENT, MLPTrajectoryRegressor, {"memory": "lstm"}),
    "node-mlp-lstm": (RECURRENT, NodeMLPTrajectoryRegressor, {"memory": "lstm"}),
    "gnn-gated": (RECURRENT, GNNTrajectoryRegressor, {"memory": "gated"}),
}
NETWORKS = tuple(_NETWORKS)
"""Every network that can be compared, in the order of a table."""

DEFAULT_NETWORKS = ("mlp", "node-mlp", "gnn", "mlp-lstm")


@dataclass(frozen=True)
class ForecastProtocol:
    """Settings of one comparison of trajectory regressors.

    Parameters
    ----------
    data : str, default="simulated"
        ``"kato2015"``, ``"simulated"``, or a path to recordings.
    external : str, optional
        Recordings that are only scored: ``"nichols2017"``, ``"simulated"``, ``"none"`` or a path. By default a second
        simulated lab beside simulated data, else none.
    states : {"2", "4", "7", "nichols"}, default="4"
        Vocabulary in which a change of state is told.
    neurons : "paper", "shared" or sequence of str, default="paper"
        Neurons to use: the paper's, or all, that are identified in every worm; or a list.
    n_train_worms : sequence of int, optional
        Worms that a model trains on, every combination of each number; by default one, all but one, and, where there
        are external recordings, all.
    n_folds : int, default=1
        Folds, out of ten contiguous blocks, that are held out in turn.
    max_epochs : int, optional
        Epochs of the networks; by default their own: 200, or 800 as published.
    networks : sequence of str, default=DEFAULT_NETWORKS
        Names among :data:`NETWORKS`.
    device : {"cpu", "cuda", "auto"}, default="cpu"
        Where the networks train.
    random_state : int, default=0
        Seed of simulated data, splits and models.

    Raises
    ------
    ValueError
        If a network does not exist, or none is named.

    References
    ----------
    Wang et al. 2021, "Neuron-level Trajectory Prediction", Figures 4C and 4D.

    Examples
    --------
    >>> from skworm.experiments.forecasts import ForecastProtocol
    >>> ForecastProtocol(networks=("mlp-lstm", "mlp")).networks
    ('mlp', 'mlp-lstm')
    """

    data: str = "simulated"
    external: str | None = None
    states: str = "4"
    neurons: str | Sequence[str] = "paper"
    n_train_worms: Sequence[int] | None = None
    n_folds: int = 1
    max_epochs: int | None = None
    networks: Sequence[str] = DEFAULT_NETWORKS
    device: str = "cpu"
    random_state: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.networks if name not in NETWORKS]
        if unknown or not self.networks:
            found = f"has the unknown name {unknown[0]!r}" if unknown else "is empty"
            raise ValueError(f"networks {found}; choose one or several of {', '.join(NETWORKS)}")
        object.__setattr__(self, "networks", tuple(name for name in NETWORKS if name in self.networks))
        if self.external is None:
            object.__setattr__(self, "external", "simulated" if self.data == "simulated" else "none")

    @property
    def departure(self) -> str:
        """What is less than in the paper; empty where nothing is."""
        fewer = self.max_epochs is not None and self.max_epochs < PAPER_EPOCHS
        return f"{self.max_epochs} of {PAPER_EPOCHS} epochs" if fewer else ""

    def train_counts(self, n_worms: int) -> tuple[int, ...]:
        """Tell how many worms models train on, given how many there are."""
        counts = self.n_train_worms
        if counts is None:
            counts = (1, n_worms - 1) if self.external == "none" else (1, n_worms - 1, n_worms)
        return tuple(sorted(set(counts)))

    def burn_ins(self) -> tuple[int, ...]:
        """Tell the numbers of observed frames that the networks need."""
        return tuple(sorted({_NETWORKS[name][0] for name in self.networks}))

    def network(self, name: str) -> Any:
        """Make a network, not yet fitted."""
        _, make, parameters = _NETWORKS[name]
        epochs = {} if self.max_epochs is None else {"max_epochs": self.max_epochs}
        return make(**parameters, **epochs, device=self.device, random_state=self.random_state)

    def models(self, burn_in: int) -> dict[str, Any]:
        """Make the baselines and those networks that observe `burn_in` frames, not yet fitted, by name."""
        chosen = [name for name in self.networks if _NETWORKS[name][0] == burn_in]
        return {name: make() for name, make in BASELINES.items()} | {name: self.network(name) for name in chosen}


def run_forecasts(
    protocol: ForecastProtocol,
    material: Material,
    out: str | os.PathLike[str],
    *,
    n_jobs: int | None = -1,
    verbose: int = 1,
) -> pd.DataFrame:
    """Fit and score all models, the baselines beside them, on one worm and on many.

    Parameters
    ----------
    protocol : ForecastProtocol
        Settings.
    material : Material
        What :func:`~skworm.experiments.protocol.load_material` returned for them.
    out : path
        Folder that keeps every finished fit; a second call goes on where the first ended.
    n_jobs : int, default=-1
        Fits at a time, as joblib understands it.
    verbose : int, default=1
        1 shows progress on the standard error stream, 0 nothing.

    Returns
    -------
    pandas.DataFrame
        The rows of :func:`~skworm.model_selection.cross_validate_trajectories`, with the columns ``burn_in``,
        ``n_train_worms`` and ``n_neurons``. Where external recordings lack neurons, their rows come from fits on the
        neurons that they have.

    Raises
    ------
    ValueError
        If settings and recordings do not fit each other.
    """
    run = {"out": out, "n_jobs": n_jobs, "verbose": verbose}
    tables = []
    for burn_in in protocol.burn_ins():
        for n_train in protocol.train_counts(len(material.recordings)):
            external = [] if material.external_apart else material.external
            tables.append(_cross_validate(protocol, material, external, n_train, burn_in, **run))
            if material.external_apart:
                scores = _cross_validate(protocol, material, material.external, n_train, burn_in, **run)
                tables.append(scores[scores["evaluation"] == material.external_name])
    return pd.concat(tables, ignore_index=True)


def trajectories_of(
    recordings: Sequence[Recording], neurons: Sequence[str], states: str, burn_in: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.Series | None]:
    """Make causal frames and trajectories, and tell the state of every frame.

    Parameters
    ----------
    recordings : sequence of Recording
        The worms.
    neurons : sequence of str
        Neurons to keep.
    states : str
        Vocabulary of :func:`skworm.frames.map_states`.
    burn_in : int
        Observed frames a trajectory.

    Returns
    -------
    frames : DataFrame
        Every frame, with a backward derivative.
    X, Y : DataFrame
        Trajectories.
    labels : Series or None
        States, ``"unknown"`` frames included; None where some worm has no states.
    """
    vocabulary = None if any(recording.states is None for recording in recordings) else states
    frames, labels = make_frames(recordings, neurons=neurons, states=vocabulary, derivative="backward", unknown="keep")
    X, Y = make_trajectories(frames, burn_in=burn_in, horizon=HORIZON)
    return frames, X, Y, labels


def _cross_validate(
    protocol: ForecastProtocol,
    material: Material,
    external: Sequence[Recording],
    n_train: int,
    burn_in: int,
    **run: Any,
) -> pd.DataFrame:
    neurons = material.external_neurons if external and material.external_apart else material.neurons
    if run["verbose"]:
        observed = f"{burn_in} observed frame{'s' if burn_in > 1 else ''}"
        worms = f"{n_train} training worm{'s' if n_train > 1 else ''}"
        print(f"{observed}, {worms}, {len(neurons)} neurons:", file=sys.stderr)
    _, X, Y, labels = trajectories_of(material.recordings, neurons, protocol.states, burn_in)
    transitions = [] if labels is None else [contains_transition(labels, Y)]
    sets = None
    if external:
        _, X_external, Y_external, labels_external = trajectories_of(external, neurons, protocol.states, burn_in)
        sets = {material.external_name: (X_external, Y_external)}
        transitions += [] if labels_external is None else [contains_transition(labels_external, Y_external)]
    cv = WormGroupKFold(
        n_splits=10,
        n_train_worms=n_train,
        fold_by="contiguous_blocks",
        gap=burn_in + HORIZON,
        random_state=protocol.random_state,
    )
    scores = cross_validate_trajectories(
        protocol.models(burn_in),
        X,
        Y,
        cv=FirstFolds(cv, protocol.n_folds),
        transition=pd.concat(transitions) if len(transitions) == 1 + bool(external) else None,
        external=sets,
        **run,
    )
    return scores.assign(burn_in=burn_in, n_train_worms=n_train, n_neurons=len(neurons))
