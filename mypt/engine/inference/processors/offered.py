"""The factories of the logit processors that come with mypt; what needs torch is imported later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.plugins import LogitProcessorFactory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.plugins import BeginText, Tokenizer


def list_processors() -> list[LogitProcessorFactory]:
    """Return the factories, in the order of their names in help texts."""
    return [
        # The keys are ids, or texts of one token; those that are not are named by `build`.
        LogitProcessorFactory(
            "logit_bias",
            _build_logit_bias,
            options=_one_option(
                "bias", {"type": "object", "additionalProperties": {"type": "number"}}
            ),
        ),
    ]


def _one_option(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of options with one property, which is required."""
    properties = {name: dict(schema)}
    return {
        "type": "object",
        "properties": properties,
        "required": [name],
        "additionalProperties": False,
    }


def _build_logit_bias(options: Mapping[str, Any], tokenizer: Tokenizer) -> BeginText:
    from mypt.engine.inference.processors.logit_bias import build_logit_bias

    return build_logit_bias(options, tokenizer)
