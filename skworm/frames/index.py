"""How frames are laid out as rows and columns, and whether new ones are like those of training."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import _num_samples, validate_data

from skworm.recording import neuron_name, repeated

WORM_LEVEL = "worm"
FRAME_LEVEL = "frame"
SEPARATOR = ":"
STEP_SEPARATOR = "@"

_STEP_NAME = re.compile(r".+@-?\d+$", re.DOTALL)


def column_names(neurons: Iterable[str], node_features: Sequence[str]) -> list[str]:
    """Name the columns of a frame table, neuron-major: ``"AVAL:trace", "AVAL:derivative", ...``."""
    return [f"{neuron}{SEPARATOR}{feature}" for neuron in neurons for feature in node_features]


def parse_column_names(columns: Iterable[Any]) -> tuple[list[str], list[str]] | None:
    """Return the neurons and node features that column names consist of; None where they are names of another kind."""
    labels = list(columns)
    if not labels or not _name_features(labels):
        return None
    neurons, node_features = _split(labels, SEPARATOR)
    complete = column_names(neurons, node_features)
    if labels != complete:
        remedy = "reorder its columns"
        if lacking := [label for label in complete if label not in labels]:
            remedy = f"select whole neurons or whole features ({lacking[:4]} are not there), or pass X.to_numpy()"
        raise ValueError(
            "columns named 'neuron:feature' must be neuron-major, with the same features in the same order for every "
            f"neuron, such as {column_names(neurons[:2], node_features)}; got {labels[:6]}; make the table with "
            f"make_frames, or {remedy}"
        )
    return neurons, node_features


def _name_features(labels: Iterable[Any]) -> bool:
    return all(isinstance(label, str) and SEPARATOR in label for label in labels)


def _split(labels: Iterable[str], separator: str) -> list[list[str]]:
    """Return what stands before and after the last separator in labels, each once, in order."""
    return [list(dict.fromkeys(parts)) for parts in zip(*(label.rsplit(separator, 1) for label in labels), strict=True)]


def context_feature_names(node_features: Sequence[str], context: Iterable[int]) -> list[str]:
    """Name the node features of a neuron over a context: ``"trace@-3", "derivative@-3", "trace", "derivative"``."""
    return [f"{name}{STEP_SEPARATOR}{frame}" if frame else name for frame in context for name in node_features]


def parse_context_feature_names(node_features: Iterable[str]) -> tuple[list[str], list[int]]:
    """Return what each node feature, such as ``"trace@-3"``, measures, and how many frames from the labelled one."""
    parts = [name.rsplit(STEP_SEPARATOR, 1) if _STEP_NAME.match(name) else (name, 0) for name in node_features]
    return [signal for signal, _ in parts], [int(frame) for _, frame in parts]


def match_neurons(X: Any, fitted_columns: Sequence[str] | None) -> Any:
    """Return frames with the columns that a model was trained on, matched by name.

    Neurons that `X` lacks become columns of NaN, which is warned of, and further ones are left out. Where columns are
    not named ``"neuron:feature"``, in training or now, frames are given back as they are.
    """
    if fitted_columns is None or not isinstance(X, pd.DataFrame) or list(X.columns) == list(fitted_columns):
        return X
    fitted = parse_column_names(fitted_columns)
    if fitted is None or not _name_features(X.columns):
        return X
    neurons, node_features = fitted
    if not X.columns.is_unique:
        raise ValueError(f"X has the column {X.columns[X.columns.duplicated()][0]!r} more than once; drop one of them")
    own, features = _split(X.columns, SEPARATOR) if len(X.columns) else ([], [])
    if not set(features).issuperset(node_features):
        raise ValueError(
            f"X has the node features {sorted(features)}, but the model was trained on {node_features}; make both "
            "tables with the same node_features"
        )
    if not X.columns.isin(fitted_columns).any():
        raise ValueError(
            f"X has none of the neurons that the model was trained on, {neurons}; it has {sorted(own)}; train on "
            "neurons that both have, or correct the names"
        )
    # A neuron is missing where any of its features is.
    incomplete = [neuron for neuron in neurons if not set(column_names([neuron], node_features)) <= set(X.columns)]
    if incomplete:
        warnings.warn(
            f"X lacks {len(incomplete)} of the {len(neurons)} neurons that the model was trained on, or features of "
            f"them, which count as missing: {incomplete}",
            stacklevel=4,
        )
    return X.reindex(columns=list(fitted_columns))


class UnnamedWormsWarning(UserWarning):
    """A model that learned something of each worm is asked about rows that name no worm."""


def warn_unnamed(model: Any, what: str) -> None:
    """Warn that a model has learned something of each worm and takes what all worms share in its place."""
    warnings.warn(
        f"{type(model).__name__} {what}, and X names no worms, so that it uses what the training worms have in common; "
        "pass worm=, or X with the index level 'worm'",
        UnnamedWormsWarning,
        stacklevel=6,
    )


def worm_of_rows(X: Any, worm: Any = None, name: str = "worm") -> np.ndarray | None:
    """Return the worm of each row, as given or from the index level ``"worm"``; None where neither says.

    Errors call what is given `name`.
    """
    check_same_order(X, worm, ("X", name))
    ids = _level_of_rows(X, WORM_LEVEL) if worm is None else np.asarray(worm)
    if ids is None:
        return None
    if ids.ndim != 1 or len(ids) != _num_samples(X):
        raise ValueError(f"{name} has shape {ids.shape}, but X has {_num_samples(X)} rows; pass one worm name a row")
    if (missing := pd.isna(ids)).any():
        raise ValueError(f"row {missing.argmax()} has no worm; name the worm of each row, or drop the row")
    return ids


def frame_of_rows(X: Any, worm: np.ndarray) -> np.ndarray:
    """Return the frame number of each row: from the index level ``"frame"``, else by row order within each worm."""
    frames = _level_of_rows(X, FRAME_LEVEL)
    if frames is None:
        return pd.Series(worm).groupby(worm, sort=False).cumcount().to_numpy()
    if frames.dtype.kind not in "iu":
        numbers = pd.to_numeric(pd.Series(frames, dtype=object), errors="coerce").astype(float)
        broken = np.flatnonzero(numbers.isna() | (numbers % 1 != 0))
        if len(broken):
            raise ValueError(
                f"the index level 'frame' holds {frames[broken[0]]!r} in row {broken[0]}; give whole numbers of "
                "frames, as make_frames does, not seconds"
            )
    return frames.astype(np.int64)


def check_frames_differ(worm: np.ndarray, frame: np.ndarray, remedy: str) -> None:
    """Raise ValueError if a worm has a frame twice, and say what to do about it."""
    repeated = np.flatnonzero(pd.DataFrame({"worm": worm, "frame": frame}).duplicated())
    if len(repeated):
        name, row = worm[repeated[0]], repeated[0]
        raise ValueError(f"worm {str(name)!r} has frame {frame[row]} more than once (row {row}); {remedy}")


def sequences_of(worm: np.ndarray, frame: np.ndarray) -> list[np.ndarray]:
    """Return the rows of every run of consecutive frames of one worm, in order of time."""
    codes, _ = pd.factorize(worm, sort=True)
    order = np.lexsort((frame, codes))
    breaks = (np.diff(frame[order]) != 1) | (np.diff(codes[order]) != 0)
    return np.split(order, np.flatnonzero(breaks) + 1)


def _level_of_rows(X: Any, level: str) -> np.ndarray | None:
    index = getattr(X, "index", None)
    return np.asarray(index.get_level_values(level)) if isinstance(index, pd.Index) and level in index.names else None


def signal_names(y: Any) -> list[str]:
    """Return the names of behavioural signals: of the columns of a table, of a Series, else numbers."""
    if hasattr(y, "columns"):
        return [str(name) for name in y.columns]
    if getattr(y, "name", None) is not None:
        return [str(y.name)]
    shape = np.asarray(y).shape
    return [str(number) for number in range(shape[1] if len(shape) > 1 else 1)]


def step_column_names(columns: Iterable[str], steps: Iterable[int]) -> list[str]:
    """Name the columns of trajectories, time-major: ``"AVAL:trace@0", "RID:trace@0", "AVAL:trace@1", ...``."""
    columns = list(columns)
    return [f"{column}{STEP_SEPARATOR}{step}" for step in steps for column in columns]


def parse_step_column_names(columns: Iterable[Any]) -> tuple[list[str], list[int]] | None:
    """Return the columns of one frame and the steps in column names of trajectories; None for other names."""
    labels = list(columns)
    if not labels or not all(isinstance(label, str) and _STEP_NAME.match(label) for label in labels):
        return None
    names, numbers = _split(labels, STEP_SEPARATOR)
    steps = [int(number) for number in numbers]
    if labels != step_column_names(names, range(steps[0], steps[0] + len(steps))):
        raise ValueError(
            "columns named 'name@step' must be time-major, with the same columns in the same order in consecutive "
            f"steps, such as {step_column_names(names[:2], steps[:2])}; got {labels[:6]}; make the table with "
            "make_trajectories, or reorder its columns"
        )
    return names, steps


SAME_RATE = 1.3
"""Frame rates that differ by no more than this factor count as alike; labs and worms vary that much."""

_PASSED_ON = ("derivative", "derivative_width", "derivative_looks_ahead", "fit_scope", "percentiles", "detrend", "fps")


def frame_rate_of(X: Any) -> float | None:
    """Return the frames a second of a table of frames: the median over its worms, or None where it does not say."""
    fps = X.attrs.get("fps") if isinstance(X, pd.DataFrame) else None
    if isinstance(fps, Mapping):
        present = X.index.unique(WORM_LEVEL) if WORM_LEVEL in X.index.names else list(fps)
        rates = [fps[worm] for worm in present if worm in fps]
        return float(np.median(rates)) if rates else None
    return None if fps is None else float(fps)


def frame_settings(X: Any) -> dict[str, Any]:
    """Return what a table of frames says of how it was made: ``"derivative"``, ``"fps"`` and others that are known."""
    attrs = {**X.attrs, "fps": frame_rate_of(X)} if isinstance(X, pd.DataFrame) else {}
    return {name: attrs[name] for name in _PASSED_ON if name in attrs and (name, attrs[name]) != ("fps", None)}


def check_same_order(X: Any, y: Any, names: tuple[str, str] = ("X", "y")) -> None:
    """Raise ValueError unless two tables whose rows have names have the same rows in one order; the error uses `names`.

    Frames have names where both indices have the levels worm and frame; other rows where their labels are the same.
    """
    tables = all(isinstance(table, pd.Series | pd.DataFrame) for table in (X, y))
    if not tables or len(X) != len(y) or X.index.equals(y.index):
        return
    first, second = names
    levels = [WORM_LEVEL, FRAME_LEVEL]
    if all(set(levels) <= set(table.index.names) for table in (X, y)):
        own, other = (
            pd.MultiIndex.from_arrays([table.index.get_level_values(level) for level in levels]) for table in (X, y)
        )
        if own.equals(other):
            return
        problem = "have the same rows in another order" if other.isin(own).all() else "have other rows"
    elif X.index.is_unique and y.index.isin(X.index).all():
        problem = "have the same rows in another order"
    else:
        return
    raise ValueError(
        f"{first} and {second} {problem}, and are matched by place; pass {second}.loc[{first}.index], or "
        f"{second}.to_numpy() where the places are meant, as for permutations"
    )


def check_same_columns(found: Sequence[str], wanted: Sequence[str]) -> None:
    """Raise ValueError where the columns of `y` are those that a model predicts, but in another order."""
    if list(found) != list(wanted) and set(found) == set(wanted):
        raise ValueError(f"y has the columns {list(found)[:6]}; pass them in the order of training, {list(wanted)[:6]}")


def from_pre_to_post(graph: pd.DataFrame, name: str = "graph") -> pd.DataFrame:
    """Return a graph as numbers [pre, post] under the usual names of neurons.

    One whose axes are named [post, pre] or [response, stimulated] is transposed.
    """
    if (graph.index.name, graph.columns.name) in (("post", "pre"), ("response", "stimulated")):
        graph = graph.T
    usual = graph.set_axis([neuron_name(str(row)) for row in graph.index], axis="index")
    usual = usual.set_axis([neuron_name(str(column)) for column in graph.columns], axis="columns")
    if several := repeated(usual.index) or repeated(usual.columns):
        raise ValueError(f"{name} names {several} more than once ('VB1' and 'VB01' are the same); name each one once")
    return usual.rename_axis(index="pre", columns="post").astype(float)


def settings_for(model: Any, given: Any = None) -> dict[str, Any]:
    """Return how the frames of a model were made, as it remembers or as given; raise ValueError if nobody knows."""
    settings = learned_settings(model)
    if given is not None:
        table = pd.DataFrame()
        table.attrs = dict(given)
        settings = frame_settings(table)
    if "derivative" not in settings:
        raise ValueError(
            f"the {type(model).__name__} does not know how its training frames were made (derivative, scaling, frame "
            "rate), and might be given others; pass settings=X.attrs of the X of make_frames that it was fitted to. "
            "Steps such as MinMaxScaler lose X.attrs, skworm.frames.WormMinMaxScaler keeps them"
        )
    return settings


def learned_settings(model: Any) -> dict[str, Any]:
    """Return the settings of the frames that a fitted model, or any step of a pipeline, learned from."""
    if isinstance(model, Pipeline):
        return next((settings for _, step in model.steps if (settings := learned_settings(step))), {})
    own = dict(getattr(model, "frame_settings_", {}))
    for inner in ("estimator_", "best_estimator_"):
        if not own and hasattr(model, inner):
            return learned_settings(getattr(model, inner))
    return own


def validate_like_training(estimator: Any, X: Any, **options: Any) -> Any:
    """Check that frames have the columns and the frame rate that a fitted estimator has learned from."""
    try:
        rows = validate_data(estimator, X, reset=False, **options)
    except ValueError as error:
        # What is missing or too many, scikit-learn says; it knows no neurons.
        expected, columns = list(getattr(estimator, "feature_names_in_", ())), list(getattr(X, "columns", ()))
        if not expected or not columns or expected == columns:
            raise
        neurons, features = neurons_and_features(expected)
        remedy = f"make X of the columns {expected}"
        if set(expected) <= set(columns):
            remedy = "pass X[list(model.feature_names_in_)]"
        elif neurons:
            remedy = (
                f"make X with make_frames(recordings, neurons={neurons}, node_features={features}), or train another "
                "model on neurons that all recordings share"
            )
        raise ValueError(f"{error}\n{type(estimator).__name__} was trained on other columns; {remedy}") from error
    learned, found = getattr(estimator, "frame_settings_", {}).get("fps"), frame_rate_of(X)
    if learned is not None and found is not None and not is_same_rate(found, learned):
        warnings.warn(
            f"{type(estimator).__name__} was trained on {learned:.3g} frames a second, and X has {found:.3g}; make X "
            f"with make_frames(..., resample_to={learned:.3g})",
            stacklevel=3,
        )
    return rows


def is_same_rate(fps: float, other: float) -> bool:
    """Return whether two frame rates, in frames a second, differ by no more than :data:`SAME_RATE`."""
    return 1 / SAME_RATE <= fps / other <= SAME_RATE


def neurons_and_features(columns: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the neurons and node features of columns of frames or of trajectories; none where they name none."""
    try:
        steps = parse_step_column_names(columns)
        return parse_column_names(columns if steps is None else steps[0]) or ([], [])
    except ValueError:
        return [], []
