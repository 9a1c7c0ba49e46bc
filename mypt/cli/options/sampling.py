"""Options made from the fields of `Sampling`, with its defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import click

from mypt.cli.options.fields import with_default
from mypt.model.decoding.sampling_options import Sampling

if TYPE_CHECKING:
    from collections.abc import Callable


def sampling_option(name: str, kind: type, text: str) -> Callable[..., Any]:
    """Return the option of a field; its value is None, not the default, if it is not given."""
    default = attrs.fields_dict(Sampling)[name].default
    return click.option(f"--{name}", type=kind, help=with_default(text, default))


def sampling_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how tokens are chosen, but for the seed."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    sampling_option(
        "temperature", float, "Randomness of sampling; 0 always takes the most likely token."
    ),
    sampling_option("top_k", int, "Sample from the k most likely tokens."),
    sampling_option("top_p", float, "Sample from the most likely tokens with total probability p."),
    sampling_option(
        "min_p", float, "Sample from tokens at least p times as likely as the most likely."
    ),
    sampling_option(
        "repetition_penalty", float, "Above 1: make tokens of the context less likely."
    ),
    sampling_option("no_repeat_ngram_size", int, "Never repeat a sequence of n tokens."),
)
