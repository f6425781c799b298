"""The kernels of support vector machines, in torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
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
        """Give the kernel of samples whose scalar products are known.

        Parameters
        ----------
        products : Tensor
            Scalar product of a sample on the left and one on the right.
        left, right : Tensor
            Squared norm of either; both broadcast against `products`.
        gamma : Tensor
            Kernel coefficient; broadcasts against `products`.

        Returns
        -------
        Tensor
            The kernel, of the shape of `products`.
        """
        if self.name == "rbf":
            return torch.exp(gamma * (2 * products - left - right))
        if self.name == "poly":
            return (gamma * products + self.coef0) ** self.degree
        if self.name == "sigmoid":
            return torch.tanh(gamma * products + self.coef0)
        return products
