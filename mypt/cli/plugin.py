"""Registers the commands that come with mypt."""

from __future__ import annotations

import importlib
from functools import partial
from typing import TYPE_CHECKING

from mypt.cli.command_table import COMMANDS
from mypt.plugins import CommandFactory, hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def mypt_commands() -> list[CommandFactory]:
    """Offer the built-in commands, which are imported where one is looked up."""
    return [
        CommandFactory(name, text, load=partial(load_command, module))
        for name, (module, text) in COMMANDS.items()
    ]


def load_command(module: str) -> click.Command:
    """Import a command.

    Args:
        module: The module that defines it as `command`.
    """
    command: click.Command = importlib.import_module(module).command
    return command
