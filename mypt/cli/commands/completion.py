"""`mypt completion`."""

from __future__ import annotations

import click

from mypt.cli.completion.shells import SHELLS, make_script
from mypt.cli.options.command import Command
from mypt.cli.terminal import echo


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    r"""Print the script by which a shell completes commands, options, models and presets.

    \b
    bash   add to ~/.bashrc:  eval "$(mypt completion bash)"
    zsh    add to ~/.zshrc, after compinit:  eval "$(mypt completion zsh)"
    fish   run once:  mypt completion fish > ~/.config/fish/completions/mypt.fish

    It takes effect in the next shell that you open.
    """
    root = context.find_root().command
    echo(make_script(shell, root), nl=False)
