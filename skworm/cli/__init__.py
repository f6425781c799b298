"""The ``skworm`` command."""

from __future__ import annotations

from skworm.cli import data, reproduce  # noqa: F401  # they add their commands
from skworm.cli.options import main

__all__ = ["main"]
