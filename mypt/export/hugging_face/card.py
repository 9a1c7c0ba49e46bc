"""The model card of an exported folder: what the model is, how it was made, and its losses."""

from __future__ import annotations

import math
import shlex
from typing import TYPE_CHECKING, Any

from mypt.engine.history import runs_behind
from mypt.engine.humanize import short_count, short_duration
from mypt.format.documents.convert import to_recorded_document
from mypt.format.documents.provenance import describe_git
from mypt.format.version import MYPT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypt.format.documents.provenance import Provenance
    from mypt.format.documents.training import TrainingState
    from mypt.plugins.contracts.exporter import ModelToExport

# No license: what a model may be used for is for its author to say.
_FRONT = """---
library_name: transformers
pipeline_tag: text-generation
tags:
- mypt
---
"""
# What shapes a run, and says nothing of the machine that it ran on.
_SETTINGS = (
    *("max_iters", "learning_rate", "warmup_iters", "optimizer", "optimizer_options"),
    *("weight_decay", "weight_decay_on", "beta1", "beta2", "grad_clip", "grad_accum_steps"),
    *("use_amp", "amp_dtype", "seed", "sampling", "freeze_layers", "freeze_embeddings"),
)


def make_card(
    name: str,
    model: ModelToExport,
    hf_config: Mapping[str, Any],
    parameters: int,
    *,
    has_tokenizer: bool,
    notes: Sequence[str],
) -> str:
    """Return the text of `README.md`, whose front matter the hub of Hugging Face reads.

    Args:
        name: What to call the model.
        model: The model.
        hf_config: Its `config.json`.
        parameters: Number of its parameters.
        has_tokenizer: Whether the folder has its tokenizer.
        notes: What was folded or left out, a line each.
    """
    state = model.training_state
    (class_,) = hf_config["architectures"]
    about = (
        f"A {class_} with {short_count(parameters)} parameters ({parameters:,}), trained with mypt "
        f"and exported by mypt {MYPT_VERSION}."
    )
    sections = {
        "Use": _list_use(has_tokenizer=has_tokenizer),
        "Model": _list_model(model),
        "Losses": [] if state is None else _list_losses(model, state),
        "Training": [] if state is None else [*_list_training(model, state)],
        "Data": [] if state is None else [*_list_data(state)],
        "Notes": [f"- {_escape(note)}" for note in (*notes, *model.remarks)],
    }
    parts = [f"{_FRONT}\n# {_escape(name)}\n\n{about}\n"]
    parts += [
        "\n".join([f"## {title}", "", *lines, ""]) for title, lines in sections.items() if lines
    ]
    return "\n".join(parts)


def _list_use(*, has_tokenizer: bool) -> list[str]:
    names = "AutoModelForCausalLM, AutoTokenizer" if has_tokenizer else "AutoModelForCausalLM"
    lines = ["```python", f"from transformers import {names}", ""]
    lines += ['model = AutoModelForCausalLM.from_pretrained("path/of/this/folder")']
    if has_tokenizer:
        lines += ['tokenizer = AutoTokenizer.from_pretrained("path/of/this/folder")']
        lines += ['ids = tokenizer("Once", return_tensors="pt")']
        lines += ["print(tokenizer.decode(model.generate(**ids, max_new_tokens=50)[0]))"]
    return [*lines, "```"]


def _list_model(model: ModelToExport) -> list[str]:
    config, tokenizer = model.config, model.tokenizer
    rows = {
        "layers": config.n_layer,
        "heads": config.n_head,
        "width": config.n_embd,
        "context": f"{config.block_size} tokens",
        "vocabulary": config.vocab_size,
        "tokenizer": "none" if tokenizer is None else tokenizer.token_kind,
        "positions": config.pos_encoding,
        "feed-forward": config.mlp_type,
        "norm": config.norm_type,
    }
    return _make_table(("", ""), rows)


def _list_losses(model: ModelToExport, state: TrainingState) -> list[str]:
    """Return the losses of the last evaluation, and the best one that selected gold."""
    rows = {f"{split}, final": f"{loss:.4f}" for split, loss in model.losses.items()}
    gold = state.gold
    if gold is not None and gold.best_val_loss is not None and math.isfinite(gold.best_val_loss):
        named = state.training_config.gold_loss_name.removesuffix("_loss")
        rows[f"{named}, best"] = f"{gold.best_val_loss:.4f} (at step {gold.best_step})"
    return _make_table(("split", "nats per token"), rows)


def _list_training(model: ModelToExport, state: TrainingState) -> Iterator[str]:
    rows: dict[str, object] = {"step": state.step}
    if "tokens_processed" not in state.absent:
        rows["tokens"] = f"{state.tokens_processed:,}"
    if "elapsed_s" not in state.absent:
        rows["time"] = short_duration(state.elapsed_s)
    if state.environment is not None:
        rows["device"] = state.environment.device_name
    rows["goes on exactly"] = "yes" if state.exact else "; ".join(state.inexact_reasons) or "no"
    recorded = to_recorded_document(state.training_config, versioned=False)
    settings = {name: recorded[name] for name in _SETTINGS if recorded.get(name) not in (None, {})}
    settings |= {
        name: getattr(model.config, name)
        for name in ("batch_size", "dropout")
        if name not in model.config.absent
    }
    yield from _make_table(("", ""), {**rows, **settings})
    for run in runs_behind(state):
        yield from ("", *_describe_run(run))


def _describe_run(run: Provenance) -> Iterator[str]:
    yield f"From step {run.start_step}:"
    yield ""
    if run.command is None:
        yield "- started from Python"
    else:
        yield f"- command: {_code(shlex.join(run.command))}"
    if run.versions:
        yield f"- versions: {_escape(', '.join(f'{n} {v}' for n, v in run.versions.items()))}"
    if run.git is not None:
        yield f"- commit: {_code(describe_git(run.git))}"
    if run.config_sha256 is not None:
        yield f"- SHA-256 of the settings: {_code(run.config_sha256)}"


def _list_data(state: TrainingState) -> Iterator[str]:
    data = state.data
    if data is not None:
        rows = {
            "source": _code(data.source),
            "SHA-256": _code(data.sha256),
            "training tokens": f"{data.train_tokens:,}",
            "validation tokens": f"{data.val_tokens:,}",
        }
        yield from _make_table(("", ""), rows)
    for ancestor in state.lineage:
        yield ""
        yield (
            f"The first weights are those of {_code(ancestor.model)} at step {ancestor.step}, with "
            f"the SHA-256 {_code(ancestor.sha256)}."
        )


def _make_table(head: tuple[str, str], rows: Mapping[str, object]) -> list[str]:
    if not rows:
        return []
    return [
        f"| {head[0]} | {head[1]} |",
        "|---|---|",
        *(f"| {_escape(name)} | {_cell(value)} |" for name, value in rows.items()),
    ]


def _cell(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text.replace("|", "\\|").replace("\n", " ") if text.startswith("`") else _escape(text)


def _code(text: str) -> str:
    """Return a span of code, with as many backticks around it as it takes."""
    line = " ".join(text.split())
    fence = "`" * (
        max(map(len, "".join(c if c == "`" else " " for c in line).split()), default=0) + 1
    )
    return f"{fence} {line} {fence}" if "`" in line else f"`{line}`"


def _escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    line = " ".join(text.split())
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in line)
