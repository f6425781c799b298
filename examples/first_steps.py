"""
Ten lines to a confusion matrix
===============================

Train on four worms, and read the states of a fifth that the model has never seen.
"""

from skworm import GNNStateClassifier, VirtualWorms
from skworm.datasets import make_worms
from skworm.frames import make_frames
from skworm.plotting import ConfusionDisplay

X, y = make_frames(make_worms(n_worms=5, random_state=0), states="4")
unseen = X.index.get_level_values("worm") == "simulated-4"
gnn = GNNStateClassifier(augmentation=VirtualWorms(), max_epochs=100, learning_rate=0.01, random_state=0)
gnn.fit(X[~unseen], y[~unseen])
display = ConfusionDisplay.from_estimator(gnn, X[unseen], y[unseen])
display.figure_.savefig("confusion.png", dpi=150)

# %%
# ``make_worms`` simulates worms. ``load_recordings("folder/of/worms")`` in its place reads your own, and
# ``fetch_kato2015()`` downloads five real ones.
#
# A row of ``X`` is a frame, its index tells worm and frame, and its columns are trace and derivative of every neuron
# that all worms have. A whole worm stays out of training: scoring on frames of a training worm would mostly show how
# well the model remembers that worm, and a new recording never comes from a training worm.

print(X.iloc[:3, :4].round(2))

# %%
# Worms differ in how strongly each neuron glows. ``VirtualWorms`` varies that at random during training, so that the
# model cannot rely on the levels of the few worms that it sees.

from sklearn.metrics import classification_report

print(classification_report(y[unseen], gnn.predict(X[unseen]), zero_division=0.0))

# %%
# A recording that comes in later needs no states to be read. This one is simulated, and has states all the same, so
# they are drawn below those that the model reads.

from skworm.estimators.prediction import bouts_in_seconds, decode_states
from skworm.plotting import EthogramDisplay

later = make_worms(n_worms=1, n_frames=600, worm_prefix="later", random_state=1)
table = decode_states(gnn, later)
ethogram = EthogramDisplay(table).plot()
ethogram.figure_.savefig("ethogram.png", dpi=150)
print(bouts_in_seconds(table).head())
