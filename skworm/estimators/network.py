"""What every neural estimator shares: training parameters, columns, graphs between neurons, frames in and out."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
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
    check_same_order,
    frame_of_rows,
    frame_settings,
    from_pre_to_post,
    parse_column_names,
    parse_context_feature_names,
    validate_like_training,
    warn_unnamed,
    worm_of_rows,
)
from skworm.nn import (
    FixedGraph,
    FrameModule,
    Groups,
    MessageModule,
    ReadoutModule,
)
from skworm.parameters import Count, DocumentedEstimator, NotNegative, Positive, resolved
from skworm.recording import neuron_name
from skworm.training.augmentation import Draws, VirtualWorms
from skworm.training.loop import Batch, Preparation, TrainingJob, TrainingSettings, held_out_windows, train
from skworm.training.process import one_thread, resolve_device, seeded
from skworm.training.stack import outcome_beforehand

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


def missing_neurons(frames: np.ndarray, n_neurons: int) -> np.ndarray:
    """Return which neurons are missing in which frame, (n_frames, n_neurons): those of which any feature is NaN."""
    return np.any(np.isnan(frames).reshape(len(frames), n_neurons, -1), axis=2)


def check_neurons(frames: np.ndarray, neurons: Sequence[str], X: Any, worm: Any = None) -> None:
    """Raise a ValueError that names worm and frame, of `worm` or the index of `X`, if a frame has no neuron at all."""
    empty = np.all(missing_neurons(frames, len(neurons)), axis=1)
    if not empty.any():
        return
    worms = worm_of_rows(X, worm)
    own = np.zeros(len(frames), dtype=int) if worms is None else worms
    rows = own == own[empty][0]
    whose = "X" if worms is None else f"worm {str(own[empty][0])!r}"
    named = ", ".join(neurons[:8]) + (", ..." if len(neurons) > 8 else "")
    frame = frame_of_rows(X, own)[empty & rows][0]
    raise ValueError(
        f"{whose} has a value for none of the neurons {named} in {int(empty[rows].sum())} of {int(rows.sum())} frames, "
        f"first in frame {frame}; drop these rows, interpolate them, or choose other neurons"
    )


class NeuralEstimator(DocumentedEstimator):
    """A torch module over neurons and their features, trained through skorch.

    Parameters
    ----------
    n_hidden : int, default={n_hidden}
        Hidden features of a layer of the readout.
    readout : {"concatenate", "sum"} or Readout, default={readout}
        How outputs are read out of the neurons; a name is :class:`Readout` with this `aggregation`.
    augmentation : VirtualWorms, "auto" or None, default={augmentation}
        Augmentation of the training data. ``"auto"`` is ``VirtualWorms()``.
    max_epochs : int, default={max_epochs}
        Epochs, each one step on all training rows.
    learning_rate : float, default={learning_rate}
        Adam's first learning rate. It falls to a quarter whenever the validation loss has not improved for more than 50
        epochs.
    weight_decay : float or "auto", default={weight_decay}
        Penalty on the squared parameters of the readout. ``"auto"`` is 0.01 without augmentation and 0 with it: on real
        worms either keeps a model from depending on its training worms, and both together are too much. The edge
        encoder of a graph is spared: a penalty on it makes every graph uniform.
    validation_fraction : float, default={validation_fraction}
        Share of each worm's windows of 8 frames whose rows judge the epochs and are not trained on; the epoch with the
        lowest loss on them is kept. Trajectories that begin in other windows are trained on, and may reach into these.
        With 0 the training loss judges, which is taken before the step of its epoch. So it does where `sample_weight`
        gives the rows that should judge less than a tenth of the mean weight.
    callbacks : list of skorch callbacks or of (name, callback), or None, default={callbacks}
        Callbacks of the training, such as ``skorch.callbacks.EarlyStopping``; each fit takes copies. The losses are
        called ``"train_loss"`` and ``"valid_loss"``. The epoch with the lowest validation loss is kept, whenever a
        callback ends training. A ``skorch.callbacks.LRScheduler`` replaces the fall of `learning_rate`. A fit with
        callbacks is never trained together with others.
    device : {"auto", "cpu", "cuda"}, default={device}
        Where to compute; ``"auto"`` takes a GPU if there is one.
    random_state : int, RandomState instance or None, default={random_state}
        Governs initial weights, validation windows and augmentation.
    verbose : int, default={verbose}
        0 is silent, 1 shows a progress bar.

    Attributes
    ----------
    neurons_ : list of str
        Neurons, in the order of the columns.
    node_features_ : list of str
        Features of a neuron.
    worms_ : ndarray of shape (n_worms,)
        Training worms.
    net_ : skorch.NeuralNet
        Trained net. ``net_.history`` holds every epoch's losses; ``net_.save_params`` and ``net_.load_params`` write
        and read weights; with weights other than those of `fit` a graph network warns, and infers graphs from the rows
        that it predicts. ``net_.predict`` and ``net_.forward`` take an array or DataFrame of rows as those of one worm,
        its columns in the order of training whatever their names, and return probabilities of states (`forward`: what
        the softmax takes), signals in standard deviations from their mean, or trajectories less the level of the worm
        (``level_`` or ``levels_``).
    n_iter_ : int
        Epochs in the history of ``net_``.
    best_epoch_ : int
        Epoch whose weights are kept, counted from 1.
    """

    n_hidden: Count = 16
    readout: Literal["concatenate", "sum"] | Readout = "concatenate"
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
    _auto_batch_norm: ClassVar[Literal["output"] | None] = "output"
    _decayed = "readout.*"
    _graph_per = "worm"
    _words: ClassVar[dict[str, str]] = {
        "about_X": """\
Scaled frames, neuron-major; a DataFrame of :func:`skworm.frames.make_frames` carries worms and neurons. Classifiers
    take NaN where a neuron is missing.""",
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

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "net_")

    def training_job(self, X: Any, y: Any, worm: Any = None, sample_weight: Any = None) -> TrainingJob:
        """Return what ``training.loop.train`` trains: all of a fit before training, so that many train together."""
        raise NotImplementedError

    def take_training(self, job: TrainingJob, net: Any) -> Self:
        """Take the trained net of a job, which ends the fit."""
        self.net_ = net
        # In single precision a row's prediction would depend, if slightly, on the rows that come with it.
        net.module_.double()
        # What the optimizer keeps is in single precision: `partial_fit` begins with another one.
        net.has_optimizer_ = False
        self.n_iter_ = len(net.history)
        self.best_epoch_ = dict(net.callbacks_)["best_epoch"].best_epoch_
        return self

    def _job(
        self,
        X: Any,
        worm: Any,
        known: np.ndarray,
        rows: np.ndarray,
        targets: np.ndarray,
        weight: np.ndarray | None,
        prepare: Preparation | None,
    ) -> TrainingJob:
        """Set the training worms; return the job of the known rows of `X`, some of whose windows judge the epochs."""
        worms = worm_of_rows(X, worm)
        self._has_worms = worms is not None
        population = np.zeros(len(known), dtype=int) if worms is None else worms
        self.worms_, group = np.unique(population[known], return_inverse=True)
        random_state = check_random_state(self.random_state)
        seed = random_state.randint(np.iinfo(np.int32).max)
        window = frame_of_rows(X, population)[known] // VALIDATION_WINDOW
        held_out = held_out_windows(group, window, self.validation_fraction, random_state)
        if weight is not None and held_out.any() and weight[held_out].mean() < _LEAST_WEIGHT * weight.mean():
            # Held-out samples that hardly weigh cannot judge an epoch: the training loss does.
            held_out = np.zeros_like(held_out)
        with seeded(seed):
            module = self._build_module()
        settings = self._training_settings(resolve_device(self.device), seed)
        return TrainingJob(module, self._loss, rows, group, targets, held_out, settings, prepare, weight)

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
        """Check parameters, and those of their objects, as a fit begins."""
        # A fit that ends early must not leave the network of an earlier one under new names.
        self.__dict__.pop("net_", None)
        self._validate_params()
        self._readout_of_neurons()
        augmentation = self._virtual_worms()
        if augmentation is not None:
            augmentation._validate_params()
            if augmentation.neuron_dropout and not self._takes_missing_neurons:
                raise ValueError(
                    f"VirtualWorms: neuron_dropout={augmentation.neuron_dropout}, but {type(self).__name__} needs "
                    "every neuron in all frames; leave neuron_dropout=0"
                )

    def _readout_of_neurons(self) -> Readout:
        """Return the checked readout, with what ``"auto"`` stands for."""
        readout = Readout(self.readout) if isinstance(self.readout, str) else self.readout
        readout._validate_params()
        if readout.batch_norm != "auto":
            return readout
        batch_norm = None if self._virtual_worms() is None else self._auto_batch_norm
        return Readout(readout.aggregation, readout.n_layers, batch_norm)

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

    def _build_messages(self, n_node_features: int) -> MessageModule | None:
        """Return the module that passes messages between neurons of so many features, None for a perceptron."""
        return None

    def _n_received(self, n_node_features: int) -> int:
        """Return the number of features of a neuron after messages."""
        return n_node_features

    def _build_readout(self, n_neurons: int, n_features: int) -> ReadoutModule:
        about = {**self._readout_of_neurons().get_params(), "fill_missing": self._takes_missing_neurons}
        return ReadoutModule(n_neurons, n_features, self._n_outputs, n_hidden=self.n_hidden, **about)

    def _rows_to_predict(self, X: Any, worm: Any) -> np.ndarray:
        """Check rows, and return them as the module takes them."""
        raise NotImplementedError

    def _tensor(self, array: np.ndarray) -> Tensor:
        # Tensors know no negative strides, which rows in reversed order have.
        return torch.tensor(np.ascontiguousarray(array), device=self.net_.device)

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


class GraphEstimator(NeuralEstimator):
    """A neural estimator whose module passes messages along a graph, as ``module.messages``.

    Parameters
    ----------
    graph : {"auto", "inferred", "learned"}, InferredGraph, LearnedGraph or DataFrame, default={graph}
        Where messages pass. ``"auto"`` infers a weighted graph, or is that of all pairs of neurons where `messages` is
        a convolution; ``"inferred"`` and ``"learned"`` are the objects with their defaults.
        A DataFrame of shape (n_neurons, n_neurons) is a given graph, such as a connectome: weights from the neuron of
        the row (pre) to the neuron of the column (post), or the other way round where its axes are named so, aligned by
        name; further neurons are ignored.
    messages : {"weighted", "gin", "sage", "gat", "gatv2", "attention"} or object, default={messages}
        What neurons send each other: the paper's weighted sums (``"weighted"``, :class:`Messages`), or an established
        convolution in their place (:class:`GIN`, :class:`SAGE`, :class:`GAT`, :class:`GATv2`,
        :class:`GlobalAttention`).

    Attributes
    ----------
    graph_ : DataFrame of shape (n_neurons, n_neurons)
        Graph of all training rows together; weight from the neuron of the row (pre) to that of the column (post).
        Graphs of each frame are averaged. With a convolution, the attention averaged over frames and heads, or 1 for
        every edge. NaN for an inferred edge between neurons that are never there in the same frame. It tells how the
        network mixes neurons and is not a finding about the worm: another seed has another graph. For relations
        between neurons see :func:`skworm.inspection.functional_graph`.
    graphs_ : dict of DataFrame
        Graph of each training worm; empty where training named no worms.
    """

    graph: Annotated[str, StrOptions(set(GRAPHS))] | InferredGraph | LearnedGraph | pd.DataFrame = "auto"
    messages: Annotated[str, StrOptions(set(MESSAGES))] | Messages | Convolution = "weighted"

    _words: ClassVar[dict[str, str]] = {
        "infer_graphs X": "array-like of shape (n_rows, n_features)\n    Rows as `predict` takes them.",
        "group": """\
array-like of shape (n_rows,), optional
    Group of each row; by default its worm, or one group, 0, where rows name no worm.""",
        "infer_graphs returns": """\
dict of DataFrame
    Graph of each group, of shape (n_neurons, n_neurons): weight from the neuron of the row (pre) to that of the column
    (post).""",
    }

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
        rows = self._tensor(self._rows_to_predict(X, worm))
        labels = worm_of_rows(X, worm) if group is None else np.asarray(group)
        labels = np.zeros(len(rows), dtype=int) if labels is None else labels
        if labels.shape != (len(rows),):
            raise ValueError(f"group has shape {labels.shape}, but X has {len(rows)} rows; pass one label a row")
        names, codes = np.unique(labels, return_inverse=True)
        return self._infer(rows, codes, names.tolist())

    def _n_received(self, n_node_features: int) -> int:
        return resolved(self.messages, MESSAGES).n_features(n_node_features)

    def _build_messages(self, n_node_features: int) -> MessageModule:
        messages, n_neurons, given = resolved(self.messages, MESSAGES), len(self.neurons_), None
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
        graph = from_pre_to_post(graph)
        usual = [neuron_name(neuron) for neuron in self.neurons_]
        missing = [name for name in usual if name not in graph.index or name not in graph.columns]
        if missing:
            raise ValueError(
                f"graph has no row or no column for neurons {missing}; it needs one of each for every neuron of X, "
                "named as in the columns of X ('AVAL:trace')"
            )
        aligned = graph.loc[usual, usual]
        if not np.isfinite(aligned.to_numpy()).all():
            raise ValueError(
                "graph holds NaN or infinite weights between the neurons of X; NaN is unknown, which is not 0: leave "
                "out neurons, or decide what an unknown weight counts as, and fill it in with graph.fillna(...)"
            )
        return aligned

    def take_training(self, job: TrainingJob, net: Any) -> Self:
        """Take the trained net of a job, and infer the graph of all training rows and of those of each worm."""
        super().take_training(job, net)
        rows = self._tensor(job.X.astype(np.float64))
        self.graph_ = self._infer_one(rows)
        self.graphs_ = self._infer(rows, job.group, self.worms_) if self._has_worms else {}
        self._weights = self._digest_of_weights()
        return self

    def _digest_of_weights(self) -> str:
        weights = self.net_.module_.state_dict().items()
        return hashlib.sha256(b"".join(value.cpu().numpy().tobytes() for _, value in weights)).hexdigest()

    def _kept_graphs(self) -> dict[Any, pd.DataFrame]:
        """Return the graph of each training worm, that of all as None; nothing where ``net_`` has other weights now."""
        if getattr(self, "_weights", None) in (None, self._digest_of_weights()):
            return {None: self.graph_, **self.graphs_}
        warnings.warn(
            f"net_ of the {type(self).__name__} has other weights than after fit, and graphs_ are those of fit: graphs "
            "are inferred from the rows of X, also for training worms",
            stacklevel=5,
        )
        return {}

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
        if worms is None and self.graphs_:
            warn_unnamed(self, "has a graph for each worm")
        names, codes = np.array([None]), np.zeros(len(X), dtype=int)
        if worms is not None:
            names, codes = np.unique(worms, return_inverse=True)
        kept = self._kept_graphs()
        graphs = [
            kept[name] if name in kept else self._infer_one(X[self._tensor(codes == code)])
            for code, name in enumerate(names)
        ]
        # Between neurons that were never there together nothing was inferred, and nothing is sent.
        stacked = self._tensor(np.nan_to_num(np.stack([graph.to_numpy().T for graph in graphs])))
        return stacked, Groups(self._tensor(codes), len(graphs))

    def _infer(self, X: Tensor, codes: np.ndarray, names: Any) -> dict[Any, pd.DataFrame]:
        """Infer the graph of each group of rows, by the names of the groups."""
        pre = pd.Index(self.neurons_, name="pre")
        module, groups = self.net_.module_.eval(), Groups(self._tensor(codes), len(names))
        with one_thread(), torch.inference_mode():
            nodes, present = module.nodes(X, groups)
            graphs = module.messages.group_graphs(nodes, groups, present)
        graphs = graphs.transpose(1, 2).cpu().numpy()
        return {name: pd.DataFrame(graph, pre, pre.rename("post")) for name, graph in zip(names, graphs, strict=True)}

    def _infer_one(self, X: Tensor) -> pd.DataFrame:
        return self._infer(X, np.zeros(len(X), dtype=int), [0])[0]


@dataclass(frozen=True)
class _VirtualFrames(Preparation):
    """Every epoch's frames are those of virtual worms."""

    augmentation: VirtualWorms
    signals: tuple[str, ...]

    def draw(self, epoch: int, n_samples: int, n_features: int, generator: torch.Generator) -> Draws:
        return self.augmentation.draw(n_samples, n_features, generator, self.signals)

    def __call__(self, X: Tensor, group: Tensor, y: Tensor, **drawn: Tensor) -> Batch:
        frames, worms = self.augmentation.apply(X, group, **drawn)
        return {"X": frames, "group": worms}, y


class FrameEstimator(NeuralEstimator):
    """A torch module that maps frames to outputs, trained through skorch."""

    def training_job(self, X: Any, y: Any, worm: Any = None, sample_weight: Any = None) -> TrainingJob:
        """Return the job of the frames that are known; see ``NeuralEstimator.training_job``."""
        self._check_parts()
        check_same_order(X, y)
        frames, y, known = self._checked(X, y)
        self._name_columns(getattr(X, "columns", None), frames.shape[1])
        check_neurons(frames, self.neurons_, X, worm)
        weight = check_weights(sample_weight, frames)
        if weight is not None:
            known &= weight > 0
            weight = weight[known]
        targets, weight = self._learn_targets(y[known], weight)
        self.frame_settings_ = frame_settings(X)
        augmentation, (signals, _) = self._virtual_worms(), parse_context_feature_names(self.node_features_)
        prepare = None if augmentation is None else _VirtualFrames(augmentation, tuple(signals))
        job = self._job(X, worm, known, frames[known], targets, weight, prepare)
        return replace(job, X=self._frames_to_train(job.X, ~job.held_out))

    def _checked(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Check frames and what is known of them; return both, and which rows are known."""
        raise NotImplementedError

    def _learn_targets(self, y: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        """Learn what outputs stand for; return targets and weights of the frames that are known."""
        raise NotImplementedError

    def _frames_to_train(self, frames: np.ndarray, trained_on: np.ndarray) -> np.ndarray:
        """Return known frames as the module takes them; those that are not `trained_on` judge the epochs."""
        return frames

    def _rows_to_predict(self, X: Any, worm: Any) -> np.ndarray:
        return validate_like_training(self, X, dtype=np.float64)

    def _outputs(self, X: Any, worm: Any) -> Tensor:
        """Check frames, and apply the module to them."""
        frames = self._rows_to_predict(X, worm)
        with one_thread(), torch.inference_mode():
            return self._apply(self._tensor(frames), worm_of_rows(X, worm))

    def _build_module(self) -> nn.Module:
        n_neurons, n_features = len(self.neurons_), len(self.node_features_)
        messages = self._build_messages(n_features)
        readout = self._build_readout(n_neurons, self._n_received(n_features))
        return FrameModule(n_neurons, n_features, messages, readout)
