"""Seconds that importing skworm adds to a script that imports scikit-learn and pandas anyway.

Every import runs in a process of its own, the cases in turn; the table shows the median, and how many times the rival,
``import sklearn, pandas``, each takes.

    python tests/benchmarks/import_time.py [--repeats 11]
"""

import argparse
import statistics
import subprocess
import sys

RIVAL = "import sklearn, pandas"
CASES = {
    RIVAL: RIVAL,
    "and skworm": f"{RIVAL}, skworm",
    "and what reads recordings": f"{RIVAL}; from skworm.datasets import load_recordings, make_worms",
    "and what makes frames": f"{RIVAL}; from skworm.frames import make_frames",
    "and what draws": f"{RIVAL}; import skworm.plotting",
    "and torch, skorch": f"{RIVAL}, torch, skorch",
    "and a network of skworm": f"{RIVAL}; from skworm import GNNStateClassifier",
    "and a pretrained model, loaded": f"{RIVAL}; import skworm; skworm.load('kato2015-4-states')",
    "and all of the README": f"{RIVAL}; from skworm import GNNStateClassifier, SVMStateClassifier, WormGroupKFold; "
    "from skworm.datasets import make_worms; from skworm.frames import make_frames; "
    "from skworm.model_selection import cross_validate_worms",
}
TIMED = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"


def seconds(code):
    command = [sys.executable, "-c", TIMED.format(code)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=11)
    options = parser.parse_args()
    times = {name: [] for name in CASES}
    # The first round fills the file system's cache and writes byte code.
    for repeat in range(options.repeats + 1):
        for name, code in CASES.items():
            measured = seconds(code)
            if repeat:
                times[name].append(measured)
    rival = statistics.median(times[RIVAL])
    print(f"{'':28}median s   more than the rival   times the rival")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:28}{median:8.3f}   {median - rival:19.3f}   {median / rival:15.2f}")


if __name__ == "__main__":
    main()
