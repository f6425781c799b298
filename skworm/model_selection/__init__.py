"""Splits by worm, and cross-validation that knows the worm as its unit."""

from skworm.model_selection.behavior_validation import cross_validate_behavior, summarize_behavior
from skworm.model_selection.comparison import compare_models, describe_comparison
from skworm.model_selection.cross_validation import cross_validate_worms
from skworm.model_selection.grid_search import FusedGridSearchCV
from skworm.model_selection.null_scores import NullScore, null_score
from skworm.model_selection.results import summarize_worms
from skworm.model_selection.splits import WormGroupKFold, WormSplit
from skworm.model_selection.surrogates import circularly_shifted_states, phase_randomized, shuffled_bouts
from skworm.model_selection.trajectory_validation import cross_validate_trajectories, summarize_trajectories

__all__ = [
    "FusedGridSearchCV",
    "NullScore",
    "WormGroupKFold",
    "WormSplit",
    "circularly_shifted_states",
    "compare_models",
    "cross_validate_behavior",
    "cross_validate_trajectories",
    "cross_validate_worms",
    "describe_comparison",
    "null_score",
    "phase_randomized",
    "shuffled_bouts",
    "summarize_behavior",
    "summarize_trajectories",
    "summarize_worms",
]
