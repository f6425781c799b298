"""Tables of experiments: numbers for a program, and texts for a reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate

from skworm.model_selection import WormScores, describe_comparison
from skworm.model_selection.comparison import bootstrap_over_worms, holm_correction, interval, metric_of
from skworm.model_selection.results import FIT
from skworm.model_selection.samples import EVALUATIONS
from skworm.paper.models import BASELINE_LABELS
from skworm.paper.study import Arm, Study, counted
from skworm.plotting.base import readable
from skworm.recording import STATES

STEPS = (1, 8, 16)
"""Steps of trajectories that tables show."""

_PAIRED = ["difference", "difference_low", "difference_high", "wins", "p_sign_flip", "smallest_p"]
_OF_ARM = ["label", "n_neurons", "n_parameters", "against", "paper_mean", "paper_std"]
_CONFUSION = ["block", "evaluation", "model", "state"]


def evaluation_label(evaluation: Any) -> str:
    """Return an evaluation in words."""
    return readable(evaluation) if evaluation in EVALUATIONS else f"external: {evaluation}"


def at_shown_steps(scores: WormScores) -> WormScores:
    """Return the scores of trajectories at the steps that tables show, or else at the last; others as they are."""
    if "step" not in scores.table:
        return scores
    steps = scores.table["step"]
    return scores.where(step=[step for step in STEPS if step in set(steps)] or [steps.max()])


def score_text(
    mean: float, std: float = np.nan, low: float = np.nan, high: float = np.nan, paper: str = "", *, digits: int = 1
) -> str:
    """Return a mean over worms as text, in the form of all tables of scores."""
    # Adding 0 turns -0.0 into 0.0.
    own = "" if np.isnan(mean) else f"{round(mean, digits) + 0.0:.{digits}f}"
    own += "" if np.isnan(std) or not own else f" ± {std:.{digits}f}"
    first = " ".join(filter(None, [own, f"[{paper}]" if paper else ""])) or "–"
    ends = (f"{round(end, digits) + 0.0:.{digits}f}" for end in (low, high))
    return first if np.isnan(low) else f"{first}\n({' to '.join(ends)})"


def _grid(texts: pd.DataFrame) -> list[list[str]]:
    """Return a table of texts as lists of cells: its headings first, its index in the first column."""
    headings = [texts.index.name or "", *texts.columns]
    return [list(map(str, row)) for row in (headings, *texts.itertuples(name=None))]


def lay_out(texts: pd.DataFrame) -> str:
    """Lay a table of texts out for a terminal; a text may have several lines, and headings break at a comma."""
    (corner, *titles), *body = _grid(texts)
    grid = [[corner, *(title.replace(": ", ", ").replace(", ", "\n", 1) for title in titles)], *body]
    rows = [list(zip_longest(*(cell.split("\n") for cell in row), fillvalue="")) for row in grid]
    widths = [max(map(len, column)) for column in zip(*(line for lines in rows for line in lines), strict=True)]
    lines = [["   ".join(map(str.ljust, line, widths)).rstrip() for line in row] for row in rows]
    rule = "-" * max(len(line) for row in lines for line in row)
    return "\n".join([*lines[0], rule, *(line for row in lines[1:] for line in row)])


def markdown(texts: pd.DataFrame) -> str:
    """Write a table of texts as Markdown, its index in the first column."""
    headings, *body = _grid(texts)
    cells = [[text.replace("\n", " ").replace("|", "\\|") for text in row] for row in body]
    return tabulate(cells, headings, tablefmt="pipe", disable_numparse=True)


def compare_arms(study: Study, arms: Sequence[Arm], scores: WormScores) -> pd.DataFrame:
    """Compare each arm worm by worm with the arm that its `against` names, and correct over those of a block."""
    rows = []
    for arm in arms:
        if not arm.against:
            continue
        part = scores.where(block=arm.block, fold_by=study.settings.fold_by[0])
        for evaluation, own in part.table.groupby("evaluation", sort=False):
            if own["worm"].nunique() > 1 and {arm.name, arm.against} <= set(own["model"]):
                pair = part.where(model=[arm.against, arm.name])
                table = pair.compare(arm.against, evaluation=str(evaluation), random_state=study.seed)
                rows.append(table[table["model"] == arm.name].assign(block=arm.block))
    if not rows:
        return pd.DataFrame(columns=["block", "model", "evaluation"])
    table = pd.concat(rows, ignore_index=True)
    p = table.groupby(["block", "evaluation"])["p_sign_flip"]
    return table.assign(p_adjusted=p.transform(lambda own: holm_correction(own.to_numpy())))


def sentences_of(compared: pd.DataFrame, arms: Sequence[Arm]) -> list[str]:
    """Describe, in one sentence for each arm, how it differs on unseen worms from the arm that `against` names."""
    labels = {(arm.block, arm.name): arm.label for arm in arms}
    rows = compared[compared["evaluation"] == "unseen_worms"]
    if rows.empty:
        return []
    for column in ("model", "reference"):
        rows = rows.assign(**{column: [labels[key] for key in zip(rows["block"], rows[column], strict=True)]})
    return [f"{block}: {text}" for block, text in zip(rows["block"], describe_comparison(rows), strict=True)]


def table_of_arms(study: Study, arms: Sequence[Arm], scores: WormScores, compared: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the scores of arms over worms."""
    scores, first = at_shown_steps(scores), study.settings.fold_by[0]
    table = scores.summary(random_state=study.seed)
    table = table[(table["evaluation"] == "held_out_windows") | (table["fold_by"] == table["fold_by"].iloc[0])]
    known = {(arm.block, arm.name): arm for arm in arms}
    counts = study.n_parameters(arms)
    n_neurons = scores.table.groupby(["block", "model", "evaluation"])["n_neurons"].first()
    rows: list[dict[str, Any]] = []
    for row in table.to_dict("records"):
        block, model, evaluation = (row[name] for name in ("block", "model", "evaluation"))
        arm = known.get((block, model))
        if arm is None:
            # A baseline of state classifiers looks at no neuron.
            rows.append({"label": BASELINE_LABELS.get(model, model), "n_neurons": 0})
            continue
        rows.append({"label": arm.label, "n_neurons": n_neurons[block, model, evaluation]})
        rows[-1] |= {"n_parameters": counts.get(arm.key, np.nan), "against": arm.against, **arm.facts}
        if row["fold_by"] == first:
            paper = arm.paper.get(evaluation if evaluation in EVALUATIONS else "external", (None, None))
            rows[-1]["paper_mean"], rows[-1]["paper_std"] = paper
    facts = list(dict.fromkeys(key for arm in arms for key in arm.facts))
    table = pd.concat([table.reset_index(drop=True), pd.DataFrame(rows).reindex(columns=[*_OF_ARM, *facts])], axis=1)
    if len(compared):
        keys = ["block", "model", "evaluation"]
        table = table.merge(compared[[*keys, *_PAIRED, "p_adjusted"]], on=keys, how="left")
    blocks = list(dict.fromkeys(arm.block for arm in arms))
    places = {key: place for place, key in enumerate(known)}
    order = [
        (blocks.index(block), places.get((block, model), len(places)), evaluation != "held_out_windows")
        for block, model, evaluation in table[["block", "model", "evaluation"]].itertuples(index=False)
    ]
    return table.iloc[sorted(range(len(table)), key=order.__getitem__)].reset_index(drop=True)


def _labelled(table: pd.DataFrame) -> pd.DataFrame:
    """Add a column with the label of each model to a table without one."""
    return table if "label" in table else table.assign(label=table["model"].replace(BASELINE_LABELS))


def texts_of_scores(table: pd.DataFrame, metric: str = "accuracy") -> dict[str, pd.DataFrame]:
    """Return a table of state classifiers or behaviour regressors as texts to read, one table for each block."""
    factor, digits = scale_of(metric, table[f"{metric}_mean"])
    table = _labelled(table)
    several_folds = "fold_by" in table and table["fold_by"].nunique() > 1
    columns = ["evaluation", *(["fold_by"] if several_folds else [])]
    blocks = {}
    for block, rows in table.groupby("block", sort=False) if "block" in table else [(metric_of(metric).label, table)]:
        labels = rows["label"].drop_duplicates()
        texts: dict[str, list[str]] = {}
        for values, part in rows.groupby(columns, sort=False):
            held_out = values[0] == "held_out_windows"
            title = ", ".join([evaluation_label(values[0]), *(map(readable, values[1:]) if held_out else [])])
            by_label = part.set_index("label").to_dict("index")
            texts[title] = [_cell(by_label.get(label), metric, factor, digits) for label in labels]
            if "difference" in part and part["difference"].notna().any():
                texts[f"difference, {title}"] = [_difference(by_label.get(label), factor, digits) for label in labels]
        if "n_parameters" in rows and rows["n_parameters"].notna().any():
            counts = rows.drop_duplicates("label")["n_parameters"]
            texts["parameters"] = ["" if np.isnan(count) else f"{count:.0f}" for count in counts]
        blocks[str(block)] = pd.DataFrame(texts, index=pd.Index(labels, name="model"))
    return blocks


def texts_of_trajectories(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return a table of trajectory regressors as texts to read, one table for each block and evaluation."""
    table = _labelled(table)
    keys = [name for name in ("evaluation", "block") if name in table]
    texts = {}
    for values, rows in table.groupby(keys, sort=False):
        labels = rows["label"].drop_duplicates()
        cells: dict[str, Any] = {}
        for step, part in rows.groupby("step"):
            own = part.set_index("label").loc[labels]
            errors = (1000 * own[f"mse_{name}"] for name in ("mean", "std", "low", "high"))
            cells[f"MSE {step}"] = list(map(score_text, *errors))
            skills = zip(own["skill"], own["skill_low"], own["skill_high"], strict=True)
            cells[f"skill {step}"] = [score_text(skill, low=low, high=high, digits=3) for skill, low, high in skills]
            cells[f"worst {step}"] = [score_text(skill, digits=3) for skill in own["skill_worst"]]
            if "skill_trace" in own:
                cells[f"trace {step}"] = [score_text(skill, digits=3) for skill in own["skill_trace"]]
        for name in ("transition", "steady"):
            if f"skill_{name}" in own:
                cells[f"{name} {step}"] = [score_text(skill, digits=3) for skill in own[f"skill_{name}"]]
        title = ", ".join([evaluation_label(values[0]), *map(str, values[1:]), f"{rows['n_worms'].max()} scored"])
        texts[title] = pd.DataFrame(cells, index=pd.Index(labels, name="model"))
    return texts


def scale_of(metric: str, values: pd.Series) -> tuple[int, int]:
    """Return the factor for a metric, and the decimals that show its largest value to three significant figures."""
    if metric_of(metric).percent:
        return 100, 1
    largest = float(values.abs().max())
    return 1, 3 if not 0 < largest < 0.1 else int(np.ceil(-np.log10(largest))) + 2


def heading_of(metric: str) -> str:
    """Return the label of a metric with its unit."""
    known = metric_of(metric)
    return f"{known.label} (%)" if known.percent else known.label


def comparison_texts(compared: pd.DataFrame) -> pd.DataFrame:
    """Lay one part of a table of :meth:`~skworm.model_selection.WormScores.compare` out for reading."""
    metric, reference = str(compared["metric"].iloc[0]), str(compared["reference"].iloc[0])
    factor, digits = scale_of(metric, compared["mean"])
    rows = []
    for row in compared.to_dict("records"):
        mean, low, high = (factor * row[name] for name in ("mean", "mean_low", "mean_high"))
        difference = "reference" if row["model"] == reference else _difference(row, factor, digits)
        own = score_text(mean, low=low, high=high, digits=digits)
        rows.append({heading_of(metric): own, f"difference to {reference}": difference})
    return pd.DataFrame(rows, index=pd.Index(compared["model"], name="model"))


def confusion_table(counts: pd.DataFrame, random_state: int = 0) -> pd.DataFrame:
    """Turn counts of frames into per cent of each labelled state, with intervals over worms."""
    rows = []
    for values, part in counts.groupby(_CONFUSION, sort=False):
        fits = part.pivot_table(
            index=["worm", *FIT], columns="predicted", values="n_frames", aggfunc="sum", fill_value=0
        )
        by_worm = (100 * fits.div(fits.sum(axis=1), axis=0)).groupby(level="worm")
        means, arrays = by_worm.mean(), [own.to_numpy() for _, own in by_worm]
        resampled = bootstrap_over_worms(arrays, n_resamples=10_000, rng=np.random.RandomState(random_state))
        for place, predicted in enumerate(means):
            low, high = interval(resampled[:, place]) if len(means) > 1 else (np.nan, np.nan)
            cell = {**dict(zip(_CONFUSION, values, strict=True)), "predicted": predicted, "n_worms": len(means)}
            cell |= {"mean": means[predicted].mean(), "std": means[predicted].std()}
            rows.append(cell | {"mean_low": low, "mean_high": high})
    return pd.DataFrame(rows)


def confusion_texts(table: pd.DataFrame, labels: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """Lay confusion matrices out for reading, one a block, evaluation and model."""
    texts = {}
    for (block, evaluation, model), rows in table.groupby(["block", "evaluation", "model"], sort=False):
        cells = [score_text(row["mean"], low=row["mean_low"], high=row["mean_high"]) for row in rows.to_dict("records")]
        square = rows.assign(text=cells).pivot(index="state", columns="predicted", values="text")
        columns = _ordered(square.index.union(square.columns))
        # The column of a state that is never predicted would hold numbers, not texts.
        square = square.reindex(index=_ordered(square.index), columns=columns).astype(object)
        square = square.where(square.notna(), "0").rename(index=readable, columns=readable)
        title = f"{labels.get(str(model), model)}, {block}, {evaluation_label(evaluation)}"
        texts[title] = square.rename_axis(index="labelled", columns=None)
    return texts


def _cell(row: Mapping[Any, Any] | None, metric: str, factor: float, digits: int) -> str:
    if row is None:
        return "–"
    mean, std, low, high = (factor * row[f"{metric}_{name}"] for name in ("mean", "std", "low", "high"))
    return score_text(mean, std, low, high, paper_text(row), digits=digits)


def paper_text(row: Any) -> str:
    """Return the mean and spread that the paper has for a row of a table; empty where it has none."""
    mean, std = (row.get(name, np.nan) for name in ("paper_mean", "paper_std"))
    return "" if pd.isna(mean) else f"{mean:g}" + ("" if pd.isna(std) else f" ± {std:g}")


def _difference(row: Mapping[Any, Any] | None, factor: float, digits: int) -> str:
    if row is None or pd.isna(row.get("difference", np.nan)):
        return ""
    change, low, high = (factor * row[name] for name in ("difference", "difference_low", "difference_high"))
    return (
        f"{change:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})\n"
        f"{row['wins']:.0f}/{row['n_worms']:.0f} worms, p {row['p_sign_flip']:.2g} (Holm {row['p_adjusted']:.2g})"
    )


def _ordered(names: Any) -> list[str]:
    known = [state for state in STATES if state in set(names)]
    return known + [str(name) for name in names if name not in STATES]


def parts_in_words(part: Mapping[str, Any]) -> str:
    """Name a part of a table of scores, such as a step."""
    texts = []
    for name, value in part.items():
        if name in ("n_train_worms", "burn_in"):
            texts.append(counted(int(value), "training worm" if name == "n_train_worms" else "observed frame"))
        else:
            form = {"states": "{} states", "signal": "signal {}", "step": "step {}"}.get(name, "{}")
            texts.append(form.format(readable(value)))
    return ", ".join(texts)


def parts_of_comparison(compared: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, list[str]]]:
    """Yield heading, texts and sentences of the parts of a :meth:`~skworm.model_selection.WormScores.compare`."""
    columns = list(compared.columns[: list(compared.columns).index("model")])
    for values, rows in compared.groupby(columns, sort=False) if columns else [((), compared)]:
        part = parts_in_words(dict(zip(columns, values, strict=True)))
        heading = ", ".join(filter(None, [readable(rows["evaluation"].iloc[0]), part]))
        sentences = describe_comparison(rows.drop(columns=columns))
        yield f"{heading[0].upper()}{heading[1:]}", comparison_texts(rows), sentences
