"""The forecasts that every other has to beat."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from sklearn.linear_model import Ridge

from skworm.estimators.trajectory import TrajectoryRegressor, steps_of_pairs
from skworm.parameters import NotNegative


class PersistenceRegressor(TrajectoryRegressor):
    """Repeat the last observed frame.

    References
    ----------
    The paper does not show this baseline; :func:`skworm.metrics.skill_by_step` measures a forecast against it.

    Examples
    --------
    >>> from skworm import PersistenceRegressor
    >>> PersistenceRegressor(burn_in=2).fit([[0.0, 1.0]], [[2.0, 3.0]]).predict([[4.0, 5.0]])
    array([[5., 5.]])
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags

    def _fit(self, frames: np.ndarray, worms: np.ndarray | None) -> None:
        pass

    def _predict(self, frames: np.ndarray, worms: np.ndarray | None, n_steps: int) -> np.ndarray:
        return np.repeat(frames[:, -1:], n_steps, axis=1)


class LinearTrajectoryRegressor(TrajectoryRegressor):
    """Predict with a ridge-regularised linear map: a vector autoregression of order `burn_in`.

    Parameters
    ----------
    strategy : {"iterated", "direct"}, default="iterated"
        Apply a map of one step again and again (vector autoregression), or learn a map of its own for each step. A
        direct map cannot predict beyond the horizon that it was trained on.
    alpha : float, default=1.0
        Strength of the penalty on squared coefficients. It pulls predictions towards the level that columns are
        measured from, not towards persistence.
    center : {"worm", "population"}, default="worm"
        What the columns are measured from. ``"worm"`` is each worm's own mean, which scaling to [0, 1] has moved to a
        different place in every worm; a new worm's is that of all observed frames that are passed together, weighed
        against the population's where they are few. Pass a whole recording; to use its first minutes alone, set
        ``levels_[worm]``. ``"population"`` is the mean of all training frames.

    Attributes
    ----------
    coef_ : ndarray of shape (n_outputs, burn_in * n_columns)
        Coefficients; `n_outputs` is that of one frame, or of all with ``strategy="direct"``.
    intercept_ : ndarray of shape (n_outputs,)
        Intercepts.

    References
    ----------
    Luetkepohl 2005, "New Introduction to Multiple Time Series Analysis", chapter 2. The paper does not show this
    baseline.

    Examples
    --------
    >>> from skworm import LinearTrajectoryRegressor
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames, make_trajectories
    >>> frames, _ = make_frames(make_worms(2, n_frames=400, random_state=0), states=None, derivative="backward")
    >>> X, Y = make_trajectories(frames, horizon=4)
    >>> LinearTrajectoryRegressor().fit(X, Y).predict(X).shape == Y.shape
    True
    """

    strategy: Literal["iterated", "direct"] = "iterated"
    alpha: NotNegative = 1.0
    center: Literal["worm", "population"] = "worm"

    def _fit(self, frames: np.ndarray, worms: np.ndarray | None) -> None:
        if self.strategy == "direct":
            before, after = (part.reshape(len(frames), -1) for part in np.split(frames, [self.burn_in_], axis=1))
        else:
            before, after = steps_of_pairs(frames, self.burn_in_)
        ridge = Ridge(alpha=self.alpha).fit(before, after.reshape(len(after), -1))
        # A single output comes without an axis of outputs.
        self.coef_, self.intercept_ = np.atleast_2d(ridge.coef_), np.atleast_1d(ridge.intercept_)

    def _check_horizon(self, horizon: int | None) -> int:
        n_steps = super()._check_horizon(horizon)
        if self.strategy == "direct" and n_steps > self.horizon_:
            raise ValueError(
                f"horizon={n_steps} is beyond the {self.horizon_} frames that the direct maps were trained on; train "
                "on longer trajectories, or use strategy='iterated'"
            )
        return n_steps

    def _predict(self, frames: np.ndarray, worms: np.ndarray | None, n_steps: int) -> np.ndarray:
        history = frames.reshape(len(frames), -1)
        if self.strategy == "direct":
            return self._map(history).reshape(len(frames), -1, self.n_columns_)[:, :n_steps]
        predicted = []
        for _ in range(n_steps):
            predicted.append(self._map(history))
            history = np.concatenate([history[:, self.n_columns_ :], predicted[-1]], axis=1)
        return np.stack(predicted, axis=1)

    def _map(self, history: np.ndarray) -> np.ndarray:
        # Row by row in effect: a product of matrices may round differently with other rows beside it.
        return np.einsum("ti,oi->to", history, self.coef_) + self.intercept_
