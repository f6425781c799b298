"""Calibration, coverage and bouts on worms that were not trained on: the tables and the picture of docs/trust.md.

Every choice of training worms is fitted as `TemperatureScaledClassifier` and `ConformalStateClassifier` would, with one
set of inner fits for both, and scored on all other worms. A worm's score is the mean over the fits that score it.

    python tests/benchmarks/trust.py FOLDER [--train-worms 1 4] [--epochs 80] [--picture docs/reliability.png]

FOLDER holds recordings, such as those of Kato et al. 2015.
"""

import argparse
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.special import softmax

from skworm import ConformalStateClassifier, GNNStateClassifier, MLPStateClassifier, SVMStateClassifier, VirtualWorms
from skworm.datasets import load_recordings
from skworm.estimators.calibration import fit_temperature, states_within
from skworm.frames import make_frames
from skworm.metrics import calibration_report, coverage_report, score_bouts, score_states
from skworm.plotting import ReliabilityDisplay


class Both(ConformalStateClassifier):
    """Conformal sets of both kinds, and the temperature, from the same inner fits."""

    def _learn(self, left_out):
        self.temperature_ = fit_temperature(left_out)
        super()._learn(left_out)


def models(epochs):
    few = {"max_epochs": epochs, "learning_rate": 1e-2, "random_state": 0, "device": "cpu"}
    return {
        "SVM": SVMStateClassifier(device="cpu"),
        "MLP": MLPStateClassifier(**few),
        "GNN, virtual worms": GNNStateClassifier(augmentation=VirtualWorms(), **few),
    }


def scores_of(fitted, X, y, fps):
    log_probabilities = fitted._log_probabilities(X, None)
    before = softmax(log_probabilities, axis=1)
    after = softmax(log_probabilities / fitted.temperature_, axis=1)
    predicted = pd.Series(fitted.classes_[before.argmax(axis=1)], index=y.index)
    columns = score_bouts(y, predicted, fps=fps)
    columns["macro_f1"] = [
        score_states(states, predicted.loc[states.index])["macro_f1"] for _, states in y.groupby(level="worm")
    ]
    for name, probabilities in (("before", before), ("after", after)):
        report = calibration_report(y, probabilities, classes=fitted.classes_)
        columns["accuracy"] = report["accuracy"]
        columns[f"ece_{name}"] = report["expected_calibration_error"]
        columns[f"log_loss_{name}"] = report["log_loss"]
    for name, threshold in (("mean", fitted.threshold_), ("max", fitted.worm_thresholds_.max())):
        sets = pd.DataFrame(states_within(before, threshold), index=X.index, columns=fitted.classes_)
        report = coverage_report(y, sets)
        columns[f"coverage_{name}"], columns[f"set_size_{name}"] = report["coverage"], report["set_size"]
    return columns.assign(temperature=fitted.temperature_), {"before": before, "after": after}


def run(recordings, vocabulary, n_train, epochs):
    X, y = make_frames(recordings, states=vocabulary)
    worm = X.index.get_level_values("worm")
    fps = {recording.worm: recording.fps for recording in recordings}
    tables, kept = [], {}
    for name, model in models(epochs).items():
        for chosen in combinations(worm.unique(), n_train):
            seen = worm.isin(chosen)
            fitted = Both(model, cv=4).fit(X[seen], y[seen])
            table, probabilities = scores_of(fitted, X[~seen], y[~seen], fps)
            tables.append(table.assign(states=vocabulary, train_worms=n_train, model=name, fit="+".join(chosen)))
            for when, values in probabilities.items():
                kept.setdefault((when, name), []).append((y[~seen], values, fitted.classes_))
        print(vocabulary, n_train, name, "done", flush=True)
    return pd.concat(tables).reset_index(), kept


def draw(kept, path):
    panels, states = {}, None
    # Scores before scaling in the upper row, those after it in the lower one.
    for (when, name), parts in sorted(kept.items(), key=lambda item: item[0][0], reverse=True):
        if all((classes == parts[0][2]).all() for _, _, classes in parts):
            states = pd.concat([part for part, _, _ in parts])
            panels[f"{name}, {when} scaling"] = np.concatenate([values for _, values, _ in parts])
    display = ReliabilityDisplay.from_predictions(states, panels, classes=next(iter(kept.values()))[0][2])
    display.figure_.savefig(path, dpi=130)


def print_table(results, columns):
    keys = ["train_worms", "states", "model"]
    by_worm = results.groupby([*keys, "worm"], sort=False)[columns].mean().groupby(keys, sort=False)
    # A ± is the standard deviation over worms.
    cells = by_worm.mean().round(3).astype(str) + " ± " + by_worm.std().round(3).astype(str)
    print("| " + " | ".join([*keys, *columns]) + " |\n|" + "---|" * (len(keys) + len(columns)))
    for key, row in cells.iterrows():
        print("| " + " | ".join(map(str, [*key, *row])) + " |")
    print(flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--train-worms", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--states", nargs="+", default=["2", "4", "7"])
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--picture", help="where to save reliability curves of 4 states and the last --train-worms")
    parser.add_argument("--table", help="where to save all scores as CSV")
    options = parser.parse_args()
    recordings = load_recordings(options.folder)
    tables = []
    for n_train in options.train_worms:
        for vocabulary in options.states:
            table, kept = run(recordings, vocabulary, n_train, options.epochs)
            tables.append(table)
            if options.picture and vocabulary == "4":
                draw(kept, options.picture)
            if options.table:
                pd.concat(tables).to_csv(options.table, index=False)
    results = pd.concat(tables)
    print_table(results, ["temperature", "ece_before", "ece_after", "log_loss_before", "log_loss_after"])
    print_table(results, ["coverage_mean", "set_size_mean", "coverage_max", "set_size_max"])
    print_table(results, ["accuracy", "macro_f1", "segment_f1_10", "segment_f1_50", "n_bouts", "n_predicted_bouts"])
    print_table(results, ["onset_latency", "onset_f1", "dwell_time_distance"])


if __name__ == "__main__":
    main()
