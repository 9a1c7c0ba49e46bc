"""Read all that a bundle says of itself: its documents and the headers of its tensors."""

from __future__ import annotations

import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from attrs import evolve

from mypt.format.bundle.cross_checks import compare_documents, compare_records, compare_tensors
from mypt.format.bundle.edits import EDITED, REFORMATTED, edit_problems
from mypt.format.bundle.findings import Findings, collecting
from mypt.format.bundle.plugin_updates import find_name, update_document, update_needs
from mypt.format.errors import Problem, has_errors
from mypt.format.rules.cross_file import presence_problems
from mypt.format.rules.plugin_settings import OPTIMIZER
from mypt.format.rules.requirements import explain_by_features, soften_features
from mypt.format.schema.check import check_document
from mypt.format.storage import files
from mypt.format.storage.generations import (
    FILE_NAME,
    TRIES,
    find_existing_files,
    make_changing_error,
    parse_manifest,
    read_manifest_bytes,
)
from mypt.format.tensors.pt_file import read_header

if TYPE_CHECKING:
    from pathlib import Path

    from mypt.format.documents.manifest import Manifest
    from mypt.format.layout import Layouts
    from mypt.format.rules.plugin_settings import Settings
    from mypt.format.schema.check import Kind
    from mypt.format.tensors.pt_file import Header

KINDS: dict[str, Kind] = {
    files.CONFIG: "config",
    files.TOKENIZER: "tokenizer",
    files.TRAINING_STATE: "training_state",
}


def examine(
    folder: Path, layouts: Layouts, settings: Settings, *, checksums: bool = False
) -> Findings:
    """Look at one whole generation of a bundle, also while another process saves the next.

    Args:
        folder: The bundle.
        layouts: The architecture parts known.
        settings: What plugins say of their settings.
        checksums: Whether to read the weights and compare their digests.

    Raises:
        FormatError: It is saved so often that no generation stays long enough.
        OSError: The folder cannot be read.
    """
    for _ in range(TRIES):
        before = read_manifest_bytes(folder)
        try:
            examined = _examine(folder, layouts, settings, checksums)
        except FileNotFoundError:  # renamed between finding and opening it
            continue
        if read_manifest_bytes(folder) == before:
            return examined
    raise make_changing_error(folder)


def _examine(folder: Path, layouts: Layouts, settings: Settings, checksums: bool) -> Findings:
    problems: list[Problem] = []
    manifest = _read_manifest(folder, problems)
    seen = Findings(
        folder=folder,
        manifest=manifest,
        paths=find_existing_files(folder, manifest),
        problems=problems,
        recorded_needs=update_needs(manifest.plugins, settings) if manifest else {},
    )
    if not seen.paths and manifest is None and not problems:
        what, fix = "holds no checkpoint", "name a folder with config.json and model.pt"
        problems.append(Problem(str(folder), "", what, fix, kind="file.missing"))
        return seen
    _read_documents(seen, settings)
    _find_optimizer(seen)
    _measure(seen)
    compare_records(seen, checksums)
    _read_headers(seen, settings)
    listed = manifest.files if manifest else ()
    problems += presence_problems(seen.paths, listed, folder)
    compare_documents(seen, layouts, settings)
    compare_tensors(seen, layouts, settings, checksums)
    if checksums:  # who asks for them wants to know whether anything is not what was saved
        seen.problems[:] = [
            evolve(problem, severity="error") if problem.kind in (EDITED, REFORMATTED) else problem
            for problem in seen.problems
        ]
    return seen


def _read_manifest(folder: Path, problems: list[Problem]) -> Manifest | None:
    file = str(folder / files.MANIFEST)
    if not files.is_present(folder / files.MANIFEST):
        return None
    manifest = None
    with collecting(problems, file):
        manifest, found = parse_manifest(folder)
        problems += found
    return manifest


def _read_documents(seen: Findings, settings: Settings) -> None:
    """Read the documents that their schemas accept, with the names that plugins have today."""
    needs = seen.manifest.plugins if seen.manifest else {}
    for name, kind in KINDS.items():
        if name not in seen.paths:
            continue
        file = seen.name(name)
        with collecting(seen.problems, file):
            document, data = files.read_document(seen.paths[name], file)
            if seen.manifest and name in seen.manifest.files:
                seen.problems.extend(edit_problems(seen.manifest, name, document, data, file))
            found = check_document(kind, document, file)
            explained = explain_by_features(kind, document, file, found)
            seen.problems.extend(soften_features(kind, explained))
            if not has_errors(found):
                updated, notes = update_document(document, file, settings, needs)
                seen.problems.extend(notes)
                if not has_errors(notes):
                    seen.documents[name] = updated


def _find_optimizer(seen: Findings) -> None:
    """Count the optimizer's file in where no manifest lists it."""
    optimizer = seen.optimizer_file
    beside = seen.folder / optimizer
    if seen.manifest is None and FILE_NAME.fullmatch(optimizer) and files.is_present(beside):
        seen.paths[optimizer] = beside


def _measure(seen: Findings) -> None:
    for name, path in seen.paths.items():
        with suppress(OSError):  # who reads it says so
            found = path.stat()
            if stat.S_ISREG(found.st_mode):
                seen.sizes[name] = found.st_size


def _read_headers(seen: Findings, settings: Settings) -> None:
    for name in (files.MODEL, seen.optimizer_file):
        if name in seen.paths:
            with collecting(seen.problems, seen.name(name)):
                header = read_header(seen.paths[name], seen.name(name))
                header.check_loadable()
                seen.headers[name] = _rename_optimizer(header, settings)


def _rename_optimizer(header: Header, settings: Settings) -> Header:
    """Return the header of an optimizer's file with the name that the optimizer has today."""
    name = header.contents.get(OPTIMIZER) if isinstance(header.contents, dict) else None
    now = find_name(OPTIMIZER, name, settings) if isinstance(name, str) else name
    return header if now == name else evolve(header, contents={**header.contents, OPTIMIZER: now})
