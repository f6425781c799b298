"""Training of torch modules on whole tensors: arrays, masks and modules, nothing about worms."""

from skworm.training.augmentation import Draws, VirtualWorms
from skworm.training.loop import (
    Batch,
    Preparation,
    TrainingJob,
    TrainingSettings,
    held_out_windows,
    train,
)
from skworm.training.process import one_thread, resolve_device, seeded
from skworm.training.stack import outcome_beforehand, train_together, trained_beforehand
from skworm.training.support_vectors import SupportVectorJob, SupportVectors, decision_values, fit_support_vectors

__all__ = [
    "Batch",
    "Draws",
    "Preparation",
    "SupportVectorJob",
    "SupportVectors",
    "TrainingJob",
    "TrainingSettings",
    "VirtualWorms",
    "decision_values",
    "fit_support_vectors",
    "held_out_windows",
    "one_thread",
    "outcome_beforehand",
    "resolve_device",
    "seeded",
    "train",
    "train_together",
    "trained_beforehand",
]
