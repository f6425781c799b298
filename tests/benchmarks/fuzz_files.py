"""What do damaged recordings do? Truncations and flipped bits of a small file of each format.

Every damaged file is read in a child process. It must be read, or end in an error that names it, within 20 seconds and
1 GB; of the HDF5 formats a few in a thousand make the HDF5 library hang, die or take memory, which is counted alone.
Prints the counts and the slowest and largest of each format; ends with 1 if anything else happened.

    python tests/benchmarks/fuzz_files.py [--n 20000] [--seed 0] [--formats csv,npz,...]
"""

import argparse
import gzip
import json
import multiprocessing
import queue
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from scipy.io import savemat

from skworm.datasets import load_recordings, make_worms, save_recordings

SECONDS, MEGABYTES = 20, 1024
FORMATS = ("npz", "mat", "mat73", "csv", "tsv", "csv.gz", "parquet", "xlsx", "nwb", "h5", "json")
OF_HDF5 = ("mat73", "nwb", "h5")


def write_all(folder):
    """Write one worm in every format; return the bytes by format."""
    (worm,) = make_worms(1, n_frames=60, random_state=0)
    traces, names = worm.traces[:, :6], list(worm.neurons[:6])
    table = pd.DataFrame(traces, columns=names)
    table.insert(0, "time", worm.time)
    table["state"] = worm.states
    save_recordings(worm, folder)
    next(folder.glob("*.npz")).rename(folder / "npz")
    struct = {"traces": traces, "IDs": np.array(names, dtype=object), "fps": worm.fps}
    savemat(folder / "a.mat", {"worm": struct}, do_compression=True)
    (folder / "a.mat").rename(folder / "mat")
    for name, write in {
        "csv": lambda path: table.to_csv(path, index=False),
        "tsv": lambda path: table.to_csv(path, sep="\t", index=False),
        "parquet": lambda path: table.to_parquet(path, index=False),
        "xlsx": lambda path: table.to_excel(path, index=False),
    }.items():
        write(folder / f"a.{name}")
        (folder / f"a.{name}").rename(folder / name)
    (folder / "csv.gz").write_bytes(gzip.compress((folder / "csv").read_bytes()))
    with h5py.File(folder / "h5", "w") as file:
        file["gcamp/trace_array_original"], file["timing/timestamp_confocal"] = traces, worm.time
        file["behavior/velocity"] = traces[:, 0]
    with h5py.File(folder / "nwb", "w") as file:
        series = file.create_group("processing/ophys/DfOverF/dff")
        series.attrs["neurodata_type"] = "RoiResponseSeries"
        series["data"], series["timestamps"] = traces, worm.time
        file["processing/ophys/names/labels"] = names
        bouts = file.create_group("intervals/bouts")
        bouts.attrs["neurodata_type"] = "TimeIntervals"
        bouts["start_time"], bouts["stop_time"], bouts["state"] = [0.0, 9.0], [9.0, np.nan], ["forward", "turn"]
    with h5py.File(folder / "mat73", "w") as file:
        file["worm/traces"], file["worm/fps"] = traces.T, [[worm.fps]]
        cells = [file.create_dataset(f"#refs#/{n}", data=np.array([[ord(c)] for c in n], "u2")).ref for n in names]
        file.create_dataset("worm/IDs", data=np.array([cells], dtype=h5py.ref_dtype))
    content = {"trace_original": traces.T.tolist(), "timestamp_confocal": worm.time.tolist(), "velocity": [0.1] * 60}
    (folder / "json").write_text(json.dumps(content | {"labeled": {"1": {"label": "AVAL"}}}))
    return {name: (folder / name).read_bytes() for name in FORMATS}


def damaged(content, rng):
    """Return the bytes cut off somewhere, or with one to four bits flipped."""
    if rng.random_sample() < 0.3:
        return content[: rng.randint(len(content))]
    changed = bytearray(content)
    for _ in range(rng.randint(1, 5)):
        changed[rng.randint(len(changed))] ^= 1 << rng.randint(8)
    return bytes(changed)


def read_many(cases, folder, results):
    """Read damaged files one after the other, and report each."""
    warnings.simplefilter("ignore")
    for name, content in cases:
        path = folder / f"damaged.{'mat' if name == 'mat73' else name}"
        path.write_bytes(content)
        began = time.perf_counter()
        try:
            load_recordings(path, fps=3.0)
            outcome = "read"
        except Exception as error:
            outcome = "refused" if path.name in str(error) else f"does not name the file: {error!r:.200}"
        seconds = time.perf_counter() - began
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        results.put((name, outcome, seconds, megabytes))


def outcomes_of(cases, folder):
    """Yield what became of each case; a child that hangs or dies is replaced."""
    context = multiprocessing.get_context("fork")
    while cases:
        results = context.Queue()
        child = context.Process(target=read_many, args=(cases, folder, results), daemon=True)
        child.start()
        for done in range(len(cases)):
            try:
                yield results.get(timeout=SECONDS)
            except queue.Empty:
                state = "hangs" if child.is_alive() else f"kills Python ({child.exitcode})"
                (folder / f"worst-{time.time():.0f}-{cases[done][0]}").write_bytes(cases[done][1])
                child.kill()
                yield cases[done][0], state, float(SECONDS), float("nan")
                cases = cases[done + 1 :]
                break
        else:
            return


def main():
    """Damage, read, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=20_000, help="damaged files in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", default=",".join(FORMATS))
    options = parser.parse_args()
    rng = np.random.RandomState(options.seed)
    names = options.formats.split(",")
    wrong = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = write_all(folder)
        for form in names:
            cases = [(form, damaged(whole[form], rng)) for _ in range(options.n // len(names))]
            rows = list(outcomes_of(cases, folder))
            counts = Counter(outcome for _, outcome, _, _ in rows)
            seconds, megabytes = max(row[2] for row in rows), np.nanmax([row[3] for row in rows])
            print(f"{form:8} {dict(counts)}, slowest {seconds:.2f} s, at most {megabytes:.0f} MB", flush=True)
            if form not in OF_HDF5:
                wrong |= bool(set(counts) - {"read", "refused"}) or megabytes > MEGABYTES
    sys.exit(int(wrong))


if __name__ == "__main__":
    main()
