"""Check the fields of a plugin's factories."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from attrs import fields

if TYPE_CHECKING:
    from collections.abc import Callable


def find_flaw(factory: Any) -> str | None:
    """Return which field of a factory is unusable, and why; None if all are fine."""
    for field in fields(type(factory)):
        value = getattr(factory, field.name)
        is_left_out = value is None and field.default is None
        flaw = None if is_left_out else _FLAW_FINDERS[field.name](value)
        if flaw is not None:
            return f"`{field.name}` is {flaw}"
    return None


def _find_text_flaw(value: object) -> str | None:
    if isinstance(value, str) and value:
        return None
    return f"{value!r:.60}, not a non-empty string"


def _find_texts_flaw(value: object) -> str | None:
    if isinstance(value, tuple) and all(_find_text_flaw(name) is None for name in value):
        return None
    return f"{value!r:.60}, not a tuple of names"


def _find_slot_flaw(value: object) -> str | None:
    from mypt.format.layout import SLOTS

    return None if value in SLOTS else f"{value!r:.60}, not one of {', '.join(SLOTS)}"


def _find_function_flaw(value: object) -> str | None:
    return None if callable(value) else f"{value!r:.60}, not a function"


def _find_share_flaw(value: object) -> str | None:
    if isinstance(value, (int, float)) and 0 <= value <= 1:
        return None
    return f"{value!r:.60}, not a number from 0 to 1"


def _find_names_flaw(value: object) -> str | None:
    if isinstance(value, tuple) and all(
        isinstance(name, str) and name.isidentifier() for name in value
    ):
        return None
    return f"{value!r:.60}, not a tuple of attribute names"


def _find_schema_flaw(value: object) -> str | None:
    if not isinstance(value, Mapping):
        return f"{value!r:.60}, not a JSON Schema"
    if not value:
        return None
    try:
        written = json.dumps(dict(value))
    except (TypeError, ValueError):
        return _find_flaw_of_schema(dict(value))
    return _find_flaw_as_written(written)


@lru_cache(maxsize=256)  # several managers are made in a process, and a check takes milliseconds
def _find_flaw_as_written(schema: str) -> str | None:
    return _find_flaw_of_schema(json.loads(schema))


def _find_flaw_of_schema(schema: dict[str, Any]) -> str | None:
    from jsonschema import Draft202012Validator, SchemaError  # slow to import

    from mypt.format.schema.messages import json_pointer

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return f"not a valid JSON Schema: {json_pointer(error.absolute_path)}: {error.message}"
    return None


_FLAW_FINDERS: Mapping[str, Callable[[Any], str | None]] = {
    **dict.fromkeys(("token_kind", "name", "title", "help"), _find_text_flaw),
    "slot": _find_slot_flaw,
    **dict.fromkeys(("former_names", "former_packages"), _find_texts_flaw),
    **dict.fromkeys(("build", "train", "train_pieces", "tensors", "update"), _find_function_flaw),
    **dict.fromkeys(("state", "decay_step"), _find_function_flaw),
    "min_lr_fraction": _find_share_flaw,
    **dict.fromkeys(("settings", "progress"), _find_texts_flaw),
    **dict.fromkeys(
        ("recognises", "read", "defers", "explain", "write", "load"), _find_function_flaw
    ),
    **dict.fromkeys(("options", "train_options"), _find_schema_flaw),
    "norms": _find_names_flaw,
    **dict.fromkeys(("default", "takes_infos", "takes_adapters", "offered_by"), lambda _: None),
}
