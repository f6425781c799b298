"""Continuous behaviour: looked up, decoded, cross-validated by worm and drawn."""

from dataclasses import replace
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import r2_score

from skworm import GNNBehaviorRegressor, MLPBehaviorRegressor, VirtualWorms, WormGroupKFold
from skworm.datasets import make_worms
from skworm.frames import make_behavior, make_frames
from skworm.metrics import score_behavior
from skworm.model_selection import cross_validate_worms
from skworm.plotting import BehaviorDisplay
from skworm.training.stack import train_together

QUICK = {"max_epochs": 60, "learning_rate": 0.02, "device": "cpu", "random_state": 0}


@pytest.fixture(scope="module")
def worms():
    return make_worms(3, n_frames=500, random_state=0)


@pytest.fixture(scope="module")
def frames(worms):
    return make_frames(worms, states=None)[0]


@pytest.fixture(scope="module")
def velocity(worms, frames):
    return make_behavior(worms, frames)


def split(frames):
    worm = frames.index.get_level_values("worm")
    return worm != "simulated-2", worm == "simulated-2"


class TestSimulatedVelocity:
    def test_every_state_has_its_own(self):
        worm = make_worms(1, 6000, random_state=0)[0]
        by_state = pd.Series(worm.behavior["velocity"]).groupby(worm.states).median()
        assert by_state["forward"] > by_state["slowing"] > 0.02
        assert by_state["sustained_reverse"] < by_state["reverse_1"] < -0.02
        assert by_state[["dorsal_turn", "ventral_turn"]].abs().max() < 0.05

    def test_speed_is_graded_within_a_state_and_neurons_know_it(self):
        worms = make_worms(2, 4000, random_state=0)
        X, states = make_frames(worms)
        velocity = make_behavior(worms, X)
        forward = (states == "forward").to_numpy()
        assert velocity[forward].std() > 0.02
        seen = X.index.get_level_values("worm") == "simulated-0"
        model = Ridge().fit(X[forward & seen], velocity[forward & seen])
        predicted = model.predict(X[forward & ~seen])
        assert score_behavior(velocity[forward & ~seen], predicted)["correlation"] > 0.5

    def test_labs_differ_in_frame_rate_alone(self):
        spread = [make_worms(1, 4000, lab=lab, random_state=0)[0].behavior["velocity"].std() for lab in (0, 1)]
        assert 0.5 < spread[0] / spread[1] < 2


class TestMakeBehavior:
    def test_rows_are_those_of_the_frames(self, worms, frames):
        part = frames.iloc[[7, 3, 600]]
        velocity = make_behavior(worms, part)
        assert velocity.index.equals(part.index)
        assert velocity.tolist() == [worms[0].behavior["velocity"][7], worms[0].behavior["velocity"][3],
                                     worms[1].behavior["velocity"][100]]  # fmt: skip

    def test_several_signals_are_columns(self, worms, frames):
        two = [replace(worm, behavior={**worm.behavior, "speed": abs(worm.behavior["velocity"])}) for worm in worms]
        table = make_behavior(two, frames, ["speed", "velocity"])
        assert list(table) == ["speed", "velocity"]
        np.testing.assert_array_equal(table["speed"], table["velocity"].abs())

    def test_unknown_frames_stay_unknown(self, worms, frames):
        velocity = worms[1].behavior["velocity"].copy()
        velocity[4] = np.nan
        found = make_behavior([worms[0], replace(worms[1], behavior={"velocity": velocity}), worms[2]], frames)
        assert found.index[found.isna()].to_list() == [("simulated-1", 4)]

    def test_bad_input_is_named(self, worms, frames):
        without = [worms[0], replace(worms[1], behavior={"angle": np.zeros(500)}), worms[2]]
        with pytest.raises(ValueError, match=r"worm 'simulated-1' has no 'velocity'.*its signals, \['angle'\]"):
            make_behavior(without, frames)
        with pytest.raises(ValueError, match=r"frames of worms \['simulated-2'\], which are not among recordings"):
            make_behavior(worms[:2], frames)
        with pytest.raises(ValueError, match=r"X has frame 500 of worm 'simulated-0', whose recording has 500 frames"):
            make_behavior(worms, frames.iloc[:1].rename(index={0: 500}))
        with pytest.raises(ValueError, match="X does not tell worm and frame"):
            make_behavior(worms, frames.to_numpy())
        with pytest.raises(ValueError, match="must be one name, or several, each once"):
            make_behavior(worms, frames, ["velocity", "velocity"])


class TestRegressors:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        "estimator",
        [
            MLPBehaviorRegressor(**QUICK),
            MLPBehaviorRegressor(loss="huber", **QUICK),
            GNNBehaviorRegressor(**QUICK),
            GNNBehaviorRegressor(graph="learned", augmentation=VirtualWorms(n_groups=4), **QUICK),
            GNNBehaviorRegressor(messages="gin", **QUICK),
        ],
        ids=str,
    )
    def test_a_new_worm_is_decoded(self, estimator, frames, velocity):
        seen, unseen = split(frames)
        model = clone(estimator).fit(frames[seen], velocity[seen])
        assert model.score(frames[unseen], velocity[unseen]) > 0.5
        assert model.signals_ == ["velocity"]

    def test_predictions_have_the_unit_and_the_shape_of_y(self, frames, velocity):
        table = pd.DataFrame({"slow": velocity, "fast": 1000 * velocity + 5})
        model = MLPBehaviorRegressor(**QUICK).fit(frames, table)
        predicted = model.predict(frames)
        assert predicted.shape == (len(frames), 2)
        assert model.signals_ == ["slow", "fast"]
        with pytest.raises(ValueError, match="in the order of training"):
            model.score(frames, table[["fast", "slow"]])
        # Both are the same signal to the network, in whatever unit.
        assert r2_score(table["slow"], predicted[:, 0]) > 0.8
        assert r2_score(table["fast"], predicted[:, 1]) > 0.8
        column = MLPBehaviorRegressor(**{**QUICK, "max_epochs": 2}).fit(frames, velocity.to_frame())
        assert column.predict(frames).shape == (len(frames), 1)

    @settings(max_examples=10)
    @given(scale=st.floats(0.01, 100), shift=st.floats(-10, 10))
    def test_the_unit_makes_no_difference(self, scale, shift):
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(40, 3)), rng.normal(size=40)
        model = MLPBehaviorRegressor(**{**QUICK, "max_epochs": 3})
        first, other = clone(model).fit(X, y), clone(model).fit(X, scale * y + shift)
        np.testing.assert_allclose(other.predict(X), scale * first.predict(X) + shift, rtol=1e-3, atol=1e-3 * scale)

    def test_unknown_frames_are_left_out(self, frames, velocity):
        gappy = velocity.copy()
        gappy.iloc[100:140] = np.nan
        model = GNNBehaviorRegressor(**{**QUICK, "max_epochs": 5})
        job = clone(model).training_job(frames, gappy)
        assert len(job.X) == len(frames) - 40
        known = gappy.notna()
        with_gap, without = clone(model).fit(frames, gappy), clone(model).fit(frames[known], gappy[known])
        np.testing.assert_allclose(with_gap.predict(frames), without.predict(frames))
        assert with_gap.score(frames, gappy) == pytest.approx(r2_score(gappy[known], with_gap.predict(frames[known])))

    def test_scores_leave_out_what_is_unknown_of_each_signal(self, frames, velocity):
        table = pd.DataFrame({"a": velocity, "b": -velocity})
        model = MLPBehaviorRegressor(**{**QUICK, "max_epochs": 5}).fit(frames, table)
        gappy = table.copy()
        gappy.iloc[:300, 0] = np.nan
        predicted = model.predict(frames)
        expected = (r2_score(table["a"][300:], predicted[300:, 0]) + r2_score(table["b"], predicted[:, 1])) / 2
        assert model.score(frames, gappy) == pytest.approx(expected)
        weights = np.arange(len(frames)) % 3
        weighted = r2_score(table, predicted, sample_weight=weights)
        assert model.score(frames, table, sample_weight=weights) == pytest.approx(weighted)

    def test_a_glitch_of_the_tracker_moves_huber_less(self, frames, velocity):
        glitch = velocity.copy()
        glitch.iloc[::50] += 3.0
        seen, unseen = split(frames)
        scores = {
            loss: MLPBehaviorRegressor(loss=loss, **QUICK)
            .fit(frames[seen], glitch[seen])
            .score(frames[unseen], velocity[unseen])
            for loss in ("squared_error", "huber")
        }
        assert scores["huber"] > scores["squared_error"]

    def test_a_constant_signal_is_predicted(self, frames):
        model = MLPBehaviorRegressor(**QUICK).fit(frames, np.full(len(frames), 3.0))
        np.testing.assert_allclose(model.predict(frames), 3.0, atol=0.05)

    def test_bad_input_is_named(self, frames, velocity):
        model = MLPBehaviorRegressor(**{**QUICK, "max_epochs": 2})
        with pytest.raises(ValueError, match=r"y has 0 frames with known signals \['velocity'\].*at least two"):
            clone(model).fit(frames, velocity * np.nan)
        with pytest.raises(ValueError, match="The 'loss' parameter"):
            clone(model).set_params(loss="mse").fit(frames, velocity)
        model.fit(frames, velocity)
        with pytest.raises(ValueError, match=r"y has shape \(1500, 2\), but 1500 frames of the signals \['velocity'\]"):
            model.score(frames, np.zeros((1500, 2)))
        with pytest.raises(ValueError, match="no known frame of the signal 'velocity'"):
            model.score(frames, velocity * np.nan)


class TestScores:
    @given(st.lists(st.tuples(*[st.floats(-100, 100)] * 2), min_size=3, max_size=30))
    def test_as_scikit_learn_and_numpy_count(self, pairs):
        true, predicted = np.array(pairs).T
        scores = score_behavior([*true, np.nan], [*predicted, np.nan])
        assert scores["n_frames"] == len(pairs)
        assert scores["rmse"] == pytest.approx(np.sqrt(np.mean((true - predicted) ** 2)))
        if true.std() > 1e-3:
            assert scores["r2"] == pytest.approx(r2_score(true, predicted))
            if predicted.std() > 1e-3:
                assert scores["correlation"] == pytest.approx(np.corrcoef(true, predicted)[0, 1], abs=1e-6)

    def test_what_cannot_be_known_is_nan(self):
        assert np.isnan(score_behavior([1.0, 1.0], [1.0, 2.0])["r2"])
        constant = score_behavior([1.0, 2.0], [0.1, 0.1])
        assert np.isnan(constant["correlation"])
        assert constant["r2"] < 0
        assert score_behavior([np.nan], [1.0])["n_frames"] == 0

    def test_bad_input_is_named(self):
        with pytest.raises(ValueError, match=r"y_true has shape \(2,\) and y_pred \(3,\)"):
            score_behavior([1, 2], [1, 2, 3])
        with pytest.raises(ValueError, match="y_pred is nan in 1 known frames"):
            score_behavior([1, 2], [1, np.nan])


class TestCrossValidation:
    CV = WormGroupKFold(2, fold_by="contiguous_blocks", gap=8)

    def test_rows_and_baselines(self, frames, velocity):
        scores = cross_validate_worms({"ols": LinearRegression()}, frames, velocity, cv=self.CV, verbose=0)
        results = scores.table
        assert set(results["model"]) == {"ols", "mean", "clock", "linear"}
        # 3 training worms and 2 folds; a held-out part and two unseen worms.
        assert len(results) == 4 * 6 * 3
        assert set(results["signal"]) == {"velocity"}
        unseen = scores.summary().set_index(["evaluation", "model"]).loc["unseen_worms"]
        assert unseen.loc["linear", "r2_mean"] > 0.5 > unseen.loc["clock", "r2_mean"]
        assert unseen.loc["mean", "r2_mean"] <= 0
        assert np.isnan(unseen.loc["mean", "correlation_mean"])
        assert (unseen["r2_low"] <= unseen["r2_mean"]).all()
        assert (unseen["r2_mean"] <= unseen["r2_high"]).all()
        assert unseen["n_worms"].tolist() == [3] * 4
        by_r2 = scores.compare("mean", metric="r2")["model"].tolist()
        assert by_r2 == scores.compare("mean", metric="rmse")["model"].tolist()
        of_fit = results[results["train_worms"] == ("simulated-0",)].query("model == 'linear' and fold == 0")
        one = of_fit[of_fit["worm"] == "simulated-1"]
        split = next(iter(self.CV.split_worms(frames, None, frames.index.get_level_values("worm"))))
        model = Ridge().fit(frames.iloc[split.train], velocity.iloc[split.train])
        rows = frames.index.get_level_values("worm") == "simulated-1"
        assert one["r2"].item() == pytest.approx(model.score(frames[rows], velocity[rows]))

    def test_networks_fit_one_by_one_or_as_a_stack_and_are_kept(self, frames, velocity, tmp_path):
        signals = pd.DataFrame({"velocity": velocity, "speed": velocity.abs()})
        signals.iloc[10:20, 1] = np.nan
        models = {"mlp": MLPBehaviorRegressor(augmentation=None, **{**QUICK, "max_epochs": 10})}
        run = {"cv": self.CV, "baselines": False, "verbose": 0}
        one = cross_validate_worms(models, frames, signals, memory=tmp_path, **run).table
        with (
            mock.patch("skworm.training.stack.train_together", wraps=train_together) as together,
            mock.patch("skworm.model_selection.cross_validation.fits_at_a_time", return_value=6),
        ):
            stack = cross_validate_worms(models, frames, signals, **run).table
        assert together.called
        assert set(one["signal"]) == {"velocity", "speed"}
        np.testing.assert_allclose(stack["r2"], one["r2"], atol=0.01)
        again = cross_validate_worms(models, frames, signals, memory=tmp_path, **run).table
        pd.testing.assert_frame_equal(again, one)
        whole = one.query("worm == 'simulated-0' and evaluation == 'unseen_worms'").groupby("signal")["n_frames"].max()
        assert whole.to_dict() == {"velocity": 500, "speed": 490}

    def test_external_worms(self, frames, velocity):
        others = make_worms(2, n_frames=300, lab=1, worm_prefix="other", random_state=1)
        X, _ = make_frames(others, states=None)
        y = make_behavior(others, X)
        run = {"cv": self.CV, "verbose": 0}
        results = cross_validate_worms({}, frames, velocity, external={"lab 1": (X[X.columns[::-1]], y)}, **run).table
        found = results.query("evaluation == 'lab 1' and model == 'linear'")
        assert set(found["worm"]) == {"other-0", "other-1"}
        assert found["correlation"].mean() > 0.5
        with pytest.raises(ValueError, match=r"'lab 1' predicts the columns \['speed'\].*trained on \['velocity'\]"):
            cross_validate_worms({}, frames, velocity, external={"lab 1": (X, y.rename("speed"))}, **run)
        with pytest.raises(ValueError, match="'lab 1' lacks the columns"):
            cross_validate_worms({}, frames, velocity, external={"lab 1": (X.iloc[:, 1:], y)}, **run)

    def test_bad_input_is_named(self, frames, velocity):
        def run(X, y):
            return cross_validate_worms({}, X, y, cv=self.CV, verbose=0)

        with pytest.raises(ValueError, match="different indices"):
            run(frames, velocity.iloc[::-1])
        with pytest.raises(ValueError, match=r"X has 1500 rows, but its y has shape \(3,\)"):
            run(frames, velocity.iloc[:3])
        with pytest.raises(ValueError, match="X does not say to which worm a row belongs"):
            run(frames.to_numpy(), velocity.to_numpy())
        with pytest.raises(ValueError, match="the y of X is infinite at row 4"):
            run(frames, velocity.where(np.arange(1500) != 4, np.inf))
        seen, _ = split(frames)
        with pytest.raises(ValueError, match="worms simulated-0, fold 0: 0 training rows have known signals"):
            run(frames, velocity.mask(seen))
        with pytest.raises(ValueError, match="'linear' has the name of a baseline"):
            cross_validate_worms({"linear": Ridge()}, frames, velocity, cv=self.CV, verbose=0)


class TestDisplay:
    def test_lines_are_in_seconds_with_gaps_where_frames_are_absent(self, worms, velocity):
        part = velocity.drop([("simulated-1", frame) for frame in range(50, 60)])
        display = BehaviorDisplay(worms[1], part, {"mlp": part + 1}, unit="mm/s").plot()
        time, values = display.lines_["mlp"].get_data()
        np.testing.assert_array_equal(time, worms[1].time)
        np.testing.assert_array_equal(np.flatnonzero(np.isnan(values)), range(50, 60))
        np.testing.assert_allclose(values[:50], worms[1].behavior["velocity"][:50] + 1)
        assert display.ax_.get_ylabel() == "velocity (mm/s)"
        assert display.ethogram_ax_.get_xlabel() == "Time (s)"
        assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["true", "mlp"]

    def test_frames_after_a_gap_are_drawn_when_they_were_taken(self, worms):
        time = worms[1].time + np.where(np.arange(len(worms[1].time)) < 200, 0.0, 20.0)
        worm = replace(worms[1], time=time, behavior={"clock": time})
        X, _ = make_frames(worm, states=None)
        clock = make_behavior(worm, X, "clock")
        for part in (clock, clock.iloc[:250], clock.iloc[150:]):
            shown, values = BehaviorDisplay(worm, part, {"mlp": part}).plot().lines_["mlp"].get_data()
            there = ~np.isnan(values)
            assert there.sum() == len(part)
            np.testing.assert_allclose(values[there], shown[there])
        with pytest.raises(ValueError, match="y has frame 200, but the recording"):
            BehaviorDisplay(worm, clock.rename(index={clock.index[200][1]: 200}, level="frame"), {}).plot()

    def test_into_given_axes_and_without_states(self, worms, velocity):
        from matplotlib.figure import Figure

        ax = Figure().subplots()
        display = BehaviorDisplay(replace(worms[0], states=None), velocity, {}).plot(ax=ax)
        assert display.ax_ is ax
        assert display.ethogram_ax_ is None
        assert ax.get_xlabel() == "Time (s)"

    def test_bad_input_is_named(self, worms, velocity):
        with pytest.raises(ValueError, match="not a Series with worm and frame"):
            BehaviorDisplay(worms[0], velocity.to_numpy(), {}).plot()
        with pytest.raises(ValueError, match=r"predictions of 'mlp' have shape \(3,\), but y has \(1500,\)"):
            BehaviorDisplay(worms[0], velocity, {"mlp": [1, 2, 3]}).plot()
        with pytest.raises(ValueError, match="y has no frame of worm 'stranger', only of 'simulated-0'"):
            BehaviorDisplay(replace(worms[0], worm="stranger"), velocity, {}).plot()


def test_a_graded_proxy_is_decoded_in_real_worms(recordings_kato2015):
    """The real worms were held still, so a smoothed command of their states stands in for a velocity."""
    graded = {"forward": 1.0, "slowing": 0.4, "reverse_1": -0.7, "reverse_2": -0.7, "sustained_reverse": -1.0}
    worms = []
    for worm in recordings_kato2015[:2]:
        command = pd.Series(worm.states).map(graded).fillna(0.0).rolling(7, center=True, min_periods=1).mean()
        worms.append(replace(worm, behavior={"proxy": command.to_numpy()}))
    X, _ = make_frames(worms, states=None)
    proxy = make_behavior(worms, X, "proxy")
    seen = X.index.get_level_values("worm") == worms[0].worm
    model = MLPBehaviorRegressor(augmentation=VirtualWorms(), **QUICK).fit(X[seen], proxy[seen])
    assert model.score(X[~seen], proxy[~seen]) > 0.4
