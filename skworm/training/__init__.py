"""Training of torch modules on whole tensors: arrays, masks and modules, nothing about worms."""

from skworm.training.augmentation import VirtualWorms
from skworm.training.devices import one_thread, resolve_device, seeded
from skworm.training.single import Batch, Preparation, TrainingSettings, train
from skworm.training.validation import held_out_windows

__all__ = [
    "Batch",
    "Preparation",
    "TrainingSettings",
    "VirtualWorms",
    "held_out_windows",
    "one_thread",
    "resolve_device",
    "seeded",
    "train",
]
