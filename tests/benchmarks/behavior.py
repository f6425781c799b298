"""What does a network add to a linear map when it decodes the velocity of simulated worms?

Trains on some worms and scores R², correlation and RMSE on worms never seen and on held-out stretches, beside the mean,
a clock and a ridge regression; then every network against the ridge regression, worm by worm.

    python tests/benchmarks/behavior.py [--worms 5] [--frames 1500] [--train-worms 1] [--epochs 800] [--models mlp gnn]
        [--out FOLDER]
"""

import argparse

import pandas as pd

from skworm import GNNBehaviorRegressor, MLPBehaviorRegressor, VirtualWorms, WormGroupKFold
from skworm.datasets import make_worms
from skworm.frames import make_behavior, make_frames
from skworm.model_selection import cross_validate_worms, describe_comparison


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worms", type=int, default=5)
    parser.add_argument("--frames", type=int, default=1500)
    parser.add_argument("--train-worms", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=800)
    parser.add_argument("--models", nargs="+")
    parser.add_argument("--out")
    options = parser.parse_args()

    fit = {"max_epochs": options.epochs, "random_state": 0, "device": "cpu"}
    models = {
        "mlp": MLPBehaviorRegressor(**fit),
        "mlp-decay": MLPBehaviorRegressor(weight_decay="auto", **fit),
        "mlp-virtual": MLPBehaviorRegressor(augmentation=VirtualWorms(), **fit),
        "mlp-huber": MLPBehaviorRegressor(loss="huber", **fit),
        "gnn": GNNBehaviorRegressor(**fit),
        "gnn-virtual": GNNBehaviorRegressor(augmentation=VirtualWorms(), **fit),
    }
    models = {name: models[name] for name in options.models or models}
    worms = make_worms(options.worms, n_frames=options.frames, random_state=0)
    X, _ = make_frames(worms, states=None)
    velocity = make_behavior(worms, X)
    cv = WormGroupKFold(2, n_train_worms=options.train_worms, fold_by="contiguous_blocks", gap=8)
    scores = cross_validate_worms(models, X, velocity, cv=cv, memory=options.out)

    summary = scores.summary().drop(columns="signal")
    with pd.option_context("display.width", 200, "display.max_columns", None, "display.float_format", "{:.3f}".format):
        print(summary.sort_values("evaluation", kind="stable").to_string(index=False))
    print("\n".join(describe_comparison(scores.where(model=["linear", *models]).compare("linear"))))


if __name__ == "__main__":
    main()
