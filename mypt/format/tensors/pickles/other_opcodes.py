"""The opcodes of pickles that tensors saved by torch do not need, of all protocols.

Source: CPython's `pickletools`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from mypt.format.tensors.pickles.tensor_opcodes import (
    BYTE,
    UINT32,
    append_items,
    push_call,
    push_long,
    push_new,
    push_text,
    set_pairs,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.format.tensors.pickles.pickle_machine import Operation, PickleMachine

_UINT64 = struct.Struct("<Q")


def _read_line(machine: PickleMachine) -> str:
    end = machine.data.index(b"\n", machine.position)
    line = machine.data[machine.position : end]
    machine.position = end + 1
    return line.decode("latin-1")


def _push_line(convert: Callable[[str], Any]) -> Operation:
    return lambda machine: machine.stack.append(convert(_read_line(machine)))


def _read_int(line: str) -> int | bool:
    return {"00": False, "01": True}[line] if line in ("00", "01") else int(line.rstrip("L"))


def _read_escaped(line: str) -> str:
    return line.encode("latin-1").decode("raw-unicode-escape")


def _read_quoted(line: str) -> str:
    return line[1:-1].encode("latin-1").decode("unicode-escape")


def _push_bytes(length: struct.Struct, encoding: str | None = None) -> Operation:
    def push(machine: PickleMachine) -> None:
        data = machine.read_bytes(machine.read_number(length))
        machine.stack.append(data if encoding is None else data.decode(encoding))

    return push


def _push_stack_global(machine: PickleMachine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise ValueError
    machine.stack.append(machine.find_global(f"{module}\n{name}".encode()))


def _push_marked_list(machine: PickleMachine) -> None:
    items = machine.pop_marked()
    machine.stack.append(items)


def _push_marked_dict(machine: PickleMachine) -> None:
    items = machine.pop_marked()
    machine.stack.append({})
    set_pairs(machine, items)


def _memoize(machine: PickleMachine) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


def _put_line(machine: PickleMachine) -> None:
    machine.memo[int(_read_line(machine))] = machine.stack[-1]


def _get_line(machine: PickleMachine) -> None:
    machine.stack.append(machine.memo[int(_read_line(machine))])


def _pop(machine: PickleMachine) -> None:
    machine.stack.pop()


def _skip_frame(machine: PickleMachine) -> None:
    machine.read_number(_UINT64)


OTHER_OPERATIONS: dict[int, Operation] = {
    # protocol 0 and 1
    ord("I"): _push_line(_read_int),
    ord("L"): _push_line(_read_int),
    ord("F"): _push_line(float),
    ord("V"): _push_line(_read_escaped),
    ord("S"): _push_line(_read_quoted),
    ord("T"): _push_bytes(UINT32, "latin-1"),
    ord("U"): _push_bytes(BYTE, "latin-1"),
    ord("d"): _push_marked_dict,
    ord("l"): _push_marked_list,  # a list, as the values of a set are here
    ord("p"): _put_line,
    ord("g"): _get_line,
    ord("0"): _pop,
    # protocol 2 and later
    0x81: push_call,
    0x8B: push_long(UINT32),
    ord("B"): _push_bytes(UINT32),
    ord("C"): _push_bytes(BYTE),
    # protocol 4 and 5
    0x8C: push_text(BYTE),
    0x8D: push_text(_UINT64),
    0x8E: _push_bytes(_UINT64),
    0x8F: push_new(list),
    0x90: append_items,
    0x91: _push_marked_list,
    0x93: _push_stack_global,
    0x94: _memoize,
    0x95: _skip_frame,
    0x96: _push_bytes(_UINT64),
}
