"""Check documents that a user makes in Python by the schemas of their files."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Integral, Real
from typing import Any, get_args

import attrs
from attrs import evolve

from mypt.format.calls.signatures import INTERNAL_FIELDS
from mypt.format.errors import ConfigError, Problem
from mypt.format.schema.check import Kind, check_document
from mypt.format.version import FORMAT_VERSION

# Whether a schema has accepted what documents are made of just now.
_accepted: ContextVar[bool] = ContextVar("accepted", default=False)
_JSON = (str, bool, int, float, type(None))


@contextmanager
def accepted() -> Iterator[None]:
    """Make documents of what their schema has accepted, without checking it again."""
    before = _accepted.set(True)
    try:
        yield
    finally:
        _accepted.reset(before)


def settle_fields(document: attrs.AttrsInstance, kind: Kind, part: str = "") -> None:
    """Replace the fields of a new document by values that JSON has, and check them.

    Numbers of numpy become Python's own and paths their text, also inside lists and mappings. Lists
    become tuples, but for those inside a mapping.

    Args:
        document: An instance of a class of documents.
        kind: The kind of file whose schema has the rules.
        part: Where in such a file the document is; "" is the whole file.

    Raises:
        ConfigError: A field is of the wrong type or out of range.
    """
    if _accepted.get():
        return
    fields = {}
    for field in attrs.fields(type(document)):
        value: Any = getattr(document, field.name)
        plain = _convert(value)
        if type(plain) is float and plain.is_integer() and _is_whole(field.type):
            plain = int(plain)  # JSON does not tell 2.0 from 2
        if plain is not value:
            object.__setattr__(document, field.name, plain)
            value = plain
        if field.name not in INTERNAL_FIELDS:
            fields[field.name] = _jsonable(value)
    whole = {"step": 0, part: fields} if part else fields
    found = check_document(kind, {"format_version": FORMAT_VERSION, **whole}, "")
    raise_field_errors(found, f"/{part}/" if part else "/")


def raise_field_errors(problems: Iterable[Problem], prefix: str) -> None:
    """Raise what is wrong with fields that are no file, by the names of the fields.

    Args:
        problems: Of the document that the fields would make.
        prefix: JSON pointer to the fields in that document, with the last slash.

    Raises:
        ConfigError: There are errors.
    """
    errors = [
        evolve(problem, where=problem.where.removeprefix(prefix))
        for problem in problems
        if problem.severity == "error"
    ]
    if errors:
        raise ConfigError(*errors)


def _convert(value: Any, sequence: type[list[Any] | tuple[Any, ...]] = tuple) -> Any:
    if type(value) in _JSON:
        return value
    if isinstance(value, Real):
        return int(value) if isinstance(value, Integral) else float(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {name: _convert(member, list) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return sequence(_convert(member, sequence) for member in value)
    return value


def _is_whole(type_: Any) -> bool:
    return type_ is int or int in get_args(type_)


def _jsonable(value: Any) -> Any:
    if type(value) in _JSON:
        return value
    if isinstance(value, tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _jsonable(item) for name, item in value.items()}
    if attrs.has(type(value)):
        return _jsonable(attrs.asdict(value, filter=lambda a, _: a.name not in INTERNAL_FIELDS))
    return value
