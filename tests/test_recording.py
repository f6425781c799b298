import dataclasses
import pickle

import numpy as np
import pytest

from skworm.recording import Recording


def record(**changes):
    values = {"worm": "w", "traces": np.arange(8.0).reshape(4, 2), "neurons": ["AVAL", "12"], "fps": 2.0}
    return Recording(**(values | changes))


def test_what_is_not_given_is_filled_in():
    recording = record(states=["forward", "", "unknown", "turn"])
    assert (recording.n_frames, recording.n_neurons, recording.identified) == (4, 2, ("AVAL",))
    np.testing.assert_array_equal(recording.time, [0, 0.5, 1, 1.5])
    assert recording.states.tolist() == ["forward", "unknown", "unknown", "turn"]
    assert repr(recording) == "Recording('w': 4 frames at 2.00 a second, 2 neurons, 1 identified, with states)"


def test_motor_neurons_of_one_digit_are_written_with_two():
    assert record(neurons=["VB1", "DA09"]).neurons == ("VB01", "DA09")
    assert record(neurons=["VB11", "1"]).neurons == ("VB11", "1")


def test_a_recording_does_not_change():
    traces = np.arange(8.0).reshape(4, 2)
    recording = record(traces=traces, behavior={"velocity": [1, 2, 3, 4]})
    traces[:] = -1
    assert recording.traces[3, 1] == 7
    with pytest.raises(ValueError, match="read-only"):
        recording.traces[0, 0] = 1
    with pytest.raises(TypeError, match="does not support item assignment"):
        recording.behavior["velocity"] = None
    with pytest.raises(dataclasses.FrozenInstanceError):
        recording.worm = "other"


def test_pickling_keeps_everything():
    recording = record(
        traces=[[0, np.nan], [1, 2]],
        time=[3.0, 4.5],
        states=["forward", "turn"],
        derivatives=[[1, 2], [3, 4]],
        behavior={"velocity": [0.5, 1]},
        dataset="lab",
        source="file",
    )
    copy = pickle.loads(pickle.dumps(recording))
    np.testing.assert_equal(dict(copy.behavior), dict(recording.behavior))
    for name in {field.name for field in dataclasses.fields(Recording)} - {"behavior"}:
        np.testing.assert_equal(getattr(copy, name), getattr(recording, name))


def test_replace_makes_a_renamed_copy():
    assert dataclasses.replace(record(), worm="other").worm == "other"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"worm": ""}, r"worm='' must be a non-empty name"),
        ({"worm": 3}, r"worm=3 must be a non-empty name"),
        ({"traces": [1, 2, 3]}, r"worm 'w': traces have shape \(3,\); a table \(n_frames, n_neurons\)"),
        ({"traces": np.empty((0, 2))}, r"traces have shape \(0, 2\)"),
        ({"traces": [[0, 1], [0, np.inf]]}, r"infinite at frame 1 of neuron '12'; replace"),
        ({"traces": np.zeros((2, 4))}, r"2 neuron names for 4 traces.*transpose"),
        ({"neurons": ["VB1", "VB01"]}, r"neuron names repeat: \['VB01'\]; give each neuron one name"),
        ({"fps": 0}, r"fps=0 must be a positive number"),
        ({"fps": np.nan}, r"fps=nan must be a positive number"),
        ({"time": [0, 1, 1, 2]}, r"time does not increase at frame 2; it is in seconds"),
        ({"time": [0, 1, np.nan, 2]}, r"time does not increase at frame 2"),
        ({"states": ["forward"]}, r"states has shape \(1,\), but there are 4 frames; give one value a frame"),
        ({"derivatives": np.zeros((3, 2))}, r"derivatives have shape \(3, 2\), traces \(4, 2\)"),
        ({"behavior": {"velocity": [1]}}, r"velocity has shape \(1,\), but there are 4 frames"),
    ],
)
def test_bad_input(changes, message):
    with pytest.raises(ValueError, match=message):
        record(**changes)
