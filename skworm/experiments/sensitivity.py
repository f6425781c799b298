"""What the GNN's score on unseen worms owes to each reading of the paper's equations."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from skworm.classification import GNNStateClassifier, MLPStateClassifier, SVMStateClassifier
from skworm.experiments.intervals import interval_over_worms
from skworm.experiments.outcome import Outcome
from skworm.experiments.report import markdown, score_text, settings_text
from skworm.experiments.worms import FirstFolds
from skworm.frames import PAPER_NEURONS, make_frames
from skworm.model_selection import WormGroupKFold, cross_validate_worms
from skworm.recording import Recording
from skworm.training import VirtualWorms

_LITERAL = GNNStateClassifier.as_published().get_params(deep=False)
_DEFAULT = GNNStateClassifier().get_params(deep=False)

READINGS: Mapping[str, Mapping[str, Any]] = {
    "published": _LITERAL,
    "published, row-normalised messages": {**_LITERAL, "message_normalization": "row"},
    "published, residual": {**_LITERAL, "residual": True},
    "published, neuron embedding": {**_LITERAL, "neuron_embedding": 8},
    "published, no batch norm in the readout": {**_LITERAL, "batch_norm": None, "n_layers": 1},
    "published, dynamic edges": {**_LITERAL, "edges": "dynamic", "encoder_batch_norm": False},
    "published, one-hot edges": {**_LITERAL, "edge_temperature": 0.1},
    "published, free adjacency": {**_LITERAL, "edges": "free"},
    "default": _DEFAULT,
    "default, row-normalised messages": {**_DEFAULT, "message_normalization": "row"},
    "default, messages not normalised": {**_DEFAULT, "message_normalization": None},
    "default, no residual": {**_DEFAULT, "residual": False},
    "default, no neuron embedding": {**_DEFAULT, "neuron_embedding": 0},
    "default, hidden features averaged": {**_DEFAULT, "static_average": "hidden_neurons"},
    "default, no weight decay": {**_DEFAULT, "weight_decay": 0.0},
    "default, batch norm always": {**_DEFAULT, "batch_norm": "output"},
    "default, dynamic edges": {**_DEFAULT, "edges": "dynamic"},
    "default, one-hot edges": {**_DEFAULT, "edge_temperature": 0.1},
    "default, free adjacency": {**_DEFAULT, "edges": "free"},
}
"""Parameters of :class:`~skworm.GNNStateClassifier` for each reading."""

SVM = "SVM"

MLPS: Mapping[str, Mapping[str, Any]] = {
    "MLP published": MLPStateClassifier.as_published().get_params(deep=False),
    "MLP": {},
    "MLP, weight decay": {"weight_decay": "auto"},
}
"""Parameters of :class:`~skworm.MLPStateClassifier`, for comparison."""

AUGMENTATIONS: Mapping[str, VirtualWorms | None] = {"plain": None, "virtual worms": VirtualWorms()}


def score_readings(
    recordings: Sequence[Recording],
    out: str | os.PathLike[str],
    *,
    states: Sequence[str] = ("2", "4"),
    readings: Sequence[str] | None = None,
    n_folds: int = 2,
    max_epochs: int = 800,
    n_jobs: int | None = None,
    device: str = "auto",
    random_state: int = 0,
    verbose: int = 1,
) -> pd.DataFrame:
    """Score every reading with and without virtual worms, trained on one worm, beside the SVM and the MLP.

    The neurons are those of the paper's fifteen that every worm has.

    Parameters
    ----------
    recordings : sequence of Recording
        At least three worms with states.
    out : str or path-like
        Folder that keeps every finished fit; a second call goes on where the first ended.
    states : sequence of str, default=("2", "4")
        Vocabularies of :func:`skworm.frames.map_states`.
    readings : sequence of str, default=None
        Names among :data:`READINGS`; all of them by default.
    n_folds : int, default=2
        Folds out of ten.
    max_epochs : int, default=800
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
        The rows of :func:`~skworm.model_selection.cross_validate_worms`, with columns ``states``, ``reading`` and
        ``augmentation`` in place of ``model``.
    """
    models = _models(readings, max_epochs=max_epochs, device=device, random_state=random_state)
    cv = FirstFolds(WormGroupKFold(n_splits=10, n_train_worms=1, random_state=random_state), n_folds)
    tables = []
    for vocabulary in states:
        X, y = make_frames(recordings, neurons=PAPER_NEURONS, missing="drop", states=vocabulary)
        scores = cross_validate_worms(
            models, X, y, cv=cv, baselines=False, n_jobs=n_jobs, out=Path(out) / f"states_{vocabulary}", verbose=verbose
        )
        names = scores.pop("model").str.rsplit(" | ", n=1, expand=True)
        tables.append(scores.assign(states=vocabulary, reading=names[0], augmentation=names[1]))
    return pd.concat(tables, ignore_index=True)


def _models(readings: Sequence[str] | None, **shared: Any) -> dict[str, Any]:
    chosen = list(READINGS) if readings is None else list(readings)
    unknown = [name for name in chosen if name not in READINGS]
    if unknown:
        raise ValueError(f"{unknown} are no readings; choose among {list(READINGS)}")
    models: dict[str, Any] = {f"{SVM} | plain": SVMStateClassifier(device=shared["device"])}
    for label, augmentation in AUGMENTATIONS.items():
        for name, parameters in MLPS.items():
            models[f"{name} | {label}"] = MLPStateClassifier(**{**parameters, "augmentation": augmentation, **shared})
        for name in chosen:
            parameters = {**READINGS[name], "augmentation": augmentation, **shared}
            models[f"{name} | {label}"] = GNNStateClassifier(**parameters)
    return models


def sensitivity_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the accuracy on unseen worms, in per cent: mean, standard deviation and interval over the scored worms.

    Parameters
    ----------
    scores : DataFrame
        What :func:`score_readings` returns.

    Returns
    -------
    DataFrame
        One row a reading; columns are (states, augmentation); a cell has two lines, ``mean ± SD`` and the 95 % interval
        of a bootstrap over worms and fits.
    """
    unseen = scores[scores["evaluation"] == "unseen_worms"]
    texts = {}
    for names, rows in unseen.groupby(["reading", "states", "augmentation"], sort=False):
        by_worm = rows.groupby("worm")["accuracy"].mean()
        low, high = interval_over_worms(rows, "accuracy")
        texts[names] = score_text(100 * by_worm.mean(), 100 * by_worm.std(), 100 * low, 100 * high)
    cells = pd.Series(texts).rename_axis(["reading", "states", "augmentation"])
    order = [reading for reading in [SVM, *MLPS, *READINGS] if reading in set(unseen["reading"])]
    return cells.unstack(["states", "augmentation"]).loc[order].fillna("")


def choose_without_scored_worm(scores: pd.DataFrame) -> pd.DataFrame:
    """Choose a reading for each worm from scores that this worm has no part in.

    For every worm, the reading with the highest accuracy on unseen worms is chosen among the fits that neither
    trained on this worm nor scored it, averaged over states and over plain and augmented training; the choice is
    then scored on this worm.

    Parameters
    ----------
    scores : DataFrame
        What :func:`score_readings` returns, for at least three worms.

    Returns
    -------
    DataFrame
        One row a worm: the ``reading`` chosen, and a column (states, augmentation) with its accuracy on this worm.

    Raises
    ------
    ValueError
        If there are fewer than three worms.
    """
    unseen = scores[(scores["evaluation"] == "unseen_worms") & scores["reading"].isin(READINGS)]
    worms = sorted(unseen["worm"].unique())
    if len(worms) < 3:
        raise ValueError(f"choosing without the scored worm needs at least three worms, got {worms}")
    rows = {}
    for worm in worms:
        elsewhere = unseen[(unseen["worm"] != worm) & (unseen["train_worms"] != worm)]
        reading = elsewhere.groupby("reading", sort=False)["accuracy"].mean().idxmax()
        here = unseen[(unseen["worm"] == worm) & (unseen["reading"] == reading)]
        rows[worm] = {"reading": reading, **here.groupby(["states", "augmentation"])["accuracy"].mean().to_dict()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("worm")


def write_sensitivity(scores: pd.DataFrame, out: str | os.PathLike[str]) -> list[Path]:
    """Write the scores, the table of readings and the choice made without each scored worm.

    Parameters
    ----------
    scores : DataFrame
        What :func:`score_readings` returns.
    out : str or path-like
        Folder to write to. Files that are there are replaced.

    Returns
    -------
    list of pathlib.Path
        ``scores.csv``, ``sensitivity.md`` and ``choice.md``.
    """
    folder = Path(out)
    choice = choose_without_scored_worm(scores).set_index("reading", append=True)
    choice = (100 * choice).round(1).astype(str).reset_index("reading")
    paths = [folder / name for name in ("scores.csv", "sensitivity.md", "choice.md")]
    scores.to_csv(paths[0], index=False)
    for path, table in zip(paths[1:], (sensitivity_table(scores), choice), strict=True):
        path.write_text(markdown(with_titles(table)) + "\n", encoding="utf-8")
    return paths


def outcome_of_sensitivity(scores: pd.DataFrame, out: Path, settings: Mapping[str, Any]) -> Outcome:
    """Write all files, and say what they show.

    Parameters
    ----------
    scores : DataFrame
        What :func:`score_readings` returns.
    out : pathlib.Path
        Folder to write to.
    settings : mapping
        What was compared on what, for the reader.

    Returns
    -------
    Outcome
        The table of readings, the words beside it and the files.
    """
    return Outcome(
        "What each reading of the GNN's equations is worth",
        settings_text(settings),
        {"Accuracy on unseen worms (%)": with_titles(sensitivity_table(scores)).rename_axis("reading")},
        "Mean ± standard deviation over worms, each averaged over the fits that score it first; in round brackets the "
        "95 % interval of a bootstrap over worms and fits, which from few worms is too narrow.\n"
        "The best of many readings owes part of its lead to luck: choice.md chooses one for each worm without it.",
        files=write_sensitivity(scores, out),
    )


def with_titles(table: pd.DataFrame) -> pd.DataFrame:
    """Name the columns (states, augmentation) of a table in words."""
    titles = [name if isinstance(name, str) else f"{name[0]} states, {name[1]}" for name in table.columns]
    return table.set_axis(titles, axis=1)
