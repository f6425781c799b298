"""The paper's networks, and its comparisons: declared experiments, the engine that runs them, tables and reports."""

from skworm.paper.models import published

__all__ = ["published"]
