"""`mypt configs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mypt.cli.options.command import Command
from mypt.cli.options.named_argument import named_argument
from mypt.cli.options.plugins import open_plugins
from mypt.cli.terminal import echo

if TYPE_CHECKING:
    from mypt.engine.config.presets import Preset
    from mypt.format.documents.config import GPTConfig
    from mypt.format.layout import Layouts

RULE = "=" * 86


@click.command("configs", cls=Command)
@named_argument(
    "preset", "config_file", "Preset to show in detail: a path, or the name of a shipped preset."
)
def command(config_file: str | None) -> None:
    """List the presets with their parameter counts, or show one in detail."""
    from mypt.engine.config.presets import read_preset, shipped_presets

    layouts = open_plugins().layouts
    if config_file is not None:
        lines = _format_preset(read_preset(config_file, layouts), layouts)
    else:
        lines = _format_list([read_preset(name, layouts) for name in shipped_presets()], layouts)
    echo("\n".join(lines))


def _format_list(presets: list[Preset], layouts: Layouts) -> list[str]:
    from mypt.format.layout import count_model_parameters

    lines = [
        RULE,
        "Available Model Configurations",
        RULE,
        "",
        f"{'File':36} {'Name':22} {'Params':>9} {'Layers':>6} {'Heads':>5} {'Embed':>5}",
        "-" * len(RULE),
    ]
    for preset in sorted(
        presets, key=lambda preset: count_model_parameters(preset.config, layouts)
    ):
        c = preset.config
        params = f"{count_model_parameters(c, layouts) / 1e6:.2f}M"
        lines.append(
            f"{preset.file:36} {preset.name:22} {params:>9} {c.n_layer:6} {c.n_head:5} {c.n_embd:5}"
        )
    return [
        *lines,
        "",
        "To use one:  mypt train --config_file configs/tiny.json --model_name my_model "
        "--input_file input.txt",
        "For details: mypt configs --config_file configs/tiny.json",
        "Your own:    copy one, edit it, and pass its path",
    ]


def _format_preset(preset: Preset, layouts: Layouts) -> list[str]:
    from mypt.format.layout import count_model_parameters

    c, total = preset.config, count_model_parameters(preset.config, layouts)
    rows = {
        "Layers": c.n_layer,
        "Heads": c.n_head,
        "Embedding": c.n_embd,
        "Block size": c.block_size,
        "Vocab size": preset.architecture.get(
            "vocab_size", f"that of the {preset.tokenization} vocabulary"
        ),
        "Dropout": c.dropout,
        "Bias": c.bias,
        "Positions": c.pos_encoding,
        "MLP": c.mlp_type,
        "Norm": c.norm_type,
        "Tied head": c.tie_weights,
    }
    char = count_model_parameters(_replace_vocabulary(preset, 100), layouts)
    return [
        RULE,
        f"Config: {preset.name}",
        f"File: {preset.file}",
        RULE,
        f"Description: {preset.document.get('description', '')}",
        "",
        "Architecture:",
        *(f"  {name:12}: {value}" for name, value in rows.items()),
        "",
        "Parameters:",
        f"  Total       : {total:,} ({total / 1e6:.2f}M)",
        f"  With chars  : {char:,} ({char / 1e6:.2f}M) with a vocabulary of 100 characters",
        f"  Batch size  : {c.batch_size}",
        "",
        "Memory:",
        *_format_memory(total),
        *_format_training(preset),
        "",
        "Usage:",
        f"  mypt train --config_file {preset.file} --model_name my_model --input_file input.txt",
    ]


def _format_memory(total: int) -> list[str]:
    from mypt.engine.humanize import short_bytes
    from mypt.engine.runtime.training_memory import BYTES_PER_WEIGHT, count_training_memory

    memory = count_training_memory(total * BYTES_PER_WEIGHT)
    whole, device = short_bytes(memory.on_device + memory.copy), short_bytes(memory.on_device)
    return [
        f"  On a GPU    : {device} of the GPU, and {short_bytes(memory.copy)} of the machine",
        f"  On the CPU  : {whole}, or {device} if training is to wait for saves",
        f"  For         : {memory.describe()},",
        "                in float32; activations come on top",
        f"  Checkpoint  : {short_bytes(memory.weights + memory.moments)}, of which "
        f"{short_bytes(memory.weights)} are needed for inference",
    ]


def _format_training(preset: Preset) -> list[str]:
    if not preset.training:
        return []
    return ["", "Training:", *(f"  {k:16}: {v}" for k, v in preset.training.items())]


def _replace_vocabulary(preset: Preset, vocab_size: int) -> GPTConfig:
    from attrs import evolve

    return evolve(preset.config, vocab_size=vocab_size)
