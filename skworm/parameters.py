"""Parameters of estimators and of their parts, declared and checked once, and docstrings filled in from one place."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, TypeVar, Union, dataclass_transform, get_args, get_origin

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


_Class = TypeVar("_Class", bound=type)

_BLOCKS: Mapping[str, str] = MappingProxyType(
    {
        "graph": """\
graph : {{"auto", "inferred", "learned"}}, InferredGraph, LearnedGraph or DataFrame, default={graph!r}
    Where messages pass. ``"auto"`` infers a weighted graph, one for each {unit}, or is the graph of all pairs of
    neurons where `messages` is a convolution; ``"inferred"`` and ``"learned"`` are the objects with their defaults. A
    DataFrame of shape (n_neurons, n_neurons) is a given graph, such as a connectome: weights from the neuron of the
    row (pre) to the neuron of the column (post), aligned by name; further neurons are ignored.
messages : {{"weighted", "gin", "sage", "gat", "gatv2", "attention"}} or object, default={messages!r}
    What neurons send each other: the paper's weighted sums (``"weighted"``, :class:`Messages`), or an established
    convolution in their place (:class:`GIN`, :class:`SAGE`, :class:`GAT`, :class:`GATv2`, :class:`GlobalAttention`).
""",
        "network": """\
n_hidden : int, default={n_hidden}
    Hidden features of a layer of the readout.
readout : {readouts} or Readout, default={readout!r}
    How outputs are read out of the neurons; a name is :class:`Readout` with this `aggregation`.
""",
        "augmentation": """\
augmentation : VirtualWorms, "auto" or None, default={augmentation!r}
    Augmentation of the training data. ``"auto"`` is ``{virtual_worms}``.
""",
        "trajectories": """\
burn_in : int, default=None
    Observed frames in each row of `X`; by default from the column names ``"AVAL:trace@0"``, else 1. Without memory a
    step sees the last `burn_in` frames side by side; with 1 the model is Markovian, as in the paper.
rollout : Rollout or None, default=None
    How trajectories are rolled out; None is ``Rollout()``.
center : {{"worm", "population"}}, default="worm"
    What the columns are measured from, see :class:`LinearTrajectoryRegressor`.
linear : bool, default=True
    Add a linear map of the last `burn_in` frames, of all neurons, to the change. It starts as the ridge regression of
    the change in one step, the network at nothing, and both are trained together.
""",
        "levels": """\
level_ : ndarray of shape (n_columns,)
    Mean of the training worms.
levels_ : dict of ndarray
    Mean of each training worm; empty with ``center="population"`` or where training named no worms.
%(sizes)s
""",
        "sizes": """\
burn_in_, horizon_, n_columns_ : int
    Observed and predicted frames of a trajectory, and columns of a frame.
""",
        "class_weight": """\
class_weight : dict, "balanced" or None, default={class_weight!r}
    Weights of the states in the loss; ``"balanced"`` weighs each by the inverse of its share of the frames.
""",
        "training": """\
max_epochs : int, default={max_epochs}
    Epochs, each one step on all training {rows}.
learning_rate : float, default={learning_rate}
    Adam's first learning rate. It falls to a quarter whenever the validation loss has not improved for 50 epochs.
weight_decay : {decays}, default={weight_decay!r}
    Penalty on the squared weights of {decayed}
validation_fraction : float, default={validation_fraction}
    Share of each worm's windows of 8 frames that judges the epochs and is not trained on; the epoch with the lowest
    loss on it is kept. With 0 the training loss judges.
callbacks : list of skorch callbacks or of (name, callback), or None, default={callbacks!r}
    Callbacks of the training, such as ``skorch.callbacks.EarlyStopping``; each fit takes copies. The losses are
    called ``"train_loss"`` and ``"valid_loss"``. The epoch with the lowest validation loss is kept, whenever a callback
    ends training. A ``skorch.callbacks.LRScheduler`` replaces the fall of `learning_rate`. A fit with callbacks
    is never trained together with others.
device : {{"auto", "cpu", "cuda"}}, default={device!r}
    Where to compute; ``"auto"`` takes a GPU if there is one.
random_state : int, RandomState instance or None, default={random_state!r}
    Governs initial weights, validation windows and augmentation.
verbose : int, default={verbose}
    0 is silent, 1 shows a progress bar.
""",
        "fitted": """\
neurons_ : list of str
    Neurons, in the order of the columns.
node_features_ : list of str
    Features of a neuron.
worms_ : ndarray of shape (n_worms,)
    Training worms.
net_ : skorch.NeuralNet
    Trained net. ``net_.history`` holds every epoch's losses; ``net_.save_params`` and ``net_.load_params`` write and
    read weights. ``net_.predict`` and ``net_.forward`` take an array or DataFrame of {rows} as those of one worm, its
    columns in the order of training whatever their names, and return {net_outputs}.
n_iter_ : int
    Epochs trained.
best_epoch_ : int
    Epoch whose weights are kept, counted from 1.
%(columns)s
""",
        "columns": """\
frame_settings_ : dict
    How the training frames were made, of ``X.attrs``; see :func:`skworm.frames.make_frames`.
n_features_in_ : int
    Columns of `X`.
feature_names_in_ : ndarray of str
    Their names, where `X` had any.
""",
        "classes": """\
classes_ : ndarray of shape (n_states,)
    State names.
""",
        "missing": """\
neurons_without_data_ : list of str
    Neurons that are missing in all training frames; they count as missing whatever their columns hold.
""",
        "loss": """\
loss : {{"squared_error", "huber"}}, default="squared_error"
    What training makes small. ``"huber"`` grows linearly beyond an error of one standard deviation of the signal, so
    that glitches of a tracker count for less.
""",
        "signals": """\
signals_ : list of str
    Signals, from the name or the columns of `y`, else numbers.
signal_mean_, signal_scale_ : ndarray of shape (n_signals,)
    Mean and standard deviation of each signal over the known training frames, in its own unit; a constant signal has a
    scale of 1.
""",
        "wrapped": """\
estimator : scikit-learn classifier
    Gives `predict_proba`, or `decision_function`, whose softmax then stands for probabilities.
""",
        "cv": """\
cv : int, splitter or "prefit", default=5
    Groups of worms that are left out in turn, at most one for each worm, or contiguous blocks of the only worm. A
    splitter gets the worms, or animals, as groups. With ``"prefit"`` the estimator is fitted already, to worms that are
    not in `X`.
""",
        "wrapper": """\
estimator_ : classifier
    The estimator, fitted to all frames.
%(classes)s
%(columns)s
""",
        "graphs": """\
graph_ : DataFrame of shape (n_neurons, n_neurons)
    Graph of all training {rows} together; weight from the neuron of the row (pre) to that of the column
    (post). Graphs of each frame are averaged. With a convolution, the attention averaged over frames and heads, or 1
    for every edge. NaN for an inferred edge between neurons that are never there in the same frame. It tells how the
    network mixes neurons and is no finding about the worm: another seed has another graph. For relations between
    neurons see :func:`skworm.inspection.functional_graph`.
graphs_ : dict of DataFrame
    Graph of each training worm; empty where training named no worms.
""",
    }
)


_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "rows": "frames",
        "row": "frame",
        "population": "population",
        "columns": "n_features",
        "about_X": "Frames as `fit` takes them, NaN where a neuron is missing and the estimator takes that.",
        "X": "array-like of shape (n_{rows}, {columns})\n    {about_X}",
        "y": 'array-like of shape (n_frames,)\n    States; frames that are ``"unknown"`` are left out.',
        "worm": """\
array-like of shape (n_{rows},), optional
    Worm of each {row}; by default the index level ``"worm"`` of `X`.""",
        "fit worm": """\
array-like of shape (n_{rows},), optional
    Worm of each {row}; by default the index level ``"worm"`` of `X`, else all are one {population}.""",
        "sample_weight": "array-like of shape (n_{rows},), optional\n    Weights of the {rows}.",
        "fit sample_weight": "array-like of shape (n_{rows},), optional\n    Weights of the {rows} in the loss.",
        "fit returns": "self\n    The fitted estimator.",
        "predict returns": "ndarray of shape (n_frames,)\n    The most probable states (equation 3).",
        "predict_proba returns": (
            "ndarray of shape (n_frames, n_states)\n    Probability of each state, in the order of ``classes_``."
        ),
        "score returns": "float\n    Share of the known frames that are predicted rightly.",
    }
)
"""Words of blocks, arguments of methods, those of one method as "fit worm", and what it returns as "fit returns"."""


def words_of(cls: type) -> dict[str, Any]:
    """Return the words of a class and of its bases."""
    words: dict[str, Any] = dict(_WORDS)
    for base in reversed(cls.__mro__):
        words |= vars(base).get("_words", {})
    return words


def documented(cls: _Class) -> _Class:
    """Fill in what docstrings share: lines ``%(name)s`` of a class, arguments and returns of its methods.

    ``_words`` of the class and of its bases are what differs between families.
    """
    words = words_of(cls)
    if cls.__doc__ is not None:
        defaults = {name: parameter.default for name, parameter in inspect.signature(cls).parameters.items()}
        cls.__doc__ = _filled(inspect.cleandoc(cls.__doc__), words | defaults) + "\n"
    for name, method in vars(cls).items():
        doc = getattr(method, "__doc__", None)
        if f"{name} returns" in words and doc and "Parameters\n" not in doc:
            method.__doc__ = _with_sections(method, words)
    return cls


def _filled(text: str, values: Mapping[str, Any]) -> str:
    def block(line: re.Match[str]) -> str:
        return _filled(_BLOCKS[line[1]].rstrip().format(**values), values)

    return re.sub(r"^%\((\w+)\)s$", block, text, flags=re.MULTILINE)


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


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(field,))
class DocumentedEstimator(Declared):
    """An estimator whose parameters are keywords, and whose docstrings share parts."""

    _kw_only = True

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        documented(cls)
