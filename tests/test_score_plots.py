import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from sklearn.dummy import DummyClassifier

from skworm.paper.figures import mark_departure
from skworm.plotting import (
    ConfusionDisplay,
    ScoreCurveDisplay,
    TrajectoryErrorDisplay,
    WormScoresDisplay,
)


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
        for panel in ("unseen worms", "held-out windows")
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
    display = ConfusionDisplay(confusion).plot()
    assert [label.get_text() for label in display.axes_[0].get_yticklabels()] == ["forward", "reverse"]
    np.testing.assert_array_equal(display.images_["GNN"].get_array(), [[100, 0], [20, 80]])
    assert [text.get_text() for text in display.axes_[0].texts] == ["100", "0", "20", "80"]
    assert "(%)" in display.colorbar_.ax.get_ylabel()
    assert inside(display.figure_)


def test_a_state_that_is_never_labelled_has_no_numbers(confusion):
    turned = pd.DataFrame([{"panel": "MLP", "state": "forward", "predicted": "turn", "percent": 0.0}])
    display = ConfusionDisplay(pd.concat([confusion, turned])).plot()
    assert np.ma.getmaskarray(display.images_["MLP"].get_array())[2].all()
    assert len(display.axes_[0].texts) == 6


def test_bad_confusion_is_refused(confusion):
    with pytest.raises(ValueError, match=r"lacks the columns \['percent'\]"):
        ConfusionDisplay(confusion.drop(columns="percent")).plot()
    with pytest.raises(ValueError, match="several rows for 'reverse' taken for 'forward' in panel 'MLP'; average"):
        ConfusionDisplay(pd.concat([confusion, confusion])).plot()
    with pytest.raises(ValueError, match="ax holds 1 axes for 3 panels; pass one for each"):
        ConfusionDisplay(confusion).plot(ax=ConfusionDisplay(confusion).plot().axes_[:1])


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


def test_confusion_of_predictions_is_the_mean_over_worms_that_show_a_state():
    y = pd.Series(
        ["forward"] * 4 + ["forward", "reverse", "unknown"],
        index=pd.MultiIndex.from_arrays([list("aaaabbb"), [0, 1, 2, 3, 0, 1, 2]], names=["worm", "frame"]),
    )
    predicted = ["forward", "forward", "forward", "reverse", "reverse", "reverse", "forward"]
    image = ConfusionDisplay.from_predictions(y, predicted).images_[""]
    np.testing.assert_allclose(image.get_array(), [[37.5, 62.5], [0, 100]])
    as_one = ConfusionDisplay.from_predictions(y.to_numpy(), predicted).images_[""]
    np.testing.assert_allclose(as_one.get_array(), [[60, 40], [0, 100]])
    with pytest.raises(ValueError, match=r"predictions of 'GNN' have shape \(2,\), but y_true has \(7,\)"):
        ConfusionDisplay.from_predictions(y, {"GNN": predicted[:2]})
    with pytest.raises(ValueError, match="no frame with a known state"):
        ConfusionDisplay.from_predictions(["unknown"], ["forward"])


def test_confusion_of_a_classifier_has_its_name_and_its_worms():
    X = pd.DataFrame(
        {"a": [0.0, 0, 1, 1]}, index=pd.MultiIndex.from_product([["a", "b"], [0, 1]], names=["worm", "frame"])
    )
    y = np.array(["forward", "forward", "forward", "reverse"])
    always = DummyClassifier(strategy="constant", constant="forward").fit(X, y)
    display = ConfusionDisplay.from_estimator(always, X, y)
    assert display.axes_[0].get_title() == "DummyClassifier"
    np.testing.assert_allclose(display.images_["DummyClassifier"].get_array(), [[100, 0], [100, 0]])


def test_training_worms_are_counted():
    results = pd.DataFrame(
        {"model": "GNN", "evaluation": "unseen_worms", "worm": list("cdcd"),
         "train_worms": [("a+z",), ("a+z",), ("a+z", "b"), ("a+z", "b")],
         "macro_f1": [0.5, 0.7, 0.8, 0.9]}
    )  # fmt: skip
    display = ScoreCurveDisplay.from_results(results, score="macro_f1")
    line = display.lines_["unseen worms", "GNN"][0]
    np.testing.assert_allclose(line.get_xdata().astype(float), [1, 2])
    np.testing.assert_allclose(line.get_ydata().astype(float), [60, 85])
    assert display.axes_[0].get_ylabel() == "Macro F1 (%)"
    assert display.axes_[0].get_xlabel() == "Training worms (number)"
    with pytest.raises(ValueError, match=r"lacks the columns \['train_worms'\]; pass that of cross_validate_worms"):
        ScoreCurveDisplay.from_results(results.drop(columns="train_worms"), score="macro_f1")
    with pytest.raises(ValueError, match=r"'train_worms' holds 'a\+b', which is not a tuple of worms"):
        ScoreCurveDisplay.from_results(results.assign(train_worms="a+b"), score="macro_f1")
    with pytest.raises(ValueError, match="no model 'MLP'; choose among GNN"):
        ScoreCurveDisplay.from_results(results, score="macro_f1", models={"MLP": "MLP"})


def test_no_panel_of_errors_cuts_off_what_another_one_shows():
    rows = [("a", 1, 0.01), ("a", 2, 0.02), ("b", 1, 0.5), ("b", 2, 0.9)]
    results = pd.DataFrame(rows, columns=["evaluation", "step", "mse"]).assign(model="gnn", worm="w")
    display = TrajectoryErrorDisplay.from_results(results)
    for axes in display.axes_:
        low, high = axes.get_ylim()
        assert low == 0
        assert high > 0.9


def test_narrow_confusion_matrices_leave_no_empty_page():
    states = ["forward", "reverse", "dorsal_turn", "ventral_turn"] * 5
    display = ConfusionDisplay.from_predictions(states, dict.fromkeys(("svm", "mlp", "gnn"), states))
    display.plot(width=3.35)
    FigureCanvasAgg(display.figure_).draw()
    assert display.figure_.get_tightbbox().height > 0.9 * display.figure_.get_figheight()
