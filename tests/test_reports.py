import json
import os
import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LinearRegression
from sklearn.naive_bayes import GaussianNB

from skworm import WormGroupKFold
from skworm.cli import main
from skworm.datasets import make_worms, save_recordings
from skworm.frames import make_frames, make_trajectories
from skworm.model_selection import WormScores, cross_validate_worms, read_runs
from skworm.paper.report import report_run
from skworm.paper.tables import score_text

pytestmark = pytest.mark.slow

EVIL, WORMS = "<script>alert('x')</script> & \"co\"", ["worm <b>1</b>", "worm & 2", "007"]
CV = WormGroupKFold(2, window=4, random_state=0)


def call(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


def make_data(worms=WORMS, n_frames=40, seed=0):
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product([worms, range(n_frames)], names=["worm", "frame"])
    y = np.tile(np.repeat(["forward", "reverse_1"], n_frames // 4), 2 * len(worms))
    X = rng.normal(size=(len(y), 2)) + 2.0 * (y == "forward")[:, None]
    return pd.DataFrame(X, index=index, columns=["AVAL:trace", "RID:trace"]), y


def cross_validate(out, models=None, **options):
    models = models or {EVIL: GaussianNB(), "other": DummyClassifier(strategy="stratified", random_state=0)}
    return cross_validate_worms(models, *make_data(), cv=CV, memory=out, verbose=0, **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a script's run, and what the script was given."""
    folder = tmp_path_factory.mktemp("runs") / "of <us> & them"
    return folder, cross_validate(folder, external={"their lab": make_data(["x"], seed=1)})


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    """A folder that ``skworm reproduce table1`` wrote."""
    folder = tmp_path_factory.mktemp("reproduced")
    save_recordings(make_worms(3, n_frames=400, random_state=0), folder / "worms")
    few = ("--models", "svm,diffusion-map", "--folds", 2, "--neurons", "AVAL,AVAR,RID", "--n-jobs", 1, "--quiet")
    result = call("reproduce", "table1", "--data", folder / "worms", "--out", folder / "all" / "table1", *few)
    assert result.exit_code == 0, result.output
    return folder / "all"


def page_of(folder, tmp_path):
    return report_run(folder, tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    """The page on a script's run."""
    return page_of(run[0], tmp_path_factory.mktemp("page"))


def links_of(page):
    return re.findall(r"(?:src|href|action|data|poster|srcset)\s*=\s*[\"']([^\"']*)", page)


def test_the_page_of_a_run_needs_no_other_file_and_escapes_every_name(page):
    assert all(link.startswith(("#", "data:")) for link in links_of(page))
    assert not re.search(r"<script|<b>|@import|url\(|https?://", page)
    assert "&lt;script&gt;alert(" in page
    assert "of &lt;us&gt; &amp; them" in page
    for worm in ("worm &lt;b&gt;1&lt;/b&gt;", "worm &amp; 2", "007"):
        assert f'<th scope="row">{worm}</th>' in page
    assert page.startswith("<!DOCTYPE html>")
    assert page.count("<table>") == page.count("<caption>") == page.count("</table>") >= 8


def test_the_page_says_what_a_reviewer_asks(run, page):
    folder, scores = run
    unseen = scores.table.query("evaluation == 'unseen_worms' and model == 'other'").groupby("worm")["accuracy"].mean()
    assert f"<span>{100 * unseen.mean():.1f} ± {100 * unseen.std():.1f}</span><span>(" in page
    for said in (
        "2 neurons: AVAL, RID",
        "3 worms, 120 frames used, and the share of each state",
        "External: their lab",
        "50.0 %",
        "WormGroupKFold(",
        "Unseen worms: models compared",
        "The clock is 1-nearest neighbour on the frame number alone",
        "GaussianNB()",
        "3 worms are scored (unseen worms): no sign-flip test across them can give a p below 0.25",
        "A single worm is scored (their lab)",
        "sign-flip p = ",
        "10.3389/frai.2021.618372",
        "scikit-learn",
    ):
        assert said in page, said
    assert read_runs(folder)[0].record["train"]["digest"] in page


def test_the_page_says_where_there_was_no_clock(tmp_path):
    cross_validate(tmp_path / "run", baselines=False)
    assert "No clock was in this run" in page_of(tmp_path / "run", tmp_path)


def test_a_run_that_was_stopped_is_reported_as_such(run, tmp_path):
    folder, _ = run
    stopped = tmp_path / "stopped"
    shutil.copytree(folder, stopped)
    fits = sorted((stopped / "fits").iterdir())
    fits[0].unlink()
    (kept,) = read_runs(stopped)
    assert (kept.n_missing, len(kept.record["fits"])) == (1, len(fits))
    assert f"The run is not finished: {len(fits) - 1} of {len(fits)} fits are there" in page_of(stopped, tmp_path)
    WormScores(kept.table, kept.confusion).save(tmp_path / "alone")
    assert "settings, data and versions of the run are not known" in page_of(tmp_path / "alone", tmp_path)


def test_a_folder_keeps_each_run_once_and_the_latest_last(tmp_path):
    first = cross_validate(tmp_path, {"a": GaussianNB()})
    (alone,) = read_runs(tmp_path)
    pd.testing.assert_frame_equal(alone.table, first.table)
    cross_validate(tmp_path, {"a": GaussianNB()})
    (again,) = read_runs(tmp_path)
    assert again.record["started"] == alone.record["started"] < again.record["called"]
    cross_validate(tmp_path, {"a": GaussianNB(), "b": DummyClassifier()})
    (both,) = read_runs(tmp_path)
    assert set(both.record["models"]) == {"a", "b", "clock", "majority"}
    cross_validate(tmp_path, {"a": GaussianNB(var_smoothing=1e-3)})
    assert [set(run.record["models"]) - {"clock", "majority"} for run in read_runs(tmp_path)] == [{"a", "b"}, {"a"}]


def test_trajectories_and_behaviour_have_pages_too(tmp_path):
    worms = make_worms(3, n_frames=150, neurons=("AVAL", "RID"), random_state=0)
    frames, _ = make_frames(worms, states=None, derivative="backward")
    X, Y = make_trajectories(frames, horizon=8, burn_in=1)
    cv = WormGroupKFold(2, fold_by="contiguous_blocks", gap=9)
    models = {"least squares": LinearRegression(), "median": DummyRegressor(strategy="median")}
    cross_validate_worms(models, X, Y, cv=cv, memory=tmp_path / "forecasts", verbose=0)
    page = page_of(tmp_path / "forecasts", tmp_path)
    assert all(said in page for said in ("skill 8", "Trajectories have no clock", "trajectories", "2 neurons: AVAL"))
    velocity = frames["AVAL:trace"] + 0.1 * frames["RID:trace"]
    models = {"line": LinearRegression()}
    cross_validate_worms(models, frames, velocity, cv=cv, memory=tmp_path / "behavior", verbose=0)
    page = page_of(tmp_path / "behavior", tmp_path)
    assert all(said in page for said in ("R²", "Correlation", "The clock is 1-nearest", "signal that is known"))


def test_reproduce_writes_a_page_too(reproduced):
    folder = reproduced / "table1"
    page = (folder / "report.html").read_text(encoding="utf-8")
    table = pd.read_csv(folder / "table.csv").query("model == 'svm' and evaluation == 'unseen_worms'").iloc[0]
    numbers = (100 * table[f"accuracy_{name}"] for name in ("mean", "std", "low", "high"))
    texts = score_text(*numbers, "82.8 ± 7.6").split("\n")
    assert "".join(f"<span>{text}</span>" for text in texts) in page
    for said in (
        "<h1>Results of table1</h1>",
        ">Table 1: accuracy of state classifiers</h2>",
        f"skworm reproduce table1 --data {reproduced.parent / 'worms'}",
        f"from <code>{folder}</code>",
        "2 of 10 folds",
        "Clock gives a frame the state of the training frame with the nearest number",
        "Digest of all that scores depend on",
    ):
        assert said in page, said
    assert page.count("<table") > 5
    assert page.count('src="data:image/png;base64,') == 1
    assert all(link.startswith(("#", "data:")) for link in links_of(page))
    result = call("report", folder)
    assert result.exit_code == 2
    assert "holds an experiment of skworm reproduce, whose page is report.html there" in result.stderr


def test_what_is_no_result_is_refused_in_one_line(run, reproduced, tmp_path):
    (tmp_path / "empty").mkdir()
    for arguments, message in [
        ((tmp_path / "none",), "does not exist; pass the folder"),
        ((tmp_path / "empty",), "holds no scores: neither scores.csv nor finished fits"),
        ((reproduced / "table1" / "scores.csv",), "is a file; pass the folder"),
        ((reproduced,), "holds the results of several runs"),
        ((run[0], "--out", tmp_path / "page.txt"), "let it end in .html"),
    ]:
        result = call("report", *arguments)
        assert result.exit_code == 2
        assert message in result.stderr
        assert (len(result.stderr.splitlines()), result.stdout) == (1, "")


@pytest.fixture
def browser():
    """The path of a browser that shows pages without a screen."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "firefox")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"no headless browser is on PATH: none of {', '.join(names)}")
    return found


_PROBE = """<script>window.addEventListener("load", () => {
  const facts = {
    widths: [...document.images].map(image => image.naturalWidth),
    tables: [...document.querySelectorAll("table")].map(table => [table.rows.length, table.offsetWidth]),
    overflow: document.documentElement.scrollWidth - window.innerWidth,
    fetched: performance.getEntriesByType("resource").map(entry => entry.name),
    text: document.body.innerText.length,
  };
  new Image().src = "/facts?" + encodeURIComponent(JSON.stringify(facts));
});</script></body>"""


def seen_by(browser, page, tmp_path):
    """Show a page in a browser; tell what it found, and the paths that it asked for."""
    asked, arrived = [], threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = page.encode() if self.path == "/page.html" else b""
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            if self.path.startswith("/facts?"):
                arrived.set()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/page.html"
    own = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--remote-debugging-port=0"]
    if Path(browser).name == "firefox":
        own = ["--headless", "--no-remote", "--profile", str(tmp_path)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([browser, *own, url], **quiet, env={**os.environ, "HOME": str(tmp_path)})
    try:
        assert arrived.wait(120), "the browser never showed the page"
    finally:
        process.terminate()
        process.wait(30)
        server.shutdown()
        server.server_close()
        thread.join()
    facts = next(path for path in asked if path.startswith("/facts?"))
    return json.loads(unquote(facts.removeprefix("/facts?"))), [path for path in asked if path != facts]


@pytest.mark.parametrize("kind", ["run", "reproduced"])
def test_a_browser_shows_every_table_and_picture_and_asks_for_nothing(browser, page, reproduced, tmp_path, kind):
    page = page if kind == "run" else (reproduced / "table1" / "report.html").read_text(encoding="utf-8")
    # The page forbids scripts, so its own rule has to go for the one that looks at it.
    looked_at = re.sub(r"<meta http-equiv.*?>", "", page).replace("</body>", _PROBE)
    facts, asked = seen_by(browser, looked_at, tmp_path)
    assert len(facts["widths"]) == page.count("<img") > 0
    assert min(facts["widths"]) > 0
    assert len(facts["tables"]) == page.count("<table>")
    assert all(rows > 1 and width > 0 for rows, width in facts["tables"])
    assert facts["overflow"] <= 0
    assert facts["text"] > 1000
    assert facts["fetched"] == []
    assert asked == ["/page.html"]


def test_a_page_is_of_the_runs_of_its_experiment_alone(reproduced, tmp_path):
    folder = tmp_path / "table1"
    shutil.copytree(reproduced / "table1", folder)
    few = ("--models", "mlp-plain", "--folds", 1, "--epochs", 1, "--neurons", "AVAL,AVAR,RID", "--n-jobs", 1, "--quiet")
    result = call("reproduce", "table1", "--data", reproduced.parent / "worms", "--out", folder, *few)
    assert result.exit_code == 0, result.output
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "MLPStateClassifier" in page
    assert "SVMStateClassifier" not in page
