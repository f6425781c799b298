"""The quick parts of tests/benchmarks/store_torture.py, and workers whose run ends before they have started."""

import argparse
import signal
import sys
import time
from pathlib import Path

import joblib
import pytest

from skworm.model_selection.workers import finished_calls, worker_options

pytestmark = pytest.mark.slow


@pytest.fixture
def torture(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).with_name("benchmarks")))
    import store_torture

    return store_torture


def test_no_worker_outlives_a_run_that_ends_before_it_has_started(torture, tmp_path):
    psutil = pytest.importorskip("psutil")
    process = torture.start(tmp_path, 0.0, 2)
    workers = []
    while len(workers) < 2:
        assert process.poll() is None, process.stderr.read()
        children = psutil.Process(process.pid).children()
        workers = [child for child in children if "LokyProcess" in " ".join(child.cmdline())]
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    _, alive = psutil.wait_procs(workers, timeout=20)
    for worker in alive:
        worker.kill()
    process.communicate()
    assert not alive
    torture.check(torture.run(tmp_path))


def test_other_backends_get_no_options_of_loky():
    with joblib.parallel_config("threading"):
        assert worker_options() == {}
        assert sorted(finished_calls(lambda number, data: (number, data), [(0,), (1,)], "x", 2)) == [(0, "x"), (1, "x")]


def test_damaged_stores_end_with_the_table_of_a_whole_one(torture):
    found = torture.damage(argparse.Namespace(stores=15, seed=1))
    assert found.startswith("15 of 15 damaged stores have that table again")


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_run_on_a_full_disk_goes_on_when_there_is_room(torture):
    found = torture.disk(argparse.Namespace(), runs=(1,))
    if found.startswith("skipped"):
        pytest.skip(found)
    assert found.startswith("1 of 1 runs on a full disk ended with one clear line")
