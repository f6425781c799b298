"""Comparison of cross-validated models, worm by worm."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from skworm.model_selection.paired_tests import (
    bootstrap_over_worms,
    corrected_resampled_t_test,
    holm_correction,
    sample_deviation,
    sign_flip_test,
    smallest_sign_flip_p,
)

_FIT = ["train_worms", "fold"]
_KEYS = ["model", *_FIT, "evaluation", "worm"]
_NO_SCORES = {*_KEYS, "step", "n_frames", "n_trajectories", "n_transition", "fit_seconds"}
_CORRECTIONS = ("holm", None)
_INTERVAL = [0.025, 0.975]
_LEVEL = 0.05
_FEW_WORMS = 10


def compare_models(
    results: pd.DataFrame,
    *,
    reference: str | None = None,
    evaluation: str = "unseen_worms",
    score: str = "accuracy",
    n_resamples: int = 10_000,
    correction: str | None = "holm",
    random_state: Any = None,
) -> pd.DataFrame:
    """Compare models with one of them, with the worm as the unit.

    The score of a worm is the mean over the fits that score it. Fits are no independent samples, so a hundred of them
    on five worms are worth five numbers.

    Parameters
    ----------
    results : pandas.DataFrame
        The table of :func:`cross_validate_worms`, the rows of one step of that of
        :func:`cross_validate_trajectories`, ``results[results["step"] == 8]``, or the rows of one signal of that of
        :func:`cross_validate_behavior`. All models must have the same fits.
    reference : str, optional
        The model that all others are compared with; by default the one with the best mean. The best of many owes part
        of its lead to luck, so name the reference before you look where the p matters.
    evaluation : str, default="unseen_worms"
        Which evaluation to compare on.
    score : str, default="accuracy"
        Column to compare. Less is better where the name begins with ``"mse"`` or ``"rmse"``, more is better elsewhere.
    n_resamples : int, default=10_000
        Bootstrap resamples, and random sign flips with more than 20 worms.
    correction : {"holm", None}, default="holm"
        Correction of the p for the number of models compared with the reference.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same intervals in every call.

    Returns
    -------
    pandas.DataFrame
        One row a model, the best mean first. Columns:

        - ``model``, ``reference``, ``evaluation``, ``score``; ``n_worms``, ``n_fits``;
        - ``mean`` over worms; ``mean_low`` and ``mean_high``, its 95 % interval;
        - ``difference``, the mean over worms of model minus reference; ``difference_low`` and ``difference_high``, its
          95 % interval; ``cohens_d``, the difference over its standard deviation over worms, NaN where that is 0;
          ``wins``, the worms on which the model is better;
        - ``p_sign_flip``, two-sided, exact up to 20 worms; ``p_adjusted``, the same after ``correction``;
          ``smallest_p``, below which no result on so many worms can bring ``p_sign_flip``;
        - ``p_corrected_t``, the corrected resampled t-test over fits. It needs the sizes of test and training sets,
          and is NaN where the table does not tell them: it takes ``n_frames`` of all evaluated worms, and of the folds
          that are not held out. Frames that a gap left out count as training there.

        What compares with the reference is missing in the row of the reference itself.

    Raises
    ------
    ValueError
        If columns, the evaluation or the reference are not in the table, there are fewer than two models or worms, a
        model lacks worms or fits that another one has, a fit scores a worm in several rows, or scores are missing.

    See Also
    --------
    describe_comparison : The table in sentences.

    Notes
    -----
    Intervals are percentiles of a bootstrap that draws worms, then fits within each drawn worm. From few worms they are
    too narrow: with normal scores, a nominal 95 % from 5 worms holds the truth about 85 % of the time, from 8 worms
    89 %, from 20 worms 93 %. Five worms can never bring the sign-flip test below 1/16.

    On unseen worms, the worms also train one another's models, and a fit that is good for one worm is often good for
    all: the worms are then no independent samples. In simulations of equal models that depend on the training worm as
    much as on the scored one, the sign-flip test rejected at .05 in 13 to 17 % of cases with 8 and 20 worms, and the
    interval left out 0 in 18 to 25 %. The corrected t-test, whose test sets are larger than its training sets there,
    never rejected: it errs on the other side. Read a small p as a hint that new worms have to confirm.

    References
    ----------
    Nadeau & Bengio 2003, "Inference for the generalization error", section 3, for the corrected t-test; Holm 1979;
    Saravanan, Berman & Sober 2020 for the hierarchical bootstrap.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.model_selection import compare_models
    >>> worms = ["worm-a", "worm-b", "worm-c", "worm-d", "worm-e"]
    >>> gnn = pd.DataFrame({"model": "gnn", "worm": worms, "accuracy": [0.9, 0.8, 0.95, 0.85, 0.9]})
    >>> svm = pd.DataFrame({"model": "svm", "worm": worms, "accuracy": [0.8, 0.7, 0.9, 0.8, 0.7]})
    >>> results = pd.concat([gnn, svm]).assign(train_worms="worm-f", fold=0, evaluation="unseen_worms")
    >>> table = compare_models(results, reference="svm", random_state=0)
    >>> table[["model", "mean", "difference", "wins", "p_sign_flip", "smallest_p"]].round(4)
      model  mean  difference  wins  p_sign_flip  smallest_p
    0   gnn  0.88         0.1     5       0.0625      0.0625
    1   svm  0.78         NaN  <NA>          NaN      0.0625
    """
    if correction not in _CORRECTIONS:
        raise ValueError(f"correction={correction!r} must be one of {_CORRECTIONS}")
    if not isinstance(n_resamples, Integral) or n_resamples < 100:
        raise ValueError(f"n_resamples={n_resamples!r} must be a whole number of at least 100")
    scores = _paired_scores(results, evaluation, score)
    by_worm = scores.groupby(level="worm").mean()
    sign = -1 if score.startswith(("mse", "rmse")) else 1
    # Names are in alphabetical order before, and the sort keeps it among equals.
    models = list((sign * by_worm.mean()).sort_values(ascending=False, kind="stable").index)
    if reference is None:
        reference = models[0]
    if reference not in models:
        raise ValueError(f"reference={reference!r} is not among the models {models}; choose one of them")

    rng = check_random_state(random_state)
    seed = int(rng.randint(2**31 - 1))
    worms = [of_worm.to_numpy() for _, of_worm in scores[models].groupby(level="worm")]
    means = pd.DataFrame(bootstrap_over_worms(worms, n_resamples=int(n_resamples), rng=rng), columns=models)
    differences = by_worm.sub(by_worm[reference], axis=0)
    ratio = _test_to_train(results[results["evaluation"] == evaluation], results)
    of_fits = scores.groupby(level=_FIT).mean()

    rows = []
    for model in models:
        low, high = np.quantile(means[model], _INTERVAL)
        row = {"model": model, "mean": by_worm[model].mean(), "mean_low": low, "mean_high": high}
        if model != reference:
            row |= _paired(differences[model].to_numpy(), sign, int(n_resamples), seed)
            low, high = np.quantile(means[model] - means[reference], _INTERVAL)
            row |= {"difference_low": low, "difference_high": high}
            row["p_corrected_t"] = corrected_resampled_t_test((of_fits[model] - of_fits[reference]).to_numpy(), ratio)
        rows.append(row)
    table = pd.DataFrame(rows)
    compared = table["model"] != reference
    p = table.loc[compared, "p_sign_flip"].to_numpy()
    table.loc[compared, "p_adjusted"] = holm_correction(p) if correction == "holm" else p
    table["wins"] = table["wins"].astype("Int64")
    smallest = smallest_sign_flip_p(len(by_worm), n_resamples=int(n_resamples))
    table = table.assign(
        reference=reference,
        evaluation=evaluation,
        score=score,
        correction=correction or "none",
        n_worms=len(by_worm),
        n_fits=len(of_fits),
        smallest_p=smallest,
    )
    return table[_COLUMNS]


_COLUMNS = [
    *("model", "reference", "evaluation", "score", "n_worms", "n_fits", "mean", "mean_low", "mean_high"),
    *("difference", "difference_low", "difference_high", "cohens_d", "wins"),
    *("p_sign_flip", "correction", "p_adjusted", "smallest_p", "p_corrected_t"),
]


def describe_comparison(table: pd.DataFrame) -> list[str]:
    """Say in one sentence a model what a comparison shows.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`compare_models` returned, or some of its rows.

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
    >>> from skworm.model_selection import compare_models, describe_comparison
    >>> worms = ["worm-a", "worm-b", "worm-c", "worm-d", "worm-e"]
    >>> gnn = pd.DataFrame({"model": "gnn", "worm": worms, "accuracy": [0.9, 0.8, 0.95, 0.85, 0.9]})
    >>> svm = pd.DataFrame({"model": "svm", "worm": worms, "accuracy": [0.8, 0.7, 0.9, 0.8, 0.7]})
    >>> results = pd.concat([gnn, svm]).assign(train_worms="worm-f", fold=0, evaluation="unseen_worms")
    >>> table = compare_models(results, reference="svm", random_state=0)
    >>> describe_comparison(table)[0]
    "gnn has an accuracy of 0.880 on unseen worms (95 % interval ... to ...; mean of 5 worms), differs from svm
     by 0.100 (... to ...), and is better on 5 of 5 worms: sign-flip p = 0.0625, 0.0625 after Holm's correction, where 5
     worms allow no p below 0.0625, so that this test cannot reject at 0.05; intervals from 5 worms are too narrow."
    """
    missing = [name for name in _COLUMNS if name not in table]
    if missing:
        raise ValueError(f"table lacks the columns {missing}; pass what compare_models returned")
    return [_sentence(row) for row in table.to_dict("records")]


def _sentence(row: dict[Any, Any]) -> str:
    n_worms, noun = row["n_worms"], str(row["score"]).replace("_", " ")
    article = "an" if noun[0] in "aeiou" or noun.startswith("mse") else "a"
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
        if row["smallest_p"] > _LEVEL:
            sentence += f", so that this test cannot reject at {_LEVEL}"
    if n_worms < _FEW_WORMS:
        sentence += f"; intervals from {n_worms} worms are too narrow"
    return sentence + "."


def _short(value: float) -> str:
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.1 else f"{value:.3g}"


def _paired(differences: np.ndarray, sign: int, n_resamples: int, seed: int) -> dict[str, float]:
    deviation = sample_deviation(differences)
    return {
        "difference": differences.mean(),
        "cohens_d": differences.mean() / deviation if deviation > 0 else np.nan,
        "wins": int((sign * differences > 0).sum()),
        "p_sign_flip": sign_flip_test(differences, n_resamples=n_resamples, seed=seed),
    }


def _paired_scores(results: pd.DataFrame, evaluation: str, score: str) -> pd.DataFrame:
    """Give the scores with a row for each worm and fit, and a column for each model."""
    rows = _rows_of(results, evaluation, score)
    _check_rows(rows, score)
    scores = rows.pivot(index=["worm", *_FIT], columns="model", values=score).astype(float)
    _check_models(scores)
    if scores.index.get_level_values("worm").nunique() < 2:
        raise ValueError(
            f"evaluation {evaluation!r} scores only the worm {scores.index[0][0]!r}; a comparison needs at least two "
            "worms, and six before the sign-flip test can reject at 0.05"
        )
    return scores


def _rows_of(results: pd.DataFrame, evaluation: str, score: str) -> pd.DataFrame:
    missing = [name for name in _KEYS if name not in getattr(results, "columns", ())]
    if missing:
        raise ValueError(
            f"results lacks the columns {missing}; pass the table of cross_validate_worms, or of "
            "cross_validate_trajectories"
        )
    known = [
        name
        for name in results.select_dtypes("number").columns
        if name not in _NO_SCORES and not str(name).startswith("persistence_")
    ]
    if score not in known:
        raise ValueError(f"score={score!r} is not among the scores {known} of results; choose one of them")
    empty = [name for name in _KEYS if results[name].isna().any()]
    if empty:
        raise ValueError(f"results has missing values in the columns {empty}; leave these rows out, or fill them in")
    rows = results[results["evaluation"] == evaluation]
    if rows.empty:
        found = sorted(map(str, results["evaluation"].unique()))
        raise ValueError(f"evaluation={evaluation!r} is not among those of results, {found}; choose one of them")
    return rows


def _check_rows(rows: pd.DataFrame, score: str) -> None:
    repeated = rows[rows.duplicated(_KEYS)]
    if len(repeated):
        several = "step" in rows and rows["step"].nunique() > 1
        mend = "choose one step, results[results['step'] == 1]" if several else "drop the rows that repeat others"
        raise ValueError(f"results scores {_place(repeated.iloc[0])} in several rows; {mend}")
    without = rows[~np.isfinite(rows[score])]
    if len(without):
        raise ValueError(
            f"{score} is {without[score].iloc[0]} in {len(without)} rows, first for {_place(without.iloc[0])}; leave "
            "such worms or fits out for all models"
        )


def _place(row: pd.Series) -> str:
    model, worm, train_worms = (str(row[name]) for name in ("model", "worm", "train_worms"))
    return f"model {model!r}, worm {worm!r}, training worms {train_worms!r}, fold {row['fold']}"


def _check_models(scores: pd.DataFrame) -> None:
    models = list(scores.columns)
    if len(models) < 2:
        raise ValueError(f"results has only the model {models[0]!r}; a comparison needs two")
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
                f"training worms {train_worms!r}, fold {fold}; run all models on the same splits"
            )


def _test_to_train(rows: pd.DataFrame, results: pd.DataFrame) -> float:
    """Estimate the ratio of test to training frames of a fit; NaN where the table does not tell both."""
    if "n_frames" not in results:
        return np.nan
    first = results["model"] == rows["model"].iloc[0]
    held_out = results[first & (results["evaluation"] == "held_out_windows")].groupby(_FIT)["n_frames"].sum()
    tested = rows[rows["model"] == rows["model"].iloc[0]].groupby(_FIT)["n_frames"].sum()
    trained = (held_out.groupby(level="train_worms").transform("sum") - held_out).reindex(tested.index)
    return float((tested / trained.where(trained > 0)).mean(skipna=False))
