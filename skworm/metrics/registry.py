"""The metrics of a cross-validation: what people call them, and whether lower is better."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Metric(NamedTuple):
    """A metric that models are compared by: its column in a table of scores, and what people call it and how."""

    name: str
    label: str
    lower_is_better: bool = False
    percent: bool = False


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric("accuracy", "Accuracy", percent=True),
            Metric("balanced_accuracy", "Balanced accuracy", percent=True),
            Metric("macro_f1", "Macro F1", percent=True),
            Metric("r2", "R²"),
            Metric("correlation", "Correlation"),
            Metric("rmse", "RMSE", lower_is_better=True),
            Metric("mse", "MSE", lower_is_better=True),
        )
    }
)
"""The metrics of states, behaviour and trajectories by name, the one that models are compared by first in each task."""


def metric_of(name: str) -> Metric:
    """Return the metric of a column; ``"mse_trace"`` is the MSE of the trace alone."""
    base, _, part = name.partition("_")
    if name in METRICS:
        return METRICS[name]
    if base in METRICS and part:
        return METRICS[base]._replace(name=name, label=f"{METRICS[base].label}, {part.replace('_', ' ')}")
    raise ValueError(f"there is no metric {name!r}; choose one of {', '.join(METRICS)}")
