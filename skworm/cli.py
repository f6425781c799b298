"""The ``skworm`` command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from skworm.cli_data import add_data_commands

_INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="skworm")
def main() -> None:
    """Read C. elegans behaviour from calcium traces."""


add_data_commands(main)


@main.group()
def reproduce() -> None:
    """Repeat the comparisons of the paper, on real or simulated worms.

    Wang et al. 2021, "Generalizable Machine Learning in Neuroscience using Graph Neural Networks". A run that was
    stopped continues where it ended: call it again with the same options.
    """


def _names(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _counts(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        return tuple(int(number) for number in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is no list of whole numbers, such as 1,4") from None


_RUN_OPTIONS = (
    click.option(
        "--epochs", type=click.IntRange(1), default=800, show_default=True, help="Training epochs of the neural models."
    ),
    click.option("--n-jobs", default=-1, metavar="N", help="Fits at a time.  [default: one a core]"),
    click.option(
        "--device",
        type=click.Choice(["cpu", "cuda", "auto"]),
        default="cpu",
        show_default=True,
        help="Where neural models train; on models this small a process a core usually wins.",
    ),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of everything random."),
    click.option("--quiet", is_flag=True, help="Print the table and nothing else."),
)


def _options(options: Sequence[Any]) -> Any:
    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


_DATA = click.option(
    "--data",
    default="simulated",
    show_default=True,
    metavar="PATH|kato2015|simulated",
    help="Worms to train on and to score: a file or folder of recordings, or a data set by name.",
)
_EXTERNAL = click.option(
    "--external",
    metavar="PATH|nichols2017|simulated|none",
    help="Worms that are only scored.  [default: a second simulated lab beside simulated data, else none]",
)
_NEURONS = click.option(
    "--neurons",
    default="paper",
    show_default=True,
    metavar="paper|shared|NAME,...",
    help="The paper's neurons, or all neurons, that are identified in every worm; or a list of names.",
)


@reproduce.command()
@_DATA
@_EXTERNAL
@click.option(
    "--states",
    type=click.Choice(["2", "4", "7", "nichols"]),
    default="2",
    show_default=True,
    help="Which behavioural states to tell apart.",
)
@_NEURONS
@click.option(
    "--train-worms", type=click.IntRange(1), default=1, show_default=True, help="Worms that a model trains on."
)
@click.option("--folds", type=click.IntRange(2), help="Folds of windows.  [default: 10; 3 on simulated worms]")
@click.option(
    "--models",
    default="diffusion-map,svm,mlp,gnn,mlp-virtual-worms,gnn-virtual-worms",
    show_default=True,
    callback=_names,
    metavar="NAME,...",
    help="Also known: mlp-published, gnn-published, gnn-dynamic, gnn-free. Two baselines, clock and majority, are "
    "always added.",
)
@click.option(
    "--fold-by",
    type=click.Choice(["shuffled_windows", "contiguous_blocks", "both"]),
    default="both",
    show_default=True,
    help="Windows of a fold drawn at random, as in the paper, or following each other.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("skworm_results/table1"),
    show_default=True,
    help="Folder for results, finished fits included.",
)
@_options(_RUN_OPTIONS)
def table1(quiet: bool, out: Path, n_jobs: int, **options: Any) -> None:
    """Compare state classifiers as in Table 1: on the training worms, on unseen worms, on external recordings."""
    from skworm.experiments import paper, protocol, report

    say = _silent if quiet else click.echo
    with _one_line_errors(out):
        settings = _protocol(**options)
        material = protocol.load_material(settings)
        say(report.describe_settings(settings, material))
        scores = protocol.run_protocol(settings, material, out, n_jobs=n_jobs, verbose=int(not quiet))
        columns = paper.table_1_columns(settings, material)
        table = paper.table_1(scores, columns, with_paper=settings.is_of_table_1)
        say("")
        click.echo(report.format_text(table))
        say("\n" + report.describe_reading(settings, material, table) + "\n")
        for path in paper.write_table_1(settings, material, scores, out):
            say(path)


_FORECAST_OPTIONS = (
    _DATA,
    _EXTERNAL,
    click.option(
        "--states",
        type=click.Choice(["2", "4", "7", "nichols"]),
        default="4",
        show_default=True,
        help="States whose changes count as transitions.",
    ),
    _NEURONS,
    click.option(
        "--train-worms",
        "n_train_worms",
        callback=_counts,
        metavar="N,...",
        help="Worms that a model trains on.  [default: one, all but one, and all beside external recordings]",
    ),
    click.option(
        "--folds",
        "n_folds",
        type=click.IntRange(1, 10),
        default=1,
        show_default=True,
        help="Folds out of ten that are held out in turn.",
    ),
    click.option(
        "--models",
        "networks",
        default="mlp,node-mlp,gnn,mlp-lstm",
        show_default=True,
        callback=_names,
        metavar="NAME,...",
        help="Also known: gnn-static, mlp-plain, mlp-uncentred, mlp-lags, node-mlp-lstm, gnn-gated, mlp-published, "
        "node-mlp-published, gnn-published. Persistence, the training mean and three linear maps are always added.",
    ),
    click.option("--epochs", type=click.IntRange(1), help="Training epochs.  [default: 200; 800 as published]"),
    *_RUN_OPTIONS[1:],
    click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("skworm_results/figure4"),
        show_default=True,
        help="Folder for results, finished fits included; both commands share it.",
    ),
)


@reproduce.command()
@_options(_FORECAST_OPTIONS)
def figure4c(**options: Any) -> None:
    """Draw the errors of predicted trajectories against the prediction step, and an example beside the truth."""
    _figure4(with_example=True, **options)


@reproduce.command()
@_options(_FORECAST_OPTIONS)
def figure4d(**options: Any) -> None:
    """Tabulate the errors of predicted trajectories at 1, 8 and 16 steps, and the skill over persistence."""
    _figure4(with_example=False, **options)


def _figure4(
    *,
    with_example: bool,
    epochs: int | None,
    seed: int,
    n_jobs: int,
    quiet: bool,
    out: Path,
    neurons: str,
    **others: Any,
) -> None:
    from skworm.experiments import figure4, forecasts, protocol, report

    say = _silent if quiet else click.echo
    with _one_line_errors(out):
        settings = forecasts.ForecastProtocol(neurons=_neurons(neurons), max_epochs=epochs, random_state=seed, **others)
        material = protocol.load_material(settings)
        scores = forecasts.run_forecasts(settings, material, out, n_jobs=n_jobs, verbose=int(not quiet))
        for title, block in figure4.blocks_of_figure_4d(figure4.figure_4d(scores)).items():
            click.echo(f"\n{title}\n{block.to_string()}")
        say("\n" + figure4.describe_forecasts(settings) + "\n")
        paths = figure4.write_figure_4(settings, material, scores, out)
        if with_example:
            say("Training the models of the example picture ...")
            example = figure4.example_figure(settings, material)
            paths += [] if example is None else report.save_figure(example.figure_, out / "example")
        for path in paths:
            say(path)


@reproduce.command()
@_DATA
@click.option("--states", default="2,4", show_default=True, callback=_names, help="Vocabularies of states.")
@click.option(
    "--folds", type=click.IntRange(1, 10), default=1, show_default=True, help="Folds out of ten that are fitted."
)
@_options(_RUN_OPTIONS)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("skworm_results/sensitivity"),
    show_default=True,
    help="Folder for results, finished fits included.",
)
def sensitivity(
    data: str,
    states: tuple[str, ...],
    folds: int,
    epochs: int,
    n_jobs: int,
    device: str,
    seed: int,
    quiet: bool,
    out: Path,
) -> None:
    """Score each reading of the paper's GNN on unseen worms, with and without virtual worms."""
    from skworm.experiments.sensitivity import score_readings, sensitivity_table, write_sensitivity
    from skworm.experiments.worms import load_worms

    with _one_line_errors(out):
        scores = score_readings(
            load_worms(data, seed),
            out,
            states=states,
            n_folds=folds,
            max_epochs=epochs,
            n_jobs=n_jobs,
            device=device,
            random_state=seed,
            verbose=int(not quiet),
        )
        click.echo(sensitivity_table(scores).to_string())
        for path in write_sensitivity(scores, out):
            if not quiet:
                click.echo(path)


@reproduce.command()
@_DATA
@click.option(
    "--train-worms", type=click.IntRange(1), default=1, show_default=True, help="Worms that a model trains on."
)
@click.option(
    "--folds",
    type=click.IntRange(1, 10),
    default=1,
    show_default=True,
    help="Folds out of ten that are held out in turn.",
)
@click.option("--epochs", type=click.IntRange(1), default=200, show_default=True, help="Training epochs.")
@_options(_RUN_OPTIONS[1:])
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("skworm_results/forecast_sensitivity"),
    show_default=True,
    help="Folder for results, finished fits included.",
)
def forecast_sensitivity(
    data: str, train_worms: int, folds: int, epochs: int, n_jobs: int, device: str, seed: int, quiet: bool, out: Path
) -> None:
    """Score each setting of the trajectory MLP on unseen worms, and choose one without each scored worm."""
    from skworm.experiments import forecast_sensitivity as experiment
    from skworm.experiments.worms import load_worms

    with _one_line_errors(out):
        scores = experiment.score_settings(
            load_worms(data, seed),
            out,
            n_train_worms=train_worms,
            n_folds=folds,
            max_epochs=epochs,
            n_jobs=n_jobs,
            device=device,
            random_state=seed,
            verbose=int(not quiet),
        )
        click.echo(experiment.settings_table(scores).round(3).to_string())
        for path in experiment.write_forecast_sensitivity(scores, out):
            if not quiet:
                click.echo(path)


def _protocol(
    *, train_worms: int, folds: int | None, epochs: int, neurons: str, fold_by: str, seed: int, **others: Any
) -> Any:
    from skworm.experiments.protocol import FOLD_KINDS, Protocol

    return Protocol(
        neurons=_neurons(neurons),
        n_train_worms=train_worms,
        n_folds=folds,
        max_epochs=epochs,
        fold_by=FOLD_KINDS if fold_by == "both" else (fold_by,),
        random_state=seed,
        **others,
    )


def _neurons(neurons: str) -> str | tuple[str, ...]:
    return neurons if neurons in ("shared", "paper") else tuple(filter(None, map(str.strip, neurons.split(","))))


def _silent(message: Any) -> None:
    pass


class _UserError(click.ClickException):
    exit_code = 2


@contextmanager
def _one_line_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as interrupt:
        message = str(interrupt) or f"interrupted; finished fits are kept in {out}; call again to go on"
        click.echo(f"\n{message[0].upper()}{message[1:]}", err=True)
        raise SystemExit(_INTERRUPTED) from None
    except BrokenExecutor as error:
        raise click.ClickException(str(error)) from error
    except (ValueError, ImportError, OSError) as error:
        raise _UserError(" ".join(str(error).split())) from error
