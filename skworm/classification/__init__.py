"""State classifiers: from calcium traces to behavioural states."""

from skworm.classification.gnn import GNNStateClassifier
from skworm.classification.mlp import MLPStateClassifier
from skworm.classification.svm import SVMStateClassifier

__all__ = ["GNNStateClassifier", "MLPStateClassifier", "SVMStateClassifier"]
