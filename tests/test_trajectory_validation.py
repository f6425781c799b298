import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.svm import SVC

from skworm import LinearTrajectoryRegressor, MLPTrajectoryRegressor, PersistenceRegressor, Rollout, WormGroupKFold
from skworm.datasets import make_worms
from skworm.frames import contains_transition, make_frames, make_trajectories
from skworm.metrics import mse_by_step
from skworm.model_selection import WormScores, cross_validate_worms

CV = WormGroupKFold(2, n_train_worms=1, fold_by="contiguous_blocks", gap=9)


def trajectories(n_worms=3, prefix="worm", lab=0):
    worms = make_worms(n_worms, n_frames=300, worm_prefix=prefix, lab=lab, random_state=0)
    chosen = {"neurons": ["AVAL", "RID"], "derivative": "backward"}
    frames, _ = make_frames(worms, states=None, **chosen)
    _, states = make_frames(worms, states="4", unknown="keep", **chosen)
    X, Y = make_trajectories(frames, horizon=8, burn_in=1)
    return X, Y, contains_transition(states, Y)


def renamed(*tables):
    return tuple(table.rename(lambda worm: f"their {worm}", level="worm") for table in tables)


@pytest.fixture(scope="module")
def ours():
    return trajectories()


def run(ours, **changes):
    X, Y, transition = ours
    call = {"cv": CV, "transition": transition, "n_jobs": 1, "baselines": False, "verbose": 0, **changes}
    models = call.pop("models", {"linear": LinearTrajectoryRegressor(), "again": PersistenceRegressor()})
    return cross_validate_worms(models, X, Y, **call)


@pytest.fixture(scope="module")
def scores(ours):
    return run(ours)


@pytest.fixture(scope="module")
def results(scores):
    return scores.table


def test_one_row_a_fit_worm_and_step(results):
    keys = ["model", "train_worms", "fold", "evaluation", "worm", "step"]
    assert not results.duplicated(keys).any()
    # Three training worms, two folds, three scored worms each, eight steps.
    assert results.groupby("model").size().tolist() == [3 * 2 * 3 * 8] * 2
    seen = results[results["evaluation"] == "held_out_windows"]
    assert (seen["worm"].map(lambda worm: (worm,)) == seen["train_worms"]).all()
    unseen = results[results["evaluation"] == "unseen_worms"]
    assert (unseen["worm"].map(lambda worm: (worm,)) != unseen["train_worms"]).all()


def test_errors_are_those_of_the_fit(ours, results):
    X, Y, transition = ours
    split = next(CV.split_worms(X, Y, X.index.get_level_values("worm").to_numpy()))
    model = LinearTrajectoryRegressor().fit(X.iloc[split.train], Y.iloc[split.train])
    predicted = pd.DataFrame(model.predict(X.iloc[split.unseen]), index=X.index[split.unseen], columns=Y.columns)
    rows = results[results["train_worms"] == ("worm-0",)].query("model == 'linear' and fold == 0 and worm == 'worm-2'")
    true, ours_, changes = Y.loc[["worm-2"]], predicted.loc[["worm-2"]], transition.loc[["worm-2"]].to_numpy()
    np.testing.assert_allclose(rows["mse"], mse_by_step(true, ours_))
    np.testing.assert_allclose(rows["mse_trace"], mse_by_step(true, ours_, node_feature="trace"))
    np.testing.assert_allclose(rows["mse_transition"], mse_by_step(true[changes], ours_[changes]))
    np.testing.assert_allclose(rows["mse_steady"], mse_by_step(true[~changes], ours_[~changes]))
    assert rows["n_trajectories"].unique().tolist() == [len(true)]
    assert rows["n_transition"].unique().tolist() == [changes.sum()]


def test_every_error_has_that_of_persistence_beside_it(scores):
    results = scores.table
    again = results[results["model"] == "again"]
    for error in ("mse", "mse_trace", "mse_derivative", "mse_transition", "mse_steady"):
        np.testing.assert_allclose(again[error], again[f"persistence_{error}"])
    summary = scores.summary(n_resamples=100).set_index("model")
    np.testing.assert_allclose(summary.loc["again", ["skill", "skill_trace", "skill_worst"]], 0, atol=1e-12)


def test_a_fit_without_transitions_leaves_the_interval_to_the_others(scores):
    table = scores.table.copy()
    first = (table["model"] == "linear") & (table["evaluation"] == "unseen_worms") & (table["fold"] == 0)
    first &= table["worm"] == table.loc[first, "worm"].iloc[0]
    columns = ["mse_transition", "persistence_mse_transition"]
    for rows in (first, table["worm"] == table.loc[first, "worm"].iloc[0]):
        table.loc[rows, columns] = np.nan
        summary = WormScores(table).summary(n_resamples=200)
        row = summary.query("model == 'linear' and evaluation == 'unseen_worms'").iloc[0]
        assert row["mse_transition_low"] <= row["mse_transition_mean"] <= row["mse_transition_high"]


def test_the_worm_is_the_unit_of_the_summary(scores):
    results = scores.table
    summary = scores.summary(n_resamples=500).set_index(["model", "evaluation", "step"])
    by_worm = results.query("model == 'linear' and evaluation == 'unseen_worms' and step == 8").groupby("worm")
    errors = by_worm[["mse", "persistence_mse"]].mean()
    row = summary.loc[("linear", "unseen_worms", 8)]
    assert row["n_worms"] == 3
    assert row["n_fits"] == 6
    np.testing.assert_allclose([row["mse_mean"], row["mse_std"]], [errors["mse"].mean(), errors["mse"].std()])
    np.testing.assert_allclose(row["skill"], 1 - errors["mse"].mean() / errors["persistence_mse"].mean())
    assert row["skill_low"] < row["skill"] < row["skill_high"]
    assert row["mse_low"] < row["mse_mean"] < row["mse_high"]
    np.testing.assert_allclose(row["skill_worst"], (1 - errors["mse"] / errors["persistence_mse"]).min())


def test_external_worms_are_scored_by_every_fit(ours):
    X, Y, transition = trajectories(2, "theirs", lab=1)
    both = pd.concat([ours[2], transition])
    results = run(ours, external={"lab 1": (X[X.columns[::-1]], Y)}, transition=both).table
    external = results[results["evaluation"] == "lab 1"]
    assert set(external["worm"]) == {"theirs-0", "theirs-1"}
    assert len(external) == 2 * 6 * 2 * 8


def test_finished_fits_are_kept_and_belong_to_their_data(ours, tmp_path):
    first = run(ours, memory=tmp_path)
    stored = {path.name for path in (tmp_path / "fits").iterdir()}
    pd.testing.assert_frame_equal(run(ours, memory=tmp_path).table, first.table)
    assert {path.name for path in (tmp_path / "fits").iterdir()} == stored
    X, Y, transition = ours
    run((X, Y, ~transition), memory=tmp_path)
    assert len(list((tmp_path / "fits").iterdir())) == 2 * len(stored)


def test_the_baselines_are_those_of_forecasts(ours):
    table = run(ours, models={}, baselines=True).table
    assert list(table["model"].unique()) == ["persistence", "mean", "linear"]
    persistence = table[table["model"] == "persistence"]
    np.testing.assert_allclose(persistence["mse"], persistence["persistence_mse"])


def test_without_states_there_are_no_transitions(ours):
    results = run(ours, transition=None).table
    assert not [column for column in results if "transition" in column]


def test_a_failing_fit_names_model_and_split(ours):
    model = MLPTrajectoryRegressor(rollout=Rollout(train_horizon=20), device="cpu")
    with pytest.raises(RuntimeError, match=r"model 'mlp' on worms worm-0, fold 0 failed .*train_horizon=20 is longer"):
        run(ours, models={"mlp": model})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, Y, t: {"cv": 5}, "does not split by worm"),
        (lambda X, Y, t: {"transition": t.iloc[:-1]}, "transition lacks 1 trajectories"),
        (lambda X, Y, t: {"external": {"b": (X, Y)}}, "external set 'b' has worms .*worm-0"),
        (
            lambda X, Y, t: {"external": {"b": renamed(X.iloc[:, :1], Y)}, "transition": None},
            r"'b' lacks the columns .*AVAL:d",
        ),
        (lambda X, Y, t: {"external": {"b": renamed(X, Y.iloc[:, :8])}, "transition": None}, "predicts the columns"),
        (lambda X, Y, t: {"groups": ["a"] * len(X)}, "groups= has no meaning for trajectories"),
        (
            lambda X, Y, t: {"models": {"svc": SVC(), "line": Ridge()}},
            r"mix classifiers \(svc\) and regressors \(line\)",
        ),
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
        with pytest.raises(ValueError, match="is not a table of trajectories"):
            run(tables)
    with pytest.raises(ValueError, match="different indices"):
        run((X, Y.iloc[::-1], transition))


def test_predictions_reach_as_far_as_the_frames_that_were_to_be_predicted():
    X = np.random.default_rng(0).random((60, 2))
    few = {"n_hidden": 4, "max_epochs": 1, "augmentation": None, "random_state": 0, "device": "cpu"}
    model = MLPTrajectoryRegressor(rollout=Rollout(train_horizon=1, clip_margin=0.0), center="population", **few)
    assert model.fit(X, X + 4).predict(X).max() > 3
