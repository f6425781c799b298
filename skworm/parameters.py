"""Parameters of estimators and of their parts, declared and checked once, and docstrings filled in from one place."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from functools import reduce
from numbers import Integral, Real
from operator import or_
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Self, Union, dataclass_transform

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions

Count = Annotated[int, Interval(Integral, 1, None, closed="left")]
Positive = Annotated[float, Interval(Real, 0, None, closed="neither")]
NotNegative = Annotated[float, Interval(Real, 0, None, closed="left")]


def _constraints(hint: Any) -> list[Any]:
    """Return what scikit-learn is to check of a parameter of this type."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return list(parts[1:])
    if origin is Literal:
        return [StrOptions(set(parts))]
    if origin in (Union, UnionType):
        return [constraint for part in parts for constraint in _constraints(part)]
    return [{bool: "boolean", NoneType: None, Any: "no_validation"}.get(hint, origin or hint)]


_WORDS: dict[str, str] = {
    "about_X": "Frames as `fit` takes them, NaN where a neuron is missing and the estimator takes that.",
    "X": "array-like of shape (n_rows, n_features)\n    {about_X}",
    "y": 'array-like of shape (n_frames,)\n    States; frames that are ``"unknown"`` are left out.',
    "worm": """\
array-like of shape (n_rows,), optional
    Worm of each row; by default the index level ``"worm"`` of `X`.""",
    "fit worm": """\
array-like of shape (n_rows,), optional
    Worm of each row; by default the index level ``"worm"`` of `X`, else all rows count as one worm.""",
    "sample_weight": "array-like of shape (n_rows,), optional\n    Weights of the rows.",
    "fit returns": "self\n    The fitted estimator.",
    "predict returns": "ndarray of shape (n_frames,)\n    The most probable states (equation 3).",
    "predict_proba returns": (
        "ndarray of shape (n_frames, n_states)\n    Probability of each state, in the order of ``classes_``."
    ),
    "score returns": "float\n    Share of the known frames that are predicted rightly.",
}
"""Words of docstrings: arguments of methods, those of one method as "fit worm", what it returns as "fit returns"."""


def _document(cls: type) -> None:
    """Complete the docstrings of a class: parameters and attributes of its bases, arguments and returns of its methods.

    In a docstring of a class ``{name}`` is a default. What differs between families of methods are the ``_words`` of
    the class and of its bases, which go before :data:`_WORDS`.
    """
    words = reduce(or_, (vars(base).get("_words", {}) for base in reversed(cls.__mro__)), _WORDS)
    if cls.__doc__ is not None:
        _complete(cls)
    for name, method in vars(cls).items():
        doc = getattr(method, "__doc__", None)
        if f"{name} returns" in words and doc and "Parameters\n" not in doc:
            method.__doc__ = _with_sections(method, words)


def _complete(cls: Any) -> None:
    opening, *parts = re.split(r"^([A-Z][\w ]+)\n-+\n", inspect.cleandoc(cls.__doc__), flags=re.MULTILINE)
    cls._own_sections = own = dict(zip(parts[::2], parts[1::2], strict=True))
    taken = inspect.signature(cls).parameters
    parameters, attributes = (_entries(cls, title) for title in ("Parameters", "Attributes"))
    shared = {
        "Parameters": [parameters[name] for name in taken if name in parameters],
        "Attributes": list(attributes.values()),
    }
    sections = {title: "\n".join(entries) for title, entries in shared.items() if entries}
    sections |= {title: text.strip() for title, text in own.items() if title not in shared}
    parts = [f"{title}\n{'-' * len(title)}\n{text}" for title, text in sections.items()]
    text = "\n\n".join([opening.strip(), *parts])
    for name, parameter in taken.items():
        text = text.replace(f"{{{name}}}", repr(parameter.default))
    cls.__doc__ = f"{text}\n"


def _entries(cls: type, title: str) -> dict[str, str]:
    """Return the entries of a section by name, from the docstrings of a class and of its bases, its own first."""
    sections = [vars(base).get("_own_sections", {}).get(title, "").strip() for base in cls.__mro__]
    entries = re.split(r"^(?=\S)", "\n".join(sections), flags=re.MULTILINE)
    by_name = {entry.partition(" : ")[0]: entry.rstrip() for entry in reversed(entries) if entry.strip()}
    return dict(reversed(by_name.items()))


def _with_sections(method: Any, words: Mapping[str, str]) -> str:
    """Return the docstring of a method, with its arguments and what it returns before other sections."""
    opening, *others = re.split(r"\n\n(?=[A-Z]\w+\n---)", inspect.cleandoc(method.__doc__))
    known = []
    for name, parameter in inspect.signature(method).parameters.items():
        about = words.get(f"{method.__name__} {name}", words.get(name))
        stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
        known += [f"{stars}{name} : {about}"] if about else []
    parameters = ["Parameters", "----------", *known, ""] if known else []
    sections = "\n".join([*parameters, "Returns", "-------", words[f"{method.__name__} returns"]])
    return "\n\n".join([opening, sections.format_map(words), *others]) + "\n"


@dataclass_transform(eq_default=False, field_specifiers=(field,))
class Declared(BaseEstimator):
    """An object whose annotated attributes are its parameters, which its constructor takes and scikit-learn checks.

    Its docstring is completed by those of its bases.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {}
    _kw_only: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        doc = cls.__doc__
        dataclass(cls, eq=False, repr=False, kw_only=cls._kw_only)
        # A class without a docstring of its own has that of its base, not the signature that dataclass writes.
        cls.__doc__ = doc
        hints = typing.get_type_hints(cls, include_extras=True)
        cls._parameter_constraints = {part.name: _constraints(hints[part.name]) for part in fields(cls)}
        _document(cls)

    def set_params(self, **parameters: Any) -> Self:
        """Set parameters, and with ``part__parameter`` those of a part that is an object.

        Parameters
        ----------
        **parameters : object
            New values by name.

        Returns
        -------
        self
            The object itself.

        Raises
        ------
        ValueError
            If a parameter does not exist, or a part is not an object but the name of one, or None.
        """
        for key in parameters:
            name, _, of_part = key.partition("__")
            part = parameters.get(name, getattr(self, name, None))
            kinds = [kind for kind in self._parameter_constraints.get(name, ()) if isinstance(kind, type)]
            parts = [kind for kind in kinds if issubclass(kind, ParameterObject)]
            if of_part and parts and not hasattr(part, "set_params"):
                kinds = [kind for each in parts for kind in each.__subclasses__() or [each]]
                fitting = [kind for kind in kinds if of_part in inspect.signature(kind).parameters] or kinds
                objects = " or ".join(f"{name}={kind.__name__}(...)" for kind in fitting)
                given = f"a {type(part).__name__}" if hasattr(part, "shape") else repr(part)
                raise ValueError(f"{name}={given} has no parameter {of_part!r}; pass an object, {objects}")
        return super().set_params(**parameters)


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(field,))
class DocumentedEstimator(Declared):
    """An estimator whose parameters are keywords.

    Attributes
    ----------
    frame_settings_ : dict
        How the training frames were made, of ``X.attrs``; see :func:`skworm.frames.make_frames`.
    n_features_in_ : int
        Columns of `X`.
    feature_names_in_ : ndarray of str
        Their names, where `X` had any.
    """

    _kw_only = True


class ParameterObject(Declared):
    """Parameters of a part of an estimator; a search reaches them as ``part__parameter``."""


def resolved(value: Any, by_name: Mapping[str, type[ParameterObject]]) -> Any:
    """Return the checked object that a parameter stands for: itself, or that of its name with its defaults."""
    part = by_name[value]() if isinstance(value, str) else value
    part._validate_params()
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
