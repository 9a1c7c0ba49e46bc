"""`--disable-plugin` and `--strict-plugins`, the plugin options that every command has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mypt.cli.terminal import echo
from mypt.cli.tracebacks import show_tracebacks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.shell_completion import CompletionItem

    from mypt.plugins.faults import Fault
    from mypt.plugins.manager import Plugins
    from mypt.plugins.packages import FoundEntryPoints

DISABLED, STRICT = "disable_plugin", "strict_plugins"


def plugin_options() -> list[click.Option]:
    """Return the options of a group of commands."""
    return [
        click.Option(
            [f"--{DISABLED}"],
            shell_complete=_suggest_plugins,
            multiple=True,
            is_eager=True,
            metavar="NAME",
            help="Do not load this plugin, or the plugins of this package; may be repeated.",
        ),
        click.Option(
            [f"--{STRICT}"],
            is_flag=True,
            is_eager=True,
            help="Load all plugins first, and stop if any of them has a fault.",
        ),
    ]


def _suggest_plugins(
    context: click.Context, option: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from mypt.cli.options.values.provided import PLUGIN

    return PLUGIN.shell_complete(context, option, incomplete)


def check_plugins(context: click.Context) -> None:
    """Load all plugins if `--strict-plugins` is given, and raise if any has a fault.

    Raises:
        PluginError: At least one has a fault; the error holds all of them.
    """
    if context.params.get(STRICT) and not context.resilient_parsing:
        from attrs import evolve

        from mypt.format.errors import PluginError
        from mypt.plugins.manager import load_plugins

        plugins = load_plugins(_list_disabled(context))
        with show_tracebacks(context):
            plugins.load_all()
        if plugins.faults:
            raise PluginError(*(evolve(f.problem, severity="error") for f in plugins.faults))


def open_plugins(*, quiet: bool = False) -> Plugins:
    """Find the plugins for the command that runs.

    Args:
        quiet: Do not print the faults of plugins, for a command that does so itself.
    """
    from mypt.plugins.manager import load_plugins

    disabled = _list_disabled(click.get_current_context())
    plugins = load_plugins(disabled, report=None if quiet else _print_fault)
    _warn_about_unknown(plugins)
    return plugins


def open_command_plugins(context: click.Context, found: FoundEntryPoints) -> Plugins:
    """Find the plugins whose entry points say that they have commands; none of the others.

    Args:
        context: The command line.
        found: Those entry points.
    """
    from mypt.plugins.manager import load_command_plugins

    return load_command_plugins(found, _list_disabled(context), report=_print_fault)


def _warn_about_unknown(plugins: Plugins) -> None:
    """Warn about each `--disable-plugin` that matches nothing.

    The environment variable may be meant for other environments, so it is not checked.
    """
    for name in _list_disabled(click.get_current_context()):
        if not plugins.has(name):
            what = "is neither a plugin nor a package with plugins"
            echo(f"warning: --disable-plugin {name}: {what}; see: mypt plugins", err=True)


def _list_disabled(context: click.Context | None) -> Iterator[str]:
    while context is not None:
        names: Any = context.params.get(DISABLED) or ()
        yield from names
        context = context.parent


def _print_fault(fault: Fault) -> None:
    echo(f"warning: {fault.problem}", err=True)
