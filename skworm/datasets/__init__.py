"""Recordings: read, write, download and simulate them."""

from skworm.datasets.files import load_recordings, save_recordings
from skworm.datasets.kato2015 import fetch_kato2015
from skworm.datasets.nichols2017 import fetch_nichols2017
from skworm.datasets.simulated import make_worms

__all__ = ["fetch_kato2015", "fetch_nichols2017", "load_recordings", "make_worms", "save_recordings"]
