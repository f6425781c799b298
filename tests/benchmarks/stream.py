"""Milliseconds that a closed loop waits for the state of a frame, against the time between frames.

python tests/benchmarks/stream.py [FOLDER] [--epochs 20]
"""

import argparse
import time

import numpy as np

from skworm import (
    GNNStateClassifier,
    HiddenMarkovStateClassifier,
    InferredGraph,
    MLPStateClassifier,
    StateStream,
    VirtualWorms,
)
from skworm.datasets import load_recordings, make_worms
from skworm.frames import make_frames


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", help="folder of recordings; simulated worms by default")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    *train, new = load_recordings(options.data) if options.data else make_worms(random_state=0)
    neurons = sorted(set(new.identified).intersection(*(recording.identified for recording in train)))
    X, y = make_frames(train, neurons=neurons, states="7", derivative="backward", context=(-12, -9, -6, -3, 0))
    few = {"max_epochs": options.epochs, "augmentation": VirtualWorms(), "random_state": 0, "device": "cpu"}
    models = {
        "MLP": MLPStateClassifier(**few),
        "MLP, filtered": HiddenMarkovStateClassifier(MLPStateClassifier(**few), decoding="filtering"),
        "GNN": GNNStateClassifier(**few),
        "GNN, dynamic edges": GNNStateClassifier(graph=InferredGraph(per="frame"), **few),
    }
    print(f"{len(neurons)} neurons; a frame every {1000 / new.fps:.0f} ms")
    for name, model in models.items():
        stream = StateStream(model.fit(X, y), fps=new.fps, neurons=new.neurons)
        waits = []
        for frame in new.traces:
            start = time.perf_counter()
            stream.push(frame)
            waits.append(1000 * (time.perf_counter() - start))
        median, high = np.percentile(waits, [50, 99])
        print(f"{name:20} median {median:.2f} ms, 99th percentile {high:.2f} ms, of {len(waits)} frames", flush=True)


if __name__ == "__main__":
    main()
