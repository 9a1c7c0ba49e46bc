"""`mypt data`."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from mypt.cli.commands.data_progress import show_progress
from mypt.cli.commands.data_report import print_conversations, print_description, print_part
from mypt.cli.main import SETTINGS
from mypt.cli.options.command import Group
from mypt.cli.options.conflicts import DATA_CONFLICTS, check_conflicts
from mypt.cli.options.fields import JsonType, with_default
from mypt.cli.options.flag_names import name_flags
from mypt.cli.options.no_lock import no_lock_option
from mypt.cli.options.plugins import open_plugins
from mypt.cli.options.readers import base_option, parse_options, reader_options
from mypt.cli.options.values.provided import TOKENIZATION, provided
from mypt.cli.options.values.suggested import (
    CHAT_TEMPLATE,
    FILE,
    FOLDER,
    MODEL,
    PRESET,
)
from mypt.cli.standard_output import optional_output
from mypt.cli.terminal import echo, echo_json
from mypt.engine.config.presets import DEFAULT_TOKENIZATION

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.cli.options.readers import F
    from mypt.data.inspection.preview import ShownConversation
    from mypt.data.prepare.part import Part
    from mypt.format.documents.tokenizer import TokenizerState
    from mypt.format.opened import Opened
    from mypt.plugins.contracts.tokenizer import Tokenizer
    from mypt.plugins.manager import Plugins

    _PartBase = click.ParamType[Part]
else:
    _PartBase = click.ParamType  # which older releases of click know for no type of value

_PART = re.compile(r"(\d{1,18})/(\d{1,18})")


@click.group("data", cls=Group, context_settings=SETTINGS)
def command() -> None:
    """Prepare data sets for training, and inspect them."""


_output = click.option("--output", type=FOLDER, required=True, help="Folder for the data set.")
_tokenization = click.option(
    "--tokenization",
    type=TOKENIZATION,
    help=with_default(
        "Tokenizer to use: char, gpt2, or a plugin's.", f"the preset's, or {DEFAULT_TOKENIZATION}"
    ),
)
_config_file = click.option(
    "--config_file",
    type=PRESET,
    help="Preset whose tokenizer to use, with its options: a path, or the name of a shipped one.",
)
_plugins = click.option(
    "--plugins",
    type=JsonType(),
    help="Options of the tokenizer, under the name of its package; they win over the preset's.",
)
_from_model = click.option(
    "--from_model",
    type=MODEL,
    help="Use the tokenizer of this model instead, as fine-tuning requires.",
)


def _val_fraction(of_what: str) -> Callable[[F], F]:
    """Return a decorator for a command that leaves something to train on and to validate on."""
    return click.option(
        "--val_fraction",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        default=0.1,
        show_default=True,
        help=f"Fraction of the {of_what} for validation.",
    )


class _PartType(_PartBase):
    """Which part of how many, as `3/8`."""

    name = "K/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Part:
        """Parse the two numbers."""
        from mypt.data.prepare.part import Part

        found = _PART.fullmatch(str(value))
        part = None if found is None else Part(int(found[1]), int(found[2]))
        if part is None or not 1 <= part.number <= part.of:
            self.fail(f"`{value}` is no part of a number of parts; write it as 3/8", param, ctx)
        return part


@command.command("prepare")
@click.argument("inputs", type=FILE, nargs=-1, required=True, metavar="INPUT...")
@_output
@_tokenization
@_config_file
@_plugins
@_from_model
@click.option(
    "--tokenizer_from",
    type=FOLDER,
    help="Use the tokenizer of this data set instead, or of a part of one.",
)
@reader_options()
@click.option(
    "--val_fraction",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.1,
    show_default=True,
    help="Fraction of the text for validation; 1 makes an evaluation set.",
)
@click.option(
    "--val_file",
    "val_inputs",
    type=FILE,
    multiple=True,
    help="Text to validate on, as INPUT, all of which is then trained on; may be repeated.",
)
@click.option(
    "--tokens_per_shard",
    type=click.IntRange(1),
    default=10_000_000,
    show_default=True,
    help="Tokens per full shard.",
)
@click.option(
    "--dtype",
    type=click.Choice(["auto", "uint16", "uint32"]),
    default="auto",
    show_default=True,
    help="Type of the token ids; auto is uint16 where they fit. The earlier MyPT reads uint32.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Processes that tokenize; by default one per processor.",
)
@click.option(
    "--data_source",
    type=provided("data_sources"),
    help="What reads the inputs: text, jsonl, or a plugin's; by default what recognises each.",
)
@click.option(
    "--data_options",
    type=JsonType(),
    help="Options of what reads the inputs, such as the field of the text in JSON lines.",
)
@click.option(
    "--part",
    type=_PartType(),
    help="Prepare only the K-th of N parts of the text, as on one of N machines, for `join`.",
)
@no_lock_option()
@optional_output()
@name_flags()
def prepare_command(
    inputs: tuple[str, ...],
    output: str,
    from_model: str | None,
    tokenizer_from: str | None,
    options: tuple[str, ...],
    val_fraction: float,
    val_inputs: tuple[str, ...],
    tokens_per_shard: int,
    dtype: Literal["auto", "uint16", "uint32"],
    workers: int | None,
    data_source: str | None,
    data_options: dict[str, Any] | None,
    part: Part | None,
    *,
    no_lock: bool,
    **flags: Any,
) -> None:
    """Tokenize texts of any size into shards.

    INPUT is a file with text, such as .txt, .jsonl, or one of these as .gz, a folder of such files,
    or - for standard input. Run the same command again to resume an interrupted preparation.
    """
    from mypt.data.prepare.parallel import available_workers
    from mypt.data.prepare.tokens import Preparation, prepare

    check_conflicts(click.get_current_context(), DATA_CONFLICTS)
    plugins = open_plugins()
    tokenizer, opened = _open_model(from_model, plugins, options)
    known = None if opened is None else opened.tokenizer
    if tokenizer_from is not None:
        tokenizer, known = _open_dataset(tokenizer_from, plugins)
    wanted = Preparation(
        inputs=inputs,
        output=Path(output),
        tokenizer=tokenizer,
        known=known,
        val_fraction=val_fraction,
        val_inputs=val_inputs,
        tokens_per_shard=tokens_per_shard,
        dtype=dtype,
        workers=workers or available_workers(),
        no_lock=no_lock,
        data_source=data_source,
        data_options=data_options or {},
        part=part,
        **_resolve_tokenizer(plugins, **flags),
    )
    with show_progress() as report:
        is_new = prepare(wanted, plugins, report, notify=partial(echo, err=True))
    if not is_new:
        echo(f"{output} is already complete")
    if part is None:
        _print_summary(output)
    else:
        print_part(output)


@command.command("join")
@click.argument("parts", type=FOLDER, nargs=-1, required=True, metavar="PART...")
@_output
@optional_output()
@name_flags()
def join_command(parts: tuple[str, ...], output: str) -> None:
    """Join all parts of a preparation into the data set that one machine would have prepared.

    PART is a folder that `mypt data prepare --part` wrote; all of them are needed, in any order.
    """
    from mypt.data.prepare.join import join_parts

    with show_progress() as report:
        join_parts([Path(part) for part in parts], Path(output), report)
    _print_summary(output)


@command.command("chats")
@click.argument("inputs", type=FILE, nargs=-1, required=True, metavar="FILE.jsonl...")
@_output
@_tokenization
@_config_file
@_plugins
@_from_model
@reader_options()
@_val_fraction("conversations")
@click.option(
    "--chat_template",
    type=CHAT_TEMPLATE,
    help=with_default(
        "Chat template: chatml, llama3, mypt, plain, or a file with one in Jinja. Where it is "
        "named, a prompt and its completion are turns of it as well.",
        "the model's, else mypt with its tokens, else plain",
    ),
)
@click.option(
    "--block_size",
    type=click.IntRange(1),
    help=with_default(
        "Conversations of more tokens than a row of so many holds are shortened by whole turns.",
        "that of --from_model, else none is shortened",
    ),
)
@optional_output()
@name_flags()
def chats_command(
    inputs: tuple[str, ...],
    output: str,
    from_model: str | None,
    options: tuple[str, ...],
    val_fraction: float,
    chat_template: str | None,
    block_size: int | None,
    **flags: Any,
) -> None:
    """Prepare conversations in JSON lines as episodes with a loss mask.

    A line is {"messages": [{"role": ..., "content": ...}, ...]}, or as of ShareGPT
    ("conversations") or Alpaca ("instruction", "input", "output"), or {"prompt": ...,
    "completion": ...}, or {"text": ...}. Learnt are what the assistant says, by its "weight" from 0
    to 1, completions and texts, each with the token that ends it.
    """
    from mypt.data.inspection.describe import find_left_out
    from mypt.data.prepare.episodes import ChatPreparation, prepare_chats

    check_conflicts(click.get_current_context(), DATA_CONFLICTS)
    plugins = open_plugins()
    tokenizer, opened = _open_model(from_model, plugins, options)
    if opened is not None and block_size is None:
        block_size = opened.config.block_size
    wanted = ChatPreparation(
        inputs=inputs,
        output=Path(output),
        tokenizer=tokenizer,
        chat_template=chat_template,
        block_size=block_size,
        val_fraction=val_fraction,
        **_resolve_tokenizer(plugins, **flags),
    )
    with show_progress("conversations") as report:
        prepare_chats(wanted, plugins, report)
    _print_summary(output, block_size)
    for problem in find_left_out(output, block_size):
        echo(f"{problem.severity}: {problem}", err=True)


@command.command("preferences")
@click.argument("inputs", type=FILE, nargs=-1, required=True, metavar="FILE.jsonl...")
@_output
@click.option(
    "--from_model",
    type=MODEL,
    required=True,
    help="Model that training will begin with: answers are compared with how likely it has them.",
)
@base_option()
@reader_options()
@_val_fraction("prompts whose pairs are")
@click.option(
    "--chat_template",
    type=CHAT_TEMPLATE,
    help=with_default(
        "Chat template, as of `mypt data chats`.",
        "the model's, else mypt with its tokens, or plain",
    ),
)
@optional_output()
@name_flags()
def preferences_command(
    inputs: tuple[str, ...],
    output: str,
    from_model: str,
    base: str | None,
    options: tuple[str, ...],
    val_fraction: float,
    chat_template: str | None,
) -> None:
    """Prepare pairs of answers in JSON lines, of which one is preferred.

    A line is {"prompt": ..., "chosen": ..., "rejected": ...}: texts, or lists of messages.
    """
    from mypt.api.load import open_model
    from mypt.cli.generation.loaded_model import print_warnings
    from mypt.data.prepare.preferences import PreferencePreparation, prepare_preferences
    from mypt.engine.checkpoints.paths import find_checkpoint
    from mypt.engine.evaluation.reference import measure_answers
    from mypt.format.errors import format_count

    plugins = open_plugins()
    found: list[Opened] = []

    def report(opened: Opened) -> None:
        found.append(opened)
        print_warnings(opened)

    path, given = find_checkpoint(from_model), parse_options(options)
    model = open_model(path, plugins, given, device=None, report=report, base=base)
    wanted = PreferencePreparation(
        inputs=inputs,
        output=Path(output),
        tokenizer=model.need_tokenizer(),
        model=from_model,
        model_sha256=found[-1].digest(),
        measure=partial(measure_answers, model),
        block_size=model.config.block_size,
        chat_template=chat_template,
        val_fraction=val_fraction,
    )
    left_out = prepare_preferences(wanted, plugins)["pairs_left_out"]
    _print_summary(output, model.config.block_size)
    if left_out:
        count = format_count(left_out, "pair")
        echo(f"warning: {count} left out: an answer does not fit into a row", err=True)


@command.command("inspect")
@click.argument("folder", type=FOLDER)
@click.option("--checksums", is_flag=True, help="Also verify the SHA-256 digest of every file.")
@click.option(
    "--show",
    type=click.IntRange(1),
    metavar="N",
    help="Also show the first N conversations, and what is learnt of them.",
)
@click.option(
    "--from_model",
    type=MODEL,
    help="Model whose block_size counts, and whose tokenizer shows conversations of a data set "
    "that has none beside it.",
)
@reader_options()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@name_flags()
def inspect_command(
    folder: str,
    *,
    checksums: bool,
    show: int | None,
    from_model: str | None,
    options: tuple[str, ...],
    as_json: bool,
) -> int:
    """Show what a data set contains, and check that its files are intact.

    Exits with 1 if any is not.
    """
    import attrs

    from mypt.data.inspection.describe import check_dataset, describe_dataset, find_left_out
    from mypt.format.errors import has_errors

    plugins = open_plugins()
    tokenizer, opened = _open_model(from_model, plugins, options)
    block_size = None if opened is None else opened.config.block_size
    description = describe_dataset(folder, block_size)
    problems = [*check_dataset(folder, checksums=checksums), *find_left_out(folder, block_size)]
    shown = [] if show is None else _read_shown(folder, tokenizer, plugins, show)
    if as_json:
        listed = [attrs.asdict(problem) for problem in problems]
        preview = {"shown": [attrs.asdict(one) for one in shown]} if show else {}
        echo_json({**description, **preview, "problems": listed})
    else:
        print_description(description)
        print_conversations(shown)
        for problem in problems:
            echo(f"{problem.severity}: {problem}")
    return int(has_errors(problems))


def _read_shown(
    folder: str, tokenizer: Tokenizer | None, plugins: Plugins, count: int
) -> list[ShownConversation]:
    """Return the first conversations of a data set, by its own tokenizer where it has one."""
    from mypt.data.dataset import find_tokenizer_state
    from mypt.data.inspection.preview import find_tokenizer, show_conversations

    if tokenizer is None or find_tokenizer_state(folder) is not None:
        tokenizer = find_tokenizer(folder, plugins)
    return [*show_conversations(Path(folder), tokenizer, count)]


def _resolve_tokenizer(
    registry: Plugins,
    *,
    tokenization: str | None,
    config_file: str | None,
    plugins: dict[str, Any] | None,
) -> dict[str, Any]:
    """Return the fields of a preparation for a new tokenizer, as a run with these flags has it."""
    from mypt.engine.config.precedence import TrainRequest, resolve_new

    request = TrainRequest(
        model_name="",
        architecture={} if plugins is None else {"plugins": plugins},
        training={} if config_file is None else {"config_file": config_file},
        tokenization=tokenization,
    )
    run = resolve_new(request, registry)
    for line in run.notices:
        echo(line, err=True)
    return {
        "tokenization": run.tokenization,
        "sections": run.config.plugins,
        "vocab_size": run.asked_vocab_size(run.tokenization),
    }


def _open_model(
    name: str | None, plugins: Plugins, options: tuple[str, ...]
) -> tuple[Tokenizer | None, Opened | None]:
    """Return the tokenizer of a model, and its checkpoint; None where no model is named."""
    from mypt.engine.checkpoints.build import build_tokenizer
    from mypt.engine.checkpoints.paths import find_checkpoint
    from mypt.format.errors import Problem, UsageError
    from mypt.format.open import open_checkpoint

    if name is None:
        if options:
            message = "--option needs --from_model"
            raise click.UsageError(message)
        return None, None
    path = find_checkpoint(name)
    opened = open_checkpoint(path, plugins, parse_options(options), without_model=True)
    opened.check_tokenizer()
    tokenizer = build_tokenizer(opened.tokenizer, plugins)
    if tokenizer is None:
        what, fix = "has no usable tokenizer", "name another model, or use --tokenization"
        raise UsageError(Problem(str(opened.path), "", what, fix, kind="tokenizer"))
    return tokenizer, opened


def _open_dataset(folder: str, plugins: Plugins) -> tuple[Tokenizer, TokenizerState | None]:
    """Return the tokenizer of a data set, and what its document says of texts, if anything."""
    from mypt.data.dataset import read_text_rules, read_tokenizer_state
    from mypt.format.documents.tokenizer import TEXT_FIELDS
    from mypt.tokenizers.added_tokens import build_from_state

    state = read_tokenizer_state(folder)
    known = read_text_rules(folder) if state.keys() & set(TEXT_FIELDS) else None
    return build_from_state(state, plugins), known


def _print_summary(folder: str, block_size: int | None = None) -> None:
    from mypt.data.inspection.describe import describe_dataset

    print_description(describe_dataset(folder, block_size))
