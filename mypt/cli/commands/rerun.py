"""`mypt rerun`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mypt.cli.commands.train import report_outcome, saying_what_is_saved
from mypt.cli.options.command import Command
from mypt.cli.options.flag_names import name_flags
from mypt.cli.options.no_lock import no_lock_option
from mypt.cli.options.plugins import open_plugins
from mypt.cli.options.readers import parse_options, reader_options
from mypt.cli.options.text import TEXT
from mypt.cli.options.values.suggested import MODEL
from mypt.cli.standard_output import optional_output
from mypt.cli.terminal import echo
from mypt.cli.typed_command import typed_command
from mypt.engine.config.precedence import TrainRequest
from mypt.engine.logging.activity import show_activity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypt.engine.training.launch import Outcome
    from mypt.format.opened import Opened


@click.command("rerun", cls=Command)
@click.argument("model", type=MODEL)
@click.option(
    "--model_name",
    type=TEXT,
    help="Name of the new model, its folder in checkpoints/.  [default: MODEL_rerun]",
)
@reader_options()
@no_lock_option()
@name_flags()
@optional_output()
def command(model: str, model_name: str | None, *, no_lock: bool, options: tuple[str, ...]) -> int:
    """Do the run of a model again from its beginning, under another name.

    MODEL is the name of a model in checkpoints/, or a path. Its settings, its vocabulary, its data
    and its seed are used again. What else decides the weights, such as the versions of mypt and
    torch, the device and the content of the data, is compared, and what differs is reported. An
    --option is for the checkpoint of another program that it began with, if it did. To go on after
    an interruption, resume the new model with `mypt train`.
    """
    with show_activity("Loading PyTorch"):
        from mypt.engine.training.launch import run_training
    from mypt.engine.checkpoints.paths import find_checkpoint
    from mypt.format.open import open_checkpoint, recognise

    plugins, path, told = open_plugins(), find_checkpoint(model), parse_options(options)
    is_foreign = recognise(path, plugins.readers.values())[1] is not None
    original = open_checkpoint(path, plugins, told if is_foreign else None)
    request = TrainRequest(
        model_name=model_name or f"{original.path.resolve().name}_rerun",
        options=told,  # of a bundle those for the model whose weights it began with
        no_lock=no_lock,
        command=typed_command(),
        again=original,
    )
    with saying_what_is_saved(request):
        outcome = run_training(request, plugins)
        code = report_outcome(outcome, request)
    if outcome.is_main and outcome.complete:
        for line in compare_weights(original, outcome):
            echo(line)
    return code


def compare_weights(original: Opened, outcome: Outcome) -> Iterator[str]:
    """Yield a line that says whether both models have the same weights.

    There is none where the first is of another step, or a copy of another dtype.
    """
    from mypt.format.storage.files import MODEL
    from mypt.format.storage.generations import read_manifest

    state, made = original.training_state, read_manifest(outcome.folder)
    if state is None or original.manifest is None or made is None:
        return
    if state.step != outcome.state.step or state.copy_of is not None:
        return
    if original.manifest.files[MODEL].sha256 == made.files[MODEL].sha256:
        yield f"  Its weights are those of {original.path}, byte for byte"
    else:
        yield f"  Its weights are not those of {original.path}"
