"""Classifiers of states: confusion, and reliability of probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from skworm.frames.index import worm_of_rows
from skworm.metrics import calibration_report, reliability_curve
from skworm.plotting import base
from skworm.recording import UNKNOWN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCHES_A_STATE, _DARK, _MATRICES_A_ROW = 0.44, 50, 2
_INCHES_A_CURVE, _CURVES_A_ROW = 2.3, 3
_DOT_OF_ALL_FRAMES, _LEAST_SHARE, _CONFIDENCE = 60.0, 0.01, "Confidence (probability)"


class ConfusionDisplay(base.ClassifierDisplay):
    """Confusion matrices in per cent of each labelled state, one panel for each model.

    Parameters
    ----------
    confusion : pandas.DataFrame
        One row per panel, labelled state and predicted state; columns ``panel, state, predicted, percent``. A state
        that is never labelled may be missing. States are drawn in the order of ``STATE_COLORS``.

    Attributes
    ----------
    images_ : dict of matplotlib.image.AxesImage
        The cells by panel.
    colorbar_ : matplotlib.colorbar.Colorbar or None
        The colour bar of a figure of its own.

    Examples
    --------
    >>> from skworm.plotting import ConfusionDisplay
    >>> labelled, predicted = ["forward", "forward", "reverse"], ["forward", "reverse", "reverse"]
    >>> display = ConfusionDisplay.from_predictions(labelled, {"GNN": predicted})
    >>> display.images_["GNN"].get_array().tolist()
    [[50.0, 50.0], [0.0, 100.0]]
    """

    confusion: pd.DataFrame

    @classmethod
    def from_predictions(cls, y_true: Any, predictions: Any, *, worm: Any = None, ax: Any = None) -> Self:
        """Draw the confusion of predicted states, mean over worms.

        Every worm counts the same in the row of a state, if it ever shows that state. Without worms all frames count
        as those of one.

        Parameters
        ----------
        %(y_true)s
        predictions : array-like of str, shape (n_frames,), or mapping of str to such
            Predicted states; a mapping gives each model a panel.
        %(worm)s
        %(ax)s
        """
        true, worms = np.asarray(y_true, dtype=str), worm_of_rows(y_true, worm)
        worms = np.zeros(len(true), dtype=int) if worms is None else worms
        known = true != UNKNOWN
        if true.ndim != 1 or not known.any():
            raise ValueError("y_true has no frame with a known state; pass one state a frame, (n_frames,)")
        models = predictions if isinstance(predictions, Mapping) else {"": predictions}
        parts = []
        for panel, predicted in base.checked_predictions(models, true.shape, "y_true", str).items():
            frames = pd.DataFrame({"worm": worms, "state": true, "predicted": predicted})[known]
            counts = frames.groupby(["worm", "state"])["predicted"].value_counts(normalize=True)
            shares = 100 * counts.unstack(fill_value=0)
            means = shares.groupby(level="state").mean().stack().rename("percent")
            parts.append(means.reset_index().assign(panel=panel))
        return cls(pd.concat(parts, ignore_index=True)).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        cell = ["panel", "state", "predicted"]
        base.require_columns(self.confusion, [*cell, "percent"], "one with panel, state, predicted and percent")
        if self.confusion.duplicated(cell).any():
            name, state, predicted = self.confusion.loc[self.confusion.duplicated(cell), cell].iloc[0]
            found = f"several rows for {state!r} taken for {predicted!r} in panel {name!r}"
            raise ValueError(f"confusion has {found}; average them over worms first")
        panels = list(self.confusion["panel"].unique())
        states = list(base.colors_of_states([*self.confusion["state"], *self.confusion["predicted"]]))
        side = 1.2 + _INCHES_A_STATE * len(states)
        n_columns = min(_MATRICES_A_ROW, len(panels))
        size = (1.6 + side * n_columns, 1.0 + side * -(-len(panels) // n_columns))
        self._make_axes(ax, len(panels), size, n_columns=n_columns, square=True, sharex=True, sharey=True)
        self.images_: dict[str, Any] = {}
        for axes, (panel, rows) in zip(self.axes_, self.confusion.groupby("panel", sort=False), strict=True):
            self._draw_panel(axes, str(panel), rows, states)
        self.colorbar_ = None
        if self._own_figure:
            place = {"ax": self.axes_, "fraction": 0.05, "aspect": 30, "pad": 0.02}
            self.colorbar_ = self.figure_.colorbar(self.images_[panels[-1]], **place)
            self.colorbar_.set_label("Frames of labelled state (%)", fontsize="small")
        if self._own_figure and self._width is not None:
            # Square panels are as high as the width leaves them wide, which the layout alone knows.
            self.figure_.draw_without_rendering()
            self.figure_.set_figheight(self.figure_.get_tightbbox().height)

    def _draw_panel(self, axes: Axes, panel: str, rows: pd.DataFrame, states: list[str]) -> None:
        table = rows.pivot(index="state", columns="predicted", values="percent")
        values = table.reindex(index=states, columns=states).to_numpy(dtype=float)
        # A state that is never predicted counts as 0, but a row stays empty if its state never occurs.
        values = np.where(np.isnan(values) & ~np.isnan(values).all(axis=1, keepdims=True), 0.0, values)
        self.images_[panel] = axes.imshow(values, interpolation="nearest", vmin=0, vmax=100, cmap="Blues")
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                color = "white" if value > _DARK else "black"
                axes.text(column, row, f"{value:.0f}", ha="center", va="center", color=color, fontsize="small")
        names = list(map(base.readable, states))
        axes.set_xticks(range(len(states)), names, rotation=45, ha="right", rotation_mode="anchor", fontsize="small")
        axes.set_yticks(range(len(states)), names, fontsize="small")
        axes.tick_params(length=0)
        axes.set(xlabel="Predicted state", ylabel="Labelled state")
        axes.set_title(panel, fontsize="medium")
        axes.label_outer()


class ReliabilityDisplay(base.ClassifierDisplay):
    """How often the most probable state is right, against its probability: a panel for each model, lines of worms.

    A line below the diagonal means that the model is too sure of itself. The area of a dot is the share of the worm's
    frames in the bin; bins with less than 1 % of them are not drawn.

    Parameters
    ----------
    curves : pandas.DataFrame
        One row per panel, worm and bin; columns ``panel, worm, confidence, accuracy, n_frames``.
    errors : mapping of str to float, optional
        Expected calibration error of each panel, mean over worms, for its title.

    Attributes
    ----------
    lines_, dots_ : dict
        Curves and their dots by (panel, worm).

    Examples
    --------
    >>> from skworm.plotting import ReliabilityDisplay
    >>> states, probabilities = ["forward", "reverse"], [[0.9, 0.1], [0.6, 0.4]]
    >>> display = ReliabilityDisplay.from_predictions(states, probabilities, classes=states, worm=["a", "b"])
    >>> display.axes_[0].get_xlabel()
    'Confidence (probability)'
    """

    curves: pd.DataFrame
    _: KW_ONLY
    errors: Mapping[str, float] | None = None

    @classmethod
    def _predict(cls, estimator: Any, X: Any) -> dict[str, Any]:
        probabilities = {type(estimator).__name__: estimator.predict_proba(X)}
        return {"probabilities": probabilities, "classes": estimator.classes_}

    @classmethod
    def from_predictions(
        cls, y_true: Any, probabilities: Any, *, classes: Any, worm: Any = None, ax: Any = None
    ) -> Self:
        """Draw the reliability of probabilities.

        Parameters
        ----------
        %(y_true)s
        probabilities : array-like of shape (n_frames, n_states), or mapping of str to such
            What `predict_proba` returned; a mapping gives each model a panel.
        classes : array-like of str, shape (n_states,)
            States of the columns.
        %(worm)s
        %(ax)s
        """
        models = probabilities if isinstance(probabilities, Mapping) else {"": probabilities}
        parts, errors = [], {}
        for panel, values in models.items():
            report = calibration_report(y_true, values, classes=classes, worm=worm)
            errors[panel] = float(report["expected_calibration_error"].mean())
            curve = reliability_curve(y_true, values, classes=classes, worm=worm)
            parts.append(curve.reset_index().assign(panel=panel))
        return cls(pd.concat(parts, ignore_index=True), errors=errors).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        n_panels = self.curves["panel"].nunique()
        n_columns = min(n_panels, _CURVES_A_ROW)
        size = (1.6 + _INCHES_A_CURVE * n_columns, 0.3 + (0.6 + _INCHES_A_CURVE) * -(-n_panels // n_columns))
        self._make_axes(ax, n_panels, size, n_columns=n_columns, sharex=True, sharey=True)
        self.lines_: dict[tuple[str, str], Any] = {}
        self.dots_: dict[tuple[str, str], Any] = {}
        for axes, (panel, rows) in zip(self.axes_, self.curves.groupby("panel", sort=False), strict=True):
            self._draw_panel(axes, str(panel), rows)
        lowest = min(float(line.get_xdata().min()) for line in self.lines_.values())
        for axes in self.axes_:
            axes.set(xlim=(min(0.5, 0.1 * np.floor(10 * lowest)), 1), ylim=(0, 1))
        # The last row may be shorter than the one above it, whose axes keep their labels then.
        for axes in self.axes_[-_CURVES_A_ROW:] if self._own_figure else ():
            axes.tick_params(labelbottom=True)
            axes.set_xlabel(_CONFIDENCE)
        handles = {worm: line for (_, worm), line in self.lines_.items()}
        handles["calibrated"] = self.axes_[0].lines[0]
        self._add_legend(handles, loc="outside right center")

    def _draw_panel(self, axes: Axes, panel: str, rows: pd.DataFrame) -> None:
        axes.plot([0, 1], [0, 1], color=base.GREY, linestyle="--", linewidth=1, zorder=0)
        for worm, bins in rows.groupby("worm", sort=False):
            share = bins["n_frames"] / bins["n_frames"].sum()
            curve, share = bins[share >= _LEAST_SHARE], share[share >= _LEAST_SHARE]
            color = base.LINE_COLORS[list(self.curves["worm"].unique()).index(worm) % len(base.LINE_COLORS)]
            place, area = (curve["confidence"], curve["accuracy"]), 4 + _DOT_OF_ALL_FRAMES * share
            key = panel, str(worm)
            self.lines_[key] = axes.plot(*place, color=color, linewidth=1.2, label=str(worm))[0]
            self.dots_[key] = axes.scatter(*place, s=area, color=color, linewidths=0, clip_on=False)
        error = (self.errors or {}).get(panel)
        title = [panel] * bool(panel) + ([] if error is None else [f"calibration error {error:.3f}"])
        axes.set_title("\n".join(title), fontsize="small")
        axes.set(xlabel=_CONFIDENCE, ylabel="Accuracy (fraction)")
        base.tidy(axes, grid="both")
        if self._own_figure:
            axes.label_outer()
