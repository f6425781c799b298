"""Model files that are damaged, or that a stranger made: refused by name, and nothing in them runs."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save as save_tensors
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

import skworm
from skworm.datasets import make_worms
from skworm.frames import WormMinMaxScaler, make_frames, make_trajectories
from skworm.persistence import _container, _contents, _digest


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Small files of several models: their path, contents, and what a model in them is."""
    folder = tmp_path_factory.mktemp("small")
    worms = make_worms(2, 160, neurons=("AVAL", "RID", "VB02"), n_unidentified=0, random_state=0)
    X, y = make_frames(worms, states="4")
    trajectories = make_trajectories(make_frames(worms, states=None, derivative="backward")[0], burn_in=2, horizon=8)
    steps = make_pipeline(WormMinMaxScaler(unseen="own"), "passthrough", skworm.SVMStateClassifier(gamma=0.5))
    models = [
        skworm.SVMStateClassifier().fit(X.iloc[::8], y.iloc[::8]),
        skworm.GNNStateClassifier(max_epochs=2, random_state=0, n_hidden=2).fit(X, y),
        skworm.LinearTrajectoryRegressor().fit(*trajectories),
        skworm.TemperatureScaledClassifier(skworm.SVMStateClassifier(), cv=2).fit(X.iloc[::8], y.iloc[::8]),
        skworm.ConformalStateClassifier(skworm.SVMStateClassifier(), cv=2).fit(X.iloc[::8], y.iloc[::8]),
        skworm.HiddenMarkovStateClassifier(steps).fit(X.iloc[::8], y.iloc[::8]),
    ]
    paths = [skworm.save(model, folder / f"{number}.skworm") for number, model in enumerate(models)]
    return [(path, path.read_bytes(), skworm.load(path)) for path in paths]


@settings(max_examples=150)
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
        assert type(loaded) is type(model)
        assert str(loaded) == str(model)
        return
    assert message.startswith(str(target))
    assert damaged != content


def rewrite(path, change, tmp_path):
    """Write the file anew with another content and a checksum that fits it, as a stranger could."""
    document, arrays = _contents(path)
    change(document, arrays)
    target = tmp_path / "crafted.skworm"
    target.write_bytes(_container(document, arrays))
    return target


def set_parameter(name, value):
    return lambda document, arrays: document["model"]["parameters"].update({name: value})


def set_part(name, kind, **parameters):
    return set_parameter(name, {"class": kind, "parameters": parameters})


def set_learned(name, value):
    return lambda document, arrays: document["model"]["learned"].update({name: value})


def break_support(document, arrays):
    arrays[document["model"]["learned"]["svc_"]["learned"]["dual_coef_"]["name"]][:] = np.inf


def break_level(document, arrays):
    (_, level), *_ = document["model"]["learned"]["levels_"]["items"]
    arrays[level["name"]][0] = np.nan


def break_weights(document, arrays):
    weights = dict(document["model"]["network"]["items"])["weights"]["items"]
    arrays[next(part["name"] for name, part in weights if name.startswith("readout"))][:] = np.nan


def widen_support(document, arrays):
    name = document["model"]["learned"]["svc_"]["learned"]["dual_coef_"]["name"]
    arrays[name] = arrays[name][:, :-1].copy()


def change_weight(document, arrays):
    weights = dict(dict(document["model"]["network"]["items"])["weights"]["items"])
    arrays[next(part["name"] for name, part in weights.items() if name.startswith("readout"))] += 1.0


def drop_a_state(document, arrays):
    name = document["model"]["learned"]["transition_"]["name"]
    arrays[name] = arrays[name][:-1].copy()


def unwrap(document, arrays):
    document["model"]["learned"]["estimator_"] = document["model"]["parameters"]["estimator"]


SVM, GNN, LINEAR, TEMPERATURE, CONFORMAL, CHAIN = range(6)


def rename_states(document, arrays):
    arrays[document["model"]["learned"]["classes_"]["name"]] += 1


def break_states(document, arrays):
    arrays[document["model"]["learned"]["classes_"]["name"]] += 2**31


@pytest.mark.parametrize(
    ("which", "change", "problem"),
    [
        (SVM, lambda d, a: d["model"].update({"class": "os.system"}), "'os.system' is none of the classes"),
        (SVM, lambda d, a: d["model"].update({"class": "Messages"}), "TypeError|KeyError"),
        (SVM, lambda d, a: d.update(model=[1]), "a list is not a model"),
        (SVM, lambda d, a: d.pop("model"), "KeyError"),
        (SVM, lambda d, a: d.pop("answer"), "KeyError"),
        (SVM, set_parameter("kernel", "precomputed"), "kernel"),
        (SVM, set_parameter("__class__", "x"), "unexpected keyword"),
        (SVM, set_learned("predict", "x"), "learns no 'predict'"),
        (SVM, set_learned("classes_", [1]), "other states"),
        (SVM, break_support, "not finite"),
        (SVM, widen_support, "dual_coef_"),
        (GNN, set_parameter("n_hidden", 10**6), "weights"),
        (GNN, set_parameter("n_hidden", 10**40), "Error"),
        (GNN, set_part("readout", "Readout", n_layers=10**9), "n_layers"),
        (GNN, set_part("messages", "Messages", n_steps=10**9), "n_steps"),
        (GNN, set_part("messages", "Messages", residual=False), "the model answers otherwise"),
        (GNN, set_part("messages", "Messages", residual="no"), "residual"),
        (GNN, break_weights, "not finite"),
        (LINEAR, break_level, "levels_ of LinearTrajectoryRegressor is not finite"),
        (GNN, set_parameter("augmentation", {"class": "VirtualWorms", "parameters": {"gain": -1}}), "gain"),
        (GNN, set_parameter("random_state", {"type": "builtins.eval", "value": "1"}), "builtins.eval"),
        (GNN, change_weight, "the model answers otherwise"),
        (LINEAR, set_learned("horizon_", 10**12), "horizon_"),
        (LINEAR, set_learned("burn_in_", 10**12), "burn_in_"),
        (LINEAR, set_learned("burn_in_", "2"), "burn_in_"),
        (LINEAR, set_learned("burn_in_", -1), "burn_in_"),
        (TEMPERATURE, set_learned("temperature_", 0.0), "not finite"),
        (TEMPERATURE, set_learned("temperature_", "1"), "TypeError"),
        (TEMPERATURE, set_learned("temperature_", 3.0), "the model answers otherwise"),
        (TEMPERATURE, set_learned("n_features_in_", 4), "n_features_in_"),
        (TEMPERATURE, set_learned("estimator_", {"class": "posix.system"}), "'posix.system' is none of the classes"),
        (TEMPERATURE, set_learned("estimator_", [1]), "Error"),
        (TEMPERATURE, rename_states, "other states"),
        (TEMPERATURE, break_states, "ValueError"),
        (TEMPERATURE, unwrap, "NotFittedError|AttributeError"),
        (TEMPERATURE, lambda d, a: d["model"]["parameters"]["estimator"].update({"class": "os.system"}),
         "'os.system' is none of the classes"),
        (TEMPERATURE, set_parameter("estimator", 1), "estimator"),
        (TEMPERATURE, set_parameter("cv", {"class": "GroupKFold", "parameters": {"n_splits": -1}}), "n_splits"),
        (TEMPERATURE, lambda d, a: d.update(model=d["model"]["parameters"]["estimator"]), "NotFittedError"),
        (CONFORMAL, set_learned("threshold_", float("nan")), "the number NaN"),
        (CONFORMAL, set_learned("threshold_", 2.0), "the model answers otherwise"),
        (CHAIN, drop_a_state, "transition_"),
        (CHAIN, set_learned("shares_", [1.0]), "shares_"),
        (CHAIN, set_parameter("decoding", "listening"), "decoding"),
        (CHAIN, lambda d, a: d["model"]["learned"]["estimator_"]["parameters"]["steps"].pop(), "Error"),
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
        (b"", "this cannot be read as a model"),
        (pickle.dumps({"a": 1}), "this cannot be read as a model"),
        (save_tensors({"a": np.zeros(2)}), "not of a skworm model"),
        ((2**60).to_bytes(8, "little") + b"{}", "this cannot be read as a model"),
        (huge_shape(), "this cannot be read as a model"),
        (save_tensors({}, {"skworm": "9 0 {}"}), "install the skworm"),
        (save_tensors({}, {"skworm": "3 0 {}"}), "checksum"),
    ]:
        target.write_bytes(content)
        with pytest.raises(ValueError, match=rf"(?s)a\.skworm: .*{problem}"):
            skworm.load(target)


def huge_shape():
    header = json.dumps({"a": {"dtype": "F64", "shape": [2**40], "data_offsets": [0, 2**43]}}).encode()
    return len(header).to_bytes(8, "little") + header


def test_deep_nesting_is_refused(small, tmp_path):
    document, arrays = _contents(small[SVM][0])
    text = json.dumps(document).replace('"description": ""', '"description": ' + "[" * 50_000 + "]" * 50_000)
    metadata = {"skworm": f"3 {_digest(text, arrays)} {text}"}
    target = tmp_path / "deep.skworm"
    target.write_bytes(save_tensors(arrays, metadata))
    with pytest.raises(ValueError, match=r"deep\.skworm"):
        skworm.load(target)


def array_part(name, kind="numbers"):
    return {"type": "array", "name": name, "fortran": False, "kind": kind}


def repeat_an_array(document, arrays):
    arrays["often"] = np.zeros(8)
    document["model"]["learned"]["_frame_columns"] = [array_part("often")] * 2


def stretch(name):
    def change(document, arrays):
        arrays[document["model"]["learned"][name]["name"]] = np.zeros((500, 1, 1))

    return change


def label_one_number(document, arrays):
    arrays["one"] = np.zeros(1)
    arrays["labels"] = np.full((3, 1), ord("a"), dtype=np.uint32)
    axis = {"name": None, "labels": array_part("labels", "objects")}
    table = {"type": "table", "values": array_part("one"), "axes": [axis], "name": None}
    document["model"]["learned"]["graph_"] = table


def empty_columns(document, arrays):
    arrays[document["model"]["learned"]["coef_"]["name"]] = np.zeros((10**9, 0))


def nest(document, arrays):
    part = document["model"]["parameters"]["estimator"]
    document["model"]["parameters"]["cv"] = [part] * 1001


def wide_names_of_nothing(document, arrays):
    arrays[document["model"]["learned"]["feature_names_in_"]["name"]] = np.zeros((0, 10**9), dtype=np.uint32)


@pytest.mark.parametrize(
    ("which", "change", "problem"),
    [
        (GNN, set_parameter("readout", {"class": "Readout", "parameters": {"n_layers": 101}}), "n_layers"),
        (GNN, set_learned("neurons_", ["a"] * 1001), "neurons_"),
        (GNN, label_one_number, "other labels"),
        (LINEAR, wide_names_of_nothing, "numbers of"),
        (LINEAR, set_learned("horizon_", 1001), "horizon_"),
        (LINEAR, repeat_an_array, "KeyError"),
        (LINEAR, stretch("level_"), "level_"),
        (LINEAR, stretch("intercept_"), "intercept_"),
        (LINEAR, empty_columns, "numbers of"),
        (TEMPERATURE, nest, "more than 1000 objects"),
    ],
)
def test_a_small_file_that_asks_for_much_is_refused(small, which, change, problem, tmp_path):
    target = rewrite(small[which][0], change, tmp_path)
    with pytest.raises(ValueError, match=rf"(?s)crafted\.skworm.*{problem}"):
        skworm.load(target)


@pytest.mark.parametrize("messages", [skworm.SAGE(n_hidden=1), skworm.GATv2(n_hidden=1)])
def test_few_weights_that_would_fill_memory_are_refused(messages, tmp_path, monkeypatch):
    model = skworm.GNNStateClassifier(n_hidden=1, max_epochs=1, device="cpu", messages=messages, readout="sum")
    model.fit(np.random.default_rng(0).random((8, 200)), np.arange(8) % 2)
    model.set_params(messages__n_hidden=50_000)
    model.net_.module_ = model._build_module().double().eval()
    with pytest.raises(ValueError, match="more memory or time"):
        skworm.save(model, tmp_path / "a.skworm")
    with monkeypatch.context() as patch:
        patch.setattr("skworm.persistence._answer", lambda *arguments, **options: np.zeros((4, 2)))
        patch.setattr("skworm.persistence._check_cost", lambda model: None)
        skworm.save(model, tmp_path / "a.skworm")
    with pytest.raises(ValueError, match="more memory or time"):
        skworm.load(tmp_path / "a.skworm")


def test_a_forecaster_of_all_neurons_is_saved(tmp_path):
    frames = np.random.default_rng(0).random((4, 9 * 302))
    model = skworm.GNNTrajectoryRegressor(max_epochs=1, device="cpu", validation_fraction=0)
    model.fit(frames[:, :302], frames[:, 302:])
    assert skworm.save(model, tmp_path / "a.skworm").exists()


def test_what_is_no_parameter_of_a_file_is_not_learned_either(tmp_path):
    steps = make_pipeline(WormMinMaxScaler(), KNeighborsClassifier(1)).fit(np.eye(4), np.arange(4) % 2)
    whole = skworm.save(steps, tmp_path / "a.skworm")

    def pickles(document, arrays):
        del document["model"]["parameters"]["memory"]
        document["model"]["learned"] = {"memory": str(tmp_path)}

    def threads(document, arrays):
        document["model"]["parameters"]["steps"][1]["items"][1]["learned"]["n_jobs"] = 3000

    for change, name in ((pickles, "memory"), (threads, "n_jobs")):
        with pytest.raises(ValueError, match=f"learns no '{name}'"):
            skworm.load(rewrite(whole, change, tmp_path))


def test_neighbors_by_covariance_are_refused(tmp_path):
    model = KNeighborsClassifier(2, metric="mahalanobis", algorithm="brute")
    model.fit(np.random.default_rng(0).random((9, 2)), np.arange(9) % 2)
    with pytest.raises(ValueError, match="metric='mahalanobis'"):
        skworm.save(model, tmp_path / "a.skworm")
