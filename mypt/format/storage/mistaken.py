"""Recognise what lies in the place of a file of a checkpoint when a copy or a download failed."""

from __future__ import annotations

from mypt.format.errors import Problem

START_BYTES = 512  # that `explain_start` wants
UNPACK = "unpack it, and name the folder that comes out"
# How an archive begins, and what it is.
ARCHIVES = {
    b"\x1f\x8b": "gzip archive",
    b"BZh": "bzip2 archive",
    b"\xfd7zXZ\0": "xz archive",
    b"\x28\xb5\x2f\xfd": "zstd archive",
    b"7z\xbc\xaf\x27\x1c": "7z archive",
}
TAR_OFFSET, TAR = 257, b"ustar"
_POINTER = b"version https://git-lfs"
_HTML = (b"<!doctype html", b"<html", b"<?xml", b"<head", b"<body")


def explain_start(start: bytes, file: str, kind: str) -> Problem | None:
    """Return what a file is that begins like this; None where the beginning does not tell.

    Args:
        start: The first `START_BYTES`, fewer if the file is shorter.
        file: Its name, for messages.
        kind: Kind of the problem.
    """
    if not start.strip(b"\0"):
        what = f"is {'filled with zeros' if start else 'empty'}, as an interrupted copy leaves it"
        return Problem(file, "", what, "copy or download it again", kind=kind)
    if start.startswith(_POINTER):
        return Problem(file, "", "is a git-lfs pointer to the file", "run: git lfs pull", kind=kind)
    for magic, name in ARCHIVES.items():
        if start.startswith(magic):
            article = "an" if name.startswith("x") else "a"
            return Problem(file, "", f"is {article} {name}", UNPACK, kind=kind)
    if start[TAR_OFFSET:].startswith(TAR):
        return Problem(file, "", "is a tar archive", UNPACK, kind=kind)
    if start.lstrip().lower().startswith(_HTML):
        what = "is a web page, as a failed download leaves it"
        return Problem(file, "", what, "download the file itself", kind=kind)
    return None
