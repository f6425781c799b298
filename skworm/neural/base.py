"""What all neural estimators share: training parameters, columns, training through skorch."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from skworm.layout import parse_column_names
from skworm.training import (
    Preparation,
    TrainingJob,
    TrainingSettings,
    VirtualWorms,
    net_trained_beforehand,
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
