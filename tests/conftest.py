import os
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from skworm.datasets import load_recordings


def pytest_addoption(parser):
    parser.addoption(
        "--update-baseline", action="store_true", help="draw the reference pictures in tests/baseline anew"
    )
    parser.addoption("--update-golden", action="store_true", help="write the results in tests/golden that differ anew")


def pytest_configure(config):
    # Several processes of several threads each would get in each other's way. torch reads this when it is loaded.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    hypothesis.settings.register_profile("skworm", deadline=None)
    hypothesis.settings.load_profile("skworm")


@pytest.fixture(autouse=True)
def seeded_global_generators():
    np.random.seed(0)  # noqa: NPY002  # random_state=None draws from this generator
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("torch finds no CUDA GPU here")


@pytest.fixture(scope="session")
def kato2015_folder():
    """The folder of the five real worms."""
    if not os.environ.get("SKWORM_DATA"):
        pytest.skip("SKWORM_DATA is not set: it names the folder that holds kato2015/")
    folder = Path(os.environ["SKWORM_DATA"], "kato2015")
    if not folder.is_dir():
        pytest.skip(f"SKWORM_DATA names a folder without kato2015/: {folder} is absent")
    return folder


@pytest.fixture(scope="session")
def recordings_kato2015(kato2015_folder):
    """The five real worms, ``"worm_0"`` to ``"worm_4"``."""
    return load_recordings(kato2015_folder)


@pytest.fixture
def quick_runs(monkeypatch):
    """Let pages and examples finish soon, whatever they ask for: 3 epochs, 400 frames a worm, and one process."""
    import joblib

    import skworm.datasets
    from skworm.training.loop import TrainingSettings

    settings, worms = TrainingSettings.__init__, skworm.datasets.make_worms

    def few_epochs(self, max_epochs, **others):
        settings(self, min(max_epochs, 3), **others)

    def short_worms(n_worms=5, n_frames=3100, **others):
        return worms(n_worms, min(n_frames, 400), **others)

    monkeypatch.setattr(TrainingSettings, "__init__", few_epochs)
    monkeypatch.setattr(skworm.datasets, "make_worms", short_worms)
    with joblib.parallel_config("sequential"):
        yield
