import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from skworm.experiments.report import mark_departure
from skworm.plotting import ConfusionDisplay, ScoreCurveDisplay, WormScoresDisplay


@pytest.fixture
def confusion():
    rows = [
        {"panel": panel, "state": state, "predicted": predicted, "percent": percent}
        for panel in ("MLP", "GNN", "SVM")
        for state, predicted, percent in (("reverse", "forward", 20.0), ("reverse", "reverse", 80.0),
                                          ("forward", "forward", 100.0))
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture
def scores():
    rows = [
        {"panel": panel, "model": model, "worm": worm, "x": x, "score": 0.5 + 0.1 * x + 0.02 * place}
        for panel in ("unseen worms", "held out windows")
        for model in ("MLP", "GNN")
        for place, worm in enumerate("abc")
        for x in (1, 2)
    ]
    return pd.DataFrame(rows)


def inside(figure):
    """Tell whether everything that is drawn fits on the figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    box = figure.get_tightbbox(canvas.get_renderer())
    width, height = figure.get_size_inches()
    return box.x0 > -0.05 and box.y0 > -0.05 and box.x1 < width + 0.05 and box.y1 < height + 0.05


def test_confusion_stands_in_the_order_of_states_and_fills_in_zeros(confusion):
    display = ConfusionDisplay.from_confusion(confusion)
    assert [label.get_text() for label in display.axes_[0].get_yticklabels()] == ["forward", "reverse"]
    np.testing.assert_array_equal(display.images_["GNN"].get_array(), [[100, 0], [20, 80]])
    assert [text.get_text() for text in display.axes_[0].texts] == ["100", "0", "20", "80"]
    assert "(%)" in display.colorbar_.ax.get_ylabel()
    assert inside(display.figure_)


def test_a_state_that_is_never_labelled_has_no_numbers(confusion):
    display = ConfusionDisplay.from_confusion(confusion, states=["forward", "reverse", "turn"])
    assert np.ma.getmaskarray(display.images_["MLP"].get_array())[2].all()
    assert len(display.axes_[0].texts) == 6


def test_bad_confusion_is_refused(confusion):
    with pytest.raises(ValueError, match="no column 'percent'; it needs panel, state"):
        ConfusionDisplay.from_confusion(confusion.drop(columns="percent"))
    with pytest.raises(ValueError, match="several rows for 'reverse' taken for 'forward' in panel 'MLP'; average"):
        ConfusionDisplay.from_confusion(pd.concat([confusion, confusion]))
    with pytest.raises(ValueError, match="ax holds 1 axes for 3 panels; pass one for each"):
        ConfusionDisplay.from_confusion(confusion, ax=ConfusionDisplay.from_confusion(confusion).axes_[:1])


def test_curves_show_means_over_worms_and_a_dot_a_worm(scores):
    reference = {("unseen worms", "GNN", 2): 0.9}
    display = ScoreCurveDisplay(scores, xlabel="Training worms (number)", reference=reference).plot()
    line, _, bars = display.lines_["unseen worms", "GNN"]
    np.testing.assert_allclose(line.get_ydata().astype(float), [62, 72])
    upper = [float(segment[1, 1]) for segment in bars[0].get_segments()]
    np.testing.assert_allclose(upper, [64, 74])
    assert len(display.dots_["unseen worms", "MLP"].get_xdata()) == 6
    assert display.references_["unseen worms", "GNN", 2].get_ydata()[0] == pytest.approx(90)
    assert display.axes_[0].get_ylabel() == "Accuracy (%)"
    assert inside(display.figure_)
    with pytest.raises(ValueError, match="ax holds 1 axes for 2 panels"):
        display.plot(ax=display.axes_[0])


def test_curves_can_be_logarithmic(scores):
    display = ScoreCurveDisplay(scores, xlabel="Temperature", log=True).plot()
    assert display.axes_[0].get_xscale() == "log"
    assert [label.get_text() for label in display.axes_[0].get_xticklabels()] == ["1", "2"]


def test_long_labels_and_notes_stay_on_the_figure():
    label = "GNN, virtual worms, without AVA"
    results = pd.DataFrame(
        {"model": [label, label, "Majority", "Majority"], "evaluation": "unseen_worms", "worm": list("abab"),
         "accuracy": [0.8, 0.9, 0.4, 0.5]}
    )  # fmt: skip
    reference = {("unseen worms", label): 0.7}
    display = WormScoresDisplay.from_results(
        results, baseline="Majority", reference=reference, reference_label="Wang et al. 2021 (real worms)"
    )
    mark_departure(display.figure_, "1 of 10 folds, 150 of 800 epochs and some combinations of training worms")
    assert inside(display.figure_)
