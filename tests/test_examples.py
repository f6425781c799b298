import ast
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from skworm.datasets import make_worms, save_recordings
from skworm.recording import STATES

pytestmark = pytest.mark.slow

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
# Others read a folder by the very line of the first of these.
RUN_ON_A_FOLDER = [path for path in EXAMPLES if path.stem in ("first_recording", "own_recordings")]
READ_A_FOLDER = "recordings = load_recordings(sys.argv[1]) if sys.argv[1:] else make_worms("


def name_of(path):
    return path.stem


@pytest.fixture
def run(quick_runs, monkeypatch, capsys, tmp_path):
    """Run an example as a script in an empty folder; give its names, what it printed and the PNG files it wrote."""

    def run_example(path, *arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [path.name, *map(str, arguments)])
        names = runpy.run_path(str(path), run_name="__main__")
        return names, capsys.readouterr().out, sorted(tmp_path.rglob("*.png"))

    return run_example


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worms")
    save_recordings(make_worms(3, 400, worm_prefix="mine", random_state=0), folder)
    return folder


@pytest.mark.parametrize("path", EXAMPLES, ids=name_of)
def test_examples_have_the_form_of_the_gallery(path):
    source = path.read_text(encoding="utf-8")
    title, underline, empty, *text = ast.get_docstring(ast.parse(source)).splitlines()
    assert underline == "=" * len(title)
    assert not empty
    assert text
    cells = re.findall(r"^# %%\n(.*)$", source, flags=re.MULTILINE)
    assert cells
    assert all(cell.startswith("# ") for cell in cells)
    assert source.count("sys.argv[1]") == source.count(READ_A_FOLDER) or path.stem == "own_recordings"
    gallery = (path.parents[1] / "docs" / "gallery.py").read_text(encoding="utf-8")
    assert f'"{path.name}",' in gallery, "name its place in ORDER"


def check_pictures(names, pictures):
    figures = {id(value.figure_): value.figure_ for value in names.values() if hasattr(value, "figure_")}
    assert figures
    assert len(pictures) == len(figures)
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
    for figure in figures.values():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        is_white = (np.asarray(canvas.buffer_rgba()) > 250).all(axis=-1)
        assert not is_white.all()
        assert any(axes.has_data() for axes in figure.axes)


def check_tables_of_a_laboratory(out, n_frames):
    header = (out / "csv" / "simulated-0.csv").read_text().partition("\n")[0]
    assert header.startswith("time,state,")
    assert "AVAL" in header.split(",")
    predicted = pd.read_csv(out / "predicted_states.csv")
    assert predicted["frame"].tolist() == list(range(n_frames))
    assert set(predicted["state"]) <= set(STATES)


@pytest.mark.parametrize("path", EXAMPLES, ids=name_of)
def test_examples_run_and_draw(path, run, tmp_path):
    names, printed, pictures = run(path)
    check_pictures(names, pictures)
    assert printed
    if path.stem == "own_recordings":
        check_tables_of_a_laboratory(tmp_path / names["out"], names["new_worm"].n_frames)


@pytest.mark.parametrize("path", RUN_ON_A_FOLDER, ids=name_of)
def test_examples_read_a_folder(path, run, folder):
    names, _, pictures = run(path, folder)
    check_pictures(names, pictures)
    assert [recording.worm for recording in names["recordings"]] == [f"mine-{number}" for number in range(3)]
