"""How well do the models of the package read reversals in freely moving worms of another laboratory?

    python tests/benchmarks/another_laboratory.py FOLDER [--names kato2015-4-states ...] [--out FILE.csv]

FOLDER holds processed HDF5 files of the Flavell laboratory and ``neuropal_labels.json``. For each model and worm:
balanced accuracy of reversal, at the most probable state, and area under the ROC curve of its probability. Nothing is
trained or tuned on these worms.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

import skworm
from skworm.datasets import load_recordings
from skworm.estimators.prediction import decode_states
from skworm.pretrained import NAMES
from skworm.recording import UNKNOWN

REVERSE = ("reverse", "reverse_1", "reverse_2", "sustained_reverse")


def scores_of(table, worm):
    """Return balanced accuracy and area under the curve on one worm, at the rate of the model."""
    own = table[table["worm"] == worm.worm]
    true = np.interp(own["time"], worm.time - worm.time[0], worm.states == "reverse") > 0.5
    columns = [name for name in own if name.removeprefix("probability:") in REVERSE]
    read = (own["state"] != UNKNOWN).to_numpy()
    predicted = own["state"].isin(REVERSE)
    scores = own[columns].sum(axis=1)
    return balanced_accuracy_score(true[read], predicted[read]), roc_auc_score(true[read], scores[read])


def main():
    """Print a row for each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--names", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--out", help="file for the means over worms, as CSV")
    options = parser.parse_args()
    means = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        worms = load_recordings(options.folder, neuron_names=options.folder / "neuropal_labels.json")
        worms = [worm for worm in worms if worm.identified]
        for name in options.names:
            table = decode_states(skworm.load(name), worms)
            rows = np.array([scores_of(table, worm) for worm in worms])
            means.append({"model": name, "balanced accuracy": rows[:, 0].mean(), "ROC AUC": rows[:, 1].mean()})
            expected = [str(table.attrs["expected"][worm.worm].n_present) for worm in worms]
            print(
                f"{name}: balanced accuracy {rows[:, 0].mean():.3f} {rows[:, 0].round(3).tolist()}, ROC AUC "
                f"{rows[:, 1].mean():.3f} {rows[:, 1].round(3).tolist()}, neurons {', '.join(expected)}"
            )
    if options.out:
        pd.DataFrame(means).to_csv(options.out, index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
