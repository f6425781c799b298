"""Sequential minimal optimization of many support vector machines in lockstep.

The steps are those of libsvm without shrinking, down to the rounding: a step leaves two samples equally good, so the
last bit decides which is next, and solutions that are reached by other steps differ as far as the tolerance allows.

In terms of the multipliers times the classes, ``c``, a problem is: maximise ``y @ c - c @ K @ c / 2`` with
``lower <= c <= upper`` and ``sum(c) = 0``. A step moves the two samples that promise most, by opposite amounts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from skworm.training.kernels import Kernel

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
        """Set all coefficients to 0."""
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
        """Select problems, and drop the columns that none of them uses."""
        n_columns = int((self.lower < self.upper).sum(dim=1)[rows].amax()) if len(rows) else 1
        chosen = {field.name: getattr(self, field.name)[rows] for field in fields(self)}
        return Problems(**{name: value if value.ndim == 1 else value[:, :n_columns] for name, value in chosen.items()})

    def kernel_rows(self, column: Tensor, X: Tensor, kernel: Kernel) -> Tensor:
        """Give the kernel of one sample of every problem with all of its samples, in libsvm's single precision."""
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
        """Give the negative intercepts: from samples between their bounds, else midway between the bounds."""
        free = (self.lower < self.coef) & (self.coef < self.upper)
        movable = self.lower < self.upper
        n_free = free.sum(dim=1)
        mean = torch.where(free, self.gradient, 0.0).sum(dim=1) / n_free
        least = torch.where(movable & (self.coef >= self.upper), self.gradient, torch.inf).amin(dim=1)
        greatest = torch.where(movable & (self.coef <= self.lower), self.gradient, -torch.inf).amax(dim=1)
        return -torch.where(n_free > 0, mean, (least + greatest) / 2)

    def overflown(self) -> Tensor:
        """Tell in which problems the kernel is no finite number."""
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
