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
    low, high = intervals_over_worms(rows, [column], random_state)
    return float(low[0]), float(high[0])


def intervals_over_worms(
    rows: pd.DataFrame, columns: list[str], random_state: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Give the 95 % intervals of several means over worms, all from the same draws.

    Parameters
    ----------
    rows : pandas.DataFrame
        Scores of one model, a row a worm and fit; columns ``worm`` and `columns`.
    columns : list of str
        The scores.
    random_state : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    low, high : numpy.ndarray of shape (n_columns,)
        Those of :func:`interval_over_worms`, of rows in which no score is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.experiments.intervals import intervals_over_worms
    >>> rows = pd.DataFrame({"worm": list("abc"), "forward": [70.0, 80.0, 90.0], "reverse": [30.0, 20.0, 10.0]})
    >>> low, high = intervals_over_worms(rows, ["forward", "reverse"])
    >>> low.round(1).tolist(), high.round(1).tolist()
    ([70.0, 10.0], [90.0, 30.0])
    """
    means = _resampled(rows, columns, random_state)
    if means is None:
        return np.full(len(columns), np.nan), np.full(len(columns), np.nan)
    low, high = np.quantile(means, _INTERVAL, axis=0)
    return low, high


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
    if means is None:
        return float("nan"), float("nan")
    low, high = np.quantile(1 - means[:, 0] / means[:, 1], _INTERVAL)
    return float(low), float(high)


def error_intervals(rows: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the 95 % intervals of errors and skill by model and step.

    Parameters
    ----------
    rows : pandas.DataFrame
        Errors, a row a model, step, worm and fit; columns ``model``, ``step``, ``worm``, ``mse`` and
        ``persistence_mse``.

    Returns
    -------
    pandas.DataFrame
        One row a model and step, with ``mse_low`` and ``mse_high`` of :func:`interval_over_worms`, and ``skill_low``
        and ``skill_high`` of :func:`skill_interval_over_worms`.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.experiments.intervals import error_intervals
    >>> rows = pd.DataFrame({"worm": list("abc"), "mse": [1.0, 2.0, 3.0], "persistence_mse": 4.0})
    >>> error_intervals(rows.assign(model="linear", step=8))
        model  step  mse_low  mse_high  skill_low  skill_high
    0  linear     8      1.0       3.0       0.25        0.75
    """
    intervals = [
        (model, step, *interval_over_worms(part, "mse"), *skill_interval_over_worms(part))
        for (model, step), part in rows.groupby(["model", "step"])
    ]
    return pd.DataFrame(intervals, columns=["model", "step", "mse_low", "mse_high", "skill_low", "skill_high"])


def _resampled(rows: pd.DataFrame, columns: list[str], random_state: int) -> np.ndarray | None:
    values = [of_worm[columns].to_numpy() for _, of_worm in rows.dropna(subset=columns).groupby("worm")]
    if len(values) < 2:
        return None
    return bootstrap_over_worms(values, n_resamples=_N_RESAMPLES, rng=np.random.RandomState(random_state))
