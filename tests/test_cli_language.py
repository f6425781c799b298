"""Commands speak of options, in lines without a path of the code, and print nothing that steers a terminal."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import skworm
from skworm.cli import main
from skworm.datasets import make_worms, save_recordings

# A parameter with its value, or the name of one; 'dwelling=...' in quotes belongs to an option.
PYTHON = re.compile(r"(?<!')\b[a-z_]+=\S|\(\.\.\.|\b(rename_states|resample_to|neuron_names|dataclasses)\b")


def call(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


def worms(n_worms=2, **others):
    return make_worms(n_worms, 300, neurons=("AVAL", "RID", "VB02"), n_unidentified=1, random_state=0, **others)


def train(folder, tmp_path, *arguments):
    return call("train", "--data", folder, "--model", "svm", "--out", tmp_path / "m.skworm", *arguments)


@pytest.fixture
def table(tmp_path):
    """A table without time stamps, with states of its own."""
    (worm,) = worms(1)
    table = pd.DataFrame(worm.traces, columns=worm.neurons).drop(columns="1", errors="ignore")
    table["state"] = np.where(np.arange(300) // 30 % 2, "roaming", "dwelling")
    table.to_csv(tmp_path / "w.csv", index=False)
    return tmp_path / "w.csv"


def frozen(worm):
    traces = worm.traces.copy()
    traces[:, list(worm.neurons).index("RID")] = 1.0
    return replace(worm, traces=traces)


def blinking(worm):
    traces = worm.traces.copy()
    traces[5:9, list(worm.neurons).index("RID")] = np.nan
    return replace(worm, traces=traces)


def unlabelled(worm):
    return replace(worm, states=None)


def own_states(worm):
    return replace(worm, states=np.where(np.arange(worm.n_frames) // 30 % 2, "roaming", "dwelling"))


@pytest.mark.parametrize(
    ("change", "arguments", "remedy"),
    [
        (frozen, ("--neurons", "RID"), "leave the neuron out of --neurons"),
        (blinking, (), "pass --neurons union"),
        (unlabelled, (), "label its frames"),
        (own_states, (), "--rename-state 'dwelling=...', or pass --states as_recorded"),
        (None, ("--neurons", "ASEL"), "pass --neurons shared or --neurons union"),
        (None, ("--detrend", "1"), "--detrend 1 s are 3 frames"),
        (None, ("--rename-state", "roaming=forward"), None),
    ],
)
def test_errors_speak_of_options(change, arguments, remedy, tmp_path):
    save_recordings([change(worm) if change else worm for worm in worms()], tmp_path / "data")
    result = train(tmp_path / "data", tmp_path, *arguments)
    if remedy is None:
        assert result.exit_code == 0, result.output
        return
    assert result.exit_code == 2
    assert remedy in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not PYTHON.search(result.stderr)


def test_names_of_files_stay_as_they_are(tmp_path):
    for name in ("neuron_names.csv", "fps=3/worm.csv"):
        result = train(tmp_path / name, tmp_path)
        assert f"{tmp_path / name} does not exist" in result.stderr


def test_tables_are_read_with_options(table, tmp_path):
    refused = train(table, tmp_path, "--states", "as_recorded")
    assert "pass --table-fps with the frames a second, or name the column by --column 'time=...'" in refused.stderr
    assert not PYTHON.search(refused.stderr)
    wrong = train(table, tmp_path, "--table-fps", 3, "--column", "time=t (s)")
    assert "--column 'time=t (s)' names" in wrong.stderr
    misspelt = train(table, tmp_path, "--table-fps", 3, "--rename-state", "roam=forward")
    assert "--rename-state names ['roam']" in misspelt.stderr
    own = train(table, tmp_path, "--table-fps", 3, "--states", "as_recorded", "--json")
    assert set(json.loads(own.stdout)["training"]["states"]) == {"roaming", "dwelling"}
    renaming = ("--rename-state", "roaming=forward", "--rename-state", "dwelling=reverse")
    renamed = train(table, tmp_path, "--table-fps", 3, "--states", "2", *renaming, "--overwrite", "--json")
    assert set(json.loads(renamed.stdout)["training"]["states"]) == {"forward", "reverse"}
    seen = call("predict", tmp_path / "m.skworm", table, "--table-fps", 3, *renaming, "--out", tmp_path / "s.csv")
    assert "accuracy on annotated frames" in seen.stdout
    counted = json.loads(call("inspect", table, "--table-fps", 3, *renaming, "--states", "2", "--json").stdout)
    assert set(counted["worms"][0]["states"]) == {"forward", "reverse"}


def test_a_model_keeps_what_detrend_was(tmp_path):
    save_recordings(worms(), tmp_path / "data")
    assert train(tmp_path / "data", tmp_path, "--detrend", "60", "--states", "2").exit_code == 0
    assert skworm.load(tmp_path / "m.skworm").frame_settings_["detrend"] == 60
    predicted = call("predict", tmp_path / "m.skworm", tmp_path / "data", "--out", tmp_path / "s.csv")
    assert predicted.exit_code == 0, predicted.output


def test_neurons_of_any_worm_train_a_network(tmp_path):
    first, second = worms()
    save_recordings([first, replace(second, neurons=("ASEL", *second.neurons[1:]))], tmp_path / "data")
    options = ("--model", "mlp", "--epochs", 2, "--json")
    found = {kind: train(tmp_path / "data", tmp_path, "--neurons", kind, "--overwrite", *options) for kind in
             ("shared", "paper", "union")}  # fmt: skip
    names = {kind: json.loads(result.stdout)["neurons"] for kind, result in found.items()}
    assert len(names["shared"]) == len(names["paper"]) == 2
    assert len(names["union"]) == 4


def test_warnings_are_lines_without_a_path(tmp_path):
    slow = worms()[0]
    save_recordings([slow, *worms(1, fps=8.0, worm_prefix="fast")], tmp_path / "data")
    result = train(tmp_path / "data", tmp_path, "--states", "2")
    assert result.exit_code == 0, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("Warning: worm 'simulated-0' has 2.9 frames")
    assert line.endswith("pass --fps 2.9")


def test_names_from_files_do_not_steer_the_terminal(tmp_path):
    (tmp_path / "w\x1b[2J\u202e.csv").write_text("AVAL,AVAL\n1,2\n")
    outputs = [call("inspect", tmp_path), train(tmp_path, tmp_path), call("report", tmp_path / "r\x1b[2J")]
    for result in outputs:
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", result.output)
        assert r"\x1b[2J" in result.output
