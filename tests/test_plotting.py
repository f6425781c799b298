import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

from skworm import AsymmetricDiffusionMap
from skworm.datasets import make_worms
from skworm.frames import make_frames, make_trajectories
from skworm.plotting import (
    LINE_COLORS,
    STATE_COLORS,
    ManifoldDisplay,
    RecordingDisplay,
    TrajectoryDisplay,
    TrajectoryErrorDisplay,
    WormScoresDisplay,
)


@pytest.fixture
def results():
    scores = {"svm": 0.9, "mlp": 0.8, "clock": 0.5}
    rows = [
        {"model": model, "fold_by": fold_by, "evaluation": evaluation, "worm": worm, "fold": fold,
         "accuracy": score + 0.01 * fold + 0.02 * (worm == "b"), "macro_f1": score / 2}
        for model, score in scores.items()
        for fold_by in ("shuffled_windows", "contiguous_blocks")
        for evaluation in ("held_out_windows", "unseen_worms")
        for worm in ("a", "b")
        for fold in (0, 2)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture
def shuffled(results):
    return results[results["fold_by"] == "shuffled_windows"]


@pytest.fixture
def worm():
    return make_worms(1, n_frames=120, n_unidentified=2, random_state=0)[0]


def draw(display):
    canvas = FigureCanvasAgg(display.figure_)
    canvas.draw()
    return canvas.get_renderer()


@pytest.mark.slow
def test_plotting_leaves_matplotlib_for_later():
    code = "import sys, skworm.plotting; sys.exit(any(name.startswith('matplotlib') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_scores_are_averaged_over_fits_and_drawn_in_per_cent(shuffled):
    display = WormScoresDisplay.from_results(shuffled)
    assert [axes.get_title() for axes in display.axes_] == ["held-out windows", "unseen worms"]
    np.testing.assert_allclose(display.dots_["unseen worms", "svm"].get_xdata(), [91, 93])
    line, _, (bar,) = display.means_["unseen worms", "svm"].lines
    assert line.get_xdata() == pytest.approx([92])
    np.testing.assert_allclose(
        np.asarray(bar.get_segments()[0], dtype=float)[:, 0], 92 + np.sqrt(2) * np.array([-1, 1])
    )
    np.testing.assert_allclose(display.baselines_["unseen worms"].get_xdata(), [52, 52])
    assert display.axes_[0].get_xlabel() == "Accuracy (%)"
    assert [text.get_text() for text in display.axes_[0].get_yticklabels()] == ["svm", "mlp"]
    draw(display)


def test_panels_models_and_references_are_as_asked(results):
    display = WormScoresDisplay.from_results(
        results,
        score="macro_f1",
        panels={
            "same worm, blocks": {"fold_by": "contiguous_blocks", "evaluation": "held_out_windows"},
            "unseen": {"fold_by": "shuffled_windows", "evaluation": "unseen_worms"},
        },
        models={"mlp": "Perceptron", "svm": "SVM"},
        baseline=None,
        reference={("unseen", "svm"): 0.977},
        reference_label="paper",
    )
    assert [axes.get_title() for axes in display.axes_] == ["same worm,\nblocks", "unseen"]
    assert [text.get_text() for text in display.axes_[0].get_yticklabels()] == ["Perceptron", "SVM"]
    assert list(display.references_) == [("unseen", "svm")]
    diamond = display.references_["unseen", "svm"]
    assert diamond.get_xdata().tolist() == [pytest.approx(97.7)]
    assert (diamond.get_marker(), diamond.get_markerfacecolor()) == ("D", "none")
    assert display.axes_[1].get_xlabel() == "Macro F1 (%)"
    legend = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert legend == ["one worm", "mean ± SD over worms", "paper"]
    assert not display.baselines_


def test_labels_do_not_overlap(shuffled):
    names = {"svm": "Support vector machine", "mlp": "Multi-layer perceptron, virtual worms"}
    display = WormScoresDisplay.from_results(shuffled, models=names)
    renderer = draw(display)
    texts = [*display.axes_[0].get_yticklabels(), *(axes.title for axes in display.axes_)]
    boxes = [text.get_window_extent(renderer) for text in texts]
    boxes.append(display.figure_.legends[0].get_window_extent(renderer))
    boxes += [axes.xaxis.label.get_window_extent(renderer) for axes in display.axes_]
    assert not any(box.overlaps(other) for i, box in enumerate(boxes) for other in boxes[:i])
    assert all(box.x0 >= 0 and box.x1 <= display.figure_.bbox.x1 and box.y0 >= 0 for box in boxes)


def test_one_worm_has_no_spread(shuffled):
    display = WormScoresDisplay.from_results(shuffled[shuffled["worm"] == "a"])
    assert display.means_["unseen worms", "svm"].has_xerr is False


def test_scores_go_into_given_axes(shuffled):
    figure = Figure()
    axes = figure.subplots(1, 2)
    display = WormScoresDisplay.from_results(shuffled, ax=axes)
    assert display.figure_ is figure
    assert display.axes_ == list(axes)
    assert axes[1].get_legend() is not None


def test_bad_results_are_refused(results, shuffled):
    with pytest.raises(ValueError, match="several ways to make folds"):
        WormScoresDisplay.from_results(results)
    with pytest.raises(ValueError, match=r"lacks the columns \['accuracy'\]; pass that of cross_validate_worms"):
        WormScoresDisplay.from_results(shuffled.drop(columns="accuracy"))
    with pytest.raises(ValueError, match=r"panel 'elsewhere' has no rows.*evaluation='nichols'; drop the panel"):
        WormScoresDisplay.from_results(shuffled, panels={"elsewhere": {"evaluation": "nichols"}})
    with pytest.raises(ValueError, match="no model 'gnn'; choose among clock, mlp, svm"):
        WormScoresDisplay.from_results(shuffled, models={"gnn": "GNN"})
    with pytest.raises(ValueError, match="ax holds 1 axes for 2 panels; pass one for each"):
        WormScoresDisplay.from_results(shuffled, ax=Figure().subplots())


def test_a_recording_shows_its_traces_in_seconds(worm):
    display = RecordingDisplay(worm, neurons=["RID", "AVAL"]).plot()
    columns = [worm.neurons.index(neuron) for neuron in ("RID", "AVAL")]
    np.testing.assert_array_equal(display.image_.get_array(), worm.traces[:, columns].T)
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == ["RID", "AVAL"]
    frame = 0.5 / worm.fps
    np.testing.assert_allclose(display.ax_.get_xlim(), (-frame, worm.time[-1] + frame))
    assert display.colorbar_.ax.get_ylabel() == "ΔF/F"
    assert display.ethogram_ax_.get_xlabel() == "Time (s)"
    draw(display)


def test_neurons_of_similar_traces_are_neighbours(worm):
    rng = np.random.RandomState(0)
    courses = rng.standard_normal((worm.n_frames, 3))
    # Three courses in turn, so that no two alike are neighbours in the recording.
    traces = courses[:, np.arange(9) % 3] + 0.1 * rng.standard_normal((worm.n_frames, 9))
    traces[:, 8] = 1.0
    traces[5, 3] = np.nan
    names = tuple(worm.identified[:9])
    display = RecordingDisplay(replace(worm, traces=traces, neurons=names)).plot()
    order = [
        names.index(label.get_text()) % 3 for label in display.ax_.get_yticklabels() if label.get_text() != names[8]
    ]
    assert sorted(order) == [0, 0, 0, 1, 1, 1, 2, 2]
    assert (np.diff(order) != 0).sum() == 2
    shown = [label.get_text() for label in RecordingDisplay(worm, neurons=names).plot().ax_.get_yticklabels()]
    assert shown == list(names)
    draw(display)


def test_the_strip_has_the_colour_of_each_state(worm):
    display = RecordingDisplay(worm).plot()
    mesh = display.ethogram_ax_.collections[0]
    mesh.update_scalarmappable()
    expected = [to_rgb(STATE_COLORS[state]) for state in worm.states]
    np.testing.assert_allclose(mesh.to_rgba(mesh.get_array()).reshape(-1, 4)[:, :3], expected)
    shown = {text.get_text().replace(" ", "_") for text in display.ax_.get_legend().get_texts()}
    assert shown == set(worm.states)


def test_neurons_without_a_name_are_shown_only_where_none_has_one(worm):
    assert len(RecordingDisplay(worm).plot().ax_.get_yticks()) == len(worm.identified)
    nameless = replace(worm, neurons=tuple(map(str, range(worm.n_neurons))), states=None)
    display = RecordingDisplay(nameless).plot()
    assert len(display.ax_.get_yticks()) == worm.n_neurons
    assert display.ethogram_ax_ is None
    assert (display.ax_.get_title(), display.ax_.get_xlabel()) == (worm.worm, "Time (s)")


def test_a_recording_goes_into_given_axes(worm):
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    display = RecordingDisplay(worm).plot(ax=axes)
    assert display.ax_ is axes
    assert display.figure_ is figure
    assert display.ethogram_ax_ in axes.child_axes
    draw(display)


def test_a_part_of_a_figure_is_drawn_into_and_saved_whole(worm, tmp_path):
    figure = Figure(figsize=(8, 4), layout="constrained")
    left, right = figure.subfigures(1, 2)
    RecordingDisplay(worm).plot(ax=left.subplots())
    assert RecordingDisplay(worm).plot(ax=right.subplots()).figure_ is right
    figure.savefig(tmp_path / "both.png", dpi=50)
    assert imread(tmp_path / "both.png").shape == (200, 400, 4)


def test_bad_recordings_are_refused(worm):
    with pytest.raises(ValueError, match=r"worm 'simulated-0' has no neuron 'VB09'; choose among .*AVAL"):
        RecordingDisplay(worm, neurons=["VB09"]).plot()
    with pytest.raises(ValueError, match="'simulated-0' is to be shown without neurons; choose among"):
        RecordingDisplay(worm, neurons=[]).plot()


@pytest.fixture
def trajectories():
    worms = make_worms(2, n_frames=120, random_state=0)
    frames, _ = make_frames(worms, neurons=["AVAL", "RID"], states=None, derivative="backward")
    _, states = make_frames(worms, neurons=["AVAL", "RID"], states="4", unknown="keep")
    return frames, states, *make_trajectories(frames, burn_in=2, horizon=6)


def test_errors_are_drawn_by_step_with_persistence(shuffled):
    steps = pd.concat(
        [
            shuffled.rename(columns={"accuracy": "mse"}).assign(step=step, persistence_mse=step * shuffled["macro_f1"])
            for step in (1, 2, 3)
        ]
    )
    display = TrajectoryErrorDisplay.from_results(steps, models={"mlp": "MLP", "svm": "SVM", "persistence": "Again"})
    draw(display)
    assert [axes.get_title() for axes in display.axes_] == ["held-out windows", "unseen worms"]
    assert set(display.lines_) == {
        (panel, model) for panel in ("held-out windows", "unseen worms") for model in ("mlp", "svm", "persistence")
    }
    line = display.lines_["unseen worms", "mlp"]
    np.testing.assert_allclose(line.get_ydata(), [0.82] * 3)
    np.testing.assert_allclose(display.lines_["unseen worms", "persistence"].get_ydata(), [0.45, 0.9, 1.35])
    assert display.lines_["unseen worms", "persistence"].get_linestyle() == "--"
    assert ("unseen worms", "persistence") not in display.bands_
    assert [text.get_text() for text in display.figure_.legends[0].get_texts()] == ["MLP", "SVM", "Again"]
    with pytest.raises(ValueError, match="no model 'gnn'"):
        TrajectoryErrorDisplay.from_results(steps, models={"gnn": "GNN"})
    with pytest.raises(ValueError, match=r"lacks the columns \['mse_trace'\]"):
        TrajectoryErrorDisplay.from_results(steps, score="mse_trace")


def test_predicted_traces_go_on_from_the_last_observed_frame(trajectories):
    frames, states, X, Y = trajectories
    predicted = {"gnn": Y.to_numpy() + 0.1, "persistence": np.tile(X.to_numpy()[:, -4:], 6)}
    models = {"mlp": "MLP", "gnn": "GNN", "persistence": "Again"}
    options = {"row": 20, "states": states, "models": models}
    display = TrajectoryDisplay(frames, Y, predicted, **options).plot()
    draw(display)
    worm, frame = Y.index[20]
    true = frames.loc[worm, "RID:trace"]
    line = display.lines_["RID", "gnn"]
    np.testing.assert_allclose(line.get_xdata(), np.arange(7) / frames.attrs["fps"][worm])
    np.testing.assert_allclose(line.get_ydata(), [true[frame], *(true.loc[frame + 1 : frame + 6] + 0.1)])
    # The second model of the legend has the second colour, though the first is not drawn here.
    assert to_rgb(line.get_color()) == to_rgb(LINE_COLORS[1])
    np.testing.assert_allclose(display.lines_["RID", "true"].get_ydata(), true.loc[frame - 16 : frame + 6])
    assert [text.get_text() for text in display.axes_[0].get_legend().get_texts()] == ["true", "GNN", "Again"]
    with pytest.raises(ValueError, match="no neuron 'ALA'; choose among AVAL, RID"):
        TrajectoryDisplay(frames, Y, predicted, row=0, neurons=["ALA"]).plot()
    with pytest.raises(ValueError, match="predictions of 'gnn' have shape"):
        TrajectoryDisplay(frames, Y, {"gnn": Y.iloc[:-1]}, row=0).plot()
    with pytest.raises(ValueError, match="frames have no traces; their columns are"):
        TrajectoryDisplay(frames.filter(like="derivative"), Y, predicted, row=0).plot()


@pytest.fixture
def on_manifold():
    X, y = make_frames(make_worms(2, n_frames=150, random_state=0), states="4", unknown="keep")
    return AsymmetricDiffusionMap(n_components=4).fit(X), X, y


def test_a_manifold_shows_its_first_coordinates_in_colours_of_states(on_manifold):
    manifold, X, y = on_manifold
    display = ManifoldDisplay.from_estimator(manifold, X, y)
    draw(display)
    pairs = [(0, 1), (0, 2), (1, 2)]
    assert set(display.lines_) == {(pair, state) for pair in pairs for state in y.unique()}
    for axes, (x_component, y_component) in zip(display.axes_, pairs, strict=True):
        assert axes.get_xlabel() == f"Manifold coordinate {x_component + 1}"
        assert axes.get_ylabel() == f"Manifold coordinate {y_component + 1}"
        for limits, component in ((axes.get_xlim(), x_component), (axes.get_ylim(), y_component)):
            shown = manifold.embedding_[:, component]
            assert limits[0] < shown.min() < shown.max() < limits[1]
            # The picture is filled: what is shown takes most of each axis.
            assert np.ptp(shown) > 0.8 * (limits[1] - limits[0])
        for text in (*axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label, axes.yaxis.label):
            assert text.get_rotation() in (0, 90)
    for (_, state), lines in display.lines_.items():
        np.testing.assert_allclose(lines.get_edgecolor()[0][:3], to_rgb(STATE_COLORS[state]))
    legend = display.figure_.legends[0]
    assert {text.get_text() for text in legend.get_texts()} == {state.replace("_", " ") for state in set(y)}


def test_lines_on_a_manifold_cross_neither_worms_nor_gaps(on_manifold):
    manifold, X, y = on_manifold
    frame = X.index.get_level_values("frame")
    kept = (frame < 60) | (frame >= 70)
    display = ManifoldDisplay.from_estimator(manifold, X[kept], y[kept])
    lines = [lines for (pair, _), lines in display.lines_.items() if pair == (0, 1)]
    drawn = {tuple(map(tuple, piece)) for own in lines for piece in own.get_segments()}
    points = [tuple(point) for point in display.embedding.to_numpy()[:, :2]]
    follows = np.diff(frame[kept]) == 1
    assert drawn == {(points[row], points[row + 1]) for row in np.flatnonzero(follows)}
    assert len(drawn) == 2 * (59 + 79)
    assert list(ManifoldDisplay(manifold.embedding_[:, :2]).plot().lines_) == [((0, 1), "trajectory")]


def test_a_manifold_that_cannot_be_drawn_is_refused(on_manifold):
    manifold, X, y = on_manifold
    with pytest.raises(ValueError, match="embedding has one coordinate, and a picture needs two"):
        ManifoldDisplay(manifold.embedding_[:, :1]).plot()
    with pytest.raises(ValueError, match=r"y has shape \(3,\), but there are 300 frames"):
        ManifoldDisplay(manifold.embedding_, states=y[:3]).plot()
    with pytest.raises(ValueError, match="ax holds 1 axes for 3 panels; pass one for each"):
        ManifoldDisplay.from_estimator(manifold, X, ax=Figure().subplots())
