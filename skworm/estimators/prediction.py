"""From a trained classifier and new recordings to states, bouts and their times."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import get_tags

from skworm.frames import DERIVATIVE_LOOKS_AHEAD, make_frames, resample
from skworm.frames.index import is_same_rate, learned_settings, parse_column_names, parse_context_feature_names
from skworm.recording import UNKNOWN, VOCABULARIES, Recording, map_states


def frames_for_model(model: Any, recordings: Iterable[Recording]) -> tuple[pd.DataFrame, list[Recording]]:
    """Make frames of recordings as a model expects them: its neurons, features, scaling and frame rate.

    Parameters
    ----------
    model : estimator
        Fitted to frames of :func:`skworm.frames.make_frames`.
    recordings : iterable of Recording
        Worms, with or without states.

    Returns
    -------
    X : pandas.DataFrame
        All frames, with the columns that the model was trained on.
    recordings : list of Recording
        The worms, those of another frame rate resampled to that of training. A rate counts as another if it differs by
        more than :data:`skworm.frames.index.SAME_RATE`.

    Raises
    ------
    ValueError
        If the model does not know neurons by name, or a worm lacks one and the model takes no NaN, or a worm lacks more
        than half of them.

    Warns
    -----
    UserWarning
        If a worm lacks some of the neurons, and is read without them.

    Examples
    --------
    >>> import skworm
    >>> from skworm.datasets import make_worms
    >>> from skworm.estimators.prediction import frames_for_model
    >>> from skworm.frames import make_frames
    >>> model = skworm.SVMStateClassifier().fit(*make_frames(make_worms(1, 300, random_state=0), states="2"))
    >>> fast = make_worms(1, 300, fps=8.0, random_state=1)
    >>> X, resampled = frames_for_model(model, fast)
    >>> X.shape[1] == model.n_features_in_, round(resampled[0].fps, 2)
    (True, 2.9)
    """
    neurons, node_features = _columns_of(model)
    settings = learned_settings(model)
    worms = [_at_rate(recording, settings.get("fps")) for recording in recordings]
    derivative = settings.get("derivative") or "auto"
    if derivative == "file" and any(worm.derivatives is None for worm in worms):
        # What the file of the training worms brought is taken to be smooth and two-sided, and so is this.
        derivative = "central"
    if derivative not in ("auto", *DERIVATIVE_LOOKS_AHEAD):
        raise ValueError(f"the model was trained on the derivative {derivative!r}, which skworm cannot compute")
    signals, offsets = parse_context_feature_names(node_features)
    takes_missing = get_tags(model).input_tags.allow_nan
    if takes_missing:
        _tell_missing(worms, neurons)
    X, _ = make_frames(
        worms,
        neurons=neurons,
        states=None,
        derivative=derivative,
        fit_scope=settings.get("fit_scope") or "recording",
        missing="nan" if takes_missing else "raise",
        node_features=list(dict.fromkeys(signals)),
        context=list(dict.fromkeys(offsets)),
    )
    return X, worms


def decode_states(model: Any, recordings: Iterable[Recording]) -> pd.DataFrame:
    """Read the state of every frame of some recordings.

    Parameters
    ----------
    model : estimator
        A fitted state classifier, see :func:`frames_for_model`.
    recordings : iterable of Recording
        Worms, with or without states.

    Returns
    -------
    pandas.DataFrame
        One row a frame: ``"worm"``, ``"frame"``, ``"time"`` in seconds, ``"state"``, the most probable one; where any
        worm has states ``"annotated"``, in the vocabulary of the model; and where the model gives probabilities a
        column ``"probability:<state>"`` for each state.

    Raises
    ------
    ValueError
        If the model is no classifier, or the recordings do not fit it.

    Examples
    --------
    >>> import skworm
    >>> from skworm.datasets import make_worms
    >>> from skworm.estimators.prediction import decode_states
    >>> from skworm.frames import make_frames
    >>> X, y = make_frames(make_worms(1, 300, random_state=0), states="2")
    >>> model = skworm.MLPStateClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> decode_states(model, make_worms(1, 300, random_state=1)).columns.tolist()
    ['worm', 'frame', 'time', 'state', 'annotated', 'probability:forward', 'probability:reverse']
    """
    if not hasattr(model, "classes_"):
        raise ValueError(
            f"a {type(model).__name__} reads no states; pass a state classifier, and use a regressor by its own predict"
        )
    X, worms = frames_for_model(model, recordings)
    table = X.index.to_frame(index=False)
    table["time"] = np.concatenate([worm.time for worm in worms])
    if hasattr(model, "predict_proba"):
        probabilities = np.asarray(model.predict_proba(X))
        table["state"] = np.asarray(model.classes_)[probabilities.argmax(axis=1)]
        for state, values in zip(model.classes_, probabilities.T, strict=True):
            table[f"probability:{state}"] = values
    else:
        table["state"] = np.asarray(model.predict(X))
    if any(worm.states is not None for worm in worms):
        annotated = [_annotated(worm, [str(state) for state in model.classes_]) for worm in worms]
        table.insert(4, "annotated", np.concatenate(annotated))
    return table


def bouts_in_seconds(table: pd.DataFrame) -> pd.DataFrame:
    """List the bouts, stretches of frames in one state.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns ``"worm"``, ``"frame"``, ``"time"`` and ``"state"``, as :func:`decode_states` returns them.

    Returns
    -------
    pandas.DataFrame
        One row a bout: ``"worm"``, ``"state"``, ``"start"``, ``"end"`` and ``"duration"`` in seconds, ``"n_frames"``. A
        bout ends where the next one begins, the last one of a worm a frame after its last.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.estimators.prediction import bouts_in_seconds
    >>> states = ["forward", "forward", "reverse", "forward"]
    >>> frames = pd.DataFrame({"worm": "a", "frame": range(4), "time": [0.0, 0.5, 1.0, 1.5], "state": states})
    >>> bouts_in_seconds(frames)
      worm    state  start  end  duration  n_frames
    0    a  forward    0.0  1.0       1.0         2
    1    a  reverse    1.0  1.5       0.5         1
    2    a  forward    1.5  2.0       0.5         1
    """
    bouts = []
    for worm, rows in table.groupby("worm", sort=False):
        time, state = rows["time"].to_numpy(), rows["state"].to_numpy()
        last = time[-1] + (np.median(np.diff(time)) if len(time) > 1 else 0.0)
        first = np.flatnonzero(np.append(True, state[1:] != state[:-1]))
        end = np.append(time[first[1:]], last)
        n_frames = np.diff(np.append(first, len(rows)))
        parts = {"worm": worm, "state": state[first], "start": time[first], "end": end, "duration": end - time[first]}
        bouts.append(pd.DataFrame({**parts, "n_frames": n_frames}))
    return pd.concat(bouts, ignore_index=True)


def _columns_of(model: Any) -> tuple[list[str], list[str]]:
    names = getattr(model, "feature_names_in_", None)
    parsed = None if names is None else parse_column_names(names)
    if parsed is None:
        raise ValueError(
            f"the {type(model).__name__} does not know its neurons by name; train it on a table of make_frames"
        )
    return parsed


def _tell_missing(worms: list[Recording], neurons: list[str]) -> None:
    for worm in worms:
        lacks = [neuron for neuron in neurons if neuron not in worm.neurons]
        listing = f"worm {worm.worm!r} has no {', '.join(map(repr, lacks))}"
        if 2 * len(lacks) > len(neurons):
            raise ValueError(
                f"{listing}, more than half of the {len(neurons)} neurons that the model reads; leave the worm out, or "
                "train a model on neurons that it has"
            )
        if lacks:
            warnings.warn(f"{listing}, and is read without", UserWarning, stacklevel=3)


def _at_rate(recording: Recording, fps: float | None) -> Recording:
    if fps is None or is_same_rate(recording.fps, fps):
        return recording
    return resample(recording, fps)


def _annotated(worm: Recording, classes: list[str]) -> np.ndarray:
    """Translate the states of a recording into those of a model, where a vocabulary does it."""
    if worm.states is None:
        return np.full(worm.n_frames, UNKNOWN)
    if set(worm.states.tolist()) - {UNKNOWN} <= set(classes):
        return worm.states
    # Of the vocabularies that know all the model's states, the one with the fewest others.
    fitting = [name for name, states in VOCABULARIES.items() if set(classes) <= set(states.values())]
    for name in sorted(fitting, key=lambda name: len(set(VOCABULARIES[name].values()))):
        if set(worm.states.tolist()) <= set(VOCABULARIES[name]):
            return map_states(worm.states, name)
    return worm.states
