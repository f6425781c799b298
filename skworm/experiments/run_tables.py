"""Tables, figures and words of a run that a script made with ``cross_validate_worms(..., out=...)`` or its like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from skworm.experiments.figure4 import skill_texts
from skworm.experiments.intervals import error_intervals, interval_over_worms
from skworm.experiments.report import score_text
from skworm.experiments.stored_results import parts_of, score_of, title_of_part, without_naive
from skworm.model_selection import compare_models, describe_comparison, summarize_trajectories

_STATE_SCORES = ("accuracy", "balanced_accuracy", "macro_f1")
_BEHAVIOR_SCORES = ("r2", "correlation", "rmse")
_TITLES = {"r2": "R²", "rmse": "RMSE", "mse": "MSE", "macro_f1": "Macro F1"}


def title_of_run(scores: pd.DataFrame) -> str:
    """Name what a run scores."""
    titles = {"accuracy": "State classifiers", "mse": "Forecasts of trajectories", "r2": "Regressors of behaviour"}
    return f"{titles[score_of(scores)]}, cross-validated by worm"


def tables_of_run(scores: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Tabulate scores by model and evaluation, with intervals over worms.

    Parameters
    ----------
    scores : pandas.DataFrame
        What :func:`~skworm.experiments.stored_results.read_scores` returned.

    Returns
    -------
    dict of str to pandas.DataFrame of str
        Tables of texts by heading.
    """
    kind = score_of(scores)
    if kind == "mse":
        return {f"errors, {_readable(name)}": _errors(rows) for name, rows in scores.groupby("evaluation", sort=False)}
    names = [name for name in (_STATE_SCORES if kind == "accuracy" else _BEHAVIOR_SCORES) if name in scores]
    signals = scores.groupby("signal", sort=False) if "signal" in scores else [("", scores)]
    return {
        ", ".join(filter(None, [_heading(name), str(signal)])): _means(rows, name)
        for signal, rows in signals
        for name in names
    }


def comparisons_of_run(scores: pd.DataFrame, baseline: str | None) -> Iterator[tuple[str, pd.DataFrame, str]]:
    """Compare models worm by worm on every evaluation of worms that no model has seen.

    Parameters
    ----------
    scores : pandas.DataFrame
        What :func:`~skworm.experiments.stored_results.read_scores` returned.
    baseline : str or None
        The model that others are compared with; None for the first of the run.

    Yields
    ------
    heading : str
        Evaluation and part.
    table : pandas.DataFrame
        What :func:`~skworm.model_selection.compare_models` returned.
    left_out : str
        Why there is no table, where it is empty.
    """
    score = score_of(scores)
    for evaluation in scores["evaluation"].unique():
        if evaluation == "held_out_windows":
            continue
        for values, rows in parts_of(scores, evaluation):
            rows, _ = without_naive(rows, baseline)
            heading = ", ".join(filter(None, [_readable(evaluation), title_of_part(values)]))
            try:
                table = compare_models(
                    rows,
                    reference=baseline or str(rows["model"].iloc[0]),
                    evaluation=evaluation,
                    score=score,
                    random_state=0,
                )
            except ValueError as error:
                yield heading, pd.DataFrame(), str(error)
                continue
            yield heading, table, ""


def comparison_texts(table: pd.DataFrame) -> pd.DataFrame:
    """Lay the table of :func:`~skworm.model_selection.compare_models` out for reading.

    Parameters
    ----------
    table : pandas.DataFrame
        The table.

    Returns
    -------
    pandas.DataFrame of str
        Mean, difference to the reference, worms on which a model is better, and p, intervals on second lines.
    """
    score = str(table["score"].iloc[0])
    factor, digits = _scale(score, table["mean"])
    rows = []
    for row in table.to_dict("records"):
        low, high = (factor * row[name] for name in ("mean_low", "mean_high"))
        cells = {_heading(score): score_text(factor * row["mean"], np.nan, low, high, digits=digits)}
        is_reference = row["model"] == row["reference"]
        change, low, high = (factor * row[name] for name in ("difference", "difference_low", "difference_high"))
        interval = f"{change:+.{digits}f}\n({low:+.{digits}f} to {high:+.{digits}f})"
        cells[f"difference to {row['reference']}"] = "reference" if is_reference else interval
        cells["better on"] = "" if is_reference else f"{row['wins']} of {row['n_worms']} worms"
        cells["sign-flip p"] = "" if is_reference else f"{row['p_sign_flip']:.3g}"
        if row["correction"] == "holm":
            cells["p after Holm"] = "" if is_reference else f"{row['p_adjusted']:.3g}"
        rows.append(cells)
    return pd.DataFrame(rows, index=pd.Index(table["model"], name="model"))


def leakage_texts(scores: pd.DataFrame, clock: str) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Set every model on held-out windows beside a clock that sees no neuron.

    Parameters
    ----------
    scores : pandas.DataFrame
        What :func:`~skworm.experiments.stored_results.read_scores` returned.
    clock : str
        Name of the clock among the models.

    Returns
    -------
    tables : dict of str to pandas.DataFrame of str
        A table a part, by its name.
    problems : list of str
        Why parts have no table.
    """
    tables, problems = {}, []
    score = score_of(scores)
    for values, rows in parts_of(scores, "held_out_windows"):
        title = title_of_part(values) or "held-out windows"
        try:
            compared = compare_models(
                rows, reference=clock, evaluation="held_out_windows", score=score, correction=None, random_state=0
            )
        except ValueError as error:
            problems.append(f"{title}: {error}.")
            continue
        texts = comparison_texts(compared).rename(columns={f"difference to {clock}": "above the clock"})
        tables[title] = texts.rename(columns=lambda name: f"{name}, held out" if name.endswith("(%)") else name)
    return tables, problems


def words_of_comparison(table: pd.DataFrame) -> list[str]:
    """Say in a sentence each what a comparison shows, the reference left out."""
    return describe_comparison(table[table["model"] != table["reference"]])


def figure_of_run(scores: pd.DataFrame) -> Any:
    """Draw a run: a dot a worm, or errors against the step."""
    from skworm.plotting import TrajectoryErrorDisplay, WormScoresDisplay

    if score_of(scores) == "mse":
        return TrajectoryErrorDisplay.from_results(scores).figure_
    if score_of(scores) == "accuracy":
        return WormScoresDisplay.from_results(scores).figure_
    panels = {
        f"{_readable(evaluation)}, {signal}": {"evaluation": evaluation, "signal": signal}
        for evaluation, signal in scores[["evaluation", "signal"]].drop_duplicates().itertuples(index=False)
    }
    # A constant correlates with nothing.
    models = [name for name, rows in scores.groupby("model", sort=False) if rows["correlation"].notna().all()]
    drawn = scores[scores["model"].isin(models)]
    return WormScoresDisplay.from_results(drawn, score="correlation", panels=panels).figure_


def _means(rows: pd.DataFrame, score: str) -> pd.DataFrame:
    factor, digits = _scale(score, rows[score])
    models, evaluations = rows["model"].unique(), rows["evaluation"].unique()
    texts = pd.DataFrame("–", index=pd.Index(models, name="model"), columns=list(map(_readable, evaluations)))
    for (model, evaluation), part in rows.groupby(["model", "evaluation"], sort=False):
        if part[score].isna().any():
            # Such as the correlation of a constant: a mean over some of the worms would be that of others.
            continue
        by_worm = part.groupby("worm")[score].mean()
        low, high = (factor * end for end in interval_over_worms(part, score))
        text = score_text(factor * by_worm.mean(), factor * by_worm.std(), low, high, digits=digits)
        texts.loc[str(model), _readable(evaluation)] = text
    return texts


def _errors(rows: pd.DataFrame) -> pd.DataFrame:
    models = pd.Index(rows["model"].unique(), name="model")
    cells = {}
    _, parts = zip(*parts_of(rows, str(rows["evaluation"].iloc[0])), strict=True)
    for part in parts:
        step = part["step"].iloc[0]
        summary = summarize_trajectories(part).set_index("model").loc[models]
        table = summary.join(error_intervals(part).drop(columns="step").set_index("model"))
        cells[f"MSE × 1000, step {step}"] = list(
            map(score_text, *(1000 * table[name] for name in ("mse", "mse_std", "mse_low", "mse_high")))
        )
        cells[f"skill, step {step}"] = skill_texts(table)
    return pd.DataFrame(cells, index=models)


def _heading(score: str) -> str:
    name = _TITLES.get(score, score.replace("_", " ").capitalize())
    return f"{name} (%)" if score in _STATE_SCORES else name


def _scale(score: str, values: pd.Series) -> tuple[int, int]:
    """Tell what a score is multiplied by, and the digits behind the point that show the largest to three figures."""
    if score in _STATE_SCORES:
        return 100, 1
    largest = float(values.abs().max())
    return 1, 3 if not 0 < largest < 0.1 else int(np.ceil(-np.log10(largest))) + 2


def _readable(name: Any) -> str:
    return str(name).replace("_", " ")
