import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skworm import (
    GNNTrajectoryRegressor,
    InferredGraph,
    LinearTrajectoryRegressor,
    MLPTrajectoryRegressor,
    NodeMLPTrajectoryRegressor,
    PersistenceRegressor,
    Rollout,
    VirtualWorms,
    WormGroupKFold,
)
from skworm.datasets import make_worms
from skworm.estimators.trajectory import TrainingWindows
from skworm.frames import PAPER_NEURONS, make_frames, make_trajectories
from skworm.metrics import skill_by_step
from skworm.paper import published

pytestmark = pytest.mark.slow

FEW = {"n_hidden": 8, "max_epochs": 5, "random_state": 0, "device": "cpu"}
NEURONS = ["AVAL", "RID", "AVBL"]

NETWORKS = {
    "mlp": MLPTrajectoryRegressor(**FEW),
    "mlp lstm": MLPTrajectoryRegressor(memory="lstm", **FEW),
    "mlp published": published("mlp", "trajectories", **FEW),
    "node mlp": NodeMLPTrajectoryRegressor(**FEW),
    "node mlp lstm": NodeMLPTrajectoryRegressor(memory="lstm", **FEW),
    "node mlp published": published("node-mlp", "trajectories", **FEW),
    "gnn": GNNTrajectoryRegressor(**FEW),
    "gnn static": GNNTrajectoryRegressor(graph=InferredGraph(per="worm"), **FEW),
    "gnn free": GNNTrajectoryRegressor(graph="learned", **FEW),
    "gnn lstm": GNNTrajectoryRegressor(memory="lstm", **FEW),
    "gnn gated": GNNTrajectoryRegressor(memory="gated", **FEW),
    "gnn published": published("gnn", "trajectories", graph__n_hidden=4, **FEW),
}
EVERY = {
    "persistence": PersistenceRegressor(),
    "linear": LinearTrajectoryRegressor(),
    "linear direct": LinearTrajectoryRegressor(strategy="direct"),
    **NETWORKS,
}


def trajectories(burn_in=1, horizon=12, n_worms=3):
    worms = make_worms(n_worms, n_frames=400, random_state=0)
    frames, _ = make_frames(worms, neurons=NEURONS, states=None, derivative="backward")
    return make_trajectories(frames, burn_in=burn_in, horizon=horizon)


@pytest.fixture(scope="module")
def one_observed():
    return trajectories()


@pytest.fixture(scope="module")
def two_observed():
    return trajectories(burn_in=2)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("burn_in", [1, 2])
def test_predictions_have_the_shape_of_the_future(name, burn_in, one_observed, two_observed):
    X, Y = one_observed if burn_in == 1 else two_observed
    model = clone(EVERY[name]).fit(X, Y)
    predicted = model.predict(X)
    assert predicted.shape == Y.shape
    assert predicted.dtype == np.float64
    assert (model.burn_in_, model.horizon_, model.n_columns_) == (burn_in, 12, 6)
    np.testing.assert_array_equal(predicted, pickle.loads(pickle.dumps(model)).predict(X))
    np.testing.assert_array_equal(predicted, clone(EVERY[name]).fit(X, Y).predict(X))


@pytest.mark.parametrize("name", [name for name in EVERY if name != "linear direct"])
def test_longer_rollouts_begin_like_shorter_ones_and_stay_finite(name, one_observed):
    X, Y = one_observed
    model = clone(EVERY[name]).set_params(**({} if name in ("persistence", "linear") else {"rollout": Rollout()}))
    predicted = model.fit(X, Y).predict(X.iloc[:5], horizon=1000)
    assert predicted.shape == (5, 6000)
    assert np.isfinite(predicted).all()
    np.testing.assert_allclose(predicted[:, : Y.shape[1]], model.predict(X.iloc[:5]), rtol=0, atol=1e-9)


def test_persistence_repeats_the_last_observed_frame(two_observed):
    X, Y = two_observed
    predicted = PersistenceRegressor().fit(X, Y).predict(X)
    np.testing.assert_allclose(predicted, np.tile(X.to_numpy()[:, 6:], 12))
    assert skill_by_step(Y, predicted, X).abs().max() < 1e-9


@pytest.mark.parametrize("strategy", ["iterated", "direct"])
def test_linear_map_finds_linear_dynamics(strategy):
    rng = np.random.default_rng(0)
    turn = 0.95 * np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    frames = [rng.normal(size=(200, 2))]
    for _ in range(5):
        frames.append(frames[-1] @ turn.T)
    X, Y = frames[0], np.concatenate(frames[1:], axis=1)
    model = LinearTrajectoryRegressor(strategy=strategy, alpha=0).fit(X, Y)
    np.testing.assert_allclose(model.predict(X), Y, atol=1e-9)
    assert model.score(X, Y) == pytest.approx(1.0)


def test_centred_regressors_follow_a_shift_of_a_whole_new_worm(one_observed):
    """The level of a worm is an accident of its scaling, so it moves predictions and does not change them."""
    X, Y = one_observed
    test = X.index.get_level_values("worm") == "simulated-2"
    shifted = X[test] + 0.3
    centred = LinearTrajectoryRegressor().fit(X[~test], Y[~test])
    fixed = LinearTrajectoryRegressor(center="population").fit(X[~test], Y[~test])
    # The population weighs as 10 rows in the level of a new worm; the shift does not reach that share.
    astray = {
        name: np.abs(model.predict(shifted) - model.predict(X[test]) - 0.3)[:, -6:]
        for name, model in {"centred": centred, "fixed": fixed}.items()
    }
    n_rows = int(test.sum())
    np.testing.assert_allclose(astray["centred"], astray["fixed"] * 10 / (10 + n_rows), rtol=0.1)
    assert astray["fixed"].mean() > 0.1


def test_a_new_worm_with_one_row_is_taken_for_one_of_the_population(one_observed):
    X, Y = one_observed
    test = X.index.get_level_values("worm") == "simulated-2"
    model = LinearTrajectoryRegressor().fit(X[~test], Y[~test])
    row = X[test].iloc[[0]]
    with pytest.warns(UserWarning, match="pass worm="):
        unnamed = model.predict(row.droplevel("worm"))
    alone = model.predict(row)
    assert 0 < np.abs(alone - unnamed).max() < np.abs(model.predict(X[test])[[0]] - unnamed).max()


def test_levels_never_see_the_future_of_a_new_worm(one_observed):
    X, Y = one_observed
    model = LinearTrajectoryRegressor().fit(X, Y)
    expected = X.groupby(level="worm").mean().loc["simulated-0"].to_numpy()
    assert np.abs(model.levels_["simulated-0"] - expected).max() < 0.05
    renamed = X.rename(index={"simulated-0": "new"}, level="worm").loc[["new"]]
    own = model._levels_of_rows(renamed.to_numpy()[:, None], np.array(["new"] * len(renamed)))
    n = len(renamed)
    np.testing.assert_allclose(own[0], (n * expected + 10 * model.level_) / (n + 10))


def test_names_of_worms_come_from_the_index_or_the_call(one_observed):
    X, Y = one_observed
    worm = X.index.get_level_values("worm").to_numpy()
    named = MLPTrajectoryRegressor(**FEW).fit(X, Y)
    called = MLPTrajectoryRegressor(**FEW).fit(X.to_numpy(), Y.to_numpy(), worm=worm)
    assert named.neurons_ == NEURONS
    assert named.worms_.tolist() == called.worms_.tolist()
    assert sorted(named.levels_) == named.worms_.tolist()
    assert (called.neurons_, called.node_features_) == (["0", "1", "2", "3", "4", "5"], ["0"])
    unnamed = MLPTrajectoryRegressor(**FEW).fit(X.to_numpy(), Y.to_numpy())
    assert unnamed.levels_ == {}


def test_regressors_work_in_scikit_learn(one_observed):
    X, Y = one_observed
    worm = X.index.get_level_values("worm")
    cv = WormGroupKFold(n_splits=2, n_train_worms=2, fold_by="contiguous_blocks", gap=13)
    model = MLPTrajectoryRegressor(**FEW)
    scores = cross_val_score(model, X, Y, groups=worm, cv=cv, scoring="neg_mean_squared_error")
    assert scores.shape == (6,)
    assert np.isfinite(scores).all()
    search = GridSearchCV(model, {"n_hidden": [4, 8], "augmentation": [None, VirtualWorms()]}, cv=cv)
    search.fit(X, Y, groups=worm)
    assert search.best_params_["n_hidden"] in (4, 8)
    pipeline = make_pipeline(StandardScaler(), LinearTrajectoryRegressor()).set_output(transform="pandas")
    assert pipeline.fit(X, Y).predict(X).shape == Y.shape
    assert pipeline[-1].levels_
    assert model.fit(X, Y).score(X, Y) > 0


def test_tags_tell_of_several_outputs():
    tags = GNNTrajectoryRegressor().__sklearn_tags__()
    assert tags.target_tags.multi_output
    assert tags.estimator_type == "regressor"


@pytest.mark.parametrize("name", NETWORKS)
def test_training_lowers_the_error(name, one_observed):
    X, Y = one_observed
    model = (
        clone(NETWORKS[name])
        .set_params(max_epochs=60, augmentation=None, rollout=Rollout(random_start=False))
        .fit(X, Y)
    )
    losses = [epoch["train_loss"] for epoch in model.net_.history]
    assert min(losses[-5:]) < losses[0]


@pytest.mark.parametrize("network", [MLPTrajectoryRegressor, NodeMLPTrajectoryRegressor, GNNTrajectoryRegressor])
@pytest.mark.parametrize("center", ["worm", "population"])
def test_networks_start_as_the_linear_map(network, center, two_observed, monkeypatch):
    X, Y = two_observed
    untrained = {
        **FEW,
        "max_epochs": 1,
        "learning_rate": 1e-12,
        "validation_fraction": 0,
        "rollout": Rollout(clip_margin=None),
    }
    # The network's map is penalised for the change of a frame, the other for the frame: without a penalty they agree.
    monkeypatch.setattr("skworm.estimators.trajectory._RIDGE", 0)
    model = network(center=center, **untrained).fit(X, Y)
    linear = LinearTrajectoryRegressor(center=center, alpha=0).fit(X, Y)
    unseen = X.rename(index={"simulated-0": "new"}, level="worm")
    np.testing.assert_allclose(model.predict(unseen), linear.predict(unseen), atol=1e-4)
    without = network(center=center, linear=False, **untrained).fit(X, Y)
    assert np.abs(without.predict(unseen) - linear.predict(unseen)).max() > 0.05


def test_virtual_worms_are_on_by_default(one_observed):
    X, Y = one_observed
    default, named, plain = (
        MLPTrajectoryRegressor(**FEW, **changes).fit(X, Y).predict(X)
        for changes in ({}, {"augmentation": VirtualWorms(gain=0.3, offset=0, mixing=0.2)}, {"augmentation": None})
    )
    np.testing.assert_array_equal(default, named)
    assert not np.array_equal(default, plain)


def batch_of(prepare, frames):
    import torch

    draws = prepare.draw(0, len(frames), 6, torch.Generator().manual_seed(0))
    return prepare(frames[:, :6], torch.zeros(500), frames[:, 6:], **draws.by_sample, **draws.shared)


def test_scheduled_sampling_ends(one_observed, monkeypatch):
    X, Y = one_observed
    shares = []
    original = TrainingWindows.draw

    def spy(self, *arguments):
        draws = original(self, *arguments)
        shares.append(float(draws.by_sample["shown"].float().mean()) if "shown" in draws.by_sample else 0.0)
        return draws

    monkeypatch.setattr(TrainingWindows, "draw", spy)
    MLPTrajectoryRegressor(rollout=Rollout(scheduled_sampling_end=4), **{**FEW, "max_epochs": 6}).fit(X, Y)
    np.testing.assert_allclose(shares, [1, 0.75, 0.5, 0.25, 0, 0], atol=0.1)
    shares.clear()
    MLPTrajectoryRegressor(**FEW).fit(X, Y)
    assert shares == [0.0] * 5


def test_random_starts_lie_within_each_trajectory(one_observed):
    import torch

    X, Y = one_observed
    model = MLPTrajectoryRegressor(augmentation=None, **FEW).fit(X, Y)
    frames = torch.arange(13.0).repeat_interleave(6).expand(500, -1)
    batch, y = batch_of(model._preparation(), frames)
    first = batch["X"][:, 0]
    assert sorted(set(first.tolist())) == [0.0, 1.0, 2.0, 3.0, 4.0]
    torch.testing.assert_close(y[:, ::6], first[:, None] + torch.arange(1.0, 9.0))
    fixed = MLPTrajectoryRegressor(augmentation=None, rollout=Rollout(random_start=False), **FEW).fit(X, Y)
    batch, _ = batch_of(fixed._preparation(), frames)
    assert set(batch["X"][:, 0].tolist()) == {0.0}


def test_graphs_are_labelled_and_follow_the_worm(one_observed):
    X, Y = one_observed
    model = GNNTrajectoryRegressor(graph=InferredGraph(per="worm"), **FEW).fit(X, Y)
    assert model.graph_.index.tolist() == NEURONS
    assert (model.graph_.index.name, model.graph_.columns.name) == ("pre", "post")
    assert sorted(model.graphs_) == sorted(set(X.index.get_level_values("worm")))
    given = pd.DataFrame(0.0, index=NEURONS[::-1], columns=NEURONS[::-1])
    given.loc["RID", "AVAL"] = 2.0
    fixed = GNNTrajectoryRegressor(graph=given, **FEW).fit(X, Y)
    pd.testing.assert_frame_equal(fixed.graph_, given.loc[NEURONS, NEURONS].astype(float), check_names=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, Y: (X, Y.to_numpy()[:, :7]), "y has 7 columns, not a multiple of the 6 columns of a frame"),
        (lambda X, Y: (X, Y.iloc[:, :7]), "must be time-major"),
        (lambda X, Y: (X, Y.iloc[:, :-6][Y.columns[6:-6]]), "those of y begin at 2"),
        (lambda X, Y: (X.rename(columns=lambda name: name.replace("RID", "ALA")), Y), r"differ in the columns .*'ALA"),
        (lambda X, Y: (X, Y[Y.columns[::-1]]), "must be time-major"),
        (lambda X, Y: (X, Y.iloc[:-1]), "inconsistent numbers of samples"),
        (lambda X, Y: (X.assign(**{X.columns[0]: np.nan}), Y), "contains NaN"),
    ],
)
@pytest.mark.parametrize("name", ["persistence", "linear", "mlp", "gnn"])
def test_bad_trajectories_are_refused(name, change, message, one_observed):
    with pytest.raises(ValueError, match=message):
        clone(EVERY[name]).fit(*change(*one_observed))


def test_wrong_burn_in_and_horizons_are_refused(one_observed, two_observed):
    X, Y = two_observed
    with pytest.raises(ValueError, match="12 columns, which are not burn_in=3 frames of the 6 columns"):
        MLPTrajectoryRegressor(burn_in=3, **FEW).fit(X, Y)
    with pytest.raises(ValueError, match="X has 12 columns, which are not burn_in=5 frames"):
        LinearTrajectoryRegressor(burn_in=5).fit(X.to_numpy(), Y.to_numpy())
    with pytest.raises(ValueError, match="train_horizon=13 is longer than the 12 frames that y holds"):
        GNNTrajectoryRegressor(rollout=Rollout(train_horizon=13), **FEW).fit(X, Y)
    model = LinearTrajectoryRegressor(strategy="direct").fit(X, Y)
    with pytest.raises(ValueError, match="horizon=13 is beyond the 12 frames"):
        model.predict(X, horizon=13)
    with pytest.raises(ValueError, match="horizon=0 must be a whole number"):
        model.predict(X, horizon=0)
    with pytest.raises(ValueError, match="X has 6 features, but LinearTrajectoryRegressor is expecting 12"):
        LinearTrajectoryRegressor(burn_in=2).fit(X.to_numpy(), Y.to_numpy()).predict(one_observed[0].to_numpy())


def test_a_rollout_that_diverges_says_so(one_observed):
    X, Y = one_observed
    model = MLPTrajectoryRegressor(rollout=Rollout(clip_margin=None), **FEW).fit(X, Y)
    model.net_.module_.linear.weight.data.mul_(50)
    with pytest.raises(ValueError, match=r"rollout of 5 of 5 trajectories diverged, first at step \d+; keep frames"):
        model.predict(X.iloc[:5], horizon=1000)


def test_virtual_worms_mix_neurons_the_same_in_every_frame():
    import torch

    X, group, worms = (
        torch.rand(50, 3 * 4),
        torch.zeros(50, dtype=torch.long),
        VirtualWorms(gain=0, offset=0, n_groups=2, mixing=0.5),
    )
    draws = worms.draw(50, 4, torch.Generator().manual_seed(0), range(2))
    mixed, group = worms.apply(X, group, **draws.by_sample, **draws.shared)
    for worm in group.unique():
        # Rows are (sample, frame, node feature), columns neurons.
        before, after = (part[group == worm].view(-1, 3, 2, 2).transpose(2, 3).reshape(-1, 2) for part in (X, mixed))
        map_ = torch.linalg.lstsq(before, after).solution
        torch.testing.assert_close(before @ map_, after, atol=1e-4, rtol=0)
        assert (map_ - torch.eye(2)).abs().max() > 0.05


@pytest.fixture(scope="module")
def one_real_worm_unseen(recordings_kato2015):
    frames, _ = make_frames(
        recordings_kato2015, neurons=PAPER_NEURONS, exclude=["VB01"], states=None, derivative="backward"
    )
    X, Y = make_trajectories(frames, burn_in=1)
    unseen = X.index.get_level_values("worm") == "worm_2"
    return X[~unseen], Y[~unseen], X[unseen], Y[unseen]


def test_the_mlp_beats_persistence_and_the_linear_map_on_an_unseen_real_worm(one_real_worm_unseen):
    X, Y, X_unseen, Y_unseen = one_real_worm_unseen
    models = {
        "mlp": MLPTrajectoryRegressor(max_epochs=100, n_hidden=64, random_state=0, device="cpu"),
        "linear": LinearTrajectoryRegressor(),
        "uncentred": LinearTrajectoryRegressor(center="population"),
    }
    skill = {
        name: skill_by_step(Y_unseen, model.fit(X, Y).predict(X_unseen), X_unseen).loc[[1, 8, 16]].to_numpy()
        for name, model in models.items()
    }
    assert (skill["mlp"] > 0.3).all()
    assert (skill["mlp"] > skill["linear"] - [0.02, 0, 0]).all()
    assert (skill["linear"] > skill["uncentred"]).all()


@pytest.mark.parametrize("name", ["mlp", "gnn", "gnn static", "linear"])
def test_a_thousand_steps_stay_finite_on_every_real_worm(name, one_real_worm_unseen):
    X, Y, X_unseen, _ = one_real_worm_unseen
    model = clone(EVERY[name]).fit(X.iloc[::4], Y.iloc[::4])
    for table in (X.groupby(level="worm").head(10), X_unseen.head(10)):
        assert np.isfinite(model.predict(table, horizon=1000)).all()


def test_names_of_the_future_tell_the_shape_of_observed_frames_that_lost_theirs():
    X, Y = trajectories(burn_in=4)
    for kind in (NodeMLPTrajectoryRegressor, GNNTrajectoryRegressor):
        network = make_pipeline(StandardScaler(), kind(n_hidden=4, max_epochs=1, device="cpu")).fit(X, Y)[-1]
        assert (len(network.neurons_), network.node_features_) == (
            len(Y.columns) // 2 // network.horizon_,
            ["trace", "derivative"],
        )
    persistence = make_pipeline(StandardScaler(), PersistenceRegressor()).fit(X, Y)
    assert (persistence[-1].burn_in_, persistence[-1].horizon_) == (4, 12)
    np.testing.assert_allclose(persistence[-1].predict(X.to_numpy())[:, -6:], X.to_numpy()[:, -6:])
    with pytest.raises(ValueError, match="23 columns, which are not burn_in=3 frames of the 6 columns that are named"):
        PersistenceRegressor().fit(X.to_numpy()[:, 1:], Y)
    with pytest.raises(ValueError, match="24 columns, which are not burn_in=3 frames of the 6 columns"):
        PersistenceRegressor(burn_in=3).fit(X.to_numpy(), Y)


def test_trajectories_of_weight_zero_are_left_out():
    X, Y = trajectories()
    kept = np.random.default_rng(0).random(len(X)) < 0.7
    wild_X, wild_Y = X.copy(), Y.copy()
    wild_X[~kept], wild_Y[~kept] = 50.0, -50.0
    model = MLPTrajectoryRegressor(**FEW)
    weighted = clone(model).fit(wild_X, wild_Y, sample_weight=2.0 * kept)
    np.testing.assert_allclose(weighted.level_, clone(model).fit(X[kept], Y[kept]).level_)
    np.testing.assert_allclose(weighted.predict(X), clone(model).fit(X[kept], Y[kept]).predict(X), atol=1e-5)
    heavy, plain = (
        clone(model).training_job(X, Y, sample_weight=weight).module.linear.weight.detach().numpy()
        for weight in (np.where(kept, 1.0, 100.0), None)
    )
    assert not np.allclose(heavy, plain)
