"""Flags of `mypt generate` that would have no effect, refused rather than ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from mypt.cli.flags import flags_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PROMPTS = ("prompt", "prompt_file", "prompt_lines")
_CHOOSING = (
    *("max_new_tokens", "temperature", "top_k", "top_p", "min_p", "repetition_penalty"),
    *("no_repeat_ngram_size", "seed", "stop", "stop_token"),
)
# What has no effect beside a flag that makes the command do something else.
BESIDE: Mapping[str, tuple[str, ...]] = {
    "score": (*_PROMPTS, *_CHOOSING, "samples", "batch_size", "logits", "interactive"),
    "interactive": (*_PROMPTS, "samples", "batch_size", "as_json"),
}
# What has no effect without another flag.
WITHOUT = {"probabilities": "as_json", "logits": "as_json", "stride": "score"}


def refuse_unused(context: click.Context) -> None:
    """Refuse flags that have no effect with, or without, the others of the command line.

    Raises:
        UsageError: There is one; all are named.
    """
    flags = flags_of(context.command)
    given = [
        name for name in flags if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    for name, others in BESIDE.items():
        if name in given and (unused := [flags[other] for other in others if other in given]):
            message = f"{_listed(unused)} cannot be used with {flags[name]}"
            raise click.UsageError(message)
    for needed in dict.fromkeys(WITHOUT.values()):
        lacking = [flags[n] for n in WITHOUT if WITHOUT[n] == needed and n in given]
        if lacking and needed not in given:
            verb = "needs" if len(lacking) == 1 else "need"
            message = f"{_listed(lacking)} {verb} {flags[needed]}"
            raise click.UsageError(message)


def _listed(flags: Iterable[str]) -> str:
    *first, last = flags
    return f"{', '.join(first)} and {last}" if first else last
