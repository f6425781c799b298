"""Reliability of probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skworm.frames.index import worm_of_rows
from skworm.metrics import calibration_report, reliability_curve
from skworm.plotting.common import LINE_COLORS, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCHES_A_PANEL = 2.3
_PANELS_A_ROW = 3
_DOT_OF_ALL_FRAMES = 60.0
_LEAST_SHARE = 0.01
_DIAGONAL = "#666666"
_CONFIDENCE = "Confidence (probability)"


class ReliabilityDisplay:
    """How often the most probable state is right, against its probability: a panel a model, a line a worm.

    A line below the diagonal is that of a model too sure of itself. The area of a dot is the share of the worm's frames
    in the bin; bins with less than 1 % of them are not drawn.

    Parameters
    ----------
    curves : pandas.DataFrame
        One row per panel, worm and bin; columns ``panel, worm, confidence, accuracy, n_frames``.
    errors : mapping of str to float, optional
        Expected calibration error of each panel, mean over worms, for its title.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure.
    axes_ : list of matplotlib.axes.Axes
        The panels.
    lines_ : dict of (panel, worm) to matplotlib.lines.Line2D
        The curves.
    dots_ : dict of (panel, worm) to matplotlib.collections.PathCollection
        The dots of the curves.

    Examples
    --------
    >>> from skworm.plotting import ReliabilityDisplay
    >>> display = ReliabilityDisplay.from_predictions(
    ...     ["forward", "reverse"], [[0.9, 0.1], [0.6, 0.4]], classes=["forward", "reverse"], worm=["a", "b"]
    ... )
    >>> display.axes_[0].get_xlabel()
    'Confidence (probability)'
    """

    def __init__(self, curves: pd.DataFrame, *, errors: Mapping[str, float] | None = None) -> None:
        self.curves = curves
        self.errors = errors

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, worm: Any = None, n_bins: int = 10, ax: Any = None
    ) -> ReliabilityDisplay:
        """Draw the reliability of a fitted classifier.

        Parameters
        ----------
        estimator : scikit-learn classifier
            Fitted, with `predict_proba`.
        X : DataFrame or array-like of shape (n_frames, n_features)
            Frames, best of worms that the classifier has not seen.
        y : array-like of str, shape (n_frames,)
            True states; ``"unknown"`` is left out.
        worm : array-like of shape (n_frames,), optional
            Worm of each frame; by default the index level ``"worm"`` of `X`.
        n_bins : int, default=10
            Bins of equal width.
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        ReliabilityDisplay
            The display, drawn.
        """
        probabilities = {type(estimator).__name__: estimator.predict_proba(X)}
        worms = worm_of_rows(X, worm)
        return cls.from_predictions(y, probabilities, classes=estimator.classes_, worm=worms, n_bins=n_bins, ax=ax)

    @classmethod
    def from_predictions(
        cls, y_true: Any, probabilities: Any, *, classes: Any, worm: Any = None, n_bins: int = 10, ax: Any = None
    ) -> ReliabilityDisplay:
        """Draw the reliability of probabilities.

        Parameters
        ----------
        y_true : Series or array-like of str, shape (n_frames,)
            True states; ``"unknown"`` is left out.
        probabilities : array-like of shape (n_frames, n_states), or mapping of str to such
            What `predict_proba` returned; a mapping gives a panel a model.
        classes : array-like of str, shape (n_states,)
            States of the columns.
        worm : array-like of shape (n_frames,), optional
            Worm of each frame; by default the index level ``"worm"`` of `y_true`.
        n_bins : int, default=10
            Bins of equal width.
        ax : matplotlib Axes or sequence of them, optional
            One for each panel; by default a new figure.

        Returns
        -------
        ReliabilityDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If worms are missing, shapes do not fit, or `ax` does not fit the panels.
        """
        models = probabilities if isinstance(probabilities, Mapping) else {"": probabilities}
        parts, errors = [], {}
        for panel, values in models.items():
            report = calibration_report(y_true, values, classes=classes, worm=worm)
            errors[panel] = float(report["expected_calibration_error"].mean())
            worms, states = np.asarray(worm_of_rows(y_true, worm)), np.asarray(y_true, dtype=str)
            for name in report.index:
                rows = worms == name
                curve = reliability_curve(states[rows], np.asarray(values)[rows], classes=classes, n_bins=n_bins)
                parts.append(curve.assign(panel=panel, worm=str(name)))
        return cls(pd.concat(parts, ignore_index=True), errors=errors).plot(ax=ax)

    def plot(self, ax: Any = None) -> ReliabilityDisplay:
        """Draw into `ax`, one matplotlib Axes for each panel, or into a new figure; return the display itself."""
        panels = list(self.curves["panel"].unique())
        self.axes_ = self._new_axes(len(panels)) if ax is None else list(np.atleast_1d(ax).ravel())
        if len(self.axes_) != len(panels):
            raise ValueError(f"ax holds {len(self.axes_)} axes for {len(panels)} panels; pass one for each")
        self.figure_ = self.axes_[0].figure
        self.lines_: dict[tuple[str, str], Any] = {}
        self.dots_: dict[tuple[str, str], Any] = {}
        for axes, panel in zip(self.axes_, panels, strict=True):
            self._draw_panel(axes, panel)
        self._set_limits(own_figure=ax is None)
        self._add_legend(own_figure=ax is None)
        return self

    def _new_axes(self, n_panels: int) -> list[Axes]:
        n_columns = min(n_panels, _PANELS_A_ROW)
        n_rows = -(-n_panels // n_columns)
        figure = new_figure((1.6 + _INCHES_A_PANEL * n_columns, 0.3 + (0.6 + _INCHES_A_PANEL) * n_rows))
        places = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False).ravel()
        for unused in places[n_panels:]:
            unused.remove()
        return list(places[:n_panels])

    def _draw_panel(self, axes: Axes, panel: str) -> None:
        rows = self.curves[self.curves["panel"] == panel]
        axes.plot([0, 1], [0, 1], color=_DIAGONAL, linestyle="--", linewidth=1, zorder=0)
        for worm, bins in rows.groupby("worm", sort=False):
            share = bins["n_frames"] / bins["n_frames"].sum()
            curve, share = bins[share >= _LEAST_SHARE], share[share >= _LEAST_SHARE]
            color = LINE_COLORS[list(self.curves["worm"].unique()).index(worm) % len(LINE_COLORS)]
            place = curve["confidence"], curve["accuracy"]
            key = panel, str(worm)
            self.lines_[key] = axes.plot(*place, color=color, linewidth=1.2, label=str(worm))[0]
            self.dots_[key] = axes.scatter(
                *place, s=4 + _DOT_OF_ALL_FRAMES * share, color=color, linewidths=0, clip_on=False
            )
        error = (self.errors or {}).get(panel)
        title = [panel] * bool(panel) + ([] if error is None else [f"calibration error {error:.3f}"])
        axes.set_title("\n".join(title), fontsize="small")
        axes.set_xlabel(_CONFIDENCE)
        axes.set_ylabel("Accuracy (fraction)")
        axes.grid(color="#E5E5E5", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)

    def _set_limits(self, own_figure: bool) -> None:
        lowest = min(float(line.get_xdata().min()) for line in self.lines_.values())
        for axes in self.axes_:
            axes.set(xlim=(min(0.5, 0.1 * np.floor(10 * lowest)), 1), ylim=(0, 1))
            if own_figure:
                axes.label_outer()
        # The last row may be shorter than the one above it, whose axes keep their labels then.
        for axes in self.axes_[-_PANELS_A_ROW:] if own_figure else ():
            axes.tick_params(labelbottom=True)
            axes.set_xlabel(_CONFIDENCE)

    def _add_legend(self, own_figure: bool) -> None:
        lines = {worm: line for (_, worm), line in self.lines_.items()}
        lines["calibrated"] = self.axes_[0].lines[0]
        where: Any = self.figure_ if own_figure else self.axes_[-1]
        place = {"loc": "outside right center"} if own_figure else {}
        where.legend(list(lines.values()), list(lines), frameon=False, fontsize="small", **place)
