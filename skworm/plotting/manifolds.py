"""Frames on the manifold of neural activity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from skworm.frames.index import FRAME_LEVEL, WORM_LEVEL, frame_of_rows, worm_of_rows
from skworm.plotting.base import LEGEND_COLUMNS, STATE_COLORS, new_figure
from skworm.recording import UNKNOWN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NO_STATES = "#0072B2"
_ELEVATION = (15.0, 50.0)


class ManifoldDisplay:
    """Trajectories of worms on the manifold, coloured by behavioural state.

    Parameters
    ----------
    embedding : pandas.DataFrame of shape (n_frames, n_components)
        Coordinates, index levels ``("worm", "frame")``.
    states : pandas.Series of str, shape (n_frames,), optional
        State of each frame.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure.
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

    def __init__(self, embedding: pd.DataFrame, *, states: pd.Series | None = None) -> None:
        self.embedding = embedding
        self.states = states

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
            As :meth:`from_embedding`.
        """
        if isinstance(estimator, Pipeline) and not hasattr(estimator[-1], "transform"):
            estimator = estimator[:-1]
        worm = worm_of_rows(X)
        worm = np.zeros(len(X), dtype=int) if worm is None else worm
        index = pd.MultiIndex.from_arrays([worm, frame_of_rows(X, worm)], names=[WORM_LEVEL, FRAME_LEVEL])
        embedding = pd.DataFrame(np.asarray(estimator.transform(X)), index=index)
        return cls.from_embedding(embedding, y, components=components, ax=ax)

    @classmethod
    def from_embedding(
        cls, embedding: Any, y: Any = None, *, components: tuple[int, ...] | None = None, ax: Axes | None = None
    ) -> ManifoldDisplay:
        """Draw coordinates on a manifold.

        Parameters
        ----------
        embedding : array-like of shape (n_frames, n_components)
            Coordinates; a DataFrame with index levels ``("worm", "frame")`` tells where a trajectory is interrupted.
        y, components, ax
            As in :meth:`from_estimator`.

        Returns
        -------
        ManifoldDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If coordinates are asked for that do not exist, `y` does not fit, or a state has no colour.
        """
        worm = worm_of_rows(embedding)
        worm = np.zeros(len(embedding), dtype=int) if worm is None else worm
        index = pd.MultiIndex.from_arrays([worm, frame_of_rows(embedding, worm)], names=[WORM_LEVEL, FRAME_LEVEL])
        values = np.asarray(embedding, dtype=float)
        chosen = tuple(range(min(3, values.shape[1]))) if components is None else tuple(components)
        if len(chosen) not in (2, 3) or not set(chosen) <= set(range(values.shape[1])):
            raise ValueError(
                f"components={chosen} are not two or three of the {values.shape[1]} coordinates, counted from 0; "
                "choose others, or fit more with n_components="
            )
        table = pd.DataFrame(values[:, chosen], index=index, columns=[f"Manifold coordinate {c + 1}" for c in chosen])
        return cls(table, states=_checked_states(y, index)).plot(ax=ax)

    def plot(self, ax: Any = None) -> ManifoldDisplay:
        """Draw into `ax`, a matplotlib Axes, or into a new figure; return the display itself."""
        n_dimensions = self.embedding.shape[1]
        projection = "3d" if n_dimensions == 3 else None
        if ax is not None and (ax.name == "3d") != (n_dimensions == 3):
            raise ValueError(
                f"ax has the projection {ax.name!r} for {n_dimensions} coordinates; make it with "
                f"projection={projection!r}, or choose other components"
            )
        self.ax_: Any = new_figure((5.5, 5.5)).add_subplot(projection=projection) if ax is None else ax
        self.figure_ = self.ax_.figure
        self._draw_lines()
        self._set_limits()
        for axis, name in zip("xyz", self.embedding.columns, strict=False):
            getattr(self.ax_, f"set_{axis}label")(name)
        if n_dimensions == 3:
            self._turn_to_front()
        else:
            self.ax_.spines[["top", "right"]].set_visible(False)
        self._add_legend(own_figure=ax is None)
        return self

    def _draw_lines(self) -> None:
        from matplotlib.collections import LineCollection
        from mpl_toolkits.mplot3d.art3d import Line3DCollection

        collection = Line3DCollection if self.embedding.shape[1] == 3 else LineCollection
        points = self.embedding.to_numpy()
        worm, frame = (self.embedding.index.get_level_values(level) for level in (WORM_LEVEL, FRAME_LEVEL))
        connected = (np.diff(frame) == 1) & (worm[1:] == worm[:-1])
        segments = np.stack([points[:-1], points[1:]], axis=1)[connected]
        if self.states is None:
            parts = {"trajectory": (segments, _NO_STATES)}
        else:
            state = self.states.to_numpy()[1:][connected]
            present = [name for name in STATE_COLORS if (self.states == name).any()]
            # Unknown frames lie below all others.
            present.sort(key=lambda name: name != UNKNOWN)
            parts = {name: (segments[state == name], STATE_COLORS[name]) for name in present}
        self.lines_: dict[str, Any] = {}
        for name, (pieces, color) in parts.items():
            lines = collection(pieces, colors=color, linewidths=0.8, alpha=0.6, label=name.replace("_", " "))
            # Limits are set from all frames at once.
            self.lines_[name] = self.ax_.add_collection(lines, **({"autolim": False} if len(pieces) else {}))

    def _set_limits(self) -> None:
        low, high = (np.asarray(part, dtype=float) for part in (self.embedding.min(), self.embedding.max()))
        margin = 0.03 * np.where(high > low, high - low, 1.0)
        for axis, start, end in zip("xyz", low - margin, high + margin, strict=False):
            getattr(self.ax_, f"set_{axis}lim")(start, end)

    def _turn_to_front(self) -> None:
        """Look at the manifold from where it is widest."""
        points = self.embedding.to_numpy()
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

    def _add_legend(self, own_figure: bool) -> None:
        if self.states is None:
            return
        from matplotlib.lines import Line2D

        handles = [
            Line2D([], [], color=color, label=name.replace("_", " "))
            for name, color in STATE_COLORS.items()
            if name in self.lines_
        ]
        where: Any = self.figure_ if own_figure else self.ax_
        place = {"loc": "outside lower center", "ncols": LEGEND_COLUMNS} if own_figure else {}
        where.legend(handles=handles, frameon=False, fontsize="small", **place)


def _checked_states(y: Any, index: pd.MultiIndex) -> pd.Series | None:
    if y is None:
        return None
    states = np.asarray(y, dtype=str)
    if states.shape != (len(index),):
        raise ValueError(f"y has shape {states.shape}, but there are {len(index)} frames; pass one state a frame")
    strange = [state for state in np.unique(states) if state not in STATE_COLORS]
    if strange:
        raise ValueError(
            f"the state {str(strange[0])!r} has no colour; translate the states of y to any of "
            f"{', '.join(STATE_COLORS)}, for example with skworm.frames.map_states"
        )
    return pd.Series(states, index=index)
