"""Conversations in files: JSON lines, one conversation each, as `mypt data chats` reads them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mypt.engine.inference.chat_messages import make_message
from mypt.format.errors import DataError, FormatError, Problem, SaveError, format_count
from mypt.format.schema import strict_json
from mypt.format.storage.atomic_file import write_atomically
from mypt.format.storage.files import is_present, is_regular_file
from mypt.format.storage.save_errors import raising_save_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mypt.chat.message import Message

_FIX = "load what /save or `mypt data chats` could have as one line"


def save_messages(
    path: Path, messages: Sequence[Message], own: bytes | None, may_replace: Callable[[str], bool]
) -> bytes:
    """Write a conversation as the one line of a file; the file is complete or as it was.

    Args:
        path: The file.
        messages: The conversation.
        own: What this session wrote there or read from there before, which may be replaced.
        may_replace: Asks the user whether something else may be.

    Returns:
        What was written.

    Raises:
        SaveError: Something else is there, and is to stay.
    """
    document = {"messages": [_describe(message) for message in messages]}
    data = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
    with raising_save_errors(path):
        is_other = is_present(path) and not (is_regular_file(path) and path.read_bytes() == own)
    if is_other and not may_replace(str(path)):
        fix = "choose another name, or delete it"
        raise SaveError(Problem(str(path), "", "exists", fix, kind="chat.exists"))
    write_atomically(path, data)
    return data


def load_messages(path: Path) -> tuple[tuple[Message, ...], bytes]:
    """Read the one conversation of a file.

    Returns:
        Its messages, and the bytes of the file.

    Raises:
        DataError: The file cannot be read, or is something else.
    """
    try:
        data = path.read_bytes()
        lines = data.decode("utf-8").strip().split("\n")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8"
        raise DataError(Problem(str(path), "", reason, _FIX, kind="chat.file")) from None
    if len(lines) != 1:
        what = f"has {format_count(len(lines), 'conversation')}"
        raise DataError(Problem(str(path), "", what, "load a file of one", kind="chat.file"))
    return _parse(str(path), lines[0]), data


def _describe(message: Message) -> dict[str, Any]:
    weight = {} if message.weight is None else {"weight": message.weight}
    return {"role": message.role, "content": message.content, **weight, **message.fields}


def _parse(file: str, line: str) -> tuple[Message, ...]:
    try:
        found = [
            make_message(message) for message in strict_json.parse(line.encode(), file)["messages"]
        ]
    except (FormatError, TypeError, KeyError):
        what = 'is no line of {"messages": [{"role": ..., "content": ...}]}'
        raise DataError(Problem(file, "", what, _FIX, kind="chat.file")) from None
    return tuple(found)
