import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from skworm import LinearTrajectoryRegressor, SVMStateClassifier, WormGroupKFold
from skworm.datasets import make_worms
from skworm.frames import make_frames, make_trajectories
from skworm.metrics import mse_by_step, score_behavior, score_states, skill_by_step

STATES = ["forward", "reverse", "dorsal_turn", "unknown"]


@given(st.lists(st.tuples(st.sampled_from(STATES), st.sampled_from(STATES[:3])), min_size=3, max_size=40))
def test_scores_are_those_of_scikit_learn_on_frames_with_a_known_state(pairs):
    pairs += [(state, state) for state in STATES[:3]]
    true, predicted = np.array(pairs).T
    known = true != "unknown"
    scores = score_states(true, predicted)
    assert scores["n_frames"] == known.sum()
    assert scores["accuracy"] == pytest.approx(accuracy_score(true[known], predicted[known]))
    assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(true[known], predicted[known]))
    assert scores["macro_f1"] == pytest.approx(f1_score(true[known], predicted[known], average="macro"))


def test_tables_in_another_order_are_refused():
    frames, _ = make_frames(make_worms(2, n_frames=60, random_state=0), states=None, derivative="backward")
    X, Y = make_trajectories(frames)
    index = Y.index.tolist()[::-1]
    states = pd.Series(["forward"] * (len(Y) - 1) + ["reverse"], index=Y.index)
    regressor, classifier = LinearTrajectoryRegressor().fit(X, Y), SVMStateClassifier().fit(X, states)
    calls = [
        *(lambda: mse_by_step(Y, Y.loc[index]), lambda: skill_by_step(Y, Y, X.loc[index])),
        *(
            lambda: score_states(states, states.loc[index]),
            lambda: score_behavior(Y.iloc[:, 0], Y.loc[index].iloc[:, 0]),
        ),
        *(lambda: regressor.score(X, Y.loc[index]), lambda: classifier.score(X, states.loc[index])),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="the same rows in another order"):
            call()
    for others in (states.rename(index={"simulated-0": "other"}), states.swaplevel().sort_index(ascending=False)):
        with pytest.raises(ValueError, match=r"rows, and are|in another order"):
            classifier.fit(X, others)
    classifier.fit(X, states)
    assert classifier.score(X, states.swaplevel()) == classifier.score(X, states)
    worms = pd.Series(X.index.get_level_values("worm"), index=X.index)
    with pytest.raises(ValueError, match="X and groups have the same rows in another order"):
        next(WormGroupKFold(2).split(X.loc[index], groups=worms))


def test_columns_of_another_order_are_refused():
    worms = make_worms(2, n_frames=60, random_state=0)
    made = []
    for neurons in (["AVAL", "RID"], ["RID", "AVAL"]):
        frames, _ = make_frames(worms, neurons=neurons, states=None, derivative="backward")
        made.append(make_trajectories(frames))
    (_, Y), (other_X, other_Y) = made
    for call in (lambda: mse_by_step(Y, other_Y), lambda: skill_by_step(Y, Y, other_X)):
        with pytest.raises(ValueError, match=r"has the columns \['RID:trace', .* in a frame"):
            call()
    with pytest.raises(ValueError, match="in the order of training"):
        LinearTrajectoryRegressor().fit(made[0][0], Y).score(made[0][0], other_Y)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_missing_states_are_not_a_state(missing):
    with pytest.raises(ValueError, match=r"y_true has no state at row 1; write 'unknown'"):
        score_states(pd.Series(["forward", missing], dtype=object), ["forward", "forward"])


def test_unknown_frames_do_not_count():
    true, predicted = ["forward", "reverse", "reverse"], ["forward", "forward", "reverse"]
    assert score_states([*true, "unknown", "unknown"], [*predicted, "forward", "unknown"]) == score_states(
        true, predicted
    )


def test_a_state_that_is_predicted_but_never_true_costs_recall_and_adds_no_class():
    scores = score_states(["forward"] * 4, ["forward", "forward", "forward", "reverse"])
    assert scores["accuracy"] == scores["balanced_accuracy"] == 0.75
    assert scores["macro_f1"] == pytest.approx(2 * 0.75 / 1.75)


def test_predicting_unknown_is_an_error_of_the_model():
    assert score_states(["forward", "reverse"], ["forward", "unknown"])["accuracy"] == 0.5


def test_scores_are_nan_where_no_frame_has_a_known_state():
    scores = score_states(["unknown"] * 3, ["forward"] * 3)
    assert scores.pop("n_frames") == 0
    assert list(scores) == ["accuracy", "balanced_accuracy", "macro_f1"]
    assert np.isnan(list(scores.values())).all()


@pytest.mark.parametrize(("true", "predicted"), [(["forward"], ["forward", "reverse"]), ([["forward"]], [["forward"]])])
def test_shapes_that_do_not_fit_are_refused(true, predicted):
    with pytest.raises(ValueError, match=r"y_true has shape .* y_pred .*one state a frame"):
        score_states(true, predicted)


def test_skill_is_nan_where_persistence_makes_no_error():
    assert np.isnan(skill_by_step([[1.0]], [[2.0]], [[1.0]], horizon=1)).all()


def test_what_is_constant_but_for_rounding_has_no_correlation_and_no_r2():
    # The standard deviation of three times 0.1 is not 0.
    assert np.isnan(score_behavior([1.0, 2.0, 3.0], [0.1] * 3)["correlation"])
    assert np.isnan(score_behavior([0.1] * 3, [1.0, 2.0, 3.0])["r2"])
