"""What every neural estimator shares: training parameters, columns, graphs between neurons, frames in and out."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted
from torch import Tensor, nn

from skworm.estimators.parts import (
    GRAPHS,
    MESSAGES,
    Convolution,
    InferredGraph,
    LearnedGraph,
    Messages,
    Readout,
    all_pairs,
)
from skworm.frames.index import (
    frame_settings,
    parse_column_names,
    parse_context_feature_names,
    validate_like_training,
    warn_unnamed,
    window_of_rows,
    worm_of_rows,
)
from skworm.nn import (
    FixedGraph,
    GNNFrameModule,
    GraphConvolution,
    Groups,
    MessagePassing,
    MLPFrameModule,
    ReadoutModule,
)
from skworm.parameters import resolved
from skworm.training import (
    Batch,
    Draws,
    Preparation,
    TrainingJob,
    TrainingSettings,
    VirtualWorms,
    held_out_windows,
    one_thread,
    outcome_beforehand,
    resolve_device,
    seeded,
    train,
)

VALIDATION_WINDOW = 8
"""Frames of a window that is held out as a whole, as long as the paper's."""
_WEIGHT_DECAY = 0.01
_LEAST_WEIGHT = 0.1


def check_weights(sample_weight: Any, X: Any) -> np.ndarray | None:
    """Return the weights of samples as numbers; raise ValueError if one is negative, or none is greater than 0."""
    if sample_weight is None:
        return None
    weight = _check_sample_weight(sample_weight, X, dtype=np.float32, ensure_non_negative=True)
    if not weight.any():
        raise ValueError("sample_weight is zero for every sample; at least one needs a weight greater than zero")
    return weight


class NeuralEstimator(BaseEstimator):
    """A torch module over neurons and their features, trained through skorch."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_hidden": [Interval(Integral, 1, None, closed="left")],
        "readout": [StrOptions({"concatenate", "sum", "mean", "attention"}), Readout],
        "augmentation": [VirtualWorms, StrOptions({"auto"}), None],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "callbacks": ["array-like", None],
        "device": [StrOptions({"auto", "cpu", "cuda"})],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    _auto_augmentation: ClassVar[VirtualWorms] = VirtualWorms()
    _decayed = "readout.*"
    _graph_per = "worm"
    _words: ClassVar[dict[str, str]] = {
        "rows": "frames",
        "unit": "worm",
        "net_outputs": (
            "probabilities of\n    states (`forward`: what the softmax takes), or signals less ``signal_mean_`` and "
            "divided by ``signal_scale_``"
        ),
        "virtual_worms": "VirtualWorms()",
        "readouts": '{"concatenate", "sum", "mean", "attention"}',
        "decays": 'float or "auto"',
        "decayed": (
            'the readout. ``"auto"`` is 0.01 without augmentation and 0 with it: on real worms either\n'
            "    keeps a model from depending on its training worms, and both together are too much. The edge encoder\n"
            "    of a graph is spared: a penalty on it makes every graph uniform."
        ),
    }
    _takes_missing_neurons = False

    n_hidden: int
    readout: str | Readout
    augmentation: VirtualWorms | str | None
    max_epochs: int
    learning_rate: float
    weight_decay: float | str
    validation_fraction: float
    callbacks: Sequence[Any] | None
    device: str
    random_state: int | np.random.RandomState | None
    verbose: int

    def _set_parameters(self, arguments: Mapping[str, Any]) -> None:
        """Set the parameters of a constructor, whose signature is what scikit-learn reads."""
        for name in signature(type(self)).parameters:
            setattr(self, name, arguments[name])

    def _name_columns(self, columns: Iterable[Any] | None, n_columns: int) -> None:
        """Set neurons and node features from the columns of a frame, or number them where it has no such names."""
        names = None if columns is None else parse_column_names(columns)
        self.neurons_, self.node_features_ = names or ([str(neuron) for neuron in range(n_columns)], ["0"])

    @one_thread()
    def fit(self, X: Any, y: Any, worm: Any = None, sample_weight: Any = None) -> NeuralEstimator:
        """Train the module; see the estimators."""
        job = self.training_job(X, y, worm, sample_weight)
        net = outcome_beforehand(job)
        return self.take_training(job, train(job) if net is None else net)

    def training_job(self, X: Any, y: Any, worm: Any = None, sample_weight: Any = None) -> TrainingJob:
        """Make all of a fit that precedes training, so that many can be trained together.

        Parameters
        ----------
        X, y, worm, sample_weight
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
        weight: np.ndarray | None,
    ) -> TrainingJob:
        settings = self._training_settings(resolve_device(self.device), seed)
        if weight is not None and held_out.any() and weight[held_out].mean() < _LEAST_WEIGHT * weight.mean():
            # Held-out samples that hardly weigh cannot judge an epoch: the training loss does.
            held_out = np.zeros_like(held_out)
        with seeded(seed):
            module = self._build_module()
        return TrainingJob(module, self._loss, X, group, targets, held_out, settings, prepare, weight)

    def _training_settings(self, device: str, seed: int) -> TrainingSettings:
        return TrainingSettings(
            max_epochs=self.max_epochs,
            learning_rate=self.learning_rate,
            weight_decay=self._weight_decay(),
            decayed=self._decayed,
            device=device,
            seed=seed,
            verbose=int(self.verbose),
            callbacks=tuple(self.callbacks or ()),
        )

    def _check_parts(self) -> None:
        """Check parameters, and those of their objects."""
        self._validate_params()
        self._readout_of_neurons()
        augmentation = self._virtual_worms()
        if augmentation is not None:
            augmentation.check()
            if augmentation.neuron_dropout and not self._takes_missing_neurons:
                raise ValueError(
                    f"VirtualWorms: neuron_dropout={augmentation.neuron_dropout}, but {type(self).__name__} needs "
                    f"every neuron in all {self._words['rows']}; leave neuron_dropout=0"
                )

    def _readout_of_neurons(self) -> Readout:
        readout = Readout(self.readout) if isinstance(self.readout, str) else self.readout
        readout.check()
        return readout

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
        return self._auto_augmentation if isinstance(self.augmentation, str) else self.augmentation

    def _weight_decay(self) -> float:
        if self.weight_decay == "auto":
            return _WEIGHT_DECAY if self._virtual_worms() is None else 0.0
        return float(self.weight_decay)

    def _batch_norm(self) -> str | None:
        batch_norm = self._readout_of_neurons().batch_norm
        if batch_norm == "auto":
            return None if self._virtual_worms() is None else "output"
        return batch_norm


class GraphEstimator(NeuralEstimator):
    """A neural estimator whose module passes messages along a graph, as ``module.messages``."""

    _graph_constraints: ClassVar[dict[str, list[Any]]] = {
        "graph": [StrOptions(set(GRAPHS)), InferredGraph, LearnedGraph, pd.DataFrame],
        "messages": [StrOptions(set(MESSAGES)), Messages, Convolution],
    }

    graph: str | InferredGraph | LearnedGraph | pd.DataFrame
    messages: str | Messages | Convolution

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
        """Return rows as the module takes them."""
        raise NotImplementedError

    def _messages(self) -> Any:
        return resolved(self.messages, MESSAGES)

    def _build_messages(self, n_node_features: int) -> MessagePassing | GraphConvolution:
        messages = self._messages()
        n_neurons = len(self.neurons_)
        given = self._receiving(self.graph) if isinstance(self.graph, pd.DataFrame) else None
        if isinstance(messages, Convolution):
            if given is None and not (isinstance(self.graph, str) and self.graph == "auto"):
                raise ValueError(
                    f"graph={self.graph!r}, but messages={self.messages!r} run on all pairs of neurons or on a given "
                    "graph; leave graph='auto', pass a DataFrame, or leave messages='weighted'"
                )
            return messages.build(all_pairs(n_neurons) if given is None else given, n_node_features)
        if given is not None:
            return messages.build(FixedGraph(given))
        return messages.build(resolved(self.graph, GRAPHS).build(n_neurons, n_node_features, self._graph_per))

    def _receiving(self, graph: pd.DataFrame) -> Tensor:
        return torch.tensor(self._aligned(graph).to_numpy().T, dtype=torch.get_default_dtype())

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
        """Return the graphs of some rows, and which of them each row has.

        A training worm has the graph that was kept, a new worm one that is inferred from its rows, and rows without a
        worm that of all training rows.
        """
        if worms is None:
            if self.graphs_:
                warn_unnamed(self, "has a graph for each worm")
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

    @property
    def _n_outputs(self) -> int:
        """Outputs a frame."""
        raise NotImplementedError

    def _job_of_frames(
        self,
        X: Any,
        frames: np.ndarray,
        targets: np.ndarray,
        known: np.ndarray,
        worm: Any,
        weight: np.ndarray | None,
    ) -> TrainingJob:
        """Make the job of the frames that are known; targets and weights are of these, worms and windows of `X`."""
        self.frame_settings_ = frame_settings(X)
        worms = worm_of_rows(X, worm)
        self._has_worms = worms is not None
        population = np.zeros(len(frames), dtype=int) if worms is None else worms
        self.worms_, group = np.unique(population[known], return_inverse=True)
        window = window_of_rows(X, population, VALIDATION_WINDOW)[known]
        random_state = check_random_state(self.random_state)
        seed = random_state.randint(np.iinfo(np.int32).max)
        held_out = held_out_windows(group, window, self.validation_fraction, random_state)
        signals, _ = parse_context_feature_names(self.node_features_)
        augmentation = self._virtual_worms()
        prepare = None if augmentation is None else _VirtualFrames(augmentation, tuple(signals))
        frames = self._frames_to_train(frames[known], ~held_out)
        return self._job(frames, group, targets, held_out, seed, prepare, weight)

    def _frames_to_train(self, frames: np.ndarray, trained_on: np.ndarray) -> np.ndarray:
        """Return known frames as the module takes them; those that are not `trained_on` judge the epochs."""
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
        return MLPFrameModule(*shape, self._build_readout(shape[1]))

    def _build_readout(self, n_features: int) -> ReadoutModule:
        readout = self._readout_of_neurons()
        return ReadoutModule(
            len(self.neurons_),
            n_features,
            self._n_outputs,
            n_hidden=self.n_hidden,
            n_layers=readout.n_layers,
            batch_norm=self._batch_norm(),
            aggregation=readout.aggregation,
            fill_missing=self._takes_missing_neurons,
        )


class GraphFrameEstimator(FrameEstimator, GraphEstimator):
    """A frame estimator that passes messages along a graph before it reads the frame out."""

    def _build_module(self) -> nn.Module:
        shape = len(self.neurons_), len(self.node_features_)
        messages = self._build_messages(shape[1])
        return GNNFrameModule(*shape, messages, self._build_readout(self._messages().n_features(shape[1])))

    def _after_training(self, X: np.ndarray, group: np.ndarray | None) -> None:
        self._keep_graphs(self._tensor(X.astype(np.float64)), group)

    def _rows_for_graphs(self, X: Any, worm: Any) -> Tensor:
        return self._tensor(self._frames_to_predict(X, worm))

    def _forward(self, X: Tensor, worms: np.ndarray | None) -> Tensor:
        if not self.net_.module_.messages.takes_group_graphs:
            return super()._forward(X, worms)
        graphs, rows = self._graphs_of_rows(X, worms)
        return self._forward_in_chunks(X, rows, graphs=graphs)
