import copy
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.naive_bayes import GaussianNB

import skworm
from skworm import MLPStateClassifier
from skworm.datasets import make_worms
from skworm.frames import make_frames
from skworm.model_selection import WormGroupKFold, cross_validate_worms
from skworm.model_selection.store import FitStore

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
results = cross_validate_worms({"sleepy": Sleepy(3)}, X, y, cv=cv, memory=sys.argv[1], verbose=0)
results.table.assign(train_worms="").to_json(sys.argv[2], double_precision=15)
"""


def n_kept(folder):
    # A kill may leave a temporary file, of which the name begins with a dot.
    return len(list((folder / "fits").glob("[!.]*.json"))) if (folder / "fits").is_dir() else 0


@pytest.mark.slow
def test_a_killed_run_resumes_where_it_was(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)

    def start(name):
        return subprocess.Popen([sys.executable, script, tmp_path / name, tmp_path / f"{name}.json"])

    process = start("killed")
    while n_kept(tmp_path / "killed") < 2:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path.name: path.read_bytes() for path in (tmp_path / "killed" / "fits").glob("[!.]*.json")}
    assert len(kept) < 6
    assert start("killed").wait() == start("undisturbed").wait() == 0
    assert all((tmp_path / "killed" / "fits" / name).read_bytes() == content for name, content in kept.items())
    assert n_kept(tmp_path / "killed") == 18
    resumed, undisturbed = (pd.read_json(tmp_path / f"{name}.json") for name in ("killed", "undisturbed"))
    pd.testing.assert_frame_equal(resumed.drop(columns="fit_seconds"), undisturbed.drop(columns="fit_seconds"))


def test_a_store_keeps_what_other_calls_wrote(tmp_path):
    FitStore(tmp_path / "new" / "folder").write("first", [{"accuracy": 0.1}])
    FitStore(tmp_path / "new" / "folder").write("second", [{"accuracy": float("nan")}])
    rows = FitStore(tmp_path / "new" / "folder").read()
    assert rows["first"] == [{"accuracy": 0.1}]
    assert np.isnan(rows["second"][0]["accuracy"])
    assert FitStore(tmp_path / "new" / "folder").read(["second", "third"]).keys() == {"second"}


def damage_of(kind, content):
    middle = len(content) // 2
    return {
        "flipped bit": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "first half": content[:middle],
        "empty": b"",
        "foreign": b'{"accuracy": 1.0}',
        "not UTF-8": b"\xff" + content,
    }[kind]


@pytest.mark.parametrize("kind", ["flipped bit", "first half", "empty", "foreign", "not UTF-8"])
def test_a_damaged_file_counts_as_absent(tmp_path, kind):
    store = FitStore(tmp_path)
    store.write("first", [{"accuracy": 0.5}])
    store.write("second", [{"accuracy": 0.25}])
    path = tmp_path / "fits" / "first.json"
    path.write_bytes(damage_of(kind, path.read_bytes()))
    with pytest.warns(UserWarning, match=r"1 files of finished fits are damaged, first .*first.json"):
        assert store.read() == {"second": [{"accuracy": 0.25}]}


def test_a_file_under_another_name_counts_as_damaged(tmp_path):
    store = FitStore(tmp_path)
    store.write("first", [{"accuracy": 0.5}])
    os.rename(tmp_path / "fits" / "first.json", tmp_path / "fits" / "second.json")
    with pytest.warns(UserWarning, match="damaged"):
        assert store.read() == {}


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    store = FitStore(tmp_path)
    store.write("first", [{"accuracy": 0.5}])
    monkeypatch.setattr("os.fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        store.write("second", [{"accuracy": 0.5}])
    with pytest.raises(OSError, match="No space"):
        store.write("first", [{"accuracy": 0.75}])
    assert [path.name for path in (tmp_path / "fits").iterdir()] == ["first.json"]
    assert store.read() == {"first": [{"accuracy": 0.5}]}


def test_a_run_is_kept_once_with_its_start_and_without_those_it_holds(tmp_path):
    store = FitStore(tmp_path)
    store.write_run({"called": "1", "fits": ["a"]})
    store.write_run({"called": "2", "fits": ["a"]})
    assert store.runs() == [{"called": "2", "fits": ["a"], "started": "1"}]
    store.write_run({"called": "3", "fits": ["a", "b"]})
    store.write_run({"called": "4", "fits": ["c"]})
    assert [run["fits"] for run in store.runs()] == [["a", "b"], ["c"]]


def test_what_a_frozen_estimator_has_learnt_counts(tmp_path):
    index = pd.MultiIndex.from_product([["a", "b"], range(80)], names=["worm", "frame"])
    y = pd.Series(np.tile(np.repeat(["forward", "reverse"], 8), 10), index=index)
    X = pd.DataFrame({"AVAL:trace": (y == "forward").astype(float)}, index=index)
    models = [GaussianNB().fit(X, states) for states in (y, y.map({"forward": "reverse"}).fillna("forward"))]
    cv = WormGroupKFold(3, random_state=0)
    for model, expected in zip([*models, models[0]], (1.0, 0.0, 1.0), strict=True):
        model = FrozenEstimator(model)
        options = {"cv": cv, "memory": tmp_path, "baselines": False, "verbose": 0}
        scores = cross_validate_worms({"frozen": model}, X, y, **options)
        assert (scores.table["accuracy"] == expected).all()
    assert n_kept(tmp_path) == 12


def test_a_frozen_network_is_found_again_however_it_came(tmp_path):
    X, y = make_frames(make_worms(2, n_frames=200, random_state=0), states="2")
    network = MLPStateClassifier(max_epochs=2, random_state=0, device="cpu")
    path = skworm.save(network.fit(X, y), tmp_path / "a.skworm")
    cv = WormGroupKFold(3, random_state=0)
    options = {"cv": cv, "memory": tmp_path / "fits", "baselines": False, "verbose": 0}
    models = [network, copy.deepcopy(network), skworm.load(path), skworm.load(path), clone(network).fit(X, y)]
    for model in (*models, network.set_params(max_epochs=3).fit(X, y)):
        cross_validate_worms({"frozen": FrozenEstimator(model)}, X, y, **options)
    assert n_kept(tmp_path / "fits") == 12
