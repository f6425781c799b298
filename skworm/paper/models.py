"""The models that commands and experiments know by name, and the graphs that networks are given.

Nothing heavy is imported before a model is made, so that a command line can list names at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MARKOVIAN, RECURRENT = 1, 4
"""Frames that trajectory networks observe, without and with a memory."""

MEAN_WEIGHT = 0.5
"""Mean weight of a given graph over all pairs of neurons, where an untrained edge encoder starts."""


@dataclass(frozen=True)
class Spec:
    """An object to be made when it is needed."""

    path: str  # ``"module:name"`` of a class, or ``"module:name.method"``
    # What it is called with; values may be specs themselves
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def make(self, **others: Any) -> Any:
        """Import and call it; other parameters take precedence."""
        module, _, names = self.path.partition(":")
        called: Any = import_module(module)
        for name in names.split("."):
            called = getattr(called, name)
        values = {**self.parameters, **others}
        return called(**{key: value.make() if isinstance(value, Spec) else value for key, value in values.items()})


@dataclass(frozen=True)
class Model:
    """A model that commands know by name."""

    name: str  # What a command line and a table call it
    label: str
    spec: Spec  # How it is made
    # Which of ``max_epochs``, ``device`` and ``random_state`` it takes
    takes: tuple[str, ...] = ("max_epochs", "device", "random_state")
    burn_in: int = 0  # Frames that a trajectory regressor observes; 0 for a state classifier
    in_table_1: str = ""  # The row of the paper's Table 1 that it repeats
    on_connectome: bool = False  # Whether it is given the connectome as its graph

    def make(self, neurons: Sequence[str] = (), **parameters: Any) -> Any:
        """Make the model, not fitted."""
        shared = ("max_epochs", "device", "random_state")
        given = {
            key: value
            for key, value in parameters.items()
            if key not in shared or (key in self.takes and value is not None)
        }
        if self.on_connectome:
            given.setdefault("graph", connectome_graph(neurons))
        nested = {key: given.pop(key) for key in list(given) if "__" in key}
        made = self.spec.make(**given)
        return made.set_params(**nested) if nested else made


_READOUT, _INFERRED = "skworm:Readout", "skworm:InferredGraph"
_PUBLISHED_READOUT = {"readout": Spec(_READOUT, {"n_layers": 2, "batch_norm": "output"}), "augmentation": None}
_PUBLISHED_MESSAGES = {"messages": Spec("skworm:Messages", {"normalization": None, "residual": False})}
_FRAMES = {**_PUBLISHED_READOUT, "weight_decay": 0.0, "max_epochs": 800, "learning_rate": 1e-3}
_TRAJECTORIES = {
    **_PUBLISHED_READOUT,
    "linear": False,
    "center": "population",
    "rollout": Spec("skworm:Rollout", {"random_start": False, "scheduled_sampling_end": 300, "clip_margin": None}),
    "max_epochs": 800,
}
_PUBLISHED: Mapping[tuple[str, str], Spec] = {
    ("states", "mlp"): Spec("skworm:MLPStateClassifier", _FRAMES),
    ("states", "gnn"): Spec(
        "skworm:GNNStateClassifier",
        {
            "graph": Spec(_INFERRED, {"average": "hidden_neurons", "embedding": 0, "batch_norm": True}),
            **_PUBLISHED_MESSAGES,
            **_FRAMES,
        },
    ),
    ("trajectories", "mlp"): Spec("skworm:MLPTrajectoryRegressor", _TRAJECTORIES),
    ("trajectories", "node-mlp"): Spec("skworm:NodeMLPTrajectoryRegressor", _TRAJECTORIES),
    ("trajectories", "gnn"): Spec(
        "skworm:GNNTrajectoryRegressor",
        {"graph": Spec(_INFERRED, {"embedding": 0, "n_hidden": 256}), **_PUBLISHED_MESSAGES, **_TRAJECTORIES},
    ),
}


def published(name: str, task: str = "states", **changes: Any) -> Any:
    """Return a network as the paper describes it, read literally, not fitted.

    Perceptrons have two layers with batch normalisation on their output, and nothing is penalised or augmented. The
    edge encoder does not know neurons by an embedding, and messages are summed without normalisation or residual. For
    states, batch normalisation ends with the statistics of all training frames under the weights that are kept, and
    hidden features of neurons are averaged over a worm's frames before edges are encoded. Trajectories are predicted
    without a linear map or centring, with scheduled sampling until epoch 300 of 800.

    Parameters
    ----------
    name : {"mlp", "gnn", "node-mlp"}
        Network; ``"node-mlp"`` predicts trajectories only.
    task : {"states", "trajectories"}, default="states"
        What it predicts.
    **changes
        Parameters in place of the paper's, such as ``random_state=0`` or ``messages__residual=True``.

    Returns
    -------
    estimator
        An estimator of skworm.

    Raises
    ------
    ValueError
        If the paper has no such network.

    References
    ----------
    Wang et al. 2021, "Model" and Supplementary Information, "Model Implementation".

    Examples
    --------
    >>> from skworm.paper import published
    >>> published("gnn", random_state=0).messages
    Messages(normalization=None, residual=False)
    """
    if (task, name) not in _PUBLISHED:
        known = [f"{name!r} for {task}" for task, name in _PUBLISHED]
        raise ValueError(f"the paper has no network {name!r} for {task!r}; choose {', '.join(known)}")
    return _PUBLISHED[task, name].make().set_params(**changes)


_MLP, _GNN = "skworm:MLPStateClassifier", "skworm:GNNStateClassifier"
_PLAIN = {"augmentation": None}
_MESSAGES = {"messages": Spec("skworm:Messages")}
_PARTS = {"graph": Spec(_INFERRED), **_MESSAGES}


def _as_published(name: str, task: str) -> Spec:
    return Spec("skworm.paper.models:published", {"name": name, "task": task})


_STATE_MODELS = (
    Model(
        "diffusion-map",
        "Asymmetric diffusion map",
        Spec("skworm.paper.models:diffusion_map_classifier"),
        takes=(),
        in_table_1="diffusion-map",
    ),
    Model("svm", "SVM", Spec("skworm:SVMStateClassifier"), takes=("device",), in_table_1="svm"),
    Model("mlp", "MLP", Spec(_MLP), in_table_1="mlp"),
    Model("mlp-published", "MLP, as published", _as_published("mlp", "states"), in_table_1="mlp"),
    Model(
        "gnn-connectome",
        "GNN (connectome)",
        Spec(_GNN, {"messages": Spec("skworm:Messages")}),
        in_table_1="gnn-connectome",
        on_connectome=True,
    ),
    Model("gnn", "GNN", Spec(_GNN, _PARTS), in_table_1="gnn"),
    Model("gnn-published", "GNN, as published", _as_published("gnn", "states"), in_table_1="gnn"),
    Model("gnn-dynamic", "GNN, dynamic edges", Spec(_GNN, {"graph": Spec(_INFERRED, {"per": "frame"})})),
    Model("gnn-free", "GNN, free graph", Spec(_GNN, {"graph": "learned"})),
    Model("mlp-plain", "MLP, no virtual worms", Spec(_MLP, _PLAIN)),
    Model("gnn-plain", "GNN, no virtual worms", Spec(_GNN, {**_PARTS, **_PLAIN})),
)
STATE_MODELS: Mapping[str, Model] = {model.name: model for model in _STATE_MODELS}
"""Every state classifier that can be compared, in the order of a table."""

_MLP, _NODE, _GNN = (f"skworm:{name}TrajectoryRegressor" for name in ("MLP", "NodeMLP", "GNN"))
_LINEAR = "skworm:LinearTrajectoryRegressor"
_STATIC = Spec(_INFERRED, {"per": "worm"})

_TRAJECTORY_MODELS = (
    Model("linear-uncentred", "Linear, worms not centred", Spec(_LINEAR, {"center": "population"}), (), MARKOVIAN),
    Model("linear-direct", "Linear, one map for each step", Spec(_LINEAR, {"strategy": "direct"}), (), MARKOVIAN),
    Model("mlp", "MLP", Spec(_MLP), burn_in=MARKOVIAN),
    Model("node-mlp", "Node MLP", Spec(_NODE), burn_in=MARKOVIAN),
    Model("gnn", "GNN", Spec(_GNN), burn_in=MARKOVIAN),
    Model("gnn-static", "GNN, static edges", Spec(_GNN, {"graph": _STATIC}), burn_in=MARKOVIAN),
    Model("mlp-plain", "MLP, no virtual worms", Spec(_MLP, _PLAIN), burn_in=MARKOVIAN),
    Model("mlp-uncentred", "MLP, worms not centred", Spec(_MLP, {"center": "population"}), burn_in=MARKOVIAN),
    Model("mlp-published", "MLP, as published", _as_published("mlp", "trajectories"), burn_in=MARKOVIAN),
    Model("node-mlp-published", "Node MLP, as published", _as_published("node-mlp", "trajectories"), burn_in=MARKOVIAN),
    Model("gnn-published", "GNN, as published", _as_published("gnn", "trajectories"), burn_in=MARKOVIAN),
    Model("mlp-lags", "MLP, 4 frames side by side", Spec(_MLP), burn_in=RECURRENT),
    Model("mlp-lstm", "MLP, LSTM", Spec(_MLP, {"memory": "lstm"}), burn_in=RECURRENT),
    Model("node-mlp-lstm", "Node MLP, LSTM", Spec(_NODE, {"memory": "lstm"}), burn_in=RECURRENT),
    Model("gnn-gated", "GNN, gated memory", Spec(_GNN, {"memory": "gated"}), burn_in=RECURRENT),
)
TRAJECTORY_MODELS: Mapping[str, Model] = {model.name: model for model in _TRAJECTORY_MODELS}
"""Every trajectory regressor that can be compared, in the order of a table."""

BASELINE_LABELS: Mapping[str, str] = {
    "clock": "Clock",
    "majority": "Majority",
    "persistence": "Persistence",
    "mean": "Training mean",
    "linear": "Linear",
}
"""What tables call the baselines of :func:`~skworm.model_selection.cross_validate_worms`."""


def diffusion_map_classifier() -> Any:
    """Return nearest neighbours in the coordinates of an asymmetric diffusion map, not fitted."""
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline

    from skworm.estimators.manifold import AsymmetricDiffusionMap

    return make_pipeline(AsymmetricDiffusionMap(n_components=16), KNeighborsClassifier(20))


def scaled_graph(weights: np.ndarray, neurons: Sequence[str]) -> pd.DataFrame:
    """Name the neurons of a matrix [pre, post], and scale it to :data:`MEAN_WEIGHT` unless it has no edges."""
    import pandas as pd

    total = weights.sum()
    scaled = weights * (MEAN_WEIGHT * weights.size / total) if total > 0 else weights
    return pd.DataFrame(scaled, index=pd.Index(neurons, name="pre"), columns=pd.Index(neurons, name="post"))


def connectome_graph(neurons: Sequence[str], source: str = "white1986") -> pd.DataFrame:
    """Return chemical synapses and gap junctions between the neurons, weighted, without self edges.

    ``"VB1"`` and ``"VB01"`` are the same neuron, and the graph names it as `neurons` does.
    """
    from skworm.datasets import load_connectome

    return scaled_graph(load_connectome(source, neurons, kind="both", self_loops=False).to_numpy(), neurons)


def given_graphs(neurons: Sequence[str], seeds: Sequence[int]) -> dict[str, pd.DataFrame]:
    """Return the graphs that are given to a network in place of an inferred one, all with the same sum of weights."""
    import numpy as np

    from skworm.inspection.graphs import rewire

    shape = (len(neurons), len(neurons))
    connectome = connectome_graph(neurons)
    graphs = {"identity": scaled_graph(np.eye(len(neurons)), neurons)}
    graphs["uniform graph"] = scaled_graph(np.ones(shape), neurons)
    for seed in seeds:
        graphs[f"random graph {seed}"] = scaled_graph(np.random.RandomState(seed).random_sample(shape), neurons)
    graphs["connectome"] = connectome
    for seed in seeds:
        shuffled = rewire(connectome.to_numpy(), np.ones(shape, dtype=bool), np.random.RandomState(seed))
        graphs[f"shuffled connectome {seed}"] = scaled_graph(shuffled, neurons)
    return graphs


def silent_neurons(graph: pd.DataFrame) -> list[str]:
    """Return the neurons that no edge leads to."""
    return [str(name) for name, receives in (graph != 0).any(axis=0).items() if not receives]
