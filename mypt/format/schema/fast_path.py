"""Accept what a schema surely accepts, so that a sound document needs no schema library at all.

What is not accepted here is not refused either: jsonschema has the last word, and the words.
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
# These say nothing against a value.
_WORDS = frozenset(
    {"$schema", "$id", "$defs", "title", "description", "default", "examples", "deprecated"}
)


def make_test(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Test:
    """Build a test that no value passes which breaks the schema, and most others pass.

    Args:
        schema: A schema of draft 2020-12, or a part of one.
        root: The whole one, to which `$ref` points.
    """
    tests = list(_tests(schema, root))
    if len(tests) == 1:
        return tests[0]
    return lambda value: all(test(value) for test in tests)


def _tests(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[Test]:
    for keyword, said in schema.items():
        if keyword in _MAKERS:
            yield _MAKERS[keyword](said, schema, root)
        elif keyword == "$ref" and said.startswith("#/$defs/"):
            yield make_test(root["$defs"][said.removeprefix("#/$defs/")], root)
        elif keyword not in _WORDS:
            yield lambda _: False


def _type(said: Any, _: Any, __: Any) -> Test:
    names = [said] if isinstance(said, str) else said
    types = frozenset(kind for name in names for kind in _TYPES[name])
    return lambda value: type(value) in types


def _enum(said: Any, _: Any, __: Any) -> Test:
    words = {word for word in said if isinstance(word, str)}
    has_null = None in said
    return lambda value: value in words if type(value) is str else value is None and has_null


def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern as JSON Schema means it: `$` is the very end, not before a last newline."""
    return re.compile(rf"{pattern[:-1]}\Z" if pattern.endswith("$") else pattern)


def _pattern(said: Any, _: Any, __: Any) -> Test:
    find = compiled(said).search
    return lambda value: type(value) is not str or find(value) is not None


def _limit(types: tuple[type, ...], measure: Any, well: Any) -> Callable[[Any, Any, Any], Test]:
    def make(said: Any, _: Any, __: Any) -> Test:
        return lambda value: type(value) not in types or well(measure(value), said)

    return make


def _items(said: Any, _: Any, root: Any) -> Test:
    test = make_test(said, root)
    return lambda value: type(value) is not list or all(map(test, value))


def _unique(said: Any, _: Any, __: Any) -> Test:
    def test(value: Any) -> bool:
        if type(value) is not list or said is False:
            return True
        return all(type(item) is str for item in value) and len(set(value)) == len(value)

    return test


def _properties(said: Any, _: Any, root: Any) -> Test:
    tests = {name: make_test(part, root) for name, part in said.items()}

    def test(value: Any) -> bool:
        if type(value) is not dict:
            return True
        return all(tests[name](item) for name, item in value.items() if name in tests)

    return test


def _others(said: Any, schema: Any, root: Any) -> Test:
    known = schema.get("properties", {})
    well: Test = make_test(said, root) if isinstance(said, dict) else lambda _: bool(said)

    def test(value: Any) -> bool:
        if type(value) is not dict:
            return True
        return all(well(item) for name, item in value.items() if name not in known)

    return test


def _names(said: Any, _: Any, root: Any) -> Test:
    test = make_test(said, root)
    return lambda value: type(value) is not dict or all(map(test, value))


def _required(said: Any, _: Any, __: Any) -> Test:
    return lambda value: type(value) is not dict or all(name in value for name in said)


def _any_of(said: Any, _: Any, root: Any) -> Test:
    tests = [make_test(part, root) for part in said]
    return lambda value: any(test(value) for test in tests)


def _if(said: Any, schema: Any, root: Any) -> Test:
    """Test the `then`; without it passed, only another word in the one field of `if` will do."""
    test = make_test(schema["then"], root)
    fields = said.get("properties", {}) if set(said) <= {"properties", "required"} else {}
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
    "minimum": _limit(_NUMBERS, lambda v: v, lambda v, said: v >= said),
    "maximum": _limit(_NUMBERS, lambda v: v, lambda v, said: v <= said),
    "exclusiveMinimum": _limit(_NUMBERS, lambda v: v, lambda v, said: v > said),
    "exclusiveMaximum": _limit(_NUMBERS, lambda v: v, lambda v, said: v < said),
    "minLength": _limit(_SIZED, len, lambda v, said: v >= said),
    "maxLength": _limit(_SIZED, len, lambda v, said: v <= said),
    "minItems": _limit((list,), len, lambda v, said: v >= said),
    "maxItems": _limit((list,), len, lambda v, said: v <= said),
    "minProperties": _limit((dict,), len, lambda v, said: v >= said),
    "maxProperties": _limit((dict,), len, lambda v, said: v <= said),
    "items": _items,
    "uniqueItems": _unique,
    "properties": _properties,
    "additionalProperties": _others,
    "propertyNames": _names,
    "required": _required,
    "anyOf": _any_of,
    "if": _if,
    "then": lambda _said, _schema, _root: lambda _: True,
}
