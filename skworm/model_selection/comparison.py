"""Comparison of cross-validated models, worm by worm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from skworm.metrics.registry import Metric, metric_of
from skworm.model_selection.stats import (
    bootstrap_over_worms,
    check_resamples,
    corrected_resampled_t_test,
    holm_correction,
    interval,
    sample_deviation,
    sign_flip_test,
    smallest_sign_flip_p,
)

LEVEL = 0.05
"""The level at which people call a difference significant."""

FEW_WORMS = 10
"""Intervals from fewer worms are said to be too narrow."""

FIT = ["train_worms", "fold"]
KEYS = ["model", *FIT, "evaluation", "worm"]


def compare_models(
    rows: pd.DataFrame,
    *,
    reference: str | None,
    evaluation: str,
    metric: Metric,
    correction: str | None,
    n_resamples: int,
    random_state: int,
) -> pd.DataFrame:
    """Compare the models of one part of a table of scores; see :meth:`skworm.model_selection.WormScores.compare`."""
    if correction not in ("holm", None):
        raise ValueError(f"correction={correction!r} must be one of ('holm', None)")
    check_resamples(n_resamples)
    scores = _paired_scores(rows[rows["evaluation"] == evaluation], metric.name)
    by_worm = scores.groupby(level="worm").mean()
    sign = -1 if metric.lower_is_better else 1
    # Names are in alphabetical order before, and the sort keeps it among equals.
    models = list((sign * by_worm.mean()).sort_values(ascending=False, kind="stable").index)
    reference = models[0] if reference is None else reference
    if reference not in models:
        raise ValueError(f"reference={reference!r} has no scores on {evaluation}; choose one of {', '.join(models)}")

    rng = np.random.RandomState(random_state)
    seed = int(rng.randint(2**31 - 1))
    worms = [of_worm.to_numpy() for _, of_worm in scores[models].groupby(level="worm")]
    means = pd.DataFrame(bootstrap_over_worms(worms, n_resamples=int(n_resamples), rng=rng), columns=models)
    differences = by_worm.sub(by_worm[reference], axis=0)
    ratio = _test_to_train(rows, evaluation)
    of_fits = scores.groupby(level=FIT).mean()

    compared = []
    for model in models:
        low, high = interval(means[model])
        row = {"model": model, "mean": by_worm[model].mean(), "mean_low": low, "mean_high": high}
        if model != reference:
            own = differences[model].to_numpy()
            deviation = sample_deviation(own)
            row["difference"] = own.mean()
            row["cohens_d"] = own.mean() / deviation if deviation > 0 else np.nan
            row["wins"] = int((sign * own > 0).sum())
            row["p_sign_flip"] = sign_flip_test(own, n_resamples=int(n_resamples), random_state=seed)
            row["difference_low"], row["difference_high"] = interval(means[model] - means[reference])
            row["p_corrected_t"] = corrected_resampled_t_test((of_fits[model] - of_fits[reference]).to_numpy(), ratio)
        compared.append(row)
    table = pd.DataFrame(compared)
    others = table["model"] != reference
    p = table.loc[others, "p_sign_flip"].to_numpy()
    table.loc[others, "p_adjusted"] = holm_correction(p) if correction == "holm" else p
    table["wins"] = table["wins"].astype("Int64")
    table = table.assign(
        reference=reference,
        evaluation=evaluation,
        metric=metric.name,
        correction=correction or "none",
        n_worms=len(by_worm),
        n_fits=len(of_fits),
        smallest_p=smallest_sign_flip_p(len(by_worm), n_resamples=int(n_resamples)),
    )
    return table[_COLUMNS]


_COLUMNS = [
    *("model", "reference", "evaluation", "metric", "n_worms", "n_fits", "mean", "mean_low", "mean_high"),
    *("difference", "difference_low", "difference_high", "cohens_d", "wins"),
    *("p_sign_flip", "correction", "p_adjusted", "smallest_p", "p_corrected_t"),
]


def describe_comparison(table: pd.DataFrame) -> list[str]:
    """Describe in one sentence a model what a comparison shows.

    Parameters
    ----------
    table : pandas.DataFrame
        What :meth:`WormScores.compare` returned, or some of its rows.

    Returns
    -------
    list of str
        One sentence a row, in the same order.

    Raises
    ------
    ValueError
        If columns of the table are missing.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.model_selection import WormScores, describe_comparison
    >>> worms = ["worm-a", "worm-b", "worm-c", "worm-d", "worm-e"]
    >>> gnn = pd.DataFrame({"model": "gnn", "worm": worms, "accuracy": [0.9, 0.8, 0.95, 0.85, 0.9]})
    >>> svm = pd.DataFrame({"model": "svm", "worm": worms, "accuracy": [0.8, 0.7, 0.9, 0.8, 0.7]})
    >>> table = pd.concat([gnn, svm]).assign(train_worms=[("worm-f",)] * 10, fold=0, evaluation="unseen_worms")
    >>> describe_comparison(WormScores(table).compare("svm"))[0]
    "gnn has an accuracy of 0.880 on unseen worms (95 % interval ... to ...; mean of 5 worms), differs from svm
     by 0.100 (... to ...), and is better on 5 of 5 worms: sign-flip p = 0.0625, 0.0625 after Holm's correction, where 5
     worms allow no p below 0.0625, so that this test cannot reject at 0.05; intervals from 5 worms are too narrow."
    """
    missing = [name for name in _COLUMNS if name not in table]
    if missing:
        raise ValueError(f"table lacks the columns {missing}; pass what WormScores.compare returned")
    return [_sentence(row) for row in table.to_dict("records")]


def few_worms_notes(n_worms: int, where: str = "") -> list[str]:
    """Return what so few worms cannot show, in sentences; none where they are many."""
    place = f" ({where})" if where else ""
    if n_worms < 2:
        return [f"A single worm is scored{place}: nothing can be said about others."]
    notes = []
    smallest = smallest_sign_flip_p(n_worms)
    if smallest > LEVEL:
        notes.append(
            f"{n_worms} worms are scored{place}: no sign-flip test across them can give a p below {smallest:.3g}, so "
            f"no difference there can be significant at {LEVEL}."
        )
    if n_worms < FEW_WORMS:
        notes.append(f"Intervals from {n_worms} worms{place} are too narrow.")
    return notes


def _sentence(row: dict[Any, Any]) -> str:
    n_worms, label = row["n_worms"], metric_of(row["metric"]).label
    noun = label if label[:2].isupper() or label == "R²" else label[0].lower() + label[1:]
    article = "an" if noun[0] in "aeiouMR" else "a"
    sentence = (
        f"{row['model']} has {article} {noun} of {_short(row['mean'])} on {str(row['evaluation']).replace('_', ' ')} "
        f"(95 % interval {_short(row['mean_low'])} to {_short(row['mean_high'])}; mean of {n_worms} worms)"
    )
    if row["model"] == row["reference"]:
        sentence += ", and is the reference"
    else:
        corrected = f", {row['p_adjusted']:.3g} after Holm's correction" if row["correction"] == "holm" else ""
        sentence += (
            f", differs from {row['reference']} by {_short(row['difference'])} ({_short(row['difference_low'])} to "
            f"{_short(row['difference_high'])}), and is better on {row['wins']} of {n_worms} worms: sign-flip p = "
            f"{row['p_sign_flip']:.3g}{corrected}, where {n_worms} worms allow no p below {row['smallest_p']:.3g}"
        )
        if row["smallest_p"] > LEVEL:
            sentence += f", so that this test cannot reject at {LEVEL}"
    if n_worms < FEW_WORMS:
        sentence += f"; intervals from {n_worms} worms are too narrow"
    return sentence + "."


def _short(value: float) -> str:
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.1 else f"{value:.3g}"


def _paired_scores(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the scores with a row for each worm and fit, and a column for each model."""
    _check_rows(rows, metric)
    scores = rows.pivot(index=["worm", *FIT], columns="model", values=metric).astype(float)
    _check_models(scores)
    if scores.index.get_level_values("worm").nunique() < 2:
        raise ValueError(
            f"evaluation {rows['evaluation'].iloc[0]!r} scores only the worm {scores.index[0][0]!r}; a comparison "
            "needs at least two worms, and six before the sign-flip test can reject at 0.05"
        )
    return scores


def _check_rows(rows: pd.DataFrame, metric: str) -> None:
    if rows.empty:
        raise ValueError("no frame was scored in this evaluation; choose another one")
    empty = [name for name in KEYS if rows[name].isna().any()]
    if empty:
        raise ValueError(
            f"the scores have missing values in the columns {empty}; leave these rows out, or fill them in"
        )
    repeated = rows[rows.duplicated(KEYS)]
    if len(repeated):
        raise ValueError(f"{_place(repeated.iloc[0])} is scored in several rows; drop the rows that repeat others")
    without = rows[~np.isfinite(rows[metric])]
    if len(without):
        raise ValueError(
            f"{metric} is {without[metric].iloc[0]} in {len(without)} rows, first for {_place(without.iloc[0])}; leave "
            "such worms or fits out for all models"
        )


def _place(row: pd.Series) -> str:
    return (
        f"model {str(row['model'])!r}, worm {str(row['worm'])!r}, training worms {', '.join(row['train_worms'])}, fold "
        f"{row['fold']}"
    )


def _check_models(scores: pd.DataFrame) -> None:
    models = list(scores.columns)
    if len(models) < 2:
        raise ValueError(f"the scores have only the model {models[0]!r}; a comparison needs two")
    has_worm = scores.notna().groupby(level="worm").any()
    for model in models:
        lacks = list(has_worm.index[~has_worm[model]])
        if lacks:
            other = next(name for name in models if has_worm.loc[lacks[0], name])
            raise ValueError(
                f"model {model!r} has no scores on the worms {lacks}, which {other!r} has; score all models on the "
                "same worms, or leave these worms out for all"
            )
        fits = scores.index[scores[model].isna()]
        if len(fits):
            worm, train_worms, fold = fits[0]
            raise ValueError(
                f"model {model!r} lacks {len(fits)} scores that other models have, first on worm {worm!r} with "
                f"training worms {', '.join(train_worms)}, fold {fold}; run all models on the same splits"
            )


def _test_to_train(rows: pd.DataFrame, evaluation: str) -> float:
    """Estimate the ratio of test to training frames of a fit; NaN where the table does not have both."""
    if "n_frames" not in rows:
        return np.nan
    of_model = rows[rows["model"] == rows.loc[rows["evaluation"] == evaluation, "model"].iloc[0]]
    held_out = of_model[of_model["evaluation"] == "held_out_windows"].groupby(FIT)["n_frames"].sum()
    tested = of_model[of_model["evaluation"] == evaluation].groupby(FIT)["n_frames"].sum()
    trained = (held_out.groupby(level="train_worms").transform("sum") - held_out).reindex(tested.index)
    return float((tested / trained.where(trained > 0)).mean(skipna=False))
