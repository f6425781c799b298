"""
Predicting what neurons do next
===============================

Predict the traces of every neuron of a worm that was not in training, and draw them beside the truth.
"""

import sys

from skworm import LinearTrajectoryRegressor, MLPTrajectoryRegressor
from skworm.datasets import load_recordings, make_worms
from skworm.frames import make_frames, make_trajectories
from skworm.metrics import skill_by_step
from skworm.plotting import TrajectoryDisplay

recordings = load_recordings(sys.argv[1]) if sys.argv[1:] else make_worms(n_worms=4, n_frames=1500, random_state=0)
unseen = recordings[-1]

# %%
# A forecast must not look ahead, so the derivative is that from the frame before. Every frame counts, whether its state
# is known or not. A row of ``X`` is four observed frames, a row of ``y`` the 16 frames after them.

frames, _ = make_frames(recordings, states=None, derivative="backward")
X, y = make_trajectories(frames, burn_in=4, horizon=16)
test = X.index.get_level_values("worm") == unseen.worm

# %%
# Skill is 1 - MSE / MSE of persistence, which repeats the last observed frame. A linear map is the other thing to beat.

models = {"linear": LinearTrajectoryRegressor(), "mlp": MLPTrajectoryRegressor(max_epochs=60, random_state=0)}
predicted = {name: model.fit(X[~test], y[~test]).predict(X[test]) for name, model in models.items()}

print(f"skill over persistence on {unseen.worm}, by step:")
for name, forecast in predicted.items():
    skill = skill_by_step(y[test], forecast, X[test])
    print(f"{name:8}", "  ".join(f"step {step}: {skill[step]:.2f}" for step in (1, 8, 16)))

# %%
# One forecast, from the middle of the recording. Every forecast goes on from its own last prediction.

display = TrajectoryDisplay(
    frames,
    y[test],
    predicted,
    row=int(test.sum()) // 2,
    models={"linear": "Linear", "mlp": "MLP"},
).plot()
display.figure_.savefig("forecast.png", dpi=150)
