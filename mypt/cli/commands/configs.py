"""`mypt configs`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mypt.cli.options.command import Command
from mypt.cli.options.named_argument import named_argument
from mypt.cli.options.plugins import open_plugins
from mypt.cli.options.values.suggested import FILE, PRESET
from mypt.cli.terminal import echo, echo_json
from mypt.cli.wrapping import terminal_width, wrap_command, wrap_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypt.engine.config.exports import Export
    from mypt.engine.config.presets import Preset
    from mypt.engine.runtime.training_memory import TrainingMemory
    from mypt.format.documents.config import GPTConfig
    from mypt.format.layout import Layouts
    from mypt.format.rules.plugin_settings import Settings
    from mypt.plugins.manager import Plugins


@click.command("configs", cls=Command)
@named_argument(
    "preset",
    "config_file",
    "Preset to show or to copy: a path, the name of a shipped preset, or a model whose settings a "
    "new one is to take.",
    kind=PRESET,
)
@click.option(
    "--output", type=FILE, help="File to copy the preset to; never one that is there already."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON value.")
def command(config_file: str | None, output: str | None, as_json: bool) -> None:
    """List the presets with their parameter counts, show one in detail, or copy one to edit it.

    Both say which programs a model with a preset can be exported to, and why not to others.
    """
    from mypt.engine.config.exports import list_exports
    from mypt.engine.config.presets import copy_preset, read_preset, shipped_presets

    plugins = open_plugins()
    layouts = plugins.layouts
    if config_file is None:
        if output is not None:
            message = "--output has nothing to copy; name a preset, such as mypt configs demo"
            raise click.UsageError(message)
        presets = [read_preset(name, layouts) for name in shipped_presets()]
        exports = {preset.file: list_exports(preset.config, plugins) for preset in presets}
        if as_json:
            echo_json([_describe(preset, layouts, exports[preset.file]) for preset in presets])
            return
        lines = _format_list(presets, layouts, exports)
    elif output is None:
        preset = read_preset(config_file, layouts, plugins.readers.values(), plugins.settings)
        _check_plugins(preset, plugins.settings)
        found = list_exports(preset.config, plugins)
        if as_json:
            echo_json(_describe(preset, layouts, found))
            return
        lines = _format_preset(preset, plugins, found)
    elif as_json:
        message = "--json prints a preset, and --output copies one; leave one out"
        raise click.UsageError(message)
    else:
        preset = read_preset(config_file, layouts, plugins.readers.values(), plugins.settings)
        copy_preset(preset, Path(output))
        lines = [*preset.remarks, f"Copied to {output}. To use it:", *_training_command(output)]
    echo("\n".join(lines))


def _describe(preset: Preset, layouts: Layouts, exports: Sequence[Export]) -> dict[str, Any]:
    """Return a preset as a JSON object."""
    import attrs

    from mypt.format.documents.convert import to_document
    from mypt.format.layout import count_model_parameters

    return {
        "name": preset.name,
        "file": preset.file,
        "parameters": count_model_parameters(preset.config, layouts),
        "tokenization": preset.tokenization,
        "config": to_document(preset.config, versioned=False),
        "training": preset.training,
        "exports": {
            export.exporter: [attrs.asdict(reason) for reason in export.reasons]
            for export in exports
        },
    }


def _training_command(preset: str) -> list[str]:
    return wrap_command(
        [
            "mypt train",
            f"--config_file {shlex.quote(preset)}",
            "--model_name my_model",
            "--input_file input.txt",
        ]
    )


def _check_plugins(preset: Preset, settings: Settings) -> None:
    from mypt.format.documents.construction import raise_field_errors
    from mypt.format.rules.plugin_sections import preset_problems

    problems = preset_problems(preset.document, preset.file, settings)
    raise_field_errors(problems, "")
    for problem in problems:
        echo(f"{problem.severity}: {problem}", err=True)


def _format_list(
    presets: list[Preset], layouts: Layouts, exports: Mapping[str, Sequence[Export]]
) -> list[str]:
    from mypt.engine.config.presets import short_name
    from mypt.format.layout import count_model_parameters

    rows = sorted(
        (
            count_model_parameters(preset.config, layouts),
            short_name(preset.file),
            preset.file,
            preset.config,
            str(preset.document.get("description", "")),
        )
        for preset in presets
    )
    width = max(len(name) for _, name, *_ in rows)
    head = f"{'Preset':{width}} Params Layer Head Embed"
    lines = [head, "-" * len(head)]
    is_wide = terminal_width() > len(head) + max(len(text) for *_, text in rows)
    for total, name, _, c, text in rows:
        params = f"{total / 1e6:.3g}M"
        line = f"{name:{width}} {params:>6} {c.n_layer:5} {c.n_head:4} {c.n_embd:5}"
        lines.append(f"{line}  {text}" if is_wide else line)
    return [
        *lines,
        "",
        "Exports of what they train:",
        *_format_rows(_group_exports([(name, exports[file]) for _, name, file, *_ in rows])),
        "",
        "To train with one:",
        *_training_command("demo"),
        "To see one in detail:",
        *wrap_command(["mypt configs", "demo"]),
        "To make one of your own:",
        *wrap_command(["mypt configs", "demo", "--output mine.json"]),
    ]


def _group_exports(found: Sequence[tuple[str, Sequence[Export]]]) -> dict[str, str]:
    """Return for each exporter the names of the presets that it can write."""
    grouped: dict[str, list[str]] = {}
    for name, exports in found:
        for export in exports:
            grouped.setdefault(export.exporter, []).extend([] if export.reasons else [name])
    return {
        exporter: "all" if len(names) == len(found) else ", ".join(names) or "none"
        for exporter, names in grouped.items()
    }


def _format_exports(exports: Sequence[Export]) -> list[str]:
    """Return a line for each exporter that can write the model, and for each reason of others."""
    width = max((len(export.exporter) for export in exports), default=0)
    return [
        line
        for export in exports
        for text in ([f"no: {why}" for why in export.describe_reasons()] or ["yes"])
        for line in wrap_value(f"  {export.exporter:{width}}: ", text)
    ]


def _format_preset(preset: Preset, plugins: Plugins, exports: Sequence[Export]) -> list[str]:
    from mypt.format.layout import count_model_parameters

    layouts = plugins.layouts
    total = count_model_parameters(preset.config, layouts)
    char = count_model_parameters(_replace_vocabulary(preset, 100), layouts)
    title = f"Config: {preset.name}"
    return [
        title,
        "=" * min(len(title), terminal_width()),
        *wrap_value("File: ", preset.file),
        *wrap_value("Description: ", str(preset.document.get("description", ""))),
        *(line for remark in preset.remarks for line in wrap_value("", remark)),
        "",
        "Architecture:",
        *_format_rows(_describe_architecture(preset)),
        "",
        "Parameters:",
        *_format_rows(
            {
                "Total": f"{total:,} ({total / 1e6:.2f}M)",
                "With chars": f"{char:,} ({char / 1e6:.2f}M) with a vocabulary of 100 characters",
                "Batch size": preset.config.batch_size,
            }
        ),
        "",
        "Memory:",
        *_format_rows(_describe_memory(_count_memory(preset, total, plugins))),
        "",
        "Exports of what it trains:",
        *_format_exports(exports),
        *(["", "Training:", *_format_rows(preset.training)] if preset.training else []),
        "",
        "Usage:",
        *_training_command(preset.file),
    ]


def _format_rows(rows: Mapping[str, object]) -> list[str]:
    width = max(map(len, rows))
    return [
        line
        for name, value in rows.items()
        for line in wrap_value(f"  {name:{width}}: ", str(value))
    ]


def _describe_architecture(preset: Preset) -> dict[str, object]:
    c = preset.config
    return {
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


def _count_memory(preset: Preset, total: int, plugins: Plugins) -> TrainingMemory:
    """Count what training keeps; with AdamW, without torch."""
    from mypt.engine.runtime.training_memory import BYTES_PER_WEIGHT, count_training_memory
    from mypt.format.optimizers.adamw import NAME

    training = preset.hyperparameters
    if training.optimizer == NAME:
        weights = total * BYTES_PER_WEIGHT
        return count_training_memory(weights, mean=weights if training.ema else 0)
    from mypt.engine.checkpoints.memory_check import expect_memory

    return expect_memory(preset.config, training, plugins)


def _describe_memory(memory: TrainingMemory) -> dict[str, object]:
    from mypt.engine.humanize import short_bytes

    whole, device = short_bytes(memory.on_device + memory.copy), short_bytes(memory.on_device)
    kept = short_bytes(memory.weights + memory.state + memory.mean)
    return {
        "On a GPU": f"{device} of the GPU, and {short_bytes(memory.copy)} of the machine",
        "On the CPU": f"{whole}, or {device} if training is to wait for saves",
        "For": f"{memory.describe()}, in float32; activations come on top",
        "Checkpoint": f"{kept}, of which {short_bytes(memory.weights)} are needed for inference",
    }


def _replace_vocabulary(preset: Preset, vocab_size: int) -> GPTConfig:
    from attrs import evolve

    return evolve(preset.config, vocab_size=vocab_size)
