"""A table of node features, and the state of every row, from recordings."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from skworm.frames.features import (
    DERIVATIVE_LOOKS_AHEAD,
    ROBUST,
    SMOOTH_SECONDS,
    check_percentiles,
    check_positive,
    differentiate,
    is_constant,
    range_of,
    scale,
)
from skworm.frames.index import FRAME_LEVEL, WORM_LEVEL, column_names, context_feature_names, is_same_rate
from skworm.frames.resampling import NO_CONTEXT, check_context, check_times, context_rows, frame_numbers, resample
from skworm.frames.resampling import detrend as remove_baseline
from skworm.parameters import check_choice
from skworm.recording import UNKNOWN, Recording, map_states, repeated

# Neither a camera nor a division yields a number as large as this.
IMPOSSIBLE = 1e100


PAPER_NEURONS = (
    *("AIBL", "AIBR", "ALA", "AVAL", "AVAR", "AVBL", "AVER", "RID"),
    *("RIML", "RIMR", "RMED", "RMEL", "RMER", "VB01", "VB02"),
)
"""The 15 neurons of Wang et al. 2021. In the public file of Kato et al. 2015 one worm lacks VB01."""

SHARED_WITH_NICHOLS = ("AIBR", "AVAL", "VB02")
"""The neurons of :data:`PAPER_NEURONS` that are identified in the worms of Nichols et al. 2017 as well."""

NODE_FEATURES = ("trace", "derivative")
"""What can be known of a neuron in one frame."""


def make_frames(
    recordings: Recording | Iterable[Recording],
    *,
    neurons: Literal["shared", "union"] | Sequence[str] = "shared",
    exclude: Sequence[str] = (),
    states: str | Mapping[str, str] | None = "7",
    derivative: str = "auto",
    derivative_width: float = SMOOTH_SECONDS,
    fit_scope: str = "recording",
    percentiles: str | tuple[float, float] = "auto",
    missing: str = "raise",
    unknown: str = "drop",
    node_features: Sequence[str] = NODE_FEATURES,
    resample_to: float | None = None,
    detrend: float | None = None,
    context: int | Sequence[int] = NO_CONTEXT,
) -> tuple[pd.DataFrame, pd.Series | None]:
    """Make a table of frames and their states from recordings.

    Parameters
    ----------
    recordings : Recording or iterable of Recording
        The worms, each with its own name.
    neurons : "shared", "union" or sequence of str, default="shared"
        Neurons to keep, in this order. ``"shared"`` takes those identified in every recording, in alphabetical order,
        ``"union"`` those identified in any, which wants ``missing="nan"``. :data:`PAPER_NEURONS` and
        :data:`SHARED_WITH_NICHOLS` are ready-made choices.
    exclude : sequence of str, default=()
        Neurons to leave out of that choice.
    states : {"7", "4", "nichols", "2", "as_recorded"}, mapping of str to str, or None, default="7"
        Vocabulary of the states, see :func:`map_states`. With None there are no states and every frame is kept.
    derivative : {"auto", "smooth", "causal", "file", "central", "backward"}, default="auto"
        Time derivative of the traces, in dF/F a second before scaling:

        - ``"smooth"``: slope of a line fitted to the frames around, see ``skworm.frames.features.slopes``;
        - ``"causal"``: the same of the frame and those before it, for use while a worm is recorded;
        - ``"file"``: the recording's own;
        - ``"central"``: second-order central difference over the recording's time stamps, which is mostly noise;
        - ``"backward"``: difference from the frame before, 0 in the first frame, for forecasts;
        - ``"auto"``: the file's own where every recording has one, else smooth.
    derivative_width : float, default=1.3
        Seconds over which ``"smooth"`` and ``"causal"`` derivatives are taken, a standard deviation.
    fit_scope : {"recording", "train"}, default="recording"
        Where the scaling to [0, 1] is learned. ``"recording"`` scales over the worm's whole recording, as the paper
        does; the range then depends on frames that are later held out. ``"train"`` leaves dF/F and dF/F a second as
        they are, for :class:`WormMinMaxScaler` in a pipeline to scale on training rows only.
    percentiles : (float, float) or "auto", default="auto"
        Percentiles of each trace and derivative that become 0 and 1; what lies beyond is clipped, so that a few frames
        of movement do not squeeze all others. ``(0, 100)`` is the whole range. ``"auto"`` is (1, 99), and (0, 100) with
        ``derivative="backward"``, whose frames are forecast.
    missing : {"raise", "nan"}, default="raise"
        What becomes of a neuron that some worm lacks: an error, or columns of NaN for that worm. With ``"nan"``, NaN in
        single frames of a recording is kept too, instead of being an error.
    unknown : {"drop", "keep"}, default="drop"
        Whether frames without a known state are left out, and with them those in which the worm has no value of any of
        the neurons, as when focus was lost.
    node_features : sequence of {"trace", "derivative"}, default=("trace", "derivative")
        Features of each neuron, in this order.
    resample_to : float, optional
        Frames a second to bring all recordings to first, see :func:`resample`; by default each keeps its own rate. It
        looks at later frames: not for forecasts.
    detrend : float, optional
        Seconds of the window in which a slow baseline of each trace, its 10th percentile, is found and removed. For
        recordings that bleach and are not corrected yet: let it be several times the longest bout, such as 300, or the
        activity of neurons that stay on for long is removed too. It looks at later frames: not for closed loop.
    context : int or sequence of int, default=(0,)
        Frames that a row shows of each neuron, counted from the one that is labelled: ``(-12, -6, -3, 0, 3, 6, 12)``
        looks to both sides, ``(-12, -6, -3, 0)`` is for use while a worm is recorded. Each is a further node feature,
        ``"AVAL:trace@-12"``. No row is lost at the ends of a recording, or at a gap in its time stamps: the last frame
        on this side is repeated. Rows that would show a frame without any value are left out. Frames without a
        known state serve as context.

    Returns
    -------
    X : pandas.DataFrame of shape (n_frames, n_neurons * n_node_features)
        One row a frame, index levels ``("worm", "frame")``, columns ``"AVAL:trace", "AVAL:derivative", ...``. Frames
        count from 0; those that were lost in a gap of the time stamps have numbers too, so that nothing crosses it.
        ``X.attrs`` tells ``"derivative"``, ``"derivative_width"``, ``"derivative_looks_ahead"``, ``"fit_scope"``,
        ``"percentiles"``, ``"detrend"``, ``"resampled_to"``, and the frames a second of each worm, ``"fps"``.
    y : pandas.Series of shape (n_frames,) or None
        State names, with the same index.

    Raises
    ------
    ValueError
        If names of worms or neurons repeat, or a worm lacks a neuron, states, or frames with a known state, or a chosen
        trace is constant or holds NaN.
    TypeError
        If something other than a recording is passed.

    References
    ----------
    Wang et al. 2021, "Data Processing" and "Neuron-level Trajectory Prediction".

    Examples
    --------
    >>> from skworm.frames import make_frames
    >>> from skworm.recording import Recording
    >>> traces = [[0.0, 0.5], [0.5, 0.0], [1.0, 0.25], [0.5, 1.0]]
    >>> states = ["forward", "forward", "unknown", "reverse_1"]
    >>> worm = Recording("worm-a", traces, ["AVAL", "RID"], fps=2.0, states=states)
    >>> X, y = make_frames(worm, states="2", derivative="backward")
    >>> X
                AVAL:trace  AVAL:derivative  RID:trace  RID:derivative
    worm   frame
    worm-a 0           0.0              0.5        0.5             0.4
           1           0.5              1.0        0.0             0.0
           3           0.5              0.0        1.0             1.0
    >>> y.tolist()
    ['forward', 'forward', 'reverse']
    """
    worms = list_recordings(recordings)
    check_times(worms)
    if resample_to is not None:
        worms = [resample(worm, resample_to) for worm in worms]
    if detrend is not None:
        worms = [remove_baseline(worm, detrend) for worm in worms]
    _check_rates_alike(worms)
    check_choice(("recording", "train"), fit_scope=fit_scope)
    check_choice(("raise", "nan"), missing=missing)
    check_choice(("drop", "keep"), unknown=unknown)
    features = _check_names("node_features", node_features, "node_features=('trace',)")
    if not features or not set(features) <= set(NODE_FEATURES):
        raise ValueError(f"node_features={node_features!r} must be one or both of {NODE_FEATURES}")
    method = _choose_derivative(worms, derivative)
    width = check_positive("derivative_width", derivative_width, f"seconds, such as {SMOOTH_SECONDS}")
    low_and_high: tuple[float, float] = (0, 100) if method == "backward" else ROBUST
    if not (isinstance(percentiles, str) and percentiles == "auto"):
        low_and_high = check_percentiles(percentiles)
    chosen = _choose_neurons(worms, neurons, exclude, missing)
    context = check_context(context)
    tables, labels = [], []
    for worm in worms:
        columns = {neuron: worm.neurons.index(neuron) for neuron in chosen if neuron in worm.neurons}
        lost = np.isnan(worm.traces[:, list(columns.values())]).all(axis=1)
        lost &= states is not None and unknown == "drop" and not lost.all()
        signals = _signals_of(worm, columns, features, (method, width), lost | (missing == "nan"))
        if fit_scope == "recording":
            signals = {name: scale(values, range_of(values, low_and_high)) for name, values in signals.items()}
        table = _table_of(worm, chosen, signals, context)
        if states is not None:
            names = _states_of(worm, states, unknown)
            seen = ~lost[context_rows(worm.time, context)].any(axis=1)
            kept = slice(None) if unknown == "keep" else seen & (names != UNKNOWN)
            table = table[kept]
            labels.append(names[kept])
        tables.append(table)
    X = pd.concat(tables)
    has_derivative = "derivative" in features
    X.attrs = {
        "derivative": method if has_derivative else None,
        "derivative_width": width if has_derivative and method in ("smooth", "causal") else None,
        "derivative_looks_ahead": has_derivative and DERIVATIVE_LOOKS_AHEAD[method],
        "detrend": detrend,
        "resampled_to": resample_to,
        "fit_scope": fit_scope,
        "percentiles": low_and_high,
        "fps": {worm.worm: worm.fps for worm in worms},
    }
    return X, None if states is None else pd.Series(np.concatenate(labels), index=X.index, name="state")


def _check_names(name: str, values: Any, example: str) -> list[str]:
    if isinstance(values, str):
        raise ValueError(f"{name}={values!r} is one string; pass a sequence, such as {example}")
    names = [str(value) for value in values]
    if several := repeated(names):
        raise ValueError(f"{name} repeats {several}; name each one once")
    return names


def list_recordings(recordings: Recording | Iterable[Recording]) -> list[Recording]:
    """Check that something is recordings of worms of different names, and list them."""
    worms = [recordings] if isinstance(recordings, Recording) else list(recordings)
    if not worms:
        raise ValueError("recordings is empty; pass at least one Recording, for example from make_worms()")
    for worm in worms:
        if not isinstance(worm, Recording):
            raise TypeError(f"recordings holds a {type(worm).__name__}; pass skworm.recording.Recording objects")
    if several := repeated(worm.worm for worm in worms):
        raise ValueError(
            f"several recordings are of worms named {several}; rename them with "
            "dataclasses.replace(recording, worm='another name')"
        )
    return worms


def _check_rates_alike(worms: list[Recording]) -> None:
    slowest, fastest = min(worms, key=lambda worm: worm.fps), max(worms, key=lambda worm: worm.fps)
    if not is_same_rate(fastest.fps, slowest.fps):
        warnings.warn(
            f"worm {slowest.worm!r} has {slowest.fps:.3g} frames a second and worm {fastest.worm!r} {fastest.fps:.3g}: "
            f"windows and contexts of the same number of frames last differently; pass resample_to={slowest.fps:.3g}",
            stacklevel=3,
        )


def _choose_neurons(worms: list[Recording], neurons: Any, exclude: Any, missing: str) -> list[str]:
    excluded = _check_names("exclude", exclude, f"exclude=({exclude!r},)")
    nowhere = sorted(set(excluded).difference(*(worm.neurons for worm in worms)))
    if nowhere:
        raise ValueError(f"exclude names {nowhere}, which no worm has; take them out, or correct their spelling")
    if isinstance(neurons, str) and neurons in ("shared", "union"):
        combine = set.union if neurons == "union" else set.intersection
        candidates = sorted(combine(*(set(worm.identified) for worm in worms)))
        if not candidates:
            least = min(worms, key=lambda worm: len(worm.identified))
            raise ValueError(
                f"no neuron is identified in {'any' if neurons == 'union' else 'all'} of {len(worms)} recordings, in "
                f"that of {least.worm!r} {len(least.identified)} are; name some with neurons=[...] and missing='nan', "
                "or leave the worm out"
            )
    else:
        candidates = _check_names("neurons", neurons, "neurons=('AVAL', 'AVAR'), or neurons='shared'")
    chosen = [neuron for neuron in candidates if neuron not in excluded]
    if not chosen:
        raise ValueError(f"no neuron is left of neurons={neurons!r} with exclude={excluded}; keep at least one")
    lacking = [(worm.worm, lacks) for worm in worms if (lacks := [n for n in chosen if n not in worm.neurons])]
    blank = [name for name, lacks in lacking if len(lacks) == len(chosen)]
    if blank and missing == "nan":
        raise ValueError(
            f"worm {blank[0]!r} has none of the {len(chosen)} neurons, {', '.join(chosen[:4])} ...; leave the worm "
            "out, or choose other neurons"
        )
    if lacking and missing == "raise":
        listed = "; ".join(f"worm {worm!r} has no {', '.join(map(repr, lacks))}" for worm, lacks in lacking)
        raise ValueError(f"{listed}: drop them with exclude=(...) or neurons='shared', or pass missing='nan'")
    return chosen


def _choose_derivative(worms: list[Recording], derivative: str) -> str:
    check_choice(("auto", *DERIVATIVE_LOOKS_AHEAD), derivative=derivative)
    without = [worm.worm for worm in worms if worm.derivatives is None]
    if derivative == "auto":
        return "smooth" if without else "file"
    if derivative == "file" and without:
        raise ValueError(
            f"the recordings of worms {without} bring no derivatives; compute them with derivative='smooth', or "
            "'causal' where later frames are not known yet"
        )
    return derivative


def _states_of(worm: Recording, vocabulary: str | Mapping[str, str], unknown: str) -> np.ndarray:
    if worm.states is None:
        raise ValueError(f"worm {worm.worm!r} has no states; pass states=None to make frames without them")
    names = worm.states
    if not (isinstance(vocabulary, str) and vocabulary == "as_recorded"):
        try:
            names = map_states(names, vocabulary)
        except ValueError as error:
            raise ValueError(f"worm {worm.worm!r}: {error}") from error
    if unknown == "drop" and (names == UNKNOWN).all():
        raise ValueError(
            f"worm {worm.worm!r} has no frame with a known state in states={vocabulary!r}; leave the worm out, or pass "
            "unknown='keep'"
        )
    return names


def _signals_of(
    worm: Recording, columns: dict[str, int], features: list[str], derivative: tuple[str, float], may_lack: np.ndarray
) -> dict[str, np.ndarray]:
    """Return each node feature of some neurons; NaN is an error but in frames that may lack values."""
    signals, places = {}, list(columns.values())
    for name in dict.fromkeys(("trace", *features)):
        signals[name] = worm.traces[:, places] if name == "trace" else differentiate(worm, places, *derivative)
        _check_signal(worm, list(columns), name, signals[name], may_lack)
    return {name: signals[name] for name in features}


def _table_of(
    worm: Recording, chosen: list[str], signals: dict[str, np.ndarray], context: Sequence[int]
) -> pd.DataFrame:
    values = np.full((worm.n_frames, len(chosen), len(signals)), np.nan)
    values[:, [neuron in worm.neurons for neuron in chosen]] = np.stack(list(signals.values()), axis=-1)
    # (n_frames, n_context, n_neurons, n_node_features), of which neurons come first in a row.
    values = values[context_rows(worm.time, context)].transpose(0, 2, 1, 3)
    numbers = frame_numbers(worm.time)
    # The numbers of a range are Python's own, which messages show as plain numbers.
    whole = range(worm.n_frames) if numbers[-1] == worm.n_frames - 1 else numbers
    index = pd.MultiIndex.from_product([[worm.worm], whole], names=[WORM_LEVEL, FRAME_LEVEL])
    columns = column_names(chosen, context_feature_names(list(signals), context))
    return pd.DataFrame(values.reshape(worm.n_frames, -1), index=index, columns=columns)


def _check_signal(worm: Recording, neurons: list[str], feature: str, values: np.ndarray, may_lack: np.ndarray) -> None:
    impossible = np.argwhere(np.abs(values) > IMPOSSIBLE)
    if len(impossible):
        frame, column = impossible[0]
        raise ValueError(
            f"worm {worm.worm!r}: the {feature} of neuron {neurons[column]!r} is {values[frame, column]:.3g} in frame "
            f"{frame}, which cannot be a measurement; the file is damaged: copy it again, or make the value NaN"
        )
    is_nan = np.isnan(values) & ~may_lack[:, np.newaxis]
    if is_nan.any():
        column = int(np.flatnonzero(is_nan.any(axis=0))[0])
        neuron, frames = neurons[column], np.flatnonzero(is_nan[:, column])
        raise ValueError(
            f"worm {worm.worm!r}: the {feature} of neuron {neuron!r} is NaN in {len(frames)} of {len(values)} frames, "
            f"first in frame {frames[0]}; interpolate it, leave the neuron out with exclude=({neuron!r},), or keep NaN "
            "with missing='nan'"
        )
    constant = np.flatnonzero(is_constant(range_of(values)))
    if len(constant):
        neuron = neurons[constant[0]]
        raise ValueError(
            f"worm {worm.worm!r}: the {feature} of neuron {neuron!r} is constant and cannot be scaled to [0, 1]; "
            f"leave the neuron out with exclude=({neuron!r},)"
        )


def make_behavior(
    recordings: Recording | Iterable[Recording], X: pd.DataFrame, signal: str | Sequence[str] = "velocity"
) -> Any:
    """Look up continuous behaviour for every row of a table of frames.

    Parameters
    ----------
    recordings : Recording or iterable of Recording
        The worms that the frames were made of; further worms are ignored.
    X : pandas.DataFrame of shape (n_frames, n_columns)
        Frames of :func:`make_frames`, whole or in part. ``make_frames(..., states=None)`` keeps frames without a state,
        which may well have a velocity.
    signal : str or sequence of str, default="velocity"
        Name of the signal in ``behavior`` of the recordings, or names of several.

    Returns
    -------
    pandas.Series of shape (n_frames,), or pandas.DataFrame of shape (n_frames, n_signals)
        The signal in its own unit, or one column for each name of a sequence; with the index of `X`. NaN where the
        recording has NaN: such frames are neither trained on nor scored.

    Raises
    ------
    ValueError
        If `X` does not tell worm and frame, has a worm or a frame that `recordings` lack, or a worm lacks a signal.
    TypeError
        If something other than a recording is passed.

    Examples
    --------
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_behavior, make_frames
    >>> worms = make_worms(2, n_frames=300, random_state=0)
    >>> X, _ = make_frames(worms, states=None)
    >>> velocity = make_behavior(worms, X)
    >>> velocity.name, velocity.index.equals(X.index)
    ('velocity', True)
    >>> make_behavior(worms, X, ["velocity"]).shape
    (600, 1)
    """
    by_name = {worm.worm: worm for worm in list_recordings(recordings)}
    signals = [signal] if isinstance(signal, str) else [str(name) for name in signal]
    if not signals or len(set(signals)) < len(signals):
        raise ValueError(f"signal={signal!r} must be one name, or several, each once, such as 'velocity'")
    if not isinstance(X, pd.DataFrame) or not {WORM_LEVEL, FRAME_LEVEL} <= set(X.index.names):
        raise ValueError("X does not tell worm and frame by index levels of these names; make it with make_frames")
    rows = pd.MultiIndex.from_arrays([X.index.get_level_values(level) for level in (WORM_LEVEL, FRAME_LEVEL)])
    present = [str(name) for name in rows.unique(WORM_LEVEL)]
    absent = [name for name in present if name not in by_name]
    if absent:
        raise ValueError(f"X has frames of worms {absent}, which are not among recordings {sorted(by_name)}; add them")
    known = pd.concat([_behavior_of(by_name[name], signals, X.attrs) for name in present])
    if not rows.isin(known.index).all():
        name, frame = rows[~rows.isin(known.index)][0]
        recording = by_name[str(name)]
        raise ValueError(
            f"X has frame {frame} of worm {name!r}, whose recording has {recording.n_frames} frames, the last of the "
            f"number {frame_numbers(recording.time)[-1]}; pass the recordings that X was made of"
        )
    table = known.reindex(rows).set_axis(X.index)
    return table[signal] if isinstance(signal, str) else table


def _behavior_of(worm: Recording, signals: list[str], attrs: Mapping[Any, Any]) -> pd.DataFrame:
    """Return signals of a recording, with its name and its numbers of frames as the index."""
    rates, even = attrs.get("fps"), attrs.get("resampled_to")
    rate = rates.get(worm.worm, worm.fps) if isinstance(rates, Mapping) else worm.fps
    # The rate in a file may differ slightly from that of its time stamps.
    if not np.isclose(rate, worm.fps) or (even is not None and not np.allclose(np.diff(worm.time) * even, 1)):
        raise ValueError(
            f"X has {rate:.3g} frames a second of worm {worm.worm!r}, and its recording {worm.fps:.3g}; pass the "
            "recordings that X was made of, after skworm.frames.resample"
        )
    if lacks := [name for name in signals if name not in worm.behavior]:
        raise ValueError(
            f"worm {worm.worm!r} has no {', '.join(map(repr, lacks))}: leave the worm out, choose among its signals, "
            f"{sorted(worm.behavior)}, or add one with dataclasses.replace(recording, behavior={{'velocity': values}})"
        )
    index = pd.MultiIndex.from_product([[worm.worm], frame_numbers(worm.time)])
    return pd.DataFrame({name: worm.behavior[name] for name in signals}, index=index)
