"""Scores against a number, such as that of training worms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skworm.plotting.common import LEGEND_COLUMNS, new_figure, style_of_model
from skworm.plotting.scores import check_models, label_of_score, rows_of_panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SPREAD_OF_MODELS = 0.05
_MARKERS = "osD^vP*X"
_REFERENCE = "#000000"
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
                style: dict[str, Any] = {"color": _REFERENCE, "markerfacecolor": "none", "zorder": 4}
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
