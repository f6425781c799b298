"""Which states are taken for which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skworm.frames.index import worm_of_rows
from skworm.plotting.common import STATE_COLORS, new_figure
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
