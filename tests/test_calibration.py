import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, RadiusNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skworm import ConformalStateClassifier, MLPStateClassifier, TemperatureScaledClassifier
from skworm.datasets import make_worms
from skworm.estimators.calibration import LeftOut, fit_temperature, inner_splits, log_probabilities
from skworm.frames import make_frames
from skworm.metrics import calibration_report, coverage_report, reliability_curve
from skworm.plotting import ReliabilityDisplay

TWO = ["forward", "reverse"]


@pytest.fixture(scope="module")
def worms():
    return make_frames(make_worms(4, n_frames=400, random_state=0), states="4", unknown="keep")


def confidences(values):
    return np.column_stack([values, 1 - np.asarray(values)])


def calibration_error(y, probabilities, **options):
    report = calibration_report(y, probabilities, classes=TWO, worm=["a"] * len(y), **options)
    return report.loc["a", "expected_calibration_error"]


def test_calibration_errors_by_hand():
    # Confidences .6 .6 .9 .9, right 1 0 1 1: |.5 - .6| / 2 + |1 - .9| / 2.
    y, probabilities = ["forward", "reverse", "forward", "forward"], confidences([0.6, 0.6, 0.9, 0.9])
    assert calibration_error(y, probabilities, n_bins=2) == pytest.approx(0.1)
    # In one bin the two errors cancel.
    assert calibration_error(y, probabilities, n_bins=1) == pytest.approx(0)
    curve = reliability_curve(y, probabilities, classes=TWO, worm=["a"] * 4)
    assert curve.index.tolist() == [("a", 6), ("a", 9)]
    assert curve["accuracy"].tolist() == [0.5, 1.0]
    assert curve["n_frames"].tolist() == [2, 2]


def test_reports_are_by_worm_and_leave_unknown_frames_out():
    y = ["forward", "unknown", "reverse", "forward", "unknown"]
    report = calibration_report(y, confidences([0.8, 0.1, 0.7, 0.9, 0.5]), classes=TWO, worm=list("aabbc"), n_bins=1)
    assert report.loc["a"].tolist() == pytest.approx([1, 1, 0.8, 0.2, -np.log(0.8)])
    assert report.loc["b"].tolist() == pytest.approx([2, 0.5, 0.8, 0.3, -np.log(0.3 * 0.9) / 2])
    assert report.loc["c"].tolist() == pytest.approx([0, *[np.nan] * 4], nan_ok=True)
    with np.errstate(divide="raise"):
        unlearnt = calibration_report(["turn"], [[0.5, 0.5]], classes=TWO, worm=["a"]).loc["a"]
    assert (unlearnt["accuracy"], unlearnt["log_loss"]) == (0, np.inf)


@settings(max_examples=30)
@given(st.lists(st.floats(0.5, 1), min_size=1, max_size=60))
def test_errors_are_between_the_gap_in_all_and_one(values):
    y = np.where(np.arange(len(values)) % 3, "forward", "reverse")
    error = calibration_error(y, confidences(values))
    gap = abs(np.mean(values) - expected_accuracy(y, values))
    assert gap - 1e-9 <= error <= 1
    certain = np.where(y == "forward", 1.0, 0.0)
    assert calibration_error(y, confidences(certain)) == 0


def expected_accuracy(y, values):
    return np.mean(np.where(np.asarray(values) >= 0.5, "forward", "reverse") == y)


def test_what_is_no_probability_is_refused():
    with pytest.raises(ValueError, match=r"row 1 of probabilities is \[0.9, 0.9\]"):
        calibration_error(TWO, [[0.5, 0.5], [0.9, 0.9]])
    with pytest.raises(ValueError, match=r"probabilities have shape \(1, 2\) for 2 frames and 2 classes"):
        calibration_error(TWO, [[0.5, 0.5]])
    with pytest.raises(ValueError, match="n_bins=0 must be a whole number"):
        calibration_error(TWO, confidences([1, 1]), n_bins=0)
    with pytest.raises(ValueError, match="nothing says to which worm"):
        calibration_report(TWO, confidences([1, 1]), classes=TWO)


def test_coverage_by_hand():
    sets = pd.DataFrame({"forward": [True, True, False, True], "reverse": [True, False, True, True]})
    report = coverage_report(["reverse", "reverse", "reverse", "turn"], sets, worm=list("aabb"))
    assert report.loc["a"].tolist() == [2, 0.5, 1.5, 0.5]
    assert report.loc["b"].tolist() == [2, 0.5, 1.5, 0.5]
    with pytest.raises(ValueError, match="sets must be a DataFrame of 1 rows"):
        coverage_report(["reverse"], sets, worm=["a"])


def test_inner_fits_leave_whole_worms_out_and_blocks_of_the_only_one():
    worms = np.repeat(["a", "b", "c"], [5, 7, 9])
    states = np.tile(TWO, 11)[:21]
    for cv, n_folds in ((2, 2), (5, 3), (GroupKFold(3), 3)):
        splits = list(inner_splits(cv, np.zeros((21, 1)), states, worms))
        assert len(splits) == n_folds
        assert all(not set(worms[train]) & set(worms[test]) for train, test in splits)
        assert sorted(np.concatenate([test for _, test in splits])) == list(range(21))
    index = pd.MultiIndex.from_arrays([["a"] * 10, np.arange(10)[::-1]], names=["worm", "frame"])
    blocks = [sorted(9 - test) for _, test in inner_splits(5, pd.DataFrame(index=index), None, np.array(["a"] * 10))]
    assert blocks == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_a_model_that_is_too_sure_is_found(true_temperature):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 3)) * 2
    state = np.array([rng.choice(3, p=p) for p in softmax(logits, axis=1)])
    logs = log_softmax(logits * true_temperature, axis=1)
    worm = np.repeat(["a", "b"], [15_000, 5_000])
    left_out = LeftOut(logs, state, np.ones(20_000, dtype=bool), worm)
    assert fit_temperature(left_out) == pytest.approx(true_temperature, rel=0.05)


def test_every_worm_counts_alike_for_the_temperature():
    # Worm a is always right, worm b, with fewer frames, always wrong: together they know nothing.
    logs = log_softmax(np.tile([3.0, 0.0], (100, 1)), axis=1)
    worm = np.repeat(["a", "b"], [90, 10])
    wrong = LeftOut(logs, np.repeat([0, 1], [90, 10]), np.ones(100, dtype=bool), worm)
    assert fit_temperature(wrong) > 50
    alike = wrong._replace(worm=np.zeros(100))
    assert fit_temperature(alike) == pytest.approx(3 / np.log(9), rel=0.01)


class Told(ClassifierMixin, BaseEstimator):
    """Reads probabilities of forward from its only column, and notes what worms it is shown."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.worms_ = sorted(set(X.index.get_level_values("worm")))
        return self

    def predict_proba(self, X):
        return confidences(np.asarray(X)[:, 0])

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def told(n_frames=200):
    """Worms whose forward frames have probabilities of their own: from 0 to 1, to 0.5 and to 0.25."""
    spread = np.concatenate([np.linspace(1, low, n_frames) for low in (0.0, 0.5, 0.75)])
    index = pd.MultiIndex.from_product([["a", "b", "c"], range(n_frames)], names=["worm", "frame"])
    y = pd.Series("forward", index=index)
    y[::20] = "reverse"
    probability = np.where(y == "forward", spread, 1 - spread)
    return pd.DataFrame({"AVAL:trace": probability}, index=index), y


def test_thresholds_are_those_of_worms():
    X, y = told()
    mean = ConformalStateClassifier(Told(), coverage=0.8).fit(X, y)
    assert mean.worm_thresholds_.to_numpy() == pytest.approx([0.8, 0.4, 0.2], abs=0.01)
    # At 0.6: 0.6 of worm a, and all of the others, whose mean is 0.867; at 0.4: 0.4, 0.8 and 1.
    sets = mean.predict_set(X)
    assert mean.threshold_ == pytest.approx(0.43, abs=0.05)
    top = X["AVAL:trace"] >= 0.5
    assert sets["forward"].equals((1 - X["AVAL:trace"] <= mean.threshold_) | top)
    largest = ConformalStateClassifier(Told(), coverage=0.8, across_worms="max").fit(X, y)
    assert largest.threshold_ == mean.worm_thresholds_.max()
    assert (coverage_report(y, largest.predict_set(X))["coverage"] >= 0.8).all()
    assert (largest.predict_set(X).sum(axis=1) >= sets.sum(axis=1)).all()
    assert mean.estimator_.worms_ == ["a", "b", "c"]


def test_every_worm_counts_alike_for_the_sets_and_thresholds_are_not_below_the_quantile():
    X, y = told()
    few = (X.index.get_level_values("worm") != "a") | (X.index.get_level_values("frame") % 10 == 5)
    model = ConformalStateClassifier(Told(), coverage=0.8).fit(X[few], y[few])
    # At 0.467: 0.467 of worm a, 0.933 of worm b and all of worm c.
    assert model.threshold_ == pytest.approx(0.467, abs=0.05)
    own = 1 - X[few].loc["a", "AVAL:trace"]
    assert model.worm_thresholds_["a"] == pytest.approx(np.quantile(own, 0.8, method="higher"))


@pytest.mark.parametrize("coverage", [0.5, 0.9, 0.999])
def test_coverage_holds_on_average_over_the_worms_it_was_calibrated_on(coverage):
    X, y = told()
    sets = ConformalStateClassifier(Told(), coverage=coverage).fit(X, y).predict_set(X)
    # The estimator says the same whatever it is fitted to, so the inner fits and the last one agree.
    assert coverage_report(y, sets)["coverage"].mean() >= coverage - 1e-9


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_coverage_holds_where_probabilities_repeat(coverage):
    X, y = make_frames(make_worms(4, n_frames=300, random_state=0), neurons=["RID", "ALA", "AVBL"], states="2")
    train = X.index.get_level_values("worm") == "simulated-0"
    for neighbors in (3, 6, 7):
        model = KNeighborsClassifier(neighbors).fit(X[train], y[train])
        conformal = ConformalStateClassifier(model, coverage=coverage, cv="prefit").fit(X[~train], y[~train])
        assert coverage_report(y[~train], conformal.predict_set(X[~train]))["coverage"].mean() >= coverage - 1e-9


def test_states_that_are_missing_or_in_another_order_are_refused():
    index = pd.MultiIndex.from_product([["a", "b"], range(2)], names=["worm", "frame"])
    y = pd.Series(["forward", "forward", "reverse", "reverse"], index=index)
    sets = pd.get_dummies(y)
    reports = (coverage_report, lambda y, P: calibration_report(y, P.astype(float), classes=["forward", "reverse"]))
    for report in reports:
        with pytest.raises(ValueError, match="the same rows in another order"):
            report(y, sets[::-1])
        pd.testing.assert_frame_equal(report(y, sets[["reverse", "forward"]]), report(y, sets))
        with pytest.raises(ValueError, match=r"y_true has no state at row 1; write 'unknown'"):
            report(y.where(np.arange(4) != 1), sets)


@pytest.mark.parametrize("meta", [TemperatureScaledClassifier, ConformalStateClassifier])
def test_worms_come_from_the_index_or_by_name_and_unknown_frames_are_left_out(worms, meta):
    X, y = worms
    worm = X.index.get_level_values("worm")
    y = y.where((worm != "simulated-0") | (X.index.get_level_values("frame") > 99), "unknown")
    by_index = meta(GaussianNB()).fit(X, y)
    known = y != "unknown"
    for other in (
        meta(GaussianNB()).fit(X[known], y[known]),
        meta(GaussianNB()).fit(X.reset_index(drop=True), y.to_numpy(), worm=worm),
    ):
        np.testing.assert_allclose(other.predict_proba(X), by_index.predict_proba(X))
        assert vars(other).get("temperature_") == vars(by_index).get("temperature_")
        assert vars(other).get("threshold_") == vars(by_index).get("threshold_")
    arrays = meta(GaussianNB()).fit(X.to_numpy(), y.to_numpy(), worm=worm)
    np.testing.assert_allclose(arrays.predict_proba(X.to_numpy(), worm=worm), by_index.predict_proba(X))
    assert by_index.classes_.tolist() == sorted(set(y) - {"unknown"})
    assert by_index.score(X, y) == by_index.score(X[known], y[known])


def test_a_temperature_makes_an_overconfident_model_better_on_unseen_worms(worms):
    X, y = worms
    seen = X.index.get_level_values("worm") != "simulated-3"
    plain = GaussianNB().fit(X[seen & (y != "unknown")], y[seen & (y != "unknown")])
    scaled = TemperatureScaledClassifier(GaussianNB()).fit(X[seen], y[seen])
    assert scaled.temperature_ > 1.5
    reports = [
        calibration_report(y[~seen], model.predict_proba(X[~seen]), classes=model.classes_).iloc[0]
        for model in (plain, scaled)
    ]
    assert reports[1]["log_loss"] < 0.7 * reports[0]["log_loss"]
    assert reports[1]["expected_calibration_error"] < reports[0]["expected_calibration_error"]
    assert reports[1]["accuracy"] == reports[0]["accuracy"]


def test_networks_are_wrapped_with_the_worms_they_see(worms):
    X, y = worms
    mlp = MLPStateClassifier(max_epochs=5, learning_rate=0.03, random_state=0, device="cpu")
    nested = ConformalStateClassifier(TemperatureScaledClassifier(mlp, cv=2), cv=2)
    scaled = nested.fit(X, y)
    assert scaled.estimator_.estimator_.worms_.tolist() == X.index.unique("worm").tolist()
    sets = scaled.predict_set(X)
    assert sets.index.equals(X.index)
    assert (sets.to_numpy()[np.arange(len(X)), scaled.predict_proba(X).argmax(axis=1)]).all()
    some = X.index.get_level_values("worm") < "simulated-3"
    cv = GroupKFold(3)
    scores = cross_val_score(nested, X[some], y[some], groups=X[some].index.get_level_values("worm"), cv=cv)
    assert scores.shape == (3,)


def test_a_decision_function_stands_for_probabilities():
    X = np.linspace(-1, 1, 20)[:, None]
    machine = Perceptron().fit(X, X[:, 0] > 0)
    shares = np.exp(log_probabilities(machine, X, machine.classes_))
    np.testing.assert_allclose(shares[:, 1], 1 / (1 + np.exp(-machine.decision_function(X))))


def test_what_cannot_be_calibrated_is_named(worms):
    X, y = worms
    with pytest.raises(TypeError, match="RadiusNeighborsRegressor has neither predict_proba nor decision_function"):
        TemperatureScaledClassifier(RadiusNeighborsRegressor()).fit(X, np.tile([0, 1], len(X) // 2))
    apart = pd.Series(np.where(X.index.get_level_values("worm") < "simulated-2", *TWO), index=y.index)
    with pytest.raises(ValueError, match="no inner fit has frames of two states"):
        TemperatureScaledClassifier(GaussianNB(), cv=2).fit(
            X.loc[["simulated-0", "simulated-3"]], apart.loc[["simulated-0", "simulated-3"]]
        )
    with pytest.raises(ValueError, match="coverage"):
        ConformalStateClassifier(GaussianNB(), coverage=1.0).fit(X, y)


def test_a_state_that_an_inner_fit_has_not_learnt_needs_the_largest_set(worms):
    X, y = worms
    only = y.mask((y == "dorsal_turn") & (y.index.get_level_values("worm") != "simulated-0"), "unknown")
    model = ConformalStateClassifier(GaussianNB(), coverage=0.999).fit(X, only)
    assert model.worm_thresholds_["simulated-0"] == 1


def test_a_state_that_an_inner_fit_has_not_learnt_says_nothing_of_the_temperature(worms):
    X, y = worms
    only = y.mask((y == "reverse") & (y.index.get_level_values("worm") != "simulated-0"), "unknown")
    found, without = (
        TemperatureScaledClassifier(LogisticRegression(max_iter=300)).fit(X, states).temperature_
        for states in (only, y.mask(y == "reverse", "unknown"))
    )
    assert found == pytest.approx(without, rel=0.2)


def test_reliability_is_drawn_by_worm_and_model(worms):
    X, y = worms
    models = {name: TemperatureScaledClassifier(GaussianNB(), cv=cv).fit(X, y) for name, cv in (("two", 2), ("all", 4))}
    probabilities = {name: model.predict_proba(X) for name, model in models.items()}
    display = ReliabilityDisplay.from_predictions(y, probabilities, classes=models["two"].classes_)
    assert [axes.get_title().split("\n")[0] for axes in display.axes_] == ["two", "all"]
    rows = X.index.get_level_values("worm") == "simulated-1"
    curve = reliability_curve(y[rows], probabilities["two"][rows], classes=models["two"].classes_)
    curve = curve[curve["n_frames"] >= 4]
    line = display.lines_["two", "simulated-1"]
    np.testing.assert_allclose(line.get_xdata(), curve["confidence"])
    np.testing.assert_allclose(line.get_ydata(), curve["accuracy"])
    FigureCanvasAgg(display.figure_).draw()
    single = ReliabilityDisplay.from_estimator(models["all"], X, y)
    error = calibration_report(y, probabilities["all"], classes=models["all"].classes_)["expected_calibration_error"]
    assert single.axes_[0].get_title() == f"TemperatureScaledClassifier\ncalibration error {error.mean():.3f}"
    with pytest.raises(ValueError, match="ax holds 1 axes for 2 panels"):
        display.plot(ax=single.axes_[0])


def test_temperature_and_sets_on_real_worms(recordings_kato2015):
    X, y = make_frames(recordings_kato2015, states="4")
    seen = X.index.get_level_values("worm") < "worm_4"
    model = ConformalStateClassifier(GaussianNB(), coverage=0.95).fit(X[seen], y[seen])
    coverage = coverage_report(y[~seen], model.predict_set(X[~seen])).iloc[0]
    assert 0.9 < coverage["coverage"] < 1
    assert 1 < coverage["set_size"] < 2
    scaled = TemperatureScaledClassifier(GaussianNB()).fit(X[seen], y[seen])
    before, after = (
        calibration_report(y[~seen], probabilities.predict_proba(X[~seen]), classes=scaled.classes_).iloc[0]
        for probabilities in (model, scaled)
    )
    assert after["log_loss"] < before["log_loss"]
    assert after["expected_calibration_error"] < before["expected_calibration_error"]


def test_steps_of_a_pipeline_take_their_arguments(worms):
    X, y = worms
    model = TemperatureScaledClassifier(make_pipeline(StandardScaler(), GaussianNB()))
    weight = np.where(np.arange(len(X)) % 2, 1.0, 0.0)
    weighted = clone(model).fit(X, y, gaussiannb__sample_weight=weight)
    assert not np.allclose(weighted.predict_proba(X), clone(model).fit(X, y).predict_proba(X))
    for wrong, problem in (("sample_weight", "pass parameters to specific steps"), ("gaussiannb__weight", "'weight'")):
        with pytest.raises((TypeError, ValueError), match=problem):
            clone(model).fit(X, y, **{wrong: weight})


def test_sets_of_a_list_of_frames(worms):
    X, y = worms
    model = ConformalStateClassifier(GaussianNB()).fit(X.to_numpy(), y.to_numpy())
    pd.testing.assert_frame_equal(model.predict_set(X.to_numpy().tolist()), model.predict_set(X.to_numpy()))


def test_frames_that_are_equally_sure_share_a_bin():
    states = np.repeat(["forward", "reverse"], [300, 100])
    constant = np.tile([0.75, 0.25], (400, 1))
    report = calibration_report(states, constant, classes=["forward", "reverse"], worm=["a"] * 400)
    assert report["expected_calibration_error"].item() == pytest.approx(0, abs=1e-12)
    half = np.where(np.arange(400)[:, None] % 2, constant, [0.6, 0.4])
    report = calibration_report(states, half, classes=["forward", "reverse"], worm=["a"] * 400, n_bins=2)
    assert report["expected_calibration_error"].item() == pytest.approx((0 + 0.15) / 2)
