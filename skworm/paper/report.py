"""A page that needs no other file: a report on the results of a folder."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

from skworm.atomic import write_whole
from skworm.frames.index import neurons_and_features
from skworm.model_selection import WormScores, describe_comparison, read_runs, read_scores
from skworm.model_selection.comparison import few_worms_notes
from skworm.model_selection.results import read_json
from skworm.model_selection.store import FitStore
from skworm.paper.outcome import Outcome, kept_outcome
from skworm.paper.tables import (
    at_shown_steps,
    comparison_texts,
    heading_of,
    parts_in_words,
    parts_of_comparison,
    texts_of_scores,
    texts_of_trajectories,
)
from skworm.paper.targets import TARGETS
from skworm.plotting.base import readable

NAIVE = ("clock", "majority")
"""Baselines that look at no neuron."""

_MOST_SENTENCES, _MOST_NAMES = 24, 60
_CLOCK = (
    "The clock is 1-nearest neighbour on the frame number alone, without any neural data. Held-out windows belong "
    "to the training worms, and shuffled ones lie among the training frames: where a model comes near the clock there, "
    "remembering the moment explains its score. Scores on other worms are not affected."
)
_NO_CLOCK = (
    "No clock was in this run, so nothing shows how much of the scores on held-out windows comes from remembering the "
    "moment: trust the scores on unseen worms alone. Cross-validate with baselines=True to include the clock."
)
_NO_CLOCK_OF_TRAJECTORIES = (
    "Trajectories have no clock; what a forecast is worth is its skill over persistence. A held-out trajectory shares "
    "frames with training ones where the gap of the splits is shorter than a trajectory."
)
_NOT_SCORED = "Nothing was scored on held-out windows, where remembering the moment would help."
_READING = (
    "Mean ± standard deviation over worms, each worm's score first averaged over the fits that score it; in round "
    "brackets the 95 % interval of a bootstrap over worms and fits.",
    "Models are compared worm by worm: the difference, its interval, the worms on which the model is better, and the "
    "two-sided p of a sign-flip test across worms, before and after Holm's correction for the number of models. "
    "Baselines that see no neuron are left out of the comparison.",
    "Unseen worms also train one another's models, so they are not fully independent samples: read a small p as a hint "
    "that new worms have to confirm.",
)
_SPLITS = "Every combination of training worms is fitted once a fold, and each fit is scored on every evaluation."
_NO_RECORD = "The folder keeps no record of its runs."
_TITLES = {
    "states": "State classifiers",
    "trajectories": "Forecasts of trajectories",
    "behavior": "Regressors of behaviour",
}

# CITATION.cff, which no installed package contains, says the same; a test compares them.
_CITATIONS = (
    "Wang, P. Y., Sapra, S., George, V. K. and Silva, G. A. (2021). Generalizable Machine Learning in Neuroscience "
    "Using Graph Neural Networks. Frontiers in Artificial Intelligence 4. doi:10.3389/frai.2021.618372.",
    "Kato, S., Kaplan, H. S., Schrödel, T., Skora, S., Lindsay, T. H., Yemini, E., Lockery, S. and Zimmer, M. (2015). "
    "Global Brain Dynamics Embed the Motor Command Sequence of Caenorhabditis elegans. Cell 163, 656-669. "
    "doi:10.1016/j.cell.2015.09.034.",
)

_Texts = dict[str, pd.DataFrame]
"""Tables of texts by caption; a text may have several lines."""


@dataclass(eq=False)
class Section:
    """What a page shows of one comparison."""

    title: str
    outcome: Outcome  # Its tables, and what is said of them
    pictures: Mapping[str, str]  # Data URIs by caption, which is the alternative text as well
    runs: Sequence[WormScores] = ()  # What was run
    leakage: list[str] = field(default_factory=list)  # What remembering the moment is worth, in words
    leakage_tables: _Texts = field(default_factory=dict)  # The same in numbers
    warnings: list[str] = field(default_factory=list)  # What a reader should read first
    record: Mapping[str, Any] = field(default_factory=dict)  # ``settings.json`` of the folder


def citations() -> list[str]:
    """Return what to cite for results of this version: software, method, recordings."""
    software = (
        "The skworm developers. skworm: graph neural networks that read C. elegans behaviour from calcium traces, as "
        f"scikit-learn estimators. Version {version('skworm')}."
    )
    return [software, *_CITATIONS]


def write_report(
    folder: Path, out: Path, *, command: str = "", baseline: str | None = None, warnings: Sequence[str] = ()
) -> Path:
    """Write a report on the results of a folder; `warnings` come before those that the results call for."""
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise FileNotFoundError(f"{folder} {found}; pass the folder that a run wrote its results to")
    try:
        page = _page_of(folder, command, baseline, warnings)
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        # A file that was changed by hand, or made by another program.
        raise ValueError(
            f"a file in {folder} is damaged; repeat the command that made it, which keeps the fits"
        ) from error
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, page)
    return out


def _page_of(folder: Path, command: str, baseline: str | None, warnings: Sequence[str]) -> str:
    sections = _sections_of_folder(folder, baseline)
    if not sections:
        places = {name: place for place, name in enumerate(TARGETS)}
        below = sorted(result_folders(folder), key=lambda path: places.get(path.name, len(places)))
        having = [] if baseline is None else [path for path in below if baseline in _models_in(path)]
        if below and baseline is not None and not having:
            raise ValueError(f"no results in {folder} have the model {baseline!r}; choose one that they compare")
        sections = [each for path in below for each in _sections_of_folder(path, baseline if path in having else None)]
    if not sections:
        raise no_results(folder)
    title, collected = f"Results of {folder.resolve().name}", _collected(sections)
    if len(sections) == 1:
        title, sections[0].title = sections[0].title, "Results"
    runs = [run for section in sections for run in section.runs]
    records = [section.record for section in sections]
    return _render(
        title=title,
        version=version("skworm"),
        source=str(folder),
        command=command,
        warnings=[*warnings, *collected],
        sections=sections,
        citations=citations(),
        **_data_of_runs(runs, records),
        tables={"Splits": _splits_of_runs(runs), "Models": _models_of_runs(runs)},
        split_notes=[_SPLITS if any(run.record for run in runs) else _NO_RECORD],
        versions=_versions_of(runs, records),
    )


def result_folders(path: Path) -> list[Path]:
    """Return the folders directly below one that hold results, in alphabetical order."""
    folders = [folder for folder in sorted(path.iterdir()) if folder.is_dir()]
    kept = ("scores.csv", "outcome.json")
    return [each for each in folders if any((each / name).is_file() for name in kept) or FitStore(each)]


def no_results(path: Path) -> ValueError:
    """Return the error about a folder that holds no results, or those of several runs."""
    below = result_folders(path)
    if below:
        return ValueError(f"{path} holds the results of several runs; name one of them: {', '.join(map(str, below))}")
    return ValueError(
        f"{path} holds no scores: neither scores.csv nor finished fits; pass a folder that `skworm reproduce ... "
        "--out` or cross_validate_worms(..., memory=...) wrote"
    )


def without_naive(scores: WormScores, kept: str | None = None) -> tuple[WormScores, list[str]]:
    """Leave out baselines that see no neuron, except `kept`, if two models are left; return also their names."""
    left_out = [name for name in scores.models if name in NAIVE and name != kept]
    others = [name for name in scores.models if name not in left_out]
    return (scores.where(model=others), left_out) if len(others) > 1 and left_out else (scores, [])


def _models_in(folder: Path) -> set[str]:
    scores = [read_scores(folder)] if (folder / "scores.csv").is_file() else read_runs(folder)
    return {name for each in scores for name in each.models}


def _sections_of_folder(folder: Path, baseline: str | None) -> list[Section]:
    record = read_json(folder / "settings.json") if (folder / "settings.json").is_file() else {}
    outcome = kept_outcome(folder)
    scores = read_scores(folder) if (folder / "scores.csv").is_file() else None
    if outcome is not None:
        sections = [_section_of_target(outcome, scores, baseline, record)]
        runs = [run for path in sorted(folder.rglob("runs")) for run in read_runs(path.parent) if run.record]
        sections[0].runs = [run for run in runs if outcome.began <= run.record["called"] <= outcome.ended]
    else:
        runs = [scores] if scores is not None else [run for run in reversed(read_runs(folder)) if len(run.table)]
        known = sorted({name for run in runs for name in run.models})
        if runs and baseline is not None and baseline not in known:
            raise ValueError(f"no run in {folder} has the model {baseline!r}; choose one of {', '.join(known)}")
        older = [f" (an earlier run in this folder, {number} of {len(runs)})" for number in range(2, len(runs) + 1)]
        sections = [_section_of_run(*each, baseline) for each in zip(runs, ["", *older], strict=False)]
    for section in sections:
        section.record = record
    return sections


def _section_of_target(
    outcome: Outcome, scores: WormScores | None, baseline: str | None, record: Mapping[str, Any]
) -> Section:
    title = outcome.title
    outcome = replace(outcome, tables={f"{title}: {heading}": table for heading, table in outcome.tables.items()})
    pictures = {f"{title} ({path.stem})": _uri(path.read_bytes()) for path in outcome.figures}
    section = Section(title, outcome, pictures)
    if outcome.departure:
        section.warnings.append(f"This is not the paper's protocol: {outcome.departure}.")
    if (record.get("settings") or {}).get("data") == "simulated":
        section.warnings.append("These worms are simulated.")
    if scores is None:
        return section
    if baseline is not None and baseline not in scores.models:
        raise ValueError(f"the results have no model {baseline!r}; choose one of {', '.join(scores.models)}")
    compares = any("difference" in str(column) for table in outcome.tables.values() for column in table)
    if baseline is not None or not compares:
        tables, sentences, _ = _comparisons(scores, baseline)
        reading = "\n".join([outcome.reading, *_READING[1:]])
        section.outcome = replace(outcome, tables={**outcome.tables, **tables}, sentences=sentences, reading=reading)
    section.warnings += _few_worms(scores)
    _add_leakage(section, scores)
    return section


def _section_of_run(run: WormScores, older: str, baseline: str | None) -> Section:
    title = f"{_TITLES[run.task]}, cross-validated by worm{older}"
    if run.task == "trajectories":
        texts = texts_of_trajectories(at_shown_steps(run).summary())
    else:
        summary, texts = run.summary(), {}
        for signal, rows in summary.groupby("signal", sort=False) if "signal" in summary else [("", summary)]:
            for metric in run.metrics:
                (table,) = texts_of_scores(rows, metric).values()
                texts[", ".join(filter(None, [heading_of(metric), str(signal)]))] = table
    compared, sentences, problems = _comparisons(run, baseline)
    buffer = BytesIO()
    run.plot().figure_.savefig(buffer, format="png", dpi=200)
    pictures = {f"{title}: every worm, and the mean over worms": _uri(buffer.getvalue())}
    outcome = Outcome(title, "", texts | compared, "\n".join(_READING), sentences=sentences)
    section = Section(title, outcome, pictures, [run])
    if not run.record:
        section.warnings.append("The folder keeps scores alone: settings, data and versions of the run are not known.")
    if run.n_missing:
        total = len(run.record["fits"])
        section.warnings.append(
            f"The run is not finished: {total - run.n_missing} of {total} fits are there. Scores are of these alone."
        )
    section.warnings += [*_few_worms(run), *problems]
    _add_leakage(section, run)
    return section


def _comparisons(scores: WormScores, baseline: str | None) -> tuple[_Texts, list[str], list[str]]:
    """Return tables, sentences, and problems of comparisons that could not be made."""
    tables: _Texts = {}
    sentences, problems = [], []
    scores = at_shown_steps(scores)
    for evaluation in scores.evaluations:
        if evaluation == "held_out_windows":
            continue
        for part, rows in scores.parts(evaluation):
            own, _ = without_naive(rows, baseline)
            heading = ", ".join(filter(None, [readable(evaluation), parts_in_words(part)]))
            try:
                table = own.compare(baseline or own.models[0], evaluation=evaluation)
            except ValueError as error:
                problems.append(f"No comparison of models on {heading}: {error}.")
                continue
            tables[f"Models compared, {heading}"] = comparison_texts(table)
            sentences += [f"{heading[0].upper()}{heading[1:]}: {text}" for text in describe_comparison(table)]
    return tables, sentences if len(sentences) <= _MOST_SENTENCES else [], problems


def _add_leakage(section: Section, scores: WormScores) -> None:
    """Add what remembering the moment is worth to a section."""
    if "held_out_windows" not in scores.evaluations:
        section.leakage.append(_NOT_SCORED)
    elif scores.task == "trajectories":
        section.leakage.append(_NO_CLOCK_OF_TRAJECTORIES)
    elif "clock" not in scores.models:
        section.leakage.append(_NO_CLOCK)
        section.warnings.append(_NO_CLOCK)
    else:
        section.leakage.append(_CLOCK)
        try:
            compared = scores.compare("clock", evaluation="held_out_windows")
        except ValueError as error:
            section.leakage.append(f"Held-out windows: {error}.")
            return
        for part, rows in parts_of_comparison(compared):
            caption = f"Models beside the clock, {parts_in_words(part) or 'held-out windows'}"
            texts = comparison_texts(rows).rename(columns={"difference to clock": "above the clock"})
            section.leakage_tables[caption] = texts


def _few_worms(scores: WormScores) -> list[str]:
    rows = scores.table[scores.table["evaluation"] != "held_out_windows"]
    counts = rows.groupby("evaluation", sort=False)["worm"].nunique()
    return [note for name, n_worms in counts.items() for note in few_worms_notes(int(n_worms), readable(name))]


def _collected(sections: Sequence[Section]) -> list[str]:
    """Return each warning once, with the sections that it is about unless it is about all."""
    titles: dict[str, list[str]] = {}
    for section in sections:
        for text in dict.fromkeys(section.warnings):
            titles.setdefault(text, []).append(section.title)
    return [text if len(about) == len(sections) else f"{'; '.join(about)}: {text}" for text, about in titles.items()]


def _data_of_runs(runs: Sequence[WormScores], records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    recorded: dict[str, int] = {}
    digests: dict[str, None] = {}
    for record in records:
        for key in ("worms", "external_worms"):
            recorded.update((record.get(key) or {}).items())
        for kind, key in (("recordings", "recordings_sha256"), ("external recordings", "external_sha256")):
            if record.get(key):
                digests[f"SHA-256 of the {kind}: {record[key]}."] = None
    sets: dict[str, dict[str, Any]] = {}
    for run in runs:
        named = {"Worms to train on and to score": run.record["train"]} if run.record else {}
        named |= {f"External: {name}": part for name, part in run.record.get("external", {}).items()}
        for title, part in named.items():
            sets.setdefault(part["digest"], {"title": title, **_describe_set(part, recorded, run.record["task"])})
    return {"data": sets, "data_notes": list(digests) if sets else [_NO_RECORD, *digests]}


def _describe_set(part: Mapping[str, Any], recorded: Mapping[str, int], task: str) -> dict[str, Any]:
    used = pd.Series(part["frames"])
    noun = "trajectories" if task == "trajectories" else "frames used"
    cells = {"frames recorded": used.index.map(recorded)} if set(used.index) <= set(recorded) else {}
    table = pd.DataFrame({**cells, noun: used}).rename_axis("worm")
    caption = f"{len(used)} worms, {used.sum()} {noun}"
    if part["labelled"]:
        shares = pd.DataFrame.from_dict(part["labelled"], orient="index").fillna(0).loc[used.index].div(used, axis=0)
        table = table.join(shares.map(lambda share: f"{100 * share:.1f} %").rename(columns=readable))
        caption += f", and the share of each {'state' if task == 'states' else 'signal that is known'}"
    return {"caption": caption, "table": table, "columns": _columns(part["columns"])}


def _columns(columns: Sequence[str]) -> str:
    neurons, features = neurons_and_features(columns)
    if not neurons:
        shown = ", ".join(columns[:_MOST_NAMES]) + (" and more" if len(columns) > _MOST_NAMES else "")
        return f"{len(columns)} columns: {shown}."
    return f"{len(neurons)} neurons: {', '.join(neurons)}; of each {', '.join(features)}."


def _splits_of_runs(runs: Sequence[WormScores]) -> pd.DataFrame:
    """Tabulate the splits of runs, those that several runs share once."""
    rows = [
        {
            "splitter": record["splitter"],
            "training worms a fit": " or ".join(map(str, record["n_train_worms"])),
            "combinations of them": record["n_combinations"],
            "folds": record["n_folds"],
            "fits": len(record["fits"]),
            "first started (UTC)": record.get("started", record["called"]).replace("T", " ")[:16],
        }
        for record in (run.record for run in runs)
        if record
    ]
    table = pd.DataFrame(rows)
    if not rows:
        return table
    return table.groupby(list(table.columns[:-1]), sort=False).last().reset_index().set_index("splitter")


def _models_of_runs(runs: Sequence[WormScores]) -> pd.DataFrame:
    models = [pair for run in runs for pair in run.record.get("models", {}).items()]
    rows = dict.fromkeys((name.rsplit(" | ", 1)[-1], str(text)) for name, text in models)
    return pd.DataFrame(list(rows), columns=["model", "parameters that are not the defaults"]).set_index("model")


def _versions_of(runs: Sequence[WormScores], records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    versions: dict[str, dict[str, None]] = {}
    for kept in (*(run.record for run in runs), *records):
        for package, number in kept.get("versions", {}).items():
            versions.setdefault(package, {})[str(number)] = None
    rows = {package: " and ".join(several) for package, several in versions.items()} or {"not kept": ""}
    return pd.DataFrame({"version": rows}).rename_axis("package")


def _uri(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode("ascii")


def _render(**values: Any) -> str:
    """Fill in the template of the page; every text is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("skworm.paper"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(**values) + "\n"
