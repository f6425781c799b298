"""Parameters as annotated fields, of which constructors and checks are made."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, dataclass_transform, get_args, get_origin

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints

Count = Annotated[int, Interval(Integral, 1, None, closed="left")]
Positive = Annotated[float, Interval(Real, 0, None, closed="neither")]
NotNegative = Annotated[float, Interval(Real, 0, None, closed="left")]


def _constraints(hint: Any) -> list[Any]:
    """Return what scikit-learn is to check of a parameter of this type."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return list(parts[1:])
    if origin is Literal:
        return [StrOptions(set(parts))]
    if origin in (Union, UnionType):
        return [constraint for part in parts for constraint in _constraints(part)]
    return [{bool: "boolean", NoneType: None, Any: "no_validation"}.get(hint, origin or hint)]


@dataclass_transform(eq_default=False, field_specifiers=(field,))
class Declared(BaseEstimator):
    """An object whose annotated attributes are its parameters, which its constructor takes and scikit-learn checks.

    A class that is derived may write a constructor of its own, which those derived from it then have.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {}
    _declared: ClassVar[bool] = False
    _kw_only: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        author = next(base for base in cls.__mro__ if "__init__" in vars(base))
        cls._declared = author is object or (author is not cls and vars(author).get("_declared", False))
        doc = cls.__doc__
        dataclass(cls, init=cls._declared, eq=False, repr=False, kw_only=cls._kw_only)
        # A class without a docstring of its own has that of its base, not the signature that dataclass writes.
        cls.__doc__ = doc
        hints = inspect.get_annotations(cls, eval_str=True)
        constraints: dict[str, list[Any]] = {}
        for base in reversed(cls.__mro__):
            constraints |= vars(base).get("_parameter_constraints", {})
        own = [parameter.name for parameter in fields(cls) if parameter.name in hints]
        cls._parameter_constraints = constraints | {name: _constraints(hints[name]) for name in own}


class ParameterObject(Declared):
    """Parameters of a part of an estimator; a search reaches them as ``part__parameter``."""

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
