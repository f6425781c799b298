import json
from dataclasses import replace
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from skworm.experiments import figure4, forecast_sensitivity
from skworm.experiments.forecasts import BASELINES, NETWORKS, ForecastProtocol, run_forecasts
from skworm.experiments.protocol import load_material

from skworm.cli import main
from skworm.datasets import make_worms, save_recordings

FILES = ("scores.csv", "figure4d.csv", "figure4d.md", "settings.json", "figure4c.png", "figure4c.pdf")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labs")
    save_recordings(make_worms(3, n_frames=400, worm_prefix="ours", random_state=0), folder / "ours")
    theirs = make_worms(2, n_frames=400, lab=1, worm_prefix="theirs", random_state=0)
    save_recordings(theirs, folder / "theirs")
    return folder


def settings(lab, **changes):
    few = {"max_epochs": 2, "networks": ("mlp", "mlp-lstm"), "neurons": ("AVAL", "RID", "AVBL")}
    return ForecastProtocol(data=str(lab / "ours"), **{**few, **changes})


@pytest.fixture(scope="module")
def finished(lab, tmp_path_factory):
    protocol = settings(lab, external=str(lab / "theirs"))
    material = load_material(protocol)
    return protocol, material, run_forecasts(protocol, material, tmp_path_factory.mktemp("out"), n_jobs=1, verbose=0)


def test_networks_are_what_their_names_say():
    protocol = ForecastProtocol(networks=NETWORKS, max_epochs=7, random_state=3)
    parameters = {name: protocol.network(name).get_params() for name in NETWORKS}
    assert {values["max_epochs"] for values in parameters.values()} == {7}
    assert {values["random_state"] for values in parameters.values()} == {3}
    assert {name for name, values in parameters.items() if values["memory"]} == {
        "mlp-lstm",
        "node-mlp-lstm",
        "gnn-gated",
    }
    assert {name for name, values in parameters.items() if values["augmentation"] is None} == {
        "mlp-plain",
        "mlp-published",
        "node-mlp-published",
        "gnn-published",
    }
    assert parameters["gnn-published"]["scheduled_sampling_end"] == 300
    assert set(NETWORKS) | set(BASELINES) == set(figure4.LABELS)


def test_defaults_follow_the_data():
    assert ForecastProtocol().external == "simulated"
    assert ForecastProtocol(data="mine").external == "none"
    assert ForecastProtocol().train_counts(5) == (1, 4, 5)
    assert ForecastProtocol(data="mine").train_counts(5) == (1, 4)
    assert ForecastProtocol(networks=("gnn", "gnn-gated")).burn_ins() == (1, 4)
    with pytest.raises(ValueError, match="unknown name 'rnn'; choose one or several of mlp"):
        ForecastProtocol(networks=("rnn",))


def test_every_model_is_scored_on_one_and_on_all_but_one_worm(finished):
    _, _, scores = finished
    assert set(scores["n_train_worms"]) == {1, 2, 3}
    assert set(scores["evaluation"]) == {"held_out_windows", "unseen_worms", "theirs"}
    by_burn_in = scores.groupby("burn_in")["model"].unique().map(set)
    assert by_burn_in[1] == {*BASELINES, "mlp"}
    assert by_burn_in[4] == {*BASELINES, "mlp-lstm"}


def test_external_worms_that_lack_neurons_have_fits_of_their_own(lab, tmp_path):
    worms = make_worms(2, n_frames=400, lab=1, worm_prefix="theirs", random_state=0)
    renamed = [replace(worm, neurons=["900" if name == "RID" else name for name in worm.neurons]) for worm in worms]
    save_recordings(renamed, tmp_path / "fewer")
    protocol = settings(lab, external=str(tmp_path / "fewer"), networks=("mlp",), n_train_worms=(1,))
    scores = run_forecasts(protocol, load_material(protocol), tmp_path, n_jobs=1, verbose=0)
    n_neurons = scores.groupby("evaluation")["n_neurons"].unique().map(list)
    assert n_neurons["fewer"] == [2]
    assert n_neurons["unseen_worms"] == [3]


def test_table_and_blocks_hold_the_summary(finished):
    _, _, scores = finished
    table = figure4.figure_4d(scores)
    assert set(table["step"]) == {1, 8, 16}
    row = table.query(
        "model == 'mlp' and evaluation == 'unseen_worms' and n_train_worms == 2 and burn_in == 1 and step == 8"
    ).iloc[0]
    chosen = scores.query(
        "model == 'mlp' and evaluation == 'unseen_worms' and n_train_worms == 2 and burn_in == 1 and step == 8"
    )
    assert row["mse"] == pytest.approx(chosen.groupby("worm")["mse"].mean().mean())
    blocks = figure4.blocks_of_figure_4d(table)
    block = blocks["unseen worms, 2 training worms, 1 observed frame, 3 scored"]
    mean, interval = block.loc["MLP", "MSE 8"].split("\n")
    assert mean.startswith(f"{1000 * row['mse']:.1f} ± ")
    assert interval == f"({1000 * row['mse_low']:.1f} to {1000 * row['mse_high']:.1f})"
    assert row["skill_low"] <= row["skill"] <= row["skill_high"]
    assert block.loc["Persistence", "skill 8"] == "0.000\n(0.000 to 0.000)"
    assert {"transition 16", "steady 16", "worst 1"} <= set(block.columns)


def test_picture_has_persistence_and_linear_maps_in_every_panel(finished):
    display = figure4.figure_4c(finished[2])
    panels = {panel for panel, _ in display.lines_}
    assert len(panels) == 5
    for panel in panels:
        assert {"persistence", "linear", "linear-direct", "mlp", "mlp-lstm"} <= {
            model for where, model in display.lines_ if where == panel
        }


def test_example_shows_an_unseen_worm_through_a_transition(finished):
    protocol, material, _ = finished
    display = figure4.example_figure(protocol, material)
    assert display.title.startswith("ours-2, frame ")
    assert {model for _, model in display.lines_} == {"true", "linear", "mlp"}
    future = display.states.loc[0:16]
    assert future[future != "unknown"].nunique() > 1


def test_command_writes_everything_and_continues(lab, tmp_path):
    arguments = ["--data", lab / "ours", "--out", tmp_path, "--epochs", 2, "--models", "mlp", "--n-jobs", 1]
    arguments += ["--neurons", "AVAL,RID", "--train-worms", "1"]
    first = CliRunner().invoke(main, ["reproduce", "figure4d", *map(str, arguments)])
    assert first.exit_code == 0, first.output
    assert "unseen worms, 1 training worm, 1 observed frame, 3 scored" in first.stdout
    for said in (first.stdout, (tmp_path / "figure4d.md").read_text(encoding="utf-8")):
        assert "Not the paper's protocol: 2 of 800 epochs." in said
    for name in FILES:
        assert str(tmp_path / name) in first.stdout
        assert (tmp_path / name).stat().st_size
    assert json.loads((tmp_path / "settings.json").read_text())["neurons"] == ["AVAL", "RID"]
    stored = (tmp_path / "scores.jsonl").read_bytes()
    second = CliRunner().invoke(main, ["reproduce", "figure4c", *map(str, arguments)])
    assert second.exit_code == 0, second.output
    assert (tmp_path / "scores.jsonl").read_bytes() == stored
    assert (tmp_path / "example.png").stat().st_size
    written = pd.read_csv(tmp_path / "figure4d.csv")
    assert np.isfinite(written["skill"]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--models", "rnn"], "unknown name 'rnn'"),
        (["--train-worms", "one"], "'one' is no list of whole numbers"),
        (["--train-worms", "4"], "n_train_worms=4, but groups has 3 worms"),
    ],
)
def test_wrong_options_end_with_one_line(lab, tmp_path, options, message):
    call = ["reproduce", "figure4d", "--data", str(lab / "ours"), "--out", str(tmp_path), "--n-jobs", "1", *options]
    result = CliRunner().invoke(main, call)
    assert result.exit_code == 2
    assert message in result.stderr


def test_help_names_every_network():
    text = CliRunner().invoke(main, ["reproduce", "figure4c", "--help"]).output
    joined = "".join(line.strip() + " " for line in text.splitlines()).replace("- ", "-")
    assert all(name in joined for name in NETWORKS)


@pytest.fixture(scope="module")
def settings_scores(tmp_path_factory):
    rows = []
    for model, error in {"default": 0.6, "two layers": 0.5, "linear": 0.1}.items():
        for train, worm in permutations("abc", 2):
            # Two layers are best on every worm but b.
            own = 0.9 if model == "two layers" and worm == "b" else error
            for step in (1, 8, 16):
                rows.append({"model": model, "train_worms": train, "worm": worm, "step": step, "mse": own})
    return pd.DataFrame(rows).assign(fold=0, evaluation="unseen_worms", persistence_mse=1.0)


def test_table_of_settings_is_the_skill_on_unseen_worms(settings_scores):
    table = forecast_sensitivity.settings_table(settings_scores)
    assert table.index.tolist() == ["default", "two layers", "linear"]
    assert table.loc["default"].tolist() == pytest.approx([0.4] * 4)
    assert table.loc["two layers", "worst 16"] == pytest.approx(0.1)
    texts = forecast_sensitivity.settings_texts(settings_scores)
    assert texts.loc["default"].tolist() == ["0.400\n(0.400 to 0.400)"] * 3 + ["0.400"]
    assert texts.loc["two layers", "skill 8"].startswith("0.367\n(0.1")


def test_a_setting_is_chosen_without_the_worm_that_scores_it(settings_scores):
    choice = forecast_sensitivity.choose_without_scored_worm(settings_scores)
    # With b out of sight two layers look best, and are not; baselines are no settings to choose.
    assert choice["setting"].to_dict() == {"a": "default", "b": "two layers", "c": "default"}
    assert choice.loc["b", "skill 8"] == pytest.approx(0.1)
    two = settings_scores[settings_scores["worm"] != "c"]
    with pytest.raises(ValueError, match="needs at least three worms"):
        forecast_sensitivity.choose_without_scored_worm(two)


def test_command_scores_every_setting(lab, tmp_path):
    arguments = ["--data", lab / "ours", "--epochs", 1, "--out", tmp_path, "--n-jobs", 1, "--quiet"]
    result = CliRunner().invoke(main, ["reproduce", "forecast-sensitivity", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    assert all(name in result.stdout for name in (*forecast_sensitivity.SETTINGS, *BASELINES))
    assert (tmp_path / "choice.md").read_text().startswith("| worm | setting |")


def test_settings_that_no_worm_could_choose_are_refused_before_any_fit(lab, tmp_path):
    arguments = ["--data", lab / "ours", "--train-worms", 2, "--out", tmp_path, "--n-jobs", 1]
    result = CliRunner().invoke(main, ["reproduce", "forecast-sensitivity", *map(str, arguments)])
    assert result.exit_code == 2
    assert "n_train_worms=2 of 3 worms leaves no fit" in result.stderr
    assert not (tmp_path / "scores.jsonl").exists()
