"""Write the results on real worms as data, and the tables of the pages from them.

    python tools/make_results.py [FOLDER ...]

Each FOLDER is one that ``skworm reproduce`` wrote. Its table becomes ``docs/results/FOLDER.csv`` with the command, the
version, the date and the seconds of all fits. The tables of README.md, docs/results.md and docs/claims.md are then made
again from all such files; without a FOLDER, they alone are.
"""

import json
import re
import shlex
import sys
from pathlib import Path

import pandas as pd

from skworm.model_selection import read_scores
from skworm.model_selection.results import FIT
from skworm.paper.outcome import kept_outcomes
from skworm.paper.tables import markdown, score_text, texts_of_scores, texts_of_trajectories
from skworm.paper.targets import TARGETS

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"
PROVENANCE = ["command", "version", "date", "seconds"]
_DROPPED = {"--out": 2, "--n-jobs": 2, "--quiet": 1}
_MODELS = ["svm", "mlp-published", "gnn-published", "mlp", "gnn", "clock", "majority"]

SUMMARY = "summary"
CLAIMS = "claims"


def command_for_readers(command: str) -> str:
    """Return a command without its output folder, and with the recordings where the pages have them."""
    words = shlex.split(command)
    kept = []
    while words:
        if words[0] in _DROPPED:
            del words[: _DROPPED[words[0]]]
            continue
        word = words.pop(0)
        kept.append(word)
        if word == "--data":
            kept.append(f"recordings/{Path(words.pop(0)).name}")
    return shlex.join(kept)


def write_results(folder: Path) -> Path:
    """Write the table of one experiment, with its command, version, date and seconds."""
    record = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    outcome = kept_outcomes(folder)[record["target"]]
    fits = read_scores(folder).table.drop_duplicates(["block", "model", "fold_by", *FIT])
    first = {
        "command": command_for_readers(outcome.command),
        "version": record["versions"]["skworm"],
        "date": outcome.began[:10],
        "seconds": round(fits["fit_seconds"].sum()),
    }
    table = pd.read_csv(folder / "table.csv", dtype={"states": str}).dropna(axis="columns", how="all")
    path = RESULTS / f"{folder.name}.csv"
    table.assign(**first)[[*PROVENANCE, *table.columns]].to_csv(path, index=False, float_format="%.5g")
    return path


def read_results(name: str) -> pd.DataFrame:
    """Return the rows of an experiment."""
    return pd.read_csv(RESULTS / f"{name}.csv", dtype={"states": str})


def target_of(table: pd.DataFrame) -> str:
    """Return the experiment that a table is of."""
    return str(table["command"].iloc[0]).split()[2]


def section_of(path: Path) -> str:
    """Return the section of docs/results.md on one experiment."""
    table = read_results(path.stem)
    command, version, date, seconds = table[PROVENANCE].iloc[0]
    if "step" in table:
        texts = texts_of_trajectories(table)
    else:
        texts = {
            block: text[[name for name in text if not name.startswith("difference, held-out")]]
            for block, text in texts_of_scores(table).items()
        }
    lines = [f"## {TARGETS[target_of(table)].title}", f"```sh\n{command}\n```"]
    hours = f"{seconds / 3600:.1f} hours of one core"
    lines.append(f"skworm {version}, {date}, {hours}: [{path.name}](results/{path.name}).")
    for block, text in texts.items():
        lines += [f"**{block}**", markdown(text)]
    return "\n\n".join(lines)


def summary_table() -> str:
    """Return the table of README.md: accuracy on the training worm and on unseen worms."""
    table = read_results("table1")
    table = table[(table["n_train_worms"] == 1) & (table["fold_by"] == "shuffled_windows")]
    labels = table.drop_duplicates("model").set_index("model")["label"]
    texts = {}
    for states, block in table.groupby("states", sort=False):
        for evaluation, words in (("held_out_windows", "same worm"), ("unseen_worms", "unseen worms")):
            rows = block[block["evaluation"] == evaluation].set_index("model")
            texts[f"{states} states, {words}"] = [cell_of(rows.loc[model]) for model in _MODELS if model in rows.index]
    names = [labels[model] for model in _MODELS if model in labels]
    return markdown(pd.DataFrame(texts, index=pd.Index(names, name="")))


def cell_of(row: pd.Series) -> str:
    """Return mean and spread over worms in per cent, with the paper's in brackets."""
    paper = ""
    if pd.notna(row.get("paper_mean")):
        paper = f"{row['paper_mean']:g}" + (f" ± {row['paper_std']:g}" if pd.notna(row["paper_std"]) else "")
    return score_text(100 * row["accuracy_mean"], 100 * row["accuracy_std"], float("nan"), float("nan"), paper)


def fill(page: str, name: str, text: str) -> str:
    """Return a page with a text between its two markers of a name."""
    markers = f"(<!-- results: {name} -->\n).*?(<!-- end of results -->)"
    filled, n = re.subn(markers, lambda found: f"{found[1]}\n{text}\n\n{found[2]}", page, flags=re.DOTALL)
    if n != 1:
        raise ValueError(f"a page has {n} places for the results {name!r}; there must be one")
    return filled


def pages() -> dict[Path, str]:
    """Return the pages that show results, as they must be."""
    readme, results = ROOT / "README.md", ROOT / "docs" / "results.md"
    names = list(TARGETS)
    files = sorted(RESULTS.glob("*.csv"), key=lambda path: (names.index(target_of(read_results(path.stem))), path.stem))
    sections = "\n\n".join(map(section_of, files))
    return {
        readme: fill(readme.read_text(encoding="utf-8"), SUMMARY, summary_table()),
        results: fill(results.read_text(encoding="utf-8"), "all", sections),
    }


def main(folders: list[str]) -> None:
    """Write data and pages."""
    for folder in folders:
        print(write_results(Path(folder)).relative_to(ROOT))
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main(sys.argv[1:])
