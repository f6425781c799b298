"""Scores on worms: dots, curves, and errors of trajectories by step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skworm.plotting.base import BASELINE_STYLES, LEGEND_COLUMNS, new_figure, style_of_model

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_DOT, _MEAN, _BASELINE, _REFERENCE = "#56B4E9", "#000000", "#666666", "#D55E00"
_BAND_OF_DOTS = (0.08, 0.32)
_INCHES_A_MODEL, _INCHES_A_PANEL, _INCHES_A_LETTER = 0.42, 1.75, 0.085
_LEAST_INCHES_OF_LABELS, _INCHES_OF_HANDLE, _INCHES_A_LEGEND_ROW = 1.6, 0.7, 0.2
_MEAN_LABEL, _MOST_ENTRIES = "mean ± SD over worms", 4


class WormScoresDisplay:
    """Scores of models, one panel an evaluation: a dot a worm, with mean and standard deviation over worms.

    Parameters
    ----------
    scores : pandas.DataFrame
        One row per panel, model and worm; columns ``panel, model, worm, score``, where the score is a fraction.
    models : mapping of str to str
        Model to label, in the order from top to bottom.
    baseline : str, optional
        Model that is drawn as a dashed line.
    reference : mapping of (panel, model) to float, optional
        Published scores, as fractions.
    reference_label : str, default="published"
        What the legend calls them.
    xlabel : str, default="Accuracy (%)"
        Label of the axes.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure.
    axes_ : list of matplotlib.axes.Axes
        The panels.
    dots_, means_, baselines_, references_ : dict
        Artists: dots and means by (panel, model), baselines by panel, reference diamonds by (panel, model).

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.plotting import WormScoresDisplay
    >>> results = pd.DataFrame({
    ...     "model": ["svm", "svm", "clock", "clock"], "evaluation": "unseen_worms", "worm": ["a", "b", "a", "b"],
    ...     "accuracy": [0.9, 0.8, 0.5, 0.6],
    ... })
    >>> display = WormScoresDisplay.from_results(results)
    >>> display.axes_[0].get_title()
    'unseen worms'
    """

    def __init__(
        self,
        scores: pd.DataFrame,
        *,
        models: Mapping[str, str],
        baseline: str | None = None,
        reference: Mapping[tuple[str, str], float] | None = None,
        reference_label: str = "published",
        xlabel: str = "Accuracy (%)",
    ) -> None:
        self.scores = scores
        self.models = models
        self.baseline = baseline
        self.reference = reference
        self.reference_label = reference_label
        self.xlabel = xlabel

    @classmethod
    def from_results(
        cls,
        results: pd.DataFrame,
        *,
        score: str = "accuracy",
        panels: Mapping[str, Mapping[str, str]] | None = None,
        models: Mapping[str, str] | None = None,
        baseline: str | None = "clock",
        reference: Mapping[tuple[str, str], float] | None = None,
        reference_label: str = "published",
        ax: Any = None,
    ) -> WormScoresDisplay:
        """Draw the results of a cross-validation by worm.

        Parameters
        ----------
        results : pandas.DataFrame
            The table of :func:`skworm.model_selection.cross_validate_worms`. The scores of a worm are averaged over the
            fits that score it.
        score : str, default="accuracy"
            Column with the score.
        panels : mapping of str to mapping, optional
            Title of each panel to the values that columns have in its rows, such as ``{"unseen worms": {"evaluation":
            "unseen_worms"}}``; by default a panel an evaluation.
        models : mapping of str to str, optional
            Model to label, in the order from top to bottom; by default all but the baseline.
        baseline : str or None, default="clock"
            Model that is drawn as a dashed line, where the results have it.
        reference : mapping of (panel, model) to float, optional
            Published scores, as fractions.
        reference_label : str, default="published"
            What the legend calls them.
        ax : matplotlib Axes or sequence of them, optional
            One for each panel; by default a new figure.

        Returns
        -------
        WormScoresDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If a column or a model is missing, a panel has no rows, or `ax` does not fit the panels.
        """
        columns = ("model", "evaluation", "worm", score)
        parts = rows_of_panels(results, columns, panels, made_by="cross_validate_worms")
        by_worm = {title: part.groupby(["model", "worm"], sort=False)[score].mean() for title, part in parts.items()}
        scores = pd.concat(by_worm, names=["panel"]).rename("score").reset_index()
        known = scores["model"].unique()
        models = models or {name: name for name in known if name != baseline}
        check_models(models, known)
        display = cls(
            scores,
            models=models,
            baseline=baseline if baseline in known else None,
            reference=reference,
            reference_label=reference_label,
            xlabel=label_of_score(score),
        )
        return display.plot(ax=ax)

    def plot(self, ax: Any = None) -> WormScoresDisplay:
        """Draw into `ax`, one matplotlib Axes for each panel, or into a new figure; return the display itself."""
        panels = list(self.scores["panel"].unique())
        self.axes_ = self._new_axes(len(panels)) if ax is None else list(np.atleast_1d(ax).ravel())
        if len(self.axes_) != len(panels):
            raise ValueError(f"ax holds {len(self.axes_)} axes for {len(panels)} panels; pass one for each")
        self.figure_ = self.axes_[0].figure
        self.dots_: dict[tuple[str, str], Any] = {}
        self.means_: dict[tuple[str, str], Any] = {}
        self.references_: dict[tuple[str, str], Any] = {}
        self.baselines_: dict[str, Any] = {}
        for axes, panel in zip(self.axes_, panels, strict=True):
            self._draw_panel(axes, panel)
        self._name_models(own_figure=ax is None)
        self._add_legend(own_figure=ax is None)
        return self

    def _new_axes(self, n_panels: int) -> list[Axes]:
        labels = max(_LEAST_INCHES_OF_LABELS, 0.4 + _INCHES_A_LETTER * max(map(len, self.models.values())))
        width = labels + _INCHES_A_PANEL * n_panels
        rows_of_legend = -(-_MOST_ENTRIES // self._columns_of_legend(width))
        height = 1.1 + _INCHES_A_LEGEND_ROW * rows_of_legend + _INCHES_A_MODEL * len(self.models)
        figure = new_figure((width, height))
        return list(figure.subplots(1, n_panels, sharex=True, sharey=True, squeeze=False)[0])

    def _draw_panel(self, axes: Axes, panel: str) -> None:
        rows = self.scores[self.scores["panel"] == panel]
        scores = {str(name): 100 * group.to_numpy() for name, group in rows.groupby("model")["score"]}
        for position, model in enumerate(self.models):
            if model in scores:
                self._draw_model(axes, (panel, model), position, scores[model])
        if self.baseline in scores:
            value = float(np.nanmean(scores[self.baseline]))
            self.baselines_[panel] = axes.axvline(value, color=_BASELINE, linestyle="--", linewidth=1, zorder=0)
        axes.set_title(panel.replace(", ", ",\n").replace(": ", ":\n"), fontsize="medium")
        axes.set_xlabel(self.xlabel)
        axes.grid(axis="x", color="#E5E5E5", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)

    def _draw_model(self, axes: Axes, key: tuple[str, str], position: int, values: np.ndarray) -> None:
        below = position + np.linspace(*_BAND_OF_DOTS, len(values))
        self.dots_[key] = axes.plot(values, below, "o", color=_DOT, markersize=3.5, markeredgewidth=0)[0]
        spread = float(np.nanstd(values, ddof=1)) if len(values) > 1 else None
        above = position - 0.12
        self.means_[key] = axes.errorbar(float(np.nanmean(values)), above, xerr=spread, fmt="|", color=_MEAN, ms=8)
        published = (self.reference or {}).get(key)
        if published is not None:
            diamond = axes.plot(100 * published, above, "D", color=_REFERENCE, markersize=5, zorder=4)[0]
            diamond.set_markerfacecolor("none")
            self.references_[key] = diamond

    def _columns_of_legend(self, width: float) -> int:
        widest = max(len(_MEAN_LABEL), len(self.reference_label) if self.reference else 0)
        return max(1, min(_MOST_ENTRIES, int(width / (_INCHES_OF_HANDLE + _INCHES_A_LETTER * widest))))

    def _name_models(self, own_figure: bool) -> None:
        for axes in self.axes_:
            axes.set_ylim(len(self.models) - 0.5, -0.5)
            axes.set_yticks(range(len(self.models)), list(self.models.values()))
            axes.tick_params(axis="y", length=0)
            if own_figure:
                axes.label_outer()

    def _add_legend(self, own_figure: bool) -> None:
        handles = {
            "one worm": next(iter(self.dots_.values())),
            _MEAN_LABEL: next(iter(self.means_.values())),
        }
        if self.baselines_:
            handles[f"{self.baseline} baseline"] = next(iter(self.baselines_.values()))
        if self.references_:
            handles[self.reference_label] = next(iter(self.references_.values()))
        where: Any = self.figure_ if own_figure else self.axes_[-1]
        place = (
            {"loc": "outside lower center", "ncols": self._columns_of_legend(where.get_figwidth())}
            if own_figure
            else {}
        )
        where.legend(list(handles.values()), list(handles), frameon=False, fontsize="small", **place)


def label_of_score(score: str) -> str:
    """Write the name of a score, drawn in per cent, as the label of its axis."""
    return f"{score.replace('_', ' ').capitalize().replace('f1', 'F1')} (%)"


def rows_of_panels(
    results: pd.DataFrame,
    columns: Iterable[str],
    panels: Mapping[str, Mapping[str, Any]] | None,
    *,
    made_by: str,
) -> dict[str, pd.DataFrame]:
    """Check that results have some columns, and select the rows of each panel, by default a panel an evaluation."""
    for column in columns:
        if column not in results:
            raise ValueError(f"results have no column {column!r}; pass the table of {made_by}")
    if panels is None:
        panels = {str(name).replace("_", " "): {"evaluation": name} for name in results["evaluation"].unique()}
    return {title: _rows_where(results, title, values) for title, values in panels.items()}


def check_models(models: Iterable[str], known: Iterable[str]) -> None:
    """Refuse models that results do not have."""
    known = list(known)
    absent = [name for name in models if name not in known]
    if absent:
        raise ValueError(f"results have no model {absent[0]!r}; choose among {', '.join(sorted(known))}")


def _rows_where(results: pd.DataFrame, title: str, values: Mapping[str, Any]) -> pd.DataFrame:
    chosen = np.logical_and.reduce([results[column] == value for column, value in values.items()])
    if not chosen.any():
        wanted = ", ".join(f"{column}={value!r}" for column, value in values.items())
        raise ValueError(f"panel {title!r} has no rows: none of the results has {wanted}; drop the panel")
    return results[chosen]


_SPREAD_OF_MODELS = 0.05
_MARKERS = "osD^vP*X"
_CURVE_REFERENCE = "#000000"
_TRAIN_WORMS = "train_worms"


class ScoreCurveDisplay:
    """Scores of models against a number: mean and standard deviation over worms, with a dot a worm.

    Parameters
    ----------
    scores : pandas.DataFrame
        One row per panel, model, worm and number; columns ``panel, model, worm, x, score``, where the score is a
        fraction. Rows of a worm at the same number are averaged.
    xlabel : str
        Label of the horizontal axis, with the unit.
    models : mapping of str to str, optional
        Model to label, in the order of the legend; by default all.
    ylabel : str, default="Accuracy (%)"
        Label of the vertical axis.
    log : bool, default=False
        Whether the horizontal axis is logarithmic.
    reference : mapping of (panel, model, x) to float, optional
        Published scores, as fractions.
    reference_label : str, default="published"
        What the legend calls them.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure.
    axes_ : list of matplotlib.axes.Axes
        The panels.
    lines_, dots_ : dict
        Means with error bars, and dots, by (panel, model).
    references_ : dict
        Open markers of published scores by (panel, model, x).

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.plotting import ScoreCurveDisplay
    >>> scores = pd.DataFrame({
    ...     "panel": "unseen worms", "model": "GNN", "worm": ["a", "b"] * 2, "x": [1, 1, 2, 2], "score": [0.8, 0.9] * 2,
    ... })
    >>> display = ScoreCurveDisplay(scores, xlabel="Training worms (number)").plot()
    >>> display.axes_[0].get_xlabel()
    'Training worms (number)'
    """

    def __init__(
        self,
        scores: pd.DataFrame,
        *,
        xlabel: str,
        models: Mapping[str, str] | None = None,
        ylabel: str = "Accuracy (%)",
        log: bool = False,
        reference: Mapping[tuple[str, str, float], float] | None = None,
        reference_label: str = "published",
    ) -> None:
        self.scores = scores
        self.xlabel = xlabel
        self.models = models
        self.ylabel = ylabel
        self.log = log
        self.reference = reference
        self.reference_label = reference_label

    @classmethod
    def from_results(
        cls,
        results: pd.DataFrame,
        *,
        x: str = _TRAIN_WORMS,
        xlabel: str = "Training worms (number)",
        score: str = "accuracy",
        panels: Mapping[str, Mapping[str, Any]] | None = None,
        models: Mapping[str, str] | None = None,
        log: bool = False,
        reference: Mapping[tuple[str, str, float], float] | None = None,
        reference_label: str = "published",
        ax: Any = None,
    ) -> ScoreCurveDisplay:
        """Draw the results of cross-validations by worm, against the number of worms they train on.

        Parameters
        ----------
        results : pandas.DataFrame
            Tables of :func:`skworm.model_selection.cross_validate_worms`, one below the other. The scores of a worm are
            averaged over the fits that score it.
        x : str, default="train_worms"
            Column with the number, such as one of labelled seconds that you added; ``"train_worms"`` is counted.
        xlabel : str, default="Training worms (number)"
            Label of the horizontal axis, with the unit.
        score : str, default="accuracy"
            Column with the score.
        panels : mapping of str to mapping, optional
            Title of each panel to the values that columns have in its rows; by default a panel an evaluation.
        models : mapping of str to str, optional
            Model to label, in the order of the legend; by default all.
        log : bool, default=False
            Whether the horizontal axis is logarithmic.
        reference : mapping of (panel, model, x) to float, optional
            Published scores, as fractions.
        reference_label : str, default="published"
            What the legend calls them.
        ax : matplotlib Axes or sequence of them, optional
            One for each panel; by default a new figure.

        Returns
        -------
        ScoreCurveDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If a column or a model is missing, a panel has no rows, or `ax` does not fit the panels.

        Examples
        --------
        >>> import pandas as pd
        >>> from skworm.plotting import ScoreCurveDisplay
        >>> results = pd.DataFrame({
        ...     "model": "GNN", "train_worms": [("a",), ("a", "b")], "evaluation": "unseen_worms", "worm": "c",
        ...     "accuracy": [0.8, 0.9],
        ... })
        >>> display = ScoreCurveDisplay.from_results(results)
        >>> [label.get_text() for label in display.axes_[0].get_xticklabels()]
        ['1', '2']
        """
        parts = rows_of_panels(
            results, ("model", "evaluation", "worm", x, score), panels, made_by="cross_validate_worms"
        )
        table = pd.concat(parts, names=["panel"]).reset_index("panel")
        check_models(models or {}, table["model"].unique())
        number = table[x].map(len) if x == _TRAIN_WORMS else table[x].astype(float)
        scores = table[["panel", "model", "worm"]].assign(x=number, score=table[score])
        display = cls(
            scores,
            xlabel=xlabel,
            models=models,
            ylabel=label_of_score(score),
            log=log,
            reference=reference,
            reference_label=reference_label,
        )
        return display.plot(ax=ax)

    def plot(self, ax: Any = None) -> ScoreCurveDisplay:
        """Draw into `ax`, one matplotlib Axes for each panel, or into a new figure; return the display itself."""
        panels = list(self.scores["panel"].unique())
        models = dict(self.models or {name: name for name in self.scores["model"].unique()})
        if ax is None:
            rows_of_legend = -(-(len(models) + bool(self.reference)) // LEGEND_COLUMNS)
            figure = new_figure((max(5.5, 1.2 + 2.6 * len(panels)), 3.3 + 0.2 * rows_of_legend))
            self.axes_: list[Axes] = list(figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0])
        else:
            self.axes_ = list(np.atleast_1d(ax).ravel())
        if len(self.axes_) != len(panels):
            raise ValueError(f"ax holds {len(self.axes_)} axes for {len(panels)} panels; pass one for each")
        self.figure_ = self.axes_[0].figure
        self.lines_: dict[tuple[str, str], Any] = {}
        self.dots_: dict[tuple[str, str], Any] = {}
        self.references_: dict[tuple[str, str, float], Any] = {}
        for axes, panel in zip(self.axes_, panels, strict=True):
            self._draw_panel(axes, panel, models)
        self.axes_[0].set_ylabel(self.ylabel)
        self._add_legend(models, own_figure=ax is None)
        return self

    def _draw_panel(self, axes: Axes, panel: str, models: Mapping[str, str]) -> None:
        rows = self.scores[self.scores["panel"] == panel]
        if self.log:
            axes.set_xscale("log")
        for place, model in enumerate(models):
            by_worm = 100 * rows[rows["model"] == model].groupby(["x", "worm"])["score"].mean()
            if len(by_worm):
                self._draw_model(axes, (panel, model), place, models, by_worm)
        for (where, model, x), value in (self.reference or {}).items():
            if where == panel and model in models:
                style: dict[str, Any] = {"color": _CURVE_REFERENCE, "markerfacecolor": "none", "zorder": 4}
                self.references_[panel, model, x] = axes.plot(x, 100 * value, "D", markersize=6, **style)[0]
        axes.set_title(panel.replace(", ", ",\n"), fontsize="medium")
        axes.set_xlabel(self.xlabel)
        axes.set_xticks(sorted(rows["x"].unique()), [f"{x:g}" for x in sorted(rows["x"].unique())])
        axes.minorticks_off()
        axes.grid(axis="y", color="#E5E5E5", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)

    def _draw_model(
        self, axes: Axes, key: tuple[str, str], place: int, models: Mapping[str, str], by_worm: pd.Series
    ) -> None:
        numbers = np.sort(self.scores["x"].unique()).astype(float)
        step = np.diff(numbers).min() if len(numbers) > 1 else 1.0
        offset = place - (len(models) - 1) / 2

        # Models stand beside each other, so that their bars can be told apart.
        def beside(x: Any) -> Any:
            x = np.asarray(x, dtype=float)
            return x * (1 + _SPREAD_OF_MODELS * offset) if self.log else x + 1.6 * _SPREAD_OF_MODELS * offset * step

        color, linestyle = style_of_model(key[1], models)
        means, spreads = by_worm.groupby(level="x").mean(), by_worm.groupby(level="x").std()
        x = beside(by_worm.index.get_level_values("x"))
        self.dots_[key] = axes.plot(x, by_worm, ".", color=color, alpha=0.45, markersize=4, markeredgewidth=0)[0]
        bars: dict[str, Any] = {"yerr": spreads.fillna(0), "elinewidth": 1, "linewidth": 1.2, "markersize": 4}
        bars |= {"marker": _MARKERS[place % len(_MARKERS)], "linestyle": linestyle}
        self.lines_[key] = axes.errorbar(beside(means.index), means, color=color, **bars)

    def _add_legend(self, models: Mapping[str, str], own_figure: bool) -> None:
        drawn = {model: line for (_, model), line in self.lines_.items()}
        handles = [drawn[model] for model in models if model in drawn]
        labels = [label for model, label in models.items() if model in drawn]
        if self.references_:
            handles.append(next(iter(self.references_.values())))
            labels.append(self.reference_label)
        where: Any = self.figure_ if own_figure else self.axes_[-1]
        place = {"loc": "outside lower center", "ncols": LEGEND_COLUMNS} if own_figure else {}
        where.legend(
            handles,
            labels,
            frameon=False,
            fontsize="small",
            title="mean ± SD over worms; a dot a worm",
            title_fontsize="small",
            **place,
        )


class TrajectoryErrorDisplay:
    """Error of predicted trajectories against the prediction step, one panel an evaluation.

    Parameters
    ----------
    errors : pandas.DataFrame
        One row per panel, model, worm and step; columns ``panel, model, worm, step, error``.
    models : mapping of str to str
        Model to label, in the order of the legend. Models named as baselines are drawn grey or black and dashed.
    ylabel : str, default="Mean squared error"
        Label of the axes.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure.
    axes_ : list of matplotlib.axes.Axes
        The panels.
    lines_ : dict
        Lines by (panel, model): the mean over worms.
    bands_ : dict
        Bands by (panel, model): the standard deviation over worms, of models that are no baselines.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.plotting import TrajectoryErrorDisplay
    >>> results = pd.DataFrame({
    ...     "model": ["gnn"] * 4, "evaluation": "unseen_worms", "worm": ["a", "a", "b", "b"], "step": [1, 2, 1, 2],
    ...     "mse": [0.01, 0.02, 0.02, 0.03], "persistence_mse": [0.02, 0.03, 0.03, 0.04],
    ... })
    >>> display = TrajectoryErrorDisplay.from_results(results)
    >>> display.axes_[0].get_xlabel(), sorted(model for _, model in display.lines_)
    ('Prediction step (frames)', ['gnn', 'persistence'])
    """

    def __init__(self, errors: pd.DataFrame, *, models: Mapping[str, str], ylabel: str = "Mean squared error") -> None:
        self.errors = errors
        self.models = models
        self.ylabel = ylabel

    @classmethod
    def from_results(
        cls,
        results: pd.DataFrame,
        *,
        error: str = "mse",
        panels: Mapping[str, Mapping[str, Any]] | None = None,
        models: Mapping[str, str] | None = None,
        ax: Any = None,
    ) -> TrajectoryErrorDisplay:
        """Draw the results of a cross-validation of trajectory regressors.

        Parameters
        ----------
        results : pandas.DataFrame
            The table of :func:`skworm.model_selection.cross_validate_trajectories`. The errors of a worm are averaged
            over the fits that score it.
        error : str, default="mse"
            Column with the error, such as ``"mse_trace"``. Persistence is added from ``"persistence_" + error``.
        panels : mapping of str to mapping, optional
            Title of each panel to the values that columns have in its rows; by default a panel an evaluation.
        models : mapping of str to str, optional
            Model to label, in the order of the legend; by default all, persistence last.
        ax : matplotlib Axes or sequence of them, optional
            One for each panel; by default a new figure.

        Returns
        -------
        TrajectoryErrorDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If a column or a model is missing, a panel has no rows, or `ax` does not fit the panels.
        """
        columns = ("model", "evaluation", "worm", "step", error)
        parts = rows_of_panels(results, columns, panels, made_by="cross_validate_trajectories")
        by_worm = {
            title: _with_persistence(part, error).groupby(["model", "worm", "step"], sort=False)["error"].mean()
            for title, part in parts.items()
        }
        errors = pd.concat(by_worm, names=["panel"]).reset_index()
        known = list(errors["model"].unique())
        models = models or {name: name for name in known}
        check_models(models, known)
        of_what = "" if error == "mse" else f", {error.removeprefix('mse_').replace('_', ' ')}"
        return cls(errors, models=models, ylabel=f"Mean squared error{of_what}\n(scaled features)").plot(ax=ax)

    def plot(self, ax: Any = None) -> TrajectoryErrorDisplay:
        """Draw into `ax`, one matplotlib Axes for each panel, or into a new figure; return the display itself."""
        panels = list(self.errors["panel"].unique())
        if ax is None:
            rows_of_legend = -(-len(self.models) // LEGEND_COLUMNS)
            figure = new_figure((max(7.5, 1.6 + 2.4 * len(panels)), 3.2 + 0.2 * rows_of_legend))
            self.axes_: list[Axes] = list(figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0])
        else:
            self.axes_ = list(np.atleast_1d(ax).ravel())
        if len(self.axes_) != len(panels):
            raise ValueError(f"ax holds {len(self.axes_)} axes for {len(panels)} panels; pass one for each")
        self.figure_ = self.axes_[0].figure
        self.lines_: dict[tuple[str, str], Any] = {}
        self.bands_: dict[tuple[str, str], Any] = {}
        for axes, panel in zip(self.axes_, panels, strict=True):
            self._draw_panel(axes, panel)
        self.axes_[0].set_ylabel(self.ylabel)
        self.axes_[0].set_ylim(bottom=0)
        self._add_legend(own_figure=ax is None)
        return self

    def _draw_panel(self, axes: Axes, panel: str) -> None:
        from matplotlib.ticker import MaxNLocator

        rows = self.errors[self.errors["panel"] == panel]
        for model in self.models:
            table = rows[rows["model"] == model].pivot(index="step", columns="worm", values="error")
            if table.empty:
                continue
            mean, deviation = table.mean(axis=1), table.std(axis=1)
            color, style = style_of_model(model, self.models)
            self.lines_[panel, model] = axes.plot(mean.index, mean, color=color, linestyle=style, linewidth=1.5)[0]
            if model not in BASELINE_STYLES and table.shape[1] > 1:
                self.bands_[panel, model] = axes.fill_between(
                    mean.index, mean - deviation, mean + deviation, color=color, alpha=0.1, linewidth=0
                )
        axes.set_title(panel.replace(", ", ",\n"), fontsize="medium")
        axes.set_xlabel("Prediction step (frames)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)

    def _add_legend(self, own_figure: bool) -> None:
        drawn = {model: line for (_, model), line in self.lines_.items()}
        labels = [self.models[model] for model in self.models if model in drawn]
        handles = [drawn[model] for model in self.models if model in drawn]
        where: Any = self.figure_ if own_figure else self.axes_[-1]
        place = {"loc": "outside lower center", "ncols": LEGEND_COLUMNS} if own_figure else {}
        where.legend(handles, labels, frameon=False, fontsize="small", **place)


def _with_persistence(rows: pd.DataFrame, error: str) -> pd.DataFrame:
    own = rows.assign(error=rows[error])
    persistence = f"persistence_{error}"
    if persistence not in rows or "persistence" in set(rows["model"]):
        return own
    first = rows["model"] == rows["model"].iloc[0]
    return pd.concat([own, rows[first].assign(model="persistence", error=rows.loc[first, persistence])])
