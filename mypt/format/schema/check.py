"""Check documents against the published JSON Schemas."""

from __future__ import annotations

import json
import math
import re
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from mypt.format.errors import Problem, suggestion
from mypt.format.resources import data_dir
from mypt.format.schema.fast_path import make_test
from mypt.format.schema.messages import (
    explain_error,
    explain_unknown_field,
    format_value,
    json_pointer,
)
from mypt.format.version import DISTRIBUTION, FORMAT_VERSION, MYPT_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from jsonschema.protocols import Validator

Kind = Literal[
    "config",
    "training_state",
    "tokenizer",
    "manifest",
    "shards",
    "preset",
    "log_event",
    "dataset_metadata",
]
# The kinds that existed in version 1, whose documents carry no format_version.
LEGACY_KINDS: frozenset[Kind] = frozenset({"config", "training_state", "tokenizer"})
_DESCRIBING = frozenset({"properties", "additionalProperties"})
MAX_PROBLEMS = 100  # per document; a longer list helps nobody


@cache
def load_schema(kind: Kind, major: int = 2) -> dict[str, Any]:
    """Return the schema of a kind of document.

    Args:
        kind: The kind of document.
        major: Major version of the format; version 1 has only the kinds in `LEGACY_KINDS`.
    """
    file = data_dir("schemas").joinpath(f"v{major}", f"{kind}.schema.json")
    schema: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return schema


def check_document(kind: Kind, document: Mapping[str, Any], file: str) -> list[Problem]:
    """Return everything wrong with one document by itself, notes included.

    A document of a newer major version yields that one problem. A config, training state or
    tokenizer without a version is version 1; fields of version 2 in it are checked too.

    Args:
        kind: The kind of document.
        document: Parsed JSON.
        file: Its name, for messages.
    """
    if kind in LEGACY_KINDS and "format_version" not in document:
        what = "has no format_version, so it is version 1"
        fix = "no action needed; the next save writes version 2"
        note = Problem(file, "", what, fix, kind="version.legacy", severity="note")
        problems = _schema_problems(kind, document, file, legacy=True)
        if kind == "config":
            problems += _foreign_field_problems(document, file)
        return [note, *problems]
    newer = version_problem(document, file)
    if newer is not None:
        return [newer]
    return [*_schema_problems(kind, document, file), *_unknown_field_problems(kind, document, file)]


def version_problem(document: Mapping[str, Any], file: str) -> Problem | None:
    """Return a problem if the document has another major version, else None."""
    version = document.get("format_version")
    found = re.fullmatch("(0|[1-9][0-9]{0,8})[.](0|[1-9][0-9]*)", str(version))
    major = FORMAT_VERSION.partition(".")[0]
    if version is None or (found and found[1] == major):
        return None
    if found and int(found[1]) > int(major):
        what = f"is in format {version}, newer than mypt {MYPT_VERSION} can read"
        fix, kind = f"upgrade mypt: pip install --upgrade {DISTRIBUTION}", "version.newer"
    else:
        what = f"is {format_value(version)}, which is not a format version"
        fix, kind = f'write "{FORMAT_VERSION}", or restore the file', "version.unknown"
    return Problem(file, "/format_version", what, fix, kind=kind)


def _schema_problems(
    kind: Kind, document: Mapping[str, Any], file: str, *, legacy: bool = False
) -> list[Problem]:
    problems = [
        Problem(
            file, json_pointer(path), f"is {value}", "write a finite number", kind="schema.finite"
        )
        for path, value in islice(_find_non_finite(document, ()), MAX_PROBLEMS)
    ]
    if problems or _make_fast_test(kind, legacy)(document):
        return problems
    for error in islice(_make_full_validator(kind, legacy).iter_errors(document), MAX_PROBLEMS):
        what, fix = explain_error(error)
        where = json_pointer(error.absolute_path)
        problems.append(Problem(file, where, what, fix, kind=f"schema.{error.validator}"))
    return problems


def _find_non_finite(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], float]]:
    """Find NaN and infinities, which limits do not catch: NaN is neither below nor above one.

    Only documents built in memory can contain them; JSON cannot.

    Yields:
        The path to the value, and the value.
    """
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        if isinstance(item, float):
            if not math.isfinite(item):
                yield (*path, str(key)), item
        elif isinstance(item, (dict, list, tuple)) and item:
            yield from _find_non_finite(item, (*path, str(key)))


def _unknown_field_problems(kind: Kind, document: Mapping[str, Any], file: str) -> list[Problem]:
    """Return a warning for each field that the schema does not describe, with a suggestion."""
    schema = load_schema(kind)
    return [
        Problem(
            file,
            json_pointer(path),
            *explain_unknown_field(str(path[-1]), known),
            kind="field.unknown",
            severity="warning",
        )
        for path, known in islice(_find_unknown_fields(schema, schema, document, ()), MAX_PROBLEMS)
    ]


def _foreign_field_problems(document: Mapping[str, Any], file: str) -> list[Problem]:
    """Return an error for each field that neither MyPT nor mypt ever wrote to a config.

    A later minor version of format 2 may add fields; a config of version 1 has others only from a
    program that changed MyPT, and nobody knows what they change in the model. What a preset may
    hold beside the architecture is about training.
    """
    schema = _select_schema("config", legacy=True)
    if schema["properties"].keys() >= document.keys():
        return []
    schema = _merge_properties(schema, load_schema("preset"))
    fix = "use the program that wrote it; if it changes nothing that the model computes, remove it"
    return [
        Problem(
            file,
            json_pointer(path),
            f"is not a field of MyPT{suggestion(path[-1], known)}, and may change the model",
            fix,
            kind="field.foreign",
        )
        for path, known in islice(_find_unknown_fields(schema, schema, document, ()), MAX_PROBLEMS)
    ]


def _find_unknown_fields(
    schema: Mapping[str, Any], root: Mapping[str, Any], value: Any, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if isinstance(value, list) and "properties" in schema.get("items", {}):
        for index, item in enumerate(value):
            yield from _find_unknown_fields(schema["items"], root, item, (*path, str(index)))
    if not isinstance(value, dict) or not value or _DESCRIBING.isdisjoint(schema):
        return
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    for name, item in value.items():
        if name in known and not isinstance(item, (dict, list)):
            continue
        if name in known or isinstance(others, dict):
            yield from _find_unknown_fields(known.get(name, others), root, item, (*path, name))
        elif others is None:
            yield (*path, name), known


@cache
def _make_fast_test(kind: Kind, legacy: bool) -> Callable[[Any], bool]:
    schema = _select_schema(kind, legacy)
    return make_test(schema, schema)


@cache
def _make_full_validator(kind: Kind, legacy: bool) -> Validator:
    from mypt.format.schema.validator import make_validator  # a valid document needs no jsonschema

    return make_validator(_select_schema(kind, legacy))


def _select_schema(kind: Kind, legacy: bool) -> dict[str, Any]:
    """Return the schema to check against; a legacy document may have fields of version 2."""
    schema = load_schema(kind)
    return _merge_properties(load_schema(kind, 1), schema) if legacy else schema


def _merge_properties(schema: Mapping[str, Any], newer: Mapping[str, Any]) -> dict[str, Any]:
    """Add the properties that only the newer schema describes, none of them required."""
    merged = dict(schema)
    for part in ("properties", "$defs"):
        if part in newer:
            merged[part] = {**newer[part], **schema.get(part, {})}
    for name, nested in schema.get("$defs", {}).items():
        merged["$defs"][name] = _merge_properties(nested, newer["$defs"][name])
    return merged
