"""Tables of arms: mean, spread and interval over worms, and the paired difference to what an arm is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from skworm.experiments.arms import BASELINES, Arm
from skworm.experiments.intervals import interval_over_worms
from skworm.experiments.report import score_text
from skworm.model_selection import compare_models, describe_comparison
from skworm.model_selection.paired_tests import holm_correction

_PAIRED = ["difference", "difference_low", "difference_high", "wins", "p_sign_flip", "smallest_p"]
_PER_CENT = ["mean", "std", "mean_low", "mean_high", "difference", "difference_low", "difference_high"]
_FIRST = ["block", "label", "states", "n_train_worms", "n_neurons", "n_parameters", "evaluation", "n_worms", "n_fits"]
_COLUMNS = [*_FIRST, *_PER_CENT[:4], "against", *_PER_CENT[4:], *_PAIRED[3:5], "p_adjusted", "smallest_p"]
_COLUMNS += ["paper_mean", "paper_std"]


def compare_arms(
    scores: pd.DataFrame, arms: Sequence[Arm], random_state: int = 0
) -> dict[tuple[str, str], list[pd.DataFrame]]:
    """Compare arms worm by worm with what they are compared with.

    Parameters
    ----------
    scores : pandas.DataFrame
        What :func:`~skworm.experiments.arms.run_arms` returned.
    arms : sequence of Arm
        Its arms.
    random_state : int, default=0
        Seed of the intervals.

    Returns
    -------
    dict of (str, str) to list of pandas.DataFrame
        By block and evaluation, a table of :func:`~skworm.model_selection.compare_models` for each reference, indexed
        by label, the reference itself left out. The p are not corrected.
    """
    return {
        (str(block), str(evaluation)): _comparisons(rows, [arm for arm in arms if arm.block == block], random_state)
        for (block, evaluation), rows in scores.groupby(["block", "evaluation"], sort=False)
    }


def table_of_arms(
    scores: pd.DataFrame,
    arms: Sequence[Arm],
    n_parameters: Mapping[str, float],
    compared: Mapping[tuple[str, str], Sequence[pd.DataFrame]],
    random_state: int = 0,
) -> pd.DataFrame:
    """Tabulate accuracy in per cent, worm by worm.

    Parameters
    ----------
    scores : pandas.DataFrame
        What :func:`~skworm.experiments.arms.run_arms` returned.
    arms : sequence of Arm
        Its arms.
    n_parameters : mapping of str to float
        What :func:`~skworm.experiments.arms.count_parameters` returned.
    compared : mapping of (str, str) to sequence of pandas.DataFrame
        What :func:`compare_arms` returned.
    random_state : int, default=0
        Seed of the intervals.

    Returns
    -------
    pandas.DataFrame
        One row a block, evaluation and arm, baselines last. ``mean`` and ``std`` are over worms, each averaged over the
        fits that score it first; ``mean_low`` and ``mean_high`` are the 95 % interval of a bootstrap over worms and,
        within them, fits. ``difference`` to the arm named in ``against``, its interval, ``wins`` and ``p_sign_flip``
        are those of :func:`~skworm.model_selection.compare_models`, and ``p_adjusted`` is Holm's over all comparisons
        of the block on that evaluation.
    """
    known = {arm.name: arm for arm in arms}
    cells = []
    for (block, evaluation), rows in scores.groupby(["block", "evaluation"], sort=False):
        of_block = [arm for arm in arms if arm.block == block]
        tables = [comparison[_PAIRED] for comparison in compared[str(block), str(evaluation)]]
        paired = pd.concat(tables) if tables else pd.DataFrame(columns=_PAIRED)
        if len(paired):
            paired["p_adjusted"] = holm_correction(paired["p_sign_flip"].to_numpy())
        present = set(rows["label"])
        for label in (*(arm.label for arm in of_block), *BASELINES.values()):
            if label not in present:
                continue
            cell: dict[Any, Any] = {"block": block, "label": label, "evaluation": evaluation}
            cell |= _spread(rows[rows["label"] == label], random_state)
            if label in paired.index:
                cell |= paired.loc[label].to_dict()
            arm = known.get(f"{block} | {label}")
            cells.append(cell | _of_arm(arm, of_block[0], str(evaluation), n_parameters))
    table = pd.DataFrame(cells)
    facts = list(dict.fromkeys(key for arm in arms for key in arm.facts))
    table = table.reindex(columns=[*_COLUMNS, *facts])
    table[_PER_CENT] = 100 * table[_PER_CENT].astype(float)
    return table.astype({"wins": "Int64"})


def sentences(compared: Mapping[tuple[str, str], Sequence[pd.DataFrame]]) -> list[str]:
    """Say in a sentence each how arms on unseen worms differ from what they are compared with.

    Parameters
    ----------
    compared : mapping of (str, str) to sequence of pandas.DataFrame
        What :func:`compare_arms` returned. The p of these sentences are not corrected.

    Returns
    -------
    list of str
        One sentence an arm that is compared.
    """
    return [
        f"{block}: {sentence}"
        for (block, evaluation), comparisons in compared.items()
        if evaluation == "unseen_worms"
        for comparison in comparisons
        for sentence in describe_comparison(comparison)
    ]


def texts_of_arms(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Lay the table out for reading, a table of texts a block.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`table_of_arms` returned.

    Returns
    -------
    dict of str to pandas.DataFrame of str
        Rows are arms. A cell is ``mean ± SD [paper] (95 % interval)`` in two lines, and a second one beside it the
        paired difference, its interval, the worms that it wins, and the p of the sign-flip test, before and after
        Holm's correction.
    """
    blocks = {}
    for block, rows in table.groupby("block", sort=False):
        labels = rows["label"].drop_duplicates()
        texts: dict[str, list[str]] = {}
        for evaluation, part in rows.groupby("evaluation", sort=False):
            title = str(evaluation).replace("_", " ")
            by_label = part.set_index("label")
            texts[title] = [_cell(by_label, label) for label in labels]
            if by_label["difference"].notna().any():
                texts[f"difference, {title}"] = [_difference(by_label, label) for label in labels]
        counts = rows.drop_duplicates("label")["n_parameters"]
        texts["parameters"] = ["" if np.isnan(count) else f"{count:.0f}" for count in counts]
        blocks[str(block)] = pd.DataFrame(texts, index=pd.Index(labels, name="model"))
    return blocks


def _comparisons(rows: pd.DataFrame, arms: Sequence[Arm], random_state: int) -> list[pd.DataFrame]:
    """Compare arms with what they are compared with, indexed by label, the reference itself left out."""
    present = set(rows["label"])
    comparisons = []
    for reference in dict.fromkeys(arm.against for arm in arms if arm.against is not None):
        labels = [arm.label for arm in arms if arm.against == reference and arm.label in present]
        compared = rows[rows["label"].isin([*labels, reference])].rename(columns={"label": "model"})
        if not labels or reference not in present or compared["worm"].nunique() < 2:
            continue
        evaluation = compared["evaluation"].iloc[0]
        table = compare_models(
            compared, reference=reference, evaluation=evaluation, correction=None, random_state=random_state
        )
        comparisons.append(table.set_index("model", drop=False).loc[labels])
    return comparisons


def _spread(rows: pd.DataFrame, random_state: int) -> dict[str, Any]:
    means = rows.groupby("worm")["accuracy"].mean()
    n_fits = len(rows.drop_duplicates(["train_worms", "fold"]))
    low, high = interval_over_worms(rows, "accuracy", random_state)
    spread = {"n_worms": len(means), "n_fits": n_fits, "mean": means.mean(), "std": means.std()}
    return spread | {"mean_low": low, "mean_high": high}


def _of_arm(arm: Arm | None, beside: Arm, evaluation: str, n_parameters: Mapping[str, float]) -> dict[str, Any]:
    if arm is None:
        # A baseline looks at no neuron.
        return {"states": beside.states, "n_train_worms": beside.n_train_worms, "n_neurons": 0}
    of_arm = {"states": arm.states, "n_train_worms": arm.n_train_worms, "n_neurons": len(arm.neurons)}
    role = evaluation if evaluation in ("held_out_windows", "unseen_worms") else "external"
    mean, std = arm.paper.get(role, (None, None))
    return of_arm | {
        "n_parameters": n_parameters[arm.name],
        "against": arm.against,
        "paper_mean": mean,
        "paper_std": std,
        **arm.facts,
    }


def _cell(by_label: pd.DataFrame, label: str) -> str:
    if label not in by_label.index:
        return "–"
    row: dict[Any, Any] = by_label.loc[label].to_dict()
    paper = ""
    if pd.notna(row["paper_mean"]):
        paper = f"{row['paper_mean']:g}" + (f" ± {row['paper_std']:g}" if pd.notna(row["paper_std"]) else "")
    return score_text(row["mean"], row["std"], row["mean_low"], row["mean_high"], paper)


def _difference(by_label: pd.DataFrame, label: str) -> str:
    row: dict[Any, Any] = by_label.loc[label].to_dict() if label in by_label.index else {}
    if pd.isna(row.get("difference", np.nan)):
        return ""
    return (
        f"{row['difference']:+.1f} ({row['difference_low']:+.1f} to {row['difference_high']:+.1f})\n"
        f"{row['wins']}/{row['n_worms']} worms, p {row['p_sign_flip']:.2g} (Holm {row['p_adjusted']:.2g})"
    )
