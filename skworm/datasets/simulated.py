"""Simulated worms: recordings that need no network, and the interaction graph behind them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from skworm.parameters import check_whole
from skworm.recording import Recording, neuron_name

# Transitions between bouts, counted over the five worms of Kato et al. 2015 (WT_NoStim).
_CYCLE = ("forward", "slowing", "reverse_1", "reverse_2", "sustained_reverse", "dorsal_turn", "ventral_turn", "unknown")
_TRANSITIONS = np.array(
    [
        [0, 56, 2, 8, 0, 0, 0, 0],
        [35, 0, 57, 53, 2, 0, 0, 3],
        [0, 0, 0, 0, 59, 0, 0, 0],
        [0, 0, 0, 0, 61, 0, 0, 0],
        [0, 0, 0, 0, 0, 38, 81, 4],
        [17, 21, 0, 0, 0, 0, 0, 0],
        [12, 69, 0, 0, 0, 0, 0, 0],
        [2, 2, 0, 0, 2, 0, 0, 0],
    ]
)
# Deciles of the dwell time in seconds, from the shortest bout to the longest, over the same worms; whole bouts only.
_DWELL_SECONDS = np.array(
    [
        [0.3, 0.9, 2.5, 3.6, 4.8, 5.7, 7.9, 8.8, 11.4, 15.4, 48.2],
        [0.3, 0.3, 0.4, 0.4, 0.7, 2.1, 4.4, 7.2, 11.5, 26.3, 141.2],
        [1.3, 1.9, 2.4, 2.8, 2.9, 3.1, 3.2, 3.4, 3.8, 4.2, 7.4],
        [2.3, 2.6, 2.9, 2.9, 3.1, 3.4, 3.4, 3.8, 4.1, 4.6, 7.4],
        [3.9, 7.3, 8.5, 10.0, 11.3, 13.0, 14.9, 16.5, 19.8, 23.6, 47.2],
        [1.6, 6.1, 6.4, 6.6, 7.1, 7.2, 7.3, 7.6, 8.3, 9.4, 11.7],
        [1.3, 3.9, 4.6, 5.3, 6.2, 6.5, 6.9, 7.5, 8.2, 9.0, 14.4],
        [3.2, 3.2, 3.2, 5.4, 7.6, 7.6, 7.6, 10.0, 12.4, 15.2, 18.0],
    ]
)

# Where each state lies on the loop: reverse against forward, reversal onset against turn, dorsal against ventral.
_LOOP = np.array(
    [
        [-1.0, -0.1, 0.3],
        [-0.9, 0.1, -0.3],
        [0.1, 0.8, 0.4],
        [0.2, 0.8, -0.4],
        [1.1, 0.2, 0.0],
        [0.0, -0.8, 0.7],
        [0.1, -0.8, -0.7],
        [0.0, 0.0, 0.0],
    ]
)
# Mean velocity of each state in mm/s, forward positive, of the size that worms crawl with on agar.
_VELOCITY = np.array([0.15, 0.05, -0.10, -0.12, -0.20, 0.03, 0.03, 0.0])
# A bout that lies further towards reversal on the loop than its state does is slower forward or faster backward.
_VELOCITY_A_LOOP_UNIT = -0.2
_VELOCITY_NOISE = 0.01
# How strongly a neuron follows each axis of the loop, read off its mean z-scored trace in each state of those worms.
_TUNING = {
    "AIBL": (1.0, -0.2, -0.3),
    "AIBR": (1.0, -0.2, -0.3),
    "ALA": (0.2, 0.2, 0.1),
    "AVAL": (1.1, 0.1, -0.1),
    "AVAR": (1.1, 0.2, -0.1),
    "AVBL": (-0.6, 0.1, -0.3),
    "AVER": (1.0, -0.6, -0.2),
    "RID": (-0.5, -0.1, -0.3),
    "RIML": (1.1, -0.3, -0.2),
    "RIMR": (1.1, -0.1, -0.2),
    "RMED": (-0.9, 0.0, 0.6),
    "RMEL": (-0.8, 0.1, 0.3),
    "RMER": (-0.8, 0.1, 0.3),
    "VB01": (-0.8, 0.2, 0.2),
    "VB02": (-0.9, 0.3, 0.1),
}
_OTHER_TUNING_SPREAD = (0.8, 0.4, 0.4)

_EDGE_PROBABILITY = 0.15
_LARGEST_SPECTRAL_RADIUS = 0.8
_LOOP_SECONDS = 0.35
_NEURON_SECONDS = 0.5
_BURN_IN_SECONDS = 60.0
_BOUT_SPREAD = 0.25
_PRIVATE_SPREAD = 0.25
_PRIVATE_SECONDS = 8.0
_LARGEST_BLEACHING = 0.15
# Individuality: the length of the rows of a random matrix that mixes each worm's traces, beside the identity.
_MIXING = 0.35
# Steepness of the smooth rectifier through which activity shows as calcium: neurons out of their state are silent.
_RECTIFICATION = 3.0


class _Lab(NamedTuple):
    fps: float = 2.9
    noise: float = 0.08
    gain: float = 0.8
    gain_log_spread: float = 0.15
    calcium_seconds: float = 0.8


def make_worms(
    n_worms: int = 5,
    n_frames: int = 3100,
    *,
    neurons: Sequence[str] = tuple(_TUNING),
    n_unidentified: int = 20,
    identification_rate: float = 1.0,
    fps: float | None = None,
    lab: int = 0,
    worm_prefix: str = "simulated",
    random_state: Any = None,
    return_graph: bool = False,
) -> Any:
    """Simulate worms whose interaction graph is known.

    A cycle of motor commands, with the transitions and dwell times of the five worms of Kato et al. 2015, moves a
    point on a three-dimensional loop. It drives each neuron, beside activity of its own, which propagates along the
    graph by leaky linear dynamics. A linear mixing of each worm's own, a rectifier, calcium kinetics, bleaching and
    noise turn activity into dF/F. ``behavior["velocity"]`` is in mm/s, positive forward: that of the state, faster or
    slower with the place of the bout on the loop, with a noise of 0.01 mm/s.

    Cycle, tuning and graph depend on the names of the neurons alone, and not on `lab` or `random_state`.

    Parameters
    ----------
    n_worms : int, default=5
        Number of worms.
    n_frames : int, default=3100
        Frames of each worm.
    neurons : sequence of str, default=the 15 neurons of Wang et al. 2021
        Names of the neurons that can be identified.
    n_unidentified : int, default=20
        Further neurons of each worm, named by decimal numbers, which follow the loop but stand outside the graph.
    identification_rate : float in [0, 1], default=1.0
        Probability that a neuron is identified in a worm, and not named by a decimal number.
    fps : float, optional
        Frames a second; by default the lab's own, 2.9 in lab 0.
    lab : int, default=0
        Number of the lab, which decides frame rate, noise, gains and calcium kinetics.
    worm_prefix : str, default="simulated"
        The worms are named ``"simulated-0"``, ``"simulated-1"`` and so on.
    random_state : int, RandomState instance or None, default=None
        Seed; the same seed gives other worms in another lab.
    return_graph : bool, default=False
        Whether the graph is returned as well.

    Returns
    -------
    recordings : list of Recording, length n_worms
        The worms, with the states and the velocity of every frame.
    graph : pandas.DataFrame of shape (n_neurons, n_neurons)
        Weight of each edge, rows ``"pre"``, columns ``"post"``; only with ``return_graph=True``.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    Kato et al. 2015, Cell 163, 656-669: the cycle, its states and its low-dimensional loop.

    Examples
    --------
    >>> from skworm.datasets import make_worms
    >>> worms, graph = make_worms(n_worms=2, n_frames=300, random_state=0, return_graph=True)
    >>> worms[0]
    Recording('simulated-0': 300 frames at 2.90 a second, 35 neurons, 15 identified, with states)
    >>> graph.shape
    (15, 15)
    """
    check_whole(1, n_worms=n_worms)
    check_whole(2, n_frames=n_frames)
    check_whole(0, n_unidentified=n_unidentified, lab=lab)
    setup = _lab(lab, fps)
    if not (isinstance(setup.fps, Real) and 0 < setup.fps < math.inf):
        raise ValueError(f"fps={fps!r} must be a number greater than 0")
    if not (isinstance(identification_rate, Real) and 0 <= identification_rate <= 1):
        raise ValueError(f"identification_rate={identification_rate!r} must be a number between 0 and 1")
    names = _check_neurons(neurons)
    weights = _species_graph(names)
    recordings = []
    seeds = check_random_state(random_state).randint(2**31 - 1, size=n_worms)
    for number, seed in enumerate(seeds):
        rng = np.random.default_rng([lab, seed])
        states, velocity, activity = _live(rng, n_frames, setup, names, n_unidentified, weights.to_numpy())
        traces = _record(rng, activity, setup)
        columns = rng.permutation(traces.shape[1])
        # An unidentified neuron is named by its place, counted from 1.
        identified = rng.random(len(names)) < identification_rate
        called = {column: name for column, name in enumerate(names) if identified[column]}
        worm = Recording(
            worm=f"{worm_prefix}-{number}",
            traces=traces[:, columns],
            neurons=tuple(called.get(column, str(place)) for place, column in enumerate(columns, start=1)),
            fps=setup.fps,
            dataset=f"{worm_prefix}, lab {lab}",
            states=states,
            behavior={"velocity": velocity + rng.normal(0, _VELOCITY_NOISE, size=n_frames)},
            source=f"skworm.datasets.make_worms, lab {lab}, seed {seed}",
        )
        recordings.append(worm)
    return (recordings, weights) if return_graph else recordings


def _lab(number: int, fps: float | None) -> _Lab:
    lab = _Lab()
    if number > 0:
        rng = np.random.default_rng([crc32(b"lab"), number])
        lab = _Lab(*np.multiply(lab, rng.uniform(0.7, 1.5, size=5)))
    return lab if fps is None else lab._replace(fps=fps)


def _live(
    rng: np.random.Generator, n_frames: int, lab: _Lab, names: list[str], n_unidentified: int, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    burn_in = int(np.ceil(_BURN_IN_SECONDS * lab.fps))
    n_steps = burn_in + n_frames
    state, target = _bouts(rng, n_steps, lab.fps)
    loop, velocity = (
        _low_pass(_low_pass(commands, _LOOP_SECONDS, lab.fps), _LOOP_SECONDS, lab.fps)
        for commands in (target, _VELOCITY[state] + _VELOCITY_A_LOOP_UNIT * (target - _LOOP[state])[:, 0])
    )
    own = [np.random.default_rng(crc32(name.encode())).normal(0, _OTHER_TUNING_SPREAD) for name in names]
    strangers = rng.normal(0, _OTHER_TUNING_SPREAD, size=(n_unidentified, loop.shape[1]))
    tuning = np.array([*map(_TUNING.get, names, own), *strangers])
    # Low-passed white noise of coefficient a has the variance (1 - a) / (1 + a); dividing by it makes the spread exact.
    keep = np.exp(-1 / (_PRIVATE_SECONDS * lab.fps))
    white = rng.normal(0, _PRIVATE_SPREAD * np.sqrt((1 + keep) / (1 - keep)), size=(n_steps, len(tuning)))
    drive = loop @ tuning.T + _low_pass(white, _PRIVATE_SECONDS, lab.fps)
    full = np.zeros((len(tuning), len(tuning)))
    full[: len(names), : len(names)] = weights
    activity = _propagate(drive, full, lab.fps)
    return np.array(_CYCLE)[state[burn_in:]], velocity[burn_in:], activity[burn_in:]


def _bouts(rng: np.random.Generator, n_steps: int, fps: float) -> tuple[np.ndarray, np.ndarray]:
    probabilities = _TRANSITIONS / _TRANSITIONS.sum(axis=1, keepdims=True)
    deciles = np.arange(_DWELL_SECONDS.shape[1])
    state = int(rng.integers(len(_CYCLE)))
    states, durations, filled = [], [], 0
    while filled < n_steps:
        seconds = np.exp(np.interp(rng.uniform(0, deciles[-1]), deciles, np.log(_DWELL_SECONDS[state])))
        states.append(state)
        durations.append(max(1, round(seconds * fps)))
        filled += durations[-1]
        state = int(rng.choice(len(_CYCLE), p=probabilities[state]))
    targets = _LOOP[states] + rng.normal(0, _BOUT_SPREAD, size=(len(states), _LOOP.shape[1]))
    return np.repeat(states, durations)[:n_steps], np.repeat(targets, durations, axis=0)[:n_steps]


def _low_pass(values: np.ndarray, seconds: float, fps: float) -> np.ndarray:
    from scipy.signal import lfilter

    keep = np.exp(-1 / (seconds * fps))
    return lfilter([1 - keep], [1, -keep], values, axis=0)


def _propagate(drive: np.ndarray, weights: np.ndarray, fps: float) -> np.ndarray:
    keep = np.exp(-1 / (_NEURON_SECONDS * fps))
    step = keep * np.eye(len(weights)) + (1 - keep) * weights
    activity = np.empty_like(drive)
    activity[0] = drive[0]
    for frame in range(1, len(drive)):
        activity[frame] = activity[frame - 1] @ step + (1 - keep) * drive[frame]
    return activity


def _record(rng: np.random.Generator, activity: np.ndarray, lab: _Lab) -> np.ndarray:
    n_frames, n_neurons = activity.shape
    own_mixing = np.eye(n_neurons) + rng.normal(0, _MIXING / np.sqrt(n_neurons), size=(n_neurons, n_neurons))
    firing = np.logaddexp(0, _RECTIFICATION * (activity @ own_mixing)) / _RECTIFICATION
    calcium = _low_pass(firing - firing[0], lab.calcium_seconds, lab.fps)
    calcium -= calcium.min(axis=0)
    bleaching = rng.uniform(0, _LARGEST_BLEACHING, size=n_neurons)
    calcium *= np.exp(-bleaching * np.linspace(0, 1, n_frames)[:, np.newaxis])
    calcium += rng.normal(0, lab.noise, size=calcium.shape) * calcium.std(axis=0)
    gain = lab.gain * rng.lognormal(0, lab.gain_log_spread) * rng.lognormal(0, lab.gain_log_spread, size=n_neurons)
    offset = rng.uniform(0, 0.1, size=n_neurons)
    return gain * (calcium + offset)


def _species_graph(names: list[str]) -> pd.DataFrame:
    weights = np.zeros((len(names), len(names)))
    for pre, sender in enumerate(names):
        for post, receiver in enumerate(names):
            rng = np.random.default_rng([crc32(sender.encode()), crc32(receiver.encode())])
            exists, excites = rng.random(2) < (_EDGE_PROBABILITY, 0.7)
            if exists and pre != post:
                weights[pre, post] = (1 if excites else -1) * rng.uniform(0.15, 0.45)
    radius = float(np.abs(np.linalg.eigvals(weights)).max())
    weights *= min(1.0, _LARGEST_SPECTRAL_RADIUS / max(radius, 1e-12))
    return pd.DataFrame(weights, index=pd.Index(names, name="pre"), columns=pd.Index(names, name="post"))


def _check_neurons(neurons: Sequence[str]) -> list[str]:
    # A recording writes VB1 as VB01, and the graph has to use the same names.
    names = [] if isinstance(neurons, str) else [neuron_name(name) for name in neurons]
    if not names or len(set(names)) < len(names) or any(name.isdecimal() for name in names):
        raise ValueError(
            f"neurons={neurons!r} must be at least one name, each once, none of them a number, such as ('AVAL', 'RID')"
        )
    return names
