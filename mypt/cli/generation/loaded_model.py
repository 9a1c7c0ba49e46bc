"""The model of a command, and what is to be said of its checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.cli.options.plugins import open_plugins
from mypt.cli.options.readers import parse_options
from mypt.cli.terminal import echo

if TYPE_CHECKING:
    from mypt.api.gpt import GPT
    from mypt.format.opened import Opened


def load_model(
    model_name: str,
    legacy_checkpoint: str | None,
    options: tuple[str, ...],
    device: str | None,
    base: str | None = None,
) -> GPT:
    """Open a model for inference, and print the warnings about it.

    Args:
        model_name: Its name, or a path.
        legacy_checkpoint: A file in its folder to open instead.
        options: Settings for the reader of a foreign checkpoint, as the flags have them.
        device: Where to put it; None for the fastest.
        base: Of an adapter, the path or name of its base; None to look for it.
    """
    from mypt.api.load import open_model
    from mypt.engine.checkpoints.paths import find_checkpoint

    return open_model(
        find_checkpoint(model_name, legacy_checkpoint),
        open_plugins(),
        parse_options(options),
        device=device,
        report=print_warnings,
        base=base,
    )


def print_warnings(opened: Opened) -> None:
    """Print what a user should know of a checkpoint that is opened for inference."""
    from mypt.format.errors import one_line

    for note in opened.remarks:
        echo(f"note: {one_line(note)}", err=True)
    unknown = opened.lacking if opened.tokenizer is None else ()  # and so nothing asks for it
    for warning in (*opened.warnings, *map(str, unknown)):
        echo(f"warning: {one_line(warning)}", err=True)
