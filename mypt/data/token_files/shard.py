"""Map a file of token ids that mypt did not record, or refuse it with what it is instead.

Such a file says nothing about its ids, except where llm.c wrote it: that program puts a header of
256 little-endian int32 before the ids, which are a magic number, a version, the number of ids, and
zeros. Everything else has to be judged by its size and its first ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mypt.data.token_files.array_file import map_array, raise_data_error

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Ids = NDArray[np.unsignedinteger[Any]]

HEADER_BYTES = 1024
_LLM_C = {20240520: (1, "<u2"), 20240801: (7, "<u4")}  # magic number: version, dtype of the ids
_LLM_C_QUESTIONS = 20240522  # of HellaSwag and MMLU
_OTHER_FILES = {
    b"\x93NUMPY": (
        "is a NumPy array with a header",
        "rewrite it in Python: numpy.load({path!r}).astype('{dtype}').tofile({path!r})",
    ),
    b"PK\x03\x04": ("is a zip archive, such as .npz or .pt", "write its ids without a container"),
    b"\x1f\x8b\x08": ("is a gzip archive", "unpack it with gunzip"),
}
_HEAD_IDS = 1 << 16  # ids that a file is judged by
_LEAST_IDS = 16  # as many ids of a text are not all followed by zero, except by chance
_WIDE_NAMES = {4: "int32 or uint32", 8: "int64"}


def map_unrecorded_ids(path: Path, dtype: str) -> Ids:
    """Map a file of ids into memory; nothing but its head is read until it is used.

    Args:
        path: The file.
        dtype: Dtype of its ids, "<u2" or "<u4", unless a header says otherwise.

    Returns:
        (N,) uint16 or uint32, read-only.

    Raises:
        DataError: It cannot be read, or is not a file of such ids.
    """
    head = _read_head(path)
    found = _find_llm_c_dtype(path, head)
    if found is not None:
        return map_array(path, found, HEADER_BYTES)
    for signature, (what, fix) in _OTHER_FILES.items():
        if head.startswith(signature):
            raise_data_error(path, what, fix.format(path=str(path), dtype=dtype))
    _check_size(path, dtype)
    ids = map_array(path, dtype)
    _check_width(path, ids, dtype)
    return ids


def read_llm_c_dtype(path: Path) -> str | None:
    """Return the dtype of the ids of a file by llm.c; None for any other file.

    Raises:
        DataError: It cannot be read, or its header does not fit.
    """
    return _find_llm_c_dtype(path, _read_head(path))


def explain_high_ids(path: Path, ids: Ids, vocab_size: int) -> tuple[str, str] | None:
    """Explain why a file has ids beyond the vocabulary, if its bytes are ids of another kind.

    Args:
        path: The file.
        ids: Its ids, as they were read.
        vocab_size: Number of ids of the vocabulary.

    Returns:
        What is wrong, and what to do about it; None if the ids are just too high.
    """
    head, dtype = np.asarray(ids[:_HEAD_IDS]), f"<u{ids.itemsize}"
    if 2 * np.count_nonzero(head >= vocab_size) > len(head):
        if ids.itemsize == 4 and head.view("<u2").max() < vocab_size:
            return "has uint16 ids, but is read as uint32", _suggest_rewrite(path, "<u2", dtype)
        if head.byteswap().max() < vocab_size:
            swapped = dtype.replace("<", ">")
            return "has its ids in big-endian byte order", _suggest_rewrite(path, swapped, dtype)
    signed = head.view(f"<i{ids.itemsize}")
    if ids.itemsize == 4 and signed.min() < 0 and signed.max() < vocab_size:
        what = f"has negative ids ({signed.min()}), such as those that mask targets"
        return what, "leave them out: an episode's mask says which tokens count (mypt data chats)"
    return None


def _read_head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(HEADER_BYTES)
    except OSError as error:
        raise_data_error(path, f"cannot be read ({error.strerror})", "check it and its permissions")


def _find_llm_c_dtype(path: Path, head: bytes) -> str | None:
    words = np.frombuffer(head[: len(head) // 4 * 4], "<i4")
    if len(words) < 4 or int(words[0]) not in {*_LLM_C, _LLM_C_QUESTIONS} or words[4:].any():
        return None
    magic, version, tokens = map(int, words[:3])
    if magic == _LLM_C_QUESTIONS:
        what = "is a file of multiple-choice questions by llm.c"
        raise_data_error(path, what, "remove it: mypt evaluates on files of tokens")
    if words[3]:
        return None
    known, dtype = _LLM_C[magic]
    if version != known:
        what = f"is a token file by llm.c of version {version}; mypt knows {known}"
        raise_data_error(path, what, "write it again with llm.c's data scripts")
    there = (path.stat().st_size - HEADER_BYTES) / np.dtype(dtype).itemsize
    if there != tokens:
        what = f"says in its header that it has {tokens:,} ids, but has {there:,.16g}"
        raise_data_error(path, what, "copy it again")
    return dtype


def _check_size(path: Path, dtype: str) -> None:
    """Raise if a file of uint32 ids could only be one of uint16."""
    size_bytes = path.stat().st_size
    if dtype == "<u4" and size_bytes % 4 == 2:
        what = f"has {size_bytes} bytes, which is not a whole number of 4-byte ids"
        fix = f"if its ids are uint16, {_suggest_rewrite(path, '<u2', dtype)}"
        raise_data_error(path, what, fix)


def _check_width(path: Path, ids: Ids, dtype: str) -> None:
    """Raise if the ids are stored wider than they are read, so that each is followed by zeros."""
    for width in sorted(_WIDE_NAMES, reverse=True):
        ratio = width // ids.itemsize
        if ratio < 2 or len(ids) % ratio:
            continue
        rows = np.asarray(ids[: _HEAD_IDS // ratio * ratio]).reshape(-1, ratio)
        if len(rows) >= _LEAST_IDS and rows[:, 0].any() and not rows[:, 1:].any():
            what = f"has {_WIDE_NAMES[width]} ids, but is read as {ids.dtype.name}"
            raise_data_error(path, what, _suggest_rewrite(path, f"<i{width}", dtype))


def _suggest_rewrite(path: Path, stored: str, wanted: str) -> str:
    name = str(path)
    return (
        f"rewrite it in Python: numpy.fromfile({name!r}, {stored!r}).astype({wanted!r})"
        f".tofile({name!r})"
    )
