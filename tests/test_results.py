import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from skworm.model_selection import summarize_worms
from skworm.model_selection.results import ResultStore

SCRIPT = """
import os, sys, time
import numpy as np, pandas as pd
from sklearn.neighbors import KNeighborsClassifier
from skworm.model_selection import WormGroupKFold, cross_validate_worms

class Sleepy(KNeighborsClassifier):
    def fit(self, X, y):
        time.sleep(0.15)
        return super().fit(X, y)

rng = np.random.default_rng(0)
index = pd.MultiIndex.from_product([["a", "b"], range(80)], names=["worm", "frame"])
X = pd.DataFrame(rng.normal(size=(160, 3)), index=index, columns=["AVAL:trace", "AVAR:trace", "RID:trace"])
y = pd.Series(np.where(rng.random(160) < 0.5, "forward", "reverse"), index=index)
cv = WormGroupKFold(3, random_state=0)
results = cross_validate_worms({"sleepy": Sleepy(3)}, X, y, cv=cv, out=sys.argv[1], verbose=0)
results.to_json(sys.argv[2], double_precision=15)
"""


def test_a_killed_run_resumes_where_it_was(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    store = tmp_path / "killed" / "scores.jsonl"

    def start(name):
        return subprocess.Popen([sys.executable, script, tmp_path / name, tmp_path / f"{name}.json"])

    process = start("killed")
    while not store.exists() or store.read_bytes().count(b"\n") < 2:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = store.read_bytes()
    assert kept.count(b"\n") < 6
    assert start("killed").wait() == start("undisturbed").wait() == 0
    assert store.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
    assert store.read_bytes().count(b"\n") == 18
    resumed, undisturbed = (pd.read_json(tmp_path / f"{name}.json") for name in ("killed", "undisturbed"))
    pd.testing.assert_frame_equal(resumed.drop(columns="fit_seconds"), undisturbed.drop(columns="fit_seconds"))


@pytest.mark.parametrize("line", ["{]", "[1, 2]", '{"digest": "a"}'])
def test_a_damaged_line_is_named(tmp_path, line):
    store = ResultStore(tmp_path)
    store.append("first", [{"accuracy": 0.5}])
    with store.path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=r"line 2 of .*scores.jsonl is no record of a fit; delete the line"):
        ResultStore(tmp_path)


def test_a_store_keeps_what_other_calls_wrote(tmp_path):
    ResultStore(tmp_path / "new" / "folder").append("first", [{"accuracy": 0.1}])
    ResultStore(tmp_path / "new" / "folder").append("second", [{"accuracy": float("nan")}])
    rows = ResultStore(tmp_path / "new" / "folder").rows_by_digest
    assert rows["first"] == [{"accuracy": 0.1}]
    assert np.isnan(rows["second"][0]["accuracy"])


def test_the_summary_takes_the_worm_as_its_unit():
    results = pd.DataFrame(
        {
            "model": "svm",
            "train_worms": ["a", "a", "b", "b"],
            "fold": [0, 1, 0, 0],
            "evaluation": "unseen_worms",
            "worm": ["c", "c", "c", "d"],
            "accuracy": [0.6, 0.7, 0.8, 0.9],
            "balanced_accuracy": [0.5, 0.5, 0.5, np.nan],
            "macro_f1": 0.4,
        }
    )
    summary = summarize_worms(results)
    assert len(summary) == 1
    row = summary.iloc[0]
    assert (row["n_worms"], row["n_fits"]) == (2, 3)
    assert row["accuracy_mean"] == pytest.approx(0.8)
    assert row["accuracy_std"] == pytest.approx(np.std([0.7, 0.9], ddof=1))
    assert row["balanced_accuracy_mean"] == pytest.approx(0.5)
