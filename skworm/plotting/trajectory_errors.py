"""Errors of predicted trajectories by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skworm.plotting.common import BASELINE_STYLES, LEGEND_COLUMNS, new_figure, style_of_model
from skworm.plotting.scores import check_models, rows_of_panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
