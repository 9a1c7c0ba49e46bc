"""Turn errors of JSON Schema into plain English."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mypt.format.errors import suggestion
from mypt.format.names.lookup import explain_name
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jsonschema import ValidationError

_TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
# What the patterns of our schemas mean.
_PATTERNS = {
    "^[a-z][a-z0-9_.-]*$": "a name in lower case, such as `my_part`",
    "^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$": "the name of a package in lower case",
    "^[A-Za-z0-9_][A-Za-z0-9._-]*$": "the name of a file in this folder",
    "^[0-9a-f]{64}$": "a SHA-256 in 64 lower-case hexadecimal digits",
    "^2\\.(0|[1-9][0-9]*)$": "a version such as 2.0",
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}": "a time: 2026-02-09T14:30:00",
}
_HUGE = 2**31 - 1  # limits this large only keep numbers within what every reader can hold
_LONGEST = 40


def explain_error(error: ValidationError) -> tuple[str, str]:
    """Return what is wrong with a value, and what to do about it.

    Args:
        error: From a validator of `mypt.format.schema.check`.
    """
    keyword, schema = str(error.validator), error.schema
    shown = format_value(error.instance)
    if keyword == "required":
        meaning = f": {error.message}" if error.message else ""
        return "is missing", f"add it{meaning.rstrip('.')}"
    if keyword == "additionalProperties":
        near = explain_name(str(error.path[-1]), _list_properties(error))
        return f"is not a field of this document{near}", "remove it"
    if keyword == "uniqueItems":
        return f"repeats {shown}, which is also at {error.message}", "list each one only once"
    schema = schema if isinstance(schema, dict) else {}
    return (
        f"is {shown}, {_describe_fault(keyword, error)}",
        f"write {describe_schema(schema, in_full=keyword == 'maximum')}",
    )


def explain_option_error(error: ValidationError) -> tuple[str, str]:
    """Return the same for an option of a plugin, listing the options it has.

    Args:
        error: From a validator of `mypt.format.schema.validator`.
    """
    if error.validator != "additionalProperties":
        return explain_error(error)
    known = _list_properties(error)
    fix = f"use one of: {', '.join(known)}" if known else "leave it out: there are no options"
    return f"is not an option{suggestion(str(error.path[-1]), known)}", fix


def _list_properties(error: ValidationError) -> list[str]:
    return [*error.schema.get("properties", {})] if isinstance(error.schema, dict) else []


def explain_unknown_field(name: str, known: Iterable[str]) -> tuple[str, str]:
    """Describe a field that its schema does not have, with the nearest that it has.

    Args:
        name: The field.
        known: The fields that could be there.

    Returns:
        What is wrong, and what to do.
    """
    what = f"is not a field of format {FORMAT_VERSION}{suggestion(name, known)}"
    return what, "correct it if it is a mistake; mypt keeps it unchanged"


def _describe_fault(keyword: str, error: ValidationError) -> str:
    limit = error.validator_value
    match keyword:
        case "type":
            return f"not {_describe_types(limit)}"
        case "minimum" | "exclusiveMinimum":
            return f"{'less than' if keyword == 'minimum' else 'not above'} {limit}"
        case "maximum" | "exclusiveMaximum":
            return f"{'more than' if keyword == 'maximum' else 'not below'} {limit}"
        case "minLength" | "minItems" | "minProperties":
            return "which is too short"
        case "maxLength" | "maxItems" | "maxProperties":
            return "which is too long"
        case _:
            return "which is not valid here"


def describe_schema(schema: Mapping[str, Any], *, in_full: bool = False) -> str:
    """Return in words what a schema accepts, such as `a whole number from 1 to 8`.

    Args:
        schema: The schema.
        in_full: Whether to include limits that only keep numbers within what every reader can hold.
    """
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " or ".join(json.dumps(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(describe_schema(option) for option in schema["anyOf"])
    if "pattern" in schema:
        words = _PATTERNS.get(schema["pattern"], f"text of the form {schema['pattern']}")
        return words + (" or null" if "null" in schema.get("type", ()) else "")
    return _describe_types(schema.get("type", "object"), _describe_limits(schema, in_full))


def format_value(value: Any) -> str:
    """Format a value as it stands in its document, cut to a readable length."""
    if isinstance(value, (dict, list)):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    value = value[: _LONGEST + 1] if isinstance(value, str) else value
    if not isinstance(value, (str, int, float, type(None))):  # from a file of another program
        return f"a {type(value).__name__.removesuffix('Info').lower()}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def json_pointer(path: Iterable[str | int]) -> str:
    """Return the JSON pointer (RFC 6901) of a path of keys and indices."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def _describe_types(types: str | list[str], limits: str = "") -> str:
    names = [types] if isinstance(types, str) else types
    return " or ".join(_TYPES[name] + (limits if name != "null" else "") for name in names)


def _describe_limits(schema: Mapping[str, Any], in_full: bool) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    limits = []
    if low is not None and high is not None and (in_full or high < _HUGE or low):
        limits.append(f"from {low} to {high}")
    elif low is not None:
        limits.append(f"of at least {low}")
    if "exclusiveMinimum" in schema:
        limits.append(f"above {schema['exclusiveMinimum']}")
    if "exclusiveMaximum" in schema:
        limits.append(f"below {schema['exclusiveMaximum']}")
    shortest, longest = schema.get("minLength"), schema.get("maxLength")
    if shortest == longest == 1:
        limits.append("of one character")
    elif shortest or longest:
        limits.append(f"of {shortest or 0} to {longest} characters" if longest else "not empty")
    if schema.get("minItems") or schema.get("minProperties"):
        limits.append("that is not empty")
    return f" {' and '.join(limits)}" if limits else ""
