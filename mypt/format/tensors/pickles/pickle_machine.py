"""A pickle machine that makes no calls: its stack, its memo, its limits.

What the names, calls and references of a file stand for, a subclass says. Source: CPython's
`pickletools`, for the opcodes.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from mypt.format.errors import FormatError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    Operation = Callable[["PickleMachine"], None]

# Far beyond any checkpoint, and small enough that reading stays fast and uses little memory.
MAX_PICKLE_BYTES = 64 * 1024 * 1024
MAX_OPERATIONS = 2_000_000
MAX_VALUES = 1_000_000
MAX_DEPTH = 64
_STOP = ord(".")
_RESTORE = "restore it from a copy"
_DISTRUST = "do not trust its source; a checkpoint holds tensors, numbers, text and lists only"
SAVE_PLAIN = (
    "save it again where that is known, with numbers, text, lists and dicts in its place, such as "
    "vars(config) for a config"
)
_SAVE_AGAIN = "save it again with torch.save and its own pickle_protocol"


class PickleMachine(ABC):
    """A machine that describes what a pickle would build, and builds nothing.

    Attributes:
        operations: What each opcode does.
        leaves: Types of values that hold no others.
        keys: Types of keys beside indices.
        max_operations: How many operations a pickle may have.
    """

    operations: ClassVar[dict[int, Operation]]
    leaves: ClassVar[tuple[type, ...]] = (str, int, float, bool, type(None))
    keys: ClassVar[tuple[type, ...]] = (str,)
    max_operations: ClassVar[int] = MAX_OPERATIONS

    def __init__(self, data: bytes, file: str) -> None:
        """Prepare to read a pickle; `file` is its name, for messages."""
        self.data = data
        self.file = file
        self.position = 0
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []  # the stacks before each mark
        self.memo: dict[int, Any] = {}
        self.skipped = 0  # operations that were done several at once

    def run(self) -> Any:
        """Interpret up to the STOP, which must be the last byte."""
        value = self.interpret()
        if self.position != len(self.data):
            self.reject("has bytes after the end of its pickle", kind="malformed")
        self.check_value(value)
        return value

    def interpret(self) -> Any:
        """Return what the pickle describes, up to its STOP; nothing else is checked of it."""
        try:
            return self._interpret()
        except (IndexError, KeyError, TypeError, ValueError, struct.error):
            self.reject("is damaged: its pickle ends early or is out of order", kind="malformed")

    def skip_protocol(self) -> None:
        """Go to the first operation; reject a protocol that is not torch's."""
        if not self.data.startswith(b"\x80\x02"):
            what = "has a pickle whose protocol is not torch's 2"
            self.reject(what, kind="protocol", fix=_SAVE_AGAIN)
        self.position = 2

    def _interpret(self) -> Any:
        self.skip_protocol()
        data, find_operation = self.data, self.operations.get
        for done in range(self.max_operations):
            opcode = data[self.position]
            self.position += 1
            operation = find_operation(opcode)
            if operation is not None:
                operation(self)
            elif opcode == _STOP:
                if done + self.skipped >= self.max_operations:
                    break
                return self.stack.pop()
            else:
                name = _find_opcode_name(opcode)
                self.reject(f"uses the pickle operation {name}, which no tensor needs", "opcode")
        what = f"has a pickle of more than {self.max_operations} operations"
        return self.reject(what, kind="limit")

    def check_value(self, value: Any) -> None:
        """Reject anything nested too deeply, containing itself, or not a value."""
        budget = MAX_VALUES
        pending: list[tuple[Any, int]] = [(value, 0)]
        while pending:
            item, depth = pending.pop()
            if isinstance(item, (dict, list, tuple)):
                children = item.values() if isinstance(item, dict) else item
                budget -= len(children)
                if depth == MAX_DEPTH or budget < 0:
                    self.reject("is nested too deeply or holds too many values", kind="limit")
                pending.extend((child, depth + 1) for child in children)
            elif not isinstance(item, self.leaves):
                what = "holds a type, a storage or a function where a value belongs"
                self.reject(what, kind="global", fix=SAVE_PLAIN)

    @abstractmethod
    def find_global(self, name: bytes) -> Any:
        """Return what stands for a function or class; reject those that are not known.

        Args:
            name: Module and name, with a newline between them.
        """

    @abstractmethod
    def find_stored(self, reference: Any) -> Any:
        """Return what stands for something outside of the pickle, by its persistent id."""

    @abstractmethod
    def call(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        """Return what stands for the result of a call."""

    @abstractmethod
    def set_state(self, target: Any, state: Any) -> Any:
        """Return what an object becomes with the state that the file sets."""

    def push_global(self) -> None:
        """Push what the next two lines name, a module and a name in it."""
        end = self.data.index(b"\n", self.data.index(b"\n", self.position) + 1)
        name = self.data[self.position : end]
        self.position = end + 1
        self.stack.append(self.find_global(name))

    def reject(self, what: str, kind: str, fix: str | None = None) -> NoReturn:
        """Raise with a fix that suits the kind of problem."""
        fix = fix or (_RESTORE if kind in ("malformed", "limit") else _DISTRUST)
        raise FormatError(Problem(self.file, "", what, fix, kind=f"pickle.{kind}"))

    def read_bytes(self, size: int) -> bytes:
        """Return the next bytes of the pickle."""
        end = self.position + size
        if end > len(self.data):
            raise IndexError
        data = self.data[self.position : end]
        self.position = end
        return data

    def read_number(self, layout: struct.Struct) -> Any:
        """Return the number at the current position."""
        position = self.position
        self.position += layout.size
        return layout.unpack_from(self.data, position)[0]

    def pop_marked(self) -> list[Any]:
        """Return what was pushed since the last mark, and remove the mark."""
        items, self.stack = self.stack, self.outer.pop()
        return items

    def require_top(self, kind: type) -> Any:
        """Return the top of the stack, which must be a `kind`."""
        if type(self.stack[-1]) is not kind:
            raise ValueError
        return self.stack[-1]


def _find_opcode_name(opcode: int) -> str:
    import pickletools

    names = {known.code: known.name for known in pickletools.opcodes}
    return names.get(chr(opcode), f"0x{opcode:02x}")
