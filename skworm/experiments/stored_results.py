"""Results that a run left in a folder, or a script in a CSV file, and the comparisons that they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skworm.model_selection.run_records import stored_runs

NAIVE = ("clock", "majority")
"""Baselines that see no neuron."""

_TEXTS = ("model", "label", "block", "train_worms", "evaluation", "worm", "states", "reading", "augmentation")
_PARTS = ("block", "states", "fold_by", "n_train_worms", "burn_in", "signal", "step")
_SCORES = ("accuracy", "mse", "r2")
_STEPS = (1, 8, 16)


def read_scores(path: Path) -> pd.DataFrame:
    """Read the scores of a run, one row a model, fit and worm.

    Parameters
    ----------
    path : pathlib.Path
        A folder that ``skworm reproduce`` or a cross-validation with ``out=`` wrote, of which the latest run is taken;
        or a .csv file with such a table.

    Returns
    -------
    pandas.DataFrame
        The rows in which something was scored, with the column ``model``, whatever the run calls its models.

    Raises
    ------
    FileNotFoundError
        If there is no such path.
    ValueError
        If it holds no scores.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; check the path")
    if path.is_file():
        return with_models(_read_csv(path), path)
    if (path / "scores.csv").is_file():
        return with_models(_read_csv(path / "scores.csv"), path)
    if (path / "counts.csv").is_file():
        raise ValueError(f"{path} holds the counts of a confusion matrix, which no score compares; name another folder")
    if not (path / "scores.jsonl").is_file():
        raise no_results(path)
    return with_models(stored_runs(path)[-1].scores, path)


def result_folders(path: Path) -> list[Path]:
    """List the folders directly below one that hold results, in alphabetical order."""
    return [folder for folder in sorted(path.iterdir()) if folder.is_dir() and holds_results(folder)]


def holds_results(folder: Path) -> bool:
    """Tell whether a folder holds the results of a run."""
    names = ("scores.csv", "scores.jsonl", "counts.csv")
    return any((folder / name).is_file() for name in names) or any(folder.glob("*.outcome.json"))


def no_results(path: Path) -> ValueError:
    """Make the error about a folder that holds no results, or those of several runs."""
    below = result_folders(path)
    if below:
        return ValueError(f"{path} holds the results of several runs; name one of them: {', '.join(map(str, below))}")
    return ValueError(
        f"{path} holds no results: neither scores.csv nor scores.jsonl; pass a folder that `skworm reproduce ... "
        "--out` or cross_validate_worms(..., out=...) wrote"
    )


def score_of(scores: pd.DataFrame) -> str:
    """Tell the score that models are compared by: accuracy, MSE or R²."""
    for name in _SCORES:
        if name in scores:
            return name
    raise ValueError(f"the columns {list(scores)} hold none of the scores {', '.join(_SCORES)}")


def rows_where(scores: pd.DataFrame, conditions: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Keep rows in which columns have some values, given as texts.

    Raises
    ------
    ValueError
        If a column, or a value in it, does not exist.
    """
    for column, value in conditions:
        if column not in scores:
            raise ValueError(f"the results have no column {column!r}; choose among {', '.join(map(str, scores))}")
        texts = scores[column].astype(str)
        if value not in set(texts):
            known = ", ".join(map(repr, texts.unique()[:20]))
            raise ValueError(f"the column {column!r} never is {value!r}; choose among {known}")
        scores = scores[texts == value]
    return scores


def parts_of(scores: pd.DataFrame, evaluation: str) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Divide scores into parts within which models can be compared.

    Parameters
    ----------
    scores : pandas.DataFrame
        What :func:`read_scores` returned.
    evaluation : str
        The evaluation of interest.

    Yields
    ------
    values : dict
        What tells this part from others: the values of the columns that differ. Forecasts are divided by step, of which
        1, 8 and 16 are taken where they are among the steps.
    rows : pandas.DataFrame
        Its rows, of all evaluations.

    Raises
    ------
    ValueError
        If no row has the evaluation.
    """
    chosen = scores[scores["evaluation"] == evaluation]
    if chosen.empty:
        known = ", ".join(map(str, scores["evaluation"].unique()))
        raise ValueError(f"evaluation {evaluation!r} is not among those of the results: {known}; choose one of them")
    if "step" in chosen and chosen["step"].nunique() > 1:
        steps = [step for step in _STEPS if step in set(chosen["step"])] or [chosen["step"].max()]
        scores, chosen = (table[table["step"].isin(steps)] for table in (scores, chosen))
    columns = [name for name in _PARTS if name in chosen and chosen[name].nunique() > 1]
    if not columns:
        yield {}, scores
        return
    for values in chosen[columns].drop_duplicates().itertuples(index=False):
        where = dict(zip(columns, values, strict=True))
        of_part = np.logical_and.reduce([scores[name] == value for name, value in where.items()])
        yield where, scores[of_part]


def title_of_part(values: Mapping[str, Any]) -> str:
    """Name a part in words."""
    texts = []
    for name, value in values.items():
        text = str(value).replace("_", " ")
        if name == "block" or name == "fold_by":
            texts.append(text)
        elif name in ("n_train_worms", "burn_in"):
            noun = "training worm" if name == "n_train_worms" else "observed frame"
            texts.append(f"{text} {noun}{'s' if text != '1' else ''}")
        else:
            texts.append(f"{text} states" if name == "states" else f"{name} {text}")
    return ", ".join(texts)


def without_naive(rows: pd.DataFrame, kept: str | None = None) -> tuple[pd.DataFrame, list[str]]:
    """Leave out baselines that see no neuron, but for one, where two others are left; and tell their names."""
    left_out = [name for name in rows["model"].unique() if str(name).lower() in NAIVE and name != kept]
    if rows["model"].nunique() - len(left_out) < 2:
        return rows, []
    return rows[~rows["model"].isin(left_out)], left_out


def clock_of(rows: pd.DataFrame) -> str | None:
    """Name the model that is the clock; None where there is none."""
    return next((str(name) for name in rows["model"].unique() if str(name).lower() == "clock"), None)


def _read_csv(path: Path) -> pd.DataFrame:
    if path.suffix != ".csv":
        raise ValueError(
            f"{path} is no .csv file; pass a folder that `skworm reproduce ... --out` or cross_validate_worms(..., "
            "out=...) wrote, or the table of cross_validate_worms as a .csv file"
        )
    try:
        # A worm may be called 007, or NA.
        return pd.read_csv(path, converters=dict.fromkeys(_TEXTS, str))
    except (ValueError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise ValueError(f"{path} cannot be read as a table: {error}") from error


def with_models(scores: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Name the models of scores in the column ``model``, and keep rows in which something was scored.

    Raises
    ------
    ValueError
        If there are none, or the table is another one; the path is for the message.
    """
    if scores.empty:
        raise ValueError(f"{path} holds no scores: no fit has finished; repeat the command that made it")
    if "model" not in scores and "label" in scores:
        scores = scores.rename(columns={"label": "model"})
    if "model" not in scores and "reading" in scores:
        scores = scores.assign(model=scores["reading"] + ", " + scores["augmentation"])
    missing = [name for name in ("model", "train_worms", "fold", "evaluation", "worm") if name not in scores]
    if missing:
        raise ValueError(
            f"{path} is no table of scores, for it lacks the columns {', '.join(missing)}; pass what "
            "cross_validate_worms returned, or a folder that it or `skworm reproduce` wrote"
        )
    if score_of(scores) == "accuracy" and "n_frames" in scores:
        scores = scores[scores["n_frames"] > 0]
    return scores.reset_index(drop=True)
