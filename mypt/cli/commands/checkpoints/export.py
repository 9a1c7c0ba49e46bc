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
@click.option("--to", type=TEXT, required=True, help="hf: Hugging Face.")
@model_argument
@click.option("--output", type=TEXT, required=True, help="File or folder to create.")
@reader_options()
@name_flags()
@optional_output()
def command(to: str, model_name: str, output: str, options: tuple[str, ...]) -> None:
    """Export a model to the format of another program, with the same logits."""
    from mypt.api.export import export_model
    from mypt.engine.checkpoints.paths import find_checkpoint

    source = find_checkpoint(model_name)
    given = parse_options(options)
    lines = export_model(source, to, Path(output), plugins=open_plugins(), options=given)
    echo(f"{source} -> {output}: exported")
    for line in lines:
        echo(f"  {line}")
