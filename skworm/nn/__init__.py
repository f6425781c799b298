"""Torch modules: perceptrons, graphs between neurons, convolutions, memories, and the networks built of them."""

from skworm.nn.blocks import Groups
from skworm.nn.frames import FrameModule, ReadoutModule
from skworm.nn.graphs import DynamicGraph, EdgeEncoder, FixedGraph, FreeGraph, StaticGraph
from skworm.nn.messages import (
    AttentionConvolution,
    GATConvolution,
    GATv2Convolution,
    GINConvolution,
    GraphConvolution,
    MessageModule,
    MessagePassing,
    SAGEConvolution,
)
from skworm.nn.rollout import FrameLSTM, NeuronGRU, NeuronLSTM, NeuronReadout, Step, TrajectoryModule

__all__ = [
    "AttentionConvolution",
    "DynamicGraph",
    "EdgeEncoder",
    "FixedGraph",
    "FrameLSTM",
    "FrameModule",
    "FreeGraph",
    "GATConvolution",
    "GATv2Convolution",
    "GINConvolution",
    "GraphConvolution",
    "Groups",
    "MessageModule",
    "MessagePassing",
    "NeuronGRU",
    "NeuronLSTM",
    "NeuronReadout",
    "ReadoutModule",
    "SAGEConvolution",
    "StaticGraph",
    "Step",
    "TrajectoryModule",
]
