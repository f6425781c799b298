"""Read recordings from NWB files (Neurodata Without Borders), such as those of worms on DANDI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from skworm.datasets.conventions import frame_rate, frames_first, one_name_each
from skworm.datasets.hdf5 import read_dataset
from skworm.datasets.nwb_behavior import read_behavior, read_states
from skworm.datasets.nwb_values import groups_below, is_kind, label_column, read_text, times_of
from skworm.recording import Recording

_SERIES = "RoiResponseSeries"


def read_nwb(path: Path, *, dataset: str) -> Recording:
    """Read one worm from an NWB file.

    NWB is HDF5 with named types, and what is looked for is found by type, wherever it stands:

    - Traces: a ``RoiResponseSeries``, one within ``DfOverF`` before one within ``Fluorescence``, and the one with more
      labelled neurons before another.
    - Names: a text column such as ``ID_labels`` of the table that the series points to, or else of a table with as many
      rows, first in the same module. A label with a question mark, without letters, or that occurs twice does not
      identify a neuron.
    - Behaviour: every ``TimeSeries`` of one to three columns within ``BehavioralTimeSeries``, ``Position`` and the
      like, interpolated at the frames; NaN outside of its time.
    - States: a ``TimeIntervals`` table with a column of states, such as ``state`` or ``label``; or else tables that are
      named after a state, or text, one a frame or each holding until the next.

    It was tested on files that were written after the public descriptions of the dandisets 000541, 000565, 000692,
    000714, 000715, 000776 and 001075.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    dataset : str
        Data set of the recording.

    Returns
    -------
    Recording
        The worm, named by its subject, else after the file; states have the file's names.

    Raises
    ------
    ValueError
        If the file is damaged, has no calcium activity, or more than one that could be meant.

    Warns
    -----
    UserWarning
        If a name occurs twice.

    References
    ----------
    Rubel et al. 2022, "The Neurodata Without Borders ecosystem for neurophysiological data science", eLife 11:e78362.
    Sprague et al. 2024, "Unifying community whole-brain imaging datasets enables robust neuron identification and
    reveals determinants of neuron position in C. elegans", Cell Reports Methods.
    """
    import h5py

    if not h5py.is_hdf5(path):
        raise ValueError("this is no HDF5 file, or a truncated one; download it again")
    with h5py.File(path, "r") as file:
        candidates = [_Candidate(file, node) for node in groups_below(file) if is_kind(node, _SERIES)]
        series = _choose(candidates)
        time = series.times()
        subject = file.get("general/subject/subject_id")
        name = (read_text(subject).strip() if subject is not None else "") or path.stem
        n_frames = None if time is None else (len(time),)
        traces = frames_first(series.values(), "traces", len(series.labels), n_frames)
        if time is None or len(time) != len(traces):
            raise ValueError(f"the series {series.node.name} has neither timestamps nor a starting time with its rate")
        return Recording(
            worm=name,
            traces=traces,
            neurons=tuple(one_name_each(name, series.labels)),
            fps=frame_rate(time),
            dataset=dataset,
            time=time - time[0],
            states=read_states(file, time),
            behavior=read_behavior(file, time),
            source=str(path),
        )


class _Candidate:
    """A series of traces, with the labels of its neurons."""

    def __init__(self, file: Any, node: Any) -> None:
        self.node = node
        self._file = file
        shape = node["data"].shape
        rois = read_dataset(node["rois"]).ravel() if "rois" in node else None
        self.n_neurons = shape[-1] if rois is None else len(rois)
        self.labels = self._labels(rois)

    @property
    def rank(self) -> tuple[bool, int]:
        """Higher for what is more likely meant."""
        return is_kind(self.node.parent, "DfOverF"), sum(map(bool, self.labels))

    def values(self) -> np.ndarray:
        return read_dataset(self.node["data"]).astype(float)

    def times(self) -> np.ndarray | None:
        shape = self.node["data"].shape
        # Frames come first by the standard, and some files have them last.
        n_frames = shape[0] if len(shape) < 2 or shape[1] == self.n_neurons else shape[1]
        return times_of(self.node, n_frames)

    def _labels(self, rois: np.ndarray | None) -> list[str]:
        reference = None if rois is None else self.node["rois"].attrs.get("table")
        if reference and rois is not None:
            column = label_column(self._file[reference])
            if column is not None and len(rois) and rois.min() >= 0 and rois.max() < len(column):
                return [_clean(column[row]) for row in rois]
        module = self.node.parent.parent
        for place in (module, self._file):
            tables = [column for node in groups_below(place) if (column := label_column(node)) is not None]
            fitting = [column for column in tables if len(column) == self.n_neurons]
            if fitting:
                return [_clean(label) for label in fitting[0]]
        return [""] * self.n_neurons


def _choose(candidates: list[_Candidate]) -> _Candidate:
    if not candidates:
        raise ValueError(
            "there is no RoiResponseSeries, so no calcium activity; the file may hold images alone: extract traces"
        )
    ranked = sorted(candidates, key=lambda candidate: candidate.rank, reverse=True)
    if len(ranked) > 1 and ranked[0].rank == ranked[1].rank:
        raise ValueError(
            f"several series could be meant: {[candidate.node.name for candidate in ranked]}; copy the one that is "
            "wanted into a file of its own, or into a CSV table"
        )
    return ranked[0]


def _clean(label: str) -> str:
    label = label.strip()
    is_name = "?" not in label and any(map(str.isalpha, label)) and label.lower() not in ("nan", "none", "unknown")
    return label if is_name else ""
