"""A page that needs no other file: a report on the results of a folder."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

from skworm.atomic import write_whole
from skworm.frames.index import neurons_and_features
from skworm.model_selection import WormScores, read_runs, read_scores
from skworm.model_selection.comparison import few_worms_notes
from skworm.model_selection.store import FitStore
from skworm.paper.outcome import Outcome
from skworm.paper.tables import (
    at_shown_steps,
    heading_of,
    parts_of_comparison,
    texts_of_scores,
    texts_of_trajectories,
)
from skworm.plotting.base import readable

NAIVE = ("clock", "majority")
"""Baselines that look at no neuron."""

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

_Texts = dict[str, pd.DataFrame]
"""Tables of texts by caption; a text may have several lines."""


@dataclass(frozen=True, eq=False)
class Section:
    """What a page shows of one comparison."""

    outcome: Outcome  # Its tables, and what is said of them
    pictures: Mapping[str, str]  # Data URIs by caption, which is the alternative text as well
    warnings: Sequence[str]  # What a reader should read first


def report_run(folder: Path, out: Path) -> Path:
    """Write a report on the runs of a folder, the `memory` of cross-validations."""
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise FileNotFoundError(f"{folder} {found}; pass the folder that a run wrote its results to")
    if (folder / "settings.json").is_file():
        raise ValueError(
            f"{folder} holds an experiment of skworm reproduce, whose page is report.html there, or index.html in the "
            "folder above if it is of skworm reproduce all"
        )
    if (folder / "scores.csv").is_file():
        runs = [read_scores(folder)]
    else:
        runs = [run for run in reversed(read_runs(folder)) if len(run.table)]
    if not runs:
        raise no_results(folder)
    older = [f" (an earlier run in this folder, {number} of {len(runs)})" for number in range(2, len(runs) + 1)]
    try:
        sections = [_section_of_run(*each) for each in zip(runs, ["", *older], strict=False)]
        return _write_page(out, folder, sections)
    except (LookupError, TypeError, AttributeError) as error:
        # A file that was changed by hand, or made by another program.
        raise ValueError(
            f"a file in {folder} is damaged; repeat the command that made it, which keeps the fits"
        ) from error


def report_outcomes(outcomes: Sequence[Outcome], out: Path, warnings: Sequence[str] = ()) -> Path:
    """Write a report on experiments; `warnings` come before those that they call for."""
    return _write_page(out, out.parent, [_section_of_outcome(outcome) for outcome in outcomes], warnings)


def _write_page(out: Path, source: Path, sections: Sequence[Section], warnings: Sequence[str] = ()) -> Path:
    runs = [run for section in sections for run in section.outcome.runs]
    page = _render(
        title=f"Results of {source.resolve().name}",
        version=version("skworm"),
        source=str(source),
        warnings=[*warnings, *_collected(sections)],
        sections=sections,
        data=_data_of_runs(runs),
        tables={"Splits": _splits_of_runs(runs), "Models": _models_of_runs(runs)},
        about_runs=_SPLITS if runs else _NO_RECORD,
        versions=_versions_of(runs),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    # The name of a folder need not be UTF-8.
    write_whole(out, page.encode("utf-8", "replace").decode("utf-8"))
    return out


def no_results(path: Path) -> ValueError:
    """Return the error about a folder that holds no results, or those of several runs."""
    folders = [folder for folder in sorted(path.iterdir()) if folder.is_dir()]
    below = [folder for folder in folders if (folder / "scores.csv").is_file() or FitStore(folder)]
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


def _section_of_outcome(outcome: Outcome) -> Section:
    pictures = {f"{outcome.title} ({path.stem})": _uri(path.read_bytes()) for path in outcome.figures}
    warnings = [f"This is not the paper's protocol: {outcome.departure}."] if outcome.departure else []
    return Section(outcome, pictures, warnings)


def _section_of_run(run: WormScores, older: str) -> Section:
    title = f"Cross-validation by worm: {run.task}{older}"
    if run.task == "trajectories":
        texts = texts_of_trajectories(at_shown_steps(run).summary())
    else:
        summary, texts = run.summary(), {}
        for signal, rows in summary.groupby("signal", sort=False) if "signal" in summary else [("", summary)]:
            for metric in run.metrics:
                (table,) = texts_of_scores(rows, metric).values()
                texts[", ".join(filter(None, [heading_of(metric), str(signal)]))] = table
    compared, sentences, problems = _comparisons(run)
    buffer = BytesIO()
    run.plot().figure_.savefig(buffer, format="png", dpi=200)
    pictures = {f"{title}: every worm, and the mean over worms": _uri(buffer.getvalue())}
    leakage, warnings = _leakage_of(run), []
    reading, runs = "\n".join([*_READING, leakage]), [run.record] if run.record else []
    outcome = Outcome(title, "", texts | compared, reading, sentences=sentences, runs=runs)
    if not run.record:
        warnings.append("The folder keeps scores alone: settings, data and versions of the run are not known.")
    if run.n_missing:
        total = len(run.record["fits"])
        warnings.append(
            f"The run is not finished: {total - run.n_missing} of {total} fits are there. Scores are of these alone."
        )
    warnings += [*_few_worms(run), *problems, *([leakage] if leakage == _NO_CLOCK else [])]
    return Section(outcome, pictures, warnings)


def _comparisons(scores: WormScores) -> tuple[_Texts, list[str], list[str]]:
    """Return tables, sentences, and problems of comparisons that could not be made."""
    tables: _Texts = {}
    sentences, problems = [], []
    scores, _ = without_naive(at_shown_steps(scores))
    for evaluation in scores.evaluations:
        if evaluation == "held_out_windows":
            continue
        try:
            table = scores.compare(scores.models[0], evaluation=evaluation)
        except ValueError as error:
            problems.append(f"No comparison of models on {readable(evaluation)}: {error}.")
            continue
        for heading, texts, own in parts_of_comparison(table):
            tables[f"{heading}: models compared"] = texts
            sentences += [f"{heading}: {text}" for text in own]
    return tables, sentences, problems


def _leakage_of(scores: WormScores) -> str:
    """Return what remembering the moment is worth, in words; empty where it could not help."""
    if "held_out_windows" not in scores.evaluations:
        return ""
    if scores.task == "trajectories":
        return _NO_CLOCK_OF_TRAJECTORIES
    return _CLOCK if "clock" in scores.models else _NO_CLOCK


def _few_worms(scores: WormScores) -> list[str]:
    rows = scores.table[scores.table["evaluation"] != "held_out_windows"]
    counts = rows.groupby("evaluation", sort=False)["worm"].nunique()
    return [note for name, n_worms in counts.items() for note in few_worms_notes(int(n_worms), readable(name))]


def _collected(sections: Sequence[Section]) -> list[str]:
    """Return each warning once, with the sections that it is about unless it is about all."""
    titles: dict[str, list[str]] = {}
    for section in sections:
        for text in dict.fromkeys(section.warnings):
            titles.setdefault(text, []).append(section.outcome.title)
    return [text if len(about) == len(sections) else f"{'; '.join(about)}: {text}" for text, about in titles.items()]


def _data_of_runs(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what is shown of each set of worms by its digest."""
    sets: dict[str, dict[str, Any]] = {}
    for run in runs:
        named = {f"External: {name}": part for name, part in run["external"].items()}
        for title, part in {"Worms to train on and to score": run["train"], **named}.items():
            sets.setdefault(part["digest"], {"title": title, **_describe_set(part, run["task"])})
    return sets


def _describe_set(part: Mapping[str, Any], task: str) -> dict[str, Any]:
    used = pd.Series(part["frames"])
    noun = "trajectories" if task == "trajectories" else "frames used"
    table = pd.DataFrame({noun: used}).rename_axis("worm")
    caption = f"{len(used)} worms, {used.sum()} {noun}"
    if part["labelled"]:
        shares = pd.DataFrame.from_dict(part["labelled"], orient="index").fillna(0).loc[used.index].div(used, axis=0)
        table = table.join(shares.map(lambda share: f"{100 * share:.1f} %").rename(columns=readable))
        caption += f", and the share of each {'state' if task == 'states' else 'signal that is known'}"
    return {"caption": caption, "table": table, "columns": _columns(part["columns"])}


def _columns(columns: Sequence[str]) -> str:
    neurons, features = neurons_and_features(columns)
    if not neurons:
        return f"{len(columns)} columns."
    return f"{len(neurons)} neurons: {', '.join(neurons)}; of each {', '.join(features)}."


def _splits_of_runs(runs: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Tabulate the splits of runs, those that several runs share once."""
    rows: dict[str, dict[str, Any]] = {}
    for run in runs:
        own = {
            "training worms a fit": " or ".join(map(str, run["n_train_worms"])),
            "combinations of them": run["n_combinations"],
            "folds": run["n_folds"],
            "called (UTC)": run["called"].replace("T", " ")[:16],
        }
        rows.setdefault(run["splitter"], own)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("splitter")


def _models_of_runs(runs: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    models = [pair for run in runs for pair in run["models"].items()]
    rows = dict.fromkeys((name.rsplit(" | ", 1)[-1], str(text)) for name, text in models)
    return pd.DataFrame(list(rows), columns=["model", "parameters that are not the defaults"]).set_index("model")


def _versions_of(runs: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    pairs = dict.fromkeys(pair for run in runs for pair in run["versions"].items())
    return pd.DataFrame(list(pairs), columns=["package", "version"]).set_index("package")


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
