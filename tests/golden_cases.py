"""The results that tests/golden/ freezes, by name, each computed by public names alone.

A case is a function that returns tables by name; ``tests/test_golden.py`` compares them with the files. Where a public
name changes, this file follows, and the files stay as they are.
"""

import os
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
import pandas as pd
from click.testing import CliRunner

from skworm import (
    GAT,
    GIN,
    AsymmetricDiffusionMap,
    ConformalStateClassifier,
    GNNBehaviorRegressor,
    GNNStateClassifier,
    GNNTrajectoryRegressor,
    HiddenMarkovStateClassifier,
    InferredGraph,
    LearnedGraph,
    LinearTrajectoryRegressor,
    Messages,
    MLPBehaviorRegressor,
    MLPStateClassifier,
    MLPTrajectoryRegressor,
    NodeMLPTrajectoryRegressor,
    PersistenceRegressor,
    Readout,
    Rollout,
    StateStream,
    SVMStateClassifier,
    TemperatureScaledClassifier,
    VirtualWorms,
)
from skworm.cli import main
from skworm.datasets import load_connectome, load_recordings, make_worms, save_recordings
from skworm.frames import PAPER_NEURONS, contains_transition, make_behavior, make_frames, make_trajectories
from skworm.model_selection import FusedGridSearchCV, WormGroupKFold, cross_validate_worms
from skworm.model_selection.results import read_csv
from skworm.paper import published
from skworm.paper.models import BASELINE_LABELS, STATE_MODELS

CASES = {}
"""Functions that return DataFrames by name, by the name of the case: ``"group/case"`` where a file holds several."""

IDENTIFYING = (
    *("block", "label", "reading", "augmentation", "model", "reference", "evaluation", "fold_by", "column", "burn_in"),
    *("n_train_worms", "train_worms", "fold", "worm", "frame", "signal", "step", "state", "predicted", "pre", "post"),
    *("source", "statistic", "null", "learning_rate", "weight_decay"),
)
"""Columns that tell the rows of a table apart; all others are compared."""

NEURONS = ("AVAL", "AVBL", "RID", "RIML", "RMED", "VB02")
OLD, NEW = "simulated-0", "simulated-2"
"""A worm that all estimators are trained on, and one that none is trained on."""
SHORT = {"max_epochs": 3, "random_state": 0, "device": "cpu"}
# At their own rate three epochs hardly move a network, so most settings would hardly show.
FAST = {**SHORT, "learning_rate": 0.03}
SMALL = {**FAST, "n_hidden": 16}
PLAIN = {"augmentation": None}
MLP_SHORT, MLP_FAST = ({**PLAIN, "weight_decay": 0.0, "learning_rate": 0.001, **own} for own in (SHORT, FAST))
GNN_SHORT, GNN_FAST = ({**PLAIN, "learning_rate": 0.001, **own} for own in (SHORT, FAST))


@cache
def worms():
    return make_worms(3, n_frames=250, neurons=NEURONS, n_unidentified=2, random_state=7)


@cache
def states(derivative="central", context=(0,)):
    """Frames and states."""
    return make_frames(
        worms(), neurons=NEURONS, states="4", derivative=derivative, context=context, percentiles=(0, 100)
    )


@cache
def states_with_missing_neurons():
    fewer = make_worms(3, n_frames=250, neurons=NEURONS, identification_rate=0.7, random_state=7)
    return make_frames(fewer, neurons="union", states="4", derivative="central", percentiles=(0, 100), missing="nan")


@cache
def velocities(n_signals=1):
    """Frames and velocities, or the velocity and its square."""
    X, _ = make_frames(worms(), neurons=NEURONS, states=None, derivative="central", percentiles=(0, 100))
    velocity = make_behavior(worms(), X)
    return X, velocity if n_signals == 1 else pd.DataFrame({"velocity": velocity, "square": 10 * velocity**2})


@cache
def trajectories(burn_in=1):
    """Observed frames, and those after them."""
    frames, _ = make_frames(worms(), neurons=NEURONS, states=None, derivative="backward")
    return make_trajectories(frames, burn_in=burn_in, horizon=10)


@cache
def real_worms():
    """Two worms of Kato et al. 2015."""
    folder = Path(os.environ["SKWORM_DATA"], "kato2015")
    return [worm for worm in load_recordings(folder) if worm.worm in ("worm_0", "worm_1")]


@cache
def real_states():
    X, y = make_frames(real_worms(), neurons=PAPER_NEURONS[::2], states="4", derivative="central", percentiles=(0, 100))
    early = X.index.get_level_values("frame") < 1000
    return X[early], y[early]


@cache
def real_trajectories():
    frames, _ = make_frames(real_worms(), neurons=PAPER_NEURONS[::2], states=None, derivative="backward")
    return make_trajectories(frames[frames.index.get_level_values("frame") < 1000], horizon=10, burn_in=1)


def of_worms(table, *names):
    return table[table.index.get_level_values("worm").isin(names)]


def some_rows(worm, n_rows=5):
    """Give every so many rows of one worm."""
    return worm.iloc[np.linspace(0, len(worm) - 1, n_rows).astype(int)]


def predictions(model, X, *, old=OLD, new=NEW):
    """Predict two worms, each by itself, and give some of the rows."""
    parts = []
    for worm in (old, new):
        rows = of_worms(X, worm)
        predicted = predict(model, rows)
        parts.append(some_rows(predicted, 4 if hasattr(model, "horizon_") else 5))
    return pd.concat(parts).reset_index()


def predict(model, rows):
    """Predict probabilities or distances by state, signals, or some columns of two steps of trajectories."""
    if hasattr(model, "predict_proba"):
        return pd.DataFrame(model.predict_proba(rows), columns=model.classes_, index=rows.index)
    if hasattr(model, "decision_function"):
        distances = pd.DataFrame(model.decision_function(rows), columns=model.classes_, index=rows.index)
        return distances.assign(prediction=model.predict(rows))
    predicted = pd.DataFrame(model.predict(rows), index=rows.index)
    if hasattr(model, "horizon_"):
        n = model.n_columns_
        predicted = predicted.iloc[:, [0, 1, n - 2, 7 * n + 1, 10 * n - 2, 10 * n - 1]]
    return predicted.add_prefix("output ")


def graph_of(model):
    return {"graph": model.graph_.reset_index()} if hasattr(model, "graph_") else {}


def fitted(make, data):
    """Fit to all worms but the one that is new, and predict."""
    X, y = data()
    model = make().fit(*(table[table.index.get_level_values("worm") != NEW] for table in (X, y)))
    return {"predictions": predictions(model, X), **graph_of(model)}


def fitted_to_real(make, data):
    """Fit to one real worm, and predict two."""
    X, y = data()
    model = make().fit(of_worms(X, "worm_0"), of_worms(y, "worm_0"))
    return {"predictions": predictions(model, X, old="worm_0", new="worm_1"), **graph_of(model)}


def freeze(group, data, models, run=fitted):
    for name, make in models.items():
        CASES[f"{group}/{name}"] = partial(run, make, data)


def given_graph():
    weights = np.random.RandomState(0).random_sample((len(NEURONS), len(NEURONS)))
    return pd.DataFrame(weights, index=NEURONS, columns=NEURONS)


# What graphs and messages may be, for every task; the parameters of `GNNStateClassifier` by name.
GRAPHS = {
    "static": {"graph": InferredGraph(per="worm")},
    "dynamic": {"graph": InferredGraph(per="frame")},
    "free": {"graph": "learned"},
    "given": {"graph": given_graph()},
    "connectome": {"graph": load_connectome(neurons=NEURONS)},
    "warm-edges": {"graph": InferredGraph(temperature=4.0)},
    "cold-free-edges": {"graph": LearnedGraph(temperature=0.1)},
    "summed-edges": {"graph": InferredGraph(aggregation="sum")},
    "no-embedding": {"graph": InferredGraph(embedding=0)},
    "encoder-batch-norm": {"graph": InferredGraph(batch_norm=True)},
    "no-self-edges": {"messages": Messages(self_edges=False)},
    "row-normalized": {"messages": Messages(normalization="row")},
    "not-normalized": {"messages": Messages(normalization=None)},
    "no-residual": {"messages": Messages(residual=False)},
    "two-message-steps": {"messages": Messages(n_steps=2)},
    "gin0": {"messages": GIN(learn_epsilon=False)},
    "gin": {"messages": "gin"},
    "sage": {"messages": "sage"},
    "gat": {"messages": "gat"},
    "gat-heads": {"messages": GAT(n_heads=2)},
    "gat-given": {"messages": "gat", "graph": given_graph() > 0.5},
    "gatv2": {"messages": "gatv2"},
    "attention-convolution": {"messages": "attention"},
}
ROLLED_OUT = {
    name: GRAPHS[name]
    for name in (
        *("static", "dynamic", "free", "given", "no-embedding", "no-self-edges", "row-normalized", "not-normalized"),
        *("no-residual", "two-message-steps", "gin", "gat", "gatv2"),
    )
}
AVERAGES = {
    f"average-{name.replace('_', '-')}": {"graph": InferredGraph(per="worm", average=name)}
    for name in ("hidden_neurons", "hidden_edges", "edge_weights")
}
READOUTS = {
    "sum": {"readout": "sum"},
    "two-layers": {"readout": Readout(n_layers=2)},
    "batch-norm": {"readout": Readout(batch_norm="output")},
    "batch-norm-before": {"readout": Readout(batch_norm="before_activation")},
    "virtual-worms": {"augmentation": VirtualWorms()},
    "no-validation": {"validation_fraction": 0},
    "weight-decay": {"weight_decay": 0.3},
}
ROLLOUTS = {
    "population": {"center": "population"},
    "nonlinear": {"linear": False},
    "short-horizon": {"rollout": Rollout(train_horizon=3)},
    "first-frame": {"rollout": Rollout(random_start=False)},
    "sampling-epochs": {"rollout": Rollout(scheduled_sampling_end=3)},
    "sampling-share": {"rollout": Rollout(scheduled_sampling_end=2.7)},
    "tight-clip": {"rollout": Rollout(clip_margin=0.0)},
    "no-clip": {"rollout": Rollout(clip_margin=None)},
    "not-augmented": {"augmentation": None},
    "virtual-worms": {"augmentation": VirtualWorms(gain=0.2, offset=0.1, n_groups=3)},
    "two-layers": {"readout": Readout(n_layers=2)},
    "batch-norm": {"readout": Readout(batch_norm="output")},
    "lstm": {"memory": "lstm"},
}


def variants(cls, *groups, shared):
    return {name: partial(cls, **{**shared, **parameters}) for group in groups for name, parameters in group.items()}


def svm(**parameters):
    return SVMStateClassifier(device="cpu", **parameters)


def mlp(**parameters):
    return MLPStateClassifier(**{**MLP_FAST, **parameters})


freeze(
    "state-svm",
    states,
    {
        "default": svm,
        "linear": partial(svm, kernel="linear", C=0.5),
        "poly": partial(svm, kernel="poly", gamma=0.2),
        "sigmoid": partial(svm, kernel="sigmoid", gamma="auto"),
        "balanced": partial(svm, class_weight="balanced"),
    },
)
freeze(
    "state-mlp",
    states,
    {
        "default": partial(MLPStateClassifier, **MLP_SHORT),
        "published": partial(published, "mlp", **SHORT),
        "published-virtual-worms": partial(published, "mlp", augmentation=VirtualWorms(), **SHORT),
        "fast": mlp,
        **variants(MLPStateClassifier, READOUTS, shared=MLP_FAST),
        "mixing": partial(mlp, augmentation=VirtualWorms(gain=0.1, offset=0.0, n_groups=3, mixing=0.2)),
        "dropout": partial(mlp, augmentation=VirtualWorms(neuron_dropout=0.3)),
    },
)
freeze(
    "state-gnn",
    states,
    {
        "default": partial(GNNStateClassifier, **GNN_SHORT),
        "published": partial(published, "gnn", **SHORT),
        **variants(GNNStateClassifier, GRAPHS, AVERAGES, READOUTS, shared=GNN_FAST),
        "dropout": partial(
            GNNStateClassifier,
            **{**GNN_FAST, "augmentation": VirtualWorms(neuron_dropout=0.3, mixing=0.1)},
            graph=InferredGraph(per="frame"),
        ),
    },
)
freeze(
    "state-missing-neurons",
    states_with_missing_neurons,
    {
        "svm": svm,
        "mlp": mlp,
        "mlp-sum": partial(mlp, readout="sum"),
        **variants(
            GNNStateClassifier,
            {name: GRAPHS[name] for name in ("static", "dynamic", "free", "gat", "sage")},
            {"sum": READOUTS["sum"]},
            shared=GNN_FAST,
        ),
    },
)
freeze(
    "state-context",
    partial(states, context=(-6, -3, 0, 3)),
    {
        "mlp": mlp,
        "mlp-virtual-worms": partial(mlp, augmentation=VirtualWorms()),
        "gnn": partial(GNNStateClassifier, **GNN_FAST),
    },
)
freeze(
    "state",
    states,
    {
        "temperature-mlp": lambda: TemperatureScaledClassifier(mlp()),
        "temperature-svm": lambda: TemperatureScaledClassifier(svm(), cv=2),
        "hidden-markov-viterbi": lambda: HiddenMarkovStateClassifier(mlp()),
        "hidden-markov-smoothing": lambda: HiddenMarkovStateClassifier(mlp(), decoding="smoothing"),
        "hidden-markov-filtering": lambda: HiddenMarkovStateClassifier(
            mlp(), decoding="filtering", emission_weight=0.5, pseudo_count=0.1
        ),
    },
)
freeze(
    "behavior-mlp",
    velocities,
    {
        "default": partial(MLPBehaviorRegressor, **MLP_SHORT),
        "huber": partial(MLPBehaviorRegressor, loss="huber", **MLP_FAST),
        **variants(MLPBehaviorRegressor, READOUTS, shared=MLP_FAST),
    },
)
freeze(
    "behavior-gnn",
    velocities,
    {
        "default": partial(GNNBehaviorRegressor, **GNN_SHORT),
        **variants(
            GNNBehaviorRegressor,
            {name: GRAPHS[name] for name in ("static", "dynamic", "free", "given", "row-normalized", "gatv2")},
            {name: READOUTS[name] for name in ("sum", "virtual-worms")},
            shared=GNN_FAST,
        ),
    },
)
freeze("behavior", partial(velocities, 2), {"two-signals": partial(MLPBehaviorRegressor, **MLP_FAST)})
freeze(
    "trajectory",
    trajectories,
    {
        "persistence": PersistenceRegressor,
        "linear": LinearTrajectoryRegressor,
        "linear-direct": partial(LinearTrajectoryRegressor, strategy="direct", alpha=0.1),
        "linear-population": partial(LinearTrajectoryRegressor, center="population"),
        "mlp-default": partial(MLPTrajectoryRegressor, **SHORT),
        "mlp-published": partial(published, "mlp", "trajectories", **SHORT),
        **{f"mlp-{name}": make for name, make in variants(MLPTrajectoryRegressor, ROLLOUTS, shared=SMALL).items()},
        "node-mlp-default": partial(NodeMLPTrajectoryRegressor, **SHORT),
        "node-mlp-published": partial(published, "node-mlp", "trajectories", **SHORT),
        "node-mlp-lstm": partial(NodeMLPTrajectoryRegressor, memory="lstm", **SMALL),
        "gnn-default": partial(GNNTrajectoryRegressor, **SHORT),
        "gnn-published": partial(published, "gnn", "trajectories", **SHORT),
        **{f"gnn-{name}": make for name, make in variants(GNNTrajectoryRegressor, ROLLED_OUT, shared=SMALL).items()},
        "gnn-virtual-worms": partial(
            GNNTrajectoryRegressor, graph=InferredGraph(per="worm"), augmentation=VirtualWorms(), **SMALL
        ),
        "gnn-lstm": partial(GNNTrajectoryRegressor, memory="lstm", **SMALL),
    },
)
freeze(
    "trajectory-burn-in",
    partial(trajectories, 4),
    {
        "persistence": PersistenceRegressor,
        "linear": LinearTrajectoryRegressor,
        "mlp": partial(MLPTrajectoryRegressor, **SMALL),
        "mlp-lstm": partial(MLPTrajectoryRegressor, memory="lstm", **SMALL),
        "node-mlp": partial(NodeMLPTrajectoryRegressor, **SMALL),
        "node-mlp-lstm": partial(NodeMLPTrajectoryRegressor, memory="lstm", **SMALL),
        "gnn": partial(GNNTrajectoryRegressor, **SMALL),
        "gnn-gated": partial(GNNTrajectoryRegressor, memory="gated", **SMALL),
    },
)
freeze(
    "real-state",
    real_states,
    {
        "svm": svm,
        "mlp-default": partial(MLPStateClassifier, **MLP_SHORT),
        "mlp-published": partial(published, "mlp", **SHORT),
        "mlp-virtual-worms": partial(mlp, augmentation=VirtualWorms()),
        "gnn-default": partial(GNNStateClassifier, **GNN_SHORT),
        "gnn-published": partial(published, "gnn", **SHORT),
        "gnn-dynamic": partial(GNNStateClassifier, graph=InferredGraph(per="frame"), **GNN_FAST),
        "gnn-virtual-worms": partial(GNNStateClassifier, **{**GNN_FAST, "augmentation": VirtualWorms()}),
    },
    fitted_to_real,
)
freeze(
    "real-trajectory",
    real_trajectories,
    {
        "linear": LinearTrajectoryRegressor,
        "mlp-default": partial(MLPTrajectoryRegressor, **SHORT),
        "mlp-published": partial(published, "mlp", "trajectories", **SHORT),
        "node-mlp-default": partial(NodeMLPTrajectoryRegressor, **SHORT),
        "gnn-default": partial(GNNTrajectoryRegressor, **SHORT),
        "gnn-published": partial(published, "gnn", "trajectories", graph__n_hidden=32, **SHORT),
    },
    fitted_to_real,
)


def case(function):
    CASES[function.__name__.replace("_", "-")] = function
    return function


def trained_on(data=states):
    """Give frames and states of the worms that are trained on, and frames and states of the new one."""
    X, y = data()
    old = X.index.get_level_values("worm") != NEW
    return X[old], y[old], X[~old], y[~old]


@case
def frames():
    """The frames that everything is fitted to."""
    central, _ = states()
    backward, _ = make_frames(worms(), neurons=NEURONS, states=None, derivative="backward")
    smooth, _ = make_frames(worms(), neurons=NEURONS[:2], states=None, derivative="smooth", context=(-3, 0))
    tables = {"central": central, "backward": backward, "smooth": smooth}
    return {name: some_rows(of_worms(table, NEW)).reset_index() for name, table in tables.items()}


@case
def state_arrays():
    """Plain arrays name no worm, and tables without an index none either."""
    X, y, new, _ = trained_on()
    tables = {}
    gnn = GNNStateClassifier(**{**GNN_FAST, "augmentation": VirtualWorms()})
    for name, model, columns in (("mlp", mlp(), None), ("gnn", gnn, X.columns)):
        own, other = (table.to_numpy() if columns is None else table.reset_index(drop=True) for table in (X, new))
        model.fit(own, y.to_numpy())
        predicted = pd.DataFrame(model.predict_proba(other), columns=model.classes_, index=new.index)
        tables[name] = some_rows(predicted).reset_index()
    return tables


@case
def state_conformal():
    X, y, new, _ = trained_on()
    tables = {}
    for name, model in (
        ("mlp", ConformalStateClassifier(mlp())),
        ("svm", ConformalStateClassifier(svm(), coverage=0.6, across_worms="max")),
    ):
        model.fit(X, y)
        sets = some_rows(model.predict_set(new).astype(int), 12)
        thresholds = model.worm_thresholds_.rename("threshold").reset_index()
        everywhere = pd.DataFrame({"worm": ["all"], "threshold": [model.threshold_]})
        tables |= {f"{name}-sets": sets.reset_index(), f"{name}-thresholds": pd.concat([thresholds, everywhere])}
    return tables


@case
def state_stream():
    """Frames one by one, by a network alone and by one that is filtered."""
    X, y, _, _ = trained_on(partial(states, derivative="backward", context=(-3, 0)))
    new = worms()[2]
    filtering = HiddenMarkovStateClassifier(mlp(), decoding="filtering")
    tables = {}
    for name, model in (("mlp", mlp().fit(X, y)), ("filtered", filtering.fit(X, y))):
        stream = StateStream(model, fps=new.fps, neurons=new.neurons)
        pushed = [stream.push(frame) for frame in new.traces[:60]]
        frame = pd.RangeIndex(60, name="frame")
        tables[name] = pd.DataFrame(pushed, columns=stream.classes_, index=frame).iloc[3::6].reset_index()
    return tables


@case
def state_grid_search():
    X, y = states()
    grid = {"learning_rate": [0.003, 0.03], "weight_decay": [0.0, 0.1]}
    cv = WormGroupKFold(n_splits=2, random_state=0)
    search = FusedGridSearchCV(MLPStateClassifier(**MLP_SHORT), grid, cv=cv)
    search.fit(X, y, groups=X.index.get_level_values("worm"))
    results = pd.DataFrame(search.cv_results_).filter(regex="^param_|_test_score$")
    return {"results": results.rename(columns=lambda name: name.removeprefix("param_"))}


@case
def manifold():
    X, _, new, _ = trained_on()
    tables = {}
    for name, model in (
        ("default", AsymmetricDiffusionMap()),
        ("long", AsymmetricDiffusionMap(n_components=4, n_delays=4, delay=3, min_separation=1, diffusion_time=5)),
    ):
        embedding = pd.DataFrame(model.fit_transform(X), index=X.index)
        placed = pd.DataFrame(model.transform(new), index=new.index)
        both = pd.concat([some_rows(embedding), some_rows(placed)])
        tables[name] = both.add_prefix("coordinate ").reset_index()
    return tables


@cache
def other_lab():
    return make_worms(2, n_frames=250, neurons=NEURONS, n_unidentified=2, lab=1, worm_prefix="other", random_state=7)


QUIETLY = {"n_jobs": 1, "verbose": 0}
LABELS = {name: model.label for name, model in STATE_MODELS.items()}


@case
def splits():
    """Which frames are trained on, held out and unseen: how many, and the sum of their numbers."""
    X, y = states()
    tables = {}
    for name, cv in (
        ("shuffled", WormGroupKFold(3, n_train_worms=2, random_state=0)),
        ("blocks", WormGroupKFold(2, fold_by="contiguous_blocks", window=10, gap=12)),
    ):
        rows = []
        for split in cv.split_worms(X, y, X.index.get_level_values("worm")):
            counted = {part: getattr(split, part) for part in ("train", "held_out", "unseen")}
            sums = {f"{part}_{what.__name__}": what(chosen) for part, chosen in counted.items() for what in (len, sum)}
            rows.append({"train_worms": split.train_worms, "fold": split.fold, **sums})
        tables[name] = pd.DataFrame(rows)
    return tables


def as_frozen_comparison(table):
    """Name the metric, and how p was corrected, as the tables did that were frozen."""
    return table.rename(columns={"metric": "score"}).assign(correction="holm")


@case
def cross_validation_of_states():
    X, y = states()
    external = {
        "other": make_frames(other_lab(), neurons=NEURONS, states="4", derivative="central", percentiles=(0, 100))
    }
    models = {"svm": svm(), "mlp": mlp(), "gnn": GNNStateClassifier(graph=InferredGraph(per="frame"), **GNN_FAST)}
    cv = WormGroupKFold(2, n_train_worms=2, random_state=0)
    scores = cross_validate_worms(models, X, y, cv=cv, external=external, **QUIETLY)
    compared = scores.compare("svm", n_resamples=200)
    networks = {"mlp": mlp(augmentation=VirtualWorms()), "gnn": GNNStateClassifier(**GNN_FAST)}
    blocks = WormGroupKFold(2, fold_by="contiguous_blocks", gap=8)
    with patch("skworm.model_selection.cross_validation.fits_at_a_time", lambda model, n_fits, n_processes: n_fits):
        together = cross_validate_worms(networks, X, y, cv=blocks, baselines=False, **QUIETLY)
    return {
        "scores": scores.table.drop(columns="fit_seconds"),
        "summary": scores.summary(n_resamples=200),
        "comparison": as_frozen_comparison(compared),
        "fused": together.table.drop(columns="fit_seconds"),
    }


@case
def cross_validation_of_behavior():
    X, y = velocities(2)
    frames, _ = make_frames(other_lab(), neurons=NEURONS, states=None, derivative="central", percentiles=(0, 100))
    velocity = make_behavior(other_lab(), frames)
    external = {"other": (frames, pd.DataFrame({"velocity": velocity, "square": 10 * velocity**2}))}
    cv = WormGroupKFold(2, fold_by="contiguous_blocks", gap=8)
    models = {"mlp": MLPBehaviorRegressor(**MLP_FAST), "gnn": GNNBehaviorRegressor(**GNN_FAST)}
    scores = cross_validate_worms(models, X, y, cv=cv, external=external, **QUIETLY)
    compared = scores.where(signal="velocity").compare("linear", metric="rmse", n_resamples=200)
    return {
        "scores": scores.table.drop(columns="fit_seconds"),
        "summary": scores.summary(n_resamples=200),
        "comparison": as_frozen_comparison(compared),
    }


@case
def cross_validation_of_trajectories():
    X, Y = trajectories()
    frames, _ = make_frames(other_lab(), neurons=NEURONS, states=None, derivative="backward")
    external = {"other": make_trajectories(frames, horizon=10, burn_in=1)}
    _, known = make_frames([*worms(), *other_lab()], neurons=NEURONS, states="4", unknown="keep")
    futures = pd.concat([Y, external["other"][1]])
    cv = WormGroupKFold(2, fold_by="contiguous_blocks", gap=11)
    models = {"linear": LinearTrajectoryRegressor(), "mlp": MLPTrajectoryRegressor(**SMALL)}
    scores = cross_validate_worms(
        *(models, X, Y),
        cv=cv,
        external=external,
        transition=contains_transition(known, futures),
        baselines=False,
        **QUIETLY,
    ).where(step=[1, 10])
    summary = scores.summary(n_resamples=200).rename(columns=lambda name: name.removesuffix("_mean"))
    compared = scores.where(step=10).compare("linear", n_resamples=200)
    return {
        "scores": scores.table.drop(columns="fit_seconds"),
        "summary": summary,
        "comparison": as_frozen_comparison(compared),
    }


def write_nothing(figure, file, *arguments, **options):
    """Stand in for `Figure.savefig`, which would take most of the time."""
    if hasattr(file, "write"):
        file.write(b"")
    else:
        Path(file).write_bytes(b"")


FIVE_NEURONS = ("AIBR", "AVAL", "AVAR", "RID", "VB02")
THREE_NEURONS = ("AIBR", "AVAL", "VB02")


def reproduce(target, *options, n_worms=3, neurons=FIVE_NEURONS):
    """Run a target on simulated worms for two epochs, and read the tables that it writes."""
    with TemporaryDirectory() as name, patch("matplotlib.figure.Figure.savefig", write_nothing):
        recordings, out = Path(name), Path(name, "out")
        shared = {"n_frames": 250, "n_unidentified": 2, "random_state": 7}
        save_recordings(make_worms(n_worms, neurons=neurons, worm_prefix="worm", **shared), recordings / "worms")
        for folder, identified in (("other", neurons), ("fewer", THREE_NEURONS)):
            others = make_worms(2, neurons=identified, lab=1, worm_prefix=folder, **shared)
            save_recordings(others, recordings / folder)
        words = [str(recordings / option) if option in ("other", "fewer") else option for option in options]
        few = ["--epochs", "2", "--n-jobs", "1", "--quiet", "--out", str(out)]
        result = CliRunner().invoke(main, ["reproduce", target, "--data", str(recordings / "worms"), *few, *words])
        assert result.exit_code == 0, result.output
        return {path.stem: as_frozen(read_csv(path)) for path in out.glob("*.csv")}


IN_PER_CENT = ("difference", "difference_low", "difference_high")


def as_frozen(table):
    """Name models, and write shares in per cent, as the tables did that were frozen."""
    if "label" in table:
        table["label"] = table["label"].fillna(table["model"].map(BASELINE_LABELS))
        labels = dict(zip(table["model"], table["label"], strict=True))
        for column in ("label", "against"):
            if column in table and table[column].notna().any():
                table[column] = table[column].map(lambda name: labels.get(name, name), na_action="ignore")
                table[column] = table[column].str.replace("GNN (connectome)", "GNN, connectome", regex=False)
    if "accuracy_mean" in table:
        ends = {"mean": "mean", "std": "std", "low": "mean_low", "high": "mean_high"}
        names = {f"accuracy_{end}": name for end, name in ends.items()}
        per_cent = [*names, *(name for name in IN_PER_CENT if name in table)]
        table[per_cent] = 100 * table[per_cent].astype(float)
        table = table.rename(columns=names)
    return table


ON_FIVE_NEURONS = ("--neurons", ",".join(FIVE_NEURONS))
ON_THREE_NEURONS = ("--neurons", ",".join(THREE_NEURONS))
TABLE = [
    *("block", "label", "column", "fold_by", "model", "evaluation", "n_neurons", "n_parameters", "n_worms", "n_fits"),
    *("mean", "std", "mean_low", "mean_high", "against", "difference", "difference_low", "difference_high", "wins"),
    *("p_sign_flip", "p_adjusted", "smallest_p", "paper_mean", "paper_std", "temperature"),
]


def by_worm(scores, score, *keys):
    """Give one score of each fit, a column a scored worm."""
    return scores.pivot(index=[*keys, "train_worms", "fold"], columns="worm", values=score).reset_index()


def study(target, *options, by=("block", "label"), also=(), n_worms=3):
    """Freeze the accuracy of each fit, the table of a target, and other tables of it."""
    written = reproduce(target, *ON_FIVE_NEURONS, *options, n_worms=n_worms)
    table = written["table"]
    if "label" in by:
        table = table.drop(columns=["model", "fold_by"])
    else:
        held_out = "same worm, " + table["fold_by"].str.replace("_", " ")
        others = table["evaluation"].replace({"unseen_worms": "unseen worms", "other": "external: other"})
        column = held_out.where(table["evaluation"] == "held_out_windows", others)
        table = table.assign(column=column).drop(columns=["block", "n_neurons", "n_parameters"])
        table["label"] = table["label"].replace("GNN, connectome", "GNN (connectome)")
    return {
        "scores": by_worm(written["scores"], "accuracy", *by),
        "table": table.reindex(columns=TABLE).dropna(axis=1, how="all"),
        **{name: written[name] for name in also},
    }


TWO_STATES = ("--states", "2", "--folds", "1")
SEVEN_STATES = ("--states", "7", "--folds", "1")
CASES |= {
    "table1": partial(
        *(study, "table1", "--folds", "2", "--models", "diffusion-map,svm,mlp,gnn-connectome,gnn"),
        by=("model", "fold_by"),
        n_worms=2,
    ),
    "table1-external": partial(
        *(study, "table1", "--states", "7", "--folds", "2", "--fold-by", "contiguous_blocks", "--external", "other"),
        *("--models", "svm,mlp-published,gnn-published,gnn-dynamic,gnn-free,mlp-plain,gnn-plain"),
        by=("model",),
        n_worms=2,
    ),
    "figure4a": partial(study, "figure4a", "--states", "4", "--folds", "1"),
    "without-ava": partial(study, "without-ava", *TWO_STATES, n_worms=2),
    "one-hot-edges": partial(study, "one-hot-edges", *SEVEN_STATES, n_worms=2),
    "three-neurons": partial(study, "three-neurons", *TWO_STATES, "--external", "fewer", n_worms=2),
    "edges-vs-connectome": partial(study, "edges-vs-connectome", also=("similarity", "graphs"), n_worms=2),
    "modules": partial(study, "modules", *SEVEN_STATES, n_worms=2),
    "graph-ablation": partial(study, "graph-ablation", *TWO_STATES, n_worms=2),
}


@case
def figure4b():
    written = reproduce("figure4b", *ON_FIVE_NEURONS, "--states", "4", "--folds", "1", "--external", "other")
    keys = ["model", "train_worms", "fold", "worm", "state"]
    tables = [written[name].replace({"model": LABELS}) for name in ("confusion", "confusion_table")]
    counts = tables[0].pivot(index=keys, columns="predicted", values="n_frames").reset_index()
    return {"counts": counts, "table": tables[1]}


def forecasts(*options, n_worms=3):
    """Freeze the errors of each fit at two steps, and the table of another step."""
    written = reproduce("figure4cd", *ON_THREE_NEURONS, "--train-worms", "1", *options, n_worms=n_worms)
    scores, table = (
        written["scores"],
        written["table"].rename(columns={"mse_mean": "mse", "mse_transition_mean": "mse_transition"}),
    )
    values = ["n_worms", "n_fits", "mse", "mse_std", "mse_low", "mse_high", "mse_transition", "skill", "skill_worst"]
    keys = ["evaluation", "n_train_worms", "burn_in", "model", "step"]
    return {
        "scores": by_worm(scores[scores["step"].isin([1, 16])], "mse", "model", "burn_in", "step"),
        "table": table.loc[table["step"] == 8, [*keys, *values, "skill_low", "skill_high"]],
    }


NETWORKS = "mlp,node-mlp,gnn,gnn-static,mlp-plain,mlp-uncentred,mlp-lags,mlp-lstm,node-mlp-lstm,gnn-gated"
CASES |= {
    "figure4cd": partial(forecasts, "--models", "mlp", "--external", "other"),
    "figure4cd-models": partial(forecasts, "--models", NETWORKS, n_worms=2),
}


@case
def sensitivity():
    scores = reproduce("sensitivity", *SEVEN_STATES)["scores"]
    return {"scores": by_worm(scores[~scores["model"].isin(["clock", "majority"])], "accuracy", "model")}
