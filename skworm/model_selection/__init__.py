"""Splits by worm, and cross-validation that knows the worm as its unit."""

from skworm.model_selection.cross_validation import cross_validate_worms
from skworm.model_selection.results import summarize_worms
from skworm.model_selection.splits import WormGroupKFold, WormSplit

__all__ = ["WormGroupKFold", "WormSplit", "cross_validate_worms", "summarize_worms"]
