"""`mypt chat`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from mypt.cli.generation.loaded_model import load_model
from mypt.cli.generation.processors import processor_options
from mypt.cli.generation.request import make_request
from mypt.cli.generation.rounding import (
    choose_device,
    choose_rounding,
    round_weights,
    weights_options,
)
from mypt.cli.options.command import Command
from mypt.cli.options.conflicts import CHAT_CONFLICTS, check_conflicts
from mypt.cli.options.flag_names import name_flags
from mypt.cli.options.named_argument import model_argument
from mypt.cli.options.readers import base_option, reader_options
from mypt.cli.options.sampling import sampling_option, sampling_options
from mypt.cli.options.text import SYSTEM_PROMPT, TEXT
from mypt.cli.options.values.suggested import CHAT_TEMPLATE
from mypt.cli.terminal import echo
from mypt.gc_pause import pause_gc

if TYPE_CHECKING:
    from mypt.api.gpt import GPT
    from mypt.engine.inference.conversation import Chat


@click.command("chat", cls=Command)
@model_argument
@reader_options()
@base_option()
@click.option("--system", type=SYSTEM_PROMPT, help="System prompt: what the model is told first.")
@click.option(
    "--chat_template",
    type=CHAT_TEMPLATE,
    help="Another chat template than the model's: a file, or the name of one that ships with mypt.",
)
@click.option(
    "--max_new_tokens",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    help="Maximum number of tokens of an answer.",
)
@sampling_options
@sampling_option("seed", int, "Random seed; the same seed gives the same answers.")
@processor_options
@click.option("--stop", type=TEXT, multiple=True, help="Stop before this text; may be repeated.")
@click.option(
    "--stop_token",
    type=TEXT,
    multiple=True,
    help="Stop before this token, an id or its text, too; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per answer.")
@weights_options
@click.pass_context
@name_flags()
def command(
    context: click.Context,
    /,
    model_name: str,
    options: tuple[str, ...],
    base: str | None,
    device: str | None,
    as_json: bool,
    int8: bool,
    dtype: str | None,
    **wanted: Any,
) -> int:
    """Talk with a model that was trained on conversations.

    Questions come from the terminal, where /help lists the commands, or from standard input, one on
    each line.
    """
    check_conflicts(context, CHAT_CONFLICTS)
    rounding = choose_rounding(dtype, int8=int8)
    with pause_gc(freeze=True):
        model = load_model(model_name, None, options, choose_device(device, rounding), base)
    chat = _begin_chat(model, **wanted)
    if rounding is not None:
        round_weights(model, rounding)
    from mypt.cli.conversation.session import Session

    is_terminal = sys.stdin.isatty()
    failed = Session(chat, as_json=as_json).run()
    return 1 if failed and not is_terminal else 0


def _begin_chat(model: GPT, system: str | None, chat_template: str | None, **wanted: Any) -> Chat:
    from mypt.tokenizers.chat_template import read_template

    request = make_request([], samples=1, batch_size=1, **wanted)
    chat = model.chat(
        system=system,
        chat_template=None if chat_template is None else read_template(chat_template),
        max_new_tokens=request.max_new_tokens,
        sampling=request.sampling,
        stop=request.stop,
        stop_tokens=request.stop_tokens,
    )
    chat.report = lambda text: echo(f"note: {text}", err=True)
    return chat
