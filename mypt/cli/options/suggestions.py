"""Messages about options and commands that do not exist, with those that were meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mypt.cli.guidance.examples import with_example
from mypt.format.names.lookup import explain_name, find_command, format_hint

if TYPE_CHECKING:
    from collections.abc import Iterator


def explain_usage(error: click.ClickException) -> str:
    """Return the message of an error, in which an unknown name is explained."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None and isinstance(error, click.NoSuchOption):
        return f"No such option '{error.option_name}'{_explain_option(error, context)}"
    if context is not None and isinstance(error, click.NoSuchCommand):
        return f"No such command '{error.command_name}'{_explain_command(error, context)}"
    message = " ".join(error.format_message().split()).rstrip(".")  # on lines: choices
    if context is not None and isinstance(error, click.MissingParameter):
        return with_example(message, context.command_path)
    return message


def list_commands(
    group: click.Group, context: click.Context
) -> Iterator[tuple[str, click.Command]]:
    """Yield all commands below a group, with the words that call them."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None:
            yield name, command
        if isinstance(command, click.Group):
            inner = click.Context(command, parent=context, info_name=name)
            yield from ((f"{name} {word}", one) for word, one in list_commands(command, inner))


def list_options(command: click.Command) -> list[str]:
    """Return the names of the options of a command, without their dashes."""
    return [
        name.lstrip("-")
        for option in command.params
        if isinstance(option, click.Option)
        for name in (*option.opts, *option.secondary_opts)
    ]


def _explain_option(error: click.NoSuchOption, context: click.Context) -> str:
    root = context.find_root()
    is_group = isinstance(context.command, click.Group)
    elsewhere = {
        option: "written after the command" if is_group else f"an option of `{path} {words}`"
        for path, words, command in reversed(list(_walk(root)))
        for option in list_options(command)
    }
    return explain_name(error.option_name, list_options(context.command), elsewhere, "--")


def _explain_command(error: click.NoSuchCommand, context: click.Context) -> str:
    called = [f"{path} {words}" for path, words, _ in _walk(context.find_root())]
    calls = {call.removeprefix("mypt "): call for call in called}
    if isinstance(context.command, click.Group):
        here = context.command.list_commands(context)
        calls |= {name: f"{context.command_path} {name}" for name in here}
    row = find_command(error.command_name, calls)
    if row is None:
        return ""
    meant = [calls[row.ours]] if row.ours else []
    return f"{format_hint(meant)}{f': {row.how}' if row.how else ''}"


def _walk(root: click.Context) -> Iterator[tuple[str, str, click.Command]]:
    if isinstance(root.command, click.Group):
        for words, command in list_commands(root.command, root):
            yield root.command_path, words, command
