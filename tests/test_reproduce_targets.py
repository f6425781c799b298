import json
import re
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from skworm.experiments import arm_tables, arms, classifier_studies, confusion, connectome_edges, everything, figure4
from skworm.experiments.arms import Arm, StudySettings
from skworm.experiments.catalogue import ALL_TARGETS, TARGETS
from skworm.experiments.classifier_studies import TEMPERATURES
from skworm.experiments.forecasts import ForecastProtocol
from skworm.experiments.given_graphs import (
    connectome_graph,
    identity_graph,
    random_graph,
    shuffled_connectome,
    uniform_graph,
)
from skworm.experiments.graph_studies import INFERRED, MODULES
from skworm.experiments.protocol import Protocol, load_material
from skworm.experiments.worms import FewCombinations, FirstFolds

from skworm.cli import main
from skworm.datasets import make_worms, save_recordings
from skworm.frames import PAPER_NEURONS
from skworm.model_selection import WormGroupKFold

NEURONS = "AIBR,AVAL,AVAR,RID,VB02"
FEW = ("--epochs", 2, "--n-jobs", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("recordings") / "worms"
    save_recordings(make_worms(3, n_frames=400, random_state=0), path)
    return path


@pytest.fixture(scope="module")
def lab_without_neurons(tmp_path_factory):
    """Two worms of another lab, in which only three neurons of the paper are identified."""
    path = tmp_path_factory.mktemp("elsewhere") / "theirs"
    save_recordings(make_worms(2, n_frames=400, neurons=("AIBR", "AVAL", "VB02"), lab=1, random_state=1), path)
    return path


def call(*arguments):
    return CliRunner().invoke(main, ["reproduce", *map(str, arguments)])


def reproduce(name, folder, out, *options):
    result = call(name, "--data", folder, "--out", out, "--neurons", NEURONS, *FEW, *options)
    assert result.exit_code == 0, result.output
    return result, pd.read_csv(out / "table.csv")


def check_intervals(table):
    """Every row of several worms lies within its interval."""
    several = table[table["n_worms"] > 1]
    assert len(several)
    assert (several["mean_low"] - 1e-9 <= several["mean"]).all()
    assert (several["mean"] <= several["mean_high"] + 1e-9).all()
    assert several["std"].notna().all()


def check_files(out, name):
    assert {"table.csv", "table.md", "settings.json", f"{name}.png", f"{name}.pdf"} <= {p.name for p in out.iterdir()}
    assert all(path.stat().st_size > 0 for path in out.iterdir() if path.suffix != ".lock")
    settings = json.loads((out / "settings.json").read_text())
    assert settings["target"] == name
    assert settings["settings"]["max_epochs"] == 2
    assert "torch" in settings["versions"]
    assert "Not the paper's protocol: 1 of 10 folds" in (out / "table.md").read_text(encoding="utf-8")


def test_every_target_has_a_command_that_quotes_the_paper():
    listed = call("--help").output
    for name, target in TARGETS.items():
        assert name in listed
        text = re.sub(r"\s+", " ", call(name, "--help").output)
        assert "The paper: " in text
        assert f"[default: {','.join(target.states)}]" in text
    assert set(TARGETS) <= set(ALL_TARGETS)


def test_figure4a_scores_every_number_of_training_worms_and_continues(folder, tmp_path):
    options = ("--states", "4", "--folds", 1)
    first, table = reproduce("figure4a", folder, tmp_path, *options)
    check_files(tmp_path, "figure4a")
    check_intervals(table)
    unseen = table[table["evaluation"] == "unseen_worms"]
    assert set(unseen["n_train_worms"]) == {1, 2}
    assert set(unseen["label"]) == {*classifier_studies.NETWORKS, "Clock", "Majority"}
    scores = pd.read_csv(tmp_path / "scores.csv")
    rows = scores.query("block == '4 states, 2 training worms' and label == 'GNN' and evaluation == 'unseen_worms'")
    cell = unseen.query("n_train_worms == 2 and label == 'GNN'").iloc[0]
    assert cell["mean"] == pytest.approx(100 * rows.groupby("worm")["accuracy"].mean().mean())
    mlp = scores.query("block == '4 states, 2 training worms' and label == 'MLP' and evaluation == 'unseen_worms'")
    difference = rows.groupby("worm")["accuracy"].mean() - mlp.groupby("worm")["accuracy"].mean()
    assert cell["difference"] == pytest.approx(100 * difference.mean())
    assert cell["against"] == "MLP"
    assert cell["wins"] == (difference > 0).sum()

    store = (tmp_path / "scores.jsonl").read_bytes()
    again, _ = reproduce("figure4a", folder, tmp_path, *options)
    assert (tmp_path / "scores.jsonl").read_bytes() == store
    assert again.stdout == first.stdout


def test_figure4b_has_rows_of_a_hundred_per_cent(folder, tmp_path):
    _, table = reproduce("figure4b", folder, tmp_path, "--folds", 1)
    check_files(tmp_path, "figure4b")
    assert set(table["evaluation"]) == {"unseen_worms"}
    sums = table.groupby(["block", "evaluation", "model", "state"])["mean"].sum()
    assert sums.to_numpy() == pytest.approx(100)
    assert set(table["model"]) == set(classifier_studies.NETWORKS)
    counts = pd.read_csv(tmp_path / "counts.csv")
    worms = make_worms(3, n_frames=400, random_state=0)
    known = {worm.worm: int(np.sum(np.asarray(worm.states) != "unknown")) for worm in worms}
    totals = counts.groupby(["model", "train_worms", "worm"])["n_frames"].sum()
    assert all(total == known[worm] for (_, _, worm), total in totals.items())


@pytest.mark.parametrize("scored", [True, False])
def test_figure4b_describes_the_external_worms_that_it_scores(folder, lab_without_neurons, tmp_path, scored):
    # On seven states too; worms that lack neurons are left out.
    lab = lab_without_neurons
    if scored:
        lab = tmp_path / "theirs"
        save_recordings(make_worms(2, n_frames=400, lab=1, random_state=1), lab)
    out = tmp_path / "out"
    _, table = reproduce("figure4b", folder, out, "--folds", 1, "--external", lab)
    assert set(table["evaluation"]) == ({"unseen_worms", "theirs"} if scored else {"unseen_worms"})
    assert len(json.loads((out / "settings.json").read_text())["external_worms"]) == (2 if scored else 0)
    written = re.search(r"external: +(\w+)", (out / "table.md").read_text(encoding="utf-8"))
    assert written.group(1) == ("theirs" if scored else "none")


def test_figure4b_merges_turns_where_the_other_lab_has_one(folder, tmp_path):
    settings = StudySettings(data=str(folder), neurons=("AVAL", "RID"), states=("4",), n_train_worms=(1,), max_epochs=1)
    frames = confusion.training_set(*arms.frames_of(m := load_material(settings), m.recordings, "4", m.neurons), None)
    merging = confusion.CountedSet.of(confusion.EvaluationSet(frames.X, frames.y, merge_turns=True))
    rows = np.arange(len(frames.y))
    counted = merging.scores_by_worm(rows, np.full(len(rows), "ventral_turn"))
    assert {count["state"] for _, count in counted} <= {"forward", "reverse", "turn"}
    assert {count["predicted"] for _, count in counted} == {"turn"}


def test_without_ava_pairs_each_model_with_itself(folder, tmp_path):
    _, table = reproduce("without-ava", folder, tmp_path, "--states", "2")
    check_files(tmp_path, "without-ava")
    check_intervals(table)
    without = table[table["label"].str.contains("without AVA")]
    assert (without["n_neurons"] == 3).all()
    assert (without["against"] == without["label"].str.removesuffix(", without AVA")).all()
    assert without["difference"].notna().all()
    svm = table.query("label == 'SVM' and evaluation == 'unseen_worms'").iloc[0]
    assert (svm["n_neurons"], svm["paper_mean"], svm["paper_std"]) == (5, 82.8, 7.6)
    assert "Left out: AVAL, AVAR." in (tmp_path / "table.md").read_text(encoding="utf-8")


def test_one_hot_edges_are_scored_at_every_temperature(folder, tmp_path):
    _, table = reproduce("one-hot-edges", folder, tmp_path, "--states", "2")
    check_files(tmp_path, "one-hot-edges")
    networks = table.dropna(subset=["temperature"])
    assert set(networks["temperature"]) == set(TEMPERATURES)
    assert len(networks) == 2 * len(TEMPERATURES) * 2
    assert networks.query("temperature < 1")["difference"].notna().all()


def test_three_neurons_stand_beside_all_and_go_to_the_other_lab(folder, lab_without_neurons, tmp_path):
    _, table = reproduce("three-neurons", folder, tmp_path, "--states", "2", "--external", lab_without_neurons)
    check_files(tmp_path, "three-neurons")
    external = table[table["evaluation"] == "theirs"]
    networks = external[external["n_neurons"] > 0]
    assert set(networks["n_neurons"]) == {3}
    assert networks["difference"].isna().all()
    gnn = external.query("label == 'GNN, 3 neurons'").iloc[0]
    assert (gnn["paper_mean"], gnn["n_worms"]) == (95.5, 2)
    unseen = table.query("evaluation == 'unseen_worms' and label == 'GNN, 3 neurons'").iloc[0]
    assert unseen["against"] == "GNN"
    assert np.isnan(unseen["paper_mean"])


def test_other_studies_score_external_worms_on_the_neurons_that_they_have(folder, lab_without_neurons, tmp_path):
    _, table = reproduce("modules", folder, tmp_path, "--states", "2", "--external", lab_without_neurons)
    check_files(tmp_path, "modules")
    assert set(table["evaluation"]) == {"held_out_windows", "unseen_worms", "theirs"}
    labels = set(table["label"]) - {"Clock", "Majority"}
    assert labels == {"GNN", *MODULES}
    assert "by fits on the neurons that they have: AIBR, AVAL, VB02" in (tmp_path / "table.md").read_text("utf-8")


def test_edges_are_compared_with_connectomes(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(connectome_edges, "_N_PERMUTATIONS", 19)
    result, table = reproduce("edges-vs-connectome", folder, tmp_path)
    check_files(tmp_path, "edges-vs-connectome")
    assert (tmp_path / "inferred-graph.png").exists()
    connectome = table.query("label == 'GNN, connectome' and evaluation == 'unseen_worms'").iloc[0]
    assert (connectome["paper_mean"], connectome["against"]) == (96.8, "GNN")
    similarity = pd.read_csv(tmp_path / "similarity.csv")
    assert set(similarity["source"]) == set(connectome_edges.SOURCES)
    assert (similarity["p_value"] >= 1 / 20).all()
    assert (similarity["worms_low"] <= similarity["worms_high"]).all()
    graphs = pd.read_csv(tmp_path / "graphs.csv")
    assert len(graphs) == 3 * 3 * 5 * 5
    assert graphs["weight"].between(0, 1).all()
    before = (tmp_path / "graphs" / "scores.jsonl").read_bytes()
    again, _ = reproduce("edges-vs-connectome", folder, tmp_path)
    assert (tmp_path / "graphs" / "scores.jsonl").read_bytes() == before
    assert again.stdout == result.stdout


def test_graph_ablation_counts_parameters_and_pairs_with_the_inferred_graph(folder, tmp_path):
    _, table = reproduce("graph-ablation", folder, tmp_path, "--states", "2")
    check_files(tmp_path, "graph-ablation")
    assert set(table["block"]) == {"2 states", "2 states, virtual worms"}
    unseen = table.query("block == '2 states' and evaluation == 'unseen_worms'").set_index("label")
    assert unseen.loc[unseen["against"].notna(), "against"].unique().tolist() == [INFERRED]
    given = ["GNN, identity", "GNN, uniform graph", "GNN, connectome", "GNN, random graph 0", "GNN, random graph 1"]
    given += ["GNN, shuffled connectome 0", "GNN, shuffled connectome 1", "MLP"]
    assert unseen.loc[given, "n_parameters"].nunique() == 1
    free = unseen.loc["GNN, free graph", "n_parameters"] - unseen.loc["GNN, identity", "n_parameters"]
    assert free == 2 * 5 * 5
    wide, inferred = unseen.loc[["GNN, identity, wide readout", INFERRED], "n_parameters"]
    a_hidden_feature = 2 * 5 + 1 + 2
    assert abs(wide - inferred) <= a_hidden_feature / 2
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert f"differs from {INFERRED} by" in text
    assert "3 worms allow no p below 0.25" in text


@pytest.mark.parametrize("make", [identity_graph, uniform_graph, connectome_graph])
def test_given_graphs_have_the_same_sum(make):
    assert make(PAPER_NEURONS).to_numpy().sum() == pytest.approx(0.5 * 15**2)


def test_random_graphs_follow_their_seed():
    for make in (random_graph, shuffled_connectome):
        pd.testing.assert_frame_equal(make(PAPER_NEURONS, 1), make(PAPER_NEURONS, 1))
        assert not make(PAPER_NEURONS, 1).equals(make(PAPER_NEURONS, 2))
    connectome, shuffled = connectome_graph(PAPER_NEURONS) > 0, shuffled_connectome(PAPER_NEURONS, 0) > 0
    for axis in (0, 1):
        assert shuffled.sum(axis=axis).tolist() == connectome.sum(axis=axis).tolist()
    assert not np.diag(connectome).any()


def test_a_connectome_without_edges_stays_empty():
    assert not connectome_graph(["AIBR", "AVAL", "VB02"]).to_numpy().any()


@pytest.mark.parametrize("n_train", [1, 2, 3, 4])
def test_few_combinations_train_every_worm_equally_often(n_train):
    worms = np.repeat(list("abcde"), 4)
    cv = FirstFolds(FewCombinations(WormGroupKFold(2, n_train_worms=n_train, window=1, random_state=0)), 1)
    trained = [split.train_worms for split in cv.split_worms(np.zeros((20, 1)), None, worms)]
    assert len(trained) == len(set(trained)) == 5
    assert set(trained) <= set(combinations("abcde", n_train))
    assert {sum(worm in combination for combination in trained) for worm in "abcde"} == {n_train}


def test_holm_corrects_over_all_comparisons_of_a_column():
    rng = np.random.default_rng(0)
    rows = [
        {"block": "b", "label": label, "train_worms": train, "fold": 0, "evaluation": "unseen_worms", "worm": worm,
         "n_frames": 10, "accuracy": 0.5 + 0.1 * ("+" in label) + 0.01 * rng.random()}
        for label in ("SVM", "SVM+", "MLP", "MLP+") for train in "abcdef" for worm in "abcdef" if worm != train
    ]  # fmt: skip
    made = [
        Arm("b", label, None, "2", 1, ("AVAL",), label[:-1] if "+" in label else None)
        for label in ("SVM", "SVM+", "MLP", "MLP+")
    ]
    scores = pd.DataFrame(rows)
    compared = arm_tables.compare_arms(scores, made)
    table = arm_tables.table_of_arms(scores, made, {arm.name: np.nan for arm in made}, compared)
    better = table.set_index("label").loc[["SVM+", "MLP+"]]
    assert better["p_sign_flip"].tolist() == [2 / 2**6] * 2
    assert better["p_adjusted"].tolist() == [2 * 2 / 2**6] * 2
    assert better["wins"].tolist() == [6, 6]
    assert better["difference"].between(8, 12).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("figure4a", "--states", "3"), "states has the unknown name '3'; choose one or several of 7, 4"),
        (("figure4a", "--train-worms", "3"), "3 worms with 3 for training leave none unseen; train on fewer"),
        (("modules", "--train-worms", "0"), "must be whole numbers, at least 1"),
        (("without-ava", "--neurons", "RID,VB02"), "leaves all of them; name AVAL or AVAR"),
        (("without-ava", "--neurons", "AVAL,AVAR"), "leaves none; name AVAL or AVAR and others"),
        (("three-neurons", "--neurons", "AVAL,RID"), "must hold AIBR, AVAL, VB02 and others"),
        (("all", "--targets", "figure5"), "targets has the unknown name 'figure5'; choose one or several of table1"),
        (("all", "--targets", ","), "targets is empty; choose"),
    ],
)
def test_a_wrong_wish_is_answered_by_one_line(folder, tmp_path, arguments, message):
    result = call(*arguments, "--data", folder, "--out", tmp_path, "--quiet")
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def run_all(folder, out, *options):
    few = ("--epochs", 1, "--forecast-epochs", 1, "--n-jobs", 1, "--neurons", NEURONS, "--quick", "--quiet")
    return call("all", "--data", folder, "--out", out, *few, *options)


@pytest.fixture
def small_protocols(monkeypatch):
    """Leave Table 1 and the forecasts one cheap model each."""
    table = partial(Protocol, models=("svm",), fold_by=("shuffled_windows",))
    monkeypatch.setattr(everything, "Protocol", table)
    monkeypatch.setattr(
        everything, "ForecastProtocol", partial(ForecastProtocol, networks=("mlp",), n_train_worms=(1,))
    )
    monkeypatch.setattr(figure4, "example_figure", lambda protocol, material: None)


def test_all_writes_one_page_with_every_table_and_figure(folder, tmp_path, small_protocols):
    names = ("table1", "figure4b", "figure4c", "figure4d")
    options = ("--targets", ",".join(names))
    result = run_all(folder, tmp_path, *options)
    assert result.exit_code == 0, result.output
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    for name in names:
        assert f'<h2 id="{name}">' in page
        assert f"skworm reproduce {name} --data {folder}" in page
    assert page.count("<caption>") == page.count("<table") - 1 > len(names)
    assert page.count('src="data:image/png;base64,') == 3
    assert page.count("versions: ") == len(names)
    assert "A quick run" in page
    assert "some combinations of training worms" in page
    links = re.findall(r'<a href="([^"#]+)"', page)
    assert links
    assert all((tmp_path / link).is_file() for link in links)
    assert "not run yet" not in page

    stores = {path: path.read_bytes() for path in tmp_path.rglob("scores.jsonl")}
    assert len(stores) == 3
    assert run_all(folder, tmp_path, *options).exit_code == 0
    assert {path: path.read_bytes() for path in stores} == stores


def test_a_failing_target_does_not_lose_the_others(folder, tmp_path):
    # Without AVAL and AVAR among the neurons, one of the two has nothing to leave out.
    few = ("--neurons", "RID,VB02", "--targets", "without-ava,figure4b")
    result = run_all(folder, tmp_path, *few)
    assert result.exit_code == 1
    assert "1 of 2 targets failed: without-ava" in result.stderr
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "ValueError: leaving out AVAL, AVAR of the neurons RID, VB02 leaves all of them" in page
    assert '<h2 id="figure4b">' in page
    assert (tmp_path / "figure4b" / "figure4b.png").exists()


def test_the_commands_on_the_page_repeat_a_target(folder):
    plan = everything.Plan(data=str(folder), quick=True, neurons=("AVAL", "AVAR"))
    for name in ALL_TARGETS:
        words = plan.command(name, "out/folder").split()
        assert words[:3] == ["skworm", "reproduce", name]
        known = call(name, "--help").output
        assert all(word in known for word in words if word.startswith("--"))
    settings = plan.study("figure4a")
    assert (settings.n_folds, settings.few_combinations, settings.max_epochs) == (1, True, everything.QUICK_EPOCHS)
    assert everything.Plan().study("figure4a").departure == ""
