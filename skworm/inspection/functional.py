"""Relations between neurons beyond what states, behaviour and other neurons explain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from skworm.frames.resampling import follows_a_gap
from skworm.frames.table import list_recordings
from skworm.parameters import check_whole
from skworm.recording import Recording, neuron_name

_N_COMPONENTS = 20
_RIDGE = 1.0
# Circular shifts by less than this would leave slow signals almost in place.
_MIN_SHIFT_SECONDS = 30.0
_SPARE_FRAMES = 2


@dataclass(frozen=True, eq=False)
class FunctionalGraph:
    """Relations between neurons, of :func:`functional_graph`; all tables are [pre, post].

    Attributes
    ----------
    weights : DataFrame of shape (n_neurons, n_neurons)
        By how many standard deviations the next change of the neuron of the column moves with one of the neuron of the
        row, all else equal; mean over worms, NaN where none has both. The diagonal is mostly a neuron's own decay.
    standard_error : DataFrame of shape (n_neurons, n_neurons)
        Of `weights`: over worms where at least two have both neurons, else within the one worm.
    t : DataFrame of shape (n_neurons, n_neurons)
        Weight over its moderated standard error: half the median spread over all pairs is added to that of each pair,
        so that few worms that agree by chance do not lead the list [1]_. Rank edges by its absolute value.
    p_value : DataFrame of shape (n_neurons, n_neurons)
        Share of circular shifts in which the absolute t of the pair is at least as large, two-sided.
    p_family : DataFrame of shape (n_neurons, n_neurons)
        The same of the largest absolute t of any two neurons: corrected for the number of pairs.
    n_worms : DataFrame of shape (n_neurons, n_neurons)
        Worms that have both neurons.

    References
    ----------
    .. [1] Tusher, Tibshirani & Chu 2001, PNAS 98, 5116-5121.
    """

    weights: pd.DataFrame
    standard_error: pd.DataFrame
    t: pd.DataFrame
    p_value: pd.DataFrame
    p_family: pd.DataFrame
    n_worms: pd.DataFrame

    def edges(self) -> pd.DataFrame:
        """Return one row for each ordered pair of different neurons, the largest absolute t first.

        Returns
        -------
        DataFrame
            Columns ``pre``, ``post``, ``weight``, ``standard_error``, ``t``, ``p_value``, ``p_family`` and ``n_worms``.
            Pairs that no worm has are left out.
        """
        others = ("standard_error", "t", "p_value", "p_family", "n_worms")
        tables = {"weight": self.weights} | {name: getattr(self, name) for name in others}
        rows = pd.DataFrame({name: table.stack() for name, table in tables.items()}).reset_index()
        rows = rows[(rows["pre"] != rows["post"]) & rows["weight"].notna()]
        return rows.sort_values("t", key=np.abs, ascending=False, kind="stable", ignore_index=True)


def functional_graph(
    recordings: Recording | Iterable[Recording],
    *,
    neurons: str | Sequence[str] = "shared",
    given: str | Sequence[str] = ("states", "other_neurons"),
    history: float = 3.3,
    n_shifts: int = 200,
    random_state: Any = None,
) -> FunctionalGraph:
    """Infer relations between neurons beyond what drives all of them.

    In each worm the change of each neuron to the next frame is regressed on the levels of all neurons (ridge
    regression), after what `given` explains has been regressed out of both. Worms are then averaged, each worm one
    vote.

    Parameters
    ----------
    recordings : Recording or iterable of Recording
        Recordings, one for each worm; traces need not be scaled.
    neurons : {"shared", "union"} or sequence of str, default="shared"
        Neurons of the graph: identified in every worm, in any worm, or named. A worm may lack some of them.
    given : str or sequence of str, default=("states", "other_neurons")
        What is regressed out. ``"states"`` are the states of the frames around, ``"other_neurons"`` principal
        components of the neurons that are not in the graph, and any other name is a signal of ``Recording.behavior`` in
        the frames around. ``()`` regresses nothing out.
    history : float, default=3.3
        Seconds before and after a frame from which states and behaviour are taken.
    n_shifts : int, default=200
        Circular shifts for the p-values, which are NaN without any.
    random_state : int, RandomState instance or None, default=None
        Seed of the shifts.

    Returns
    -------
    FunctionalGraph
        Weights, standard errors, t and p, pooled over worms.

    Raises
    ------
    ValueError
        If no two neurons of the graph are in one worm, or a recording lacks states, a signal, or frames for what is to
        be regressed out.

    Notes
    -----
    A weight is the effect of one neuron's level on the next change of another, with the given signals and all other
    neurons of the graph held constant. It is causal only if nothing else drives both: no neuron outside of the
    recording, no movement artefact, no state that the labels do not tell apart. It is linear, and one number for a
    whole recording. Calcium is slow: an effect over two synapses may look like one over one. Silent synapses leave no
    trace. Shifted circularly, senders keep their own dynamics and their relations among each other, but not the time
    that they share with the receiver, whose own level stays in place.

    Examples
    --------
    >>> from skworm.datasets import make_worms
    >>> from skworm.inspection import functional_graph
    >>> worms = make_worms(3, n_frames=1500, random_state=0)
    >>> graph = functional_graph(worms, neurons=["AVAL", "AVAR", "RIML", "AVBL"], n_shifts=50, random_state=0)
    >>> graph.edges()[["pre", "post", "n_worms"]].shape
    (12, 3)
    """
    worms = list_recordings(recordings)
    names = _chosen(worms, neurons)
    wanted = (given,) if isinstance(given, str) else tuple(given)
    check_whole(0, n_shifts=n_shifts)
    if not isinstance(history, Real) or not 0 <= history < np.inf:
        raise ValueError(f"history={history!r} must be a number of seconds, at least 0")
    rng = check_random_state(random_state)
    maps = [
        _LinearMap(worm, own, wanted, history)
        for worm in worms
        if len(own := [name for name in names if _has(worm, name)]) > 1
    ]
    if not maps:
        raise ValueError(f"no worm has two of the neurons {names}; choose neurons that were recorded together")
    mean, error, t, n_worms = _pooled(maps, names)
    chance = [np.abs(_pooled(maps, names, rng)[2]) for _ in range(n_shifts)]
    p_value, p_family = _p_values(np.abs(t), np.array(chance))
    return FunctionalGraph(
        weights=_table(mean, names),
        standard_error=_table(error, names),
        t=_table(t, names),
        p_value=_table(p_value, names),
        p_family=_table(p_family, names),
        n_worms=_table(n_worms, names),
    )


class _LinearMap:
    """Levels and changes of the neurons of one worm, with what is given regressed out of both."""

    def __init__(self, recording: Recording, neurons: list[str], given: tuple[str, ...], history: float) -> None:
        self.worm, self.neurons = recording.worm, neurons
        traces = recording.traces[:, [recording.neurons.index(name) for name in neurons]]
        around = round(history * recording.fps)
        columns = [np.ones((recording.n_frames, 1))]
        for name in given:
            if name == "other_neurons":
                components = _components(recording, neurons)
                columns += [components, np.roll(components, -1, axis=0)]
            else:
                columns.append(_around(_signals(recording, name), around))
        explained = np.hstack(columns)[:-1]
        before, after = traces[:-1], traces[1:]
        # Nothing is learned across a gap.
        joined = ~follows_a_gap(recording.time)[1:]
        whole = np.isfinite(before).all(axis=1) & np.isfinite(after).all(axis=1) & joined
        explained, before, change = explained[whole], before[whole], (after - before)[whole]
        basis, sizes, _ = np.linalg.svd(explained, full_matrices=False)
        basis = basis[:, sizes > 1e-8 * sizes[:1]]
        self.n_free = len(before) - basis.shape[1] - len(neurons)
        if len(before) < _SPARE_FRAMES * (basis.shape[1] + len(neurons)):
            raise ValueError(
                f"worm {self.worm!r} has {len(before)} frames with values of all neurons, too few to regress out "
                f"{basis.shape[1]} columns of given={given}; lower history={history}, leave signals out of given, or "
                "leave the worm out"
            )
        self.levels = self._standardised(before - basis @ (basis.T @ before))
        self.changes = self._standardised(change - basis @ (basis.T @ change))
        self.gram = self.levels.T @ self.levels
        self.min_shift = min(round(_MIN_SHIFT_SECONDS * recording.fps), len(before) // 4)

    def _standardised(self, values: np.ndarray) -> np.ndarray:
        spread = values.std(axis=0)
        flat = [name for name, own in zip(self.neurons, spread, strict=True) if not own > 1e-9]
        if flat:
            raise ValueError(
                f"worm {self.worm!r}: nothing is left of {flat} once given is regressed out: the trace is constant, or "
                "another one is a copy of it; leave it out of neurons"
            )
        return values / spread

    def fitted(self, rng: np.random.RandomState | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return weights [pre, post] and their standard errors; with `rng`, of senders shifted at random."""
        n_neurons = len(self.neurons)
        shift = 0 if rng is None else rng.randint(self.min_shift, len(self.levels) - self.min_shift + 1)
        moved = np.roll(self.levels, shift, axis=0)
        between, towards = moved.T @ self.levels, moved.T @ self.changes
        # One regression for each receiver: its own level stays in place while all others are shifted.
        grams = np.tile(self.gram, (n_neurons, 1, 1))
        own = np.arange(n_neurons)
        grams[own, :, own], grams[own, own, :] = between.T, between.T
        grams[own, own, own] = np.diag(self.gram)
        targets = towards.T.copy()
        targets[own, own] = np.einsum("ti,ti->i", self.levels, self.changes)
        inverse = np.linalg.inv(grams + _RIDGE * np.eye(n_neurons))
        weights = np.einsum("ijk,ik->ij", inverse, targets)
        squares = np.einsum("ti,ti->i", self.changes, self.changes)
        residual = squares - 2 * np.einsum("ij,ij->i", weights, targets)
        residual += np.einsum("ij,ijk,ik->i", weights, grams, weights)
        spread = np.einsum("ijk,ikj->ij", inverse @ grams, inverse)
        return weights.T, np.sqrt(spread * (residual / self.n_free)[:, None]).T


def _signals(recording: Recording, name: str) -> np.ndarray:
    if name == "states":
        if recording.states is None:
            raise ValueError(
                f"worm {recording.worm!r} has no states to regress out; name signals of its behaviour in given, such "
                "as given=('velocity', 'other_neurons'), or leave 'states' out"
            )
        return pd.get_dummies(pd.Series(recording.states)).to_numpy(dtype=float)
    if name not in recording.behavior:
        raise ValueError(
            f"given names {name!r}, but worm {recording.worm!r} has the signals {sorted(recording.behavior)}; give "
            "'states', 'other_neurons', or one of these"
        )
    signal = np.asarray(recording.behavior[name], dtype=float)
    known = np.isfinite(signal)
    # A further column marks frames without a value, so that the 0 in its place explains nothing.
    return np.column_stack([np.where(known, signal, 0.0), ~known])


def _around(signals: np.ndarray, n_frames: int) -> np.ndarray:
    """Return the signals of each frame and of those around it, 0 beyond the ends."""
    padded = np.pad(signals, ((n_frames, n_frames), (0, 0)))
    return np.hstack([padded[start : start + len(signals)] for start in range(2 * n_frames + 1)])


def _components(recording: Recording, neurons: list[str]) -> np.ndarray:
    """Return the first principal components of all neurons but these, whatever their scale."""
    others = [column for column, name in enumerate(recording.neurons) if name not in set(neurons)]
    traces = recording.traces[:, others]
    traces = traces[:, np.isfinite(traces).any(axis=0)]
    traces = np.nan_to_num(traces - np.nanmean(traces, axis=0))
    spread = traces.std(axis=0)
    traces = traces[:, spread > 0] / spread[spread > 0]
    components, _, _ = np.linalg.svd(traces, full_matrices=False)
    return components[:, :_N_COMPONENTS]


def _pooled(
    maps: list[_LinearMap], names: list[str], rng: np.random.RandomState | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, standard error and moderated t over worms, and the number of worms, of all pairs of neurons.

    With `rng`, senders are shifted at random in each worm.
    """
    weights, errors = np.full((2, len(maps), len(names), len(names)), np.nan)
    for number, each in enumerate(maps):
        places = np.ix_(*[[names.index(name) for name in each.neurons]] * 2)
        weights[number][places], errors[number][places] = each.fitted(rng)
    n_worms = np.isfinite(weights).sum(axis=0)
    some = np.maximum(n_worms, 1)
    mean = np.where(n_worms > 0, np.nansum(weights, axis=0) / some, np.nan)
    spread = np.sqrt(np.nansum((weights - mean) ** 2, axis=0) / np.maximum(n_worms - 1, 1))
    within = np.sqrt(np.nansum(errors**2, axis=0) / some)
    spread = np.where(n_worms > 1, spread, within)
    pairs = ~np.eye(len(mean), dtype=bool) & (n_worms > 0)
    floor = 0.5 * np.median(spread[pairs])
    error = np.where(n_worms > 0, spread / np.sqrt(some), np.nan)
    return mean, error, mean * np.sqrt(some) / (spread + floor), n_worms


def _p_values(t: np.ndarray, chance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not len(chance):
        return np.full_like(t, np.nan), np.full_like(t, np.nan)
    pairs = ~np.eye(len(t), dtype=bool) & np.isfinite(t)
    largest = chance[:, pairs].max(axis=1)[:, None, None]
    own, family = ((1 + (other >= t).sum(axis=0)) / (1 + len(chance)) for other in (chance, largest))
    return np.where(np.isfinite(t), own, np.nan), np.where(pairs, family, np.nan)


def _table(values: np.ndarray, names: list[str]) -> pd.DataFrame:
    return pd.DataFrame(values, index=pd.Index(names, name="pre"), columns=pd.Index(names, name="post"))


def _chosen(worms: list[Recording], neurons: str | Sequence[str]) -> list[str]:
    if isinstance(neurons, str):
        if neurons not in ("shared", "union"):
            raise ValueError(f"neurons={neurons!r} must be 'shared', 'union', or a list of names")
        own = [set(worm.identified) for worm in worms]
        names = sorted(set.intersection(*own) if neurons == "shared" else set.union(*own))
    else:
        names = list(dict.fromkeys(map(neuron_name, neurons)))
        unknown = [name for name in names if not any(_has(worm, name) for worm in worms)]
        if unknown:
            raise ValueError(f"no worm has the neurons {unknown}; leave them out of neurons")
    if len(names) < 2:
        raise ValueError(f"a graph needs at least two neurons, and there are {names}; pass neurons='union' or a list")
    return names


def _has(worm: Recording, name: str) -> bool:
    return name in worm.identified and bool(np.isfinite(worm.traces[:, worm.neurons.index(name)]).any())
