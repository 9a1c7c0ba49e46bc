"""Adds `mypt serve`, and the penalties of OpenAI's API as a logit processor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.plugins import CommandFactory, LogitProcessorFactory, hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

    import click

    from mypt.plugins import BeginText, Tokenizer

PENALTIES = "openai_penalties"
_PENALTY = {"type": "number", "minimum": -2, "maximum": 2}


@hookimpl
def mypt_commands() -> list[CommandFactory]:
    """Offer `mypt serve NAME`."""
    text = "Serve a model: OpenAI's API, and a page to chat with it."
    return [CommandFactory("serve", text, load=_load_command)]


@hookimpl
def mypt_logit_processors() -> list[LogitProcessorFactory]:
    """Offer `presence_penalty` and `frequency_penalty` of OpenAI's API."""
    options = {
        "type": "object",
        "properties": {"presence": _PENALTY, "frequency": _PENALTY},
        "additionalProperties": False,
    }
    return [LogitProcessorFactory(PENALTIES, _build_penalties, options=options)]


def _load_command() -> click.Command:
    from mypt_serve.command import command

    return command


def _build_penalties(options: Mapping[str, Any], tokenizer: Tokenizer) -> BeginText:  # noqa: ARG001
    from mypt_serve.penalties import begin_penalties

    return begin_penalties(options.get("presence", 0.0), options.get("frequency", 0.0))
