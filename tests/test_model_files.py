import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save as save_tensors
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, LeaveOneGroupOut
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

import skworm
from skworm import VirtualWorms
from skworm.adaptation import adapt
from skworm.datasets import make_worms
from skworm.frames import WormMinMaxScaler, make_frames, make_trajectories
from skworm.model_files import describe
from skworm.model_files.container import read_container, write_container
from skworm.model_files.learned import SUPPORTED
from skworm.prediction import decode_states

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
    "mlp-published": skworm.MLPStateClassifier.as_published(**FEW),
    "gnn": skworm.GNNStateClassifier(**FEW),
    "gnn-published": skworm.GNNStateClassifier.as_published(**FEW),
    "gnn-dynamic": skworm.GNNStateClassifier(**FEW, edges="dynamic"),
    "gnn-free": skworm.GNNStateClassifier(**FEW, edges="free"),
    "gnn-given": skworm.GNNStateClassifier(**FEW, graph=GRAPH, device="cpu"),
    "gnn-gat": skworm.GNNStateClassifier(**FEW, convolution="gat", n_heads=2),
    "gnn-sage": skworm.GNNStateClassifier(**FEW, convolution="sage", graph=GRAPH),
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
    "gnn": skworm.GNNBehaviorRegressor(**FEW, augmentation=VirtualWorms(n_groups=3)),
}
REGRESSORS = {
    "persistence": skworm.PersistenceRegressor(),
    "linear": skworm.LinearTrajectoryRegressor(),
    "linear-direct": skworm.LinearTrajectoryRegressor(strategy="direct", center="population"),
    "mlp": skworm.MLPTrajectoryRegressor(**FEW, n_hidden=4),
    "mlp-lstm": skworm.MLPTrajectoryRegressor(**FEW, n_hidden=4, memory="lstm", clip_margin=None),
    "mlp-published": skworm.MLPTrajectoryRegressor.as_published(**FEW, n_hidden=4),
    "node-mlp": skworm.NodeMLPTrajectoryRegressor(**FEW, n_hidden=4, memory="lstm"),
    "gnn": skworm.GNNTrajectoryRegressor(**FEW, n_hidden=4, edges="static"),
    "gnn-gated": skworm.GNNTrajectoryRegressor(**FEW, n_hidden=4, memory="gated"),
}


def answers(model, X):
    methods = ("predict_proba", "decision_function", "predict", "predict_set", "transform")
    return [np.asarray(getattr(model, method)(X)) for method in methods if hasattr(model, method)]


def assert_same_model(loaded, model, tables):
    assert type(loaded) is type(model)
    assert str(loaded) == str(model)
    for X in tables:
        for found, expected in zip(answers(loaded, X), answers(model, X), strict=True):
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_answers_as_before(name, frames, tmp_path):
    X, y, new = frames
    model = CLASSIFIERS[name].fit(X, y)
    loaded = skworm.load(skworm.save(model, tmp_path / "a.skworm"))
    assert_same_model(loaded, model, (X, new, new.reset_index(drop=True)))
    again = skworm.load(skworm.save(loaded, tmp_path / "b.skworm"))
    assert_same_model(again, model, (X,))
    assert (tmp_path / "b.skworm").read_bytes() == (tmp_path / "a.skworm").read_bytes()
    assert_same_model(pickle.loads(pickle.dumps(loaded)), model, (X,))
    loaded.fit(X, y)


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_classifier_around_another_one_answers_as_before(name, frames, tmp_path):
    X, y, new = frames
    model = WRAPPERS[name].fit(X, y)
    loaded = skworm.load(skworm.save(model, tmp_path / "a.skworm"))
    assert_same_model(loaded, model, (X, new, new.reset_index(drop=True)))
    again = skworm.load(skworm.save(loaded, tmp_path / "b.skworm"))
    assert (tmp_path / "b.skworm").read_bytes() == (tmp_path / "a.skworm").read_bytes()
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


def test_an_adapted_network_answers_as_before(frames, tmp_path):
    X, y, new = frames
    adapted = adapt(NETWORK.fit(X, y), new)
    assert not np.array_equal(adapted.predict_proba(new), NETWORK.predict_proba(new))
    assert_same_model(skworm.load(skworm.save(adapted, tmp_path / "a.skworm")), adapted, (new,))


@pytest.mark.parametrize("name", BEHAVIOR)
def test_a_behavior_regressor_answers_as_before(name, frames, tmp_path):
    X, _, new = frames
    model = BEHAVIOR[name].fit(X, X.iloc[:, 0].rename("velocity"))
    loaded = skworm.load(skworm.save(model, tmp_path / "a.skworm"))
    assert_same_model(loaded, model, (X, new))


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
    model = skworm.GNNStateClassifier(**FEW, n_node_features=2).fit(X, y, worm=worm)
    loaded = skworm.load(skworm.save(model, tmp_path / "a.skworm"))
    assert loaded.classes_.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(loaded.predict_proba(X, worm=worm), model.predict_proba(X, worm=worm))


def test_the_gpu_solver_of_the_svm_travels_to_the_cpu(frames, tmp_path):
    from skworm.classification.pairwise import PairwiseSVC

    X, y, new = frames
    model = skworm.SVMStateClassifier().fit(X, y)
    model.svc_ = PairwiseSVC(C=1.0, kernel="rbf", gamma="scale", class_weight=None, device="cpu").fit(X.to_numpy(), y)
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
    assert found["training"]["frames"]["derivative"] == "central"
    assert found["versions"]["skworm"] == skworm.__version__
    digest = found["training"]["sha256"]
    other = describe(skworm.save(model, tmp_path / "b.skworm", X=X + 1e-9, y=y))["training"]["sha256"]
    assert (len(digest), digest == other) == (64, False)


def test_every_estimator_at_the_top_level_can_be_saved():
    public = {getattr(skworm, name) for name in skworm.__all__ if name.endswith(("Classifier", "Regressor", "Map"))}
    assert public <= set(SUPPORTED)
    models = [*CLASSIFIERS.values(), *WRAPPERS.values(), *REGRESSORS.values(), *BEHAVIOR.values()]
    assert public <= {type(model) for model in models} | {type(model[0]) for model in models if hasattr(model, "steps")}


@pytest.mark.filterwarnings("ignore:The groups parameter is ignored by KFold:UserWarning")
@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (PCA, TypeError, "a PCA cannot be saved; a file holds one of SVMStateClassifier"),
        (lambda: make_pipeline(FunctionTransformer(np.log1p), skworm.SVMStateClassifier()), TypeError,
         "step 'functiontransformer' of Pipeline is a FunctionTransformer, which a model file cannot hold"),
        (lambda: make_pipeline(PCA(2), skworm.SVMStateClassifier()), TypeError, "step 'pca' of Pipeline is a PCA"),
        (lambda: skworm.MLPStateClassifier(max_epochs=1, random_state=np.random.RandomState(0)), TypeError,
         r"MLPStateClassifier\.random_state is a RandomState"),
        (lambda: make_pipeline(KNeighborsClassifier(metric=lambda a, b: 0.0)), TypeError,
         r"KNeighbors.*\.metric|'kneighborsclassifier' of Pipeline\.metric is a function"),
        (lambda: skworm.TemperatureScaledClassifier(make_pipeline(PCA(2), skworm.SVMStateClassifier()), cv=2),
         TypeError, r"step 'pca' of TemperatureScaledClassifier\.estimator is a PCA"),
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


def test_saving_wants_a_fitted_model_and_keeps_files(tmp_path):
    with pytest.raises(NotFittedError, match="MLPStateClassifier"):
        skworm.save(skworm.MLPStateClassifier(), tmp_path / "a.skworm")
    model = skworm.PersistenceRegressor().fit([[0.0]], [[1.0]])
    skworm.save(model, tmp_path / "a.skworm")
    with pytest.raises(FileExistsError, match=r"a\.skworm exists; pass overwrite=True"):
        skworm.save(model, tmp_path / "a.skworm")
    skworm.save(model, tmp_path / "a.skworm", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.skworm"]


@pytest.fixture(scope="module")
def small(frames, trajectories, tmp_path_factory):
    """Small files of several models: their path and contents."""
    folder = tmp_path_factory.mktemp("small")
    X, y, _ = frames
    models = [
        skworm.SVMStateClassifier().fit(X.iloc[::8], y.iloc[::8]),
        skworm.GNNStateClassifier(**FEW, n_hidden=2).fit(X, y),
        skworm.LinearTrajectoryRegressor().fit(*trajectories[:2]),
        skworm.TemperatureScaledClassifier(skworm.SVMStateClassifier(), cv=2).fit(X.iloc[::8], y.iloc[::8]),
        skworm.ConformalStateClassifier(skworm.SVMStateClassifier(), cv=2).fit(X.iloc[::8], y.iloc[::8]),
        skworm.HiddenMarkovStateClassifier(SVM_IN_STEPS).fit(X.iloc[::8], y.iloc[::8]),
    ]
    paths = [skworm.save(model, folder / f"{number}.skworm") for number, model in enumerate(models)]
    return [(path, path.read_bytes(), skworm.load(path)) for path in paths]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_harmless(small, data, tmp_path_factory):
    _, content, model = data.draw(st.sampled_from(small))
    damaged = bytearray(content)
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(content) - 1)) :]
    # Most of the header is text, where a flip matters most.
    last = data.draw(st.sampled_from([64, len(content) // 2, len(content)])) - 1
    for place in data.draw(st.lists(st.integers(0, last), max_size=3)):
        if place < len(damaged):
            damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    target = tmp_path_factory.getbasetemp() / "damaged.skworm"
    target.write_bytes(damaged)
    try:
        loaded = skworm.load(target)
    except ValueError as error:
        message = str(error)
    else:
        assert_same_model(loaded, model, ())
        return
    assert message.startswith(str(target))
    assert damaged != content


def rewrite(path, change, tmp_path):
    """Write the file anew with another content and a checksum that fits it, as a stranger could."""
    document, arrays = read_container(path)
    change(document, arrays)
    target = tmp_path / "crafted.skworm"
    write_container(target, document, arrays)
    return target


def set_parameter(name, value):
    return lambda document, arrays: document["model"]["parameters"].update({name: value})


def set_learned(name, value):
    return lambda document, arrays: document["model"]["learned"].update({name: value})


def resize_support(document, arrays):
    arrays[document["model"]["learned"]["svc_"]["learned"]["_n_support"]["name"]][:] = 10**6


def widen_support(document, arrays):
    name = document["model"]["learned"]["svc_"]["learned"]["dual_coef_"]["name"]
    arrays[name] = arrays[name][:, :-1].copy()


def change_weight(document, arrays):
    weights = dict(document["model"]["network"]["weights"]["items"])
    arrays[next(part["name"] for name, part in weights.items() if name.startswith("readout"))] += 1.0


def drop_a_state(document, arrays):
    name = document["model"]["learned"]["transition_"]["name"]
    arrays[name] = arrays[name][:-1].copy()


def unwrap(document, arrays):
    document["model"]["learned"]["estimator_"] = document["model"]["parameters"]["estimator"]


SVM, GNN, LINEAR, TEMPERATURE, CONFORMAL, CHAIN = range(6)
HUGE_NAMES = {"type": "names", "width": 10**12, "shape": [0], "items": []}


@pytest.mark.parametrize(
    ("which", "change", "problem"),
    [
        (SVM, lambda d, a: d["model"].update(type="os.system"), "'os.system' is none of the classes"),
        (SVM, lambda d, a: d["model"].update(type="Ridge"), "TypeError|KeyError"),
        (SVM, lambda d, a: d.update(model=[1]), "a list is no model"),
        (SVM, lambda d, a: d.pop("model"), "KeyError"),
        (SVM, lambda d, a: d.pop("answer"), "KeyError"),
        (SVM, set_parameter("kernel", "precomputed"), "kernel"),
        (SVM, set_parameter("__class__", "x"), "unexpected keyword"),
        (SVM, set_learned("predict", "x"), "learns no 'predict'"),
        (SVM, set_learned("classes_", [1]), "ValueError|TypeError"),
        (SVM, resize_support, "support vectors"),
        (SVM, widen_support, "dual_coef_"),
        (GNN, set_parameter("n_hidden", 10**6), "weights"),
        (GNN, set_parameter("n_hidden", 10**40), "Error"),
        (GNN, set_parameter("n_layers", 10**9), "n_layers"),
        (GNN, set_parameter("n_message_steps", 10**9), "n_message_steps"),
        (GNN, set_parameter("residual", False), "the model answers otherwise"),
        (GNN, set_parameter("augmentation", {"type": "VirtualWorms", "parameters": {"gain": -1}}), "gain"),
        (GNN, set_parameter("random_state", {"type": "builtins.eval", "value": "1"}), "builtins.eval"),
        (GNN, change_weight, "the model answers otherwise"),
        (LINEAR, set_learned("horizon_", 10**12), "horizon_"),
        (LINEAR, set_learned("burn_in_", 10**12), "burn_in_"),
        (LINEAR, set_learned("burn_in_", "2"), "burn_in_"),
        (LINEAR, set_learned("_frame_columns", HUGE_NAMES), "letters"),
        (TEMPERATURE, set_learned("temperature_", 0.0), "no temperature"),
        (TEMPERATURE, set_learned("temperature_", "1"), "TypeError"),
        (TEMPERATURE, set_learned("temperature_", 3.0), "the model answers otherwise"),
        (TEMPERATURE, set_learned("n_features_in_", 4), "n_features_in_"),
        (TEMPERATURE, set_learned("estimator_", {"type": "posix.system"}), "'posix.system' is none of the classes"),
        (TEMPERATURE, set_learned("estimator_", [1]), "Error"),
        (TEMPERATURE, set_learned("classes_", {"type": "names", "width": 1, "shape": [2], "items": ["a", "b"]}),
         "no classifier of the states"),
        (TEMPERATURE, unwrap, "NotFittedError|AttributeError"),
        (TEMPERATURE, lambda d, a: d["model"]["parameters"]["estimator"].update({"class": "os.system"}),
         "'os.system' is none of the classes"),
        (TEMPERATURE, set_parameter("estimator", 1), "estimator"),
        (TEMPERATURE, set_parameter("cv", {"type": "GroupKFold", "parameters": {"n_splits": -1}}), "n_splits"),
        (TEMPERATURE, lambda d, a: d.update(model=d["model"]["parameters"]["estimator"]), "NotFittedError"),
        (CONFORMAL, set_learned("threshold_", {"type": "float", "value": "nan"}), "no threshold"),
        (CONFORMAL, set_learned("threshold_", 2.0), "the model answers otherwise"),
        (CONFORMAL, set_learned("worm_thresholds_", 0.5), "no series"),
        (CHAIN, drop_a_state, "transition_"),
        (CHAIN, set_learned("shares_", [1.0]), "shares_"),
        (CHAIN, set_parameter("decoding", "listening"), "decoding"),
        (CHAIN, lambda d, a: d["model"]["learned"]["estimator_"]["steps"].pop(), "Error"),
    ],
)  # fmt: skip
def test_a_crafted_file_is_refused(small, which, change, problem, tmp_path):
    target = rewrite(small[which][0], change, tmp_path)
    with pytest.raises(ValueError, match=rf"(?s)crafted\.skworm.*{problem}"):
        skworm.load(target)


def test_a_file_of_another_kind_is_refused(tmp_path):
    target = tmp_path / "a.skworm"
    with pytest.raises(FileNotFoundError, match="check the path"):
        skworm.load(target)
    for content, problem in [
        (b"", "no whole model file"),
        (pickle.dumps({"a": 1}), "no whole model file"),
        (save_tensors({"a": np.zeros(2)}), "not of a skworm model"),
        ((2**60).to_bytes(8, "little") + b"{}", "no whole model file"),
        (huge_shape(), "no whole model file"),
        (save_tensors({}, {"skworm": "9 0 {}"}), "install a newer"),
        (save_tensors({}, {"skworm": "1 0 {}"}), "checksum"),
    ]:
        target.write_bytes(content)
        with pytest.raises(ValueError, match=rf"a\.skworm: .*{problem}"):
            skworm.load(target)


def huge_shape():
    header = json.dumps({"a": {"dtype": "F64", "shape": [2**40], "data_offsets": [0, 2**43]}}).encode()
    return len(header).to_bytes(8, "little") + header


def test_deep_nesting_is_refused(small, tmp_path):
    document, arrays = read_container(small[SVM][0])
    text = json.dumps(document).replace('"description": ""', '"description": ' + "[" * 50_000 + "]" * 50_000)
    from skworm.model_files.container import _digest

    metadata = {"skworm": f"1 {_digest(text, arrays)} {text}"}
    target = tmp_path / "deep.skworm"
    target.write_bytes(save_tensors(arrays, metadata))
    with pytest.raises(ValueError, match=r"deep\.skworm"):
        skworm.load(target)


def test_neurons_that_do_not_fit_are_named(frames):
    X, _, new = frames
    model = skworm.MLPBehaviorRegressor(**FEW).fit(X, X["AVAL:trace"])
    fewer, _ = make_frames(worms(1, seed=1), neurons=["AVAL", "RID"], states=None)
    with pytest.raises(
        ValueError, match=r"(?s)feature names.*X has no neurons \['VB02'\].*make_frames\(recordings, ne"
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
    code = "import sys, skworm; sys.exit(any(m in sys.modules for m in ('torch', 'safetensors', 'skworm.model_files')))"
    assert subprocess.run([sys.executable, "-c", code], check=False, env=dict(os.environ)).returncode == 0
