"""Read pickles of plain dicts, strings and integers, such as nanoGPT's `meta.pkl`.

The opcodes come from `pickletools`, which parses and executes nothing; those that these values do
not need are rejected by name.
"""

from __future__ import annotations

import pickletools
from typing import TYPE_CHECKING, Any

from mypt.format.errors import FormatError, Problem
from mypt.format.storage.files import open_regular

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# A table of all characters of Unicode fits many times.
MAX_BYTES = 8 * 1024 * 1024
_MAX_OPERATIONS = 1_500_000
_MAX_KEY = 2**31
_VALUES = frozenset(
    {"BININT", "BININT1", "BININT2", "BINUNICODE", "SHORT_BINUNICODE", "INT", "UNICODE", "LONG1"}
)
_IGNORED = frozenset({"PROTO", "FRAME", "STOP"})


def read_plain_pickle(path: Path, file: str) -> dict[Any, Any]:
    """Read a pickle that holds a dict.

    Args:
        path: The file.
        file: Its name, for messages.

    Raises:
        FormatError: It contains, or would execute, anything else; it is damaged or too large.
        OSError: It cannot be read.
    """
    with open_regular(path, file) as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise _make_pickle_error(file, f"is larger than {MAX_BYTES} bytes", "name the right file")
    machine = _Machine(file)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if count == _MAX_OPERATIONS:
                raise _make_pickle_error(file, "has too many operations", "name the right file")
            machine.execute(opcode.name, argument)
        value = machine.stack.pop()
    except (IndexError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise _make_pickle_error(
            file, "is not a complete pickle", "restore it from a copy"
        ) from error
    if not isinstance(value, dict):
        raise _make_pickle_error(file, "does not hold a dict", "name the right file")
    return value


class _Machine:
    """A stack machine that can only fill dicts."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def execute(self, name: str, argument: Any) -> None:
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _OPERATIONS:
            _OPERATIONS[name](self, argument)
        elif name not in _IGNORED:
            what = f"uses the pickle operation {name}, which no table of characters needs"
            raise _make_pickle_error(
                self.file, what, "do not trust its source; give the characters instead"
            )

    def set_pairs(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict:
            raise ValueError
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            # large integers could be chosen to collide in a dict's hash table
            if type(key) is not str and not (type(key) is int and -_MAX_KEY <= key < _MAX_KEY):
                raise ValueError
            target[key] = value

    def push_mark(self) -> None:
        self.outer.append(self.stack)
        self.stack = []

    def pop_marked(self) -> list[Any]:
        items, self.stack = self.stack, self.outer.pop()
        return items

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_pairs([key, value])

    def push_marked_dict(self) -> None:
        items = self.pop_marked()
        self.stack.append({})
        self.set_pairs(items)


def _put_memo(machine: _Machine, argument: Any) -> None:
    machine.memo[len(machine.memo) if argument is None else argument] = machine.stack[-1]


def _get_memo(machine: _Machine, argument: Any) -> None:
    machine.stack.append(machine.memo[argument])


_OPERATIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "MARK": lambda machine, _: machine.push_mark(),
    "DICT": lambda machine, _: machine.push_marked_dict(),
    "SETITEM": lambda machine, _: machine.set_item(),
    "SETITEMS": lambda machine, _: machine.set_pairs(machine.pop_marked()),
    **dict.fromkeys(("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"), _put_memo),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _get_memo),
}


def _make_pickle_error(file: str, what: str, fix: str) -> FormatError:
    return FormatError(Problem(file, "", what, fix, kind="pickle"))
