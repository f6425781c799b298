"""Temperature scaling, fitted on worms that the inner fits did not see."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from skworm.calibration.inner_worms import InnerWormsClassifier, LeftOut

_LOG_TEMPERATURES = (np.log(0.05), np.log(100.0))


class TemperatureScaledClassifier(InnerWormsClassifier):
    """Make the probabilities of a classifier hold on worms that it has not seen, by one number.

    Inner fits leave worms out, and the temperature is the one that gives the true states of those worms the most
    probability, every worm counting alike. The estimator is then fitted to all frames, and the logarithms of its
    probabilities are divided by the temperature: above 1 it was too sure of itself. The most probable state stays what
    it was.

    scikit-learn's `CalibratedClassifierCV` scales by temperature too, from version 1.8 on, with folds of frames unless
    metadata routing brings it the worms.

    With a single training worm the inner fits leave contiguous blocks of its frames out. That tells how sure one may be
    on the same worm, and is too little on another.

    Parameters
    ----------
    estimator : scikit-learn classifier
        Gives `predict_proba`, or `decision_function`, whose softmax is then what the temperature divides.
    cv : int or splitter, default=5
        Groups of worms that are left out in turn, at most one a worm, or contiguous blocks of the only worm. A splitter
        gets the worms as groups.

    Attributes
    ----------
    temperature_ : float
        The temperature, from 0.05 to 100.
    estimator_ : classifier
        The estimator, fitted to all frames.
    classes_ : ndarray of shape (n_states,)
        State names.
    n_features_in_ : int
        Columns of `X`.
    feature_names_in_ : ndarray of str
        Their names, where `X` had any.

    References
    ----------
    Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 9.

    Examples
    --------
    >>> from skworm import MLPStateClassifier, TemperatureScaledClassifier
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> X, y = make_frames(make_worms(n_worms=3, n_frames=400, random_state=0), states="2")
    >>> mlp = MLPStateClassifier(max_epochs=50, learning_rate=1e-2, random_state=0)
    >>> scaled = TemperatureScaledClassifier(mlp).fit(X, y)
    >>> scaled.predict_proba(X).shape == (len(X), 2)
    True
    """

    def _learn(self, left_out: LeftOut) -> None:
        self.temperature_ = fit_temperature(left_out)

    def _log_probabilities(self, X: Any, worm: Any) -> np.ndarray:
        return super()._log_probabilities(X, worm) / self.temperature_


def fit_temperature(left_out: LeftOut) -> float:
    """Find the temperature with the least log loss, mean over worms.

    Parameters
    ----------
    left_out : LeftOut
        What inner fits say of frames that they did not see. Frames of a state that a fit had not learnt are left out:
        no temperature mends these.

    Returns
    -------
    float
        The temperature.
    """
    logs, state, worm = (
        values[left_out.learnt] for values in (left_out.log_probabilities, left_out.state, left_out.worm)
    )
    if not len(state):
        raise ValueError("no frame that an inner fit left out has a state that it had learnt; train on more frames")
    _, code, counts = np.unique(worm, return_inverse=True, return_counts=True)
    weight = 1 / (len(counts) * counts[code])
    rows = np.arange(len(state))

    def loss(log_temperature: float) -> float:
        return -float(weight @ log_softmax(logs / np.exp(log_temperature), axis=1)[rows, state])

    return float(np.exp(minimize_scalar(loss, bounds=_LOG_TEMPERATURES, method="bounded").x))
