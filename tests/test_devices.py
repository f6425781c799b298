"""What trains runs on every device that is there."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from skworm import (
    GNNStateClassifier,
    GNNTrajectoryRegressor,
    InferredGraph,
    MLPStateClassifier,
    SVMStateClassifier,
    WormGroupKFold,
)
from skworm.datasets import make_worms
from skworm.frames import make_frames
from skworm.model_selection import cross_validate_worms
from skworm.model_selection.stacks import fits_at_a_time


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    return request.param


@pytest.fixture(scope="module")
def frames():
    return make_frames(make_worms(3, n_frames=300, random_state=0), neurons=["AVAL", "AVAR", "VB02"], states="2")


def classifiers(device):
    network = {"max_epochs": 20, "learning_rate": 0.02, "random_state": 0, "device": device}
    return {
        "mlp": MLPStateClassifier(**network),
        "gnn": GNNStateClassifier(**network),
        "gnn-dynamic": GNNStateClassifier(graph=InferredGraph(per="frame"), **network),
        "svm": SVMStateClassifier(device=device),
    }


@pytest.mark.slow
def test_a_cross_validation_gives_the_table_of_the_cpu(device, frames):
    cv = WormGroupKFold(n_splits=2, random_state=0)
    tables = [cross_validate_worms(classifiers(where), *frames, cv=cv, verbose=0).table for where in ("cpu", device)]
    differences = (tables[0]["accuracy"] - tables[1]["accuracy"]).abs()
    assert differences.max() < 0.05


def test_fits_are_stacked_on_a_gpu_alone(device):
    n_fits = fits_at_a_time(MLPStateClassifier(device=device), n_fits=30, n_processes=1)
    assert n_fits == (30 if device == "cuda" else 1)


@pytest.mark.slow
def test_a_model_travels_to_a_machine_without_a_gpu(device, frames, tmp_path):
    X, y = frames
    model = classifiers(device)["gnn"].fit(X, y)
    (tmp_path / "model.pickle").write_bytes(pickle.dumps((model, X)))
    script = (
        "import pickle, sys, warnings; warnings.simplefilter('ignore'); import numpy as np\n"
        "model, X = pickle.load(open(sys.argv[1], 'rb')); np.save(sys.argv[2], model.predict_proba(X))"
    )
    names = [str(tmp_path / "model.pickle"), str(tmp_path / "predicted.npy")]
    subprocess.run([sys.executable, "-c", script, *names], check=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    np.testing.assert_allclose(np.load(names[1]), model.predict_proba(X), atol=1e-6)


@pytest.mark.gpu
def test_a_rollout_of_a_whole_nervous_system_fits_on_a_gpu():
    rng = np.random.default_rng(0)
    X, Y = rng.random((40, 2 * 302)), rng.random((40, 8 * 2 * 302))
    torch.cuda.reset_peak_memory_stats()
    model = GNNTrajectoryRegressor(n_hidden=16, max_epochs=1, random_state=0, device="cuda")
    assert np.isfinite(model.fit(X, Y).predict(X)).all()
    assert torch.cuda.max_memory_allocated() < 8 * 2**30
