"""The manifold on which neural activity moves: the asymmetric diffusion map of Brennan & Proekt 2019."""

from __future__ import annotations

from dataclasses import field
from numbers import Integral
from typing import Annotated, Any, ClassVar

import numpy as np
import pandas as pd
from scipy.linalg import eig
from scipy.sparse import csr_array, vstack
from scipy.sparse.linalg import ArpackNoConvergence, eigs
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from skworm.frames.index import (
    check_frames_differ,
    frame_of_rows,
    frame_settings,
    sequences_of,
    validate_like_training,
    worm_of_rows,
)
from skworm.parameters import Count, DocumentedEstimator

_LARGEST_DENSE = 300
_ROWS_A_CHUNK = 1024
_FEWEST_LANCZOS_VECTORS = 60


class AsymmetricDiffusionMap(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DocumentedEstimator):
    """Place frames on the manifold along which activity flows.

    A frame becomes a point of phase space by time-delay embedding. From each point activity may go on to the points
    near the one that truly came next, with probabilities of a Gaussian kernel. Since the kernel is centred on the next
    frame, the probabilities have a direction, and their eigenvectors can be complex: the flow goes round, and the angle
    in the plane of such a pair of coordinates is the phase of a cycle, which grows with time.

    Neither delays nor transitions cross from one worm to another, or a gap in the frame numbers. Neighbours may belong
    to any training worm, which makes one manifold of all of them.

    Parameters
    ----------
    n_components : int, default=3
        Coordinates on the manifold.
    n_delays : int, default=2
        Earlier frames that are set beside each frame. Where a stretch of consecutive frames does not reach back that
        far, its first frame stands in.
    delay : int, default=2
        Frames from one of them to the next.
    n_neighbors : int, default=20
        Points that a transition can lead to; their distances set the width of the kernel at this place. Fewer where
        training rows do not have so many passages.
    min_separation : int, default=10
        Frames between two of these neighbours in the same worm, so that they belong to different passages of the
        trajectory rather than to successive frames of one; 1 admits all.
    diffusion_time : int, default=1
        Frames over which activity diffuses. Coordinates are expectations so many frames ahead; fast modes fade.

    Attributes
    ----------
    embedding_ : ndarray of shape (n_frames, n_components)
        Coordinates of the training frames, slowest mode first.
    eigenvalues_ : ndarray of complex, shape (n_components,)
        Eigenvalue of each coordinate. Of a complex pair, the one with positive angle stands for both coordinates, the
        real and then the imaginary part.
    periods_ : ndarray of shape (n_components,)
        Frames that the cycle of each coordinate takes, infinite where its eigenvalue is positive.
    transitions_ : scipy.sparse.csr_array of shape (n_frames, n_frames)
        Probability of going from a training frame (row) to another (column) in one frame.

    References
    ----------
    Brennan & Proekt 2019, eLife 8:e46814. Wang et al. 2021, Table 1, reference 18. Coifman & Lafon 2006, Applied and
    Computational Harmonic Analysis 21, 5-30: diffusion maps.

    Examples
    --------
    >>> import numpy as np
    >>> from skworm import AsymmetricDiffusionMap
    >>> angle = 2 * np.pi * np.arange(600) / 40
    >>> noise = np.random.default_rng(0).normal(scale=0.05, size=(600, 2))
    >>> loop = AsymmetricDiffusionMap(n_components=2).fit(np.column_stack([np.cos(angle), np.sin(angle)]) + noise)
    >>> loop.periods_.round()
    array([40., 40.])
    """

    n_components: Count = field(default=3, kw_only=False)
    n_delays: Annotated[int, Interval(Integral, 0, None, closed="left")] = 2
    delay: Count = 2
    n_neighbors: Count = 20
    min_separation: Count = 10
    diffusion_time: Count = 1

    _words: ClassVar[dict[str, str]] = {
        "about_X": (
            "Scaled frames; a DataFrame of :func:`skworm.frames.make_frames` carries worms and frame numbers. The rows "
            "of a\n    plain array follow each other in time."
        ),
        "y": "ignored",
        "transform returns": "ndarray of shape (n_frames, n_components)\n    Coordinates.",
        "fit_transform returns": "ndarray of shape (n_frames, n_components)\n    Coordinates.",
    }

    def fit(self, X: Any, y: Any = None, *, worm: Any = None) -> AsymmetricDiffusionMap:
        """Learn the manifold from frames.

        Raises
        ------
        ValueError
            If there are too few rows, a worm has a frame number twice, or no eigenvectors are found.
        """
        self._validate_params()
        frames = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        self.frame_settings_ = frame_settings(X)
        if self.n_components > len(frames) - 1:
            raise ValueError(
                f"n_components={self.n_components} is too large for n_samples={len(frames)} rows; pass at most "
                f"n_samples - 1 = {len(frames) - 1}, or more frames"
            )
        worms, numbers = _times(X, worm, len(frames))
        self._points, following = self._phase_space(frames, worms, numbers)
        # Frames of all worms on one axis of time, those of different worms at least `min_separation` apart.
        since_start = numbers - numbers.min()
        self._moments = pd.factorize(worms)[0] * (since_start.max() + self.min_separation) + since_start
        self.transitions_ = self._transitions_from(following)
        self.eigenvalues_, self._modes, self._imaginary = _slow_modes(self.transitions_, self.n_components)
        with np.errstate(divide="ignore"):
            self.periods_ = 2 * np.pi / np.abs(np.angle(self.eigenvalues_))
        self.embedding_ = self._coordinates(self.transitions_)
        return self

    def transform(self, X: Any, *, worm: Any = None) -> np.ndarray:
        """Place frames on the manifold, those of new worms too.

        A frame's transitions into the training frames weigh their coordinates (Nyström's extension). The position of a
        frame depends on the `delay` * `n_delays` frames before it and on the one after it, where `X` has them: pass
        whole stretches. The last frame of a stretch is taken to stay where it is.
        """
        check_is_fitted(self)
        frames = validate_like_training(self, X, dtype=np.float64)
        _, following = self._phase_space(frames, *_times(X, worm, len(frames)))
        return self._coordinates(self._transitions_from(following))

    def fit_transform(self, X: Any, y: Any = None, *, worm: Any = None) -> np.ndarray:
        """Learn the manifold and place the same frames on it."""
        return self.fit(X, worm=worm).embedding_.copy()

    @property
    def _n_features_out(self) -> int:
        return len(self.eigenvalues_)

    def _phase_space(self, frames: np.ndarray, worms: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Embed frames by their past; return their points, and the points that follow them."""
        check_frames_differ(worms, numbers, "drop repeated rows")
        sequences = sequences_of(worms, numbers)
        order, lengths = np.concatenate(sequences), [len(rows) for rows in sequences]
        start = np.repeat(np.cumsum(lengths) - lengths, lengths)
        place = np.arange(len(frames))
        past = [np.maximum(place - lag * self.delay, start) for lag in range(self.n_delays + 1)]
        points = np.concatenate([frames[order[rows]] for rows in past], axis=1)
        ends = np.append(start[1:] == place[1:], True)
        following = points[np.where(ends, place, place + 1)]
        back = np.argsort(order)
        return points[back], following[back]

    def _transitions_from(self, following: np.ndarray) -> csr_array:
        """Return the probabilities of going to the training points, around the points that follow."""
        # In chunks, the candidates of all rows are never held at once.
        parts = [following[first : first + _ROWS_A_CHUNK] for first in range(0, len(following), _ROWS_A_CHUNK)]
        return vstack([self._transitions_of_chunk(part) for part in parts], format="csr")

    def _transitions_of_chunk(self, following: np.ndarray) -> csr_array:
        squared = euclidean_distances(following, self._points, squared=True)
        # So many are enough even if all of them are neighbours in time.
        n_candidates = min(len(self._points), self.n_neighbors * (2 * self.min_separation - 1))
        candidates = np.argpartition(squared, n_candidates - 1, axis=1)[:, :n_candidates]
        nearest_first = np.argsort(np.take_along_axis(squared, candidates, axis=1), axis=1, kind="stable")
        candidates = np.take_along_axis(candidates, nearest_first, axis=1)
        squared = np.take_along_axis(squared, candidates, axis=1)
        chosen = self._apart(candidates)
        # Their distances ascend, so that the middle one of the chosen is at the median, of an even number the lower.
        middle = (chosen.sum(axis=1, keepdims=True) + 1) // 2
        place = np.argmax(chosen.cumsum(axis=1) == middle, axis=1)
        width = np.take_along_axis(squared, place[:, np.newaxis], axis=1)
        weights = np.where(chosen, np.exp(-squared / (2 * np.where(width > 0, width, 1.0))), 0.0)
        weights /= weights.sum(axis=1, keepdims=True)
        rows, columns = np.nonzero(chosen)
        shape = (len(following), len(self._points))
        return csr_array((weights[rows, columns], (rows, candidates[rows, columns])), shape=shape)

    def _apart(self, candidates: np.ndarray) -> np.ndarray:
        """Choose neighbours from the nearest on, each some frames away in time from those before it."""
        moment = self._moments[candidates]
        left, chosen = np.ones(candidates.shape, dtype=bool), np.zeros(candidates.shape, dtype=bool)
        rows = np.arange(len(candidates))
        for _ in range(self.n_neighbors):
            first = left.argmax(axis=1)
            # Where none is left, argmax falls on the nearest candidate, which is chosen already.
            chosen[rows, first] = True
            left &= np.abs(moment - moment[rows, first][:, np.newaxis]) >= self.min_separation
        return chosen

    def _coordinates(self, transitions: csr_array) -> np.ndarray:
        # The transitions add the last of the frames ahead.
        ahead = self._modes * self.eigenvalues_ ** (self.diffusion_time - 1)
        return transitions @ np.where(self._imaginary, ahead.imag, ahead.real)


def _times(X: Any, worm: Any, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    worms = worm_of_rows(X, worm)
    worms = np.zeros(n_rows, dtype=int) if worms is None else worms
    return worms, frame_of_rows(X, worms)


def _slow_modes(transitions: csr_array, n_modes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the largest eigenvalues but 1, their right eigenvectors, and which coordinates are the imaginary parts."""
    values, vectors = _eigenvectors(transitions, n_modes + 2)
    trivial = np.argmin(np.abs(values - 1))
    values, vectors = np.delete(values, trivial), np.delete(vectors, trivial, axis=1)
    order = np.lexsort((-values.imag, -values.real.round(9), -np.abs(values).round(9)))
    # Of a pair one eigenvector is enough: its two parts make two coordinates.
    parts = []
    for column in order[values[order].imag >= 0]:
        parts += [(column, False), (column, True)] if values[column].imag > 0 else [(column, False)]
    columns, imaginary = map(np.array, zip(*parts[:n_modes], strict=True))
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])]
    # An eigenvector is known up to a factor: its largest entry becomes real and positive.
    vectors = vectors * (np.abs(largest) / largest) / np.sqrt(np.mean(np.abs(vectors) ** 2, axis=0))
    return values[columns].astype(complex), vectors[:, columns].astype(complex), imaginary


def _eigenvectors(transitions: csr_array, n_wanted: int) -> tuple[np.ndarray, np.ndarray]:
    n_points = transitions.shape[0]
    n_vectors = max(_FEWEST_LANCZOS_VECTORS, 3 * n_wanted)
    if n_points <= max(_LARGEST_DENSE, n_vectors):
        return eig(transitions.toarray())
    start = np.random.default_rng(0).random(n_points)
    try:
        return eigs(transitions, k=n_wanted, ncv=n_vectors, v0=start, maxiter=100 * n_points, tol=1e-10)
    except ArpackNoConvergence as error:
        raise ValueError(
            f"no {n_wanted} eigenvectors of the transitions were found; raise n_neighbors, or lower n_components"
        ) from error
