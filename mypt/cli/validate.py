"""`mypt format validate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mypt.format.errors import Problem


@click.command("validate")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--checksums", is_flag=True, help="Also compare the digest of every file.")
def command(paths: tuple[str, ...], as_json: bool, checksums: bool) -> int:
    """Check bundles and preset files, reporting every problem, worst first.

    Exits with 0 if all are valid and with 1 if any is not. Neither torch nor weights are loaded.
    """
    from mypt.format.validation import validate
    from mypt.plugins.manager import load_plugins

    layouts = load_plugins().layouts
    found = {path: validate(Path(path), layouts, checksums=checksums) for path in paths}
    if as_json:
        click.echo(json.dumps([_report(path, found[path]) for path in found], indent=2))
    else:
        for path, problems in found.items():
            _print(path, problems)
    return 0 if all(_is_valid(problems) for problems in found.values()) else 1


def _is_valid(problems: list[Problem]) -> bool:
    return all(problem.severity != "error" for problem in problems)


def _report(path: str, problems: list[Problem]) -> dict[str, object]:
    import attrs

    listed = [attrs.asdict(problem) for problem in problems]
    return {"path": path, "valid": _is_valid(problems), "problems": listed}


def _print(path: str, problems: list[Problem]) -> None:
    for problem in problems:
        click.echo(f"{problem.severity}: {problem}")
    errors = sum(problem.severity == "error" for problem in problems)
    if errors:
        click.echo(f"{path}: invalid, {errors} {'error' if errors == 1 else 'errors'}")
    else:
        click.echo(f"{path}: valid")
