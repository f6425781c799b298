"""Every display, drawn: units, legends, colours of states, texts that can be read; some against reference pictures."""

import re
import runpy
import subprocess
from dataclasses import replace
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import matplotlib.figure
import matplotlib.style
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.testing.compare import compare_images
from matplotlib.text import Text
from sklearn.naive_bayes import GaussianNB

import skworm.plotting as displays
from skworm import AsymmetricDiffusionMap
from skworm.datasets import load_connectome, make_worms
from skworm.frames import PAPER_NEURONS, make_behavior, make_frames, make_trajectories

pytestmark = pytest.mark.slow

BASELINE = Path(__file__).parent / "baseline"
UNIT = re.compile(r"\((s|min|frames|%|ΔF/F|mm/s|number|fraction|probability|scaled|scaled features)\)$")
# Numbers that are compared with each other only.
NO_UNIT = re.compile(r"Edge weight|Correlation|Synapses and gap junctions|Manifold coordinate \d|ΔF/F")


@lru_cache
def worms():
    return make_worms(2, n_frames=400, random_state=0)


@lru_cache
def frames(states="4", **options):
    return make_frames(worms(), states=states, unknown="keep", **options)


def mistaken(y, share, seed):
    """States with bouts of mistakes."""
    rng = np.random.RandomState(seed)
    begins = rng.random_sample(len(y)) < share / 8
    wrong = np.convolve(begins, np.ones(8))[: len(y)] > 0
    return np.where(wrong, rng.permutation(y), y)


def scores(x, numbers, models, evaluations=("held_out_windows", "unseen_worms")):
    rng = np.random.RandomState(0)
    return pd.DataFrame(
        [
            {"model": model, "evaluation": evaluation, "worm": worm, x: number,
             "accuracy": 0.6 + 0.08 * place + 0.03 * step + 0.05 * rng.random_sample()}
            for place, model in enumerate(models)
            for evaluation in evaluations
            for worm in ("worm-a", "worm-b", "worm-c")
            for step, number in enumerate(numbers)
        ]
    )  # fmt: skip


def recording():
    return displays.RecordingDisplay(worms()[0]).plot()


def traces():
    return displays.TraceDisplay(worms()[0], neurons=["AVAL", "RID", "VB02"]).plot()


def ethogram():
    X, y = frames("7")
    return displays.EthogramDisplay.from_predictions(
        y, {"GNN": mistaken(y, 0.1, 0), "MLP": mistaken(y, 0.3, 1)}, fps=X.attrs["fps"]
    )


def ethogram_of_new_worms():
    table = pd.concat([pd.DataFrame({"worm": w.worm, "time": w.time, "state": w.states}) for w in worms()])
    return displays.EthogramDisplay(table).plot()


def confusion():
    y = frames()[1]
    return displays.ConfusionDisplay.from_predictions(y, {"GNN": mistaken(y, 0.1, 0), "MLP": mistaken(y, 0.4, 1)})


def confusion_of_a_classifier():
    X, y = frames("7")
    return displays.ConfusionDisplay.from_estimator(GaussianNB().fit(X, y), X, y)


def training_worms():
    results = scores("train_worms", [tuple("abcd"[:n]) for n in (1, 2, 3, 4)], ["clock", "MLP", "GNN"])
    return displays.ScoreCurveDisplay.from_results(
        results, reference={("unseen worms", "GNN", 1): 0.72}, reference_label="Wang et al. 2021"
    )


def labelled_seconds():
    names = {"evaluation": "panel", "accuracy": "score"}
    results = scores("x", [0, 10, 30, 60, 120], ["MLP", "GNN"], ["new worm"]).rename(columns=names)
    return displays.ScoreCurveDisplay(results, xlabel="Labelled time of the new worm (s)").plot()


def scores_of_worms():
    return displays.WormScoresDisplay.from_results(scores("fold", [0, 1], ["clock", "SVM", "MLP", "GNN"]))


def errors_by_step():
    results = scores("step", range(1, 17), ["mlp", "gnn", "linear"])
    results["mse"] = 0.01 * (2 - results["accuracy"]) * np.sqrt(results["step"])
    results["persistence_mse"] = 0.018 * np.sqrt(results["step"])
    models = {"mlp": "MLP", "gnn": "GNN", "linear": "linear", "persistence": "persistence"}
    return displays.TrajectoryErrorDisplay.from_results(results, models=models)


def trajectory():
    X, y = frames("4", derivative="backward")
    inputs, Y = make_trajectories(X, burn_in=1, horizon=16)
    predicted = {"gnn": Y.to_numpy() + 0.05, "persistence": np.tile(inputs.to_numpy(), 16)}
    return displays.TrajectoryDisplay(X, Y, predicted, row=60, states=y).plot()


def behavior():
    velocity = make_behavior(worms(), frames()[0])
    predicted = {"ridge": 0.8 * velocity, "gnn": 0.9 * velocity + 0.01}
    return displays.BehaviorDisplay(worms()[0], velocity, predicted, unit="mm/s").plot()


def graph():
    return displays.GraphDisplay(
        load_connectome("white1986", PAPER_NEURONS),
        reference=load_connectome("cook2019", PAPER_NEURONS),
        reference_label="edge in Cook et al. 2019",
        label="Synapses and gap junctions",
    ).plot()


def signed_graph():
    X, _ = frames()
    traces = X.filter(like=":trace").rename(columns=lambda name: name.split(":")[0])
    return displays.GraphDisplay(traces.corr(), reference=load_connectome(), label="Correlation").plot()


def manifold(n_components=3):
    X, y = frames()
    return displays.ManifoldDisplay.from_estimator(AsymmetricDiffusionMap(n_components=n_components).fit(X), X, y)


def flat_manifold():
    return manifold(2)


def reliability():
    y = frames("2")[1]
    rng = np.random.RandomState(0)
    sure = 0.5 + 0.5 * rng.random_sample(len(y))
    right = rng.random_sample(len(y)) < 0.1 + 0.8 * sure
    forward = np.where(right == (y == "forward"), sure, 1 - sure)
    both = np.column_stack([forward, 1 - forward])
    models = {"GNN": both, "GNN, scaled": 0.5 + 0.7 * (both - 0.5)}
    return displays.ReliabilityDisplay.from_predictions(y, models, classes=["forward", "reverse"])


def own_states(draw):
    """Draw a worm that roams and dwells, in states that skworm does not know."""
    worm = worms()[0]
    named = np.where(np.arange(worm.n_frames) // 40 % 2, "roaming", "dwelling")
    X, _ = frames()
    y = pd.Series(np.tile(named, 2), index=X.index)
    velocity = make_behavior(worms(), X)
    inputs, Y = make_trajectories(frames("4", derivative="backward")[0], burn_in=1, horizon=16)
    return {
        "recording": lambda: displays.RecordingDisplay(replace(worm, states=named)),
        "traces": lambda: displays.TraceDisplay(replace(worm, states=named), neurons=["AVAL"]),
        "ethogram": lambda: displays.EthogramDisplay(pd.DataFrame({"worm": "a", "time": worm.time, "state": named})),
        "confusion": lambda: displays.ConfusionDisplay.from_predictions(named, named),
        "manifold": lambda: displays.ManifoldDisplay(X.iloc[:, :2].to_numpy(), states=y.to_numpy()),
        "behavior": lambda: displays.BehaviorDisplay(replace(worm, states=named), velocity, {}),
        "trajectory": lambda: displays.TrajectoryDisplay(
            frames("4", derivative="backward")[0], Y, {"persistence": np.tile(inputs, 16)}, row=30, states=y
        ),
    }[draw]().plot()


PICTURES = {
    draw.__name__: draw
    for draw in (
        recording, traces, ethogram, ethogram_of_new_worms, confusion, confusion_of_a_classifier, training_worms,
        labelled_seconds, scores_of_worms, errors_by_step, trajectory, behavior, graph, signed_graph, manifold,
        flat_manifold, reliability,
    )
}  # fmt: skip
# Root mean square of the difference of pixels, of 255. From matplotlib 3.8 to 3.11 it is 0, but for cells of imshow,
# whose borders lie a pixel further in some versions (9); a line in another colour gives 2.4, a transposed graph 21.
COMPARED = {"recording": 2, "training_worms": 2, "errors_by_step": 2, "reliability": 2, "confusion": 12, "graph": 12}


COLUMN = 85 / 25.4


@lru_cache
def drawn(name, width=None):
    with matplotlib.style.context("default"):
        display = PICTURES[name]()
        if width is not None:
            display.plot(width=width)
        FigureCanvasAgg(display.figure_).draw()
    return display


def axes_of(figure):
    """All axes, those that stand inside others too."""
    waiting, found = list(figure.axes), []
    while waiting:
        axes = waiting.pop()
        if axes not in found:
            found.append(axes)
            waiting += axes.child_axes
    return found


def legends_of(figure):
    return [*figure.legends, *filter(None, (axes.get_legend() for axes in axes_of(figure)))]


def tick_labels(axis):
    """Tick labels that are seen."""
    if not axis.axes.axison or not axis.axes.get_visible():
        return []
    low, high = sorted(axis.get_view_interval())
    edge = 1e-6 * (high - low)
    ticks = [tick for tick in axis.get_major_ticks() if low - edge <= tick.get_loc() <= high + edge]
    labels = [label for tick in ticks for label in (tick.label1, tick.label2)]
    return [label for label in labels if label.get_visible() and label.get_text()]


def is_number(text):
    return re.fullmatch(r"[-−]?\d+(\.\d+)?|\$.*\d.*\$", text.get_text()) is not None


def boxes(texts):
    """Where texts stand, in pixels, turned so that they all lie flat."""
    found = []
    for text in texts:
        angle = text.get_rotation()
        if angle % 90 == 0:
            found.append(text.get_window_extent().padded(-0.5))
            continue
        # Turned about its anchor, a slanted text covers what the flat one covers around the turned anchor.
        turn = np.radians(-angle)
        anchor = text.get_transform().transform(text.get_unitless_position())
        turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ anchor
        text.set_rotation(0)
        found.append(text.get_window_extent().translated(*(turned - anchor)).padded(-0.5))
        text.set_rotation(angle)
    return found


def collisions(named_boxes):
    return [(one, other) for (one, a), (other, b) in combinations(named_boxes, 2) if a.overlaps(b)]


def test_every_display_is_drawn_here():
    classes = {name for name in displays.__all__ if name.endswith("Display")} - {"Display"}
    assert {type(drawn(name)).__name__ for name in PICTURES} == classes


@pytest.mark.parametrize("name", PICTURES)
def test_every_display_goes_into_given_axes(name):
    display = PICTURES[name]()
    n_axes = len(display.axes_)
    figure = matplotlib.figure.Figure(figsize=(5 * n_axes, 5), layout="constrained")
    axes = figure.subplots(1, n_axes, squeeze=False)[0]
    n_own = len(legends_of(display.figure_))
    display.plot(ax=axes if n_axes > 1 else axes[0])
    FigureCanvasAgg(figure).draw()
    assert display.figure_ is figure
    assert list(display.axes_) == list(axes)
    assert not figure.legends
    assert len(legends_of(figure)) == n_own
    many = figure.add_gridspec(1, n_axes + 1).subplots()
    with pytest.raises(ValueError, match=f"ax holds {n_axes + 1} axes for {n_axes} "):
        display.plot(ax=many)


@pytest.mark.parametrize("name", PICTURES)
def test_axes_of_numbers_have_a_label_with_the_unit(name):
    n_labels = 0
    for axes in axes_of(drawn(name).figure_):
        for letter, axis in {"x": axes.xaxis, "y": axes.yaxis}.items():
            if any(map(is_number, tick_labels(axis))):
                label = axis.get_label().get_text()
                assert UNIT.search(label) or NO_UNIT.fullmatch(label), f"{letter} axis: {label!r}"
                n_labels += 1
    assert n_labels


@pytest.mark.parametrize("name", PICTURES)
def test_lines_are_seen_on_a_dark_page(name):
    with matplotlib.style.context("dark_background"):
        figure = PICTURES[name]().figure_
        for axes in axes_of(figure):
            for line in axes.lines:
                assert to_hex(line.get_color()) != "#000000", line.get_label()


@pytest.mark.parametrize("name", PICTURES)
def test_several_lines_have_a_legend(name):
    figure = drawn(name).figure_
    most = 0
    handles = [handle for legend in legends_of(figure) for handle in legend.findobj() if hasattr(handle, "get_color")]
    explained = {to_hex(handle.get_color()) for handle in handles if not isinstance(handle, Text)}
    for axes in axes_of(figure):
        data = [line for line in axes.lines if line.get_transform() == axes.transData and line.get_zorder() > 0]
        colors = {to_hex(line.get_color()) for line in data}
        most = max(most, len(colors))
        assert len(colors) < 2 or colors <= explained
    assert most >= 2 or name not in ("training_worms", "errors_by_step", "labelled_seconds", "behavior")


@pytest.mark.parametrize("name", PICTURES)
def test_states_have_the_same_colour_in_every_legend(name):
    n_states = 0
    for legend in legends_of(drawn(name).figure_):
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
            state = text.get_text().replace(" ", "_")
            if state in displays.STATE_COLORS:
                color = handle.get_facecolor() if hasattr(handle, "get_facecolor") else handle.get_color()
                assert to_hex(color) == displays.STATE_COLORS[state].lower()
                n_states += 1
    assert n_states or name not in (
        "recording",
        "traces",
        "ethogram",
        "ethogram_of_new_worms",
        "trajectory",
        "manifold",
    )


@pytest.mark.parametrize("draw", ["recording", "traces", "ethogram", "confusion", "manifold", "behavior", "trajectory"])
def test_own_states_are_drawn_in_the_same_colours_everywhere(draw):
    display = own_states(draw)
    FigureCanvasAgg(display.figure_).draw()
    if draw == "confusion":
        assert [label.get_text() for label in display.axes_[0].get_yticklabels()] == ["dwelling", "roaming"]
        return
    found = {}
    for legend in legends_of(display.figure_):
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
            color = handle.get_facecolor() if hasattr(handle, "get_facecolor") else handle.get_color()
            found[text.get_text()] = to_hex(color).upper()
    expected = displays.STATE_COLORS
    assert {name: found[name] for name in ("dwelling", "roaming")} == {
        "dwelling": expected["forward"],
        "roaming": expected["reverse"],
    }


@pytest.mark.parametrize("width", [None, COLUMN])
@pytest.mark.parametrize("name", PICTURES)
def test_texts_neither_overlap_nor_leave_the_figure(name, width):
    figure = drawn(name, width).figure_
    assert width is None or figure.get_size_inches()[0] <= width + 1e-9
    flat, legends = {}, legends_of(figure)
    for axes in axes_of(figure):
        for axis in (axes.xaxis, axes.yaxis):
            labels = tick_labels(axis)
            assert not collisions([(label.get_text(), box) for label, box in zip(labels, boxes(labels), strict=True)])
            flat |= {id(label): label for label in labels}
            if axes.axison and axis.get_label().get_text():
                flat[id(axis.get_label())] = axis.get_label()
        titles = [axes.title, *axes.texts]
        flat |= {id(text): text for text in titles if text.get_text() and text.get_visible()}
    texts = [text for text in flat.values() if text.get_rotation() % 90 == 0]
    named = [(text.get_text(), box) for text, box in zip(texts, boxes(texts), strict=True)]
    named += [("legend", legend.get_window_extent().padded(-0.5)) for legend in legends]
    assert not collisions(named)
    for text in [*flat.values(), *(text for legend in legends for text in legend.get_texts())]:
        box = text.get_window_extent()
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.x1, text
        assert box.y1 <= figure.bbox.y1, text
        assert text.get_fontsize() >= 6, text


def without_texts(name):
    """Draw what no font moves: versions of matplotlib set texts by some pixels differently, and the axes by them."""
    figure = PICTURES[name]().figure_
    # Whole pixels, however a version rounds.
    figure.set_size_inches(np.round(figure.get_size_inches(), 1))
    figure.set_layout_engine("none")
    for legend in legends_of(figure):
        legend.remove()
    for axes in axes_of(figure):
        if axes in figure.axes:
            place = axes.get_subplotspec()
            axes.set_position((0.93, 0.1, 0.03, 0.8) if place is None else place.get_position(figure))
            axes.set_aspect("auto")
        axes.tick_params(which="both", labelleft=False, labelright=False, labelbottom=False, labeltop=False)
    for text in figure.findobj(Text):
        text.set_visible(False)
    return figure


@pytest.mark.parametrize("name", COMPARED)
def test_a_picture_looks_like_its_reference(name, request, tmp_path):
    path, expected = tmp_path / f"{name}.png", BASELINE / f"{name}.png"
    with matplotlib.style.context("default"):
        without_texts(name).savefig(path, dpi=60, metadata={"Software": None})
    if request.config.getoption("--update-baseline"):
        expected.write_bytes(path.read_bytes())
    assert expected.stat().st_size < 30_000
    assert compare_images(expected, path, tol=COMPARED[name]) is None


@pytest.fixture
def script():
    return runpy.run_path(str(Path(__file__).parents[1] / "tools" / "make_pictures.py"))


def test_every_picture_of_a_page_is_made_by_the_kept_script(script):
    root = Path(__file__).parents[1]
    pages = [root / "README.md", *(root / "docs").glob("*.md")]
    shown = {name for page in pages for name in re.findall(r"\]\((?:docs/)?(\w+)\.png\)", page.read_text())}
    assert set(script["PICTURES"]) == shown == {path.stem for path in (root / "docs").glob("*.png")}
    for picture in script["PICTURES"].values():
        assert all(words[0] == "-c" or Path(words[0]).is_file() for words in picture.commands)


def test_a_picture_takes_its_place_once_it_is_whole(script, tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    place = tmp_path / "docs" / "bars.png"
    place.write_text("old")
    monkeypatch.setitem(script["make"].__globals__, "ROOT", tmp_path)
    write = "import sys; open('a.png', 'w').write(sys.argv[1]); sys.exit(int(sys.argv[2]))"
    for code, found in ((1, "old"), (0, "my worms")):
        picture = script["Picture"]((("-c", write, "{data}", str(code)),))
        monkeypatch.setitem(script["PICTURES"], "bars", picture)
        if code:
            with pytest.raises(subprocess.CalledProcessError):
                script["make"]("bars", Path("my worms"))
        else:
            script["make"]("bars", Path("my worms"))
        assert place.read_text() == found
