"""Explain what no reader recognises: damaged, misnamed and packed checkpoints, and others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.format.bundle.findings import collecting
from mypt.format.errors import FormatError, Problem, limit_problems
from mypt.format.readers import mypt_file, nanogpt
from mypt.format.readers.mypt_file import find_file
from mypt.format.readers.unread import programs
from mypt.format.readers.unread.dataset_folder import explain_dataset
from mypt.format.storage import files
from mypt.format.storage.mistaken import START_BYTES, UNPACK, explain_start
from mypt.format.tensors import weights_file

if TYPE_CHECKING:
    from pathlib import Path

_TAIL_BYTES = 1 << 16
# Files by whose names a folder is known for a checkpoint, of whatever program.
_NAMES = (*files.BUNDLE_FILES, files.MANIFEST, *mypt_file.NAMES, nanogpt.FILE)


def explain_unknown(path: Path) -> FormatError | None:
    """Return what is wrong with a path that no reader recognises; None if it is not a checkpoint.

    No reader recognises a damaged file, so only its name shows what it was meant to be. A data set,
    which is none either, is told as what it is.
    """
    if not files.is_present(path):
        what, fix = "does not exist", "name a checkpoint"
        return FormatError(Problem(str(path), "", what, fix, kind="file.missing"))
    try:
        config, file = path / files.CONFIG, find_file(path)
        if files.is_folder(path) and (problems := _explain_folder(path)):
            return FormatError(*problems)
        if files.is_regular_file(config):
            files.read_document(config, str(config))
        if files.is_regular_file(path) and (problem := _explain_file(path, str(path))):
            return FormatError(problem)
        if file is not None and file.suffix.lower() in files.WEIGHTS:
            weights_file.describe_weights(file, str(file))
        if file is not None and (problem := programs.explain_weights(file, str(file))):
            return FormatError(problem)
        dataset = explain_dataset(path)
    except FormatError as error:
        return error
    except OSError as error:
        return FormatError(files.unreadable_problem(error, str(path)))
    return None if dataset is None else FormatError(dataset)


def _explain_folder(folder: Path) -> list[Problem]:
    """Return what is wrong with the files of a folder that no reader recognises."""
    problems = []
    for name, right in files.find_misnamed(folder, _NAMES).items():
        problems.append(files.misnamed_problem(folder / name, right))
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in files.WEIGHTS and files.is_regular_file(path):
            with collecting(problems, str(path)):
                weights_file.describe_weights(path, str(path))
    if not problems and (program := programs.explain_folder(folder, str(folder))):
        return [program]
    return limit_problems(problems)


def _explain_file(path: Path, file: str) -> Problem | None:
    """Return what lies at a path, an archive of a checkpoint too; None where it does not tell."""
    with files.open_regular(path, file) as stream:
        start = stream.read(START_BYTES)
        stream.seek(max(0, stream.seek(0, 2) - _TAIL_BYTES))
        tail = stream.read()
    if start.startswith(b"PK\x03\x04") and b"config.json" in tail:  # its table of contents
        return Problem(file, "", "is a zip archive of a checkpoint", UNPACK, kind="file.mistaken")
    mistaken = explain_start(start, file, "file.mistaken")
    return mistaken or programs.explain_start(start, file)
