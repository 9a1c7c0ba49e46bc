"""JSON lines: each line is an object, one field of which is a document."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from mypt.format.errors import DataError, FormatError, Problem
from mypt.format.schema import strict_json
from mypt.plugins.contracts.data_source import DataSourceFactory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypt.plugins.contracts.data_source import SourceFile
    from mypt.plugins.contracts.factory import Options

FIELD = "text"
_SUFFIXES = (".jsonl", ".ndjson", ".jsonlines")
_CHUNK_BYTES = 1 << 20
_SHOWN_FIELDS = 8
_CORRECT = "correct the line, or remove it"
_CONVERSATION = ("messages", "conversations", "instruction", "prompt")
_OTHER_FORM = "name what reads it by --data_source; `text` takes it as it is"


def _is_json_lines(file: SourceFile) -> bool:
    return not file.is_folder and file.name.lower().endswith(_SUFFIXES)


def _read(file: SourceFile, options: Options) -> Iterator[str]:
    """Yield the text of each line; blank lines are no documents.

    Raises:
        DataError: A line is not a JSON object with such a text.
    """
    name, field = str(file.path), options.get("field", FIELD)
    with file.open() as stream:
        for number, line in enumerate(_iter_lines(stream, name), start=1):
            if line.strip():
                yield _read_line(line, field, name, number)


def _iter_lines(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """Yield the lines of a file, none of which may take more memory than a document."""
    number = 0
    while line := stream.readline(_CHUNK_BYTES):
        number += 1
        line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        _check_begin(line, name, number)
        if not line.endswith(b"\n"):
            line = _read_rest(line, stream, name, number)
        yield line


def _read_rest(line: bytes, stream: BinaryIO, name: str, number: int) -> bytes:
    parts, size_bytes = [line], len(line)
    while not parts[-1].endswith(b"\n") and (more := stream.readline(_CHUNK_BYTES)):
        parts.append(more)
        size_bytes += len(more)
        if size_bytes > strict_json.MAX_JSON_BYTES:
            most = strict_json.MAX_JSON_BYTES >> 20
            _raise_error(name, number, f"is longer than {most} MiB", "divide its text among lines")
    return b"".join(parts)


def _check_begin(line: bytes, name: str, number: int) -> None:
    """Raise if a line is no object, without reading it to its end."""
    begin = line.lstrip()
    if begin and not begin.startswith(b"{"):
        if number == 1 and begin.startswith(b"["):
            what = "begins a JSON array; each line has to be an object"
            _raise_error(name, number, what, "write its items as lines: jq -c '.[]'")
        if number == 1 and begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            _raise_error(name, number, "is UTF-16, not UTF-8", "convert it with iconv")
        _raise_error(name, number, "is not a JSON object", f"{_CORRECT}; or {_OTHER_FORM}")


def _read_line(line: bytes, field: str, name: str, number: int) -> str:
    try:
        fields = strict_json.parse(line, name)
    except FormatError as error:
        what = error.problems[0].what.replace(" at line 1,", " at")
        _raise_error(name, number, what, _CORRECT)
    if field not in fields:
        _raise_missing(fields, field, name, number)
    text = fields[field]
    if not isinstance(text, str):
        what = f"has a field `{field}` that is {_describe(text)}, not a string"
        _raise_error(name, number, what, f"{_CORRECT}; or name another field: {_option(fields)}")
    return text


def _raise_missing(fields: Mapping[str, Any], field: str, name: str, number: int) -> NoReturn:
    there = ", ".join([*fields][:_SHOWN_FIELDS]) or "none"
    what = f"has no field `{field}`; it has: {there}"
    if any(key in fields for key in _CONVERSATION) and field == FIELD:
        fix = "prepare conversations with `mypt data chats`; or name the field of the text: "
        _raise_error(name, number, what, fix + _option(fields))
    _raise_error(name, number, what, f"name the field of the text: {_option(fields)}")


def _option(fields: Mapping[str, Any]) -> str:
    texts = [key for key, value in fields.items() if isinstance(value, str)]
    return "--data_options '" + '{"field": "' + (texts[0] if texts else "NAME") + "\"}'"


def _describe(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {bool: "a boolean", int: "a number", float: "a number", list: "an array"}
    return kinds.get(type(value), "an object")


def _raise_error(name: str, number: int, what: str, fix: str) -> NoReturn:
    raise DataError(Problem(name, f"line {number}", what, fix, kind="data.text"))


JSON_LINES = DataSourceFactory(
    "jsonl",
    recognises=_is_json_lines,
    read=_read,
    options={
        "type": "object",
        "properties": {
            "field": {
                "type": "string",
                "minLength": 1,
                "default": FIELD,
                "description": "The field of each line that holds the text.",
            }
        },
        "additionalProperties": False,
    },
)
