"""The opcodes of pickles that tensors saved by torch need.

Source: CPython's `pickletools`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from mypt.format.tensors.pickles.pickle_machine import SAVE_PLAIN, PickleMachine

if TYPE_CHECKING:
    from mypt.format.tensors.pickles.pickle_machine import Operation

BYTE, _UINT16, INT32 = struct.Struct("<B"), struct.Struct("<H"), struct.Struct("<i")
UINT32, _FLOAT64 = struct.Struct("<I"), struct.Struct(">d")


def _push(value: Any) -> Operation:
    return lambda machine: machine.stack.append(value)


def push_new(kind: type) -> Operation:
    """Return the operation that pushes an empty container."""
    return lambda machine: machine.stack.append(kind())


def _push_number(layout: struct.Struct) -> Operation:
    return lambda machine: machine.stack.append(machine.read_number(layout))


def _put_memo(layout: struct.Struct) -> Operation:
    def put(machine: PickleMachine) -> None:
        machine.memo[machine.read_number(layout)] = machine.stack[-1]

    return put


def _get_memo(layout: struct.Struct) -> Operation:
    return lambda machine: machine.stack.append(machine.memo[machine.read_number(layout)])


def _push_tuple(count: int) -> Operation:
    def make(machine: PickleMachine) -> None:
        items = [machine.stack.pop() for _ in range(count)]
        machine.stack.append(tuple(reversed(items)))

    return make


def push_long(length: struct.Struct) -> Operation:
    """Return the operation that pushes an integer, after its number of bytes."""

    def push(machine: PickleMachine) -> None:
        data = machine.read_bytes(machine.read_number(length))
        machine.stack.append(int.from_bytes(data, "little", signed=True))

    return push


def push_text(length: struct.Struct) -> Operation:
    """Return the operation that pushes a text, after its number of bytes in UTF-8."""

    def push(machine: PickleMachine) -> None:
        start = machine.position + length.size
        end = start + length.unpack_from(machine.data, machine.position)[0]
        if end > len(machine.data):
            raise IndexError
        machine.position = end
        machine.stack.append(str(machine.data[start:end], "utf-8", "surrogatepass"))

    return push


def _push_mark(machine: PickleMachine) -> None:
    machine.outer.append(machine.stack)
    machine.stack = []


def _push_marked_tuple(machine: PickleMachine) -> None:
    items = machine.pop_marked()
    machine.stack.append(tuple(items))


def _append_item(machine: PickleMachine) -> None:
    item = machine.stack.pop()
    machine.require_top(list).append(item)


def append_items(machine: PickleMachine) -> None:
    """Append what follows the last mark to the list before it."""
    items = machine.pop_marked()
    machine.require_top(list).extend(items)


def _set_item(machine: PickleMachine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    set_pairs(machine, [key, value])


def _set_items(machine: PickleMachine) -> None:
    set_pairs(machine, machine.pop_marked())


def set_pairs(machine: PickleMachine, items: list[Any]) -> None:
    """Put keys and values, one after the other, into the dict on top of the stack."""
    target = machine.require_top(dict)
    for key, value in zip(items[::2], items[1::2], strict=True):
        # large integers could be chosen to collide in a dict's hash table
        if type(key) not in machine.keys and not (type(key) is int and -(2**31) <= key < 2**31):
            what = "has a key that is neither text nor an index"
            machine.reject(what, kind="key", fix=SAVE_PLAIN)
        target[key] = value


def _push_global(machine: PickleMachine) -> None:
    machine.push_global()


def push_call(machine: PickleMachine) -> None:
    """Push what a function that the file names would return for its arguments."""
    arguments, function = machine.stack.pop(), machine.stack.pop()
    if type(arguments) is not tuple:
        raise ValueError
    machine.stack.append(machine.call(function, arguments))


def _push_stored(machine: PickleMachine) -> None:
    machine.stack.append(machine.find_stored(machine.stack.pop()))


def _set_state(machine: PickleMachine) -> None:
    state = machine.stack.pop()
    machine.stack[-1] = machine.set_state(machine.stack[-1], state)


OPERATIONS: dict[int, Operation] = {
    ord("("): _push_mark,
    ord(")"): _push(()),
    ord("]"): push_new(list),
    ord("}"): push_new(dict),
    ord("N"): _push(None),
    0x88: _push(True),
    0x89: _push(False),
    ord("J"): _push_number(INT32),
    ord("K"): _push_number(BYTE),
    ord("M"): _push_number(_UINT16),
    ord("G"): _push_number(_FLOAT64),
    0x8A: push_long(BYTE),
    ord("X"): push_text(UINT32),
    ord("t"): _push_marked_tuple,
    0x85: _push_tuple(1),
    0x86: _push_tuple(2),
    0x87: _push_tuple(3),
    ord("a"): _append_item,
    ord("e"): append_items,
    ord("s"): _set_item,
    ord("u"): _set_items,
    ord("q"): _put_memo(BYTE),
    ord("r"): _put_memo(UINT32),
    ord("h"): _get_memo(BYTE),
    ord("j"): _get_memo(UINT32),
    ord("c"): _push_global,
    ord("R"): push_call,
    ord("Q"): _push_stored,
    ord("b"): _set_state,
}
