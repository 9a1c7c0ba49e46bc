"""Check checkpoints and presets: everything wrong in one pass, without torch, without weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.format.bundle.base import base_problems
from mypt.format.bundle.cross_checks import PER_HEAD
from mypt.format.bundle.detect import classify, is_hugging_face
from mypt.format.bundle.examine import KINDS, examine
from mypt.format.bundle.plugin_updates import update_document
from mypt.format.discover import find_to_validate
from mypt.format.errors import (
    FormatError,
    Problem,
    has_errors,
    log_traceback,
    sort_by_severity,
)
from mypt.format.layout import BUILT_IN
from mypt.format.readers.options import UNSAID
from mypt.format.rules.documents import document_problems
from mypt.format.rules.plugin_settings import NO_SETTINGS
from mypt.format.rules.requirements import LACKING, tokenizer_plugin_problems
from mypt.format.schema.check import check_document
from mypt.format.storage import files
from mypt.format.storage.generations import checksum_problems
from mypt.format.tensors.pt_file import read_header

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from mypt.format.documents.checkpoint import Checkpoint
    from mypt.format.documents.convert import Document
    from mypt.format.layout import Layouts
    from mypt.format.readers.contract import ReaderFactory
    from mypt.format.rules.plugin_settings import Settings
    from mypt.format.schema.check import Kind

LEGACY = "version.legacy"
_TAKES_MORE = LACKING | {UNSAID}


def is_valid(problems: Iterable[Problem]) -> bool:
    """Return whether a checkpoint with these problems opens for every kind of use but training.

    One that takes an option, a plugin or a newer mypt, as a warning says, is neither invalid nor
    valid.
    """
    return not any(p.severity == "error" or p.kind in _TAKES_MORE for p in problems)


def validate(
    path: Path,
    layouts: Layouts = BUILT_IN,
    readers: Iterable[ReaderFactory] = (),
    *,
    settings: Settings = NO_SETTINGS,
    options: Mapping[str, Any] | None = None,
    checksums: bool = False,
) -> list[Problem]:
    """Find all that is wrong with a checkpoint, a document, a preset, or a tree of them.

    Args:
        path: A bundle's folder, one of its files, a preset, a checkpoint of another format, or a
            folder that holds any of these further down.
        layouts: The architecture parts known; `BUILT_IN` and those of plugins.
        readers: Readers of other formats; none of them is asked about a bundle.
        settings: What plugins say of their settings.
        options: What the readers of checkpoints of other programs have to be told; each gets those
            that it has.
        checksums: Whether to read the weights and compare their digests.

    Returns:
        Errors, then warnings, then notes; empty for a bundle that is as mypt saved it.

    Raises:
        UsageError: No reader of what is there has one of the options, or accepts its value.
    """
    problems: list[Problem] = []
    every = list(find_to_validate(path, readers))
    for found, own in zip(every, _share_options(every, readers, options or {}), strict=True):
        try:
            problems += _find_problems(found, layouts, readers, settings, own, checksums)
        except FormatError as error:
            log_traceback(error)
            problems += error.problems
        except OSError as error:
            problems.append(files.unreadable_problem(error, str(found)))
    return sort_by_severity(list(dict.fromkeys(problems)))


def _share_options(
    paths: Sequence[Path], readers: Iterable[ReaderFactory], options: Mapping[str, Any]
) -> list[dict[str, Any]]:
    if not options:
        return [{} for _ in paths]
    from mypt.format.open import share_among  # a bundle needs none of the readers

    return share_among(paths, readers, options)


def _find_problems(
    path: Path,
    layouts: Layouts,
    readers: Iterable[ReaderFactory],
    settings: Settings,
    options: Mapping[str, Any],
    checksums: bool,
) -> list[Problem]:
    wrong_preset: list[Problem] = []
    if files.is_regular_file(path) and path.suffix == ".json":
        wrong_preset = _document_problems(path, layouts, settings)
        if path.name in (*KINDS, files.MANIFEST) or not has_errors(wrong_preset):
            return wrong_preset
    if classify(path) == "bundle":
        seen = examine(path, layouts, settings, checksums=checksums)
        adapter = None if seen.config is None else seen.config.adapter
        lacking = [] if adapter is None else base_problems(path, adapter)
        return [*seen.problems, *lacking]
    from mypt.format.open import recognise  # a bundle needs none of the readers
    from mypt.format.readers import mypt_folder
    from mypt.format.readers.unread.unknown import explain_unknown

    form, reader = recognise(path, readers)
    if reader is None and wrong_preset:
        return wrong_preset
    if reader is None:
        if form == "other" and (not files.is_folder(path) or explain_unknown(path) is not None):
            return _unknown_problems(path, readers)
        return examine(path, layouts, settings, checksums=checksums).problems
    if reader.read is not mypt_folder.read:
        return _foreign_problems(path, reader, layouts, settings, options, checksums)
    found = examine(path, layouts, settings, checksums=checksums)
    if len(found.flaws) < sum(problem.severity == "error" for problem in found.problems):
        return found.problems  # the reader would repeat them
    more = _foreign_problems(path, reader, layouts, settings, options, checksums)
    is_convertible = any(problem.kind == PER_HEAD for problem in found.problems)
    return found.problems + [
        problem
        for problem in more
        if problem not in found.problems and (is_convertible or problem.kind != LEGACY)
    ]


def _document_problems(path: Path, layouts: Layouts, settings: Settings) -> list[Problem]:
    try:
        document, data = files.read_document(path, str(path))
    except FormatError as error:
        return list(error.problems)
    kind: Kind = "manifest" if path.name == files.MANIFEST else KINDS.get(path.name, "preset")
    if kind in ("config", "preset") and is_hugging_face(document):
        what, fix = "is a config.json of Hugging Face", "name its folder, which has the weights"
        return [Problem(str(path), "", what, fix, kind="file.mistaken")]
    updated, notes = _update_alone(kind, document, path, settings)
    problems = [*document_problems(kind, updated, str(path), layouts, settings), *notes]
    if kind == "manifest" and not has_errors(problems):
        problems += checksum_problems(document, data, str(path))
    return problems


def _update_alone(
    kind: Kind, document: Document, path: Path, settings: Settings
) -> tuple[Document, list[Problem]]:
    """Return a document with the present names of plugins, if its schema accepts it."""
    if kind == "manifest" or has_errors(check_document(kind, document, str(path))):
        return document, []
    return update_document(document, str(path), settings, {})


def _unknown_problems(path: Path, readers: Iterable[ReaderFactory]) -> list[Problem]:
    """Explain what no reader takes; a file of a bundle is checked by itself."""
    from mypt.format.open import explain_refusal, is_part_of_bundle

    if is_part_of_bundle(path):
        read_header(path, str(path)).check_loadable()
        return []
    return list(explain_refusal(path, readers).problems)


def _foreign_problems(
    path: Path,
    reader: ReaderFactory,
    layouts: Layouts,
    settings: Settings,
    options: Mapping[str, Any],
    checksums: bool,
) -> list[Problem]:
    """Check what a reader recognises out of its headers, in the terms of format 2.0."""
    from mypt.format.readers.read import describe

    try:
        described = describe(path, reader, layouts, options, settings, checksums=checksums)
        problems = [*described.flaws, *_list_remarks(described, path)]
        if described.tokenizer is not None:
            tokenizer = described.tokenizer
            problems += tokenizer_plugin_problems(tokenizer, str(path), settings, {})
    except FormatError as error:
        log_traceback(error)
        problems = [
            evolve(problem, severity="warning") if problem.kind == UNSAID else problem
            for problem in error.problems
        ]
    if has_errors(problems):  # neither can be done
        return problems
    what = f"is a checkpoint of another format, for the reader {reader.name}"
    fix = "use it as it is, or write it as a bundle: mypt format migrate"
    return [*problems, Problem(str(path), "", what, fix, kind=LEGACY, severity="note")]


def _list_remarks(described: Checkpoint, path: Path) -> list[Problem]:
    fix = "compare its output with that of the program that wrote it"
    return [
        Problem(str(path), "", remark, fix, kind="foreign.remark", severity="note")
        for remark in described.remarks
    ]
