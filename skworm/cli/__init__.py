"""The ``skworm`` command."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime

import click

from skworm.cli.data import COMMANDS
from skworm.cli.options import COMMAND
from skworm.cli.reproduce import reproduce


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

    `skworm inspect RECORDINGS` shows what is in your files. `skworm train` and `skworm predict` label the states of new
    recordings. `skworm reproduce table1` scores models on worms that they have not seen; `skworm compare` and `skworm
    report` read its results.
    """


for _command in (*COMMANDS, reproduce):
    main.add_command(_command)
