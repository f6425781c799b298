"""All targets in one run, each in a folder of its own, with one page that shows them."""

from __future__ import annotations

import shlex
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skworm.experiments.arms import StudySettings
from skworm.experiments.catalogue import ALL_TARGETS, FORECAST_TARGETS, TARGETS, folder_of
from skworm.experiments.figure4 import figure_4d, outcome_of_figure_4
from skworm.experiments.forecasts import ForecastProtocol, run_forecasts
from skworm.experiments.index_page import Finished, write_index
from skworm.experiments.outcome import Outcome, keep_outcome
from skworm.experiments.paper import outcome_of_table_1
from skworm.experiments.protocol import PAPER_EPOCHS, Protocol, load_material, run_protocol
from skworm.experiments.study import run_target
from skworm.model_selection.run_records import now

QUICK_EPOCHS, QUICK_FORECAST_EPOCHS, QUICK_FOLDS = 150, 20, 2


@dataclass(frozen=True)
class Plan:
    """What is repeated, on which recordings, and how thoroughly.

    Parameters
    ----------
    data, external, neurons, device, random_state
        See :class:`~skworm.experiments.protocol.Protocol`.
    quick : bool, default=False
        Few folds, epochs and combinations of training worms.
    max_epochs : int, optional
        Epochs of the state classifiers; by default 800, or 150 when quick.
    forecast_epochs : int, optional
        Epochs of the forecasting networks; by default their own, or 20 when quick.
    targets : sequence of str, optional
        Names among those of the catalogue; by default all.

    Raises
    ------
    ValueError
        If a target does not exist, or none is named.

    Examples
    --------
    >>> from skworm.experiments.everything import Plan
    >>> Plan(data="my worms", quick=True, targets=("modules",)).command("modules", "out/modules")
    "skworm reproduce modules --data 'my worms' --neurons paper --states 2,4 --train-worms 1 --folds 1
     --few-combinations --epochs 150 --seed 0 --device cpu --out out/modules"
    """

    data: str = "simulated"
    external: str | None = None
    neurons: str | Sequence[str] = "paper"
    quick: bool = False
    max_epochs: int | None = None
    forecast_epochs: int | None = None
    device: str = "cpu"
    random_state: int = 0
    targets: Sequence[str] = ALL_TARGETS

    def __post_init__(self) -> None:
        unknown = [name for name in self.targets if name not in ALL_TARGETS]
        if unknown or not self.targets:
            found = f"has the unknown name {unknown[0]!r}" if unknown else "is empty"
            raise ValueError(f"targets {found}; choose one or several of {', '.join(ALL_TARGETS)}")
        object.__setattr__(self, "targets", tuple(name for name in ALL_TARGETS if name in self.targets))

    @property
    def epochs(self) -> int:
        """Epochs of the state classifiers."""
        return self.max_epochs or (QUICK_EPOCHS if self.quick else PAPER_EPOCHS)

    def protocol(self) -> Protocol:
        """Give the settings of Table 1."""
        return Protocol(n_folds=QUICK_FOLDS if self.quick else None, max_epochs=self.epochs, **self._shared())

    def forecasts(self) -> ForecastProtocol:
        """Give the settings of Figures 4C and 4D."""
        epochs = self.forecast_epochs or (QUICK_FORECAST_EPOCHS if self.quick else None)
        return ForecastProtocol(max_epochs=epochs, **self._shared())

    def study(self, name: str) -> StudySettings:
        """Give the settings of a target of the catalogue."""
        target = TARGETS[name]
        return StudySettings(
            states=target.states,
            n_train_worms=target.n_train_worms,
            n_folds=1 if self.quick else target.n_folds,
            few_combinations=self.quick,
            max_epochs=self.epochs,
            **self._shared(),
        )

    def command(self, name: str, out: str) -> str:
        """Tell the command that repeats one target alone."""
        options = {"data": self.data, "external": self.external, "neurons": self._neurons()}
        options |= self._options_of(name) | {"seed": self.random_state, "device": self.device, "out": out}
        words = ["skworm", "reproduce", name]
        for option, value in options.items():
            if value is not None and value is not False:
                words += [f"--{option}"] if value is True else [f"--{option}", str(value)]
        return shlex.join(words)

    def _options_of(self, name: str) -> dict[str, Any]:
        if name == "table1":
            return {"folds": self.protocol().n_folds, "epochs": self.epochs}
        if name in FORECAST_TARGETS:
            return {"epochs": self.forecasts().max_epochs}
        settings = self.study(name)
        return {
            "states": ",".join(settings.states),
            "train-worms": ",".join(map(str, settings.n_train_worms)) if settings.n_train_worms else None,
            "folds": settings.n_folds,
            "few-combinations": settings.few_combinations,
            "epochs": settings.max_epochs,
        }

    def _neurons(self) -> str:
        return self.neurons if isinstance(self.neurons, str) else ",".join(self.neurons)

    def _shared(self) -> dict[str, Any]:
        return {
            "data": self.data,
            "external": self.external,
            "neurons": self.neurons,
            "device": self.device,
            "random_state": self.random_state,
        }


def run_all(
    plan: Plan, out: Path, *, n_jobs: int | None = -1, verbose: int = 1, say: Callable[[str], Any] = print
) -> Iterator[Finished]:
    """Run the targets of a plan one after the other; one that fails does not stop the others.

    Parameters
    ----------
    plan : Plan
        What to run.
    out : pathlib.Path
        Folder, with one for each target and ``index.html``, which is written anew after each of them. A second call
        goes on where the first ended.
    n_jobs : int, default=-1
        Fits at a time, as joblib understands it.
    verbose : int, default=1
        1 shows progress on the standard error stream, 0 nothing.
    say : callable, default=print
        Told the name of each target as it begins.

    Yields
    ------
    Finished
        Each target, with its outcome or what went wrong.
    """
    finished: list[Finished] = []
    for name in plan.targets:
        say(f"{name} ...")
        folder = out / folder_of(name)
        start, began = time.monotonic(), now()
        outcome, error = None, ""
        command = plan.command(name, str(folder))
        try:
            outcome = run_one(plan, name, folder, n_jobs=n_jobs, verbose=verbose)
            outcome = keep_outcome(folder, name, outcome, command, began)
        except Exception as problem:
            error = "".join(traceback.format_exception_only(problem)).strip()
        finished.append(Finished(name, command, time.monotonic() - start, outcome, error))
        write_index(out, finished, waiting=plan.targets[len(finished) :], quick=plan.quick)
        yield finished[-1]


def run_one(plan: Plan, name: str, folder: Path, *, n_jobs: int | None = -1, verbose: int = 1) -> Outcome:
    """Run one target of a plan."""
    run: dict[str, Any] = {"n_jobs": n_jobs, "verbose": verbose}
    if name == "table1":
        return _run_table_1(plan, folder, **run)
    if name in FORECAST_TARGETS:
        return _run_figure_4(plan, name, folder, **run)
    return run_target(TARGETS[name], plan.study(name), folder, **run)


def _run_table_1(plan: Plan, folder: Path, **run: Any) -> Outcome:
    protocol = plan.protocol()
    material = load_material(protocol)
    return outcome_of_table_1(protocol, material, run_protocol(protocol, material, folder, **run), folder)


def _run_figure_4(plan: Plan, name: str, folder: Path, **run: Any) -> Outcome:
    protocol = plan.forecasts()
    material = load_material(protocol)
    scores = run_forecasts(protocol, material, folder, **run)
    return outcome_of_figure_4(name, protocol, material, scores, figure_4d(scores), folder)
