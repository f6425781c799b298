"""How often comparisons of two equal models reject at 0.05, for 5, 8 and 20 simulated worms.

Every repeat draws the scores of two models that do not differ: each worm has a level, each model a deviation of its own
on each worm, and each fit noise. With --shared, a model also does better after training on some worms than after
training on others, and all worms that such a fit scores rise together, as happens on unseen worms in real tables: the
worms are then not independent samples any more. Printed are the shares of repeats in which the sign-flip test rejects,
and in which the 95 % interval of the difference leaves out 0. An exact test or interval has 5 %.

    python tests/benchmarks/false_positives.py [--repeats 200] [--resamples 1000] [--shared 0.03]
"""

import argparse

import numpy as np
import pandas as pd

from skworm.model_selection import WormScores
from skworm.model_selection.comparison import smallest_sign_flip_p

LEVEL = 0.05


def null_results(n_worms, rng, shared, n_folds=2, n_frames=1000):
    """Scores of two exchangeable models that train on one worm each time, in the layout of cross_validate_worms."""
    worms = [f"worm-{number:02}" for number in range(n_worms)]
    fits = pd.MultiIndex.from_product([["first", "second"], worms, range(n_folds), worms])
    table = fits.to_frame(index=False, name=["model", "train_worms", "fold", "worm"])
    level = pd.Series(rng.normal(0.85, 0.05, n_worms), index=worms)
    of_model, of_training = (
        pd.Series(rng.normal(0, scale, 2 * n_worms), index=pd.MultiIndex.from_product([["first", "second"], worms]))
        for scale in (0.03, shared)
    )
    table["accuracy"] = (
        level[table["worm"]].to_numpy()
        + of_model[pd.MultiIndex.from_frame(table[["model", "worm"]])].to_numpy()
        + of_training[pd.MultiIndex.from_frame(table[["model", "train_worms"]])].to_numpy()
        + rng.normal(0, 0.02, len(table))
    )
    held_out = table["worm"] == table["train_worms"]
    table["evaluation"] = np.where(held_out, "held_out_windows", "unseen_worms")
    table["n_frames"] = np.where(held_out, n_frames // n_folds, n_frames)
    table["train_worms"] = [(worm,) for worm in table["train_worms"]]
    return table


def rejections(n_worms, options):
    rng = np.random.default_rng(0)
    rejected = np.zeros(2)
    for repeat in range(options.repeats):
        results = null_results(n_worms, rng, options.shared)
        table = WormScores(results).compare("first", n_resamples=options.resamples, random_state=repeat)
        row = table.set_index("model").loc["second"]
        outside = row["difference_low"] > 0 or row["difference_high"] < 0
        rejected += [row["p_sign_flip"] <= LEVEL, outside]
    return rejected / options.repeats


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--shared", type=float, default=0.0, help="standard deviation of the effect of training worms")
    options = parser.parse_args()
    print(f"{options.repeats} repeats without a difference; share that rejects at {LEVEL}")
    print(f"{'worms':>5} {'smallest p':>11} {'sign-flip':>10} {'interval':>9}")
    for n_worms in (5, 8, 20):
        flip, interval = rejections(n_worms, options)
        smallest = smallest_sign_flip_p(n_worms, n_resamples=options.resamples)
        print(f"{n_worms:5} {smallest:11.2g} {flip:10.3f} {interval:9.3f}", flush=True)
        if smallest > LEVEL:
            print(
                f"      {n_worms} worms have {2**n_worms} sign patterns, and the two most extreme ones alone are "
                f"{smallest:.4g} of them:\n      "
                f"the sign-flip test can never reject at {LEVEL} here, whatever the models."
            )


if __name__ == "__main__":
    main()
