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
    values = [
        of_worm.dropna().to_numpy()[:, None] for _, of_worm in rows.dropna(subset=[column]).groupby("worm")[column]
    ]
    if len(values) < 2:
        return float("nan"), float("nan")
    resampled = bootstrap_over_worms(values, n_resamples=_N_RESAMPLES, rng=np.random.RandomState(random_state))
    low, high = np.quantile(resampled[:, 0], _INTERVAL)
    return float(low), float(high)
