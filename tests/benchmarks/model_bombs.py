"""What do hostile and damaged model files do? Crafted bombs, and flips and truncations of a saved model of each kind.

Every file is loaded in a child process. It must end in a ValueError that names it, or in a model that answers as the
one that was saved, within 5 seconds and 1 GB of memory. Prints the counts, the slowest and the largest; ends with 1 if
anything else happened.

    python tests/benchmarks/model_bombs.py [--n 5000] [--seed 0]
"""

import argparse
import multiprocessing
import queue
import resource
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import numpy as np
from safetensors.numpy import save as save_tensors
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skworm
from skworm import persistence
from skworm.datasets import make_worms
from skworm.frames import WormMinMaxScaler, make_frames, make_trajectories
from skworm.persistence import _container, _contents, _digest

SECONDS, MEGABYTES, THREADS = 5, 1024, 64


def models():
    """Return a small fitted model of each kind, and frames to ask it about."""
    worms = make_worms(2, 160, neurons=("AVAL", "RID", "VB02"), n_unidentified=0, random_state=0)
    X, y = make_frames(worms, states="4")
    windows = make_trajectories(make_frames(worms, states=None, derivative="backward")[0], burn_in=2, horizon=8)
    few = {"max_epochs": 2, "random_state": 0, "n_hidden": 2}
    svm = skworm.SVMStateClassifier()
    manifold = make_pipeline(skworm.AsymmetricDiffusionMap(), KNeighborsClassifier())
    classifiers = {
        "svm": svm,
        "mlp": skworm.MLPStateClassifier(**few),
        "gnn": skworm.GNNStateClassifier(**few),
        "gat": skworm.GNNStateClassifier(**few, messages="gat"),
        "steps": make_pipeline(WormMinMaxScaler(), StandardScaler(), svm),
        "manifold": manifold,
        "temperature": skworm.TemperatureScaledClassifier(svm, cv=2),
        "conformal": skworm.ConformalStateClassifier(svm, cv=2),
        "chain": skworm.HiddenMarkovStateClassifier(svm),
    }
    regressors = {
        "persistence": skworm.PersistenceRegressor(),
        "linear": skworm.LinearTrajectoryRegressor(),
        "mlp-trajectory": skworm.MLPTrajectoryRegressor(**few, memory="lstm"),
        "gnn-trajectory": skworm.GNNTrajectoryRegressor(**few),
    }
    found = {name: (model.fit(X.iloc[::2], y.iloc[::2]), X) for name, model in classifiers.items()}
    found |= {name: (model.fit(*windows), windows[0]) for name, model in regressors.items()}
    found["behavior"] = skworm.MLPBehaviorRegressor(**few).fit(X, X.iloc[:, 0].rename("velocity")), X
    return found


def answer(model, X):
    """Return what a model answers to 20 frames."""
    X = X.iloc[:20]
    for method in ("predict_proba", "decision_function", "predict", "transform"):
        if hasattr(model, method):
            return np.asarray(getattr(model, method)(X))
    raise TypeError(type(model))


def damaged(content, rng):
    """Return the bytes cut off somewhere, or with one to four bits flipped, half of them in the header."""
    if rng.random() < 0.3:
        return content[: rng.integers(len(content))]
    changed = bytearray(content)
    last = rng.choice([8, 64, len(content) // 2, len(content)])
    for place in rng.integers(last, size=rng.integers(1, 5)):
        changed[place] ^= 1 << rng.integers(8)
    return bytes(changed)


def array(name, kind="numbers"):
    """Return what a document says of an array."""
    return {"type": "array", "name": name, "fortran": False, "kind": kind}


def craft(whole, folder):
    """Write files of which each is small, has a checksum that fits, and asks for much memory or time."""

    def crafted(kind, change):
        document, arrays = _contents(whole[kind])
        change(document["model"], arrays)
        return _container(document, arrays)

    def parameters(kind, **values):
        return crafted(kind, lambda model, arrays: model["parameters"].update(values))

    def readout(kind, **values):
        return parameters(kind, readout={"class": "Readout", "parameters": values})

    def messages(kind, name, **values):
        return parameters(kind, messages={"class": name, "parameters": values})

    def same_array_often(model, arrays):
        arrays["big"] = np.zeros(500_000)
        model["learned"]["_frame_columns"] = [array("big")] * 2000

    def columns_of_nothing(model, arrays):
        arrays[model["learned"]["coef_"]["name"]] = np.zeros((10**9, 0))
        model["learned"]["n_features_in_"] = 0

    def table_of_one_number(model, arrays):
        arrays["one"] = np.array(1.0)
        axes = []
        for name in ("rows", "columns"):
            arrays[name] = np.full((20_000, 1), ord("a"), dtype=np.uint32)
            axes.append({"name": None, "labels": array(name, "names")})
        model["learned"]["graph_"] = {"type": "table", "values": array("one"), "axes": axes, "name": None}

    def names_of_nothing(model, arrays):
        arrays[model["learned"]["feature_names_in_"]["name"]] = np.zeros((0, 10**9), dtype=np.uint32)

    def broadcast_levels(model, arrays):
        arrays[model["learned"]["level_"]["name"]] = np.zeros((500_000, 1))

    def broadcast_intercept(model, arrays):
        arrays[model["learned"]["intercept_"]["name"]] = np.zeros((500_000, 1, 1))

    def far_neighbors(model, arrays):
        step = model["parameters"]["steps"][1]["items"][1]
        step["parameters"] |= {"metric": "mahalanobis", "algorithm": "brute"}
        arrays[step["learned"]["frames"]["name"]] = np.random.default_rng(0).random((20, 20_000))
        arrays["states"] = np.resize(np.array([[97], [98]], dtype=np.uint32), (20, 1))
        step["learned"]["states"] = array("states", "objects")

    def neighbors_for_ever(model, arrays):
        step = model["parameters"]["steps"][0]["items"][1]
        arrays[step["learned"]["_points"]["name"]] = np.zeros((100_000, 18))
        step["parameters"]["n_neighbors"] = 100_000

    def many_steps(model, arrays):
        scaler = {"class": "StandardScaler", "parameters": {}}
        model["parameters"]["steps"] = [{"type": "tuple", "items": [str(n), scaler]} for n in range(100_000)]

    def many_threads(model, arrays):
        model["parameters"]["steps"][1]["items"][1]["parameters"] |= {"n_jobs": 3000, "algorithm": "brute"}

    def nested_wrappers(model, arrays):
        inner = model["parameters"]["estimator"]
        for _ in range(200):
            inner = {"class": "TemperatureScaledClassifier", "parameters": {"estimator": inner}}
        model["parameters"]["estimator"] = inner

    def deep(opening, closing, depth):
        _, arrays = _contents(whole["svm"])
        text = opening * depth + "1" + closing * depth
        return save_tensors(arrays, {"skworm": f"3 {_digest(text, arrays)} {text}"})

    def wide(messages, n_hidden):
        """Write a network whose few weights would fill memory with one row for each neuron, or pair of neurons."""
        model = skworm.GNNStateClassifier(n_hidden=1, max_epochs=1, device="cpu", messages=messages, readout="sum")
        model.fit(np.random.default_rng(0).random((16, 500)), np.arange(16) % 2)
        model.set_params(messages__n_hidden=n_hidden)
        # The weights of the wide network are made here, since training it would be the bomb itself.
        model.net_.module_ = model._build_module().double().eval()
        unchecked = {"_answer": lambda *given, **options: np.zeros((4, 2)), "_check_cost": lambda model: None}
        with patch.multiple(persistence, **unchecked):
            return persistence.save(model, folder.parent / str(messages)).read_bytes()

    def far_forecast(model, arrays):
        model["learned"] |= {"horizon_": 10**6}

    found = {
        "names of nothing": crafted("linear", names_of_nothing),
        "deep lists": deep("[", "]", 2_000_000),
        "deep objects": deep('{"a":', "}", 100_000),
        "nested wrappers": crafted("temperature", nested_wrappers),
        "wide layer of parameters": parameters("gnn", n_hidden=10**9),
        "wide layer of weights": wide(skworm.SAGE(n_hidden=1), 250_000),
        "wide graph of weights": wide(skworm.GATv2(n_hidden=1), 2000),
        "huge n_layers": readout("mlp", n_layers=10**9),
        "n_layers of millions": readout("gnn", n_layers=3 * 10**6),
        "huge n_steps": messages("gnn", "Messages", n_steps=10**9),
        "huge n_heads": messages("gat", "GAT", n_heads=10**7),
        "huge horizon": crafted("gnn-trajectory", far_forecast),
        "one array 2,000 times": crafted("linear", same_array_often),
        "columns of nothing": crafted("linear", columns_of_nothing),
        "table of one number": crafted("gnn", table_of_one_number),
        "broadcast levels": crafted("persistence", broadcast_levels),
        "broadcast intercept": crafted("linear", broadcast_intercept),
        "covariance of columns": crafted("manifold", far_neighbors),
        "neighbours for ever": crafted("manifold", neighbors_for_ever),
        "100,000 steps": crafted("steps", many_steps),
        "3,000 threads": crafted("manifold", many_threads),
    }
    for name, content in found.items():
        (folder / name).write_bytes(content)


def load_many(cases, folder, results):
    """Load files one after the other, and report each."""
    warnings.simplefilter("ignore")
    # Protects this machine; what is measured is judged by a lower bound.
    resource.setrlimit(resource.RLIMIT_AS, (8 * MEGABYTES * 2**20,) * 2)
    for name, content, X, expected in cases:
        path = folder / "damaged.skworm"
        path.write_bytes(content.read_bytes() if isinstance(content, Path) else content)
        began, most_threads = time.perf_counter(), [0]
        watching = threading.Event()
        threading.Thread(target=watch_threads, args=(watching, most_threads), daemon=True).start()
        try:
            model = skworm.load(path)
            same = expected is not None and np.allclose(answer(model, X), expected, rtol=0, atol=1e-9)
            outcome = "loaded, equal" if same else "loaded, another model"
        except ValueError as error:
            outcome = "refused" if str(error).startswith(str(path)) else f"does not name the file: {error!r:.200}"
        except Exception as error:
            outcome = f"another error: {error!r:.200}"
        seconds = time.perf_counter() - began
        watching.set()
        if most_threads[0] > THREADS:
            outcome = f"{most_threads[0]} threads"
        results.put((name, outcome, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def watch_threads(stop, most):
    """Keep the largest number of threads of this process until told to stop."""
    while not stop.wait(0.01):
        most[0] = max(most[0], len(list(Path("/proc/self/task").iterdir())))


def outcomes_of(cases, folder, n_a_child):
    """Yield what became of each case; a child that hangs, or dies of its limit of memory, is replaced."""
    context = multiprocessing.get_context("fork")
    while cases:
        now, results = cases[:n_a_child], context.Queue()
        child = context.Process(target=load_many, args=(now, folder, results), daemon=True)
        child.start()
        for done in range(len(now)):
            try:
                yield results.get(timeout=4 * SECONDS)
            except queue.Empty:
                state = "hangs" if child.is_alive() else f"kills Python ({child.exitcode})"
                child.kill()
                yield now[done][0], state, 4.0 * SECONDS, float("nan")
                now = now[: done + 1]
                break
        child.join()
        cases = cases[len(now) :]


def judge(rows, name):
    """Print what became of some files; return whether all went well."""
    counts = Counter(outcome for _, outcome, _, _ in rows)
    seconds, megabytes = max(row[2] for row in rows), np.nanmax([row[3] for row in rows])
    print(f"{name:34} {dict(counts)}, slowest {seconds:.2f} s, at most {megabytes:.0f} MB", flush=True)
    return not set(counts) - {"refused", "loaded, equal"} and seconds <= SECONDS and megabytes <= MEGABYTES


def main():
    """Craft, damage, load, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=5000, help="damaged files in all")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fitted = models()
        answers = {name: (X, answer(model, X)) for name, (model, X) in fitted.items()}
        saved = {name: skworm.save(model, folder / name) for name, (model, _) in fitted.items()}
        # In a process of its own, since crafting takes the memory that loading must not take.
        bombs = folder / "bombs"
        bombs.mkdir()
        crafting = multiprocessing.get_context("fork").Process(target=craft, args=(saved, bombs))
        crafting.start()
        crafting.join()
        well = [crafting.exitcode == 0]
        for path in sorted(bombs.iterdir(), key=lambda path: path.stat().st_mtime_ns):
            # These change nothing that is asked for.
            X, expected = answers.get(
                {"3,000 threads": "manifold", "nested wrappers": "temperature"}.get(path.name), (None, None)
            )
            name = f"{path.name}, {path.stat().st_size / 1e6:.1f} MB"
            well.append(judge(list(outcomes_of([(name, path, X, expected)], folder, 1)), name))
        for name, path in saved.items():
            content, (X, expected) = path.read_bytes(), answers[name]
            n_cases = -(-options.n // len(saved))
            cases = [(name, damaged(content, rng), X, expected) for _ in range(n_cases)]
            well.append(judge(list(outcomes_of([(name, content, X, expected), *cases], folder, n_cases)), name))
    sys.exit(int(not all(well)))


if __name__ == "__main__":
    main()
