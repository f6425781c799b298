"""Files of fitted models: plain numbers and text, which can run no code."""

from skworm.model_files.files import describe, load, save

__all__ = ["describe", "load", "save"]
