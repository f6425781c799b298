"""Commands for recordings and models: look, train, predict, download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from skworm.cli.choices import NameList, PathOrName
from skworm.cli.options import STATES_HELP, options_of
from skworm.cli.output import JSON, lines_of, show, user_errors
from skworm.experiments.catalogue import TABLE_1_MODELS

_FETCHERS = {
    "kato2015": ("fetch_kato2015", "Kato et al. 2015: five immobilised worms, seven states"),
    "nichols2017": ("fetch_nichols2017", "Nichols et al. 2017: 21 worms, awake and quiescent"),
}
_PATH = click.Path(path_type=Path)


class _ColumnName(click.ParamType):
    """``role=name of a column``."""

    name = "ROLE=COLUMN"

    def convert(self, value: Any, parameter: Any, context: Any) -> tuple[str, str]:
        role, separator, column = str(value).partition("=")
        if not separator or not role or not column:
            self.fail(f"{value!r} is not of the form ROLE=COLUMN, such as 'time=t (s)'", parameter, context)
        return role.strip(), column


_READING = (
    click.option(
        "--column",
        "columns",
        type=_ColumnName(),
        multiple=True,
        help="Which column of a table is what, where its name does not say: time=t, state=label, behavior:velocity=v, "
        "or a neuron, 'AVAL=cell 3'. May be given several times.",
    ),
    click.option(
        "--table-fps",
        type=click.FloatRange(0, min_open=True),
        help="Frames a second of tables without a column of time.",
    ),
)


def add_data_commands(group: click.Group) -> None:
    """Add the commands to a group."""
    for command in (inspect, train, predict, datasets):
        group.add_command(command)


@click.command(short_help="Say what is in recordings or a model file.")
@click.argument("path", type=_PATH)
@options_of(_READING)
@JSON
def inspect(path: Path, columns: Any, table_fps: float | None, as_json: bool) -> None:
    """Say what is in a file or folder of recordings, or in a model file, and what is wrong with it.

    Ends with 1 if a file cannot be read. Problems of recordings that can be read are printed, and no failure.
    """
    with user_errors():
        if path.suffix == ".skworm":
            from skworm.model_files import describe

            show(describe(path), as_json)
            return
        from skworm.datasets.summary import describe_recordings, inspect_recordings
        from skworm.frames import PAPER_NEURONS

        found = inspect_recordings(path, expected_neurons=PAPER_NEURONS, columns=dict(columns), fps=table_fps)
        show(found, as_json, describe_recordings(found))
    if any(problem.startswith("cannot be read") for problem in found["problems"]):
        raise SystemExit(1)


@click.command(short_help="Train a state classifier; write it to a file.")
@click.option(
    "--data",
    default="simulated",
    show_default=True,
    type=PathOrName(*_FETCHERS, "simulated"),
    metavar="PATH|kato2015|nichols2017|simulated",
    help="Worms to train on: a file or folder of recordings with states, or a data set by name.",
)
@click.option(
    "--model",
    type=click.Choice(TABLE_1_MODELS),
    default="gnn-virtual-worms",
    show_default=True,
    metavar="NAME",
    help=f"What to train: {', '.join(TABLE_1_MODELS)}.",
)
@click.option(
    "--states",
    type=click.Choice(["2", "4", "7", "nichols", "as_recorded"]),
    default="4",
    show_default=True,
    help=f"{STATES_HELP} as_recorded takes all names that the recordings use.",
)
@click.option(
    "--neurons",
    default="shared",
    show_default=True,
    type=NameList("shared"),
    metavar="shared|NAME,...",
    help="Neurons that the model reads: shared, all that are identified in every worm; or a list of names.",
)
@click.option(
    "--fps",
    type=click.FloatRange(0, min_open=True),
    help="Resample all worms to this many frames a second.",
)
@click.option("--epochs", type=click.IntRange(1), default=800, show_default=True, help="Training epochs of a network.")
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda", "auto"]),
    default="cpu",
    show_default=True,
    help="Where to train: auto is a GPU where there is one.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of everything random.")
@click.option("--description", default="", help="What a reader of the file should know.")
@click.option("--out", type=_PATH, required=True, help="The model file, best ending in .skworm.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
@options_of(_READING)
@JSON
def train(out: Path, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Train a state classifier on all frames of some worms, and write it to a file that can be passed on.

    Its accuracy on the frames that it was trained on is printed, which says little: `skworm reproduce table1` tells how
    a model does on worms that it has not seen.
    """
    with user_errors():
        if out.exists() and not overwrite:
            raise FileExistsError(f"{out} exists; pass --overwrite to replace it, or another --out")
        if not out.absolute().parent.is_dir():
            raise FileNotFoundError(f"the folder {out.parent} of --out does not exist; make it first")
        show(_train(out, **options), as_json)


def _train(
    out: Path,
    *,
    data: str,
    model: str,
    states: str,
    neurons: str,
    fps: float | None,
    epochs: int,
    device: str,
    seed: int,
    description: str,
    columns: Any,
    table_fps: float | None,
) -> dict[str, Any]:
    from skworm.experiments.protocol import Protocol
    from skworm.frames import make_frames
    from skworm.model_files import describe, save

    settings = Protocol(data=data, models=(model,), max_epochs=epochs, device=device, random_state=seed)
    wanted: Any = neurons if neurons == "shared" else tuple(filter(None, map(str.strip, neurons.split(","))))
    worms = _load_worms(data, seed, columns, table_fps)
    X, y = make_frames(worms, neurons=wanted, states=states, resample_to=fps)
    estimator = settings.estimators()[model].fit(X, y)
    save(estimator, out, X=X, y=y, description=description, overwrite=True)
    about = {"file": str(out), "neurons": [name.split(":")[0] for name in X.columns[::2]], **describe(out)}
    return about | {"accuracy_on_training_frames": round(float(estimator.score(X, y)), 4)}


def _load_worms(data: str, seed: int, columns: Any, table_fps: float | None) -> list[Any]:
    if data in ("simulated", *_FETCHERS):
        from skworm.experiments.worms import load_worms

        return load_worms(data, seed)
    from skworm.datasets import load_recordings

    return load_recordings(data, columns=dict(columns), fps=table_fps)


@click.command(short_help="Read the states of recordings with a model.")
@click.argument("model", type=_PATH)
@click.argument("recordings", type=_PATH)
@click.option("--out", type=_PATH, required=True, help="Table of all frames, a .csv file.")
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda", "auto"]),
    default="cpu",
    show_default=True,
    help="Where to predict: auto is a GPU where there is one.",
)
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@options_of(_READING)
@JSON
def predict(
    model: Path,
    recordings: Path,
    out: Path,
    device: str,
    overwrite: bool,
    columns: Any,
    table_fps: float | None,
    as_json: bool,
) -> None:
    """Read the states of recordings with a MODEL that `skworm train` or skworm.save wrote.

    Beside --out states.csv, with the most probable state of every frame and the probabilities, it writes
    states_bouts.csv, with start, end and duration of every bout in seconds, and the picture states_ethogram.png.
    Recordings of another frame rate are resampled to that of training.
    """
    with user_errors():
        paths = [out, out.with_name(f"{out.stem}_bouts.csv"), out.with_name(f"{out.stem}_ethogram.png")]
        for path in paths:
            if path.exists() and not overwrite:
                raise FileExistsError(f"{path} exists; pass --overwrite to replace it, or another --out")
        from skworm.datasets import load_recordings
        from skworm.model_files import load
        from skworm.plotting import EthogramDisplay
        from skworm.prediction import bouts_in_seconds, decode_states

        worms = load_recordings(recordings, columns=dict(columns), fps=table_fps)
        classifier = load(model, device=device)
        table = decode_states(classifier, worms)
        bouts = bouts_in_seconds(table)
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(paths[0], index=False)
        bouts.to_csv(paths[1], index=False)
        EthogramDisplay(table).plot().save(paths[2])
        about: dict[str, Any] = {"files": list(map(str, paths)), "percent_of_frames": _shares(table)}
        if "annotated" in table:
            known = table[table["annotated"].isin(list(classifier.classes_))]
            if len(known):
                about["accuracy_on_annotated_frames"] = round(float((known["state"] == known["annotated"]).mean()), 4)
        show(about, as_json)


def _shares(table: Any) -> dict[str, dict[str, float]]:
    return {
        str(worm): {
            str(state): round(100 * float(share), 1) for state, share in states.value_counts(normalize=True).items()
        }
        for worm, states in table.groupby("worm", sort=False)["state"]
    }


@click.group()
def datasets() -> None:
    """List and download recordings."""


@datasets.command(name="list")
@JSON
def list_datasets(as_json: bool) -> None:
    """List the data sets."""
    show({name: text for name, (_, text) in _FETCHERS.items()}, as_json)


@datasets.command(short_help="Download a data set.")
@click.argument("name", type=click.Choice(list(_FETCHERS)))
@click.option("--data-home", type=_PATH, help="Where to keep it.  [default: $SKWORM_DATA, else the user's cache]")
@JSON
def fetch(name: str, data_home: Path | None, as_json: bool) -> None:
    """Download a data set, unless it is there already, and say what is in it."""
    from skworm import datasets as sources

    with user_errors():
        worms = getattr(sources, _FETCHERS[name][0])(data_home=data_home)
        about = {
            worm.worm: {"n_frames": worm.n_frames, "fps": worm.fps, "identified": worm.identified} for worm in worms
        }
        lines = {worm.worm: f"{worm.n_frames} frames, {len(worm.identified)} neurons identified" for worm in worms}
        show(about, as_json, lines_of(lines))
