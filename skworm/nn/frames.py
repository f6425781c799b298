"""Frames in, outputs of each frame out: one logit a state (equation 1), or one value a signal."""

from __future__ import annotations

from torch import Tensor, nn

from skworm.nn.blocks import Readout
from skworm.nn.convolutions import GraphConvolution
from skworm.nn.groups import Groups
from skworm.nn.messages import MessagePassing


class MLPFrameModule(nn.Module):
    """Aggregate the neurons and apply a perceptron (equations 6 and 7).

    Parameters
    ----------
    n_neurons, n_node_features : int
        Shape of a frame.
    readout : Readout
        Aggregation and perceptron.
    """

    def __init__(self, n_neurons: int, n_node_features: int, readout: Readout) -> None:
        super().__init__()
        self.frame_shape = (n_neurons, n_node_features)
        self.readout = readout

    def forward(self, X: Tensor, group: Groups) -> Tensor:
        """Map frames to outputs.

        Parameters
        ----------
        X : Tensor of shape (n_frames, n_neurons * n_node_features)
            Frames, neuron-major.
        group : Groups
            Not used: every frame stands alone.

        Returns
        -------
        Tensor of shape (n_frames, n_outputs)
            Logits of states, or signals.
        """
        return self.readout(X.unflatten(1, self.frame_shape))


class GNNFrameModule(nn.Module):
    """Pass messages along a weighted graph, then aggregate and apply a perceptron (equations 12 to 14).

    Parameters
    ----------
    n_neurons, n_node_features : int
        Shape of a frame.
    messages : MessagePassing or GraphConvolution
        Graph and messages.
    readout : Readout
        Aggregation and perceptron.

    References
    ----------
    Wang et al. 2021, equations 8 to 14.
    """

    def __init__(
        self, n_neurons: int, n_node_features: int, messages: MessagePassing | GraphConvolution, readout: Readout
    ) -> None:
        super().__init__()
        self.frame_shape = (n_neurons, n_node_features)
        self.messages = messages
        self.readout = readout

    def forward(self, X: Tensor, group: Groups, graphs: Tensor | None = None) -> Tensor:
        """Map frames to outputs.

        Parameters
        ----------
        X : Tensor of shape (n_frames, n_neurons * n_node_features)
            Frames, neuron-major.
        group : Groups
            Groups of frames; frames of one group share a static graph.
        graphs : Tensor of shape (n_groups, n_neurons, n_neurons), optional
            Edge weights that are already known, in place of inferred ones.

        Returns
        -------
        Tensor of shape (n_frames, n_outputs)
            Logits of states, or signals.
        """
        return self.readout(self.messages(self.nodes(X), group, graphs))

    def nodes(self, X: Tensor) -> Tensor:
        """Tell the features of every neuron, from which graphs are inferred.

        Parameters
        ----------
        X : Tensor of shape (n_frames, n_neurons * n_node_features)
            Frames, neuron-major.

        Returns
        -------
        Tensor of shape (n_frames, n_neurons, n_node_features)
            Node features.
        """
        return X.unflatten(1, self.frame_shape)
