"""Scores: of states by frame and by bout, of probabilities, of continuous behaviour, and of trajectories."""

from skworm.metrics.bouts import score_bouts, segment_f1
from skworm.metrics.calibration import calibration_report, coverage_report, reliability_curve
from skworm.metrics.scores import mse_by_step, score_behavior, score_states, skill_by_step

__all__ = [
    "calibration_report",
    "coverage_report",
    "mse_by_step",
    "reliability_curve",
    "score_behavior",
    "score_bouts",
    "score_states",
    "segment_f1",
    "skill_by_step",
]
