import numpy as np
import pandas as pd
import pytest

from skworm.recording import STATES, UNKNOWN, VOCABULARIES, map_states


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_every_vocabulary_is_made_of_known_states_and_maps_onto_itself(vocabulary):
    states = [state for state in STATES if state in VOCABULARIES[vocabulary]]
    mapped = map_states(states, vocabulary)
    assert set(mapped) <= set(STATES)
    np.testing.assert_array_equal(map_states(mapped, vocabulary), mapped)
    assert map_states([UNKNOWN], vocabulary) == [UNKNOWN]


@pytest.mark.parametrize(
    ("vocabulary", "expected"),
    [
        ("7", ["slowing", "reverse_1", "dorsal_turn", "unknown"]),
        ("4", ["forward", "reverse", "dorsal_turn", "unknown"]),
        ("nichols", ["forward", "reverse", "turn", "quiescence"]),
        ("2", ["forward", "reverse", "unknown", "unknown"]),
    ],
)
def test_states_become_those_of_the_vocabulary(vocabulary, expected):
    states = ["slowing", "reverse_1", "dorsal_turn", "quiescence"]
    assert map_states(states, vocabulary).tolist() == expected


def test_a_series_keeps_index_and_name():
    states = pd.Series(["forward", "reverse_2"], index=[7, 3], name="state")
    expected = pd.Series(["forward", "reverse"], index=[7, 3], name="state")
    pd.testing.assert_series_equal(map_states(states, "2"), expected)


def test_a_mapping_translates_by_itself():
    assert map_states(["fwd", "rev"], {"fwd": "forward", "rev": "reverse"}).tolist() == ["forward", "reverse"]


@pytest.mark.parametrize(
    ("states", "vocabulary", "message"),
    [
        (["forward"], "5", r"'5' is not a vocabulary.*choose one of \['2', '4', '7', 'nichols'\]"),
        (["fwd"], "4", r"\['fwd'\] have no translation.*'4'.*rename_states=\{'fwd'"),
        (["turn"], "7", r"\['turn'\] have no translation.*'7'"),
        (["a", "b"], {"a": "forward"}, r"\['b'\] have no translation.*knows \['a'\]"),
    ],
)
def test_bad_input(states, vocabulary, message):
    with pytest.raises(ValueError, match=message):
        map_states(states, vocabulary)
