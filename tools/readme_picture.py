"""Draw a recording with its labelled states, and those that a model of the other worms reads.

    python tools/readme_picture.py FOLDER OUT.png

FOLDER holds the recordings of Kato et al. 2015.
"""

import sys
from dataclasses import replace

from matplotlib.figure import Figure

from skworm import GNNStateClassifier
from skworm.datasets import load_recordings
from skworm.frames import make_frames, map_states
from skworm.plotting import STATE_COLORS, RecordingDisplay


def main(folder, out):
    """Train on all worms but the last, and draw the last."""
    *others, unseen = load_recordings(folder)
    X, y = make_frames([*others, unseen], states="4", unknown="keep")
    own = X.index.get_level_values("worm") == unseen.worm
    predicted = GNNStateClassifier(random_state=0).fit(X[~own], y[~own]).predict(X[own])
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    heat, read = figure.subplots(2, 1, height_ratios=(15, 1))
    RecordingDisplay(replace(unseen, states=map_states(unseen.states, "4"))).plot(ax=heat)
    minutes = (unseen.time - unseen.time[0]) / 60
    first = [0, *(frame for frame in range(1, len(minutes)) if predicted[frame] != predicted[frame - 1])]
    for start, end in zip(first, [*first[1:], -1], strict=True):
        read.axvspan(minutes[start], minutes[end], color=STATE_COLORS[predicted[start]], lw=0)
    read.set(xlim=(minutes[0], minutes[-1]), ylim=(0, 1), xticks=[], yticks=[])
    read.set_ylabel("read by\na network", rotation=0, ha="right", va="center", fontsize="small")
    figure.savefig(out, dpi=200)


if __name__ == "__main__":
    main(*sys.argv[1:])
