"""
Probabilities that hold on new worms
====================================

A model that says .9 should be right nine times in ten, on a worm that it has not seen. Where that fails, one number
learned from worms left out corrects much of it, and a model can name several states rather than a wrong one.
"""

import sys

import numpy as np
from scipy.special import expit

from skworm import (
    ConformalStateClassifier,
    MLPStateClassifier,
    SVMStateClassifier,
    TemperatureScaledClassifier,
    VirtualWorms,
)
from skworm.datasets import load_recordings, make_worms
from skworm.frames import make_frames
from skworm.metrics import coverage_report
from skworm.plotting import ReliabilityDisplay

recordings = load_recordings(sys.argv[1]) if sys.argv[1:] else make_worms(n_worms=5, n_frames=1500, random_state=0)
new_worms = [recording.worm for recording in recordings[-2:]]

# %%
# The decision function of an SVM is not a probability, even when it is squeezed between 0 and 1.
# ``TemperatureScaledClassifier`` divides it by a temperature that inner fits learn from the worms they leave out; the
# most probable state stays what it was.

X, y = make_frames(recordings, states="2")
is_new = X.index.get_level_values("worm").isin(new_worms)
scaled = TemperatureScaledClassifier(SVMStateClassifier()).fit(X[~is_new], y[~is_new])
print(f"temperature: {scaled.temperature_:.2f}")

# %%
# A line above the diagonal is that of a model that is right more often than it says. The networks of skworm hardly need
# a temperature.

mlp = MLPStateClassifier(augmentation=VirtualWorms(), max_epochs=80, learning_rate=0.01, random_state=0)
mlp.fit(X[~is_new], y[~is_new])
squeezed = expit(scaled.estimator_.decision_function(X[is_new]))
probabilities = {
    "SVM as it is": np.column_stack([1 - squeezed, squeezed]),
    "SVM, temperature": scaled.predict_proba(X[is_new]),
    "MLP": mlp.predict_proba(X[is_new]),
}
display = ReliabilityDisplay.from_predictions(y[is_new], probabilities, classes=scaled.classes_)
display.figure_.savefig("reliability.png", dpi=150)

# %%
# Seven states are harder to tell apart. ``ConformalStateClassifier`` predicts a set of states for each frame, large
# enough to hold the true one in nine frames of ten, on average over the worms that inner fits leave out. ``abstained``
# is the share of frames whose set holds more than one.

X, y = make_frames(recordings, states="7")
is_new = X.index.get_level_values("worm").isin(new_worms)
conformal = ConformalStateClassifier(mlp, coverage=0.9).fit(X[~is_new], y[~is_new])
print(coverage_report(y[is_new], conformal.predict_set(X[is_new])).round(3).to_string())
