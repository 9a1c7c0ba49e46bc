"""`mypt inspect`."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import click

from mypt.cli.options.command import Command
from mypt.cli.options.flag_names import name_flags
from mypt.cli.options.named_argument import model_argument
from mypt.cli.options.plugins import open_plugins
from mypt.cli.options.readers import parse_options, reader_options
from mypt.cli.options.text import TEXT
from mypt.cli.terminal import echo, echo_json
from mypt.cli.wrapping import wrap_value
from mypt.format.errors import format_count, one_line
from mypt.format.shards.record import NAME as SHARDED
from mypt.format.storage import files

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_RECORDED = "not recorded"
_SHOWN_TOKENS = 8


@click.command("inspect", cls=Command)
@model_argument
@click.option(
    "--legacy_checkpoint", type=TEXT, help="Legacy checkpoint file in the model's folder."
)
@reader_options()
@click.option(
    "--all", "in_full", is_flag=True, help="Also list settings that are not set or not recorded."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with all settings.")
@name_flags()
def command(
    model_name: str,
    legacy_checkpoint: str | None,
    options: tuple[str, ...],
    in_full: bool,
    as_json: bool,
) -> None:
    """Show what a checkpoint contains, without loading its weights."""
    from mypt.api.info import get_model_info
    from mypt.engine.checkpoints.paths import find_checkpoint

    path = find_checkpoint(model_name, legacy_checkpoint)
    info = get_model_info(path, plugins=open_plugins(), options=parse_options(options))
    for warning in info["warnings"]:
        echo(f"warning: {one_line(warning)}", err=True)
    if as_json:
        echo_json(info)
        return
    sections = {
        "FORMAT": _describe_format(info),
        "CONFIG": _describe_config(info["config"], in_full=in_full),
        "TOKENIZER": _describe_tokenizer(info["tokenizer"]),
        "TRAINING STATE": _describe_training(info, in_full=in_full),
    }
    if info["plugins"]:
        sections["PLUGINS"] = [_describe_plugin(*item) for item in info["plugins"].items()]
    parts = [
        "\n".join([f"=== {title} ===", *map(one_line, lines)]) for title, lines in sections.items()
    ]
    echo("\n\n".join(parts))


def _describe_format(info: dict[str, Any]) -> list[str]:
    is_bundle = info["format"][0].isdigit()
    kind = "JSON-based format, version" if is_bundle else "Legacy format, read by"
    kind = "Parts that the processes of a run wrote, a" if info["format"] == SHARDED else kind
    notes = info["edits" if is_bundle else "notes"]
    return [
        f"{kind} {info['format']}",
        f"Location: {info['folder']}",
        f"Parameters: {info['parameters']:,}{_describe_base(info)}",
        *(f"  {name}: {size:,} bytes" for name, size in info["files"].items()),
        *(f"Copy: {path}" for path in info["copies"]),
        *(f"Note: {note}" for note in notes if note not in info["warnings"]),
    ]


def _describe_base(info: dict[str, Any]) -> str:
    """Return what an adapter stands beside; nothing for a whole model."""
    adapter, settings = info["adapter"], info["config"].get("adapter")
    if adapter is None:
        return ""
    count = adapter["base_parameters"]
    base = "" if count is None else f"{count:,} of "
    where = adapter["base"] or f"{settings['base']}, which does not serve: {adapter['problem']}"
    return f", an adapter (LoRA of rank {settings['rank']}) beside {base}{where}"


def _describe_tokenizer(state: dict[str, Any] | None) -> list[str]:
    if state is None:
        return ["none: this model has no tokenizer and works on token ids"]
    lines = [f"kind      : {state['token_kind']}"]
    if state["token_kind"] == "gpt2":
        lines.append("vocab     : GPT-2 BPE (fixed ~50k tokens)")
    elif state["chars"] is not None:
        shown = "".join(state["chars"])
        lines.append(f"vocab     : {format_count(len(state['chars']), 'character')} {shown!r}")
    special = sorted(state["special_token_encoder"].items(), key=lambda item: item[1])
    if special:
        shown = ", ".join(f"{text} {number}" for text, number in special[:_SHOWN_TOKENS])
        more = ", ..." if len(special) > _SHOWN_TOKENS else ""
        lines.append(f"special   : {format_count(len(special), 'token')}: {shown}{more}")
    return [*lines, *_describe_texts(state)]


def _describe_texts(state: dict[str, Any]) -> list[str]:
    """Return a line for each thing that is known of texts: roles of tokens, and templates."""
    from mypt.chat.shipped import find_shipped_name, find_template

    texts = _list_texts(state)
    roles = {
        role: ", ".join(
            f"{number} {json.dumps(texts[number], ensure_ascii=False)}"
            if number in texts
            else str(number)
            for number in (value if isinstance(value, list | tuple) else [value])
        )
        for role, value in state["special_tokens"].items()
        if value not in (None, [], ())
    }
    lines = [f"{role:10}: {ids}" for role, ids in roles.items()]
    if "bos" in roles:
        lines.append(f"add_bos   : {_format_value(state['add_bos'])}")
    template = find_template(state["chat_template"], state["special_token_encoder"])
    if template is not None:
        size = format_count(len(template), "character")
        named = find_shipped_name(template) or f"a template of {size}"
        more = ", ".join(state["additional_chat_templates"])
        lines.append(f"chats     : {named}" + (f", and for {more}" if more else ""))
    return lines


def _list_texts(state: dict[str, Any]) -> dict[int, str]:
    """Return the texts of tokens by id, as far as the document alone says them."""
    from mypt.format.documents.special_tokens import END_OF_TEXT, END_OF_TEXT_ID
    from mypt.format.readers.hugging_face.text_rules import list_tokens
    from mypt.format.readers.shared.vocabulary import BPE_PACKAGE

    own = {END_OF_TEXT: END_OF_TEXT_ID} if state["token_kind"] == "gpt2" else {}
    held = state["plugins"].get(BPE_PACKAGE, {}).get("tokenizer")
    own |= {} if held is None else list_tokens(held)
    listed = (own | state["special_token_encoder"]).items()
    known = {number: text for text, number in listed if isinstance(number, int)}
    return dict(enumerate(state["chars"] or ())) | known


def _describe_plugin(package: str, need: dict[str, Any]) -> str:
    here = f"{need['installed']} is installed" if need["installed"] else need["absence"]
    purposes = ", ".join(need["needed_for"])
    name = f"{package} {need['version']}" if need["version"] else package
    return f"{name}, needed to: {purposes} ({here})"


def _describe_training(info: dict[str, Any], *, in_full: bool) -> list[str]:
    state = info["training_state"]
    if state is None:
        is_told = any(files.TRAINING_STATE in warning for warning in info["warnings"])
        what = "not usable, as the warning says" if is_told else "none"
        return [f"{what}: this checkpoint is for inference only"]
    from mypt.format.documents.convert import field_names, from_document
    from mypt.format.documents.training import TrainingConfig

    lines = [f"Last recorded training step: {state['step']}"]
    for name in ("tokens_processed", "elapsed_s", "exact"):
        lines.append(f"{name}: {_format_value(state[name]) if name in state else NOT_RECORDED}")
    lines += [f"  not exact since {reason}" for reason in state.get("inexact_reasons", ())]
    lines += [] if info["ended"] is None else [f"ended before max_iters: {info['ended']}"]
    if state.get("mean_decay") is not None:
        lines.append(f"weights: an exponential mean over the updates, ema {state['mean_decay']:g}")
    gold, training = state.get("gold"), state.get("training_config", {})
    if gold is not None and None not in (gold["best_step"], gold["best_val_loss"]):
        name = from_document(TrainingConfig, training).gold_loss_name
        lines.append(f"best {name}: {gold['best_val_loss']:.4f} at step {gold['best_step']}")
    if state.get("data") is not None:
        lines.append(f"data: {state['data']['source']}")
    lines += _describe_origin(state)
    if not training and not in_full:
        return [*lines, "", f"Training hyperparameters: {NOT_RECORDED}"]
    settings = _list_settings(training, field_names(TrainingConfig), in_full=in_full)
    return [*lines, "", "Training hyperparameters:", *settings]


def _describe_origin(state: dict[str, Any]) -> list[str]:
    """Return how the last run was started and with which programs, and the runs before it."""
    environment = state.get("environment") or {}
    plugins = environment.get("plugins", {}).items()
    versions = {name: environment[name] for name in ("mypt", "torch") if environment.get(name)}
    versions |= {package: need["version"] for package, need in plugins}
    last = state.get("provenance")
    lines = [] if last is None else _describe_run("run", last, versions)
    return [
        *lines,
        *(line for run in state.get("earlier_runs", ()) for line in _describe_run("before", run)),
    ]


def _describe_run(
    title: str, document: dict[str, Any], versions: Mapping[str, str] | None = None
) -> list[str]:
    from mypt.format.documents.convert import from_document
    from mypt.format.documents.provenance import Provenance, describe_git

    run = from_document(Provenance, document)
    command = "started from Python" if run.command is None else shlex.join(run.command)
    programs = {**(versions or {}), **run.versions}
    facts = [f"{name} {version}" for name, version in programs.items()]
    facts += [] if run.git is None else [f"git {describe_git(run.git)}"]
    facts += [] if run.config_sha256 is None else [f"settings {run.config_sha256[:12]}"]
    return [
        *wrap_value(f"{title}, from step {run.start_step}: ", command),
        *(wrap_value("  with ", ", ".join(facts)) if facts else []),
    ]


def _describe_config(config: dict[str, Any], *, in_full: bool) -> list[str]:
    """List the settings; without `in_full`, those that shape every model or are not as usual."""
    from mypt.format.documents.config import DERIVED, GPTConfig
    from mypt.format.documents.convert import field_names, from_document, to_document
    from mypt.format.schema.check import load_schema

    model, names = from_document(GPTConfig, config), field_names(GPTConfig)
    if in_full:
        known = {
            name: f"null, which means {_format_value(model.meaning_of(name))}"
            if value is None and name in DERIVED
            else value
            for name, value in config.items()
        }
        return _list_settings(known, names, in_full=True)
    usual, shaping = to_document(GPTConfig(), versioned=False), load_schema("config", 1)
    known = {
        name: value
        for name, value in config.items()
        if (name in shaping["properties"] or value != usual.get(name))
        and (model.pos_encoding == "rope" or not name.startswith("rope_"))
    }
    return _list_settings(known, names, in_full=False)


def _list_settings(settings: dict[str, Any], names: tuple[str, ...], *, in_full: bool) -> list[str]:
    """Return a line for each setting that is set, or for all, wrapped for a terminal.

    Args:
        settings: Those that were recorded, as JSON values.
        names: Names of all that could have been.
        in_full: Whether to list what is null or empty, and what was not recorded.
    """
    shown = {
        name: _format_value(value)
        for name, value in settings.items()
        if in_full or value not in (None, "", (), [], {})
    }
    missing = [name for name in names if name not in settings]
    if in_full:
        shown |= dict.fromkeys(missing, NOT_RECORDED)
    width = max(map(len, shown), default=0)
    lines = [
        line for name, value in shown.items() for line in wrap_value(f"  {name:{width}} : ", value)
    ]
    if not in_full:
        lines.append("  (--all lists those that are not set or not recorded)")
    return lines


def _format_value(value: object) -> str:
    """Format a value as it stands in its document."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
