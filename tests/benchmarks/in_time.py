"""What the frames around the one that is labelled are worth, and what reading states as a sequence is.

A network with virtual worms is trained on some worms and scored on every other one: with and without context, frame by
frame and by a hidden Markov model. Accuracy over frames, and F1 over bouts (overlap of one half). With the union of all
neurons, virtual worms lack a fifth of theirs.

    python tests/benchmarks/in_time.py FOLDER [--states 2 4 7] [--n-train 1 4] [--epochs 400] [--neurons shared]
        [--model mlp]
"""

import argparse
from itertools import combinations

import numpy as np
import pandas as pd

from skworm import GNNStateClassifier, HiddenMarkovStateClassifier, MLPStateClassifier, VirtualWorms
from skworm.datasets import load_recordings
from skworm.frames import PAPER_NEURONS, make_frames
from skworm.metrics import segment_f1

MODELS = {"mlp": MLPStateClassifier, "gnn": GNNStateClassifier}
NEURONS = {
    "shared": {"neurons": "shared"},
    "paper": {"neurons": PAPER_NEURONS, "missing": "drop"},
    "union": {"neurons": "union", "missing": "nan"},
}
CONTEXTS = {
    "none": {"derivative": "central"},
    "both sides": {"derivative": "central", "context": (-12, -6, -3, 0, 3, 6, 12)},
    "causal, none": {"derivative": "backward"},
    "causal": {"derivative": "backward", "context": (-12, -9, -6, -3, 0)},
}


def scores_of(model, X, y):
    """Accuracy and F1 of bouts of every way to decode, one row a worm."""
    for decoding in ("frame by frame", "filtering", "smoothing", "viterbi"):
        if decoding == "frame by frame":
            predicted = model.estimator_.predict(X)
        else:
            predicted = model.set_params(decoding=decoding).predict(X)
        for worm, states in y.groupby(level="worm"):
            own = pd.Series(predicted, index=y.index)[states.index]
            yield decoding, worm, (own == states).mean(), segment_f1(states, own)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="folder of recordings")
    parser.add_argument("--states", nargs="+", default=["2", "4", "7"])
    parser.add_argument("--n-train", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--neurons", choices=list(NEURONS), default="shared")
    parser.add_argument("--model", choices=list(MODELS), default="mlp")
    parser.add_argument("--contexts", nargs="+", default=list(CONTEXTS), choices=list(CONTEXTS))
    options = parser.parse_args()
    recordings = load_recordings(options.data)
    virtual = VirtualWorms(neuron_dropout=0.2 if options.neurons == "union" else 0.0)
    few = {"max_epochs": options.epochs, "learning_rate": 5e-3, "random_state": 0, "device": "cpu"}
    for states in options.states:
        for context in options.contexts:
            X, y = make_frames(recordings, states=states, **NEURONS[options.neurons], **CONTEXTS[context])
            worm = X.index.get_level_values("worm")
            for n_train in options.n_train:
                rows = []
                for chosen in combinations(worm.unique(), n_train):
                    train = np.isin(worm, chosen)
                    network = MODELS[options.model](augmentation=virtual, **few)
                    model = HiddenMarkovStateClassifier(network).fit(X[train], y[train])
                    rows += scores_of(model, X[~train], y[~train])
                table = pd.DataFrame(rows, columns=["decoding", "worm", "accuracy", "bout F1"])
                by_worm = table.sort_values("worm", kind="stable").groupby(["decoding", "worm"], sort=False).mean()
                print(f"\n{states} states, {n_train} training worms, context: {context}")
                for decoding, own in by_worm.groupby(level="decoding", sort=False):
                    worms = " ".join(f"{value:.3f}" for value in own["accuracy"])
                    mean, sd = own.mean(), own.std()
                    print(
                        f"{decoding:15} accuracy {mean['accuracy']:.3f} ± {sd['accuracy']:.3f} ({worms})  "
                        f"bout F1 {mean['bout F1']:.3f} ± {sd['bout F1']:.3f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
