"""Trajectories: stretches of consecutive frames, the first of them observed, the rest to be predicted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from skworm.frames.index import (
    FRAME_LEVEL,
    WORM_LEVEL,
    check_frames_differ,
    parse_column_names,
    parse_context_feature_names,
    parse_step_column_names,
    step_column_names,
)
from skworm.parameters import check_whole
from skworm.recording import UNKNOWN


def make_trajectories(
    frames: pd.DataFrame,
    *,
    burn_in: int = 4,
    horizon: int = 16,
    stride: int = 8,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cut frames into trajectories: observed frames, and the frames after them that are to be predicted.

    A trajectory is `burn_in` + `horizon` consecutive frames of one worm. It never spans two worms, nor a gap in the
    frame numbers. Trajectories start at the frames whose number is a multiple of `stride`, so that dropped frames shift
    no other trajectory.

    Parameters
    ----------
    frames : pandas.DataFrame of shape (n_frames, n_columns)
        Frames of :func:`make_frames`, best with ``states=None`` and ``derivative="backward"``; index levels
        ``("worm", "frame")``.
    burn_in : int, default=4
        Observed frames of each trajectory. With 1 models are Markovian, as in the paper; on the worms of Kato et al.
        four predict better, and eight no better than four.
    horizon : int, default=16
        Frames to predict.
    stride : int, default=8
        Frames from the start of one trajectory to that of the next, 8 in the paper, which lets trajectories overlap.

    Returns
    -------
    X : pandas.DataFrame of shape (n_trajectories, burn_in * n_columns)
        Observed frames, time-major, columns ``"AVAL:trace@-1", ..., "AVAL:trace@0", ...``. Step 0 is the last observed
        frame; its number is the index level ``"frame"``.
    Y : pandas.DataFrame of shape (n_trajectories, horizon * n_columns)
        Frames to predict, time-major, columns ``"AVAL:trace@1", ...``, with the same index.

    Raises
    ------
    ValueError
        If a frame number is absent or repeats, a worm has no stretch of consecutive frames that is long enough, or a
        derivative looks ahead.

    References
    ----------
    Wang et al. 2021, "Neuron-level Trajectory Prediction".

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.frames import make_trajectories
    >>> index = pd.MultiIndex.from_product([["worm-a"], range(5)], names=["worm", "frame"])
    >>> frames = pd.DataFrame({"AVAL:trace": [0.0, 0.1, 0.2, 0.3, 0.4]}, index=index)
    >>> X, Y = make_trajectories(frames, burn_in=1, horizon=2, stride=2)
    >>> X.join(Y)
                  AVAL:trace@0  AVAL:trace@1  AVAL:trace@2
    worm   frame
    worm-a 0               0.0           0.1           0.2
           2               0.2           0.3           0.4
    """
    check_whole(1, burn_in=burn_in, horizon=horizon, stride=stride)
    _check_frames(frames)
    _check_causal(frames)
    length = burn_in + horizon
    parts, index = [], []
    for worm, table in frames.groupby(level=WORM_LEVEL, sort=False):
        numbers = table.index.get_level_values(FRAME_LEVEL).to_numpy()
        starts = _starts(worm, numbers, length, stride)
        parts.append(table.to_numpy(dtype=float)[starts[:, None] + np.arange(length)])
        index += [(worm, number) for number in numbers[starts + burn_in - 1]]
    values = np.concatenate(parts)
    rows = pd.MultiIndex.from_tuples(index, names=[WORM_LEVEL, FRAME_LEVEL])
    steps = range(1 - burn_in, horizon + 1)
    flat = pd.DataFrame(values.reshape(len(rows), -1), index=rows, columns=step_column_names(frames.columns, steps))
    n_observed = burn_in * frames.shape[1]
    X, Y = flat.iloc[:, :n_observed].copy(), flat.iloc[:, n_observed:].copy()
    for table in (X, Y):
        table.attrs = dict(frames.attrs)
    return X, Y


def contains_transition(states: pd.Series, Y: pd.DataFrame) -> pd.Series:
    """Return which trajectories hold a change of behavioural state.

    Parameters
    ----------
    states : pandas.Series of str, shape (n_frames,)
        States of frames, index levels ``("worm", "frame")``, as :func:`make_frames` returns them. Frames that are
        absent or ``"unknown"`` are ignored.
    Y : pandas.DataFrame of shape (n_trajectories, horizon * n_columns)
        Frames to predict, of :func:`make_trajectories`.

    Returns
    -------
    pandas.Series of bool, shape (n_trajectories,)
        True where the frames from the last observed to the last predicted one have more than one known state.

    Raises
    ------
    ValueError
        If the columns of `Y` tell no steps, or no frame of a worm has a state.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.frames import contains_transition, make_trajectories
    >>> index = pd.MultiIndex.from_product([["worm-a"], range(6)], names=["worm", "frame"])
    >>> frames = pd.DataFrame({"AVAL:trace": [0, 0, 0, 0, 1, 1]}, index=index)
    >>> X, Y = make_trajectories(frames, burn_in=1, horizon=2, stride=3)
    >>> contains_transition(pd.Series(["forward"] * 4 + ["reverse"] * 2, index=index), Y).tolist()
    [False, True]
    """
    parsed = parse_step_column_names(Y.columns)
    if parsed is None:
        raise ValueError("Y has no columns named 'AVAL:trace@1'; pass the second table of make_trajectories")
    horizon = parsed[1][-1]
    worm = np.asarray(Y.index.get_level_values(WORM_LEVEL))
    first = np.asarray(Y.index.get_level_values(FRAME_LEVEL))
    stateless = [name for name in pd.unique(worm) if name not in states.index.get_level_values(WORM_LEVEL)]
    if stateless:
        raise ValueError(f"states have no frame of worm {stateless[0]!r}; make them of the same recordings as Y")
    frame = first[:, None] + np.arange(horizon + 1)
    wanted = pd.MultiIndex.from_arrays([np.repeat(worm, horizon + 1), frame.ravel()])
    rows = pd.MultiIndex.from_arrays([states.index.get_level_values(level) for level in (WORM_LEVEL, FRAME_LEVEL)])
    by_frame = states.set_axis(rows)
    known = pd.DataFrame(by_frame[by_frame != UNKNOWN].reindex(wanted).to_numpy().reshape(frame.shape), index=Y.index)
    return (known.nunique(axis=1) > 1).rename("contains_transition")


def _check_frames(frames: Any) -> None:
    if not isinstance(frames, pd.DataFrame) or not {WORM_LEVEL, FRAME_LEVEL} <= set(frames.index.names):
        raise ValueError("frames do not tell worm and frame by index levels of these names; make them with make_frames")
    if frames.empty:
        raise ValueError("frames have no row or no column; pass the table of make_frames")
    if not all(isinstance(column, str) for column in frames.columns):
        raise ValueError("frames have columns that are not named by strings; name them as in 'AVAL:trace'")
    if any(parse_context_feature_names(frames.columns)[1]):
        raise ValueError(
            "frames hold other frames beside each one, which would stand among those to be predicted; make them with "
            "make_frames without context=, and let burn_in= show a model earlier frames"
        )
    worm, frame = (np.asarray(frames.index.get_level_values(level)) for level in (WORM_LEVEL, FRAME_LEVEL))
    check_frames_differ(worm, frame, "drop repeated rows")


def _check_causal(frames: pd.DataFrame) -> None:
    parsed, attrs = parse_column_names(frames.columns), frames.attrs
    looks_ahead = attrs.get("derivative_looks_ahead")
    if attrs.get("resampled_to") is not None:
        problem, remedy = "were brought to another frame rate, which mixes each with later ones", "resample_to=None"
    elif attrs.get("detrend") is not None:
        problem, remedy = "have lost a baseline that depends on later frames", "detrend=None"
    elif looks_ahead:
        problem = f"have a derivative ({attrs.get('derivative')!r}) that may depend on later frames"
        remedy = "derivative='backward'"
    elif looks_ahead is None and parsed is not None and "derivative" in parsed[1]:
        raise ValueError(
            "frames do not say whether their derivative depends on later frames; make them with "
            "make_frames(..., derivative='backward'), or set frames.attrs['derivative_looks_ahead'] = False if it does "
            "not"
        )
    else:
        return
    raise ValueError(
        f"frames {problem}, so that a forecast would see part of its answer; make them with make_frames(..., {remedy})"
    )


def _starts(worm: Any, numbers: np.ndarray, length: int, stride: int) -> np.ndarray:
    backward = np.flatnonzero(np.diff(numbers) <= 0)
    if len(backward):
        raise ValueError(
            f"worm {worm!r}: frame {numbers[backward[0] + 1]} comes after frame {numbers[backward[0]]}; sort the rows, "
            "for example with frames.sort_index()"
        )
    candidates = np.arange(max(0, len(numbers) - length + 1))
    whole = numbers[candidates + length - 1] - numbers[candidates] == length - 1
    starts = candidates[whole & (numbers[candidates] % stride == 0)]
    if not len(starts):
        raise ValueError(
            f"worm {worm!r} has no {length} consecutive frames that start at a multiple of stride={stride}; lower "
            "burn_in, horizon or stride, keep frames without a state (states=None), or leave the worm out"
        )
    return starts
