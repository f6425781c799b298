"""Time of libsvm over the time of the batched solver, for the folds of a set of worms.

libsvm fits one fold after the other on one CPU core; the solver takes all pairs of states of all folds as one batch, on
the device asked for. Printed are the medians of the seconds they take, in turns, after a first round that is not
counted, and how far their decision values differ on all frames.

    python tests/benchmarks/svm.py [--device cpu] [--data FOLDER] [--states 4] [--folds 5] [--C 1.0] [--repeats 3]
"""

import argparse
import statistics
import time

import numpy as np
import torch
from sklearn.svm import SVC

from skworm import SVMStateClassifier, WormGroupKFold
from skworm.datasets import load_recordings, make_worms
from skworm.frames import PAPER_NEURONS, make_frames
from skworm.training.support_vectors import decision_values, fit_support_vectors


def fit_libsvm(X, codes, folds, C):
    return [SVC(C=C, decision_function_shape="ovo").fit(X[train], codes[train]) for train, _ in folds]


def jobs_of(X, codes, folds, C, device):
    model = SVMStateClassifier(C=C)
    model._solver_device = lambda: device
    return [model.training_job(X[train], codes[train]) for train, _ in folds]


def fit_batch(X, codes, folds, C, device):
    return fit_support_vectors(jobs_of(X, codes, folds, C, device))


def seconds(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def largest_difference(X, machines, jobs, fitted):
    found = []
    for machine, job, (dual_coef, rho, _) in zip(machines, jobs, fitted, strict=True):
        ours = decision_values(X, job.X, dual_coef, rho, job.gamma, kernel=job.kernel, device="cpu")
        theirs = machine.decision_function(X).reshape(len(X), -1).T
        found.append(np.abs((-1 if len(ours) == 1 else 1) * ours - theirs).max())
    return max(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--data", help="folder of recordings; two simulated worms by default")
    parser.add_argument("--states", default="4")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--C", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    recordings = load_recordings(options.data) if options.data else make_worms(2, n_frames=1500, random_state=0)
    frames, states = make_frames(recordings, neurons=PAPER_NEURONS, exclude=["VB01"], states=options.states)
    known = (states != "unknown").to_numpy()
    frames, codes = frames[known], np.unique(states[known], return_inverse=True)[1]
    X, worm = frames.to_numpy(), frames.index.get_level_values("worm")
    folds = list(WormGroupKFold(n_splits=options.folds, random_state=0).split(frames, codes, worm))
    print(f"{len(X)} frames of {len(set(worm))} worms, {options.states} states, C = {options.C:g}, {len(folds)} folds")

    libsvm, batch = [], []
    for _ in range(1 + options.repeats):
        libsvm.append(seconds(fit_libsvm, X, codes, folds, options.C))
        batch.append(seconds(fit_batch, X, codes, folds, options.C, options.device))
    jobs = jobs_of(X, codes, folds, options.C, options.device)
    difference = largest_difference(X, fit_libsvm(X, codes, folds, options.C), jobs, fit_support_vectors(jobs))
    device = torch.cuda.get_device_name() if options.device == "cuda" else "one CPU thread"
    one, other = statistics.median(libsvm[1:]), statistics.median(batch[1:])
    print(f"libsvm, one CPU core: {one:.2f} s; batch on {device}: {other:.2f} s; ratio {one / other:.2f}")
    print(f"largest difference of decision values: {difference:.1e}")


if __name__ == "__main__":
    main()
