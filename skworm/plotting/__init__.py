"""Pictures of recordings, behaviour, scores, manifolds, trajectories and graphs, as scikit-learn style displays."""

from skworm.plotting.base import LINE_COLORS, STATE_COLORS, Display
from skworm.plotting.classification import ConfusionDisplay, ReliabilityDisplay
from skworm.plotting.graphs import GraphDisplay
from skworm.plotting.recordings import EthogramDisplay, ManifoldDisplay, RecordingDisplay, TraceDisplay
from skworm.plotting.scores import ScoreCurveDisplay, TrajectoryErrorDisplay, WormScoresDisplay
from skworm.plotting.trajectories import BehaviorDisplay, TrajectoryDisplay

__all__ = [
    "LINE_COLORS",
    "STATE_COLORS",
    "BehaviorDisplay",
    "ConfusionDisplay",
    "Display",
    "EthogramDisplay",
    "GraphDisplay",
    "ManifoldDisplay",
    "RecordingDisplay",
    "ReliabilityDisplay",
    "ScoreCurveDisplay",
    "TraceDisplay",
    "TrajectoryDisplay",
    "TrajectoryErrorDisplay",
    "WormScoresDisplay",
]
