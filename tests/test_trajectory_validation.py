import numpy as np
import pandas as pd
import pytest

from skworm import LinearTrajectoryRegressor, MLPTrajectoryRegressor, PersistenceRegressor, WormGroupKFold
from skworm.datasets import make_worms
from skworm.frames import contains_transition, make_frames, make_trajectories
from skworm.metrics import mse_by_step
from skworm.model_selection import cross_validate_trajectories, cross_validate_worms, summarize_trajectories

CV = WormGroupKFold(2, n_train_worms=1, fold_by="contiguous_blocks", gap=9)


def trajectories(n_worms=3, prefix="worm", lab=0):
    worms = make_worms(n_worms, n_frames=300, worm_prefix=prefix, lab=lab, random_state=0)
    chosen = {"neurons": ["AVAL", "RID"], "derivative": "backward"}
    frames, _ = make_frames(worms, states=None, **chosen)
    _, states = make_frames(worms, states="4", unknown="keep", **chosen)
    X, Y = make_trajectories(frames, horizon=8)
    return X, Y, contains_transition(states, Y)


@pytest.fixture(scope="module")
def ours():
    return trajectories()


def run(ours, **changes):
    X, Y, transition = ours
    call = {"cv": CV, "transition": transition, "n_jobs": 1, "verbose": 0, **changes}
    models = call.pop("models", {"linear": LinearTrajectoryRegressor(), "again": PersistenceRegressor()})
    return cross_validate_trajectories(models, X, Y, **call)


@pytest.fixture(scope="module")
def results(ours):
    return run(ours)


def test_one_row_a_fit_worm_and_step(results):
    keys = ["model", "train_worms", "fold", "evaluation", "worm", "step"]
    assert not results.duplicated(keys).any()
    # Three training worms, two folds, three scored worms each, eight steps.
    assert results.groupby("model").size().tolist() == [3 * 2 * 3 * 8] * 2
    seen = results[results["evaluation"] == "held_out_windows"]
    assert (seen["worm"] == seen["train_worms"]).all()
    unseen = results[results["evaluation"] == "unseen_worms"]
    assert (unseen["worm"] != unseen["train_worms"]).all()


def test_errors_are_those_of_the_fit(ours, results):
    X, Y, transition = ours
    split = next(CV.split_worms(X, Y, X.index.get_level_values("worm").to_numpy()))
    model = LinearTrajectoryRegressor().fit(X.iloc[split.train], Y.iloc[split.train])
    predicted = pd.DataFrame(model.predict(X.iloc[split.unseen]), index=X.index[split.unseen], columns=Y.columns)
    rows = results.query("model == 'linear' and train_worms == 'worm-0' and fold == 0 and worm == 'worm-2'")
    true, ours_, changes = Y.loc[["worm-2"]], predicted.loc[["worm-2"]], transition.loc[["worm-2"]].to_numpy()
    np.testing.assert_allclose(rows["mse"], mse_by_step(true, ours_))
    np.testing.assert_allclose(rows["mse_trace"], mse_by_step(true, ours_, node_feature="trace"))
    np.testing.assert_allclose(rows["mse_transition"], mse_by_step(true[changes], ours_[changes]))
    np.testing.assert_allclose(rows["mse_steady"], mse_by_step(true[~changes], ours_[~changes]))
    assert rows["n_trajectories"].unique().tolist() == [len(true)]
    assert rows["n_transition"].unique().tolist() == [changes.sum()]


def test_persistence_stands_beside_every_error(results):
    again = results[results["model"] == "again"]
    for error in ("mse", "mse_trace", "mse_derivative", "mse_transition", "mse_steady"):
        np.testing.assert_allclose(again[error], again[f"persistence_{error}"])
    summary = summarize_trajectories(results).set_index("model")
    np.testing.assert_allclose(summary.loc["again", ["skill", "skill_trace", "skill_worst"]], 0, atol=1e-12)


def test_the_worm_is_the_unit_of_the_summary(results):
    summary = summarize_trajectories(results).set_index(["model", "evaluation", "step"])
    by_worm = results.query("model == 'linear' and evaluation == 'unseen_worms' and step == 8").groupby("worm")
    errors = by_worm[["mse", "persistence_mse"]].mean()
    row = summary.loc[("linear", "unseen_worms", 8)]
    assert row["n_worms"] == 3
    assert row["n_fits"] == 6
    np.testing.assert_allclose([row["mse"], row["mse_std"]], [errors["mse"].mean(), errors["mse"].std()])
    np.testing.assert_allclose(row["skill"], 1 - errors["mse"].mean() / errors["persistence_mse"].mean())
    np.testing.assert_allclose(row["skill_worst"], (1 - errors["mse"] / errors["persistence_mse"]).min())


def test_external_worms_are_scored_by_every_fit(ours):
    X, Y, transition = trajectories(2, "theirs", lab=1)
    both = pd.concat([ours[2], transition])
    results = run(ours, external={"lab 1": (X, Y)}, transition=both)
    external = results[results["evaluation"] == "lab 1"]
    assert set(external["worm"]) == {"theirs-0", "theirs-1"}
    assert len(external) == 2 * 6 * 2 * 8


def test_finished_fits_are_kept_and_belong_to_their_data(ours, tmp_path):
    first = run(ours, out=tmp_path)
    stored = (tmp_path / "scores.jsonl").read_bytes()
    pd.testing.assert_frame_equal(run(ours, out=tmp_path), first)
    assert (tmp_path / "scores.jsonl").read_bytes() == stored
    X, Y, transition = ours
    run((X, Y, ~transition), out=tmp_path)
    assert len((tmp_path / "scores.jsonl").read_bytes().splitlines()) == 2 * len(stored.splitlines())


def test_without_states_there_are_no_transitions(ours):
    results = run(ours, transition=None)
    assert not [column for column in results if "transition" in column]


def test_a_failing_fit_names_model_and_split(ours):
    model = MLPTrajectoryRegressor(train_horizon=20, device="cpu")
    with pytest.raises(RuntimeError, match=r"model 'mlp' on worms worm-0, fold 0 failed .*train_horizon=20 is longer"):
        run(ours, models={"mlp": model})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, Y, t: {"cv": 5}, "does not split by worm"),
        (lambda X, Y, t: {"transition": t.iloc[:-1]}, "transition says nothing of 1 trajectories"),
        (lambda X, Y, t: {"external": {"b": (X, Y)}}, "external set 'b' has worms .*worm-0"),
        (lambda X, Y, t: {"external": {"b": (X.iloc[:, ::2], Y)}}, r"columns of its X are not those .*first 'AVAL:d"),
        (lambda X, Y, t: {"external": {"unseen_worms": (X, Y)}}, "has the name of an evaluation"),
        (lambda X, Y, t: {"models": [LinearTrajectoryRegressor()]}, "pass a mapping"),
    ],
)
def test_bad_input_is_refused(ours, change, message):
    with pytest.raises((ValueError, TypeError), match=message):
        run(ours, **change(*ours))


def test_tables_that_are_no_trajectories_are_refused(ours):
    X, Y, transition = ours
    for tables in ((X.to_numpy(), Y, transition), (X, Y.reset_index(drop=True), transition)):
        with pytest.raises(ValueError, match="is no table of trajectories"):
            run(tables)
    with pytest.raises(ValueError, match="different indices"):
        run((X, Y.iloc[::-1], transition))
    with pytest.raises(ValueError, match="y has shape"):
        cross_validate_worms({"linear": LinearTrajectoryRegressor()}, X, Y, cv=CV)
