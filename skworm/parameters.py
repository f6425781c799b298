"""Parameters that belong together, as one object that estimators take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from sklearn.base import BaseEstimator


class ParameterObject(BaseEstimator):
    """Parameters of a part of an estimator; a search reaches them as ``part__parameter``."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {}

    def check(self) -> None:
        """Raise ValueError if a parameter cannot be used."""
        self._validate_params()


def resolved(value: Any, by_name: Mapping[str, type[ParameterObject]]) -> Any:
    """Return the checked object that a parameter stands for: itself, or that of its name with its defaults."""
    part = by_name[value]() if isinstance(value, str) else value
    part.check()
    return part
