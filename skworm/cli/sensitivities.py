"""``skworm reproduce sensitivity`` and ``forecast-sensitivity``."""

from __future__ import annotations

from pathlib import Path

import click

from skworm.cli.options import DATA, RUN_OPTIONS, names, one_line_errors, options_of


@click.command()
@DATA
@click.option("--states", default="2,4", show_default=True, callback=names, help="Vocabularies of states.")
@click.option(
    "--folds", type=click.IntRange(1, 10), default=1, show_default=True, help="Folds out of ten that are fitted."
)
@options_of(RUN_OPTIONS)
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

    with one_line_errors(out):
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


@click.command()
@DATA
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
@options_of(RUN_OPTIONS[1:])
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

    with one_line_errors(out):
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
