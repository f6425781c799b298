"""The engine that runs every experiment: settings, data, arms, and the cross-validation of all arms."""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from skworm.datasets import fetch_kato2015, fetch_nichols2017, load_recordings, make_worms
from skworm.frames import PAPER_NEURONS, contains_transition, make_frames, make_trajectories
from skworm.model_selection import WormGroupKFold, WormScores, WormSplit, cross_validate_worms
from skworm.paper.declaration import FOLD_KINDS, check_names
from skworm.paper.models import STATE_MODELS, TRAJECTORY_MODELS
from skworm.recording import UNKNOWN, VOCABULARIES, Recording

N_SPLITS = 10
"""Folds that windows are divided into, of which some or all are held out in turn."""

PAPER_EPOCHS = 800
HORIZON = 16
"""Frames of a trajectory that are predicted; networks are trained on the first 8 of any stretch."""

_N_WORMS, _N_FRAMES = 5, 1500


@dataclass(frozen=True)
class Settings:
    """Settings of an experiment.

    Raises
    ------
    ValueError
        If a vocabulary or a kind of fold does not exist, or a number is out of range.
    """

    data: str = "simulated"  # ``"kato2015"``, ``"simulated"``, or a path to recordings
    # Recordings that are only scored: ``"nichols2017"``, ``"simulated"``, ``"none"`` or a path. By default a second
    # simulated lab beside simulated data, else none
    external: str | None = None
    # Neurons to use: the paper's, or all, that are identified in every worm; or a list
    neurons: str | Sequence[str] = "paper"
    # Vocabularies of :func:`skworm.frames.map_states`. For trajectories the one in which a change of state counts as a
    # transition
    states: Sequence[str] = ("2",)
    n_train_worms: Sequence[int] | None = None  # Worms that a model trains on; by default what the experiment says
    n_folds: int = 1  # Folds that are held out in turn
    # sequence of {"shuffled_windows", "contiguous_blocks"}: how windows become folds. External recordings are scored by
    # the fits of the first
    fold_by: Sequence[str] = FOLD_KINDS[:1]
    # Train on as many combinations of worms as there are worms, each worm in equally many, in place of all
    few_combinations: bool = False
    models: Sequence[str] = ()  # Models to compare, where the experiment leaves a choice
    max_epochs: int | None = None  # Epochs of the neural models; None for their own
    device: str = "cpu"  # {"cpu", "cuda", "auto"}: where the neural models train
    random_state: int = 0  # Seed of simulated data, splits, models, random graphs and intervals

    def __post_init__(self) -> None:
        check_names("states", self.states, tuple(VOCABULARIES))
        check_names("fold_by", self.fold_by, FOLD_KINDS)
        if not 1 <= self.n_folds <= N_SPLITS:
            raise ValueError(f"{self.n_folds} folds cannot be held out in turn; pass a number from 1 to {N_SPLITS}")
        fewest = min(self.n_train_worms or (1,))
        if fewest < 1:
            raise ValueError(f"{fewest} training worms are too few; their number must be at least 1")
        if self.external is None:
            object.__setattr__(self, "external", "simulated" if self.data == "simulated" else "none")

    @property
    def departure(self) -> str:
        """What is less than in the paper; empty where nothing is."""
        parts = [f"{self.n_folds} of {N_SPLITS} folds"] if self.n_folds < N_SPLITS else []
        if self.max_epochs is not None and self.max_epochs < PAPER_EPOCHS:
            parts.append(f"{self.max_epochs} of {PAPER_EPOCHS} epochs")
        parts += ["some combinations of training worms"] if self.few_combinations else []
        return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


@dataclass(frozen=True, eq=False)
class Arm:
    """One model on one set of states, neurons and number of training worms."""

    block: str  # Heading under which it stands, such as ``"4 states"``
    name: str  # Its name in tables; no other arm of the block has it
    label: str
    model: Any  # Not fitted
    states: str  # Vocabulary of states
    n_train_worms: int  # Worms that it trains on
    neurons: tuple[str, ...]  # Neurons that it sees
    fold_by: str = "shuffled_windows"  # {"shuffled_windows", "contiguous_blocks"}: how windows become folds
    burn_in: int = 0  # Frames that a trajectory regressor observes; 0 for a state classifier
    against: str | None = None  # Name of the arm of the block that it is compared with
    # Mean and standard deviation in the paper, in per cent, by ``"held_out_windows"``, ``"unseen_worms"`` or
    # ``"external"``
    paper: Mapping[str, tuple[float, float | None]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)  # Further columns
    # Whether external recordings that lack some of the neurons are scored by fits on those that they have
    external_on_fewer: bool = True
    # How its frames are made, where that differs from the study; see :func:`skworm.frames.make_frames`
    frames: Mapping[str, Any] = field(default_factory=dict)

    @property
    def split(self) -> tuple[Any, ...]:
        """What arms of one cross-validation share."""
        frames = tuple(sorted(self.frames.items()))
        return self.states, self.n_train_worms, self.neurons, self.fold_by, self.burn_in, frames

    @property
    def key(self) -> str:
        """Name within a cross-validation."""
        return f"{self.block} | {self.name}"

    def changed(self, name: str, **changes: Any) -> Arm:
        """Return another arm of the block, whose name is also its label, with changes."""
        return replace(self, **{"name": name, "label": name, **changes})


@dataclass(frozen=True, eq=False)
class Study:
    """An experiment on recordings: what its declaration has at hand."""

    settings: Settings
    recordings: list[Recording]  # Worms to train on and to score
    neurons: tuple[str, ...]  # Neurons in use
    neurons_left_out: tuple[str, ...] = ()  # Those of a preset that are not identified in every worm
    external_name: str = ""
    external: list[Recording] = field(default_factory=list)  # Worms that are only scored; may be empty

    @property
    def seed(self) -> int:
        """Seed of everything random."""
        return self.settings.random_state

    @property
    def derivative(self) -> str:
        """The one kind of derivative that all recordings allow."""
        with_derivatives = [recording.derivatives is not None for recording in (*self.recordings, *self.external)]
        return "file" if all(with_derivatives) else "smooth"

    @property
    def external_neurons(self) -> tuple[str, ...]:
        """The neurons in use that every external worm has: where it lacks some, it needs fits of its own."""
        return tuple(neuron for neuron in self.neurons if all(neuron in worm.neurons for worm in self.external))

    def scores_external(self, states: str) -> bool:
        """Return whether a model can learn every state that external recordings are labelled with."""
        unseen = states_of(self.external) - states_of(self.recordings) - {UNKNOWN, "quiescence"}
        return bool(self.external) and (states != "7" or not unseen)

    def train_counts(self, default: Sequence[int] = ()) -> tuple[int, ...]:
        """Return on how many worms models train, by default on every number that leaves a worm unseen."""
        n_worms = len(self.recordings)
        counts = tuple(sorted(set(self.settings.n_train_worms or default or range(1, n_worms))))
        if not counts or counts[-1] > n_worms or (counts[-1] == n_worms and not self.external):
            raise ValueError(
                f"{n_worms} worms with {counts[-1] if counts else 1} for training leave none unseen; train on fewer, "
                "or give more recordings"
            )
        return counts

    def model(self, name: str, forecasts: bool = False, **parameters: Any) -> Any:
        """Make a state classifier, or a trajectory regressor, with the settings of the study, not fitted."""
        shared = {name: getattr(self.settings, name) for name in ("max_epochs", "device", "random_state")}
        return (TRAJECTORY_MODELS if forecasts else STATE_MODELS)[name].make(self.neurons, **{**shared, **parameters})

    def arms(self, *names: str, **options: Any) -> list[Arm]:
        """Return an arm for each state classifier and block; options are those of :class:`Arm`, for all of them."""
        options = {"fold_by": self.settings.fold_by[0], **options}
        counts, arms = self.train_counts(), []
        for states in self.settings.states:
            for n_train in counts:
                block = f"{states} states" + (f", {counted(n_train, 'training worm')}" if len(counts) > 1 else "")
                for name in names:
                    label, model = STATE_MODELS[name].label, self.model(name)
                    arms.append(Arm(block, name, label, model, states, n_train, self.neurons, **options))
        return arms

    def trajectory_arms(self, names: Iterable[str], n_train: int, burn_in: int) -> list[Arm]:
        """Return an arm for each trajectory regressor, in one block."""
        block = f"{counted(n_train, 'training worm')}, {counted(burn_in, 'observed frame')}"
        shared = self.settings.states[0], n_train, self.neurons, self.settings.fold_by[0], burn_in
        labels = {name: TRAJECTORY_MODELS[name].label for name in names}
        return [Arm(block, name, label, self.model(name, forecasts=True), *shared) for name, label in labels.items()]

    def frames(
        self, states: str, neurons: Sequence[str], recordings: Sequence[Recording] | None = None, **settings: Any
    ) -> tuple[pd.DataFrame, pd.Series]:
        """Make the frames of labelled recordings, by default of those to train on."""
        recordings = self.recordings if recordings is None else recordings
        settings = {"derivative": self.derivative, **settings}
        X, y = make_frames(recordings, neurons=neurons, states=states, **settings)
        if y is None:
            raise ValueError(f"the recordings of {recordings[0].worm} and others have no states; give labelled ones")
        return X, y

    def trajectories(
        self, states: str, neurons: Sequence[str], burn_in: int, recordings: Sequence[Recording]
    ) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series | None]:
        """Return trajectories of frames whose derivative does not look ahead, and the state of every frame."""
        vocabulary = None if any(recording.states is None for recording in recordings) else states
        frames, labels = make_frames(
            recordings, neurons=neurons, states=vocabulary, derivative="backward", unknown="keep"
        )
        return *make_trajectories(frames, burn_in=burn_in, horizon=HORIZON), labels

    def n_parameters(self, arms: Sequence[Arm]) -> dict[str, int]:
        """Count the parameters that the networks of state classifiers learn, by key of the arm."""
        counts: dict[str, int] = {}
        for group in _groups(arms):
            networks = [arm for arm in group if hasattr(arm.model, "max_epochs") and not arm.burn_in]
            if networks:
                X, y = self.frames(group[0].states, group[0].neurons, **group[0].frames)
                counts |= {arm.key: n_parameters(arm.model, X, y) for arm in networks}
        return counts

    def run(
        self, arms: Sequence[Arm], memory: str | os.PathLike[str], *, n_jobs: int | None = -1, verbose: int = 1
    ) -> WormScores:
        """Fit and score all arms and the baselines; the record of the scores has those of all cross-validations."""
        run = {"memory": memory, "n_jobs": n_jobs, "verbose": verbose}
        parts = [scores for group in _groups(arms) for scores in self._run_group(group, run)]
        table = pd.concat([part.table for part in parts], ignore_index=True)
        confusions = [part.confusion for part in parts if part.confusion is not None]
        keys = ["block", "model", "fold_by", "burn_in", "train_worms", "fold", "evaluation", "worm"]
        # Arms on other neurons repeat the same baselines.
        table = table.drop_duplicates([name for name in [*keys, "step"] if name in table]).reset_index(drop=True)
        confusion = pd.concat(confusions, ignore_index=True) if confusions else None
        scores = WormScores(table, confusion, {"runs": [part.record for part in parts]})
        return replace(scores, table=scores.scored.reset_index(drop=True))

    def _run_group(self, group: Sequence[Arm], run: Mapping[str, Any]) -> Iterator[WormScores]:
        first = group[0]
        # Other kinds of folds would score the same external worms again.
        is_scored = bool(first.burn_in) or first.fold_by == self.settings.fold_by[0]
        external = self.external if is_scored and (first.burn_in or self.scores_external(first.states)) else []
        apart = bool(external) and not set(first.neurons) <= set(self.external_neurons)
        yield self._cross_validate(group, first.neurons, [] if apart else external, run)
        fewer = tuple(neuron for neuron in first.neurons if neuron in self.external_neurons)
        on_fewer = [arm for arm in group if arm.external_on_fewer]
        if apart and fewer and on_fewer:
            scores = self._cross_validate(on_fewer, fewer, external, run)
            yield scores.where(evaluation=self.external_name)

    def _cross_validate(
        self, arms: Sequence[Arm], neurons: tuple[str, ...], external: Sequence[Recording], run: Mapping[str, Any]
    ) -> WormScores:
        first = arms[0]
        if run["verbose"]:
            parts = [counted(first.burn_in, "observed frame") if first.burn_in else f"{first.states} states"]
            parts += [counted(first.n_train_worms, "training worm"), counted(len(neurons), "neuron")]
            print(f"{', '.join(parts)}, {first.fold_by.replace('_', ' ')}:", file=sys.stderr)
        cv = self._splitter(first.n_train_worms, first.fold_by, first.burn_in)
        with warnings.catch_warnings():
            # The text beside the table says so.
            warnings.filterwarnings("ignore", "external set .* is scored with dorsal_turn", UserWarning)
            data = self._data(first, neurons, external)
            scores = cross_validate_worms({arm.key: arm.model for arm in arms}, **data, cv=cv, **run)
        shared = {name: getattr(first, name) for name in ("states", "n_train_worms", "fold_by")}
        shared |= {"n_neurons": len(neurons), **({"burn_in": first.burn_in} if first.burn_in else {})}

        def labelled(table: pd.DataFrame) -> pd.DataFrame:
            parts = [
                table[table["model"] == arm.key].assign(block=arm.block, model=arm.name, label=arm.label)
                for arm in arms
            ]
            baselines = table[~table["model"].isin([arm.key for arm in arms])]
            parts += [baselines.assign(block=block) for block in dict.fromkeys(arm.block for arm in arms)]
            return pd.concat(parts).assign(**shared)

        confusion = None if scores.confusion is None else labelled(scores.confusion)
        return replace(scores, table=labelled(scores.table), confusion=confusion)

    def _data(self, arm: Arm, neurons: Sequence[str], external: Sequence[Recording]) -> dict[str, Any]:
        """Return X, y and external data of a cross-validation, and which trajectories contain a transition."""
        labs = [self.recordings, *([external] if external else [])]
        if not arm.burn_in:
            pairs: list[Any] = [self.frames(arm.states, neurons, worms, **arm.frames) for worms in labs]
            transitions: dict[str, Any] = {}
        else:
            made = [self.trajectories(arm.states, neurons, arm.burn_in, worms) for worms in labs]
            pairs = [(X, Y) for X, Y, _ in made]
            known = [contains_transition(labels, Y) for _, Y, labels in made if labels is not None]
            transitions = {"transition": pd.concat(known)} if len(known) == len(made) else {}
        (X, y), *others = pairs
        return {"X": X, "y": y, "external": {self.external_name: others[0]} if others else None, **transitions}

    def _splitter(self, n_train: int, fold_by: str, burn_in: int) -> Any:
        settings = self.settings
        cv = WormGroupKFold(
            n_splits=N_SPLITS,
            n_train_worms=n_train,
            fold_by=fold_by,
            # Trajectories next to a held-out block share frames with it.
            gap=burn_in + HORIZON if burn_in else 0,
            random_state=settings.random_state,
        )
        return SomeSplits(cv, settings.n_folds, settings.few_combinations)

    def record(self) -> dict[str, Any]:
        """Return settings and data for a file."""
        return {
            "settings": asdict(self.settings),
            "worms": {recording.worm: recording.n_frames for recording in self.recordings},
            "recordings_sha256": digest_of_recordings(self.recordings),
            "external_worms": {recording.worm: recording.n_frames for recording in self.external},
            "external_sha256": digest_of_recordings(self.external) if self.external else None,
            "neurons": self.neurons,
            "neurons_left_out": self.neurons_left_out,
            "derivative": self.derivative,
        }


@dataclass(frozen=True)
class SomeSplits:
    """The first folds of a splitter and, if wanted, some combinations of training worms.

    With `few_combinations` there are as many combinations as worms, and each worm is in equally many: the worms are put
    in a circle, and neighbours train together. Where models train on one worm, or on all but one, these are all.
    """

    cv: WormGroupKFold  # Splits by worm
    n_folds: int  # Folds to keep
    few_combinations: bool = False  # Whether to keep few combinations

    def split_worms(self, X: Any, y: Any, groups: Any) -> Iterator[WormSplit]:
        """Yield the splits that are kept."""
        names = np.unique(groups).tolist()
        circle = names + names
        few = {tuple(sorted(circle[start : start + self.cv.n_train_worms])) for start in range(len(names))}
        for split in self.cv.split_worms(X, y, groups):
            if split.fold < self.n_folds and (not self.few_combinations or split.train_worms in few):
                yield split


def _groups(arms: Sequence[Arm]) -> list[list[Arm]]:
    """Divide arms into those of one cross-validation each."""
    return [[arm for arm in arms if arm.split == split] for split in dict.fromkeys(arm.split for arm in arms)]


def counted(number: int, noun: str) -> str:
    """Return a number of things in words."""
    return f"{number} {noun}{'s' if number != 1 else ''}"


def states_of(recordings: Iterable[Recording]) -> set[str]:
    """Return the states that recordings are labelled with."""
    return {str(state) for worm in recordings if worm.states is not None for state in np.unique(worm.states)}


def n_parameters(model: Any, X: pd.DataFrame, y: pd.Series) -> int:
    """Count the parameters that a network learns from some frames."""
    parameters = clone(model).training_job(X, y).module.parameters()
    return sum(each.numel() for each in parameters if each.requires_grad)


def load_worms(wanted: str, random_state: int = 0, lab: int = 0) -> list[Recording]:
    """Load recordings by path or by the name of a data set, or simulate them."""
    if wanted == "simulated":
        prefix = f"lab-{lab}" if lab else "simulated"
        return make_worms(_N_WORMS, _N_FRAMES, lab=lab, worm_prefix=prefix, random_state=random_state)
    fetchers = {"kato2015": fetch_kato2015, "nichols2017": fetch_nichols2017}
    return fetchers[wanted]() if wanted in fetchers else load_recordings(wanted)


def load_study(settings: Settings) -> Study:
    """Load or simulate the recordings of an experiment, and choose the neurons."""
    recordings = load_worms(settings.data, settings.random_state)
    study = Study(settings, recordings, *_choose_neurons(recordings, settings.neurons))
    wanted = str(settings.external)
    if wanted == "none":
        return study
    external = _tell_apart(load_worms(wanted, settings.random_state, lab=1), recordings)
    name = "simulated lab 1" if wanted == "simulated" else os.path.basename(os.path.normpath(wanted))
    study = replace(study, external_name=name, external=external)
    if not study.external_neurons:
        raise ValueError(
            f"external recordings {wanted!r} share none of the neurons {', '.join(study.neurons)}; name neurons that "
            "all worms have, or leave external recordings out with 'none'"
        )
    return study


def digest_of_recordings(recordings: Sequence[Recording]) -> str:
    """Return the SHA-256 of worms, neurons, traces, times, states and derivatives; the order of recordings counts."""
    digest = hashlib.sha256()
    for recording in recordings:
        states = () if recording.states is None else recording.states
        digest.update("\n".join((recording.worm, *recording.neurons, *states)).encode())
        for array in (recording.traces, recording.time, recording.derivatives):
            digest.update(b"" if array is None else array.tobytes())
    return digest.hexdigest()


def _choose_neurons(
    recordings: list[Recording], wanted: str | Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not isinstance(wanted, str):
        return tuple(wanted), ()
    if wanted not in ("shared", "paper"):
        raise ValueError(f"neurons={wanted!r} is not a choice; pass 'shared', 'paper', or several names")
    identified = set.intersection(*(set(recording.identified) for recording in recordings))
    candidates = PAPER_NEURONS if wanted == "paper" else tuple(sorted(identified))
    neurons = tuple(neuron for neuron in candidates if neuron in identified)
    if not neurons:
        raise ValueError(f"neurons={wanted!r} finds no neuron that is identified in every worm; name some instead")
    return neurons, tuple(neuron for neuron in candidates if neuron not in identified)


def _tell_apart(external: list[Recording], recordings: list[Recording]) -> list[Recording]:
    # Labs may use the same names of worms. Within one data set the same name means the same worm, and is an error.
    dataset_of = {recording.worm: recording.dataset for recording in recordings}
    return [
        replace(recording, worm=f"{recording.dataset}/{recording.worm}")
        if dataset_of.get(recording.worm, recording.dataset) != recording.dataset
        else recording
        for recording in external
    ]
