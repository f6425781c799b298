"""Predicted beside true continuous behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skworm.frames.index import FRAME_LEVEL, WORM_LEVEL
from skworm.plotting.common import LEGEND_COLUMNS, new_figure, style_of_model
from skworm.plotting.ethograms import draw_ethogram, edges_of_frames, patches_of_states, states_present
from skworm.recording import Recording

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TRUE = "#000000"
_STRIP = (0, -0.1, 1, 0.06)


class BehaviorDisplay:
    """Predicted beside true continuous behaviour of one worm over time, above a strip that tells its states.

    Parameters
    ----------
    recording : Recording
        The worm; it gives time and states.
    true : pandas.Series of shape (n_frames,)
        True signal; the index counts frames. Frames that are absent or NaN leave gaps.
    predicted : mapping of str to pandas.Series
        Predicted signals by model, with the same index.
    unit : str, default=""
        Unit of the signal, for its axis.
    models : mapping of str to str, optional
        Model to label; colours follow its order, which may name further models. By default those of `predicted`.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure.
    ax_ : matplotlib.axes.Axes
        The signals.
    lines_ : dict
        Lines by model; that of the true signal is ``"true"``.
    ethogram_ax_ : matplotlib.axes.Axes or None
        The strip of states; None for a recording without.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_behavior, make_frames
    >>> from skworm.plotting import BehaviorDisplay
    >>> worms = make_worms(2, n_frames=300, random_state=0)
    >>> X, _ = make_frames(worms, states=None)
    >>> velocity = make_behavior(worms, X)
    >>> seen = X.index.get_level_values("worm") == worms[0].worm
    >>> predicted = {"linear": Ridge().fit(X[seen], velocity[seen]).predict(X)}
    >>> display = BehaviorDisplay.from_predictions(worms[1], velocity, predicted, unit="mm/s")
    >>> display.ax_.get_ylabel()
    'velocity (mm/s)'
    """

    def __init__(
        self,
        recording: Recording,
        true: pd.Series,
        predicted: Mapping[str, pd.Series],
        *,
        unit: str = "",
        models: Mapping[str, str] | None = None,
    ) -> None:
        self.recording = recording
        self.true = true
        self.predicted = predicted
        self.unit = unit
        self.models = models or {name: name for name in predicted}

    @classmethod
    def from_predictions(
        cls,
        recording: Recording,
        y: pd.Series,
        predicted: Mapping[str, Any],
        *,
        unit: str = "",
        models: Mapping[str, str] | None = None,
        ax: Axes | None = None,
    ) -> BehaviorDisplay:
        """Draw what models predicted for one worm.

        Parameters
        ----------
        recording : Recording
            The worm; it gives time and states.
        y : pandas.Series of shape (n_frames,)
            True signal of this worm, and of others that are not shown, of :func:`skworm.frames.make_behavior`.
        predicted : mapping of str to array-like of shape (n_frames,)
            What models predicted for the rows of `y`, by name.
        unit : str, default=""
            Unit of the signal, for its axis.
        models : mapping of str to str, optional
            Model to label; colours follow its order, which may name further models. By default those of `predicted`.
        ax : matplotlib Axes, optional
            Where to draw the signals; the strip stands right below. By default a new figure.

        Returns
        -------
        BehaviorDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `y` does not tell worm and frame or has no frame of the worm, predictions do not fit `y`, or the worm has
            a state without a colour.
        """
        if not isinstance(y, pd.Series) or not {WORM_LEVEL, FRAME_LEVEL} <= set(y.index.names):
            raise ValueError("y is no Series that tells worm and frame by its index; make it with make_behavior")
        rows = np.asarray(y.index.get_level_values(WORM_LEVEL)) == recording.worm
        if not rows.any():
            found = ", ".join(map(repr, y.index.unique(WORM_LEVEL)))
            raise ValueError(f"y has no frame of worm {recording.worm!r}, only of {found}; pass the recording of one")
        frames = pd.Index(y.index.get_level_values(FRAME_LEVEL)[rows], name=FRAME_LEVEL)
        of_worm = {}
        for name, values in predicted.items():
            array = np.asarray(values, dtype=float)
            if array.shape != y.shape:
                raise ValueError(f"the predictions of {name!r} have shape {array.shape}, but y has {y.shape}")
            of_worm[name] = pd.Series(array[rows], index=frames)
        true = pd.Series(y.to_numpy()[rows], index=frames, name=y.name)
        return cls(recording, true, of_worm, unit=unit, models=models).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> BehaviorDisplay:
        """Draw into `ax`, a matplotlib Axes, or into a new figure; return the display itself."""
        worm, present = self.recording, states_present(self.recording)
        if self.true.index.max() >= worm.n_frames:
            raise ValueError(
                f"the signal has frame {self.true.index.max()}, but the recording of {worm.worm!r} has {worm.n_frames} "
                "frames; pass the recording that the frames were made of"
            )
        self.ax_ = new_figure((7.0, 2.9)).subplots() if ax is None else ax
        self.figure_ = self.ax_.figure
        self.lines_: dict[str, Any] = {"true": self._draw(self.true, color=_TRUE, linewidth=1.0, label="true")}
        for name, values in self.predicted.items():
            color, style = style_of_model(name, self.models)
            label = self.models.get(name, name)
            self.lines_[name] = self._draw(values, color=color, linestyle=style, linewidth=1.2, label=label)
        self.ax_.axhline(0, color="#BBBBBB", linewidth=0.8, zorder=0)
        name = "signal" if self.true.name is None else str(self.true.name)
        self.ax_.set_ylabel(f"{name} ({self.unit})" if self.unit else name)
        self.ax_.set_title(worm.worm, fontsize="medium")
        self.ax_.spines[["top", "right"]].set_visible(False)
        edges = edges_of_frames(worm.time)
        self.ax_.set_xlim(edges[self.true.index.min()], edges[self.true.index.max() + 1])
        self._draw_states(present, edges)
        (self.ethogram_ax_ or self.ax_).set_xlabel("Time (s)")
        self._add_legend(present, own_figure=ax is None)
        return self

    def _draw(self, values: pd.Series, **style: Any) -> Any:
        # A frame that is absent breaks the line, where it would else be drawn straight across.
        whole = values.reindex(range(self.recording.n_frames))
        return self.ax_.plot(self.recording.time, whole.to_numpy(), **style)[0]

    def _draw_states(self, present: list[str], edges: np.ndarray) -> None:
        self.ethogram_ax_ = None
        if self.recording.states is None:
            return
        self.ethogram_ax_ = self.ax_.inset_axes(_STRIP)
        draw_ethogram(self.ethogram_ax_, self.recording.states, present, edges)
        self.ethogram_ax_.sharex(self.ax_)
        self.ax_.tick_params(axis="x", bottom=False, labelbottom=False)

    def _add_legend(self, present: list[str], own_figure: bool) -> None:
        handles = [*self.lines_.values(), *patches_of_states(present)]
        where: Any = self.figure_ if own_figure else self.ax_
        place: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}
        if own_figure:
            place = {"loc": "outside lower center", "ncols": LEGEND_COLUMNS + 1}
        where.legend(handles=handles, frameon=False, fontsize="x-small", **place)
