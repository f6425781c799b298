"""Time of an estimator's fit over the time of a bare torch loop that does the same epochs.

Both train the same module on the same frames of one worm, full batch, on one CPU thread, with a validation pass, a
learning-rate plateau and a copy of the best weights. They take turns; printed are the medians of their CPU seconds, and
the ratio.

    python tests/benchmarks/fit_overhead.py [--data FOLDER] [--epochs 800] [--repeats 3]
"""

import argparse
import copy
import statistics
import time

import numpy as np
import torch
from torch import nn

from skworm import GNNStateClassifier, MLPStateClassifier, VirtualWorms
from skworm.datasets import load_recordings, make_worms
from skworm.frames import PAPER_NEURONS, make_frames
from skworm.frames.index import frame_of_rows
from skworm.nn import Groups
from skworm.training.loop import held_out_windows


def bare_loop(module, X, y, held_out, epochs, augmentation):
    X, y, held_out = torch.tensor(X), torch.tensor(y), torch.tensor(held_out)
    X_train, y_train, X_valid, y_valid = X[~held_out], y[~held_out], X[held_out], y[held_out]
    # Told, as an estimator tells it, that no neuron is missing.
    group, valid_group = (
        Groups(torch.zeros(len(part), dtype=torch.long), 1, complete=True) for part in (y_train, y_valid)
    )
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3, fused=True)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.25, patience=50)
    best = float("inf")
    for _ in range(epochs):
        module.train()
        optimizer.zero_grad()
        frames = (X_train, group)
        if augmentation is not None:
            draws = augmentation.draw(len(X_train), X_train.shape[1], generator, range(2))
            frames, virtual = augmentation.apply(X_train, group.index, **draws.by_sample, **draws.shared)
            frames = frames, Groups(virtual, augmentation.n_groups, complete=True)
        nn.functional.cross_entropy(module(*frames), y_train).backward()
        optimizer.step()
        module.eval()
        with torch.no_grad():
            loss = nn.functional.cross_entropy(module(X_valid, valid_group), y_valid).item()
        plateau.step(loss)
        if loss < best:
            best, weights = loss, {name: value.clone() for name, value in module.state_dict().items()}
    module.load_state_dict(weights)


def seconds(function, *arguments):
    # CPU time of the one thread, so that other processes on the machine weigh less.
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of recordings; simulated worms by default")
    parser.add_argument("--epochs", type=int, default=800)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    recordings = load_recordings(options.data) if options.data else make_worms(n_worms=1, random_state=0)
    X, y = make_frames(recordings[:1], neurons=PAPER_NEURONS, exclude=["VB01"], states="4")
    values, codes = X.to_numpy(np.float32), np.unique(y, return_inverse=True)[1]
    group = np.zeros(len(y), dtype=int)
    held_out = held_out_windows(group, frame_of_rows(X, group) // 8, 0.1, np.random.RandomState(0))
    print(f"{X.shape[0]} frames, {X.shape[1]} columns, {options.epochs} epochs, median of {options.repeats}")
    print(f"{'model':24} {'fit (s)':>8} {'bare loop (s)':>14} {'ratio':>6}")
    for estimator in (MLPStateClassifier, GNNStateClassifier):
        for augmentation in (None, VirtualWorms()):
            model = estimator(augmentation=augmentation, max_epochs=options.epochs, random_state=0, device="cpu")
            fresh = copy.deepcopy(model).set_params(max_epochs=1).fit(X, y).net_.module_
            ours, bare = [], []
            for _ in range(options.repeats):
                ours.append(seconds(model.fit, X, y))
                module = copy.deepcopy(fresh).float()
                bare.append(seconds(bare_loop, module, values, codes, held_out, options.epochs, augmentation))
            name = estimator.__name__.removesuffix("StateClassifier") + (" + virtual worms" if augmentation else "")
            fit, loop = statistics.median(ours), statistics.median(bare)
            print(f"{name:24} {fit:8.2f} {loop:14.2f} {fit / loop:6.2f}", flush=True)


if __name__ == "__main__":
    main()
