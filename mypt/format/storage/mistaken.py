"""Recognise what lies in the place of a file of a checkpoint when a copy or a download failed."""

from __future__ import annotations

from mypt.format.errors import Problem

START_BYTES = 512  # that `explain_start` wants
UNPACK = "unpack it, and name the folder that comes out"
# How a file begins, what it is, and what to do.
_KINDS = (
    (b"version https://git-lfs", "is a git-lfs pointer to the file", "run: git lfs pull"),
    (b"\x1f\x8b", "is a gzip archive", UNPACK),
    (b"BZh", "is a bzip2 archive", UNPACK),
    (b"\xfd7zXZ\0", "is an xz archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive", UNPACK),
    (b"\x28\xb5\x2f\xfd", "is a zstd archive", UNPACK),
)
_HTML = (b"<!doctype html", b"<html", b"<?xml", b"<head", b"<body")
_TAR, _TAR_OFFSET = b"ustar", 257


def explain_start(start: bytes, file: str) -> Problem | None:
    """Return what a file is that begins like this; None where the beginning does not tell.

    Args:
        start: The first `START_BYTES`, fewer if the file is shorter.
        file: Its name, for messages.
    """
    if not start.strip(b"\0"):
        what = f"is {'filled with zeros' if start else 'empty'}, as an interrupted copy leaves it"
        return _make_problem(file, what, "copy or download it again")
    for magic, what, fix in _KINDS:
        if start.startswith(magic):
            return _make_problem(file, what, fix)
    if start[_TAR_OFFSET:].startswith(_TAR):
        return _make_problem(file, "is a tar archive", UNPACK)
    if start.lstrip().lower().startswith(_HTML):
        what = "is a web page, as a failed download leaves it"
        return _make_problem(file, what, "download the file itself")
    return None


def _make_problem(file: str, what: str, fix: str) -> Problem:
    return Problem(file, "", what, fix, kind="file.mistaken")
