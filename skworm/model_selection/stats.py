"""Tests and intervals that take the worm as their unit, on plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

_ROUNDING = 1e-12


def sign_flip_test(differences: np.ndarray, *, n_resamples: int = 10_000, random_state: int = 0) -> float:
    """Test by sign flips whether paired differences are symmetric about zero.

    If the two models are exchangeable on each worm, every difference could as well have had the other sign. All
    patterns of signs are tried where there are at most `n_resamples`, so that the test is exact (13 worms with the
    default); beyond, as many random ones.

    Parameters
    ----------
    differences : array of shape (n_worms,)
        Difference between two models on each worm.
    n_resamples : int, default=10_000
        Patterns of signs.
    random_state : int, default=0
        Seed of random patterns.

    Returns
    -------
    float
        Two-sided p, in (0, 1].

    References
    ----------
    Fisher 1935, "The Design of Experiments", section 21; Phipson & Smyth 2010, for random patterns.

    Examples
    --------
    >>> from skworm.model_selection.stats import sign_flip_test
    >>> sign_flip_test([0.1, 0.2, 0.1, 0.3, 0.2])
    0.0625
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
    """Return the smallest p that :func:`sign_flip_test` can reach with this number of worms.

    Examples
    --------
    >>> from skworm.model_selection.stats import smallest_sign_flip_p
    >>> smallest_sign_flip_p(5)
    0.0625
    """
    return 2 / 2**n_worms if 2**n_worms <= n_resamples else 2 / (n_resamples + 1)


def corrected_resampled_t_test(differences: np.ndarray, test_to_train: float) -> float:
    """Test differences over fits by Student's t, corrected for training sets that overlap.

    Parameters
    ----------
    differences : array of shape (n_fits,)
        Difference between two models in each fit.
    test_to_train : float
        Number of test samples over number of training samples of a fit.

    Returns
    -------
    float
        Two-sided p; NaN with fewer than two fits, without a ratio, or where all fits differ equally.

    References
    ----------
    Nadeau & Bengio 2003, "Inference for the generalization error", section 3.

    Examples
    --------
    >>> from skworm.model_selection.stats import corrected_resampled_t_test
    >>> round(corrected_resampled_t_test([0.1, 0.2, 0.1, 0.3, 0.2], test_to_train=0.25), 4)
    0.0327
    """
    values = np.asarray(differences, dtype=float)
    deviation = sample_deviation(values)
    if not (deviation > 0 and np.isfinite(test_to_train)):
        return float("nan")
    t = values.mean() / (deviation * np.sqrt(1 / len(values) + test_to_train))
    return float(2 * stats.t.sf(abs(t), len(values) - 1))


def sample_deviation(values: np.ndarray) -> float:
    """Return the standard deviation of a sample; 0 where it is only rounding, NaN for fewer than two values.

    Examples
    --------
    >>> from skworm.model_selection.stats import sample_deviation
    >>> sample_deviation([0.1, 0.1, 0.1])
    0.0
    """
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return float("nan")
    deviation = float(values.std(ddof=1))
    return deviation if deviation > _ROUNDING * np.abs(values).max() else 0.0


def holm_correction(p: np.ndarray) -> np.ndarray:
    """Correct the p of several tests, so that the chance of any false rejection stays below the level.

    References
    ----------
    Holm 1979, "A simple sequentially rejective multiple test procedure".

    Examples
    --------
    >>> from skworm.model_selection.stats import holm_correction
    >>> holm_correction([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, dtype=float)
    order = np.argsort(values)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(1, np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)))
    return corrected


def bootstrap_over_worms(scores: Sequence[np.ndarray], *, n_resamples: int, rng: np.random.RandomState) -> np.ndarray:
    """Resample worms, then the fits within each drawn worm, and take the mean over worms each time.

    Parameters
    ----------
    scores : sequence of arrays of shape (n_fits, n_columns)
        One array a worm; worms may have different numbers of fits. Columns are models or metrics.
    n_resamples : int
        Number of resamples.
    rng : numpy.random.RandomState
        Source of the draws, which are the same for all columns.

    Returns
    -------
    numpy.ndarray of shape (n_resamples, n_columns)
        Mean over the drawn worms of the mean over their drawn fits.

    References
    ----------
    Saravanan, Berman & Sober 2020, "Application of the hierarchical bootstrap to multi-level data in neuroscience".

    Examples
    --------
    >>> import numpy as np
    >>> from skworm.model_selection.stats import bootstrap_over_worms
    >>> scores = [np.array([[0.8], [0.9]]), np.array([[0.6], [0.7]])]
    >>> means = bootstrap_over_worms(scores, n_resamples=2_000, rng=np.random.RandomState(0))
    >>> np.quantile(means, [0.025, 0.5, 0.975]).round(2).tolist()
    [0.62, 0.75, 0.88]
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
    """Return the ends of the 95 % interval of resampled means.

    Examples
    --------
    >>> import numpy as np
    >>> from skworm.model_selection.stats import interval
    >>> interval(np.arange(1001.0))
    (25.0, 975.0)
    """
    low, high = np.quantile(np.asarray(means), [0.025, 0.975])
    return float(low), float(high)
