"""Classifiers of states: confusion, reliability of probabilities, leakage between folds, importance of neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skworm.frames.index import worm_of_rows
from skworm.metrics import calibration_report, reliability_curve
from skworm.plotting.base import ClassifierDisplay, Display, add_legend, draw_dots, name_rows, tidy
from skworm.plotting.words import (
    BAR,
    DOT,
    GREY,
    LINE_COLORS,
    MEAN_OVER_WORMS,
    colors_of_states,
    readable,
    style_of_model,
)
from skworm.recording import UNKNOWN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCHES_A_STATE, _DARK, _MATRICES_A_ROW = 0.44, 50, 2
_INCHES_A_CURVE, _CURVES_A_ROW = 2.3, 3
_DOT_OF_ALL_FRAMES, _LEAST_SHARE = 60.0, 0.01
_CONFIDENCE = "Confidence (probability)"
_INCHES_A_KIND, _SPREAD_OF_MODELS, _SPREAD_OF_DOTS, _BELOW_MEAN = 0.8, 0.28, 0.03, 0.11
_MARKERS = {"clock": "s", "majority": "D", "estimator": "o"}
_INCHES_A_NEURON, _SPREAD_OF_WORMS = 0.24, 0.22


class ConfusionDisplay(ClassifierDisplay):
    """Confusion matrices in per cent of each labelled state, one panel a model.

    Parameters
    ----------
    confusion : pandas.DataFrame
        One row per panel, labelled state and predicted state; columns ``panel, state, predicted, percent``. A state
        that is never labelled may be missing.
    states : sequence of str, optional
        States in the order of the axes; by default those of the table, in the order of ``STATE_COLORS``.

    Attributes
    ----------
    images_ : dict of matplotlib.image.AxesImage
        The cells by panel.
    colorbar_ : matplotlib.colorbar.Colorbar or None
        The colour bar of a figure of its own.

    Examples
    --------
    >>> from skworm.plotting import ConfusionDisplay
    >>> display = ConfusionDisplay.from_predictions(
    ...     ["forward", "forward", "reverse", "reverse"], {"GNN": ["forward", "reverse", "reverse", "reverse"]}
    ... )
    >>> display.images_["GNN"].get_array().tolist()
    [[50.0, 50.0], [0.0, 100.0]]
    """

    def __init__(self, confusion: pd.DataFrame, *, states: Sequence[str] | None = None) -> None:
        self.confusion = confusion
        self.states = states

    @classmethod
    def from_predictions(cls, y_true: Any, predictions: Any, *, worm: Any = None, ax: Any = None) -> ConfusionDisplay:
        """Draw the confusion of predicted states, mean over worms.

        Every worm counts the same in the row of a state, if it ever shows that state. Without worms all frames count
        as those of one.

        Parameters
        ----------
        y_true : Series or array-like of str, shape (n_frames,)
            Labelled states; ``"unknown"`` is left out.
        predictions : array-like of str, shape (n_frames,), or mapping of str to such
            Predicted states; a mapping gives a panel a model.
        worm : array-like of shape (n_frames,), optional
            Worm of each frame; by default the index level ``"worm"`` of `y_true`.
        ax : matplotlib Axes or sequence of them, optional
            One for each panel; by default a new figure.

        Returns
        -------
        ConfusionDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If shapes do not fit, no state is known, or `ax` does not fit the panels.
        """
        true, worms = np.asarray(y_true, dtype=str), worm_of_rows(y_true, worm)
        worms = np.zeros(len(true), dtype=int) if worms is None else worms
        known = true != UNKNOWN
        if true.ndim != 1 or not known.any():
            raise ValueError("y_true has no frame with a known state; pass one state a frame, (n_frames,)")
        models = predictions if isinstance(predictions, Mapping) else {"": predictions}
        parts = []
        for panel, values in models.items():
            predicted = np.asarray(values, dtype=str)
            if predicted.shape != true.shape:
                name = f"the predictions of {panel!r}" if panel else "predictions"
                raise ValueError(f"{name} have shape {predicted.shape}, but y_true has {true.shape}")
            frames = pd.DataFrame({"worm": worms, "state": true, "predicted": predicted})[known]
            counts = frames.groupby(["worm", "state"])["predicted"].value_counts().unstack(fill_value=0)
            shares = 100 * counts.div(counts.sum(axis=1), axis=0)
            means = shares.groupby(level="state").mean().stack().rename("percent")
            parts.append(means.reset_index().assign(panel=panel))
        return cls(pd.concat(parts, ignore_index=True)).plot(ax=ax)

    def plot(self, ax: Any = None) -> ConfusionDisplay:
        """Draw the matrices.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of them, optional
            One for each panel; by default a new figure.

        Returns
        -------
        ConfusionDisplay
            The display itself.

        Raises
        ------
        ValueError
            If a column is missing, a cell comes twice, or `ax` does not fit the panels.
        """
        self._check()
        panels = list(self.confusion["panel"].unique())
        states = list(self.states or colors_of_states([*self.confusion["state"], *self.confusion["predicted"]]))
        side = 1.2 + _INCHES_A_STATE * len(states)
        n_columns = min(_MATRICES_A_ROW, len(panels))
        size = (1.6 + side * n_columns, 1.0 + side * -(-len(panels) // n_columns))
        self._make_axes(ax, len(panels), size, n_columns=n_columns, square=True, sharex=True, sharey=True)
        self.images_: dict[str, Any] = {}
        for axes, panel in zip(self.axes_, panels, strict=True):
            self._draw_panel(axes, panel, states)
        self.colorbar_ = None
        if self._own_figure:
            place = {"ax": self.axes_, "fraction": 0.05, "aspect": 30, "pad": 0.02}
            label = "Frames of the labelled state (%)"
            self.colorbar_ = self.figure_.colorbar(self.images_[panels[-1]], label=label, **place)
        return self

    def _check(self) -> None:
        for column in ("panel", "state", "predicted", "percent"):
            if column not in self.confusion:
                raise ValueError(f"confusion has no column {column!r}; it needs panel, state, predicted and percent")
        repeated = self.confusion[self.confusion.duplicated(["panel", "state", "predicted"])]
        if len(repeated):
            row = repeated.iloc[0]
            raise ValueError(
                f"confusion has several rows for {row['state']!r} taken for {row['predicted']!r} in panel "
                f"{row['panel']!r}; average them over worms first"
            )

    def _draw_panel(self, axes: Axes, panel: str, states: list[str]) -> None:
        rows = self.confusion[self.confusion["panel"] == panel]
        table = rows.pivot(index="state", columns="predicted", values="percent")
        values = table.reindex(index=states, columns=states).to_numpy(dtype=float)
        # Not predicted at all is 0, unless the state was never there to be taken for anything.
        values = np.where(np.isnan(values) & ~np.isnan(values).all(axis=1, keepdims=True), 0.0, values)
        self.images_[panel] = axes.imshow(values, interpolation="nearest", vmin=0, vmax=100, cmap="Blues")
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                color = "white" if value > _DARK else "black"
                axes.text(column, row, f"{value:.0f}", ha="center", va="center", color=color, fontsize="small")
        names = list(map(readable, states))
        axes.set_xticks(range(len(states)), names, rotation=45, ha="right", rotation_mode="anchor", fontsize="small")
        axes.set_yticks(range(len(states)), names, fontsize="small")
        axes.tick_params(length=0)
        axes.set_xlabel("Predicted state")
        axes.set_ylabel("Labelled state")
        axes.set_title(panel, fontsize="medium")
        axes.label_outer()


class ReliabilityDisplay(ClassifierDisplay):
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

    @staticmethod
    def _predict(estimator: Any, X: Any) -> dict[str, Any]:
        probabilities = {type(estimator).__name__: estimator.predict_proba(X)}
        return {"probabilities": probabilities, "classes": estimator.classes_}

    @classmethod
    def from_predictions(
        cls, y_true: Any, probabilities: Any, *, classes: Any, worm: Any = None, n_bins: int = 10, ax: Any = None
    ) -> ReliabilityDisplay:
        """Draw the reliability of probabilities.

        Parameters
        ----------
        y_true : Series or array-like of str, shape (n_frames,)
            Labelled states; ``"unknown"`` is left out.
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
        n_columns = min(len(panels), _CURVES_A_ROW)
        height = 0.3 + (0.6 + _INCHES_A_CURVE) * -(-len(panels) // n_columns)
        size = (1.6 + _INCHES_A_CURVE * n_columns, height)
        self._make_axes(ax, len(panels), size, n_columns=n_columns, sharex=True, sharey=True)
        self.lines_: dict[tuple[str, str], Any] = {}
        self.dots_: dict[tuple[str, str], Any] = {}
        for axes, panel in zip(self.axes_, panels, strict=True):
            self._draw_panel(axes, panel)
        self._set_limits()
        handles = {worm: line for (_, worm), line in self.lines_.items()}
        handles["calibrated"] = self.axes_[0].lines[0]
        self._add_legend(handles, loc="outside right center")
        return self

    def _draw_panel(self, axes: Axes, panel: str) -> None:
        rows = self.curves[self.curves["panel"] == panel]
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, zorder=0)
        for worm, bins in rows.groupby("worm", sort=False):
            share = bins["n_frames"] / bins["n_frames"].sum()
            curve, share = bins[share >= _LEAST_SHARE], share[share >= _LEAST_SHARE]
            color = LINE_COLORS[list(self.curves["worm"].unique()).index(worm) % len(LINE_COLORS)]
            place = curve["confidence"], curve["accuracy"]
            key = panel, str(worm)
            self.lines_[key] = axes.plot(*place, color=color, linewidth=1.2, label=str(worm))[0]
            area = 4 + _DOT_OF_ALL_FRAMES * share
            self.dots_[key] = axes.scatter(*place, s=area, color=color, linewidths=0, clip_on=False)
        error = (self.errors or {}).get(panel)
        title = [panel] * bool(panel) + ([] if error is None else [f"calibration error {error:.3f}"])
        axes.set_title("\n".join(title), fontsize="small")
        axes.set_xlabel(_CONFIDENCE)
        axes.set_ylabel("Accuracy (fraction)")
        tidy(axes, grid="both")

    def _set_limits(self) -> None:
        lowest = min(float(line.get_xdata().min()) for line in self.lines_.values())
        for axes in self.axes_:
            axes.set(xlim=(min(0.5, 0.1 * np.floor(10 * lowest)), 1), ylim=(0, 1))
            if self._own_figure:
                axes.label_outer()
        # The last row may be shorter than the one above it, whose axes keep their labels then.
        for axes in self.axes_[-_CURVES_A_ROW:] if self._own_figure else ():
            axes.tick_params(labelbottom=True)
            axes.set_xlabel(_CONFIDENCE)


class LeakageDisplay(Display):
    r"""Scores on held-out windows beside the share of them that touch training, a row for each kind of fold.

    The clock looks at no neuron. What it scores is memory of the moment, and shrinks as fewer held-out windows lie
    right beside a training window.

    Parameters
    ----------
    report : pandas.DataFrame
        The table of :func:`skworm.inspection.leakage_report`.
    estimator_label : str, default="estimator"
        What the legend calls the model that was scored beside the clock.

    Attributes
    ----------
    axes_ : list of matplotlib.axes.Axes
        The accuracies, and the shares of windows.
    means_, dots_ : dict
        Means with error bars, and dots, one a worm, by (folds, model); models are ``"clock"``, ``"majority"`` and where
        the report has it ``"estimator"``.
    bars_ : dict
        Shares of windows by folds, mean over worms.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.plotting import LeakageDisplay
    >>> report = pd.DataFrame({
    ...     "fold_by": ["shuffled_windows", "contiguous_blocks"], "gap": [0, 8], "worm": "worm-a",
    ...     "share_touching": [0.99, 0.0], "accuracy_majority": 0.6, "accuracy_clock": [0.97, 0.62],
    ... })
    >>> display = LeakageDisplay(report).plot()
    >>> [label.get_text() for label in display.axes_[0].get_yticklabels()]
    ['shuffled windows', 'contiguous blocks,\ngap of 8 frames']
    """

    def __init__(self, report: pd.DataFrame, *, estimator_label: str = "estimator") -> None:
        self.report = report
        self.estimator_label = estimator_label

    def plot(self, ax: Any = None) -> LeakageDisplay:
        """Draw into `ax`, two matplotlib Axes, or into a new figure; return the display itself.

        Raises
        ------
        ValueError
            If columns of the report are missing, or `ax` does not hold two axes.
        """
        wanted = ("fold_by", "gap", "worm", "share_touching", "accuracy_majority", "accuracy_clock")
        missing = [name for name in wanted if name not in self.report]
        if missing:
            raise ValueError(f"report lacks the columns {missing}; pass what leakage_report returned")
        kinds: Any = self.report.groupby(["fold_by", "gap"], sort=False)
        folds = {_name_of_folds(fold_by, gap): rows for (fold_by, gap), rows in kinds}
        size = (7.2, 1.5 + _INCHES_A_KIND * len(folds))
        self._make_axes(ax, 2, size, sharey=True, width_ratios=[3, 2])
        self.means_: dict[tuple[str, str], Any] = {}
        self.dots_: dict[tuple[str, str], Any] = {}
        self.bars_: dict[str, Any] = {}
        models = {"clock": "clock (frame number alone)", "majority": "most frequent state"}
        models |= {"estimator": self.estimator_label} if "accuracy_estimator" in self.report else {}
        for position, (name, rows) in enumerate(folds.items()):
            self._draw_scores(position, name, rows, list(models))
            self._draw_share(position, name, rows["share_touching"])
        self._set_axes(list(folds))
        handles = {label: self.means_[next(iter(folds)), model] for model, label in models.items()}
        self._add_legend(handles, axes=self.axes_[0], title=MEAN_OVER_WORMS)
        return self

    def _draw_scores(self, position: int, name: str, rows: pd.DataFrame, models: list[str]) -> None:
        for place, model in enumerate(models):
            y = position + _SPREAD_OF_MODELS * (place - (len(models) - 1) / 2)
            values = 100 * rows[f"accuracy_{model}"].to_numpy()
            color = style_of_model(model, models)[0]
            # Dots lie below their mean, which would hide them.
            below = y + _BELOW_MEAN + np.linspace(-_SPREAD_OF_DOTS, _SPREAD_OF_DOTS, len(values))
            self.dots_[name, model] = draw_dots(self.axes_[0], values, below, color)
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
            self.means_[name, model] = self.axes_[0].errorbar(
                float(values.mean()), y, xerr=spread, fmt=_MARKERS[model], color=color, markersize=5, elinewidth=1
            )

    def _draw_share(self, position: int, name: str, shares: pd.Series) -> None:
        values = 100 * shares.to_numpy()
        beside = position + np.linspace(-_SPREAD_OF_MODELS, _SPREAD_OF_MODELS, len(values))
        self.bars_[name] = self.axes_[1].barh(position, values.mean(), height=0.62, color=BAR)[0]
        draw_dots(self.axes_[1], values, beside, DOT, clip_on=False)

    def _set_axes(self, names: list[str]) -> None:
        labels = ("Accuracy (%)", "Held-out windows (%)")
        titles = ("Score on held-out windows", "Touching a training window")
        for axes, label, title in zip(self.axes_, labels, titles, strict=True):
            name_rows(axes, names)
            axes.tick_params(labelleft=not self._own_figure or axes is self.axes_[0])
            axes.set_xlabel(label)
            axes.set_title(title, fontsize="medium")
            tidy(axes, grid="x")
        self.axes_[1].set_xlim(0, 100)


class NeuronImportanceDisplay(Display):
    """Drop of the score without each neuron: a bar for the mean over worms, and a dot a worm where there are several.

    Parameters
    ----------
    importance : pandas.DataFrame
        The table of :func:`skworm.inspection.neuron_importance`: columns ``neuron, worm, drop``. Several rows of a
        neuron and worm are averaged; the largest mean drop is drawn on top.
    xlabel : str, default="Drop of accuracy (fraction)"
        Label of the axis.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes.
    bars_ : dict
        Bars by neuron.
    dots_ : dict
        Dots by neuron, those of all worms together; empty for one worm, whose drops the bars show.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.plotting import NeuronImportanceDisplay
    >>> importance = pd.DataFrame(
    ...     {"neuron": ["ALA", "AVAL"] * 2, "worm": ["a", "a", "b", "b"], "drop": [0, 0.2, 0.01, 0.3]}
    ... )
    >>> display = NeuronImportanceDisplay(importance).plot()
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['AVAL', 'ALA']
    """

    def __init__(self, importance: pd.DataFrame, *, xlabel: str = "Drop of accuracy (fraction)") -> None:
        self.importance = importance
        self.xlabel = xlabel

    def plot(self, ax: Axes | None = None) -> NeuronImportanceDisplay:
        """Draw into `ax`, a matplotlib Axes, or into a new figure; return the display itself.

        Raises
        ------
        ValueError
            If columns are missing.
        """
        missing = [name for name in ("neuron", "worm", "drop") if name not in self.importance]
        if missing:
            raise ValueError(f"importance lacks the columns {missing}; pass the table of neuron_importance")
        drops = self.importance.groupby(["neuron", "worm"], sort=False)["drop"].mean().unstack("worm")
        drops = drops.loc[drops.mean(axis=1).sort_values(ascending=False, kind="stable").index]
        [self.ax_] = self._make_axes(ax, 1, (4.8, 1.1 + _INCHES_A_NEURON * len(drops)))
        self.bars_: dict[str, Any] = {}
        self.dots_: dict[str, Any] = {}
        several = drops.shape[1] > 1
        for position, (neuron, values) in enumerate(drops.iterrows()):
            color = BAR if several else DOT
            self.bars_[str(neuron)] = self.ax_.barh(position, values.mean(), height=0.72, color=color)[0]
            if several:
                below = position + np.linspace(-_SPREAD_OF_WORMS, _SPREAD_OF_WORMS, len(values))
                self.dots_[str(neuron)] = draw_dots(self.ax_, values, below, DOT)
        self.ax_.axvline(0, color=GREY, linewidth=0.8)
        name_rows(self.ax_, list(self.bars_), margin=0.6, fontsize="small")
        self.ax_.set_xlabel(self.xlabel)
        tidy(self.ax_, grid="x", left=False)
        if several:
            handles = {"mean over worms": next(iter(self.bars_.values())), "one worm": next(iter(self.dots_.values()))}
            add_legend(self.ax_, handles, loc="lower right")
        else:
            self.ax_.set_title(str(drops.columns[0]), fontsize="medium")
        return self


def _name_of_folds(fold_by: str, gap: int) -> str:
    return readable(fold_by) + (f",\ngap of {gap} frames" if gap else "")
