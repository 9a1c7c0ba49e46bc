"""Describe the pickle inside a torch archive with an interpreter that calls nothing.

Only the opcodes and the few names that tensors, containers, numbers and text need are known, as
format 2.0 has them; everything else is rejected by name. What files of other programs hold beside
them is read by `foreign_pickle`. Source: CPython's `pickletools`, for the opcodes.
"""

from __future__ import annotations

import re
import struct
import sys
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn

from attrs import evolve

from mypt.format.errors import FormatError, Problem
from mypt.format.tensors.info import FLOATING, STORAGES, StorageInfo, TensorInfo

if TYPE_CHECKING:
    from collections.abc import Callable

    Operation = Callable[["Interpreter"], None]

# Far beyond any checkpoint, and small enough that reading stays fast and uses little memory.
MAX_PICKLE_BYTES = 64 * 1024 * 1024
MAX_OPERATIONS = 2_000_000
_MAX_REMEMBERED_BYTES = 256 * 1024  # about a thousand tensors
MAX_VALUES = 1_000_000
MAX_DEPTH = 64
MAX_DIMENSIONS = 64
MAX_INDEX = 2**63
_LOCATION = re.compile(r"(?!meta\b)[a-z]+(:[0-9]+)?")
_KEY = re.compile(r"[0-9]{1,20}", re.ASCII)


class _Function(Enum):
    """The functions that a file may call; here they are never called, only recognised."""

    TENSOR = "_rebuild_tensor_v2"
    PARAMETER = "_rebuild_parameter"
    DICT = "OrderedDict"


# The two lines that follow the opcode GLOBAL: module and name.
_GLOBALS: dict[bytes, Any] = {
    b"torch._utils\n_rebuild_tensor_v2": _Function.TENSOR,
    b"torch._utils\n_rebuild_parameter": _Function.PARAMETER,
    b"collections\nOrderedDict": _Function.DICT,
    # a storage class is represented by an empty storage of that class
    **{f"torch\n{name}".encode(): StorageInfo(kind, "", 0) for name, (kind, _) in STORAGES.items()},
}
# Kinds of tensors that torch can save and no mypt checkpoint contains.
_OTHER_TENSORS = re.compile(
    rb"torch(\._utils\n_rebuild_(tensor_v3|qtensor|sparse_tensor)|\n(Complex\w+|Q\w+)Storage)"
)
# What follows GLOBAL where `pt_writer` wrote a tensor: class of its storage, length of the key,
# key, and the rest. It pushes one value, whatever its numbers are.
_INTEGER = rb"(?:K.|M..|J....)"
_TENSOR = re.compile(
    rb"torch\._utils\n_rebuild_tensor_v2\n\(\(X\x07\0\0\0storagectorch\n([A-Za-z0-9]+)\n"
    rb"X(.)\0\0\0([0-9]{1,20})"
    rb"(X\x03\0\0\0cpu" + _INTEGER + rb"tQK\0\(" + _INTEGER + rb"*t\(" + _INTEGER + rb"*t\x89"
    rb"ccollections\nOrderedDict\n\)RtR)",
    re.DOTALL,
)
_RESTORE = "restore it from a copy"
_DISTRUST = "do not trust its source; a checkpoint holds tensors, numbers, text and lists only"
_SAVE_PLAIN = (
    "save it again where that is known, with numbers, text, lists and dicts in its place, such as "
    "vars(config) for a config"
)
_SAVE_AGAIN = "save it again with torch.save and its own pickle_protocol"
# Modules of Python with classes of values. What others offer does something when it is called.
_HOLDS_VALUES = frozenset(
    {
        "argparse",
        "array",
        "collections",
        "datetime",
        "decimal",
        "enum",
        "fractions",
        "pathlib",
        "uuid",
    }
)
_VALUE_CLASS = re.compile(
    rb"(builtins|__builtin__)\n(bool|bytearray|bytes|complex|dict|float|frozenset|int|list|object"
    rb"|long|range|set|slice|str|tuple|unicode|xrange|Ellipsis)"
)
_DANGEROUS = {*sys.stdlib_module_names, "__builtin__", "commands", "pip"} - _HOLDS_VALUES
_CONVERT = "save it with its tensors converted to float32, float16 or bfloat16"
_MAKE_CONTIGUOUS = "save it again with each tensor made contiguous"
LEAVES = (str, int, float, bool, type(None), TensorInfo)


def read_pickle(data: bytes, file: str) -> tuple[Any, dict[str, StorageInfo]]:
    """Describe what a pickle would build, without building it.

    Args:
        data: Content of `data.pkl`.
        file: Name of the archive, for messages.

    Returns:
        Nested dict, list, tuple, str, int, float, bool and None with `TensorInfo` as leaves (an
        OrderedDict becomes a dict, a parameter its tensor), and all storages by key. Not to be
        changed: models of one architecture, such as the copies of a run, share theirs.

    Raises:
        FormatError: It names anything else, is damaged, too large or nested too deeply.
    """
    if len(data) > _MAX_REMEMBERED_BYTES:
        machine = Interpreter(data, file)
        return machine.run(), machine.storages
    try:
        return _read_small_pickle(data)
    except FormatError as error:
        raise FormatError(*(evolve(problem, file=file) for problem in error.problems)) from error


@lru_cache(maxsize=8)
def _read_small_pickle(data: bytes) -> tuple[Any, dict[str, StorageInfo]]:
    """Return what `read_pickle` does; its errors name no file."""
    machine = Interpreter(data, "")
    return machine.run(), machine.storages


class _ReadTensor(NamedTuple):
    """A tensor that was read operation by operation, for others that differ by their key alone."""

    info: TensorInfo
    numel: int
    operations: int


class Interpreter:
    """A pickle machine that makes no calls.

    Attributes:
        operations: What each opcode does.
        leaves: Types of values that hold no others.
        keys: Types of keys beside indices.
    """

    operations: ClassVar[dict[int, Operation]]
    leaves: ClassVar[tuple[type, ...]] = LEAVES
    keys: ClassVar[tuple[type, ...]] = (str,)

    def __init__(self, data: bytes, file: str) -> None:
        """Prepare to read a pickle; `file` is its name, for messages."""
        self.data = data
        self.file = file
        self.position = 0
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []  # the stacks before each mark
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, StorageInfo] = {}
        self.ordered: dict[int, Any] = {}  # ordered dicts by identity; held, so that none is reused
        self.read: dict[tuple[bytes, ...], _ReadTensor] = {}  # by what they are but for their keys
        self.skipped = 0  # operations of tensors that were read at once

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
        for done in range(MAX_OPERATIONS):
            opcode = data[self.position]
            self.position += 1
            operation = find_operation(opcode)
            if operation is not None:
                operation(self)
            elif opcode == _STOP:
                if done + self.skipped >= MAX_OPERATIONS:
                    break
                return self.stack.pop()
            else:
                name = _find_opcode_name(opcode)
                self.reject(f"uses the pickle operation {name}, which no tensor needs", "opcode")
        return self.reject(f"has a pickle of more than {MAX_OPERATIONS} operations", kind="limit")

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
                self.reject(what, kind="global", fix=_SAVE_PLAIN)

    def find_global(self, name: bytes) -> Any:
        """Return what stands for a function or class; reject those that are not known.

        Args:
            name: Module and name, with a newline between them.
        """
        if name in _GLOBALS:
            return _GLOBALS[name]
        place = name[:100].decode(errors="replace").replace("\n", ".", 1)
        shown = place if place.isprintable() else repr(place)
        if _OTHER_TENSORS.fullmatch(name):
            what = f"holds a tensor that mypt does not read ({shown})"
            self.reject(what, kind="global", fix=_CONVERT)
        package = re.split(rb"[.\n]", name)[0].decode(errors="replace")
        if package in _DANGEROUS and not _VALUE_CLASS.fullmatch(name):
            self.reject(f"names {shown}, which no checkpoint needs", kind="global")
        what = f"holds an object of {shown}, which only the program that wrote it can build"
        return self.reject(what, kind="global", fix=_SAVE_PLAIN)

    def call(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        """Return what stands for the result of a call."""
        if function is _Function.TENSOR:
            return _describe_tensor(self, *_require_six(arguments))
        if function is _Function.PARAMETER:
            tensor, needs_grad, hooks = arguments
            if type(tensor) is not TensorInfo or type(needs_grad) is not bool or hooks != {}:
                raise ValueError
            return tensor
        if function is _Function.DICT and not arguments:
            made: dict[Any, Any] = {}
            self.ordered[id(made)] = made
            return made
        return self.reject("calls something that no tensor needs", kind="call")

    def set_state(self, target: Any, state: Any) -> Any:
        """Return what an object becomes with the state that the file sets."""
        if type(target) is not dict:
            raise ValueError
        if id(target) not in self.ordered:
            self.reject("sets attributes of a plain dict, which has none", kind="call")
        if type(state) is not dict or set(state) != {"_metadata"}:
            self.reject("sets attributes that no state dict has", kind="call")
        return target

    def add_storage(self, dtype: str, key: str, numel: int) -> StorageInfo:
        """Return a storage; reject one whose key is that of another."""
        storage = StorageInfo(dtype, key, numel)
        known = self.storages.setdefault(key, storage)
        if known is not storage and known != storage:
            self.reject(f"describes its storage {key} in two ways", kind="storage")
        return storage

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
    def put(machine: Interpreter) -> None:
        machine.memo[machine.read_number(layout)] = machine.stack[-1]

    return put


def _get_memo(layout: struct.Struct) -> Operation:
    return lambda machine: machine.stack.append(machine.memo[machine.read_number(layout)])


def _push_tuple(count: int) -> Operation:
    def make(machine: Interpreter) -> None:
        items = [machine.stack.pop() for _ in range(count)]
        machine.stack.append(tuple(reversed(items)))

    return make


def push_long(length: struct.Struct) -> Operation:
    """Return the operation that pushes an integer, after its number of bytes."""

    def push(machine: Interpreter) -> None:
        data = machine.read_bytes(machine.read_number(length))
        machine.stack.append(int.from_bytes(data, "little", signed=True))

    return push


def push_text(length: struct.Struct) -> Operation:
    """Return the operation that pushes a text, after its number of bytes in UTF-8."""

    def push(machine: Interpreter) -> None:
        start = machine.position + length.size
        end = start + length.unpack_from(machine.data, machine.position)[0]
        if end > len(machine.data):
            raise IndexError
        machine.position = end
        machine.stack.append(str(machine.data[start:end], "utf-8", "surrogatepass"))

    return push


def _push_mark(machine: Interpreter) -> None:
    machine.outer.append(machine.stack)
    machine.stack = []


def _push_marked_tuple(machine: Interpreter) -> None:
    items = machine.pop_marked()
    machine.stack.append(tuple(items))


def _append_item(machine: Interpreter) -> None:
    item = machine.stack.pop()
    machine.require_top(list).append(item)


def append_items(machine: Interpreter) -> None:
    """Append what follows the last mark to the list before it."""
    items = machine.pop_marked()
    machine.require_top(list).extend(items)


def _set_item(machine: Interpreter) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    set_pairs(machine, [key, value])


def _set_items(machine: Interpreter) -> None:
    set_pairs(machine, machine.pop_marked())


def set_pairs(machine: Interpreter, items: list[Any]) -> None:
    """Put keys and values, one after the other, into the dict on top of the stack."""
    target = machine.require_top(dict)
    for key, value in zip(items[::2], items[1::2], strict=True):
        # large integers could be chosen to collide in a dict's hash table
        if type(key) not in machine.keys and not (type(key) is int and -(2**31) <= key < 2**31):
            what = "has a key that is neither text nor an index"
            machine.reject(what, kind="key", fix=_SAVE_PLAIN)
        target[key] = value


def _push_global(machine: Interpreter) -> None:
    found = _TENSOR.match(machine.data, machine.position)
    if found is not None and found[2][0] == len(found[3]):
        _push_tensor(machine, found)
    else:
        _push_known_global(machine)


def _push_tensor(machine: Interpreter, found: re.Match[bytes]) -> None:
    """Push a tensor that `pt_writer` wrote, at once if one of its kind was read before."""
    kind, _, key, rest = found.groups()
    before = machine.read.get((kind, rest))
    if before is None:
        _push_known_global(machine)
        operations = 0
        while machine.position < found.end():
            machine.position += 1
            machine.operations[machine.data[machine.position - 1]](machine)
            operations += 1
        info = machine.stack[-1]
        numel = machine.storages[info.storage_key].numel
        machine.read[kind, rest] = _ReadTensor(info, numel, operations)
    else:
        machine.position = found.end()
        info, numel, operations = before
        storage = machine.add_storage(info.dtype, key.decode(), numel)
        machine.stack.append(
            TensorInfo(info.dtype, info.shape, info.stride, storage.key, 0, info.storage_bytes)
        )
    machine.skipped += operations


def _push_known_global(machine: Interpreter) -> None:
    end = machine.data.index(b"\n", machine.data.index(b"\n", machine.position) + 1)
    name = machine.data[machine.position : end]
    machine.position = end + 1
    machine.stack.append(machine.find_global(name))


def push_call(machine: Interpreter) -> None:
    """Push what a function that the file names would return for its arguments."""
    arguments, function = machine.stack.pop(), machine.stack.pop()
    if type(arguments) is not tuple:
        raise ValueError
    machine.stack.append(machine.call(function, arguments))


def _require_six(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(arguments) != 6:
        raise ValueError
    return arguments


def _describe_tensor(
    machine: Interpreter,
    storage: Any,
    offset: Any,
    shape: Any,
    stride: Any,
    needs_grad: Any,
    hooks: Any,
) -> TensorInfo:
    """Describe a tensor; reject one that does not fit into its storage."""
    numbers = (offset, *shape, *stride) if type(shape) is type(stride) is tuple else (None,)
    if (
        not isinstance(storage, StorageInfo)
        or not storage.key
        or any(type(number) is not int or not 0 <= number < MAX_INDEX for number in numbers)
        or len(shape) != len(stride)
        or len(shape) > MAX_DIMENSIONS
        or type(needs_grad) is not bool
        or (needs_grad and storage.dtype not in FLOATING)
        or hooks != {}
    ):
        machine.reject("describes a tensor as torch never does", kind="tensor")
    info = TensorInfo(storage.dtype, shape, stride, storage.key, offset, storage.size_bytes)
    is_beyond = max(info.span[1], offset) > storage.size_bytes
    if is_beyond or info.numel > storage.numel:
        held = f"its storage holds {storage.numel} values"
        fix = None if is_beyond else _MAKE_CONTIGUOUS
        machine.reject(f"describes a tensor of shape {shape}, but {held}", kind="tensor", fix=fix)
    return info


def push_storage(machine: Interpreter) -> None:
    """Push the storage that a persistent id refers to."""
    match machine.stack.pop():
        case ("storage", StorageInfo(key=""), str(), str(), int()) as found:
            _, kind, key, location, numel = found
        case _:
            machine.reject("refers to something other than a storage", kind="storage")
    if not (_KEY.fullmatch(key) and _LOCATION.fullmatch(location) and 0 <= numel < MAX_INDEX):
        machine.reject("describes a storage as torch never does", kind="storage")
    machine.stack.append(machine.add_storage(kind.dtype, key, numel))


def _set_state(machine: Interpreter) -> None:
    state = machine.stack.pop()
    machine.stack[-1] = machine.set_state(machine.stack[-1], state)


def _find_opcode_name(opcode: int) -> str:
    import pickletools

    names = {known.code: known.name for known in pickletools.opcodes}
    return names.get(chr(opcode), f"0x{opcode:02x}")


_STOP = ord(".")
Interpreter.operations = {
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
    ord("Q"): push_storage,
    ord("b"): _set_state,
}
