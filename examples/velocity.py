"""
Decoding velocity
=================

Decode the velocity of a worm that was not in training, and draw it beside the truth. Recordings need a continuous
signal, such as a column ``behavior:velocity`` in a CSV file.
"""

import sys

from sklearn.linear_model import Ridge

from skworm import GNNBehaviorRegressor, MLPBehaviorRegressor, VirtualWorms
from skworm.datasets import load_recordings, make_worms
from skworm.frames import make_behavior, make_frames
from skworm.metrics import score_behavior
from skworm.plotting import BehaviorDisplay

recordings = load_recordings(sys.argv[1]) if sys.argv[1:] else make_worms(n_worms=4, n_frames=1500, random_state=0)
unseen = recordings[-1]

# %%
# A frame without a state may well have a velocity, so every frame counts. Frames where the tracker lost the worm are
# NaN, and are not trained on.

X, _ = make_frames(recordings, states=None)
velocity = make_behavior(recordings, X, "velocity")
known = velocity.notna()
test = X.index.get_level_values("worm") == unseen.worm

# %%
# A ridge regression is what a network has to beat.

training = {"augmentation": VirtualWorms(), "max_epochs": 100, "learning_rate": 0.01, "random_state": 0}
models = {"linear": Ridge(), "mlp": MLPBehaviorRegressor(**training), "gnn": GNNBehaviorRegressor(**training)}
fitted = {name: model.fit(X[known & ~test], velocity[known & ~test]) for name, model in models.items()}
predicted = {name: model.predict(X[test]) for name, model in fitted.items()}

print(f"velocity of {unseen.worm}, unseen:")
for name, values in predicted.items():
    scores = score_behavior(velocity[test], values)
    print(f"{name:8} R² {scores['r2']:.2f}  correlation {scores['correlation']:.2f}  RMSE {scores['rmse']:.3f}")

# %%
# The signal over time, above the strip of states.

labels = {"linear": "Linear", "mlp": "MLP", "gnn": "GNN"}
display = BehaviorDisplay(unseen, velocity[test], predicted, unit="mm/s", models=labels).plot()
display.figure_.savefig("velocity.png", dpi=150)
