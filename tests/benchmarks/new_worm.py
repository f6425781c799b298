"""Accuracy on a new worm against the seconds of it that are labelled, seven states.

An MLP with virtual worms and context is trained on all worms but one, and adapted to that one by its
frames, and by the states of its first seconds. Beside it, the same network as fitted, and trained on these seconds
alone. The first 120 seconds are never scored.

    python tests/benchmarks/new_worm.py FOLDER [--epochs 300] [--freedom 0.03] [--picture FILE]
"""

import argparse

import numpy as np
import pandas as pd
from sklearn.base import clone

from skworm import MLPStateClassifier, VirtualWorms
from skworm.datasets import load_recordings
from skworm.estimators.adaptation import adapt
from skworm.frames import make_frames
from skworm.plotting import LINE_COLORS, ScoreCurveDisplay

SECONDS = (0, 10, 30, 60, 120)


def predict_alone(network, X, y, X_scored):
    """Predict by a network that was trained on the labelled seconds alone; one state is always predicted."""
    if y.nunique() < 2:
        return np.full(len(X_scored), y.iloc[0])
    return clone(network).set_params(validation_fraction=0, max_epochs=200).fit(X, y).predict(X_scored)


def scores_of(network, X, y, new, fps, freedom):
    own = X.index.get_level_values("worm") == new
    fitted = clone(network).fit(X[~own], y[~own])
    X, y = X[own], y[own]
    seconds = X.index.get_level_values("frame").to_numpy() / fps
    scored = seconds > max(SECONDS)
    for length in SECONDS:
        labelled = seconds < length
        states = y.where(labelled, "unknown")
        predictions = {
            "as fitted": fitted.predict(X[scored]),
            "adapted": adapt(fitted, X, states, freedom=freedom).predict(X[scored]),
            "not aligned": adapt(fitted, X, states, align=0, freedom=freedom).predict(X[scored]),
        }
        if length:
            predictions["trained on them alone"] = predict_alone(network, X[labelled], y[labelled], X[scored])
        for name, predicted in predictions.items():
            yield length, name, new, (predicted == y[scored]).mean(), y[labelled].nunique()


def draw(table, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    ScoreCurveDisplay.from_results(
        table.assign(evaluation="a worm that is new"),
        x="seconds",
        xlabel="Labelled time of the new worm (s)",
        models={name: name for name in ("as fitted", "adapted", "trained on them alone")},
        ax=left,
    )
    left.set(ylim=(0, 100), ylabel="Accuracy, 7 states (%)")
    legend = left.get_legend()
    legend.set_loc("upper center")
    legend.set_bbox_to_anchor((0.5, -0.16), left.transAxes)
    wide = 100 * table.pivot_table(index=["worm", "seconds"], columns="model", values="accuracy", sort=False)
    gains = (wide["adapted"] - wide["as fitted"]).groupby(level="worm")
    for (worm, gain), color in zip(gains, LINE_COLORS, strict=False):
        right.plot(gain.index.get_level_values("seconds"), gain, marker="o", markersize=4, color=color, label=worm)
    right.axhline(0, color="#BBBBBB", linewidth=0.8, zorder=0)
    right.set(
        xlabel="Labelled time of the new worm (s)",
        ylabel="Difference (percentage points)",
        xticks=SECONDS,
    )
    right.set_title("adapted - as fitted", fontsize="medium")
    right.spines[["top", "right"]].set_visible(False)
    right.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize="small")
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
    table = pd.DataFrame(rows, columns=["seconds", "model", "worm", "accuracy", "states shown"])
    print(table.pivot_table(index="seconds", columns="worm", values="states shown", sort=False))
    wide = table.pivot_table(index=["model", "seconds"], columns="worm", values="accuracy", sort=False)
    wide.insert(0, "std", wide.std(axis=1))
    wide.insert(0, "mean", wide.drop(columns="std").mean(axis=1))
    print(wide.round(3).to_string())
    if options.picture:
        draw(table, options.picture)


if __name__ == "__main__":
    main()
