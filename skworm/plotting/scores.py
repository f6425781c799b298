"""Scores of models on worms: a dot a worm, against a number, and errors of forecasts by step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skworm.plotting.base import Display, draw_dots, legend_columns, name_rows, tidy
from skworm.plotting.words import (
    BASELINE_STYLES,
    BLACK,
    DOT,
    GREY,
    MEAN_OVER_WORMS,
    label_of_score,
    readable,
    style_of_model,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_REFERENCE = "#D55E00"
_BAND_OF_DOTS = (0.08, 0.32)
_INCHES_A_MODEL, _INCHES_A_PANEL, _INCHES_A_LETTER = 0.42, 1.75, 0.085
_LEAST_INCHES_OF_LABELS, _INCHES_A_LEGEND_ROW = 1.6, 0.2
_MEAN_LABEL = "mean ± SD over worms"
_SPREAD_OF_MODELS, _MARKERS = 0.05, "osD^vP*X"
_TRAIN_WORMS = "train_worms"


class WormScoresDisplay(Display):
    """Scores of models, one panel an evaluation: a dot a worm, with mean and standard deviation over worms.

    Parameters
    ----------
    scores : pandas.DataFrame
        One row per panel, model and worm; columns ``panel, model, worm, score``, where the score is a fraction.
    models : mapping of str to str, optional
        Model to label, in the order from top to bottom; by default all but the baseline.
    baseline : str or None, default="clock"
        Model that is drawn as a dashed line, where there are scores of it.
    reference : mapping of (panel, model) to float, optional
        Published scores, as fractions.
    reference_label : str, default="published"
        What the legend calls them.
    xlabel : str, default="Accuracy (%)"
        Label of the axes.

    Attributes
    ----------
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
        models: Mapping[str, str] | None = None,
        baseline: str | None = "clock",
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
        panels: Mapping[str, Mapping[str, Any]] | None = None,
        ax: Any = None,
        **options: Any,
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
        ax : matplotlib Axes or sequence of them, optional
            One for each panel; by default a new figure.
        **options
            ``models``, ``baseline``, ``reference`` and ``reference_label`` of the class.

        Returns
        -------
        WormScoresDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If a column or a model is missing, a panel has no rows, or `ax` does not fit the panels.
        """
        table = _rows_of_panels(results, ("model", "evaluation", "worm", score), panels, options.get("models"))
        scores = table.groupby(["panel", "model", "worm"], sort=False)[score].mean().rename("score").reset_index()
        return cls(scores, xlabel=label_of_score(score), **options).plot(ax=ax)

    def plot(self, ax: Any = None) -> WormScoresDisplay:
        """Draw into `ax`, one matplotlib Axes for each panel, or into a new figure; return the display itself."""
        panels = list(self.scores["panel"].unique())
        models = dict(self.models or {name: name for name in self.scores["model"].unique() if name != self.baseline})
        labels = max(_LEAST_INCHES_OF_LABELS, 0.4 + _INCHES_A_LETTER * max(map(len, models.values())))
        width = labels + _INCHES_A_PANEL * len(panels)
        entries = ["one worm", _MEAN_LABEL, f"{self.baseline} baseline", *[self.reference_label] * bool(self.reference)]
        height = 1.1 + _height_of_legend(entries, width) + _INCHES_A_MODEL * len(models)
        self._make_axes(ax, len(panels), (width, height), sharex=True, sharey=True)
        self.dots_: dict[tuple[str, str], Any] = {}
        self.means_: dict[tuple[str, str], Any] = {}
        self.references_: dict[tuple[str, str], Any] = {}
        self.baselines_: dict[str, Any] = {}
        for axes, panel in zip(self.axes_, panels, strict=True):
            self._draw_panel(axes, panel, models)
        handles = {"one worm": next(iter(self.dots_.values())), _MEAN_LABEL: next(iter(self.means_.values()))}
        if self.baselines_:
            handles[f"{self.baseline} baseline"] = next(iter(self.baselines_.values()))
        if self.references_:
            handles[self.reference_label] = next(iter(self.references_.values()))
        self._add_legend(handles)
        return self

    def _draw_panel(self, axes: Axes, panel: str, models: Mapping[str, str]) -> None:
        rows = self.scores[self.scores["panel"] == panel]
        scores = {str(name): 100 * group.to_numpy() for name, group in rows.groupby("model")["score"]}
        for position, model in enumerate(models):
            if model in scores:
                self._draw_model(axes, (panel, model), position, scores[model])
        if self.baseline in scores:
            value = float(np.nanmean(scores[self.baseline]))
            self.baselines_[panel] = axes.axvline(value, color=GREY, linestyle="--", linewidth=1, zorder=0)
        _set_title(axes, panel)
        axes.set_xlabel(self.xlabel)
        tidy(axes, grid="x")
        name_rows(axes, list(models.values()))
        if self._own_figure:
            axes.label_outer()

    def _draw_model(self, axes: Axes, key: tuple[str, str], position: int, values: np.ndarray) -> None:
        below = position + np.linspace(*_BAND_OF_DOTS, len(values))
        self.dots_[key] = draw_dots(axes, values, below, DOT)
        spread = float(np.nanstd(values, ddof=1)) if len(values) > 1 else None
        above = position - 0.12
        self.means_[key] = axes.errorbar(float(np.nanmean(values)), above, xerr=spread, fmt="|", color=BLACK, ms=8)
        published = (self.reference or {}).get(key)
        if published is not None:
            style: dict[str, Any] = {"color": _REFERENCE, "markerfacecolor": "none", "zorder": 4}
            self.references_[key] = axes.plot(100 * published, above, "D", markersize=5, **style)[0]


class ScoreCurveDisplay(Display):
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
    lines_, dots_, references_ : dict
        Artists: means with error bars and dots by (panel, model), published scores by (panel, model, x).

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
        ax: Any = None,
        **options: Any,
    ) -> ScoreCurveDisplay:
        """Draw the results of cross-validations by worm against a number, such as that of training worms.

        Parameters
        ----------
        results : pandas.DataFrame
            Tables of :func:`skworm.model_selection.cross_validate_worms`, one below the other. The scores of a worm are
            averaged over the fits that score it.
        x : str, default="train_worms"
            Column with the number, such as one of labelled seconds that you added. ``"train_worms"`` holds tuples of
            worms, which are counted.
        xlabel : str, default="Training worms (number)"
            Label of the horizontal axis, with the unit.
        score : str, default="accuracy"
            Column with the score.
        panels : mapping of str to mapping, optional
            Title of each panel to the values that columns have in its rows; by default a panel an evaluation.
        ax : matplotlib Axes or sequence of them, optional
            One for each panel; by default a new figure.
        **options
            ``models``, ``log``, ``reference`` and ``reference_label`` of the class.

        Returns
        -------
        ScoreCurveDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If a column or a model is missing, a panel has no rows, or `ax` does not fit the panels.
        """
        table = _rows_of_panels(results, ("model", "evaluation", "worm", x, score), panels, options.get("models"))
        if x == _TRAIN_WORMS and not all(isinstance(worms, tuple) for worms in table[x]):
            found = table[x].iloc[0]
            raise ValueError(f"{x!r} holds {found!r}, which is not a tuple of worms; pass tuples, or another x=")
        number = table[x].map(len) if x == _TRAIN_WORMS else table[x].astype(float)
        scores = table[["panel", "model", "worm"]].assign(x=number, score=table[score])
        return cls(scores, xlabel=xlabel, ylabel=label_of_score(score), **options).plot(ax=ax)

    def plot(self, ax: Any = None) -> ScoreCurveDisplay:
        """Draw into `ax`, one matplotlib Axes for each panel, or into a new figure; return the display itself."""
        panels = list(self.scores["panel"].unique())
        models = dict(self.models or {name: name for name in self.scores["model"].unique()})
        width = max(5.5, 1.2 + 2.6 * len(panels))
        height = 3.3 + _height_of_legend([*models.values(), *[self.reference_label] * bool(self.reference)], width)
        self._make_axes(ax, len(panels), (width, height), sharex=True, sharey=True)
        self.lines_: dict[tuple[str, str], Any] = {}
        self.dots_: dict[tuple[str, str], Any] = {}
        self.references_: dict[tuple[str, str, float], Any] = {}
        for axes, panel in zip(self.axes_, panels, strict=True):
            self._draw_panel(axes, panel, models)
        self.axes_[0].set_ylabel(self.ylabel)
        handles = _lines_of_models(self.lines_, models)
        if self.references_:
            handles[self.reference_label] = next(iter(self.references_.values()))
        self._add_legend(handles, title=MEAN_OVER_WORMS)
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
                style: dict[str, Any] = {"color": BLACK, "markerfacecolor": "none", "zorder": 4}
                self.references_[panel, model, x] = axes.plot(x, 100 * value, "D", markersize=6, **style)[0]
        _set_title(axes, panel)
        axes.set_xlabel(self.xlabel)
        axes.set_xticks(sorted(rows["x"].unique()), [f"{x:g}" for x in sorted(rows["x"].unique())])
        axes.minorticks_off()
        tidy(axes, grid="y")

    def _draw_model(
        self, axes: Axes, key: tuple[str, str], place: int, models: Mapping[str, str], by_worm: pd.Series
    ) -> None:
        numbers = np.sort(self.scores["x"].unique()).astype(float)
        step = np.diff(numbers).min() if len(numbers) > 1 else 1.0
        offset = place - (len(models) - 1) / 2

        # Models are drawn beside each other, so that their bars can be told apart.
        def beside(x: Any) -> Any:
            x = np.asarray(x, dtype=float)
            return x * (1 + _SPREAD_OF_MODELS * offset) if self.log else x + 1.6 * _SPREAD_OF_MODELS * offset * step

        color, linestyle = style_of_model(key[1], models)
        means, spreads = by_worm.groupby(level="x").mean(), by_worm.groupby(level="x").std()
        x = beside(by_worm.index.get_level_values("x"))
        self.dots_[key] = draw_dots(axes, x, by_worm, color)
        bars: dict[str, Any] = {"yerr": spreads.fillna(0), "elinewidth": 1, "linewidth": 1.2, "markersize": 4}
        bars |= {"marker": _MARKERS[place % len(_MARKERS)], "linestyle": linestyle}
        self.lines_[key] = axes.errorbar(beside(means.index), means, color=color, **bars)


class TrajectoryErrorDisplay(Display):
    """Error of predicted trajectories against the prediction step, one panel an evaluation.

    Parameters
    ----------
    errors : pandas.DataFrame
        One row per panel, model, worm and step; columns ``panel, model, worm, step, error``.
    models : mapping of str to str, optional
        Model to label, in the order of the legend; by default all. Baselines are drawn grey or black and dashed.
    ylabel : str, default="Mean squared error"
        Label of the axes.

    Attributes
    ----------
    lines_, bands_ : dict
        Mean, and standard deviation of models that are not baselines, over worms, by (panel, model).

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

    def __init__(
        self, errors: pd.DataFrame, *, models: Mapping[str, str] | None = None, ylabel: str = "Mean squared error"
    ) -> None:
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
            The table of :func:`skworm.model_selection.cross_validate_worms`. The errors of a worm are averaged
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
        persistence = f"persistence_{error}"
        adds = persistence in results and "persistence" not in set(results["model"])
        named = [name for name in models or () if not (adds and name == "persistence")]
        table = _rows_of_panels(results, ("model", "evaluation", "worm", "step", error), panels, named)
        if adds:
            # The rows of every model hold the same errors of persistence.
            first = table[table["model"] == table.groupby("panel")["model"].transform("first")]
            table = pd.concat([table, first.assign(model="persistence", **{error: first[persistence]})])
        errors = table.groupby(["panel", "model", "worm", "step"], sort=False)[error].mean().rename("error")
        of_what = "" if error == "mse" else f", {readable(error.removeprefix('mse_'))}"
        ylabel = f"Mean squared error{of_what}\n(scaled features)"
        return cls(errors.reset_index(), models=models, ylabel=ylabel).plot(ax=ax)

    def plot(self, ax: Any = None) -> TrajectoryErrorDisplay:
        """Draw into `ax`, one matplotlib Axes for each panel, or into a new figure; return the display itself."""
        panels = list(self.errors["panel"].unique())
        models = dict(self.models or {name: name for name in self.errors["model"].unique()})
        width = max(7.5, 1.6 + 2.4 * len(panels))
        size = (width, 3.2 + _height_of_legend([*models.values()], width))
        self._make_axes(ax, len(panels), size, sharex=True, sharey=True)
        self.lines_: dict[tuple[str, str], Any] = {}
        self.bands_: dict[tuple[str, str], Any] = {}
        for axes, panel in zip(self.axes_, panels, strict=True):
            self._draw_panel(axes, panel, models)
        self.axes_[0].set(ylabel=self.ylabel, ylim=(0, None))
        self._add_legend(_lines_of_models(self.lines_, models))
        return self

    def _draw_panel(self, axes: Axes, panel: str, models: Mapping[str, str]) -> None:
        from matplotlib.ticker import MaxNLocator

        rows = self.errors[self.errors["panel"] == panel]
        for model in models:
            table = rows[rows["model"] == model].pivot(index="step", columns="worm", values="error")
            if table.empty:
                continue
            mean, deviation = table.mean(axis=1), table.std(axis=1)
            color, style = style_of_model(model, models)
            self.lines_[panel, model] = axes.plot(mean.index, mean, color=color, linestyle=style, linewidth=1.5)[0]
            if model not in BASELINE_STYLES and table.shape[1] > 1:
                band: dict[str, Any] = {"color": color, "alpha": 0.1, "linewidth": 0}
                self.bands_[panel, model] = axes.fill_between(mean.index, mean - deviation, mean + deviation, **band)
        _set_title(axes, panel)
        axes.set_xlabel("Prediction step (frames)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        tidy(axes)


def _rows_of_panels(
    results: pd.DataFrame,
    columns: Iterable[str],
    panels: Mapping[str, Mapping[str, Any]] | None,
    models: Iterable[str] | None,
) -> pd.DataFrame:
    """Check columns and models of results, and return the rows of each panel with its title in a column "panel"."""
    for column in columns:
        if column not in results:
            raise ValueError(f"results have no column {column!r}; pass the table of cross_validate_worms")
    panels = panels or {readable(name): {"evaluation": name} for name in results["evaluation"].unique()}
    parts = []
    for title, values in panels.items():
        rows = results[np.logical_and.reduce([results[column] == value for column, value in values.items()])]
        if rows.empty:
            wanted = ", ".join(f"{column}={value!r}" for column, value in values.items())
            raise ValueError(f"panel {title!r} has no rows: none of the results has {wanted}; drop the panel")
        parts.append(rows.assign(panel=title))
    table = pd.concat(parts)
    known = set(table["model"])
    absent = [name for name in models or () if name not in known]
    if absent:
        raise ValueError(f"results have no model {absent[0]!r}; choose among {', '.join(sorted(known))}")
    return table


def _height_of_legend(labels: list[str], width: float) -> float:
    return _INCHES_A_LEGEND_ROW * -(-len(labels) // legend_columns(labels, width))


def _lines_of_models(lines: Mapping[tuple[str, str], Any], models: Mapping[str, str]) -> dict[str, Any]:
    drawn = {model: line for (_, model), line in lines.items()}
    return {label: drawn[model] for model, label in models.items() if model in drawn}


def _set_title(axes: Axes, panel: str) -> None:
    axes.set_title(panel.replace(", ", ",\n").replace(": ", ":\n"), fontsize="medium")
