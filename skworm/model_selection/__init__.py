"""Splits by worm, and cross-validation that knows the worm as its unit."""

from skworm.model_selection.comparison import compare_models, describe_comparison
from skworm.model_selection.cross_validation import cross_validate_worms
from skworm.model_selection.grid_search import FusedGridSearchCV
from skworm.model_selection.results import summarize_worms
from skworm.model_selection.splits import WormGroupKFold, WormSplit
from skworm.model_selection.trajectory_validation import cross_validate_trajectories, summarize_trajectories

__all__ = [
    "FusedGridSearchCV",
    "WormGroupKFold",
    "WormSplit",
    "compare_models",
    "cross_validate_trajectories",
    "cross_validate_worms",
    "describe_comparison",
    "summarize_trajectories",
    "summarize_worms",
]
