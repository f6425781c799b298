"""Comparison of cross-validated models, worm by worm: intervals, tests, and the table of differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats


class Metric(NamedTuple):
    """A metric that models are compared by: its column in a table of scores, and what people call it and how."""

    name: str
    label: str
    lower_is_better: bool = False
    percent: bool = False


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric("accuracy", "Accuracy", percent=True),
            Metric("balanced_accuracy", "Balanced accuracy", percent=True),
            Metric("macro_f1", "Macro F1", percent=True),
            Metric("r2", "R²"),
            Metric("correlation", "Correlation"),
            Metric("rmse", "RMSE", lower_is_better=True),
            Metric("mse", "MSE", lower_is_better=True),
        )
    }
)
"""The metrics of states, behaviour and trajectories by name, the one that models are compared by first in each task."""


def metric_of(name: str) -> Metric:
    """Return the metric of a column; ``"mse_trace"`` is the MSE of the trace alone."""
    base, _, part = name.partition("_")
    if name in METRICS:
        return METRICS[name]
    if base in METRICS and part:
        return METRICS[base]._replace(name=name, label=f"{METRICS[base].label}, {part.replace('_', ' ')}")
    raise ValueError(f"there is no metric {name!r}; choose one of {', '.join(METRICS)}")


def sign_flip_test(differences: np.ndarray, *, n_resamples: int = 10_000, random_state: int = 0) -> float:
    """Test by sign flips whether paired differences of worms are symmetric about zero; return the two-sided p.

    If the two models are exchangeable on each worm, every difference could as well have had the other sign. All
    patterns of signs are tried where there are at most `n_resamples`, so that the test is exact (13 worms with the
    default); beyond, as many random ones. See Fisher 1935, "The Design of Experiments", section 21, and Phipson & Smyth
    2010 for random patterns.
    """
    values = np.asarray(differences, dtype=float)
    scale = np.abs(values).sum()
    values = values / scale if scale > 0 else values

    def total(flipped: np.ndarray, axis: int) -> np.ndarray:
        # Sums that differ by rounding alone count as equal.
        return np.round(flipped.sum(axis=axis), 9)

    test = stats.permutation_test(
        (values,), total, permutation_type="samples", n_resamples=n_resamples, random_state=random_state
    )
    return float(test.pvalue)


def smallest_sign_flip_p(n_worms: int, *, n_resamples: int = 10_000) -> float:
    """Return the smallest p that :func:`sign_flip_test` can reach with this number of worms."""
    return 2 / 2**n_worms if 2**n_worms <= n_resamples else 2 / (n_resamples + 1)


def holm_correction(p: np.ndarray) -> np.ndarray:
    """Correct the p of several tests, so that the chance of any false rejection stays below the level (Holm 1979)."""
    values = np.asarray(p, dtype=float)
    order = np.argsort(values)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(1, np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)))
    return corrected


def bootstrap_over_worms(scores: Sequence[np.ndarray], *, n_resamples: int, rng: np.random.RandomState) -> np.ndarray:
    """Resample worms, then the fits within each drawn worm, and take the mean over worms each time.

    `scores` has an array (n_fits, n_columns) for each worm, whose columns are models or metrics; draws are the same for
    all columns. Returns the means, (n_resamples, n_columns). See Saravanan, Berman & Sober 2020, "Application of the
    hierarchical bootstrap to multi-level data in neuroscience".
    """
    n_worms, n_columns = len(scores), scores[0].shape[1]
    drawn = rng.randint(n_worms, size=(n_resamples, n_worms))
    means = np.empty((n_resamples, n_worms, n_columns))
    for worm, of_worm in enumerate(scores):
        places = drawn == worm
        n_fits = len(of_worm)
        fits = rng.randint(n_fits, size=(places.sum(), n_fits))
        # How often each fit was drawn: the mean of all columns is then one product.
        cells = (np.arange(len(fits))[:, None] * n_fits + fits).ravel()
        times = np.bincount(cells, minlength=len(fits) * n_fits).reshape(len(fits), n_fits)
        means[places] = times @ of_worm / n_fits
    return means.mean(axis=1)


def check_resamples(n_resamples: int) -> None:
    """Raise a ValueError unless there are enough resamples for the ends of a 95 % interval."""
    if not isinstance(n_resamples, Integral) or n_resamples < 100:
        raise ValueError(f"n_resamples={n_resamples!r} must be an integer of at least 100")


def interval(means: ArrayLike) -> tuple[float, float]:
    """Return the ends of the 95 % interval of resampled means."""
    low, high = np.quantile(np.asarray(means), [0.025, 0.975])
    return float(low), float(high)


_ROUNDING = 1e-12
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
    n_resamples: int,
    random_state: int,
) -> pd.DataFrame:
    """Compare the models of one part of a table of scores; see :meth:`skworm.model_selection.WormScores.compare`."""
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
    # What rounding alone makes of equal scores is no difference.
    differences = differences.where(differences.abs() > _ROUNDING * by_worm.abs().to_numpy().max(), 0.0)

    compared = []
    for model in models:
        low, high = interval(means[model])
        row = {"model": model, "mean": by_worm[model].mean(), "mean_low": low, "mean_high": high}
        if model != reference:
            own = differences[model].to_numpy()
            row["difference"] = own.mean()
            row["wins"] = int((sign * own > 0).sum())
            row["p_sign_flip"] = sign_flip_test(own, n_resamples=int(n_resamples), random_state=seed)
            row["difference_low"], row["difference_high"] = interval(means[model] - means[reference])
        compared.append(row)
    table = pd.DataFrame(compared)
    others = table["model"] != reference
    table.loc[others, "p_adjusted"] = holm_correction(table.loc[others, "p_sign_flip"].to_numpy())
    table["wins"] = table["wins"].astype("Int64")
    table = table.assign(
        reference=reference,
        evaluation=evaluation,
        metric=metric.name,
        n_worms=len(by_worm),
        n_fits=len(scores.groupby(level=FIT)),
        smallest_p=smallest_sign_flip_p(len(by_worm), n_resamples=int(n_resamples)),
    )
    return table[_COLUMNS]


_COLUMNS = [
    *("model", "reference", "evaluation", "metric", "n_worms", "n_fits", "mean", "mean_low", "mean_high"),
    *("difference", "difference_low", "difference_high", "wins"),
    *("p_sign_flip", "p_adjusted", "smallest_p"),
]


def describe_comparison(table: pd.DataFrame) -> list[str]:
    """Describe in one sentence for each model how it differs from the reference.

    Parameters
    ----------
    table : pandas.DataFrame
        What :meth:`WormScores.compare` returned, or some of its rows.

    Returns
    -------
    list of str
        One sentence for each row but that of the reference, in the same order.

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
    return [_sentence(row) for row in table.to_dict("records") if row["model"] != row["reference"]]


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
        f"(95 % interval {_short(row['mean_low'])} to {_short(row['mean_high'])}; mean of {n_worms} worms), "
        f"differs from {row['reference']} by {_short(row['difference'])} ({_short(row['difference_low'])} to "
        f"{_short(row['difference_high'])}), and is better on {row['wins']} of {n_worms} worms: sign-flip p = "
        f"{row['p_sign_flip']:.3g}, {row['p_adjusted']:.3g} after Holm's correction, where {n_worms} worms allow no p "
        f"below {row['smallest_p']:.3g}"
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
    for model in models:
        lacking = scores.index[scores[model].isna()]
        if len(lacking):
            worm, train_worms, fold = lacking[0]
            raise ValueError(
                f"model {model!r} lacks {len(lacking)} scores that other models have, first on worm {worm!r} with "
                f"training worms {', '.join(train_worms)}, fold {fold}; run all models on the same splits and worms"
            )
