from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skworm import MLPStateClassifier, SVMStateClassifier
from skworm.datasets import make_worms
from skworm.estimators.prediction import frames_for_model
from skworm.estimators.stream import StateStream
from skworm.frames import make_behavior, make_frames, make_trajectories, resample
from skworm.frames.resampling import detrend
from skworm.recording import Recording


def wave(hertz, fps, seconds=60.0, **others):
    time = np.arange(int(seconds * fps)) / fps
    return Recording("w", np.sin(2 * np.pi * hertz * time)[:, None], ["AVAL"], fps, time=time, **others)


@settings(max_examples=40)
@given(fps=st.floats(0.5, 12.0), new=st.floats(0.5, 12.0))
def test_a_straight_line_stays_straight_and_its_slope_the_same(fps, new):
    time = np.arange(60) / fps
    worm = Recording("w", (2 * time)[:, None], ["AVAL"], fps, time=time, behavior={"v": 3 * time})
    found = resample(worm, new)
    assert found.fps == new
    np.testing.assert_allclose(np.diff(found.time)[:-1], 1 / new)
    assert found.time[0] == 0
    assert 0 <= time[-1] - found.time[-1] < 1 / new + 1e-9
    inner = (found.time > 1 / new + 1 / fps) & (found.time < time[-1] - 1 / new - 1 / fps)
    # Of few frames an average is a little off the middle.
    tolerance = 1e-9 if new >= fps else 1.5 / fps
    np.testing.assert_allclose(found.traces[inner, 0], 2 * found.time[inner], atol=tolerance)
    np.testing.assert_allclose(found.behavior["v"][inner], 3 * found.time[inner], atol=1.5 * tolerance)


def test_changes_too_fast_for_the_new_rate_fade_and_slow_ones_stay():
    fast = resample(wave(3.1, 12.0), 3.0)
    assert np.abs(fast.traces[2:-2]).max() < 0.15
    taken = wave(3.1, 12.0).traces[::4]
    assert np.abs(taken).max() > 0.9
    slow = resample(wave(0.1, 12.0), 3.0)
    np.testing.assert_allclose(slow.traces[2:-2, 0], np.sin(2 * np.pi * 0.1 * slow.time[2:-2]), atol=0.02)


def test_states_are_those_of_most_frames_or_of_the_nearest():
    states = np.array(["forward"] * 3 + ["turn"] + ["reverse"] * 8)
    slower = resample(wave(0.1, 4.0, 3.0, states=states), 1.0)
    assert slower.states.tolist() == ["forward", "reverse", "reverse"]
    faster = resample(wave(0.1, 4.0, 3.0, states=states), 8.0)
    assert (faster.n_frames, faster.states[:8].tolist()) == (23, ["forward"] * 6 + ["turn"] * 2)


def test_nan_stays_where_it_was():
    worm = wave(0.1, 6.0)
    traces = worm.traces.copy()
    traces[60:80] = np.nan
    found = resample(Recording("w", traces, ["AVAL"], 6.0), 2.0)
    is_nan = np.isnan(found.traces[:, 0])
    assert is_nan.sum() in (6, 7)
    assert is_nan[20:27].sum() == is_nan.sum()


def test_the_same_rate_changes_nothing_and_derivatives_go():
    worm = make_worms(1, 100, random_state=0)[0]
    same = resample(worm, worm.fps)
    np.testing.assert_allclose(same.traces, worm.traces)
    assert same.states.tolist() == worm.states.tolist()
    own = Recording("w", worm.traces, worm.neurons, worm.fps, derivatives=worm.traces)
    assert resample(own, 2.0).derivatives is None


def test_gaps_and_bad_rates_are_refused():
    time = np.r_[np.arange(10), np.arange(30, 40)] / 3
    worm = Recording("w", np.arange(20.0)[:, None], ["AVAL"], 3.0, time=time)
    with pytest.raises(
        ValueError, match=r"worm 'w': frames are missing from 3 to 10 s.*two recordings.*before frame 10"
    ):
        resample(worm, 2.0)
    for fps in (0, -1, np.nan, "3"):
        with pytest.raises(ValueError, match="must be a positive number of frames a second"):
            resample(worm, fps)
    with pytest.raises(ValueError, match=r"lasts 13 s, less than two frames at fps=0\.01"):
        resample(worm, 0.01)


def test_a_short_gap_is_filled():
    time = np.r_[np.arange(20), np.arange(28, 48)] / 10
    traces = resample(Recording("w", np.sin(time)[:, None], ["AVAL"], 10.0, time=time), 3.0).traces
    assert np.isfinite(traces).all()


def test_frames_of_several_rates_are_brought_to_one():
    worms = [*make_worms(1, 300, random_state=0), *make_worms(1, 300, random_state=0, lab=1, worm_prefix="other")]
    X, y = make_frames(worms, states="2", resample_to=2.0)
    assert X.attrs["fps"] == {"simulated-0": 2.0, "other-0": 2.0}
    assert len(X) == len(y) < 600
    whole, _ = make_frames(worms, states=None, resample_to=2.0)
    np.testing.assert_array_equal(whole.groupby("worm").min(), 0)
    own, _ = make_frames(worms, states="2")
    assert own.attrs["fps"]["other-0"] == pytest.approx(3.688, abs=1e-3)


def bleaching(n_frames=900):
    rng = np.random.default_rng(0)
    pulses = (np.sin(np.arange(n_frames) / 10)[:, None] > 0.5) + 0.05 * rng.normal(size=(n_frames, 2))
    traces = pulses + np.linspace(5, 0, n_frames)[:, None]
    states = np.where(pulses[:, 0] > 0.5, "reverse", "forward")
    return pulses, Recording("a", traces, ["AVAL", "RID"], fps=3.0, states=states)


def test_a_slow_baseline_is_removed_in_training_and_prediction():
    pulses, worm = bleaching()
    X, y = make_frames(worm, states="2", detrend=60)
    plain, _ = make_frames(worm, states="2")
    assert (
        np.corrcoef(X["AVAL:trace"], pulses[:, 0])[0, 1] > 0.95 > np.corrcoef(plain["AVAL:trace"], pulses[:, 0])[0, 1]
    )
    model = SVMStateClassifier().fit(X, y)
    assert model.frame_settings_["detrend"] == 60
    again, _ = frames_for_model(model, [worm])
    np.testing.assert_allclose(again, X)


def test_a_baseline_does_not_reach_across_a_gap():
    _, worm = bleaching()
    time = worm.time + np.where(np.arange(900) < 450, 0, 120)
    parts = [Recording("a", worm.traces[rows], worm.neurons, fps=3.0) for rows in (slice(450), slice(450, 900))]
    whole = detrend(replace(worm, time=time), 60).traces
    np.testing.assert_allclose(whole, np.concatenate([detrend(part, 60).traces for part in parts]))


def test_detrended_frames_are_not_for_forecasts_or_closed_loop():
    _, worm = bleaching()
    X, y = make_frames(worm, states="2", derivative="backward", detrend=60)
    with pytest.raises(ValueError, match="baseline that depends on later frames"):
        make_trajectories(X, burn_in=1)
    with pytest.raises(ValueError, match="baseline looks at later ones"):
        StateStream(MLPStateClassifier(max_epochs=1, device="cpu").fit(X, y), fps=3.0)


def test_resampled_frames_are_not_for_forecasts():
    (worm,) = make_worms(1, n_frames=200, fps=3.0, random_state=0)
    for fps in (2.9, 6.0):
        X, _ = make_frames(worm, states=None, derivative="backward", resample_to=fps)
        assert X.attrs["resampled_to"] == fps
        with pytest.raises(ValueError, match="mixes each with later ones"):
            make_trajectories(X)


def test_behaviour_of_resampled_frames_is_that_of_resampled_recordings():
    (worm,) = make_worms(1, n_frames=300, random_state=0)
    # Files give the rate that was asked for, and time stamps are those of the camera.
    time = np.arange(300) / 3.1
    worm = replace(worm, fps=3.0, time=time, behavior={"clock": time})
    X, _ = make_frames(worm, states=None, resample_to=3.0)
    with pytest.raises(ValueError, match=r"after skworm\.frames\.resample"):
        make_behavior(worm, X.iloc[:200], "clock")
    frames = X.index.get_level_values("frame")
    np.testing.assert_allclose(make_behavior(resample(worm, 3.0), X, "clock"), frames / 3.0, atol=0.02)


@pytest.mark.parametrize("seconds", [0, -1, True, "auto", 1.0])
def test_an_invalid_window_is_refused(seconds):
    with pytest.raises(ValueError, match="detrend="):
        make_frames(bleaching()[1], states="2", detrend=seconds)


def test_frames_midway_to_the_next_new_one_do_not_vote_and_the_nearest_decides():
    states = ["forward", "forward", "turn", "turn", "reverse", "forward", "forward", "forward", "forward"]
    worm = Recording("w", np.arange(9.0)[:, None], ["AVAL"], 8.0, states=states)
    assert resample(worm, 2.0).states.tolist() == ["forward", "reverse", "forward"]
    states[5] = "turn"
    assert resample(replace(worm, states=states), 2.0).states.tolist() == ["forward", "turn", "forward"]


def test_frames_that_last_longer_weigh_more():
    time = np.r_[np.arange(0, 10, 1 / 8), np.arange(10, 20, 1 / 16)]
    found = resample(Recording("w", (2 * time)[:, None], ["AVAL"], 16.0, time=time), 1.0)
    np.testing.assert_allclose(found.traces[1:-1, 0], 2 * found.time[1:-1], atol=0.02)


def test_a_baseline_is_a_smooth_low_percentile_of_the_frames_around():
    _, worm = bleaching()
    # 61 s are 183 frames, 91 on either side.
    low = [np.percentile(worm.traces[frame - 91 : frame + 92], 10, axis=0) for frame in range(359, 542)]
    found = detrend(replace(worm, derivatives=worm.traces), 61)
    np.testing.assert_allclose(found.traces[450], worm.traces[450] - np.mean(low, axis=0))
    assert found.derivatives is None


def test_one_worm_that_was_resampled_is_enough_to_refuse_forecasts():
    worms = [make_worms(1, 200, fps=fps, random_state=0, worm_prefix=name)[0] for name, fps in (("a", 3.0), ("b", 6.0))]
    X, _ = make_frames(worms, states=None, derivative="backward", resample_to=3.0)
    with pytest.raises(ValueError, match="mixes each with later ones"):
        make_trajectories(X)


def test_behaviour_of_plain_frames_is_not_that_of_resampled_recordings():
    (worm,) = make_worms(1, n_frames=200, fps=3.0, random_state=0)
    X, _ = make_frames(worm, states=None)
    with pytest.raises(ValueError, match="pass the recordings that X was made of"):
        make_behavior(resample(worm, 6.0), X)


def test_models_remember_the_rate_of_their_own_worms_and_tell_others():
    worms = [make_worms(1, 200, fps=fps, random_state=0, worm_prefix=str(fps))[0] for fps in (2.0, 3.0, 3.0001, 3.9)]
    with pytest.warns(UserWarning, match="has 2 frames a second"):
        X, y = make_frames(worms, states="2")
    assert SVMStateClassifier().fit(X, y).frame_settings_["fps"] == pytest.approx(3.00005)
    slow, fast = X.loc[["2.0-0"]], X.loc[["3.9-0"]]
    model = SVMStateClassifier().fit(slow, y.loc[slow.index])
    assert model.frame_settings_["fps"] == 2
    with pytest.warns(UserWarning, match=r"trained on 2 frames a second, and X has 3;"):
        model.predict(X.loc[["3.0-0"]])
    with pytest.warns(UserWarning, match=r"trained on 3\.9 frames a second, and X has 2;"):
        SVMStateClassifier().fit(fast, y.loc[fast.index]).predict(slow)
