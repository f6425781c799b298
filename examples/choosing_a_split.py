"""
What a split measures
=====================

The same model gets three scores, by what it is tested on. One of them can nearly be had without looking at a neuron.
"""

import sys

import pandas as pd

from skworm import SVMStateClassifier, WormGroupKFold
from skworm.datasets import load_recordings, make_worms
from skworm.frames import make_frames
from skworm.inspection import leakage_report
from skworm.model_selection import cross_validate_worms
from skworm.plotting import WormScoresDisplay

recordings = load_recordings(sys.argv[1]) if sys.argv[1:] else make_worms(n_worms=4, n_frames=1500, random_state=0)
X, y = make_frames(recordings, states="4")

# %%
# ``WormGroupKFold`` takes every worm as the training worm in turn, and cuts it into folds, of which one is held out.
# Folds are windows drawn at random, as in the paper, or whole stretches of time with some frames left out around them.

shuffled = WormGroupKFold(n_splits=3, fold_by="shuffled_windows", random_state=0)
blocks = WormGroupKFold(n_splits=3, fold_by="contiguous_blocks", gap=8)

# %%
# A fit is scored on the held-out windows of its own worm, and on all the other worms.

models = {"SVM": SVMStateClassifier()}
results = pd.concat(
    cross_validate_worms(models, X, y, cv=cv, verbose=0).table.assign(fold_by=cv.fold_by) for cv in (shuffled, blocks)
)

# %%
# The row ``clock`` gives a frame the state of the training frame that is nearest in time, and sees no neuron. What it
# scores is what remembering the moment is worth. It is nearly as good as the model where windows are drawn at random,
# because the frames next to them are training frames; on other worms it knows nothing.

display = WormScoresDisplay.from_results(
    results,
    panels={
        "same worm, shuffled windows": {"evaluation": "held_out_windows", "fold_by": "shuffled_windows"},
        "same worm, contiguous blocks": {"evaluation": "held_out_windows", "fold_by": "contiguous_blocks"},
        "unseen worms": {"evaluation": "unseen_worms", "fold_by": "shuffled_windows"},
    },
    models={"SVM": "SVM", "clock": "clock", "majority": "most frequent state"},
    baseline=None,
)
display.figure_.savefig("splits.png", dpi=150)
by_split = results.groupby(["evaluation", "fold_by", "model"])["accuracy"]
print(by_split.mean().unstack("model").round(3))

# %%
# How much of it comes from training windows right beside the held-out ones:

report = leakage_report(X, y, cv=shuffled)
print(report.groupby(["fold_by", "gap"]).mean(numeric_only=True).round(3))
