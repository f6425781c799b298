"""Support vector machines for two classes, many at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import combinations, groupby
from typing import NamedTuple

import numpy as np
import psutil
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

KERNELS: Mapping[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "rbf": lambda products, left, right, gamma: torch.exp(gamma * (2 * products - left - right)),
    "linear": lambda products, left, right, gamma: products,
    "poly": lambda products, left, right, gamma: (gamma * products) ** 3,
    "sigmoid": lambda products, left, right, gamma: torch.tanh(gamma * products),
}
"""Kernels of samples, from their scalar products, squared norms of either side, and gamma.

They are those of scikit-learn with the defaults of what SVMStateClassifier does not set. As functions of scalar
products, rows of them need one matrix product.
"""

# As in libsvm: the curvature along a direction in which the kernel is flat, or not positive.
_LEAST_CURVATURE = 1e-12
# To ask a GPU whether it has finished is to wait for it.
_STEPS_BETWEEN_CHECKS = 32
# Of the samples of a batch, with what the steps make beside: about so many numbers a sample.
_SHARE_OF_MEMORY, _TENSORS = 0.25, 24


@dataclass(frozen=True, eq=False)
class SupportVectorJob:
    """Machines to be fitted to some samples: one for each pair of classes."""

    X: np.ndarray  # array of shape (n_samples, n_features): samples
    codes: np.ndarray  # array of int, shape (n_samples,): class of each sample, from 0; every class has samples
    C: np.ndarray  # array of shape (n_samples,): penalty of each sample, above 0
    gamma: float  # Kernel coefficient, 0 or greater
    kernel: str  # One of KERNELS
    device: str

    def pairs(self) -> list[Pair]:
        """Return the pairs of classes in the order (0, 1), (0, 2), ..., (1, 2), ..."""
        pairs = []
        for first, second in combinations(range(int(self.codes.max()) + 1), 2):
            rows = np.flatnonzero((self.codes == first) | (self.codes == second))[::-1]
            signs = np.where(self.codes[rows] == first, 1.0, -1.0)
            # Of equal candidates libsvm takes the last, of class +1 before -1, and torch the first.
            order = np.argsort(signs, kind="stable")
            pairs.append(Pair(self, rows[order], signs[order]))
        return pairs


@dataclass(eq=False)
class Pair:
    """A problem: the rows of two classes of a job, and 1 for those of the first and -1 for those of the second."""

    job: SupportVectorJob
    rows: np.ndarray
    signs: np.ndarray
    coef: np.ndarray = field(init=False)  # Solution: a coefficient for each row
    rho: float = field(init=False)  # Solution: negative intercept
    n_iter: int = field(init=False)  # Steps taken


@dataclass
class Problems:
    """Problems in lockstep: row k of every tensor is one problem, its columns are that problem's own samples.

    Problems of fewer samples are padded with samples that are bound to 0, and so never move. `problem` numbers them as
    the caller does, `squares` holds squared norms, `diagonal` the kernel of each sample with itself, and `gradient`
    the slope of the objective along each coefficient.
    """

    problem: Tensor
    X: Tensor
    squares: Tensor
    diagonal: Tensor
    gamma: Tensor
    lower: Tensor
    upper: Tensor
    coef: Tensor
    gradient: Tensor
    n_iter: Tensor

    @classmethod
    def start(cls, pairs: Sequence[Pair]) -> Problems:
        """Return problems whose coefficients are all 0."""
        kernel, device = KERNELS[pairs[0].job.kernel], pairs[0].job.device

        def padded(arrays: Iterable[np.ndarray]) -> Tensor:
            return pad_sequence([torch.as_tensor(array) for array in arrays], batch_first=True).to(device)

        X = padded(pair.job.X[pair.rows] for pair in pairs)
        bound = padded(pair.job.C[pair.rows] * pair.signs for pair in pairs)
        squares = X.square().sum(dim=2)
        gamma = torch.tensor([[pair.job.gamma] for pair in pairs], dtype=X.dtype, device=device)
        return cls(
            problem=torch.arange(len(pairs), device=device),
            X=X,
            squares=squares,
            diagonal=kernel(squares, squares, squares, gamma),
            gamma=gamma,
            lower=bound.clamp_max(0.0),
            upper=bound.clamp_min(0.0),
            coef=torch.zeros_like(bound),
            gradient=padded(pair.signs for pair in pairs),
            n_iter=torch.zeros(len(pairs), dtype=torch.int64, device=device),
        )

    def __len__(self) -> int:
        return len(self.problem)

    def select(self, chosen: Tensor) -> Problems:
        """Return some of the problems, without the columns that none of them uses."""
        n_columns = int((self.lower < self.upper).sum(dim=1)[chosen].amax()) if bool(chosen.any()) else 1
        values = {field.name: getattr(self, field.name)[chosen] for field in fields(self)}
        return Problems(**{name: value if value.ndim == 1 else value[:, :n_columns] for name, value in values.items()})

    def kernel_rows(self, column: Tensor, kernel: str) -> Tensor:
        """Compute the kernel of one sample of every problem with all of its samples, in libsvm's single precision."""
        one = self.X.gather(1, column[:, :, None].expand(-1, 1, self.X.shape[2]))
        products = torch.bmm(self.X, one.transpose(1, 2))[:, :, 0]
        return KERNELS[kernel](products, self.squares.gather(1, column), self.squares, self.gamma).float()

    def step(self, kernel: str, tol: float) -> Tensor:
        """Move two samples of every problem that is not solved, and return which problems are not."""
        best, i = torch.where(self.coef < self.upper, self.gradient, -torch.inf).max(dim=1, keepdim=True)
        violation = torch.where(self.coef > self.lower, best - self.gradient, -torch.inf)
        unsolved = violation.amax(dim=1, keepdim=True) >= tol
        row_i = self.kernel_rows(i, kernel)
        curvature = (self.diagonal.gather(1, i) + self.diagonal - 2 * row_i).clamp_min(_LEAST_CURVATURE)
        gain = torch.where(violation > 0, violation * violation / curvature, 0.0)
        j = gain.argmax(dim=1, keepdim=True)
        row_j = self.kernel_rows(j, kernel)

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

    def write_into(self, pairs: Sequence[Pair]) -> None:
        """Store solutions in the pairs that the problems were made of; rho is NaN where the kernel overflows."""
        finite = (self.gradient.isfinite() | (self.lower == self.upper)).all(dim=1)
        rho = torch.where(finite, self.rho(), torch.nan)
        values = (self.problem.tolist(), self.coef.cpu().numpy(), rho.tolist(), self.n_iter.tolist())
        for number, coef, own_rho, n_iter in zip(*values, strict=True):
            pair = pairs[number]
            pair.coef, pair.rho, pair.n_iter = coef[: len(pair.rows)], own_rho, n_iter


@torch.inference_mode()
def solve(pairs: Sequence[Pair], tol: float, max_iter: int) -> int:
    """Take steps of all pairs at once until they are solved, and return how many are not after so many steps."""
    problems, kernel, n_steps = Problems.start(pairs), pairs[0].job.kernel, 0
    while len(problems) and n_steps < max_iter:
        for _ in range(min(_STEPS_BETWEEN_CHECKS, max_iter - n_steps)):
            unsolved = problems.step(kernel, tol)
            n_steps += 1
        if not bool(unsolved.all()):
            problems.select(~unsolved).write_into(pairs)
            problems = problems.select(unsolved)
    problems.write_into(pairs)
    return len(problems)


class SupportVectors(NamedTuple):
    """The machines of a job."""

    # ndarray of shape (n_pairs, n_samples): multiplier of each sample times its class; 0 for samples of other classes
    dual_coef: np.ndarray
    rho: np.ndarray  # ndarray of shape (n_pairs,): negative intercepts
    n_iter: np.ndarray  # ndarray of int, shape (n_pairs,): steps taken


def fit_support_vectors(
    jobs: Sequence[SupportVectorJob], *, tol: float = 1e-3, max_iter: int = 10_000_000
) -> list[SupportVectors | ValueError]:
    """Fit the machines of many jobs at once: pairs of classes, folds and points of a grid go into one batch.

    They take their steps together: those of libsvm without shrinking, with its choice of the next two samples, its rule
    for stopping and its precision, double but for kernel rows. These are computed when they are needed, so that memory
    grows with problems times samples. Problems that are solved leave the batch.

    A problem counts as solved where no optimality condition is violated by more than `tol`; where `max_iter` steps, by
    default as many as libsvm takes, do not suffice, there is a ConvergenceWarning. In place of the machines of a job
    whose kernel overflows stands an error.

    Fan, Chen & Lin 2005, "Working set selection using second order information for training support vector machines",
    WSS 2; Chang & Lin 2011, "LIBSVM: a library for support vector machines", section 4.1.
    """
    pairs_of = [job.pairs() for job in jobs]
    pairs = [pair for own in pairs_of for pair in own]
    unsolved = sum(solve(batch, tol, max_iter) for batch in _batches(pairs))
    if unsolved:
        warnings.warn(
            f"{unsolved} of {len(pairs)} support vector machines are not solved to tol={tol} after {max_iter} steps; "
            "scale the features, lower C or raise max_iter",
            ConvergenceWarning,
            stacklevel=2,
        )
    return [_machines(job, own) for job, own in zip(jobs, pairs_of, strict=True)]


def _batches(pairs: Sequence[Pair]) -> Iterator[list[Pair]]:
    """Divide pairs into batches of one kernel and number of features, and of like size, that fit into memory."""

    def kind(pair: Pair) -> tuple[str, str, int]:
        return pair.job.kernel, pair.job.device, pair.job.X.shape[1]

    ordered = sorted(pairs, key=lambda pair: (kind(pair), len(pair.rows)))
    for alike in (list(group) for _, group in groupby(ordered, kind)):
        job, n_samples = alike[-1].job, len(alike[-1].rows)
        free = torch.cuda.mem_get_info()[0] if job.device == "cuda" else psutil.virtual_memory().available
        size = max(1, int(_SHARE_OF_MEMORY * free / (8 * n_samples * (job.X.shape[1] + _TENSORS))))
        yield from (alike[start : start + size] for start in range(0, len(alike), size))


def _machines(job: SupportVectorJob, pairs: Sequence[Pair]) -> SupportVectors | ValueError:
    """Return the machines of a job from its pairs, which are solved."""
    rho = np.array([pair.rho for pair in pairs])
    if np.isnan(rho).any():
        return ValueError(f"the {job.kernel} kernel overflows; scale the features of X, for example to [0, 1]")
    dual_coef = np.zeros((len(pairs), len(job.X)))
    for row, pair in zip(dual_coef, pairs, strict=True):
        row[pair.rows] = pair.coef
    return SupportVectors(dual_coef, rho, np.array([pair.n_iter for pair in pairs]))


_SAMPLES_A_CHUNK = 4096


def decision_values(
    X: np.ndarray,
    vectors: np.ndarray,
    dual_coef: np.ndarray,
    rho: np.ndarray,
    gamma: float,
    *,
    kernel: str,
    device: str,
) -> np.ndarray:
    """Compute the decision values of the machines of a job, an ndarray of shape (n_pairs, n_samples).

    They are positive where a machine finds the first class of its pair. `vectors` are the samples that the machines
    were fitted to, or those of them with a coefficient other than 0; the others are of :class:`SupportVectors`.
    """
    with torch.inference_mode():
        left, right, weights, coefficient = (
            torch.tensor(array, dtype=torch.float64, device=device) for array in (X, vectors, dual_coef, gamma)
        )
        squares, decisions = right.square().sum(dim=1), []
        for rows in left.split(_SAMPLES_A_CHUNK):
            similarity = KERNELS[kernel](rows @ right.T, rows.square().sum(dim=1, keepdim=True), squares, coefficient)
            decisions.append(weights @ similarity.T)
    return torch.cat(decisions, dim=1).cpu().numpy() - np.asarray(rho)[:, None]
