"""Commands for recordings, models and results: inspect, train, predict, datasets, compare, report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from skworm.cli.options import (
    DEVICE,
    JSON,
    PATH_OR_NAME,
    POSITIVE,
    READING,
    SEED,
    STATES,
    STATES_HELP,
    check_out,
    in_a_line,
    main,
    neurons_option,
    options_of,
    pairs,
    say,
    show,
)
from skworm.paper.models import STATE_MODELS

_DATA_SETS = ("kato2015", "nichols2017")
_PATH = click.Path(path_type=Path)


def _states_option(default: str, text: str) -> Any:
    choices = click.Choice([*STATES, "as_recorded"])
    return click.option("--states", type=choices, default=default, show_default=True, help=text)


@main.command(short_help="Show what is in recordings or a model file.")
@click.argument("path", type=_PATH)
@neurons_option("paper", "Neurons that every worm should have: paper, the 15 of the paper; or a list of names.")
@_states_option("as_recorded", f"States to count. {STATES_HELP}")
@options_of(READING)
@JSON
def inspect(path: Path, neurons: str | tuple[str, ...], states: str, as_json: bool, **reading: Any) -> None:
    """Show what is in a file or folder of recordings, or in a model file, and what is wrong with it.

    The exit code is 1 if a file cannot be read; problems of recordings that can be read do not change it.
    """
    if path.suffix == ".skworm":
        from skworm.persistence import describe

        show(describe(path), as_json)
        return
    from skworm.datasets.summary import describe_recordings, inspect_recordings
    from skworm.frames import PAPER_NEURONS

    expected = PAPER_NEURONS if isinstance(neurons, str) else neurons
    found = inspect_recordings(path, expected_neurons=expected, states=states, **reading)
    for part in (found, *found["worms"]):
        part["problems"] = [in_a_line(problem) for problem in part["problems"]]
    show(found, as_json, describe_recordings(found))
    if any(problem.startswith("cannot be read") for problem in found["problems"]):
        raise SystemExit(1)


@main.command(short_help="Train a state classifier; write it to a file.")
@click.option(
    "--data",
    default="simulated",
    show_default=True,
    type=PATH_OR_NAME,
    metavar="PATH|kato2015|nichols2017|simulated",
    help="Worms to train on: a file or folder of recordings with states, or a data set by name.",
)
@click.option(
    "--model",
    type=click.Choice(tuple(STATE_MODELS)),
    default="gnn",
    show_default=True,
    metavar="NAME",
    help=f"What to train: {', '.join(STATE_MODELS)}.",
)
@_states_option("4", f"{STATES_HELP} as_recorded takes all names that the recordings use.")
@neurons_option(
    "shared|paper|union",
    "Neurons that the model reads: shared, all that are identified in every worm; paper, those of the paper's 15 "
    "among them; union, all that are identified in any, for networks; or a list of names.",
)
@click.option("--fps", "resample_to", type=POSITIVE, help="Resample all worms to this many frames a second.")
@click.option(
    "--detrend",
    type=POSITIVE,
    metavar="SECONDS",
    help="Remove the slow baseline of each trace, found in a window of so many seconds: for recordings that bleach.  "
    "[default: leave it]",
)
@click.option(
    "--epochs", "max_epochs", type=click.IntRange(1), help="Training epochs of a network.  [default: its own]"
)
@DEVICE
@SEED
@click.option("--description", default="", help="What a reader of the file should know.")
@click.option("--out", type=_PATH, required=True, help="The model file, best ending in .skworm.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
@options_of(READING)
@JSON
def train(
    data: str,
    model: str,
    states: str,
    neurons: str | tuple[str, ...],
    resample_to: float | None,
    detrend: float | None,
    max_epochs: int | None,
    device: str,
    random_state: int,
    description: str,
    out: Path,
    overwrite: bool,
    as_json: bool,
    **reading: Any,
) -> None:
    """Train a state classifier on all frames of some worms, and write it to a file that can be passed on.

    Its accuracy on the frames that it was trained on is printed, which says little: `skworm reproduce table1` scores
    models on worms that they have not seen.
    """
    check_out(out, overwrite)
    from skworm.datasets import load_recordings
    from skworm.frames import PAPER_NEURONS, make_frames
    from skworm.paper.study import load_worms
    from skworm.persistence import describe, save

    named = data in ("simulated", *_DATA_SETS)
    if named and (given := [name for name, value in reading.items() if value]):
        raise ValueError(f"{given[0]}={reading[given[0]]!r} is about files, and {data} is a data set; leave it out")
    worms = load_worms(data, random_state) if named else load_recordings(data, **reading)
    if neurons == "paper":
        neurons = tuple(name for name in PAPER_NEURONS if all(name in worm.neurons for worm in worms))
    missing = "nan" if neurons == "union" else "raise"
    X, y = make_frames(worms, neurons=neurons, missing=missing, states=states, resample_to=resample_to, detrend=detrend)
    names = [name.split(":")[0] for name in X.columns[::2]]
    shared = {"max_epochs": max_epochs, "device": device, "random_state": random_state}
    estimator = STATE_MODELS[model].make(names, **shared).fit(X, y)
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    save(estimator, out, X=X, y=y, description=description, overwrite=True)
    about = {"file": str(out), "neurons": names, **describe(out)}
    show(about | {"accuracy_on_training_frames": round(float(estimator.score(X, y)), 4)}, as_json)


@main.command(short_help="Read the states of recordings with a model.")
@click.argument("model", type=PATH_OR_NAME)
@click.argument("recordings", type=_PATH)
@click.option("--out", type=_PATH, required=True, help="Table of all frames, a .csv file.")
@DEVICE
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@options_of(READING)
@JSON
def predict(
    model: str,
    recordings: Path,
    out: Path,
    device: str,
    overwrite: bool,
    as_json: bool,
    **reading: Any,
) -> None:
    """Read the states of recordings with a MODEL: a file that `skworm train` wrote, or one that comes with skworm.

    Those that come with skworm are kato2015-2-states, kato2015-4-states and kato2015-7-states, and the same with the
    ending -causal, which look at no later frame. They print the accuracy to expect from the neurons of each recording.

    Beside --out states.csv, with the most probable state of every frame and the probabilities, it writes
    states_bouts.csv, with start, end and duration of every bout in seconds, and the picture states_ethogram.png.
    Recordings of another frame rate are resampled to that of training.
    """
    paths = [out, out.with_name(f"{out.stem}_bouts.csv"), out.with_name(f"{out.stem}_ethogram.png")]
    from skworm.atomic import atomic_path, write_whole
    from skworm.datasets import load_recordings
    from skworm.datasets.files import recording_files

    if out.suffix.lower() != ".csv":
        raise ValueError(f"--out {out} is not the name of a table; let it end in .csv")
    inputs = {Path(model).resolve(), *(file.resolve() for file in recording_files(recordings))}
    for path in paths:
        check_out(path, overwrite)
        if path.resolve() in inputs:
            raise FileExistsError(f"{path} is read, and would be replaced; pass another --out")
    from skworm.estimators.prediction import accuracy_on_annotated, bouts_in_seconds, decode_states
    from skworm.persistence import load
    from skworm.plotting import EthogramDisplay
    from skworm.plotting.base import write_above

    worms = load_recordings(recordings, **reading)
    classifier = load(model, device=device)
    table = decode_states(classifier, worms)
    expected, unlike = table.attrs.get("expected", {}), table.attrs.get("unlike", ())
    less = "; it looks unlike them, so fewer frames will be right"
    words = [f"{worm}: {own}{less * (worm in unlike)}" for worm, own in expected.items()]
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    write_whole(paths[0], table.to_csv(index=False))
    write_whole(paths[1], bouts_in_seconds(table).to_csv(index=False))
    with atomic_path(paths[2]) as temporary:
        display = EthogramDisplay(table).plot()
        if words:
            write_above(display.figure_, words)
        display.figure_.savefig(temporary, dpi=150)
    shares = {
        str(worm): {str(state): round(100 * share, 1) for state, share in own.value_counts(normalize=True).items()}
        for worm, own in table.groupby("worm", sort=False)["state"]
    }
    about: dict[str, Any] = {"files": list(map(str, paths)), "percent_of_frames": shares}
    if expected:
        about["expected"] = {worm: own._asdict() | {"unlike": worm in unlike} for worm, own in expected.items()}
    accuracy = accuracy_on_annotated(table, list(map(str, classifier.classes_)))
    if accuracy is not None:
        about["accuracy_on_annotated_frames"] = round(accuracy, 4)
        words.insert(0, f"accuracy on annotated frames: {accuracy:.4f}")
    elif "annotated" in table:
        words.insert(0, "no accuracy: the annotated states cannot be compared with those of the model")
    for name, percent in shares.items():
        words.append(f"{name}: {', '.join(f'{state} {share:.1f} %' for state, share in percent.items())}")
    show(about, as_json, "\n".join([*map(str, paths), *words]))


@main.group()
def datasets() -> None:
    """Download recordings."""


@datasets.command(short_help="Download a data set.")
@click.argument("name", type=click.Choice(_DATA_SETS))
@click.option("--data-home", type=_PATH, help="Where to keep it.  [default: $SKWORM_DATA, else the user's cache]")
def fetch(name: str, data_home: Path | None) -> None:
    """Download a data set, unless it is there already, and show what is in it.

    kato2015: Kato et al. 2015, five immobilised worms, seven states; nichols2017: Nichols et al. 2017, 21 worms, awake
    and quiescent.
    """
    from skworm import datasets as sources

    for worm in getattr(sources, f"fetch_{name}")(data_home=data_home):
        say(f"{worm.worm}: {worm.n_frames} frames, {len(worm.identified)} neurons identified")


@main.command(short_help="Write one HTML page on the results of a run.")
@click.argument("results", type=_PATH)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The page, a .html file; replaced if it is there.  [default: report.html in RESULTS]",
)
def report(results: Path, out: Path | None) -> None:
    """Write one HTML page on the RESULTS of a run, to be read, sent or printed.

    RESULTS is a folder that a script passed to cross_validate_worms as memory; `skworm reproduce` writes such a page
    itself. The page holds data, splits, models, tables with intervals over worms, figures, versions and what to cite.
    It needs no other file and no network.
    """
    page = results / "report.html" if out is None else out
    if not results.is_file():
        check_out(page, overwrite=True)
    if page.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--out {page} is not the name of a page; let it end in .html")
    from skworm.paper.report import report_run

    say(report_run(results, page))


@main.command(short_help="Compare the models of a run, worm by worm.")
@click.argument("results", type=_PATH)
@click.option(
    "--baseline",
    "reference",
    metavar="MODEL",
    help="Model that the others are compared with.  [default: the first of the run]",
)
@click.option(
    "--evaluation",
    default="unseen_worms",
    show_default=True,
    metavar="NAME",
    help="What to compare on: unseen_worms, held_out_windows, or the name of external recordings.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="A model to compare; may be given several times.  [default: all but clock and majority]",
)
@click.option(
    "--metric", metavar="NAME", help="What to compare.  [default: accuracy; mse for trajectories, r2 for behaviour]"
)
@click.option(
    "--where",
    "conditions",
    metavar="COLUMN=VALUE",
    multiple=True,
    callback=pairs,
    help="Take only rows with this value in a column, such as step=8 or block='4 states'; may be given several times.",
)
@JSON
def compare(
    results: Path,
    reference: str | None,
    evaluation: str,
    models: tuple[str, ...],
    metric: str | None,
    conditions: dict[str, str],
    as_json: bool,
) -> None:
    """Compare the models of a run with one of them, worm by worm.

    RESULTS is a folder that `skworm reproduce TARGET --out` wrote, or that a script passed to cross_validate_worms as
    memory. For each model: mean over worms and its 95 % interval, the difference to the baseline and its interval, the
    worms on which it is better, and the p of a sign-flip test across worms before and after Holm's correction, with the
    smallest p that so many worms allow.

    The first model of the run is the baseline unless --baseline names another. Name it before you look.
    """
    from skworm.model_selection import read_scores
    from skworm.paper.report import no_results, without_naive
    from skworm.paper.tables import at_shown_steps, lay_out, parts_of_comparison

    if results.is_dir() and not (results / "scores.csv").is_file() and not (results / "fits").is_dir():
        raise no_results(results)
    scores = at_shown_steps(read_scores(results).where(**conditions))
    left_out: list[str] = []
    if models:
        scores = scores.where(model=[*models, *([reference] if reference else [])])
    else:
        scores, left_out = without_naive(scores, reference)
    table = scores.compare(
        reference or (models[0] if models else scores.models[0]),
        evaluation=evaluation,
        metric=metric,
    )
    if as_json:
        say(table.to_json(orient="records", indent=2))
        return
    blocks = [
        "\n".join([heading, "", lay_out(texts), "", *sentences])
        for heading, texts, sentences in parts_of_comparison(table)
    ]
    closing = (
        "In round brackets: 95 % intervals of a bootstrap over worms and the fits within them. The p is that of a "
        "two-sided sign-flip test across worms."
    )
    if left_out:
        closing += f"\nLeft out, since they see no neuron: {', '.join(left_out)}; --model or --baseline includes them."
    say("\n\n".join([*blocks, closing]))
