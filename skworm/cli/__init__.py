"""The ``skworm`` command."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime

import click

from skworm.cli.completion import completion
from skworm.cli.data import add_data_commands
from skworm.cli.everything import everything
from skworm.cli.forecasts import figure4c, figure4d
from skworm.cli.options import COMMAND
from skworm.cli.results import compare, report
from skworm.cli.sensitivities import forecast_sensitivity, sensitivity
from skworm.cli.studies import command_of_target
from skworm.cli.table1 import table1
from skworm.experiments.catalogue import TARGETS


class _CommandThatRemembers(click.Group):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        began = datetime.now(UTC).isoformat(timespec="milliseconds")
        ctx.meta[COMMAND] = (shlex.join(["skworm", *args]), began)
        return super().parse_args(ctx, args)


@click.group(
    cls=_CommandThatRemembers,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="skworm")
def main() -> None:
    """Read C. elegans behaviour from calcium traces.

    `skworm inspect RECORDINGS` says what is in your files. `skworm train` and `skworm predict` label the states of new
    recordings. `skworm reproduce table1` tells how well models do on worms that they have not seen; `skworm compare`
    and `skworm report` read its results.
    """


add_data_commands(main)
for _command in (report, compare, completion):
    main.add_command(_command)


@main.group(short_help="Repeat the comparisons of the paper.")
def reproduce() -> None:
    """Repeat the comparisons of the paper, on your recordings or on simulated worms.

    Wang et al. 2021, "Generalizable Machine Learning in Neuroscience using Graph Neural Networks". Each command fits
    models on some worms, scores them on others, prints a table and writes tables and figures to a folder. A run that
    was stopped continues where it ended: call it again with the same options.
    """


for _command in (table1, figure4c, figure4d, sensitivity, forecast_sensitivity, everything):
    reproduce.add_command(_command)
for _target in TARGETS.values():
    reproduce.add_command(command_of_target(_target))
