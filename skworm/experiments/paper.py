"""Table 1 of the paper: its numbers, the same table from own scores, and the figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from skworm.experiments.intervals import interval_over_worms
from skworm.experiments.outcome import Outcome, write_outcome
from skworm.experiments.protocol import BASELINES, Material, Protocol, count_fits
from skworm.experiments.report import cell_texts, describe_reading, describe_settings, turns_merged
from skworm.experiments.worms import digest_recordings
from skworm.model_selection import summarize_worms

if TYPE_CHECKING:
    from skworm.plotting import WormScoresDisplay

LABELS: Mapping[str, str] = MappingProxyType(
    {
        "diffusion-map": "Asymmetric diffusion map",
        "svm": "SVM",
        "mlp": "MLP",
        "mlp-published": "MLP, as published",
        "gnn-connectome": "GNN (connectome)",
        "gnn": "GNN",
        "gnn-published": "GNN, as published",
        "gnn-dynamic": "GNN, dynamic edges",
        "gnn-free": "GNN, free graph",
        "mlp-virtual-worms": "MLP, virtual worms",
        "gnn-virtual-worms": "GNN, virtual worms",
        "clock": "Clock",
        "majority": "Majority",
    }
)
"""What a table calls each model, in its order of rows."""

PAPER_TABLE_1: Mapping[str, Mapping[str, tuple[float, float | None]]] = MappingProxyType(
    {
        "diffusion-map": {"same_worm": (83, None), "unseen_worms": (81, None)},
        "svm": {"same_worm": (98.8, 0.4), "unseen_worms": (82.8, 7.6), "external": (79.0, 11.7)},
        "mlp": {"same_worm": (99.3, 0.6), "unseen_worms": (93.9, 10.3), "external": (88.9, 11.4)},
        "gnn-connectome": {"same_worm": (99.5, 0.6), "unseen_worms": (96.8, 4.3), "external": (85.5, 12.9)},
        "gnn": {"same_worm": (99.5, 0.5), "unseen_worms": (97.7, 3.1), "external": (95.5, 6.1)},
    }
)
"""Accuracy in per cent, mean and standard deviation, of Wang et al. 2021, Table 1 (2 states, one training worm)."""

_IN_PAPER_AS = {"mlp-published": "mlp", "gnn-published": "gnn"}

_CELL = ["model", "label", "column", "fold_by", "evaluation", "n_worms", "n_fits"]
_NUMBERS = ["mean", "std", "mean_low", "mean_high", "paper_mean", "paper_std"]


class Column(NamedTuple):
    """A column of the table, and which scores stand in it.

    Parameters
    ----------
    title : str
        Heading.
    fold_by : str
        Kind of fold of the fits.
    evaluation : str
        What the fits are scored on.
    in_paper_as : str
        Column of :data:`PAPER_TABLE_1`; empty where the paper has none.
    """

    title: str
    fold_by: str
    evaluation: str
    in_paper_as: str


def table_1_columns(protocol: Protocol, material: Material) -> list[Column]:
    """List the columns that a comparison fills.

    Parameters
    ----------
    protocol : Protocol
        Settings.
    material : Material
        Recordings.

    Returns
    -------
    list of Column
        Same worm by kind of fold, unseen worms, external recordings; the latter two by the fits of the first kind.

    Examples
    --------
    >>> from skworm.experiments.paper import table_1_columns
    >>> from skworm.experiments.protocol import Protocol, load_material
    >>> protocol = Protocol(external="none")
    >>> [column.title for column in table_1_columns(protocol, load_material(protocol))]
    ['same worm, shuffled windows', 'same worm, contiguous blocks', 'unseen worms']
    """
    columns = [
        Column(
            f"same worm, {fold_by.replace('_', ' ')}",
            fold_by,
            "held_out_windows",
            "same_worm" if fold_by == "shuffled_windows" else "",
        )
        for fold_by in protocol.fold_by
    ]
    first = protocol.fold_by[0]
    if protocol.n_train_worms < len(material.recordings):
        columns.append(Column("unseen worms", first, "unseen_worms", "unseen_worms"))
    if material.external:
        columns.append(Column(f"external: {material.external_name}", first, material.external_name, "external"))
    return columns


def table_1(scores: pd.DataFrame, columns: Sequence[Column], *, with_paper: bool = True) -> pd.DataFrame:
    """Tabulate accuracy in per cent, beside the paper's own figures.

    Parameters
    ----------
    scores : pandas.DataFrame
        What :func:`~skworm.experiments.protocol.run_protocol` returned.
    columns : sequence of Column
        Columns of the table.
    with_paper : bool, default=True
        Whether the paper's figures are added.

    Returns
    -------
    pandas.DataFrame
        One row a cell: ``model, label, column, fold_by, evaluation, n_worms, n_fits, mean, std, mean_low, mean_high,
        paper_mean, paper_std``. The standard deviation is over worms, each averaged over the fits that score it; the
        paper does not say over what it takes its own. Low and high are the 95 % interval of a bootstrap over worms and
        fits.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.experiments.paper import Column, table_1
    >>> scores = pd.DataFrame({
    ...     "model": "gnn", "train_worms": "a", "fold": 0, "evaluation": "unseen_worms", "worm": ["b", "c"],
    ...     "accuracy": [0.9, 1.0], "balanced_accuracy": 0.9, "macro_f1": 0.9, "fold_by": "shuffled_windows",
    ... })
    >>> table = table_1(scores, [Column("unseen worms", "shuffled_windows", "unseen_worms", "unseen_worms")])
    >>> table.set_index("model").loc["gnn", ["mean", "paper_mean"]].to_list()
    [95.0, 97.7]
    """
    ours = {
        fold_by: summarize_worms(part).set_index(["model", "evaluation"]).to_dict("index")
        for fold_by, part in scores.groupby("fold_by", sort=False)
    }
    known = set(scores["model"])
    models = [name for name in LABELS if name in known]
    cells = []
    for model in models:
        for column in columns:
            cell: dict[str, Any] = {"model": model, "label": LABELS[model], "column": column.title}
            row = ours[column.fold_by][model, column.evaluation]
            cell |= {"fold_by": column.fold_by, "evaluation": column.evaluation}
            cell |= {"n_worms": row["n_worms"], "n_fits": row["n_fits"]}
            cell |= {"mean": 100 * row["accuracy_mean"], "std": 100 * row["accuracy_std"]}
            low, high = interval_over_worms(_rows_of_cell(scores, model, column), "accuracy")
            cell |= {"mean_low": 100 * low, "mean_high": 100 * high}
            published = _published(model, column) if with_paper else None
            if published is not None:
                cell |= {"paper_mean": published[0], "paper_std": published[1]}
            cells.append(cell)
    return pd.DataFrame(cells).reindex(columns=[*_CELL, *_NUMBERS]).astype(dict.fromkeys(_NUMBERS, float))


def table_1_figure(scores: pd.DataFrame, table: pd.DataFrame, columns: Sequence[Column]) -> WormScoresDisplay:
    """Draw the table: a panel a column, a dot a worm, the paper's figures as diamonds.

    Parameters
    ----------
    scores : pandas.DataFrame
        What :func:`~skworm.experiments.protocol.run_protocol` returned.
    table : pandas.DataFrame
        The table of :func:`table_1`.
    columns : sequence of Column
        Its columns.

    Returns
    -------
    WormScoresDisplay
        The figure, as ``figure_``.
    """
    from skworm.plotting import WormScoresDisplay

    published = table.dropna(subset=["paper_mean"])
    keys = zip(published["column"], published["model"], strict=True)
    known = set(scores["model"])
    return WormScoresDisplay.from_results(
        scores,
        panels={column.title: {"fold_by": column.fold_by, "evaluation": column.evaluation} for column in columns},
        models={name: label for name, label in LABELS.items() if name in known and name not in BASELINES},
        reference=dict(zip(keys, published["paper_mean"] / 100, strict=True)),
        reference_label="Wang et al. 2021 (real worms)",
    )


def outcome_of_table_1(protocol: Protocol, material: Material, scores: pd.DataFrame, folder: Path) -> Outcome:
    """Write all files of the table, and say what they show.

    Parameters
    ----------
    protocol : Protocol
        Settings.
    material : Material
        Recordings.
    scores : pandas.DataFrame
        What :func:`~skworm.experiments.protocol.run_protocol` returned for them.
    folder : pathlib.Path
        Where to write; made if absent. Files that are there are replaced.

    Returns
    -------
    Outcome
        ``scores.csv``, ``table.csv``, ``table.md``, ``settings.json``, ``table1.png`` and ``table1.pdf``.
    """
    columns = table_1_columns(protocol, material)
    table = table_1(scores, columns, with_paper=protocol.is_of_table_1)
    title = "Table 1: accuracy for forward and reverse crawling"
    return write_outcome(
        folder,
        title=title if protocol.is_of_table_1 else f"Accuracy of state classifiers, {protocol.states} states",
        settings=describe_settings(protocol, material),
        record=_settings_record(protocol, material),
        data={"scores": scores, "table": table},
        tables={"Accuracy (%)": cell_texts(table)},
        reading=describe_reading(protocol, material, table),
        departure=protocol.departure,
        figures={"table1": table_1_figure(scores, table, columns).figure_},
    )


def _settings_record(protocol: Protocol, material: Material) -> dict[str, Any]:
    return {
        "protocol": asdict(protocol),
        "worms": {recording.worm: recording.n_frames for recording in material.recordings},
        "recordings_sha256": digest_recordings(material.recordings),
        "neurons": material.neurons,
        "neurons_left_out": material.neurons_left_out,
        "external_name": material.external_name,
        "external_worms": {recording.worm: recording.n_frames for recording in material.external},
        "external_sha256": digest_recordings(material.external) if material.external else None,
        "external_neurons": material.external_neurons,
        "turns_merged_on_external": turns_merged(protocol, material),
        "derivative": material.derivative,
        "n_fits": count_fits(protocol, material),
    }


def _rows_of_cell(scores: pd.DataFrame, model: str, column: Column) -> pd.DataFrame:
    of_fold = (scores["model"] == model) & (scores["fold_by"] == column.fold_by)
    return scores[of_fold & (scores["evaluation"] == column.evaluation)]


def _published(model: str, column: Column) -> tuple[float, float | None] | None:
    return PAPER_TABLE_1.get(_IN_PAPER_AS.get(model, model), {}).get(column.in_paper_as)
