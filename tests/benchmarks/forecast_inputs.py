"""Does a smooth derivative of the past, or more observed frames, help a network beyond the linear map?

    python tests/benchmarks/forecast_inputs.py FOLDER [--out FILE.csv]

Each worm is predicted by models of all others, from its last 1, 4 or 8 frames, with a backward difference or a causal
smooth derivative beside each trace. Scored are the traces alone, so that what is predicted is the same: skill over
persistence 1, 8 and 16 frames ahead, mean and standard deviation over worms. Nothing is chosen by the worms scored.
"""

import argparse
import time

import numpy as np
import pandas as pd

import skworm
from skworm import LinearTrajectoryRegressor, MLPTrajectoryRegressor
from skworm.datasets import load_recordings
from skworm.frames import PAPER_NEURONS, make_frames, make_trajectories

HORIZON, STEPS = 16, (1, 8, 16)


def skills(model, X, Y):
    """Return the skill on the traces of each worm by step, an array of shape (n_worms, n_steps)."""
    worm = X.index.get_level_values("worm")
    last = [column for column in X if column.endswith(":trace@0")]
    found = []
    for unseen in worm.unique():
        own = worm == unseen
        predicted = pd.DataFrame(model.fit(X[~own], Y[~own]).predict(X[own]), columns=Y.columns, index=X.index[own])
        row = []
        for step in STEPS:
            columns = [column for column in Y if column.endswith(f":trace@{step}")]
            truth = Y.loc[own, columns].to_numpy()
            error = ((predicted[columns].to_numpy() - truth) ** 2).mean()
            row.append(1 - error / ((X.loc[own, last].to_numpy() - truth) ** 2).mean())
        found.append(row)
    return np.array(found)


def main():
    """Print a row for each input and model, and keep all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--out", help="file for the rows, as CSV")
    options = parser.parse_args()
    worms = load_recordings(options.folder)
    rows = []
    for derivative in ("backward", "causal"):
        # One scaling for both: `percentiles="auto"` would differ.
        settings = {"derivative": derivative, "percentiles": (0, 100), "states": None, "missing": "drop"}
        frames, _ = make_frames(worms, neurons=PAPER_NEURONS, **settings)
        for burn_in in (1, 4, 8):
            X, Y = make_trajectories(frames, burn_in=burn_in, horizon=HORIZON)
            for name, model in {
                "linear": LinearTrajectoryRegressor(),
                "MLP": MLPTrajectoryRegressor(random_state=0),
            }.items():
                began = time.perf_counter()
                found = skills(model, X, Y)
                row = {"derivative": derivative, "observed frames": burn_in, "model": name}
                for step, mean, std in zip(STEPS, found.mean(axis=0), found.std(axis=0, ddof=1), strict=True):
                    row |= {f"skill {step}": mean, f"std {step}": std}
                row |= {"seconds": round(time.perf_counter() - began), "version": skworm.__version__}
                rows.append(row)
                print({key: round(v, 3) if isinstance(v, float) else v for key, v in row.items()}, flush=True)
                if options.out:
                    pd.DataFrame(rows).to_csv(options.out, index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
