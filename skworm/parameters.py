"""Parameters that belong together, as one object that estimators take."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from numbers import Integral
from typing import Any, ClassVar

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import validate_parameter_constraints


class ParameterObject(BaseEstimator):
    """Parameters of a part of an estimator; a search reaches them as ``part__parameter``."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {}

    def check(self) -> None:
        """Raise ValueError if a parameter cannot be used."""
        validate_parameter_constraints(self._parameter_constraints, self.get_params(deep=False), type(self).__name__)


def resolved(value: Any, by_name: Mapping[str, type[ParameterObject]]) -> Any:
    """Return the checked object that a parameter stands for: itself, or that of its name with its defaults."""
    part = by_name[value]() if isinstance(value, str) else value
    part.check()
    return part


def check_whole(least: int, **parameters: Any) -> None:
    """Raise ValueError unless parameters are whole numbers, not below the least one."""
    for name, value in parameters.items():
        if not isinstance(value, Integral) or value < least:
            raise ValueError(f"{name}={value!r} must be a whole number, at least {least}")


def check_choice(allowed: Collection[Any], **parameters: Any) -> None:
    """Raise ValueError unless parameters have one of the values that are allowed."""
    for name, value in parameters.items():
        if value not in allowed:
            raise ValueError(f"{name}={value!r} is not known; choose one of {allowed}")
