"""``skworm reproduce all``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from skworm.cli.choices import NameList
from skworm.cli.options import DATA, EXTERNAL, NEURONS, RUN_OPTIONS, names, neurons_of, one_line_errors, options_of
from skworm.experiments.catalogue import ALL_TARGETS


@click.command("all", short_help="Run every target into one folder.")
@DATA
@EXTERNAL
@NEURONS
@click.option("--quick", is_flag=True, help="Few folds, epochs and combinations: a quarter of an hour on two cores.")
@click.option(
    "--targets",
    type=NameList(*ALL_TARGETS),
    default=",".join(ALL_TARGETS),
    callback=names,
    metavar="NAME,...",
    help=f"What to repeat.  [default: {', '.join(ALL_TARGETS)}]",
)
@click.option(
    "--epochs", type=click.IntRange(1), help="Training epochs of the state classifiers.  [default: 800; 150 if quick]"
)
@click.option(
    "--forecast-epochs",
    type=click.IntRange(1),
    help="Training epochs of the forecasting networks.  [default: 200; 20 if quick]",
)
@options_of(RUN_OPTIONS[1:])
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("skworm_results/all"),
    show_default=True,
    help="Folder for a folder a target, finished fits included, and index.html.",
)
def everything(
    neurons: str, epochs: int | None, seed: int, n_jobs: int, quiet: bool, out: Path, **options: Any
) -> None:
    """Run every target into one folder, with a page that shows them all.

    A target that fails does not stop the others: the page says what went wrong, and the exit code is 1.
    """
    from skworm.experiments.everything import Plan, run_all

    def say(message: str) -> None:
        if not quiet:
            click.echo(message, err=True)

    with one_line_errors(out):
        plan = Plan(neurons=neurons_of(neurons), max_epochs=epochs, random_state=seed, **options)
        failed = []
        for target in run_all(plan, out, n_jobs=n_jobs, verbose=int(not quiet), say=say):
            click.echo(f"{target.name}: {target.error or 'done'} ({target.seconds:.0f} s)")
            failed += [target.name] if target.error else []
        click.echo(out / "index.html")
    if failed:
        raise click.ClickException(f"{len(failed)} of {len(plan.targets)} targets failed: {', '.join(failed)}")
