"""How often null controls reject at 0.05 where neural activity and states have nothing to do with each other.

Every repeat simulates worms twice and takes the activity of the first and the states of the second. Both change
slowly, and nothing relates them. Printed is the share of repeats with a p of 0.05 or less, for each control, and beside
them for states permuted frame by frame, which ignores that frames resemble their neighbours. A valid control has 5 %;
200 repeats tell it to within 3 %. The last column is the share for worms whose states are their own.

    python tests/benchmarks/null_rejections.py [--repeats 200] [--controls 19] [--worms 2] [--frames 600] [--jobs 1]
        [--only "circular shift"] [--first 1000]
"""

import argparse

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import permutation_test_score

from skworm import WormGroupKFold
from skworm.datasets import make_worms
from skworm.frames import make_frames
from skworm.model_selection import null_score

LEVEL = 0.05


class NearestMean(ClassifierMixin, BaseEstimator):
    """The state with the nearest mean; without scikit-learn's checks, which take longer than the rest."""

    def fit(self, X, y):
        states = np.asarray(y)
        self.classes_ = np.array(sorted(set(states)))
        self.means_ = np.stack([X.to_numpy()[states == state].mean(axis=0) for state in self.classes_])
        return self

    def predict(self, X):
        return self.classes_[(X.to_numpy() @ self.means_.T - (self.means_**2).sum(axis=1) / 2).argmax(axis=1)]


def accuracy(estimator, X, y):
    return np.mean(estimator.predict(X) == y.to_numpy())


CONTROLS = ("circular shift", "permuted frames")


def p_values(repeat, related, options):
    size = {"n_worms": options.worms, "n_frames": options.frames}
    X, y = make_frames(make_worms(**size, random_state=2 * repeat), states="4", unknown="keep")
    if not related:
        _, other = make_frames(make_worms(**size, random_state=2 * repeat + 1), states="4", unknown="keep")
        y = pd.Series(other.to_numpy(), index=y.index)
    cv = WormGroupKFold(2, n_train_worms=options.worms - 1, random_state=repeat)
    common = {"cv": cv, "random_state": repeat, "scoring": accuracy}
    p = {}
    if "circular shift" in options.only:
        shifted = null_score(NearestMean(), X, y, n_repeats=options.controls, min_lag=options.min_lag, **common)
        p["circular shift"] = shifted.p_value
    if "permuted frames" in options.only:
        X, y = X[y != "unknown"], y[y != "unknown"]
        worm = X.index.get_level_values("worm")
        *_, p["permuted frames"] = permutation_test_score(
            NearestMean(), X, y, groups=worm, n_permutations=options.controls, **common
        )
    return p


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--controls", type=int, default=19)
    parser.add_argument("--worms", type=int, default=2)
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--min-lag", type=int, default=100)
    parser.add_argument("--only", nargs="+", choices=CONTROLS, default=CONTROLS)
    parser.add_argument("--first", type=int, default=0, help="number of the first repeat, from which its seeds follow")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    shares = {}
    for related, repeats in ((False, options.repeats), (True, options.repeats // 10)):
        run = delayed(p_values)
        results = Parallel(options.jobs)(
            run(repeat, related, options) for repeat in range(options.first, options.first + repeats)
        )
        shares[related] = (pd.DataFrame(results) <= LEVEL).mean()
    error = np.sqrt(LEVEL * (1 - LEVEL) / options.repeats)
    print(f"{options.repeats} repeats, {options.controls} controls each; an exact test has {LEVEL} ± {error:.3f}")
    print(f"{'control':25} {'unrelated':>10} {'related':>8}")
    for name in options.only:
        print(f"{name:25} {shares[False][name]:10.3f} {shares[True][name]:8.3f}")


if __name__ == "__main__":
    main()
