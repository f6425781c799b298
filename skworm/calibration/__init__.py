"""Classifiers whose probabilities, or sets of states, are judged on worms that the inner fits did not see."""

from skworm.calibration.conformal import ConformalStateClassifier
from skworm.calibration.temperature import TemperatureScaledClassifier

__all__ = ["ConformalStateClassifier", "TemperatureScaledClassifier"]
