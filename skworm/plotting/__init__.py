"""Pictures of recordings, behaviour, scores, manifolds, trajectories and graphs, as scikit-learn style displays."""

from skworm.plotting.behavior import BehaviorDisplay
from skworm.plotting.common import LINE_COLORS, STATE_COLORS
from skworm.plotting.confusion import ConfusionDisplay
from skworm.plotting.ethograms import EthogramDisplay
from skworm.plotting.graphs import GraphDisplay
from skworm.plotting.importance import NeuronImportanceDisplay
from skworm.plotting.leakage import LeakageDisplay
from skworm.plotting.manifolds import ManifoldDisplay
from skworm.plotting.recordings import RecordingDisplay
from skworm.plotting.reliability import ReliabilityDisplay
from skworm.plotting.score_curves import ScoreCurveDisplay
from skworm.plotting.scores import WormScoresDisplay
from skworm.plotting.traces import TraceDisplay
from skworm.plotting.trajectories import TrajectoryDisplay
from skworm.plotting.trajectory_errors import TrajectoryErrorDisplay

__all__ = [
    "LINE_COLORS",
    "STATE_COLORS",
    "BehaviorDisplay",
    "ConfusionDisplay",
    "EthogramDisplay",
    "GraphDisplay",
    "LeakageDisplay",
    "ManifoldDisplay",
    "NeuronImportanceDisplay",
    "RecordingDisplay",
    "ReliabilityDisplay",
    "ScoreCurveDisplay",
    "TraceDisplay",
    "TrajectoryDisplay",
    "TrajectoryErrorDisplay",
    "WormScoresDisplay",
]
