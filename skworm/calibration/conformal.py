"""Sets of states that hold the true one as often as asked, calibrated on worms that the inner fits did not see."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.utils._param_validation import Interval, StrOptions

from skworm.calibration.inner_worms import InnerWormsClassifier, LeftOut


class ConformalStateClassifier(InnerWormsClassifier):
    """Predict sets of states, and abstain from choosing where one state will not do.

    Inner fits leave worms out, and tell how improbable the true states of those worms are to a model that has not seen
    them: the nonconformity of a frame is 1 minus the probability of its true state. The threshold is such that sets of
    all states below it would have held the true ones in a share `coverage` of those frames. The estimator is then
    fitted to all frames, and a set holds the states whose nonconformity is no more than the threshold, and always the
    most probable one.

    What to expect: worms can be exchanged for each other, frames cannot, so what is calibrated are worms. The coverage
    then holds on average over new worms, not in each, and not in each state. There is no guarantee for a finite sample
    here. One would need at least ``coverage / (1 - coverage)`` worms to calibrate on, 9 for .9, left out of every fit;
    fewer could only promise the set of all states. With a single training worm inner fits leave contiguous blocks of
    its frames out, and the sets are too small for another worm.

    Parameters
    ----------
    estimator : scikit-learn classifier
        Gives `predict_proba`, or `decision_function`, whose softmax then stands for probabilities.
    coverage : float in (0, 1), default=0.9
        Share of frames whose set shall hold the true state.
    across_worms : {"mean", "max"}, default="mean"
        Whether the coverage is reached on average over the worms that are left out, or in each of them, by the largest
        of their thresholds. A further worm needs a larger one than all of K exchangeable worms with probability
        1 / (K + 1).
    cv : int or splitter, default=5
        Groups of worms that are left out in turn, at most one a worm, or contiguous blocks of the only worm. A splitter
        gets the worms as groups.

    Attributes
    ----------
    threshold_ : float
        Largest nonconformity in a set.
    worm_thresholds_ : pandas.Series
        What each training worm by itself would have needed, index ``"worm"``. How far they lie apart tells how much a
        new worm may differ.
    estimator_ : classifier
        The estimator, fitted to all frames.
    classes_ : ndarray of shape (n_states,)
        State names.
    n_features_in_ : int
        Columns of `X`.
    feature_names_in_ : ndarray of str
        Their names, where `X` had any.

    See Also
    --------
    skworm.metrics.coverage_report : Coverage and size of sets, worm by worm.

    References
    ----------
    Sadinle, Lei & Wasserman 2019, "Least Ambiguous Set-Valued Classifiers with Bounded Error Levels"; Dunn, Wasserman &
    Ramdas 2023, "Distribution-Free Prediction Sets for Two-Layer Hierarchical Models", for pooling distributions over
    groups; Lee, Barber & Willett 2023, "Distribution-free Inference with Hierarchical Data", for the guarantee.

    Examples
    --------
    >>> from skworm import ConformalStateClassifier, MLPStateClassifier
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> X, y = make_frames(make_worms(n_worms=3, n_frames=400, random_state=0), states="2")
    >>> mlp = MLPStateClassifier(max_epochs=50, learning_rate=1e-2, random_state=0)
    >>> conformal = ConformalStateClassifier(mlp, coverage=0.9).fit(X, y)
    >>> sets = conformal.predict_set(X)
    >>> list(sets.columns), bool(sets.any(axis=1).all())
    (['forward', 'reverse'], True)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **InnerWormsClassifier._parameter_constraints,
        "coverage": [Interval(Real, 0, 1, closed="neither")],
        "across_worms": [StrOptions({"mean", "max"})],
    }

    def __init__(self, estimator: Any, *, coverage: float = 0.9, across_worms: str = "mean", cv: Any = 5) -> None:
        super().__init__(estimator, cv=cv)
        self.coverage = coverage
        self.across_worms = across_worms

    def predict_set(self, X: Any, worm: Any = None) -> pd.DataFrame:
        """Predict a set of states for every frame.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_frames, n_features)
            Frames.
        worm : array-like of shape (n_frames,), optional
            Worm of each frame; by default the index level ``"worm"`` of `X`.

        Returns
        -------
        pandas.DataFrame of bool, shape (n_frames, n_states)
            Which states each set holds, a column a state, with the index of `X` where it has one. More than one means
            that the classifier abstains from choosing.
        """
        probabilities = self.predict_proba(X, worm=worm)
        held = states_within(probabilities, self.threshold_)
        return pd.DataFrame(held, columns=self.classes_, index=getattr(X, "index", None))

    def _learn(self, left_out: LeftOut) -> None:
        nonconformity = nonconformity_of(left_out)
        by_worm = pd.Series(nonconformity).groupby(left_out.worm)
        self.worm_thresholds_ = by_worm.quantile(self.coverage, interpolation="higher").rename_axis("worm")
        if self.across_worms == "max":
            self.threshold_ = float(self.worm_thresholds_.max())
            return
        order = np.argsort(nonconformity, kind="stable")
        weight = (1 / (by_worm.transform("size") * by_worm.ngroups)).to_numpy()[order]
        # The sum of weights is 1 but for rounding, which must not push the place beyond the last frame.
        place = int(np.searchsorted(np.cumsum(weight), self.coverage - 1e-12))
        self.threshold_ = float(nonconformity[order[place]])


def nonconformity_of(left_out: LeftOut) -> np.ndarray:
    """Give 1 minus the probability of the true state; 1 where the fit had not learnt it."""
    logs = left_out.log_probabilities
    shares = np.exp(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True))
    return np.where(left_out.learnt, 1 - shares[np.arange(len(logs)), left_out.state], 1.0)


def states_within(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Tell which states a set holds: those near enough, and the most probable one."""
    top = probabilities.argmax(axis=1)[:, None] == np.arange(probabilities.shape[1])
    return (1 - probabilities <= threshold) | top
