"""What every neural estimator shares: training parameters, columns, graphs between neurons, frames in and out."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
import torch
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
    FrameModule,
    GraphConvolution,
    Groups,
    MessagePassing,
    ReadoutModule,
)
from skworm.parameters import Count, DocumentedEstimator, NotNegative, Positive, resolved, words_of
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
_ROWS_A_CHUNK = 4096
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


class NeuralEstimator(DocumentedEstimator):
    """A torch module over neurons and their features, trained through skorch."""

    n_hidden: Count = 16
    readout: Literal["concatenate", "sum", "mean", "attention"] | Readout = "concatenate"
    augmentation: VirtualWorms | Literal["auto"] | None = "auto"
    max_epochs: Count = 300
    learning_rate: Positive = 0.005
    weight_decay: Literal["auto"] | NotNegative = "auto"
    validation_fraction: Annotated[float, Interval(Real, 0, 1, closed="left")] = 0.1
    callbacks: Annotated[Sequence[Any] | None, "array-like", None] = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    random_state: Annotated[int | np.random.RandomState | None, "random_state"] = None
    verbose: Annotated[int, "verbose"] = 0

    _auto_augmentation: ClassVar[VirtualWorms] = VirtualWorms()
    _decayed = "readout.*"
    _graph_per = "worm"
    _words: ClassVar[dict[str, str]] = {
        "columns": "n_neurons * n_node_features",
        "about_X": (
            "Scaled frames, neuron-major; a DataFrame of :func:`skworm.frames.make_frames` carries worms and neurons."
        ),
        "training_job returns": """\
TrainingJob
    What ``skworm.training.train`` trains; ``take_training`` ends the fit.""",
        "job": "TrainingJob\n    What ``training_job`` returned.",
        "net": "skorch.NeuralNet\n    The trained net.",
        "take_training returns": "self\n    The fitted estimator.",
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

    def _name_columns(self, columns: Iterable[Any] | None, n_columns: int) -> None:
        """Set neurons and node features from the columns of a frame, or number them where it has no such names."""
        names = None if columns is None else parse_column_names(columns)
        self.neurons_, self.node_features_ = names or ([str(neuron) for neuron in range(n_columns)], ["0"])

    @one_thread()
    def fit(self, X: Any, y: Any, worm: Any = None, sample_weight: Any = None) -> Self:
        """Train the module."""
        job = self.training_job(X, y, worm, sample_weight)
        net = outcome_beforehand(job)
        return self.take_training(job, train(job) if net is None else net)

    def training_job(self, X: Any, y: Any, worm: Any = None, sample_weight: Any = None) -> TrainingJob:
        """Make all of a fit that precedes training, so that many can be trained together."""
        raise NotImplementedError

    def take_training(self, job: TrainingJob, net: Any) -> Self:
        """Make all of a fit that follows training."""
        self.net_ = net
        # In single precision a row's prediction would depend, if slightly, on the rows that come with it.
        net.module_.double()
        self.n_iter_ = len(net.history)
        self.best_epoch_ = dict(net.callbacks_)["best_epoch"].best_epoch_
        self._after_training(job.X, job.group if self._has_worms else None)
        return self

    def _judges(self, X: Any, worms: np.ndarray | None, known: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """Set the training worms; return the worm of each known row, which of these rows judge epochs, and a seed."""
        self._has_worms = worms is not None
        population = np.zeros(len(known), dtype=int) if worms is None else worms
        self.worms_, group = np.unique(population[known], return_inverse=True)
        random_state = check_random_state(self.random_state)
        seed = random_state.randint(np.iinfo(np.int32).max)
        window = window_of_rows(X, population, VALIDATION_WINDOW)[known]
        return group, held_out_windows(group, window, self.validation_fraction, random_state), seed

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
                    f"every neuron in all {words_of(type(self))['rows']}; leave neuron_dropout=0"
                )

    def _readout_of_neurons(self) -> Readout:
        readout = Readout(self.readout) if isinstance(self.readout, str) else self.readout
        readout.check()
        return readout

    @property
    def _loss(self) -> type[nn.Module]:
        """Take outputs of the module and targets; what training minimises."""
        raise NotImplementedError

    @property
    def _n_outputs(self) -> int:
        """Outputs a frame."""
        raise NotImplementedError

    def _build_module(self) -> nn.Module:
        raise NotImplementedError

    def _build_readout(self, n_neurons: int, n_features: int) -> ReadoutModule:
        readout = self._readout_of_neurons()
        return ReadoutModule(
            n_neurons,
            n_features,
            self._n_outputs,
            n_hidden=self.n_hidden,
            n_layers=readout.n_layers,
            batch_norm=self._batch_norm(),
            aggregation=readout.aggregation,
            fill_missing=self._takes_missing_neurons,
        )

    def _after_training(self, X: np.ndarray, group: np.ndarray | None) -> None:
        """Keep what follows from the training rows; `group` is None where they name no worms."""

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.tensor(array, device=self.net_.device)

    def _apply(self, X: Tensor, worms: np.ndarray | None, **others: Any) -> Tensor:
        """Apply the module to rows, each with the graph of its worm where the module has such graphs."""
        return self._in_chunks(X, Groups.one(len(X), X.device), **others)

    def _in_chunks(self, X: Tensor, group: Groups, **others: Any) -> Tensor:
        module = self.net_.module_.eval()
        chunks = zip(X.split(_ROWS_A_CHUNK), group.index.split(_ROWS_A_CHUNK), strict=True)
        return torch.cat([module(part, Groups(index, group.n_groups), **others) for part, index in chunks])

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

    graph: Annotated[str, StrOptions(set(GRAPHS))] | InferredGraph | LearnedGraph | pd.DataFrame = "auto"
    messages: Annotated[str, StrOptions(set(MESSAGES))] | Messages | Convolution = "weighted"

    _words: ClassVar[dict[str, str]] = {
        "infer_graphs X": "array-like of shape (n_rows, n_features)\n    Rows as `predict` takes them.",
        "infer_graphs worm": """\
array-like of shape (n_rows,), optional
    Worm of each row; by default the index level ``"worm"`` of `X`.""",
        "group": """\
array-like of shape (n_rows,), optional
    Group of each row; by default its worm, or one group, 0, where rows name no worm.""",
        "infer_graphs returns": """\
dict of DataFrame
    Graph of each group, of shape (n_neurons, n_neurons): weight from the neuron of the row (pre) to that of the column
    (post).""",
    }

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
        return self._infer(rows, codes, names.tolist())

    def _rows_for_graphs(self, X: Any, worm: Any) -> Tensor:
        """Return rows as the module takes them."""
        raise NotImplementedError

    def _messages(self) -> Any:
        return resolved(self.messages, MESSAGES)

    def _build_messages(self, n_node_features: int) -> MessagePassing | GraphConvolution:
        messages, n_neurons, given = self._messages(), len(self.neurons_), None
        if isinstance(self.graph, pd.DataFrame):
            given = torch.tensor(self._aligned(self.graph).to_numpy().T, dtype=torch.get_default_dtype())
        if isinstance(messages, Convolution):
            if given is None and self.graph != "auto":
                raise ValueError(
                    f"graph={self.graph!r}, but messages={self.messages!r} run on all pairs of neurons or on a given "
                    "graph; leave graph='auto', pass a DataFrame, or leave messages='weighted'"
                )
            return messages.build(torch.ones(n_neurons, n_neurons) if given is None else given, n_node_features)
        if given is not None:
            return messages.build(FixedGraph(given))
        return messages.build(resolved(self.graph, GRAPHS).build(n_neurons, n_node_features, self._graph_per))

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

    def _after_training(self, X: np.ndarray, group: np.ndarray | None) -> None:
        """Set ``graph_`` from all training rows and ``graphs_`` from those of each worm."""
        rows = self._tensor(X.astype(np.float64))
        self.graph_ = self._infer_one(rows)
        self.graphs_ = {} if group is None else self._infer(rows, group, self.worms_)

    def _apply(self, X: Tensor, worms: np.ndarray | None, **others: Any) -> Tensor:
        if not self.net_.module_.messages.takes_group_graphs:
            return super()._apply(X, worms, **others)
        graphs, rows = self._graphs_of_rows(X, worms)
        return self._in_chunks(X, rows, graphs=graphs, **others)

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
            graphs = [
                self.graphs_[name] if name in self.graphs_ else self._infer_one(X[self._tensor(codes == code)])
                for code, name in enumerate(names)
            ]
        # Between neurons that were never there together nothing was inferred, and nothing is sent.
        stacked = self._tensor(np.nan_to_num(np.stack([graph.to_numpy().T for graph in graphs])))
        return stacked, Groups(self._tensor(codes), len(graphs))

    def _infer(self, X: Tensor, codes: np.ndarray, names: Any) -> dict[Any, pd.DataFrame]:
        """Infer the graph of each group of rows, by the names of the groups."""
        pre = pd.Index(self.neurons_, name="pre")
        with one_thread(), torch.inference_mode():
            graphs = self.net_.module_.eval().group_graphs(X, Groups(self._tensor(codes), len(names)))
        graphs = graphs.transpose(1, 2).cpu().numpy()
        return {name: pd.DataFrame(graph, pre, pre.rename("post")) for name, graph in zip(names, graphs, strict=True)}

    def _infer_one(self, X: Tensor) -> pd.DataFrame:
        return self._infer(X, np.zeros(len(X), dtype=int), [0])[0]


@dataclass(frozen=True)
class VirtualBatches:
    """What preparations of training batches have in common that make virtual worms, or none."""

    augmentation: VirtualWorms | None

    @property
    def keeps_neurons(self) -> bool:
        """Whether every neuron is still there in the batches that it makes."""
        return self.augmentation is None or not self.augmentation.neuron_dropout

    def n_groups(self, n_groups: int) -> int:
        """Return the number of groups that so many groups become."""
        return n_groups if self.augmentation is None else n_groups * self.augmentation.n_groups


@dataclass(frozen=True)
class _VirtualFrames(VirtualBatches):
    """Every epoch's frames are those of virtual worms."""

    augmentation: VirtualWorms
    signals: tuple[str, ...]

    @property
    def structure(self) -> Hashable:
        return self.augmentation.structure, self.signals

    def draw(self, epoch: int, n_samples: int, n_features: int, generator: torch.Generator) -> Draws:
        return self.augmentation.draw(n_samples, n_features, generator, len(self.signals), self.signals)

    def __call__(self, X: Tensor, group: Tensor, y: Tensor, **drawn: Tensor) -> Batch:
        frames, worms = self.augmentation.apply(X, group, **drawn)
        return {"X": frames, "group": worms}, y


class FrameEstimator(NeuralEstimator):
    """A torch module that maps frames to outputs, by default a perceptron, trained through skorch."""

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
        group, held_out, seed = self._judges(X, worm_of_rows(X, worm), known)
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
        with one_thread(), torch.inference_mode():
            return self._apply(self._tensor(frames), worm_of_rows(X, worm))

    def _build_module(self) -> nn.Module:
        shape = len(self.neurons_), len(self.node_features_)
        return FrameModule(*shape, None, self._build_readout(*shape))


class GraphFrameEstimator(FrameEstimator, GraphEstimator):
    """A frame estimator that passes messages along a graph before it reads the frame out."""

    def _build_module(self) -> nn.Module:
        shape = len(self.neurons_), len(self.node_features_)
        messages = self._build_messages(shape[1])
        return FrameModule(*shape, messages, self._build_readout(shape[0], self._messages().n_features(shape[1])))

    def _rows_for_graphs(self, X: Any, worm: Any) -> Tensor:
        return self._tensor(self._frames_to_predict(X, worm))
