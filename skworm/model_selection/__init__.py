"""Splits by worm, and cross-validation that knows the worm as its unit."""

from skworm.model_selection.comparison import describe_comparison
from skworm.model_selection.cross_validation import cross_validate_worms
from skworm.model_selection.nulls import (
    NullScore,
    null_score,
)
from skworm.model_selection.results import WormScores, read_runs, read_scores
from skworm.model_selection.splits import WormGroupKFold, WormSplit
from skworm.model_selection.stacks import FusedGridSearchCV

__all__ = [
    "FusedGridSearchCV",
    "NullScore",
    "WormGroupKFold",
    "WormScores",
    "WormSplit",
    "cross_validate_worms",
    "describe_comparison",
    "null_score",
    "read_runs",
    "read_scores",
]
