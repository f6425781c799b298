"""What every neural estimator shares: training parameters, columns, graphs between neurons, frames in and out."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skworm.frames.index import (
    frame_settings,
    parse_column_names,
    parse_context_feature_names,
    validate_like_training,
    window_of_rows,
    worm_of_rows,
)
from skworm.nn import (
    DynamicGraph,
    EdgeEncoder,
    FixedGraph,
    FreeGraph,
    GNNFrameModule,
    GraphConvolution,
    Groups,
    MessagePassing,
    MLPFrameModule,
    StaticGraph,
)
from skworm.nn.graphs import Graph
from skworm.nn.messages import CONVOLUTIONS, HEADED
from skworm.nn.readouts import Readout
from skworm.training import (
    Batch,
    Draws,
    Preparation,
    TrainingJob,
    TrainingSettings,
    VirtualWorms,
    held_out_windows,
    net_trained_beforehand,
    one_thread,
    resolve_device,
    seeded,
    train,
)


class NeuralEstimator(BaseEstimator):
    """A torch module over neurons and their features, trained through skorch."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_hidden": [Interval(Integral, 1, None, closed="left")],
        "n_layers": [Interval(Integral, 1, None, closed="left")],
        "batch_norm": [StrOptions({"auto", "output", "before_activation"}), None],
        "augmentation": [VirtualWorms, None],
        "n_node_features": [Interval(Integral, 1, None, closed="left"), None],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "learning_rate_factor": [Interval(Real, 0, 1, closed="neither")],
        "learning_rate_patience": [Interval(Integral, 0, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "window": [Interval(Integral, 1, None, closed="left")],
        "device": [StrOptions({"auto", "cpu", "cuda"})],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    _decayed = "readout.*"

    def __init__(
        self,
        *,
        n_hidden: int,
        n_layers: int,
        batch_norm: str | None,
        augmentation: Any,
        n_node_features: int | None,
        max_epochs: int,
        learning_rate: float,
        weight_decay: float | str,
        learning_rate_factor: float,
        learning_rate_patience: int,
        validation_fraction: float,
        window: int,
        device: str,
        random_state: int | np.random.RandomState | None,
        verbose: int,
    ) -> None:
        self.n_hidden = n_hidden
        self.n_layers = n_layers
        self.batch_norm = batch_norm
        self.augmentation = augmentation
        self.n_node_features = n_node_features
        self.max_epochs = max_epochs
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.learning_rate_factor = learning_rate_factor
        self.learning_rate_patience = learning_rate_patience
        self.validation_fraction = validation_fraction
        self.window = window
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _name_columns(self, columns: Iterable[Any] | None, n_columns: int) -> None:
        """Set neurons and node features from the columns of a frame, or number them where it has no such names."""
        names = None if columns is None else parse_column_names(columns)
        if names is not None:
            self.neurons_, self.node_features_ = names
            if self.n_node_features not in (None, len(self.node_features_)):
                raise ValueError(
                    f"n_node_features={self.n_node_features}, but the columns of X name "
                    f"{len(self.node_features_)}: {self.node_features_}; leave n_node_features=None"
                )
            return
        n_node_features = self.n_node_features or 1
        if n_columns % n_node_features:
            raise ValueError(
                f"X has {n_columns} columns, not a multiple of n_node_features={n_node_features}; columns "
                "are neuron-major, n_node_features a neuron"
            )
        self.neurons_ = [str(neuron) for neuron in range(n_columns // n_node_features)]
        self.node_features_ = [str(feature) for feature in range(n_node_features)]

    def fit(self, X: Any, y: Any, worm: Any = None) -> NeuralEstimator:
        """Train the module; see the estimators."""
        job = self.training_job(X, y, worm)
        net = net_trained_beforehand(job)
        return self.take_training(job, train(job) if net is None else net)

    def training_job(self, X: Any, y: Any, worm: Any = None) -> TrainingJob:
        """Make all of a fit that precedes training, so that many can be trained together.

        Parameters
        ----------
        X, y, worm
            As `fit` takes them.

        Returns
        -------
        TrainingJob
            What :func:`skworm.training.train` trains; :meth:`take_training` ends the fit.
        """
        raise NotImplementedError

    def take_training(self, job: TrainingJob, net: Any) -> NeuralEstimator:
        """Make all of a fit that follows training.

        Parameters
        ----------
        job : TrainingJob
            What :meth:`training_job` returned.
        net : skorch.NeuralNet
            The trained net.

        Returns
        -------
        self
            The fitted estimator.
        """
        self.net_ = net
        # In single precision a row's prediction would depend, if slightly, on the rows that come with it.
        net.module_.double()
        self.n_iter_ = len(net.history)
        self.best_epoch_ = dict(net.callbacks_)["best_epoch"].best_epoch_
        self._after_training(job.X, job.group if self._has_worms else None)
        return self

    def _job(
        self,
        X: np.ndarray,
        group: np.ndarray,
        targets: np.ndarray,
        held_out: np.ndarray,
        seed: int,
        prepare: Preparation | None,
    ) -> TrainingJob:
        settings = self._settings(resolve_device(self.device), seed, int(self.verbose))
        with seeded(seed, settings.device):
            module = self._build_module()
        return TrainingJob(module, self._loss, X, group, targets, held_out, settings, prepare)

    def _settings(self, device: str, seed: int, verbose: int) -> TrainingSettings:
        return TrainingSettings(
            max_epochs=self.max_epochs,
            learning_rate=self.learning_rate,
            weight_decay=self._weight_decay(),
            decayed=self._decayed,
            learning_rate_factor=self.learning_rate_factor,
            learning_rate_patience=self.learning_rate_patience,
            device=device,
            seed=seed,
            verbose=verbose,
        )

    @property
    def _loss(self) -> type[nn.Module]:
        """Take outputs of the module and targets; what training minimises."""
        raise NotImplementedError

    def _build_module(self) -> nn.Module:
        raise NotImplementedError

    def _after_training(self, X: np.ndarray, group: np.ndarray | None) -> None:
        """Keep what follows from the training rows; `group` is None where they name no worms."""

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.tensor(array, device=self.net_.device)

    def _virtual_worms(self) -> VirtualWorms | None:
        return self.augmentation

    def _weight_decay(self) -> float:
        if self.weight_decay == "auto":
            return 0.01 if self._virtual_worms() is None else 0.0
        return float(self.weight_decay)

    def _batch_norm(self) -> str | None:
        if self.batch_norm == "auto":
            return None if self._virtual_worms() is None else "output"
        return self.batch_norm


class GraphEstimator(NeuralEstimator):
    """A neural estimator whose module passes messages along a graph, as ``module.messages``."""

    _graph_constraints: ClassVar[dict[str, list[Any]]] = {
        "edges": [StrOptions({"static", "dynamic", "free"})],
        "graph": [pd.DataFrame, None],
        "convolution": [StrOptions(set(CONVOLUTIONS)), None],
        "n_heads": [Interval(Integral, 1, None, closed="left")],
        "static_average": [StrOptions({"node_features", "hidden_neurons", "hidden_edges", "edge_weights"})],
        "edge_aggregation": [StrOptions({"concatenate", "sum"})],
        "edge_temperature": [Interval(Real, 0, None, closed="neither")],
        "neuron_embedding": [Interval(Integral, 0, None, closed="left")],
        "encoder_batch_norm": ["boolean"],
        "self_edges": ["boolean"],
        "message_normalization": [StrOptions({"row", "mean"}), None],
        "residual": ["boolean"],
        "n_message_steps": [Interval(Integral, 1, None, closed="left")],
    }

    edges: str
    graph: pd.DataFrame | None
    convolution: str | None
    n_heads: int
    static_average: str
    edge_aggregation: str
    edge_temperature: float
    neuron_embedding: int
    encoder_batch_norm: bool
    self_edges: bool
    message_normalization: str | None
    residual: bool
    n_message_steps: int

    @property
    def has_static_graph(self) -> bool:
        """Whether all frames of a worm have one graph; else ``graphs_`` averages a graph of every frame."""
        check_is_fitted(self)
        return self.net_.module_.messages.takes_group_graphs

    def infer_graphs(self, X: Any, group: Any = None, worm: Any = None) -> dict[Any, pd.DataFrame]:
        """Infer the graph of each group of rows, from these rows alone.

        Static edges are inferred from the rows of a group together, as `predict` does for a worm that was not in
        training; the graphs that `predict` uses for training worms are ``graphs_``. Dynamic edges are averaged over the
        rows of a group.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows as `predict` takes them.
        group : array-like of shape (n_rows,), optional
            Group of each row; by default its worm, or one group, 0, where rows name no worm.
        worm : array-like of shape (n_rows,), optional
            Worm of each row; by default the index level ``"worm"`` of `X`.

        Returns
        -------
        dict of DataFrame
            Graph of each group, of shape (n_neurons, n_neurons): weight from the neuron of the row (pre) to that of the
            column (post).

        Raises
        ------
        ValueError
            If `group` does not fit `X`.
        """
        check_is_fitted(self)
        rows = self._rows_for_graphs(X, worm)
        labels = worm_of_rows(X, worm) if group is None else np.asarray(group)
        labels = np.zeros(len(rows), dtype=int) if labels is None else labels
        if labels.shape != (len(rows),):
            raise ValueError(f"group has shape {labels.shape}, but X has {len(rows)} rows; pass one label a row")
        names, codes = np.unique(labels, return_inverse=True)
        graphs = self._infer(rows, Groups(self._tensor(codes), len(names)))
        return {name: self._labelled(graph) for name, graph in zip(names.tolist(), graphs, strict=True)}

    def _rows_for_graphs(self, X: Any, worm: Any) -> Tensor:
        """Give rows as the module takes them."""
        raise NotImplementedError

    def _build_messages(self, n_node_features: int, n_hidden: int) -> MessagePassing | GraphConvolution:
        if self.convolution is not None:
            return self._build_convolution(self.convolution, n_node_features, n_hidden)
        return MessagePassing(
            self._build_graph(n_node_features, n_hidden),
            self_edges=self.self_edges,
            message_normalization=self.message_normalization,
            residual=self.residual,
            n_message_steps=self.n_message_steps,
        )

    def _build_convolution(self, name: str, n_node_features: int, n_hidden: int) -> GraphConvolution:
        if self.n_message_steps != 1:
            raise ValueError(
                f"n_message_steps={self.n_message_steps}, but convolution={name!r} passes messages once; leave "
                "n_message_steps=1, or leave convolution=None"
            )
        heads = {"n_heads": self.n_heads} if name in HEADED else {}
        n_neurons = len(self.neurons_)
        adjacency = torch.ones(n_neurons, n_neurons) if self.graph is None else self._receiving(self.graph)
        return GraphConvolution(CONVOLUTIONS[name](n_node_features, n_hidden, **heads), adjacency)

    def _n_received(self, n_node_features: int, n_hidden: int) -> int:
        """Tell how many features a neuron has after messages."""
        if self.convolution is None:
            return n_node_features
        return n_hidden * self.n_heads if self.convolution in HEADED else n_hidden

    def _receiving(self, graph: pd.DataFrame) -> Tensor:
        return torch.tensor(self._aligned(graph).to_numpy().T, dtype=torch.get_default_dtype())

    def _build_graph(self, n_node_features: int, n_hidden: int) -> Graph:
        if self.graph is not None:
            return FixedGraph(self._receiving(self.graph))
        if self.edges == "free":
            return FreeGraph(len(self.neurons_), self.edge_temperature)
        encoder = EdgeEncoder(
            len(self.neurons_),
            n_node_features,
            n_hidden=n_hidden,
            neuron_embedding=self.neuron_embedding,
            edge_aggregation=self.edge_aggregation,
            temperature=self.edge_temperature,
            batch_norm=self.encoder_batch_norm,
        )
        return DynamicGraph(encoder) if self.edges == "dynamic" else StaticGraph(encoder, self.static_average)

    def _aligned(self, graph: pd.DataFrame) -> pd.DataFrame:
        missing = [name for name in self.neurons_ if name not in graph.index or name not in graph.columns]
        if missing:
            raise ValueError(
                f"graph has no row or no column for neurons {missing}; it needs one of each for every neuron of X, "
                "named as in the columns of X ('AVAL:trace')"
            )
        aligned = graph.loc[self.neurons_, self.neurons_]
        if aligned.shape != (len(self.neurons_), len(self.neurons_)):
            raise ValueError("graph names a neuron more than once; give each neuron one row and one column")
        if not np.isfinite(aligned.to_numpy(dtype=float)).all():
            raise ValueError(
                "graph holds NaN or infinite weights between the neurons of X; NaN is unknown, which is not 0: leave "
                "out neurons, or decide what an unknown weight counts as, and fill it in with graph.fillna(...)"
            )
        return aligned

    def _keep_graphs(self, X: Tensor, group: np.ndarray | None) -> None:
        """Set ``graph_`` from all training rows and ``graphs_`` from those of each worm."""
        self.graph_ = self._labelled(self._infer(X, Groups.one(len(X), X.device))[0])
        self.graphs_ = {}
        if group is not None:
            graphs = self._infer(X, Groups(torch.as_tensor(group, device=X.device), len(self.worms_)))
            self.graphs_ = {worm: self._labelled(graph) for worm, graph in zip(self.worms_, graphs, strict=True)}

    def _graphs_of_rows(self, X: Tensor, worms: np.ndarray | None) -> tuple[Tensor, Groups]:
        """Tell the graphs of some rows, and which of them each row has.

        A training worm has the graph that was kept, a new worm one that is inferred from its rows, and rows without a
        worm that of all training rows.
        """
        if worms is None:
            graphs = [self.graph_]
            codes = np.zeros(len(X), dtype=int)
        else:
            names, codes = np.unique(worms, return_inverse=True)
            graphs = [self._graph_of(name, X, codes == code) for code, name in enumerate(names)]
        # Between neurons that were never there together nothing was inferred, and nothing is sent.
        stacked = self._tensor(np.nan_to_num(np.stack([graph.to_numpy().T for graph in graphs])))
        return stacked, Groups(self._tensor(codes), len(graphs))

    def _graph_of(self, worm: Any, X: Tensor, rows: np.ndarray) -> pd.DataFrame:
        if worm in self.graphs_:
            return self.graphs_[worm]
        frames = X[self._tensor(rows)]
        return self._labelled(self._infer(frames, Groups.one(len(frames), X.device))[0])

    def _infer(self, X: Tensor, group: Groups) -> Tensor:
        module = self.net_.module_
        module.eval()
        with one_thread(), torch.inference_mode():
            return module.group_graphs(X, group)

    def _labelled(self, weights: Tensor) -> pd.DataFrame:
        pre = pd.Index(self.neurons_, name="pre")
        return pd.DataFrame(weights.T.cpu().numpy(), index=pre, columns=pre.rename("post"))


_FRAMES_A_CHUNK = 4096


@dataclass(frozen=True)
class _VirtualFrames:
    """Every epoch's frames are those of virtual worms."""

    augmentation: VirtualWorms
    signals: tuple[str, ...]

    @property
    def structure(self) -> Hashable:
        return self.augmentation.structure, self.signals

    @property
    def keeps_neurons(self) -> bool:
        return not self.augmentation.neuron_dropout

    def n_groups(self, n_groups: int) -> int:
        return n_groups * self.augmentation.n_groups

    def draw(self, epoch: int, n_samples: int, n_features: int, generator: torch.Generator) -> Draws:
        return self.augmentation.draw(n_samples, n_features, generator, len(self.signals), self.signals)

    def __call__(self, X: Tensor, group: Tensor, y: Tensor, **drawn: Tensor) -> Batch:
        frames, worms = self.augmentation.apply(X, group, **drawn)
        return {"X": frames, "group": worms}, y


class FrameEstimator(NeuralEstimator):
    """A torch module that maps frames to outputs, by default a perceptron, trained through skorch."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NeuralEstimator._parameter_constraints,
        "aggregation": [StrOptions({"concatenate", "sum", "mean", "attention"})],
    }
    _takes_missing_neurons = False

    def __init__(
        self,
        *,
        aggregation: str = "concatenate",
        n_hidden: int = 16,
        n_layers: int = 1,
        batch_norm: str | None = "auto",
        augmentation: VirtualWorms | None = None,
        n_node_features: int | None = None,
        max_epochs: int = 800,
        learning_rate: float = 1e-3,
        weight_decay: float | str = 0.0,
        learning_rate_factor: float = 0.25,
        learning_rate_patience: int = 50,
        validation_fraction: float = 0.1,
        window: int = 8,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            n_hidden=n_hidden,
            n_layers=n_layers,
            batch_norm=batch_norm,
            augmentation=augmentation,
            n_node_features=n_node_features,
            max_epochs=max_epochs,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            learning_rate_factor=learning_rate_factor,
            learning_rate_patience=learning_rate_patience,
            validation_fraction=validation_fraction,
            window=window,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
        self.aggregation = aggregation

    @property
    def _n_outputs(self) -> int:
        """Outputs a frame."""
        raise NotImplementedError

    def _check_parameters(self) -> None:
        self._validate_params()
        if self.augmentation is not None:
            self.augmentation.check()
            if self.augmentation.neuron_dropout and not self._takes_missing_neurons:
                raise ValueError(
                    f"VirtualWorms: neuron_dropout={self.augmentation.neuron_dropout}, but {type(self).__name__} needs "
                    "every neuron in every frame; leave neuron_dropout=0"
                )

    def _job_of_frames(
        self, X: Any, frames: np.ndarray, targets: np.ndarray, known: np.ndarray, worm: Any
    ) -> TrainingJob:
        """Make the job of the frames that are known, with the targets of these; worms and windows are those of `X`."""
        self.frame_settings_ = frame_settings(X)
        worms = worm_of_rows(X, worm)
        self._has_worms = worms is not None
        population = np.zeros(len(frames), dtype=int) if worms is None else worms
        self.worms_, group = np.unique(population[known], return_inverse=True)
        window = window_of_rows(X, population, self.window)[known]
        random_state = check_random_state(self.random_state)
        seed = random_state.randint(np.iinfo(np.int32).max)
        held_out = held_out_windows(group, window, self.validation_fraction, random_state)
        signals, _ = parse_context_feature_names(self.node_features_)
        prepare = None if self.augmentation is None else _VirtualFrames(self.augmentation, tuple(signals))
        frames = self._frames_to_train(frames[known], ~held_out)
        return self._job(frames, group, targets, held_out, seed, prepare)

    def _frames_to_train(self, frames: np.ndarray, trained_on: np.ndarray) -> np.ndarray:
        """Give known frames as the module takes them; those that are not `trained_on` judge the epochs."""
        return frames

    def _frames_to_predict(self, X: Any, worm: Any) -> np.ndarray:
        """Check frames, and give them as the module takes them."""
        return validate_like_training(self, X, dtype=np.float64)

    def _outputs(self, X: Any, worm: Any) -> Tensor:
        """Check frames, and apply the module to them."""
        frames = self._frames_to_predict(X, worm)
        self.net_.module_.eval()
        with one_thread(), torch.inference_mode():
            return self._forward(self._tensor(frames), worm_of_rows(X, worm))

    def _forward(self, X: Tensor, worms: np.ndarray | None) -> Tensor:
        return self._forward_in_chunks(X, Groups.one(len(X), X.device))

    def _forward_in_chunks(self, X: Tensor, group: Groups, **others: Tensor) -> Tensor:
        module = self.net_.module_
        chunks = zip(X.split(_FRAMES_A_CHUNK), group.index.split(_FRAMES_A_CHUNK), strict=True)
        return torch.cat([module(part, Groups(index, group.n_groups), **others) for part, index in chunks])

    def _build_module(self) -> nn.Module:
        shape = len(self.neurons_), len(self.node_features_)
        return MLPFrameModule(*shape, self._readout(shape[1]))

    def _readout(self, n_features: int) -> Readout:
        return Readout(
            len(self.neurons_),
            n_features,
            self._n_outputs,
            n_hidden=self.n_hidden,
            n_layers=self.n_layers,
            batch_norm=self._batch_norm(),
            aggregation=self.aggregation,
            fill_missing=self._takes_missing_neurons,
        )


class GraphFrameEstimator(FrameEstimator, GraphEstimator):
    """A frame estimator that passes messages along a graph before it reads the frame out."""

    def _build_module(self) -> nn.Module:
        shape = len(self.neurons_), len(self.node_features_)
        messages = self._build_messages(shape[1], self.n_hidden)
        return GNNFrameModule(*shape, messages, self._readout(self._n_received(shape[1], self.n_hidden)))

    def _after_training(self, X: np.ndarray, group: np.ndarray | None) -> None:
        self._keep_graphs(self._tensor(X.astype(np.float64)), group)

    def _rows_for_graphs(self, X: Any, worm: Any) -> Tensor:
        return self._tensor(self._frames_to_predict(X, worm))

    def _forward(self, X: Tensor, worms: np.ndarray | None) -> Tensor:
        if not self.net_.module_.messages.takes_group_graphs:
            return super()._forward(X, worms)
        graphs, rows = self._graphs_of_rows(X, worms)
        return self._forward_in_chunks(X, rows, graphs=graphs)
