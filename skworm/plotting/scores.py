"""Scores of models on worms: a dot for each worm, against a number, and errors of forecasts by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd

from skworm.plotting import base

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_REFERENCE, _BAND_OF_DOTS = "#D55E00", (0.08, 0.32)
_INCHES_A_MODEL, _INCHES_A_PANEL, _INCHES_A_LETTER = 0.42, 1.75, 0.085
_LEAST_INCHES_OF_LABELS, _INCHES_A_LEGEND_ROW = 1.6, 0.2
_MEAN_LABEL, _TRAIN_WORMS = "mean ± SD over worms", "train_worms"
_SPREAD_OF_MODELS, _MARKERS = 0.05, "osD^vP*X"


class ResultsDisplay(base.Display):
    """Results of cross-validations by worm: a row of panels, in each of which all models are drawn."""

    scores: pd.DataFrame
    _: KW_ONLY
    models: Mapping[str, str] | None = None
    reference: Mapping[Any, float] | None = None
    reference_label: str = "published"

    _score: ClassVar[str] = "accuracy"
    _x: ClassVar[str | None] = None

    @classmethod
    def from_results(
        cls,
        results: pd.DataFrame,
        *,
        score: str | None = None,
        panels: Mapping[str, Mapping[str, Any]] | None = None,
        ax: Any = None,
        **options: Any,
    ) -> Self:
        """Draw the results of a cross-validation by worm.

        Parameters
        ----------
        results : pandas.DataFrame
            The table of :func:`skworm.model_selection.cross_validate_worms`, or several, one below the other. The
            scores of a worm are averaged over the fits that score it.
        score : str, optional
            Column with the score or error; by default ``"accuracy"``, and ``"mse"`` for errors by step. A curve
            of scores is against the number of training worms.
        panels : mapping of str to mapping, optional
            Title of each panel to the values that columns have in its rows, such as ``{"unseen worms": {"evaluation":
            "unseen_worms"}}``; by default a panel for each evaluation.
        %(options)s
        """
        score = score or cls._score
        columns = ("model", "evaluation", "worm", score, *([cls._x] if cls._x else []))
        base.require_columns(results, columns, "that of cross_validate_worms")
        table = cls._completed(_rows_of_panels(results, panels), score)
        known = set(table["model"])
        absent = [name for name in options.get("models") or () if name not in known]
        if absent:
            raise ValueError(f"results have no model {absent[0]!r}; choose among {', '.join(sorted(known))}")
        scores = table[["panel", "model", "worm"]].assign(score=table[score])
        if cls._x:
            scores["x"] = _numbers(table[cls._x])
        keys = [column for column in scores if column != "score"]
        scores = scores.groupby(keys, sort=False)["score"].mean().reset_index()
        return cls(scores, **{**cls._labels(score), **options}).plot(ax=ax)

    @classmethod
    def _completed(cls, table: pd.DataFrame, score: str) -> pd.DataFrame:
        return table

    @classmethod
    def _labels(cls, score: str) -> dict[str, str]:
        return {"xlabel": base.label_of_score(score)}

    def _labels_of_models(self) -> dict[str, str]:
        return dict(self.models or {name: name for name in self.scores["model"].unique()})

    def _make_panels(
        self, ax: Any, size: tuple[float, float], entries: Sequence[str]
    ) -> Iterator[tuple[Axes, str, pd.DataFrame]]:
        """Make axes for each panel, with room for the entries of a legend below, and yield them, title and rows."""
        panels = self.scores.groupby("panel", sort=False)
        rows_of_legend = -(-len(entries) // base.legend_columns(entries, self._width or size[0]))
        size = (size[0], size[1] + _INCHES_A_LEGEND_ROW * rows_of_legend)
        self._make_axes(ax, len(panels), size, sharex=True, sharey=True)
        for axes, (panel, rows) in zip(self.axes_, panels, strict=True):
            axes.set_title(str(panel).replace(", ", ",\n").replace(": ", ":\n"), fontsize="medium")
            yield axes, str(panel), rows


class WormScoresDisplay(ResultsDisplay, kw_only=True):
    """Scores of models, one panel for each evaluation: a dot for each worm, and the mean and deviation over worms.

    Parameters
    ----------
    scores : pandas.DataFrame
        One row per panel, model and worm; columns ``panel, model, worm, score``, where the score is a fraction.
    %(models)s
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
    >>> results = {"model": ["svm", "clock"], "evaluation": "unseen_worms", "worm": "a", "accuracy": [0.9, 0.5]}
    >>> results = pd.DataFrame(results)
    >>> display = WormScoresDisplay.from_results(results)
    >>> display.axes_[0].get_title()
    'unseen worms'
    """

    baseline: str | None = "clock"
    xlabel: str = "Accuracy (%)"

    def _draw(self, ax: Any) -> None:
        models = self._labels_of_models()
        models = models if self.models else {name: name for name in models if name != self.baseline}
        labels = max(_LEAST_INCHES_OF_LABELS, 0.4 + _INCHES_A_LETTER * max(map(len, models.values())))
        size = labels + _INCHES_A_PANEL * self.scores["panel"].nunique(), 1.1 + _INCHES_A_MODEL * len(models)
        entries = ["one worm", _MEAN_LABEL, f"{self.baseline} baseline", *[self.reference_label] * bool(self.reference)]
        self.dots_: dict[tuple[str, str], Any] = {}
        self.means_: dict[tuple[str, str], Any] = {}
        self.references_: dict[tuple[str, str], Any] = {}
        self.baselines_: dict[str, Any] = {}
        for axes, panel, rows in self._make_panels(ax, size, entries):
            self._draw_panel(axes, panel, rows, models)
        kinds: dict[str, Any] = {"one worm": self.dots_, _MEAN_LABEL: self.means_}
        kinds |= {f"{self.baseline} baseline": self.baselines_, self.reference_label: self.references_}
        self._add_legend({label: next(iter(drawn.values())) for label, drawn in kinds.items() if drawn})

    def _draw_panel(self, axes: Axes, panel: str, rows: pd.DataFrame, models: Mapping[str, str]) -> None:
        scores = {str(name): 100 * group.to_numpy() for name, group in rows.groupby("model")["score"]}
        for position, model in enumerate(models):
            if model in scores:
                self._draw_model(axes, (panel, model), position, scores[model])
        if self.baseline in scores:
            value = float(np.nanmean(scores[self.baseline]))
            self.baselines_[panel] = axes.axvline(value, color=base.GREY, linestyle="--", linewidth=1, zorder=0)
        axes.set_xlabel(self.xlabel)
        base.tidy(axes, grid="x")
        base.name_rows(axes, list(models.values()))
        if self._own_figure:
            axes.label_outer()

    def _draw_model(self, axes: Axes, key: tuple[str, str], position: int, values: np.ndarray) -> None:
        below = position + np.linspace(*_BAND_OF_DOTS, len(values))
        self.dots_[key] = base.draw_dots(axes, values, below, base.DOT)
        spread = float(np.nanstd(values, ddof=1)) if len(values) > 1 else None
        mean, above = float(np.nanmean(values)), position - 0.12
        self.means_[key] = axes.errorbar(mean, above, xerr=spread, fmt="|", color=base.ink(), markersize=8)
        if self.reference and key in self.reference:
            self.references_[key] = _draw_diamond(axes, 100 * self.reference[key], above, _REFERENCE)


class ScoreCurveDisplay(ResultsDisplay, kw_only=True):
    """Scores of models against a number: mean and standard deviation over worms, with a dot for each worm.

    Parameters
    ----------
    scores : pandas.DataFrame
        One row per panel, model, worm and number; columns ``panel, model, worm, x, score``, where the score is a
        fraction. Rows of a worm at the same number are averaged.
    xlabel : str
        Label of the horizontal axis, with the unit.
    %(models)s
    ylabel : str, default="Accuracy (%)"
        Label of the vertical axis.
    %(curve)s

    Attributes
    ----------
    lines_, dots_, references_ : dict
        Artists: means with error bars and dots by (panel, model), published scores by (panel, model, x).

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.plotting import ScoreCurveDisplay
    >>> scores = pd.DataFrame({"panel": "unseen worms", "model": "GNN", "worm": "a", "x": [1, 2], "score": [0.8, 0.9]})
    >>> display = ScoreCurveDisplay(scores, xlabel="Training worms (number)").plot()
    >>> display.axes_[0].get_xlabel()
    'Training worms (number)'
    """

    xlabel: str
    ylabel: str = "Accuracy (%)"

    _x: ClassVar[str | None] = _TRAIN_WORMS
    _unit: ClassVar[float] = 100
    _legend_title: ClassVar[str | None] = "mean ± SD over worms; a dot for each worm"

    @classmethod
    def _labels(cls, score: str) -> dict[str, str]:
        return {"xlabel": "Training worms (number)", "ylabel": base.label_of_score(score)}

    def _draw(self, ax: Any) -> None:
        models = self._labels_of_models()
        size = max(5.5, 1.2 + 2.6 * self.scores["panel"].nunique()), 3.3
        self.lines_: dict[tuple[str, str], Any] = {}
        self.dots_: dict[tuple[str, str], Any] = {}
        self.bands_: dict[tuple[str, str], Any] = {}
        self.references_: dict[tuple[str, str, float], Any] = {}
        entries = [*models.values(), *[self.reference_label] * bool(self.reference)]
        for axes, panel, rows in self._make_panels(ax, size, entries):
            self._draw_panel(axes, panel, rows, models)
        self.ax_.set_ylabel(self.ylabel)
        drawn = {model: line for (_, model), line in self.lines_.items()}
        handles = {label: drawn[model] for model, label in models.items() if model in drawn}
        if self.references_:
            handles[self.reference_label] = next(iter(self.references_.values()))
        self._add_legend(handles, title=self._legend_title)

    def _draw_panel(self, axes: Axes, panel: str, rows: pd.DataFrame, models: Mapping[str, str]) -> None:
        for place, model in enumerate(models):
            by_worm = self._unit * rows[rows["model"] == model].groupby(["x", "worm"])["score"].mean()
            if len(by_worm):
                self._draw_model(axes, (panel, model), place, models, by_worm)
        for (where, model, x), value in (self.reference or {}).items():
            if where == panel and model in models:
                self.references_[panel, model, x] = _draw_diamond(axes, x, self._unit * value, base.ink())
        axes.set_xlabel(self.xlabel)
        self._set_axes(axes, np.sort(rows["x"].unique()))

    def _set_axes(self, axes: Axes, numbers: np.ndarray) -> None:
        axes.set_xticks(numbers, [f"{x:g}" for x in numbers])
        axes.minorticks_off()
        base.tidy(axes, grid="y")

    def _draw_model(
        self, axes: Axes, key: tuple[str, str], place: int, models: Mapping[str, str], by_worm: pd.Series
    ) -> None:
        numbers = np.sort(self.scores["x"].unique()).astype(float)
        step = np.diff(numbers).min() if len(numbers) > 1 else 1.0
        offset = place - (len(models) - 1) / 2

        # Models are drawn beside each other, so that their bars can be told apart.
        def beside(x: Any) -> Any:
            return np.asarray(x, dtype=float) + 1.6 * _SPREAD_OF_MODELS * offset * step

        color, linestyle = base.style_of_model(key[1], models)
        means, spreads = by_worm.groupby(level="x").mean(), by_worm.groupby(level="x").std()
        x = beside(by_worm.index.get_level_values("x"))
        self.dots_[key] = base.draw_dots(axes, x, by_worm, color)
        bars: dict[str, Any] = {"yerr": spreads.fillna(0), "elinewidth": 1, "linewidth": 1.2, "markersize": 4}
        bars |= {"marker": _MARKERS[place % len(_MARKERS)], "linestyle": linestyle}
        self.lines_[key] = axes.errorbar(beside(means.index), means, color=color, **bars)


class TrajectoryErrorDisplay(ScoreCurveDisplay, kw_only=True):
    """Error of predicted trajectories against the prediction step, one panel for each evaluation.

    Parameters
    ----------
    scores : pandas.DataFrame
        One row per panel, model, worm and step; columns ``panel, model, worm, x, score``: the step and the error. In
        ``from_results`` persistence is added from the column ``"persistence_" + score``.
    %(models)s
    xlabel, ylabel : str
        Labels of the axes, with the unit.
    %(curve)s

    Attributes
    ----------
    lines_, bands_ : dict
        Mean, and standard deviation of models that are not baselines, over worms, by (panel, model).

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.plotting import TrajectoryErrorDisplay
    >>> results = pd.DataFrame({"model": "gnn", "evaluation": "unseen_worms", "worm": "a", "step": [1, 2]})
    >>> results = results.assign(mse=[0.01, 0.02], persistence_mse=[0.02, 0.03])
    >>> display = TrajectoryErrorDisplay.from_results(results)
    >>> display.axes_[0].get_xlabel(), sorted(model for _, model in display.lines_)
    ('Prediction step (frames)', ['gnn', 'persistence'])
    """

    xlabel: str = "Prediction step (frames)"
    ylabel: str = "Mean squared error"

    _score: ClassVar[str] = "mse"
    _x: ClassVar[str | None] = "step"
    _unit: ClassVar[float] = 1
    _legend_title: ClassVar[str | None] = None

    @classmethod
    def _completed(cls, table: pd.DataFrame, score: str) -> pd.DataFrame:
        persistence = f"persistence_{score}"
        if persistence not in table or "persistence" in set(table["model"]):
            return table
        # The rows of every model hold the same errors of persistence.
        first = table[table["model"] == table.groupby("panel")["model"].transform("first")]
        return pd.concat([table, first.assign(model="persistence", **{score: first[persistence]})])

    @classmethod
    def _labels(cls, score: str) -> dict[str, str]:
        of_what = "" if score == "mse" else f", {base.readable(score.removeprefix('mse_'))}"
        return {"ylabel": f"Mean squared error{of_what}\n(scaled features)"}

    def _draw_model(
        self, axes: Axes, key: tuple[str, str], place: int, models: Mapping[str, str], by_worm: pd.Series
    ) -> None:
        mean, deviation = by_worm.groupby(level="x").mean(), by_worm.groupby(level="x").std()
        color, style = base.style_of_model(key[1], models)
        # The first networks have wider lines, so that lines with equal errors all stay visible.
        networks = [name for name in models if name not in base.BASELINE_STYLES]
        width = max(1.2, 3.4 - 0.7 * networks.index(key[1])) if key[1] in networks else 1.5
        self.lines_[key] = axes.plot(mean.index, mean, color=color, linestyle=style, linewidth=width)[0]
        if key[1] not in base.BASELINE_STYLES and deviation.notna().any():
            band: dict[str, Any] = {"color": color, "alpha": 0.1, "linewidth": 0}
            self.bands_[key] = axes.fill_between(mean.index, mean - deviation, mean + deviation, **band)

    def _draw(self, ax: Any) -> None:
        super()._draw(ax)
        # Only after all panels are drawn: they share an axis, which stops growing once it has a limit.
        for axes in self.axes_:
            axes.set_ylim(0, None)

    def _set_axes(self, axes: Axes, numbers: np.ndarray) -> None:
        from matplotlib.ticker import MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        base.tidy(axes)


def _draw_diamond(axes: Axes, x: float, y: float, color: str) -> Any:
    return axes.plot(x, y, "D", color=color, markersize=6, markerfacecolor="none", zorder=4)[0]


def _rows_of_panels(results: pd.DataFrame, panels: Mapping[str, Mapping[str, Any]] | None) -> pd.DataFrame:
    """Return the rows of each panel with its title in a column "panel"."""
    if panels is None:
        if "fold_by" in results and results["fold_by"].nunique() > 1:
            raise ValueError(
                "results are of several ways to make folds, which would be averaged; choose one by "
                "results[results['fold_by'] == 'shuffled_windows'], or give each panels of its own"
            )
        panels = {base.readable(name): {"evaluation": name} for name in results["evaluation"].unique()}
    parts = []
    for title, values in panels.items():
        rows = results[np.logical_and.reduce([results[column] == value for column, value in values.items()])]
        if rows.empty:
            wanted = ", ".join(f"{column}={value!r}" for column, value in values.items())
            raise ValueError(f"panel {title!r} has no rows: none of the results has {wanted}; drop the panel")
        parts.append(rows.assign(panel=title))
    return pd.concat(parts)


def _numbers(column: pd.Series) -> pd.Series:
    """Return numbers as they are, and tuples of training worms counted."""
    if column.name != _TRAIN_WORMS:
        return column.astype(float)
    if not all(isinstance(worms, tuple) for worms in column):
        found = column.iloc[0]
        raise ValueError(f"{_TRAIN_WORMS!r} holds {found!r}, which is not a tuple of worms; pass tuples")
    return column.map(len)
