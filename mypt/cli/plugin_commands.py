"""Commands that plugins add to mypt's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mypt.cli.options.plugins import open_command_plugins, open_plugins
from mypt.plugins.packages import COMMANDS_GROUP, find_entry_points

if TYPE_CHECKING:
    from mypt.plugins.manager import Plugins

_PLUGINS = "mypt.plugins"
_FOR_USERS = (click.ClickException, click.exceptions.Exit, click.Abort, OSError)


def find_command(context: click.Context, name: str) -> click.Command | None:
    """Import the command of a plugin; return None if no plugin offers one of that name.

    Raises:
        PluginError: Two plugins offer it, or it cannot be imported.
    """
    plugins = _open_once(context)
    return plugins.command(name).load() if name in plugins.commands else None


def list_offered(context: click.Context) -> list[tuple[str, str]]:
    """Return the names and the help of the commands of plugins, without importing them.

    A plugin is asked only if its entry point is in the group `mypt.commands`: nobody waits for
    other plugins before the help.
    """
    found = find_entry_points((COMMANDS_GROUP,))
    if not any(found):
        return []
    commands = open_command_plugins(context, found).registry("mypt_commands")
    return [
        (name, factory.help)
        for name, factory in commands.factories.items()
        if not commands.sources[name].is_built_in
    ]


def name_plugin(context: click.Context, error: Exception) -> None:
    """Name the plugin of the command that raised an error, if it is none that a user can mend.

    Raises:
        PluginError: It is the code of a plugin that failed.
    """
    from attrs import evolve

    from mypt.format.errors import MyptError, PluginError
    from mypt.plugins.isolation import make_call_fault

    plugins: Plugins | None = context.meta.get(_PLUGINS)
    name = context.invoked_subcommand or ""
    source = plugins and plugins.source_of("mypt_commands", name)
    if source and not isinstance(error, (*_FOR_USERS, MyptError)):
        fault = make_call_fault(source, "invoke", f"command `{name}`", error)
        raise PluginError(evolve(fault.problem, severity="error")) from error


def _open_once(context: click.Context) -> Plugins:
    """Return the plugins of a command line, whose faults are reported once."""
    plugins: Plugins = context.meta.get(_PLUGINS) or open_plugins()
    context.meta[_PLUGINS] = plugins
    return plugins
