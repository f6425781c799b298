"""Frames on the manifold of neural activity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from skworm.layout import frame_of_rows, worm_of_rows
from skworm.plotting.base import Display, tidy
from skworm.plotting.words import DOT, colors_of_states, readable
from skworm.states import UNKNOWN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ELEVATION = (15.0, 50.0)


class ManifoldDisplay(Display):
    """Trajectories of worms on the manifold, coloured by behavioural state.

    Parameters
    ----------
    embedding : array-like of shape (n_frames, n_components)
        Coordinates; a DataFrame with index levels ``("worm", "frame")`` shows where a trajectory is interrupted.
    states : array-like of str, shape (n_frames,), optional
        State of each frame.
    components : tuple of two or three int, optional
        Coordinates to show, counted from 0; by default the first three, or two where there are no more.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes or mpl_toolkits.mplot3d.axes3d.Axes3D
        The axes, with three dimensions where the embedding has them.
    lines_ : dict of str to artist
        The pieces of the trajectories in each state; of all frames under ``"trajectory"`` where no states are given.

    Examples
    --------
    >>> from skworm import AsymmetricDiffusionMap
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> from skworm.plotting import ManifoldDisplay
    >>> X, y = make_frames(make_worms(1, n_frames=400, random_state=0), states="4", unknown="keep")
    >>> display = ManifoldDisplay.from_estimator(AsymmetricDiffusionMap(n_components=2).fit(X), X, y)
    >>> display.ax_.get_xlabel()
    'Manifold coordinate 1'
    """

    def __init__(self, embedding: Any, *, states: Any = None, components: tuple[int, ...] | None = None) -> None:
        self.embedding = embedding
        self.states = states
        self.components = components

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any = None, *, components: tuple[int, ...] | None = None, ax: Axes | None = None
    ) -> ManifoldDisplay:
        """Place frames on a fitted manifold, and draw them.

        Parameters
        ----------
        estimator : AsymmetricDiffusionMap or Pipeline
            A fitted transformer, or a pipeline that ends with one or with a classifier on top of one.
        X : array-like of shape (n_frames, n_features)
            Frames; a DataFrame of :func:`skworm.frames.make_frames` carries worms and frame numbers.
        y : array-like of str, shape (n_frames,), optional
            State of each frame.
        components : tuple of two or three int, optional
            Coordinates to show, counted from 0; by default the first three, or two where there are no more.
        ax : matplotlib Axes, optional
            Where to draw; with ``projection="3d"`` for three coordinates. By default a new figure.

        Returns
        -------
        ManifoldDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            As :meth:`plot`.
        """
        if isinstance(estimator, Pipeline) and not hasattr(estimator[-1], "transform"):
            estimator = estimator[:-1]
        embedding = pd.DataFrame(np.asarray(estimator.transform(X)), index=getattr(X, "index", None))
        return cls(embedding, states=y, components=components).plot(ax=ax)

    def plot(self, ax: Any = None) -> ManifoldDisplay:
        """Draw the trajectories.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; with ``projection="3d"`` for three coordinates. By default a new figure.

        Returns
        -------
        ManifoldDisplay
            The display itself.

        Raises
        ------
        ValueError
            If coordinates are asked for that do not exist, or `states` do not fit.
        """
        points, connected = self._points()
        states = _checked_states(self.states, len(points))
        projection = "3d" if points.shape[1] == 3 else None
        if ax is not None and (ax.name == "3d") != (points.shape[1] == 3):
            raise ValueError(
                f"ax has the projection {ax.name!r} for {points.shape[1]} coordinates; make it with "
                f"projection={projection!r}, or choose other components"
            )
        self.ax_: Any
        [self.ax_] = self._make_axes(ax, 1, (5.5, 5.5), subplot_kw={"projection": projection})
        colors = colors_of_states([] if states is None else states)
        self._draw_lines(points, connected, states, colors)
        self._set_limits(points)
        if projection:
            self._turn_to_front(points)
        else:
            tidy(self.ax_)
        if states is not None:
            from matplotlib.lines import Line2D

            self._add_legend({readable(name): Line2D([], [], color=color) for name, color in colors.items()})
        return self

    def _points(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the coordinates that are shown, and which rows follow the one before them in time."""
        values = np.asarray(self.embedding, dtype=float)
        self._shown = tuple(range(min(3, values.shape[1]))) if self.components is None else tuple(self.components)
        if len(self._shown) not in (2, 3) or not set(self._shown) <= set(range(values.shape[1])):
            raise ValueError(
                f"components={self._shown} are not two or three of the {values.shape[1]} coordinates, counted from 0; "
                "choose others, or fit more with n_components="
            )
        worm = worm_of_rows(self.embedding)
        worm = np.zeros(len(values), dtype=int) if worm is None else worm
        frame = frame_of_rows(self.embedding, worm)
        return values[:, self._shown], (np.diff(frame) == 1) & (worm[1:] == worm[:-1])

    def _draw_lines(
        self, points: np.ndarray, connected: np.ndarray, states: np.ndarray | None, colors: Mapping[str, str]
    ) -> None:
        from matplotlib.collections import LineCollection
        from mpl_toolkits.mplot3d.art3d import Line3DCollection

        collection = Line3DCollection if points.shape[1] == 3 else LineCollection
        segments = np.stack([points[:-1], points[1:]], axis=1)[connected]
        if states is None:
            parts = {"trajectory": (segments, DOT)}
        else:
            state = states[1:][connected]
            # Unknown frames lie below all others.
            present = sorted(colors.items(), key=lambda item: item[0] != UNKNOWN)
            parts = {name: (segments[state == name], color) for name, color in present}
        self.lines_: dict[str, Any] = {}
        for name, (pieces, color) in parts.items():
            lines = collection(pieces, colors=color, linewidths=0.8, alpha=0.6)
            # Limits are set from all frames at once.
            self.lines_[name] = self.ax_.add_collection(lines, **({"autolim": False} if len(pieces) else {}))

    def _set_limits(self, points: np.ndarray) -> None:
        low, high = points.min(axis=0), points.max(axis=0)
        margin = 0.03 * np.where(high > low, high - low, 1.0)
        for axis, component, start, end in zip("xyz", self._shown, low - margin, high + margin, strict=False):
            getattr(self.ax_, f"set_{axis}lim")(start, end)
            getattr(self.ax_, f"set_{axis}label")(f"Manifold coordinate {component + 1}")

    def _turn_to_front(self, points: np.ndarray) -> None:
        """Look at the manifold from where it is widest."""
        spread = np.where(np.ptp(points, axis=0) > 0, np.ptp(points, axis=0), 1.0)
        normal = np.linalg.svd((points - points.mean(axis=0)) / spread, full_matrices=False)[2][-1]
        normal *= np.sign(normal[2]) or 1.0
        elevation, azimuth = np.degrees([np.arcsin(np.clip(normal[2], 0, 1)), np.arctan2(normal[1], normal[0])])
        # From straight above, or from the side, the axes would hide each other.
        self.ax_.view_init(elev=float(np.clip(elevation, *_ELEVATION)), azim=float(azimuth))
        for axis in (self.ax_.xaxis, self.ax_.yaxis, self.ax_.zaxis):
            axis.set_pane_color((1.0, 1.0, 1.0, 0.0))
            axis.set_ticks([])
            axis.labelpad = -8
        self.ax_.set_box_aspect((1, 1, 1), zoom=0.95)


def _checked_states(y: Any, n_frames: int) -> np.ndarray | None:
    if y is None:
        return None
    states = np.asarray(y, dtype=str)
    if states.shape != (n_frames,):
        raise ValueError(f"y has shape {states.shape}, but there are {n_frames} frames; pass one state a frame")
    return states
