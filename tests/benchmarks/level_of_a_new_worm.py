"""What a forecast loses when the level of a new worm is known from its first seconds alone.

Trajectory regressors measure every column from the worm's own mean. For a worm that was not in training that is the
mean of all observed frames that are passed together, later ones included. Here it is taken from the first seconds
instead, and the forecasts of all trajectories that begin after them are scored: skill over persistence at steps 1, 8
and 16, every worm in turn left out of training.

    python tests/benchmarks/level_of_a_new_worm.py --data FOLDER [--epochs 200] [--seconds 30 60 120]
"""

import argparse

import numpy as np
import pandas as pd

from skworm import LinearTrajectoryRegressor, MLPTrajectoryRegressor
from skworm.datasets import load_recordings, make_worms
from skworm.frames import PAPER_NEURONS, make_frames, make_trajectories
from skworm.metrics import mse_by_step

STEPS = [1, 8, 16]


def errors(model, X, Y, observed):
    """Errors of a model that takes the worm's level from the rows `observed`, and of persistence."""
    worm = X.index.get_level_values("worm")[0]
    # What predict does with all rows that it is given; the population weighs as much as 10 of them.
    model.levels_[worm] = (observed.sum().to_numpy() + 10 * model.level_) / (len(observed) + 10)
    predicted = model.predict(X)
    del model.levels_[worm]
    persistence = np.tile(X, Y.shape[1] // X.shape[1])
    return mse_by_step(Y, predicted)[STEPS], mse_by_step(Y, persistence)[STEPS]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of recordings; simulated worms by default")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--seconds", type=int, nargs="+", default=[30, 60, 120])
    options = parser.parse_args()
    recordings = load_recordings(options.data) if options.data else make_worms(random_state=0)
    frames, _ = make_frames(recordings, neurons=PAPER_NEURONS, exclude=["VB01"], states=None, derivative="backward")
    X, Y = make_trajectories(frames, burn_in=1)
    worm = X.index.get_level_values("worm")
    rows = []
    for recording in recordings:
        unseen = worm == recording.worm
        seconds = X.index.get_level_values("frame")[unseen] / recording.fps
        scored = seconds > max(options.seconds)
        X_unseen, Y_unseen = X[unseen], Y[unseen]
        levels = {f"first {given} s": X_unseen[seconds <= given] for given in options.seconds}
        models = {
            "linear": LinearTrajectoryRegressor(),
            "mlp": MLPTrajectoryRegressor(max_epochs=options.epochs, random_state=0, device="cpu"),
        }
        for name, model in models.items():
            model.fit(X[~unseen], Y[~unseen])
            for level, observed in {"whole recording": X_unseen, **levels}.items():
                own, persistence = errors(model, X_unseen[scored], Y_unseen[scored], observed)
                rows.append(
                    {"model": name, "level": level, "own": own.to_numpy(), "persistence": persistence.to_numpy()}
                )
    table = pd.DataFrame(rows).groupby(["model", "level"], sort=False).agg(lambda values: np.mean(list(values), axis=0))
    print(f"{len(recordings)} worms; trajectories that begin after {max(options.seconds)} s; skill over persistence")
    for (name, level), own, persistence in table.itertuples():
        skill = "  ".join(f"step {step}: {value:.3f}" for step, value in zip(STEPS, 1 - own / persistence, strict=True))
        print(f"{name:8} {level:16} {skill}", flush=True)


if __name__ == "__main__":
    main()
