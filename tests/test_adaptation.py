"""Fitted networks and a new worm."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from skworm import GNNStateClassifier, InferredGraph, MLPStateClassifier, VirtualWorms
from skworm.estimators.adaptation import adapt
from skworm.frames import make_frames
from skworm.recording import Recording

FEW = {"max_epochs": 80, "learning_rate": 0.02, "device": "cpu", "random_state": 0}


def worm_of(name, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    states = np.repeat(rng.permutation(np.tile(["forward", "reverse_1", "dorsal_turn"], 20)), 8)
    centres = {"forward": (0, 0, 1), "reverse_1": (1, 0, 0), "dorsal_turn": (0, 1, 0)}
    traces = np.array([centres[state] for state in states]) + 0.25 * rng.normal(size=(len(states), 3)) + shift
    return Recording(name, traces, ["AVAL", "RID", "VB02"], fps=3.0, states=states)


def frames_of(*worms):
    return make_frames(worms, states="4", node_features=["trace"], fit_scope="train")


@pytest.fixture(scope="module")
def training():
    return frames_of(worm_of("a", 0), worm_of("b", 1))


@pytest.fixture(scope="module")
def mlp(training):
    return MLPStateClassifier(augmentation=VirtualWorms(), **FEW).fit(*training)


@pytest.fixture(scope="module")
def new():
    return frames_of(worm_of("new", 2, shift=np.array([0.6, -0.3, 0.3])))


def test_frames_alone_align_a_worm_whose_level_is_another(mlp, new):
    X, y = new
    before = mlp.predict_proba(X)
    adapted = adapt(mlp, X)
    assert type(adapted) is MLPStateClassifier
    assert adapted.score(X, y) > mlp.score(X, y) + 0.03
    np.testing.assert_array_equal(mlp.predict_proba(X), before)


def test_known_states_move_the_last_layer_alone(mlp, new):
    X, y = new
    some = y.where(np.arange(len(y)) < 90, "unknown")
    adapted = adapt(mlp, X, some, align=0, freedom=1.0)
    later = slice(90, None)
    assert adapted.score(X[later], y[later]) > mlp.score(X[later], y[later])
    changed = {
        name
        for name, value in adapted.net_.module_.state_dict().items()
        if not np.array_equal(value, mlp.net_.module_.state_dict()[name])
    }
    assert changed == {"readout.output.weight", "readout.output.bias"}


def test_what_labelled_frames_do_not_show_stays(mlp, new):
    X, y = new
    shown = y.where(y.isin(["forward", "reverse"]), "unknown")
    adapted = adapt(mlp, X, shown, align=0, freedom=1.0)
    unseen = list(mlp.classes_).index("dorsal_turn")
    for name in ("weight", "bias"):
        old, own = (getattr(model.net_.module_.readout.output, name)[unseen].detach() for model in (mlp, adapted))
        np.testing.assert_allclose(own, old)
    one = adapt(mlp, X, y.where(y == "forward", "unknown"), align=0)
    np.testing.assert_array_equal(one.predict_proba(X), mlp.predict_proba(X))


def test_nothing_changes_where_nothing_may(mlp, new):
    adapted = adapt(mlp, *new, align=0, freedom=0)
    np.testing.assert_array_equal(adapted.predict_proba(new[0]), mlp.predict_proba(new[0]))


@pytest.mark.parametrize("per", ["worm", "frame"])
def test_graph_networks_are_adapted(training, new, per):
    model = GNNStateClassifier(graph=InferredGraph(per=per), **{**FEW, "max_epochs": 20}).fit(*training)
    X, y = new
    adapted = adapt(model, X, y, freedom=1.0)
    assert adapted.score(X, y) > model.score(X, y)
    pd.testing.assert_frame_equal(adapted.graph_, model.graph_)


def test_what_cannot_be_adapted_is_refused(training, mlp, new):
    X, y = new
    with pytest.raises(TypeError, match="LogisticRegression is not an MLPStateClassifier"):
        adapt(LogisticRegression().fit(X, y), X)
    with pytest.raises(ValueError, match="nothing to adapt"):
        adapt(MLPStateClassifier(augmentation=None, **FEW).fit(*training), X)
    with pytest.raises(ValueError, match=r"worms \['a', 'b'\]; adapt to one worm"):
        adapt(mlp, training[0])
    with pytest.raises(ValueError, match=r"holds \['quiescence'\], which the estimator has not learnt"):
        adapt(mlp, X, y.replace("forward", "quiescence"))
    with pytest.raises(ValueError, match="pass one state a frame"):
        adapt(mlp, X, y[:5])
    with pytest.raises(ValueError, match=r"align=2 must be a finite number from 0 to 1"):
        adapt(mlp, X, align=2)
