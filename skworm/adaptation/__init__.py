"""Fitted classifiers fitted to a new worm."""

from skworm.adaptation.new_worm import adapt

__all__ = ["adapt"]
