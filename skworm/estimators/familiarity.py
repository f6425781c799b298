"""How far a new recording can be trusted to a model that was trained elsewhere, from the card of the model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from skworm.frames.index import WORM_LEVEL
from skworm.recording import UNKNOWN, Recording

_FEWEST_TO_CORRELATE = 5
_FEWEST_SECONDS = 60.0
# Read from few neurons, states flicker in any worm.
_FEWEST_TO_COUNT_CHANGES = 20


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
            f"{name} {value:.2f} (trained on {low:.2f} to {high:.2f})"
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


def sets_of_states(card: Mapping[str, Any], probabilities: np.ndarray, coverage: float) -> np.ndarray:
    """Return which states a set holds, of shape (n_frames, n_states), so that it holds the true one with `coverage`.

    The sets hold it in that share of the frames of left-out worms. The most probable state is always among them.
    """
    levels = np.array(card["conformal"]["coverage"])
    if not levels[0] <= coverage <= levels[-1]:
        raise ValueError(f"coverage={coverage} must be between {levels[0]:g} and {levels[-1]:g}")
    return states_within(probabilities, float(np.interp(coverage, levels, card["conformal"]["threshold"])))


def states_within(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Return which states a set holds: those near enough, and the most probable one; none where NaN is all there is."""
    return (1 - probabilities <= threshold) | (probabilities == probabilities.max(axis=1, keepdims=True))
