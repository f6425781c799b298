"""The samples that a training run holds out to judge its epochs."""

from __future__ import annotations

import numpy as np


def held_out_windows(
    group: np.ndarray, window: np.ndarray, fraction: float, random_state: np.random.RandomState
) -> np.ndarray:
    """Hold out whole windows, the same share of each group.

    Parameters
    ----------
    group : array of shape (n_samples,)
        Group of each sample.
    window : array of shape (n_samples,)
        Window of each sample, within its group.
    fraction : float
        Share of the windows to hold out, rounded; at least one window of a group that has two or more.
    random_state : numpy.random.RandomState
        Source of randomness.

    Returns
    -------
    array of bool, shape (n_samples,)
        True where a sample is held out.

    Examples
    --------
    >>> import numpy as np
    >>> from skworm.training import held_out_windows
    >>> group, window = np.zeros(8, int), np.repeat([0, 1, 2, 3], 2)
    >>> held_out_windows(group, window, 0.25, np.random.RandomState(0)).astype(int)
    array([0, 0, 0, 0, 1, 1, 0, 0])
    """
    held_out = np.zeros(len(group), dtype=bool)
    if fraction == 0:
        return held_out
    for member in np.unique(group):
        rows = group == member
        windows = np.unique(window[rows])
        n_held_out = min(max(1, round(fraction * len(windows))), len(windows) - 1)
        chosen = random_state.permutation(windows)[:n_held_out]
        held_out |= rows & np.isin(window, chosen)
    return held_out
