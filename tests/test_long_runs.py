import errno
import os
import re
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import KNeighborsClassifier

from skworm.model_selection import WormGroupKFold, cross_validate_worms
from skworm.model_selection.store import FitStore

pytestmark = pytest.mark.slow

N_FITS = 8


class Mortal(KNeighborsClassifier):
    """Kills its process where it is trained on worm "b" and finds the file `bomb`, which it removes unless told."""

    def __init__(self, n_neighbors=3, bomb=None, bomb_stays=False, seconds=0.0):
        super().__init__(n_neighbors)
        self.bomb = bomb
        self.bomb_stays = bomb_stays
        self.seconds = seconds

    def fit(self, X, y):
        time.sleep(self.seconds)
        if self.bomb is not None and self.bomb.exists() and "b" in X.index.unique("worm"):
            if not self.bomb_stays:
                self.bomb.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(X, y)


def run(model=None, **keywords):
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product([["a", "b"], range(80)], names=["worm", "frame"])
    X = pd.DataFrame(rng.normal(size=(160, 2)), index=index, columns=["AVAL:trace", "RID:trace"])
    y = pd.Series(np.where(rng.random(160) < 0.5, "forward", "reverse"), index=index)
    cv = WormGroupKFold(4, random_state=0)
    keywords = {"cv": cv, "baselines": False, "verbose": 0, **keywords}
    results = cross_validate_worms({"mortal": Mortal() if model is None else model}, X, y, **keywords)
    return results.table.drop(columns="fit_seconds")


def n_kept(folder):
    """Number of fits that are kept, each whole, with nothing beside them."""
    paths = list((folder / "fits").iterdir()) if (folder / "fits").is_dir() else []
    assert all(path.suffix == ".json" and not path.name.startswith(".") for path in paths)
    assert len(FitStore(folder).read()) == len(paths)
    return len(paths)


@pytest.fixture
def bomb(tmp_path):
    path = tmp_path / "bomb"
    path.touch()
    return path


def start_script(out, n_jobs, seconds=0.15):
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pathlib import Path; import test_long_runs as t\n"
        "out, n_jobs, seconds = sys.argv[1:]\n"
        "t.run(t.Mortal(seconds=float(seconds)), memory=out, n_jobs=int(n_jobs))"
    )
    path = os.pathsep.join([os.path.dirname(__file__), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, "-c", code, out, str(n_jobs), str(seconds)],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
        # A terminal's Ctrl-C reaches the whole group.
        start_new_session=True,
    )
    while len(list((out / "fits").glob("[!.]*.json"))) < 2:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    return process


def test_a_killed_worker_is_told_from_a_failing_model_and_the_run_resumes(tmp_path, bomb):
    model = Mortal(bomb=bomb)
    message = (
        r"^a worker process was killed, most often because memory ran out: pass a lower n_jobs; "
        r"(\d) of 8 fits are kept in .*out; call again to go on$"
    )
    with pytest.raises(BrokenExecutor, match=message) as caught:
        run(model, n_jobs=2, memory=tmp_path / "out")
    assert caught.value.__suppress_context__
    assert int(re.match(message, str(caught.value))[1]) == n_kept(tmp_path / "out") < N_FITS
    resumed = run(model, memory=tmp_path / "out")
    assert n_kept(tmp_path / "out") == N_FITS
    pd.testing.assert_frame_equal(resumed, run(model))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_interrupt_says_what_is_kept_and_shows_no_inside(tmp_path, n_jobs):
    process = start_script(tmp_path, n_jobs)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    # joblib's tracker is a process of its own, and may still warn of a lock that is let go while this one ends.
    errors = re.sub(r"^.*resource_tracker.*\n(  warnings\.warn.*\n)?", "", errors, flags=re.MULTILINE)
    last = errors.splitlines()[-1]
    form = r"KeyboardInterrupt: interrupted; (\d) of 8 fits are kept in (.*); call again to go on"
    assert (kept := re.fullmatch(form, last)), errors
    assert kept[2] == str(tmp_path)
    assert 2 <= int(kept[1]) == n_kept(tmp_path) < N_FITS
    assert errors.count("Traceback") == 1
    assert "joblib" not in errors
    assert "Warning" not in errors


def test_two_runs_in_one_folder_end_with_the_same_table(tmp_path):
    other = start_script(tmp_path, 2, seconds=0.2)
    try:
        pd.testing.assert_frame_equal(run(memory=tmp_path, n_jobs=2), run())
        assert other.wait(60) == 0
    finally:
        other.kill()
        other.communicate()
    assert n_kept(tmp_path) == 2 * N_FITS
    pd.testing.assert_frame_equal(run(memory=tmp_path), run())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_its_run(tmp_path, number):
    psutil = pytest.importorskip("psutil")
    process = start_script(tmp_path, 2, seconds=0.3)
    workers = [
        each for each in psutil.Process(process.pid).children(recursive=True) if "loky" in " ".join(each.cmdline())
    ]
    assert len(workers) >= 2
    process.send_signal(number)
    process.wait(30)
    process.communicate()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not [each for each in alive if each.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_full_disk(tmp_path, monkeypatch, n_jobs):
    synchronize, calls = os.fsync, []

    def fill_up(handle):
        calls.append(handle)
        if len(calls) > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        synchronize(handle)

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fill_up)
        message = (
            rf"^{tmp_path} cannot be written \(No space left on device\); 3 of 8 fits are kept in {tmp_path}; free"
        )
        with pytest.raises(OSError, match=message) as caught:
            run(memory=tmp_path, n_jobs=n_jobs)
    assert caught.value.errno == errno.ENOSPC
    assert n_kept(tmp_path) == 3
    pd.testing.assert_frame_equal(run(memory=tmp_path), run())
    assert n_kept(tmp_path) == N_FITS


def test_a_disk_too_small_for_a_file(tmp_path):
    run(memory=tmp_path / "whole")
    (first, *_) = sorted((tmp_path / "whole" / "fits").iterdir())
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (first.stat().st_size // 2, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            FitStore(tmp_path / "small").write("first", FitStore(tmp_path / "whole").read([first.stem]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert n_kept(tmp_path / "small") == 0


def test_the_bar_of_a_resumed_run_counts_earlier_fits_and_times_its_own(tmp_path, capsys):
    run(memory=tmp_path)
    for path in sorted((tmp_path / "fits").iterdir())[:3]:
        path.unlink()
    run(Mortal(), memory=tmp_path, verbose=1)
    first, *_, last = re.split(r"[\r\n]+", capsys.readouterr().err.strip())
    assert re.match(r" *62%.*5/8 \[00:00<\?, \?fit/s\]", first)
    assert "8/8" in last


@pytest.fixture
def make_cluster():
    distributed = pytest.importorskip("distributed")
    opened = []

    def make(n_workers, **keywords):
        keywords = {"threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50, **keywords}
        opened.append(distributed.LocalCluster(n_workers=n_workers, **keywords))
        opened.append(distributed.Client(opened[0]))

    yield make
    for thing in reversed(opened):
        thing.close()


def test_dask_gives_the_fit_of_a_killed_worker_to_another(tmp_path, bomb, make_cluster, monkeypatch):
    make_cluster(2)
    model = Mortal(bomb=bomb, seconds=0.05)
    with joblib.parallel_config("dask"):
        spread = run(model, memory=tmp_path / "out")
    assert not bomb.exists()
    assert n_kept(tmp_path / "out") == N_FITS
    pd.testing.assert_frame_equal(spread, run(model))

    monkeypatch.setattr("skworm.model_selection.workers.package_versions", lambda: {"numpy": "0.1"})
    message = (
        r"failed with numpy \S+ on the Dask worker .*, and 0.1 where the run was started.*; install numpy 0.1 there"
    )
    with joblib.parallel_config("dask"), pytest.raises(RuntimeError, match=message):
        run()


def test_dask_names_a_fit_that_kills_every_worker(tmp_path, bomb, make_cluster):
    dask = pytest.importorskip("dask")
    message = (
        r"model 'mortal' on worms b, fold 0 failed with the death of each worker that tried it \(1\), most often for "
        r"want of memory; 4 of 8 fits are kept in .*; start fewer workers on a machine, and call again"
    )
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        make_cluster(1)
        with joblib.parallel_config("dask"), pytest.raises(RuntimeError, match=message):
            run(Mortal(bomb=bomb, bomb_stays=True), memory=tmp_path / "out")
    assert n_kept(tmp_path / "out") == 4


def test_dask_workers_may_have_threads(make_cluster):
    make_cluster(1, threads_per_worker=2, processes=False)
    with joblib.parallel_config("dask"):
        spread = run()
    pd.testing.assert_frame_equal(spread, run())
