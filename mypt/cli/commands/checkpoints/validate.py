"""`mypt format validate`."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import click

from mypt.cli.options.command import Command
from mypt.cli.options.flag_names import name_flags
from mypt.cli.options.plugins import open_plugins
from mypt.cli.options.readers import parse_options, reader_options
from mypt.cli.options.values.suggested import MODEL
from mypt.cli.terminal import echo, echo_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mypt.format.errors import Problem
    from mypt.format.readers.contract import ReaderFactory
    from mypt.format.rules.plugin_settings import Settings


@click.command("validate", cls=Command)
@click.argument("paths", type=MODEL, nargs=-1, required=True, metavar="PATH_OR_MODEL...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--checksums", is_flag=True, help="Also verify the SHA-256 digest of every file.")
@reader_options()
@name_flags()
def command(
    paths: tuple[str, ...], as_json: bool, checksums: bool, options: tuple[str, ...]
) -> int:
    """Check checkpoints, presets, or whole trees of them, and report every problem, worst first.

    Exits with 0 if all are valid and with 1 if any is not, or opens only with an option or a plugin
    that a warning names. Loads neither torch nor weights.
    """
    from mypt.engine.checkpoints.paths import find_named
    from mypt.format.discover import find_to_validate
    from mypt.format.errors import has_errors
    from mypt.format.layout import BUILT_IN
    from mypt.format.lazy_mapping import LazyMapping
    from mypt.format.validate import is_valid, validate

    # A bundle of built-in parts is validated without importing plugins.
    plugins = cache(open_plugins)
    layouts = LazyMapping(BUILT_IN, lambda: plugins().layouts)
    readers: Mapping[str, ReaderFactory] = LazyMapping({}, lambda: plugins().readers)
    settings: Settings = LazyMapping({}, lambda: plugins().settings)
    every = [c for path in paths for c in find_to_validate(find_named(path), readers.values())]
    told = _share_options(every, readers.values(), parse_options(options))
    found = {
        str(checkpoint): validate(
            checkpoint,
            layouts,
            readers.values(),
            settings=settings,
            options=own,
            checksums=checksums,
        )
        for checkpoint, own in zip(every, told, strict=True)
    }
    if as_json:
        echo_json([_make_report(path, found[path]) for path in found])
    else:
        for path, problems in found.items():
            _print_problems(path, problems)
        if len(found) > len(paths):
            invalid = sum(has_errors(problems) for problems in found.values())
            waiting = sum(not is_valid(problems) for problems in found.values()) - invalid
            more = f", {waiting} not without an option or a plugin" if waiting else ""
            echo(f"{len(found)} checked, {invalid} invalid{more}")
    return 0 if all(is_valid(problems) for problems in found.values()) else 1


def _share_options(
    paths: list[Path], readers: Iterable[ReaderFactory], options: Mapping[str, Any]
) -> list[dict[str, Any]]:
    if not options:
        return [{} for _ in paths]
    from mypt.format.open import share_among  # a bundle needs none of the readers

    return share_among(paths, readers, options)


def _make_report(path: str, problems: list[Problem]) -> dict[str, object]:
    import attrs

    from mypt.format.validate import is_valid

    listed = [attrs.asdict(problem) for problem in problems]
    return {"path": path, "valid": is_valid(problems), "problems": listed}


def _print_problems(path: str, problems: list[Problem]) -> None:
    from mypt.format.errors import format_count, one_line
    from mypt.format.validate import is_valid

    for problem in problems:
        echo(f"{problem.severity}: {problem}")
    errors = sum(problem.severity == "error" for problem in problems)
    if errors:
        echo(f"{one_line(path)}: invalid, {format_count(errors, 'error')}")
    elif not is_valid(problems):
        echo(f"{one_line(path)}: opens with what the warning names")
    else:
        echo(f"{one_line(path)}: valid")
