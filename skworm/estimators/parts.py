"""Parts of a network, as parameters of its estimator: graph, messages, readout and rollout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Annotated, ClassVar, Literal

from sklearn.utils._param_validation import Interval
from torch import Tensor

from skworm.nn import (
    AttentionConvolution,
    DynamicGraph,
    EdgeEncoder,
    FreeGraph,
    GATConvolution,
    GATv2Convolution,
    GINConvolution,
    GraphConvolution,
    MessagePassing,
    SAGEConvolution,
    StaticGraph,
)
from skworm.nn.graphs import Graph
from skworm.nn.messages import Layer
from skworm.parameters import Count, NotNegative, ParameterObject, Positive


class InferredGraph(ParameterObject):
    """A weighted graph that an edge encoder infers from frames (equations 8 to 11).

    Parameters
    ----------
    per : {"auto", "worm", "frame"}, default="auto"
        One graph for each worm (static edges) or for each frame (dynamic edges). ``"auto"`` is one for each worm where
        frames are read, and one for each frame where trajectories are predicted.
    average : {"node_features", "hidden_neurons", "hidden_edges", "edge_weights"}, default="node_features"
        What a graph of a worm averages over its frames (equations 8 to 11).
    aggregation : {"concatenate", "sum"}, default="concatenate"
        How two neurons' hidden features come together (equation 9); their sum gives a symmetric graph.
    temperature : float, default=1.0
        Divides the logits of an edge before the softmax (equation 10); small values push weights to 0 or 1.
    embedding : int, default=8
        Learned features of each neuron by which the edge encoder knows it; 0 for none.
    n_hidden : int, default=16
        Hidden features of a neuron and of an edge in the edge encoder.
    batch_norm : bool, default=False
        Batch normalisation inside the edge encoder.

    References
    ----------
    Wang et al. 2021, equations 8 to 11.

    Examples
    --------
    >>> from skworm import GNNStateClassifier, InferredGraph
    >>> GNNStateClassifier(graph=InferredGraph(per="frame")).get_params()["graph__temperature"]
    1.0
    """

    per: Literal["auto", "worm", "frame"] = "auto"
    average: Literal["node_features", "hidden_neurons", "hidden_edges", "edge_weights"] = "node_features"
    aggregation: Literal["concatenate", "sum"] = "concatenate"
    temperature: Positive = 1.0
    embedding: Annotated[int, Interval(Integral, 0, None, closed="left")] = 8
    n_hidden: Count = 16
    batch_norm: bool = False

    def build(self, n_neurons: int, n_node_features: int, per: str) -> Graph:
        """Return the module that infers the graph; `per` is what ``"auto"`` stands for."""
        of_encoder = {name: value for name, value in self.get_params().items() if name not in ("per", "average")}
        encoder = EdgeEncoder(n_neurons, n_node_features, **of_encoder)
        per_frame = (per if self.per == "auto" else self.per) == "frame"
        return DynamicGraph(encoder) if per_frame else StaticGraph(encoder, self.average)


class LearnedGraph(ParameterObject):
    """One graph for all worms, whose weights are parameters of the network.

    Parameters
    ----------
    temperature : float, default=1.0
        Divides the logits of an edge before the softmax; small values push weights to 0 or 1.

    Examples
    --------
    >>> from skworm import GNNStateClassifier, LearnedGraph
    >>> GNNStateClassifier(graph=LearnedGraph(temperature=0.5)).graph
    LearnedGraph(temperature=0.5)
    """

    temperature: Positive = 1.0

    def build(self, n_neurons: int, n_node_features: int, per: str) -> Graph:
        """Return the module that holds the graph."""
        return FreeGraph(n_neurons, self.temperature)


class Messages(ParameterObject):
    """Weighted sums of the features of other neurons, along a weighted graph (equation 12).

    Parameters
    ----------
    normalization : {"row", "mean"} or None, default="mean"
        Divide a neuron's messages by the sum of its incoming weights, where that is above 0, by the number of neurons,
        or not.
    residual : bool, default=True
        Add a neuron's own features to its messages.
    self_edges : bool, default=True
        Whether a neuron sends a message to itself.
    n_steps : int, default=1
        How many times messages are passed.

    References
    ----------
    Wang et al. 2021, equations 12 and 14.

    Examples
    --------
    >>> from skworm import GNNStateClassifier, Messages
    >>> GNNStateClassifier(messages=Messages(residual=False)).messages
    Messages(residual=False)
    """

    normalization: Literal["row", "mean"] | None = "mean"
    residual: bool = True
    self_edges: bool = True
    n_steps: Count = 1

    def build(self, graph: Graph) -> MessagePassing:
        """Return the module that passes messages along a graph."""
        return MessagePassing(graph, **self.get_params())

    def n_features(self, n_node_features: int) -> int:
        """Return the number of features that a neuron has after messages."""
        return n_node_features


class Convolution(ParameterObject):
    """An established graph layer in place of equations 8 to 12, followed by a rectifier.

    It runs on the graph of all pairs of neurons, or on a given one, in which an entry that is not 0 is an edge,
    whatever its weight. The diagonal does not count. Wang et al. 2021, Supplementary Information, "Model Selection",
    tries all of these but GATv2.

    Parameters
    ----------
    n_hidden : int, default=16
        Features of a neuron after it.
    """

    n_hidden: Count = 16
    _layer: ClassVar[Callable[..., Layer]]

    def layer(self, n_inputs: int) -> Layer:
        """Return the layer of so many features of a neuron."""
        return type(self)._layer(n_inputs, **self.get_params())

    def build(self, adjacency: Tensor, n_node_features: int) -> GraphConvolution:
        """Return the module that runs the layer on a graph of shape (n_neurons, n_neurons)."""
        return GraphConvolution(self.layer(n_node_features), adjacency)

    def n_features(self, n_node_features: int) -> int:
        """Return the number of features that a neuron has after messages."""
        return self.n_hidden


class GIN(Convolution):
    """Graph isomorphism network: Xu et al. 2019, "How Powerful are Graph Neural Networks?".

    Parameters
    ----------
    learn_epsilon : bool, default=True
        Learn the weight of a neuron's own features (GIN-ε), or keep it at 1 (GIN-0).
    """

    learn_epsilon: bool = True
    _layer = GINConvolution


class SAGE(Convolution):
    """GraphSAGE with the mean: Hamilton et al. 2017, "Inductive Representation Learning on Large Graphs"."""

    _layer = SAGEConvolution


class GAT(Convolution):
    """Graph attention network: Veličković et al. 2018, "Graph Attention Networks".

    Parameters
    ----------
    n_hidden : int, default=16
        Features of each head.
    n_heads : int, default=1
        Heads, whose features are concatenated.
    """

    n_heads: Count = 1
    _layer: ClassVar[Callable[..., Layer]] = GATConvolution

    def n_features(self, n_node_features: int) -> int:
        """Return the number of features that a neuron has after messages."""
        return self.n_hidden * self.n_heads


class GATv2(GAT):
    """Graph attention network of the second form: Brody et al. 2022, "How Attentive are Graph Attention Networks?"."""

    _layer = GATv2Convolution


class GlobalAttention(Convolution):
    """Global attention: every neuron receives the same weighted mean of all neurons.

    Li et al. 2019, "Graph Matching Networks for Learning the Similarity of Graph Structured Objects".
    """

    _layer = AttentionConvolution


class Readout(ParameterObject):
    """How outputs are read out of the neurons of a frame (equations 6, 7 and 13).

    Parameters
    ----------
    aggregation : {"concatenate", "sum"}, default="concatenate"
        How the neurons' features come together before the perceptron. With ``"concatenate"``, what is typical of a
        missing neuron, its mean in training, stands in for it, with a learned shift where neurons are missing in
        training. Trajectories are read out of ``"concatenate"`` only.
    n_layers : int, default=1
        Hidden layers of the perceptron; a linear map to the outputs follows.
    batch_norm : {"auto", "output", "before_activation"} or None, default="auto"
        Where batch normalisation stands: on the output of the hidden layers, before each rectifier, or nowhere. Its
        running statistics tie the readout to the training worms, so ``"auto"`` uses it (on the output) only where
        frames are read and virtual worms spread them.

    Examples
    --------
    >>> from skworm import MLPStateClassifier, Readout
    >>> MLPStateClassifier(readout=Readout(n_layers=2)).get_params()["readout__n_layers"]
    2
    """

    aggregation: Literal["concatenate", "sum"] = "concatenate"
    n_layers: Count = 1
    batch_norm: Literal["auto", "output", "before_activation"] | None = "auto"


class Rollout(ParameterObject):
    """How trajectories are rolled out, in training and in prediction.

    Parameters
    ----------
    train_horizon : int, default=8
        Frames that are rolled out in training. `y` may hold more: all of them are rolled out to judge the epochs, and
        to predict.
    random_start : bool, default=True
        Where `y` holds more frames than `train_horizon`, begin each trajectory at every epoch anew at a random one of
        its frames, instead of at its first.
    scheduled_sampling_end : float, default=0
        Until this epoch, a step of a training rollout starts from the true frame instead of the predicted one with a
        probability that falls linearly from 1 to 0. The paper ends at "300 timesteps", read as epochs; 0 always feeds
        predictions back.
    clip_margin : float or None, default=0.5
        Predicted frames are kept within the range of each column over the training frames, centred as the regressor
        centres them, and widened on either side by this share of it, so that no rollout runs off. None sets no bounds;
        a rollout that ends in infinity is then an error.

    References
    ----------
    Wang et al. 2021, "Neuron-level Trajectory Prediction"; Bengio et al. 2015 for scheduled sampling.

    Examples
    --------
    >>> from skworm import MLPTrajectoryRegressor, Rollout
    >>> MLPTrajectoryRegressor(rollout=Rollout(train_horizon=16)).get_params()["rollout__train_horizon"]
    16
    """

    train_horizon: Count = 8
    random_start: bool = True
    scheduled_sampling_end: NotNegative = 0
    clip_margin: NotNegative | None = 0.5


GRAPHS: Mapping[str, type[ParameterObject]] = {
    "auto": InferredGraph,
    "inferred": InferredGraph,
    "learned": LearnedGraph,
}
"""Graphs by name; convolutions take ``"auto"`` for all pairs of neurons."""

MESSAGES: Mapping[str, type[ParameterObject]] = {
    "weighted": Messages,
    "gin": GIN,
    "sage": SAGE,
    "gat": GAT,
    "gatv2": GATv2,
    "attention": GlobalAttention,
}
"""Messages by name."""
