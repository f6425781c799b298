import os
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, LeaveOneGroupOut
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

import skworm
from skworm import GAT, InferredGraph, Rollout, VirtualWorms
from skworm.datasets import make_worms
from skworm.estimators.prediction import decode_states
from skworm.frames import WormMinMaxScaler, make_frames, make_trajectories
from skworm.paper import published
from skworm.persistence import MODELS, describe

NEURONS = ("AVAL", "RID", "VB02")
FEW = {"max_epochs": 2, "random_state": 0}
GRAPH = pd.DataFrame(np.eye(3)[::-1], index=NEURONS, columns=NEURONS)


def worms(n_worms=2, seed=0, **others):
    return make_worms(n_worms, 160, neurons=NEURONS, n_unidentified=0, random_state=seed, **others)


@pytest.fixture(scope="module")
def frames():
    X, y = make_frames(worms(), states="4")
    return X, y, make_frames(worms(1, seed=1, worm_prefix="new"), states=None)[0]


@pytest.fixture(scope="module")
def trajectories():
    tables = [
        make_trajectories(make_frames(recordings, states=None, derivative="backward")[0], burn_in=2, horizon=8)
        for recordings in (worms(), worms(1, seed=1, worm_prefix="new"))
    ]
    return tables[0][0], tables[0][1], tables[1][0]


CLASSIFIERS = {
    "svm": skworm.SVMStateClassifier(C=2.0, class_weight="balanced"),
    "mlp": skworm.MLPStateClassifier(**FEW, augmentation=VirtualWorms(gain=0.1)),
    "mlp-published": published("mlp", **FEW),
    "gnn": skworm.GNNStateClassifier(**FEW),
    "gnn-published": published("gnn", **FEW),
    "gnn-dynamic": skworm.GNNStateClassifier(**FEW, graph=InferredGraph(per="frame")),
    "gnn-free": skworm.GNNStateClassifier(**FEW, graph="learned"),
    "gnn-given": skworm.GNNStateClassifier(**FEW, graph=GRAPH, device="cpu"),
    "gnn-gat": skworm.GNNStateClassifier(**FEW, messages=GAT(n_heads=2)),
    "gnn-sage": skworm.GNNStateClassifier(**FEW, messages="sage", graph=GRAPH),
    "manifold": make_pipeline(skworm.AsymmetricDiffusionMap(n_components=4), KNeighborsClassifier(20)),
    "scaled": make_pipeline(WormMinMaxScaler(unseen="own"), "passthrough", skworm.MLPStateClassifier(**FEW)),
    "scaled-twice": make_pipeline(StandardScaler(), MinMaxScaler(), skworm.SVMStateClassifier()),
    "manifold-alone": skworm.AsymmetricDiffusionMap(),
    "scaler-alone": WormMinMaxScaler(),
}
SVM_IN_STEPS = make_pipeline(WormMinMaxScaler(unseen="own"), "passthrough", skworm.SVMStateClassifier(gamma=0.5))
NETWORK = skworm.MLPStateClassifier(**FEW, augmentation=VirtualWorms(gain=0.1))
WRAPPERS = {
    "temperature": skworm.TemperatureScaledClassifier(NETWORK, cv=GroupKFold(2)),
    "conformal": skworm.ConformalStateClassifier(SVM_IN_STEPS, coverage=0.7, across_worms="max", cv=LeaveOneGroupOut()),
    "conformal-nested": skworm.ConformalStateClassifier(
        skworm.TemperatureScaledClassifier(skworm.SVMStateClassifier(), cv=2),
        cv=skworm.WormGroupKFold(2, fold_by="contiguous_blocks", random_state=0),
    ),
    "chain": skworm.HiddenMarkovStateClassifier(skworm.SVMStateClassifier(), decoding="smoothing", pseudo_count=0.0),
    "chain-of-a-manifold": skworm.HiddenMarkovStateClassifier(CLASSIFIERS["manifold"]),
    "in-steps": make_pipeline(StandardScaler(), skworm.HiddenMarkovStateClassifier(skworm.SVMStateClassifier())),
}
BEHAVIOR = {
    "mlp": skworm.MLPBehaviorRegressor(**FEW),
    "mlp-huber": skworm.MLPBehaviorRegressor(**FEW, loss="huber"),
    "gnn": skworm.GNNBehaviorRegressor(**FEW, augmentation=VirtualWorms(n_groups=3)),
}
REGRESSORS = {
    "persistence": skworm.PersistenceRegressor(),
    "linear": skworm.LinearTrajectoryRegressor(),
    "linear-direct": skworm.LinearTrajectoryRegressor(strategy="direct", center="population"),
    "mlp": skworm.MLPTrajectoryRegressor(**FEW, n_hidden=4),
    "mlp-lstm": skworm.MLPTrajectoryRegressor(**FEW, n_hidden=4, memory="lstm", rollout=Rollout(clip_margin=None)),
    "mlp-published": published("mlp", "trajectories", **FEW, n_hidden=4),
    "node-mlp": skworm.NodeMLPTrajectoryRegressor(**FEW, n_hidden=4, memory="lstm"),
    "gnn": skworm.GNNTrajectoryRegressor(**FEW, n_hidden=4, graph=InferredGraph(per="worm")),
    "gnn-gated": skworm.GNNTrajectoryRegressor(**FEW, n_hidden=4, memory="gated"),
}


def answers(model, X):
    methods = ("predict_proba", "decision_function", "predict", "predict_set", "transform")
    return [np.asarray(getattr(model, method)(X)) for method in methods if hasattr(model, method)]


def has_libsvm(model):
    """Whether a support vector machine answers, whose kernel is summed in another order when it was loaded."""
    steps = [step for _, step in getattr(model, "steps", [])]
    inner = [*steps, *(getattr(model, name) for name in ("estimator_",) if hasattr(model, name))]
    return isinstance(model, skworm.SVMStateClassifier) or any(map(has_libsvm, inner))


def assert_same_model(loaded, model, tables):
    assert type(loaded) is type(model)
    assert str(loaded) == str(model)
    for X in tables:
        for found, expected in zip(answers(loaded, X), answers(model, X), strict=True):
            assert found.dtype == expected.dtype
            if has_libsvm(model) and found.dtype.kind == "f":
                np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
            else:
                np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_answers_as_before(name, frames, tmp_path):
    X, y, new = frames
    model = CLASSIFIERS[name].fit(X, y)
    loaded = skworm.load(skworm.save(model, tmp_path / "a.skworm"))
    assert_same_model(loaded, model, (X, new, new.reset_index(drop=True)))
    again = skworm.load(skworm.save(loaded, tmp_path / "b.skworm"))
    assert_same_model(again, model, (X,))
    before = tmp_path / ("b.skworm" if has_libsvm(model) else "a.skworm")
    assert skworm.save(again, tmp_path / "c.skworm").read_bytes() == before.read_bytes()
    assert_same_model(pickle.loads(pickle.dumps(loaded)), model, (X,))
    loaded.fit(X, y)


@pytest.mark.slow
@pytest.mark.parametrize("name", WRAPPERS)
def test_a_classifier_around_another_one_answers_as_before(name, frames, tmp_path):
    X, y, new = frames
    model = WRAPPERS[name].fit(X, y)
    loaded = skworm.load(skworm.save(model, tmp_path / "a.skworm"))
    assert_same_model(loaded, model, (X, new, new.reset_index(drop=True)))
    again = skworm.load(skworm.save(loaded, tmp_path / "b.skworm"))
    before = tmp_path / ("b.skworm" if has_libsvm(model) else "a.skworm")
    assert skworm.save(again, tmp_path / "c.skworm").read_bytes() == before.read_bytes()
    assert_same_model(again.fit(X, y), model, (new,))


def test_what_wrappers_learned_comes_back(frames, tmp_path):
    X, y, _ = frames
    model = WRAPPERS["conformal-nested"].fit(X, y)
    loaded = skworm.load(skworm.save(model, tmp_path / "a.skworm"))
    assert vars(loaded).keys() == vars(model).keys()
    pd.testing.assert_series_equal(loaded.worm_thresholds_, model.worm_thresholds_)
    assert loaded.estimator_.temperature_ == model.estimator_.temperature_
    assert not hasattr(loaded.estimator, "temperature_")
    assert vars(loaded.cv) == vars(model.cv)


def test_frames_that_a_wrapped_model_expects_are_known(frames, tmp_path):
    X, y, _ = frames
    model = skworm.HiddenMarkovStateClassifier(skworm.MLPStateClassifier(**FEW)).fit(X, y)
    path = skworm.save(model, tmp_path / "a.skworm")
    assert describe(path)["training"]["frames"] == model.estimator_.frame_settings_ != {}
    fast = worms(1, fps=6.0)
    assert len(decode_states(skworm.load(path), fast)) < 0.6 * fast[0].n_frames
    with pytest.warns(UserWarning, match=r"trained on 2\.9 frames a second, and X has 6"):
        model.predict(make_frames(fast, states=None)[0])


@pytest.mark.parametrize("name", BEHAVIOR)
def test_a_behavior_regressor_answers_as_before(name, frames, tmp_path):
    X, _, new = frames
    model = BEHAVIOR[name].fit(X, X.iloc[:, 0].rename("velocity"))
    loaded = skworm.load(skworm.save(model, tmp_path / "a.skworm"))
    assert_same_model(loaded, model, (X, new))
    assert type(loaded.net_.criterion_) is type(model.net_.criterion_)


@pytest.mark.slow
@pytest.mark.parametrize("name", REGRESSORS)
def test_a_regressor_answers_as_before(name, trajectories, tmp_path):
    X, Y, new = trajectories
    model = REGRESSORS[name].fit(X, Y)
    loaded = skworm.load(skworm.save(model, tmp_path / "a.skworm"))
    assert_same_model(loaded, model, (X, new))
    np.testing.assert_array_equal(loaded.predict(X, horizon=3), model.predict(X, horizon=3))


def test_a_model_of_plain_arrays_with_numbered_worms_answers_as_before(tmp_path):
    rng = np.random.default_rng(0)
    X, y, worm = rng.random((60, 4)), rng.integers(3, size=60), np.repeat([7, 9], 30)
    model = skworm.GNNStateClassifier(**FEW).fit(X, y, worm=worm)
    loaded = skworm.load(skworm.save(model, tmp_path / "a.skworm"))
    assert loaded.classes_.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(loaded.predict_proba(X, worm=worm), model.predict_proba(X, worm=worm))


def test_the_gpu_solver_of_the_svm_travels_to_the_cpu(frames, tmp_path, monkeypatch):
    X, y, new = frames
    monkeypatch.setattr(skworm.SVMStateClassifier, "_solver_device", lambda self: "cpu")
    model = skworm.SVMStateClassifier().fit(X, y)
    model.svc_.device = "cuda"
    loaded = skworm.load(skworm.save(model, tmp_path / "a.skworm"))
    assert loaded.svc_.device == "cuda"
    assert_same_model(loaded, model, (new,))


def test_what_fit_learned_comes_back(frames, tmp_path):
    X, y, _ = frames
    model = skworm.GNNStateClassifier(**FEW, augmentation=VirtualWorms(n_groups=3)).fit(X, y)
    loaded = skworm.load(skworm.save(model, tmp_path / "a.skworm"))
    assert vars(loaded).keys() == vars(model).keys()
    pd.testing.assert_frame_equal(loaded.graph_, model.graph_)
    assert list(loaded.graphs_) == list(model.graphs_)
    assert loaded.get_params()["augmentation__n_groups"] == 3
    assert loaded.net_.history[:, "valid_loss"] == model.net_.history[:, "valid_loss"]
    assert dict(loaded.net_.callbacks_)["best_epoch"].best_epoch_ == model.best_epoch_
    assert loaded.frame_settings_ == model.frame_settings_
    assert loaded.frame_settings_["fps"] == pytest.approx(2.9)


def test_the_file_describes_the_model_and_its_training(frames, tmp_path):
    X, y, _ = frames
    model = skworm.MLPStateClassifier(**FEW).fit(X, y)
    found = describe(skworm.save(model, tmp_path / "a.skworm", X=X, y=y, description="wild type, 20 °C"))
    assert (found["class"], found["description"]) == ("MLPStateClassifier", "wild type, 20 °C")
    assert found["training"]["worms"] == ["simulated-0", "simulated-1"]
    assert found["training"]["states"] == y.value_counts().sort_index().to_dict()
    assert found["training"]["frames"]["derivative"] == "smooth"
    assert found["versions"]["skworm"] == skworm.__version__


def test_every_estimator_at_the_top_level_can_be_saved():
    public = {getattr(skworm, name) for name in skworm.__all__ if name.endswith(("Classifier", "Regressor", "Map"))}
    assert public <= set(MODELS.values())
    models = [*CLASSIFIERS.values(), *WRAPPERS.values(), *REGRESSORS.values(), *BEHAVIOR.values()]
    assert public <= {type(model) for model in models} | {type(model[0]) for model in models if hasattr(model, "steps")}


@pytest.mark.filterwarnings("ignore:The groups parameter is ignored by KFold:UserWarning")
@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (PCA, TypeError, "a PCA cannot be saved; a file holds one of AsymmetricDiffusionMap"),
        (lambda: make_pipeline(FunctionTransformer(np.log1p), skworm.SVMStateClassifier()), TypeError,
         r"Pipeline\.steps\[0\]\[1\] is a FunctionTransformer, which a model file cannot hold"),
        (lambda: make_pipeline(PCA(2), skworm.SVMStateClassifier()), TypeError, r"Pipeline\.steps\[0\]\[1\] is a PCA"),
        (lambda: skworm.MLPStateClassifier(max_epochs=1, random_state=np.random.RandomState(0)), TypeError,
         r"MLPStateClassifier\.random_state is a RandomState"),
        (lambda: make_pipeline(KNeighborsClassifier(metric=lambda a, b: 0.0)), TypeError,
         r"Pipeline\.steps\[0\]\[1\]\.metric is a function"),
        (lambda: skworm.TemperatureScaledClassifier(make_pipeline(PCA(2), skworm.SVMStateClassifier()), cv=2),
         TypeError, r"TemperatureScaledClassifier\.estimator\.steps\[0\]\[1\] is a PCA"),
        (lambda: skworm.ConformalStateClassifier(skworm.SVMStateClassifier(), cv=KFold(2)), TypeError,
         r"ConformalStateClassifier\.cv is a KFold, which a model file cannot hold"),
        (lambda: GridSearchCV(skworm.SVMStateClassifier(), {"C": [1.0]}, cv=2), TypeError,
         "a GridSearchCV cannot be saved"),
    ],
)  # fmt: skip
def test_what_cannot_be_saved_is_named(make, error, message, frames, tmp_path):
    X, y, _ = frames
    model = make()
    model.fit(X.to_numpy() - X.to_numpy().min(), y)
    with pytest.raises(error, match=message):
        skworm.save(model, tmp_path / "a.skworm")
    assert list(tmp_path.iterdir()) == []


def test_a_model_whose_parameters_were_changed_since_fit_is_not_saved(frames, tmp_path):
    X, y, _ = frames
    messages = skworm.Messages()
    gnn = skworm.GNNStateClassifier(graph=InferredGraph(), messages=messages, **FEW).fit(X, y)
    skworm.save(gnn, tmp_path / "a.skworm")
    # As another estimator that shares the object may do.
    messages.set_params(self_edges=False)
    wider = skworm.MLPStateClassifier(**FEW).fit(X, y).set_params(n_hidden=9)
    for model in (gnn, wider):
        with pytest.raises(ValueError, match="were changed since fit"):
            skworm.save(model, tmp_path / "b.skworm")
    assert not (tmp_path / "b.skworm").exists()


def test_saving_wants_a_fitted_model_and_keeps_files(tmp_path):
    with pytest.raises(NotFittedError, match="MLPStateClassifier"):
        skworm.save(skworm.MLPStateClassifier(), tmp_path / "a.skworm")
    model = skworm.PersistenceRegressor().fit([[0.0]], [[1.0]])
    skworm.save(model, tmp_path / "a.skworm")
    with pytest.raises(FileExistsError, match=r"a\.skworm exists; pass overwrite=True"):
        skworm.save(model, tmp_path / "a.skworm")
    skworm.save(model, tmp_path / "a.skworm", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.skworm"]


def test_neurons_that_do_not_fit_are_named(frames):
    X, _, new = frames
    model = skworm.MLPBehaviorRegressor(**FEW).fit(X, X["AVAL:trace"])
    fewer, _ = make_frames(worms(1, seed=1), neurons=["AVAL", "RID"], states=None)
    with pytest.raises(
        ValueError,
        match=r"(?s)feature names.*VB02:trace.*other columns; make X with make_frames\(recordings, ne",
    ):
        model.predict(fewer)
    with pytest.raises(ValueError, match=r"pass X\[list\(model\.feature_names_in_\)\]"):
        model.predict(new[new.columns[::-1]])
    with pytest.raises(ValueError, match=r"has 2 features|feature names"):
        model.predict(new[["AVAL:trace", "RID:trace"]])


def test_a_model_warns_of_another_frame_rate(frames, trajectories):
    X, y, _ = frames
    fast, _ = make_frames(worms(1, fps=6.0), states=None)
    models = [
        skworm.MLPStateClassifier(**FEW).fit(X, y),
        skworm.SVMStateClassifier().fit(X, y),
        skworm.AsymmetricDiffusionMap().fit(X),
        WormMinMaxScaler().fit(X),
    ]
    for model in models:
        ask = model.predict if hasattr(model, "predict") else model.transform
        with pytest.warns(UserWarning, match=r"trained on 2\.9 frames a second, and X has 6; .*resample_to=2\.9"):
            ask(fast)
        ask(make_frames(worms(1, fps=6.0), states=None, resample_to=2.9)[0])
    regressor = skworm.LinearTrajectoryRegressor().fit(*trajectories[:2])
    faster = make_trajectories(make_frames(worms(1, fps=6.0), states=None, derivative="backward")[0], burn_in=2)[0]
    with pytest.warns(UserWarning, match="LinearTrajectoryRegressor was trained on"):
        regressor.predict(faster)


def test_importing_skworm_brings_no_model_files():
    code = "import sys, skworm; sys.exit(any(m in sys.modules for m in ('torch', 'safetensors', 'skworm.persistence')))"
    assert subprocess.run([sys.executable, "-c", code], check=False, env=dict(os.environ)).returncode == 0


def test_a_pipeline_may_begin_with_a_step_that_passes_all_on(frames, tmp_path):
    X, y, _ = frames
    model = Pipeline([("scale", "passthrough"), ("model", skworm.SVMStateClassifier())]).fit(X, y)
    loaded = skworm.load(skworm.save(model, tmp_path / "model.skworm"))
    np.testing.assert_allclose(loaded.decision_function(X), model.decision_function(X))
