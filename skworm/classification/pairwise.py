"""A support vector machine for any number of classes that is solved in torch, one-vs-one pairs as one batch."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import torch
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import _ovr_decision_function

from skworm.training import decision_values, fit_support_vectors


class PairwiseSVC:
    """What ``sklearn.svm.SVC`` does for dense frames, on any device of torch.

    Parameters
    ----------
    C : float
        Inverse of the regularisation's strength.
    kernel : {"rbf", "linear", "poly", "sigmoid"}
        Kernel.
    gamma : {"scale", "auto"} or float
        Kernel coefficient.
    class_weight : dict or "balanced", optional
        Weights of the classes.
    device : str
        Where to fit and to predict. Without a CUDA GPU, predictions are made on the CPU.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Classes.
    support_vectors_ : ndarray of shape (n_vectors, n_features)
        Frames that at least one pair of classes leans on.
    dual_coef_ : ndarray of shape (n_pairs, n_vectors)
        Their coefficients; pairs in the order (0, 1), (0, 2), ..., (1, 2), ...
    rho_ : ndarray of shape (n_pairs,)
        Negative intercepts.
    gamma_ : float
        Kernel coefficient, a number.
    n_iter_ : ndarray of shape (n_pairs,)
        Steps of the solver.
    """

    def __init__(
        self, *, C: float, kernel: str, gamma: str | float, class_weight: dict[Any, float] | str | None, device: str
    ) -> None:
        self.C = C
        self.kernel = kernel
        self.gamma = gamma
        self.class_weight = class_weight
        self.device = device

    def fit(self, X: np.ndarray, y: np.ndarray) -> PairwiseSVC:
        """Fit one machine to every pair of classes."""
        self.classes_, codes = np.unique(y, return_inverse=True)
        weight = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
        for name, value in zip(self.classes_.tolist(), weight, strict=True):
            if not value > 0:
                raise ValueError(f"class_weight gives {value} to {name!r}; weights must be positive")
        if self.gamma == "scale":
            variance = X.var()
            self.gamma_ = 1 / (X.shape[1] * variance) if variance else 1.0
        else:
            self.gamma_ = 1 / X.shape[1] if self.gamma == "auto" else float(self.gamma)
        pairs = combinations(range(len(self.classes_)), 2)
        first_or_second = np.array([1 * (codes == first) - (codes == second) for first, second in pairs])
        dual_coef, self.rho_, self.n_iter_ = fit_support_vectors(
            X,
            first_or_second,
            first_or_second != 0,
            np.broadcast_to(self.C * weight[codes], first_or_second.shape),
            self.gamma_,
            kernel=self.kernel,
            device=self.device,
        )
        used = dual_coef.any(axis=0)
        self.support_vectors_, self.dual_coef_ = X[used], dual_coef[:, used]
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Take a vote among the pairs; of classes with equally many votes the first wins."""
        decisions = self._decisions(X)
        votes = np.zeros((len(X), len(self.classes_)), dtype=int)
        for decision, (first, second) in zip(decisions.T, combinations(range(len(self.classes_)), 2), strict=True):
            votes[:, first] += decision > 0
            votes[:, second] += decision <= 0
        return self.classes_[votes.argmax(axis=1)]

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Give one column for two classes, positive for the second, or votes and confidence, one column a class."""
        decisions = self._decisions(X)
        if len(self.classes_) == 2:
            return -decisions[:, 0]
        return _ovr_decision_function(decisions < 0, -decisions, len(self.classes_))

    def _decisions(self, X: np.ndarray) -> np.ndarray:
        device = self.device if torch.cuda.is_available() else "cpu"
        return decision_values(
            X, self.support_vectors_, self.dual_coef_, self.rho_, self.gamma_, kernel=self.kernel, device=device
        ).T
