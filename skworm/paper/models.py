"""The models that commands and experiments know by name, and the graphs that networks are given.

Nothing heavy is imported before a model is made, so that a command line can list names at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import skworm

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MARKOVIAN, RECURRENT = 1, 4
"""Frames that trajectory networks observe, without and with a memory."""

MEAN_WEIGHT = 0.5
"""Mean weight of a given graph over all pairs of neurons, where an untrained edge encoder starts."""

_SETTINGS = ("max_epochs", "device", "random_state")
"""Parameters that commands pass to every model."""


@dataclass(frozen=True)
class Model:
    """A model that commands know by name."""

    name: str  # What a command line and a table call it
    label: str
    build: Callable[[], Any]  # Makes it, not fitted
    burn_in: int = 0  # Frames that a trajectory regressor observes; 0 for a state classifier
    on_connectome: bool = False  # Whether it is given the connectome as its graph

    def make(self, neurons: Sequence[str] = (), **parameters: Any) -> Any:
        """Make the model, not fitted; a setting that it has not, or that is None, is left out."""
        made = self.build()
        known = made.get_params(deep=False)
        given = {
            key: value
            for key, value in parameters.items()
            if key not in _SETTINGS or (key in known and value is not None)
        }
        if self.on_connectome:
            given.setdefault("graph", connectome_graph(neurons))
        return made.set_params(**given)


def published(name: str, task: str = "states", **changes: Any) -> Any:
    """Return a network as the paper describes it, read literally, not fitted.

    Perceptrons have two layers, with batch normalisation on their output except in the edge encoder of trajectories,
    and nothing is penalised or augmented. The edge encoder does not know neurons by an embedding, and messages are
    summed without normalisation or residual. For states, batch normalisation ends with the statistics of all training
    frames under the weights that are kept, and hidden features of neurons are averaged over a worm's frames before
    edges are encoded. Trajectories are predicted without a linear map or centring, with scheduled sampling until epoch
    300 of 800 (the paper: "300 timesteps").

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
    shared: dict[str, Any] = {"readout": skworm.Readout(n_layers=2, batch_norm="output"), "augmentation": None}
    shared |= {"max_epochs": 800, "learning_rate": 1e-3}
    messages = skworm.Messages(normalization=None, residual=False)
    if task == "states":
        shared["weight_decay"] = 0.0
    else:
        rollout = skworm.Rollout(random_start=False, scheduled_sampling_end=300, clip_margin=None)
        shared |= {"linear": False, "center": "population", "rollout": rollout}
    match task, name:
        case "states", "mlp":
            network: Any = skworm.MLPStateClassifier(**shared)
        case "states", "gnn":
            graph = skworm.InferredGraph(average="hidden_neurons", embedding=0, batch_norm=True)
            network = skworm.GNNStateClassifier(graph=graph, messages=messages, **shared)
        case "trajectories", "mlp":
            network = skworm.MLPTrajectoryRegressor(**shared)
        case "trajectories", "node-mlp":
            network = skworm.NodeMLPTrajectoryRegressor(**shared)
        case "trajectories", "gnn":
            graph = skworm.InferredGraph(embedding=0, n_hidden=256)
            network = skworm.GNNTrajectoryRegressor(graph=graph, messages=messages, **shared)
        case _:
            known = "'mlp' or 'gnn' for states, 'mlp', 'node-mlp' or 'gnn' for trajectories"
            raise ValueError(f"the paper has no network {name!r} for {task!r}; choose {known}")
    return network.set_params(**changes)


def diffusion_map_classifier() -> Any:
    """Return nearest neighbours in the coordinates of an asymmetric diffusion map, not fitted."""
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline

    from skworm.estimators.manifold import AsymmetricDiffusionMap

    return make_pipeline(AsymmetricDiffusionMap(n_components=16), KNeighborsClassifier(20))


def _gnn(**parameters: Any) -> Any:
    """Return the GNN of Table 1, whose parts are objects, so that what they are made of can be set."""
    return skworm.GNNStateClassifier(graph=skworm.InferredGraph(), messages=skworm.Messages(), **parameters)


_STATE_MODELS = (
    Model("diffusion-map", "Asymmetric diffusion map", diffusion_map_classifier),
    Model("svm", "SVM", lambda: skworm.SVMStateClassifier()),
    Model("mlp", "MLP", lambda: skworm.MLPStateClassifier()),
    Model("mlp-published", "MLP, as published", lambda: published("mlp")),
    Model(
        "gnn-connectome",
        "GNN (connectome)",
        lambda: skworm.GNNStateClassifier(messages=skworm.Messages()),
        on_connectome=True,
    ),
    Model("gnn", "GNN", _gnn),
    Model("gnn-published", "GNN, as published", lambda: published("gnn")),
    Model(
        "gnn-dynamic", "GNN, dynamic edges", lambda: skworm.GNNStateClassifier(graph=skworm.InferredGraph(per="frame"))
    ),
    Model("gnn-free", "GNN, free graph", lambda: skworm.GNNStateClassifier(graph="learned")),
    Model("mlp-plain", "MLP, no virtual worms", lambda: skworm.MLPStateClassifier(augmentation=None)),
    Model("gnn-plain", "GNN, no virtual worms", lambda: _gnn(augmentation=None)),
)
STATE_MODELS: Mapping[str, Model] = {model.name: model for model in _STATE_MODELS}
"""Every state classifier that can be compared, in the order of a table."""


def _regressor(kind: str, **parameters: Any) -> Callable[[], Any]:
    return lambda: getattr(skworm, f"{kind}TrajectoryRegressor")(**parameters)


def _published(name: str) -> Callable[[], Any]:
    return lambda: published(name, "trajectories")


_TRAJECTORY_MODELS = (
    Model(
        "linear-uncentred", "Linear, worms not centred", _regressor("Linear", center="population"), burn_in=MARKOVIAN
    ),
    Model("linear-direct", "Linear, one map for each step", _regressor("Linear", strategy="direct"), burn_in=MARKOVIAN),
    Model("mlp", "MLP", _regressor("MLP"), burn_in=MARKOVIAN),
    Model("node-mlp", "Node MLP", _regressor("NodeMLP"), burn_in=MARKOVIAN),
    Model("gnn", "GNN", _regressor("GNN"), burn_in=MARKOVIAN),
    Model(
        "gnn-static",
        "GNN, static edges",
        lambda: skworm.GNNTrajectoryRegressor(graph=skworm.InferredGraph(per="worm")),
        burn_in=MARKOVIAN,
    ),
    Model("mlp-plain", "MLP, no virtual worms", _regressor("MLP", augmentation=None), burn_in=MARKOVIAN),
    Model("mlp-uncentred", "MLP, worms not centred", _regressor("MLP", center="population"), burn_in=MARKOVIAN),
    Model("mlp-published", "MLP, as published", _published("mlp"), burn_in=MARKOVIAN),
    Model("node-mlp-published", "Node MLP, as published", _published("node-mlp"), burn_in=MARKOVIAN),
    Model("gnn-published", "GNN, as published", _published("gnn"), burn_in=MARKOVIAN),
    Model("mlp-lags", "MLP, 4 frames side by side", _regressor("MLP"), burn_in=RECURRENT),
    Model("mlp-lstm", "MLP, LSTM", _regressor("MLP", memory="lstm"), burn_in=RECURRENT),
    Model("node-mlp-lstm", "Node MLP, LSTM", _regressor("NodeMLP", memory="lstm"), burn_in=RECURRENT),
    Model("gnn-gated", "GNN, gated memory", _regressor("GNN", memory="gated"), burn_in=RECURRENT),
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


def scaled_graph(weights: np.ndarray, neurons: Sequence[str]) -> pd.DataFrame:
    """Name the neurons of a matrix [pre, post], and scale it to :data:`MEAN_WEIGHT` unless it has no edges."""
    import pandas as pd

    total = weights.sum()
    scaled = weights * (MEAN_WEIGHT * weights.size / total) if total > 0 else weights
    return pd.DataFrame(scaled, index=pd.Index(neurons, name="pre"), columns=pd.Index(neurons, name="post"))


def connectome_graph(neurons: Sequence[str]) -> pd.DataFrame:
    """Return synapses and gap junctions of White et al. 1986 between the neurons, weighted, without self edges.

    ``"VB1"`` and ``"VB01"`` are the same neuron, and the graph names it as `neurons` does.
    """
    from skworm.datasets import load_connectome

    return scaled_graph(load_connectome("white1986", neurons).to_numpy(), neurons)


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
