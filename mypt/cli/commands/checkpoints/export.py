"""`mypt export`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mypt.cli.options.command import Command
from mypt.cli.options.flag_names import name_flags
from mypt.cli.options.named_argument import model_argument
from mypt.cli.options.plugins import open_plugins
from mypt.cli.options.readers import base_option, parse_options, reader_options
from mypt.cli.options.text import TEXT
from mypt.cli.options.values.provided import list_provided
from mypt.cli.options.values.suggested import FILE, SuggestedText
from mypt.cli.standard_output import optional_output
from mypt.cli.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Callable

# The options of exporters that have a flag of their own.
_FLAGS = {
    "dtype": "dtype to write, such as float32, bfloat16 or float16; by default that of the model.",
    "max_shard_size": "Size of one file of weights at most, such as 500MB or 5GB; by default there "
    "is one file.",
}


def _add_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    for name, meaning in reversed(_FLAGS.items()):
        function = click.option(f"--{name}", type=TEXT, help=meaning)(function)
    return function


class _ExporterName(SuggestedText):
    """The name of an exporter, which is looked up among those of all plugins."""

    name = "name"

    def get_missing_message(
        self,
        param: click.Parameter,  # noqa: ARG002
        ctx: click.Context | None,  # noqa: ARG002
    ) -> str:
        """Return the names that there are."""
        return "Choose from:\n\t" + ",\n\t".join(list_provided("exporters"))


@click.command("export", cls=Command)
@click.option(
    "--to",
    type=_ExporterName(partial(list_provided, "exporters")),
    required=True,
    help="Program: hf (transformers), gguf (llama.cpp), litgpt, llama2c, peft (an adapter), or "
    "that of a plugin.",
)
@model_argument
@click.option("--output", type=FILE, required=True, help="Folder or file to create.")
@_add_flags
@reader_options(
    "Set an option of the exporter, or what a checkpoint of another program does not record; may "
    "be repeated."
)
@base_option()
@name_flags()
@optional_output()
def command(
    to: str,
    model_name: str,
    output: str,
    options: tuple[str, ...],
    base: str | None,
    **flags: str | None,
) -> None:
    """Export a model to the format of another program, with the same logits."""
    from mypt.api.export import export_model
    from mypt.engine.checkpoints.paths import find_checkpoint

    given = [f"{name}={value}" for name, value in flags.items() if value is not None]
    named = {option.partition("=")[0] for option in options}
    twice = [name for name in flags if flags[name] is not None and name in named]
    if twice:
        message = f"--{twice[0]} and --option {twice[0]}=... are the same; leave one out"
        raise click.UsageError(message)
    source, plugins = find_checkpoint(model_name), open_plugins()
    told = parse_options([*given, *options])
    lines = export_model(source, to, Path(output), plugins=plugins, options=told, base=base)
    echo(f"{source} -> {output}: exported")
    for line in lines:
        echo(f"  {line}")
