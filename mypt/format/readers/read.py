"""Read checkpoints that are not bundles: find the reader, migrate, and check what comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import from_document
from mypt.format.errors import FormatError, Problem
from mypt.format.migrations import upgrade
from mypt.format.readers.mypt_file import find_file
from mypt.format.readers.options import check_options
from mypt.format.rules.cross_file import tokenizer_problems
from mypt.format.rules.documents import document_problems
from mypt.format.rules.tensors import Model, tensor_problems
from mypt.format.schema import strict_json as jsonfile
from mypt.format.storage import files
from mypt.format.tensors import weights_file as weightfile
from mypt.format.tensors.pt_file import read_header

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mypt.format.documents.checkpoint import Checkpoint
    from mypt.format.layout import Layouts
    from mypt.format.readers.contract import ReaderFactory
    from mypt.format.schema.check import Kind


# What a reader runs into where a file has lists for dicts, or lacks what every such file has.
_SURPRISES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def find_reader(path: Path, readers: Iterable[ReaderFactory]) -> ReaderFactory | None:
    """Find the reader that recognises the content of a file or folder."""
    return next((reader for reader in readers if reader.recognises(path)), None)


def why_unknown(path: Path) -> FormatError | None:
    """Say what is wrong with a path that no reader recognises; None if it is no checkpoint at all.

    A damaged file is recognised by nobody, so that only its name tells what it was meant to be.
    """
    if not path.exists():
        what, fix = "does not exist", "name a checkpoint"
        return FormatError(Problem(str(path), "", what, fix, kind="file.missing"))
    try:
        config, file = path / files.CONFIG, find_file(path)
        if path.is_dir():
            next(path.iterdir(), None)
        if config.is_file():
            files.read_document(config, str(config))
        if file is not None and file.suffix == ".pt":
            read_header(file, str(file))
    except FormatError as error:
        return error
    except OSError as error:
        return FormatError(files.unreadable_problem(error, str(path)))
    return None


def describe(
    path: Path, reader: ReaderFactory, layouts: Layouts, options: Mapping[str, Any]
) -> Checkpoint:
    """Read a checkpoint in the terms of format 2.0, with descriptions in the place of tensors.

    Needs no torch and reads no weights.

    Raises:
        FormatError: It is damaged or incomplete, or says something that format 2.0 cannot.
        UsageError: The reader does not know an option, or not with that value.
    """
    check_options(options, reader)
    try:
        found = reader.read(path, weightfile.describe_weights, options)
        # The weights first: an optimizer state that does not fit is often but a consequence.
        bare = upgrade(evolve(found, optimizer=None))
        folder = path if found.version == "1" else None
        errors = [p for p in _problems(bare, str(path), folder, layouts) if p.severity == "error"]
        if errors:
            raise FormatError(*errors)
        return upgrade(found)
    except _SURPRISES as error:
        what = f"is not as the reader {reader.name} knows it ({type(error).__name__}: {error})"
        fix = "restore it from a copy"
        raise FormatError(Problem(str(path), "", what, fix, kind="reader.surprised")) from error


def read_whole(path: Path, reader: ReaderFactory, options: Mapping[str, Any]) -> Checkpoint:
    """Read a checkpoint that `describe` has accepted, tensors and all."""
    return upgrade(reader.read(path, weightfile.load_weights, options))


def _problems(
    checkpoint: Checkpoint, file: str, folder: Path | None, layouts: Layouts
) -> list[Problem]:
    """Find what is wrong; of a folder of version 1 its documents are named, which say it."""
    documents: dict[Kind, Mapping[str, Any] | None] = {
        "config": checkpoint.config,
        "tokenizer": checkpoint.tokenizer,
        "training_state": checkpoint.training_state,
    }
    problems = [
        problem
        for kind, document in documents.items()
        if document is not None
        for problem in (
            *_unwritable(kind, document, file),
            *document_problems(
                kind, document, str(folder / f"{kind}.json") if folder else file, layouts
            ),
        )
    ]
    if any(problem.severity == "error" for problem in problems):
        return problems
    config = from_document(GPTConfig, checkpoint.config)
    if checkpoint.tokenizer is not None:
        problems += tokenizer_problems(checkpoint.tokenizer, config.vocab_size, file)
    return problems + tensor_problems(Model(config, checkpoint.tensors, layouts, file, file))


def _unwritable(kind: Kind, document: Mapping[str, Any], file: str) -> list[Problem]:
    """Refuse what a pickle can hold and no JSON document can, such as a tensor or NaN."""
    try:
        jsonfile.parse(jsonfile.dump(document), file)
    except (FormatError, TypeError, ValueError) as error:
        reason = error.problems[0].what if isinstance(error, FormatError) else str(error)
        what, fix = f"cannot be written as JSON: {reason}", "restore it from a copy"
        return [Problem(file, f"the {kind}", what, fix, kind="reader.surprised")]
    return []
