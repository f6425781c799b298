"""The comparison of the models of a run, from results on the disk, in numbers and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from skworm.experiments.report import lay_out
from skworm.experiments.run_tables import comparison_texts, words_of_comparison
from skworm.experiments.stored_results import (
    parts_of,
    read_scores,
    rows_where,
    score_of,
    title_of_part,
    without_naive,
)
from skworm.model_selection import compare_models

_LEVEL = 0.05


@dataclass(frozen=True)
class Compared:
    """A comparison.

    Parameters
    ----------
    facts : dict
        For a program: ``results``, ``evaluation``, ``score``, ``left_out``, and ``comparisons``, one a part, each with
        ``part``, ``reference``, ``n_worms``, ``smallest_p``, ``models``, the rows of
        :func:`~skworm.model_selection.compare_models`, and ``sentences``.
    text : str
        For a reader.
    """

    facts: dict[str, Any]
    text: str


def compare_results(
    path: Path,
    *,
    baseline: str | None = None,
    evaluation: str = "unseen_worms",
    models: Sequence[str] = (),
    score: str | None = None,
    conditions: Sequence[tuple[str, str]] = (),
    random_state: int = 0,
) -> Compared:
    """Compare the models of a run, part by part.

    Parameters
    ----------
    path : pathlib.Path
        What :func:`~skworm.experiments.stored_results.read_scores` reads.
    baseline : str, optional
        The model that others are compared with; by default the first of the run.
    evaluation : str, default="unseen_worms"
        What to compare on.
    models : sequence of str, optional
        Models to compare; by default all but those that see no neuron.
    score : str, optional
        Column to compare; by default accuracy, MSE or R².
    conditions : sequence of (str, str)
        Columns and the values that they must have.
    random_state : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    Compared
        Numbers and words.

    Raises
    ------
    FileNotFoundError
        If there is no such path.
    ValueError
        If it holds no such scores, or they cannot be compared.
    """
    scores = rows_where(read_scores(path), conditions)
    score = score or score_of(scores)
    known = list(map(str, scores["model"].unique()))
    for option, wanted in [("--baseline", baseline), *(("--model", name) for name in models)]:
        if wanted is not None and wanted not in known:
            raise ValueError(f"{option} {wanted!r} is not among the models of {path}: {', '.join(known)}")
    comparisons, blocks = [], []
    left_out: list[str] = []
    for values, rows in parts_of(scores, evaluation):
        if models:
            rows = rows[rows["model"].isin([*models, *([baseline] if baseline else [])])]
        else:
            rows, left_out = without_naive(rows, baseline)
        reference = _reference(rows, evaluation, baseline, title_of_part(values))
        table = compare_models(rows, reference=reference, evaluation=evaluation, score=score, random_state=random_state)
        sentences = words_of_comparison(table)
        comparisons.append(_facts(values, table, sentences))
        blocks.append(_block(values, evaluation, table, sentences))
    facts = {"results": str(path), "evaluation": evaluation, "score": score, "left_out": left_out}
    closing = _closing(comparisons, left_out)
    return Compared({**facts, "comparisons": comparisons}, "\n\n".join([*blocks, closing]))


def _reference(rows: pd.DataFrame, evaluation: str, baseline: str | None, title: str) -> str:
    present = list(map(str, rows.loc[rows["evaluation"] == evaluation, "model"].unique()))
    if baseline is not None and baseline not in present:
        where = ", ".join(filter(None, [evaluation, title]))
        raise ValueError(
            f"--baseline {baseline!r} has no scores on {where}; choose one of {', '.join(present)}, or narrow the "
            "comparison down with --where"
        )
    return baseline or present[0]


def _facts(values: dict[str, Any], table: pd.DataFrame, sentences: Sequence[str]) -> dict[str, Any]:
    first = table.iloc[0]
    rows = table.drop(columns=["reference", "evaluation", "score", "n_worms", "n_fits", "correction", "smallest_p"])
    return {
        "part": values,
        "reference": first["reference"],
        "n_worms": first["n_worms"],
        "n_fits": first["n_fits"],
        "correction": first["correction"],
        "smallest_p": first["smallest_p"],
        "models": rows.astype(object).where(rows.notna(), None).to_dict("records"),
        "sentences": sentences,
    }


def _block(values: dict[str, Any], evaluation: str, table: pd.DataFrame, sentences: Sequence[str]) -> str:
    heading = ", ".join(filter(None, [evaluation.replace("_", " "), title_of_part(values)]))
    return "\n".join([heading[0].upper() + heading[1:], "", lay_out(comparison_texts(table)), "", *sentences])


def _closing(comparisons: Sequence[dict[str, Any]], left_out: Sequence[str]) -> str:
    said = [
        "In round brackets: 95 % intervals of a bootstrap over worms and the fits within them. The p is that of a "
        "two-sided sign-flip test across worms."
    ]
    n_worms, smallest = min((int(each["n_worms"]), float(each["smallest_p"])) for each in comparisons)
    least = f"With {n_worms} worms no p can be below {smallest:.3g}"
    said.append(f"{least}, so no difference can be significant at {_LEVEL}." if smallest > _LEVEL else f"{least}.")
    if left_out:
        said.append(f"Left out, since they see no neuron: {', '.join(left_out)}; --model or --baseline takes them in.")
    return "\n".join(said)
