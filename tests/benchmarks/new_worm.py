"""Accuracy on a new worm against the seconds of it that are labelled, seven states.

An MLP with virtual worms and context is trained on all worms but one, and adapted to that one: not at all, by its
frames alone, by its frames and the states of its first seconds, and of a stretch as long that begins where two
states are in sight. Beside it, the same network trained on these seconds alone. Frames until the last labelled one of
any choice are never scored.

    python tests/benchmarks/new_worm.py FOLDER [--epochs 300] [--freedom 0.03] [--picture FILE]
"""

import argparse

import numpy as np
import pandas as pd
from sklearn.base import clone

from skworm import MLPStateClassifier, VirtualWorms
from skworm.adaptation import adapt
from skworm.datasets import load_recordings
from skworm.frames import make_frames

SECONDS = (0, 10, 30, 60, 120)


def predict_alone(network, X, y, X_scored):
    """Predict by a network that was trained on the labelled seconds alone; one state is always predicted."""
    if y.nunique() < 2:
        return np.full(len(X_scored), y.iloc[0])
    return clone(network).set_params(validation_fraction=0, max_epochs=200).fit(X, y).predict(X_scored)


def first_change(y, seconds):
    """Seconds until 5 s before the first change of state."""
    change = np.flatnonzero(y.to_numpy()[1:] != y.to_numpy()[:-1])[0]
    return max(0.0, seconds[change] - 5.0)


def scores_of(network, X, y, new, fps, freedom):
    own = X.index.get_level_values("worm") == new
    fitted = clone(network).fit(X[~own], y[~own])
    X, y = X[own], y[own]
    seconds = X.index.get_level_values("frame").to_numpy() / fps
    starts = {"from the start": 0.0, "from a change on": first_change(y, seconds)}
    scored = seconds > max(starts.values()) + max(SECONDS)
    for where, start in starts.items():
        for length in SECONDS:
            labelled = (seconds >= start) & (seconds < start + length)
            states = y.where(labelled, "unknown")
            predictions = {
                "fitted": fitted.predict(X[scored]),
                "adapted": adapt(fitted, X, states, freedom=freedom).predict(X[scored]),
                "states alone": adapt(fitted, X, states, align=0, freedom=freedom).predict(X[scored]),
            }
            if length:
                predictions["trained on them"] = predict_alone(network, X[labelled], y[labelled], X[scored])
            for name, predicted in predictions.items():
                shown = y[labelled].nunique()
                yield where, length, name, new, (predicted == y[scored]).mean(), shown


def draw(table, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    panels = figure.subplots(1, table["labelled"].nunique(), sharey=True)
    for axes, (where, rows) in zip(panels, table.groupby("labelled", sort=False), strict=True):
        for name, own in rows.groupby("model", sort=False):
            by_length = own.groupby("seconds")["accuracy"].agg(["mean", "std"])
            axes.errorbar(by_length.index, by_length["mean"], by_length["std"], marker="o", capsize=3, label=name)
        axes.set(title=f"labelled {where}", xlabel="labelled seconds", xticks=SECONDS, ylim=(0, 1))
    panels[0].set_ylabel("accuracy, 7 states")
    panels[-1].legend(loc="lower right", frameon=False)
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="folder of recordings")
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--freedom", type=float, default=0.03)
    parser.add_argument("--picture", help="file to draw the curves into")
    options = parser.parse_args()
    recordings = load_recordings(options.data)
    X, y = make_frames(recordings, states="7", context=(-12, -6, -3, 0, 3, 6, 12))
    network = MLPStateClassifier(
        augmentation=VirtualWorms(), max_epochs=options.epochs, learning_rate=5e-3, random_state=0, device="cpu"
    )
    rows = []
    for recording in recordings:
        rows += scores_of(network, X, y, recording.worm, recording.fps, options.freedom)
    table = pd.DataFrame(rows, columns=["labelled", "seconds", "model", "worm", "accuracy", "states shown"])
    print(table.pivot_table(index=["labelled", "seconds"], columns="worm", values="states shown", sort=False))
    wide = table.pivot_table(index=["labelled", "model", "seconds"], columns="worm", values="accuracy", sort=False)
    wide.insert(0, "std", wide.std(axis=1))
    wide.insert(0, "mean", wide.drop(columns="std").mean(axis=1))
    print(wide.round(3).to_string())
    if options.picture:
        draw(table, options.picture)


if __name__ == "__main__":
    main()
