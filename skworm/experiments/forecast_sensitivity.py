"""What the forecasts of the MLP on unseen worms owe to each of its settings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from skworm.experiments.figure4 import skill_texts
from skworm.experiments.forecasts import BASELINES, HORIZON, MARKOVIAN, trajectories_of
from skworm.experiments.intervals import error_intervals
from skworm.experiments.outcome import Outcome
from skworm.experiments.report import markdown, settings_text
from skworm.experiments.worms import FirstFolds
from skworm.frames import PAPER_NEURONS
from skworm.model_selection import WormGroupKFold, cross_validate_trajectories, summarize_trajectories
from skworm.recording import Recording
from skworm.training import VirtualWorms
from skworm.trajectory import MLPTrajectoryRegressor

SETTINGS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "default": {},
        "no virtual worms": {"augmentation": None},
        "virtual worms: gain 0.3": {"augmentation": VirtualWorms(gain=0.3, offset=0.0)},
        "virtual worms: gain 0.3, offset 0.2": {"augmentation": VirtualWorms(gain=0.3, offset=0.2)},
        "virtual worms: mixing 0.1": {"augmentation": VirtualWorms(gain=0.0, offset=0.0, mixing=0.1)},
        "virtual worms: mixing 0.2": {"augmentation": VirtualWorms(gain=0.0, offset=0.0, mixing=0.2)},
        "virtual worms: mixing 0.3": {"augmentation": VirtualWorms(gain=0.0, offset=0.0, mixing=0.3)},
        "virtual worms: gain 0.3, mixing 0.1": {"augmentation": VirtualWorms(gain=0.3, offset=0.0, mixing=0.1)},
        "virtual worms: gain 0.3, mixing 0.3": {"augmentation": VirtualWorms(gain=0.3, offset=0.0, mixing=0.3)},
        "virtual worms: gain 0.3, offset 0.1, mixing 0.2": {
            "augmentation": VirtualWorms(gain=0.3, offset=0.1, mixing=0.2)
        },
        "worms not centred": {"center": "population"},
        "worms not centred, no virtual worms": {"center": "population", "augmentation": None},
        "no linear map": {"linear": False},
        "always from the first frame": {"random_start": False},
        "trained on 16 frames": {"train_horizon": HORIZON},
        "scheduled sampling until half-way": {
            "scheduled_sampling_end": 0.5,
            "scheduled_sampling_unit": "max_epochs",
        },
        "64 hidden features": {"n_hidden": 64},
        "two layers": {"n_layers": 2},
        "batch normalisation": {"batch_norm": "output"},
    }
)
"""Changes to :class:`~skworm.MLPTrajectoryRegressor` by name, one at a time."""

STEPS = (1, 8, 16)


def score_settings(
    recordings: Sequence[Recording],
    out: str | os.PathLike[str],
    *,
    n_train_worms: int = 1,
    n_folds: int = 1,
    max_epochs: int = 200,
    n_jobs: int | None = None,
    device: str = "auto",
    random_state: int = 0,
    verbose: int = 1,
) -> pd.DataFrame:
    """Score every setting, beside the baselines, from one observed frame.

    The neurons are those of the paper's fifteen that every worm has.

    Parameters
    ----------
    recordings : sequence of Recording
        At least three worms.
    out : str or path-like
        Folder that keeps every finished fit; a second call goes on where the first ended.
    n_train_worms : int, default=1
        Worms that a model trains on, every combination; at least two fewer than there are.
    n_folds : int, default=1
        Folds out of ten contiguous blocks that are held out in turn.
    max_epochs : int, default=200
        Epochs of each fit.
    n_jobs : int, default=None
        Fits at a time.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where to compute.
    random_state : int, default=0
        Seed of splits and models.
    verbose : int, default=1
        0 is silent.

    Returns
    -------
    DataFrame
        The rows of :func:`~skworm.model_selection.cross_validate_trajectories`.

    Raises
    ------
    ValueError
        If too many worms train for a setting to be chosen without each scored worm.
    """
    if n_train_worms > len(recordings) - 2:
        raise ValueError(
            f"n_train_worms={n_train_worms} of {len(recordings)} worms leaves no fit that a worm has no part in, to "
            "choose its setting by; train on fewer worms, or give more"
        )
    present = set.intersection(*(set(recording.neurons) for recording in recordings))
    neurons = [neuron for neuron in PAPER_NEURONS if neuron in present]
    _, X, Y, _ = trajectories_of(recordings, neurons, "4", MARKOVIAN)
    cv = WormGroupKFold(
        n_splits=10,
        n_train_worms=n_train_worms,
        fold_by="contiguous_blocks",
        gap=MARKOVIAN + HORIZON,
        random_state=random_state,
    )
    shared: dict[str, Any] = {"max_epochs": max_epochs, "device": device, "random_state": random_state}
    models: dict[str, Any] = {name: make() for name, make in BASELINES.items()}
    models |= {name: MLPTrajectoryRegressor(**changes, **shared) for name, changes in SETTINGS.items()}
    return cross_validate_trajectories(
        models, X, Y, cv=FirstFolds(cv, n_folds), n_jobs=n_jobs, out=out, verbose=verbose
    )


def settings_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the skill over persistence on unseen worms.

    Parameters
    ----------
    scores : DataFrame
        What :func:`score_settings` returns.

    Returns
    -------
    DataFrame
        One row a setting; columns are the skill at steps 1, 8 and 16, and the lowest of any worm at step 16.

    See Also
    --------
    settings_texts : The same with intervals, for reading.
    """
    summary = summarize_trajectories(scores[scores["evaluation"] == "unseen_worms"])
    skill = summary[summary["step"].isin(STEPS)].pivot(index="model", columns="step", values="skill")
    worst = summary[summary["step"] == STEPS[-1]].set_index("model")["skill_worst"]
    table = skill.rename(columns=lambda step: f"skill {step}").assign(**{f"worst {STEPS[-1]}": worst})
    return table.loc[scores["model"].unique()].rename_axis(index="setting", columns=None)


def settings_texts(scores: pd.DataFrame) -> pd.DataFrame:
    """Lay the table of settings out for reading, with the 95 % interval over worms of each skill on a second line.

    Parameters
    ----------
    scores : DataFrame
        What :func:`score_settings` returns.

    Returns
    -------
    DataFrame of str
        The rows and columns of :func:`settings_table`.
    """
    table = settings_table(scores)
    unseen = scores[scores["evaluation"] == "unseen_worms"]
    texts = table.map(lambda skill: f"{skill:.3f}")
    for step in STEPS:
        intervals = error_intervals(unseen[unseen["step"] == step]).set_index("model").loc[table.index]
        texts[f"skill {step}"] = skill_texts(intervals.assign(skill=table[f"skill {step}"]))
    return texts


def choose_without_scored_worm(scores: pd.DataFrame) -> pd.DataFrame:
    """Choose a setting for each worm from fits that this worm has no part in, and score it there.

    Parameters
    ----------
    scores : DataFrame
        What :func:`score_settings` returns, for at least three worms and one training worm.

    Returns
    -------
    DataFrame
        One row a worm: the ``setting`` with the highest skill, averaged over steps 1, 8 and 16, among the fits that
        neither trained on this worm nor scored it, and the skill of the choice on this worm.

    Raises
    ------
    ValueError
        If there are fewer than three worms.
    """
    unseen = scores[(scores["evaluation"] == "unseen_worms") & scores["step"].isin(STEPS)]
    worms = sorted(unseen["worm"].unique())
    if len(worms) < 3:
        raise ValueError(f"choosing without the scored worm needs at least three worms, got {worms}")
    rows = {}
    for worm in worms:
        in_training = unseen["train_worms"].str.split("+", regex=False).map(lambda names, worm=worm: worm in names)
        elsewhere = unseen[(unseen["worm"] != worm) & ~in_training & unseen["model"].isin(SETTINGS)]
        setting = _skill(elsewhere).groupby("model").mean().idxmax()
        here = unseen[(unseen["worm"] == worm) & (unseen["model"] == setting)]
        skill = _skill(here).droplevel("model")
        rows[worm] = {"setting": setting, **{f"skill {step}": skill[step] for step in STEPS}}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("worm")


def write_forecast_sensitivity(scores: pd.DataFrame, out: str | os.PathLike[str]) -> list[Path]:
    """Write the scores, the table of settings and the choice made without each scored worm.

    Parameters
    ----------
    scores : DataFrame
        What :func:`score_settings` returns.
    out : str or path-like
        Folder to write to. Files that are there are replaced.

    Returns
    -------
    list of pathlib.Path
        ``scores.csv``, ``sensitivity.md`` and ``choice.md``.
    """
    folder = Path(out)
    paths = [folder / name for name in ("scores.csv", "sensitivity.md", "choice.md")]
    scores.to_csv(paths[0], index=False)
    for path, table in zip(paths[1:], (settings_texts(scores), choose_without_scored_worm(scores)), strict=True):
        texts = table.map(lambda cell: cell if isinstance(cell, str) else f"{cell:.3f}")
        path.write_text(markdown(texts) + "\n", encoding="utf-8")
    return paths


def outcome_of_forecast_sensitivity(scores: pd.DataFrame, out: Path, settings: Mapping[str, Any]) -> Outcome:
    """Write all files, and say what they show.

    Parameters
    ----------
    scores : DataFrame
        What :func:`score_settings` returns.
    out : pathlib.Path
        Folder to write to.
    settings : mapping
        What was compared on what, for the reader.

    Returns
    -------
    Outcome
        The table of settings, the words beside it and the files.
    """
    return Outcome(
        "What each setting of the trajectory MLP is worth",
        settings_text(settings),
        {"Skill over persistence on unseen worms": settings_texts(scores)},
        "Skill is 1 - MSE / MSE of persistence, of mean errors over worms; in round brackets the 95 % interval of a "
        "bootstrap over worms and fits, which from few worms is too narrow; 'worst' is the lowest skill of any worm.\n"
        "The best of many settings owes part of its lead to luck: choice.md chooses one for each worm without it.",
        files=write_forecast_sensitivity(scores, out),
    )


def _skill(rows: pd.DataFrame) -> pd.Series:
    errors = rows.groupby(["model", "step"])[["mse", "persistence_mse"]].mean()
    return 1 - errors["mse"] / errors["persistence_mse"]
