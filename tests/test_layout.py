import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skworm.frames.index import (
    column_names,
    frame_of_rows,
    parse_column_names,
    signal_names,
    worm_of_rows,
)

INDEX = pd.MultiIndex.from_tuples([("b", 9), ("b", 3), ("a", 8)], names=["worm", "frame"])

NAMES = st.lists(st.text(min_size=1), min_size=1, max_size=4, unique=True)
FEATURES = st.lists(st.text(min_size=1).filter(lambda name: ":" not in name), min_size=1, max_size=3, unique=True)


@given(neurons=NAMES, node_features=FEATURES)
def test_column_names_read_back_as_written(neurons, node_features):
    assert parse_column_names(column_names(neurons, node_features)) == (neurons, node_features)


@pytest.mark.parametrize("columns", [[], range(4), ["AVAL", "RID"], ["AVAL:trace", "RID"]])
def test_other_columns_have_no_neurons(columns):
    assert parse_column_names(columns) is None


def test_worm_and_frame_come_from_the_index():
    X = pd.DataFrame(np.zeros((3, 1)), index=INDEX)
    worm = worm_of_rows(X)
    assert worm.tolist() == ["b", "b", "a"]
    assert worm_of_rows(X, worm=[1, 2, 3]).tolist() == [1, 2, 3]
    assert frame_of_rows(X, worm).tolist() == [9, 3, 8]


def test_without_an_index_frames_are_counted_within_each_worm():
    X = np.zeros((5, 1))
    worm = np.array(["a", "b", "a", "a", "b"])
    assert worm_of_rows(X) is None
    assert worm_of_rows(pd.DataFrame(X)) is None
    assert frame_of_rows(X, worm).tolist() == [0, 0, 1, 2, 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: parse_column_names(["A:trace", "B:trace", "A:derivative"]), r"neuron-major.*'A:derivative'"),
        (lambda: parse_column_names(["A:trace", "A:derivative", "B:trace"]), r"neuron-major.*make_frames"),
        (lambda: worm_of_rows(np.zeros((3, 1)), worm=["a"]), r"worm has shape \(1,\).*3 rows.*one worm name a row"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_signals_have_the_names_of_what_holds_them():
    assert signal_names(pd.DataFrame({"velocity": [0.0], 3: [1.0]})) == ["velocity", "3"]
    assert signal_names(pd.Series([0.0], name="velocity")) == ["velocity"]
    assert signal_names(pd.Series([0.0])) == signal_names([0.0, 1.0]) == ["0"]
    assert signal_names(np.zeros((4, 2))) == ["0", "1"]
