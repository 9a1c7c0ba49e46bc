"""Options of optimizers: JSON Schemas that several have, and what a run leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

FRACTION = {"type": "number", "minimum": 0, "exclusiveMaximum": 1}


def options_schema(**properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of options: of these properties, and no others."""
    return {"type": "object", "properties": properties, "additionalProperties": False}


def fill_options(schema: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a run, with the defaults of their schema for those left out.

    Args:
        schema: As `options_schema` returns it; each property has a default.
        given: What the run says.
    """
    return {**{name: p["default"] for name, p in schema["properties"].items()}, **given}
