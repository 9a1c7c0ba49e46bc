"""Check checkpoints and presets: everything wrong in one pass, without torch, without weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from mypt.format.bundle.cross_checks import PER_HEAD
from mypt.format.bundle.examine import KINDS, examine
from mypt.format.discover import find_checkpoints, is_bundle
from mypt.format.errors import FormatError, Problem, has_errors, sort_by_severity
from mypt.format.layout import BUILT_IN
from mypt.format.rules.documents import document_problems
from mypt.format.rules.plugin_settings import NO_SETTINGS
from mypt.format.storage import files
from mypt.format.storage.generations import checksum_problems
from mypt.format.tensors.pt_file import read_header

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mypt.format.layout import Layouts
    from mypt.format.readers.contract import ReaderFactory
    from mypt.format.rules.plugin_settings import Settings
    from mypt.format.schema.check import Kind

# The kind of what a foreign file leaves to be asked for, which is no fault of the file.
UNSAID = "foreign.unsaid"


def validate(
    path: Path,
    layouts: Layouts = BUILT_IN,
    readers: Iterable[ReaderFactory] = (),
    *,
    settings: Settings = NO_SETTINGS,
    checksums: bool = False,
) -> list[Problem]:
    """Find all that is wrong with a checkpoint, a document, a preset, or a tree of them.

    Args:
        path: A bundle's folder, one of its files, a preset, a checkpoint of another format, or a
            folder that holds any of these further down.
        layouts: The architecture parts known; `BUILT_IN` and those of plugins.
        readers: Readers of other formats; none of them is asked about a bundle.
        settings: What plugins say of their settings.
        checksums: Whether to read the weights and compare their digests.

    Returns:
        Errors, then warnings, then notes; empty for a bundle that is as mypt saved it.
    """
    problems: list[Problem] = []
    for found in find_checkpoints(path, readers):
        try:
            problems += _problems(found, layouts, readers, settings, checksums)
        except FormatError as error:
            problems += error.problems
        except OSError as error:
            problems.append(files.unreadable_problem(error, str(found)))
    return sort_by_severity(problems)


def _problems(
    path: Path,
    layouts: Layouts,
    readers: Iterable[ReaderFactory],
    settings: Settings,
    checksums: bool,
) -> list[Problem]:
    if is_bundle(path):
        problems = examine(path, layouts, settings, checksums=checksums).problems
        is_convertible = any(problem.kind == PER_HEAD for problem in problems)
        if is_convertible and any(reader.recognises(path) for reader in readers):
            problems = problems + _foreign_problems(path, layouts, readers)
        return problems
    if path.is_file() and path.suffix == ".json":
        document, data = files.read_document(path, str(path))
        kind: Kind = "manifest" if path.name == files.MANIFEST else KINDS.get(path.name, "preset")
        problems = document_problems(kind, document, str(path), layouts, settings)
        if kind == "manifest" and not has_errors(problems):
            problems += checksum_problems(document, data, str(path))
        return problems
    return _foreign_problems(path, layouts, readers)


def _foreign_problems(
    path: Path, layouts: Layouts, readers: Iterable[ReaderFactory]
) -> list[Problem]:
    """Check what a reader recognises out of its headers, in the terms of format 2.0."""
    from mypt.format.readers.read import describe, find_reader, why_unknown  # a bundle needs none

    reader = find_reader(path, readers)
    if reader is None:
        if (error := why_unknown(path)) is not None:
            return list(error.problems)
        if path.is_dir():
            return examine(path, layouts, NO_SETTINGS).problems  # says what is missing
        read_header(path, str(path))
        return []
    problems = []
    try:
        describe(path, reader, layouts, {})
    except FormatError as error:
        problems = [
            evolve(problem, severity="warning") if problem.kind == UNSAID else problem
            for problem in error.problems
        ]
    what = f"is a checkpoint of another format, for the reader {reader.name}"
    fix = "use it as it is, or write it as a bundle: mypt format migrate"
    return [*problems, Problem(str(path), "", what, fix, kind="version.legacy", severity="note")]
