"""The support vector machine, the baseline of Table 1."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _ovr_decision_function
from sklearn.utils.validation import check_is_fitted

from skworm.estimators.network import check_neurons
from skworm.estimators.states import StateClassifierMixin
from skworm.frames.index import match_neurons, validate_like_training
from skworm.parameters import DocumentedEstimator, NotNegative, Positive, check_choice
from skworm.training.process import resolve_device
from skworm.training.stack import outcome_beforehand
from skworm.training.support_vectors import (
    KERNELS,
    SupportVectorJob,
    SupportVectors,
    decision_values,
    fit_support_vectors,
)


@dataclass(eq=False)
class PairwiseSVC:
    """What a ``sklearn.svm.SVC`` does with frames once it is fitted, on any device of torch.

    Attributes are those of `SVC` but for those of pairs, in the order (0, 1), (0, 2), ..., (1, 2), ..., and gamma.
    """

    kernel: str
    device: str
    classes_: np.ndarray = field(init=False)
    support_vectors_: np.ndarray = field(init=False)
    dual_coef_: np.ndarray = field(init=False)  # array of shape (n_pairs, n_vectors)
    rho_: np.ndarray = field(init=False)  # array of shape (n_pairs,): negative intercepts
    gamma_: float = field(init=False)

    def __post_init__(self) -> None:
        check_choice(list(KERNELS), kernel=self.kernel)

    @classmethod
    def of_libsvm(cls, svc: SVC) -> PairwiseSVC:
        """Return the support vectors and coefficients of a fitted machine of libsvm."""
        machine = cls(svc.kernel, "cpu")
        of_class = np.split(np.arange(len(svc.support_vectors_)), np.cumsum(svc.n_support_)[:-1])
        machine.dual_coef_ = np.zeros((len(svc._intercept_), len(svc.support_vectors_)))
        pairs = combinations(range(len(svc.classes_)), 2)
        for row, (first, second) in zip(machine.dual_coef_, pairs, strict=True):
            # libsvm keeps the coefficients of a class against the k-th other class in row k.
            row[of_class[first]] = svc._dual_coef_[second - 1, of_class[first]]
            row[of_class[second]] = svc._dual_coef_[first, of_class[second]]
        machine.rho_, machine.gamma_ = -svc._intercept_, float(svc._gamma)
        machine.classes_, machine.support_vectors_ = svc.classes_, svc.support_vectors_
        return machine

    @classmethod
    def of_job(cls, job: SupportVectorJob, machines: SupportVectors, classes: np.ndarray) -> PairwiseSVC:
        """Return the machines of a job, with those of its samples that are support vectors."""
        machine, used = cls(job.kernel, job.device), machines.dual_coef.any(axis=0)
        machine.dual_coef_, machine.rho_, machine.gamma_ = machines.dual_coef[:, used], machines.rho, job.gamma
        machine.classes_, machine.support_vectors_ = classes, job.X[used]
        return machine

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Take a vote among the pairs; of classes with equally many votes the first wins."""
        decisions = self._decisions(X)
        votes = np.zeros((len(X), len(self.classes_)), dtype=int)
        for decision, (first, second) in zip(decisions.T, combinations(range(len(self.classes_)), 2), strict=True):
            votes[:, first] += decision > 0
            votes[:, second] += decision <= 0
        return self.classes_[votes.argmax(axis=1)]

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Return one column for two classes, positive for the second, or votes and confidence, one column a class."""
        decisions = self._decisions(X)
        if len(self.classes_) == 2:
            return -decisions[:, 0]
        return _ovr_decision_function(decisions < 0, -decisions, len(self.classes_))

    def _decisions(self, X: np.ndarray) -> np.ndarray:
        device = self.device if torch.cuda.is_available() else "cpu"
        machines = (self.support_vectors_, self.dual_coef_, self.rho_, self.gamma_)
        return decision_values(X, *machines, kernel=self.kernel, device=device).T


class SVMStateClassifier(StateClassifierMixin, DocumentedEstimator):
    """Read the behavioural state with a support vector machine.

    NaN is filled with the mean of its column over the training frames, so that no other worm has a part in it. A column
    that is NaN in all of them is ignored.

    Parameters
    ----------
    C : float, default=1.0
        Inverse of the regularisation's strength.
    kernel : {"rbf", "linear", "poly", "sigmoid"}, default="rbf"
        Kernel.
    gamma : {"scale", "auto"} or float, default="scale"
        Kernel coefficient.
    class_weight : dict or "balanced", default=None
        Weights of the states.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where to fit and to predict: on the CPU by libsvm, on a GPU by a solver in torch that takes the same steps for
        all pairs of states at once, in :func:`skworm.model_selection.cross_validate_worms` for all folds too.
        ``"auto"`` takes the GPU if there is one. What was fitted on a GPU predicts on a CPU where there is none.

    Attributes
    ----------
    svc_ : sklearn.svm.SVC or skworm.estimators.svm.PairwiseSVC
        The fitted machine; the second is that of the GPU.
    n_iter_ : ndarray of shape (n_pairs,)
        Steps of the solver, for each pair of states.
    fill_ : ndarray of shape (n_features,)
        What NaN is filled with; NaN for a column that is never looked at.

    References
    ----------
    Wang et al. 2021, Table 1.

    Examples
    --------
    >>> from skworm import SVMStateClassifier
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> X, y = make_frames(make_worms(n_worms=2, n_frames=400, random_state=0), states="2")
    >>> SVMStateClassifier().fit(X, y).predict(X).shape == y.shape
    True
    """

    C: Positive = 1.0
    kernel: Literal["rbf", "linear", "poly", "sigmoid"] = "rbf"
    gamma: Literal["scale", "auto"] | NotNegative = "scale"
    class_weight: Literal["balanced"] | dict[str, float] | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"

    _words: ClassVar[dict[str, str]] = {
        "about_X": """\
Scaled frames, NaN where a neuron is missing. Prediction matches the columns of a DataFrame by name, as
    :class:`MLPStateClassifier` does.""",
        "worm": """\
array-like of shape (n_frames,), optional
    Worm of each frame, for errors; by default the index level ``"worm"`` of `X`.""",
        "fit worm": "{worm}",
        "predict returns": "ndarray of shape (n_frames,)\n    States.",
        "decision_function returns": "ndarray of shape (n_frames,) or (n_frames, n_states)\n    Distances.",
    }

    def fit(self, X: Any, y: Any, worm: Any = None) -> SVMStateClassifier:
        """Fit to frames."""
        if self._solver_device() is not None:
            job = self.training_job(X, y, worm)
            fitted = outcome_beforehand(job)
            return self.take_training(job, fit_support_vectors([job])[0] if fitted is None else fitted)
        frames, states, _ = self._known_frames(X, y, worm)
        parameters = {name: value for name, value in self.get_params().items() if name != "device"}
        # The seed is for probabilities, which are not wanted; without one, NumPy's global generator would advance.
        self.svc_ = SVC(**parameters, random_state=0).fit(frames, states)
        self.n_iter_ = self.svc_.n_iter_
        return self

    @available_if(lambda self: self._solver_device() is not None)
    def training_job(self, X: Any, y: Any, worm: Any = None) -> SupportVectorJob:
        """Return what the solver of the GPU fits, one machine to every pair of states."""
        frames, states, codes = self._known_frames(X, y, worm)
        weight = compute_class_weight(self.class_weight, classes=self.classes_, y=states)
        for name, value in zip(self.classes_.tolist(), weight, strict=True):
            if not value > 0:
                raise ValueError(f"class_weight gives {value} to {name!r}; weights must be positive")
        if self.gamma == "scale":
            variance = frames.var()
            gamma = 1 / (frames.shape[1] * variance) if variance else 1.0
        else:
            gamma = 1 / frames.shape[1] if self.gamma == "auto" else float(self.gamma)
        return SupportVectorJob(frames, codes, self.C * weight[codes], gamma, self.kernel, str(self._solver_device()))

    def take_training(self, job: SupportVectorJob, machines: SupportVectors | ValueError) -> SVMStateClassifier:
        """Take the machines of a job, which ends the fit."""
        if isinstance(machines, ValueError):
            raise machines
        self.svc_ = PairwiseSVC.of_job(job, machines, self.classes_)
        self.n_iter_ = machines.n_iter
        return self

    def _solver_device(self) -> str | None:
        """Return where the solver in torch runs; None where libsvm fits."""
        device = resolve_device(self.device)
        return None if device == "cpu" else device

    def _known_frames(self, X: Any, y: Any, worm: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Check what `fit` takes, and return the frames with a known state, their states and codes of these."""
        # A fit that ends early must not leave the machine of an earlier one under new states.
        self.__dict__.pop("svc_", None)
        self._validate_params()
        frames, known, states, codes = self._learn_states(X, y, dtype=np.float64, ensure_all_finite="allow-nan")
        counts = np.isfinite(frames[known]).sum(axis=0)
        sums = np.nansum(frames[known], axis=0)
        self.fill_ = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
        return self._filled(frames, X, worm)[known], states, codes

    def predict(self, X: Any, worm: Any = None) -> np.ndarray:
        """Predict the state of every frame."""
        frames = self._frames_to_predict(X, worm)
        return self.svc_.predict(frames)

    def decision_function(self, X: Any, worm: Any = None) -> np.ndarray:
        """Return the signed distance from the boundary, one column for each state where there are more than two."""
        frames = self._frames_to_predict(X, worm)
        return self.svc_.decision_function(frames)

    def _frames_to_predict(self, X: Any, worm: Any) -> np.ndarray:
        check_is_fitted(self, "svc_")
        X = match_neurons(X, getattr(self, "feature_names_in_", None))
        return self._filled(validate_like_training(self, X, dtype=np.float64, ensure_all_finite="allow-nan"), X, worm)

    def _filled(self, frames: np.ndarray, X: Any, worm: Any) -> np.ndarray:
        seen = ~np.isnan(self.fill_)
        columns = np.asarray(getattr(self, "feature_names_in_", np.arange(frames.shape[1])), dtype=str)
        check_neurons(np.where(seen, frames, np.nan), columns.tolist(), X, worm)
        return np.where(np.isnan(frames), self.fill_, frames)[:, seen]
