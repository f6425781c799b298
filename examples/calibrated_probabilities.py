"""
Probabilities that hold on new worms
====================================

A model that says .9 should be right nine times in ten, on a worm that it has not seen. Where that fails, one number
learned from worms left out mends much of it, and a model can name several states rather than a wrong one.
"""

import sys

from scipy.special import softmax

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

recordings = load_recordings(sys.argv[1]) if sys.argv[1:] else make_worms(n_worms=5, n_frames=1000, random_state=0)
X, y = make_frames(recordings, states="4")
new_worms = [recording.worm for recording in recordings[-2:]]
is_new = X.index.get_level_values("worm").isin(new_worms)

# %%
# The softmax of an SVM's decision function is no probability. ``TemperatureScaledClassifier`` divides by a temperature
# that inner fits learn from the worms they leave out; the most probable state stays what it was.

svm = SVMStateClassifier()
scaled = TemperatureScaledClassifier(svm).fit(X[~is_new], y[~is_new])
mlp = MLPStateClassifier(augmentation=VirtualWorms(), max_epochs=80, learning_rate=0.01, random_state=0)
mlp.fit(X[~is_new], y[~is_new])
print(f"temperature of the SVM: {scaled.temperature_:.2f}")

# %%
# A line above the diagonal is that of a model that is right more often than it says.

probabilities = {
    "SVM, softmax": softmax(scaled.estimator_.decision_function(X[is_new]), axis=1),
    "SVM, temperature": scaled.predict_proba(X[is_new]),
    "MLP": mlp.predict_proba(X[is_new]),
}
display = ReliabilityDisplay.from_predictions(y[is_new], probabilities, classes=mlp.classes_)
display.figure_.savefig("reliability.png", dpi=150)

# %%
# ``ConformalStateClassifier`` predicts a set of states for each frame, large enough that the true one is among them nine
# times in ten on average over worms. ``abstained`` is the share of frames whose set holds more than one.

conformal = ConformalStateClassifier(mlp, coverage=0.9).fit(X[~is_new], y[~is_new])
print(coverage_report(y[is_new], conformal.predict_set(X[is_new])).round(3).to_string())
