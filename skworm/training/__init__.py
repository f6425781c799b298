"""Training of torch modules on whole tensors: arrays, masks and modules, nothing about worms."""

from skworm.training.augmentation import VirtualWorms
from skworm.training.beforehand import net_trained_beforehand, trained_beforehand
from skworm.training.devices import one_thread, resolve_device, seeded
from skworm.training.fused import train_together
from skworm.training.preparation import Batch, Draws, Preparation
from skworm.training.single import TrainingJob, TrainingSettings, train
from skworm.training.support_vectors import SupportVectors, decision_values, fit_support_vectors
from skworm.training.validation import held_out_windows

__all__ = [
    "Batch",
    "Draws",
    "Preparation",
    "SupportVectors",
    "TrainingJob",
    "TrainingSettings",
    "VirtualWorms",
    "decision_values",
    "fit_support_vectors",
    "held_out_windows",
    "net_trained_beforehand",
    "one_thread",
    "resolve_device",
    "seeded",
    "train",
    "train_together",
    "trained_beforehand",
]
