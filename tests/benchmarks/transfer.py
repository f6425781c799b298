"""What are a few labelled minutes of another laboratory's worms worth to a model of the package?

    python tests/benchmarks/transfer.py FOLDER [--minutes 1 2 4 8] [--out FILE.csv]

FOLDER holds processed HDF5 files of the Flavell laboratory and ``neuropal_labels.json``. Each worm is read by a model
that knows the first labelled minutes of the others: the model of the package as it is, and a network that was trained
on these minutes alone. Balanced accuracy of reversal and area under the ROC curve, mean over worms, in frames of known
state. The worm that is scored takes no part in any fit.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

import skworm
from skworm import MLPStateClassifier, VirtualWorms
from skworm.datasets import load_recordings
from skworm.estimators.prediction import frames_for_model
from skworm.frames import resample

NAME = "kato2015-2-states"


def scores_of(model, X, states):
    """Return balanced accuracy and area under the curve of reversal."""
    known = states != "unknown"
    reverse = model.predict_proba(X[known])[:, list(model.classes_).index("reverse")]
    true = states[known] == "reverse"
    return balanced_accuracy_score(true, reverse > 0.5), roc_auc_score(true, reverse)


def main():
    """Print and keep a row for each number of minutes and way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--out", help="file for the rows, as CSV")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    worms = load_recordings(options.folder, neuron_names=options.folder / "neuropal_labels.json")
    shipped = skworm.load(NAME)
    worms = [resample(worm, 3.0) for worm in worms if worm.identified]
    X, worms = frames_for_model(shipped, worms)
    worm = X.index.get_level_values("worm").to_numpy()
    time = np.concatenate([own.time - own.time[0] for own in worms])
    states = np.concatenate([own.states for own in worms]).astype(object)
    rows = []
    for minutes in options.minutes:
        found = {}
        for held_out in np.unique(worm):
            own = worm == held_out
            known = ~own & (time < 60 * minutes) & (states != "unknown")
            alone = MLPStateClassifier(augmentation=VirtualWorms(neuron_dropout=0.2), random_state=0)
            models = {
                "as shipped": shipped,
                "trained on them alone": alone.fit(X[known], states[known]),
            }
            for name, model in models.items():
                found.setdefault(name, []).append(scores_of(model, X[own], states[own]))
        for name, scores in found.items():
            accuracy, area = np.mean(scores, axis=0)
            rows.append({"minutes": minutes, "model": name, "balanced accuracy": accuracy, "ROC AUC": area})
            print({key: round(v, 3) if isinstance(v, float) else v for key, v in rows[-1].items()}, flush=True)
    if options.out:
        pd.DataFrame(rows).to_csv(options.out, index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
