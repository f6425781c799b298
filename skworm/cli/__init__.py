"""The ``skworm`` command."""

from __future__ import annotations

import click

from skworm.cli.data import add_data_commands
from skworm.cli.everything import everything
from skworm.cli.forecasts import figure4c, figure4d
from skworm.cli.sensitivities import forecast_sensitivity, sensitivity
from skworm.cli.studies import command_of_target
from skworm.cli.table1 import table1
from skworm.experiments.catalogue import TARGETS


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


for _command in (table1, figure4c, figure4d, sensitivity, forecast_sensitivity, everything):
    reproduce.add_command(_command)
for _target in TARGETS.values():
    reproduce.add_command(command_of_target(_target))
