"""Fits that are trained as a stack give the table of fits that are trained one by one."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skworm import (
    GNNStateClassifier,
    MLPStateClassifier,
    MLPTrajectoryRegressor,
    Readout,
    SVMStateClassifier,
    VirtualWorms,
    WormGroupKFold,
)
from skworm.datasets import make_worms
from skworm.frames import make_frames, make_trajectories
from skworm.model_selection import cross_validate_worms
from skworm.model_selection import stacks as stacking
from skworm.nn.blocks import FeatureBatchNorm
from skworm.paper import published
from skworm.training import support_vectors
from skworm.training.stack import train_together


class SolvedInTorch(SVMStateClassifier):
    """The support vector machine as it is on a GPU, but for where its tensors live."""

    def _solver_device(self):
        return "cpu"


MLP = MLPStateClassifier(max_epochs=15, device="cpu", n_hidden=4, augmentation=None, random_state=0)
CV = WormGroupKFold(n_splits=2, random_state=0)


@pytest.fixture(scope="module")
def frames():
    worms = make_worms(3, n_frames=300, random_state=0)
    return make_frames(worms, neurons=["AVAL", "AVAR", "VB02"], states="2", derivative="backward")


@pytest.fixture
def stacks(monkeypatch):
    """Train as on a GPU: as many fits of a model as there are make a stack; the sizes of the stacks."""
    sizes, fit_together = [], stacking.fit_together

    def fits_at_a_time(model, n_fits, n_processes):
        return 1 if stacking.network_of(model) is None else -(-n_fits // n_processes)

    monkeypatch.setattr("skworm.model_selection.cross_validation.fits_at_a_time", fits_at_a_time)
    monkeypatch.setattr(
        "skworm.model_selection.cross_validation.fit_together",
        lambda model, samples, n_processes: sizes.append(len(samples)) or fit_together(model, samples, n_processes),
    )
    return sizes


@pytest.fixture
def one_by_one(frames):
    """Tables of models whose fits are trained one by one."""

    def run(models, *tables):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("skworm.model_selection.cross_validation.fits_at_a_time", lambda *arguments: 1)
            return cross_validate_worms(models, *(tables or frames), cv=CV, verbose=0).table

    return run


def assert_same_table(one, other):
    pd.testing.assert_frame_equal(one.drop(columns="fit_seconds"), other.drop(columns="fit_seconds"), atol=0.02)


@pytest.mark.slow
def test_state_classifiers_have_the_same_table_in_a_stack(frames, stacks, one_by_one):
    models = {
        "mlp": MLP,
        # Not normalised: a bias that is subtracted again has a gradient of rounding alone, of which Adam makes steps.
        "gnn": GNNStateClassifier(
            max_epochs=15,
            device="cpu",
            readout=Readout(batch_norm=None),
            augmentation=VirtualWorms(n_groups=2),
            random_state=0,
        ),
        "pipeline": make_pipeline(StandardScaler(), clone(MLP)),
        "svm": SVC(),
    }
    expected = one_by_one(models)
    assert not stacks
    assert_same_table(cross_validate_worms(models, *frames, cv=CV, verbose=0).table, expected)
    assert stacks == [6, 6, 6]


def test_support_vector_machines_have_the_table_of_libsvm_in_one_batch(stacks, monkeypatch):
    frames = make_frames(make_worms(3, n_frames=300, random_state=0), neurons=["AVAL", "AVAR", "VB02"], states="4")
    batches = []
    together = support_vectors.Problems.start
    monkeypatch.setattr(support_vectors.Problems, "start", lambda pairs: batches.append(len(pairs)) or together(pairs))
    models = {"svm": SolvedInTorch(), "scaled": make_pipeline(StandardScaler(), SolvedInTorch(C=10.0))}
    table = cross_validate_worms(models, *frames, cv=CV, baselines=False, verbose=0).table
    assert stacks == [6, 6]
    assert len(batches) == 2
    assert min(batches) > 6, "every pair of states of every fit"
    models = {"svm": SVC(), "scaled": make_pipeline(StandardScaler(), SVC(C=10.0))}
    assert_same_table(table, cross_validate_worms(models, *frames, cv=CV, baselines=False, verbose=0).table)


def test_a_support_vector_machine_that_cannot_be_fitted_is_named(frames, stacks):
    X, y = frames
    models = {"svm": SolvedInTorch(class_weight={"forward": 0.0})}
    with pytest.raises(RuntimeError, match=r"model 'svm' on .* failed with ValueError: class_weight gives 0.0"):
        cross_validate_worms(models, X, y, cv=CV, baselines=False, verbose=0)


@pytest.mark.slow
def test_trajectory_regressors_have_the_same_table_in_a_stack(frames, stacks, one_by_one):
    trajectories = make_trajectories(frames[0], horizon=9, burn_in=1)
    models = {"mlp": MLPTrajectoryRegressor(max_epochs=3, n_hidden=8, device="cpu", random_state=0)}
    expected = one_by_one(models, *trajectories)
    table = cross_validate_worms(models, *trajectories, cv=CV, verbose=0).table
    assert stacks == [6]
    pd.testing.assert_frame_equal(*(each.drop(columns="fit_seconds") for each in (table, expected)), rtol=1e-3)


def test_stacks_are_divided_among_processes(monkeypatch):
    assert stacking.fits_at_a_time(MLP, 7, 1) == 1
    monkeypatch.setattr("skworm.training.process.resolve_device", lambda device: "cuda")
    assert [stacking.fits_at_a_time(MLP, 7, n_processes) for n_processes in (1, 2, 3)] == [7, 4, 3]
    assert stacking.fits_at_a_time(MLP, 1000, 1) == 320
    assert stacking.fits_at_a_time(SVC(), 7, 1) == 1
    assert stacking.fits_at_a_time(SVMStateClassifier(device="cpu"), 7, 1) == 1
    assert stacking.fits_at_a_time(SolvedInTorch(), 7, 1) == 7


def test_a_resumed_run_trains_what_is_missing(frames, stacks, tmp_path):
    whole = cross_validate_worms({"mlp": MLP}, *frames, cv=CV, memory=tmp_path, baselines=False, verbose=0).table
    for path in sorted((tmp_path / "fits").glob("*.json"))[:3]:
        path.unlink()
    again = cross_validate_worms({"mlp": MLP}, *frames, cv=CV, memory=tmp_path, baselines=False, verbose=0).table
    assert stacks[1:] == [3]
    assert_same_table(again, whole)


def test_a_fit_of_a_stack_that_fails_is_named_and_the_others_are_kept(frames, stacks, tmp_path):
    X, y = frames

    class Shy(MLPStateClassifier):
        def training_job(self, X, y, worm=None):
            if "simulated-1" in X.index.get_level_values("worm"):
                raise ValueError("not this worm")
            return super().training_job(X, y, worm)

    shy = Shy(max_epochs=2, device="cpu")
    with pytest.raises(
        RuntimeError, match=r"model 'shy' on worms simulated-1, fold 0 failed with ValueError: not this"
    ):
        cross_validate_worms({"shy": shy}, X, y, cv=CV, baselines=False, memory=tmp_path, verbose=0)
    assert len(list((tmp_path / "fits").glob("*.json"))) == 4


@pytest.mark.parametrize("per", ["worm", "frame"])
def test_batch_normalisation_ends_with_the_statistics_of_the_last_weights(per, monkeypatch):
    monkeypatch.setattr("skworm.nn.messages.HIDDEN_EDGES_AT_A_TIME", 50_000)
    neurons = ["AVAL", "AVAR", "RID", "VB02", "AIBR", "RMED"]
    X, y = make_frames(make_worms(2, n_frames=200, random_state=0), states="2", neurons=neurons)
    model = published("gnn", max_epochs=40, random_state=0, graph__per=per)
    alone, job = clone(model).fit(X, y), clone(model).training_job(X, y)
    (together,) = train_together([clone(model).training_job(X, y)] * 2)[:1]
    rows = job.tensors(np.ones(len(X), dtype=bool))
    for net in (alone.net_, together):
        module = net.module_.double()
        inputs = {"X": rows.X.double(), "group": rows.group}
        with torch.no_grad():
            predicted = module.eval()(**inputs)
            for part in module.modules():
                part.training = isinstance(part, FeatureBatchNorm)
            np.testing.assert_allclose(predicted, module(**inputs), atol=0.02)
