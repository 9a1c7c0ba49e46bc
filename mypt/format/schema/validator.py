"""A validator for our schemas that is fast on large documents and points at the faulty field.

The keywords follow the specification. jsonschema's own take minutes on a vocabulary of a million
characters, and name a missing field only in the text of the message.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from mypt.format.schema.fast_path import compile_pattern, make_test

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jsonschema.protocols import Validator


def make_validator(schema: Mapping[str, Any]) -> Validator:
    """Return a validator for a draft 2020-12 schema.

    Args:
        schema: A schema without keywords that apply to items or members by their position.
    """
    keywords = {
        "items": _items,
        "pattern": _pattern,
        "additionalProperties": _additional_properties,
        "propertyNames": _property_names,
        "required": _required,
        "uniqueItems": _unique_items,
    }
    types = Draft202012Validator.TYPE_CHECKER.redefine("number", _is_number)
    return extend(Draft202012Validator, keywords, type_checker=types)(schema)


def _is_number(_: Any, instance: Any) -> bool:
    """Return whether a value is a number of JSON: from Python it may be complex, or a Decimal."""
    return isinstance(instance, int | float) and not isinstance(instance, bool)


def _items(validator: Any, items: Any, instance: Any, _: Any) -> Iterator[Any]:
    if isinstance(instance, list):
        is_valid = make_test(items, {})
        for index, item in enumerate(instance):
            if not is_valid(item):
                yield from validator.descend(item, items, path=index)


def _pattern(_: Any, pattern: Any, instance: Any, __: Any) -> Iterator[Any]:
    if isinstance(instance, str) and not compile_pattern(pattern).search(instance):
        yield ValidationError(f"does not match {pattern}")


def _additional_properties(
    validator: Any, others: Any, instance: Any, schema: Any
) -> Iterator[Any]:
    if not isinstance(instance, dict):
        return
    known, is_valid = schema.get("properties", {}), make_test(others or {"not": {}}, {})
    for name, item in instance.items():
        if name in known or is_valid(item):
            continue
        if others is False:
            yield _make_error("unknown", name, item)
        else:
            yield from validator.descend(item, others, path=name)


def _property_names(validator: Any, names: Any, instance: Any, _: Any) -> Iterator[Any]:
    if isinstance(instance, dict):
        is_valid = make_test({"type": "string", **names}, {})
        for name in instance:
            if not is_valid(name):
                yield from validator.descend(name, names, path=name)


def _required(_: Any, required: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if isinstance(instance, dict):
        for name in required:
            if name not in instance:
                described = schema.get("properties", {}).get(name, {})
                yield _make_error(described.get("description", ""), name, None)


def _unique_items(_: Any, unique: Any, instance: Any, __: Any) -> Iterator[Any]:
    if not (unique and isinstance(instance, list)):
        return
    first: dict[str, int] = {}
    for index, item in enumerate(instance):
        same = item if isinstance(item, str) else f"\0{json.dumps(item, sort_keys=True)}"
        if first.setdefault(same, index) != index:
            yield _make_error(str(first[same]), index, item)


def _make_error(message: str, name: str | int, instance: Any) -> Any:
    return ValidationError(message, path=[name], instance=instance)
