"""Predict the traces of every neuron of a worm that was not in training, and draw them beside the truth.

    python examples/forecasting.py [FOLDER] [--epochs 100] [--out forecast.png]

FOLDER holds recordings, such as the five worms of Kato et al. 2015; without it worms are simulated.
"""

import argparse

from skworm import LinearTrajectoryRegressor, MLPTrajectoryRegressor
from skworm.datasets import load_recordings, make_worms
from skworm.frames import make_frames, make_trajectories
from skworm.metrics import skill_by_step
from skworm.plotting import TrajectoryDisplay

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("folder", nargs="?")
parser.add_argument("--epochs", type=int, default=100)
parser.add_argument("--out", default="forecast.png")
options = parser.parse_args()

recordings = load_recordings(options.folder) if options.folder else make_worms(n_worms=4, random_state=0)
unseen = recordings[-1].worm

# A forecast must not look ahead, so the derivative is that from the frame before. Every frame counts, labelled or not.
frames, _ = make_frames(recordings, states=None, derivative="backward")
X, Y = make_trajectories(frames, burn_in=1, horizon=16)
test = X.index.get_level_values("worm") == unseen

models = {
    "linear": LinearTrajectoryRegressor(),
    "mlp": MLPTrajectoryRegressor(max_epochs=options.epochs, random_state=0),
}
predicted = {name: model.fit(X[~test], Y[~test]).predict(X[test]) for name, model in models.items()}

print(f"skill over persistence on {unseen}, by step:")
for name, forecast in predicted.items():
    skill = skill_by_step(Y[test], forecast, X[test])
    print(f"{name:8}", "  ".join(f"step {step}: {skill[step]:.2f}" for step in (1, 8, 16)))

display = TrajectoryDisplay.from_predictions(
    frames,
    Y[test],
    predicted,
    row=int(test.sum()) // 2,
    fps=recordings[-1].fps,
    models={"linear": "Linear", "mlp": "MLP"},
)
display.figure_.savefig(options.out, dpi=150)
print(f"wrote {options.out}")
