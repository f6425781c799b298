"""Train the models that come with the package, and write their cards.

    python tools/make_pretrained.py --data recordings/kato2015 [--names kato2015-4-states ...]

The recipe is fixed: all identified neurons of any worm, three frames a second, a graph neural network on virtual worms
that lack a fifth of their neurons, and one temperature for its probabilities. Causal models are perceptrons with causal
derivatives, and the frame of a second before beside each. Each worm is scored by a model of the other four; the model
that is kept is trained on all. The same data and versions give the same bytes.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logit, softmax
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import LeaveOneGroupOut

import skworm
from skworm import GNNStateClassifier, MLPStateClassifier, TemperatureScaledClassifier, VirtualWorms
from skworm.datasets import load_recordings
from skworm.estimators.calibration import LeftOut
from skworm.estimators.prediction import expected_accuracy, measures_of, pairs_of, presence_features
from skworm.frames import make_frames
from skworm.metrics import calibration_report, segment_f1
from skworm.paper.study import digest_of_recordings
from skworm.pretrained import NAMES, path_of

FPS = 3.0
CAUSAL_CONTEXT = (-3, 0)
N_SUBSETS = 400
ABOUT = {
    "data": "The five immobilised worms of Kato et al. 2015 without stimulus (OSF, node 2395t)",
    "licence": "The weights are under the licence of skworm",
    "citation": "Kato et al. 2015, Cell 163, 656-669; Wang et al. 2021, Frontiers in Artificial Intelligence 4, 618372",
    "not_for": "Behaviour that these worms did not show (quiescence, feeding, egg laying), males and larvae, and "
    "decisions that nobody checks on video. Of freely moving worms fewer frames are right.",
    "recipe": "GNNStateClassifier, of the causal models MLPStateClassifier, with "
    "augmentation=VirtualWorms(neuron_dropout=0.2) and random_state=0, in "
    "TemperatureScaledClassifier(cv=LeaveOneGroupOut()); all identified neurons, 3 frames a second, scaling between "
    "the 1st and 99th percentile",
}


def classifier(name):
    """Return the network of a model, not fitted."""
    network = MLPStateClassifier if name.endswith("causal") else GNNStateClassifier
    return network(augmentation=VirtualWorms(neuron_dropout=0.2), random_state=0)


def frames_of(worms, name):
    """Return the frames and states of a model."""
    states = name.split("-")[1]
    causal = name.endswith("causal")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make_frames(
            worms,
            neurons="union",
            missing="nan",
            states=states,
            derivative="causal" if causal else "smooth",
            context=CAUSAL_CONTEXT if causal else 0,
            resample_to=FPS,
        )


def temperature_of(logs, codes, worm):
    """Return the temperature that gives the true states the most probability, every worm counting alike."""

    def loss(log_temperature):
        own = -log_softmax(logs / np.exp(log_temperature), axis=1)[np.arange(len(codes)), codes]
        return pd.Series(own).groupby(worm).mean().mean()

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded").x))


def left_out_logs(name, X, y, worm):
    """Return for each worm the model of the others and its logarithms of probabilities there."""
    models, logs = {}, np.zeros((len(X), y.nunique()))
    for left_out in np.unique(worm):
        own = worm == left_out
        models[left_out] = classifier(name).fit(X[~own], y[~own])
        logs[own] = np.log(np.maximum(models[left_out].predict_proba(X[own]), 1e-12))
    return models, logs


def scores_of(X, y, worm, logs, codes, classes):
    """Return the scores of each left-out worm, its temperature that of the others; and all probabilities."""
    probabilities = np.zeros_like(logs)
    rows = {}
    for name in np.unique(worm):
        own = worm == name
        temperature = temperature_of(logs[~own], codes[~own], worm[~own])
        probabilities[own] = softmax(logs[own] / temperature, axis=1)
        predicted = classes[probabilities[own].argmax(axis=1)]
        report = calibration_report(y[own], probabilities[own], classes=classes)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows[name] = {
                "accuracy": float((predicted == y[own]).mean()),
                "segment_f1": float(segment_f1(y[own], predicted)),
                "calibration_error": float(report["expected_calibration_error"].iloc[0]),
            }
    return rows, probabilities


def expected_of(X, y, worm, models, neurons):
    """Return how the accuracy on a left-out worm follows from the neurons that are there."""
    rng = np.random.RandomState(0)
    sets, accuracies = [], []
    for name, model in models.items():
        own, states = X[worm == name], y[worm == name].to_numpy()
        values = own.to_numpy().reshape(len(own), len(neurons), -1)
        # Neurons that this worm alone has are nothing to a model of the others.
        learned = ~np.isin(neurons, model.neurons_without_data_)
        there = np.flatnonzero(learned & ~np.isnan(values).all(axis=(0, 2)))
        for _ in range(N_SUBSETS):
            size = int(np.round(np.exp(rng.uniform(0, np.log(len(there))))))
            kept = rng.choice(there, size, replace=False)
            masked = np.full_like(values, np.nan)
            masked[:, kept] = values[:, kept]
            table = pd.DataFrame(masked.reshape(len(own), -1), index=own.index, columns=own.columns)
            table.attrs = X.attrs
            accuracies.append((model.predict(table) == states).mean())
            sets.append(np.isin(np.arange(len(neurons)), kept))
    features = presence_features(np.array(sets), pairs_of(neurons))
    targets = logit(np.clip(accuracies, 0.02, 0.998))
    fit = RidgeCV(np.logspace(-1, 3, 9)).fit(features, targets)
    predicted = fit.predict(features)
    edges = np.quantile(predicted, [1 / 3, 2 / 3])
    bins = np.searchsorted(edges, predicted)
    residuals = [np.quantile((targets - predicted)[bins == place], [0.05, 0.95]) for place in range(3)]
    whole = np.array([set_.sum() for set_ in sets])
    curve = {
        str(most): [round(float(value), 3) for value in np.quantile(np.array(accuracies)[near], [0.05, 0.5, 0.95])]
        for most in (1, 2, 3, 5, 10, 20, 30, 40)
        if (near := (whole > most / 1.3) & (whole <= most * 1.3)).sum() > 10
    }
    worth = fit.coef_[: len(neurons)].copy()
    for place, pair in enumerate(pairs_of(neurons)):
        worth[pair] += fit.coef_[len(neurons) + place]
    leading = [neurons[place] for place in np.argsort(-worth)[:8]]
    about = {
        "coefficients": fit.coef_.round(4).tolist(),
        "intercept": round(float(fit.intercept_), 4),
        "edges": edges.round(4).tolist(),
        "residuals": [residual.round(4).tolist() for residual in residuals],
    }
    return about, curve, leading


def familiar_of(card, worms, X, y, worm, predicted):
    """Return the ranges that training worms have in what is measured of a new recording."""
    traces = X.filter(regex=":trace$")
    by_worm = {name: traces[worm == name] for name in np.unique(worm)}
    correlations = {name: own.corr().to_numpy() for name, own in by_worm.items()}
    levels = {name: own.mean().to_numpy() for name, own in by_worm.items()}
    rows = []
    rng = np.random.RandomState(0)
    shuffled = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for recording in worms:
            others = [name for name in by_worm if name != recording.worm]
            about = {
                "correlations": np.nanmean([correlations[name] for name in others], axis=0),
                "levels": np.nanmean([levels[name] for name in others], axis=0),
                **dict.fromkeys(("fps", "likeness", "apart", "changes"), (0, 0)),
            }
            own = worm == recording.worm
            measured = measures_of({**card, "familiar": about}, X[own], predicted[own], recording)
            rows.append({name: value for name, value, _ in measured})
            names = by_worm[recording.worm].dropna(axis="columns").columns
            for _ in range(100):
                mixed = X[own].copy()
                mixed[names] = X.loc[own, names].to_numpy()[:, rng.permutation(len(names))]
                shuffled.append(measures_of({**card, "familiar": about}, mixed, predicted[own], recording)[1][1])
        table = pd.DataFrame(rows)
        # Half-way between the least like of the left-out worms and what 99 of 100 shuffled names stay below.
        likeness = (table.iloc[:, 1].min() + np.quantile(shuffled, 0.99)) / 2
        whole = np.nanmean(list(correlations.values()), axis=0)
        level = np.nanmean(list(levels.values()), axis=0)
    return {
        "correlations": [[None if np.isnan(value) else round(float(value), 2) for value in row] for row in whole],
        "levels": [round(float(value), 3) for value in level],
        "fps": [1.0, 12.0],
        "likeness": [round(float(likeness), 3), 1.0],
        "apart": [0.0, round(1.5 * float(table.iloc[:, 2].max()), 3)],
        "changes": [round(float(table.iloc[:, 3].min()) / 2, 3), round(2 * float(table.iloc[:, 3].max()), 3)],
    }


def make(name, worms):
    """Train a model, write it, and return its card."""
    X, y = frames_of(worms, name)
    worm = X.index.get_level_values("worm").to_numpy()
    neurons = list(dict.fromkeys(column.partition(":")[0] for column in X))
    classes = np.unique(y)
    codes = np.searchsorted(classes, y)
    models, logs = left_out_logs(name, X, y, worm)
    rows, probabilities = scores_of(X, y, worm, logs, codes, classes)
    expected, curve, leading = expected_of(X, y, worm, models, neurons)
    accuracy = [row["accuracy"] for row in rows.values()]
    majority = float(pd.Series(y).groupby(worm).value_counts(normalize=True).groupby(level=0).max().mean())
    card = {
        "name": name,
        **ABOUT,
        "recordings_sha256": digest_of_recordings(worms),
        "skworm": skworm.__version__,
        "states": classes.tolist(),
        "looks_ahead": not name.endswith("causal"),
        "neurons": neurons,
        "scores": {key: {metric: round(value, 4) for metric, value in row.items()} for key, row in rows.items()},
        "accuracy": [round(float(value), 4) for value in (np.mean(accuracy), np.std(accuracy, ddof=1), min(accuracy))],
        "floor": round((majority + float(np.mean(accuracy))) / 2, 3),
        "leading": leading,
        "expected": expected,
        "curve": curve,
    }
    predicted = classes[probabilities.argmax(axis=1)]
    card["familiar"] = familiar_of(card, worms, X, y, worm, predicted)
    model = TemperatureScaledClassifier(classifier(name), cv=LeaveOneGroupOut())
    # What `fit` does, with the fits that scored the left-out worms as its inner ones.
    model._known_frames(X, y, worm, {})
    model._learn(LeftOut(logs, codes, np.ones(len(codes), dtype=bool), worm))
    model.estimator_ = classifier(name).fit(X, y)
    skworm.save(model, path_of(name), X=X, y=y, description=ABOUT["data"], overwrite=True)
    kilobytes = path_of(name).stat().st_size / 1000
    print(name, card["accuracy"], expected_accuracy(card, neurons), f"{kilobytes:.0f} kB", flush=True)
    print({key: rows[key] for key in rows}, curve, leading, {k: v for k, v in card["familiar"].items() if len(v) < 5})
    return card


def main():
    """Make the models, and their cards in one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="the five recordings of Kato et al. 2015")
    parser.add_argument("--names", nargs="+", choices=NAMES, default=list(NAMES))
    options = parser.parse_args()
    worms = load_recordings(options.data)
    path = Path(path_of(NAMES[0])).with_name("cards.json")
    cards = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for name in options.names:
        cards[name] = make(name, worms)
        ordered = {key: cards[key] for key in NAMES if key in cards}
        path.write_text(json.dumps(ordered, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
