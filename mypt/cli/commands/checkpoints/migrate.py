"""`mypt format migrate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mypt.cli.options.command import Command
from mypt.cli.options.flag_names import name_flags
from mypt.cli.options.no_lock import no_lock_option
from mypt.cli.options.plugins import open_plugins
from mypt.cli.options.readers import parse_options, reader_options
from mypt.cli.options.values.suggested import FOLDER, MODEL
from mypt.cli.standard_output import optional_output
from mypt.cli.terminal import echo
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypt.format.migrate import Report


@click.command("migrate", cls=Command)
@click.argument("path", type=MODEL, metavar="PATH_OR_MODEL")
@click.option(
    "--to",
    "version",
    type=click.Choice([FORMAT_VERSION, "1"]),
    default=FORMAT_VERSION,
    show_default=True,
    help="Format version to write; 1 is for the earlier MyPT.",
)
@click.option("--output", type=FOLDER, help="Folder to write; by default one beside the source.")
@click.option("--dry_run", is_flag=True, help="Only print what would be done.")
@click.option("--all", "everything", is_flag=True, help="Migrate all checkpoints below the path.")
@no_lock_option()
@reader_options()
@name_flags()
@optional_output()
def command(
    path: str,
    version: str,
    output: str | None,
    dry_run: bool,
    everything: bool,
    no_lock: bool,
    options: tuple[str, ...],
) -> int:
    """Convert a legacy or foreign checkpoint to the current format.

    The source is never modified. The result is read back and compared with the source before it
    is committed.
    """
    from mypt.engine.checkpoints.paths import find_named
    from mypt.format.migrate import Migrator
    from mypt.format.version import MYPT_VERSION

    if everything and output is not None:
        message = "--output names one folder and cannot be used with --all"
        raise click.UsageError(message)
    if version == "1" and (everything or options):
        message = "--to 1 cannot be used with --all or --option"
        raise click.UsageError(message)
    plugins = open_plugins()
    migrator = Migrator(
        readers=tuple(plugins.readers.values()),
        written_by=f"mypt {MYPT_VERSION}",
        layouts=plugins.layouts,
        settings=plugins.settings,
        version_of=plugins.version_of,
        options=parse_options(options),
        dry_run=dry_run,
        no_lock=no_lock,
    )
    source, target = find_named(path), Path(output) if output is not None else None
    if version == "1":
        from mypt.format.downgrade import downgrade

        _print_report(downgrade(source, target, plugins.layouts, plugins.settings, dry_run=dry_run))
    elif everything:
        return _print_reports(migrator.migrate_all(source))
    else:
        _print_report(migrator.migrate(source, target))
    return 0


def _print_reports(reports: Iterable[Report]) -> int:
    """Print each report as it arrives, and return the exit code."""
    results = []
    for report in reports:
        _print_report(report)
        results.append(report.result)
    failed = results.count("failed")
    echo(f"{len(results)} checkpoints, {failed} failed")
    return 1 if failed else 0


def _print_report(report: Report) -> None:
    from mypt.format.errors import one_line

    echo(one_line(f"{report.source} -> {report.output}: {report.result}"))
    for line in report.lines:
        echo(f"  {one_line(line)}")
