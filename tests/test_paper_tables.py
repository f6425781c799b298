"""Tables of experiments, on scores that are made up."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from skworm.datasets import make_worms
from skworm.model_selection import WormScores
from skworm.paper.declaration import PAPER_TABLE_1, with_paper
from skworm.paper.figures import dots_figure
from skworm.paper.models import STATE_MODELS
from skworm.paper.study import Arm, Settings, Study
from skworm.paper.tables import (
    compare_arms,
    confusion_table,
    confusion_texts,
    lay_out,
    markdown,
    parts_in_words,
    score_text,
    sentences_of,
    table_of_arms,
    texts_of_scores,
    texts_of_trajectories,
)

NEURONS = ("AVAL", "RID")


def arm(name, block="2 states", against=None, **options):
    label = STATE_MODELS[name].label if name in STATE_MODELS else name
    return Arm(block, name, label, None, "2", 1, NEURONS, against=against, **options)


def study_of(n_worms=3, **settings):
    worms = make_worms(n_worms, n_frames=30, neurons=NEURONS, random_state=0)
    return Study(Settings(**settings), worms, NEURONS)


def scores_of(arms, worms="abc", seed=0, better=(), baselines=("clock", "majority"), folds=("shuffled_windows",)):
    rng = np.random.default_rng(seed)
    names = [(each.block, each.name) for each in arms]
    names += [(block, name) for block in dict.fromkeys(each.block for each in arms) for name in baselines]
    rows = [
        {
            "block": block,
            "model": name,
            "train_worms": (train,),
            "fold": 0,
            "evaluation": "held_out_windows" if worm == train else "unseen_worms",
            "worm": worm,
            "n_frames": 10,
            "accuracy": 0.5 + 0.1 * (name in better) + 0.01 * rng.random(),
            "fold_by": fold_by,
            "n_train_worms": 1,
            "n_neurons": len(NEURONS),
            "states": "2",
        }
        for fold_by in folds
        for block, name in names
        for train in worms
        for worm in worms
    ]
    return WormScores(pd.DataFrame(rows))


def tables_of(arms, scores, **settings):
    study = study_of(**settings)
    compared = compare_arms(study, arms, scores)
    return compared, table_of_arms(study, arms, scores, compared)


def test_the_table_takes_worms_as_the_unit_and_puts_baselines_last():
    arms = [arm("svm"), arm("mlp")]
    scores = scores_of(arms)
    _, table = tables_of(arms, scores)
    assert table["label"].unique().tolist() == ["SVM", "MLP", "Clock", "Majority"]
    rows = scores.table.query("model == 'mlp' and evaluation == 'unseen_worms'")
    by_worm = rows.groupby("worm")["accuracy"].mean()
    cell = table.query("model == 'mlp' and evaluation == 'unseen_worms'").iloc[0]
    assert (cell["n_worms"], cell["n_fits"], cell["n_neurons"]) == (3, 3, 2)
    np.testing.assert_allclose([cell["accuracy_mean"], cell["accuracy_std"]], [by_worm.mean(), by_worm.std()])
    assert cell["accuracy_low"] < cell["accuracy_mean"] < cell["accuracy_high"]
    assert (table.query("model == 'clock'")["n_neurons"] == 0).all()


def test_numbers_of_the_paper_are_beside_its_own_models_only():
    paper = {"held_out_windows": (98.8, 0.4), "unseen_worms": (82.8, 7.6)}
    folds = ("shuffled_windows", "contiguous_blocks")
    arms = [arm("svm", paper=paper), arm("mlp")]
    _, table = tables_of(arms, scores_of(arms, folds=folds), fold_by=folds)
    # Unseen worms are scored by the fits of the first kind of fold.
    assert len(table) == 4 * 3
    published = table.dropna(subset=["paper_mean"])
    assert published[["model", "evaluation", "fold_by", "paper_mean", "paper_std"]].to_numpy().tolist() == [
        ["svm", "held_out_windows", "shuffled_windows", 98.8, 0.4],
        ["svm", "unseen_worms", "shuffled_windows", 82.8, 7.6],
    ]


def test_numbers_of_the_paper_are_for_its_own_states_and_training_worms():
    assert with_paper(arm("svm")).paper == PAPER_TABLE_1["svm"]
    assert with_paper(arm("gnn-published")).paper == PAPER_TABLE_1["gnn"]
    for other in (Arm("", "svm", "", None, "4", 1, ()), Arm("", "svm", "", None, "2", 2, ()), arm("another")):
        assert with_paper(other).paper == {}


def test_cells_read_mean_plus_minus_deviation():
    arms = [arm("svm", paper={"unseen_worms": (82.8, 7.6)})]
    scores = scores_of(arms, "bc", baselines=())
    scores.table["accuracy"] = scores.table["worm"].map({"b": 0.9, "c": 1.0})
    _, table = tables_of(arms, scores)
    (texts,) = texts_of_scores(table).values()
    assert texts.loc["SVM", "unseen worms"] == "95.0 ± 7.1 [82.8 ± 7.6]\n(90.0 to 100.0)"
    assert "95.0 ± 7.1 [82.8 ± 7.6]" in lay_out(texts)
    assert "| 95.0 ± 7.1 [82.8 ± 7.6] (90.0 to 100.0)" in markdown(texts)
    alone = scores.where(evaluation="unseen_worms", worm="b")
    _, table = tables_of(arms, alone)
    assert texts_of_scores(table)["2 states"].loc["SVM", "unseen worms"] == "90.0 [82.8 ± 7.6]"


def test_a_pipe_character_does_not_end_a_table_cell():
    texts = pd.DataFrame({"a|b": ["1 | 2"]}, index=["x|y"])
    assert markdown(texts).splitlines()[-1].count(r"\|") == 2
    assert score_text(-0.0001, np.nan, np.nan, np.nan) == "0.0"


def test_kinds_of_folds_have_columns_of_their_own():
    folds = ("shuffled_windows", "contiguous_blocks")
    arms = [arm("svm"), arm("mlp")]
    _, table = tables_of(arms, scores_of(arms, folds=folds), fold_by=folds)
    (texts,) = texts_of_scores(table).values()
    assert list(texts) == [
        "held-out windows, shuffled windows",
        "held-out windows, contiguous blocks",
        "unseen worms",
    ]


def test_the_figure_has_a_panel_for_each_evaluation_and_the_papers_numbers():
    arms = [arm("svm", paper={"unseen_worms": (82.8, 7.6)}), arm("mlp")]
    titles = []
    for folds in (("shuffled_windows",), ("shuffled_windows", "contiguous_blocks")):
        scores = scores_of(arms, folds=folds)
        _, table = tables_of(arms, scores, fold_by=folds)
        titles.append([axes.get_title() for axes in dots_figure(arms, scores, table).axes])
    held_out = ["held-out windows,\nshuffled windows", "held-out windows,\ncontiguous blocks"]
    assert titles == [["unseen worms"], [*held_out, "unseen worms"]]


def test_holm_corrects_over_all_comparisons_of_a_block():
    arms = [arm("SVM"), arm("SVM+", against="SVM"), arm("MLP"), arm("MLP+", against="MLP")]
    scores = scores_of(arms, "abcdef", better=("SVM+", "MLP+"))
    compared, table = tables_of(arms, scores)
    better = table.query("evaluation == 'unseen_worms'").set_index("label").loc[["SVM+", "MLP+"]]
    assert better["p_sign_flip"].tolist() == [2 / 2**6] * 2
    assert better["p_adjusted"].tolist() == [2 * 2 / 2**6] * 2
    assert better["wins"].tolist() == [6, 6]
    assert better["difference"].between(0.08, 0.12).all()
    assert better["against"].tolist() == ["SVM", "MLP"]
    first, second = sentences_of(compared, arms)
    assert first.startswith("2 states: SVM+ has an accuracy of")
    assert "differs from SVM by" in first
    assert "differs from MLP by" in second
    (texts,) = texts_of_scores(table).values()
    assert texts.loc["SVM+", "difference, unseen worms"].endswith("6/6 worms, p 0.031 (Holm 0.062)")
    assert texts.loc["SVM", "difference, unseen worms"] == ""


def test_arms_that_are_compared_with_nothing_have_no_sentences():
    arms = [arm("svm")]
    compared, table = tables_of(arms, scores_of(arms))
    assert len(compared) == 0
    assert sentences_of(compared, arms) == []
    assert "difference" not in table


@pytest.fixture(scope="module")
def trajectories():
    rows = []
    for model, error in {"default": 0.6, "two layers": 0.5, "linear": 0.1}.items():
        for train, worm in permutations("abc", 2):
            # Two layers are best on every worm but b.
            own = 0.9 if model == "two layers" and worm == "b" else error
            for step in (1, 2, 8, 16):
                rows.append({"model": model, "train_worms": (train,), "worm": worm, "step": step, "mse": own})
    shared = {"fold": 0, "evaluation": "unseen_worms", "persistence_mse": 1.0, "n_trajectories": 5, "block": "b"}
    shared |= {"mse_trace": 0.25, "persistence_mse_trace": 0.5}
    place = {"states": "4", "fold_by": "contiguous_blocks", "n_train_worms": 1, "n_neurons": 2, "burn_in": 1}
    return WormScores(pd.DataFrame(rows).assign(**shared, **place))


def test_the_table_of_trajectories_is_the_skill_on_unseen_worms(trajectories):
    arms = [
        Arm("b", name, name, None, "4", 1, NEURONS, fold_by="contiguous_blocks", burn_in=1)
        for name in ("default", "two layers")
    ]
    _, table = tables_of(arms, trajectories, fold_by=("contiguous_blocks",))
    assert set(table["step"]) == {1, 8, 16}
    assert table["label"].unique().tolist() == ["default", "two layers", "Linear"]
    skills = table.set_index(["model", "step"])
    assert skills.loc["default", "skill"].tolist() == pytest.approx([0.4] * 3)
    assert skills.loc[("two layers", 16), "skill_worst"] == pytest.approx(0.1)
    ((title, texts),) = texts_of_trajectories(table).items()
    assert title == "unseen worms, b, 3 scored"
    assert texts.loc["default", "skill 8"] == "0.400\n(0.400 to 0.400)"
    assert texts.loc["default", "MSE 1"] == "600.0 ± 0.0\n(600.0 to 600.0)"
    assert texts.loc["two layers", "skill 8"].startswith("0.367\n(0.1")
    assert texts.loc["two layers", "worst 1"] == "0.100"
    assert texts.loc["default", "trace 8"] == "0.500"


def test_confusion_is_the_mean_over_worms_that_show_a_state():
    shared = {"block": "2 states", "evaluation": "unseen_worms", "model": "gnn", "fold": 0}
    rows = [
        {"worm": "b", "state": "forward", "predicted": "forward", "n_frames": 3},
        {"worm": "b", "state": "forward", "predicted": "reverse", "n_frames": 1},
        {"worm": "c", "state": "forward", "predicted": "forward", "n_frames": 4},
        {"worm": "c", "state": "reverse", "predicted": "forward", "n_frames": 9},
    ]
    counts = pd.DataFrame(rows).assign(**shared).assign(train_worms=[("a",)] * len(rows))
    table = confusion_table(counts).set_index(["state", "predicted"])
    assert table.loc[("forward", "reverse"), ["n_worms", "mean"]].tolist() == [2, 12.5]
    assert table.loc[("reverse", "forward"), ["n_worms", "mean"]].tolist() == [1, 100]
    assert np.isnan(table.loc[("reverse", "forward"), "mean_low"])
    ((title, texts),) = confusion_texts(table.reset_index(), {"gnn": "GNN"}).items()
    assert title == "GNN, 2 states, unseen worms"
    assert texts.loc["reverse"].tolist() == ["100.0", "0"]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({}, ""),
        ({"n_train_worms": 1, "burn_in": 4}, "1 training worm, 4 observed frames"),
        ({"states": "4", "fold_by": "shuffled_windows", "step": 8}, "4 states, shuffled windows, step 8"),
    ],
)
def test_parts_are_named_in_words(part, words):
    assert parts_in_words(part) == words
