"""`mypt list`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unicodedata import east_asian_width

import click

from mypt.cli.guidance.examples import EXAMPLES
from mypt.cli.options.command import Command
from mypt.cli.options.plugins import open_plugins
from mypt.cli.options.values.suggested import FOLDER
from mypt.cli.terminal import echo, echo_json
from mypt.cli.wrapping import terminal_width

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LEAST_NAME = 20
_GAP = "  "
_COLUMNS = ("format", "params", "step", "best loss", "saved", "size", "copy")
_RIGHT = frozenset({"params", "step", "best loss", "size"})
# What a narrow terminal does without, in this order.
_DROPPED = ("format", "size", "params", "saved", "copy", "best loss", "step")


@click.command("list", cls=Command)
@click.argument("folder", type=FOLDER, required=False, metavar="[DIR]")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of one object for each.")
def command(folder: str | None, as_json: bool) -> None:
    """List every checkpoint below DIR (default: checkpoints), of any format that mypt can read.

    The models that were saved last come first, and the copies of a model below it: gold, half
    precision and numbered ones, links, and others with the same weights or of the same run. No
    weights are read, and what does not open is listed with the reason. To check the files
    themselves: mypt format validate --checksums.
    """
    from mypt.api.listing import list_checkpoints
    from mypt.engine.config.folders import CHECKPOINTS
    from mypt.format.storage.save_errors import explain_no_folder

    place = str(CHECKPOINTS) if folder is None else folder
    found = list_checkpoints(place, plugins=open_plugins())
    if as_json:
        echo_json(found)
    elif not found:
        hint = f"train one with: {EXAMPLES['mypt train']}" if folder is None else ""
        hint = "; ".join(explain_no_folder(Path(place)) or filter(None, [hint]))
        echo(f"no checkpoints below {place}{hint and '; '}{hint}", err=True)
    else:
        echo("\n".join([*_format_table(found, terminal_width()), "", _format_sum(found)]))


def _format_sum(found: Sequence[Mapping[str, Any]]) -> str:
    from mypt.api.listing import NEEDS
    from mypt.format.errors import format_count

    problems = [one["problem"] for one in found if not one["valid"]]
    waiting = sum(problem.startswith(NEEDS) for problem in problems)
    faulty = len(problems) - waiting
    parts = [
        format_count(len(found), "checkpoint"),
        *([f"{faulty:,} not valid"] if faulty else []),
        *([f"{waiting:,} not without an option, a plugin or a newer mypt"] if waiting else []),
    ]
    return ", ".join(parts)


def _format_table(found: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    """Return the lines of a table that is as wide as a terminal.

    A name that is too long loses its middle, and before it loses too much, columns are left out.
    """
    paths = {one["path"] for one in found}
    rows = [_format_row(one, paths) for one in found]
    opened = [row for row in rows if row["params"]]
    columns = {
        title: max(len(title), *(len(row[title]) for row in opened))
        for title in _COLUMNS
        if any(row[title] for row in opened)
    }
    longest = max(len("name"), *(_measure(row["name"]) for row in rows))
    for title in ("", *_DROPPED):
        columns.pop(title, None)
        room = width - sum(size + len(_GAP) for size in columns.values())
        if room >= min(longest, max(_LEAST_NAME, width // 3)):
            break
    names = min(longest, max(room, _LEAST_NAME))
    lines = [_join("name".ljust(names), {title: title for title in columns}, columns)]
    for row in rows:
        name = _shorten(row["name"], names)
        name += " " * (names - _measure(name))
        if row["params"]:
            lines.append(_join(name, row, columns))
            lines += [_cut(f"    {row['problem']}", width)] if row["problem"] else []
        else:
            lines.append(_cut(f"{name}{_GAP}{row['problem']}", width))
    return [line.rstrip() for line in lines]


def _format_row(one: Mapping[str, Any], paths: set[str]) -> dict[str, str]:
    """Return the cells of a checkpoint by the titles of their columns, and its problem."""
    from mypt.api.listing import NEEDS
    from mypt.engine.humanize import short_bytes, short_count
    from mypt.format.errors import one_line

    is_below = one["copy_of"] in paths
    kind, of = one["copy_kind"] or "", "" if is_below or not one["copy_of"] else one["copy_of"]
    modified, size = one["modified"], one["size_bytes"]
    saved = None if modified is None else datetime.fromisoformat(modified).astimezone()
    loss, params = one["best_loss"], one["parameters"]
    problem = one["problem"]
    if problem is not None and not problem.startswith(NEEDS):
        problem = f"not valid: {problem}"
    return {
        "name": one_line(f"{'  ' if is_below else ''}{one['name']}"),
        "format": _name_format(one["format"]),
        "params": "" if params is None else short_count(params),
        "step": "" if one["step"] is None else f"{one['step']:,}",
        "best loss": "" if loss is None else f"{loss:.4f}",
        "saved": "" if saved is None else f"{saved:%Y-%m-%d %H:%M}",
        "size": "" if size is None else short_bytes(size),
        "copy": one_line(f"{kind}{' of ' if kind != 'link' else ' to '}{of}" if of else kind),
        "problem": one_line(problem or ""),
    }


def _name_format(name: str | None) -> str:
    """Return program and version of the formats of mypt, and the name of any other."""
    from mypt.format.readers import mypt_file, mypt_folder

    own = {mypt_file.NAME: "MyPT 0", mypt_folder.NAME: "MyPT 1", None: ""}
    return own.get(name, f"mypt {name}" if name and name[0].isdigit() else name or "")


def _join(name: str, cells: Mapping[str, str], columns: Mapping[str, int]) -> str:
    padded = (
        cells[title].rjust(size) if title in _RIGHT else cells[title].ljust(size)
        for title, size in columns.items()
    )
    return _GAP.join([name, *padded])


def _shorten(name: str, width: int) -> str:
    """Leave out the middle of a name: its end is often what sets it apart."""
    if _measure(name) <= width:
        return name
    end = (width - 3) * 2 // 3
    return f"{_fit(name, width - 3 - end)}...{_fit(name[::-1], end)[::-1]}"


def _cut(line: str, width: int) -> str:
    return line if _measure(line) <= width else f"{_fit(line, width - 3)}..."


def _fit(text: str, width: int) -> str:
    """Return as much of the beginning of a text as fits."""
    size = min(len(text), width)
    while _measure(text[:size]) > width:
        size -= 1
    return text[:size]


def _measure(text: str) -> int:
    """Return how many columns of a terminal a text takes; a Chinese character takes two."""
    return len(text) + sum(east_asian_width(character) in "WF" for character in text)
