"""Which files belong to which generation of a bundle, by their names.

A commit writes `model.pt.mypt-000012` beside `model.pt` (000012 is the generation), then replaces
`manifest.json`, then renames. So a tagged file of the manifest's own generation still has to be
renamed; any other tagged file is left over from a commit that never happened. An empty
`optimizer.pt.mypt-000012.dropped` marks that generation 12 no longer has an optimizer.pt.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve

from mypt.format.documents.convert import from_document, to_document
from mypt.format.documents.manifest import Manifest
from mypt.format.errors import FormatError, Problem, has_errors, limit_problems
from mypt.format.schema import strict_json
from mypt.format.schema.check import check_document
from mypt.format.storage.files import (
    BUNDLE_FILES,
    MANIFEST,
    is_present,
    open_regular,
    read_document,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mypt.format.documents.convert import Document
    from mypt.format.documents.shards import ShardsRecord

R = TypeVar("R", bound="Manifest | ShardsRecord")

FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
_TAGGED = re.compile(rf"({FILE_NAME.pattern})\.mypt-([0-9]{{6,16}})(\.dropped)?")
_DROPPED = ".dropped"
MAX_GENERATION = 2**53  # as in the schema
TRIES = 10  # attempts to read a bundle that another process is saving
CHANGING = "file.changing"  # kind of the problem that another attempt may solve
_ZEROS = "0" * 64
_FIX = "restore the manifest, or remove it: the files are valid without it too"


def tagged_name(name: str, generation: int) -> str:
    """Return the name of a file whose generation is not committed, or which is not yet renamed."""
    return f"{name}.mypt-{generation:06d}"


def drop_marker_name(name: str, generation: int) -> str:
    """Return the name of the marker for a file that a generation no longer has."""
    return tagged_name(name, generation) + _DROPPED


def may_be_listed(name: str) -> bool:
    """Return whether a manifest may list a file of this name."""
    return bool(FILE_NAME.fullmatch(name)) and name != MANIFEST and not _TAGGED.fullmatch(name)


def next_generation(before: Manifest | ShardsRecord | None, file: str) -> int:
    """Return the number of the next commit.

    Args:
        before: The record of the previous one; None if there is none.
        file: Its name, for messages.

    Raises:
        FormatError: The previous one has the highest number that a record may have.
    """
    if before is None:
        return 1
    if before.generation >= MAX_GENERATION:
        what = f"is {before.generation}, the highest possible number"
        raise FormatError(Problem(file, "/generation", what, _FIX, kind="manifest.generation"))
    return before.generation + 1


def seal(manifest: R) -> tuple[R, bytes]:
    """Return a commit record with its checksum filled in, and its bytes."""
    blank = strict_json.dump(to_document(evolve(manifest, checksum=_ZEROS)))
    checksum = hashlib.sha256(blank).hexdigest()
    sealed = evolve(manifest, checksum=checksum)
    return sealed, strict_json.dump(to_document(sealed))


def manifest_problems(document: Document, file: str) -> list[Problem]:
    """Return everything wrong with a manifest by itself, apart from its checksum."""
    problems = check_document("manifest", document, file)
    if any(problem.severity == "error" for problem in problems):
        return problems
    strange = [name for name in document["files"] if not may_be_listed(name)]
    what = "cannot be a file of a generation"
    return problems + limit_problems(
        Problem(file, f"/files/{name}", what, _FIX, kind="manifest.name") for name in strange
    )


def checksum_problems(document: Document, data: bytes, file: str, fix: str = _FIX) -> list[Problem]:
    """Compare a commit record with its own checksum; one without a checksum passes.

    Args:
        document: A manifest in which `manifest_problems` finds nothing wrong, or another record.
        data: The bytes it was parsed from.
        file: Its name, for messages.
        fix: What to do where they differ.
    """
    checksum = document.get("checksum")
    if checksum is None:
        return []
    blank = strict_json.with_line_feeds(data).replace(checksum.encode(), _ZEROS.encode())
    if hashlib.sha256(blank).hexdigest() == checksum:
        return []
    what = "does not match this file, which was changed after mypt saved it"
    return [Problem(file, "/checksum", what, fix, kind="manifest.checksum")]


def parse_manifest(folder: Path) -> tuple[Manifest | None, list[Problem]]:
    """Read the commit record of a bundle, and everything wrong with it.

    Returns:
        The manifest (None if there are errors), and the problems.

    Raises:
        FormatError: It is not valid JSON.
        OSError: It cannot be read.
    """
    file = str(folder / MANIFEST)
    document, data = read_document(folder / MANIFEST, file)
    problems = manifest_problems(document, file)
    if not has_errors(problems):
        problems += checksum_problems(document, data, file)
    if has_errors(problems):
        return None, problems
    return from_document(Manifest, document), problems


def read_manifest(folder: Path) -> Manifest | None:
    """Read the commit record of a bundle; return None if there is none.

    Raises:
        FormatError: It is damaged or of a newer major version.
        OSError: It cannot be read.
    """
    try:
        manifest, problems = parse_manifest(folder)
    except FileNotFoundError:
        return None
    if manifest is None:
        raise FormatError(*(problem for problem in problems if problem.severity == "error"))
    return manifest


def read_manifest_bytes(folder: Path) -> bytes | None:
    """Return the bytes of the commit record of a bundle; None if there is none to be read.

    They differ where another process has saved it in the meantime.
    """
    try:
        with open_regular(folder / MANIFEST, MANIFEST) as stream:
            return stream.read(strict_json.MAX_JSON_BYTES)
    except (OSError, FormatError):
        return None


def committed_files(folder: Path) -> tuple[Manifest | None, dict[str, Path]]:
    """Find the files of the last commit, which belong together.

    Args:
        folder: A bundle, or a folder without a manifest whose files have their stable names.

    Returns:
        The manifest, and the path of each existing file by stable name. A commit in the meantime
        moves files: compare the generation again after reading them.

    Raises:
        FormatError: The manifest is damaged or of a newer major version.
        OSError: The manifest cannot be read.
    """
    manifest = read_manifest(folder)
    return manifest, find_existing_files(folder, manifest)


def committed_document(folder: Path, name: str) -> Document | None:
    """Read one JSON document of a bundle, unchecked; return None if it has none of that name.

    Raises:
        FormatError: It, or the manifest, is damaged.
        OSError: It, or the manifest, cannot be read.
    """
    for _ in range(TRIES):
        path = committed_files(folder)[1].get(name)
        if path is None:
            return None
        with suppress(FileNotFoundError):  # a writer renamed it after it was found
            return read_document(path, str(folder / name))[0]
    raise make_changing_error(folder)


def make_changing_error(folder: Path) -> FormatError:
    """Return the error for a bundle that was saved again during each of `TRIES` attempts."""
    what, fix = "changes faster than it can be read", "wait for the run that is writing it"
    return FormatError(Problem(str(folder), "", what, fix, kind=CHANGING))


def find_existing_files(folder: Path, manifest: Manifest | None) -> dict[str, Path]:
    """Find the paths of a manifest's files; without a manifest, look for the known names.

    Anything in the place of a file counts: whoever reads it says that it is not one.
    """
    if manifest is None:
        return {name: folder / name for name in BUNDLE_FILES if is_present(folder / name)}
    paths = {}
    for name in manifest.files:
        # in this order, and each only once: a writer may be renaming the first to the second
        tagged, stable = tagged_name(name, manifest.generation), folder / name
        if os.path.isfile(os.path.join(folder, tagged)):  # noqa: PTH113, PTH118 - none, almost always
            paths[name] = folder / tagged
        elif is_present(stable):
            paths[name] = stable
    return paths


def find_tagged_files(folder: Path) -> Iterator[tuple[Path, str, int, bool]]:
    """Find all tagged files.

    Yields:
        Path, stable name, generation, and whether it marks a dropped file.
    """
    for path in folder.iterdir():
        if found := _TAGGED.fullmatch(path.name):
            yield path, found[1], int(found[2]), bool(found[3])


def removed_names(before: Manifest | None, names: Mapping[str, object]) -> list[str]:
    """Return the names of files that the previous generation had and the next one does not."""
    return [name for name in before.files if name not in names] if before else []
