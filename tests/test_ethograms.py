from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from sklearn.dummy import DummyClassifier

from skworm.datasets import make_worms
from skworm.frames import make_behavior, make_frames
from skworm.plotting import STATE_COLORS, BehaviorDisplay, EthogramDisplay, RecordingDisplay, TraceDisplay


@pytest.fixture
def worm():
    return make_worms(1, n_frames=120, n_unidentified=2, random_state=0)[0]


def labels(display):
    return [label.get_text() for label in display.ax_.get_yticklabels()]


def colors_of(strip):
    values = strip.get_array()
    gone = np.ma.getmaskarray(values).ravel()
    colors = map(tuple, strip.to_rgba(values).reshape(-1, 4)[:, :3])
    return [None if absent else color for absent, color in zip(gone, colors, strict=True)]


def test_predicted_states_are_below_labelled_ones():
    index = pd.MultiIndex.from_arrays([list("aaab"), [4, 5, 8, 0]], names=["worm", "frame"])
    y = pd.Series(["forward", "reverse", "reverse", "forward"], index=index)
    display = EthogramDisplay.from_predictions(y, {"GNN": ["forward"] * 4}, fps={"a": 2.0, "b": 4.0})
    assert labels(display) == ["labelled", "GNN"] * 2
    assert [text.get_text() for text in display.ax_.texts] == ["a", "b"]
    first, predicted, *_ = display.ax_.collections
    blue, orange = to_rgb(STATE_COLORS["forward"]), to_rgb(STATE_COLORS["reverse"])
    assert colors_of(first) == [blue, orange, None, None, orange]
    assert colors_of(predicted) == [blue, blue, None, None, blue]
    np.testing.assert_allclose(first.get_coordinates()[0, [0, -1], 0], [1.75, 4.25])
    assert display.ax_.get_xlabel() == "Time (s)"


def test_without_a_frame_rate_frames_are_counted():
    far = pd.MultiIndex.from_product([["a"], [0, 1, 10**9]], names=["worm", "frame"])
    y = pd.Series(["forward", "reverse", "reverse"], index=far)
    assert EthogramDisplay.from_predictions(y, y.to_numpy()).ax_.get_xlim()[1] >= 10**9
    display = EthogramDisplay.from_predictions(["forward", "reverse"], ["reverse", "reverse"])
    assert (labels(display), display.ax_.get_xlabel()) == (["labelled", "predicted"], "Time (frames)")
    assert not display.ax_.texts


def test_a_classifier_is_drawn_at_the_rate_of_its_frames():
    X, y = make_frames(make_worms(1, n_frames=100, fps=5.0, random_state=0), states="2")
    always = DummyClassifier(strategy="constant", constant="forward").fit(X, y)
    display = EthogramDisplay.from_estimator(always, X, y)
    assert labels(display) == ["labelled", "DummyClassifier"]
    assert display.ax_.get_xlim()[1] == pytest.approx(100 / 5, abs=1)
    assert labels(EthogramDisplay.from_estimator(always, X)) == ["simulated-0"]


def test_tables_of_decoded_states_show_both_strips():
    table = pd.DataFrame({"worm": "a", "time": [0.0, 1.0], "state": "forward", "annotated": ["forward", "reverse"]})
    axes = Figure().subplots()
    display = EthogramDisplay(table).plot(ax=axes)
    assert display.ax_ is axes
    assert (labels(display), display.states_) == (["labelled", "predicted"], ["forward", "reverse"])
    assert labels(EthogramDisplay(table.drop(columns="annotated")).plot()) == ["a"]


def test_bad_states_are_refused():
    with pytest.raises(ValueError, match=r"lacks the columns \['state'\]; pass that of decode_states"):
        EthogramDisplay(pd.DataFrame({"worm": ["a"], "time": [0.0]})).plot()
    with pytest.raises(ValueError, match=r"predictions of 'GNN' have shape \(1,\), but labelled has \(2,\)"):
        EthogramDisplay.from_predictions(["forward"] * 2, {"GNN": ["forward"]})
    with pytest.raises(ValueError, match="fps names no rate for worm 'b'"):
        EthogramDisplay.from_predictions(["forward"] * 2, ["forward"] * 2, worm=["a", "b"], fps={"a": 1.0})
    index = pd.MultiIndex.from_arrays([["a", "a"], [3, 3]], names=["worm", "frame"])
    with pytest.raises(ValueError, match="worm 'a' has frame 3 more than once"):
        EthogramDisplay.from_predictions(pd.Series("forward", index=index), ["forward"] * 2)


def test_traces_have_the_colours_of_states(worm):
    display = TraceDisplay(worm, neurons=["AVAL", "RID"]).plot()
    assert [axes.get_ylabel() for axes in display.axes_] == ["AVAL\n(ΔF/F)", "RID\n(ΔF/F)"]
    pieces = {state: lines for (neuron, state), lines in display.lines_.items() if neuron == "RID"}
    assert set(pieces) == set(worm.states)
    for state, lines in pieces.items():
        np.testing.assert_allclose(lines.get_edgecolor()[0][:3], to_rgb(STATE_COLORS[state]))
        assert len(lines.get_segments()) == (worm.states[1:] == state).sum()
    low, high = display.axes_[1].get_ylim()
    trace = worm.traces[:, worm.neurons.index("RID")]
    assert low < trace.min() < trace.max() < high


def test_traces_break_where_nothing_was_measured(worm):
    traces = worm.traces.copy()
    traces[50:53, worm.neurons.index("RID")] = np.nan
    time = worm.time + 10.0 * (np.arange(worm.n_frames) >= 80)
    broken = replace(worm, traces=traces, time=time, states=None)
    display = TraceDisplay(broken, neurons=["RID"]).plot()
    assert len(display.lines_["RID", "trace"].get_segments()) == 119 - 4 - 1
    assert not display.figure_.legends


def test_traces_that_cannot_be_drawn_are_refused(worm):
    assert len(TraceDisplay(worm).plot().axes_) == 4
    with pytest.raises(ValueError, match="has no neuron 'VB09'; choose among"):
        TraceDisplay(worm, neurons=["VB09"]).plot()
    with pytest.raises(ValueError, match="ax holds 1 axes for 4 panels; pass one for each"):
        TraceDisplay(worm).plot(ax=Figure().subplots())


def test_nothing_is_drawn_where_no_frame_was_recorded(worm):
    late = np.arange(worm.n_frames) >= 80
    gap = replace(worm, time=worm.time + 60.0 * late)
    heat_map = RecordingDisplay(gap).plot()
    for mesh, n_rows in ((heat_map.image_, len(worm.identified)), (heat_map.ethogram_ax_.collections[0], 1)):
        values = np.ma.masked_invalid(mesh.get_array())
        assert values.shape == (n_rows, worm.n_frames + 1)
        np.testing.assert_array_equal(np.ma.getmaskarray(values).all(axis=0), np.arange(worm.n_frames + 1) == 80)
        edges = mesh.get_coordinates()[0, :, 0]
        np.testing.assert_allclose(edges[[80, 81]], gap.time[[79, 80]] + np.array([0.5, -0.5]) / worm.fps)
    frames = make_frames(gap, states=None)[0].index
    line = BehaviorDisplay(gap, pd.Series(1.0, index=frames), {}).plot().lines_["true"]
    assert np.isnan(line.get_ydata()).sum() == 1
    assert gap.time[79] < line.get_xdata()[np.isnan(line.get_ydata())] < gap.time[80]
    table = pd.DataFrame({"worm": "a", "time": gap.time, "state": worm.states})
    assert colors_of(EthogramDisplay(table).plot().ax_.collections[0])[80] is None
    pieces = TraceDisplay(gap, neurons=["RID"]).plot().lines_
    assert sum(len(lines.get_segments()) for lines in pieces.values()) == worm.n_frames - 2


@pytest.mark.slow
@pytest.mark.parametrize(("n_frames", "label", "unit"), [(580, "Time (s)", 1), (2000, "Time (min)", 60)])
def test_more_than_five_minutes_are_counted_in_minutes(n_frames, label, unit):
    worm = make_worms(1, n_frames=n_frames, fps=2.9, random_state=0)[0]
    X, y = make_frames([worm], states="7", unknown="keep")
    velocity = make_behavior([worm], X)
    for axes in (
        RecordingDisplay(worm).plot().ethogram_ax_,
        TraceDisplay(worm).plot().axes_[-1],
        EthogramDisplay.from_predictions(y, y, fps=2.9).ax_,
        BehaviorDisplay(worm, velocity, {}).plot().ethogram_ax_,
    ):
        FigureCanvasAgg(axes.figure).draw()
        assert axes.get_xlabel() == label
        ticks = [tick for tick in axes.xaxis.get_major_ticks() if tick.get_loc() >= 0]
        assert len(ticks) > 3
        assert all(float(tick.label1.get_text()) * unit == tick.get_loc() for tick in ticks)
        assert axes.get_xlim()[1] == pytest.approx(n_frames / 2.9, abs=1)
