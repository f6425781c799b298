"""Wall time of the paper's whole protocol, over the time of the same fits one by one.

Every combination of 1 to all worms times every fold is fitted: with five worms and ten folds, 310 fits of 800 epochs a
model, for which the paper needed "a week or two of continuous computation" each. They are fitted as
cross_validate_worms fits them (on a CPU, a process a core; on a GPU, as stacks); the rival is one fit after the other,
with one thread, timed on `--sample` splits for each number of training worms and scaled up to all. With --trajectories
it is trajectory regressors, trained on one and on all worms.

    python tests/benchmarks/protocol.py [--data FOLDER] [--device cpu] [--models mlp gnn] [--folds 10] [--epochs 800]
        [--train-worms 1 2 3 4 5] [--n-jobs -1] [--stack 16] [--sample 2] [--trajectories]
"""

import argparse
import resource
import time
from functools import partial
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from sklearn.base import clone
from tqdm import tqdm

from skworm import (
    GNNStateClassifier,
    GNNTrajectoryRegressor,
    InferredGraph,
    MLPStateClassifier,
    MLPTrajectoryRegressor,
    SVMStateClassifier,
    WormGroupKFold,
)
from skworm.datasets import load_recordings, make_worms
from skworm.frames import PAPER_NEURONS, make_frames, make_trajectories
from skworm.model_selection import cross_validate_worms

PAPER = "1-2 weeks"


class SomeSplits:
    """A few of a splitter's splits, evenly spaced."""

    def __init__(self, cv, n_splits):
        self.cv, self.n_splits = cv, n_splits

    def split_worms(self, X, y, worm):
        splits = list(self.cv.split_worms(X, y, worm))
        places = np.linspace(0, len(splits) - 1, min(self.n_splits, len(splits))).astype(int)
        return [splits[place] for place in places]


def classifiers(options, neurons):
    ring = pd.DataFrame(np.roll(np.eye(len(neurons)), 1, axis=1), index=neurons, columns=neurons)
    network = {"max_epochs": options.epochs, "device": options.device, "random_state": 0}
    return {
        "svm": SVMStateClassifier(device=options.device),
        "mlp": MLPStateClassifier(**network),
        "gnn": GNNStateClassifier(**network),
        "gnn-dynamic": GNNStateClassifier(graph=InferredGraph(per="frame"), **network),
        "gnn-fixed": GNNStateClassifier(graph=ring, **network),
    }


def regressors(options):
    network = {"max_epochs": options.epochs, "device": options.device, "random_state": 0}
    return {"mlp": MLPTrajectoryRegressor(**network), "gnn": GNNTrajectoryRegressor(**network)}


def seconds_of(validate, model, cv, stack=None, **run):
    start = time.perf_counter()
    if stack is None:
        table = validate({"model": model}, cv=cv, verbose=0, **run).table
    else:
        with patch("skworm.model_selection.cross_validation.fits_at_a_time", return_value=stack):
            table = validate({"model": model}, cv=cv, verbose=0, **run).table
    return time.perf_counter() - start, len(table.drop_duplicates(["train_worms", "fold"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of recordings; three short simulated worms by default")
    parser.add_argument("--states", default="2")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--models", nargs="+")
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--train-worms", type=int, nargs="+")
    parser.add_argument("--n-jobs", type=int, default=-1)
    parser.add_argument("--stack", type=int, help="fits in a stack; by default as cross_validate_worms chooses")
    parser.add_argument("--sample", type=int, default=2)
    parser.add_argument("--trajectories", action="store_true")
    options = parser.parse_args()
    options.epochs = options.epochs or (200 if options.trajectories else 800)
    recordings = load_recordings(options.data) if options.data else make_worms(3, n_frames=400, random_state=0)
    derivative = "backward" if options.trajectories else "auto"
    X, y = make_frames(
        recordings, neurons=PAPER_NEURONS, exclude=["VB01"], states=options.states, derivative=derivative
    )
    if options.trajectories:
        X, y = make_trajectories(X, horizon=16, burn_in=1)
        models, validate = regressors(options), partial(cross_validate_worms, X=X, y=y, baselines=False)
    else:
        neurons = list(dict.fromkeys(column.split(":")[0] for column in X.columns))
        models, validate = classifiers(options, neurons), partial(cross_validate_worms, X=X, y=y, baselines=False)
    n_worms = len(recordings)
    numbers = options.train_worms or ([1, n_worms] if options.trajectories else range(1, n_worms + 1))
    device = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"
    print(f"{n_worms} worms, {len(X)} rows, {options.epochs} epochs, {options.folds} folds, {device}; paper: {PAPER}")
    print(f"{'model':12} {'fits':>5} {'epochs':>9} {'one by one (s)':>15} {'together (s)':>13} {'ratio':>6}")
    warm = WormGroupKFold(n_splits=2, random_state=0)
    for n_jobs in (1, options.n_jobs):
        seconds_of(validate, clone(models["mlp"]).set_params(max_epochs=1), SomeSplits(warm, 2), n_jobs=n_jobs)
    for name in tqdm(options.models or models, disable=None):
        n_fits, one_by_one, together = 0, 0.0, 0.0
        for number in numbers:
            cv = WormGroupKFold(n_splits=options.folds, n_train_worms=number, window=8, random_state=0)
            some = SomeSplits(cv, options.sample)
            sampled, n_sampled = seconds_of(validate, models[name], some, stack=1, n_jobs=1)
            spent, n = seconds_of(validate, models[name], cv, stack=options.stack, n_jobs=options.n_jobs)
            n_fits, together, one_by_one = n_fits + n, together + spent, one_by_one + sampled * n / n_sampled
        epochs = n_fits * options.epochs if name != "svm" else 0
        ratio = one_by_one / together
        print(f"{name:12} {n_fits:5} {epochs:9} {one_by_one:15.1f} {together:13.1f} {ratio:6.1f}", flush=True)
    used = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"largest process: {used / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
