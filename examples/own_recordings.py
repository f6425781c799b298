"""
A laboratory's own recordings
=============================

CSV files in, predicted states and a picture out. Without a folder, ``python own_recordings.py folder/of/worms``, the
script writes simulated CSV files to start from.
"""

import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd

from skworm import MLPStateClassifier, VirtualWorms
from skworm.datasets import load_recordings, make_worms
from skworm.frames import make_frames
from skworm.plotting import RecordingDisplay

out = Path("skworm_results/own_recordings")
out.mkdir(parents=True, exist_ok=True)

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

# %%
# What a laboratory would export: a file for each worm, with a row for each frame, a column for each neuron, and columns
# for time in seconds and state.


def write_csv_files(folder):
    lab_names = {name: lab_name for lab_name, name in RENAME_STATES.items()}
    folder.mkdir(exist_ok=True)
    for recording in make_worms(n_worms=4, n_frames=1500, lab=3, random_state=0):
        table = pd.DataFrame(recording.traces, columns=recording.neurons)
        table.insert(0, "time", recording.time)
        table.insert(1, "state", [lab_names[state] for state in recording.states])
        table.to_csv(folder / f"{recording.worm}.csv", index=False)


folder = Path(sys.argv[1]) if sys.argv[1:] else out / "csv"
if not sys.argv[1:]:
    write_csv_files(folder)

# %%
# Reading them back gives recordings that have been checked.

recordings = load_recordings(folder, rename_states=RENAME_STATES)
print(*recordings, sep="\n")

# %%
# ``neurons="shared"`` keeps the neurons that are identified in every worm. The last worm stays out of training.

X, y = make_frames(recordings, neurons="shared", states="4")
new_worm = recordings[-1]
is_new = X.index.get_level_values("worm") == new_worm.worm

mlp = MLPStateClassifier(augmentation=VirtualWorms(), max_epochs=200, learning_rate=0.01, random_state=0)
mlp.fit(X[~is_new], y[~is_new])
print(f"trained on {len(recordings) - 1} worms; accuracy on {new_worm.worm}: {mlp.score(X[is_new], y[is_new]):.3f}")

# %%
# Predicting needs no states. The index says to which worm and frame each prediction belongs, in the table and in the
# picture.

frames, _ = make_frames(new_worm, neurons=mlp.neurons_, states=None)
predicted = pd.Series(mlp.predict(frames), index=frames.index, name="state")
predicted.to_csv(out / "predicted_states.csv")

display = RecordingDisplay(replace(new_worm, states=predicted.to_numpy()), neurons=mlp.neurons_).plot()
display.figure_.savefig(out / "predicted_states.png", dpi=150)
print(f"predicted states and their picture are in {out}")
