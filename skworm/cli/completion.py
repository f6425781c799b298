"""``skworm completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(short_help="Print a script for completion by the Tab key.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    r"""Print a script that lets the Tab key complete commands, options, names and paths in your SHELL.

    Put it where your shell looks for such scripts, and open a new terminal:

    \b
    bash   skworm completion bash > ~/.local/share/bash-completion/completions/skworm
    zsh    skworm completion zsh > "${fpath[1]}/_skworm"
    fish   skworm completion fish > ~/.config/fish/completions/skworm.fish

    The folder must exist (mkdir -p makes it); bash needs its package bash-completion for this. Without that package,
    add the line eval "$(skworm completion bash)" to ~/.bashrc.
    """
    root = click.get_current_context().find_root()
    make = get_completion_class(shell)
    if make is None:
        raise click.ClickException(f"this version of click knows no completion for {shell}; update click")
    click.echo(make(root.command, {}, "skworm", "_SKWORM_COMPLETE").source())
