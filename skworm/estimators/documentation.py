"""What docstrings of estimators share, written once."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

_Class = TypeVar("_Class", bound=type)

_BLOCKS: Mapping[str, str] = MappingProxyType(
    {
        "graph": """\
graph : {{"auto", "inferred", "learned"}}, InferredGraph, LearnedGraph or DataFrame, default={graph!r}
    Where messages pass. ``"auto"`` infers a weighted graph, one for each {unit}, or is the graph of all pairs of
    neurons where `messages` is a convolution; ``"inferred"`` and ``"learned"`` are the objects with their defaults. A
    DataFrame of shape (n_neurons, n_neurons) is a given graph, such as a connectome: weights from the neuron of the
    row (pre) to the neuron of the column (post), aligned by name; further neurons are ignored.
messages : {{"weighted", "gin", "sage", "gat", "gatv2", "attention"}} or object, default={messages!r}
    What neurons send each other: the paper's weighted sums (``"weighted"``, :class:`Messages`), or an established
    convolution in their place (:class:`GIN`, :class:`SAGE`, :class:`GAT`, :class:`GATv2`, :class:`GlobalAttention`).
""",
        "network": """\
n_hidden : int, default={n_hidden}
    Hidden features of a layer of the readout.
readout : {readouts} or Readout, default={readout!r}
    How outputs are read out of the neurons; a name is :class:`Readout` with this `aggregation`.
""",
        "augmentation": """\
augmentation : VirtualWorms, "auto" or None, default={augmentation!r}
    Augmentation of the training data. ``"auto"`` is ``{virtual_worms}``.
""",
        "trajectories": """\
burn_in : int, default=None
    Observed frames in each row of `X`; by default from the column names ``"AVAL:trace@0"``, else 1. Without memory a
    step sees the last `burn_in` frames side by side; with 1 the model is Markovian, as in the paper.
rollout : Rollout or None, default=None
    How trajectories are rolled out; None is ``Rollout()``.
center : {{"worm", "population"}}, default="worm"
    What the columns are measured from, see :class:`LinearTrajectoryRegressor`.
linear : bool, default=True
    Add a linear map of the last `burn_in` frames, of all neurons, to the change. It starts as the ridge regression of
    the change in one step, the network at nothing, and both are trained together.
""",
        "levels": """\
level_ : ndarray of shape (n_columns,)
    Mean of the training worms.
levels_ : dict of ndarray
    Mean of each training worm; empty with ``center="population"`` or where training named no worms.
burn_in_, horizon_, n_columns_ : int
    Observed and predicted frames of a trajectory, and columns of a frame.
""",
        "class_weight": """\
class_weight : dict, "balanced" or None, default={class_weight!r}
    Weights of the states in the loss; ``"balanced"`` weighs each by the inverse of its share of the frames.
""",
        "training": """\
max_epochs : int, default={max_epochs}
    Epochs, each one step on all training {rows}.
learning_rate : float, default={learning_rate}
    Adam's first learning rate. It falls to a quarter whenever the validation loss has not improved for 50 epochs.
weight_decay : {decays}, default={weight_decay!r}
    Penalty on the squared weights of {decayed}
validation_fraction : float, default={validation_fraction}
    Share of each worm's windows of 8 frames that judges the epochs and is not trained on; the epoch with the lowest
    loss on it is kept. With 0 the training loss judges.
callbacks : list of skorch callbacks or of (name, callback), or None, default={callbacks!r}
    Callbacks of the training, such as ``skorch.callbacks.EarlyStopping``; each fit takes copies. The losses are
    called ``"train_loss"`` and ``"valid_loss"``. The epoch with the lowest validation loss is kept, whenever a callback
    ends training. A ``skorch.callbacks.LRScheduler`` replaces the fall of `learning_rate`. A fit with callbacks
    is never trained together with others.
device : {{"auto", "cpu", "cuda"}}, default={device!r}
    Where to compute; ``"auto"`` takes a GPU if there is one.
random_state : int, RandomState instance or None, default={random_state!r}
    Governs initial weights, validation windows and augmentation.
verbose : int, default={verbose}
    0 is silent, 1 shows a progress bar.
""",
        "fitted": """\
neurons_ : list of str
    Neurons, in the order of the columns.
node_features_ : list of str
    Features of a neuron.
worms_ : ndarray of shape (n_worms,)
    Training worms.
net_ : skorch.NeuralNet
    Trained net. ``net_.history`` holds every epoch's losses; ``net_.save_params`` and ``net_.load_params`` write and
    read weights. ``net_.predict`` and ``net_.forward`` take an array or DataFrame of {rows} as those of one worm, its
    columns in the order of training whatever their names, and return {net_outputs}.
n_iter_ : int
    Epochs trained.
best_epoch_ : int
    Epoch whose weights are kept, counted from 1.
frame_settings_ : dict
    How the training frames were made, of ``X.attrs``; see :func:`skworm.frames.make_frames`.
n_features_in_ : int
    Columns of `X`.
feature_names_in_ : ndarray of str
    Their names, where `X` had any.
""",
        "graphs": """\
graph_ : DataFrame of shape (n_neurons, n_neurons)
    Graph of all training {rows} together; weight from the neuron of the row (pre) to that of the column
    (post). Graphs of each frame are averaged. With a convolution, the attention averaged over frames and heads, or 1
    for every edge. NaN for an inferred edge between neurons that are never there in the same frame. It tells how the
    network mixes neurons and is no finding about the worm: another seed has another graph. For relations between
    neurons see :func:`skworm.inspection.functional_graph`.
graphs_ : dict of DataFrame
    Graph of each training worm; empty where training named no worms.
""",
    }
)


def documented(cls: _Class) -> _Class:
    """Fill in the parts of a class's docstring that several estimators share, with the defaults of the class.

    A line ``%(name)s`` of the docstring stands for a part; ``cls._words`` are what differs between families.
    """
    if cls.__doc__ is None:  # python -OO drops docstrings
        return cls
    values = {name: parameter.default for name, parameter in inspect.signature(cls).parameters.items()}
    values |= cls._words  # type: ignore[attr-defined]
    lines = inspect.cleandoc(cls.__doc__).split("\n")
    for number, line in enumerate(lines):
        if line.startswith("%(") and line.endswith(")s"):
            lines[number] = _BLOCKS[line[2:-2]].rstrip().format(**values)
    cls.__doc__ = "\n".join(lines) + "\n"
    return cls
