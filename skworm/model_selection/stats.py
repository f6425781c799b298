"""Tests and intervals that take the worm as their unit, on plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from skworm.metrics.behavior import standard_deviation


def sign_flip_test(differences: np.ndarray, *, n_resamples: int = 10_000, random_state: int = 0) -> float:
    """Test by sign flips whether paired differences of worms are symmetric about zero; return the two-sided p.

    If the two models are exchangeable on each worm, every difference could as well have had the other sign. All
    patterns of signs are tried where there are at most `n_resamples`, so that the test is exact (13 worms with the
    default); beyond, as many random ones. See Fisher 1935, "The Design of Experiments", section 21, and Phipson & Smyth
    2010 for random patterns.
    """
    values = np.asarray(differences, dtype=float)
    # As whole numbers their sums are exact, so that those which differ by rounding alone count as equal.
    scale = np.abs(values).sum()
    values = np.rint(values / scale * 2**40) if scale > 0 else values
    test = stats.permutation_test(
        (values,), np.sum, permutation_type="samples", n_resamples=n_resamples, random_state=random_state
    )
    return float(test.pvalue)


def smallest_sign_flip_p(n_worms: int, *, n_resamples: int = 10_000) -> float:
    """Return the smallest p that :func:`sign_flip_test` can reach with this number of worms."""
    return 2 / 2**n_worms if 2**n_worms <= n_resamples else 2 / (n_resamples + 1)


def corrected_resampled_t_test(differences: np.ndarray, test_to_train: float) -> float:
    """Test differences over fits by Student's t, corrected for training sets that overlap; return the two-sided p.

    It is NaN with fewer than two fits, without the ratio of test to training samples, or where all fits differ equally.
    See Nadeau & Bengio 2003, "Inference for the generalization error", section 3.
    """
    values = np.asarray(differences, dtype=float)
    deviation = sample_deviation(values)
    if not (deviation > 0 and np.isfinite(test_to_train)):
        return float("nan")
    t = values.mean() / (deviation * np.sqrt(1 / len(values) + test_to_train))
    return float(2 * stats.t.sf(abs(t), len(values) - 1))


def sample_deviation(values: np.ndarray) -> float:
    """Return the standard deviation of a sample; 0 where it is only rounding, NaN for fewer than two values."""
    return standard_deviation(np.asarray(values, dtype=float), ddof=1) if len(values) > 1 else np.nan


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
