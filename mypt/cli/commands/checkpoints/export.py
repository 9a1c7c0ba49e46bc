"""`mypt export`."""

from __future__ import annotations

from pathlib import Path

import click

from mypt.cli.options.command import Command
from mypt.cli.options.flag_names import name_flags
from mypt.cli.options.named_argument import model_argument
from mypt.cli.options.plugins import open_plugins
from mypt.cli.options.readers import parse_options, reader_options
from mypt.cli.options.text import TEXT
from mypt.cli.standard_output import optional_output
from mypt.cli.terminal import echo


@click.command("export", cls=Command)
@click.option("--to", "form", type=click.Choice(["hf"]), required=True, help="hf: Hugging Face.")
@model_argument
@click.option("--output", type=TEXT, required=True, help="Folder to create.")
@reader_options()
@name_flags()
@optional_output()
def command(form: str, model_name: str, output: str, options: tuple[str, ...]) -> None:
    """Export a model to the format of another program, with the same logits."""
    from mypt.engine.checkpoints.paths import find_checkpoint
    from mypt.export.hugging_face import EXPORTERS

    source = find_checkpoint(model_name)
    lines = EXPORTERS[form](source, Path(output), open_plugins(), parse_options(options))
    echo(f"{source} -> {output}: exported")
    for line in lines:
        echo(f"  {line}")
