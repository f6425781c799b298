"""What a model learned of the frames that it was trained on, and whether other frames are like them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import validate_data

from skworm.layout import WORM_LEVEL, parse_column_names, parse_step_column_names

SAME_RATE = 1.3
"""Frame rates that differ by no more than this factor count as alike; labs and worms vary that much."""

_PASSED_ON = ("derivative", "derivative_looks_ahead", "fit_scope")


def frame_rate_of(X: Any) -> float | None:
    """Tell the frames a second of a table of frames: the median over its worms, or None where it does not say.

    Parameters
    ----------
    X : array-like or DataFrame
        Frames; ``X.attrs["fps"]`` is a number, or maps worms to numbers as :func:`skworm.frames.make_frames` does.

    Returns
    -------
    float or None
        Frames a second.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.expected_frames import frame_rate_of
    >>> X = pd.DataFrame({"AVAL:trace": [0.0, 1.0]}, index=pd.Index(["a", "b"], name="worm"))
    >>> X.attrs["fps"] = {"a": 3.0, "b": 5.0, "c": 7.0}
    >>> frame_rate_of(X), frame_rate_of(X.loc[["a"]])
    (4.0, 3.0)
    """
    fps = _attrs(X).get("fps")
    if isinstance(fps, Mapping):
        index = X.index
        present = index.unique(WORM_LEVEL) if WORM_LEVEL in index.names else list(fps)
        rates = [fps[worm] for worm in present if worm in fps]
        return float(np.median(rates)) if rates else None
    return None if fps is None else float(fps)


def frame_settings(X: Any) -> dict[str, Any]:
    """Tell what a table of frames says of how it was made.

    Parameters
    ----------
    X : array-like or DataFrame
        Frames.

    Returns
    -------
    dict
        ``"derivative"``, ``"derivative_looks_ahead"``, ``"fit_scope"`` and ``"fps"``, those of them that are known;
        empty for plain arrays.
    """
    attrs = _attrs(X)
    settings = {name: attrs[name] for name in _PASSED_ON if name in attrs}
    fps = frame_rate_of(X)
    return settings if fps is None else {**settings, "fps": fps}


def learned_settings(model: Any) -> dict[str, Any]:
    """Tell the settings of the frames that a fitted model learned from.

    Parameters
    ----------
    model : estimator
        Fitted. Of a pipeline the first step that knows tells them, of a search or a wrapper the estimator in it.

    Returns
    -------
    dict
        As :func:`frame_settings` gives them.
    """
    if isinstance(model, Pipeline):
        return next((settings for _, step in model.steps if (settings := learned_settings(step))), {})
    for inner in ("estimator_", "best_estimator_"):
        if hasattr(model, inner):
            return learned_settings(getattr(model, inner))
    return dict(getattr(model, "frame_settings_", {}))


def validate_like_training(estimator: Any, X: Any, **options: Any) -> Any:
    """Check that frames have the columns and the frame rate that a fitted estimator has learned from.

    Parameters
    ----------
    estimator : estimator
        Fitted, with ``frame_settings_``.
    X : array-like or DataFrame
        Frames.
    **options
        Passed on to ``sklearn.utils.validation.validate_data``.

    Returns
    -------
    ndarray
        The checked rows.

    Raises
    ------
    ValueError
        If columns are absent, too many or in another order; the message says how to make them fit.

    Warns
    -----
    UserWarning
        If the frame rate is more than :data:`SAME_RATE` times that of the training frames, or less than it divided
        by that.
    """
    try:
        rows = validate_data(estimator, X, reset=False, **options)
    except ValueError as error:
        mend = _how_to_fit_columns(estimator, X)
        if mend is None:
            raise
        raise ValueError(f"{error}\n{mend}") from error
    _warn_of_rate(estimator, X)
    return rows


def _attrs(X: Any) -> Mapping[str, Any]:
    return {str(name): value for name, value in X.attrs.items()} if isinstance(X, pd.DataFrame) else {}


def is_same_rate(fps: float, other: float) -> bool:
    """Tell whether two frame rates, in frames a second, differ by no more than :data:`SAME_RATE`."""
    return 1 / SAME_RATE <= fps / other <= SAME_RATE


def _warn_of_rate(estimator: Any, X: Any) -> None:
    learned, found = getattr(estimator, "frame_settings_", {}).get("fps"), frame_rate_of(X)
    if learned is None or found is None or is_same_rate(found, learned):
        return
    warnings.warn(
        f"{type(estimator).__name__} was trained on {learned:.3g} frames a second, and X has {found:.3g}; make X with "
        f"make_frames(..., resample_to={learned:.3g})",
        UserWarning,
        stacklevel=4,
    )


def _how_to_fit_columns(estimator: Any, X: Any) -> str | None:
    """Say in terms of neurons what is wrong with the columns, or None where nothing can be said."""
    learned = getattr(estimator, "feature_names_in_", None)
    if learned is None or not hasattr(X, "columns"):
        return None
    expected, found = list(map(str, learned)), list(map(str, X.columns))
    if expected == found:
        return None
    name = type(estimator).__name__
    if set(expected) <= set(found):
        return f"All columns that {name} was trained on are there; pass X[list(model.feature_names_in_)]."
    neurons, present = _neurons_and_features(expected), _neurons_and_features(found)
    if neurons is None:
        return f"{name} was trained on the columns {expected}; X has {found}."
    lacking = [neuron for neuron in neurons[0] if present is None or neuron not in present[0]]
    problem = f"X has no neurons {lacking}" if lacking else f"X has the columns {found[:4]} ..."
    advice = (
        "without them, train another model on neurons that all recordings share" if lacking else "see feature_names_in_"
    )
    return (
        f"{name} was trained on the neurons {neurons[0]} with the features {neurons[1]}, and {problem}. Make X with "
        f"make_frames(recordings, neurons={neurons[0]}, node_features={neurons[1]}); {advice}."
    )


def _neurons_and_features(columns: list[str]) -> tuple[list[str], list[str]] | None:
    try:
        steps = parse_step_column_names(columns)
        return parse_column_names(columns if steps is None else steps[0])
    except ValueError:
        return None
