import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from skworm.metrics import score_states

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
