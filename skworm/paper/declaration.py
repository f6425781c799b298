"""What an experiment declares: the words around it, its defaults, and a plan of what is compared.

Nothing heavy is imported before an experiment is run, so that a command line can list them at once.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from skworm.model_selection import WormScores
    from skworm.paper.study import Arm, Settings, Study

QUICK_EPOCHS, QUICK_FORECAST_EPOCHS = 150, 20
FOLD_KINDS = ("shuffled_windows", "contiguous_blocks")

STUDY = {"states": ("2", "4"), "n_train_worms": (1,)}
QUICK = {"n_folds": 1, "few_combinations": True, "max_epochs": QUICK_EPOCHS}
"""Defaults of most experiments on state classifiers, and what differs in a quick run."""

CONTEXT = (-12, -6, -3, 0, 3, 6, 12)
"""Frames that a row shows where it has context: the one that is labelled, and others up to 4 s before and after."""

PAPER_TABLE_1: Mapping[str, Mapping[str, tuple[float, float | None]]] = {
    "diffusion-map": {"held_out_windows": (83, None), "unseen_worms": (81, None)},
    "svm": {"held_out_windows": (98.8, 0.4), "unseen_worms": (82.8, 7.6), "external": (79.0, 11.7)},
    "mlp": {"held_out_windows": (99.3, 0.6), "unseen_worms": (93.9, 10.3), "external": (88.9, 11.4)},
    "gnn-connectome": {"held_out_windows": (99.5, 0.6), "unseen_worms": (96.8, 4.3), "external": (85.5, 12.9)},
    "gnn": {"held_out_windows": (99.5, 0.5), "unseen_worms": (97.7, 3.1), "external": (95.5, 6.1)},
}
"""Accuracy in per cent, mean and standard deviation, of Wang et al. 2021, Table 1 (2 states, one training worm)."""


@dataclass(frozen=True)
class Results:
    """What an experiment has beside its scores, the first two by the names of files."""

    data: Mapping[str, pd.DataFrame] = field(default_factory=dict)  # Numbers
    figures: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)  # Texts by heading


@dataclass(frozen=True)
class Plan:
    """What an experiment compares, and how it is shown."""

    arms: Sequence[Arm]  # What is compared
    notes: Sequence[str] = ()  # How its tables are to be read
    # Makes further results from (scores, table); by default a figure of dots and means, a panel for each evaluation
    results: Callable[[WormScores, pd.DataFrame], Results] | None = None


@dataclass(frozen=True)
class Target:
    """An experiment: the words around it, its defaults, and its declaration."""

    name: str  # Name of the command
    title: str  # Caption of its tables
    summary: str  # What the command does, in one sentence
    paper: str  # What the paper says about it
    plan: Callable[[Study], Plan]  # Returns the Plan for a Study
    # Settings by default; what differs on simulated worms, and in a quick run
    defaults: Mapping[str, Any] = field(default_factory=dict)
    simulated: Mapping[str, Any] = field(default_factory=dict)
    quick: Mapping[str, Any] = field(default_factory=dict)
    models: Sequence[str] = ()  # Models to choose among; empty where the experiment leaves no choice

    def settings(self, quick: bool = False, **given: Any) -> Settings:
        """Return the settings of a run; a given value of None stands for the default."""
        from skworm.paper.study import Settings

        own = {**self.defaults, **(self.simulated if given.get("data", "simulated") == "simulated" else {})}
        own |= self.quick if quick else {}
        own |= {name: value for name, value in given.items() if value is not None}
        if "models" in own:
            check_names("models", own["models"], self.models)
            own["models"] = tuple(name for name in self.models if name in own["models"])
        return Settings(**own)

    def command(self, settings: Settings, out: Path) -> str:
        """Return the command that repeats a run: what differs from the defaults."""
        defaults = {**asdict(self.settings(data=settings.data)), "data": "simulated"}
        changed = {name: value for name, value in asdict(settings).items() if value != defaults[name]}
        return shlex.join(["skworm", "reproduce", self.name, *as_options(changed), "--out", str(out)])


def check_names(what: str, chosen: Sequence[str], allowed: Sequence[str]) -> None:
    """Raise a ValueError unless one or several names are chosen, all of them of those that are allowed."""
    unknown = [name for name in chosen if name not in allowed]
    if unknown or not chosen:
        found = f"has the unknown name {unknown[0]!r}" if unknown else "is empty"
        raise ValueError(f"{what} {found}; choose one or several of {', '.join(allowed)}")


def as_options(settings: Mapping[str, Any]) -> list[str]:
    """Return settings as the words of a command."""
    words = []
    for name, value in settings.items():
        words.append(_OPTIONS.get(name, f"--{name.replace('_', '-')}"))
        if value is not True:
            words.append(",".join(map(str, value)) if isinstance(value, list | tuple) else str(value))
    return words


_OPTIONS = {"n_train_worms": "--train-worms", "n_folds": "--folds", "max_epochs": "--epochs", "random_state": "--seed"}

TARGETS: dict[str, Target] = {}
"""Every experiment by name, in the order in which they are declared."""


def target(name: str, title: str, summary: str, paper: str, **options: Any) -> Callable[[Any], Any]:
    """Return a decorator that declares an experiment; see :class:`Target` for the options."""

    def declare(plan: Callable[[Study], Plan]) -> Callable[[Study], Plan]:
        TARGETS[name] = Target(name, title, summary, paper, plan, **options)
        return plan

    return declare


def with_paper(arm: Arm) -> Arm:
    """Add what the paper's Table 1 has for a model, where states and number of training worms are its own."""
    if (arm.states, arm.n_train_worms) != ("2", 1):
        return arm
    return replace(arm, paper=PAPER_TABLE_1.get(arm.name.removesuffix("-published"), {}))
