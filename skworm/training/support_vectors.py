"""Support vector machines for two classes, many at once."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

KERNELS = ("rbf", "linear", "poly", "sigmoid")


@dataclass(frozen=True)
class Kernel:
    """A kernel, as a function of scalar products: rows of it then need one matrix product."""

    name: str = "rbf"
    degree: int = 3
    coef0: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in KERNELS:
            raise ValueError(f"kernel={self.name!r} must be one of {list(KERNELS)}")

    def __call__(self, products: Tensor, left: Tensor, right: Tensor, gamma: Tensor) -> Tensor:
        """Compute the kernel of samples whose scalar products are known."""
        if self.name == "rbf":
            return torch.exp(gamma * (2 * products - left - right))
        if self.name == "poly":
            return (gamma * products + self.coef0) ** self.degree
        if self.name == "sigmoid":
            return torch.tanh(gamma * products + self.coef0)
        return products


# As in libsvm: the curvature along a direction in which the kernel is flat, or not positive.
_LEAST_CURVATURE = 1e-12
# To ask a GPU whether it has finished is to wait for it.
_STEPS_BETWEEN_CHECKS = 32


@dataclass
class Problems:
    """Problems in lockstep: row k of every tensor is one problem, its columns are that problem's own samples.

    Problems of fewer samples are padded with samples that are bound to 0, and so never move. `problem` and `sample`
    number both as the caller does, `squares` holds squared norms, `diagonal` the kernel of each sample with itself,
    and `gradient` the slope of the objective along each coefficient.
    """

    problem: Tensor
    sample: Tensor
    squares: Tensor
    diagonal: Tensor
    gamma: Tensor
    lower: Tensor
    upper: Tensor
    coef: Tensor
    gradient: Tensor
    n_iter: Tensor

    @classmethod
    def start(cls, X: Tensor, y: Tensor, mask: Tensor, C: Tensor, gamma: Tensor, kernel: Kernel) -> Problems:
        """Return problems whose coefficients are all 0."""
        n_problems, n_samples = y.shape
        # Of equal candidates libsvm takes the last, of class +1 before -1, and torch the first.
        rank = torch.where(mask, y, 2.0).flip(1)
        order = n_samples - 1 - torch.argsort(rank, dim=1, stable=True)
        sample = order[:, : int(mask.sum(dim=1).amax())]
        classes = torch.where(mask, y, 0.0).gather(1, sample)
        bound = classes * C.gather(1, sample)
        squares = X.square().sum(dim=1)[sample]
        gamma = gamma[:, None]
        return cls(
            problem=torch.arange(n_problems, device=X.device),
            sample=sample,
            squares=squares,
            diagonal=kernel(squares, squares, squares, gamma),
            gamma=gamma,
            lower=bound.clamp_max(0.0),
            upper=bound.clamp_min(0.0),
            coef=torch.zeros_like(bound),
            gradient=classes,
            n_iter=torch.zeros(n_problems, dtype=torch.int64, device=X.device),
        )

    def __len__(self) -> int:
        return len(self.problem)

    def select(self, rows: Tensor) -> Problems:
        """Return some of the problems, without the columns that none of them uses."""
        n_columns = int((self.lower < self.upper).sum(dim=1)[rows].amax()) if len(rows) else 1
        chosen = {field.name: getattr(self, field.name)[rows] for field in fields(self)}
        return Problems(**{name: value if value.ndim == 1 else value[:, :n_columns] for name, value in chosen.items()})

    def kernel_rows(self, column: Tensor, X: Tensor, kernel: Kernel) -> Tensor:
        """Compute the kernel of one sample of every problem with all of its samples, in libsvm's single precision."""
        products = (X[self.sample.gather(1, column)[:, 0]] @ X.T).gather(1, self.sample)
        return kernel(products, self.squares.gather(1, column), self.squares, self.gamma).float()

    def step(self, X: Tensor, kernel: Kernel, tol: float) -> Tensor:
        """Move two samples of every problem that is not solved; tell which problems are not."""
        best, i = torch.where(self.coef < self.upper, self.gradient, -torch.inf).max(dim=1, keepdim=True)
        violation = torch.where(self.coef > self.lower, best - self.gradient, -torch.inf)
        unsolved = violation.amax(dim=1, keepdim=True) >= tol
        row_i = self.kernel_rows(i, X, kernel)
        curvature = (self.diagonal.gather(1, i) + self.diagonal - 2 * row_i).clamp_min(_LEAST_CURVATURE)
        gain = torch.where(violation > 0, violation * violation / curvature, 0.0)
        j = gain.argmax(dim=1, keepdim=True)
        row_j = self.kernel_rows(j, X, kernel)

        coef_i, upper = self.coef.gather(1, i), self.upper.gather(1, i)
        coef_j, lower = self.coef.gather(1, j), self.lower.gather(1, j)
        total = coef_i + coef_j
        size = torch.where(unsolved, violation.gather(1, j) / curvature.gather(1, j), 0.0)
        new_i, new_j = coef_i + size, coef_j - size
        new_i, new_j = torch.minimum(new_i, upper), torch.where(new_i > upper, total - upper, new_j)
        new_i, new_j = torch.where(new_j < lower, total - lower, new_i), torch.maximum(new_j, lower)
        self.coef.scatter_(1, i, new_i).scatter_(1, j, new_j)
        self.gradient -= row_i * (new_i - coef_i) + row_j * (new_j - coef_j)
        self.n_iter += unsolved[:, 0]
        return unsolved[:, 0]

    def rho(self) -> Tensor:
        """Compute the negative intercepts: from samples between their bounds, else midway between the bounds."""
        free = (self.lower < self.coef) & (self.coef < self.upper)
        movable = self.lower < self.upper
        n_free = free.sum(dim=1)
        mean = torch.where(free, self.gradient, 0.0).sum(dim=1) / n_free
        least = torch.where(movable & (self.coef >= self.upper), self.gradient, torch.inf).amin(dim=1)
        greatest = torch.where(movable & (self.coef <= self.lower), self.gradient, -torch.inf).amax(dim=1)
        return -torch.where(n_free > 0, mean, (least + greatest) / 2)

    def overflown(self) -> Tensor:
        """Return in which problems the kernel is no finite number."""
        return ((self.lower < self.upper) & ~self.gradient.isfinite()).any(dim=1)


def solve(problems: Problems, X: Tensor, kernel: Kernel, tol: float, max_iter: int) -> Iterator[tuple[Problems, bool]]:
    """Take steps until all problems are solved, and yield them as they leave, with whether they are solved."""
    n_steps = 0
    while len(problems) and n_steps < max_iter:
        for _ in range(min(_STEPS_BETWEEN_CHECKS, max_iter - n_steps)):
            unsolved = problems.step(X, kernel, tol)
            n_steps += 1
        if not bool(unsolved.all()):
            yield problems.select(torch.nonzero(~unsolved)[:, 0]), True
            problems = problems.select(torch.nonzero(unsolved)[:, 0])
    if len(problems):
        yield problems, False


_SAMPLES_A_CHUNK = 4096


class SupportVectors(NamedTuple):
    """Solutions of a batch of support vector machines.

    Attributes
    ----------
    dual_coef : ndarray of shape (n_problems, n_samples)
        Multiplier of each sample times its class; 0 for samples outside a problem.
    rho : ndarray of shape (n_problems,)
        Negative intercepts.
    n_iter : ndarray of int, shape (n_problems,)
        Steps taken.
    """

    dual_coef: np.ndarray
    rho: np.ndarray
    n_iter: np.ndarray


def fit_support_vectors(
    X: np.ndarray,
    y: np.ndarray,
    mask: np.ndarray,
    C: np.ndarray | float = 1.0,
    gamma: np.ndarray | float = 1.0,
    *,
    kernel: str = "rbf",
    degree: int = 3,
    coef0: float = 0.0,
    tol: float = 1e-3,
    max_iter: int = 10_000_000,
    device: str | torch.device = "cpu",
) -> SupportVectors:
    """Solve many support vector machines for two classes at once.

    All problems draw on the same samples, and each has its own rows, classes, penalties and kernel coefficient: pairs
    of classes, folds and points of a grid go into one batch. They take their steps together: those of libsvm without
    shrinking, with its choice of the next two samples, its rule for stopping and its precision, double but for kernel
    rows. These are computed when they are needed, so that memory grows with problems times samples. Problems that are
    solved leave the batch.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        Samples.
    y : array of shape (n_problems, n_samples)
        Classes, +1 and -1; what stands outside `mask` is not read.
    mask : array of bool, shape (n_problems, n_samples)
        Samples of each problem.
    C : float or array of shape (n_problems,) or (n_problems, n_samples), default=1.0
        Penalty, of all, a problem or a sample.
    gamma : float or array of shape (n_problems,), default=1.0
        Kernel coefficient; the linear kernel has none.
    kernel : {"rbf", "linear", "poly", "sigmoid"}, default="rbf"
        Kernel, as in ``sklearn.svm.SVC``.
    degree : int, default=3
        Degree of the polynomial kernel.
    coef0 : float, default=0.0
        Constant term of the polynomial and the sigmoid kernel.
    tol : float, default=1e-3
        Largest violation of the optimality conditions with which a problem counts as solved.
    max_iter : int, default=10_000_000
        Most steps, by default as many as libsvm takes.
    device : str or torch.device, default="cpu"
        Where to solve.

    Returns
    -------
    SupportVectors
        ``dual_coef``, ``rho`` and ``n_iter``.

    Raises
    ------
    ValueError
        If shapes disagree, a value cannot be used, a problem lacks a class, or the kernel overflows.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        If `max_iter` steps do not suffice.

    References
    ----------
    Fan, Chen & Lin 2005, "Working set selection using second order information for training support vector machines",
    JMLR 6, 1889-1918: WSS 2. Chang & Lin 2011, "LIBSVM: a library for support vector machines", ACM TIST 2(3),
    section 4.1.

    Examples
    --------
    Two folds of the same samples, of which the second leaves the last sample out:

    >>> import numpy as np
    >>> from skworm.training import decision_values, fit_support_vectors
    >>> X = np.array([[0.0], [1.0], [2.0], [5.0]])
    >>> y = np.array([[-1, -1, 1, 1], [-1, -1, 1, 1]])
    >>> mask = np.array([[True, True, True, True], [True, True, True, False]])
    >>> solved = fit_support_vectors(X, y, mask, C=10.0, kernel="linear")
    >>> solved.dual_coef
    array([[ 0., -2.,  2.,  0.],
           [ 0., -2.,  2.,  0.]])
    >>> decision_values(np.array([[1.5], [4.0]]), X, solved.dual_coef, solved.rho, kernel="linear")
    array([[0., 5.],
           [0., 5.]])
    """
    function = Kernel(kernel, degree, coef0)
    if not tol > 0 or max_iter < 1:
        raise ValueError(f"tol={tol!r} must be greater than 0, and max_iter={max_iter!r} at least 1")
    arrays = _checked(X, y, mask, C, gamma)
    dual_coef = np.zeros(arrays[1].shape)
    rho, n_iter = np.empty(len(dual_coef)), np.empty(len(dual_coef), dtype=int)
    unsolved = 0
    with torch.inference_mode():
        samples, classes, members, penalties, coefficients = (torch.tensor(array, device=device) for array in arrays)
        problems = Problems.start(samples, classes, members, penalties, coefficients, function)
        for part, solved in solve(problems, samples, function, tol, max_iter):
            problem = part.problem.cpu().numpy()
            rho[problem], n_iter[problem] = part.rho().cpu().numpy(), part.n_iter.cpu().numpy()
            # Padding points at samples that the problem has not got, whose coefficient is 0 as well.
            dual_coef[problem[:, None], part.sample.cpu().numpy()] = part.coef.cpu().numpy()
            overflown = problem[part.overflown().cpu().numpy()]
            if len(overflown):
                raise ValueError(
                    f"the {kernel} kernel of problem {overflown[0]} overflows; scale the features of X, for example "
                    "to [0, 1]"
                )
            unsolved += 0 if solved else len(part)
    if unsolved:
        warnings.warn(
            f"{unsolved} of {len(rho)} support vector machines are not solved to tol={tol} after {max_iter} steps; "
            "scale the features, lower C or raise max_iter",
            ConvergenceWarning,
            stacklevel=2,
        )
    return SupportVectors(dual_coef, rho, n_iter)


def decision_values(
    X: np.ndarray,
    vectors: np.ndarray,
    dual_coef: np.ndarray,
    rho: np.ndarray,
    gamma: np.ndarray | float = 1.0,
    *,
    kernel: str = "rbf",
    degree: int = 3,
    coef0: float = 0.0,
    device: str | torch.device = "cpu",
) -> np.ndarray:
    """Compute the decision values of many support vector machines for two classes.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        Samples to decide upon.
    vectors : array of shape (n_vectors, n_features)
        Samples that the machines were fitted to, or those of them with a coefficient other than 0.
    dual_coef : array of shape (n_problems, n_vectors)
        Their coefficients.
    rho : array of shape (n_problems,)
        Negative intercepts.
    gamma : float or array of shape (n_problems,), default=1.0
        Kernel coefficient; the linear kernel has none.
    kernel : {"rbf", "linear", "poly", "sigmoid"}, default="rbf"
        Kernel.
    degree : int, default=3
        Degree of the polynomial kernel.
    coef0 : float, default=0.0
        Constant term of the polynomial and the sigmoid kernel.
    device : str or torch.device, default="cpu"
        Where to compute.

    Returns
    -------
    ndarray of shape (n_problems, n_samples)
        Positive where a machine finds class +1.

    Examples
    --------
    >>> import numpy as np
    >>> from skworm.training import decision_values
    >>> X, vectors = np.array([[3.0], [-1.0]]), np.array([[2.0]])
    >>> decision_values(X, vectors, np.array([[0.5]]), np.array([1.0]), kernel="linear")
    array([[ 2., -2.]])
    """
    function = Kernel(kernel, degree, coef0)
    gamma = np.broadcast_to(np.asarray(gamma, dtype=np.float64), np.shape(rho))
    decisions = np.empty((len(rho), len(X)))
    with torch.inference_mode():
        for value in np.unique(gamma):
            problems = np.flatnonzero(gamma == value)
            used = dual_coef[problems].any(axis=0)
            right, weights, coefficient = (
                torch.tensor(array, dtype=torch.float64, device=device)
                for array in (vectors[used], dual_coef[problems][:, used], value)
            )
            for start in range(0, len(X), _SAMPLES_A_CHUNK):
                rows = slice(start, start + _SAMPLES_A_CHUNK)
                left = torch.tensor(X[rows], dtype=torch.float64, device=device)
                squares = (left.square().sum(dim=1, keepdim=True), right.square().sum(dim=1))
                similarity = function(left @ right.T, *squares, coefficient)
                decisions[problems, rows] = (weights @ similarity.T).cpu().numpy()
    return decisions - np.asarray(rho)[:, None]


def _checked(
    X: np.ndarray, y: np.ndarray, mask: np.ndarray, C: np.ndarray | float, gamma: np.ndarray | float
) -> tuple[np.ndarray, ...]:
    """Return every array in its full shape and type; raise an error that says what is wrong with one."""
    X, y, C, gamma = (np.asarray(array, dtype=np.float64) for array in (X, y, C, gamma))
    mask = np.asarray(mask)
    if X.ndim != 2 or y.ndim != 2 or y.shape[1] != len(X) or mask.shape != y.shape or mask.dtype != bool:
        raise ValueError(
            "X must have the shape (n_samples, n_features), y and mask (n_problems, n_samples), and mask be boolean; "
            f"they have the shapes {X.shape}, {y.shape} and {mask.shape}, and mask is {mask.dtype}"
        )
    n_problems = len(y)
    if C.shape not in ((), (n_problems,), y.shape):
        raise ValueError(f"C has the shape {C.shape}, but must be a number, or have ({n_problems},) or {y.shape}")
    if gamma.shape not in ((), (n_problems,)):
        raise ValueError(f"gamma has the shape {gamma.shape}, but must be a number, or have ({n_problems},)")
    C = np.broadcast_to(C[:, None] if C.ndim == 1 else C, y.shape)
    gamma = np.broadcast_to(gamma, n_problems)
    if not np.isfinite(X).all():
        raise ValueError("X holds NaN or infinity; drop or fill those samples first")
    for expected, wrong in (
        ("y must be +1 or -1 within mask", (mask & (np.abs(y) != 1)).any(axis=1)),
        ("mask must hold samples of both classes", ~((mask & (y == 1)).any(axis=1) & (mask & (y == -1)).any(axis=1))),
        ("C must be positive and finite within mask", (mask & ~(np.isfinite(C) & (C > 0))).any(axis=1)),
        ("gamma must be 0 or greater, and finite", ~(np.isfinite(gamma) & (gamma >= 0))),
    ):
        if wrong.any():
            raise ValueError(f"{expected}, but is not in problems {np.flatnonzero(wrong)[:5].tolist()}")
    return X, y, mask, C, gamma
