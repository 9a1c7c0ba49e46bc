"""Read the texts of a column, a few rows at a time."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from mypt.plugins import DataError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ROWS = 256  # made texts of at once
_BUFFER_BYTES = 1 << 20
_FILE_MAGIC = b"ARROW1"


def read_parquet(stream: BinaryIO, name: str, field: str) -> Iterator[str]:
    """Yield the texts of a column of a Parquet file.

    Args:
        stream: The file, unpacked.
        name: Its path, for messages.
        field: The column.

    Raises:
        DataError: It is damaged, or has no such column of texts.
    """
    with _raising_errors(name, "Parquet"), _make_seekable(stream) as file:
        table = pq.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        _check_column(table.schema_arrow, field, name)
        batches = table.iter_batches(_ROWS, columns=[field], use_threads=False)
        yield from _read_texts(batches, name, field)


def read_arrow(stream: BinaryIO, name: str, field: str) -> Iterator[str]:
    """Yield the texts of a column of a file in Arrow's streaming or file format.

    Args:
        stream: The file, unpacked.
        name: Its path, for messages.
        field: The column.

    Raises:
        DataError: It is damaged, or has no such column of texts.
    """
    with _raising_errors(name, "Arrow"):
        is_file = stream.read(len(_FILE_MAGIC)) == _FILE_MAGIC
        stream.seek(0)
        if not is_file:
            with pa.ipc.open_stream(stream) as reader:
                _check_column(reader.schema, field, name)
                yield from _read_texts(reader, name, field)
            return
        with _make_seekable(stream) as file, pa.ipc.open_file(file) as table:
            _check_column(table.schema, field, name)
            batches = (table.get_batch(place) for place in range(table.num_record_batches))
            yield from _read_texts(batches, name, field)


def _read_texts(batches: Iterable[pa.RecordBatch], name: str, field: str) -> Iterator[str]:
    row = 0
    for batch in batches:
        column = batch.column(batch.schema.get_field_index(field))
        for start in range(0, len(column), _ROWS):
            for text in column.slice(start, _ROWS).to_pylist():
                row += 1
                if text is None:
                    what = f"has a field `{field}` that is null, not a string"
                    _raise_error(name, f"row {row}", what, "remove the row, or write a text there")
                yield text


def _check_column(schema: pa.Schema, field: str, name: str) -> None:
    place = schema.get_field_index(field)
    texts = [one.name for one in schema if _is_text(one.type)]
    option = "--data_options '" + '{"field": "' + (texts[0] if texts else "NAME") + "\"}'"
    if place < 0:
        there = ", ".join(schema.names) or "none"
        fix = f"name the column of the text: {option}"
        _raise_error(name, "", f"has no field `{field}`; it has: {there}", fix)
    if not _is_text(schema.field(place).type):
        what = f"has a field `{field}` of type {schema.field(place).type}, not of strings"
        _raise_error(name, "", what, f"name another column: {option}")


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    checks = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(check(kind) for check in checks)


@contextmanager
def _make_seekable(stream: BinaryIO) -> Iterator[BinaryIO]:
    """Yield a file that can be sought in fast: one that is unpacked on the way is copied first."""
    if hasattr(stream, "fileno") and _has_descriptor(stream):
        yield stream
        return
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(stream, copy)
        copy.seek(0)
        yield copy


def _has_descriptor(stream: BinaryIO) -> bool:
    try:
        stream.fileno()
    except OSError:
        return False
    return True


@contextmanager
def _raising_errors(name: str, form: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's
        lines = str(error).strip().splitlines() or [type(error).__name__]
        what = f"is damaged, or no {form} file ({lines[0]})"
        _raise_error(name, "", what, "copy it again, or write it anew")


def _raise_error(name: str, where: str, what: str, fix: str) -> NoReturn:
    raise DataError(Problem(name, where, what, fix, kind="data.text"))
