"""How far does the recommended pipeline go, with all but one worm for training and all neurons that worms share?

    python tests/benchmarks/beyond_paper.py FOLDER [--states 2 4 7] [--folds 1] [--out FILE.csv]

Every choice of four training worms, scored on the fifth: SVM, MLP and GNN as they are by default, the SVM on frames
with context, and the mean of the probabilities of the three. Accuracy and F1 over bouts that overlap by half; mean and
standard deviation over worms, and the worst worm. Nothing is chosen by the worms that are scored.
"""

import argparse
import time

import numpy as np
import pandas as pd
from sklearn.ensemble import VotingClassifier

import skworm
from skworm import GNNStateClassifier, MLPStateClassifier, SVMStateClassifier, TemperatureScaledClassifier
from skworm.datasets import load_recordings
from skworm.frames import make_frames
from skworm.metrics import segment_f1
from skworm.model_selection import WormGroupKFold

CONTEXT = (-4, 0, 4)


def models():
    """Return the models by name, and the context of their frames."""
    mlp, gnn = MLPStateClassifier(random_state=0), GNNStateClassifier(random_state=0)
    svm = TemperatureScaledClassifier(SVMStateClassifier())
    mean = VotingClassifier([("svm", svm), ("mlp", mlp), ("gnn", gnn)], voting="soft")
    return {
        "SVM": (SVMStateClassifier(), (0,)),
        "SVM, context": (SVMStateClassifier(), CONTEXT),
        "MLP": (mlp, (0,)),
        "GNN": (gnn, (0,)),
        "mean of SVM, MLP and GNN": (mean, (0,)),
    }


def main():
    """Print a row for each model, and keep all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--states", nargs="+", default=["2", "4", "7"])
    parser.add_argument("--folds", type=int, default=1)
    parser.add_argument("--out", help="file for the rows, as CSV")
    options = parser.parse_args()
    worms = load_recordings(options.folder)
    rows = []
    for states in options.states:
        for name, (model, context) in models().items():
            began = time.perf_counter()
            X, y = make_frames(worms, neurons="shared", states=states, context=context)
            worm = X.index.get_level_values("worm").to_numpy()
            cv = WormGroupKFold(10, n_train_worms=len(worms) - 1, random_state=0)
            scores = {}
            for split in cv.split_worms(X, y, worm):
                if split.fold >= options.folds:
                    continue
                (unseen,) = set(worm) - set(split.train_worms)
                own = worm == unseen
                predicted = model.fit(X.iloc[split.train], y.iloc[split.train]).predict(X[own])
                score = float((predicted == y[own]).mean()), segment_f1(y[own], predicted)
                scores.setdefault(unseen, []).append(score)
            accuracy, bouts = np.array([np.mean(own, axis=0) for own in scores.values()]).T
            rows.append(
                {
                    "states": states,
                    "model": name,
                    "accuracy": accuracy.mean(),
                    "std": accuracy.std(ddof=1),
                    "worst": accuracy.min(),
                    "bouts": bouts.mean(),
                    "n_neurons": X.shape[1] // 2 // len(context),
                    "folds": options.folds,
                    "seconds": round(time.perf_counter() - began),
                    "version": skworm.__version__,
                }
            )
            print({key: round(v, 4) if isinstance(v, float) else v for key, v in rows[-1].items()}, flush=True)
            if options.out:
                pd.DataFrame(rows).to_csv(options.out, index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
