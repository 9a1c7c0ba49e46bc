"""`mypt merge`."""

from __future__ import annotations

from pathlib import Path

import click

from mypt.cli.options.command import Command
from mypt.cli.options.flag_names import name_flags
from mypt.cli.options.named_argument import model_argument
from mypt.cli.options.no_lock import no_lock_option
from mypt.cli.options.plugins import open_plugins
from mypt.cli.options.readers import base_option, parse_options, reader_options
from mypt.cli.options.values.suggested import FOLDER
from mypt.cli.standard_output import optional_output
from mypt.cli.terminal import echo
from mypt.format.storage.files import is_folder, is_present


@click.command("merge", cls=Command)
@model_argument
@click.option("--output", type=FOLDER, required=True, help="Folder of the model to create.")
@reader_options()
@base_option()
@no_lock_option()
@name_flags()
@optional_output()
def command(
    model_name: str, output: str, options: tuple[str, ...], base: str | None, no_lock: bool
) -> None:
    """Make a whole model of an adapter and its base; both stay as they are."""
    from mypt.api.load import open_model
    from mypt.engine.checkpoints.paths import find_checkpoint
    from mypt.format.errors import Problem, UsageError

    source, target = find_checkpoint(model_name), Path(output)
    if is_present(target) and (not is_folder(target) or any(target.iterdir())):
        what, fix = "exists already and is not an empty folder", "name another one"
        raise UsageError(Problem(output, "", what, fix, kind="merge.output"))
    model = open_model(source, open_plugins(), parse_options(options), device="cpu", base=base)
    adapter = model.config.adapter
    if adapter is None:
        what, fix = "is a whole model already", "use it as it is"
        raise UsageError(Problem(str(source), "", what, fix, kind="merge.whole"))
    model.merge_adapter().save(target, no_lock=no_lock)
    echo(f"{source} -> {target}: merged with {adapter.base}")
