import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from click.testing import CliRunner

from skworm.cli import main
from skworm.datasets import make_worms, save_recordings
from skworm.model_selection import read_scores
from skworm.paper.models import STATE_MODELS

pytestmark = pytest.mark.slow

ACCURACY = [f"accuracy_{name}" for name in ("mean", "std", "low", "high")]
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
    result = call("reproduce", "table1", "--help")
    assert result.exit_code == 0
    text = re.sub(r"-\s+", "-", result.output)
    assert all(name in text for name in STATE_MODELS)
    assert max(map(len, result.output.splitlines())) <= 110
    assert "table1" in call("reproduce", "--help").output
    assert call("--version").output.strip().endswith(version("skworm"))


def test_help_needs_no_torch():
    code = "import sys, skworm.cli; sys.exit(any(m in sys.modules for m in ('torch', 'sklearn', 'matplotlib')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_table1_prints_and_writes_a_table_and_continues(folder, tmp_path):
    out = tmp_path / "out"
    first = table1(folder, out)
    assert first.exit_code == 0, first.output
    assert "neurons:  3: AVAL, AVAR, RID" in first.stdout
    assert all(str(out / name) in first.stdout and (out / name).exists() for name in FILES)
    scores, table = read_scores(out).table, pd.read_csv(out / "table.csv")
    for row in table.itertuples():
        chosen = scores[(scores["fold_by"] == row.fold_by) & (scores["evaluation"] == row.evaluation)]
        by_worm = chosen[chosen["model"] == row.model].groupby("worm")["accuracy"].mean()
        np.testing.assert_allclose([row.accuracy_mean, row.accuracy_std], [by_worm.mean(), by_worm.std()])
    cell = 100 * table.query("model == 'mlp' and evaluation == 'unseen_worms'").iloc[0][ACCURACY].astype(float)
    assert f"{cell['accuracy_mean']:.1f} ± {cell['accuracy_std']:.1f} [93.9 ± 10.3]" in first.stdout
    assert f"({cell['accuracy_low']:.1f} to {cell['accuracy_high']:.1f})" in first.stdout

    fits = {path: path.stat().st_mtime_ns for path in (out / "fits").iterdir()}
    again = table1(folder, out)
    assert {path: path.stat().st_mtime_ns for path in (out / "fits").iterdir()} == fits
    assert again.stdout == first.stdout


def test_quiet_prints_the_table_alone(folder, tmp_path):
    result = table1(folder, tmp_path, "--quiet", "--models", "svm", "--fold-by", "contiguous_blocks")
    assert result.exit_code == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0] == "2 states"
    assert lines[1].split("   ")[-1].strip() == "unseen worms"
    assert lines[-2].startswith("Clock")
    assert re.fullmatch(r"( +\([\d.]+ to [\d.]+\)){2}", lines[-1])


def test_the_simulated_default_has_a_second_lab(tmp_path, monkeypatch):
    monkeypatch.setattr("skworm.paper.study._N_FRAMES", 400)
    few = ("--models", "svm", "--folds", 2, "--neurons", "AVAL", "--fold-by", "shuffled_windows", "--n-jobs", 1)
    result = call("reproduce", "table1", *few, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "data:     simulated, 5 worms, 2000 frames" in result.stdout
    assert "external: simulated lab 1, 5 worms" in result.stdout
    assert "The paper's numbers are for real worms, and these worms are simulated." in result.stdout


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
        (("--folds", "60"), "60 folds cannot be held out in turn; pass a number from 1 to 10"),
        (("--states", "3"), "states has the unknown name '3'; choose one or several of 7, 4"),
        (("--fold-by", "windows"), "--fold-by has the unknown name 'windows'; choose"),
        (("--train-worms", "4"), "3 worms with 4 for training leave none unseen; train on fewer"),
    ],
)
def test_a_wrong_option_ends_in_one_line(folder, tmp_path, arguments, message):
    result = table1(folder, tmp_path, "--quiet", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("option", "value"), [("--train-worms", "one"), ("--epochs", "0"), ("--folds", "0"), ("--seed", "-1")]
)
def test_a_value_that_no_option_takes_is_refused(option, value):
    result = call("reproduce", "table1", option, value)
    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.stderr


def started(folder, out, n_jobs=1):
    """Start a run of a few fits that are quick, and of others that would take hours; wait for the first."""
    # A background shell, as some machines for tests have, makes its children deaf to Ctrl-C.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from skworm.cli import main; main()"
    )
    models = ("--models", "svm,mlp", "--epochs", 1_000_000, "--folds", 2, "--neurons", "AVAL,RID")
    arguments = ("reproduce", "table1", "--data", folder, "--out", out, *models, "--n-jobs", n_jobs)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while len(list(out.glob("fits/*.json"))) < 6:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    # Long enough to be amid a fit of the network.
    time.sleep(1)
    return process


def test_an_interrupted_run_says_how_to_continue(folder, tmp_path):
    process = started(folder, tmp_path)
    try:
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


def test_sigterm_ends_a_run_and_its_workers(folder, tmp_path):
    process = started(folder, tmp_path, n_jobs=2)
    try:
        workers = psutil.Process(process.pid).children(recursive=True)
        assert len(workers) >= 2
        os.kill(process.pid, signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 143
    assert "Traceback" not in errors
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []
    # Whatever is there is whole.
    assert [path.name for path in tmp_path.rglob("*") if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("a kernel failed\nat once"), "RuntimeError: a kernel failed at once"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_failed_fits_end_in_one_line(folder, tmp_path, monkeypatch, error, message):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr("skworm.SVMStateClassifier.fit", fail)
    result = table1(folder, tmp_path, "--quiet", "--models", "svm")
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: model '2 states | svm' on ")
    assert message in line
    assert f"fits are kept in {tmp_path}" in line

    trained = call("train", "--data", folder, "--model", "svm", "--out", tmp_path / "svm.skworm")
    assert (trained.exit_code, trained.stdout) == (1, "")
    (line,) = trained.stderr.splitlines()
    assert ("a kernel failed at once" if message.startswith("Runtime") else "memory ran out") in line
    assert not (tmp_path / "svm.skworm").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_not_utf_8_end_in_one_line(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    odd = os.fsdecode(b"odd \xff")
    shutil.copytree(folder, odd)
    names = tmp_path / "names"
    names.mkdir()
    worm = make_worms(1, 100, random_state=0)[0]
    table = pd.DataFrame(worm.traces, columns=worm.neurons).assign(state=worm.states, time=worm.time)
    table.to_csv(names / f"{odd}.csv", index=False)
    Path("latin.csv").write_bytes("AVAL,Zustand\n1,vorw\xe4rts\n".encode("latin-1"))
    few = ("--models", "svm", "--folds", 2, "--neurons", "AVAL,RID", "--n-jobs", 1, "--fold-by", "shuffled_windows")
    assert call("reproduce", "table1", "--data", folder, *few, "--quiet", "--out", f"out {odd}").exit_code == 0
    for command in (
        ("reproduce", "table1", "--data", odd, *few, "--quiet", "--out", "out"),
        ("reproduce", "table1", "--data", names, *few, "--quiet", "--out", "out"),
        ("report", f"out {odd}"),
        ("report", odd),
        ("report", f"nowhere {odd}"),
        ("compare", odd),
        ("inspect", f"nowhere {odd}"),
        ("train", "--data", "latin.csv", "--out", "model.skworm"),
        ("train", "--data", names, "--model", "svm", "--out", "model.skworm"),
        ("predict", f"nowhere {odd}", odd, "--out", "states.csv"),
    ):
        result = call(*command)
        assert isinstance(result.exception, SystemExit), (command, result.exception)
        assert result.exit_code in (1, 2), (command, result.output)
        assert len(result.stderr.splitlines()) == 1, (command, result.stderr)
        assert result.stderr.startswith("Error: ")
    assert not Path("model.skworm").exists()
