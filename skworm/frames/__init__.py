"""Recordings become frames: a table of node features, scaled worm by worm, and the state of every row."""

from skworm.frames.features import DERIVATIVE_LOOKS_AHEAD, WormMinMaxScaler
from skworm.frames.resampling import resample
from skworm.frames.table import (
    NODE_FEATURES,
    PAPER_NEURONS,
    SHARED_WITH_NICHOLS,
    make_behavior,
    make_frames,
)
from skworm.frames.trajectories import contains_transition, make_trajectories
from skworm.recording import STATES, UNKNOWN, map_states

__all__ = [
    "DERIVATIVE_LOOKS_AHEAD",
    "NODE_FEATURES",
    "PAPER_NEURONS",
    "SHARED_WITH_NICHOLS",
    "STATES",
    "UNKNOWN",
    "WormMinMaxScaler",
    "contains_transition",
    "make_behavior",
    "make_frames",
    "make_trajectories",
    "map_states",
    "resample",
]
