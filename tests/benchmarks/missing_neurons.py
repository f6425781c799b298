"""What neurons that a worm lacks cost, and what those that some worms have bring.

First, the paper's neurons: those that every worm has, against all fifteen with NaN where a worm lacks one; models
trained on one worm and scored on the others. Second, every worm in turn left out of training: the shared neurons
against all that are identified in any worm. Third, the models of the second part, asked with fewer and fewer of the
neurons that the new worm has, as a figure.

    python tests/benchmarks/missing_neurons.py --data FOLDER --out FOLDER [--epochs 400] [--folds 1] [--models GNN MLP]
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from skworm import GNNStateClassifier, MLPStateClassifier, SVMStateClassifier, VirtualWorms, WormGroupKFold
from skworm.datasets import load_recordings, make_worms
from skworm.frames import PAPER_NEURONS, make_frames
from skworm.model_selection import cross_validate_worms
from skworm.paper.study import SomeSplits
from skworm.plotting import LINE_COLORS

CLASSES = {"GNN": GNNStateClassifier, "MLP": MLPStateClassifier}
N_DRAWS = 5


def models_of(options, dropouts):
    shared = {"max_epochs": options.epochs, "random_state": 0, "device": "cpu"}
    return {
        f"{name}, dropout {dropout}": CLASSES[name](augmentation=VirtualWorms(neuron_dropout=dropout), **shared)
        for name in options.models
        for dropout in dropouts
    }


def score_paper_neurons(recordings, options):
    """Score fourteen neurons without NaN against fifteen with NaN, trained on one worm."""
    cv = SomeSplits(WormGroupKFold(n_splits=10, n_train_worms=1, random_state=0), options.folds)
    tables = []
    for states in ("2", "4"):
        for missing, dropouts in (("drop", [0.0]), ("nan", options.dropouts)):
            X, y = make_frames(recordings, neurons=PAPER_NEURONS, missing=missing, states=states)
            out = options.out / f"paper_{states}_{missing}_{'_'.join(options.models)}"
            models = models_of(options, dropouts) | ({"SVM": SVMStateClassifier()} if options.svm else {})
            scores = cross_validate_worms(models, X, y, cv=cv, baselines=False, memory=out, verbose=0)
            tables.append(scores.table.assign(states=states, neurons=X.shape[1] // 2))
    scores = pd.concat(tables)
    return scores[scores["evaluation"] == "unseen_worms"]


def score_left_out_worms(recordings, options):
    """Fit to all worms but one, for the shared neurons and for all, and score the one with ever fewer neurons."""
    rows, curve = [], []
    shared = [n for n in PAPER_NEURONS if all(n in recording.identified for recording in recordings)]
    for choice, neurons in (("shared", shared), ("union", "union")):
        X, y = make_frames(recordings, neurons=neurons, missing="nan", states="4")
        worm = X.index.get_level_values("worm")
        for name, model in models_of(options, [0.0] if choice == "shared" else options.dropouts).items():
            for left_out in worm.unique():
                unseen = worm == left_out
                model.fit(X[~unseen][:: options.thin], y[~unseen][:: options.thin])
                own = {"choice": choice, "model": name, "worm": left_out}
                rows.append({**own, "n_neurons": len(model.neurons_), "accuracy": model.score(X[unseen], y[unseen])})
                if choice == "union":
                    curve += [{**own, **point} for point in curve_of(model, X[unseen], y[unseen])]
                pd.DataFrame(rows).to_csv(options.out / f"union_{'_'.join(options.models)}.csv", index=False)
                pd.DataFrame(curve).to_csv(options.out / f"curve_{'_'.join(options.models)}.csv", index=False)
            print(
                pd.DataFrame(rows).groupby(["choice", "model"], sort=False)["accuracy"].agg(["mean", "std"]), flush=True
            )


def curve_of(model, X, y):
    """Score frames of one worm that hold some of its neurons, drawn at random."""
    rng = np.random.default_rng(0)
    learned = [neuron for neuron in model.neurons_ if neuron not in model.neurons_without_data_]
    has = [neuron for neuron in learned if X[f"{neuron}:trace"].notna().any()]
    sizes = [*(size for size in (1, 2, 3, 5, 8, 12, 16, 20, 25, 30) if size < len(has)), len(has)]
    for size in sizes:
        for _ in range(N_DRAWS if size < len(has) else 1):
            kept = rng.choice(has, size, replace=False)
            part = X[[f"{neuron}:{feature}" for neuron in kept for feature in model.node_features_]]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of the neurons that are missing
                yield {"size": size, "all": size == len(has), "accuracy": model.score(part, y)}


def draw(out, figure):
    """Draw the curves of all models that were scored in a folder."""
    from matplotlib.figure import Figure

    curve = pd.concat([pd.read_csv(path) for path in sorted(out.glob("curve_*.csv"))])
    fig = Figure(figsize=(6.4, 4), layout="constrained")
    ax = fig.subplots()
    for (name, points), color in zip(curve.groupby("model", sort=False), LINE_COLORS, strict=False):
        of_worms = points[~points["all"]].groupby(["size", "worm"])["accuracy"].mean()
        by_size = of_worms.groupby("size").agg(["mean", "std", "count"])
        by_size = by_size[by_size["count"] == points["worm"].nunique()]
        whole = points[points["all"]]
        sizes = [*by_size.index, whole["size"].mean()]
        accuracies = 100 * np.array([*by_size["mean"], whole["accuracy"].mean()])
        ax.plot(sizes, accuracies, marker="o", markevery=range(len(by_size)), color=color, label=name)
        ax.plot(sizes[-1:], accuracies[-1:], marker="*", markersize=12, color=color)
    ax.set(xlabel="Neurons of the new worm (number; star: all that it has)", ylim=(30, 100))
    ax.set_ylabel("Accuracy, 4 states (%)")
    ax.grid(alpha=0.3)
    ax.legend(loc="lower right", frameon=False)
    fig.savefig(figure, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of recordings; simulated worms by default")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--what", nargs="+", choices=["paper", "union", "draw"], default=["paper", "union", "draw"])
    parser.add_argument("--models", nargs="+", choices=list(CLASSES), default=list(CLASSES))
    parser.add_argument("--svm", action="store_true")
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--thin", type=int, default=1, help="train the second part on each n-th frame")
    parser.add_argument("--folds", type=int, default=1)
    parser.add_argument("--dropouts", type=float, nargs="+", default=[0.0, 0.2])
    parser.add_argument("--figure", type=Path, default=Path("neuron_curve.png"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    recordings = (
        load_recordings(options.data)
        if options.data
        else make_worms(5, 1200, n_unidentified=5, identification_rate=0.8, random_state=2)
    )
    if "paper" in options.what:
        scores = score_paper_neurons(recordings, options)
        by_worm = scores.groupby(["states", "model", "neurons", "worm"], sort=False)["accuracy"].mean()
        print(by_worm.groupby(["states", "model", "neurons"], sort=False).agg(["mean", "std"]).round(4), flush=True)
    if "union" in options.what:
        score_left_out_worms(recordings, options)
    if "draw" in options.what:
        draw(options.out, options.figure)


if __name__ == "__main__":
    main()
