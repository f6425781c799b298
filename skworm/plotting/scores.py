"""Scores of models on worms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skworm.plotting.common import new_figure

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
