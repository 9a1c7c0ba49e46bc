"""Check a bundle or a preset: everything wrong in one pass, without torch and without weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.format import files
from mypt.format.config_rules import architecture_problems
from mypt.format.errors import FormatError, Problem
from mypt.format.examination import KINDS, examine
from mypt.format.examined import has_errors
from mypt.format.generations import manifest_problems
from mypt.format.layout import BUILT_IN
from mypt.format.schemas import check_document
from mypt.format.tensorfile import read_header

if TYPE_CHECKING:
    from pathlib import Path

    from mypt.format.documents import Document
    from mypt.format.layout import Layouts
    from mypt.format.schemas import Kind

_ORDER = ("error", "warning", "note")


def validate(path: Path, layouts: Layouts = BUILT_IN, *, checksums: bool = False) -> list[Problem]:
    """Find all that is wrong with a bundle, a document, a preset or a file of weights.

    Args:
        path: A bundle's folder, one of its files, or a preset.
        layouts: The architecture parts known; `BUILT_IN` and those of plugins.
        checksums: Whether to read the weights and compare their digests.

    Returns:
        Errors, then warnings, then notes; empty for a bundle that is as mypt saved it.
    """
    try:
        problems = _problems(path, layouts, checksums)
    except FormatError as error:
        problems = list(error.problems)
    except OSError as error:
        problems = [files.unreadable(error, str(path))]
    return worst_first(problems)


def document_problems(
    kind: Kind, document: Document, file: str, layouts: Layouts = BUILT_IN
) -> list[Problem]:
    """Find all that is wrong with one document by itself, in the order of its fields.

    Args:
        kind: What the document is.
        document: Parsed JSON.
        file: Its name, for messages.
        layouts: The architecture parts known.
    """
    if kind == "manifest":
        return manifest_problems(document, file)
    problems = check_document(kind, document, file)
    if kind in ("config", "preset") and not has_errors(problems):
        problems += architecture_problems(document, file, layouts)
    return problems


def worst_first(problems: list[Problem]) -> list[Problem]:
    """Sort by severity, keeping the order inside of each."""
    return sorted(problems, key=lambda problem: _ORDER.index(problem.severity))


def _problems(path: Path, layouts: Layouts, checksums: bool) -> list[Problem]:
    if not path.exists():
        return [Problem(str(path), "", "does not exist", "name a checkpoint", kind="file.missing")]
    if path.is_dir():
        return examine(path, layouts, checksums=checksums).problems
    if path.suffix != ".json":
        read_header(path, str(path))
        return []
    document, _ = files.read_document(path, str(path))
    kind: Kind = "manifest" if path.name == files.MANIFEST else KINDS.get(path.name, "preset")
    return document_problems(kind, document, str(path), layouts)
