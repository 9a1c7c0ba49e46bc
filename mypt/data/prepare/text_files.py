"""List the files that a data set is prepared from, and how much text each has."""

from __future__ import annotations

import hashlib
import logging
import sys
from typing import TYPE_CHECKING, NoReturn

from attrs import evolve

from mypt.data.input_files import STDIN, resolve_inputs
from mypt.data.inputs.compression import find_compression, open_bytes
from mypt.data.prepare.segments import TextFile, utf8_size
from mypt.data.sources.input_source import InputSource
from mypt.data.sources.plain_text import PLAIN_TEXT
from mypt.format.errors import DataError, Problem
from mypt.format.rules.plugin_settings import TEXT
from mypt.format.storage.atomic_file import flush_to_disk, partial_path, rename_partial
from mypt.format.storage.save_errors import raising_save_errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mypt.data.input_files import InputFile
    from mypt.data.sources.choice import SourceChoice
    from mypt.data.sources.input_source import SourceDocuments

_LOGGER = logging.getLogger("mypt")
STDIN_FILE = ".stdin"
_COPY_BYTES = 1 << 20


def list_text_files(inputs: Sequence[str], folder: Path, choice: SourceChoice) -> list[TextFile]:
    """List the files of some inputs; those that are no plain text are read once for it.

    Args:
        inputs: Files, folders and "-", the standard input, which is saved.
        folder: Where it is saved, as `STDIN_FILE`.
        choice: What reads which file.

    Raises:
        DataError: A file cannot be read, is damaged, or holds no text though it was named.
        ConfigError: An option is none of what reads the files.
        SaveError: The standard input could not be saved.
    """
    found = [_open(file, folder, choice) for file in resolve_inputs(inputs, choice)]
    readers = [one.factory if one is not None else PLAIN_TEXT for _, one in found]
    choice.check_options(readers)
    return [_measure(file, documents) for file, documents in found]


def _open(
    file: InputFile, folder: Path, choice: SourceChoice
) -> tuple[TextFile, SourceDocuments | None]:
    """Return a file of unknown size, and what reads its documents; None if it is a text."""
    if file.status is None:
        found = _save_stdin(folder / STDIN_FILE)
        if not found.size_bytes:
            _raise_empty("the standard input")
    elif not file.is_regular and not file.is_whole:
        what, fix = "is a pipe or a device, which is read once", "name - and pipe it in"
        raise DataError(Problem(str(file.path), "", what, fix, kind="data.file"))
    elif file.is_empty and file.was_named:
        _raise_empty(file.path)
    else:
        version = str(file.status.st_mtime_ns)
        found = TextFile(file.path, file.name, file.status.st_size, version)
    source = InputSource(found.path)
    factory = choice.find(source)
    if file.is_empty or factory is None or factory.name == TEXT:
        return found, None
    return found, choice.open(source, factory, was_named=file.was_named)


def _measure(file: TextFile, documents: SourceDocuments | None) -> TextFile:
    """Return a file with the size of its text, which takes a pass over all but plain text."""
    if documents is None:
        if find_compression(file.path.name) is None or not file.size_bytes:
            return file
        size_bytes = _count_bytes(file.path)
        if not size_bytes:
            _raise_empty(file.path)
        return evolve(file, size_bytes=size_bytes)
    count = size_bytes = 0
    for text in documents.documents():
        count += 1
        size_bytes += utf8_size(text)
    for line in documents.left_out:
        _LOGGER.warning("%s", line)
    version = documents.version if documents.source.is_folder else file.version
    return evolve(file, size_bytes=size_bytes, version=version, documents=documents, count=count)


def _count_bytes(path: Path) -> int:
    with open_bytes(path) as stream:
        return sum(len(block) for block in iter(lambda: stream.read(_COPY_BYTES), b""))


def _save_stdin(path: Path) -> TextFile:
    """Save the standard input to a file, so that it can be read more than once."""
    digest, size_bytes = hashlib.sha256(), 0
    with raising_save_errors(path.parent):
        with partial_path(path).open("wb") as stream:
            while data := sys.stdin.buffer.read(_COPY_BYTES):
                digest.update(data)
                size_bytes += stream.write(data)
            flush_to_disk(stream)
        rename_partial(path)
    return TextFile(path, STDIN, size_bytes, digest.hexdigest())


def _raise_empty(file: Path | str) -> NoReturn:
    fix = "name a file that contains text"
    raise DataError(Problem(str(file), "", "is empty", fix, kind="data.text"))
