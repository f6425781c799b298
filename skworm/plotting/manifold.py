"""Frames on the manifold of neural activity."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from skworm.frames.index import frame_of_rows, worm_of_rows
from skworm.plotting.base import Display, tidy
from skworm.plotting.words import DOT, colors_of_states, readable
from skworm.recording import UNKNOWN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCHES_A_PANEL = 3.0


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
    axes_ : list of matplotlib.axes.Axes
        A panel for each pair of coordinates: one for two coordinates, three for three.
    lines_ : dict of ((component, component), state) to matplotlib.collections.LineCollection
        The pieces of the trajectories in each panel and state; under the state ``"trajectory"`` without states.

    Examples
    --------
    >>> from skworm import AsymmetricDiffusionMap
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> from skworm.plotting import ManifoldDisplay
    >>> X, y = make_frames(make_worms(1, n_frames=400, random_state=0), states="4", unknown="keep")
    >>> display = ManifoldDisplay.from_estimator(AsymmetricDiffusionMap(n_components=2).fit(X), X, y)
    >>> display.axes_[0].get_xlabel()
    'Manifold coordinate 1'
    """

    def __init__(self, embedding: Any, *, states: Any = None, components: tuple[int, ...] | None = None) -> None:
        self.embedding = embedding
        self.states = states
        self.components = components

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any = None, *, components: tuple[int, ...] | None = None, ax: Any = None
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
        ax : matplotlib Axes or sequence of them, optional
            One for each pair of coordinates; by default a new figure.

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
        ax : matplotlib Axes or sequence of them, optional
            One for each pair of coordinates; by default a new figure.

        Returns
        -------
        ManifoldDisplay
            The display itself.

        Raises
        ------
        ValueError
            If coordinates are asked for that do not exist, or `states` or `ax` do not fit.
        """
        values = np.asarray(self.embedding, dtype=float)
        pairs = list(combinations(self._chosen(values.shape[1]), 2))
        states = _checked_states(self.states, len(values))
        colors = {"trajectory": DOT} if states is None else colors_of_states(states)
        worm = worm_of_rows(self.embedding)
        worm = np.zeros(len(values), dtype=int) if worm is None else worm
        # Rows that do not follow each other in time are not joined: nothing was seen on the way between them.
        joined = (np.diff(frame_of_rows(self.embedding, worm)) == 1) & (worm[1:] == worm[:-1])
        state = np.full(len(values), "trajectory") if states is None else states
        size = (0.8 + _INCHES_A_PANEL * len(pairs), 0.6 + _INCHES_A_PANEL)
        self._make_axes(ax, len(pairs), size, what="pairs of coordinates")
        self.lines_: dict[tuple[tuple[int, int], str], Any] = {}
        for axes, pair in zip(self.axes_, pairs, strict=True):
            segments = np.stack([values[:-1, pair], values[1:, pair]], axis=1)[joined]
            self._draw_panel(axes, pair, segments, state[1:][joined], colors)
        if states is not None:
            from matplotlib.lines import Line2D

            handles = {readable(name): Line2D([], [], color=color) for name, color in colors.items()}
            self._add_legend(handles)
        return self

    def _chosen(self, n_components: int) -> tuple[int, ...]:
        chosen = tuple(range(min(3, n_components))) if self.components is None else tuple(self.components)
        if len(chosen) not in (2, 3) or not set(chosen) <= set(range(n_components)):
            raise ValueError(
                f"components={chosen} are not two or three of the {n_components} coordinates, counted from 0; "
                "choose others, or fit more with n_components="
            )
        return chosen

    def _draw_panel(
        self, axes: Axes, pair: tuple[int, int], segments: np.ndarray, states: np.ndarray, colors: Mapping[str, str]
    ) -> None:
        from matplotlib.collections import LineCollection

        # Unknown frames lie below all others.
        for name, color in sorted(colors.items(), key=lambda item: item[0] != UNKNOWN):
            lines = LineCollection(list(segments[states == name]), colors=color, linewidths=0.8, alpha=0.6)
            self.lines_[pair, name] = axes.add_collection(lines)
        axes.autoscale_view()
        axes.set_xlabel(f"Manifold coordinate {pair[0] + 1}")
        axes.set_ylabel(f"Manifold coordinate {pair[1] + 1}")
        tidy(axes)


def _checked_states(y: Any, n_frames: int) -> np.ndarray | None:
    if y is None:
        return None
    states = np.asarray(y, dtype=str)
    if states.shape != (n_frames,):
        raise ValueError(f"y has shape {states.shape}, but there are {n_frames} frames; pass one state a frame")
    return states
