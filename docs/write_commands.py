"""Write `docs/reference/commands.md` from the definitions of the commands."""

from __future__ import annotations

from pathlib import Path

import click

from mypt.cli.main import COMMANDS, FORMAT_COMMANDS, SETTINGS, format_group, mypt_group

HEAD = """# Commands

Every command is `mypt ...` and equally `python -m mypt ...`; `mypt format ...` is also
`python -m mypt.format ...`. Dashes work in place of underscores. Exit codes: 0 well, 1 invalid or
failed, 2 wrong usage.

This page is written by `python docs/write_commands.py` from the commands themselves.
"""


def page() -> str:
    """Give the whole page."""
    parts = [HEAD]
    for name in COMMANDS:
        if name != "format":
            parts.append(_section(f"mypt {name}", mypt_group, name))
    parts += [_section(f"mypt format {name}", format_group, name) for name in FORMAT_COMMANDS]
    return "\n".join(parts)


def _section(title: str, group: click.Group, name: str) -> str:
    context = click.Context(group, info_name=title, **SETTINGS)
    command = group.get_command(context, name)
    rows = []
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            kind = parameter.type.name if not parameter.is_flag else "flag"
            names = "`, `".join([*parameter.opts, *parameter.secondary_opts])
            text = (parameter.help or "").replace("|", "\\|")
            if isinstance(parameter.type, click.Choice):
                kind = " or ".join(parameter.type.choices)
            rows.append(f"| `{names}` | {kind} | {text} |")
        else:
            rows.append(f"| `{parameter.make_metavar(context)}` | argument | |")
    lines = [f"## {title}", "", command.help or "", "", "| flag | value | |", "|---|---|---|"]
    return "\n".join([*lines, *rows, ""])


if __name__ == "__main__":
    target = Path(__file__).parent / "reference" / "commands.md"
    target.write_text(page(), encoding="utf-8")
