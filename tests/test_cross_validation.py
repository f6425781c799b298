import contextlib
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skworm import ConformalStateClassifier, TemperatureScaledClassifier
from skworm.frames import make_frames
from skworm.model_selection import WormGroupKFold, cross_validate_worms, null_score, read_scores
from skworm.model_selection.samples import BehaviorSamples, StateSamples

CV = WormGroupKFold(n_splits=2, window=4, random_state=0)


def make_data(names=("a", "b", "c"), n_frames=80, dwell=10, states=("forward", "reverse"), seed=0):
    """Worms that dwell in each state for some frames, with one neuron that tells the state and one that does not."""
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product([names, range(n_frames)], names=["worm", "frame"])
    codes = np.concatenate([np.repeat(rng.permutation(n_frames // dwell) % len(states), dwell) for _ in names])
    X = pd.DataFrame({"AVAL:trace": codes + rng.normal(0, 0.4, len(index)), "RID:trace": rng.normal(size=len(index))})
    return X.set_axis(index), pd.Series(np.array(states)[codes], index=index)


def without_time(results):
    return results.drop(columns="fit_seconds")


def cross_validate(estimators, X, y, **keywords):
    return cross_validate_worms(estimators, X, y, **{"cv": CV, "baselines": False, "verbose": 0, **keywords}).table


class Spy(ClassifierMixin, BaseEstimator):
    """Predicts one state, and notes which rows it is given."""

    def __init__(self, calls=None, fails_on=None):
        self.calls = calls
        self.fails_on = fails_on

    def fit(self, X, y):
        if self.fails_on is not None and self.fails_on in X.index.unique("worm"):
            raise ArithmeticError("division by worm")
        CALLS.append(("fit", X.index, np.asarray(y)))
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        CALLS.append(("predict", X.index, list(X.columns)))
        return np.full(len(X), self.classes_[0])


CALLS: list = []


@pytest.fixture(autouse=True)
def forget_calls():
    CALLS.clear()


def test_there_is_one_row_for_each_model_split_evaluation_and_worm():
    X, y = make_data()
    other_X, other_y = make_data(names=("x", "y"), seed=1)
    results = cross_validate(
        {"logistic": LogisticRegression()}, X, y, external={"elsewhere": (other_X, other_y)}, baselines=True
    )
    assert list(results.columns) == [
        *("model", "train_worms", "fold", "evaluation", "worm", "n_frames"),
        *("accuracy", "balanced_accuracy", "macro_f1", "fit_seconds"),
    ]
    assert len(results) == 3 * 6 * (1 + 2 + 2)
    assert list(results["model"].unique()) == ["logistic", "majority", "clock"]
    assert not results.duplicated(["model", "train_worms", "fold", "evaluation", "worm"]).any()
    held_out = results[results["evaluation"] == "held_out_windows"]
    assert held_out["worm"].map(lambda worm: (worm,)).equals(held_out["train_worms"])
    unseen = results[results["evaluation"] == "unseen_worms"]
    assert (unseen["worm"].map(lambda worm: (worm,)) != unseen["train_worms"]).all()
    assert set(results[results["evaluation"] == "elsewhere"]["worm"]) == {"x", "y"}


def test_scores_are_those_of_a_fit_by_hand():
    X, y = make_data()
    cv = WormGroupKFold(2, n_train_worms=2, random_state=0)
    results = cross_validate({"knn": KNeighborsClassifier(3)}, X, y, cv=cv)
    split = next(cv.split_worms(X, groups=X.index.get_level_values("worm")))
    model = KNeighborsClassifier(3).fit(X.iloc[split.train], y.iloc[split.train])
    first = results[(results["train_worms"] == ("a", "b")) & (results["fold"] == 0)].set_index("worm")
    for worm, rows in (("a", split.held_out[split.held_out < 80]), ("c", split.unseen)):
        assert first.loc[worm, "n_frames"] == len(rows)
        assert first.loc[worm, "accuracy"] == accuracy_score(y.iloc[rows], model.predict(X.iloc[rows]))


def test_a_model_is_fitted_once_a_split_and_sees_whole_evaluation_sets_at_once():
    X, y = make_data()
    y = y.mask(np.arange(len(y)) % 16 == 0, "unknown")
    other_X, other_y = make_data(names=("x", "y"), seed=1)
    cross_validate({"spy": Spy()}, X, y, external={"elsewhere": (other_X, other_y)})
    fits = [call for call in CALLS if call[0] == "fit"]
    assert len(fits) == 6
    for _, index, labels in fits:
        assert "unknown" not in labels
        assert list(y.loc[index]) == list(labels)
    seen = [index for kind, index, _ in CALLS if kind == "predict"]
    assert [len(index) for index in seen[:3]] == [40, 160, 160]
    assert set(seen[1].unique("worm")) == {"b", "c"}
    assert seen[2].equals(other_X.index)


def test_unknown_frames_are_not_scored():
    X, y = make_data()
    unknown = np.arange(len(y)) % 16 < 5
    results = cross_validate({"spy": Spy()}, X, y.mask(unknown, "unknown"))
    unseen = results[results["evaluation"] == "unseen_worms"]
    assert (unseen["n_frames"] == 55).all()


def test_worms_come_from_groups_where_X_is_an_array():
    X, y = make_data()
    by_index = cross_validate({"knn": KNeighborsClassifier()}, X, y, baselines=True)
    by_groups = cross_validate(
        {"knn": KNeighborsClassifier()}, X.to_numpy(), list(y), groups=X.index.get_level_values("worm"), baselines=True
    )
    pd.testing.assert_frame_equal(without_time(by_index), without_time(by_groups))


def test_external_columns_are_put_in_the_order_of_X():
    X, y = make_data()
    other = X.rename({"a": "x", "b": "y", "c": "z"}, level="worm").iloc[:, ::-1].assign(extra=0.0)
    results = cross_validate({"knn": KNeighborsClassifier(1)}, X, y, external={"twins": (other, list(y))})
    cross_validate({"spy": Spy()}, X, y, external={"twins": (other, list(y))})
    assert CALLS[3][2] == ["AVAL:trace", "RID:trace"]
    of_a = results[results["train_worms"] == ("a",)].set_index(["evaluation", "worm"]).sort_index()["accuracy"]
    np.testing.assert_array_equal(of_a.loc["twins", "y"].to_numpy(), of_a.loc["unseen_worms", "b"].to_numpy())


@pytest.mark.parametrize("coarse_side", ["external", "training"])
def test_turns_without_a_side_are_compared_as_turns(coarse_side):
    fine = ("forward", "dorsal_turn", "ventral_turn")
    coarse = ("forward", "turn", "turn")
    X, y = make_data(states=fine if coarse_side == "external" else coarse)
    other_X, other_y = make_data(names=("x",), states=coarse if coarse_side == "external" else fine, seed=1)
    with pytest.warns(UserWarning, match=r"'nichols' is scored with dorsal_turn and ventral_turn counted as turn") as w:
        results = cross_validate({"knn": KNeighborsClassifier(5)}, X, y, external={"nichols": (other_X, other_y)})
    assert len(w) == 1
    model = KNeighborsClassifier(5).fit(X.loc[["a"]], y.loc[["a"]])
    expected = accuracy_score(other_y == "forward", model.predict(other_X) == "forward")
    found = results[(results["evaluation"] == "nichols") & (results["train_worms"] == ("a",))]["accuracy"]
    assert found.mean() == pytest.approx(expected, abs=0.1)
    assert found.min() > 0.7


@pytest.mark.slow
def test_the_clock_knows_shuffled_windows_and_not_contiguous_blocks():
    X, y = make_data(n_frames=800, dwell=80)
    accuracy = {}
    for fold_by in ("shuffled_windows", "contiguous_blocks"):
        cv = WormGroupKFold(10, fold_by=fold_by, random_state=0)
        scores = cross_validate_worms({}, X, y, cv=cv, verbose=0)
        summary = scores.summary().set_index(["model", "evaluation"])
        accuracy[fold_by] = summary["accuracy_mean"]
    assert accuracy["shuffled_windows"]["clock", "held_out_windows"] > 0.95
    assert accuracy["contiguous_blocks"]["clock", "held_out_windows"] < 0.75
    assert accuracy["shuffled_windows"]["clock", "unseen_worms"] < 0.75
    assert accuracy["shuffled_windows"]["majority", "held_out_windows"] < 0.6


@pytest.mark.parametrize("task", ["states", "behaviour"])
def test_the_clock_is_that_of_the_same_worm_however_many_are_trained_on(task):
    X, y = make_data(("a", "b", "c"), n_frames=400, dwell=40)
    if task == "behaviour":
        walks = np.cumsum(np.random.default_rng(0).normal(size=(3, 400)), axis=1)
        y = pd.Series(walks.ravel(), index=X.index)
    score, clocks = {"states": "accuracy", "behaviour": "r2"}[task], []
    for n_train_worms, order in ((1, 1), (2, 1), (2, -1)):
        cv = WormGroupKFold(4, n_train_worms=n_train_worms, window=8, random_state=0)
        table = cross_validate_worms({}, X[::order], y[::order], cv=cv, verbose=0).table
        clock = table[(table["model"] == "clock") & (table["evaluation"] == "held_out_windows")]
        clocks.append(clock.groupby("worm")[score].mean())
        assert clocks[-1].between(clocks[0] - 0.05, clocks[0] + 0.05).all()
    assert (clocks[0] > 0.6).all()


@pytest.mark.parametrize("targets", [["forward", "reverse", "turn"], [0.0, 1.0, 5.0]])
def test_the_clock_asks_every_training_worm_about_another_one(targets):
    index = pd.MultiIndex.from_product([["a", "b", "c", "d"], range(8)], names=["worm", "frame"])
    X = pd.DataFrame({"AVAL:trace": 0.0}, index=index)
    y = pd.Series(np.resize([targets[0], targets[1], targets[1], targets[2]], (8, 4)).T.ravel(), index=index)
    train = X.index.get_level_values("worm") != "d"
    clock = {str: StateSamples, float: BehaviorSamples}[type(targets[0])].baselines()["clock"]
    expected = targets[1] if isinstance(targets[0], str) else np.mean([0.0, 1.0, 1.0])
    for order in (1, -1):
        answers = clone(clock).fit(X[train][::order], y[train][::order]).predict(X[~train])
        assert (answers == expected).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fold_by", "lowest", "highest"), [("shuffled_windows", 0.97, 0.98), ("contiguous_blocks", 0.57, 0.74)]
)
def test_the_clock_on_real_recordings(fold_by, lowest, highest, recordings_kato2015):
    cv = WormGroupKFold(10, fold_by=fold_by, random_state=0)
    accuracy = {}
    for recording in recordings_kato2015:
        X, y = make_frames(recording, states="2", unknown="keep")
        results = cross_validate({}, X, y, cv=cv, baselines=True)
        accuracy[recording.worm] = results[results["model"] == "clock"]["accuracy"].mean()
    assert len(accuracy) == 5
    assert pd.Series(accuracy).round(2).between(lowest, highest).all()


@pytest.mark.slow
def test_parallel_tasks_give_the_same_table(tmp_path):
    X, y = make_data()
    models = {"forest": RandomForestClassifier(3, random_state=0)}
    alone = cross_validate(models, X, y, baselines=True)
    together = cross_validate(models, X, y, baselines=True, n_jobs=2, memory=tmp_path)
    pd.testing.assert_frame_equal(without_time(alone), without_time(together))


def test_verbose_0_is_silent_and_1_shows_one_bar(capsys):
    X, y = make_data()
    cross_validate({"dummy": DummyClassifier()}, X, y)
    assert capsys.readouterr() == ("", "")
    cross_validate({"dummy": DummyClassifier()}, X, y, verbose=1)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "6/6" in shown.err


def n_fits():
    return sum(kind == "fit" for kind, *_ in CALLS)


def test_a_second_run_reuses_every_fit(tmp_path):
    X, y = make_data()
    first = cross_validate({"spy": Spy()}, X, y, memory=tmp_path)
    assert n_fits() == 6
    second = cross_validate(
        {"spy": Spy()}, pd.DataFrame(np.asfortranarray(X), X.index, X.columns), list(y), memory=tmp_path
    )
    assert n_fits() == 6
    pd.testing.assert_frame_equal(first, second)


def test_nan_scores_survive_the_disk(tmp_path):
    X, y = make_data()
    y = y.mask(y.index.get_level_values("worm") == "c", "unknown")
    cv = WormGroupKFold(2, n_train_worms=2, random_state=0)
    first = cross_validate({"spy": Spy()}, X, y, cv=cv, memory=tmp_path)
    second = cross_validate({"spy": Spy()}, X, y, cv=cv, memory=tmp_path)
    unscored = second[second["n_frames"] == 0]
    assert set(unscored["worm"]) == {"c"}
    assert unscored["accuracy"].isna().all()
    pd.testing.assert_frame_equal(first, second)


def test_a_model_without_random_state_resumes(tmp_path):
    X, y = make_data()
    models = {"forest": RandomForestClassifier(2, random_state=None)}
    first = cross_validate(models, X, y, memory=tmp_path)
    pd.testing.assert_frame_equal(first, cross_validate(models, X, y, memory=tmp_path))


def test_a_model_that_was_fitted_before_resumes(tmp_path):
    X, y = make_data()
    model = make_pipeline(StandardScaler(), LogisticRegression())
    first = cross_validate({"logistic": model}, X, y, memory=tmp_path)
    model.fit(X, y)
    pd.testing.assert_frame_equal(first, cross_validate({"logistic": model}, X, y, memory=tmp_path))


def changed_value(X, y):
    X = X.copy()
    X.iloc[3, 0] += 1e-6
    return {"X": X, "y": y}


@pytest.mark.parametrize(
    "change",
    [
        changed_value,
        lambda X, y: {"X": X.rename(columns={"RID:trace": "RIS:trace"}), "y": y},
        lambda X, y: {"X": X.rename({"c": "d"}, level="worm"), "y": y.rename({"c": "d"}, level="worm")},
        lambda X, y: {name: table.rename({0: 1, 1: 0}, level="frame") for name, table in (("X", X), ("y", y))},
        lambda X, y: {"X": X, "y": y, "groups": X.index.get_level_values("worm").str.upper()},
        lambda X, y: {"X": X, "y": y.where(np.arange(len(y)) > 0, "unknown")},
        lambda X, y: {"X": X, "y": y, "cv": WormGroupKFold(2, window=4, random_state=1)},
        lambda X, y: {"X": X, "y": y, "cv": WormGroupKFold(2, window=4, gap=1, random_state=0)},
        lambda X, y: {"X": X, "y": y, "estimators": {"spy": Spy(calls=1)}},
        lambda X, y: {"X": X, "y": y, "external": {"other": make_data(names=("x",))}},
    ],
    ids=["value", "column", "worm", "frame", "animal", "state", "seed", "gap", "parameter", "external"],
)
def test_a_change_fits_again(tmp_path, change):
    X, y = make_data()
    cross_validate({"spy": Spy()}, X, y, memory=tmp_path)
    changed = {"estimators": {"spy": Spy()}, **change(X, y)}
    cross_validate(memory=tmp_path, **changed)
    assert n_fits() == 12


def test_other_versions_fit_again(tmp_path, monkeypatch):
    X, y = make_data()
    cross_validate({"spy": Spy()}, X, y, memory=tmp_path)
    monkeypatch.setattr("skworm.model_selection.store.version", lambda package: "0.0")
    cross_validate({"spy": Spy()}, X, y, memory=tmp_path)
    assert n_fits() == 12


def test_an_added_model_leaves_the_others_alone(tmp_path):
    X, y = make_data()
    cross_validate({"spy": Spy()}, X, y, memory=tmp_path)
    results = cross_validate({"dummy": DummyClassifier(), "spy": Spy()}, X, y, memory=tmp_path)
    assert n_fits() == 6
    assert list(results["model"].unique()) == ["dummy", "spy"]


def test_equal_models_of_two_names_are_kept_apart(tmp_path):
    X, y = make_data()
    models = {"one": KNeighborsClassifier(3), "two": KNeighborsClassifier(3)}
    first = cross_validate(models, X, y, memory=tmp_path)
    assert first["model"].value_counts().to_dict() == {"one": 18, "two": 18}
    pd.testing.assert_frame_equal(cross_validate(models, X, y, memory=tmp_path), first)


def test_damaged_fits_run_again(tmp_path):
    X, y = make_data()
    first = cross_validate({"spy": Spy()}, X, y, memory=tmp_path)
    for number, path in enumerate(sorted((tmp_path / "fits").glob("*.json"))[:3]):
        path.write_bytes(path.read_bytes()[: 20 * number])
    with pytest.warns(UserWarning, match="3 files of finished fits are damaged"):
        second = cross_validate({"spy": Spy()}, X, y, memory=tmp_path)
    assert n_fits() == 9
    pd.testing.assert_frame_equal(without_time(first), without_time(second))


def test_a_plus_in_the_name_of_a_worm_is_part_of_the_name(tmp_path):
    X, y = make_data(names=("strain+1", "strain", "1"))
    cv = WormGroupKFold(2, n_train_worms=2, random_state=0)
    scores = cross_validate_worms({"knn": KNeighborsClassifier()}, X, y, cv=cv, memory=tmp_path / "fits", verbose=0)
    assert set(scores.table["train_worms"]) == {("1", "strain"), ("1", "strain+1"), ("strain", "strain+1")}
    scores.save(tmp_path / "saved")
    for path in (tmp_path / "fits", tmp_path / "saved"):
        assert set(read_scores(path).table["train_worms"]) == set(scores.table["train_worms"])


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_failing_fit_is_named_and_loses_no_finished_one(tmp_path, n_jobs):
    X, y = make_data()
    with pytest.raises(RuntimeError, match=r"model 'spy' on worms b, fold 0 failed with ArithmeticError: division"):
        cross_validate({"spy": Spy(fails_on="b")}, X, y, memory=tmp_path, n_jobs=n_jobs)
    assert len(list((tmp_path / "fits").glob("*.json"))) >= 2


def external(change):
    X, y = make_data(names=("x", "y"), seed=1)
    return {"external": {"elsewhere": change(X, y)}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cv": 5}, r"cv=5 does not split by worm; pass a WormGroupKFold"),
        ({"estimators": [DummyClassifier()]}, r"estimators is a list; pass a mapping"),
        ({"estimators": {"svm": "SVC"}}, r"model 'svm' is 'SVC'; pass an estimator with fit and predict"),
        ({"estimators": {"clock": Spy()}, "baselines": True}, r"model 'clock' has the name of a baseline; rename it"),
        ({"X": np.zeros((240, 2))}, r"X does not say to which worm.*pass groups="),
        ({"groups": ["a"] * 5}, r"groups has shape \(5,\), but X has 240 rows"),
        ({"y": ["forward"] * 5}, r"X has 240 rows, but its y has shape \(5,\); pass one state a row"),
        ({"y": make_data()[1].iloc[::-1]}, r"X and its y have different indices.*y.loc\[X.index\]"),
        ({"y": [None] + ["forward"] * 239}, r"X has no state at row 0 of its y; write 'unknown'"),
        ({"y": ["forward"] * 240}, r"worms a, fold 0: the training rows have only the states \['forward'\].*train on"),
        (
            external(lambda X, y: (X[["RID:trace"]], y)),
            r"external set 'elsewhere' lacks the columns \['AVAL:trace'\].*make_frames\(recordings, neurons=",
        ),
        (
            external(lambda X, y: (X.rename({"x": "a"}, level="worm"), list(y))),
            r"external set 'elsewhere' has worms \['a'\], which X has too.*rename them",
        ),
        (
            external(lambda X, y: (X, y.replace("forward", "quiescence"))),
            r"external set 'elsewhere' has states \['quiescence'\].*y.replace\('quiescence', 'unknown'\)",
        ),
        (external(lambda X, y: (X.reset_index(drop=True), list(y))), r"external set 'elsewhere' does not say to which"),
        ({"external": {"unseen_worms": make_data(names=("x",))}}, r"external set 'unseen_worms' has the name.*rename"),
    ],
)
def test_bad_input_is_refused_with_its_remedy(changes, message):
    X, y = make_data()
    call = {"estimators": {"dummy": DummyClassifier()}, "X": X, "y": y, **changes}
    with pytest.raises((ValueError, TypeError), match=message):
        cross_validate(**call)


def test_recordings_of_one_animal_are_split_and_scored_as_one():
    X, y = make_data(("a", "b", "c", "d"))
    animal = np.where(np.isin(X.index.get_level_values("worm"), ["a", "b"]), "ab", X.index.get_level_values("worm"))
    scores = cross_validate({"forest": RandomForestClassifier(5, random_state=0)}, X, y, groups=animal)
    assert set(scores["worm"]) == {"ab", "c", "d"} == {worm for worms in scores["train_worms"] for worm in worms}
    of_two = scores[(scores["evaluation"] == "unseen_worms") & (scores["worm"] == "ab")]
    assert (of_two["n_frames"] == 160).all()
    cross_validate({"spy": Spy()}, X, y, groups=animal)
    assert {"a", "b", "c", "d"} == {worm for call in CALLS for worm in call[1].unique("worm")}


def test_what_splits_once_more_splits_by_animal():
    X, y = make_data(("a", "b", "c", "d", "e", "f"))
    animal = X.index.get_level_values("worm").map(dict(zip("abcdef", "112233", strict=True))).to_numpy()
    # The recordings of an animal are the same, which a nearest neighbour remembers.
    X[:] = np.random.default_rng(0).random((3, len(X) // 6, X.shape[1])).repeat(2, axis=0).reshape(X.shape)
    conformal = ConformalStateClassifier(KNeighborsClassifier(1), cv=5)
    seen = []
    with mock.patch.object(ConformalStateClassifier, "_learn", lambda self, left_out: seen.append(left_out)):
        with contextlib.suppress(RuntimeError):
            cross_validate({"conformal": conformal}, X, y, groups=animal, n_jobs=1)
        conformal.fit(X, y, groups=animal)
    shares = [np.mean(each.log_probabilities.argmax(1) == each.state) for each in seen]
    assert len(shares) > 1
    assert max(shares) < 0.9


def test_controls_hand_animals_on_to_what_splits_once_more():
    X, y = make_data(("a", "b", "c", "d"))
    animal = X.index.get_level_values("worm").map({"a": "1", "b": "1", "c": "2", "d": "2"}).to_numpy()
    seen = []

    class Spying(TemperatureScaledClassifier):
        def fit(self, X, y, worm=None, groups=None):
            seen.append(groups)
            return super().fit(X, y, worm=worm, groups=groups)

    cv = WormGroupKFold(2, n_train_worms=1, random_state=0)
    null_score(Spying(GaussianNB(), cv=2), X, y, animal, cv=cv, n_repeats=1, min_lag=5)
    assert len(seen) > 1
    assert all(set(groups) <= {"1", "2"} for groups in seen)


def test_empty_names_are_refused():
    X, y = make_data(("", "b"))
    with pytest.raises(ValueError, match="name is empty"):
        cross_validate({"spy": Spy()}, X, y)
    with pytest.raises(ValueError, match="name of a model is empty"):
        cross_validate({"": Spy()}, *make_data(("a", "b")))
