"""What a report says of data, splits, models and versions, from the records of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from skworm.experiments.pages import Table, table_of
from skworm.layout import parse_column_names, parse_step_column_names
from skworm.model_selection.run_records import StoredRun

_MOST_NAMES = 60
_UNKNOWN = "The folder keeps no record of its runs."


def data_of_runs(runs: Sequence[StoredRun], settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Describe every set of samples once: worms, frames, states, neurons and digest.

    Parameters
    ----------
    runs : sequence of StoredRun
        Runs.
    settings : sequence of mapping
        What the ``settings.json`` beside them hold; may be empty.

    Returns
    -------
    dict
        ``data``, a set each, and ``data_notes``, sentences.
    """
    sets: dict[str, dict[str, Any]] = {}
    recorded = {
        worm: n for one in settings for key in ("worms", "external_worms") for worm, n in (one.get(key) or {}).items()
    }
    for run in runs:
        named = [("Worms to train on and to score", run.record["train"])] if run.record else []
        named += [(f"External: {name}", part) for name, part in run.record.get("external", {}).items()]
        for title, part in named:
            sets.setdefault(part["digest"], _set(title, part, recorded))
    digests = dict.fromkeys(
        f"SHA-256 of the {kind}: {one[key]}."
        for one in settings
        for kind, key in (("recordings", "recordings_sha256"), ("external recordings", "external_sha256"))
        if one.get(key)
    )
    notes = list(digests) if sets else [_UNKNOWN, *digests]
    return {"data": list(sets.values()), "data_notes": notes}


def splits_of_runs(runs: Sequence[StoredRun]) -> dict[str, Any]:
    """Describe the splits of runs: ``splits``, a table, and ``split_notes``, sentences."""
    rows = {}
    for run in runs:
        if run.record:
            record = run.record
            worms = " or ".join(map(str, record["n_train_worms"]))
            cells = (worms, str(record["n_combinations"]), str(record["n_folds"]), str(len(record["fits"])))
            rows[(record["splitter"], *cells)] = (record["started"].replace("T", " "), cells)
    table = Table(
        "Splits",
        "splitter",
        ["training worms a fit", "combinations of them", "folds", "fits", "first started (UTC)"],
        [(splitter, [*cells, started[:16]]) for (splitter, *_), (started, cells) in rows.items()],
    )
    notes = ["Every combination of training worms is fitted once a fold, and each fit is scored on every evaluation."]
    return {"splits": table, "split_notes": notes if rows else [_UNKNOWN]}


def models_of_runs(runs: Sequence[StoredRun]) -> Table:
    """Tabulate the models of runs with their parameters, each once."""
    models = {(name, text): None for run in runs for name, text in run.record.get("models", {}).items()}
    return Table("Models", "model", ["parameters that are not the defaults"], [(name, [text]) for name, text in models])


def versions_of(runs: Sequence[StoredRun], settings: Sequence[Mapping[str, Any]]) -> Table:
    """Tabulate the versions of packages that scores were made with; several where runs differ."""
    versions: dict[str, dict[str, None]] = {}
    for kept in (*(run.record.get("versions", {}) for run in runs), *(one.get("versions", {}) for one in settings)):
        for package, version in kept.items():
            versions.setdefault(package, {})[version] = None
    rows = [(package, [" and ".join(several)]) for package, several in versions.items()]
    return Table("Versions that the scores were made with", "package", ["version"], rows or [("not kept", [""])])


def _set(title: str, part: Mapping[str, Any], recorded: Mapping[str, int]) -> dict[str, Any]:
    used = pd.Series(part["frames"])
    scored = "states" if "states" in part else "signals"
    noun = "frames used" if scored in part else "trajectories"
    cells = {"frames recorded": used.index.map(recorded)} if set(used.index) <= set(recorded) else {}
    table = pd.DataFrame({**cells, noun: used}).astype(str).rename_axis("worm")
    caption = f"{len(used)} worms, {used.sum()} {noun}"
    if scored in part:
        shares = pd.DataFrame.from_dict(part[scored], orient="index").fillna(0).loc[used.index].div(used, axis=0)
        table = table.join(shares.map(lambda share: f"{100 * share:.1f} %").rename(columns=_readable))
        caption += f", and the share of each {'state' if scored == 'states' else 'signal that is known'}"
    return {
        "title": title,
        "table": table_of(table, caption),
        "columns": _columns(part["columns"]),
        "digest": part["digest"],
    }


def _columns(columns: Sequence[str]) -> str:
    try:
        stepped = parse_step_column_names(columns)
        names = parse_column_names(columns if stepped is None else stepped[0])
    except ValueError:
        names = None
    if names is None:
        shown = ", ".join(columns[:_MOST_NAMES]) + (" and more" if len(columns) > _MOST_NAMES else "")
        return f"{len(columns)} columns: {shown}."
    neurons, features = names
    return f"{len(neurons)} neurons: {', '.join(neurons)}; of each {', '.join(features)}."


def _readable(name: str) -> str:
    return name.replace("_", " ")
