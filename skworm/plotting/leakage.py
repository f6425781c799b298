"""What remembering the moment is worth, for each kind of fold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skworm.plotting.common import LEGEND_COLUMNS, new_figure, style_of_model

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
