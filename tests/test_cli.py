import os
import re
import signal
import subprocess
import sys
import time
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from skworm.cli import main
from skworm.datasets import make_worms, save_recordings

FILES = ("scores.csv", "table.csv", "table.md", "settings.json", "table1.png", "table1.pdf")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("recordings") / "worms"
    save_recordings(make_worms(3, n_frames=400, random_state=0), path)
    return path


def call(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


def table1(folder, out, *arguments):
    few = ("--models", "svm,mlp", "--epochs", 5, "--folds", 2, "--neurons", "AVAL,AVAR,RID", "--n-jobs", 1)
    return call("reproduce", "table1", "--data", folder, "--out", out, *few, *arguments)


def test_help_names_every_model_and_option():
    from skworm.experiments.protocol import BASELINES, MODELS

    result = call("reproduce", "table1", "--help")
    assert result.exit_code == 0
    text = re.sub(r"-\s+", "-", result.output)
    assert all(name in text for name in (*MODELS, *BASELINES))
    assert max(map(len, result.output.splitlines())) <= 110
    assert "table1" in call("reproduce", "--help").output
    assert call("--version").output.strip().endswith(version("skworm"))


def test_help_needs_no_torch():
    code = "import sys, skworm.cli; sys.exit(any(m in sys.modules for m in ('torch', 'sklearn', 'matplotlib')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_table1_prints_and_writes_a_table_and_continues(folder, tmp_path):
    first = table1(folder, tmp_path / "out")
    assert first.exit_code == 0, first.output
    assert "neurons:  3: AVAL, AVAR, RID" in first.stdout
    assert "fits:     48, baselines included" in first.stdout
    assert all(str(tmp_path / "out" / name) in first.stdout and (tmp_path / "out" / name).exists() for name in FILES)
    scores = pd.read_csv(tmp_path / "out" / "scores.csv")
    table = pd.read_csv(tmp_path / "out" / "table.csv")
    for row in table.dropna(subset=["mean"]).itertuples():
        chosen = scores[(scores["fold_by"] == row.fold_by) & (scores["evaluation"] == row.evaluation)]
        by_worm = 100 * chosen[chosen["model"] == row.model].groupby("worm")["accuracy"].mean()
        np.testing.assert_allclose([row.mean, row.std], [by_worm.mean(), by_worm.std()])
    cell = table.query("model == 'mlp' and column == 'unseen worms'").iloc[0]
    assert f"{cell['mean']:.1f} ± {cell['std']:.1f} [93.9 ± 10.3]" in first.stdout
    assert f"({cell['mean_low']:.1f} to {cell['mean_high']:.1f})" in first.stdout

    store = (tmp_path / "out" / "scores.jsonl").read_bytes()
    again = table1(folder, tmp_path / "out")
    assert (tmp_path / "out" / "scores.jsonl").read_bytes() == store
    assert again.stdout == first.stdout


def test_quiet_prints_the_table_alone(folder, tmp_path):
    result = table1(folder, tmp_path, "--quiet", "--models", "svm", "--fold-by", "contiguous_blocks")
    assert result.exit_code == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0].split("   ")[-1].strip() == "unseen worms"
    assert lines[-2].startswith("Majority")
    assert re.fullmatch(r"( +\([\d.]+ to [\d.]+\)){2}", lines[-1])


def test_the_simulated_default_has_a_second_lab(tmp_path, monkeypatch):
    monkeypatch.setattr("skworm.experiments.worms._N_FRAMES", 400)
    few = ("--models", "svm", "--folds", 2, "--neurons", "AVAL", "--fold-by", "shuffled_windows", "--n-jobs", 1)
    result = call("reproduce", "table1", *few, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "data:     simulated, 5 worms, 2000 frames" in result.stdout
    assert "external: simulated lab 1, 5 worms" in result.stdout
    assert "They are for real worms, and these worms are simulated." in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "/nowhere"), "/nowhere does not exist; check the path"),
        (
            ("--models", "svm,perceptron"),
            "models has the unknown name 'perceptron'; choose one or several of diffusion-map",
        ),
        (("--models", ","), "models is empty; choose"),
        (("--neurons", "AVAL,VB09"), "worm 'simulated-0' has no 'VB09'"),
        (("--external", "/elsewhere"), "/elsewhere does not exist; check the path"),
        (("--folds", "60"), "windows of 8 frames, too few for n_splits=60; lower n_splits"),
        (("--train-worms", "4"), "n_train_worms=4, but groups has 3 worms; lower n_train_worms"),
    ],
)
def test_a_wrong_wish_is_answered_by_one_line(folder, tmp_path, arguments, message):
    result = table1(folder, tmp_path, "--quiet", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


@pytest.mark.parametrize(("option", "value"), [("--states", "3"), ("--epochs", "0"), ("--fold-by", "windows")])
def test_a_value_that_no_option_takes_is_refused(option, value):
    result = call("reproduce", "table1", option, value)
    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.stderr


def test_an_interrupted_run_says_how_to_continue(folder, tmp_path):
    arguments = ("--data", folder, "--models", "mlp", "--epochs", "4000", "--folds", "2", "--n-jobs", "1")
    # A background shell, as some machines for tests have, makes its children deaf to Ctrl-C.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from skworm.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "reproduce", "table1", *map(str, arguments), "--out", str(tmp_path)]
    store = tmp_path / "scores.jsonl"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            while not store.exists():
                assert process.poll() is None
                time.sleep(0.05)
            os.kill(process.pid, signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    last = errors.strip().splitlines()[-1]
    assert re.fullmatch(
        rf"Interrupted; (\d+ of \d+|finished) fits are kept in {tmp_path}\S*; call again to go on", last
    )
    assert "Traceback" not in errors
