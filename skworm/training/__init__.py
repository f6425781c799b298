"""Training of torch modules on whole tensors: arrays, masks and modules, nothing about worms."""

from skworm.training.augmentation import VirtualWorms
from skworm.training.devices import one_thread, resolve_device, seeded
from skworm.training.single import Batch, Preparation, TrainingSettings, train
from skworm.training.support_vectors import SupportVectors, decision_values, fit_support_vectors
from skworm.training.validation import held_out_windows

__all__ = [
    "Batch",
    "Preparation",
    "SupportVectors",
    "TrainingSettings",
    "VirtualWorms",
    "decision_values",
    "fit_support_vectors",
    "held_out_windows",
    "one_thread",
    "resolve_device",
    "seeded",
    "train",
]
