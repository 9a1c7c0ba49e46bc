"""A fast test for valid documents, so that checking those never loads jsonschema.

A document that fails the test is not rejected yet: jsonschema decides, and words the errors.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Test = Callable[[Any], bool]

_TYPES: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
# Keywords that never reject a value.
_ANNOTATIONS = frozenset(
    {
        *("$schema", "$id", "$defs", "title", "description", "default", "examples", "deprecated"),
        "x-group",  # the heading under which `mypt train --help` lists a field
    }
)


def make_test(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Test:
    """Return a test that fails every invalid value and passes most valid ones.

    Args:
        schema: A schema of draft 2020-12, or a part of one.
        root: The whole schema, into which `$ref` points.
    """
    tests = list(_make_tests(schema, root))
    if len(tests) == 1:
        return tests[0]

    def test_all(value: Any) -> bool:
        for test in tests:  # noqa: SIM110 - a generator for each value takes twice the time
            if not test(value):
                return False
        return True

    return test_all


def _make_tests(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[Test]:
    for keyword, rule in schema.items():
        if keyword in _MAKERS:
            yield _MAKERS[keyword](rule, schema, root)
        elif keyword == "$ref" and rule.startswith("#/$defs/"):
            yield make_test(root["$defs"][rule.removeprefix("#/$defs/")], root)
        elif keyword not in _ANNOTATIONS:
            yield lambda _: False


def _type(rule: Any, _: Any, __: Any) -> Test:
    names = [rule] if isinstance(rule, str) else rule
    types = frozenset(kind for name in names for kind in _TYPES[name])
    return lambda value: type(value) in types


def _enum(rule: Any, _: Any, __: Any) -> Test:
    words = {word for word in rule if isinstance(word, str)}
    has_null = None in rule
    return lambda value: value in words if type(value) is str else value is None and has_null


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a pattern as JSON Schema reads it: `$` is the very end, not before a newline."""
    return re.compile(rf"{pattern[:-1]}\Z" if pattern.endswith("$") else pattern)


def _pattern(rule: Any, _: Any, __: Any) -> Test:
    find = compile_pattern(rule).search
    return lambda value: type(value) is not str or find(value) is not None


def _make_limit(
    types: tuple[type, ...], measure: Any, is_valid: Any
) -> Callable[[Any, Any, Any], Test]:
    def make(rule: Any, _: Any, __: Any) -> Test:
        return lambda value: type(value) not in types or is_valid(measure(value), rule)

    return make


def _items(rule: Any, _: Any, root: Any) -> Test:
    test = make_test(rule, root)
    return lambda value: type(value) is not list or all(map(test, value))


def _unique_items(rule: Any, _: Any, __: Any) -> Test:
    def test(value: Any) -> bool:
        if type(value) is not list or rule is False:
            return True
        return all(type(item) in (str, int) for item in value) and len(set(value)) == len(value)

    return test


def _properties(rule: Any, _: Any, root: Any) -> Test:
    tests = {name: make_test(part, root) for name, part in rule.items()}

    def test(value: Any) -> bool:
        if type(value) is not dict:
            return True
        for name, item in value.items():  # noqa: SIM110 - as above
            if name in tests and not tests[name](item):
                return False
        return True

    return test


def _additional_properties(rule: Any, schema: Any, root: Any) -> Test:
    known = schema.get("properties", {})
    is_valid: Test = make_test(rule, root) if isinstance(rule, dict) else lambda _: bool(rule)

    def test(value: Any) -> bool:
        if type(value) is not dict:
            return True
        return all(is_valid(item) for name, item in value.items() if name not in known)

    return test


def _property_names(rule: Any, _: Any, root: Any) -> Test:
    test = make_test(rule, root)
    return lambda value: type(value) is not dict or all(map(test, value))


def _required(rule: Any, _: Any, __: Any) -> Test:
    return lambda value: type(value) is not dict or all(name in value for name in rule)


def _any_of(rule: Any, _: Any, root: Any) -> Test:
    tests = [make_test(part, root) for part in rule]
    return lambda value: any(test(value) for test in tests)


def _if(rule: Any, schema: Any, root: Any) -> Test:
    """Return a test that passes where `then` does, or where a text differs from its `if` const."""
    test = make_test(schema["then"], root)
    fields = rule.get("properties", {}) if set(rule) <= {"properties", "required"} else {}
    words = {name: part.get("const") for name, part in fields.items()}

    def another(value: Any) -> bool:
        return any(
            type(value.get(name)) is str and type(word) is str and value[name] != word
            for name, word in words.items()
        )

    return lambda value: test(value) or (type(value) is dict and another(value))


_NUMBERS, _SIZED = (int, float), (str,)
_MAKERS: Mapping[str, Callable[[Any, Any, Any], Test]] = {
    "type": _type,
    "enum": _enum,
    "pattern": _pattern,
    "minimum": _make_limit(_NUMBERS, lambda v: v, lambda v, rule: v >= rule),
    "maximum": _make_limit(_NUMBERS, lambda v: v, lambda v, rule: v <= rule),
    "exclusiveMinimum": _make_limit(_NUMBERS, lambda v: v, lambda v, rule: v > rule),
    "exclusiveMaximum": _make_limit(_NUMBERS, lambda v: v, lambda v, rule: v < rule),
    "minLength": _make_limit(_SIZED, len, lambda v, rule: v >= rule),
    "maxLength": _make_limit(_SIZED, len, lambda v, rule: v <= rule),
    "minItems": _make_limit((list,), len, lambda v, rule: v >= rule),
    "maxItems": _make_limit((list,), len, lambda v, rule: v <= rule),
    "minProperties": _make_limit((dict,), len, lambda v, rule: v >= rule),
    "maxProperties": _make_limit((dict,), len, lambda v, rule: v <= rule),
    "items": _items,
    "uniqueItems": _unique_items,
    "properties": _properties,
    "additionalProperties": _additional_properties,
    "propertyNames": _property_names,
    "required": _required,
    "anyOf": _any_of,
    "if": _if,
    "then": lambda _rule, _schema, _root: lambda _: True,
}
