"""First steps: train on some worms, read the behaviour of one that the model has never seen.

python examples/first_steps.py                  simulated worms
python examples/first_steps.py folder/of/worms  your own recordings
"""

import argparse

from sklearn.metrics import classification_report

from skworm import GNNStateClassifier, VirtualWorms
from skworm.datasets import load_recordings, make_worms
from skworm.frames import make_frames

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("recordings", nargs="?", help="file or folder of recordings; simulated worms by default")
parser.add_argument("--epochs", type=int, default=200)
arguments = parser.parse_args()

recordings = load_recordings(arguments.recordings) if arguments.recordings else make_worms(random_state=0)
for recording in recordings:
    print(recording)

# The last worm stays out of training: scoring on frames of a training worm would mostly show how well the model
# remembers that worm, and a new recording never comes from a training worm.
*training_worms, new_worm = [recording.worm for recording in recordings]

# Four states: dorsal and ventral turns stay apart, the kinds of reversal and of forward movement do not.
X, y = make_frames(recordings, states="4")
is_new = X.index.get_level_values("worm") == new_worm

# Worms differ in how strongly each neuron glows. VirtualWorms varies that at random during training, so that the
# model cannot rely on the levels of the few worms that it sees.
gnn = GNNStateClassifier(
    augmentation=VirtualWorms(), max_epochs=arguments.epochs, learning_rate=0.01, random_state=0, verbose=1
)
gnn.fit(X[~is_new], y[~is_new])

# The new worm's graph is inferred from its own traces; its states are used for this report alone.
print(f"\nTrained on {', '.join(training_worms)}; scored on {new_worm}:")
print(classification_report(y[is_new], gnn.predict(X[is_new]), zero_division=0.0))

# graph_ is learned from all training frames together: a row sends, a column receives.
edges = gnn.graph_.stack().sort_values(ascending=False)
print("Strongest edges of the inferred graph:")
print(edges.head(5).round(2).to_string())
