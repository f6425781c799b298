"""Result files: whole or absent, of this folder alone, and refused in one line where they are damaged."""

import errno
import os
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

import skworm.atomic
from skworm.cli import main
from skworm.datasets import make_worms, save_recordings
from skworm.model_selection import WormScores, read_scores
from skworm.paper.outcome import Outcome, save_figure, write_outcome
from skworm.paper.report import report_outcomes

pytestmark = pytest.mark.slow


def call(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


def write_all(folder, number=0):
    """Write the files of an experiment, and a page on them."""
    table = pd.DataFrame({"GNN": [f"{number}"]}, index=pd.Index(["a"], name="worm"))
    figure = Figure()
    figure.subplots().plot([number, 1])
    texts = f"Title {number}", f"seed: {number}", {"scores": table}, "A sentence.", "1 of 10 folds"
    outcome = Outcome(*texts, command="skworm reproduce made")
    data = {"numbers": pd.DataFrame({"x": [number]})}
    outcome = write_outcome(folder, outcome, record={"seed": number}, data=data, figures={"dots": figure})
    report_outcomes([outcome], folder / "report.html")
    return outcome


def write_scores(folder, number=0):
    rows = [
        {"model": model, "train_worms": ("a+b", "c"), "fold": 0, "evaluation": "unseen_worms", "worm": worm,
         "accuracy": 0.5 + number / 10} for model in ("svm", "gnn") for worm in ("007", "NA")
    ]  # fmt: skip
    confusion = pd.DataFrame(rows).drop(columns="accuracy").assign(state="forward", predicted="turn", n_frames=number)
    return WormScores(pd.DataFrame(rows), confusion, {"models": {"svm": f"C={number}"}}).save(folder)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class DiskFull(OSError):
    pass


@pytest.fixture
def full_disk(monkeypatch):
    """Return a function that lets the next files with an ending fail after they were written, before they are named."""

    def fill(ending):
        replace = os.replace

        def fail(source, target):
            if Path(target).name.endswith(ending):
                raise DiskFull(errno.ENOSPC, "No space left on device")
            return replace(source, target)

        monkeypatch.setattr(skworm.atomic.os, "replace", fail)

    return fill


@pytest.mark.parametrize(
    ("write", "ending"),
    [
        *((write_all, ending) for ending in ("numbers.csv", "table.md", "settings.json", "dots.png", "dots.pdf")),
        (write_all, "report.html"),
        *((write_scores, ending) for ending in ("scores.csv", "summary.csv", "confusion.csv", "run.json")),
    ],
)
def test_a_file_that_cannot_be_written_leaves_the_old_one(write, ending, tmp_path, full_disk):
    write(tmp_path, 1)
    before = contents(tmp_path)
    assert [name for name in before if name.endswith(ending)]
    full_disk(ending)
    with pytest.raises(DiskFull):
        write(tmp_path, 2)
    after = contents(tmp_path)
    assert set(after) == set(before)
    assert all(after[name] == before[name] for name in after if name.endswith(ending))


@pytest.mark.parametrize("ending", ["states.csv", "states_bouts.csv", "states_ethogram.png", ".skworm"])
def test_train_and_predict_write_whole_files_or_none(ending, tmp_path, full_disk):
    worms = tmp_path / "worms"
    save_recordings(make_worms(2, 200, neurons=("AVAL", "RID"), random_state=0), worms)
    out = tmp_path / "out"
    out.mkdir()
    options = ("--data", worms, "--model", "svm", "--states", 2, "--out", out / "svm.skworm", "--overwrite")
    commands = [("train", *options), ("predict", out / "svm.skworm", worms, "--out", out / "states.csv", "--overwrite")]
    for command in commands:
        assert call(*command).exit_code == 0
    before = contents(out)
    (out / f"svm{ending}" if ending == ".skworm" else out / ending).write_bytes(b"before")
    full_disk(ending)
    result = call(*commands[0], "--seed", 1) if ending == ".skworm" else call(*commands[1])
    assert result.exit_code == 2
    assert (result.stderr.count("\n"), "No space left on device" in result.stderr) == (1, True)
    after = contents(out)
    assert set(after) == set(before)
    assert [name for name, content in after.items() if content == b"before"] == [
        "svm.skworm" if ending == ".skworm" else ending
    ]


def test_an_error_while_drawing_leaves_the_old_figure(tmp_path):
    figure = Figure()
    figure.text(0, 0, "$unclosed {$")
    (tmp_path / "a.png").write_bytes(b"before")
    with pytest.raises(ValueError, match="unclosed"):
        save_figure(figure, tmp_path / "a")
    assert contents(tmp_path) == {"a.png": b"before"}


def test_what_is_kept_is_what_is_read(tmp_path):
    write_scores(tmp_path, 2)
    scores = read_scores(tmp_path)
    assert scores.record == {"models": {"svm": "C=2"}}
    assert set(scores.table["train_worms"]) == {("a+b", "c")}
    assert scores.table["worm"].tolist() == ["007", "NA"] * 2
    assert (scores.confusion["n_frames"] == 2).all()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"5", b"[1]", b"\xff\xfe", b"[" * 100_000],
    ids=["empty", "cut", "number", "list", "bytes", "deep"],
)
def test_damaged_json_is_named_in_one_line(content, tmp_path):
    write_scores(tmp_path)
    (tmp_path / "run.json").write_bytes(content)
    result = call("compare", tmp_path)
    assert result.exit_code == 2
    assert "run.json is damaged; repeat the command that made it" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: "", "cannot be read as a table"),
        (
            lambda text: text[: text.rindex("unseen_worms")],
            "cannot be read as a table of skworm: a row has nothing in the column",
        ),
        (lambda text: text + '"', "cannot be read as a table"),
        (lambda text: "x" * 50, "it lacks the columns model, train_worms, fold, evaluation, worm"),
        (lambda text: text.splitlines()[0], "holds no scores: no fit has finished"),
        (lambda text: text.replace("accuracy", "speed"), "has none of the metrics accuracy, mse, r2"),
    ],
)
@pytest.mark.parametrize("command", ["report", "compare"])
def test_a_damaged_table_is_named_in_one_line(command, damage, message, tmp_path):
    write_scores(tmp_path)
    path = tmp_path / "scores.csv"
    path.write_text(damage(path.read_text()))
    result = call(command, tmp_path)
    assert result.exit_code == 2
    assert str(path) in result.stderr
    assert message in result.stderr
    assert (result.stderr.count("\n"), result.stdout) == (1, "")


def test_a_path_that_cannot_be_written_is_named_and_not_its_temporary_file(tmp_path):
    (tmp_path / "taken").mkdir()
    for path in (tmp_path / "taken", tmp_path / "absent" / "a.txt"):
        with pytest.raises((IsADirectoryError, FileNotFoundError)) as caught:
            skworm.atomic.write_whole(path, "text")
        assert caught.value.filename == str(path)
        assert not list(tmp_path.glob(".*"))
