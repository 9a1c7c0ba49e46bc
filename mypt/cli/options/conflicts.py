"""Flags that would have no effect beside, or without, others: refused rather than ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from attrs import field, frozen
from click.core import ParameterSource

from mypt.cli.options.flag_names import flags_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@frozen
class Effects:
    """Which flags of a command have an effect on which others, by the names of their arguments.

    Attributes:
        beside: What has no effect beside a flag that makes the command do something else.
        without: What has no effect without any of these.
    """

    beside: Mapping[str, tuple[str, ...]] = field(factory=dict)
    without: Mapping[str, tuple[str, ...]] = field(factory=dict)


_PROMPTS = ("prompt", "prompt_file", "prompt_lines")
_CHOOSING = (
    *("max_new_tokens", "temperature", "top_k", "top_p", "min_p", "repetition_penalty"),
    *("no_repeat_ngram_size", "seed", "stop", "stop_token"),
)
OF_GENERATE = Effects(
    beside={
        "score": (*_PROMPTS, *_CHOOSING, "samples", "batch_size", "logits", "interactive"),
        "interactive": (*_PROMPTS, "samples", "batch_size", "as_json"),
    },
    without={"probabilities": ("as_json",), "logits": ("as_json",), "stride": ("score",)},
)
OF_COMPARE = Effects(
    without={
        "max_new_tokens": ("prompt",),
        "temperature": ("prompt",),
        "seed": ("prompt",),
        "device": ("input_file", "dataset_dir", "prompt"),
    }
)


def refuse_unused(context: click.Context, effects: Effects) -> None:
    """Refuse flags that have no effect with, or without, the others of the command line.

    Raises:
        UsageError: There is one; all are named.
    """
    flags = flags_of(context.command)
    given = [
        name for name in flags if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    for name, others in effects.beside.items():
        if name in given and (unused := [flags[other] for other in others if other in given]):
            message = f"{_listed(unused)} cannot be used with {flags[name]}"
            raise click.UsageError(message)
    for needed in dict.fromkeys(effects.without.values()):
        lacking = [flags[n] for n, by in effects.without.items() if by == needed and n in given]
        if lacking and not set(needed) & set(given):
            verb = "needs" if len(lacking) == 1 else "need"
            message = f"{_listed(lacking)} {verb} {_listed((flags[n] for n in needed), 'or')}"
            raise click.UsageError(message)


def _listed(flags: Iterable[str], word: str = "and") -> str:
    *first, last = flags
    return f"{', '.join(first)} {word} {last}" if first else last
