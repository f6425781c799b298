"""Declared experiments: their commands, their results on small worms, and a declaration of one's own."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import skworm.paper.targets as targets
from skworm.cli import main
from skworm.cli.reproduce import command_of
from skworm.datasets import make_worms, save_recordings
from skworm.model_selection import read_scores
from skworm.paper import sensitivities
from skworm.paper.declaration import QUICK_EPOCHS, QUICK_FORECAST_EPOCHS
from skworm.paper.inferred_graphs import SOURCES
from skworm.paper.models import STATE_MODELS
from skworm.paper.outcome import run_target
from skworm.paper.study import load_study
from skworm.paper.targets import ALL_TARGETS, MODULES, TARGETS

pytestmark = pytest.mark.slow

NEURONS = "AIBR,AVAL,AVAR,RID,VB02"
FEW = ("--epochs", 2, "--n-jobs", 1)
NETWORKS = ("MLP", "GNN", "MLP, no virtual worms", "GNN, no virtual worms")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("recordings") / "worms"
    save_recordings(make_worms(3, n_frames=400, random_state=0), path)
    return path


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """Worms that are long enough for trajectories."""
    path = tmp_path_factory.mktemp("recordings") / "short"
    save_recordings(make_worms(3, n_frames=240, random_state=0), path)
    return path


@pytest.fixture
def one_network(monkeypatch):
    """Leave experiments on all networks the MLP alone."""
    monkeypatch.setattr(targets, "_NETWORKS", ("mlp",))


@pytest.fixture(scope="module")
def other_lab(tmp_path_factory):
    path = tmp_path_factory.mktemp("elsewhere") / "theirs"
    save_recordings(make_worms(2, n_frames=400, lab=1, random_state=1), path)
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


def check_files(out, name):
    files = {path.name for path in out.iterdir()}
    assert {"scores.csv", "table.csv", "table.md", "settings.json", "report.html"} <= files
    assert not [name for name in files if name.startswith(".")]
    assert all(path.stat().st_size > 0 for path in out.iterdir())
    settings = json.loads((out / "settings.json").read_text())
    assert settings["target"] == name
    assert settings["settings"]["max_epochs"] == 2
    assert "torch" in settings["versions"]
    assert "Not the paper's protocol: " in (out / "table.md").read_text(encoding="utf-8")


def check_figures(out, name):
    for ending, start in ((".png", b"\x89PNG"), (".pdf", b"%PDF")):
        assert (out / f"{name}{ending}").read_bytes().startswith(start)


def check_intervals(table):
    """Every row of several worms lies within its interval."""
    several = table[table["n_worms"] > 1]
    assert len(several)
    assert (several["accuracy_low"] - 1e-9 <= several["accuracy_mean"]).all()
    assert (several["accuracy_mean"] <= several["accuracy_high"] + 1e-9).all()
    assert several["accuracy_std"].notna().all()


def stored(out):
    return {path: path.stat().st_mtime_ns for path in out.rglob("fits/*.json")}


def test_every_target_has_a_command_that_quotes_the_paper():
    listed = call("--help").output
    for name, each in TARGETS.items():
        assert name in listed
        text = re.sub(r"\s+", " ", re.sub(r"-\s+", "-", call(name, "--help").output))
        assert "The paper: " in text
        assert f"by default, --folds {each.defaults.get('n_folds', 1)} " in text
        assert f"--states {','.join(each.defaults['states'])}" in text
        assert all(f"{model}" in text for model in each.models)
    assert set(TARGETS) - set(ALL_TARGETS) == {"sensitivity", "pipeline-sensitivity"}


def test_an_experiment_of_ones_own_is_the_one_declaration_that_contributing_shows(folder, tmp_path):
    page = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```text\n(@target.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    assert len(code.splitlines()) < 15
    exec(f"from __future__ import annotations\n{code}", {**vars(targets)})
    declared = TARGETS.pop("penalty")
    settings = declared.settings(data=str(folder), neurons=("AVAL", "RID"))
    outcome = run_target(declared, settings, tmp_path, n_jobs=1, verbose=0)
    (texts,) = outcome.tables.values()
    assert texts.index.tolist() == ["SVM", "SVM, C=10", "Majority", "Clock"]
    assert "difference, unseen worms" in texts
    assert outcome.departure == "1 of 10 folds"
    assert declared.settings(quick=True).few_combinations
    assert len(outcome.sentences) == 1
    assert "C is the penalty of the SVM." in outcome.reading
    assert {path.name for path in outcome.figures} == {"penalty.png"}
    assert {"scores.csv", "table.csv", "table.md", "settings.json"} < {path.name for path in outcome.files}
    command = command_of(declared)
    del main.commands["reproduce"].commands["penalty"]
    again = ["--data", folder, "--neurons", "AVAL,RID", "--n-jobs", 1, "--quiet", "--out", tmp_path]
    before = stored(tmp_path)
    result = CliRunner().invoke(command, list(map(str, again)))
    assert result.exit_code == 0, result.output
    assert result.stdout.rstrip("\n") == outcome.text
    assert stored(tmp_path) == before


def test_defaults_follow_the_data_and_quick_runs():
    table_1 = TARGETS["table1"]
    assert table_1.settings().n_folds == 3
    assert table_1.settings(data="worms").n_folds == 10
    assert table_1.settings(data="worms").departure == ""
    assert table_1.settings(data="worms", quick=True).n_folds == 2
    assert table_1.settings(models=("gnn-plain", "svm")).models == ("svm", "gnn-plain")
    assert TARGETS["figure4cd"].settings(models=("mlp-lstm", "gnn", "mlp")).models == ("mlp", "gnn", "mlp-lstm")
    figure = TARGETS["figure4a"].settings(data="worms", quick=True)
    assert (figure.n_folds, figure.few_combinations, figure.max_epochs) == (1, True, QUICK_EPOCHS)
    assert TARGETS["figure4a"].settings(data="worms").departure == ""
    trajectories = TARGETS["figure4cd"]
    assert trajectories.settings(data="worms").departure == "1 of 10 folds"
    assert trajectories.settings(quick=True).departure == f"1 of 10 folds and {QUICK_FORECAST_EPOCHS} of 800 epochs"
    assert trajectories.settings(quick=True, max_epochs=5).departure == "1 of 10 folds and 5 of 800 epochs"
    with pytest.raises(ValueError, match="models has the unknown name 'rnn'; choose one or several of mlp"):
        trajectories.settings(models=("rnn",))


def test_the_command_of_a_run_repeats_it(monkeypatch):
    for name, each in TARGETS.items():
        settings = each.settings(quick=True, data="my worms", neurons=("AVAL", "AVAR"))
        words = each.command(settings, "out/folder")
        given = {}
        command = main.commands["reproduce"].commands[name]
        monkeypatch.setattr(command, "callback", lambda _given=given, **options: _given.update(options))
        result = call(*shlex.split(words)[2:])
        assert result.exit_code == 0, result.output
        options = {key: value for key, value in given.items() if key not in ("out", "n_jobs", "quiet")}
        assert each.settings(**options) == settings


def test_table1_has_both_kinds_of_folds_and_the_paper(folder, other_lab, tmp_path):
    _, table = reproduce("table1", folder, tmp_path, "--folds", 2, "--models", "svm,gnn", "--external", other_lab)
    check_files(tmp_path, "table1")
    check_figures(tmp_path, "table1")
    check_intervals(table)
    parts = table[["fold_by", "evaluation"]].drop_duplicates().to_numpy().tolist()
    assert sorted(parts) == [
        ["contiguous_blocks", "held_out_windows"],
        ["shuffled_windows", "held_out_windows"],
        ["shuffled_windows", "theirs"],
        ["shuffled_windows", "unseen_worms"],
    ]
    cells = table.set_index(["model", "evaluation", "fold_by"])["paper_mean"]
    assert cells["gnn", "theirs", "shuffled_windows"] == 95.5
    assert cells["svm", "held_out_windows", "shuffled_windows"] == 98.8
    assert np.isnan(cells["svm", "held_out_windows", "contiguous_blocks"])
    clock = table.query("model == 'clock' and fold_by == 'contiguous_blocks'")["accuracy_mean"].iloc[0]
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert f"{100 * clock:.1f} on contiguous blocks" in text
    assert "3 worms are scored (unseen worms): no sign-flip test across them can give a p below 0.25" in text
    assert "simulated" not in text.replace(str(folder), "")
    record = json.loads((tmp_path / "settings.json").read_text())
    assert record["settings"]["models"] == ["svm", "gnn"]
    assert len(record["external_worms"]) == 2


def test_figure4a_scores_every_number_of_training_worms_and_continues(folder, tmp_path):
    options = ("--states", "4", "--folds", 1)
    first, table = reproduce("figure4a", folder, tmp_path, *options)
    check_files(tmp_path, "figure4a")
    check_figures(tmp_path, "figure4a")
    check_intervals(table)
    unseen = table[table["evaluation"] == "unseen_worms"]
    assert set(unseen["n_train_worms"]) == {1, 2}
    assert set(unseen["label"]) == {*NETWORKS, "Clock", "Majority"}
    scores = read_scores(tmp_path).table
    block = scores[(scores["block"] == "4 states, 2 training worms") & (scores["evaluation"] == "unseen_worms")]
    gnn, mlp = (block[block["model"] == name].groupby("worm")["accuracy"].mean() for name in ("gnn", "mlp"))
    cell = unseen.query("n_train_worms == 2 and label == 'GNN'").iloc[0]
    assert cell["accuracy_mean"] == pytest.approx(gnn.mean())
    assert cell["difference"] == pytest.approx((gnn - mlp).mean())
    assert cell["against"] == "mlp"
    assert cell["wins"] == (gnn > mlp).sum()

    before = stored(tmp_path)
    again, _ = reproduce("figure4a", folder, tmp_path, *options)
    assert stored(tmp_path) == before
    assert again.stdout == first.stdout


def test_figure4b_has_rows_of_a_hundred_per_cent(folder, tmp_path):
    reproduce("figure4b", folder, tmp_path, "--folds", 1)
    check_files(tmp_path, "figure4b")
    check_figures(tmp_path, "figure4b")
    table = pd.read_csv(tmp_path / "confusion_table.csv")
    assert set(table["evaluation"]) == {"unseen_worms"}
    sums = table.groupby(["block", "evaluation", "model", "state"])["mean"].sum()
    assert sums.to_numpy() == pytest.approx(100)
    assert set(table["model"]) == set(targets._NETWORKS)
    counts = pd.read_csv(tmp_path / "confusion.csv")
    worms = make_worms(3, n_frames=400, random_state=0)
    known = {worm.worm: int(np.sum(np.asarray(worm.states) != "unknown")) for worm in worms}
    totals = counts.groupby(["model", "train_worms", "worm"])["n_frames"].sum()
    assert all(total == known[worm] for (_, _, worm), total in totals.items())


@pytest.mark.parametrize("scored", [True, False])
def test_external_worms_are_described_where_a_score_is_of_them(
    folder, other_lab, lab_without_neurons, tmp_path, one_network, scored
):
    # A confusion matrix of fits on fewer neurons would be one of other models.
    lab = other_lab if scored else lab_without_neurons
    reproduce("figure4b", folder, tmp_path, "--folds", 1, "--external", lab)
    table = pd.read_csv(tmp_path / "confusion_table.csv")
    assert set(table["evaluation"]) == ({"unseen_worms", "theirs"} if scored else {"unseen_worms"})
    record = json.loads((tmp_path / "settings.json").read_text())
    assert len(record["external_worms"]) == (2 if scored else 0)
    assert (record["external_sha256"] is not None) == scored
    written = re.search(r"external: +(\w+)", (tmp_path / "table.md").read_text(encoding="utf-8"))
    assert written.group(1) == ("theirs" if scored else "none")


def test_worms_that_are_not_scored_still_choose_the_derivative(lab_without_neurons, tmp_path, one_network):
    worms = make_worms(3, n_frames=400, random_state=0)
    own = [replace(worm, derivatives=np.gradient(worm.traces, axis=0)) for worm in worms]
    save_recordings(own, tmp_path / "worms")
    declared = TARGETS["figure4b"]
    given = {"data": str(tmp_path / "worms"), "neurons": ("AVAL", "RID"), "n_folds": 1, "max_epochs": 1}
    derivatives = {}
    for external in ("none", str(lab_without_neurons)):
        settings = declared.settings(external=external, **given)
        run_target(declared, settings, tmp_path / "out", n_jobs=1, verbose=0)
        derivatives[external] = json.loads((tmp_path / "out" / "settings.json").read_text())["derivative"]
    assert list(derivatives.values()) == ["file", "smooth"]


def test_turns_without_a_side_are_merged_and_said_to_be(folder, tmp_path, one_network):
    turns = {"dorsal_turn": "turn", "ventral_turn": "turn"}
    worms = make_worms(2, n_frames=400, lab=1, random_state=1)
    unsided = [replace(worm, states=[turns.get(state, state) for state in worm.states]) for worm in worms]
    save_recordings(unsided, tmp_path / "theirs")
    out = tmp_path / "out"
    result, _ = reproduce("figure4b", folder, out, "--folds", 1, "--states", 4, "--external", tmp_path / "theirs")
    assert "dorsal and ventral turns count as one state, turn" in result.stdout
    counts = pd.read_csv(out / "confusion.csv").query("evaluation == 'theirs'")
    assert set(counts["state"]) | set(counts["predicted"]) == {"forward", "reverse", "turn"}


def test_without_ava_pairs_each_model_with_itself(folder, tmp_path):
    _, table = reproduce("without-ava", folder, tmp_path, "--states", "2")
    check_files(tmp_path, "without-ava")
    check_figures(tmp_path, "without-ava")
    check_intervals(table)
    without = table[table["label"].str.contains("without AVA")]
    assert (without["n_neurons"] == 3).all()
    labels = {name: model.label for name, model in STATE_MODELS.items()}
    assert (without["against"].map(labels) == without["label"].str.removesuffix(", without AVA")).all()
    assert without["difference"].notna().all()
    svm = table.query("label == 'SVM' and evaluation == 'unseen_worms'").iloc[0]
    assert (svm["n_neurons"], svm["paper_mean"], svm["paper_std"]) == (5, 82.8, 7.6)
    assert "Left out: AVAL, AVAR." in (tmp_path / "table.md").read_text(encoding="utf-8")


def test_one_hot_edges_are_scored_at_every_temperature(folder, tmp_path):
    _, table = reproduce("one-hot-edges", folder, tmp_path, "--states", "2")
    check_files(tmp_path, "one-hot-edges")
    check_figures(tmp_path, "one-hot-edges")
    networks = table.dropna(subset=["temperature"])
    temperatures = targets._ONE_HOT_TEMPERATURES
    assert set(networks["temperature"]) == set(temperatures)
    assert len(networks) == len(temperatures) * 2
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
    assert unseen["against"] == "gnn"
    assert np.isnan(unseen["paper_mean"])


def test_other_studies_score_external_worms_on_the_neurons_that_they_have(folder, lab_without_neurons, tmp_path):
    _, table = reproduce("modules", folder, tmp_path, "--states", "2", "--external", lab_without_neurons)
    check_files(tmp_path, "modules")
    assert set(table["evaluation"]) == {"held_out_windows", "unseen_worms", "theirs"}
    assert set(table["label"]) - {"Clock", "Majority"} == {"GNN", *MODULES}
    text = (tmp_path / "table.md").read_text("utf-8")
    assert "by fits on the neurons that they have: AIBR, AVAL, VB02" in text


def test_edges_are_compared_with_connectomes(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(targets, "_N_PERMUTATIONS", 19)
    result, table = reproduce("edges-vs-connectome", folder, tmp_path)
    check_files(tmp_path, "edges-vs-connectome")
    check_figures(tmp_path, "inferred-graph")
    connectome = table.query("label == 'GNN (connectome)' and evaluation == 'unseen_worms'").iloc[0]
    assert (connectome["paper_mean"], connectome["against"]) == (96.8, "gnn")
    similarity = pd.read_csv(tmp_path / "similarity.csv")
    assert set(similarity["source"]) == set(SOURCES)
    assert (similarity["p_value"] >= 1 / 20).all()
    assert (similarity["worms_low"] <= similarity["worms_high"]).all()
    graphs = pd.read_csv(tmp_path / "graphs.csv")
    assert len(graphs) == 3 * 3 * 5 * 5
    assert graphs["weight"].between(0, 1).all()
    before = stored(tmp_path)
    again, _ = reproduce("edges-vs-connectome", folder, tmp_path)
    assert stored(tmp_path) == before
    assert again.stdout == result.stdout


def test_graph_ablation_counts_parameters_and_pairs_with_the_inferred_graph(folder, tmp_path):
    _, table = reproduce("graph-ablation", folder, tmp_path, "--states", "2")
    check_files(tmp_path, "graph-ablation")
    assert set(table["block"]) == {"2 states, no virtual worms", "2 states, virtual worms"}
    unseen = table.query("block == '2 states, no virtual worms' and evaluation == 'unseen_worms'").set_index("label")
    inferred_graph = "GNN, inferred graph"
    assert unseen.loc[unseen["against"].notna(), "against"].unique().tolist() == ["gnn"]
    assert unseen.loc[inferred_graph, "model"] == "gnn"
    given = ["GNN, identity", "GNN, uniform graph", "GNN, connectome", "GNN, random graph 0", "GNN, random graph 1"]
    given += ["GNN, shuffled connectome 0", "GNN, shuffled connectome 1", "MLP"]
    assert unseen.loc[given, "n_parameters"].nunique() == 1
    free = unseen.loc["GNN, free graph", "n_parameters"] - unseen.loc["GNN, identity", "n_parameters"]
    assert free == 2 * 5 * 5
    wide, inferred = unseen.loc[["GNN, identity, wide readout", inferred_graph], "n_parameters"]
    a_hidden_feature = 2 * 5 + 1 + 2
    assert abs(wide - inferred) <= a_hidden_feature / 2
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert f"differs from {inferred_graph} by" in text
    assert "3 worms allow no p below 0.25" in text


def test_figure4cd_tabulates_and_draws_errors_of_trajectories(short, other_lab, tmp_path):
    options = ("--models", "mlp,mlp-lstm", "--external", other_lab, "--neurons", "AVAL,RID")
    result, table = reproduce("figure4cd", short, tmp_path, *options)
    check_files(tmp_path, "figure4cd")
    check_figures(tmp_path, "figure4cd")
    assert result.stdout.endswith(f"{tmp_path / 'report.html'}\n")
    assert "1 of 10 folds and 2 of 800 epochs." in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "unseen worms, 1 training worm, 1 observed frame, 3 scored" in result.stdout
    baselines = {"persistence", "mean", "linear", "linear-uncentred", "linear-direct"}
    by_burn_in = table.groupby("burn_in")["model"].unique().map(set)
    assert by_burn_in[1] == baselines | {"mlp"}
    assert by_burn_in[4] == baselines | {"mlp-lstm"}
    assert set(table["n_train_worms"]) == {1, 2, 3}
    assert set(table["evaluation"]) == {"held_out_windows", "unseen_worms", "theirs"}
    assert np.isfinite(table["skill"]).all()
    scores = read_scores(tmp_path).table
    where = "model == 'mlp' and evaluation == 'unseen_worms' and n_train_worms == 2 and burn_in == 1 and step == 8"
    assert table.query(where)["mse_mean"].item() == pytest.approx(
        scores.query(where).groupby("worm")["mse"].mean().mean()
    )


@pytest.fixture(scope="module")
def forecast(short):
    declared = TARGETS["figure4cd"]
    given = {"data": str(short), "external": "none", "neurons": ("AVAL", "RID"), "models": ("mlp", "mlp-lstm")}
    settings = declared.settings(max_epochs=1, **given)
    return load_study(settings)


def test_pictures_of_errors_have_persistence_and_linear_maps_in_every_panel(forecast, tmp_path, monkeypatch):
    from skworm.plotting import TrajectoryErrorDisplay

    drawn = []
    original = TrajectoryErrorDisplay.from_results.__func__
    monkeypatch.setattr(
        TrajectoryErrorDisplay,
        "from_results",
        classmethod(lambda cls, *arguments, **options: drawn.append(original(cls, *arguments, **options)) or drawn[-1]),
    )
    plan = TARGETS["figure4cd"].plan(forecast)
    scores = forecast.run(plan.arms, tmp_path, n_jobs=1, verbose=0)
    plan.results(scores, None)
    (display,) = drawn
    panels = {panel for panel, _ in display.lines_}
    assert len(panels) == 2
    for panel in panels:
        shown = {model for where, model in display.lines_ if where == panel}
        assert {"persistence", "linear", "linear-direct", "mlp", "mlp-lstm"} <= shown


def test_trajectories_of_worms_that_lack_neurons_have_fits_of_their_own(short, lab_without_neurons, tmp_path):
    options = ("--models", "mlp", "--train-worms", 1, "--external", lab_without_neurons)
    _, table = reproduce("figure4cd", short, tmp_path, *options)
    n_neurons = table.query("model == 'mlp'").groupby("evaluation")["n_neurons"].unique().map(list)
    assert n_neurons.to_dict() == {"held_out_windows": [5], "unseen_worms": [5], "theirs": [3]}


def test_sensitivity_changes_one_reading_at_a_time(folder, tmp_path, monkeypatch):
    few = {name: dict(list(changes.items())[:2]) for name, changes in sensitivities.READINGS.items()}
    monkeypatch.setattr(sensitivities, "READINGS", few)
    _, table = reproduce("sensitivity", folder, tmp_path, "--states", "2")
    unseen = table[table["evaluation"] == "unseen_worms"].set_index("label")
    for name, changes in few.items():
        labels = [f"{STATE_MODELS[name].label}, {change}" for change in changes]
        assert (unseen.loc[labels, "against"] == name).all()
        assert unseen.loc[labels, "accuracy_mean"].nunique() > 1


def test_pipeline_sensitivity_changes_frames_and_networks_one_at_a_time(folder, tmp_path, monkeypatch):
    short = {
        name: (frames, ours | {"max_epochs": 3})
        for name, (frames, ours) in sensitivities.PIPELINE.items()
        if "max_epochs" in ours
    }
    monkeypatch.setattr(sensitivities, "PIPELINE", {**sensitivities.PIPELINE, **short})
    _, table = reproduce("pipeline-sensitivity", folder, tmp_path, "--states", "2")
    unseen = table[table["evaluation"] == "unseen_worms"].set_index("label")
    of_svm, of_networks = {"C"}, {"max_epochs", "augmentation", "learning_rate"}
    allowed = {"svm": of_svm, "mlp": of_networks, "gnn": of_networks, "mlp-published": set()}
    for model, own in allowed.items():
        changes = [name for name, (_, ours) in sensitivities.PIPELINE.items() if set(ours) <= own]
        expected = {f"{STATE_MODELS[model].label}, {name}" for name in changes}
        assert set(unseen.index[unseen["against"] == model]) == expected
    n_parameters = unseen["n_parameters"]
    assert n_parameters["MLP, context"] > n_parameters["MLP, central difference"] == n_parameters["MLP"]
    accuracy = unseen.loc[unseen.index.str.startswith("SVM"), "accuracy_mean"]
    assert accuracy.nunique() > 3, "frames differ"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("figure4a", "--states", "3"), "states has the unknown name '3'; choose one or several of 7, 4"),
        (("figure4a", "--train-worms", "3"), "3 worms with 3 for training leave none unseen; train on fewer"),
        (("modules", "--train-worms", "0"), "0 training worms are too few; their number must be at least 1"),
        (("modules", "--folds", "11"), "11 folds cannot be held out in turn; pass a number from 1 to 10"),
        (("without-ava", "--neurons", "RID,VB02"), "leaves all of them; name AVAL or AVAR"),
        (("without-ava", "--neurons", "AVAL,AVAR"), "leaves none; name AVAL or AVAR and others"),
        (("three-neurons", "--neurons", "AVAL,RID"), "must hold AIBR, AVAL, VB02 and others"),
        (("figure4cd", "--models", "rnn"), "models has the unknown name 'rnn'"),
        (("figure4cd", "--train-worms", "4"), "3 worms with 4 for training leave none unseen"),
    ],
)
def test_a_wrong_option_ends_in_one_line(folder, tmp_path, arguments, message):
    result = call(*arguments, "--data", folder, "--out", tmp_path / "out", "--quiet")
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out" / "fits").exists()


@pytest.fixture
def run_all(folder, tmp_path, monkeypatch):
    """Return a function that runs some of the targets as if they were all."""

    def run(names, *options):
        monkeypatch.setattr("skworm.cli.reproduce.ALL_TARGETS", names)
        few = ("--epochs", 1, "--n-jobs", 1, "--neurons", NEURONS, "--quick", "--quiet")
        return call("all", "--data", folder, "--out", tmp_path, *few, *options)

    return run


@pytest.fixture
def small_targets(monkeypatch):
    """Leave Table 1 and the trajectories one cheap model each."""
    for name, changes in {
        "table1": {"models": ("svm",), "fold_by": ("shuffled_windows",)},
        "figure4cd": {"models": ("mlp",), "n_train_worms": (1,)},
    }.items():
        own = TARGETS[name]
        monkeypatch.setitem(TARGETS, name, replace(own, defaults={**own.defaults, **changes}))


def test_all_writes_one_page_with_every_table_and_figure(folder, tmp_path, small_targets, one_network, run_all):
    names = ("table1", "figure4b", "figure4cd")
    result = run_all(names)
    assert result.exit_code == 0, result.output
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    for name in names:
        assert f"skworm reproduce {name} --data {folder}" in page
    assert page.count('<h2 id="part-') == len(names)
    assert page.count("<caption>") == page.count("<table") > len(names)
    assert page.count('src="data:image/png;base64,') == 3
    assert "A quick run" in page
    assert "some combinations of training worms" in page

    before = stored(tmp_path)
    assert {path.parent.parent.name for path in before} == {"table1", "figure4b", "figure4cd"}
    assert run_all(names).exit_code == 0
    assert stored(tmp_path) == before


def test_a_failing_target_does_not_lose_the_others(tmp_path, one_network, run_all):
    # Without AVAL and AVAR among the neurons, one of the two has nothing to leave out.
    result = run_all(("without-ava", "figure4b"), "--neurons", "RID,VB02")
    assert result.exit_code == 1
    assert "1 of 2 targets failed: without-ava" in result.stderr
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "without-ava failed: ValueError: leaving out AVAL, AVAR of the neurons RID, VB02" in page
    assert "Confusion matrix" in page
    assert (tmp_path / "figure4b" / "figure4b.png").exists()
