"""Recordings: read, write, download and simulate them. Graphs: connectomes and the functional atlas."""

from skworm.datasets.connectome import load_connectome, load_functional_atlas
from skworm.datasets.fetch import fetch_kato2015, fetch_nichols2017
from skworm.datasets.files import load_recordings, save_recordings
from skworm.datasets.simulated import make_worms
from skworm.datasets.tables import as_recording

__all__ = [
    "as_recording",
    "fetch_kato2015",
    "fetch_nichols2017",
    "load_connectome",
    "load_functional_atlas",
    "load_recordings",
    "make_worms",
    "save_recordings",
]
