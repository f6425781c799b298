"""States while a worm is recorded."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from skworm import (
    AsymmetricDiffusionMap,
    GNNStateClassifier,
    HiddenMarkovStateClassifier,
    InferredGraph,
    MLPStateClassifier,
    StateStream,
    TemperatureScaledClassifier,
)
from skworm.datasets import make_worms
from skworm.estimators.prediction import decode_states
from skworm.frames import WormMinMaxScaler, make_frames
from skworm.recording import Recording

CAUSAL = {"states": "4", "derivative": "causal", "context": (-5, -2, 0)}


def first_frames(recording, n_frames):
    return Recording(recording.worm, recording.traces[:n_frames], recording.neurons, recording.fps)


@pytest.fixture(scope="module")
def worms():
    train, new = make_worms(2, n_frames=300, random_state=3)
    return train, first_frames(new, 120)


@pytest.fixture(scope="module")
def frames(worms):
    return make_frames(worms[0], **CAUSAL)


@pytest.fixture(scope="module")
def mlp(frames):
    return MLPStateClassifier(max_epochs=40, learning_rate=0.02, device="cpu", random_state=0).fit(*frames)


def offline(estimator, recording):
    X, _ = make_frames(recording, neurons=estimator_neurons(estimator), **{**CAUSAL, "states": None})
    return X, estimator.predict_proba(X)


def estimator_neurons(estimator):
    return list(dict.fromkeys(name.split(":")[0] for name in estimator.feature_names_in_))


@pytest.mark.slow
@pytest.mark.parametrize(
    "estimator",
    [
        MLPStateClassifier(max_epochs=20, device="cpu", random_state=0),
        GNNStateClassifier(max_epochs=20, device="cpu", random_state=0, graph=InferredGraph(per="frame")),
        HiddenMarkovStateClassifier(LogisticRegression(max_iter=300), decoding="filtering"),
    ],
    ids=["mlp", "gnn", "filtering"],
)
def test_a_stream_says_what_is_said_offline(estimator, worms, frames):
    new = worms[1]
    estimator.fit(*frames)
    _, expected = offline(estimator, new)
    stream = StateStream(estimator, fps=new.fps, calibration=new, scaling="fixed", neurons=new.neurons)
    said = np.array([stream.push(frame, time) for frame, time in zip(new.traces, new.time, strict=True)])
    np.testing.assert_allclose(said, expected, atol=1e-8)
    assert stream.n_frames_ == len(said)
    # Time stamps are those of fps, so a stream may count frames by itself.
    stream = StateStream(estimator, fps=new.fps, calibration=new, scaling="fixed", neurons=new.neurons)
    np.testing.assert_allclose([stream.push(frame) for frame in new.traces[:50]], said[:50], atol=1e-6)


def test_frames_that_a_pipeline_scales_are_not_scaled_twice(worms):
    settings = {**CAUSAL, "fit_scope": "train"}
    model = make_pipeline(WormMinMaxScaler(), LogisticRegression(max_iter=300)).fit(*make_frames(worms[0], **settings))
    new = worms[1]
    X, _ = make_frames(new, neurons=estimator_neurons(model), **{**settings, "states": None})
    stream = StateStream(model, fps=new.fps, neurons=new.neurons)
    said = np.array([stream.push(frame, time) for frame, time in zip(new.traces, new.time, strict=True)])
    np.testing.assert_allclose(said, model.predict_proba(X), atol=1e-8)


@pytest.mark.parametrize(
    ("first", "problem"),
    [
        (WormMinMaxScaler(unseen="own"), "its own range"),
        (AsymmetricDiffusionMap(n_components=2), "before and after"),
    ],
)
def test_steps_that_need_several_rows_are_refused(worms, frames, first, problem):
    model = make_pipeline(first, LogisticRegression()).fit(*frames)
    with pytest.raises(ValueError, match=problem):
        StateStream(model, fps=worms[1].fps, neurons=worms[1].neurons)


def test_a_gap_in_time_begins_a_new_sequence(worms, frames):
    new = worms[1]
    time = new.time + np.where(np.arange(new.n_frames) >= 60, 60.0, 0.0)
    new = replace(new, time=time)
    mlp = MLPStateClassifier(max_epochs=20, device="cpu", random_state=0)
    for model in (mlp, HiddenMarkovStateClassifier(mlp, decoding="filtering")):
        _, expected = offline(model.fit(*frames), new)
        stream = StateStream(model, fps=new.fps, calibration=new, scaling="fixed", neurons=new.neurons)
        said = [stream.push(frame, time) for frame, time in zip(new.traces[:70], time, strict=False)]
        np.testing.assert_allclose(said, expected[:70], atol=1e-8)


def test_frames_without_any_value_begin_a_new_sequence(worms, frames):
    new = worms[1]
    lost = replace(new, traces=np.where((np.arange(new.n_frames) // 10 == 4)[:, None], np.nan, new.traces))
    mlp = MLPStateClassifier(max_epochs=20, device="cpu", random_state=0)
    model = HiddenMarkovStateClassifier(mlp, decoding="filtering").fit(*frames)
    expected = decode_states(model, [lost]).filter(like="probability:").to_numpy()
    stream = StateStream(model, fps=lost.fps, calibration=lost, scaling="fixed", neurons=lost.neurons)
    said = np.array([stream.push(frame) for frame in lost.traces[:90]])
    assert np.isnan(said[40:50]).all()
    np.testing.assert_allclose(said[50:], expected[50:90], atol=1e-6)


def test_running_ranges_are_those_of_the_frames_so_far(worms, mlp):
    new = worms[1]
    stream = StateStream(mlp, fps=new.fps, neurons=new.neurons)
    first = stream.push(new.traces[0])
    assert np.isfinite(first).all()
    for frame in new.traces[1:80]:
        said = stream.push(frame)
    begun = first_frames(new, 80)
    _, expected = offline(mlp, begun)
    np.testing.assert_allclose(said, expected[-1], atol=1e-8)


def test_a_network_with_a_static_graph_reads_along_that_of_all_training_worms(worms, frames):
    gnn = GNNStateClassifier(max_epochs=3, device="cpu", random_state=0).fit(*frames)
    whole = worms[1]
    stream = StateStream(gnn, fps=whole.fps, calibration=whole, scaling="fixed", neurons=whole.neurons)
    with warnings.catch_warnings(action="error"):
        streamed = np.array([stream.push(frame, time) for frame, time in zip(whole.traces, whole.time, strict=True)])
    X, _ = make_frames(whole, neurons=estimator_neurons(gnn), **{**CAUSAL, "states": None})
    with pytest.warns(UserWarning, match="graph for each worm"):
        expected = gnn.predict_proba(X.reset_index(drop=True))
    np.testing.assert_allclose(streamed, expected, atol=1e-8)


def test_a_calibration_may_widen(worms, mlp):
    new = worms[1]
    begun = first_frames(new, 80)
    stream = StateStream(mlp, fps=new.fps, calibration=begun, neurons=new.neurons)
    for frame in new.traces[80:]:
        stream.push(frame)
    whole = StateStream(mlp, fps=new.fps, calibration=new, neurons=new.neurons)
    np.testing.assert_allclose(stream.ranges_[:, :, 0], whole.ranges_[:, :, 0])


def test_what_looks_ahead_or_is_not_known_is_refused(worms, frames, mlp):
    X, y = make_frames(worms[0], states="4", context=(-1, 0, 1))
    ahead = LogisticRegression(max_iter=300).fit(X, y)
    with pytest.raises(ValueError, match=r"up to 1 after the one that it labels"):
        StateStream(ahead, fps=3.0)
    viterbi = HiddenMarkovStateClassifier(LogisticRegression(max_iter=300)).fit(*frames)
    with pytest.raises(ValueError, match=r"set_params\(decoding='filtering'\)"):
        StateStream(viterbi, fps=3.0)
    filtering = HiddenMarkovStateClassifier(LogisticRegression(max_iter=300), decoding="filtering")
    frozen = FrozenEstimator(clone(filtering).fit(*frames))
    voting = VotingClassifier([("hidden", filtering)], voting="soft")
    for outer in (
        *(TemperatureScaledClassifier(filtering), Pipeline([("hidden", filtering)])),
        *(frozen, voting, CalibratedClassifierCV(frozen)),
    ):
        with pytest.raises(ValueError, match=f"{type(outer).__name__} holds a HiddenMarkov.*; put .* outermost"):
            StateStream(outer.fit(*frames), fps=3.0, settings=frames[0].attrs)
    with pytest.raises(ValueError, match="does not know its columns"):
        StateStream(LogisticRegression(max_iter=300).fit(X.to_numpy(), y), fps=3.0)
    with pytest.raises(ValueError, match=r"neurons lacks .*that the model reads"):
        StateStream(mlp, fps=2.9, neurons=["AVAL"])
    with pytest.raises(ValueError, match=r"pass calibration="):
        StateStream(mlp, fps=2.9, scaling="fixed")


def test_frames_that_cannot_be_read_are_refused(mlp):
    stream = StateStream(mlp, fps=2.9)
    n_neurons = len(mlp.neurons_)
    with pytest.raises(ValueError, match=r"push dF/F of \d+ neurons"):
        stream.push(np.zeros(n_neurons + 1))
    with pytest.raises(ValueError, match=r"is not finite in frame 0"):
        stream.push(np.full(n_neurons, np.inf))
    stream.push(np.zeros(n_neurons), time=2.0)
    with pytest.raises(ValueError, match=r"is not after 2.0"):
        stream.push(np.zeros(n_neurons), time=1.0)


def test_lost_values_and_missing_neurons_are_read_as_offline(worms, mlp):
    new = worms[1]
    traces = new.traces.copy()
    traces[20:24] = np.nan
    traces[40:50, new.neurons.index("AVAL")] = np.nan
    new = replace(new, traces=traces)
    stream = StateStream(mlp, fps=new.fps, calibration=new, scaling="fixed", neurons=new.neurons)
    said, states = [], []
    for frame in new.traces[:60]:
        said.append(stream.push(frame))
        states.append(stream.state_)
    table = decode_states(mlp, [new]).iloc[:60]
    np.testing.assert_allclose(said, table.filter(like="probability:"), atol=1e-6)
    assert states == table["state"].tolist()
    assert states[20:24] == ["unknown"] * 4
    assert "unknown" not in states[:20]
    lacking = [name for name in new.neurons if name != "RID"]
    with pytest.warns(UserWarning, match=r"lacks \['RID'\]"):
        stream = StateStream(mlp, fps=new.fps, neurons=lacking)
    assert np.isfinite(stream.push(np.delete(new.traces[0], new.neurons.index("RID")))).all()


@pytest.mark.parametrize("made", [{"derivative": "backward"}, {"derivative": "causal", "derivative_width": 3.0}])
def test_derivatives_are_those_of_training_at_uneven_times(worms, made):
    new = replace(worms[1], time=worms[1].time + 0.1 * np.sin(np.arange(worms[1].n_frames)))
    X, y = make_frames(worms[0], states="4", **made)
    model = LogisticRegression(max_iter=300).fit(X, y)
    expected = model.predict_proba(make_frames(new, neurons=estimator_neurons(model), states=None, **made)[0])
    options = {"neurons": new.neurons, "settings": X.attrs}
    stream = StateStream(model, fps=new.fps, calibration=new, scaling="fixed", **options)
    said = [stream.push(frame, time) for frame, time in zip(new.traces[:40], new.time, strict=False)]
    np.testing.assert_allclose(said, expected[:40], atol=1e-8)


def test_frames_beyond_a_whole_range_are_not_clipped(worms):
    new, made = worms[1], {"derivative": "backward", "neurons": ["AVAL", "RID"]}
    X, y = make_frames(worms[0], states="4", **made)
    model = LogisticRegression(max_iter=300).fit(X, y)
    raw, _ = make_frames(new, states=None, fit_scope="train", **made)
    expected = model.predict_proba(WormMinMaxScaler((0, 100)).fit(raw[:20]).transform(raw))
    options = {"neurons": new.neurons, "settings": X.attrs}
    stream = StateStream(model, fps=new.fps, calibration=first_frames(new, 20), scaling="fixed", **options)
    np.testing.assert_allclose([stream.push(frame) for frame in new.traces], expected, atol=1e-8)


def test_a_lost_frame_is_unknown_while_no_range_is_known(worms, mlp):
    stream = StateStream(mlp, fps=2.9, neurons=worms[1].neurons)
    stream.push(worms[1].traces[0])
    assert np.isnan(stream.push(np.full(worms[1].n_neurons, np.nan))).all()


def test_other_rates_are_warned_of_and_unknown_frames_named(worms, mlp):
    with pytest.warns(UserWarning, match=r"trained on 2\.9 frames a second.*fps=6"):
        StateStream(mlp, fps=6.0)
    X, y = make_frames(worms[0], states="4")
    smooth = MLPStateClassifier(max_epochs=1, device="cpu").fit(X, y)
    with pytest.raises(ValueError, match=r"derivative='smooth', which looks at later frames.*'causal'"):
        StateStream(smooth, fps=2.9)
    plain = LogisticRegression(max_iter=300).fit(X, y)
    with pytest.raises(ValueError, match=r"does not know how its training frames were made.*settings=X.attrs"):
        StateStream(plain, fps=2.9)
    causal, y = make_frames(worms[0], states="4", derivative="causal")
    plain = LogisticRegression(max_iter=300).fit(causal, y)
    stream = StateStream(plain, fps=2.9, settings=causal.attrs, neurons=worms[0].neurons)
    assert stream.push(worms[0].traces[0]).sum() == pytest.approx(1)
