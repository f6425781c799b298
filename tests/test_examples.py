import runpy
import sys
from pathlib import Path

import pandas as pd
import pytest

from skworm.datasets import make_worms, save_recordings
from skworm.states import STATES

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def run(monkeypatch, capsys):
    def run_example(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run_example


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worms")
    save_recordings(make_worms(4, 600, worm_prefix="mine", random_state=0), folder)
    return folder


def test_every_example_is_tested():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {
        "first_steps.py",
        "forecasting.py",
        "grid_search.py",
        "own_recordings.py",
        "velocity.py",
    }


@pytest.mark.parametrize("given", [False, True], ids=["simulated", "own"])
def test_first_steps(run, folder, given):
    printed = run("first_steps.py", *([folder] if given else []), "--epochs", 5)
    assert f"scored on {'mine-3' if given else 'simulated-4'}" in printed
    assert "macro avg" in printed
    assert "Strongest edges" in printed


def test_grid_search(run, folder):
    printed = run("grid_search.py", folder, "--epochs", 3)
    for estimator in ("SVM", "MLP", "GNN"):
        assert f"{estimator}StateClassifier" in printed
    assert "accuracy on mine-3, set aside: 0." in printed


def test_own_recordings_from_csv(run, tmp_path):
    printed = run("own_recordings.py", "--out", tmp_path, "--epochs", 5)
    assert "accuracy on simulated-3, unseen: 0." in printed
    header = (tmp_path / "csv" / "simulated-0.csv").read_text().partition("\n")[0]
    assert header.startswith("time,state,")
    assert "AVAL" in header.split(",")
    predicted = pd.read_csv(tmp_path / "predicted_states.csv")
    assert predicted["frame"].tolist() == list(range(1500))
    assert set(predicted["state"]) <= set(STATES)
    assert (tmp_path / "predicted_states.png").read_bytes().startswith(b"\x89PNG")


def test_own_recordings_of_a_folder(run, folder, tmp_path):
    printed = run("own_recordings.py", folder, "--out", tmp_path, "--epochs", 5)
    assert "accuracy on mine-3, unseen: 0." in printed
    assert not (tmp_path / "csv").exists()


@pytest.mark.parametrize("given", [False, True], ids=["simulated", "own"])
def test_forecasting(run, folder, tmp_path, given):
    printed = run("forecasting.py", *([folder] if given else []), "--epochs", 3, "--out", tmp_path / "forecast.png")
    assert f"skill over persistence on {'mine' if given else 'simulated'}-3, by step:" in printed
    assert printed.count("step 16: ") == 2
    assert (tmp_path / "forecast.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("given", [False, True], ids=["simulated", "own"])
def test_velocity(run, folder, tmp_path, given):
    printed = run("velocity.py", *([folder] if given else []), "--epochs", 3, "--out", tmp_path / "velocity.png")
    assert f"velocity of {'mine' if given else 'simulated'}-3, unseen:" in printed
    assert printed.count("correlation") == 3
    assert (tmp_path / "velocity.png").read_bytes().startswith(b"\x89PNG")
