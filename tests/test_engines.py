"""The engines of a cross-validation give the same table."""

import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skworm import GNNStateClassifier, MLPStateClassifier, MLPTrajectoryRegressor, VirtualWorms, WormGroupKFold
from skworm.datasets import make_worms
from skworm.frames import make_frames, make_trajectories
from skworm.model_selection import cross_validate_trajectories, cross_validate_worms, together

MLP = MLPStateClassifier(max_epochs=15, device="cpu", n_hidden=4, random_state=0)
CV = WormGroupKFold(n_splits=2, random_state=0)


@pytest.fixture(scope="module")
def frames():
    worms = make_worms(3, n_frames=300, random_state=0)
    return make_frames(worms, neurons=["AVAL", "AVAR", "VB02"], states="2", derivative="backward")


@pytest.fixture
def stacks(monkeypatch):
    """Number of fits in each stack."""
    sizes, fit_together = [], together.fit_together
    monkeypatch.setattr(
        "skworm.model_selection.runs.fit_together",
        lambda model, samples, n_processes: sizes.append(len(samples)) or fit_together(model, samples, n_processes),
    )
    return sizes


def assert_same_table(one, other):
    pd.testing.assert_frame_equal(one.drop(columns="fit_seconds"), other.drop(columns="fit_seconds"), atol=0.02)


def test_state_classifiers_have_the_same_table_with_each_engine(frames, stacks):
    models = {
        "mlp": MLP,
        "gnn": GNNStateClassifier(max_epochs=5, device="cpu", augmentation=VirtualWorms(n_groups=2), random_state=0),
        "pipeline": make_pipeline(StandardScaler(), clone(MLP)),
        "svm": SVC(),
    }
    one_by_one = cross_validate_worms(models, *frames, cv=CV, engine="joblib", verbose=0)
    assert not stacks
    assert_same_table(cross_validate_worms(models, *frames, cv=CV, engine="fused", verbose=0), one_by_one)
    assert stacks == [6, 6, 6]
    assert_same_table(cross_validate_worms(models, *frames, cv=CV, engine="auto", verbose=0), one_by_one)


def test_trajectory_regressors_have_the_same_table_with_each_engine(frames, stacks):
    X, Y = make_trajectories(frames[0], horizon=9)
    models = {"mlp": MLPTrajectoryRegressor(max_epochs=3, n_hidden=8, device="cpu", random_state=0)}
    tables = [
        cross_validate_trajectories(models, X, Y, cv=CV, engine=engine, verbose=0) for engine in ("joblib", "fused")
    ]
    assert stacks == [6]
    pd.testing.assert_frame_equal(*(table.drop(columns="fit_seconds") for table in tables), rtol=1e-3)


def test_stacks_are_divided_among_processes(frames):
    fused = cross_validate_worms({"mlp": MLP}, *frames, cv=CV, engine="fused", n_jobs=2, verbose=0)
    assert_same_table(fused, cross_validate_worms({"mlp": MLP}, *frames, cv=CV, engine="joblib", verbose=0))
    assert [together.fits_at_a_time(MLP, "fused", 7, n_processes) for n_processes in (1, 2, 3)] == [7, 4, 3]
    assert together.fits_at_a_time(SVC(), "fused", 7, 1) == 1


def test_a_resumed_run_trains_what_is_missing(frames, stacks, tmp_path):
    whole = cross_validate_worms({"mlp": MLP}, *frames, cv=CV, engine="fused", out=tmp_path, verbose=0)
    path = tmp_path / "scores.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:2] + lines[5:]))
    again = cross_validate_worms({"mlp": MLP}, *frames, cv=CV, engine="fused", out=tmp_path, verbose=0)
    assert stacks[1:] == [3]
    assert_same_table(again, whole)


def test_a_fit_of_a_stack_that_fails_is_named_and_the_others_are_kept(frames, tmp_path):
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
        cross_validate_worms({"shy": shy}, X, y, cv=CV, engine="fused", baselines=False, out=tmp_path, verbose=0)
    assert len((tmp_path / "scores.jsonl").read_text().splitlines()) == 4


def test_an_unknown_engine_is_refused(frames):
    with pytest.raises(ValueError, match=r"engine='gpu'; choose one of 'auto', 'fused', 'joblib'"):
        cross_validate_worms({"mlp": MLP}, *frames, cv=CV, engine="gpu", verbose=0)
