"""Comparisons of classifiers on any states, neurons and numbers of training worms: their settings and fits."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from skworm.experiments.protocol import PAPER_EPOCHS, Material
from skworm.experiments.worms import FewCombinations, FirstFolds
from skworm.frames import make_frames
from skworm.model_selection import WormGroupKFold, cross_validate_worms
from skworm.states import UNKNOWN, VOCABULARIES

N_SPLITS = 10
"""Folds that windows are divided into, of which some or all are held out in turn."""

BASELINES: Mapping[str, str] = {"clock": "Clock", "majority": "Majority"}


@dataclass(frozen=True)
class StudySettings:
    """Settings of a comparison of state classifiers beside Table 1.

    Parameters
    ----------
    data : str, default="simulated"
        ``"kato2015"``, ``"simulated"``, or a path to recordings.
    external : str, optional
        Recordings that are only scored: ``"nichols2017"``, ``"simulated"``, ``"none"`` or a path. By default a second
        simulated lab beside simulated data, else none.
    neurons : "paper", "shared" or sequence of str, default="paper"
        Neurons to use: the paper's, or all, that are identified in every worm; or a list.
    states : sequence of str, default=("2", "4")
        Vocabularies of :func:`skworm.frames.map_states`.
    n_train_worms : sequence of int, optional
        Worms that a model trains on; by default every number that leaves a worm unseen.
    n_folds : int, default=1
        Folds out of ten that are held out in turn.
    few_combinations : bool, default=False
        Train on as many combinations of worms as there are worms, each worm in equally many, in place of all.
    max_epochs : int, default=800
        Epochs of the neural models.
    device : {"cpu", "cuda", "auto"}, default="cpu"
        Where the neural models train.
    random_state : int, default=0
        Seed of simulated data, splits, models, random graphs and intervals.

    Raises
    ------
    ValueError
        If a vocabulary does not exist, or a number is out of range.

    Examples
    --------
    >>> from skworm.experiments.arms import StudySettings
    >>> StudySettings(n_folds=2, max_epochs=100).departure
    '2 of 10 folds and 100 of 800 epochs'
    """

    data: str = "simulated"
    external: str | None = None
    neurons: str | Sequence[str] = "paper"
    states: Sequence[str] = ("2", "4")
    n_train_worms: Sequence[int] | None = None
    n_folds: int = 1
    few_combinations: bool = False
    max_epochs: int = PAPER_EPOCHS
    device: str = "cpu"
    random_state: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.states if name not in VOCABULARIES]
        if unknown or not self.states:
            found = f"has the unknown name {unknown[0]!r}" if unknown else "is empty"
            raise ValueError(f"states {found}; choose one or several of {', '.join(VOCABULARIES)}")
        if not 1 <= self.n_folds <= N_SPLITS:
            raise ValueError(f"n_folds={self.n_folds!r} must be between 1 and {N_SPLITS}")
        if any(number < 1 for number in self.n_train_worms or ()):
            raise ValueError(f"n_train_worms={self.n_train_worms!r} must be whole numbers, at least 1")
        if self.external is None:
            object.__setattr__(self, "external", "simulated" if self.data == "simulated" else "none")

    def train_counts(self, n_worms: int) -> tuple[int, ...]:
        """Tell on how many worms models train, given how many there are.

        Raises
        ------
        ValueError
            If no worm would be unseen.
        """
        counts = tuple(sorted(set(self.n_train_worms or range(1, n_worms))))
        if n_worms < 2 or counts[-1] >= n_worms:
            raise ValueError(
                f"{n_worms} worms with {counts[-1] if counts else 1} for training leave none unseen; train on fewer, "
                "or give more recordings"
            )
        return counts

    @property
    def of_networks(self) -> dict[str, Any]:
        """Parameters that all networks share."""
        return {"max_epochs": self.max_epochs, "device": self.device, "random_state": self.random_state}

    @property
    def departure(self) -> str:
        """What is less than in the paper; empty where nothing is."""
        parts = [f"{self.n_folds} of {N_SPLITS} folds"] if self.n_folds < N_SPLITS else []
        parts += [f"{self.max_epochs} of {PAPER_EPOCHS} epochs"] if self.max_epochs < PAPER_EPOCHS else []
        parts += ["some combinations of training worms"] if self.few_combinations else []
        return ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1] if parts else ""


@dataclass(frozen=True, eq=False)
class Arm:
    """One classifier on one set of states, neurons and number of training worms.

    Parameters
    ----------
    block : str
        Heading under which it stands, such as ``"4 states"``.
    label : str
        Its row, unlike every other of the block.
    model : scikit-learn classifier
        Not fitted.
    states : str
        Vocabulary of states.
    n_train_worms : int
        Worms that it trains on.
    neurons : tuple of str
        Neurons that it sees.
    against : str, optional
        Label of the arm of the block that it is compared with.
    paper : mapping of str to (float, float or None)
        Mean and standard deviation in the paper, in per cent, by ``"held_out_windows"``, ``"unseen_worms"`` or
        ``"external"``.
    facts : mapping of str to float or str
        Further columns.
    external_on_fewer : bool, default=True
        Whether external recordings that lack some of the neurons are scored by fits on those that they have.
    """

    block: str
    label: str
    model: Any
    states: str
    n_train_worms: int
    neurons: tuple[str, ...]
    against: str | None = None
    paper: Mapping[str, tuple[float, float | None]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    external_on_fewer: bool = True

    @property
    def name(self) -> str:
        """Name within a run."""
        return f"{self.block} | {self.label}"

    @property
    def task(self) -> tuple[str, int, tuple[str, ...]]:
        """What arms of one cross-validation share."""
        return self.states, self.n_train_worms, self.neurons


def run_arms(
    arms: Sequence[Arm],
    settings: StudySettings,
    material: Material,
    out: str | os.PathLike[str],
    *,
    n_jobs: int | None = -1,
    verbose: int = 1,
) -> pd.DataFrame:
    """Fit and score all arms, and the baselines beside them.

    Parameters
    ----------
    arms : sequence of Arm
        What to compare.
    settings : StudySettings
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
        The rows of :func:`~skworm.model_selection.cross_validate_worms` in which a known state is scored, with the
        columns ``block`` and ``label``; each block has the baselines ``"Clock"`` and ``"Majority"`` too.
    """
    run = {"out": out, "n_jobs": n_jobs, "verbose": verbose}
    tables = []
    for task in dict.fromkeys(arm.task for arm in arms):
        states, n_train, neurons = task
        group = [arm for arm in arms if arm.task == task]
        external = material.external if knows_states(material, states) else []
        apart = bool(external) and not set(neurons) <= set(material.external_neurons)
        here = [] if apart else external
        tables.append(_cross_validate(group, settings, material, states, n_train, neurons, here, **run))
        fewer = tuple(neuron for neuron in neurons if neuron in material.external_neurons)
        on_fewer = [arm for arm in group if arm.external_on_fewer]
        if apart and fewer and on_fewer:
            scores = _cross_validate(on_fewer, settings, material, states, n_train, fewer, external, **run)
            tables.append(scores[scores["evaluation"] == material.external_name])
    scores = pd.concat(tables, ignore_index=True)
    # Arms on other neurons bring the same baselines once more.
    keys = ["block", "label", "train_worms", "fold", "evaluation", "worm"]
    return scores[scores["n_frames"] > 0].drop_duplicates(keys).reset_index(drop=True)


def splitter(settings: StudySettings, n_train: int) -> Any:
    """Make the splits of a number of training worms."""
    cv: Any = WormGroupKFold(n_splits=N_SPLITS, n_train_worms=n_train, random_state=settings.random_state)
    cv = FewCombinations(cv) if settings.few_combinations else cv
    return FirstFolds(cv, settings.n_folds)


def frames_of(
    material: Material, recordings: Sequence[Any], states: str, neurons: Sequence[str]
) -> tuple[pd.DataFrame, pd.Series]:
    """Make the frames of some recordings, all of which have states."""
    X, y = make_frames(recordings, neurons=neurons, states=states, derivative=material.derivative)
    if y is None:
        raise ValueError(f"the recordings of {recordings[0].worm} and others have no states; give labelled recordings")
    return X, y


def count_parameters(arms: Sequence[Arm], material: Material) -> dict[str, float]:
    """Count what each arm's network learns.

    Parameters
    ----------
    arms : sequence of Arm
        Arms, whose models need not be networks.
    material : Material
        Recordings.

    Returns
    -------
    dict of str to float
        Number of trained parameters by the arm's name; NaN for models without a network.
    """
    tables: dict[Any, Any] = {}
    counts = {}
    for arm in arms:
        if not hasattr(arm.model, "training_job"):
            counts[arm.name] = np.nan
            continue
        key = (arm.states, arm.neurons)
        if key not in tables:
            tables[key] = frames_of(material, material.recordings, *key)
        X, y = tables[key]
        counts[arm.name] = float(n_parameters(arm.model, X, y))
    return counts


def n_parameters(model: Any, X: pd.DataFrame, y: pd.Series) -> int:
    """Count what a network learns from some frames."""
    parameters = clone(model).training_job(X, y).module.parameters()
    return sum(each.numel() for each in parameters if each.requires_grad)


def external_sets_of(
    material: Material, external: Sequence[Any], states: str, neurons: Sequence[str]
) -> dict[str, Any] | None:
    """Make the frames of external recordings, by their name; None without any."""
    return {material.external_name: frames_of(material, external, states, neurons)} if external else None


def _cross_validate(
    arms: Sequence[Arm],
    settings: StudySettings,
    material: Material,
    states: str,
    n_train: int,
    neurons: tuple[str, ...],
    external: Sequence[Any],
    **run: Any,
) -> pd.DataFrame:
    if run["verbose"]:
        worms = f"{n_train} training worm{'s' if n_train > 1 else ''}"
        print(f"{states} states, {worms}, {len(neurons)} neurons:", file=sys.stderr)
    X, y = frames_of(material, material.recordings, states, neurons)
    sets = external_sets_of(material, external, states, neurons)
    with warnings.catch_warnings():
        # The text beside the table says so.
        warnings.filterwarnings("ignore", "external set .* is scored with dorsal_turn", UserWarning)
        models = {arm.name: arm.model for arm in arms}
        scores = cross_validate_worms(models, X, y, cv=splitter(settings, n_train), external=sets, **run)
    of_arms = [scores[scores["model"] == arm.name].assign(block=arm.block, label=arm.label) for arm in arms]
    of_baselines = [
        scores[scores["model"] == name].assign(block=block, label=label)
        for block in dict.fromkeys(arm.block for arm in arms)
        for name, label in BASELINES.items()
    ]
    return pd.concat([*of_arms, *of_baselines]).drop(columns="model")


def knows_states(material: Material, states: str) -> bool:
    """Tell whether a model can learn every state that external recordings are labelled with."""
    if states != "7":
        return bool(material.external)

    def known(recordings: Sequence[Any]) -> set[str]:
        names = {str(state) for worm in recordings if worm.states is not None for state in np.unique(worm.states)}
        return names - {UNKNOWN, "quiescence"}

    return bool(material.external) and known(material.external) <= known(material.recordings)
