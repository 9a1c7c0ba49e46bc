"""Write `docs/reference/commands.md` from the definitions of the commands."""

from __future__ import annotations

import inspect
from pathlib import Path

import click

from mypt.cli.main import (
    COMMANDS,
    FORMAT_COMMANDS,
    SETTINGS,
    common_options,
    format_group,
    mypt_group,
)
from mypt.cli.options.groups import GroupedCommand, group_options

TABLE = ["| flag | value | |", "|---|---|---|"]

HEAD = """# Commands

`mypt` and `python -m mypt` are the same, and so are `mypt format` and `python -m mypt.format`.
Dashes may replace underscores in flags. Exit codes: 0 success, 1 invalid or
failed, 2 wrong usage.

This page is written by `python docs/write_commands.py` from the commands themselves.

These options of every command go before its name, as in
`mypt --disable-plugin guards train ...`:
"""


def page() -> str:
    """Return the whole page."""
    parts = [HEAD, "\n".join([*TABLE, *map(_row, common_options()), ""])]
    for name in COMMANDS:
        if name != "format":
            parts.append(_section(f"mypt {name}", mypt_group, name))
            command = mypt_group.get_command(click.Context(mypt_group), name)
            for inner in command.commands if isinstance(command, click.Group) else ():
                parts.append(_section(f"mypt {name} {inner}", command, inner))
    parts += [_section(f"mypt format {name}", format_group, name) for name in FORMAT_COMMANDS]
    return "\n".join(parts)


def _section(title: str, group: click.Group, name: str) -> str:
    context = click.Context(group, info_name=title, **SETTINGS)
    command = group.get_command(context, name)
    lines = [f"## {title}", "", inspect.cleandoc(command.help or ""), ""]
    if isinstance(command, GroupedCommand):
        for heading, options in group_options(command.params).items():
            lines += [f"### {heading}", "", *TABLE, *map(_row, options), ""]
        return "\n".join(lines)
    rows = [
        _row(parameter)
        if isinstance(parameter, click.Option)
        else f"| `{parameter.make_metavar(context)}` | argument | |"
        for parameter in command.params
    ]
    return "\n".join([*lines, *TABLE, *rows, ""])


def _row(option: click.Option) -> str:
    kind = option.type.name if not option.is_flag else "flag"
    names = "`, `".join([*option.opts, *option.secondary_opts])
    text = (option.help or "").replace("|", "\\|")
    if option.show_default:
        text += f"  [default: {option.default}]"
    if isinstance(option.type, click.Choice):
        kind = " or ".join(option.type.choices)
    return f"| `{names}` | {kind} | {text} |"


if __name__ == "__main__":
    target = Path(__file__).parent / "reference" / "commands.md"
    target.write_text(page(), encoding="utf-8")
