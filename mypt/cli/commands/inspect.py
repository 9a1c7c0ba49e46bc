"""`mypt inspect`."""

from __future__ import annotations

import json
from typing import Any

import click

from mypt.cli.options.command import Command
from mypt.cli.options.flag_names import name_flags
from mypt.cli.options.named_argument import model_argument
from mypt.cli.options.plugins import open_plugins
from mypt.cli.options.readers import parse_options, reader_options
from mypt.cli.options.text import TEXT
from mypt.cli.terminal import echo
from mypt.format.errors import format_count


@click.command("inspect", cls=Command)
@model_argument
@click.option(
    "--legacy_checkpoint", type=TEXT, help="Legacy checkpoint file in the model's folder."
)
@reader_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@name_flags()
def command(
    model_name: str, legacy_checkpoint: str | None, options: tuple[str, ...], as_json: bool
) -> None:
    """Show what a checkpoint contains, without loading its weights."""
    from mypt.api.info import get_model_info
    from mypt.engine.checkpoints.paths import find_checkpoint
    from mypt.format.errors import one_line

    path = find_checkpoint(model_name, legacy_checkpoint)
    info = get_model_info(path, plugins=open_plugins(), options=parse_options(options))
    for warning in info["warnings"]:
        echo(f"warning: {one_line(warning)}", err=True)
    if as_json:
        echo(json.dumps(info, indent=2, ensure_ascii=False))
        return
    sections = {
        "FORMAT": _describe_format(info),
        "CONFIG": [", ".join(f"{name}:{value}" for name, value in info["config"].items())],
        "TOKENIZER": _describe_tokenizer(info["tokenizer"]),
        "TRAINING STATE": _describe_training(info["training_state"]),
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
    notes = info["edits" if is_bundle else "notes"]
    return [
        f"{kind} {info['format']}",
        f"Location: {info['folder']}",
        f"Parameters: {info['parameters']:,}",
        *(f"  {name}: {size:,} bytes" for name, size in info["files"].items()),
        *(f"Copy: {path}" for path in info["copies"]),
        *(f"Note: {note}" for note in notes if note not in info["warnings"]),
    ]


def _describe_tokenizer(state: dict[str, Any] | None) -> list[str]:
    if state is None:
        return ["none: this model has no tokenizer and works on token ids"]
    lines = [f"kind      : {state['token_kind']}"]
    if state["token_kind"] == "gpt2":
        lines.append("vocab     : GPT-2 BPE (fixed ~50k tokens)")
        if state["special_token_encoder"]:
            lines.append(
                f"special   : {format_count(len(state['special_token_encoder']), 'token')}"
            )
    elif state["chars"] is not None:
        shown = "".join(state["chars"])
        lines.append(f"vocab     : {format_count(len(state['chars']), 'character')} {shown!r}")
    return lines


def _describe_plugin(package: str, need: dict[str, Any]) -> str:
    here = f"{need['installed']} is installed" if need["installed"] else "not installed"
    purposes = ", ".join(need["needed_for"])
    return f"{package} {need['version']}, needed to: {purposes} ({here})"


def _describe_training(state: dict[str, Any] | None) -> list[str]:
    if state is None:
        return ["none: this checkpoint is for inference only"]
    lines = [f"Last recorded training step: {state['step']}"]
    is_recorded = state["step"] == 0 or state["tokens_processed"] > 0  # by the program that trained
    for name in ("tokens_processed", "elapsed_s", "exact"):
        lines.append(f"{name}: {state[name] if is_recorded else 'not recorded'}")
    lines += [f"  not exact since {reason}" for reason in state["inexact_reasons"]]
    gold = state["gold"]
    if gold is not None and None not in (gold["best_step"], gold["best_val_loss"]):
        name = "gold_loss" if state["training_config"]["gold_metric"] else "val_loss"
        lines.append(f"best {name}: {gold['best_val_loss']:.4f} at step {gold['best_step']}")
    if state["data"] is not None:
        lines.append(f"data: {state['data']['source']}")
    training = state["training_config"]
    width = max(len(name) for name in training)
    lines += ["", "Training hyperparameters:"]
    return lines + [f"  {name:{width}} : {value}" for name, value in training.items()]
