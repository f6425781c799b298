"""A report on the results of a folder: one HTML page for a colleague, a supplement or a reviewer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from skworm.experiments.catalogue import ALL_TARGETS, folder_of
from skworm.experiments.citation import citations
from skworm.experiments.outcome import Outcome, kept_outcomes
from skworm.experiments.pages import Section, Table, picture_of_figure, render, section_of, table_of
from skworm.experiments.report import package_versions
from skworm.experiments.report_parts import data_of_runs, models_of_runs, splits_of_runs, versions_of
from skworm.experiments.run_tables import (
    comparison_texts,
    comparisons_of_run,
    figure_of_run,
    leakage_texts,
    tables_of_run,
    title_of_run,
    words_of_comparison,
)
from skworm.experiments.stored_results import (
    clock_of,
    no_results,
    read_scores,
    result_folders,
    score_of,
    with_models,
)
from skworm.model_selection.paired_tests import smallest_sign_flip_p
from skworm.model_selection.run_records import StoredRun, stored_runs

_LEVEL, _FEW_WORMS, _MOST_SENTENCES = 0.05, 10, 24
_CLOCK = (
    "The clock is 1-nearest neighbour on the frame number alone, without any neural data. Held-out windows belong "
    "to the training worms, and shuffled ones lie among the training frames: where a model comes near the clock there, "
    "remembering the moment explains its score. Scores on other worms are not affected."
)
_NO_CLOCK = (
    "No clock was in this run, so what remembering the moment is worth on held-out windows cannot be told: trust the "
    "scores on unseen worms alone. Cross-validate with baselines=True to have it."
)
_NO_CLOCK_OF_FORECASTS = (
    "Forecasts have no clock; what they are worth is their skill over persistence. A held-out trajectory shares frames "
    "with training ones where the gap of the splits is shorter than a trajectory."
)
_NOT_SCORED = "Nothing was scored on held-out windows, where remembering the moment would help."
_READING = (
    "Mean ± standard deviation over worms, each worm's score first averaged over the fits that score it; in round "
    "brackets the 95 % interval of a bootstrap over worms and fits.",
    "Models are compared worm by worm: the difference, its interval, the worms on which the model is better, and the "
    "two-sided p of a sign-flip test across worms, before and after Holm's correction for the number of models. "
    "Baselines that see no neuron are left out of the comparison.",
    "Unseen worms also train one another's models, so they are no fully independent samples: read a small p as a hint "
    "that new worms have to confirm.",
)


@dataclass(frozen=True, eq=False)
class _Part:
    """A section, and what the rest of the page needs of it."""

    section: Section
    scores: pd.DataFrame | None
    runs: Sequence[StoredRun]
    settings: dict[str, Any]
    warnings: Sequence[str]


def write_report(folder: Path, out: Path, *, command: str = "", baseline: str | None = None) -> Path:
    """Write a report on the results of a folder.

    Parameters
    ----------
    folder : pathlib.Path
        What ``skworm reproduce ... --out``, or a cross-validation with ``out=``, wrote; or a folder of such folders.
    out : pathlib.Path
        The page, which needs no other file; replaced if it is there.
    command : str, default=""
        The command that makes the report, for the page.
    baseline : str, optional
        The model that those of a script's run are compared with; by default its first.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If the folder holds no results, files of it are damaged, or no run has the baseline.
    """
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise FileNotFoundError(f"{folder} {found}; pass the folder that a run wrote its results to")
    parts = _parts_of_folder(folder, baseline) or [
        part for below in _in_order(result_folders(folder)) for part in _parts_of_folder(below, baseline)
    ]
    if not parts:
        raise no_results(folder)
    parts = [replace(part, section=replace(part.section, anchor=f"part-{n}")) for n, part in enumerate(parts)]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(_page(folder, parts, command), encoding="utf-8")
    return out


def _in_order(folders: Sequence[Path]) -> list[Path]:
    names = list(map(folder_of, ALL_TARGETS))
    return sorted(folders, key=lambda folder: names.index(folder.name) if folder.name in names else len(names))


def _page(folder: Path, parts: Sequence[_Part], command: str) -> str:
    runs = [run for part in parts for run in part.runs]
    several = len(parts) > 1
    version = package_versions()["skworm"]
    return render(
        "report.html",
        title=f"Results of {folder.resolve().name}" if several else parts[0].section.title,
        version=version,
        source=str(folder),
        command=command,
        warnings=_collected(parts),
        sections=[part.section if several else replace(part.section, title="Results") for part in parts],
        citations=citations(),
        **data_of_runs(runs, [part.settings for part in parts]),
        **splits_of_runs(runs),
        models=models_of_runs(runs),
        versions=versions_of(runs, [part.settings for part in parts]),
    )


def _collected(parts: Sequence[_Part]) -> list[str]:
    """Give each warning once, with the sections that it is about unless it is about all."""
    titles: dict[str, list[str]] = {}
    for part in parts:
        for text in dict.fromkeys(part.warnings):
            titles.setdefault(text, []).append(part.section.title)
    return [text if len(about) == len(parts) else f"{'; '.join(about)}: {text}" for text, about in titles.items()]


def _parts_of_folder(folder: Path, baseline: str | None) -> list[_Part]:
    outcomes = kept_outcomes(folder)
    settings = _settings_of(folder)
    if outcomes:
        runs = [run for path in sorted(folder.rglob("scores.jsonl")) for run in stored_runs(path.parent) if run.record]
        scores = read_scores(folder) if (folder / "scores.csv").is_file() else None
        return [
            _part(
                _section_of_target(name, outcome, scores, baseline),
                scores,
                [run for run in runs if run.record["called"] >= outcome.began],
                settings,
                _warnings_of_target(outcome, scores, settings),
            )
            for name, outcome in outcomes.items()
        ]
    if not (folder / "scores.jsonl").is_file():
        return []
    runs = list(reversed(stored_runs(folder)))
    runs = [run for run in runs if len(run.scores)] or runs
    tables = [with_models(run.scores, folder) for run in runs]
    known = {str(name) for table in tables for name in table["model"].unique()}
    if baseline is not None and baseline not in known:
        raise ValueError(f"no run in {folder} has the model {baseline!r}; choose one of {', '.join(sorted(known))}")
    parts = []
    for number, (run, scores) in enumerate(zip(runs, tables, strict=True)):
        older = f" (an earlier run in this folder, {number + 1} of {len(runs)})" if number else ""
        section, problems = _section_of_run(scores, baseline, title_of_run(scores) + older)
        warnings = [*_warnings_of_run(run), *_few_worms(scores), *problems]
        parts.append(_part(section, scores, [run], settings, warnings))
    return parts


def _part(
    section: Section,
    scores: pd.DataFrame | None,
    runs: Sequence[StoredRun],
    settings: dict[str, Any],
    warnings: Sequence[str],
) -> _Part:
    tables, words, missing = _leakage(scores)
    section = replace(section, leakage=words, leakage_tables=tables)
    return _Part(section, scores, runs, settings, [*warnings, *missing])


def _section_of_target(name: str, outcome: Outcome, scores: pd.DataFrame | None, baseline: str | None) -> Section:
    section = section_of(name, outcome)
    if (
        scores is None
        or not section.tables
        or any("difference" in column for table in section.tables for column in table.columns)
    ):
        return section
    if baseline is not None and baseline not in set(scores["model"]):
        baseline = None
    tables, sentences, _ = _comparisons(scores, baseline)
    return replace(
        section, tables=[*section.tables, *tables], sentences=sentences, reading=[*section.reading, *_READING[1:]]
    )


def _comparisons(scores: pd.DataFrame, baseline: str | None) -> tuple[list[Table], list[str], list[str]]:
    """Give tables, sentences, and problems of comparisons that could not be made."""
    tables, sentences, problems = [], [], []
    for heading, table, left_out in comparisons_of_run(scores, baseline):
        if left_out:
            problems.append(f"No comparison of models on {heading}: {left_out}.")
            continue
        tables.append(table_of(comparison_texts(table), f"Models compared, {heading}"))
        sentences += [f"{heading[0].upper()}{heading[1:]}: {words}" for words in words_of_comparison(table)]
    return tables, sentences if len(sentences) <= _MOST_SENTENCES else [], problems


def _section_of_run(scores: pd.DataFrame, baseline: str | None, title: str) -> tuple[Section, list[str]]:
    compared, sentences, problems = _comparisons(scores, baseline)
    tables = [*(table_of(texts, heading) for heading, texts in tables_of_run(scores).items()), *compared]
    picture = picture_of_figure(figure_of_run(scores), f"{title}: every worm, and the mean over worms")
    return Section("", title, "", tables, [picture], _READING, sentences), problems


def _leakage(scores: pd.DataFrame | None) -> tuple[list[Table], list[str], list[str]]:
    """Give tables, words and warnings about what remembering the moment is worth."""
    if scores is None or "held_out_windows" not in set(scores["evaluation"]):
        return [], [_NOT_SCORED], []
    if score_of(scores) == "mse":
        return [], [_NO_CLOCK_OF_FORECASTS], []
    clock = clock_of(scores)
    if clock is None:
        return [], [_NO_CLOCK], [_NO_CLOCK]
    scores = scores if "signal" not in scores else scores[scores["r2"].notna()]
    texts, problems = leakage_texts(scores, clock)
    tables = [table_of(table, f"Models beside the clock, {title}") for title, table in texts.items()]
    return tables, [_CLOCK, *problems], []


def _warnings_of_target(outcome: Outcome, scores: pd.DataFrame | None, settings: dict[str, Any]) -> list[str]:
    said = [f"This is not the paper's protocol: {outcome.departure}."] if outcome.departure else []
    chosen = settings.get("settings") or settings.get("protocol") or {}
    if chosen.get("data") == "simulated":
        said.append("These worms are simulated.")
    return said + ([] if scores is None else _few_worms(scores))


def _warnings_of_run(run: StoredRun) -> list[str]:
    said = []
    if run.n_missing:
        total = len(run.record["fits"])
        said.append(
            f"The run is not finished: {total - run.n_missing} of {total} fits are there. Scores stand for these alone."
        )
    if not run.record:
        said.append("The folder keeps scores alone: settings, data and versions of the run are not known.")
    return said


def _few_worms(scores: pd.DataFrame) -> list[str]:
    said = []
    counts = scores[scores["evaluation"] != "held_out_windows"].groupby("evaluation", sort=False)["worm"].nunique()
    for evaluation, n_worms in counts.items():
        where = str(evaluation).replace("_", " ")
        if n_worms < 2:
            said.append(f"A single worm is scored on {where}: nothing can be said about others.")
            continue
        p = smallest_sign_flip_p(int(n_worms))
        if p > _LEVEL:
            said.append(
                f"{n_worms} worms are scored on {where}: no sign-flip test across them can give a p below {p:.3g}, so "
                f"no difference there can be significant at {_LEVEL}."
            )
        if n_worms < _FEW_WORMS:
            said.append(f"Intervals from {n_worms} worms ({where}) are too narrow.")
    return said


def _settings_of(folder: Path) -> dict[str, Any]:
    path = folder / "settings.json"
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged; repeat the command that made it, which keeps the fits") from error
