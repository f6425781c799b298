"""Whatever ends a cross-validation, does the next call end with the table of an undisturbed run?

Six parts, each a line of what was found; the script fails where a table differs or a process is left over:

kills       runs that are killed with SIGKILL at a random moment and started again
pairs       two runs in one folder at once
damage      stores with files that are flipped, cut, emptied, swapped or foreign: these fits alone run again
disk        runs on a file system of 64 KiB, which is full before they end, and again after it has grown (needs root)
dask        runs on a cluster of two, of which a worker is killed at a random moment
orphans     workers that are alive 30 s after their run was ended by SIGTERM or SIGKILL

    python tests/benchmarks/store_torture.py [--parts kills pairs damage disk dask orphans] [--repeats 20]
        [--stores 200] [--seed 0]
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.neighbors import KNeighborsClassifier

from skworm.model_selection import WormGroupKFold, cross_validate_worms, read_scores
from skworm.model_selection.store import FitStore

N_FITS = 24
SECONDS = 0.1
"""A fit takes no less."""

FITS = []
"""The fits of this process."""


class Slow(KNeighborsClassifier):
    """Takes its time, and is counted."""

    def __init__(self, n_neighbors=3, seconds=0.0):
        super().__init__(n_neighbors)
        self.seconds = seconds

    def fit(self, X, y):
        time.sleep(self.seconds)
        FITS.append(X.index[0])
        return super().fit(X, y)


def run(folder=None, seconds=0.0, n_jobs=1):
    """Cross-validate; return the table without times."""
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product([["a", "b", "strain+1"], range(80)], names=["worm", "frame"])
    X = pd.DataFrame(rng.normal(size=(240, 2)), index=index, columns=["AVAL:trace", "RID:trace"])
    y = pd.Series(np.where(rng.random(240) < 0.5, "forward", "reverse"), index=index)
    models = {"slow": Slow(seconds=seconds)}
    cv = WormGroupKFold(N_FITS // 3, window=5, random_state=0)
    scores = cross_validate_worms(models, X, y, cv=cv, memory=folder, n_jobs=n_jobs, baselines=False, verbose=0)
    return scores.table.drop(columns="fit_seconds")


def start(folder, seconds, n_jobs, table=os.devnull):
    """Start a run in a process of its own, which pickles its table."""
    code = "import sys, store_torture as s; a = sys.argv; s.run(a[1], float(a[2]), int(a[3])).to_pickle(a[4])"
    path = os.pathsep.join([os.path.dirname(os.path.abspath(__file__)), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder), str(seconds), str(n_jobs), str(table)],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
    )


def check_end(process, table):
    """Raise an AssertionError unless a run ends well and with the table of an undisturbed one."""
    _, errors = process.communicate(timeout=300)
    assert not process.returncode, errors
    check(pd.read_pickle(table))


def check(table):
    """Raise an AssertionError unless a table is that of an undisturbed run."""
    pd.testing.assert_frame_equal(table, undisturbed(), check_exact=True)


@cache
def undisturbed():
    """Return the table of a run that nothing disturbs, and that keeps nothing."""
    return run()


def n_files(folder):
    """Count fits, each whole, and files that a killed process was writing."""
    names = [path.name for path in (folder / "fits").glob("*.json")]
    n_half = sum(name.startswith(".") for name in names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        n_whole = len(FitStore(folder).read())
    assert n_whole == len(names) - n_half
    return n_whole, n_half


def end_at_random(process, number, earliest, latest):
    """End a run with a signal at a random moment; return the processes that it had, and how long they outlive it."""
    import psutil

    try:
        process.wait(random.uniform(earliest, latest))
    except subprocess.TimeoutExpired:
        # A process that is stopped starts no other one between the look at its children and its end.
        process.send_signal(signal.SIGSTOP)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        process.wait()
        ended = time.perf_counter()
        _, alive = psutil.wait_procs(children, timeout=30)
        life = time.perf_counter() - ended
        for child in alive:
            print("alive:", *child.cmdline(), file=sys.stderr)
            child.kill()
        process.communicate()
        return len(children), len(alive), life
    process.communicate()
    return 0, 0, 0.0


def seconds_of_a_run(n_jobs):
    """Time a run that nothing disturbs, the start of Python included."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        check_end(start(folder, SECONDS, n_jobs, f"{folder}/table"), f"{folder}/table")
        return time.perf_counter() - began


def kills(options):
    """Kill runs at random moments, and start each again."""
    kept, n_half = [], 0
    longest = {n_jobs: seconds_of_a_run(n_jobs) for n_jobs in (1, 2)}
    for repeat in range(options.repeats):
        n_jobs = 1 + repeat % 2
        with tempfile.TemporaryDirectory() as name:
            folder, table = Path(name, "out"), Path(name, "table")
            # It takes a while to start, and then has nothing to lose.
            end_at_random(start(folder, SECONDS, n_jobs), signal.SIGKILL, 0.4 * longest[n_jobs], longest[n_jobs])
            kept.append(n_files(folder)[0])
            n_half += n_files(folder)[1]
            check_end(start(folder, SECONDS, n_jobs, table), table)
            assert n_files(folder)[0] == N_FITS
            check(read_scores(folder).table.drop(columns="fit_seconds"))
    return (
        f"{options.repeats} of {options.repeats} runs that were killed and started again end with that table; they had "
        f"kept {', '.join(map(str, sorted(kept)))} of {N_FITS} fits, and left {n_half} files half written"
    )


def pairs(options):
    """Let two runs share a folder."""
    repeats = max(1, options.repeats // 4)
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as name:
            folder, tables = Path(name, "out"), [Path(name, "first"), Path(name, "second")]
            both = [start(folder, SECONDS, 2, table) for table in tables]
            for process, table in zip(both, tables, strict=True):
                check_end(process, table)
            assert n_files(folder) == (N_FITS, 0)
            check(read_scores(folder).table.drop(columns="fit_seconds"))
    return f"{2 * repeats} of {2 * repeats} runs, two in a folder at once, end with that table"


DAMAGES = {
    "a bit flipped": lambda content, rng: flipped(content, rng, 1),
    "many bits flipped": lambda content, rng: flipped(content, rng, 100),
    "cut short": lambda content, rng: content[: rng.randrange(len(content))],
    "its front lost": lambda content, rng: content[rng.randrange(1, len(content)) :],
    "empty": lambda content, rng: b"",
    "zeros": lambda content, rng: bytes(len(content)),
    "random bytes": lambda content, rng: rng.randbytes(len(content)),
    "other JSON": lambda content, rng: b'[{"model": "slow", "accuracy": 1.0}]\n',
    "longer": lambda content, rng: content + content,
    "Windows ends of lines": lambda content, rng: content.replace(b"\n", b"\r\n"),
    "other numbers": lambda content, rng: content.replace(b'"accuracy": 0.', b'"accuracy": 0.9'),
}


def flipped(content, rng, n_bits):
    changed = bytearray(content)
    for place in rng.sample(range(8 * len(content)), n_bits):
        changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


def damage_some(folder, rng):
    """Damage some files of a store; return how many of its fits."""
    paths = sorted((folder / "fits").glob("*.json"))
    chosen = rng.sample(paths, rng.randint(1, 6))
    for path in chosen:
        content = path.read_bytes()
        kind = rng.choice([*DAMAGES, "another fit", "no file", "a folder"])
        if kind == "another fit":
            path.write_bytes(rng.choice([other for other in paths if other not in chosen]).read_bytes())
        elif kind == "no file":
            path.unlink()
        elif kind == "a folder":
            path.unlink()
            path.symlink_to(folder / "absent")
        else:
            path.write_bytes(DAMAGES[kind](content, rng))
    # Neither of these is a fit of the run.
    (folder / "fits" / "foreign.json").write_bytes(rng.randbytes(100))
    (folder / "fits" / ".half-written.json").write_bytes(chosen[0].read_bytes()[:50] if chosen[0].is_file() else b"")
    if rng.random() < 0.5:
        (record,) = (folder / "runs").glob("*.json")
        record.write_bytes(DAMAGES[rng.choice(list(DAMAGES))](record.read_bytes(), rng))
    return len(chosen)


def damage(options):
    """Damage stores in many ways."""
    rng, n_damaged = random.Random(options.seed), 0
    with tempfile.TemporaryDirectory() as name:
        whole = Path(name, "whole")
        check(run(whole))
        for number in range(options.stores):
            folder = Path(name, str(number))
            shutil.copytree(whole, folder)
            n_fits = damage_some(folder, rng)
            FITS.clear()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                table = run(folder)
            assert len(FITS) == n_fits, f"{n_fits} fits were damaged, and {len(FITS)} ran again"
            check(table)
            check(read_scores(folder).table.drop(columns="fit_seconds"))
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                check(run(folder))
            assert len(FITS) == n_fits
            n_damaged += n_fits
            shutil.rmtree(folder)
    return (
        f"{options.stores} of {options.stores} damaged stores have that table again; {n_damaged} fits were damaged, "
        f"and {n_damaged} ran again"
    )


@contextmanager
def small_disk(kib):
    """Mount a small file system; None where that is not allowed."""
    with tempfile.TemporaryDirectory() as name:
        options = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "skworm-torture", name]
        if not shutil.which("mount") or subprocess.run(options, capture_output=True, check=False).returncode:
            yield None
            return
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", name], check=True)


def disk(options, runs=(1, 2)):
    """Fill a disk, and go on when it has grown; each run has so many processes."""
    kept = []
    for n_jobs in runs:
        with small_disk(64) as mounted:
            if mounted is None:
                return "skipped: this process may not mount a file system"
            folder = mounted / "out"
            process = start(folder, 0.02, n_jobs)
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 1, errors
            n_whole, n_half = n_files(folder)
            assert errors.splitlines()[-1] == (
                f"OSError: {folder} cannot be written (No space left on device); {n_whole} of {N_FITS} fits are kept "
                f"in {folder}; free some space, and call again to go on"
            )
            assert 0 < n_whole < N_FITS
            assert n_half == 0
            subprocess.run(["mount", "-o", "remount,size=4m", mounted], check=True)
            check(run(folder, 0.02))
            kept.append(n_whole)
    return (
        f"{len(kept)} of {len(runs)} runs on a full disk ended with one clear line and {kept} of {N_FITS} whole fits, "
        "and with that table when the disk had grown"
    )


def dask(options):
    """Kill workers of a cluster."""
    from distributed import Client, LocalCluster

    repeats, n_killed = max(1, options.repeats // 4), 0
    cluster = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    with LocalCluster(**cluster) as workers, Client(workers) as client:
        for _ in range(repeats):
            killed = []

            def kill(killed=killed):
                time.sleep(random.uniform(0.1, 1.0))
                pid = random.choice(list(client.run(os.getpid).values()))
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)

            killer = threading.Thread(target=kill)
            with tempfile.TemporaryDirectory() as name, joblib.parallel_config("dask"):
                client.wait_for_workers(2)
                killer.start()
                check(run(Path(name), SECONDS))
                killer.join()
                assert n_files(Path(name)) == (N_FITS, 0)
            n_killed += len(killed)
    return f"{repeats} of {repeats} runs on a cluster have that table; {n_killed} workers were killed under way"


def orphans(options):
    """End runs at random moments, and look for the workers."""
    n_processes = n_left = 0
    longest_life = 0.0
    longest = seconds_of_a_run(2)
    repeats = max(1, options.repeats // 2)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for _ in range(repeats):
            with tempfile.TemporaryDirectory() as folder:
                n_had, n_alive, life = end_at_random(start(folder, SECONDS, 2), number, 0, longest)
            n_processes, n_left, longest_life = n_processes + n_had, n_left + n_alive, max(longest_life, life)
    assert not n_left, f"{n_left} of {n_processes} processes were alive 30 s after their run was ended"
    return (
        f"none of {n_processes} processes was alive 30 s after its run was ended, {repeats} by SIGTERM and {repeats} "
        f"by SIGKILL; the last was gone after {longest_life:.1f} s"
    )


PARTS = {part.__name__: part for part in (kills, pairs, damage, disk, dask, orphans)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--stores", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    for name in options.parts:
        began = time.perf_counter()
        print(f"{name:8} {PARTS[name](options)} ({time.perf_counter() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    # As a module, so that models have the same class here and in workers.
    import store_torture

    store_torture.main()
