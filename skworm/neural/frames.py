"""Networks with outputs of their own for every frame, be they logits of states or behavioural signals."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import StrOptions
from torch import Tensor, nn

from skworm.expected_frames import frame_settings, validate_like_training
from skworm.layout import parse_context_feature_names, window_of_rows, worm_of_rows
from skworm.neural.base import NeuralEstimator
from skworm.neural.graphs import GraphEstimator
from skworm.nn import GNNFrameModule, MLPFrameModule
from skworm.nn.groups import Groups
from skworm.nn.readouts import Readout
from skworm.training import Batch, Draws, TrainingJob, VirtualWorms, held_out_windows, one_thread

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
