"""Intervals over worms, the same in every table."""

from __future__ import annotations

import numpy as np
import pandas as pd

from skworm.model_selection.paired_tests import bootstrap_over_worms

_N_RESAMPLES = 10_000
_INTERVAL = [0.025, 0.975]


def interval_over_worms(rows: pd.DataFrame, column: str, random_state: int = 0) -> tuple[float, float]:
    """Give the 95 % interval of the mean over worms.

    Parameters
    ----------
    rows : pandas.DataFrame
        Scores of one model, a row a worm and fit; columns ``worm`` and `column`.
    column : str
        The score.
    random_state : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    low, high : float
        Percentiles of a bootstrap that draws worms, then fits within each drawn worm; NaN for fewer than two worms.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.experiments.intervals import interval_over_worms
    >>> low, high = interval_over_worms(pd.DataFrame({"worm": list("abc"), "accuracy": [0.7, 0.8, 0.9]}), "accuracy")
    >>> round(low, 2), round(high, 2)
    (0.7, 0.9)
    """
    means = _resampled(rows, [column], random_state)
    return (float("nan"), float("nan")) if means is None else _ends(means[:, 0])


def skill_interval_over_worms(rows: pd.DataFrame, error: str = "mse", random_state: int = 0) -> tuple[float, float]:
    """Give the 95 % interval of the skill 1 - MSE / MSE of persistence, of mean errors over worms.

    Parameters
    ----------
    rows : pandas.DataFrame
        Errors of one model at one step, a row a worm and fit; columns ``worm``, `error` and ``persistence_`` + `error`.
    error : str, default="mse"
        The error.
    random_state : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    low, high : float
        Percentiles of a bootstrap that draws worms, then fits within each drawn worm, both errors together; NaN for
        fewer than two worms.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.experiments.intervals import skill_interval_over_worms
    >>> rows = pd.DataFrame({"worm": list("abc"), "mse": [1.0, 2.0, 3.0], "persistence_mse": [4.0, 4.0, 4.0]})
    >>> skill_interval_over_worms(rows)
    (0.25, 0.75)
    """
    means = _resampled(rows, [error, f"persistence_{error}"], random_state)
    return (float("nan"), float("nan")) if means is None else _ends(1 - means[:, 0] / means[:, 1])


def _resampled(rows: pd.DataFrame, columns: list[str], random_state: int) -> np.ndarray | None:
    values = [of_worm[columns].to_numpy() for _, of_worm in rows.dropna(subset=columns).groupby("worm")]
    if len(values) < 2:
        return None
    return bootstrap_over_worms(values, n_resamples=_N_RESAMPLES, rng=np.random.RandomState(random_state))


def _ends(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, _INTERVAL)
    return float(low), float(high)
