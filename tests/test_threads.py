"""Fits in threads and in forked processes: the same results, and nothing shared that they change."""

import os
import random
import subprocess
import sys
import threading

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone

from skworm import (
    GNNBehaviorRegressor,
    GNNStateClassifier,
    GNNTrajectoryRegressor,
    LearnedGraph,
    MLPStateClassifier,
    NodeMLPTrajectoryRegressor,
    Rollout,
    SVMStateClassifier,
)
from skworm.training.process import one_thread, seeded

pytestmark = pytest.mark.slow

FEW = {"max_epochs": 3, "random_state": 0, "device": "cpu", "n_hidden": 4}
ONE_STEP = {**FEW, "rollout": Rollout(train_horizon=1)}
NETWORKS = {
    "mlp": MLPStateClassifier(**FEW),
    "gnn": GNNStateClassifier(**FEW),
    "gnn learned": GNNStateClassifier(graph=LearnedGraph(), **FEW),
    "gat": GNNStateClassifier(messages="gat", **FEW),
    "behavior": GNNBehaviorRegressor(**FEW),
    "node trajectory": NodeMLPTrajectoryRegressor(memory="lstm", **ONE_STEP),
    "trajectory": GNNTrajectoryRegressor(memory="gated", **ONE_STEP),
}


def samples(name):
    X = np.random.default_rng(0).random((120, 4))
    return X, {"behavior": X[:, 0]}.get(name, X + 0.1 * X[::-1] if "trajectory" in name else (X[:, 0] > 0.5) * 1)


def test_a_context_of_its_own_draws_what_a_seeded_generator_draws():
    kinds = {
        "linear": lambda: torch.nn.Linear(4, 3).weight,
        "embedding": lambda: torch.nn.Embedding(4, 3).weight,
        "lstm": lambda: torch.nn.LSTM(4, 3).weight_hh_l0,
        "randn": lambda: torch.randn(5),
        "rand": lambda: torch.rand(5),
        "randint": lambda: torch.randint(9, (5,)),
        "randperm": lambda: torch.randperm(9),
        "bernoulli": lambda: torch.bernoulli(torch.full((9,), 0.5)),
        "uniform": lambda: torch.empty(5).uniform_(),
    }
    for name, draw in kinds.items():
        torch.manual_seed(7)
        expected = draw()
        before = torch.get_rng_state()
        with seeded(7):
            assert torch.equal(draw(), expected), name
        assert torch.equal(torch.get_rng_state(), before), name


@pytest.mark.parametrize("name", NETWORKS)
def test_a_fit_leaves_all_global_random_states_alone(name):
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    NETWORKS[name].fit(*samples(name))
    SVMStateClassifier(device="cpu").fit(*samples("mlp"))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert random.getstate() == states[2]


def test_fits_in_threads_equal_those_one_by_one():
    names = [name for name in NETWORKS for _ in range(4)]

    def predicted(name, seed):
        X, y = samples(name)
        return clone(NETWORKS[name]).set_params(random_state=seed).fit(X, y).predict(X)

    calls = [joblib.delayed(predicted)(name, number) for number, name in enumerate(names)]
    before = torch.get_rng_state()
    alone = joblib.Parallel(1)(calls)
    together = joblib.Parallel(4, backend="threading")(calls)
    for name, one, other in zip(names, alone, together, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=name)
    assert torch.equal(torch.get_rng_state(), before)


def test_another_thread_draws_what_it_would_draw_without_a_fit():
    torch.manual_seed(3)
    expected = [torch.rand(2) for _ in range(5)]
    torch.manual_seed(3)
    inside, drawn = threading.Event(), threading.Event()

    def build():
        with seeded(0):
            torch.nn.Linear(3, 2)
            inside.set()
            drawn.wait(20)

    thread = threading.Thread(target=build)
    thread.start()
    assert inside.wait(20)
    found = [torch.rand(2) for _ in range(5)]
    drawn.set()
    thread.join()
    assert all(map(torch.equal, found, expected))


class TestOneThread:
    @pytest.fixture(autouse=True)
    def two_threads(self):
        before = torch.get_num_threads()
        torch.set_num_threads(2)
        yield
        torch.set_num_threads(before)

    def test_within_each_other(self):
        with one_thread():
            with one_thread():
                assert torch.get_num_threads() == 1
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2

    def test_an_error_restores_the_number_of_threads(self):
        with pytest.raises(ZeroDivisionError), one_thread():
            raise ZeroDivisionError
        assert torch.get_num_threads() == 2

    def test_threads_that_come_and_go_in_any_order(self):
        entered, may_leave, counts = threading.Event(), threading.Event(), {}

        def later():
            with one_thread():
                counts["inside"] = torch.get_num_threads()
                entered.set()
                may_leave.wait(20)
                counts["still inside"] = torch.get_num_threads()
            counts["after"] = torch.get_num_threads()

        thread = threading.Thread(target=later)
        with one_thread():
            thread.start()
            assert entered.wait(20)
        assert torch.get_num_threads() == 2
        may_leave.set()
        thread.join()
        new = threading.Thread(target=lambda: counts.update(new=torch.get_num_threads()))
        new.start()
        new.join()
        assert counts == {"inside": 1, "still inside": 1, "after": 2, "new": 2}


FORK = """
import multiprocessing, sys
import joblib, numpy as np
import torch
from skworm import GNNStateClassifier, MLPBehaviorRegressor, MLPTrajectoryRegressor, Rollout
few = {"max_epochs": 2, "random_state": 0, "device": "cpu", "n_hidden": 4}
# Large enough for torch to divide each operation between two threads.
X = np.random.default_rng(0).random((40_000, 4))
models = [
    GNNStateClassifier(**few).fit(X, (X[:, 0] > 0.5) * 1),
    MLPBehaviorRegressor(**few).fit(X, X[:, 0]),
    MLPTrajectoryRegressor(rollout=Rollout(train_horizon=1), **few).fit(X, X),
]
assert torch.get_num_threads() == 2
# What a user may have done before.
torch.rand(1000, 1000).exp()
expected = [model.predict(X) for model in models]

def check(number):
    model = models[number]
    assert np.array_equal(model.predict(X), expected[number])
    if hasattr(model, "predict_proba"):
        model.predict_proba(X)
    model.fit(X[:500], (X[:500, 0] > 0.5) * 1 if number == 0 else X[:500, 0] if number == 1 else X[:500])
    return number

if sys.argv[1] == "fork":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        done = pool.map(check, range(3))
else:
    done = joblib.Parallel(2, backend="multiprocessing")(joblib.delayed(check)(number) for number in range(3))
assert done == [0, 1, 2]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform cannot fork")
@pytest.mark.parametrize("way", ["fork", "joblib"])
def test_a_forked_process_predicts_and_fits(way, tmp_path):
    script = tmp_path / "forked.py"
    script.write_text(FORK)
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script, way], env=environment, timeout=120, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
