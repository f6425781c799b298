"""Decode the velocity of a worm that was not in training, and draw it beside the truth.

    python examples/velocity.py [FOLDER] [--signal velocity] [--epochs 200] [--out velocity.png]

FOLDER holds recordings with a continuous signal, such as CSV files with a column 'behavior:velocity'; without it worms
are simulated.
"""

import argparse

from sklearn.linear_model import Ridge

from skworm import GNNBehaviorRegressor, MLPBehaviorRegressor, VirtualWorms
from skworm.datasets import load_recordings, make_worms
from skworm.frames import make_behavior, make_frames
from skworm.metrics import score_behavior
from skworm.plotting import BehaviorDisplay

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("folder", nargs="?")
parser.add_argument("--signal", default="velocity")
parser.add_argument("--epochs", type=int, default=200)
parser.add_argument("--out", default="velocity.png")
options = parser.parse_args()

recordings = load_recordings(options.folder) if options.folder else make_worms(4, n_frames=1500, random_state=0)
unseen = recordings[-1]

# A frame without a state may well have a velocity, so every frame counts.
X, _ = make_frames(recordings, states=None)
y = make_behavior(recordings, X, options.signal)
known = y.notna()
test = X.index.get_level_values("worm") == unseen.worm

fit = {"augmentation": VirtualWorms(), "max_epochs": options.epochs, "learning_rate": 0.01, "random_state": 0}
models = {"linear": Ridge(), "mlp": MLPBehaviorRegressor(**fit), "gnn": GNNBehaviorRegressor(**fit)}
predicted = {name: model.fit(X[known & ~test], y[known & ~test]).predict(X[test]) for name, model in models.items()}

print(f"{options.signal} of {unseen.worm}, unseen:")
for name, values in predicted.items():
    scores = score_behavior(y[test], values)
    print(f"{name:8} R² {scores['r2']:.2f}  correlation {scores['correlation']:.2f}  RMSE {scores['rmse']:.3f}")

labels = {"linear": "Linear", "mlp": "MLP", "gnn": "GNN"}
unit = "" if options.folder else "mm/s"
display = BehaviorDisplay.from_predictions(unseen, y[test], predicted, unit=unit, models=labels)
display.figure_.savefig(options.out, dpi=150)
print(f"wrote {options.out}")
