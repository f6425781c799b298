"""States in time: read as a sequence, and read while a worm is recorded."""

from skworm.decoding.hidden_markov import HiddenMarkovStateClassifier
from skworm.decoding.stream import StateStream

__all__ = ["HiddenMarkovStateClassifier", "StateStream"]
