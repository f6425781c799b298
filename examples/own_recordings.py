"""A laboratory's own recordings: CSV files in, predicted states and a picture out.

python examples/own_recordings.py                  writes simulated CSV files to start from
python examples/own_recordings.py folder/of/worms  your own recordings
"""

import argparse
from dataclasses import replace
from pathlib import Path

import pandas as pd

from skworm import MLPStateClassifier, VirtualWorms
from skworm.datasets import load_recordings, make_worms
from skworm.frames import make_frames
from skworm.plotting import RecordingDisplay

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("recordings", nargs="?", help="file or folder of recordings; simulated CSV files by default")
parser.add_argument("--epochs", type=int, default=200)
parser.add_argument("--out", type=Path, default=Path("skworm_results/own_recordings"))
arguments = parser.parse_args()

# How a laboratory might call its states, and what each is in skworm. Names that skworm knows need no entry.
RENAME_STATES = {
    "crawl": "forward",
    "pause": "slowing",
    "rev A": "reverse_1",
    "rev B": "reverse_2",
    "rev long": "sustained_reverse",
    "omega D": "dorsal_turn",
    "omega V": "ventral_turn",
    "?": "unknown",
}


def write_csv_files(folder):
    """Write what a laboratory would export: one file a worm, one row a frame, one column a neuron."""
    lab_names = {name: lab_name for lab_name, name in RENAME_STATES.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for recording in make_worms(n_worms=4, n_frames=1500, lab=3, random_state=0):
        table = pd.DataFrame(recording.traces, columns=recording.neurons)
        table.insert(0, "time", recording.time)
        table.insert(1, "state", [lab_names[state] for state in recording.states])
        table.to_csv(folder / f"{recording.worm}.csv", index=False)


folder = arguments.recordings
if folder is None:
    folder = arguments.out / "csv"
    write_csv_files(folder)
recordings = load_recordings(folder, rename_states=RENAME_STATES)
print(*recordings, sep="\n")

# neurons="shared" keeps the neurons that are identified in every worm, because a model needs the same ones throughout.
X, y = make_frames(recordings, neurons="shared", states="4")
new_worm = recordings[-1]
is_new = X.index.get_level_values("worm") == new_worm.worm

mlp = MLPStateClassifier(augmentation=VirtualWorms(), max_epochs=arguments.epochs, learning_rate=0.01, random_state=0)
mlp.fit(X[~is_new], y[~is_new])
accuracy = mlp.score(X[is_new], y[is_new])

# A recording needs no states to be read. The index says to which worm and frame each prediction belongs.
frames, _ = make_frames(new_worm, neurons=mlp.neurons_, states=None)
predicted = pd.Series(mlp.predict(frames), index=frames.index, name="state")
arguments.out.mkdir(parents=True, exist_ok=True)
predicted.to_csv(arguments.out / "predicted_states.csv")

display = RecordingDisplay.from_recording(replace(new_worm, states=predicted.to_numpy()), neurons=mlp.neurons_)
display.figure_.savefig(arguments.out / "predicted_states.png", dpi=150, bbox_inches="tight")

print(f"\ntrained on {len(recordings) - 1} worms; accuracy on {new_worm.worm}, unseen: {accuracy:.3f}")
print(f"predicted states and their picture: {arguments.out}")
