"""Explain bytes that are not UTF-8 text: what they probably are, and the command that helps.

The explanation looks at the head of the file and at the surroundings of the first wrong byte, so
its cost does not depend on the size of the file. It is a guess; that the bytes are no UTF-8 text
is not.
"""

from __future__ import annotations

import codecs
import re
import shlex
from pathlib import Path

from attrs import frozen

from mypt.format.storage.mistaken import ARCHIVES, TAR, TAR_OFFSET

HEAD_BYTES = 1 << 16
_BOMS = {  # the longer ones first: UTF-32's begins with UTF-16's
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_UNPACK = {
    "gzip archive": "gunzip -c",
    "bzip2 archive": "bunzip2 -c",
    "xz archive": "xz -dc",
    "zstd archive": "zstd -dc",
    "7z archive": "7z x -so",
}
_BINARY = {
    **{magic: (name, _UNPACK[name]) for magic, name in ARCHIVES.items()},
    b"PK\x03\x04": ("zip archive, or a document that is one (.docx, .epub)", "unzip -p"),
    b"%PDF-": ("PDF document", "pdftotext -enc UTF-8"),
    b"\xd0\xcf\x11\xe0": ("document of an older office program", None),
    b"PAR1": ("Parquet table", None),
    b"ARROW1": ("Arrow table", None),
    b"SQLite format 3\0": ("SQLite database", None),
    b"\x93NUMPY": ("NumPy array (.npy)", None),
    b"\x89PNG": ("PNG image", None),
    b"\xff\xd8\xff": ("JPEG image", None),
    b"GIF8": ("GIF image", None),
    b"\x7fELF": ("program", None),
}
# ISO-2022 switches to another set of characters by an escape; all of its bytes are ASCII.
_ESCAPES = {b"\x1b$@": "ISO-2022-JP", b"\x1b$B": "ISO-2022-JP", b"\x1b$)C": "ISO-2022-KR"}
_ESCAPE = re.compile(b"|".join(map(re.escape, _ESCAPES)))
_TEXT_CONTROLS = b"\b\t\n\v\f\r\x1b"
_DROP_CONTROLS = dict.fromkeys([*_TEXT_CONTROLS, 0xFEFF])
_CONTROLS = bytes(byte for byte in range(32) if byte not in _TEXT_CONTROLS)
_MOST_CONTROLS = 0.05  # of a text; above it, its bytes decode by luck
_LEAST_NULS = 0.02  # of the bytes at one parity, in a text in UTF-16
_MOST_WESTERN = 0.4  # of the letters, in a language that is written with accents
_WIDE = ("UTF-32LE", "UTF-32BE", "UTF-16LE", "UTF-16BE")
_TEXT_FILE = "name a text file"
_TABLES = (b"PAR1", b"ARROW1")
_READ_BY_PACKAGE = "install the package mypt-datasets, which reads it, or name a text file"


@frozen
class Misread:
    """What bytes are that are no UTF-8 text.

    Attributes:
        what: What is wrong, without the file.
        fix: What to do about it.
    """

    what: str
    fix: str


def find_lucky_text(data: bytes, *, is_head: bool) -> int | None:
    """Find where bytes are no text although they may decode as UTF-8.

    Args:
        data: The bytes.
        is_head: Whether they are the beginning of a file.

    Returns:
        Offset of the first byte that shows it: NUL, an escape of ISO-2022, or 0 where the file
        begins as a PDF document does or with control characters; None if there is nothing.
    """
    nul = data.find(b"\0")
    if nul >= 0:
        return nul
    if b"\x1b" in data and (escape := _ESCAPE.search(data)):  # one byte is found faster than two
        return escape.start()
    if is_head and (data.startswith(b"%PDF-") or _consists_of_controls(data[:HEAD_BYTES])):
        return 0
    return None


def explain_bytes(
    head: bytes, around: bytes, offset: int, place: int, path: str | None, *, is_cut: bool
) -> Misread:
    """Explain why a file is no UTF-8 text.

    Args:
        head: The first bytes of the file, at most `HEAD_BYTES` of them.
        around: Bytes around the first wrong one, from a multiple of 4 in the file.
        offset: Offset of the first wrong byte in `around`.
        place: Offset of the first wrong byte in the file.
        path: Path of the file for a command; None for the standard input.
        is_cut: Whether the file ends within what could be a character of UTF-8.
    """
    binary = _find_binary(head)
    if binary is not None:
        return binary
    escape, wrong = _ESCAPE.match(around, offset), around[offset]
    encoding = _ESCAPES[escape[0]] if escape else _find_bom(head)
    if encoding is not None:
        return Misread(f"is {encoding}, not UTF-8", _suggest_iconv(encoding, path))
    if wrong == 0:
        return _explain_nul(around, place, path)
    if wrong < 0x80:
        return Misread("consists of control characters, so it is no text", _TEXT_FILE)
    return _explain_wrong_byte(around, offset, place, path, is_cut=is_cut)


def _explain_wrong_byte(
    around: bytes, offset: int, place: int, path: str | None, *, is_cut: bool
) -> Misread:
    what = f"is not UTF-8: byte {place} is 0x{around[offset]:02x}"
    if is_cut and not around[:offset].isascii():
        drop = _format_iconv("UTF-8", path, "-c ")
        fix = f"copy it again, or drop what is left of the character: {drop}"
        return Misread(f"{what}, with which a character begins and the file ends", fix)
    if _is_mostly_utf8(around):
        fix = f"correct it there, or drop what is not UTF-8: {_format_iconv('UTF-8', path, '-c ')}"
        return Misread(f"{what}, in a text that is UTF-8 otherwise", fix)
    encoding = _guess_western(around)
    if encoding is not None:
        return Misread(f"{what}, likely {encoding}", _suggest_iconv(encoding, path))
    fix = f"{_suggest_iconv('ENCODING', path)}, with the encoding that it was saved in"
    return Misread(what, fix)


def _find_bom(head: bytes) -> str | None:
    return next((name for bom, name in _BOMS.items() if head.startswith(bom)), None)


def _find_binary(head: bytes) -> Misread | None:
    if head[TAR_OFFSET:].startswith(TAR):
        fix = "unpack it with tar -xf, and name the folder"
        return Misread("is a tar archive, not a text", fix)
    for signature, (kind, command) in _BINARY.items():
        if head.startswith(signature):
            fix = _TEXT_FILE if command is None else f"make a text of it with {command}"
            fix = _READ_BY_PACKAGE if signature in _TABLES else fix
            return Misread(f"is a {kind}, not a text", fix)
    return None


def _explain_nul(around: bytes, place: int, path: str | None) -> Misread:
    encoding = next((name for name in _WIDE if _is_wide(around, name)), None)
    if encoding is not None:
        what = f"has NUL characters (the first is byte {place}): it is likely {encoding}, not UTF-8"
        return Misread(what, _suggest_iconv(encoding, path))
    others = around.replace(b"\0", b"")
    if _consists_of_controls(others) or not _is_mostly_utf8(others):
        what = f"is not a text, but a binary file: byte {place} is NUL"
        return Misread(what, f"{_TEXT_FILE}; a data set of token files goes to --dataset_dir")
    what = f"has NUL characters: the first is byte {place}"
    if path is None:
        return Misread(what, "remove them first: ... | tr -d '\\000' | ...")
    old, new = _quote_paths(path)
    return Misread(what, f"remove them: tr -d '\\000' < {old} > {new}")


def _is_wide(around: bytes, encoding: str) -> bool:
    """Return whether bytes with NULs are text in UTF-16 or UTF-32."""
    width = 4 if "32" in encoding else 2
    whole = around[: len(around) // width * width]
    zeros = [whole[n::width].count(0) for n in range(width)]
    units = len(whole) // width
    empty = zeros[2:] if encoding.endswith("32LE") else zeros[:2]
    if width == 2:
        high, low = (zeros[1], zeros[0]) if encoding.endswith("LE") else (zeros[0], zeros[1])
        if high < 2 or high < _LEAST_NULS * units or low > high * _MOST_CONTROLS:
            return False
    elif min(empty) < 0.9 * units:  # no character of a language is beyond U+FFFF
        return False
    text = whole.decode(encoding, "ignore").translate(_DROP_CONTROLS)
    return bool(text) and text.isprintable()


def _consists_of_controls(data: bytes) -> bool:
    controls = len(data) - len(data.translate(None, _CONTROLS))
    return controls > _MOST_CONTROLS * len(data)


def _is_mostly_utf8(around: bytes) -> bool:
    """Return whether at least half of what is not ASCII is UTF-8."""
    body = around.removeprefix(codecs.BOM_UTF8)
    good = sum(not char.isascii() for char in body.decode("utf-8", "ignore"))
    return good >= body.decode("utf-8", "replace").count("\ufffd")


def _guess_western(around: bytes) -> str | None:
    """Return the likely encoding of a text with a few accents; None if it has other letters."""
    high = sum(byte >= 0x80 for byte in around)
    letters = sum(byte < 0x80 and chr(byte).isalpha() for byte in around)
    if high > _MOST_WESTERN * (high + letters):
        return None
    if not any(0x80 <= byte < 0xA0 for byte in around):
        return "ISO-8859-1"
    try:
        around.decode("cp1252")
    except UnicodeDecodeError:
        return None
    return "WINDOWS-1252"


def _suggest_iconv(encoding: str, path: str | None) -> str:
    return f"convert it: {_format_iconv(encoding, path)}"


def _format_iconv(encoding: str, path: str | None, options: str = "") -> str:
    command = f"iconv {options}-f {encoding} -t UTF-8"
    if path is None:
        return f"... | {command} | ..."
    old, new = _quote_paths(path)
    return f"{command} {old} > {new}"


def _quote_paths(path: str) -> tuple[str, str]:
    """Return a path and that of its converted copy, as a shell reads them."""
    file = Path(path)
    return shlex.quote(path), shlex.quote(str(file.with_name(f"{file.stem}.utf8{file.suffix}")))
