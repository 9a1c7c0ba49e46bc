"""Flags that have no effect with, or without, certain others, and are errors there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from attrs import field, frozen
from click.core import ParameterSource

from mypt.cli.options.flag_names import list_flags

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@frozen
class Conflicts:
    """Which flags of a command exclude or require which others, by the names of their arguments.

    Attributes:
        beside: Flags that have no effect beside a flag that makes the command do something else.
        without: Flags that have no effect unless one of these is given.
    """

    beside: Mapping[str, tuple[str, ...]] = field(factory=dict)
    without: Mapping[str, tuple[str, ...]] = field(factory=dict)


_PROMPTS = ("prompt", "prompt_file", "prompt_lines")
_SAMPLING = (
    *("max_new_tokens", "temperature", "top_k", "top_p", "min_p", "repetition_penalty"),
    *("no_repeat_ngram_size", "seed", "stop", "stop_token", "stop_at_end"),
    *("logit_bias", "banned_words", "json_schema", "regex", "grammar", "processors"),
)
GENERATE_CONFLICTS = Conflicts(
    beside={
        "score": (*_PROMPTS, *_SAMPLING, "samples", "batch_size", "logits", "interactive"),
        "score_lines": (
            *(*_PROMPTS, *_SAMPLING, "score", "stride", "samples", "logits", "interactive"),
            "as_json",
        ),
        "interactive": (*_PROMPTS, "samples", "batch_size", "as_json"),
        "int8": ("dtype",),
    },
    without={
        "probabilities": ("as_json", "score_lines"),
        "logits": ("as_json",),
        "stride": ("score",),
    },
)
CHAT_CONFLICTS = Conflicts(beside={"int8": ("dtype",)})
DATA_CONFLICTS = Conflicts(
    beside={
        "from_model": ("tokenization", "config_file", "plugins", "tokenizer_from"),
        "tokenizer_from": ("tokenization", "config_file", "plugins"),
        "val_inputs": ("val_fraction",),
    },
)
TRAIN_CONFLICTS = Conflicts(
    beside={"find_lr": ("overwrite", "no_lock")},
    without={"find_lr_plot": ("find_lr",)},
)
COMPARE_CONFLICTS = Conflicts(
    without={
        "max_new_tokens": ("prompt",),
        "temperature": ("prompt",),
        "seed": ("prompt",),
        "device": ("input_file", "dataset_dir", "prompt"),
    }
)


def check_conflicts(context: click.Context, conflicts: Conflicts) -> None:
    """Raise if a flag has no effect with, or without, the others on the command line.

    Raises:
        UsageError: There is such a flag; the message names all that share the reason.
    """
    flags = list_flags(context.command)
    given = [
        name for name in flags if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    for name, others in conflicts.beside.items():
        if name in given and (unused := [flags[other] for other in others if other in given]):
            message = f"{_join_flags(unused)} cannot be used with {flags[name]}"
            raise click.UsageError(message)
    for needed in dict.fromkeys(conflicts.without.values()):
        lacking = [flags[n] for n, by in conflicts.without.items() if by == needed and n in given]
        if lacking and not set(needed) & set(given):
            verb = "needs" if len(lacking) == 1 else "need"
            message = (
                f"{_join_flags(lacking)} {verb} {_join_flags((flags[n] for n in needed), 'or')}"
            )
            raise click.UsageError(message)


def _join_flags(flags: Iterable[str], word: str = "and") -> str:
    *first, last = flags
    return f"{', '.join(first)} {word} {last}" if first else last
