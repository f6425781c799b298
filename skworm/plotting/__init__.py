"""Pictures of recordings, scores, manifolds and trajectories, as scikit-learn style displays."""

from skworm.plotting.common import LINE_COLORS, STATE_COLORS
from skworm.plotting.ethograms import EthogramDisplay
from skworm.plotting.manifolds import ManifoldDisplay
from skworm.plotting.recordings import RecordingDisplay
from skworm.plotting.scores import WormScoresDisplay
from skworm.plotting.trajectories import TrajectoryDisplay
from skworm.plotting.trajectory_errors import TrajectoryErrorDisplay

__all__ = [
    "LINE_COLORS",
    "STATE_COLORS",
    "EthogramDisplay",
    "ManifoldDisplay",
    "RecordingDisplay",
    "TrajectoryDisplay",
    "TrajectoryErrorDisplay",
    "WormScoresDisplay",
]
