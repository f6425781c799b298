"""From a trained classifier and new recordings to states and bouts, and how far these can be trusted."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from sklearn.utils import get_tags

from skworm.estimators.network import missing_neurons
from skworm.frames import make_frames, resample
from skworm.frames.index import WORM_LEVEL, is_same_rate, parse_column_names, parse_context_feature_names, settings_for
from skworm.frames.resampling import follows_a_gap
from skworm.metrics.bouts import bouts_of
from skworm.recording import UNKNOWN, VOCABULARIES, Recording, map_states

_FEWEST_TO_CORRELATE = 5
_FEWEST_SECONDS = 60.0
# Read from few neurons, states flicker in any worm.
_FEWEST_TO_COUNT_CHANGES = 20


def frames_for_model(
    model: Any, recordings: Iterable[Recording], *, settings: Mapping[str, Any] | None = None
) -> tuple[pd.DataFrame, list[Recording]]:
    """Make frames of recordings as a model expects them: its neurons, features, scaling and frame rate.

    Parameters
    ----------
    model : estimator
        Fitted to frames of :func:`skworm.frames.make_frames`.
    recordings : iterable of Recording
        Worms, with or without states.
    settings : mapping, optional
        ``X.attrs`` of the training frames, for a model that does not remember how they were made.

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
        If the model does not know neurons by name or how its frames were made, or a worm lacks one and the model takes
        no NaN, or a worm lacks more than half of them.

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
    neurons, node_features = columns_of(model)
    settings = settings_for(model, settings)
    fps = settings.get("fps")
    worms = [worm if fps is None or is_same_rate(worm.fps, fps) else resample(worm, fps) for worm in recordings]
    derivative = settings.get("derivative") or "auto"
    if derivative == "file" and any(worm.derivatives is None for worm in worms):
        # The derivative in the file of the training worms is taken to be smooth and two-sided, as this one is.
        derivative = "smooth"
    signals, offsets = parse_context_feature_names(node_features)
    # A card says how much accuracy missing neurons cost, and when that is too much.
    for worm in () if hasattr(model, "card_") else worms:
        check_present(f"worm {worm.worm!r}", worm.neurons, neurons, get_tags(model).input_tags.allow_nan)
    known = ("derivative_width", "fit_scope", "percentiles", "detrend")
    X, _ = make_frames(
        worms,
        neurons=neurons,
        states=None,
        derivative=derivative,
        missing="nan",
        node_features=list(dict.fromkeys(signals)),
        context=list(dict.fromkeys(offsets)),
        **{name: settings[name] for name in known if settings.get(name) is not None},
    )
    return X, worms


def decode_states(
    model: Any, recordings: Iterable[Recording], *, settings: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """Read the state of every frame of some recordings.

    Parameters
    ----------
    model : estimator
        A fitted state classifier, trained as :func:`frames_for_model` wants it.
    recordings : iterable of Recording
        Worms, with or without states.
    settings : mapping, optional
        See :func:`frames_for_model`.

    Returns
    -------
    pandas.DataFrame
        One row a frame: ``"worm"``, ``"frame"``, ``"time"`` in seconds, ``"state"``, the most probable one, or
        ``"unknown"`` where the neurons have no value, as when focus was lost; where any
        worm has states ``"annotated"``, in the vocabulary of the model; and where the model gives probabilities a
        column ``"probability:<state>"`` for each state. For a model that comes with the package
        ``table.attrs["expected"]`` has the expected accuracy on each worm, from the neurons that it has, and
        ``table.attrs["unlike"]`` the worms that look unlike those of training, on which accuracy is not known.

    Raises
    ------
    ValueError
        If the model is not a classifier, or the recordings do not fit it.

    Warns
    -----
    UserWarning
        If a recording looks unlike the worms that a model of the package was trained on, or has too few of its neurons
        and is left out; where all have, that is an error.

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
    about = getattr(model, "card_", None)
    recordings = list(recordings)
    expected = {} if about is None else check_worms(about, recordings)
    recordings = [worm for worm in recordings if about is None or worm.worm in expected]
    X, worms = frames_for_model(model, recordings, settings=settings)
    table = X.index.to_frame(index=False)
    table["time"] = np.concatenate([worm.time for worm in worms])
    readable = readable_frames(X.to_numpy(), len(columns_of(model)[0]), get_tags(model).input_tags.allow_nan)
    if not readable.any():
        raise ValueError("no frame of the recordings has a value of the neurons that the model reads")
    states = np.full(len(X), UNKNOWN, dtype=object)
    if hasattr(model, "predict_proba"):
        probabilities = np.full((len(X), len(model.classes_)), np.nan)
        probabilities[readable] = model.predict_proba(X[readable])
        states[readable] = np.asarray(model.classes_)[probabilities[readable].argmax(axis=1)]
        for state, values in zip(model.classes_, probabilities.T, strict=True):
            table[f"probability:{state}"] = values
    else:
        states[readable] = np.asarray(model.predict(X[readable]))
    table.insert(3, "state", states)
    if any(worm.states is not None for worm in worms):
        annotated = [_annotated(worm, [str(state) for state in model.classes_]) for worm in worms]
        table.insert(4, "annotated", np.concatenate(annotated))
    if about is not None:
        table.attrs |= {"expected": expected, "unlike": warn_unfamiliar(about, X, table, worms)}
    return table


def accuracy_on_annotated(table: pd.DataFrame, classes: Sequence[str]) -> float | None:
    """Return the share of annotated frames that a table of :func:`decode_states` has right, None where none compares.

    Where worms are annotated with coarser states than the model's `classes`, both are compared in these: in the states
    in which most frames can be.
    """
    if "annotated" not in table:
        return None
    coarser = [VOCABULARIES[name] for name in ("2", "nichols", "4", "7")]
    levels = [dict(zip(classes, classes, strict=True)), *(own for own in coarser if {*classes, UNKNOWN} <= own.keys())]
    annotated = [table["annotated"].map(level).where(lambda own: own != UNKNOWN) for level in levels]
    best = max(range(len(levels)), key=lambda number: annotated[number].notna().sum())
    known = annotated[best].notna()
    right = table["state"].map(levels[best]) == annotated[best]
    return float(right[known].mean()) if known.any() else None


def readable_frames(frames: np.ndarray, n_neurons: int, takes_missing: bool) -> np.ndarray:
    """Return which frames a model can read: one that takes NaN needs one neuron, any other all of them."""
    missing = missing_neurons(frames, n_neurons)
    return ~(np.all(missing, axis=1) if takes_missing else np.any(missing, axis=1))


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
        bout ends where the next one begins, and the last one of a worm, or before a gap in its time, a frame after its
        last.

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
    tables = []
    for worm, rows in table.groupby("worm", sort=False):
        rows = rows.sort_values("time")
        time = rows["time"].to_numpy()
        step = np.median(np.diff(time)) if len(time) > 1 else 0.0
        bouts = bouts_of(rows["state"].to_numpy(), np.cumsum(follows_a_gap(time)))
        start = time[bouts.start]
        closes = np.append(bouts.opens[1:], True)
        end = np.where(closes, time[bouts.stop - 1] + step, np.append(time, np.nan)[bouts.stop])
        columns = {"worm": worm, "state": bouts.state, "start": start, "end": end, "duration": end - start}
        tables.append(pd.DataFrame({**columns, "n_frames": bouts.n_frames}))
    return pd.concat(tables, ignore_index=True)


def columns_of(model: Any) -> tuple[list[str], list[str]]:
    """Return the neurons and node features that a model reads; raise ValueError if it does not know them by name."""
    names = getattr(model, "feature_names_in_", None)
    parsed = None if names is None else parse_column_names(names)
    if parsed is None:
        raise ValueError(
            f"the {type(model).__name__} does not know its columns ('AVAL:trace'), and so does not know its neurons by "
            "name; train it on a table of make_frames"
        )
    return parsed


def check_present(owner: str, present: Sequence[str], neurons: Sequence[str], takes_missing: bool) -> None:
    """Warn of neurons that a model reads and its frames lack; raise ValueError where it cannot do without them."""
    lacks = [neuron for neuron in neurons if neuron not in present]
    if not lacks:
        return
    problem = f"{owner} lacks {lacks}, {len(lacks)} of the {len(neurons)} neurons that the model reads"
    if 2 * len(lacks) > len(neurons) or not takes_missing:
        raise ValueError(f"{problem}; leave it out, record these neurons, or train a model on neurons that it has")
    warnings.warn(f"{problem}, and is read without them", UserWarning, stacklevel=4)


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


class Expected(NamedTuple):
    """Accuracy that a model has with some of its neurons, on worms of its laboratory that it has not seen.

    From `low` to `high` are nine of ten recordings with `n_present` of the `n_neurons` that the model knows.
    """

    accuracy: float
    low: float
    high: float
    n_present: int
    n_neurons: int

    def __str__(self) -> str:
        return (
            f"expected accuracy {self.accuracy:.2f} ({self.low:.2f} to {self.high:.2f}) in a worm like those of "
            f"training, from the {self.n_present} of {self.n_neurons} neurons that it has"
        )


def presence_features(present: np.ndarray, classes: Sequence[Sequence[int]]) -> np.ndarray:
    """Return what the accuracy is predicted from, of shape (n_sets, n_features), for sets of neurons that are there.

    The features are the neurons themselves, whether either of a pair of left and right is there, and the logarithm of
    their number.
    """
    present = np.atleast_2d(present).astype(float)
    pairs = np.column_stack([present[:, list(pair)].max(axis=1) for pair in classes])
    return np.column_stack([present, pairs, np.log1p(present.sum(axis=1))])


def pairs_of(neurons: Sequence[str]) -> list[list[int]]:
    """Return the places of the neurons of each class: left and right of a pair, or one alone."""
    classes: dict[str, list[int]] = {}
    for place, name in enumerate(neurons):
        classes.setdefault(name[:-1] if name[-1] in "LR" else name, []).append(place)
    return list(classes.values())


def expected_accuracy(card: Mapping[str, Any], neurons: Sequence[str]) -> Expected:
    """Return the accuracy that a model has with these neurons on left-out worms of its own laboratory."""
    known = card["neurons"]
    present = np.array([name in set(neurons) for name in known])
    about = card["expected"]
    value = presence_features(present, pairs_of(known)) @ np.array(about["coefficients"]) + about["intercept"]
    # No set of neurons is worth more than all that a left-out worm had.
    value = min(float(value[0]), float(logit(card["accuracy"][0])))
    low, high = about["residuals"][int(np.searchsorted(about["edges"], value))]
    accuracy, *ends = (float(expit(value + change)) for change in (0.0, low, high))
    return Expected(accuracy, min(ends), max(ends), int(present.sum()), len(known))


def check_worms(card: Mapping[str, Any], worms: Sequence[Recording]) -> dict[str, Expected]:
    """Return the expected accuracy on each recording that has enough of the neurons, and warn of others."""
    found = {worm.worm: expected_accuracy(card, worm.identified) for worm in worms}
    enough = {name: own for name, own in found.items() if own.n_present and own.accuracy >= card["floor"]}
    for name, own in found.items():
        if name not in enough:
            problem = (
                f"worm {name!r} has {own.n_present} of the {own.n_neurons} neurons of {card['name']}, too few: "
                f"{own.accuracy:.2f} of its frames would be right, and {card['floor']:.2f} is the least that is read; "
                f"the neurons that count most are {', '.join(card['leading'])}"
            )
            if not enough:
                raise ValueError(problem)
            warnings.warn(f"left out: {problem}", stacklevel=3)
    return enough


def warn_unfamiliar(
    card: Mapping[str, Any], X: pd.DataFrame, table: pd.DataFrame, worms: Sequence[Recording]
) -> list[str]:
    """Warn of each recording that looks unlike the worms of training, naming the measure; return their worms."""
    unlike = []
    for worm in worms:
        frames = X[X.index.get_level_values(WORM_LEVEL) == worm.worm]
        states = table.loc[table["worm"] == worm.worm, "state"].to_numpy()
        odd = [
            f"{name} {value:.3g} (trained on {low:.3g} to {high:.3g})"
            for name, value, (low, high) in measures_of(card, frames, states, worm)
            if not low <= value <= high
        ]
        if odd:
            unlike.append(worm.worm)
            warnings.warn(
                f"worm {worm.worm!r} looks unlike the worms that {card['name']} was trained on: {'; '.join(odd)}; its "
                "states may be wrong: check the names of the neurons, the units and a stretch of video",
                UserWarning,
                stacklevel=3,
            )
    return unlike


def measures_of(
    card: Mapping[str, Any], frames: pd.DataFrame, states: np.ndarray, worm: Recording
) -> list[tuple[str, float, tuple[float, float]]]:
    """Return what is measured of a recording, its value, and the range that training worms have."""
    about = card["familiar"]
    traces = frames.filter(regex=":trace$").dropna(axis="columns", how="any")
    names = [name.partition(":")[0] for name in map(str, traces)]
    places = [card["neurons"].index(name) for name in names]
    measures = [("frames a second", worm.fps, about["fps"])]
    if len(names) >= _FEWEST_TO_CORRELATE:
        reference = np.array(about["correlations"], dtype=float)[np.ix_(places, places)]
        above = np.triu_indices(len(places), 1)
        with np.errstate(invalid="ignore"):
            own = np.corrcoef(traces.to_numpy().T)[above]
        known = np.isfinite(reference[above]) & np.isfinite(own)
        if known.sum() >= _FEWEST_TO_CORRELATE:
            likeness = float(np.corrcoef(own[known], reference[above][known])[0, 1])
            measures.append(("likeness of the correlations among its neurons", likeness, about["likeness"]))
        levels = np.array(about["levels"], dtype=float)[places]
        apart = float(np.sqrt(np.nanmean((traces.mean().to_numpy() - levels) ** 2)))
        measures.append(("difference of the mean levels of its neurons", apart, about["apart"]))
    known = states[states != UNKNOWN]
    seconds = len(known) / worm.fps
    if seconds >= _FEWEST_SECONDS and len(names) >= _FEWEST_TO_COUNT_CHANGES:
        changes = 60 * float((known[1:] != known[:-1]).sum()) / seconds
        measures.append(("changes of state a minute", changes, about["changes"]))
    return measures
