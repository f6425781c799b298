"""Classifiers: confusion, calibration, leakage and importance of neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skworm.frames.index import worm_of_rows
from skworm.metrics import calibration_report, reliability_curve
from skworm.plotting.base import LEGEND_COLUMNS, LINE_COLORS, STATE_COLORS, new_figure, style_of_model
from skworm.recording import UNKNOWN

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_INCHES_A_STATE = 0.44
_DARK = 50
_PANELS_A_ROW = 2


class ConfusionDisplay:
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
    figure_ : matplotlib.figure.Figure
        The figure.
    axes_ : list of matplotlib.axes.Axes
        The panels.
    images_ : dict of matplotlib.image.AxesImage
        The cells by panel.
    colorbar_ : matplotlib.colorbar.Colorbar or None
        The colour bar of a figure of its own.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.plotting import ConfusionDisplay
    >>> confusion = pd.DataFrame({
    ...     "panel": "GNN", "state": ["forward", "forward", "reverse", "reverse"],
    ...     "predicted": ["forward", "reverse"] * 2, "percent": [90.0, 10.0, 20.0, 80.0],
    ... })
    >>> display = ConfusionDisplay.from_confusion(confusion)
    >>> display.axes_[0].get_title(), display.axes_[0].get_ylabel()
    ('GNN', 'Labelled state')
    """

    def __init__(self, confusion: pd.DataFrame, *, states: Sequence[str] | None = None) -> None:
        self.confusion = confusion
        self.states = states

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, worm: Any = None, states: Sequence[str] | None = None, ax: Any = None
    ) -> ConfusionDisplay:
        """Draw the confusion of a fitted classifier.

        Parameters
        ----------
        estimator : scikit-learn classifier
            Fitted.
        X : DataFrame or array-like of shape (n_frames, n_features)
            Frames, best of worms that the classifier has not seen.
        y : array-like of str, shape (n_frames,)
            Labelled states; ``"unknown"`` is left out.
        worm : array-like of shape (n_frames,), optional
            Worm of each frame; by default the index level ``"worm"`` of `X`.
        states : sequence of str, optional
            States in the order of the axes.
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        ConfusionDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            As :meth:`from_predictions`.
        """
        predictions = {type(estimator).__name__: estimator.predict(X)}
        return cls.from_predictions(y, predictions, worm=worm_of_rows(X, worm), states=states, ax=ax)

    @classmethod
    def from_predictions(
        cls, y_true: Any, predictions: Any, *, worm: Any = None, states: Sequence[str] | None = None, ax: Any = None
    ) -> ConfusionDisplay:
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
        states : sequence of str, optional
            States in the order of the axes.
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

        Examples
        --------
        >>> from skworm.plotting import ConfusionDisplay
        >>> display = ConfusionDisplay.from_predictions(
        ...     ["forward", "forward", "reverse", "reverse"], ["forward", "reverse", "reverse", "reverse"]
        ... )
        >>> display.images_[""].get_array().tolist()
        [[50.0, 50.0], [0.0, 100.0]]
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
        return cls.from_confusion(pd.concat(parts, ignore_index=True), states=states, ax=ax)

    @classmethod
    def from_confusion(
        cls, confusion: pd.DataFrame, *, states: Sequence[str] | None = None, ax: Any = None
    ) -> ConfusionDisplay:
        """Draw confusion matrices.

        Parameters
        ----------
        confusion : pandas.DataFrame
            One row per panel, labelled state and predicted state; columns ``panel, state, predicted, percent``.
        states : sequence of str, optional
            States in the order of the axes.
        ax : matplotlib Axes or sequence of them, optional
            One for each panel; by default a new figure.

        Returns
        -------
        ConfusionDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If a column is missing, a cell stands twice, or `ax` does not fit the panels.
        """
        for column in ("panel", "state", "predicted", "percent"):
            if column not in confusion:
                raise ValueError(f"confusion has no column {column!r}; it needs panel, state, predicted and percent")
        repeated = confusion[confusion.duplicated(["panel", "state", "predicted"])]
        if len(repeated):
            row = repeated.iloc[0]
            raise ValueError(
                f"confusion has several rows for {row['state']!r} taken for {row['predicted']!r} in panel "
                f"{row['panel']!r}; average them over worms first"
            )
        return cls(confusion, states=states).plot(ax=ax)

    def plot(self, ax: Any = None) -> ConfusionDisplay:
        """Draw into `ax`, one matplotlib Axes for each panel, or into a new figure; return the display itself."""
        panels = list(self.confusion["panel"].unique())
        named = set(self.confusion["state"]) | set(self.confusion["predicted"])
        known = [state for state in STATE_COLORS if state in named]
        states = list(self.states or [*known, *sorted(named - set(known))])
        side = 1.2 + _INCHES_A_STATE * len(states)
        if ax is None:
            n_columns = min(_PANELS_A_ROW, len(panels))
            n_rows = -(-len(panels) // n_columns)
            figure = new_figure((1.6 + side * n_columns, 1.0 + side * n_rows), square_axes=True)
            grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False).ravel()
            for unused in grid[len(panels) :]:
                unused.remove()
            self.axes_: list[Axes] = list(grid[: len(panels)])
        else:
            self.axes_ = list(np.atleast_1d(ax).ravel())
        if len(self.axes_) != len(panels):
            raise ValueError(f"ax holds {len(self.axes_)} axes for {len(panels)} panels; pass one for each")
        self.figure_ = self.axes_[0].figure
        self.images_: dict[str, Any] = {}
        for axes, panel in zip(self.axes_, panels, strict=True):
            self._draw_panel(axes, panel, states)
        self.colorbar_ = None
        if ax is None:
            image = self.images_[panels[-1]]
            label = "Frames of the labelled state (%)"
            self.colorbar_ = self.figure_.colorbar(
                image, ax=self.axes_, label=label, fraction=0.05, aspect=30, pad=0.02
            )
        return self

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
        names = [state.replace("_", " ") for state in states]
        axes.set_xticks(range(len(states)), names, rotation=45, ha="right", rotation_mode="anchor", fontsize="small")
        axes.set_yticks(range(len(states)), names, fontsize="small")
        axes.tick_params(length=0)
        axes.set_xlabel("Predicted state")
        axes.set_ylabel("Labelled state")
        axes.set_title(panel, fontsize="medium")
        axes.label_outer()


_INCHES_A_PANEL = 2.3
_RELIABILITY_PANELS_A_ROW = 3
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
        n_columns = min(n_panels, _RELIABILITY_PANELS_A_ROW)
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
        for axes in self.axes_[-_RELIABILITY_PANELS_A_ROW:] if own_figure else ():
            axes.tick_params(labelbottom=True)
            axes.set_xlabel(_CONFIDENCE)

    def _add_legend(self, own_figure: bool) -> None:
        lines = {worm: line for (_, worm), line in self.lines_.items()}
        lines["calibrated"] = self.axes_[0].lines[0]
        where: Any = self.figure_ if own_figure else self.axes_[-1]
        place = {"loc": "outside right center"} if own_figure else {}
        where.legend(list(lines.values()), list(lines), frameon=False, fontsize="small", **place)


_BAR, _DOT = "#C6DDEC", "#0072B2"
_COLUMNS = ("fold_by", "gap", "worm", "share_touching", "accuracy_majority", "accuracy_clock")
_MARKERS = {"clock": "s", "majority": "D", "estimator": "o"}
_SPREAD_OF_MODELS, _SPREAD_OF_DOTS = 0.24, 0.07
_INCHES_A_ROW = 0.62


class LeakageDisplay:
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
    figure_ : matplotlib.figure.Figure
        The figure.
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
    >>> display = LeakageDisplay.from_report(report)
    >>> [label.get_text() for label in display.axes_[0].get_yticklabels()]
    ['shuffled windows', 'contiguous blocks,\ngap of 8 frames']
    """

    def __init__(self, report: pd.DataFrame, *, estimator_label: str = "estimator") -> None:
        self.report = report
        self.estimator_label = estimator_label

    @classmethod
    def from_report(cls, report: pd.DataFrame, *, estimator_label: str = "estimator", ax: Any = None) -> LeakageDisplay:
        """Draw a leakage report.

        Parameters
        ----------
        report : pandas.DataFrame
            The table of :func:`skworm.inspection.leakage_report`.
        estimator_label : str, default="estimator"
            What the legend calls the model that was scored beside the clock.
        ax : sequence of two matplotlib Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        LeakageDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If columns of the report are missing, or `ax` does not hold two axes.
        """
        return cls(report, estimator_label=estimator_label).plot(ax=ax)

    def plot(self, ax: Any = None) -> LeakageDisplay:
        """Draw into `ax`, two matplotlib Axes, or into a new figure; return the display itself."""
        missing = [name for name in _COLUMNS if name not in self.report]
        if missing:
            raise ValueError(f"report lacks the columns {missing}; pass what leakage_report returned")
        folds = {_name_of_folds(fold_by, gap): rows for (fold_by, gap), rows in self._kinds()}
        if ax is None:
            figure = new_figure((7.2, 1.5 + _INCHES_A_ROW * len(folds)))
            self.axes_: list[Axes] = list(figure.subplots(1, 2, sharey=True, width_ratios=[3, 2]))
        else:
            self.axes_ = list(np.atleast_1d(ax).ravel())
        if len(self.axes_) != 2:
            raise ValueError(f"ax holds {len(self.axes_)} axes; pass two, for the accuracies and for the windows")
        self.figure_ = self.axes_[0].figure
        self.means_: dict[tuple[str, str], Any] = {}
        self.dots_: dict[tuple[str, str], Any] = {}
        self.bars_: dict[str, Any] = {}
        for position, (name, rows) in enumerate(folds.items()):
            self._draw_scores(position, name, rows)
            self._draw_share(position, name, rows["share_touching"])
        self._set_axes(list(folds), own_figure=ax is None)
        self._add_legend(own_figure=ax is None)
        return self

    def _kinds(self) -> Any:
        return self.report.groupby(["fold_by", "gap"], sort=False)

    def _models(self) -> dict[str, str]:
        models = {"clock": "clock (frame number alone)", "majority": "most frequent state"}
        return models | ({"estimator": self.estimator_label} if "accuracy_estimator" in self.report else {})

    def _draw_scores(self, position: int, name: str, rows: pd.DataFrame) -> None:
        models = self._models()
        for place, model in enumerate(models):
            y = position + _SPREAD_OF_MODELS * (place - (len(models) - 1) / 2)
            values = 100 * rows[f"accuracy_{model}"].to_numpy()
            color = style_of_model(model, models)[0]
            beside = y + np.linspace(-_SPREAD_OF_DOTS, _SPREAD_OF_DOTS, len(values))
            style: dict[str, Any] = {"color": color, "alpha": 0.45, "markersize": 4, "markeredgewidth": 0}
            self.dots_[name, model] = self.axes_[0].plot(values, beside, ".", **style)[0]
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
            self.means_[name, model] = self.axes_[0].errorbar(
                float(values.mean()), y, xerr=spread, fmt=_MARKERS[model], color=color, markersize=4, elinewidth=1
            )

    def _draw_share(self, position: int, name: str, shares: pd.Series) -> None:
        values = 100 * shares.to_numpy()
        beside = position + np.linspace(-_SPREAD_OF_MODELS, _SPREAD_OF_MODELS, len(values))
        self.bars_[name] = self.axes_[1].barh(position, values.mean(), height=0.62, color=_BAR)[0]
        self.axes_[1].plot(values, beside, "o", color=_DOT, markersize=3.2, markeredgewidth=0, clip_on=False)

    def _set_axes(self, names: list[str], own_figure: bool) -> None:
        labels = ("Accuracy (%)", "Held-out windows (%)")
        titles = ("Score on held-out windows", "Touching a training window")
        for axes, label, title in zip(self.axes_, labels, titles, strict=True):
            axes.set_ylim(len(names) - 0.5, -0.5)
            axes.set_yticks(range(len(names)), names)
            axes.tick_params(axis="y", length=0, labelleft=not own_figure or axes is self.axes_[0])
            axes.set_xlabel(label)
            axes.set_title(title, fontsize="medium")
            axes.grid(axis="x", color="#E5E5E5", linewidth=0.6)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
        self.axes_[1].set_xlim(0, 100)

    def _add_legend(self, own_figure: bool) -> None:
        first = next(iter(self.bars_))
        models = self._models()
        where: Any = self.figure_ if own_figure else self.axes_[0]
        place = {"loc": "outside lower center", "ncols": LEGEND_COLUMNS} if own_figure else {}
        where.legend(
            [self.means_[first, model] for model in models],
            list(models.values()),
            frameon=False,
            fontsize="small",
            title="mean ± SD over worms; a dot a worm",
            title_fontsize="small",
            **place,
        )


def _name_of_folds(fold_by: str, gap: int) -> str:
    return fold_by.replace("_", " ") + (f",\ngap of {gap} frames" if gap else "")


_ZERO = "#666666"
_SPREAD_OF_WORMS = 0.22
_INCHES_A_NEURON = 0.24


class NeuronImportanceDisplay:
    """Drop of the score without each neuron: a bar for the mean over worms, and a dot a worm.

    Parameters
    ----------
    importance : pandas.DataFrame
        Drops; columns ``neuron, worm, drop``, several rows of a neuron and worm being averaged.
    xlabel : str, default="Drop of accuracy (fraction)"
        Label of the axis.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure.
    ax_ : matplotlib.axes.Axes
        The axes.
    bars_ : dict
        Bars by neuron.
    dots_ : dict
        Dots by neuron, those of all worms together.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.plotting import NeuronImportanceDisplay
    >>> importance = pd.DataFrame(
    ...     {"neuron": ["ALA", "AVAL"] * 2, "worm": ["a", "a", "b", "b"], "drop": [0, 0.2, 0.01, 0.3]}
    ... )
    >>> display = NeuronImportanceDisplay.from_importance(importance)
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['AVAL', 'ALA']
    """

    def __init__(self, importance: pd.DataFrame, *, xlabel: str = "Drop of accuracy (fraction)") -> None:
        self.importance = importance
        self.xlabel = xlabel

    @classmethod
    def from_importance(
        cls, importance: pd.DataFrame, *, xlabel: str = "Drop of accuracy (fraction)", ax: Axes | None = None
    ) -> NeuronImportanceDisplay:
        """Draw the importance of neurons, the largest mean drop on top.

        Parameters
        ----------
        importance : pandas.DataFrame
            The table of :func:`skworm.inspection.neuron_importance`.
        xlabel : str, default="Drop of accuracy (fraction)"
            Label of the axis.
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        NeuronImportanceDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If columns are missing.
        """
        return cls(importance, xlabel=xlabel).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> NeuronImportanceDisplay:
        """Draw into `ax`, a matplotlib Axes, or into a new figure; return the display itself."""
        missing = [name for name in ("neuron", "worm", "drop") if name not in self.importance]
        if missing:
            raise ValueError(f"importance lacks the columns {missing}; pass the table of neuron_importance")
        drops = self.importance.groupby(["neuron", "worm"], sort=False)["drop"].mean().unstack("worm")
        drops = drops.loc[drops.mean(axis=1).sort_values(ascending=False, kind="stable").index]
        self.ax_: Axes = new_figure((4.8, 1.1 + _INCHES_A_NEURON * len(drops))).subplots() if ax is None else ax
        self.figure_ = self.ax_.figure
        self.bars_: dict[str, Any] = {}
        self.dots_: dict[str, Any] = {}
        for position, (neuron, values) in enumerate(drops.iterrows()):
            below = position + np.linspace(-_SPREAD_OF_WORMS, _SPREAD_OF_WORMS, len(values))
            self.bars_[str(neuron)] = self.ax_.barh(position, values.mean(), height=0.72, color=_BAR)[0]
            dots = self.ax_.plot(values, below, "o", color=_DOT, markersize=3.2, markeredgewidth=0)
            self.dots_[str(neuron)] = dots[0]
        self.ax_.axvline(0, color=_ZERO, linewidth=0.8)
        self.ax_.set_yticks(range(len(drops)), [str(neuron) for neuron in drops.index], fontsize="small")
        self.ax_.set_ylim(len(drops) - 0.4, -0.6)
        self.ax_.tick_params(axis="y", length=0)
        self.ax_.set_xlabel(self.xlabel)
        self.ax_.grid(axis="x", color="#E5E5E5", linewidth=0.6)
        self.ax_.set_axisbelow(True)
        self.ax_.spines[["top", "right", "left"]].set_visible(False)
        handles = {"mean over worms": next(iter(self.bars_.values())), "one worm": next(iter(self.dots_.values()))}
        self.ax_.legend(list(handles.values()), list(handles), loc="lower right", frameon=False, fontsize="small")
        return self
